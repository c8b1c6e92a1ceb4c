//! Docker engines, each in a network namespace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::keeper::Keeper;
use crate::servers::{Address, Server};

/// What it needs, beside root: `.ci/run` installs it.
const NEEDS: &str = "needs root, and Debian's packages docker.io, docker-registry, busybox-static, iproute2, iptables";

/// One engine or several, and a registry that they can all reach.
pub struct Engines {
    folder: PathBuf,
    subnet: u8,
    /// It is there where this process started the engines.
    keeper: Option<Keeper>,
}

impl Engines {
    /// Starts engines that know nothing of each other yet.
    ///
    /// # Panics
    /// When they do not start: a test that needs them has failed.
    pub fn start(count: usize) -> Self {
        Self::start_with(&vec![Vec::new(); count])
    }

    /// Starts an engine for each list of further options of `dockerd`.
    ///
    /// # Panics
    /// When they do not start: a test that needs them has failed.
    pub fn start_with(options: &[Vec<String>]) -> Self {
        let count = options.len();
        for subnet in 0..=255u8 {
            let folder = tempfile::Builder::new().prefix("st").tempdir().expect("a temporary folder").keep();
            for (engine, options) in options.iter().enumerate() {
                let lines: String = options.iter().map(|word| format!("{word}\n")).collect();
                std::fs::write(folder.join(format!("{engine}.options")), lines).expect("a file in the temporary folder");
            }
            match Self::start_in(&folder, subnet, count) {
                Ok(engines) => return engines,
                // Another test has the subnet.
                Err(log) if log.contains("File exists") => drop(std::fs::remove_dir_all(&folder)),
                Err(log) => panic!("no Docker engine for the tests ({NEEDS}): {log}"),
            }
        }
        panic!("all of 10.213.0.0/16 is taken by other tests");
    }

    fn start_in(folder: &Path, subnet: u8, count: usize) -> Result<Self, String> {
        let keeper = Keeper::start("engines.sh", folder, &[&subnet.to_string(), &count.to_string()])?;
        Ok(Self { folder: folder.to_owned(), subnet, keeper: Some(keeper) })
    }

    fn attached(at: Address) -> Self {
        Self { folder: at.folder, subnet: at.subnet, keeper: None }
    }

    pub(crate) fn place(&self) -> Address {
        Address { folder: self.folder.clone(), subnet: self.subnet }
    }

    fn keeper(&self) -> &Keeper {
        self.keeper.as_ref().expect("this needs engines of its own: Engines::start")
    }

    /// The socket of an engine.
    pub fn socket(&self, engine: usize) -> PathBuf {
        self.folder.join(format!("{engine}.sock"))
    }

    /// What `docker -H` and a manifest's `url` take.
    pub fn url(&self, engine: usize) -> String {
        format!("unix://{}", self.socket(engine).display())
    }

    /// Where what an engine publishes is reached from here.
    pub fn address(&self, engine: usize) -> String {
        format!("10.213.{}.{}", self.subnet, 10 + engine)
    }

    /// The registry, `address:port`, as it stands in the names of its images. It speaks plain HTTP.
    pub fn registry(&self) -> String {
        format!("10.213.{}.1:5000", self.subnet)
    }

    /// Runs the Docker command line on an engine.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn try_docker<S: AsRef<str>>(&self, engine: usize, arguments: &[S]) -> Output {
        let arguments = arguments.iter().map(AsRef::as_ref);
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.url(engine)).env_remove("DOCKER_CONTEXT").args(arguments).stdin(Stdio::null());
        command.output().unwrap_or_else(|error| panic!("docker ({NEEDS}): {error}"))
    }

    /// The same, which must succeed: what it prints, without the last line end.
    ///
    /// # Panics
    /// When it fails.
    pub fn docker<S: AsRef<str>>(&self, engine: usize, arguments: &[S]) -> String {
        let output = self.try_docker(engine, arguments);
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        assert!(output.status.success(), "docker {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Takes an engine away, as a power cut would: it and what it runs are killed.
    ///
    /// # Panics
    /// When it was not there.
    pub fn kill(&self, engine: usize) {
        self.keeper().tell(&format!("stop {engine}"), "stopped");
    }

    /// Brings an engine back that was taken away, with all that is on its disk.
    ///
    /// # Panics
    /// When it does not start.
    pub fn revive(&self, engine: usize) {
        self.keeper().tell(&format!("start {engine}"), "started");
    }

    /// Makes one swarm of them: engine 0 first, all of them managers.
    ///
    /// # Panics
    /// When one cannot join.
    pub fn form_swarm(&self, count: usize) {
        let address = self.address(0);
        // A node that is lost is missed after a few seconds, and not after 20.
        let heartbeat = ["--dispatcher-heartbeat", "1s"];
        // A manager of 20.10 ends by itself where it forgets a task in the moment in which the task's service is deleted. It forgets
        // none before it has this many for an instance; by default it does after five.
        let history = ["--task-history-limit", "1000"];
        let init = ["swarm", "init", "--advertise-addr", &address];
        self.docker(0, &[&init[..], &heartbeat, &history].concat());
        let token = self.docker(0, &["swarm", "join-token", "--quiet", "manager"]);
        for engine in 1..count {
            let manager = format!("{}:2377", self.address(0));
            self.docker(engine, &["swarm", "join", "--token", &token, "--advertise-addr", &self.address(engine), &manager]);
        }
    }
}

/// One engine in swarm mode for all tests, with the images of `image` in its registry: that of the [`Servers`](crate::Servers)
/// that are up, or one that this process starts.
///
/// # Panics
/// When it does not start.
pub fn shared_swarm() -> &'static Engines {
    static SHARED: OnceLock<Engines> = OnceLock::new();
    SHARED.get_or_init(|| Server::Swarm.running().map_or_else(|| swarm_of(1), Engines::attached))
}

/// Two engines that are one swarm, for all tests of this process, with the images of `image` on both.
///
/// # Panics
/// When one does not start.
pub fn shared_swarm_of_two() -> &'static Engines {
    static SHARED: OnceLock<Engines> = OnceLock::new();
    SHARED.get_or_init(|| swarm_of(2))
}

/// One plain engine for all tests, with the same images.
///
/// # Panics
/// When it does not start.
pub fn shared_engine() -> &'static Engines {
    static SHARED: OnceLock<Engines> = OnceLock::new();
    SHARED.get_or_init(|| Server::Engine.running().map_or_else(start_engine, Engines::attached))
}

/// A swarm of its own, with the images of `image` on each node.
///
/// # Panics
/// When an engine does not start.
pub fn swarm_of(count: usize) -> Engines {
    let engines = Engines::start(count);
    engines.form_swarm(count);
    crate::image::build(&engines, 0);
    for engine in 1..count {
        crate::image::pull(&engines, engine);
    }
    engines
}

pub(crate) fn start_engine() -> Engines {
    let engines = Engines::start(1);
    crate::image::build(&engines, 0);
    engines
}
