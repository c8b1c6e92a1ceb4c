//! Edits by hand: a document's path and leaf, put into the object as `kubectl edit` would.

use serde_json::{Map, Value, json};
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::path::Path;

/// Changes one leaf of an object; None removes it. An error says why nobody can.
pub fn object(object: &mut Value, path: &Path, leaf: Option<&Leaf>) -> Result<(), String> {
    let segments: Vec<&str> = path.segments().collect();
    match segments[..] {
        ["protect"] => {
            let annotations = &mut object["metadata"]["annotations"];
            match leaf {
                Some(Leaf::Bool(true)) => annotations["stratos/protect"] = json!("true"),
                _ => drop(annotations.as_object_mut().map(|map| map.remove("stratos/protect"))),
            }
            Ok(())
        }
        ["apiVersion"] => Err("the version of the API is no field of an object".into()),
        [.., "(order)"] => Err("the order of a list is not changed by itself".into()),
        [ref parent @ .., "{}" | "[]"] => set(object, parent, leaf.map(|_| json!({}))),
        _ => set(object, &segments, leaf.map(value)),
    }
}

fn value(leaf: &Leaf) -> Value {
    match leaf {
        Leaf::Bool(value) => json!(value),
        Leaf::Integer(value) => json!(value),
        Leaf::Image(image) => json!(image.to_string()),
        Leaf::Text(text) => json!(text),
        Leaf::Secret { .. } => json!("YnkgaGFuZA=="),
        other => json!(other.to_string()),
    }
}

fn set(at: &mut Value, segments: &[&str], value: Option<Value>) -> Result<(), String> {
    let Some((first, rest)) = segments.split_first() else { return Ok(()) };
    if let Some(keys) = first.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        if !at.is_array() {
            *at = json!([]);
        }
        let list = at.as_array_mut().ok_or("it is no list")?;
        let index = match keys.parse::<usize>() {
            Ok(index) => (index < list.len()).then_some(index),
            Err(_) => list.iter().position(|item| keys.split(',').all(|pair| has(item, pair))),
        };
        let index = match index {
            Some(index) => index,
            None if value.is_none() => return Ok(()),
            None => {
                list.push(element(keys));
                list.len() - 1
            }
        };
        if rest.is_empty() {
            match value {
                Some(value) => list[index] = value,
                None => drop(list.remove(index)),
            }
            return Ok(());
        }
        return set(&mut list[index], rest, value);
    }
    if !at.is_object() {
        *at = json!({});
    }
    let map = at.as_object_mut().ok_or("it is no object")?;
    if rest.is_empty() {
        match value {
            Some(value) => drop(map.insert((*first).to_owned(), value)),
            None => drop(map.remove(*first)),
        }
        return Ok(());
    }
    match map.get_mut(*first) {
        Some(inner) => set(inner, rest, value),
        None if value.is_none() => Ok(()),
        None => set(map.entry((*first).to_owned()).or_insert(Value::Null), rest, value),
    }
}

fn has(item: &Value, pair: &str) -> bool {
    let (key, wanted) = pair.split_once('=').unwrap_or((pair, ""));
    item.get(key).is_some_and(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned) == wanted)
}

fn element(keys: &str) -> Value {
    let pairs = keys.split(',').filter_map(|pair| pair.split_once('='));
    let typed = |value: &str| serde_json::from_str::<Value>(value).unwrap_or_else(|_| json!(value));
    Value::Object(pairs.map(|(key, value)| (key.to_owned(), typed(value))).collect::<Map<_, _>>())
}
