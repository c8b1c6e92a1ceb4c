//! Runs a command while the servers are up that tests share, and ends with its exit code:
//!
//! ```text
//! with-test-servers COMMAND [ARGUMENT]…
//! ```
//!
//! The servers end with this process, however it ends: each of them reads a pipe from it.

use std::process::{Command, ExitCode};

use stratos_test_platforms::{SERVERS_VARIABLE, Servers};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().expect("usage: with-test-servers COMMAND [ARGUMENT]…");
    let servers = Servers::start();
    let status = Command::new(&program).args(words).env(SERVERS_VARIABLE, servers.folder()).status();
    let status = status.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
