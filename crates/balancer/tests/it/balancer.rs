//! A balancer in a process of its own, and what its clients do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use stratos_balancer::Configuration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// What takes longer than this does not come.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Balancer {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    folder: tempfile::TempDir,
}

fn spawn(folder: &tempfile::TempDir) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratos-balancer"));
    command.arg(folder.path().join("balancer.json")).stderr(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap()
}

impl Balancer {
    /// Starts it with one listener, and waits until it is ready.
    pub async fn start(targets: &[&str], connections: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("balancer.json"), text(targets, connections)).unwrap();
        let mut child = spawn(&folder);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut balancer = Self { address: ([127, 0, 0, 1], 0).into(), child, lines, folder };
        let ready = balancer.line().await;
        let address = ready.strip_prefix("ready: ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        balancer.address = address.unwrap_or_else(|| panic!("it said {ready:?}"));
        balancer
    }

    /// Starts one that cannot run: its end, and what it said.
    pub async fn fails(text: &str) -> (ExitStatus, String) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("balancer.json"), text).unwrap();
        let ended = timeout(PATIENCE, spawn(&folder).wait_with_output()).await.expect("it ends").unwrap();
        (ended.status, String::from_utf8(ended.stderr).unwrap())
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("balancer.json")
    }

    /// Replaces its file, as an upload does.
    pub fn write(&self, text: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    pub fn configure(&self, targets: &[&str], connections: usize) {
        self.write(&text(targets, connections));
    }

    /// Gives it other targets, and waits until it has them.
    pub async fn aim(&mut self, targets: &[&String]) {
        let targets: Vec<&str> = targets.iter().map(|target| target.as_str()).collect();
        self.configure(&targets, 1000);
        self.signal(Signal::SIGHUP);
        loop {
            let line = self.line().await;
            // A target that left before may have come to its end meanwhile.
            if !line.starts_with("drained: ") {
                return assert!(line.starts_with("ready: "), "{line}");
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("it runs");
        kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    /// The next line that it writes.
    pub async fn line(&mut self) -> String {
        timeout(PATIENCE, self.lines.next_line()).await.expect("it says something").unwrap().expect("it runs")
    }

    pub async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }
}

/// One listener, on a port that the kernel chooses and keeps.
fn text(targets: &[&str], connections: usize) -> String {
    let targets = serde_json::to_string(targets).unwrap();
    let text = format!("{{ \"connections\": {connections}, \"listeners\": [{{ \"listen\": \"127.0.0.1:0\", \"targets\": {targets} }}] }}");
    serde_json::from_str::<Configuration>(&text).expect("what a test writes is meant to be valid");
    text
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("it accepts")
}

/// A request and its answer: a byte each.
pub async fn ask(stream: &mut TcpStream) -> io::Result<u8> {
    stream.write_u8(b'?').await?;
    answer(stream).await
}

pub async fn answer(stream: &mut TcpStream) -> io::Result<u8> {
    timeout(PATIENCE, stream.read_u8()).await.expect("an answer or an end comes")
}
