//! What can be seen to be wrong with an object before a server looks at it.

use std::ops::Range;

use serde_json::Value;
use stratos_engine::manifest::suggest;

use super::yaml::{Entry, Node, Tree};
use crate::marks;
use crate::object::desired::Identity;
use crate::types::Type;

/// Fields of `metadata` that people write.
const METADATA: [&str; 6] = ["name", "namespace", "labels", "annotations", "finalizers", "ownerReferences"];
/// Fields of `metadata` that a server writes: they are in what `kubectl get` prints, and mean nothing in what is applied.
const OF_THE_SERVER: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// The others, which are looked at as they are typed.
const LOOKED_AT: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: Range<usize>,
    pub(super) why: String,
    pub(super) help: Option<String>,
}

/// What is wrong with an object.
pub(super) fn object(identity: &Identity, tree: &Tree) -> Vec<Problem> {
    let mut out = Vec::new();
    metadata(tree, &mut out);
    let of = Type::of(&identity.api_version, &identity.kind);
    for Entry { key, value, .. } in tree.entries() {
        match key.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let fields = value.entries().iter().filter(|entry| LOOKED_AT.contains(&entry.key.as_str()));
                fields.for_each(|entry| texts(&entry.key, &entry.value, of.field("metadata").field(&entry.key), &mut out));
            }
            key => texts(key, value, of.field(key), &mut out),
        }
    }
    out
}

/// What is wrong with the `metadata` of an object, or of a patch.
pub(super) fn metadata(tree: &Tree, out: &mut Vec<Problem>) {
    let Some(metadata) = tree.get("metadata") else { return };
    if !matches!(metadata.node, Node::Map(_)) {
        let why = format!("`metadata` must be a table, found {}", metadata.kind());
        return out.push(Problem { at: metadata.at.clone(), why, help: None });
    }
    for entry in metadata.entries() {
        let Entry { key, key_at, value } = entry;
        match key.as_str() {
            "name" | "namespace" if value.as_str().is_some_and(|name| !is_path_segment(name)) => out.push(Problem {
                at: value.at.clone(),
                why: format!("`metadata.{key}` cannot be `{}`: it is a part of addresses", value.as_str().unwrap_or_default()),
                help: Some("neither `.` nor `..`, and nothing with `/` or `%` in it".to_owned()),
            }),
            "namespace"
                if value.as_str().is_none_or(|text| text.is_empty() || text.contains(stratos_engine::desired::text::OPEN))
                    && !value.is_null() =>
            {
                out.push(Problem {
                    at: value.at.clone(),
                    why: format!("`metadata.namespace` must be text, found {}", value.kind()),
                    help: None,
                });
            }
            "labels" | "annotations" => {
                let ours = value.entries().iter().filter(|entry| marks::is_ours(&entry.key));
                out.extend(ours.map(|entry| Problem {
                    at: entry.key_at.clone(),
                    why: format!("`{}` is a mark of Stratos' own, and is written by it alone", entry.key),
                    help: Some("remove it".to_owned()),
                }));
            }
            key if METADATA.contains(&key) || OF_THE_SERVER.contains(&key) => {}
            key => {
                let help = suggest::help(key, METADATA, "there are");
                out.push(Problem { at: key_at.clone(), why: format!("`metadata` has no field `{key}`"), help });
            }
        }
    }
}

/// Whether the server accepts the name, for an object of any kind (`path.IsValidPathSegmentName`). `..` would lead a request elsewhere.
fn is_path_segment(name: &str) -> bool {
    ![".", ".."].contains(&name) && !name.contains(['/', '%'])
}

/// Looks through a value of a type for what is no text where text is asked for: YAML reads `true` and `80` as something else.
fn texts(name: &str, tree: &Tree, of: Type, out: &mut Vec<Problem>) {
    match &tree.node {
        Node::Scalar(Value::Bool(_) | Value::Number(_)) if of.is_text() => out.push(Problem {
            at: tree.at.clone(),
            why: format!("`{name}` must be text, and YAML reads this as {}", tree.kind()),
            help: Some("put it in quotes".to_owned()),
        }),
        _ => {
            tree.entries().iter().for_each(|entry| texts(&entry.key, &entry.value, of.field(&entry.key), out));
            tree.items().iter().for_each(|item| texts(name, item, of.item(), out));
        }
    }
}
