//! What the instances of one workload have in common.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Notify, broadcast};

use super::ports::PortPool;
use super::process::Launcher;
use crate::folder::Folder;
use crate::protocol::WireLine;
use stratos_balancer::Pool;

/// How many lines a slow reader of logs may be behind before it loses some.
const LINES: usize = 4096;

/// What the instances of one workload have in common.
pub(crate) struct Site {
    pub uid: String,
    pub folder: Folder,
    pub launcher: Launcher,
    pub ports: PortPool,
    /// Where commands start; a folder of the instance where None.
    pub directory: RefCell<Option<PathBuf>>,
    /// Told whenever an instance has changed.
    pub wake: Notify,
    /// Every line of every instance, as it comes.
    pub lines: broadcast::Sender<WireLine>,
    name: RefCell<Arc<str>>,
    pools: RefCell<BTreeMap<String, Rc<Pool>>>,
}

impl Site {
    pub fn new(uid: &str, name: &Arc<str>, folder: Folder, launcher: Launcher, ports: PortPool) -> Rc<Self> {
        Rc::new(Self {
            uid: uid.to_owned(),
            folder,
            launcher,
            ports,
            directory: RefCell::default(),
            wake: Notify::new(),
            lines: broadcast::channel(LINES).0,
            name: RefCell::new(name.clone()),
            pools: RefCell::default(),
        })
    }

    /// The workload's live name, which a rename changes while instances run.
    pub fn name(&self) -> Arc<str> {
        self.name.borrow().clone()
    }

    pub fn rename(&self, name: &Arc<str>) {
        *self.name.borrow_mut() = name.clone();
    }

    /// The instances behind a port.
    pub fn pool(&self, port: &str) -> Rc<Pool> {
        self.pools.borrow_mut().entry(port.to_owned()).or_default().clone()
    }
}
