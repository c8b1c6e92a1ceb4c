//! The live fields that go with a change ([`super::unions`]): who holds them, and `metadata.managedFields` by which our next
//! server-side apply removes them.

use http::{HeaderMap, StatusCode};
use kube::core::Status;
use kube::core::response::{StatusCause, StatusDetails};
use serde_json::Value;
use stratos_engine::desired::document::Document;

use super::fields::{FieldSet, Step};
use super::live::{Live, MANAGER, Managed, Writer};
use super::segment::{self, Element};
use super::unions;
use crate::failure::Failure;
use crate::types::Type;

/// Live fields that go, by their paths in documents.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Cleared(Vec<Vec<String>>);

impl Cleared {
    /// The fields of a live object that go for what is declared. `before` is the document of the live object.
    pub(crate) fn new(declared: &Document, before: &Document, live: &Live) -> Self {
        Self(unions::going(Type::of_object(&live.body), declared, before.leaves().iter().map(|(path, _)| path), &live.body))
    }

    /// The parts of a custom resource that no manager holds after an apply although they were ours before it. A definition may change an
    /// atomic list to a keyed one, or an atomic map to a granular one. The API server then forgets that the undeclared parts were ours.
    /// Kinds of the table do not change so.
    pub(crate) fn left_to_nobody(before: &Live, after: &Live) -> Self {
        let mut out = Vec::new();
        if Type::of_object(&after.body) != Type::Custom {
            return Self(out);
        }
        let all: Vec<&FieldSet> = after.meta.managed_fields.iter().map(|managed| &managed.fields).collect();
        left(&before.applied(), &after.applied(), &all, &after.body, &mut Vec::new(), &mut out);
        Self(out)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields, by their paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = Vec<&str>> {
        self.0.iter().map(|path| path.iter().map(String::as_str).collect())
    }

    /// The conflict with other managers that hold some of it, in the words that the API server has for conflicts.
    pub(crate) fn conflict(&self, live: &Live) -> Option<Failure> {
        let others = live.meta.managed_fields.iter().filter(|managed| is_another(managed));
        let held = others.flat_map(|managed| {
            let paths = self.paths().filter(|path| within(&managed.fields, path).is_some());
            paths.map(|path| (managed, shown(&path))).collect::<Vec<_>>()
        });
        let causes: Vec<StatusCause> = held
            .map(|(managed, field)| StatusCause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with \"{}\" using {}", managed.manager, managed.api_version),
                field,
            })
            .collect();
        if causes.is_empty() {
            return None;
        }
        let each: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.message, cause.field)).collect();
        let conflicts = if each.len() == 1 { "conflict" } else { "conflicts" };
        let message = format!("a field must be removed that another manager holds: {} {conflicts}: {}", each.len(), each.join("; "));
        let none = String::new;
        let details = StatusDetails { causes, name: none(), group: none(), kind: none(), uid: none(), retry_after_seconds: 0 };
        let status = Status { message, reason: "Conflict".to_owned(), code: 409, details: Some(details), ..Status::default() };
        Some(Failure::answered(StatusCode::CONFLICT, &HeaderMap::new(), status))
    }

    /// Whether our next apply would leave some of it: fields of which we have written nothing, and what other managers hold.
    pub(crate) fn must_be_owned(&self, live: &Live) -> bool {
        let applied = live.applied();
        let is_held =
            |path: &[&str]| live.meta.managed_fields.iter().any(|managed| is_another(managed) && within(&managed.fields, path).is_some());
        self.paths().any(|path| within(&applied, &path).is_none() || is_held(&path))
    }

    /// `metadata.managedFields` in which all of it is ours alone, made from one in which everything that is ours to say is
    /// (`Live::taken_over`): our apply is the first entry.
    pub(crate) fn owned(&self, mut managed_fields: Value) -> Value {
        let Some(entries) = managed_fields.as_array_mut() else { return managed_fields };
        for (place, entry) in entries.iter_mut().enumerate() {
            let of_subresource = entry.get("subresource").is_some();
            let Some(fields) = entry.get_mut("fieldsV1").filter(|_| !of_subresource) else { continue };
            let mut set: FieldSet = serde_json::from_value(fields.take()).unwrap_or_default();
            for path in self.paths() {
                match place {
                    0 if within(&set, &path).is_none() => set.add(only(&path)),
                    0 => {}
                    _ => remove(&mut set, &path),
                }
            }
            *fields = set.to_value();
        }
        entries.retain(|entry| entry.get("fieldsV1").is_none_or(|fields| fields.as_object().is_none_or(|fields| !fields.is_empty())));
        managed_fields
    }
}

