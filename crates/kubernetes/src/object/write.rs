//! A document becomes an object again, with its secrets and references filled in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use stratos_engine::desired::document::{Document, Leaf};

use super::cleared::Cleared;
use super::desired::BASE64;
use super::segment::{self, Element};
use crate::types::Type;

/// Makes the texts of leaves whole: secrets and references.
pub(crate) type Whole<'a> = dyn Fn(&Leaf) -> Result<String, String> + Send + Sync + 'a;

/// The object of a document, without kind, name and marks.
///
/// # Errors
/// A sentence, where a text cannot be made whole.
pub(crate) fn object(document: &Document, is_secret: bool, whole: &Whole<'_>) -> Result<Value, String> {
    let mut root = Value::Null;
    for (path, leaf) in document.leaves() {
        if *leaf == Leaf::ServerChosen {
            continue;
        }
        let segments: Vec<&str> = path.segments().collect();
        match segments[..] {
            ["data", key] if is_secret => put(&mut root, &["data", key], Value::String(STANDARD.encode(whole(leaf)?))),
            ["data", key, BASE64] if is_secret => put(&mut root, &["data", key], scalar(leaf, whole)?),
            [ref list @ .., segment::ORDER] => reorder(&mut root, list, &whole(leaf)?),
            [ref parent @ .., segment::EMPTY_OBJECT] => put(&mut root, parent, Value::Object(Map::new())),
            [ref parent @ .., segment::EMPTY_LIST] => put(&mut root, parent, Value::Array(vec![])),
            _ => put(&mut root, &segments, scalar(leaf, whole)?),
        }
    }
    close_gaps(&mut root);
    Ok(root)
}

/// Takes out what only held a place: where an element of a list says nothing, or the server would not store it.
fn close_gaps(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(close_gaps),
        Value::Array(list) => {
            list.retain(|item| !item.is_null());
            list.iter_mut().for_each(close_gaps);
        }
        _ => {}
    }
}

/// A live object as our server-side apply would leave it, for a dry run that does not apply: without the fields that are ours to say
/// and not declared any more (`before`), without those that go beside them, and with what is declared (`object`).
pub(crate) fn merged(live: &Value, object: &Value, declared: &Document, before: &Document, cleared: &Cleared) -> Value {
    let mut out = live.clone();
    for (path, _) in before.leaves().iter().filter(|(path, _)| declared.get(path).is_none()) {
        let segments: Vec<&str> = path.segments().collect();
        // Labels and annotations are ours one by one.
        let from = if segments[0] == "metadata" { segments.len() } else { 1 };
        let is_declared =
            |prefix: &[&str]| declared.leaves().iter().any(|(path, _)| path.segments().take(prefix.len()).eq(prefix.iter().copied()));
        let gone = (from..=segments.len()).map(|length| &segments[..length]).find(|prefix| !is_declared(prefix));
        gone.into_iter().for_each(|gone| remove(&mut out, gone));
    }
    cleared.paths().for_each(|path| remove(&mut out, &path));
    merge(&mut out, object, Type::of_object(live));
    out
}

fn remove(at: &mut Value, path: &[&str]) {
    match (path, at) {
        ([last], Value::Object(map)) => drop(map.remove(*last)),
        ([last], Value::Array(list)) => {
            if let Some(element @ (Element::With(_) | Element::Is(_))) = segment::parse(last) {
                let found = segment::find(list, &element).cloned();
                list.retain(|item| Some(item) != found.as_ref());
            }
        }
        ([first, rest @ ..], Value::Object(map)) => map.get_mut(*first).into_iter().for_each(|below| remove(below, rest)),
        ([first, rest @ ..], Value::Array(list)) => {
            if let Some(Element::With(pairs)) = segment::parse(first) {
                let is_meant = |item: &&mut Value| pairs.iter().all(|(key, value)| item.get(key) == Some(value));
                list.iter_mut().filter(is_meant).for_each(|item| remove(item, rest));
            }
        }
        _ => {}
    }
}

