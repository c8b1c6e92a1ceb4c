//! The targets behind one port, and which of them gets the next connection.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use crate::target::Target;

/// How long a connection waits for a target that can take it: a crash and its restart pass unseen.
pub(crate) const HOLD: Duration = Duration::from_secs(5);

/// How long a target may take to be found by its name and to accept.
const CONNECT: Duration = Duration::from_secs(1);

/// A target that did not take a connection comes after all others for this long: without it, being the one with the
/// fewest connections, it would be asked first each time.
const AVOID: Duration = Duration::from_secs(5);

/// After an answer, a connection that has been silent for this long carries no request: nothing is lost when it ends.
pub(crate) const QUIET: Duration = Duration::from_millis(500);

/// The targets behind one port.
#[derive(Default)]
pub struct Pool {
    backends: RefCell<Vec<Rc<Backend>>>,
    changed: Notify,
}

/// A target with the connections that it has.
pub struct Backend {
    target: Target,
    connections: RefCell<BTreeMap<u64, Rc<Activity>>>,
    next: Cell<u64>,
    refused: Cell<Option<Instant>>,
    changed: Notify,
}

/// What went over a connection last.
pub(crate) struct Activity {
    at: Cell<Instant>,
    answered: Cell<bool>,
}

impl Activity {
    /// Something was read: from the server, or from the client.
    pub fn read(&self, from_server: bool) {
        self.at.set(Instant::now());
        self.answered.set(from_server);
    }
}

impl Backend {
    /// A target that has no connections yet.
    pub fn new(target: Target) -> Rc<Self> {
        let (connections, next, refused) = (RefCell::default(), Cell::new(0), Cell::new(None));
        Rc::new(Self { target, connections, next, refused, changed: Notify::new() })
    }

    pub(crate) fn open(self: &Rc<Self>) -> Connection {
        let activity = Rc::new(Activity { at: Cell::new(Instant::now()), answered: Cell::new(false) });
        let id = self.next.get();
        self.next.set(id + 1);
        self.connections.borrow_mut().insert(id, activity.clone());
        Connection { backend: self.clone(), id, activity }
    }

    /// Where its connections go.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether it has no connections.
    pub fn is_unused(&self) -> bool {
        self.connections.borrow().is_empty()
    }

    fn is_avoided(&self) -> bool {
        self.refused.get().is_some_and(|at| at.elapsed() < AVOID)
    }

    /// Waits until no connection carries a request, at most for `grace`.
    pub async fn drained(&self, grace: Duration) {
        let quiet = |a: &Rc<Activity>| a.answered.get() && a.at.get().elapsed() >= QUIET;
        let wait = async {
            while !self.connections.borrow().values().all(quiet) {
                drop(timeout(QUIET / 5, self.changed.notified()).await);
            }
        };
        drop(timeout(grace, wait).await);
    }
}

/// A connection to a backend; counted while it lives.
pub(crate) struct Connection {
    backend: Rc<Backend>,
    id: u64,
    pub activity: Rc<Activity>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.backend.connections.borrow_mut().remove(&self.id);
        self.backend.changed.notify_one();
    }
}

impl Pool {
    /// From now on it gets connections.
    pub fn add(&self, backend: &Rc<Backend>) {
        self.remove(backend);
        self.backends.borrow_mut().push(backend.clone());
        self.changed.notify_waiters();
    }

    /// From now on it gets no new ones.
    pub fn remove(&self, backend: &Rc<Backend>) {
        self.backends.borrow_mut().retain(|b| !Rc::ptr_eq(b, backend));
    }

    /// The one with the fewest connections, but for those that were tried. It is counted before anything else can run,
    /// so that a backend which is removed later still waits for this connection.
    fn choose(&self, tried: &[Rc<Backend>]) -> Option<Connection> {
        let mut backends = self.backends.borrow_mut();
        let untried = backends.iter().enumerate().filter(|(_, b)| !tried.iter().any(|t| Rc::ptr_eq(t, b)));
        let (at, _) = untried.min_by_key(|(_, b)| (b.is_avoided(), b.connections.borrow().len()))?;
        // To the end, so that those with as few connections take turns.
        let chosen = backends.remove(at);
        backends.push(chosen.clone());
        Some(chosen.open())
    }

    /// A connection to one of the targets; None where none takes it in time.
    pub(crate) async fn connect(&self) -> Option<(Connection, TcpStream)> {
        let deadline = Instant::now() + HOLD;
        let mut tried = vec![];
        loop {
            let changed = self.changed.notified();
            while let Some(connection) = self.choose(&tried) {
                let backend = connection.backend.clone();
                let why = match timeout(CONNECT, backend.target.connect()).await {
                    Ok(Ok(stream)) => {
                        backend.refused.set(None);
                        return Some((connection, stream));
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("it did not accept within {} s", CONNECT.as_secs()),
                };
                tracing::debug!(target = %backend.target, why, "a target did not take a connection");
                backend.refused.set(Some(Instant::now()));
                tried.push(backend);
            }
            // One that refused may be starting again: it is worth another try after a moment.
            let moment = Instant::now() + Duration::from_millis(100);
            drop(timeout_at(moment.min(deadline), changed).await);
            tried.clear();
            if Instant::now() >= deadline {
                return None;
            }
        }
    }
}
