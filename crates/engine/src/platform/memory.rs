//! The in-memory platform: as awkward as a real one, and with faults on demand.
//!
//! A [`World`] is the server: it outlives connections, and several [`MemoryPlatform`]s (several processes) share one. It
//! does not keep our documents. It keeps its own *server form* (`server.rs`): defaults are filled in, lists are sorted its
//! own way, quantities are rewritten, ids, addresses and ports are assigned, images are pinned, versions move unasked, and
//! secret values are hidden. The platform in front of it (`translate.rs`, `read.rs`, `write.rs`) has to undo all of that, as
//! every platform has; [`Quirks`] takes a part of it away, and then the conformance suite fails.
//!
//! There is no clock: a roll-out proceeds by one tick each time that its health is read. Delays and leases use tokio's
//! time, so that a test may pause it.

mod fault;
mod read;
mod rollout;
mod server;
#[cfg(test)]
mod subject;
#[cfg(test)]
mod tests;
mod translate;
mod world;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;

use super::{
    Address, ApplyContext, Field, Gap, Lease, Outcome, Platform, PlatformError, PlatformErrorKind, Preview, Scope, Sink, Support,
    TranslatedApp, Wanted,
};
use crate::compare::Difference;
use crate::deploy::Connector;
use crate::desired::name::Name;
use crate::desired::owner::{Owner, Ownership};
use crate::desired::resource::{ReplaceOrder, Replacement, Resource, ResourceId};
use crate::health::Health;
use crate::manifest::Manifest;
use crate::manifest::schema::{Environment, PlatformKind, Project};
use crate::plan::change::Change;
use fault::Lost;
use world::State;

pub use fault::{Call, Effect, Fault, When};
#[cfg(test)]
pub use subject::MemorySubject;
pub use world::{Key, World};

/// Which of its duties the platform neglects, and what kind of server stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Values that the server filled in are left out of documents.
    pub drops_defaults: bool,
    /// Lists that have no order are keyed by what tells their items apart.
    pub sorts: bool,
    /// Quantities are read, not compared as text.
    pub reads_quantities: bool,
    /// Identifiers and addresses that the server made are turned back into references.
    pub follows_references: bool,
    /// The server gives secret values back (as Kubernetes does), beside their fingerprints.
    pub returns_secrets: bool,
    /// The server stores no more replicas than these, whatever it is sent, and has a dry run that says so.
    pub most_replicas: Option<u32>,
    /// The server does not change this field in place, and has a dry run that says so.
    pub immutable: Option<&'static str>,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            drops_defaults: true,
            sorts: true,
            reads_quantities: true,
            follows_references: true,
            returns_secrets: false,
            most_replicas: None,
            immutable: None,
        }
    }
}

/// One connection to one place of a world: what one process has.
pub struct MemoryPlatform {
    world: World,
    /// The name that the manifest gives the place.
    environment: Name,
    /// The world's own name for it.
    place: String,
    process: Arc<Process>,
}

/// A process that talks to a world: what dies in a crash.
#[derive(Debug, Default)]
pub(crate) struct Process {
    requests: AtomicU64,
    dead: AtomicBool,
}

impl Process {
    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

/// Makes [`MemoryPlatform`]s. An environment's `url` names the place in the world; without one its name does.
#[derive(Clone)]
pub struct MemoryConnector {
    world: World,
}

impl MemoryConnector {
    /// Connects to places of this world.
    pub fn new(world: World) -> Self {
        Self { world }
    }
}

#[async_trait]
impl Connector for MemoryConnector {
    async fn connect(&self, _project: &Project, name: &Name, environment: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        let place = environment.url.clone().unwrap_or_else(|| name.to_string());
        Ok(Arc::new(MemoryPlatform { world: self.world.clone(), environment: name.clone(), place, process: Arc::default() }))
    }

    fn place_follows_name(&self, environment: &Environment) -> bool {
        environment.url.is_none()
    }