/// Writes a declared value of a type over a live one. A keyed list gets the declared order, with the elements of others behind.
fn merge(live: &mut Value, declared: &Value, of: Type) {
    match (live, declared) {
        (Value::Object(live), Value::Object(declared)) if !of.is_atomic() => {
            for (name, value) in declared {
                merge(live.entry(name.clone()).or_insert(Value::Null), value, of.field(name));
            }
        }
        (live @ Value::Array(_), Value::Array(declared)) => {
            let keys = of.keys();
            let mut others = live.as_array_mut().map(std::mem::take).unwrap_or_default();
            let each = declared.iter().map(|value| {
                let is_same = |item: &Value| keys.is_some_and(|keys| keys.iter().all(|key| item.get(key) == value.get(key)));
                let found = others.iter().position(is_same).map(|at| others.remove(at));
                found.map_or_else(
                    || value.clone(),
                    |mut item| {
                        merge(&mut item, value, of.item());
                        item
                    },
                )
            });
            let mut out: Vec<Value> = each.collect();
            out.extend(others.into_iter().filter(|other| keys.is_some() || (of.is_set() && !declared.contains(other))));
            *live = Value::Array(out);
        }
        (live, declared) => *live = declared.clone(),
    }
}

fn scalar(leaf: &Leaf, whole: &Whole<'_>) -> Result<Value, String> {
    Ok(match leaf {
        Leaf::Bool(value) => Value::Bool(*value),
        Leaf::Integer(value) => Value::from(*value),
        Leaf::Number(text) => serde_json::from_str(text).map_err(|error| format!("{text} is no number: {error}"))?,
        Leaf::Image(image) => Value::String(image.to_string()),
        other => Value::String(whole(other)?),
    })
}

/// Puts a value where segments lead. The elements of lists come in the order in which they are put.
fn put(at: &mut Value, segments: &[&str], value: Value) {
    let Some((first, rest)) = segments.split_first() else {
        // An element of a keyed list is there already, with its keys.
        if !(value == Value::Object(Map::new()) && at.is_object()) {
            *at = value;
        }
        return;
    };
    match segment::parse(first) {
        Some(element) => {
            if !at.is_array() {
                *at = Value::Array(vec![]);
            }
            if let Value::Array(list) = at {
                put(item(list, element), rest, value);
            }
        }
        None => {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            if let Value::Object(map) = at {
                put(map.entry(segment::name(first)).or_insert(Value::Null), rest, value);
            }
        }
    }
}

fn item(list: &mut Vec<Value>, element: Element) -> &mut Value {
    let found = match &element {
        Element::At(index) => (*index < list.len()).then_some(*index),
        Element::With(pairs) => list.iter().position(|item| pairs.iter().all(|(key, value)| item.get(key) == Some(value))),
        Element::Is(value) => list.iter().position(|item| item == value),
    };
    let index = found.unwrap_or_else(|| {
        if let Element::At(index) = element
            && index < segment::MOST_PLACES
        {
            list.resize(index, Value::Null);
        }
        list.push(match element {
            Element::At(_) => Value::Null,
            Element::With(pairs) => Value::Object(pairs.into_iter().collect()),
            Element::Is(value) => value,
        });
        list.len() - 1
    });
    &mut list[index]
}

/// Gives a keyed list the order that its document says. The order stands before the elements, since `(` sorts before `[`: it is
/// carried out by making the elements in it.
fn reorder(root: &mut Value, list: &[&str], order: &str) {
    for name in elements(order) {
        let path: Vec<&str> = list.iter().copied().chain([name]).collect();
        put(root, &path, Value::Object(Map::new()));
    }
}

