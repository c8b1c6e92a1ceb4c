//! Where connections come from, and how many there may be.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use crate::pool::Pool;
use crate::proxy::proxy;

/// After a failure to accept (no descriptor is left), this long is waited.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Open listeners, by what their user knows them by: each leads to a pool. Without a limit of their own, the process's
/// open files are the limit.
pub struct Listeners<K: Ord> {
    routes: RefCell<BTreeMap<K, Route>>,
    slots: Rc<Slots>,
}

/// One of them. Where it leads can change while it is open, so that two names can exchange their published ports.
struct Route {
    to: Rc<RefCell<Rc<Pool>>>,
    task: JoinHandle<()>,
}

impl<K: Ord> Default for Listeners<K> {
    fn default() -> Self {
        let slots = Slots { limit: Cell::new(usize::MAX), taken: Cell::new(0), freed: Notify::new() };
        Self { routes: RefCell::default(), slots: Rc::new(slots) }
    }
}

impl<K: Ord> Listeners<K> {
    /// From now on no more than this many connections are there at once. Those that are there already stay, and what
    /// comes at the limit waits: one connection for each listener, and further ones in the kernel's queue.
    pub fn limit(&self, connections: usize) {
        self.slots.limit.set(connections);
        self.slots.freed.notify_waiters();
    }

    /// Whether it is open.
    pub fn has(&self, key: &K) -> bool {
        self.routes.borrow().contains_key(key)
    }

    /// Accepts on a bound listener.
    pub fn add(&self, key: K, listener: TcpListener, pool: Rc<Pool>) {
        let to = Rc::new(RefCell::new(pool));
        let task = spawn_local(accept(listener, to.clone(), self.slots.clone()));
        self.routes.borrow_mut().insert(key, Route { to, task });
    }

    /// Leads to where `pool` says, and stops accepting where it says nothing. Connections go on.
    pub fn route(&self, pool: impl Fn(&K) -> Option<Rc<Pool>>) {
        self.routes.borrow_mut().retain(|key, route| {
            let to = pool(key);
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

impl<K: Ord> Drop for Listeners<K> {
    fn drop(&mut self) {
        self.close();
    }
}

async fn accept(listener: TcpListener, to: Rc<RefCell<Rc<Pool>>>, slots: Rc<Slots>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let slot = slots.take().await;
                let pool = to.borrow().clone();
                drop(spawn_local(async move {
                    proxy(client, pool).await;
                    drop(slot);
                }));
            }
            Err(_) => sleep(ACCEPT_AGAIN).await,
        }
    }
}

/// The places for connections.
struct Slots {
    limit: Cell<usize>,
    taken: Cell<usize>,
    freed: Notify,
}

/// One place, until it is dropped.
struct Slot(Rc<Slots>);

impl Slots {
    async fn take(self: &Rc<Self>) -> Slot {
        if self.taken.get() >= self.limit.get() {
            tracing::warn!(connections = self.taken.get(), "the limit is reached: connections wait until one ends");
        }
        while self.taken.get() >= self.limit.get() {
            self.freed.notified().await;
        }
        self.taken.set(self.taken.get() + 1);
        Slot(self.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.set(self.0.taken.get() - 1);
        // Each listener has at most one that waits, and only one of them gets the place.
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::task::LocalSet;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::pool::{Backend, HOLD, QUIET};
    use crate::target::Target;

    fn backend(listener: &TcpListener) -> Rc<Backend> {
        Backend::new(Target::new("127.0.0.1", listener.local_addr().unwrap().port()))
    }

    /// A server that answers every byte with its letter, and the backend for it.
    async fn server(letter: u8) -> Rc<Backend> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let backend = backend(&listener);
        spawn_local(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                spawn_local(async move { while client.read_u8().await.is_ok() && client.write_u8(letter).await.is_ok() {} });
            }
        });
        backend
    }

    async fn open(pool: &Rc<Pool>) -> (Listeners<u16>, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (number, listeners) = (listener.local_addr().unwrap().port(), Listeners::<u16>::default());
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
                backend(&listener)
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
