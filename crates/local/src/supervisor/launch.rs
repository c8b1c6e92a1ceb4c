//! The moment between the supervisor and a program that it starts.
//!
//! A supervisor that is killed cannot end what it started. The kernel can (`PR_SET_PDEATHSIG`, prctl(2)), when the
//! program itself asks for it before it runs; so the supervisor starts itself, asks, and becomes the program. What a
//! program started in turn is not covered: the next supervisor looks for it (`sweep`).

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::{Pid, getppid};

use super::SupervisorError;

/// The word after the folder that leads here.
pub(crate) const WORD: &str = "launch";

/// `launch PARENT PROGRAM ARGUMENT…`: becomes the program. Returns only where that fails.
pub(crate) fn launch(arguments: &[OsString]) -> SupervisorError {
    let [parent, program, arguments @ ..] = arguments else {
        return SupervisorError::Usage("launch needs the parent's process id and a program".into());
    };
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL) {
        return SupervisorError::Usage(format!("the kernel does not end this process with its supervisor: {error}"));
    }
    // It may have died before it could be asked for.
    let parent = parent.to_str().and_then(|text| text.parse().ok()).map(Pid::from_raw);
    if parent != Some(getppid()) {
        return SupervisorError::Usage("the supervisor has ended".into());
    }
    let error = Command::new(program).args(arguments).exec();
    SupervisorError::Launch { program: program.display().to_string(), why: error.to_string() }
}
