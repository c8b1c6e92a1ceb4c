//! A document becomes an object again, with its secrets and references filled in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use stratos_engine::desired::document::{Document, Leaf};

use super::desired::BASE64;
use super::project;
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

/// Says openly that members of unions go: of what is one or the other, server-side apply would leave the one before behind, empty,
/// and the server refuses both. `before` is the document of what is live.
pub(crate) fn clear_unions(object: &mut Value, document: &Document, before: &Document) {
    let removed = before.leaves().iter().map(|(path, _)| path).filter(|path| document.get(path).is_none());
    for path in removed {
        let segments: Vec<&str> = path.segments().collect();
        let Some(member) = (1..segments.len()).find(|i| is_member(segments[i - 1], &segments, *i)) else { continue };
        let member = &segments[..=member];
        let parent_stays = project::at(object, &member[..member.len() - 1]).is_some_and(Value::is_object);
        if parent_stays && project::at(object, member).is_none() {
            put(object, member, Value::Null);
        }
    }
}

/// Whether the field at a place in a path is one of several of which only one may be there.
fn is_member(within: &str, segments: &[&str], place: usize) -> bool {
    let field = segments[place];
    if [segment::EMPTY_OBJECT, segment::ORDER].contains(&field) {
        return false;
    }
    let list = place.checked_sub(2).and_then(|i| segments.get(i)).copied().unwrap_or_default();
    match within {
        "strategy" | "updateStrategy" => field == "rollingUpdate",
        "readinessProbe" | "livenessProbe" | "startupProbe" | "preStop" | "postStart" => {
            ["httpGet", "tcpSocket", "exec", "grpc", "sleep"].contains(&field)
        }
        element if element.starts_with("[name=") && list == "volumes" => true,
        element if element.starts_with("[name=") && list == "env" => field == "valueFrom",
        _ => false,
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
    fn what_is_one_or_the_other_is_cleared_of_the_one_before() {
        let probe = |handler: &str| json!({ "name": "web", "readinessProbe": { handler: { "port": 1 } } });
        let before = both(&deployment(json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } }), probe("httpGet")));
        let after = deployment(json!({ "type": "Recreate" }), probe("tcpSocket"));
        let mut object = written(&after);
        clear_unions(&mut object, &both(&after), &before);
        assert_eq!(object["spec"]["strategy"], json!({ "type": "Recreate", "rollingUpdate": null }));
        let probe = &object["spec"]["template"]["spec"]["containers"][0]["readinessProbe"];
        assert_eq!(*probe, json!({ "tcpSocket": { "port": 1 }, "httpGet": null }));
        // That there was nothing in a volume is no field of it.
        let pod =
            |volume: Value| json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" }, "spec": { "volumes": [volume] } });
        let (empty, filled) = (pod(json!({ "name": "v" })), pod(json!({ "name": "v", "configMap": { "name": "c" } })));
        let before: Document = [(Path::new(["spec", "volumes", "[name=v]", "{}"]), Leaf::Bool(true))].into_iter().collect();
        let mut object = written(&filled);
        clear_unions(&mut object, &both(&filled), &before);
        assert_eq!(object["spec"]["volumes"], filled["spec"]["volumes"]);
        clear_unions(&mut object, &both(&filled), &both(&empty));
        assert_eq!(object["spec"]["volumes"], json!([{ "name": "v", "configMap": { "name": "c" }, "emptyDir": null }]));
        // Nothing to do where nothing goes.
        let mut same = written(&after);
        clear_unions(&mut same, &both(&after), &both(&after));
        assert_eq!(same, written(&after));
    }
}
