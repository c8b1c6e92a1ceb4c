//! A live object becomes a document: what is ours to say, and what is wanted.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::desired::text::{Segment, Text};
use stratos_engine::render::secret::Fingerprint;
use zeroize::Zeroizing;

use super::arrange::Arranged;
use super::desired::{At, BASE64, leaves};
use super::fields::{FieldSet, Step};
use super::live::Live;
use super::{filled, lists, references, segment, unions};
use crate::kind::GroupKind;
use crate::marks;
use crate::types::Type;

/// The attribute that references to generated objects are about: their live name.
pub(crate) const NAME: &str = "name";

/// How an object is looked at.
pub(crate) struct View<'a> {
    /// Its kind.
    pub(crate) kind: &'a GroupKind,
    /// What should be, where something should.
    pub(crate) desired: Option<&'a Document>,
    /// The objects that it refers to by what they are, not by a name: see [`marks::REFERS`].
    pub(crate) refers: &'a [ResourceId],
    /// Fingerprints that were written with a Secret's entries.
    pub(crate) fingerprints: &'a BTreeMap<String, Fingerprint>,
}

/// What an object is, looked at so.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    pub(crate) document: Document,
    /// The values of secret leaves.
    pub(crate) secret_values: Vec<(Path, Zeroizing<String>)>,
    /// The leaves that refer to generated objects.
    pub(crate) references: Vec<Reference>,
    /// Fields that we applied and that the server does not keep although they say something.
    pub(crate) unkept: Vec<Path>,
}

/// A leaf that holds the name of a generated object.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) at: Path,
    /// The kind, and the live name.
    pub(crate) to: (Arc<str>, String),
}

/// Projects a live object.
pub(crate) fn project(live: &Live, view: &View<'_>) -> Projection {
    let nothing = Document::default();
    let arranged = Arranged::new(live, view.desired.unwrap_or(&nothing));
    project_arranged(live, &arranged, view)
}

/// The same for one that is arranged already.
pub(crate) fn project_arranged(live: &Live, arranged: &Arranged<'_>, view: &View<'_>) -> Projection {
    let body = &*arranged.body;
    let mut projector = Projector {
        view,
        of: Type::of_object(body),
        secret: view.kind.group.is_empty() && view.kind.kind == "Secret",
        leaves: BTreeMap::new(),
        secret_values: Vec::new(),
        live,
        arranged,
        as_written: OnceCell::new(),
        applied: OnceCell::new(),
        references: Vec::new(),
        unkept: Vec::new(),
    };
    projector.ours(&live.ours(), body);
    projector.filled_in();
    projector.wanted(body);
    projector.going(body);
    projector.order(body);
    for (list, order) in arranged.orders() {
        projector.put(&[list.as_slice(), &[segment::ORDER.to_owned()]].concat(), Leaf::Text(order.into()));
    }
    // The version that we wrote, where we did: the server returns an object in each version that it is asked for.
    let version = live.applied_version().or_else(|| body.get("apiVersion").and_then(Value::as_str));
    if let Some(version) = version {
        projector.leaves.insert(Path::new(["apiVersion"]), Leaf::shared(version));
    }
    let document: Document = projector.leaves.into_iter().collect();
    let document = match view.desired {
        Some(desired) => document.shared_with(desired),
        None => document,
    };
    Projection { document, secret_values: projector.secret_values, references: projector.references, unkept: projector.unkept }
}

struct Projector<'a> {
    view: &'a View<'a>,
    /// The type of the object.
    of: Type,
    secret: bool,
    leaves: BTreeMap<Path, Leaf>,
    secret_values: Vec<(Path, Zeroizing<String>)>,
    live: &'a Live,
    arranged: &'a Arranged<'a>,
    /// See [`Live::is_as_written`]. Most objects never ask.
    as_written: OnceCell<bool>,
    applied: OnceCell<FieldSet>,
    references: Vec<Reference>,
    unkept: Vec<Path>,
}

/// The parts of `metadata` that people say something in.
const METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

