//! A script that keeps servers for as long as this process lives.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Its standard input keeps the servers alive: it ends them when this process is gone, however it went.
pub struct Keeper {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    process: Mutex<Child>,
}

impl Keeper {
    /// Runs a script of this crate's folder, with a folder that is its own as the first argument, until it says `ready`.
    /// Otherwise returns what it says, and what its log holds.
    pub fn start(script: &str, folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut process = Command::new("bash")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .arg(folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else { return Err("no pipes".into()) };
        let mut stdout = BufReader::new(stdout);
        let mut said = String::new();
        stdout.read_line(&mut said).map_err(|error| error.to_string())?;
        if said.trim() != "ready" {
            stdout.read_to_string(&mut said).map_err(|error| error.to_string())?;
            let ended = process.wait().map_err(|error| error.to_string())?;
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(format!("{ended}: {said}{log}"));
        }
        Ok(Self { pipes: Mutex::new((stdin, stdout)), process: Mutex::new(process) })
    }

    /// Tells the script to do something, and waits until it says that it has.
    ///
    /// # Panics
    /// When it says anything else.
    pub fn tell(&self, what: &str, expected: &str) {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(pipes.0, "{what}").expect("the servers' keeper is there");
        let mut answer = String::new();
        pipes.1.read_line(&mut answer).expect("the servers' keeper answers");
        assert_eq!(answer.trim(), expected, "{what}");
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        // The keeper cleans up when it is told to end.
        let _ = Command::new("kill").arg(process.id().to_string()).status();
        let _ = process.wait();
    }
}
