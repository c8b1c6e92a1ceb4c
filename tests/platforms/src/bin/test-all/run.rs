//! Runs test programs, and passes on what they print without mixing it up.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use stratos_test_platforms::SERVERS_VARIABLE;

use crate::programs::Program;

/// Programs that need no server and run at the same time. Some of them mostly wait for processes that they start.
const CONCURRENCY: usize = 3;

/// Runs programs that need no server. True where every test has passed.
pub fn all(programs: Vec<Program>) -> bool {
    let programs = Mutex::new(programs.into_iter());
    let next = || programs.lock().expect("no thread panics while it takes a program").next();
    std::thread::scope(|scope| {
        let threads = [(); CONCURRENCY].map(|()| scope.spawn(|| one_after_another(std::iter::from_fn(next), None)));
        joined(threads)
    })
}

/// Runs the programs of each lane one after another, and the lanes at the same time. True where every test has passed.
///
/// `servers` is the folder of the shared servers.
pub fn side_by_side(lanes: Vec<Vec<Program>>, servers: &Path) -> bool {
    std::thread::scope(|scope| {
        let start = |lane: Vec<Program>| scope.spawn(move || one_after_another(lane.into_iter(), Some(servers)));
        joined(lanes.into_iter().map(start).collect::<Vec<_>>())
    })
}

/// Runs every program, also after one that failed.
fn one_after_another(programs: impl Iterator<Item = Program>, servers: Option<&Path>) -> bool {
    let mut passed = true;
    for program in programs {
        passed &= run(&program, servers);
    }
    passed
}

/// Waits for every thread, also after one that failed.
fn joined<'scope>(threads: impl IntoIterator<Item = std::thread::ScopedJoinHandle<'scope, bool>>) -> bool {
    let mut passed = true;
    for thread in threads {
        passed &= thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    passed
}

/// Runs one program. A line about one test is passed on as it comes, with the program's name; all else at the end, together, and into
/// a file of Cargo's target folder: a log of many programs is long, and who shows one may cut it.
fn run(program: &Program, servers: Option<&Path>) -> bool {
    let started = Instant::now();
    let mut command = Command::new(&program.executable);
    // As Cargo would start it.
    command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder).stdin(Stdio::null());
    // A test says in its message what it has found: the frames of a test runner only push that out of sight.
    command.env("RUST_BACKTRACE", "0");
    if let Some(threads) = program.threads() {
        command.env("RUST_TEST_THREADS", threads);
    }
    if let Some(folder) = servers {
        command.env(SERVERS_VARIABLE, folder);
    }
    let (reader, writer) = std::io::pipe().expect("a pipe");
    command.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.name));
    // The command holds the ends that are written to: without this the pipe would never end.
    drop(command);

    let mut rest = Vec::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let is_about_one_test = line.starts_with(b"test ") && !line.starts_with(b"test result") && line.ends_with(b"\n");
        if is_about_one_test {
            say(&format!("{}: {}", program.name, String::from_utf8_lossy(&line).trim_end()));
        } else {
            rest.extend_from_slice(&line);
        }
        line.clear();
    }
    let status = process.wait().unwrap_or_else(|error| panic!("{}: {error}", program.name));
    let seconds = started.elapsed().as_secs();
    let end = if status.success() { String::new() } else { format!("{}: {status}", program.name) };
    say(&format!("\n{} ({seconds} s){}{end}", program.name, String::from_utf8_lossy(&rest)));
    if let Err(error) = keep(program, &rest) {
        say(&format!("{}: what it printed is not kept: {error}", program.name));
    }
    status.success()
}

/// Keeps what a program printed: `target/test-all/stratos-docker it.log`.
fn keep(program: &Program, text: &[u8]) -> std::io::Result<()> {
    // The program is in `target/debug/deps`.
    let target = program.executable.ancestors().nth(3).unwrap_or(Path::new("."));
    let folder = target.join("test-all");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{}.log", program.name)), text)
}

/// Prints a text whole, also while others print.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads it any more: the exit code still says how the run went.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
