//! Ends what outlived an earlier supervisor, so that nothing is ever started twice.
//!
//! The programs themselves end with their supervisor (`launch`); what they started may not. Every process carries a mark
//! in its environment, which a child inherits.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

use super::process::MARK;

/// A process that is just being started may be missed by a look, so it is looked again until nothing is found; this often at
/// most, since one that nothing can end must not keep an environment from starting.
const LOOKS: u32 = 200;

/// Between two looks: a killed process takes a moment to go.
const PAUSE: Duration = Duration::from_millis(5);

/// Ends all processes that carry this folder's mark. Does nothing where there is no `/proc`.
#[expect(clippy::disallowed_methods, reason = "nothing else runs yet, or any more, in the processes that call it: there is no runtime")]
pub(crate) fn sweep(folder: &Path) {
    for _ in 0..LOOKS {
        if !look(folder) {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    tracing::error!(folder = %folder.display(), "something that outlived its supervisor cannot be ended");
}

/// One look; whether there was anything to end.
fn look(folder: &Path) -> bool {
    let mut found = false;
    let mut mark = format!("{MARK}=").into_bytes();
    mark.extend_from_slice(folder.as_os_str().as_encoded_bytes());
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    // This process and the one that started it are no remains, even where a supervised one did start them.
    let spared = [getpid(), getppid()];
    for process in processes.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else { continue };
        let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
        if !spared.contains(&id) && environment.split(|byte| *byte == 0).any(|variable| variable == mark) {
            tracing::warn!(process = %id, "ending a process that outlived its supervisor");
            let _ = kill(id, Signal::SIGKILL);
            found = true;
        }
    }
    found
}
