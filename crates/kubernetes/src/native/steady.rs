//! What a chart makes anew each time it is rendered would be a change in each plan.

use std::collections::BTreeMap;

use serde_json::Value;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::render::native::Native;

use super::manifest::{self, Manifest};
use super::part::Part;
use super::patch::Patches;
use crate::config::EnvironmentConfig;

const HELP: &str = "give it in `values`, or set it (or remove it: null) with a patch";

/// Compares the objects of a part, which are patched, with those of the second time that its chart was rendered.
pub(super) fn check(
    config: &EnvironmentConfig,
    part: &Native,
    keys: &Part<'_>,
    objects: &BTreeMap<ResourceId, Manifest<'_>>,
    problems: &mut Vec<Diagnostic>,
) {
    if part.generated_again().is_empty() {
        return;
    }
    // What is wrong with them is said of those of the first time.
    let patches = Patches::read(part, keys, config, &mut Vec::new());
    let again = manifest::again(part, keys);
    let scopes = super::scopes(&again);
    let again: BTreeMap<ResourceId, Value> = again
        .into_iter()
        .map(|manifest| {
            let id = super::id(config, &manifest, &scopes);
            let object = patches.apply(&id, manifest.object);
            (id, object)
        })
        .collect();
    for (id, manifest) in objects.iter().filter(|(_, manifest)| manifest.is_of_chart) {
        let (kind, name) = (&manifest.identity.kind, &manifest.identity.name);
        let Some(other) = again.get(id) else {
            let message =
                format!("{kind} {name}: when the chart is rendered again, it makes another object: its name is made anew each time");
            problems.push(Diagnostic::new(message, manifest.span(&["metadata", "name"])).with_help(HELP));
            continue;
        };
        let mut at = Vec::new();
        if differs(&manifest.object, other, &mut at) {
            let path = Path::new(at.iter().map(String::as_str));
            let why = "is something else each time the chart is rendered: it is random, or computed from a secret";
            let keys: Vec<&str> = at.iter().map(String::as_str).collect();
            problems.push(Diagnostic::new(format!("{kind} {name}, `{path}`: {why}"), manifest.span(&keys)).with_help(HELP));
        }
    }
}

/// Whether two values differ, and where they do so first.
fn differs(one: &Value, other: &Value, at: &mut Vec<String>) -> bool {
    let mut inside = |key: String, one: Option<&Value>, other: Option<&Value>| {
        at.push(key);
        let different = match (one, other) {
            (Some(one), Some(other)) => differs(one, other, at),
            (one, other) => one.is_some() != other.is_some(),
        };
        if !different {
            at.pop();
        }
        different
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            keys.into_iter().any(|key| inside(key.clone(), one.get(key), other.get(key)))
        }
        (Value::Array(one), Value::Array(other)) => {
            (0..one.len().max(other.len())).any(|index| inside(format!("[{index}]"), one.get(index), other.get(index)))
        }
        (one, other) => one != other,
    }
}
