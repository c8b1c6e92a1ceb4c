//! A place to run the program in: a folder of its own, and nothing of the environment that the tests run in.

#[allow(dead_code, reason = "each test target uses a part of it")]
#[path = "support/terminal.rs"]
pub mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use assert_cmd::Command;
pub use stratos_test_platforms::eventually;
use tempfile::TempDir;

/// A user's machine: a home, a state folder, and a folder with a project.
pub struct Place {
    /// Short, since a socket's path is: directly below the system's temporary folder.
    root: TempDir,
}

impl Place {
    /// An empty project.
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("st").tempdir().unwrap();
        for folder in ["home", "state", "shop"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    /// A project with this manifest.
    pub fn with(manifest: &str) -> Self {
        let place = Self::new();
        place.write("stratos.toml", manifest);
        place
    }

    /// The project's folder.
    pub fn folder(&self) -> PathBuf {
        self.root.path().join("shop")
    }

    /// Where the platform `local` keeps what runs.
    pub fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads a file of the project.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder().join(path)).unwrap()
    }

    /// The program with these arguments.
    pub fn stratos(&self, arguments: &[&str]) -> Command {
        let mut command = Command::from_std(self.process(arguments));
        command.timeout(Duration::from_secs(60));
        command
    }

    /// The program with these arguments, for a test that meets it while it runs.
    pub fn process(&self, arguments: &[&str]) -> Process {
        let mut command = process(arguments);
        command.env_clear().current_dir(self.folder());
        command.env("HOME", self.root.path().join("home")).env("STRATOS_STATE_DIR", self.state());
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let output = self.stratos(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&*self.root.path().to_string_lossy(), "ROOT");
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Drop for Place {
    /// Nothing that a test started outlives it, also when it failed.
    fn drop(&mut self) {
        if self.root.path().join("state/local").exists() {
            let _ = self.stratos(&["destroy", "--all", "--yes", "--delete-data", "--no-wait", "--quiet"]).output();
        }
    }
}

/// What a run of the program said.
#[derive(Debug)]
pub struct Run {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Run {
    /// The same run, which must have ended with this exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Its standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// The program with these arguments, as a user's shell starts it: it listens to signals, also where the tests were started by
/// something that does not (`nohup`, a job in the background), and nobody types anything.
pub fn process(arguments: &[&str]) -> Process {
    let mut command = Process::new("/usr/bin/env");
    command.args(["--default-signal=INT,QUIT,HUP,TERM,PIPE", "--"]).arg(program()).args(arguments).stdin(Stdio::null());
    command
}

/// The program under test.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_stratos"))
}

/// `GET` over plain HTTP/1.1: status and body. None where nobody answers.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