    /// The places that are named after their environment, as on the platform `local`: a `url` may be somebody else's, too.
    async fn left_behind(&self, manifest: &Manifest) -> Vec<(Name, Environment)> {
        let declared = |name: &str| manifest.environments.get(name).is_some_and(|settings| self.place_follows_name(settings));
        let places: Vec<Name> = self.world.lock().places.keys().filter_map(|place| Name::new(place).ok()).collect();
        let left = places.into_iter().filter(|name| !declared(name));
        left.map(|name| (name, Environment::new(PlatformKind::Local))).collect()
    }
}

impl MemoryPlatform {
    /// One request to the server: counted, and where a fault says so delayed, refused, or carried out with its answer lost.
    async fn call<T>(&self, call: Call, on: impl std::fmt::Display, request: impl FnOnce(&mut State) -> T) -> Result<T, Lost> {
        self.process.requests.fetch_add(1, Ordering::Relaxed);
        let fault = self.world.lock().faults.meet(call);
        let attempted = format!("{} {on}", call.verb());
        let Some(fault) = fault else {
            return Ok(request(&mut self.world.lock()));
        };
        if let Effect::Delay(time) = fault.effect {
            tokio::time::sleep(time).await;
            return Ok(request(&mut self.world.lock()));
        }
        if fault.when == When::After {
            request(&mut self.world.lock());
        }
        if fault.effect == Effect::Crash {
            self.process.dead.store(true, Ordering::Relaxed);
            self.world.lock().leases.end(&self.process);
            self.world.crashed().notify_one();
            // A killed process does nothing more; whoever started it drops the future.
            return std::future::pending().await;
        }
        Err(Lost { took_effect: fault.when == When::After, error: fault.effect.error(attempted) })
    }

    fn id(&self, key: &Key) -> ResourceId {
        ResourceId::new(&self.environment, &key.kind, &key.name)
    }

    /// The gap that hides an object, where there is one.
    fn gap(&self, state: &State, kind: &str, name: &str) -> Option<Gap> {
        let environment = self.environment.clone();
        let hides = |gap: &&world::Hidden| gap.place == self.place && gap.hides(kind, name);
        let gap = state.hidden.iter().find(hides)?;
        Some(Gap { environment, kind: gap.kind.clone(), name: gap.name.clone(), why: gap.why.clone() })
    }

    /// One list request: the objects of a kind that carry the owner's mark.
    fn list(&self, state: &State, kind: &'static str, scope: &Scope, sink: &mut Sink) -> BTreeSet<ResourceId> {
        let mut listed = BTreeSet::new();
        let hidden = state.hidden.iter().filter(|gap| gap.place == self.place && gap.kind.as_deref().is_none_or(|k| k == kind));
        for hidden in hidden {
            sink.gaps.push(Gap {
                environment: self.environment.clone(),
                kind: Some(kind.to_owned()),
                name: hidden.name.clone(),
                why: hidden.why.clone(),
            });
        }
        for (key, object) in state.objects(&self.place).filter(|(key, _)| key.kind == kind) {
            let Some(marks) = object.marks.as_ref().filter(|marks| marks.owner == scope.owner) else { continue };
            if scope.apps.as_ref().is_some_and(|apps| !apps.contains(&marks.app)) || self.gap(state, &key.kind, &key.name).is_some() {
                continue;
            }
            let id = self.id(key);
            listed.insert(id.clone());
            sink.add([read::observed(state, &self.place, id, object, &scope.owner)]);
        }
        listed
    }
}

#[async_trait]
impl Platform for MemoryPlatform {
    fn support(&self, field: Field) -> Support {
        self.world.support(field)
    }

    fn translate(&self, app: &TranslatedApp<'_>) -> Vec<Resource> {
        translate::resources(app, &|field| matches!(self.world.support(field), Support::Full | Support::Adapted(_)))
    }

    fn address(&self, app: &TranslatedApp<'_>, port: &Name) -> Address {
        translate::address(app, port)
    }

