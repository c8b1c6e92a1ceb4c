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
/// Maps whose values are text in every kind that comes with a cluster. YAML reads `true` and `80` as something else.
const TEXTS: [&str; 5] = ["labels", "annotations", "matchLabels", "nodeSelector", "stringData"];
/// Lists of text.
const LISTS: [&str; 2] = ["args", "command"];

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
    let config_map = identity.api_version == "v1" && identity.kind == "ConfigMap";
    for entry in tree.entries().iter().filter(|entry| config_map && ["data", "binaryData"].contains(&entry.key.as_str())) {
        texts(entry, &mut out);
    }
    if Type::of(&identity.api_version, &identity.kind).is_known() {
        within(tree, &mut out);
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

/// Looks through an object for values that are no text where text is asked for.
fn within(tree: &Tree, out: &mut Vec<Problem>) {
    for entry in tree.entries() {
        let key = entry.key.as_str();
        // A schema has fields of any name.
        if key == "openAPIV3Schema" {
            continue;
        }
        if TEXTS.contains(&key) {
            texts(entry, out);
        } else if LISTS.contains(&key) {
            out.extend(entry.value.items().iter().filter_map(|item| no_text(key, item)));
        } else if key == "env" {
            let values = entry.value.items().iter().filter_map(|item| item.get("value"));
            out.extend(values.filter_map(|value| no_text("value", value)));
            continue;
        } else {
            within(&entry.value, out);
        }
    }
    tree.items().iter().for_each(|item| within(item, out));
}

fn texts(map: &Entry, out: &mut Vec<Problem>) {
    out.extend(map.value.entries().iter().filter_map(|entry| no_text(&entry.key, &entry.value)));
}

fn no_text(name: &str, tree: &Tree) -> Option<Problem> {
    match &tree.node {
        Node::Scalar(Value::Bool(_) | Value::Number(_)) => Some(Problem {
            at: tree.at.clone(),
            why: format!("`{name}` must be text, and YAML reads this as {}", tree.kind()),
            help: Some("put it in quotes".to_owned()),
        }),
        _ => None,
    }
}
