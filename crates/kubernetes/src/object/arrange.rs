//! The lists of a live object in the order of what is declared, where their order means nothing.
//!
//! A manifest is translated without a cluster: the elements of a list that the table does not know ([`super::lists`]) have places.
//! The server knows the schema, and says it of each element that somebody manages: `k:{"host":"a"}` in a list with keys (`map`),
//! `v:"red"` in a set. In such a list each element that a declared one means comes to the declared place; where there is none,
//! nothing (`null`) holds the place; and all others come after the last declared place. So every reader that goes by place finds
//! what is meant, and what is not declared any more cannot hide behind what has moved to its place.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use stratos_engine::desired::document::{Document, Leaf};

use super::desired::At;
use super::fields::{FieldSet, Step};
use super::live::{Live, Writer};
use super::segment::{self, Element};
use super::{leaf, lists};

/// The body of a live object, arranged by what is declared. A place that the first document does not declare is that of the next one.
pub(crate) fn arranged<'a>(live: &'a Live, known: bool, declared: &[&Document]) -> Cow<'a, Value> {
    // Of the lists that the table does not know, the kinds of every cluster have but one with an order of no meaning that many write to.
    if known && live.meta.finalizers.len() < 2 {
        return Cow::Borrowed(&live.body);
    }
    let managed = live.meta.managed_fields.iter().filter(|managed| managed.subresource.is_empty());
    let sets: Vec<Set<'_>> = managed.map(|managed| Set { ours: managed.writer() != Writer::Another, fields: &managed.fields }).collect();
    let arranged = Arranger { known, declared }.value(&live.body, &sets, &mut vec![], &mut vec![]);
    arranged.map_or(Cow::Borrowed(&live.body), Cow::Owned)
}

/// What one manager manages of a value.
#[derive(Clone, Copy)]
struct Set<'a> {
    /// It is ours to say.
    ours: bool,
    fields: &'a FieldSet,
}

struct Arranger<'a> {
    known: bool,
    declared: &'a [&'a Document],
}

/// What tells the elements of a list apart: the names of their keys, or nothing but themselves.
type Keys = Vec<Option<String>>;

