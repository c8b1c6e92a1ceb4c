//! What a live object is to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::owner::{Owner, Ownership};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::RolloutState;
use stratos_engine::platform::ObservedResource;

use crate::config::EnvironmentConfig;
use crate::kind::GroupKind;
use crate::object::live::Live;
use crate::object::project::{self, NAME, Reference, View};
use crate::{marks, names, shape};

/// The live names of generated objects, by kind: of ConfigMaps those that are there, of Secrets the present generations.
pub(crate) type Present = BTreeSet<(Arc<str>, String)>;

/// Reads objects for one environment.
pub(crate) struct Reader<'a> {
    pub(crate) config: &'a EnvironmentConfig,
    /// On whose behalf.
    pub(crate) owner: &'a Owner,
}

/// An object as it was read, and what it says of objects that may not have been read yet.
pub(crate) struct Read {
    pub(crate) observed: Box<ObservedResource>,
    pub(crate) references: Vec<Reference>,
    /// See [`project::Projection::unkept`].
    pub(crate) unkept: Vec<Path>,
}

/// What refers to a generated object that is not there refers to nothing.
pub(crate) fn settle(observed: &mut ObservedResource, references: Vec<Reference>, present: &Present) {
    let gone: Vec<_> = references.into_iter().filter(|reference| !present.contains(&reference.to)).collect();
    if !gone.is_empty() {
        observed.document = observed.document.with(gone.into_iter().map(|reference| (reference.at, Some(Leaf::Unknown))));
    }
}

impl Reader<'_> {
    /// The id of an object.
    pub(crate) fn id(&self, kind: &GroupKind, live: &Live) -> ResourceId {
        let name = match generation(live) {
            Some((of, _)) => format!("{of}{}", names::GENERATIONS),
            None => live.meta.name.clone(),
        };
        let namespace = live.meta.namespace.as_deref().filter(|namespace| *namespace != self.config.namespace);
        ResourceId {
            environment: self.config.environment.clone(),
            kind: kind.to_string().into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
        }
    }

    /// What it is, beside what should be. What it refers to is taken to be there.
    pub(crate) fn observed(&self, id: ResourceId, kind: &GroupKind, live: &Live, desired: Option<&Document>) -> ObservedResource {
        *self.read(id, kind, live, desired).observed
    }

    /// The same for a plan, which reads what it refers to as well.
    pub(crate) fn read(&self, id: ResourceId, kind: &GroupKind, live: &Live, desired: Option<&Document>) -> Read {
        let refers = self.ids(live.meta.annotations.get(marks::REFERS));
        let fingerprints = live.meta.annotations.get(marks::FINGERPRINTS);
        let view = View {
            kind,
            desired,
            refers: &refers,
            fingerprints: &fingerprints.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default(),
        };
        let projection = project::project(live, &view);
        let shape = match generation(live) {
            Some(_) => &shape::GENERATIONS,
            None if self.config.is_own_namespace(&id) => &shape::OWN_NAMESPACE,
            None => shape::of(kind),
        };
        let observed = ObservedResource {
            uid: Some(live.meta.uid.clone()),
            attributes: attributes(kind, live),
            secret_values: projection.secret_values,
            holds_data: shape.holds_data || claims_go_with(&live.body),
            has_health: shape.has_health,
            depends_on: self.ids(live.meta.annotations.get(marks::NEEDS)),
            rollout: rollout(&live.body),
            ..ObservedResource::new(id, live.ownership(self.owner), projection.document)
        };
        Read { observed: Box::new(observed), references: projection.references, unkept: projection.unkept }
    }

    /// The environment's own namespace as we make it where no manifest declares it: it belongs to no app, and is as good as not there for
    /// one that declares it.
    pub(crate) fn is_undeclared_namespace(&self, id: &ResourceId, live: &Live) -> bool {
        self.config.is_own_namespace(id) && live.ownership(self.owner) == Ownership::Another(self.owner.clone())
    }

    /// The ids that an annotation lists.
    fn ids(&self, annotation: Option<&String>) -> Vec<ResourceId> {
        let listed = annotation.map(String::as_str).unwrap_or_default().split(',').filter(|id| !id.is_empty());
        let mut ids: Vec<_> = listed.filter_map(|id| format!("{}/{id}", self.config.environment).parse().ok()).collect();
        ids.shrink_to_fit();
        ids
    }
}

/// Whether claims of a StatefulSet are deleted with it.
fn claims_go_with(body: &Value) -> bool {
    body.pointer("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted").is_some_and(|when| when == "Delete")
}

/// Ids as an annotation lists them: without the environment, so that they outlive its name.
pub(crate) fn listed<'a>(ids: impl IntoIterator<Item = &'a ResourceId>) -> String {
    let text = |id: &ResourceId| {
        let whole = id.to_string();
        whole.split_once('/').map(|(_, rest)| rest.to_owned()).unwrap_or(whole)
    };
    ids.into_iter().map(text).collect::<Vec<_>>().join(",")
}

/// What a generated Secret is a generation of, and its number.
pub(crate) fn generation(live: &Live) -> Option<(&str, u64)> {
    let number = live.meta.annotations.get(marks::GENERATION)?;
    let of = live.meta.name.strip_suffix(number.as_str())?.strip_suffix('-')?;
    Some((of, number.parse().ok()?))
}

/// What references to it are about.
pub(crate) fn attributes(kind: &GroupKind, live: &Live) -> BTreeMap<String, String> {
    let generated = kind.group.is_empty() && ["ConfigMap", "Secret"].contains(&kind.kind.as_str());
    if generated { [(NAME.to_owned(), live.meta.name.clone())].into() } else { BTreeMap::new() }
}

/// The state of the last roll-out, as far as the object itself says it.
fn rollout(body: &Value) -> RolloutState {
    let status = body.get("status");
    let observed = status.and_then(|status| status.get("observedGeneration")).and_then(Value::as_i64);
    let generation = body.get("metadata").and_then(|metadata| metadata.get("generation")).and_then(Value::as_i64);
    let conditions = status.and_then(|status| status.get("conditions")).and_then(Value::as_array).into_iter().flatten();
    let text = |condition: &Value, key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut progressing = conditions.filter(|condition| text(condition, "type") == "Progressing");
    match progressing.next() {
        _ if observed.is_some() && observed < generation => RolloutState::Running,
        Some(condition) if text(condition, "reason") == "ProgressDeadlineExceeded" => {
            RolloutState::Paused { why: text(condition, "message") }
        }
        _ => RolloutState::Done,
    }
}
