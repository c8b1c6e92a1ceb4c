//! The lists of a live object in the order of what is declared, where their order means nothing.
//!
//! A manifest is translated without a cluster: the elements of a list that the table does not know ([`super::lists`]) have places.
//! The server knows the schema, and says it of each element that somebody manages: `k:{"host":"a"}` in a list with keys (`map`),
//! `v:"red"` in a set. In such a list each element that a declared one means comes to the declared place; where there is none,
//! nothing (`null`) holds the place; all others come after the last declared place, and are called by their keys. So every reader
//! that goes by place finds what is meant, what is not declared any more cannot hide behind what has moved to its place, and what
//! others put beside it changes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::text::Segment;

use super::desired::At;
use super::fields::{FieldSet, Step};
use super::live::Live;
use super::project::is_name_of;
use super::segment::{self, Element};
use super::{leaf, lists};

/// The body of a live object in the order of a document.
#[derive(Debug)]
pub(crate) struct Arranged<'a> {
    pub(crate) body: Cow<'a, Value>,
    /// The lists whose elements the server tells apart, by where they are.
    lists: BTreeMap<At, List>,
    /// Of a declared element it cannot be told which one it means, or whether there is one.
    pub(crate) is_unclear: bool,
}

#[derive(Debug)]
struct List {
    keys: Keys,
    /// So many places are declared.
    places: usize,
}

/// What tells the elements of a list apart: the names of their keys, or nothing but themselves.
type Keys = Vec<Option<String>>;

impl<'a> Arranged<'a> {
    /// Arranges an object by what is declared, of which `ours` is ours to say.
    pub(crate) fn new(live: &'a Live, ours: &FieldSet, known: bool, declared: &Document) -> Self {
        let mut out = Self::as_it_is(live);
        // Of the lists that the table does not know, the kinds of every cluster have but one with an order of no meaning that many
        // write to.
        if known && live.meta.finalizers.is_empty() {
            return out;
        }
        let managed = live.meta.managed_fields.iter().filter(|managed| managed.subresource.is_empty());
        let sets: Vec<Set<'_>> = managed.map(|managed| Set { ours: false, fields: &managed.fields }).collect();
        if !sets.iter().any(|set| set.fields.has_elements()) {
            return out;
        }
        let sets = [vec![Set { ours: true, fields: ours }], sets].concat();
        let declared = Declared::of(declared);
        let mut arranger = Arranger { known, lists: BTreeMap::new(), is_unclear: false, at: vec![], names: vec![] };
        if let Some(body) = arranger.value(&live.body, &sets, Some(&declared)) {
            out.body = Cow::Owned(body);
        }
        Self { lists: arranger.lists, is_unclear: arranger.is_unclear, ..out }
    }

    /// Everything stays where it is.
    pub(crate) fn as_it_is(live: &'a Live) -> Self {
        Self { body: Cow::Borrowed(&live.body), lists: BTreeMap::new(), is_unclear: false }
    }

    pub(crate) fn into_owned(self) -> Arranged<'static> {
        Arranged { body: Cow::Owned(self.body.into_owned()), ..self }
    }

    /// The segment of a list's element that is not declared: it has no place.
    pub(crate) fn name(&self, list: &At, index: usize, element: &Value) -> Option<String> {
        self.lists.get(list)?.name(index, element)
    }
}

impl List {
    fn name(&self, index: usize, element: &Value) -> Option<String> {
        if index < self.places {
            return None;
        }
        match self.keys.iter().map(Option::as_deref).collect::<Option<Vec<_>>>() {
            Some(keys) => segment::element(element.as_object()?, &keys),
            None => segment::member(element),
        }
    }
}

/// What one manager manages of a value.
#[derive(Clone, Copy)]
struct Set<'a> {
    /// It is ours to say.
    ours: bool,
    fields: &'a FieldSet,
}

/// A document as a tree.
#[derive(Default)]
struct Declared<'a> {
    leaf: Option<&'a Leaf>,
    below: BTreeMap<&'a str, Self>,
}

impl<'a> Declared<'a> {
    fn of(document: &'a Document) -> Self {
        let mut out = Self::default();
        for (path, leaf) in document.leaves() {
            path.segments().fold(&mut out, |at, segment| at.below.entry(segment).or_default()).leaf = Some(leaf);
        }
        out
    }

