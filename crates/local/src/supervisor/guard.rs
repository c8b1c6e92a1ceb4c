//! What a supervisor that is killed leaves behind ends with it.
//!
//! `launch` covers the programs themselves. What they started in turn is ended by a guard: a process that waits for the
//! supervisor's end and does nothing else. It shares the supervisor's lock, so that the next supervisor begins only when
//! the guard is done.

use std::fs::File;
use std::io::{self, PipeWriter, Read};
use std::path::Path;
use std::process::{Child, Command};

use super::process::Launcher;
use super::sweep::sweep;

/// The word after the folder that leads here.
pub(crate) const WORD: &str = "guard";

/// A guard that waits.
pub(crate) struct Guard {
    process: Child,
    /// Open until we end, however we end: that is what it waits for.
    #[expect(dead_code, reason = "held open")]
    alive: PipeWriter,
}

/// Starts a guard over this process. `lock` is what nobody else gets before it is done.
pub(crate) fn start(launcher: &Launcher, lock: File) -> io::Result<Guard> {
    let (waits, alive) = io::pipe()?;
    let process = Command::new(&launcher.program).args(&launcher.arguments).arg(WORD).env_clear().stdin(waits).stdout(lock).spawn()?;
    Ok(Guard { process, alive })
}

impl Guard {
    /// Everything has ended in order: there is nothing to guard any more.
    pub fn dismiss(mut self) -> io::Result<()> {
        self.process.kill()?;
        self.process.wait().map(drop)
    }
}

/// `guard`: waits on its standard input until the supervisor is gone, and ends what is left.
pub(crate) fn guard(folder: &Path) -> io::Result<()> {
    let folder = folder.canonicalize()?;
    io::stdin().read_to_end(&mut vec![])?;
    sweep(&folder);
    Ok(())
}
