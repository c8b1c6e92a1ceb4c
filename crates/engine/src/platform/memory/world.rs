//! The server behind the in-memory platform: what it holds, and what a test may do to it behind everybody's back.
//!
//! A world is written as JSON like this; everything but `spec` may be left out, and is then filled in:
//!
//! ```json
//! {
//!   "taken_ports": [22],
//!   "hidden": [{ "place": "dev", "kind": "secret", "why": "this account may not read it" }],
//!   "places": {
//!     "dev": {
//!       "service/shop-web": {
//!         "marks": { "owner": "shop/dev", "app": "web", "protect": true },
//!         "rollout": { "rolled_back": { "why": "its probe failed" } },
//!         "spec": { "image": "shop/web:1", "ports": [{ "name": "http", "target": 8080 }] }
//!       },
//!       "volume/theirs": { "spec": { "size": "1Gi" } }
//!     }
//!   }
//! }
//! ```
//!
//! Places are named by an environment's `url`, or by its name where it has none. An object without `marks` is foreign.
//! What the specifications hold is in `server.rs`. Secret values are never written, and need not be there
//! to be read: their fingerprints are enough, as long as the world hides values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fault::{Fault, Script};
use super::rollout::Progress;
use super::server::{self, Spec};
use super::{Process, Quirks, read, write};
use crate::desired::document::Leaf;
use crate::desired::name::Name;
use crate::desired::owner::{Marks, Owner};
use crate::desired::path::Path;
use crate::desired::resource::ResourceId;
use crate::platform::{Field, Support};

/// The server: shared by everything that was made from the same one.
#[derive(Clone, Default)]
pub struct World(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    crashed: Notify,
}

/// Everything that the server knows.
#[derive(Default)]
pub(crate) struct State {
    pub places: BTreeMap<String, BTreeMap<Key, Object>>,
    pub taken_ports: BTreeSet<u16>,
    pub hidden: Vec<Hidden>,
    pub faults: Script,
    pub leases: Leases,
    pub quirks: Quirks,
    /// The last number given away, for ids, addresses and ports.
    pub last_number: u32,
    /// Every write, in order: `create service/shop-web`.
    pub journal: Vec<String>,
    /// Whose environments were to be ended.
    pub retired: Vec<Owner>,
    support: BTreeMap<Field, Support>,
}

/// The server's name of an object: `kind/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What kind of thing it is.
    pub kind: String,
    /// Its name among those.
    pub name: String,
}

/// One object, as the server keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Object {
    /// Labels that Stratos wrote; none on what is foreign.
    #[serde(default, with = "marks", skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
    /// The specification, in server form.
    pub spec: Spec,
    /// This very object's identity.
    #[serde(default)]
    pub uid: String,
    /// Moves with every write, and also unasked.
    #[serde(default)]
    pub version: u64,
    /// What the server gave it: stays for as long as the object lives.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Names of what it needs beyond what its specification refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<ResourceId>,
    /// How its last roll-out goes. Read and never written: two descriptions of an object are equal whatever it is about.
    #[serde(default, rename = "rollout", skip_serializing)]
    pub progress: Progress,
}

/// What cannot be read: everything of the place where neither kind nor name is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hidden {
    pub place: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub why: String,
}

impl Hidden {
    pub fn hides(&self, kind: &str, name: &str) -> bool {
        self.kind.as_deref().is_none_or(|k| k == kind) && self.name.as_deref().is_none_or(|n| n == name)
    }
}

/// Who writes where.
#[derive(Debug, Default)]
pub(crate) struct Leases(BTreeMap<String, TakenLease>);

#[derive(Debug)]
struct TakenLease {
    holder: String,
    process: Arc<Process>,
    /// When it ends by itself; a process that lives renews it.
    expires: Option<Instant>,
}

impl Leases {
    /// How long a lease lasts after its holder was killed.
    pub const TIME_TO_LIVE: Duration = Duration::from_secs(15);

    /// Takes a lease, or says who has it.
    pub fn take(&mut self, key: &str, holder: &str, process: &Arc<Process>) -> Result<(), String> {
        match self.0.get(key) {
            Some(taken) if taken.expires.is_none_or(|at| Instant::now() < at) => Err(taken.holder.clone()),
            _ => {
                self.0.insert(key.to_owned(), TakenLease { holder: holder.to_owned(), process: process.clone(), expires: None });
                Ok(())
            }
        }
    }

    /// Gives a lease back. A killed process cannot.
    pub fn give_back(&mut self, key: &str, process: &Arc<Process>) {
        if !process.is_dead() && self.0.get(key).is_some_and(|taken| Arc::ptr_eq(&taken.process, process)) {
            self.0.remove(key);
        }
    }

    /// Renews the leases of a process no more.
    pub fn end(&mut self, process: &Arc<Process>) {
        for taken in self.0.values_mut().filter(|taken| Arc::ptr_eq(&taken.process, process)) {
            taken.expires = Some(Instant::now() + Self::TIME_TO_LIVE);
        }
    }
}