/// Looks below a field for parts that nobody manages, where it was ours as a whole. `all` is what each manager has of it.
fn left(before: &FieldSet, after: &FieldSet, all: &[&FieldSet], value: &Value, at: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    for (step, was) in &before.parts {
        let Step::Field(name) = step else { continue };
        let (Some(is), Some(value)) = (after.below(name), value.get(name)) else { continue };
        let all: Vec<&FieldSet> = all.iter().filter_map(|set| set.below(name)).collect();
        at.push(segment::field(name).into_owned());
        if !was.parts.is_empty() {
            left(was, is, &all, value, at, out);
        } else if !is.parts.is_empty() {
            let is_whole = |set: &&FieldSet| set.parts.is_empty();
            let parts = if all.iter().any(is_whole) { vec![] } else { parts(value, is) };
            let is_managed = |leads: &dyn Fn(&Step) -> bool| all.iter().any(|set| set.parts.iter().any(|(step, _)| leads(step)));
            let orphans = parts.into_iter().filter(|(part, name)| match part {
                Some(element) => !is_managed(&|step| step.leads_to(element)),
                None => !is_managed(&|step| leads(step, name)),
            });
            out.extend(orphans.map(|(_, name)| [at.as_slice(), &[name]].concat()));
        }
        at.pop();
    }
}

/// The parts of a value by their segments, and of a list the elements. `set` says what tells elements apart.
fn parts<'a>(value: &'a Value, set: &FieldSet) -> Vec<(Option<&'a Value>, String)> {
    let keys = set.parts.iter().find_map(|(step, _)| match step {
        Step::Keys(keys) => Some(keys.keys().map(String::as_str).collect::<Vec<_>>()),
        _ => None,
    });
    let name = |element: &Value| match &keys {
        Some(keys) => segment::element(element.as_object()?, keys),
        None => segment::member(element),
    };
    match value {
        Value::Object(map) => map.keys().map(|name| (None, segment::field(name).into_owned())).collect(),
        Value::Array(list) => list.iter().filter_map(|element| Some((Some(element), name(element)?))).collect(),
        _ => vec![],
    }
}

/// Neither our apply, nor a person, nor we ourselves in another way.
fn is_another(managed: &Managed) -> bool {
    managed.writer() == Writer::Another && managed.manager != MANAGER && managed.subresource.is_empty()
}

/// Whether a step of a set is the one that a segment of a path is.
fn leads(step: &Step, segment: &str) -> bool {
    match (step, segment::parse(segment)) {
        (Step::Field(name), None) => name == segment,
        (Step::Keys(keys), Some(Element::With(pairs))) => pairs.iter().all(|(key, value)| keys.get(key) == Some(value)),
        (Step::Place(place), Some(Element::At(index))) => *place == index,
        (Step::Member(member), Some(Element::Is(value))) => *member == value,
        _ => false,
    }
}

/// The part of a set that is at a path, or that the path leads into.
fn within<'a>(set: &'a FieldSet, path: &[&str]) -> Option<&'a FieldSet> {
    let Some((first, rest)) = path.split_first() else { return Some(set) };
    let (_, below) = set.parts.iter().find(|(step, _)| leads(step, first))?;
    if below.parts.is_empty() { Some(below) } else { within(below, rest) }
}

/// The set of one field.
fn only(path: &[&str]) -> FieldSet {
    let step = |segment: &str| match segment::parse(segment) {
        None => Step::Field(segment.to_owned()),
        Some(Element::With(pairs)) => Step::Keys(pairs.into_iter().collect()),
        Some(Element::At(index)) => Step::Place(index),
        Some(Element::Is(value)) => Step::Member(value),
    };
    let around = |set, segment: &&str| FieldSet { itself: false, parts: vec![(step(segment), set)] };
    path.iter().rev().fold(FieldSet::default(), around)
}

/// Takes a field, with everything in it, out of a set.
fn remove(set: &mut FieldSet, path: &[&str]) {
    match path {
        [] => {}
        [last] => set.parts.retain(|(step, _)| !leads(step, last)),
        [first, rest @ ..] => set.parts.retain_mut(|(step, below)| {
            if !leads(step, first) || below.parts.is_empty() {
                return true;
            }
            remove(below, rest);
            // A set with nothing left in it would be a field with everything in it.
            below.itself || !below.parts.is_empty()
        }),
    }
}

