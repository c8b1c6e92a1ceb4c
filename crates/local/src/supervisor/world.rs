//! Everything that a supervisor holds: what `state.json` says, and what runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::{Health, RolloutState, Status};

use super::files::Drift;
use super::ports::PortPool;
use super::process::Launcher;
use super::workload::Workload;
use crate::folder::Folder;
use crate::protocol::SeenObject;
use crate::state::{State, Stored};

/// Everything that a supervisor holds.
pub(crate) struct World {
    pub folder: Folder,
    pub launcher: Launcher,
    pub ports: PortPool,
    objects: RefCell<BTreeMap<ResourceId, Stored>>,
    running: RefCell<BTreeMap<String, Rc<Workload>>>,
    ending: RefCell<Vec<Rc<Workload>>>,
}

impl World {
    pub fn new(folder: Folder, launcher: Launcher, state: State) -> Rc<Self> {
        let objects = state.objects.into_iter().map(|object| (object.id.clone(), object)).collect();
        Rc::new(Self {
            folder,
            launcher,
            ports: PortPool::default(),
            objects: RefCell::new(objects),
            running: RefCell::default(),
            ending: RefCell::default(),
        })
    }

    /// The entry of a resource that is there.
    pub fn stored(&self, id: &ResourceId) -> Option<Stored> {
        self.objects.borrow().get(id).filter(|object| object.exists(&self.folder)).cloned()
    }

    /// The entry with this uid.
    pub fn stored_as(&self, uid: &str) -> Option<Stored> {
        self.objects.borrow().values().find(|object| object.uid == uid).cloned()
    }

    /// Changes entries: on the disk first, so that a failure changes nothing.
    pub fn commit(&self, edit: impl FnOnce(&mut BTreeMap<ResourceId, Stored>)) -> io::Result<()> {
        let mut next = self.objects.borrow().clone();
        edit(&mut next);
        State::new(next.values().cloned().collect()).write(&self.folder)?;
        *self.objects.borrow_mut() = next;
        Ok(())
    }

    /// What runs under this uid.
    pub fn workload(&self, uid: &str) -> Option<Rc<Workload>> {
        self.running.borrow().get(uid).cloned()
    }

    pub fn insert(&self, workload: Rc<Workload>) {
        self.running.borrow_mut().insert(workload.site.uid.clone(), workload);
    }

    /// Ends what runs under this uid.
    pub fn end(&self, uid: &str) -> Option<Rc<Workload>> {
        let workload = self.running.borrow_mut().remove(uid)?;
        workload.end();
        self.ending.borrow_mut().push(workload.clone());
        Some(workload)
    }

    /// Ends everything that runs, and waits for it.
    pub async fn end_all(&self) {
        let uids: Vec<String> = self.running.borrow().keys().cloned().collect();
        uids.iter().for_each(|uid| drop(self.end(uid)));
        let ending = std::mem::take(&mut *self.ending.borrow_mut());
        for workload in ending {
            workload.ended().await;
        }
    }

    pub fn is_empty(&self) -> bool {
        !self.objects.borrow().values().any(|object| object.exists(&self.folder))
    }

    /// Which workload publishes a port.
    pub fn publisher(&self, number: u16) -> Option<Arc<str>> {
        let running = self.running.borrow();
        running.values().find(|w| w.spec().publish.values().any(|port| *port == number)).map(|w| w.site.name())
    }

    /// Everything that is there.
    pub fn seen_all(&self) -> Vec<SeenObject> {
        let ids: Vec<ResourceId> = self.objects.borrow().keys().cloned().collect();
        ids.iter().filter_map(|id| self.seen(id)).collect()
    }

    /// What is there under an id, as `observe` reports it and as fences see it.
    pub fn seen(&self, id: &ResourceId) -> Option<SeenObject> {
        let stored = self.stored(id)?;
        Some(match self.workload(&stored.uid) {
            Some(workload) => stored.seen(self.live_document(&stored, &workload), workload.rollout()),
            None => stored.seen(stored.document_at_rest(), RolloutState::Done),
        })
    }

    /// A running workload's document: what was applied, with what has changed since on the disk and around it.
    fn live_document(&self, stored: &Stored, workload: &Workload) -> Document {
        let mut changes = vec![];
        for (file, drift) in workload.drift() {
            let path = |part| Path::new(["files", file.as_str(), part]);
            match drift {
                Drift::Missing => changes.extend([(path("content"), None), (path("mode"), None)]),
                Drift::Mode(mode) => changes.push((path("mode"), Some(Leaf::Text(format!("{mode:04o}").into())))),
                Drift::Content(content) => {
                    let secret = matches!(stored.document.get(&path("content")), Some(Leaf::Secret { .. }));
                    // What has become of a secret may be another secret: only that it differs is told.
                    let leaf = if secret {
                        Leaf::Secret { text: None, fingerprint: None }
                    } else {
                        Leaf::Text(String::from_utf8_lossy(&content).into())
                    };
                    changes.push((path("content"), Some(leaf)));
                }
            }
        }
        let spec = workload.spec();
        for (name, uid) in &stored.mounts {
            // Its volume was removed, and perhaps made anew, under its feet.
            if !self.folder.volume(uid).is_dir() {
                let name = name.as_str();
                changes.extend(["path", "source", "access"].map(|part| (Path::new(["volumes", name, part]), None)));
            }
        }
        for used in &spec.uses {
            let now = self.objects.borrow().get(&used.of).and_then(|object| object.attributes().remove(&used.name));
            if now.is_none_or(|now| now != used.value) {
                let secret = matches!(stored.document.get(&used.path), Some(Leaf::Secret { .. }));
                // The address that it was given is nobody's any more.
                let leaf = if secret { Leaf::Secret { text: None, fingerprint: None } } else { Leaf::Unknown };
                changes.push((used.path.clone(), Some(leaf)));
            }
        }
        stored.document.with(changes)
    }

    /// How a resource is.
    pub fn health(&self, id: &ResourceId) -> Health {
        let Some(stored) = self.stored(id) else {
            return Health::missing(format!("there is no {} {}", id.kind, id.name));
        };
        match self.workload(&stored.uid) {
            Some(workload) => workload.health(),
            None if stored.is_volume() => Health { status: Status::Healthy, ..Health::missing("") },
            None => {
                let why = "it does not run: its supervisor was started anew, and has not been given it yet; apply again to start it";
                Health { status: Status::Failed, ..Health::missing(why) }
            }
        }
    }
}
