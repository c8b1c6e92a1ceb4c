//! Elements that a list has twice: `kubectl` and the server say "Duplicate value", and we say it with its place.
//!
//! The API tells the elements of some lists apart by keys (`x-kubernetes-list-type: map`), and those of sets by themselves. One of two
//! containers `web` would be lost.

use serde_json::{Map, Value};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::manifest::diagnostic::Diagnostic;

use super::manifest::Manifest;
use super::patch::Patches;
use super::{Wrong, sentence};
use crate::kind::GroupKind;
use crate::object::segment::{self, place};
use crate::types::Type;

/// Two elements of one list that are the same to the API.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Duplicate {
    /// The segments that lead to the list.
    list: Vec<String>,
    /// The keys that both have, as a segment.
    element: String,
    /// The keys' names. None where the list is a set.
    keys: Vec<String>,
    /// Their places in the list.
    pub(super) first: usize,
    pub(super) second: usize,
}

impl Duplicate {
    /// The path of one of both.
    fn path(&self, index: usize) -> Vec<String> {
        self.list.iter().cloned().chain([place(index)]).collect()
    }

    /// The path of the one that is too much, with a sentence.
    pub(super) fn wrong(&self) -> Wrong {
        let why = match self.keys.is_empty() {
            true => format!("duplicate element {}: the API takes this list as a set", self.element),
            false => {
                format!("duplicate element {}: the API tells the elements of this list apart by {}", self.element, self.keys.join(" and "))
            }
        };
        Wrong { at: self.path(self.second), why }
    }

    /// The path of the first one.
    pub(super) fn first(&self) -> Vec<String> {
        self.path(self.first)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.list == other.list && self.element == other.element
    }
}

/// The types of a value, as far as they say how lists are matched.
#[derive(Clone, Copy)]
pub(super) enum Types<'s> {
    /// By the types of the kinds that come with every cluster, or of any object's `metadata`.
    Of(Type),
    /// By the schema of a definition.
    Schema(&'s Value),
    /// Nothing is known.
    Unknown,
}

/// How the elements of a list are told apart.
enum Matched {
    /// By these keys, each with the value that it has where none is written.
    Keys(Vec<(String, Option<Value>)>),
    Itself,
    Place,
}

impl<'s> Types<'s> {
    /// Those of an object. `definitions` are the objects among which its kind may be defined.
    pub(super) fn of(api_version: &str, kind: &str, definitions: impl Iterator<Item = &'s Value>) -> Self {
        let of = Type::of(api_version, kind);
        if of.is_known() {
            return Self::Of(of);
        }
        let group_kind = GroupKind::of(api_version, kind);
        let (_, version) = crate::kind::split_api_version(api_version);
        let schema = |definition: &'s Value| {
            let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str);
            let is_its = definition.get("kind").is_some_and(|kind| kind == "CustomResourceDefinition")
                && text("/spec/names/kind") == Some(group_kind.kind.as_str())
                && text("/spec/group") == Some(group_kind.group.as_str());
            let versions = definition.pointer("/spec/versions").filter(|_| is_its)?.as_array()?;
            let version = versions.iter().find(|known| known.get("name").is_some_and(|name| name == version))?;
            version.pointer("/schema/openAPIV3Schema")
        };
        definitions.into_iter().find_map(schema).map_or(Self::Unknown, Self::Schema)
    }

    fn field(self, name: &str, at: &[String]) -> Self {
        match self {
            Self::Of(of) => Self::Of(of.field(name)),
            _ if name == "metadata" && at.is_empty() => Self::Of(Type::Custom.field(name)),
            Self::Schema(schema) => {
                let property = schema.get("properties").and_then(|properties| properties.get(name));
                property.or_else(|| schema.get("additionalProperties")).map_or(Self::Unknown, Self::Schema)
            }
            Self::Unknown => Self::Unknown,
        }
    }

    fn items(self) -> Self {
        match self {
            Self::Of(of) => Self::Of(of.item()),
            Self::Schema(schema) => schema.get("items").map_or(Self::Unknown, Self::Schema),
            Self::Unknown => Self::Unknown,
        }
    }

    /// How a list of this type is matched.
    fn matched(self) -> Matched {
        match self {
            Self::Unknown => Matched::Place,
            Self::Of(of) if of.is_set() => Matched::Itself,
            Self::Of(of) => {
                let keys = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), of.item().key_default(key))).collect();
                of.keys().map_or(Matched::Place, |names| Matched::Keys(keys(names)))
            }
            Self::Schema(schema) => match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => Matched::Itself,
                Some("map") => {
                    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
                    let properties = schema.pointer("/items/properties");
                    let default = |key: &str| properties?.get(key)?.get("default").cloned();
                    Matched::Keys(keys.filter_map(Value::as_str).map(|key| (key.to_owned(), default(key))).collect())
                }
                _ => Matched::Place,
            },
        }
    }
}