impl State {
    pub fn objects(&self, place: &str) -> impl Iterator<Item = (&Key, &Object)> {
        self.places.get(place).into_iter().flatten()
    }

    pub fn object(&self, place: &str, key: &Key) -> Option<&Object> {
        self.places.get(place)?.get(key)
    }

    pub fn object_mut(&mut self, place: &str, key: &Key) -> Option<&mut Object> {
        self.places.get_mut(place)?.get_mut(key)
    }

    /// A number that was not given away before.
    pub fn number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    /// The object that was given this id by the server.
    pub fn by_server_id(&self, place: &str, server_id: &str) -> Option<(&Key, &Object)> {
        self.objects(place).find(|(_, object)| object.attributes.get("id").is_some_and(|id| id == server_id))
    }

    /// What stands in the way of a write, in the server's words: a port that is taken.
    pub fn refusal(&self, place: &str, key: &Key, spec: &Spec) -> Option<String> {
        let Spec::Service(service) = spec else { return None };
        if service.ports.iter().all(|port| port.published.is_none()) {
            return None;
        }
        let others = self.objects(place).filter(|(other, _)| *other != key).filter_map(|(other, object)| match &object.spec {
            Spec::Service(service) => Some((other, service)),
            _ => None,
        });
        let others: Vec<_> = others.collect();
        service.ports.iter().filter_map(|port| port.published).find_map(|published| {
            let uses = |service: &server::Service| service.ports.iter().any(|p| p.published == Some(published));
            let other = others.iter().find(|(_, service)| uses(service)).map(|(key, _)| format!("{key}"));
            let other = other.or_else(|| self.taken_ports.contains(&published).then(|| "another program".to_owned()))?;
            Some(format!("port {published} is taken by {other}"))
        })
    }

    /// Who still needs an object: it cannot be deleted while somebody does.
    pub fn user_of(&self, place: &str, key: &Key) -> Option<&Key> {
        let server_id = self.object(place, key)?.attributes.get("id")?;
        let uses = |spec: &Spec| spec.sources().any(|source| source == server_id);
        self.objects(place).find(|(_, object)| uses(&object.spec)).map(|(user, _)| user)
    }
}

impl World {
    /// An empty one.
    pub fn new() -> Self {
        let world = Self::default();
        world.lock().support = default_support();
        world
    }

