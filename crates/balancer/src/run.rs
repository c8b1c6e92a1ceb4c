//! A balancer by itself: its file says what it does.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::Instant;

use crate::configuration::{Configuration, ConfigurationError};
use crate::listeners::Listeners;
use crate::pool::{Backend, Pool};
use crate::target::Target;

/// At its end, connections that carry a request are waited for so long: less than the ten seconds that container engines
/// wait after SIGTERM.
const GRACE: Duration = Duration::from_secs(8);

/// A target that has left is waited for so long, until it may be told that nothing is lost with its end.
const DRAIN: Duration = Duration::from_secs(30);

/// Open files that are no connections: the standard streams, listeners, what the runtime and look-ups of names need.
const OTHER_FILES: u64 = 64;

/// Why a balancer does not run, or not as its file says.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// Its file cannot be used.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// It cannot listen where it should.
    #[error("listening on {listen}: {why}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// What went wrong.
        why: io::Error,
    },
    /// It cannot begin at all.
    #[error("starting the balancer: {0}")]
    Start(io::Error),
}

/// Runs a balancer until SIGTERM or SIGINT. It brings its own runtime.
///
/// Once it listens, it writes a line to standard error that begins with `ready`; and another each time SIGHUP has made it
/// read the file again. A file that cannot be used then changes nothing, and a line that begins with `unchanged` says why.
/// For each target that has left then, a line `drained: TARGET` follows as soon as none of its connections carries a
/// request, or half a minute later.
///
/// At the end it stops listening, waits at most eight seconds for what is being answered, and returns. A second signal
/// ends the wait.
///
/// # Errors
/// Where the file cannot be used at the start, or an address cannot be listened on.
pub fn run(configuration: &Path) -> Result<(), BalancerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BalancerError::Start)?;
    let result = LocalSet::new().block_on(&runtime, serve(configuration));
    // A look-up of a name that hangs must not keep the program from ending.
    runtime.shutdown_background();
    result
}

async fn serve(path: &Path) -> Result<(), BalancerError> {
    // First of all: a program with the id 1 does not get the signals that it does not ask for.
    let mut again = signal(SignalKind::hangup()).map_err(BalancerError::Start)?;
    let mut end = End::listen().map_err(BalancerError::Start)?;
    let mut balancer = Balancer { most: most_connections(), listeners: Listeners::default(), served: BTreeMap::new(), left: vec![] };
    say(&balancer.follow(&Configuration::read(path)?).await?);
    loop {
        tokio::select! {
            _ = again.recv() => match balancer.reread(path).await {
                Ok(what) => say(&what),
                Err(error) => say(&format!("unchanged: {error}")),
            },
            () = end.asked() => break,
        }
    }
    balancer.listeners.close();
    tokio::select! {
        () = balancer.drained() => {}
        () = end.asked() => {}
    }
    Ok(())
}

struct Balancer {
    /// How many connections the process can have.
    most: usize,
    listeners: Listeners<SocketAddr>,
    served: BTreeMap<SocketAddr, Served>,
    /// What is no target any more, and has connections.
    left: Vec<Rc<Backend>>,
}

/// What is behind one listener.
struct Served {
    /// Where it listens really: the file may leave the choice of the port to the kernel, with 0.
    address: SocketAddr,
    pool: Rc<Pool>,
    backends: BTreeMap<Target, Rc<Backend>>,
}

impl Balancer {
    async fn reread(&mut self, path: &Path) -> Result<String, BalancerError> {
        self.follow(&Configuration::read(path)?).await
    }

    /// Does what a configuration says, or nothing of it. Returns what to say about it.
    async fn follow(&mut self, wanted: &Configuration) -> Result<String, BalancerError> {
        let mut opened = vec![];
        for listen in wanted.listeners.iter().map(|listener| listener.listen).filter(|listen| !self.listeners.has(listen)) {
            let failed = |why| BalancerError::Listen { listen, why };
            let listener = TcpListener::bind(listen).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            opened.push((listen, address, listener));
        }
        self.left.retain(|backend| !backend.is_unused());
        let gone = |listen: &SocketAddr| !wanted.listeners.iter().any(|listener| listener.listen == *listen);
        for (_, served) in self.served.extract_if(.., |listen, _| gone(listen)) {
            self.left.extend(served.backends.into_values().inspect(tell_when_drained));
        }
        for (listen, address, listener) in opened {
            let pool = Rc::<Pool>::default();
            self.listeners.add(listen, listener, pool.clone());
            self.served.insert(listen, Served { address, pool, backends: BTreeMap::new() });
        }
        for listener in &wanted.listeners {
            let served = self.served.get_mut(&listener.listen);
            self.left.extend(served.into_iter().flat_map(|served| served.aim(&listener.targets)).inspect(tell_when_drained));
        }
        let served = &self.served;
        self.listeners.route(|listen| served.get(listen).map(|served| served.pool.clone()));
        let connections = wanted.connections.min(self.most);
        self.listeners.limit(connections);
        Ok(self.describe(connections))
    }

    fn describe(&self, connections: usize) -> String {
        let routes = self.served.values().map(|served| {
            let targets: Vec<String> = served.backends.keys().map(Target::to_string).collect();
            let targets = if targets.is_empty() { "nothing".to_owned() } else { targets.join(", ") };
            format!("{} to {targets}", served.address)
        });
        let routes: Vec<String> = routes.collect();
        let routes = if routes.is_empty() { "no listeners".to_owned() } else { routes.join("; ") };
        format!("ready: {routes}; at most {connections} connections")
    }

    /// Waits until no connection carries a request.
    async fn drained(&self) {
        // One that was accepted a moment ago gets to its target, where it is counted.
        yield_now().await;
        let until = Instant::now() + GRACE;
        for backend in self.served.values().flat_map(|served| served.backends.values()).chain(&self.left) {
            backend.drained(until.saturating_duration_since(Instant::now())).await;
        }
    }
}

impl Served {
    /// Sends to these targets and to no others. Returns those that leave.
    fn aim(&mut self, targets: &[Target]) -> Vec<Rc<Backend>> {
        for target in targets.iter().filter(|target| !self.backends.contains_key(target)).collect::<Vec<_>>() {
            let backend = Backend::new(target.clone());
            self.pool.add(&backend);
            self.backends.insert(target.clone(), backend);
        }
        let left: Vec<Rc<Backend>> = self.backends.extract_if(.., |target, _| !targets.contains(target)).map(|(_, left)| left).collect();
        left.iter().for_each(|backend| self.pool.remove(backend));
        left
    }
}

/// Says when nothing is lost with the end of a target that has left: whoever runs it waits for that.
fn tell_when_drained(left: &Rc<Backend>) {
    let left = left.clone();
    spawn_local(async move {
        left.drained(DRAIN).await;
        say(&format!("drained: {}", left.target()));
    });
}

/// The signals that end it.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// As many connections as this process may have open files for: two each.
fn most_connections() -> usize {
    // As many as it may have: what holds it to fewer is there for programs that use select(2), and it starts none.
    let allowed = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) => setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_or(soft, |()| hard),
        Err(_) => 1024,
    };
    usize::try_from(allowed.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX).max(1)
}

/// One line. Where nobody takes it, there is nobody to tell.
fn say(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}
