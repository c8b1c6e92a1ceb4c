//! Starting a program, and ending it with all that it started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
#[cfg(target_os = "linux")]
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
#[cfg(target_os = "linux")]
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::expand::expand;
use super::launch;

/// After SIGTERM, a program has this long until SIGKILL.
const GRACE: Duration = Duration::from_secs(10);

/// The variables of the process that starts a supervisor which it, and so everything it runs, inherits: what a program
/// needs to find its way about, and none of the secrets that may lie in the environment of a shell.
pub(crate) const INHERITED: [&str; 13] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TERM", "XDG_RUNTIME_DIR", "SSL_CERT_FILE"];

/// Every process has this variable, with the environment's folder: by it, what outlived a supervisor is found.
pub(crate) const MARK: &str = "STRATOS_SUPERVISED_FROM";

/// How programs are started: the same for all of a supervisor.
#[derive(Clone)]
pub(crate) struct Launcher {
    /// This very program, also where its file was replaced meanwhile.
    pub program: PathBuf,
    /// The arguments that lead to `launch`.
    pub arguments: Vec<OsString>,
    /// How many files a program may have open, as it was for whoever started the supervisor.
    pub open_files: Option<u64>,
    /// What every program inherits.
    pub inherited: BTreeMap<String, Zeroizing<String>>,
}

/// How the programs of one instance are started: its command, and the commands that probe it.
#[derive(Clone)]
pub(crate) struct Launch {
    pub launcher: Launcher,
    pub directory: PathBuf,
    pub environment: BTreeMap<String, Zeroizing<String>>,
}

impl Launch {
    /// A command, ready to start. Its words are expanded, and its program is found, so that a missing one is told apart
    /// from one that fails.
    pub fn command<S: AsRef<str>>(&self, words: &[S]) -> io::Result<Command> {
        let words: Vec<Zeroizing<String>> = words.iter().map(|word| expand(word.as_ref(), &self.environment)).collect();
        let Some((program, arguments)) = words.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        let path = self.environment.get("PATH").map_or("", |path| path.as_str());
        let program = find(program, path, &self.directory)?;
        let mut command = Command::new(&self.launcher.program);
        command.args(&self.launcher.arguments).arg(launch::WORD).arg(std::process::id().to_string());
        command.arg(self.launcher.open_files.map_or_else(String::new, |limit| limit.to_string())).arg(program);
        command.args(arguments.iter().map(|word| word.as_str()));
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value.as_str())));
        command.current_dir(&self.directory).process_group(0);
        Ok(command)
    }

    /// Starts it, with its output in a pipe.
    pub fn start<S: AsRef<str>>(&self, words: &[S]) -> io::Result<(Process, Receiver)> {
        let mut command = self.command(words)?;
        let (output, input) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
        let process = Process::spawn(&mut command)?;
        // The command holds the pipe's other end open, and with it the promise of more output.
        drop(command);
        Ok((process, Receiver::from_owned_fd(OwnedFd::from(output))?))
    }
}

/// A running program, which leads a process group of its own.
pub(crate) struct Process {
    child: Child,
    /// None once the program is gone for good: then its number may be another group's.
    group: Option<Pid>,
}

impl Process {
    /// Starts a command that was made by [`Launch::command`], which makes it the leader of a group.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// Waits for its end, and ends what it left behind.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.exited().await?;
        self.signal(Signal::SIGKILL);
        let status = self.child.wait().await;
        self.group = None;
        status
    }

    /// Ends it: kindly first.
    pub async fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        if timeout(GRACE, self.exited()).await.is_err() {
            self.signal(Signal::SIGKILL);
        }
        drop(self.ended().await);
    }

    /// Waits until it has ended, and leaves it to be waited for: as long as it is, nobody else gets its number, which is its
    /// group's, and what it left behind can be signalled.
    #[cfg(target_os = "linux")]
    async fn exited(&self) -> io::Result<()> {
        let Some(group) = self.group else { return Ok(()) };
        // Listened for before the first look, so that no end is missed.
        let mut ends = signal(SignalKind::child())?;
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        while waitid(Id::Pid(group), look)? == WaitStatus::StillAlive {
            ends.recv().await;
        }
        Ok(())
    }

    /// Elsewhere it cannot be left to be waited for.
    #[cfg(not(target_os = "linux"))]
    async fn exited(&mut self) -> io::Result<()> {
        self.child.wait().await.map(drop)
    }

    fn signal(&self, signal: Signal) {
        // That there is nobody left to signal is what is wanted.
        if let Some(group) = self.group {
            let _ = killpg(group, signal);
        }
    }
}

/// What ends the process group where the task that watched it is dropped. Its leader may have ended already, and is waited
/// for by the runtime.
impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Finds a program as a shell would: by its path, or in the folders of PATH.
fn find(program: &str, path: &str, directory: &Path) -> io::Result<PathBuf> {
    let runs = |place: &Path| place.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        let place = directory.join(program);
        return match place.metadata() {
            Ok(_) if runs(&place) => Ok(place),
            Ok(_) => Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{program} is not executable"))),
            Err(e) => Err(io::Error::new(e.kind(), format!("{program} cannot be found: {e}"))),
        };
    }
    let places = path.split(':').filter(|folder| !folder.is_empty()).map(|folder| directory.join(folder).join(program));
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("the command {program:?} is not in PATH ({path})"));
    places.into_iter().find(|place| runs(place)).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let here = Path::new("/");
        assert!(find("sh", "/nowhere:/bin", here).unwrap().ends_with("sh"));
        assert_eq!(find("bin/sh", "", here).unwrap(), Path::new("/bin/sh"));
        let why = |program, path| find(program, path, here).unwrap_err().to_string();
        assert_eq!(why("no-such-program", "/bin"), "the command \"no-such-program\" is not in PATH (/bin)");
        assert_eq!(why("/etc/passwd", ""), "/etc/passwd is not executable");
        assert!(why("./no-such-program", "").starts_with("./no-such-program cannot be found"));
    }
}
