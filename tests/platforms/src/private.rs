//! A registry that wants to know who asks.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use crate::Engines;

/// The user of the registry.
pub const USER: &str = "ada";
/// The user's password. No error may hold it.
pub const PASSWORD: &str = "hunter2";
/// bcrypt of [`PASSWORD`].
const HTPASSWD: &str = "ada:$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8.\n";

/// A registry beside the engines' own, for [`USER`] with [`PASSWORD`]. It ends with this value.
pub struct PrivateRegistry {
    process: Child,
    folder: TempDir,
    address: String,
}

impl PrivateRegistry {
    /// Starts one that these engines reach.
    ///
    /// # Panics
    /// When it does not start: a test that needs it has failed.
    pub fn start(engines: &Engines) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().display().to_string();
        let registry = engines.registry();
        let host = registry.split(':').next().unwrap_or_default();
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD).expect("a file in the temporary folder");
        let settings = format!(
            "version: 0.1\nlog: {{ formatter: text }}\nstorage: {{ filesystem: {{ rootdirectory: {path}/data }} }}\n\
             http: {{ addr: \"{host}:0\", secret: test }}\nauth: {{ htpasswd: {{ realm: test, path: {path}/htpasswd }} }}\n"
        );
        let file = folder.path().join("registry.yml");
        std::fs::write(&file, settings).expect("a file in the temporary folder");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("docker-registry (Debian's package of that name): {error}"));
        let log = BufReader::new(process.stderr.take().expect("its log"));
        let (found, port) = mpsc::channel();
        // It reads to the end, so that the registry can always write.
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                if let Some((_, listening)) = line.split_once("listening on ") {
                    let address = listening.split(['"', ',']).next().unwrap_or_default();
                    let _ = found.send(address.to_owned());
                }
            }
        });
        let address = port.recv_timeout(Duration::from_secs(60)).expect("docker-registry listens");
        Self { process, folder, address }
    }

    /// Pushes an image that the engine has. Returns the name under which it can be pulled; the engine does not keep it.
    ///
    /// # Panics
    /// When it cannot be pushed.
    pub fn push(&self, engines: &Engines, engine: usize, image: &str, name: &str) -> String {
        let reference = format!("{}/{name}", self.address);
        let configuration = self.folder.path().join("client").display().to_string();
        let as_user = ["--config", configuration.as_str()];
        engines.docker(engine, &[&as_user[..], &["login", "--username", USER, "--password", PASSWORD, &self.address]].concat());
        engines.docker(engine, &["tag", image, &reference]);
        engines.docker(engine, &[&as_user[..], &["push", "--quiet", &reference]].concat());
        engines.docker(engine, &["image", "rm", &reference]);
        reference
    }

    /// `address:port`, as it stands in the names of its images.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for PrivateRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
