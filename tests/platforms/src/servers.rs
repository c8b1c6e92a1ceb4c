//! The servers that test programs share: one process starts them, and tells the others by an environment variable.

use std::path::{Path, PathBuf};

use crate::engine::{start_engine, swarm_of};
use crate::{Cluster, Engines};

/// Names a folder with a file for each server that is up: `<folder of the server> <third number of its subnets>`.
pub const VARIABLE: &str = "STRATOS_TEST_SERVERS";

/// A server that test programs can share.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    Cluster,
    Api,
    Swarm,
    Engine,
}

/// Where a server is that runs on this machine.
pub(crate) struct Address {
    pub folder: PathBuf,
    pub subnet: u8,
}

impl Server {
    fn file(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Cluster => "cluster",
            Self::Api => "api",
            Self::Swarm => "swarm",
            Self::Engine => "engine",
        })
    }

    /// Where it runs already, for the processes that share it.
    pub fn running(self) -> Option<Address> {
        let file = self.file(Path::new(&std::env::var_os(VARIABLE)?));
        let line = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{VARIABLE}: {}: {error}", file.display()));
        let (folder, subnet) = line.trim_end().rsplit_once(' ').expect("a folder and a number");
        Some(Address { folder: folder.into(), subnet: subnet.parse().expect("a number below 256") })
    }
}

/// All of them. They end with this value, or with the process.
pub struct Servers {
    folder: tempfile::TempDir,
    _clusters: [Cluster; 2],
    _engines: [Engines; 2],
}

impl Servers {
    /// Starts all of them at the same time.
    ///
    /// # Panics
    /// When one does not start.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("st").tempdir().expect("a temporary folder");
        let (clusters, engines) = std::thread::scope(|scope| {
            let whole = scope.spawn(Cluster::start);
            let api = scope.spawn(Cluster::start_api_only);
            let swarm = scope.spawn(|| swarm_of(1));
            let engine = scope.spawn(start_engine);
            ([whole, api].map(started), [swarm, engine].map(started))
        });
        let [whole, api] = &clusters;
        let [swarm, engine] = &engines;
        for (server, address) in [
            (Server::Cluster, whole.address()),
            (Server::Api, api.address()),
            (Server::Swarm, Some(swarm.place())),
            (Server::Engine, Some(engine.place())),
        ] {
            let Address { folder: place, subnet } = address.expect("it was started here");
            std::fs::write(server.file(folder.path()), format!("{} {subnet}", place.display())).expect("a file in the temporary folder");
        }
        Self { folder, _clusters: clusters, _engines: engines }
    }

    /// The value of [`VARIABLE`] for processes that share them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn started<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