impl Projector<'_> {
    /// What our manager, or somebody's hand, has written.
    fn ours(&mut self, set: &FieldSet, body: &Value) {
        for (step, part) in &set.parts {
            let Step::Field(name) = step else { continue };
            match name.as_str() {
                "apiVersion" | "kind" | "status" => {}
                "metadata" => {
                    for (step, part) in &part.parts {
                        let Step::Field(field) = step else { continue };
                        let value = body.get("metadata").and_then(|metadata| metadata.get(field));
                        if let (true, Some(value)) = (METADATA.contains(&field.as_str()), value) {
                            let of = self.of.field("metadata").field(field);
                            self.set(part, value, &mut vec!["metadata".to_owned(), field.clone()], of);
                        }
                    }
                }
                _ => {
                    if let Some(value) = body.get(name) {
                        self.set(part, value, &mut vec![name.clone()], self.of.field(name));
                    }
                }
            }
        }
    }

    fn set(&mut self, set: &FieldSet, value: &Value, at: &mut At, of: Type) {
        if set.parts.is_empty() {
            return self.whole(at, of, value);
        }
        let before = self.leaves.len();
        for (step, part) in &set.parts {
            match step {
                Step::Field(name) => {
                    // A key of a list's element is in its segment.
                    let is_key = at.last().is_some_and(|last| last.starts_with('[')) && part.parts.is_empty() && is_key(at, name);
                    if let (false, Some(value)) = (is_key, value.get(name)) {
                        at.push(segment::field(name).into_owned());
                        self.set(part, value, at, of.field(name));
                        at.pop();
                    }
                }
                Step::Keys(_) | Step::Member(_) => self.item(value, step, part, at, of),
                Step::Place(index) => {
                    if let Some(item) = value.get(index) {
                        at.push(segment::place(*index));
                        self.set(part, item, at, of.item());
                        at.pop();
                    }
                }
                Step::Other(_) => {}
            }
        }
        let is_element = at.last().is_some_and(|last| last.starts_with('[') && last.contains('='));
        let is_empty = value.as_object().is_some_and(|map| map.is_empty()) && !of.is_map();
        if set.itself && self.leaves.len() == before && (is_element || is_empty) {
            self.put(&[at.as_slice(), &[segment::EMPTY_OBJECT.to_owned()]].concat(), Leaf::Bool(true));
        }
    }

    /// A field, or an element, that somebody manages with everything in it.
    fn whole(&mut self, at: &mut At, of: Type, value: &Value) {
        // The keys of a list's element are in its segment.
        if let (Some(segment::Element::With(pairs)), Value::Object(map)) = (at.last().and_then(|last| segment::parse(last)), value) {
            let mut map = map.clone();
            map.retain(|key, _| !pairs.iter().any(|(name, _)| name == key));
            return self.put_all(at, of, &Value::Object(map));
        }
        if self.is_filled_table(at, of, value) {
            return self.put(&[at.as_slice(), &[segment::EMPTY_OBJECT.to_owned()]].concat(), Leaf::Bool(true));
        }
        if !self.is_as_written_within(at, of, value) {
            self.put_all(at, of, value);
        }
    }

    /// We wrote a table with nothing in it (`strategy: {}`), and that alone is ours: what is in it now the server has filled in. A table
    /// that is replaced as a whole is another matter: one that had something in it was ours with that.
    fn is_filled_table(&self, at: &At, of: Type, value: &Value) -> bool {
        let is_wanted =
            |desired: &Document| desired.get(&Path::new(at.iter().map(String::as_str).chain([segment::EMPTY_OBJECT]))).is_some();
        of.is_known() && !of.is_atomic() && value.as_object().is_some_and(|map| !map.is_empty()) && self.view.desired.is_some_and(is_wanted)
    }

    /// In what is replaced as a whole the server fills in defaults, and drops what says nothing; what it is made of is not told. It is what we
    /// wrote where nobody has written it since: then it is just that.
    fn is_as_written_within(&mut self, at: &mut At, of: Type, value: &Value) -> bool {
        let Some(desired) = self.view.desired.filter(|_| !self.secret && (value.is_object() || value.is_array())) else { return false };
        let as_desired = |(path, leaf): &(Path, Leaf)| desired.get(path) == Some(leaf);
        if leaves(of, at, value).iter().all(as_desired) {
            return false;
        }
        let within = |path: &Path| path.segments().zip(at.iter()).filter(|(one, other)| *one == other.as_str()).count() == at.len();
        let wanted: Vec<_> = desired.leaves().iter().filter(|(path, _)| within(path)).cloned().collect();
        // A reference is looked at by itself: what it leads to may be another object now.
        let refers = wanted.iter().any(|(_, leaf)| matches!(leaf, Leaf::Ref(_)));
        if wanted.is_empty() || refers || !self.is_as_written(desired) {
            return false;
        }
        self.leaves.extend(wanted);
        true
    }

    /// The server drops what says nothing: false, zero, an empty table. It is still among what we manage.
    fn is_dropped(&self, segments: &[&str], desired: &Document) -> bool {
        let applied = self.applied.get_or_init(|| self.live.applied());
        // Of what we have applied nothing, nothing is covered.
        !self.secret && !applied.parts.is_empty() && applied.covers(segments) && self.is_as_written(desired)
    }

    fn is_as_written(&self, desired: &Document) -> bool {
        *self.as_written.get_or_init(|| self.live.is_as_written(desired))
    }

    fn item(&mut self, list: &Value, step: &Step, part: &FieldSet, at: &mut At, of: Type) {
        let found = list.as_array().and_then(|list| list.iter().enumerate().find(|(_, item)| step.leads_to(item)));
        let Some((index, item)) = found else { return };
        let keyed = of.keys().and_then(|keys| segment::element(item.as_object()?, keys));
        let name = keyed.or_else(|| self.arranged.name(at, index, item));
        at.push(name.unwrap_or_else(|| segment::place(index)));
        self.set(part, item, at, of.item());
        at.pop();
    }

    /// What was ours to say, and is what the server says where nobody does: not to say it any more changes nothing.
    fn filled_in(&mut self) {
        let (Some(desired), true) = (self.view.desired, self.of.is_known()) else { return };
        let around = filled::Around { kind: &self.view.kind.kind, of: self.of, live: &self.leaves, desired };
        let is_gone = |(path, leaf): &(&Path, &Leaf)| desired.get(path).is_none() && around.is_filled_in(path, leaf);
        let gone: Vec<Path> = self.leaves.iter().filter(is_gone).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.leaves.remove(&path);
        }
    }

    /// What should be, as far as something is there.
    fn wanted(&mut self, body: &Value) {
        let Some(desired) = self.view.desired else { return };
        for (path, wanted) in desired.leaves() {
            if self.leaves.contains_key(path) {
                continue;
            }
            let segments: Vec<&str> = path.segments().collect();
            match segments[..] {
                ["apiVersion"] | [.., segment::ORDER] => {}
                [ref parent @ .., segment::EMPTY_OBJECT | segment::EMPTY_LIST] => {
                    let is_list = segments.last() == Some(&segment::EMPTY_LIST);
                    let there = self.arranged.at(parent).is_some_and(|value| if is_list { value.is_array() } else { value.is_object() });
                    if there || self.is_dropped(parent, desired) {
                        self.leaves.insert(path.clone(), Leaf::Bool(true));
                    }
                }
                ["data", key, BASE64] if self.secret => self.secret_entry(body, key),
                ["data", key] if self.secret => self.secret_entry(body, key),
                _ => {
                    let Some(value) = self.arranged.at(&segments).filter(|value| !value.is_null()) else {
                        let is_dropped = self.is_dropped(&segments, desired);
                        // The server leaves fields out of objects that exist: the element of a list that is still to be added has none.
                        let is_within = |parent: &[&str]| self.arranged.at(parent).is_some();
                        let is_left_out = || filled::is_left_out(self.of, &segments, wanted);
                        if is_dropped || is_left_out() && segments.split_last().is_some_and(|(_, parent)| is_within(parent)) {
                            self.leaves.insert(path.clone(), wanted.clone());
                        }
                        if is_dropped && self.of.is_known() && !filled::is_zero(wanted) {
                            self.unkept.push(path.clone());
                        }
                        continue;
                    };
                    if *wanted == Leaf::ServerChosen {
                        self.leaves.insert(path.clone(), Leaf::ServerChosen);
                    } else {
                        let mut at: At = segments.iter().map(|segment| (*segment).to_owned()).collect();
                        self.put_all(&mut at, self.of.along(segments.iter().copied()), value);
                    }
                }
            }
        }
        self.fill();
    }

    /// Live fields that must go for what is declared, also where nobody has written them: they are part of the difference. They are looked
    /// for only where something differs, and are the same before and after our manager owns them.
    fn going(&mut self, body: &Value) {
        let (Some(desired), true) = (self.view.desired, self.of.is_known()) else { return };
        if self.leaves.iter().eq(desired.leaves().iter().map(|(path, leaf)| (path, leaf))) {
            return;
        }
        for mut member in unions::going(self.of, desired, self.leaves.keys(), body) {
            let segments: Vec<&str> = member.iter().map(String::as_str).collect();
            let Some(value) = at(body, &segments) else { continue };
            let of = self.of.along(segments.iter().copied());
            self.put_all(&mut member, of, value);
        }
    }

    /// What has something in it now is not empty: an element of which we said the keys alone, and of which more is wanted.
    fn fill(&mut self) {
        let is_wanted = |path: &Path| self.view.desired.is_some_and(|desired| desired.get(path).is_some());
        let is_empty = |path: &&Path| path.segments().last() == Some(segment::EMPTY_OBJECT) && !is_wanted(path);
        let has_more = |path: &Path| {
            let length = path.segments().count();
            let is_beside = |other: &Path| {
                other != path && other.segments().zip(path.segments()).take_while(|(one, other)| one == other).count() == length - 1
            };
            self.leaves.keys().any(is_beside)
        };
        let filled: Vec<Path> = self.leaves.keys().filter(is_empty).filter(|path| has_more(path)).cloned().collect();
        for path in filled {
            self.leaves.remove(&path);
        }
    }

    fn secret_entry(&mut self, body: &Value, key: &str) {
        if let Some(value) = body.get("data").and_then(|data| data.get(key)) {
            self.put_secret(key, value);
        }
    }

    /// The order of keyed lists, where it means something.
    fn order(&mut self, body: &Value) {
        let mut lists: BTreeMap<Vec<String>, (Type, BTreeSet<String>)> = BTreeMap::new();
        let is_keyed = |segment: &str| segment.starts_with('[') && segment.contains('=');
        for path in self.leaves.keys().filter(|path| path.segments().any(is_keyed)) {
            let segments: Vec<&str> = path.segments().collect();
            let mut of = self.of;
            for (i, pair) in segments.windows(2).enumerate() {
                of = of.step(pair[0]);
                if !of.is_known() {
                    break;
                }
                if is_keyed(pair[1]) && lists::is_ordered(of) {
                    let list = segments[..=i].iter().map(|segment| (*segment).to_owned()).collect();
                    lists.entry(list).or_insert_with(|| (of, BTreeSet::new())).1.insert(pair[1].to_owned());
                }
            }
        }
        for (list, (of, elements)) in lists.into_iter().filter(|(_, (_, elements))| elements.len() > 1) {
            let path: Vec<&str> = list.iter().map(String::as_str).collect();
            let (Some(keys), Some(live)) = (of.keys(), at(body, &path).and_then(Value::as_array)) else { continue };
            let order = live.iter().filter_map(|item| segment::element(item.as_object()?, keys)).filter(|name| elements.contains(name));
            let order: Vec<String> = order.collect();
            if !order.is_sorted() {
                self.put(&[list.as_slice(), &[segment::ORDER.to_owned()]].concat(), Leaf::Text(order.join(" ").into()));
            }
        }
    }

    /// A value with everything in it.
    fn put_all(&mut self, at: &mut At, of: Type, value: &Value) {
        match (&at[..], value) {
            // Our own marks are no part of a document.
            ([metadata, map, key], _) if metadata == "metadata" && is_noted(map) && marks::is_ours(key) => return,
            ([metadata, map], Value::Object(entries)) if metadata == "metadata" && is_noted(map) => {
                for (key, value) in entries.iter().filter(|(key, _)| !marks::is_ours(key)) {
                    let at = [at.as_slice(), std::slice::from_ref(key)].concat();
                    self.put(&at, Leaf::shared(value.as_str().unwrap_or_default()));
                }
                return;
            }
            ([data], Value::Object(entries)) if self.secret && data == "data" => {
                return entries.iter().for_each(|(key, value)| self.put_secret(key, value));
            }
            ([data, key], value) if self.secret && data == "data" => return self.put_secret(&key.clone(), value),
            _ => {}
        }
        for (path, leaf) in leaves(of, at, value) {
            let leaf = self.referring(&path, leaf);
            self.leaves.insert(path, leaf);
        }
    }

    fn put(&mut self, at: &[String], leaf: Leaf) {
        self.leaves.insert(Path::new(at.iter().map(String::as_str)), leaf);
    }

    /// An entry of a Secret. It is shown only where it is just what is openly declared.
    fn put_secret(&mut self, key: &str, value: &Value) {
        let path = Path::new(["data", key]);
        let text = value.as_str().and_then(|encoded| String::from_utf8(STANDARD.decode(encoded).ok()?).ok()).map(Zeroizing::new);
        let declared = |path: &Path| self.view.desired.and_then(|desired| desired.get(path));
        let hidden = Leaf::Secret { text: None, fingerprint: self.view.fingerprints.get(key).cloned() };
        match text {
            Some(text) => match declared(&path) {
                Some(Leaf::Text(openly)) if **openly == **text => drop(self.leaves.insert(path, Leaf::Text(openly.clone()))),
                _ => {
                    self.leaves.insert(path.clone(), hidden);
                    self.secret_values.push((path, text));
                }
            },
            None => {
                let path = Path::new(["data", key, BASE64]);
                let same = declared(&path).filter(|leaf| matches!(leaf, Leaf::Text(text) if value.as_str() == Some(&**text))).cloned();
                self.leaves.insert(path, same.unwrap_or(hidden));
            }
        }
    }

    /// A name of something that we make is a reference to it.
    fn referring(&mut self, path: &Path, leaf: Leaf) -> Leaf {
        let (Leaf::Text(name), false) = (&leaf, self.view.refers.is_empty()) else { return leaf };
        let segments: Vec<&str> = path.segments().filter(|segment| !segment.starts_with('[')).collect();
        let Some(kind) = references::kind(&segments) else { return leaf };
        let Some(of) = self.view.refers.iter().find(|id| &*id.kind == kind && is_name_of(name, id)) else { return leaf };
        self.references.push(Reference { at: path.clone(), to: (of.kind.clone(), name.to_string()) });
        Leaf::Ref(Arc::new(Text::from_iter([Segment::Attribute { of: Box::new(of.clone()), name: NAME.to_owned() }])))
    }
}

