//! An app's native part: `platform.kubernetes` (docs/kubernetes-manifests.md).
//!
//! A walk through: [`part`] reads the keys, [`chart`] those of a chart, which [`helm`] renders with [`stand_in`]s for secrets; [`manifest`]
//! opens files into objects, each of which [`check`] looks at; [`patch`] lays patches on them, and on what `translate` makes;
//! [`duplicates`] finds elements that a list has twice; [`order`] says what comes before what. Everything that a manifest says is
//! applied or refused: nothing is dropped but what a server writes by itself.

mod chart;
mod check;
mod duplicates;
pub(crate) mod helm;
mod manifest;
mod merge;
mod order;
mod part;
mod patch;
mod scalar;
mod stand_in;
mod steady;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use stratos_engine::desired::owner::Marks;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::platform::{NativeResources, TranslatedApp};
use stratos_engine::render::native::Native;

use crate::config::EnvironmentConfig;
use crate::object::desired::{self, Wrong};
use crate::translate::{self, ROLLOUT_TIMEOUT};
use crate::{discovery, shape};
use duplicates::Types;
use manifest::Manifest;
pub(crate) use order::Order;
pub(crate) use patch::Patches;

/// The files that a part names.
pub(crate) fn wanted(part: &Native) -> Vec<String> {
    part::Part::read(part, &mut Vec::new()).files()
}

/// The ids of a part's objects, as far as they can be read.
pub(crate) fn ids(config: &EnvironmentConfig, part: &Native) -> Vec<ResourceId> {
    let mut problems = Vec::new();
    let manifests = manifest::read(part, &part::Part::read(part, &mut problems), &mut problems);
    let scopes = scopes(&manifests);
    manifests.iter().map(|manifest| id(config, manifest, &scopes)).collect()
}

/// The resources of a part, or everything that is wrong with it.
pub(crate) fn native(config: &EnvironmentConfig, app: &TranslatedApp<'_>, part: &Native) -> Result<NativeResources, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let keys = part::Part::read(part, &mut problems);
    keys.check(app, &mut problems);
    let patches = Patches::read(part, &keys, config, &mut problems);
    // Patches are about these objects too, and what is native may name them.
    let portable = match app.app.image {
        Some(_) => translate::patched(config, app, &patches),
        None => Vec::new(),
    };
    let manifests = manifest::read(part, &keys, &mut problems);
    if app.app.image.is_none() && !keys.has_objects() {
        let problem = Diagnostic::new("`manifests` is missing: the app has no `image`, and nothing else says what it is", part.node.span);
        problems.push(problem.with_help("manifests = [\"k8s/*.yaml\"], or helm = { chart = \"charts/web\" }"));
    }
    let scopes = scopes(&manifests);
    let mut objects: BTreeMap<ResourceId, Manifest<'_>> = BTreeMap::new();
    for mut manifest in manifests {
        let id = id(config, &manifest, &scopes);
        if let Some(first) = objects.get(&id) {
            let message = format!("{} {} is here twice", manifest.identity.kind, manifest.identity.name);
            problems.push(
                Diagnostic::new(message, manifest.span(&["metadata", "name"])).related_to(first.span(&["metadata", "name"]), "first here"),
            );
            continue;
        }
        manifest.object = patches.apply(&id, manifest.object);
        objects.insert(id, manifest);
    }
    for (id, manifest) in &objects {
        let definitions = objects.values().map(|manifest| &manifest.object);
        let types = Types::of(&manifest.identity.api_version, &manifest.identity.kind, definitions);
        duplicates::check(id, manifest, &patches, types, &mut problems);
    }
    steady::check(config, part, &keys, &objects, &mut problems);
    keys.check_service(app, &objects.iter().map(|(id, manifest)| (id, &manifest.object)).collect(), &mut problems);
    let mut order = Order::new(&config.namespace);
    portable.iter().for_each(|resource| order.add(&resource.id, None));
    objects.iter().for_each(|(id, manifest)| order.add(id, Some(&manifest.object)));
    let mut resources = Vec::with_capacity(objects.len());
    for (id, manifest) in &objects {
        match desired::document(&manifest.identity, &manifest.object) {
            Ok(document) => resources.push(Resource {
                marks: Marks { protect: app.marks.protect || manifest.is_kept(), ..app.marks.clone() },
                document,
                depends_on: order.of(id, &manifest.object),
                rollout_timeout: timeout(app, id, &manifest.object),
                moved_from: None,
                shape: if config.is_own_namespace(id) { &shape::OWN_NAMESPACE } else { shape::of(&manifest.identity.group_kind()) },
                id: id.clone(),
            }),
            Err(wrong) => problems.push(patches.place(id, &wrong).unwrap_or_else(|| manifest.diagnostic(&wrong))),
        }
    }
    problems.extend(patches.problems());
    if problems.is_empty() { Ok(NativeResources { resources, degraded: Vec::new() }) } else { Err(problems) }
}

/// Whether the objects of a kind are in namespaces, where a definition among the manifests says it.
fn scopes(manifests: &[Manifest<'_>]) -> BTreeMap<String, bool> {
    let definitions = manifests.iter().filter(|manifest| manifest.identity.kind == "CustomResourceDefinition");
    let scope = |manifest: &Manifest<'_>| {
        let spec = manifest.object.get("spec")?;
        let text = |pointer: &str| spec.pointer(pointer).and_then(serde_json::Value::as_str);
        Some((format!("{}.{}", text("/names/kind")?, text("/group")?), text("/scope")? == "Namespaced"))
    };
    definitions.filter_map(scope).collect()
}

/// The id of an object. Where its kind has no namespaces, a namespace that is written means nothing.
fn id(config: &EnvironmentConfig, manifest: &Manifest<'_>, scopes: &BTreeMap<String, bool>) -> ResourceId {
    let kind = manifest.identity.group_kind();
    let text = kind.to_string();
    let namespaced = discovery::is_namespaced(&kind).or_else(|| scopes.get(&text).copied()).unwrap_or(true);
    let namespace = manifest.identity.namespace.as_deref().filter(|namespace| namespaced && *namespace != config.namespace);
    ResourceId { namespace: namespace.map(Into::into), ..ResourceId::new(&config.environment, &text, &manifest.identity.name) }
}

/// How long its roll-out may take.
fn timeout(app: &TranslatedApp<'_>, id: &ResourceId, object: &serde_json::Value) -> Option<Duration> {
    if !shape::of(&crate::kind::GroupKind::parse(&id.kind)).has_health {
        return None;
    }
    let deadline =
        object.pointer("/spec/progressDeadlineSeconds").and_then(serde_json::Value::as_u64).filter(|_| &*id.kind == "Deployment.apps");
    let whole = app.app.rollout.as_ref().and_then(|rollout| rollout.timeout);
    Some(deadline.map(|seconds| Duration(seconds.saturating_mul(1000))).or(whole).unwrap_or(ROLLOUT_TIMEOUT))
}

/// What is wrong with an object, as one sentence.
fn sentence(kind: &str, name: &str, wrong: &Wrong) -> String {
    let path = Path::new(wrong.at.iter().map(String::as_str));
    if wrong.at.is_empty() { format!("{kind} {name}: {}", wrong.why) } else { format!("{kind} {name}, `{path}`: {}", wrong.why) }
}

/// Paths that were seen, for what is said once.
type Seen = BTreeSet<String>;