    /// One that neglects some duties.
    pub fn with_quirks(quirks: Quirks) -> Self {
        let world = Self::new();
        world.lock().quirks = quirks;
        world
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock only means that a test panicked between two consistent states.
        self.0.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What it makes of a field.
    pub fn support(&self, field: Field) -> Support {
        self.lock().support.get(&field).copied().unwrap_or(Support::Full)
    }

    /// Makes something else of a field.
    pub fn set_support(&self, field: Field, support: Support) {
        self.lock().support.insert(field, support);
    }

    /// Scripts a fault.
    pub fn fault(&self, fault: Fault) {
        self.lock().faults.add(fault);
    }

    /// Forgets the faults that were not met.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Is notified when a process met [`Effect::Crash`](super::Effect::Crash).
    pub fn crashed(&self) -> &Notify {
        &self.0.crashed
    }

    /// Hides what is of this kind and name (everything, where both are None) from readers.
    pub fn hide(&self, place: &str, kind: Option<&str>, name: Option<&str>, why: &str) {
        let (kind, name) = (kind.map(str::to_owned), name.map(str::to_owned));
        self.lock().hidden.push(Hidden { place: place.into(), kind, name, why: why.into() });
    }

    /// Hides nothing any more.
    pub fn reveal(&self) {
        self.lock().hidden.clear();
    }

    /// Lets another program have a port.
    pub fn take_port(&self, port: u16) {
        self.lock().taken_ports.insert(port);
    }

    /// Every write so far, in order: `create dev service/shop-web`.
    pub fn journal(&self) -> Vec<String> {
        self.lock().journal.clone()
    }

    /// Whose environments were to be ended so far, in order.
    pub fn retired(&self) -> Vec<Owner> {
        self.lock().retired.clone()
    }

    /// Makes an object that carries no mark.
    pub fn insert_foreign(&self, place: &str, kind: &str, name: &str) -> Result<(), String> {
        let spec = Spec::foreign(kind).ok_or_else(|| format!("there is no kind {kind:?}"))?;
        let key = Key { kind: kind.into(), name: name.into() };
        self.lock().insert(place, key, Object::new(None, spec));
        Ok(())
    }

    /// Changes a specification as an administrator would: `pointer` is a JSON Pointer into the server form.
    pub fn edit(&self, place: &str, key: &Key, pointer: &str, value: serde_json::Value) -> Result<(), String> {
        let state = &mut *self.lock();
        let object = state.object(place, key).ok_or_else(|| format!("{key} is not in {place}"))?;
        let mut spec = serde_json::to_value(&object.spec).map_err(|e| e.to_string())?;
        *spec.pointer_mut(pointer).ok_or_else(|| format!("{key} has no {pointer}"))? = value;
        let spec = Spec::read(&key.kind, spec)?;
        state.replace_spec(place, key, spec);
        Ok(())
    }

    /// Changes what a document shows at a path, as an administrator would: `None` removes it. Says why where that cannot
    /// be done here.
    pub fn edit_leaf(&self, place: &str, id: &ResourceId, path: &Path, leaf: Option<Leaf>) -> Result<(), String> {
        let state = &mut *self.lock();
        let key = Key::of(id);
        let object = state.object(place, &key).ok_or_else(|| format!("{key} is not in {place}"))?;
        if matches!(object.spec, Spec::Config(_)) {
            return Err("a config is immutable".into());
        }
        if *path == Path::new(["protect"]) {
            let object = state.object_mut(place, &key).and_then(|object| object.marks.as_mut());
            let marks = object.ok_or_else(|| format!("{key} carries no marks"))?;
            marks.protect = leaf == Some(Leaf::Bool(true));
            return Ok(());
        }
        let kept = read::document(state, place, id, object);
        if matches!(kept.get(path), Some(Leaf::Secret { .. })) && matches!(leaf, Some(Leaf::Secret { .. })) {
            return if state.quirks.returns_secrets {
                state.object_mut(place, &key).map(|object| object.spec.edit_secret(path)).ok_or_else(|| "it is gone".into())
            } else {
                Err("its value is hidden, and so is a change of it".into())
            };
        }
        let spec = write::edited(state, place, object, &kept.with([(path.clone(), leaf)]))?;
        state.replace_spec(place, &key, spec);
        Ok(())
    }

    /// An object as JSON, without what moves unasked; None where there is none.
    pub fn describe(&self, place: &str, key: &Key) -> Option<String> {
        let state = self.lock();
        let object = Object { version: 0, ..state.object(place, key)?.clone() };
        serde_json::to_string(&object).ok()
    }

    /// The world as JSON. Secret values are left out.
    pub fn to_json(&self) -> String {
        let state = self.lock();
        let file = WorldFile { taken_ports: state.taken_ports.clone(), hidden: state.hidden.clone(), places: state.places.clone() };
        serde_json::to_string_pretty(&file).unwrap_or_else(|error| error.to_string())
    }

    /// Reads a world. What is not written is filled in, as if it had been sent to the server.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let file: WorldFile<serde_json::Value> = serde_json::from_str(json).map_err(|error| format!("this is not a world: {error}"))?;
        let world = Self::new();
        {
            let state = &mut *world.lock();
            state.taken_ports = file.taken_ports;
            state.hidden = file.hidden;
            for (place, objects) in file.places {
                for (key, written) in objects {
                    // The kind says what the specification must hold, and so gives the better message.
                    Spec::read(&key.kind, written["spec"].clone()).map_err(|error| format!("{place}: {key}: {error}"))?;
                    let object = serde_json::from_value(written).map_err(|error| format!("{place}: {key}: {error}"))?;
                    state.insert(&place, key, object);
                }
            }
        }
        Ok(world)
    }
}

/// What most worlds do not support: enough that every answer a platform may give is met.
fn default_support() -> BTreeMap<Field, Support> {
    BTreeMap::from([
        (Field::ResourcesCpuLimit, Support::Unsupported("this platform cannot cap CPU time")),
        (Field::RolloutMaxUnavailable, Support::Ignored("this platform always keeps all instances up")),
        (Field::RolloutTimeout, Support::Adapted("counted in reads of health, since there is no clock")),
    ])
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldFile<O> {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    taken_ports: BTreeSet<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hidden: Vec<Hidden>,
    places: BTreeMap<String, BTreeMap<Key, O>>,
}

impl Key {
    /// The key of the object that has this id.
    pub fn of(id: &ResourceId) -> Self {
        Self { kind: id.kind.to_string(), name: id.name.to_string() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for Key {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').ok_or_else(|| format!("{text:?} is not kind/name"))?;
        Ok(Self { kind: kind.into(), name: name.into() })
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Marks as a world file has them: flat, the owner as `project/environment`.
mod marks {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Flat {
        owner: String,
        app: Name,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        protect: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        specification: Option<String>,
    }

    pub fn serialize<S: Serializer>(marks: &Option<Marks>, serializer: S) -> Result<S::Ok, S::Error> {
        let flat = marks.clone().map(|Marks { owner, app, protect, revision, specification }| Flat {
            owner: owner.to_string(),
            app,
            protect,
            revision,
            specification,
        });
        flat.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Marks>, D::Error> {
        let Some(Flat { owner, app, protect, revision, specification }) = Option::deserialize(deserializer)? else { return Ok(None) };
        let owner = owner.rsplit_once('/').and_then(|(project, environment)| {
            let environment = Name::new(environment).ok()?;
            Some(Owner::new(project, environment))
        });
        let owner = owner.ok_or_else(|| serde::de::Error::custom("an owner is written project/environment"))?;
        Ok(Some(Marks { owner, app, protect, revision, specification }))
    }
}
