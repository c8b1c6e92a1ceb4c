//! Runs all tests of the workspace: `cargo test-all`.
//!
//! 1. Cargo builds every test program.
//! 2. The programs that need no server run, a few at a time, and after them the examples in the documentation. A failure ends the
//!    run here.
//! 3. The shared servers start, and the programs that need them run (`programs::LANES`).
//!
//! `cargo test-all with-servers COMMAND` runs a command while the shared servers are up, in place of the tests. Test programs
//! that it starts, `cargo test` among them, find the servers by an environment variable.
//!
//! The servers end with this process, however it ends: each of them reads a pipe from it.

mod programs;
mod run;

use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::Instant;

use programs::Program;
use stratos_test_platforms::{SERVERS_VARIABLE, Servers};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let succeeded = match words.split_first() {
        None => all(),
        Some((first, command)) if first == "with-servers" && !command.is_empty() => with_servers(command),
        Some(_) => {
            run::say("usage: cargo test-all [with-servers COMMAND [ARGUMENT]…]");
            return ExitCode::from(2);
        }
    };
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The whole run. True where every test has passed.
fn all() -> bool {
    let started = Instant::now();
    let step = |what: &str| run::say(&format!("\n-- {what} ({} s)", started.elapsed().as_secs()));
    step("building every test program");
    let Some(programs) = programs::build() else { return false };
    let (on_servers, alone): (Vec<Program>, Vec<Program>) = programs.into_iter().partition(Program::needs_servers);

    step("tests that need no server");
    if !run::all(alone) || !programs::documentation() {
        return false;
    }
    step("starting the servers that tests share");
    let servers = Servers::start();
    step("tests on servers");
    let passed = run::side_by_side(programs::lanes(on_servers), servers.folder());
    step("ending the servers");
    drop(servers);
    step(if passed { "every test has passed" } else { "some tests have failed" });
    passed
}

fn with_servers(command: &[OsString]) -> bool {
    let servers = Servers::start();
    let status = Command::new(&command[0]).args(&command[1..]).env(SERVERS_VARIABLE, servers.folder()).status();
    status.unwrap_or_else(|error| panic!("{}: {error}", command[0].display())).success()
}