/// The segments in a text that has them one after another, with a space between them.
pub(crate) fn elements(order: &str) -> impl Iterator<Item = &str> {
    let mut rest = order;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.match_indices("] [").map(|(at, _)| at + 1).find(|end| segment::parse(&rest[..*end]).is_some()).unwrap_or(rest.len());
        let (first, after) = rest.split_at(end);
        rest = after.trim_start();
        Some(first)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stratos_engine::desired::path::Path;

    use super::*;
    use crate::object::desired::{Identity, document};

    fn both(object: &Value) -> Document {
        document(&Identity::of(object).unwrap(), object).unwrap()
    }

    fn written(object: &Value) -> Value {
        let whole = |leaf: &Leaf| match leaf {
            Leaf::Text(text) => Ok(text.to_string()),
            other => Err(other.to_string()),
        };
        super::object(&both(object), object["kind"] == "Secret", &whole).unwrap()
    }

    fn deployment(strategy: Value, container: Value) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
            "spec": { "strategy": strategy, "template": { "spec": { "containers": [container] } } },
        })
    }

    #[test]
    fn an_object_survives_being_a_document() {
        let object = deployment(
            json!({ "type": "Recreate" }),
            json!({
                "name": "web", "image": "web:1", "command": ["/bin/web", "2"], "securityContext": {},
                "env": [{ "name": "B", "value": "1" }, { "name": "A", "value": "$(B)" }],
                "ports": [{ "containerPort": 80, "protocol": "TCP" }, { "containerPort": 53, "protocol": "UDP", "name": "dns" }],
            }),
        );
        let mut back = written(&object);
        back["kind"] = object["kind"].clone();
        let mut expected = object;
        expected["metadata"] = json!(null);
        back["metadata"] = json!(null);
        // Ports have no order.
        back["spec"]["template"]["spec"]["containers"][0]["ports"].as_array_mut().unwrap().reverse();
        assert_eq!(back, expected);
    }

    #[test]
    fn a_place_that_nothing_is_at_is_no_element() {
        let leaf = |path: &[&str], text: &str| (Path::new(path.iter().copied()), Leaf::Text(text.into()));
        let places = [
            leaf(&["spec", "routes", "[0000]", "host"], "a"),
            leaf(&["spec", "routes", "[0002]", "host"], "c"),
            leaf(&["spec", "routes", "[0002]", "to"], "x"),
            leaf(&["spec", "routes", "[host=d]", "to"], "y"),
            leaf(&["spec", "tags", "[0001]"], "red"),
            leaf(&["spec", "tags", "[=blue]"], "blue"),
        ];
        let whole = |leaf: &Leaf| Ok(leaf.to_string().replace('"', ""));
        let object = super::object(&places.into_iter().collect(), false, &whole).unwrap();
        let routes = json!([{ "host": "a" }, { "host": "c", "to": "x" }, { "host": "d", "to": "y" }]);
        assert_eq!(object, json!({ "spec": { "routes": routes, "tags": ["red", "blue"] } }));
    }

    #[test]
    fn a_change_is_laid_over_a_live_object_and_others_keep_their_elements() {
        let env = |names: &[&str]| names.iter().map(|name| json!({ "name": name, "value": "1" })).collect::<Vec<_>>();
        let probe = json!({ "periodSeconds": 10, "httpGet": { "port": 1, "path": "/" } });
        let mut live = deployment(
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } }),
            json!({ "name": "web", "image": "web:1", "args": ["a", "b"], "env": env(&["A", "THEIRS", "B"]), "readinessProbe": probe }),
        );
        live["metadata"]["labels"] = json!({ "theirs": "1", "ours": "1" });
        let mut ours = deployment(json!({}), json!({ "name": "web", "image": "web:1", "args": ["a", "b"], "env": env(&["A", "B"]) }));
        ours["metadata"]["labels"] = json!({ "ours": "1" });
        let declared =
            deployment(json!({ "type": "Recreate" }), json!({ "name": "web", "image": "web:2", "args": ["c"], "env": env(&["B"]) }));
        let (before, wanted) = (both(&ours), both(&declared));
        let read = crate::object::live::Live::parse(live.to_string().as_bytes()).unwrap();
        let cleared = Cleared::new(&wanted, &before, &read);
        let merged = merged(&live, &written(&declared), &wanted, &before, &cleared);
        assert_eq!(merged["spec"]["strategy"], json!({ "type": "Recreate" }));
        let container = json!({ "name": "web", "image": "web:2", "args": ["c"], "env": env(&["B", "THEIRS"]), "readinessProbe": probe });
        assert_eq!(merged["spec"]["template"]["spec"]["containers"], json!([container]));
        assert_eq!(merged["metadata"]["labels"], json!({ "theirs": "1" }));
    }
}
