//! A document becomes an object again, with its secrets and references filled in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use stratos_engine::desired::document::{Document, Leaf};

use super::desired::BASE64;
use super::segment::{self, Element};

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
    Ok(root)
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
                put(map.entry((*first).to_owned()).or_insert(Value::Null), rest, value);
            }
        }
    }
}

fn item(list: &mut Vec<Value>, element: Element) -> &mut Value {
    let found = match &element {
        Element::At(index) => (*index < list.len()).then_some(*index),
        Element::With(pairs) => list.iter().position(|item| pairs.iter().all(|(key, value)| item.get(key) == Some(value))),
    };
    let index = found.unwrap_or_else(|| {
        list.push(match element {
            Element::At(_) => Value::Null,
            Element::With(pairs) => Value::Object(pairs.into_iter().collect()),
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
        let end = rest.match_indices("] [").map(|(at, _)| at + 1).next().unwrap_or(rest.len());
        let (first, after) = rest.split_at(end);
        rest = after.trim_start();
        Some(first)
    })
}