    /// The elements of a list, by their places.
    fn places(&self) -> impl Iterator<Item = (usize, &Self)> {
        self.below.iter().filter_map(|(segment, element)| match segment::parse(segment) {
            Some(Element::At(place)) if place < segment::MOST_PLACES => Some((place, element)),
            _ => None,
        })
    }

    fn says(&self, key: Option<&str>) -> Option<&'a Leaf> {
        key.map_or(Some(self), |key| self.below.get(key)).and_then(|field| field.leaf)
    }
}

struct Arranger {
    known: bool,
    lists: BTreeMap<At, List>,
    is_unclear: bool,
    at: At,
    /// The same without what is in lists.
    names: At,
}

impl Arranger {
    /// The value arranged. None where it is as it should be.
    fn value(&mut self, value: &Value, sets: &[Set<'_>], declared: Option<&Declared<'_>>) -> Option<Value> {
        match value {
            Value::Object(map) => self.table(map, sets, declared).map(Value::Object),
            Value::Array(list) => self.list(list, sets, declared).map(Value::Array),
            _ => None,
        }
    }

    fn table(&mut self, map: &Map<String, Value>, sets: &[Set<'_>], declared: Option<&Declared<'_>>) -> Option<Map<String, Value>> {
        let mut out = None;
        for (name, value) in map.iter().filter(|(_, value)| has_parts(value)) {
            if self.at.is_empty() && (name == "status" || self.known && name != "metadata") {
                continue;
            }
            let below = sets.iter().filter_map(|set| Some(Set { fields: set.fields.below(name)?, ..*set }));
            let within: Vec<Set<'_>> = below.filter(|set| !set.fields.parts.is_empty()).collect();
            if within.is_empty() {
                continue;
            }
            self.at.push(name.clone());
            self.names.push(name.clone());
            let arranged = self.value(value, &within, declared.and_then(|declared| declared.below.get(name.as_str())));
            self.at.pop();
            self.names.pop();
            if let Some(value) = arranged {
                out.get_or_insert_with(|| map.clone()).insert(name.clone(), value);
            }
        }
        out
    }

    fn list(&mut self, list: &[Value], sets: &[Set<'_>], declared: Option<&Declared<'_>>) -> Option<Vec<Value>> {
        let is_in_table = self.known && lists::keys(&self.names.iter().map(String::as_str).collect::<Vec<_>>()).is_some();
        let keys = keys(sets).filter(|_| !is_in_table)?;
        let order = self.order(list, sets, &keys, declared);
        let places = declared.and_then(|declared| declared.places().map(|(place, _)| place + 1).max()).unwrap_or(0);
        let known = List { keys, places };
        let mut has_moved = order.iter().enumerate().any(|(place, from)| *from != Some(place));
        let mut out = Vec::with_capacity(order.len());
        for (place, from) in order.into_iter().enumerate() {
            let item = from.and_then(|from| list.get(from)).unwrap_or(&Value::Null);
            let has_inner = item.as_object().is_some_and(|map| map.values().any(has_parts));
            let mut arranged = None;
            if has_inner {
                let within: Vec<Set<'_>> = sets.iter().flat_map(|set| set.within(item)).collect();
                self.at.push(known.name(place, item).unwrap_or_else(|| segment::place(place)));
                arranged = self.value(item, &within, declared.and_then(|declared| declared.below.get(segment::place(place).as_str())));
                self.at.pop();
            }
            has_moved |= arranged.is_some();
            out.push(arranged.unwrap_or_else(|| item.clone()));
        }
        self.lists.insert(self.at.clone(), known);
        has_moved.then_some(out)
    }

    /// Which element comes to each place.
    fn order(&mut self, list: &[Value], sets: &[Set<'_>], keys: &Keys, declared: Option<&Declared<'_>>) -> Vec<Option<usize>> {
        let live: Vec<Vec<Option<Leaf>>> = list.iter().map(|item| self.live(keys, item)).collect();
        let said = |element: &Declared<'_>| keys.iter().map(|key| element.says(key.as_deref()).cloned()).collect::<Vec<_>>();
        let places = declared.into_iter().flat_map(Declared::places).map(|(place, element)| (place, said(element)));
        let (sure, unsure): (Vec<_>, Vec<_>) = places.partition(|(_, said)| said.iter().all(|said| said.as_ref().is_some_and(is_plain)));
        let last = sure.iter().chain(&unsure).map(|(place, _)| *place).max();
        let mut order = vec![None; last.map_or(0, |last| last + 1)];
        let mut left = vec![true; list.len()];
        let mut from = 0;
        for (place, said) in sure {
            // Most lists are in order.
            let meant = (from..list.len()).chain(0..from).find(|index| left[*index] && live[*index] == said);
            if let Some(meant) = meant {
                (left[meant], from) = (false, meant + 1);
            }
            order[place] = meant;
        }
        for (place, said) in unsure {
            let may_mean = |index: &usize| {
                let ours = sets.iter().filter(|set| set.ours).find_map(|set| set.within(&list[*index]).next());
                left[*index] && ours.is_some_and(|ours| may_mean(keys, &said, &live[*index], ours.fields))
            };
            let mut meant = (0..list.len()).filter(may_mean);
            match (meant.next(), meant.next()) {
                (Some(meant), None) => {
                    left[meant] = false;
                    order[place] = Some(meant);
                }
                _ => self.is_unclear = true,
            }
        }
        order.extend((0..list.len()).filter(|index| left[*index]).map(Some));
        order
    }

    /// What a live element says of its keys.
    fn live(&self, keys: &Keys, item: &Value) -> Vec<Option<Leaf>> {
        let one = |key: &Option<String>| {
            let key = key.as_deref();
            let names: Vec<&str> = self.names.iter().map(String::as_str).chain(key).collect();
            leaf::scalar(self.known, &names, key.map_or(Some(item), |key| item.get(key))?)
        };
        keys.iter().map(one).collect()
    }
}

impl<'a> Set<'a> {
    /// What is managed of an element.
    fn within(self, item: &Value) -> impl Iterator<Item = Self> {
        self.fields.parts.iter().filter(move |(step, _)| step.leads_to(item)).map(move |(_, fields)| Set { fields, ..self })
    }
}

fn has_parts(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// The keys of a list. None where it has no such elements; members of a set that are no single values have places.
fn keys(sets: &[Set<'_>]) -> Option<Keys> {
    sets.iter().flat_map(|set| &set.fields.parts).find_map(|(step, _)| match step {
        Step::Keys(keys) if !keys.is_empty() => Some(keys.keys().cloned().map(Some).collect()),
        Step::Member(member) if !has_parts(member) => Some(vec![None]),
        _ => None,
    })
}

/// Whether it is there as it is declared, or not at all.
fn is_plain(leaf: &Leaf) -> bool {
    !matches!(leaf, Leaf::Ref(_) | Leaf::Secret { .. } | Leaf::Unknown | Leaf::ServerChosen)
}

/// Whether a declared element that does not say all its keys may mean one of ours: a key that it does not say is one that we have
/// not said, but the server filled in; and one that is not known here may be any.
fn may_mean(keys: &Keys, said: &[Option<Leaf>], live: &[Option<Leaf>], ours: &FieldSet) -> bool {
    keys.iter().zip(said).zip(live).all(|((key, said), live)| match (said, live) {
        (Some(said), Some(live)) if is_plain(said) => said == live,
        (Some(Leaf::Ref(text)), Some(Leaf::Text(name))) => match text.segments() {
            [Segment::Attribute { of, .. }] => is_name_of(name, of) || **name == *of.name.trim_end_matches('*').trim_end_matches('-'),
            _ => true,
        },
        (Some(_), live) => live.is_some(),
        (None, _) => key.as_ref().is_some_and(|key| ours.below(key).is_none()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::desired::{Identity, document};

    const API: &str = "keyed.example/v1";

    fn key(host: &str, port: i64) -> String {
        format!("k:{}", json!({ "host": host, "port": port }))
    }

    fn object(spec: &Value) -> Value {
        json!({ "apiVersion": API, "kind": "Router", "metadata": { "name": "edge" }, "spec": spec })
    }

    /// What a manager manages below `spec`.
    fn manages(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({ "manager": manager, "operation": operation, "apiVersion": API, "fieldsV1": { "f:spec": fields } })
    }

    /// What is below `spec` of an object, of which one manager is ours and the other is not, arranged by what is declared; and whether it is
    /// unclear.
    fn arranged(ours: &Value, others: &Value, spec: &Value, declared: &Value) -> (Value, bool) {
        let mut live = object(spec);
        live["metadata"]["managedFields"] = json!([manages("operator", "Update", others), manages("stratos", "Apply", ours)]);
        let live = Live::parse(live.to_string().as_bytes()).unwrap();
        let declared = object(declared);
        let declared = document(&Identity::of(&declared).unwrap(), &declared).unwrap();
        let arranged = Arranged::new(&live, &live.ours(), false, &declared).into_owned();
        (arranged.body["spec"].clone(), arranged.is_unclear)
    }

    /// Routes with all that they say of themselves.
    fn routes(elements: &[(&str, i64)]) -> Value {
        let all = elements.iter().map(|(host, port)| (key(host, *port), json!({ ".": {}, "f:host": {}, "f:port": {} })));
        json!({ "f:routes": Value::Object(all.collect()) })
    }

    /// Routes whose port has been filled in.
    fn portless(elements: &[(&str, i64)]) -> Value {
        let all = elements.iter().map(|(host, port)| (key(host, *port), json!({ ".": {}, "f:host": {} })));
        json!({ "f:routes": Value::Object(all.collect()) })
    }

    fn route(host: &str, port: i64) -> Value {
        json!({ "host": host, "port": port })
    }

    fn clear(elements: &[Value]) -> (Value, bool) {
        (json!({ "routes": elements }), false)
    }

    #[test]
    fn what_is_in_order_stays_as_it_is() {
        let live = Live::parse(b"{}").unwrap();
        assert!(matches!(Arranged::new(&live, &live.ours(), false, &Document::default()).body, Cow::Borrowed(_)));
        let spec = json!({ "routes": [route("a", 1), route("b", 1)] });
        let both = routes(&[("a", 1), ("b", 1)]);
        assert_eq!(arranged(&both, &json!({}), &spec, &spec), (spec, false));
        // A list that is one value.
        let spec = json!({ "words": ["b", "a"] });
        assert_eq!(arranged(&json!({ "f:words": {} }), &json!({}), &spec, &json!({ "words": ["a", "b"] })), (spec, false));
    }

    #[test]
    fn a_declared_element_comes_to_its_place_and_the_others_after_it() {
        let spec = json!({ "routes": [route("z", 1), route("c", 1), route("a", 1)] });
        let declared = json!({ "routes": [route("a", 1), route("b", 1)] });
        let out = arranged(&routes(&[("a", 1), ("c", 1)]), &routes(&[("z", 1)]), &spec, &declared);
        assert_eq!(out, clear(&[route("a", 1), Value::Null, route("z", 1), route("c", 1)]));
    }

    #[test]
    fn what_is_removed_does_not_hide_behind_what_follows_it() {
        let spec = json!({ "routes": [route("a", 1), route("b", 1)] });
        let declared = json!({ "routes": [route("b", 1)] });
        let out = arranged(&routes(&[("a", 1), ("b", 1)]), &json!({}), &spec, &declared);
        assert_eq!(out, clear(&[route("b", 1), route("a", 1)]));
    }

    #[test]
    fn a_key_that_is_not_declared_has_been_filled_in() {
        let spec = json!({ "routes": [route("a", 81), route("a", 80), route("b", 80)] });
        let ours = portless(&[("a", 80), ("b", 80)]);
        let declared = json!({ "routes": [{ "host": "b" }, { "host": "a" }] });
        let out = arranged(&ours, &routes(&[("a", 81)]), &spec, &declared);
        assert_eq!(out, clear(&[route("b", 80), route("a", 80), route("a", 81)]));
        // One of another manager, or one whose port was declared, is not meant: the server would make a second one.
        let missing = (json!({ "routes": [null, route("a", 81)] }), true);
        let spec = json!({ "routes": [route("a", 81)] });
        let declared = json!({ "routes": [{ "host": "a" }] });
        assert_eq!(arranged(&json!({}), &routes(&[("a", 81)]), &spec, &declared), missing);
        assert_eq!(arranged(&routes(&[("a", 81)]), &json!({}), &spec, &declared), missing);
        assert_eq!(arranged(&routes(&[("a", 81)]), &json!({}), &spec, &spec), (spec, false));
    }

    #[test]
    fn which_of_several_is_meant_is_unclear() {
        let spec = json!({ "routes": [route("a", 80), route("a", 81)] });
        let declared = json!({ "routes": [{ "host": "a" }] });
        let out = arranged(&portless(&[("a", 80), ("a", 81)]), &json!({}), &spec, &declared);
        assert_eq!(out, (json!({ "routes": [null, route("a", 80), route("a", 81)] }), true));
    }

    /// What is generated has another name each time.
    #[test]
    fn an_element_that_is_called_by_a_reference_means_the_one_with_such_a_name() {
        let refers = |to: &str| {
            let of = Box::new(format!("dev/ConfigMap/{to}").parse().unwrap());
            Leaf::Ref(std::sync::Arc::new([Segment::Attribute { of, name: "name".into() }].into_iter().collect()))
        };
        let declared = |from: [&str; 2]| -> Document {
            let at = |place: &str| stratos_engine::desired::path::Path::new(["spec", "files", place, "name"]);
            [(at("[0000]"), refers(from[0])), (at("[0001]"), refers(from[1]))].into_iter().collect()
        };
        let fields = |name: &str| (format!("k:{{\"name\":\"{name}\"}}"), json!({ ".": {}, "f:name": {} }));
        let ours = json!({ "f:files": Value::Object(["web-1", "db-7"].map(fields).into_iter().collect()) });
        let mut live = object(&json!({ "files": [{ "name": "web-1" }, { "name": "db-7" }] }));
        live["metadata"]["managedFields"] = json!([manages("stratos", "Apply", &ours)]);
        let live = Live::parse(live.to_string().as_bytes()).unwrap();
        let arranged = |declared: &Document| {
            let arranged = Arranged::new(&live, &live.ours(), false, declared);
            (arranged.body["spec"]["files"].to_string(), arranged.is_unclear)
        };
        assert_eq!(arranged(&declared(["web-*", "db-*"])), (r#"[{"name":"web-1"},{"name":"db-7"}]"#.into(), false));
        assert_eq!(arranged(&declared(["db-*", "web-*"])), (r#"[{"name":"db-7"},{"name":"web-1"}]"#.into(), false));
        assert_eq!(arranged(&declared(["db-*", "api-*"])), (r#"[{"name":"db-7"},null,{"name":"web-1"}]"#.into(), true));
    }

    #[test]
    fn fields_with_names_like_places_are_none() {
        let spec = json!({ "routes": [route("a", 1)] });
        let declared = json!({ "routes": { "[99999999999]": { "host": "a" }, "[0001]": { "host": "b", "port": 1 } } });
        let out = arranged(&routes(&[("a", 1)]), &json!({}), &spec, &declared);
        assert_eq!(out, clear(&[Value::Null, Value::Null, route("a", 1)]));
    }

    #[test]
    fn sets_and_lists_in_elements_are_arranged_too() {
        let set = json!({ "f:tags": { "v:\"red\"": {}, "v:\"blue\"": {} } });
        let spec = json!({ "tags": ["red", "green", "blue"] });
        let out = arranged(&set, &json!({}), &spec, &json!({ "tags": ["blue", "red"] }));
        assert_eq!(out, (json!({ "tags": ["blue", "red", "green"] }), false));
        let inner = json!({ "f:routes": { key("a", 1): { "f:host": {}, "f:port": {}, "f:tags": { "v:\"x\"": {}, "v:\"y\"": {} } } } });
        let element = |tags: [&str; 2]| json!({ "routes": [{ "host": "a", "port": 1, "tags": tags }] });
        assert_eq!(arranged(&inner, &json!({}), &element(["x", "y"]), &element(["y", "x"])), (element(["y", "x"]), false));
        // Members that are no single values have places.
        let pairs = json!({ "f:pairs": { "v:[1,2]": {}, "v:[3,4]": {} } });
        let spec = json!({ "pairs": [[1, 2], [3, 4]] });
        assert_eq!(arranged(&pairs, &json!({}), &spec, &json!({ "pairs": [[3, 4]] })), (spec, false));
    }

    #[test]
    fn of_what_every_cluster_has_only_finalizers_are_arranged() {
        let fields = json!({ "f:metadata": { "f:finalizers": { "v:\"b\"": {} } }, "f:spec": { "f:list": { "v:\"b\"": {} } } });
        let mut live = json!({ "metadata": { "finalizers": ["a", "b"] }, "spec": { "list": ["a", "b"] } });
        let declared =
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "x", "finalizers": ["b"] }, "spec": { "list": ["b"] } });
        let declared = document(&Identity::of(&declared).unwrap(), &declared).unwrap();
        live["metadata"]["managedFields"] = json!([{ "manager": "stratos", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields }]);
        let live = Live::parse(live.to_string().as_bytes()).unwrap();
        let out = Arranged::new(&live, &live.ours(), true, &declared);
        assert_eq!(out.body["metadata"]["finalizers"], json!(["b", "a"]));
        assert_eq!(out.body["spec"]["list"], json!(["a", "b"]));
    }
}