/// Whether a live name is that of a resource: its own, or that of one of its generations.
pub(crate) fn is_name_of(live: &str, id: &ResourceId) -> bool {
    match id.name.strip_suffix('*') {
        Some(prefix) => live.strip_prefix(prefix).is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())),
        None => live == &*id.name,
    }
}

fn is_noted(map: &str) -> bool {
    map == "labels" || map == "annotations"
}

/// Whether a field is one of the keys in the last segment.
fn is_key(at: &[String], name: &str) -> bool {
    let element = at.last().and_then(|last| segment::parse(last));
    matches!(element, Some(segment::Element::With(pairs)) if pairs.iter().any(|(key, _)| key == name))
}

/// What is at a path.
pub(crate) fn at<'a>(value: &'a Value, segments: &[&str]) -> Option<&'a Value> {
    segments.iter().try_fold(value, |value, segment| match segment::parse(segment) {
        Some(element) => segment::find(value.as_array()?, &element),
        None => value.get(&*segment::name(segment)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::desired::{self, Identity};

    /// What differs between a live Service that we made and another one that is wanted.
    fn differing(fields: &Value, spec: &Value, wanted: &Value) -> Vec<String> {
        differing_of("v1", "Service", fields, spec, wanted)
    }

    fn differing_of(version: &str, of: &str, fields: &Value, spec: &Value, wanted: &Value) -> Vec<String> {
        let object = |spec: &Value| json!({ "apiVersion": version, "kind": of, "metadata": { "name": "web" }, "spec": spec });
        let mut live = object(spec);
        live["metadata"]["managedFields"] =
            json!([{ "manager": "stratos", "operation": "Apply", "apiVersion": version, "fieldsV1": { "f:spec": fields } }]);
        let live = Live::parse(live.to_string().as_bytes()).unwrap();
        let wanted = object(wanted);
        let wanted = desired::document(&Identity::of(&wanted).unwrap(), &wanted).unwrap();
        let kind = GroupKind::parse("Service");
        let view = View { kind: &kind, desired: Some(&wanted), refers: &[], fingerprints: &BTreeMap::new() };
        let there = project(&live, &view).document;
        let both = there.leaves().iter().chain(wanted.leaves());
        let paths: BTreeSet<&Path> = both.map(|(path, _)| path).filter(|path| there.get(path) != wanted.get(path)).collect();
        paths.into_iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_element_of_which_more_is_wanted_is_not_empty() {
        let key = r#"k:{"port":80,"protocol":"TCP"}"#;
        let fields = json!({ "f:ports": { key: { ".": {}, "f:port": {} } } });
        let spec = json!({ "ports": [{ "port": 80, "protocol": "TCP", "targetPort": 80 }] });
        assert_eq!(differing(&fields, &spec, &json!({ "ports": [{ "port": 80 }] })), [""; 0]);
        assert_eq!(differing(&fields, &spec, &json!({ "ports": [{ "port": 80, "targetPort": 80 }] })), [""; 0]);
        let other = json!({ "ports": [{ "port": 80, "targetPort": 81 }] });
        assert_eq!(differing(&fields, &spec, &other), ["spec.ports.[port=80,protocol=TCP].targetPort"]);
    }

    #[test]
    fn what_the_server_fills_into_an_empty_table_is_not_ours() {
        let within = |field: &str| (json!({ format!("f:{field}"): {} }), json!({ field: { "a": { "b": 1 } } }), json!({ field: {} }));
        let (fields, spec, wanted) = within("updateStrategy");
        assert_eq!(differing_of("apps/v1", "DaemonSet", &fields, &spec, &wanted), [""; 0]);
        // That was replaced as a whole.
        let (fields, spec, wanted) = within("podSelector");
        assert_eq!(differing_of("networking.k8s.io/v1", "NetworkPolicy", &fields, &spec, &wanted), ["spec.podSelector.a.b"]);
    }

    /// A restored object may carry our marks, and nobody's fields but those of who restored it.
    #[test]
    fn what_we_have_not_applied_is_not_taken_for_dropped() {
        let wanted =
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" }, "spec": { "internalTrafficPolicy": "Local" } });
        let wanted = desired::document(&Identity::of(&wanted).unwrap(), &wanted).unwrap();
        let there = |manager: &str, operation: &str| {
            let mut live = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" } });
            live["metadata"]["annotations"] = json!({ marks::SPECIFICATION: wanted.digest().to_string() });
            let fields = json!({ "f:spec": { "f:internalTrafficPolicy": {} } });
            live["metadata"]["managedFields"] =
                json!([{ "manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields }]);
            let live = Live::parse(live.to_string().as_bytes()).unwrap();
            let kind = GroupKind::parse("Service");
            let view = View { kind: &kind, desired: Some(&wanted), refers: &[], fingerprints: &BTreeMap::new() };
            project(&live, &view).document == wanted
        };
        assert!(there("stratos", "Apply") && !there("restorer", "Update"));
    }
}
