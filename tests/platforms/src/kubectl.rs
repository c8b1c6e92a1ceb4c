//! kubectl as a process that stays and runs many commands, several at a time, in place of one process for each command.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// The commands that run, by their ids, and where each end is sent to.
type Running = Arc<Mutex<HashMap<u64, Sender<Value>>>>;

/// The process. It ends with this value, or when this process is gone.
pub struct Kubectl {
    process: Mutex<Child>,
    /// Its standard input. None while it ends.
    input: Mutex<Option<ChildStdin>>,
    running: Running,
    next: AtomicU64,
}

impl Kubectl {
    /// Starts it: `command` is the part `commands` of the Kubernetes program, in the surroundings that kubectl is to have.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("kubectl: {error}"));
        let (input, output) = (process.stdin.take(), process.stdout.take().expect("a pipe"));
        let running = Running::default();
        let ends = Arc::clone(&running);
        std::thread::spawn(move || pass_on(output, &ends));
        Self { process: Mutex::new(process), input: Mutex::new(input), running, next: AtomicU64::new(0) }
    }

    /// Runs a command, without standard input.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn run<S: AsRef<str>>(&self, arguments: &[S]) -> Output {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, end) = channel();
        locked(&self.running).insert(id, sender);
        let line = format!("{}\n", json!({ "id": id, "arguments": arguments }));
        let written = locked(&self.input).as_mut().expect("it ends with this value").write_all(line.as_bytes());
        written.unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")));
        let end = end.recv().unwrap_or_else(|_| panic!("kubectl ended during {}", arguments.join(" ")));
        let text = |key: &str| end[key].as_str().expect("a text").as_bytes().to_vec();
        let code = end["code"].as_i64().and_then(|code| i32::try_from(code).ok()).expect("an exit code");
        // In the form of wait(2).
        Output { status: ExitStatus::from_raw(code << 8), stdout: text("out"), stderr: text("err") }
    }
}

/// Passes the end of each command on to where it is waited for. When the process ends, nobody waits any more.
fn pass_on(output: ChildStdout, running: &Running) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let end: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("kubectl said {line:?}: {error}"));
        let waiting = end["id"].as_u64().and_then(|id| locked(running).remove(&id));
        waiting.map(|waiting| waiting.send(end));
    }
    locked(running).clear();
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Kubectl {
    fn drop(&mut self) {
        // The end of its input is its end.
        *locked(&self.input) = None;
        let _ = locked(&self.process).wait();
    }
}