impl Arranger<'_> {
    /// The value arranged. None where it is as it should be. `names` is `at` without the places in lists.
    fn value(&self, value: &Value, sets: &[Set<'_>], at: &mut At, names: &mut At) -> Option<Value> {
        match value {
            Value::Object(map) => self.table(map, sets, at, names).map(Value::Object),
            Value::Array(list) => self.list(list, sets, at, names).map(Value::Array),
            _ => None,
        }
    }

    fn table(&self, map: &Map<String, Value>, sets: &[Set<'_>], at: &mut At, names: &mut At) -> Option<Map<String, Value>> {
        let mut out = None;
        for (name, value) in map.iter().filter(|(_, value)| value.is_object() || value.is_array()) {
            let below = sets.iter().filter_map(|set| Some(Set { fields: set.fields.below(name)?, ..*set }));
            let within: Vec<Set<'_>> = below.filter(|set| !set.fields.parts.is_empty()).collect();
            if within.is_empty() {
                continue;
            }
            at.push(name.clone());
            names.push(name.clone());
            if let Some(value) = self.value(value, &within, at, names) {
                out.get_or_insert_with(|| map.clone()).insert(name.clone(), value);
            }
            at.pop();
            names.pop();
        }
        out
    }

    fn list(&self, list: &[Value], sets: &[Set<'_>], at: &mut At, names: &mut At) -> Option<Vec<Value>> {
        let is_in_table = self.known && lists::keys(&names.iter().map(String::as_str).collect::<Vec<_>>()).is_some();
        let keys = keys(sets).filter(|_| !is_in_table)?;
        let order = self.order(list, sets, &keys, at, names);
        let order = order.unwrap_or_else(|| (0..list.len()).map(Some).collect());
        let mut has_moved = order.iter().enumerate().any(|(place, from)| *from != Some(place));
        let mut out = Vec::with_capacity(order.len());
        for (place, from) in order.into_iter().enumerate() {
            let Some(item) = from.and_then(|from| list.get(from)) else {
                out.push(Value::Null);
                continue;
            };
            let within: Vec<Set<'_>> = sets.iter().flat_map(|set| within(*set, item)).collect();
            at.push(segment::place(place));
            let arranged = self.value(item, &within, at, names);
            at.pop();
            has_moved |= arranged.is_some();
            out.push(arranged.unwrap_or_else(|| item.clone()));
        }
        has_moved.then_some(out)
    }

    /// Which element comes to each place. None where a declared one does not say which it means: then all stay where they are.
    fn order(&self, list: &[Value], sets: &[Set<'_>], keys: &Keys, at: &At, names: &At) -> Option<Vec<Option<usize>>> {
        let declared = self.declared(keys, at);
        let live: Vec<Vec<Option<Leaf>>> = list.iter().map(|item| self.live(keys, item, names)).collect();
        // What looks like a place and is none: fields of such names.
        if !declared.keys().copied().eq(0..declared.len()) {
            return None;
        }
        let mut order = vec![None; declared.len()];
        let mut taken = vec![false; list.len()];
        // One that says all keys takes its own first; a key that is not said has been filled in.
        let mut by_certainty: Vec<_> = declared.iter().map(|(place, said)| (*place, said, said.iter().flatten().count())).collect();
        by_certainty.sort_by_key(|(.., certainty)| std::cmp::Reverse(*certainty));
        for (place, said, certainty) in by_certainty {
            let is_meant =
                |live: &[Option<Leaf>]| said.iter().zip(live).all(|(said, live)| said.is_none_or(|said| live.as_ref() == Some(said)));
            let mut meant = live.iter().enumerate().filter(|(index, live)| !taken[*index] && is_meant(live)).map(|(index, _)| index);
            let (first, second) = (meant.next(), meant.next());
            if certainty == 0 || second.is_some() {
                return None;
            }
            if let Some(first) = first {
                taken[first] = true;
            }
            order[place] = first;
        }
        // What is ours comes first: where it is then does not depend on what others put beside it.
        let is_ours = |item: &Value| sets.iter().any(|set| set.ours && within(*set, item).next().is_some());
        let left = list.iter().enumerate().filter(|(index, _)| !taken[*index]);
        let (ours, others): (Vec<_>, Vec<_>) = left.partition(|(_, item)| is_ours(item));
        order.extend(ours.into_iter().chain(others).map(|(index, _)| Some(index)));
        Some(order)
    }

    /// What the declared elements of a list say of their keys, by their places.
    fn declared(&self, keys: &Keys, at: &At) -> BTreeMap<usize, Vec<Option<&Leaf>>> {
        let mut out = BTreeMap::new();
        for document in self.declared {
            let mut here = BTreeMap::new();
            for (path, leaf) in document.leaves() {
                let mut segments = path.segments();
                if !at.iter().all(|segment| segments.next() == Some(segment)) {
                    continue;
                }
                let Some(Element::At(place)) = segments.next().and_then(segment::parse) else { continue };
                let said: &mut Vec<_> = here.entry(place).or_insert_with(|| vec![None; keys.len()]);
                let (field, below) = (segments.next(), segments.next());
                if let (Some(key), None) = (keys.iter().position(|key| key.as_deref() == field), below) {
                    said[key] = Some(leaf);
                }
            }
            for (place, said) in here {
                out.entry(place).or_insert(said);
            }
        }
        out
    }

    /// What a live element says of its keys.
    fn live(&self, keys: &Keys, item: &Value, names: &At) -> Vec<Option<Leaf>> {
        let one = |key: &Option<String>| {
            let key = key.as_deref();
            let names: Vec<&str> = names.iter().map(String::as_str).chain(key).collect();
            leaf::scalar(self.known, &names, key.map_or(Some(item), |key| item.get(key))?)
        };
        keys.iter().map(one).collect()
    }
}

/// The keys of a list. None where it has no such elements.
fn keys(sets: &[Set<'_>]) -> Option<Keys> {
    sets.iter().flat_map(|set| &set.fields.parts).find_map(|(step, _)| match step {
        Step::Keys(keys) => Some(keys.keys().cloned().map(Some).collect()),
        Step::Member(_) => Some(vec![None]),
        Step::Field(_) | Step::Place(_) | Step::Other(_) => None,
    })
}

/// What a manager manages of an element.
fn within<'a>(set: Set<'a>, item: &Value) -> impl Iterator<Item = Set<'a>> {
    set.fields.parts.iter().filter(move |(step, _)| step.leads_to(item)).map(move |(_, fields)| Set { fields, ..set })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::desired::{Identity, document};

    fn key(host: &str, port: i64) -> String {
        format!("k:{}", json!({ "host": host, "port": port }))
    }

    /// The routes and tags of an object, of which one manager is ours and the other is not, arranged by what is declared.
    fn arranged(ours: Value, others: Value, spec: Value, declared: Value) -> Value {
        let object =
            |spec: Value| json!({ "apiVersion": "keyed.example/v1", "kind": "Router", "metadata": { "name": "edge" }, "spec": spec });
        let managed = |manager: &str, operation: &str, fields: Value| json!({ "manager": manager, "operation": operation, "apiVersion": "keyed.example/v1", "fieldsV1": { "f:spec": fields } });
        let mut live = object(spec);
        live["metadata"]["managedFields"] = json!([managed("operator", "Update", others), managed("stratos", "Apply", ours)]);
        let live = Live::parse(live.to_string().as_bytes()).unwrap();
        let declared = object(declared);
        let declared = document(&Identity::of(&declared).unwrap(), &declared).unwrap();
        super::arranged(&live, false, &[&declared]).into_owned()["spec"].take()
    }

    fn routes(elements: &[(&str, i64)]) -> Value {
        let all = elements.iter().map(|(host, port)| (key(host, *port), json!({ ".": {}, "f:host": {}, "f:port": {} })));
        json!({ "f:routes": Value::Object(all.collect()) })
    }

    fn route(host: &str, port: i64) -> Value {
        json!({ "host": host, "port": port })
    }

    #[test]
    fn what_is_in_order_stays_as_it_is() {
        let live = Live::parse(b"{}").unwrap();
        assert!(matches!(super::arranged(&live, false, &[]), Cow::Borrowed(_)));
        let spec = json!({ "routes": [route("a", 1), route("b", 1)] });
        let both = routes(&[("a", 1), ("b", 1)]);
        assert_eq!(arranged(both, json!({}), spec.clone(), spec.clone()), spec);
        // A list that is one value.
        let spec = json!({ "words": ["b", "a"] });
        assert_eq!(arranged(json!({ "f:words": {} }), json!({}), spec.clone(), json!({ "words": ["a", "b"] })), spec);
    }

    #[test]
    fn a_declared_element_comes_to_its_place_and_the_others_after_it_ours_first() {
        let spec = json!({ "routes": [route("z", 1), route("c", 1), route("a", 1)] });
        let declared = json!({ "routes": [route("a", 1), route("b", 1)] });
        let out = arranged(routes(&[("a", 1), ("c", 1)]), routes(&[("z", 1)]), spec, declared);
        assert_eq!(out, json!({ "routes": [route("a", 1), null, route("c", 1), route("z", 1)] }));
    }

    #[test]
    fn what_is_removed_does_not_hide_behind_what_follows_it() {
        let spec = json!({ "routes": [route("a", 1), route("b", 1)] });
        let declared = json!({ "routes": [route("b", 1)] });
        let out = arranged(routes(&[("a", 1), ("b", 1)]), json!({}), spec, declared);
        assert_eq!(out, json!({ "routes": [route("b", 1), route("a", 1)] }));
    }

    #[test]
    fn a_key_that_is_not_declared_has_been_filled_in() {
        let spec = json!({ "routes": [route("a", 80), route("a", 81), route("b", 80)] });
        let ours = routes(&[("a", 80), ("a", 81), ("b", 80)]);
        let declared = json!({ "routes": [{ "host": "b" }, { "host": "a" }, route("a", 81)] });
        let out = arranged(ours.clone(), json!({}), spec.clone(), declared);
        assert_eq!(out, json!({ "routes": [route("b", 80), route("a", 80), route("a", 81)] }));
        // Which one is meant nobody can say.
        let unclear = json!({ "routes": [{ "host": "b" }, { "host": "a" }] });
        assert_eq!(arranged(ours.clone(), json!({}), spec.clone(), unclear), spec);
        assert_eq!(arranged(ours.clone(), json!({}), spec.clone(), json!({ "routes": { "[999999999999]": { "host": "b" } } })), spec);
        let silent = json!({ "routes": [{ "to": "x" }, { "host": "b" }] });
        assert_eq!(arranged(ours, json!({}), spec.clone(), silent), spec);
    }

    #[test]
    fn sets_and_lists_in_elements_are_arranged_too() {
        let set = json!({ "f:tags": { "v:\"red\"": {}, "v:\"blue\"": {} } });
        let out = arranged(set, json!({}), json!({ "tags": ["red", "green", "blue"] }), json!({ "tags": ["blue", "red"] }));
        assert_eq!(out, json!({ "tags": ["blue", "red", "green"] }));
        let inner = json!({ "f:routes": { key("a", 1): { "f:host": {}, "f:port": {}, "f:tags": { "v:\"x\"": {}, "v:\"y\"": {} } } } });
        let element = |tags: [&str; 2]| json!({ "routes": [{ "host": "a", "port": 1, "tags": tags }] });
        assert_eq!(arranged(inner, json!({}), element(["x", "y"]), element(["y", "x"])), element(["y", "x"]));
    }
}
