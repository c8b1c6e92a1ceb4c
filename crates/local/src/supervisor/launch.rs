//! The moment between the supervisor and a program that it starts.
//!
//! A supervisor that is killed cannot end what it started. The kernel can (`PR_SET_PDEATHSIG`, prctl(2)), when the
//! program itself asks for it before it runs; so the supervisor starts itself, asks, and becomes the program. What a
//! program started in turn is not covered: the next supervisor looks for it (`sweep`).

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Pid, getppid};

use super::SupervisorError;

/// The word after the folder that leads here.
pub(crate) const WORD: &str = "launch";

/// Lets this process have as many files open as it may ever have: a supervisor needs three for each instance. Returns the
/// limit that was there before, which is for the programs: some cannot deal with higher numbers (select(2)).
pub(crate) fn raise_open_files() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // Where it cannot be raised, nothing needs to be put back.
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).ok().map(|()| soft)
}

fn limit_open_files(soft: &OsStr) -> Result<(), String> {
    if soft.is_empty() {
        return Ok(());
    }
    let soft = soft.to_str().and_then(|text| text.parse().ok()).ok_or("the limit of open files is not a number")?;
    let limited = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, soft, hard));
    limited.map_err(|error| format!("the limit of open files cannot be put back to {soft}: {error}"))
}

/// `launch PARENT OPEN-FILES PROGRAM ARGUMENT…`: becomes the program. Returns only where that fails.
pub(crate) fn launch(arguments: &[OsString]) -> SupervisorError {
    let [parent, open_files, program, arguments @ ..] = arguments else {
        return SupervisorError::Usage("launch needs the parent's process id, a limit of open files and a program".into());
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
    if let Err(why) = limit_open_files(open_files) {
        return SupervisorError::Usage(why);
    }
    let error = Command::new(program).args(arguments).exec();
    SupervisorError::Launch { program: program.display().to_string(), why: error.to_string() }
}