/// A path as the API server shows it in a conflict.
fn shown(path: &[&str]) -> String {
    let segment = |segment: &&str| match segment::parse(segment) {
        None => format!(".{segment}"),
        Some(Element::With(pairs)) => {
            let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", pairs.join(","))
        }
        Some(_) => (*segment).to_owned(),
    };
    path.iter().map(segment).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(managed: &[(&str, &str, Value)]) -> Live {
        let entry = |(manager, operation, fields): &(&str, &str, Value)| json!({ "manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": { "f:spec": fields } });
        let managed: Vec<Value> = managed.iter().map(entry).collect();
        Live::parse(json!({ "metadata": { "name": "web", "managedFields": managed } }).to_string().as_bytes()).unwrap()
    }

    fn cleared(path: &[&str]) -> Cleared {
        Cleared(vec![path.iter().map(|segment| (*segment).to_owned()).collect()])
    }

    fn sets(managed_fields: &Value) -> Vec<(String, Value)> {
        let entries = managed_fields.as_array().into_iter().flatten();
        entries.map(|entry| (entry["manager"].as_str().unwrap().to_owned(), entry["fieldsV1"]["f:spec"].clone())).collect()
    }

    #[test]
    fn nothing_that_goes_is_no_conflict_and_no_write() {
        let live = live(&[("other", "Apply", json!({ "f:a": {} }))]);
        assert!(Cleared::default().is_empty() && Cleared::default().conflict(&live).is_none() && !Cleared::default().must_be_owned(&live));
    }

    #[test]
    fn a_field_that_is_ours_in_part_is_removed_by_the_apply() {
        let ours = live(&[("stratos", "Apply", json!({ "f:a": { "f:b": {} } }))]);
        assert!(!cleared(&["spec", "a"]).must_be_owned(&ours));
        assert!(cleared(&["spec", "c"]).must_be_owned(&ours));
        let owned = cleared(&["spec", "c"]).owned(ours.taken_over("apps/v1"));
        assert_eq!(sets(&owned), [("stratos".to_owned(), json!({ "f:a": { "f:b": {} }, "f:c": {} }))]);
    }

    #[test]
    fn a_field_of_another_manager_is_a_conflict_and_is_taken_from_it_by_force() {
        let held = json!({ "f:list": { r#"k:{"name":"v"}"#: { ".": {}, "f:x": { "f:y": {} } } } });
        let live = live(&[
            ("stratos", "Apply", json!({ "f:list": { r#"k:{"name":"v"}"#: { ".": {}, "f:x": { "f:z": {} } } } })),
            ("other", "Update", held),
            ("stratos", "Update", json!({ "f:list": { r#"k:{"name":"v"}"#: { "f:x": { "f:y": {} } } } })),
        ]);
        let cleared = cleared(&["spec", "list", "[name=v]", "x"]);
        let failure = cleared.conflict(&live).unwrap();
        let why = r#"a field must be removed that another manager holds: 1 conflict: conflict with "other" using apps/v1: .spec.list[name="v"].x"#;
        assert!(failure.is_conflict() && failure.why() == why, "{}", failure.why());
        assert!(cleared.must_be_owned(&live));
        let owned = cleared.owned(live.taken_over("apps/v1"));
        let element = |fields: Value| json!({ "f:list": { r#"k:{"name":"v"}"#: fields } });
        let expected = [
            ("stratos".to_owned(), element(json!({ ".": {}, "f:x": { "f:z": {} } }))),
            ("other".to_owned(), json!({ "f:list": { r#"k:{"name":"v"}"#: {} } })),
        ];
        assert_eq!(sets(&owned), expected);
    }

    /// A definition makes an atomic list keyed, or a map granular: no manager holds the parts that we do not declare any more.
    #[test]
    fn what_was_ours_in_a_whole_field_and_is_nobody_s_now() {
        let object = |managed: Value, spec: Value| {
            Live::parse(json!({ "metadata": { "name": "a", "managedFields": managed }, "spec": spec }).to_string().as_bytes()).unwrap()
        };
        let entry = |manager: &str, spec: Value| json!({ "manager": manager, "operation": "Apply", "apiVersion": "a/v1", "fieldsV1": { "f:spec": spec } });
        let spec = json!({ "list": [{ "name": "a" }, { "name": "b" }, { "name": "c" }], "map": { "x": 1, "y": 2 }, "set": ["r", "g"], "whole": [1] });
        let before = object(json!([entry("stratos", json!({ "f:list": {}, "f:map": {}, "f:set": {}, "f:whole": {} }))]), spec.clone());
        let element = |name: &str| json!({ format!("k:{{\"name\":\"{name}\"}}"): { ".": {}, "f:name": {} } });
        let ours = json!({ "f:list": element("a"), "f:map": { "f:x": {} }, "f:set": { "v:\"r\"": {} }, "f:whole": {} });
        let after = object(json!([entry("stratos", ours), entry("other", json!({ "f:list": element("c") }))]), spec);
        let left = Cleared::left_to_nobody(&before, &after);
        assert_eq!(
            left.paths().collect::<Vec<_>>(),
            [vec!["spec", "list", "[name=b]"], vec!["spec", "map", "y"], vec!["spec", "set", "[=g]"]]
        );
        assert!(Cleared::left_to_nobody(&after, &after).is_empty() && Cleared::left_to_nobody(&before, &before).is_empty());
        // Of a kind of the table these are values that the server has filled into a table that was empty.
        let mut built_in = after;
        built_in.body["apiVersion"] = json!("apps/v1");
        built_in.body["kind"] = json!("Deployment");
        assert!(Cleared::left_to_nobody(&before, &built_in).is_empty());
    }

    #[test]
    fn a_field_that_is_held_as_a_whole_is_not_taken_apart() {
        let mut set: FieldSet = serde_json::from_value(json!({ "f:a": {}, "f:b": { "f:c": {} } })).unwrap();
        remove(&mut set, &["a", "x"]);
        assert_eq!(set.to_value(), json!({ "f:a": {}, "f:b": { "f:c": {} } }));
        remove(&mut set, &["b", "c"]);
        assert_eq!(set.to_value(), json!({ "f:a": {} }));
    }
}
