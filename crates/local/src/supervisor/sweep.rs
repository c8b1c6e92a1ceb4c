//! Ends what outlived an earlier supervisor, so that nothing is ever started twice.
//!
//! The programs themselves end with their supervisor (`launch`); what they started may not. Every process carries a mark
//! in its environment, which a child inherits.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

use super::process::MARK;

/// Ends all processes that carry this folder's mark. Does nothing where there is no `/proc`.
pub(crate) fn sweep(folder: &Path) {
    let mut mark = format!("{MARK}=").into_bytes();
    mark.extend_from_slice(folder.as_os_str().as_encoded_bytes());
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    // This process and the one that started it are no remains, even where a supervised one did start them.
    let spared = [getpid(), getppid()];
    for process in processes.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else { continue };
        let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
        if !spared.contains(&id) && environment.split(|byte| *byte == 0).any(|variable| variable == mark) {
            tracing::warn!(process = %id, "ending a process that outlived its supervisor");
            let _ = kill(id, Signal::SIGKILL);
        }
    }
}
