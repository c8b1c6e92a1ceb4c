//! Stands between a client and its server: counts requests, refuses some, cuts the line, and tells when the client is to be
//! killed. One set of rules serves a Docker engine's socket, an API server, and the socket of a supervisor.

mod http;
mod lines;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::{Method, Response, Uri};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::wait::eventually_async;

/// On which side of a request its client is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server has not got the request.
    Before,
    /// The server has answered, and the client has not got the answer.
    After,
}

/// A fault: an answer in place of the server's, or another request in place of this one (by changing its address).
pub type Fault = dyn FnMut(&Method, &mut Uri) -> Option<Response<Body>> + Send;

/// A server in front of another one. It ends with this value, or with the test.
pub struct FaultProxy {
    entrance: Entrance,
    rules: Arc<Rules>,
}

enum Entrance {
    /// A socket of its own in a folder.
    Socket { folder: TempDir, _server: http::Server },
    /// A port of this machine.
    Port { address: SocketAddr, _server: http::Server },
    /// The place of the server's own socket, which has been moved away.
    Moved(lines::Moved),
}

impl FaultProxy {
    /// Lets the client die at its write with this number, counted from 0. Reads are not counted: before and after a read the
    /// world is the same. Nor are dry runs.
    pub fn kill_at(&self, write: usize, side: Side) {
        *lock(&self.rules.death) = Some((write, side));
    }

    /// The socket to connect to.
    ///
    /// # Panics
    /// When this is a proxy with a port.
    pub fn socket(&self) -> PathBuf {
        match &self.entrance {
            Entrance::Socket { folder, .. } => folder.path().join("sock"),
            Entrance::Moved(moved) => moved.socket.clone(),
            Entrance::Port { address, .. } => panic!("this proxy listens on {address}"),
        }
    }

    /// The address to connect to.
    ///
    /// # Panics
    /// When this is a proxy with a socket.
    pub fn url(&self) -> String {
        match &self.entrance {
            Entrance::Port { address, .. } => format!("http://{address}/"),
            Entrance::Socket { .. } | Entrance::Moved(_) => panic!("this proxy listens on {}", self.socket().display()),
        }
    }

    /// Lets nothing through from now on, or everything again.
    pub fn cut(&self, cut: bool) {
        self.rules.cut.store(cut, Ordering::SeqCst);
    }

    /// Refuses reads of paths that hold one of these, and of no others.
    pub fn refuse<S: AsRef<str>>(&self, paths: &[S]) {
        *lock(&self.rules.refused) = paths.iter().map(|path| path.as_ref().to_owned()).collect();
    }

    /// From now on this happens to each request. It may take its time.
    pub fn fault(&self, fault: impl FnMut(&Method, &mut Uri) -> Option<Response<Body>> + Send + 'static) {
        *lock(&self.rules.fault) = Some(Box::new(fault));
    }

    /// Ends when the client is to be dead.
    pub async fn died(&self) {
        self.rules.died.notified().await;
    }

    /// Whether the client came to the write at which it dies.
    pub fn is_dead(&self) -> bool {
        self.rules.dead.load(Ordering::SeqCst)
    }

    /// How many requests were under way at once, at most.
    pub fn most(&self) -> usize {
        self.rules.most.load(Ordering::SeqCst)
    }

    /// The requests since the last time: `GET /api/v1/pods?limit=500`.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.rules.seen))
    }

    /// Waits until nothing of the client is under way any more.
    pub async fn settle(&self) {
        eventually_async("the end of all requests of a dead process", async || self.rules.open.load(Ordering::SeqCst) == 0).await;
    }
}

/// The faults that requests meet, and counts of requests.
#[derive(Default)]
struct Rules {
    /// Nothing gets through.
    cut: AtomicBool,
    /// Reads of paths that hold one of these are refused.
    refused: Mutex<Vec<String>>,
    /// The client dies at this write.
    death: Mutex<Option<(usize, Side)>>,
    dead: AtomicBool,
    died: Notify,
    writes: AtomicUsize,
    open: AtomicUsize,
    /// So many requests were under way at once.
    most: AtomicUsize,
    /// The fault of a test's own, for each request.
    fault: Mutex<Option<Box<Fault>>>,
    /// The requests: method, path and query.
    seen: Mutex<Vec<String>>,
}

impl Rules {
    fn begin(&self, request: String) {
        self.most.fetch_max(self.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        lock(&self.seen).push(request);
    }

    fn end(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Counts a write. The side of it on which the client dies, if it does.
    fn dies_at_this_write(&self) -> Option<Side> {
        let write = self.writes.fetch_add(1, Ordering::SeqCst);
        lock(&self.death).filter(|(at, _)| *at == write).map(|(_, side)| side)
    }

    fn die(&self) {
        self.cut.store(true, Ordering::SeqCst);
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }
}

/// A test that has failed meanwhile does not make others fail.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