    /// One list request for each kind, and one more for all the wanted ids that no list held.
    async fn observe(&self, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
        let mut listed = BTreeSet::new();
        for kind in translate::KINDS {
            let found = self.call(Call::Observe, format!("all of kind {kind} in {}", self.environment), |state| {
                let mut part = Sink::default();
                let ids = self.list(state, kind, scope, &mut part);
                (ids, part)
            });
            let (ids, mut part) = found.await.map_err(|lost| lost.error)?;
            listed.extend(ids);
            sink.resources.append(&mut part.resources);
            sink.gaps.extend(part.gaps);
        }
        let missing: Vec<&ResourceId> = wanted.keys().filter(|id| !listed.contains(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let found = self.call(Call::Observe, format!("{} wanted names in {}", missing.len(), self.environment), |state| {
            let visible = |id: &&&ResourceId| self.gap(state, &id.kind, &id.name).is_none();
            let read = |id: &&ResourceId| {
                let object = state.object(&self.place, &Key::of(id))?;
                Some(read::observed(state, &self.place, (*id).clone(), object, &scope.owner))
            };
            missing.iter().filter(visible).filter_map(read).collect::<Vec<_>>()
        });
        sink.add(found.await.map_err(|lost| lost.error)?);
        Ok(())
    }

    async fn preview(&self, differences: &[Difference]) -> Result<Preview, PlatformError> {
        let Quirks { most_replicas, immutable, .. } = self.world.lock().quirks;
        if most_replicas.is_none() && immutable.is_none() {
            return Ok(Preview::default());
        }
        let mut said = Preview::default();
        for difference in differences {
            let Difference::Differs { desired, fields, .. } = difference else { continue };
            if immutable.is_some_and(|immutable| fields.iter().any(|field| field.path.matches(immutable))) {
                let how = Replacement { order: ReplaceOrder::DeleteFirst, downtime: true, loses_data: false };
                said.anew.insert(desired.id.clone(), how);
            } else if let Some(most) = most_replicas {
                said.stored.insert(desired.id.clone(), read::stored(&desired.document, most));
            }
        }
        let on = format!("what {} changes would come to in {}", said.stored.len() + said.anew.len(), self.environment);
        self.call(Call::Observe, on, |_| said).await.map_err(|lost| lost.error)
    }

    async fn apply(&self, batch: &[&Change], context: &ApplyContext<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for change in batch {
            outcomes.push(write::carry_out(self, change, context).await);
        }
        outcomes
    }

    async fn health(&self, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError> {
        let on = ids.iter().map(ResourceId::to_string).collect::<Vec<_>>().join(", ");
        let read = |state: &mut State| ids.iter().map(|id| rollout::tick(state, &self.place, &Key::of(id))).collect();
        self.call(Call::Health, &on, read).await.map_err(|lost| lost.error)
    }

    async fn lease(&self, owner: &Owner, holder: &str) -> Result<Lease, PlatformError> {
        let on = format!("the lease of {owner}");
        let key = format!("{}/{owner}", self.place);
        let taken = self.call(Call::Lease, &on, |state| state.leases.take(&key, holder, &self.process)).await.map_err(|lost| lost.error)?;
        match taken {
            Ok(()) => Ok(Lease::Held(Box::new(Held { world: self.world.clone(), key, process: self.process.clone() }))),
            Err(other) => Err(PlatformError::new(
                PlatformErrorKind::Locked,
                format!("{} {on}", Call::Lease.verb()),
                format!("{other} is applying to this environment now"),
            )
            .with_hint("wait until the other run has ended, or until its lease has expired")),
        }
    }

    /// Nothing here needs an end; that somebody wanted it is remembered.
    async fn retire(&self, owner: &Owner) -> Result<(), PlatformError> {
        self.world.lock().retired.push(owner.clone());
        Ok(())
    }

    fn requests(&self) -> u64 {
        self.process.requests.load(Ordering::Relaxed)
    }
}

/// A lease that is held: given back when it is dropped, left to expire when its process was killed.
struct Held {
    world: World,
    key: String,
    process: Arc<Process>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.world.lock().leases.give_back(&self.key, &self.process);
    }
}

/// Whose an object is, seen by an owner.
fn ownership(object: &world::Object, owner: &Owner) -> Ownership {
    match &object.marks {
        Some(marks) if marks.owner == *owner => Ownership::Ours(marks.clone()),
        Some(marks) => Ownership::Another(marks.owner.clone()),
        None => Ownership::Unmarked,
    }
}
