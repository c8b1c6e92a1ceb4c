//! A TCP proxy for each port of a workload: to the healthy instance with the fewest connections.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long a connection waits for an instance that can take it: a crash and its restart pass unseen.
const HOLD: Duration = Duration::from_secs(5);

/// How long an instance on this machine may take to accept.
const CONNECT: Duration = Duration::from_secs(1);

/// After an answer, a connection that has been silent for this long carries no request: nothing is lost when it ends.
const QUIET: Duration = Duration::from_millis(500);

/// After a failure to accept (no descriptor is left), this long is waited.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// The instances behind one port of a workload.
#[derive(Default)]
pub(crate) struct Pool {
    backends: RefCell<Vec<Rc<Backend>>>,
    changed: Notify,
}

/// One instance's port.
pub(crate) struct Backend {
    port: u16,
    connections: RefCell<BTreeMap<u64, Rc<Activity>>>,
    next: Cell<u64>,
    changed: Notify,
}

/// What went over a connection last.
struct Activity {
    at: Cell<Instant>,
    answered: Cell<bool>,
}

impl Backend {
    pub fn new(port: u16) -> Rc<Self> {
        Rc::new(Self { port, connections: RefCell::default(), next: Cell::new(0), changed: Notify::new() })
    }

    fn open(self: &Rc<Self>) -> Connection {
        let activity = Rc::new(Activity { at: Cell::new(Instant::now()), answered: Cell::new(false) });
        let id = self.next.get();
        self.next.set(id + 1);
        self.connections.borrow_mut().insert(id, activity.clone());
        Connection { backend: self.clone(), id, activity }
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
struct Connection {
    backend: Rc<Backend>,
    id: u64,
    activity: Rc<Activity>,
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
        let backends = self.backends.borrow();
        let untried = backends.iter().filter(|b| !tried.iter().any(|t| Rc::ptr_eq(t, b)));
        untried.min_by_key(|b| b.connections.borrow().len()).map(Backend::open)
    }

    async fn connect(&self) -> Option<(Connection, TcpStream)> {
        let deadline = Instant::now() + HOLD;
        let mut tried = vec![];
        loop {
            let changed = self.changed.notified();
            while let Some(connection) = self.choose(&tried) {
                match timeout(CONNECT, TcpStream::connect((Ipv4Addr::LOCALHOST, connection.backend.port))).await {
                    Ok(Ok(stream)) => return Some((connection, stream)),
                    _ => tried.push(connection.backend.clone()),
                }
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

/// Reads from a stream, and remembers that it did.
struct Watched<'a> {
    stream: TcpStream,
    activity: &'a Activity,
    is_server: bool,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.at.set(Instant::now());
            self.activity.answered.set(self.is_server);
        }
        polled
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

async fn proxy(client: TcpStream, pool: Rc<Pool>) {
    let Some((connection, server)) = pool.connect().await else { return };
    // Small messages must not wait for each other on their way through.
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let mut client = Watched { stream: client, activity: &connection.activity, is_server: false };
    let mut server = Watched { stream: server, activity: &connection.activity, is_server: true };
    // A side that breaks off ends the connection, which the other side then sees: there is nobody else to tell.
    drop(copy_bidirectional(&mut client, &mut server).await);
}

/// The listeners of a workload: which port of the machine leads to which pool.
#[derive(Default)]
pub(crate) struct Listeners(RefCell<BTreeMap<(String, u16), JoinHandle<()>>>);

impl Listeners {
    /// Whether this port of the machine leads to this port of the workload already.
    pub fn has(&self, name: &str, number: u16) -> bool {
        self.0.borrow().contains_key(&(name.to_owned(), number))
    }

    /// Accepts on a bound listener.
    pub fn add(&self, name: &str, number: u16, listener: TcpListener, pool: Rc<Pool>) {
        let task = spawn_local(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => drop(spawn_local(proxy(client, pool.clone()))),
                    Err(_) => sleep(ACCEPT_AGAIN).await,
                }
            }
        });
        self.0.borrow_mut().insert((name.to_owned(), number), task);
    }

    /// Stops accepting on what is not kept. Connections go on.
    pub fn keep(&self, keep: impl Fn(&str, u16) -> bool) {
        self.0.borrow_mut().retain(|(name, number), task| {
            let keep = keep(name, *number);
            if !keep {
                task.abort();
            }
            keep
        });
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.keep(|_, _| false);
    }
}
