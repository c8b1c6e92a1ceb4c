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
pub(crate) struct Listeners(RefCell<BTreeMap<u16, Route>>);

/// One of them. Where it leads can change while it is open, so that two names can exchange their published ports.
struct Route {
    to: Rc<RefCell<Rc<Pool>>>,
    task: JoinHandle<()>,
}

impl Listeners {
    /// Whether it is open.
    pub fn has(&self, number: u16) -> bool {
        self.0.borrow().contains_key(&number)
    }

    /// Accepts on a bound listener.
    pub fn add(&self, number: u16, listener: TcpListener, pool: Rc<Pool>) {
        let to = Rc::new(RefCell::new(pool));
        let route = to.clone();
        let task = spawn_local(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => {
                        let pool = route.borrow().clone();
                        drop(spawn_local(proxy(client, pool)));
                    }
                    Err(_) => sleep(ACCEPT_AGAIN).await,
                }
            }
        });
        self.0.borrow_mut().insert(number, Route { to, task });
    }

    /// Leads to where `pool` says, and stops accepting where it says nothing. Connections go on.
    pub fn route(&self, pool: impl Fn(u16) -> Option<Rc<Pool>>) {
        self.0.borrow_mut().retain(|number, route| {
            let to = pool(*number);
            match &to {
                Some(pool) => drop(route.to.replace(pool.clone())),
                None => route.task.abort(),
            }
            to.is_some()
        });
    }

    /// Stops accepting at all.
    pub fn close(&self) {
        self.route(|_| None);
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::LocalSet;

    use super::*;

    /// A server that answers every byte with its letter, and the backend for it.
    async fn server(letter: u8) -> Rc<Backend> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let backend = Backend::new(listener.local_addr().unwrap().port());
        spawn_local(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                spawn_local(async move { while client.read_u8().await.is_ok() && client.write_u8(letter).await.is_ok() {} });
            }
        });
        backend
    }

    async fn open(pool: &Rc<Pool>) -> (Listeners, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (number, listeners) = (listener.local_addr().unwrap().port(), Listeners::default());
        listeners.add(number, listener, pool.clone());
        (listeners, number)
    }

    async fn ask(stream: &mut TcpStream) -> u8 {
        stream.write_u8(b'?').await.unwrap();
        stream.read_u8().await.unwrap()
    }

    async fn connect(number: u16) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, number)).await.unwrap()
    }

    #[tokio::test]
    async fn connections_go_where_the_fewest_are_and_past_what_refuses() {
        let test = async {
            let pool = Rc::new(Pool::default());
            let (_listeners, number) = open(&pool).await;
            let dead = {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                Backend::new(listener.local_addr().unwrap().port())
            };
            let (a, b) = (server(b'a').await, server(b'b').await);
            [&dead, &a, &b].into_iter().for_each(|backend| pool.add(backend));
            let (mut one, mut two) = (connect(number).await, connect(number).await);
            let mut answers = [ask(&mut one).await, ask(&mut two).await];
            answers.sort_unstable();
            assert_eq!(answers, [b'a', b'b']);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_connection_waits_for_an_instance_that_is_about_to_be_ready() {
        let test = async {
            let pool = Rc::new(Pool::default());
            let (_listeners, number) = open(&pool).await;
            let mut stream = connect(number).await;
            stream.write_u8(b'?').await.unwrap();
            pool.add(&server(b'a').await);
            assert_eq!(stream.read_u8().await.unwrap(), b'a');
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn a_connection_that_nobody_takes_is_closed_in_the_end() {
        let test = async {
            let (_listeners, number) = open(&Rc::default()).await;
            let mut stream = connect(number).await;
            let ended = timeout(HOLD * 3, stream.read_u8()).await;
            assert!(ended.expect("it ends").is_err());
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn draining_waits_for_an_answer_and_not_for_an_idle_connection() {
        let test = async {
            let pool = Rc::new(Pool::default());
            let (_listeners, number) = open(&pool).await;
            let backend = server(b'a').await;
            pool.add(&backend);
            let mut stream = connect(number).await;
            assert_eq!(ask(&mut stream).await, b'a');
            let far = HOLD * 10;
            timeout(HOLD, backend.drained(far)).await.expect("it is idle, and still open");

            // One that has asked and has no answer yet is waited for, as long as there is time.
            backend.open();
            let asked = backend.open();
            let began = Instant::now();
            backend.drained(QUIET * 2).await;
            assert!(began.elapsed() >= QUIET * 2);
            drop(asked);
            timeout(HOLD, backend.drained(far)).await.expect("the last one has gone");
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn an_open_port_can_lead_elsewhere_and_be_closed() {
        let test = async {
            let (one, other) = (Rc::new(Pool::default()), Rc::new(Pool::default()));
            let (listeners, number) = open(&one).await;
            one.add(&server(b'a').await);
            other.add(&server(b'b').await);
            assert_eq!(ask(&mut connect(number).await).await, b'a');
            listeners.route(|_| Some(other.clone()));
            assert_eq!(ask(&mut connect(number).await).await, b'b');
            listeners.close();
            tokio::task::yield_now().await;
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, number)).await.is_err());
        };
        LocalSet::new().run_until(test).await;
    }
}
