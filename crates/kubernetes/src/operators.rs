//! Operators are deleted after the custom resources that they serve.
//!
//! The deletion of a custom resource ends when its finalizers are done, which its operator does. No object names the other: an operator is
//! taken to be what runs in the app that has the definition of the kind, or in the app of the resource itself. A definition takes all its
//! resources with it, so that it goes before the operator as well.

use std::collections::{BTreeMap, BTreeSet};

use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::ObservedResource;

use crate::kind::GroupKind;
use crate::types::is_built_in;

const DEFINITION: &str = "CustomResourceDefinition.apiextensions.k8s.io";
/// Kinds that may be an operator, or lead to one: an operator's conversion and webhooks are asked while a resource is deleted.
const SERVING: [&str; 6] = ["Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps", "Pod", "Service"];

/// Notes beside each custom resource and each definition what serves its deletion.
pub(crate) fn serve(found: &mut BTreeMap<ResourceId, Box<ObservedResource>>) {
    let mut definitions: BTreeMap<String, Name> = BTreeMap::new();
    let mut serving: BTreeMap<Name, Vec<ResourceId>> = BTreeMap::new();
    for live in found.values() {
        let Some(marks) = live.ownership.marks() else { continue };
        if &*live.id.kind == DEFINITION {
            definitions.extend(defined(&live.document).map(|kind| (kind, marks.app.clone())));
        } else if SERVING.contains(&&*live.id.kind) {
            serving.entry(marks.app.clone()).or_default().push(live.id.clone());
        }
    }
    for live in found.values_mut() {
        let is_custom = !is_built_in(&GroupKind::parse(&live.id.kind));
        let Some(marks) = live.ownership.marks().filter(|_| is_custom || &*live.id.kind == DEFINITION) else { continue };
        let apps: BTreeSet<&Name> = definitions.get(&*live.id.kind).into_iter().chain([&marks.app]).collect();
        live.deleted_before = apps.into_iter().filter_map(|app| serving.get(app)).flatten().cloned().collect();
    }
}

/// The kind that a definition defines.
fn defined(definition: &Document) -> Option<String> {
    let text = |path: &[&str]| match definition.get(&Path::new(path.iter().copied())) {
        Some(Leaf::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    Some(format!("{}.{}", text(&["spec", "names", "kind"])?, text(&["spec", "group"])?))
}