/// All duplicates of an object, or of a patch: an element that a patch removes may be there again, with another content.
pub(super) fn of(object: &Value, types: Types<'_>) -> Vec<Duplicate> {
    let mut out = Vec::new();
    within(object, types, &mut Vec::new(), &mut out);
    out
}

fn within(value: &Value, types: Types<'_>, at: &mut Vec<String>, out: &mut Vec<Duplicate>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let types = types.field(key, at);
                at.push(key.clone());
                within(value, types, at, out);
                at.pop();
            }
        }
        Value::Array(list) => {
            let elements = elements(list, &types.matched());
            for (index, item) in list.iter().enumerate() {
                if let Some((keys, element)) = &elements[index]
                    && let Some(first) =
                        elements[..index].iter().position(|other| other.as_ref().is_some_and(|(_, other)| other == element))
                {
                    out.push(Duplicate { list: at.clone(), element: element.clone(), keys: keys.clone(), first, second: index });
                }
                at.push(place(index));
                within(item, types.items(), at, out);
                at.pop();
            }
        }
        _ => {}
    }
}

/// The names of the keys of each element, and its keys as a segment. None where it is matched by its place.
fn elements(list: &[Value], matched: &Matched) -> Vec<Option<(Vec<String>, String)>> {
    let element = |item: &Value| match (matched, item) {
        (Matched::Keys(keys), Value::Object(map)) if !is_removed(map) => {
            let written = |(key, default): &(String, Option<Value>)| {
                let value = map.get(key).filter(|value| !value.is_null()).or(default.as_ref())?;
                Some((key.clone(), value.clone()))
            };
            let with_keys: Map<String, Value> = keys.iter().map(written).collect::<Option<_>>()?;
            let names: Vec<String> = keys.iter().map(|(key, _)| key.clone()).collect();
            let segment = segment::element(&with_keys, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
            Some((names, segment))
        }
        (Matched::Itself, item) => Some((Vec::new(), item.to_string())),
        _ => None,
    };
    list.iter().map(element).collect()
}

/// In a patch, what is said of an element that goes.
fn is_removed(element: &Map<String, Value>) -> bool {
    element.get("$patch").is_some_and(|directive| directive == "delete" || directive == "replace")
}

/// Reports the elements that an object's lists have twice after its patches, each where it is written.
pub(super) fn check(id: &ResourceId, manifest: &Manifest<'_>, patches: &Patches<'_>, types: Types<'_>, problems: &mut Vec<Diagnostic>) {
    let found = of(&manifest.object, types);
    if found.is_empty() {
        return;
    }
    // Patches move elements: the places are those of the file.
    let written = if patches.touched(id) { of(&manifest.unpatched(), types) } else { found.clone() };
    for duplicate in found {
        let of_file = written.iter().find(|other| other.is_same(&duplicate));
        let wrong = of_file.unwrap_or(&duplicate).wrong();
        let said = Wrong { at: duplicate.list.clone(), why: wrong.why.clone() };
        let message = sentence(&manifest.identity.kind, &manifest.identity.name, &said);
        problems.push(match of_file {
            Some(of_file) => {
                let problem = Diagnostic::new(message, manifest.place(&wrong.at));
                problem.related_to(manifest.place(&of_file.first()), "first here")
            }
            None => patches.place(id, &wrong).unwrap_or_else(|| manifest.diagnostic(&wrong)),
        });
    }
}
