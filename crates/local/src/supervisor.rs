//! The supervisor: the one process of an environment that owns everything that runs in it.
//!
//! It has one thread and one task for each thing that happens, so what it holds needs no locks, and what has no `await`
//! in it happens at once: a change is judged and written that way (`change`). One thread is also what
//! `PR_SET_PDEATHSIG` needs, which ends children with the *thread* that made them (`launch`).
//!
//! Reading order: `server` (what is asked), `change` (what is written), `world` (what there is), `workload` with
//! `rollout` (what happens next), `instance` (one process) with `probe`, `process`, `files` and `log`. What stands before the instances is the crate `stratos-balancer`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use zeroize::Zeroizing;

use crate::folder::{Folder, create_private};
use crate::lock::{Attempt, Lock, acquire};
use crate::protocol::Reply;
use crate::state::State;

mod change;
pub(crate) mod expand;
mod files;
mod guard;
mod instance;
mod launch;
pub(crate) mod log;
mod ports;
mod probe;
pub(crate) mod process;
mod rollout;
mod server;
mod site;
mod spec;
mod sweep;
mod upkeep;
mod workload;
mod world;

/// Why a supervisor does not run.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// It was called wrongly, or not by its supervisor.
    #[error("a supervisor is started by stratos itself: {0}")]
    Usage(String),
    /// Something that it needs cannot be had.
    #[error("supervising {folder}: {why}")]
    Start {
        /// The environment's folder.
        folder: String,
        /// What went wrong.
        why: String,
    },
    /// A program could not be started.
    #[error("{program} could not be started: {why}")]
    Launch {
        /// Which program.
        program: String,
        /// What went wrong.
        why: String,
    },
}

/// Runs a supervisor until it is told to end; the program calls this from a hidden command.
///
/// `arguments` is everything that follows [`LocalConfig::supervisor`](crate::LocalConfig::supervisor) on the command
/// line, as it is: the folder; with one more word for the process that guards the supervisor (`guard`); and for a moment in
/// the start of each process more (`launch`), where this function becomes another program. Call it on the main thread, outside of any runtime, before other threads are started.
///
/// It detaches from the terminal, and returns at once where another supervisor has the folder.
///
/// # Errors
/// When the folder cannot be used, or `state.json` in it cannot be understood: nothing is begun anew over it.
pub fn run(arguments: &[OsString]) -> Result<(), SupervisorError> {
    match arguments {
        [folder] => supervise(Path::new(folder)),
        [folder, word] if word == guard::WORD => {
            let error = |e: std::io::Error| SupervisorError::Start { folder: folder.display().to_string(), why: e.to_string() };
            guard::guard(Path::new(folder)).map_err(error)
        }
        [_, word, rest @ ..] if word == launch::WORD => Err(launch::launch(rest)),
        _ => Err(SupervisorError::Usage("the folder of the environment is missing".into())),
    }
}

fn supervise(folder: &Path) -> Result<(), SupervisorError> {
    let error = |why: String| SupervisorError::Start { folder: folder.display().to_string(), why };
    // Fails only for the leader of a process group, which a shell makes of it: then it stays on the terminal.
    let _ = nix::unistd::setsid();
    // It holds the values of secrets: none of them may end in a core dump, or be read by another process of this user. What
    // it starts is not concerned: the kernel forgets this at each `exec` (prctl(2), PR_SET_DUMPABLE).
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false).map_err(|e| error(format!("closing its memory: {e}")))?;
    Folder::new(folder).create().map_err(|e| error(e.to_string()))?;
    let folder = Folder::new(&folder.canonicalize().map_err(|e| error(e.to_string()))?);
    let lock = match acquire(&folder.supervisor_lock(), &format!("process {}", std::process::id())).map_err(|e| error(e.to_string()))? {
        Attempt::Locked(lock) => lock,
        Attempt::HeldBy(_) => return Ok(()),
    };
    let state = State::read(&folder).map_err(|e| error(e.to_string()))?;
    sweep::sweep(folder.path());
    clean(&folder, &state);
    let launcher = launcher().map_err(|e| error(e.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| error(e.to_string()))?;
    let guard = lock.share().and_then(|lock| guard::start(&launcher, lock)).map_err(|e| error(format!("starting its guard: {e}")))?;
    let world = world::World::new(folder, launcher, state);
    LocalSet::new().block_on(&runtime, serve(world, guard, &lock)).map_err(|e| error(e.to_string()))
}

/// Serves until a signal, until its folder has gone, or until nothing is left and it is told to end.
async fn serve(world: std::rc::Rc<world::World>, guard: guard::Guard, lock: &Lock) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (retire, mut retired) = mpsc::unbounded_channel::<UnixStream>();
    let listener = server::listen(&world)?;
    let client = tokio::select! {
        () = server::serve(world.clone(), listener, retire) => None,
        client = retired.recv() => client,
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        () = upkeep::upkeep(&world.folder, lock) => None,
    };
    // From here on, nobody finds us: what comes now starts another one, which waits for our lock.
    if lock.is_at(&world.folder.supervisor_lock()).unwrap_or(true) {
        drop(std::fs::remove_file(world.folder.socket()));
    }
    world.end_all().await;
    guard.dismiss()?;
    if let Some(mut client) = client {
        // Something may have been written between the question and now.
        let empty = world.is_empty();
        if empty {
            remove_traces(&world.folder)?;
        }
        drop(server::send(&mut client, &Reply::Ok(empty)).await);
    }
    Ok(())
}

/// Removes what only a supervisor needs, when nothing is left. The lease stays: whoever retires us holds it, and removes it.
pub(crate) fn remove_traces(folder: &Folder) -> std::io::Result<()> {
    let logs = log::files(&folder.supervisor_log());
    for file in logs.into_iter().chain([folder.state(), folder.socket(), folder.supervisor_lock()]) {
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    // Those that hold something, a volume that somebody else put there, stay.
    for empty in [folder.volumes(), folder.workloads()] {
        drop(std::fs::remove_dir(empty));
    }
    Ok(())
}

/// Removes what an earlier supervisor left half-removed, and the folders of instances that ended with it.
fn clean(folder: &Folder, state: &State) {
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries(folder.volumes()) {
        if entry.file_name().as_encoded_bytes().starts_with(b".deleted-") {
            drop(std::fs::remove_dir_all(entry.path()));
        } else if !state.objects.iter().any(|object| entry.file_name() == object.uid.as_str()) {
            // Made, and never written down. This removes what is empty and nothing else.
            drop(std::fs::remove_dir(entry.path()));
        }
    }
    for entry in entries(folder.workloads()) {
        let known = state.objects.iter().any(|object| entry.file_name() == object.uid.as_str());
        drop(std::fs::remove_dir_all(if known { entry.path().join("run") } else { entry.path() }));
    }
    drop(create_private(&folder.volumes()));
}

/// How this process is started again to become another program.
fn launcher() -> std::io::Result<process::Launcher> {
    let program = if cfg!(target_os = "linux") { PathBuf::from("/proc/self/exe") } else { std::env::current_exe()? };
    let named = process::INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), Zeroizing::new(std::env::var(name).ok()?))));
    let mut inherited: BTreeMap<String, Zeroizing<String>> = named.collect();
    // Last in PATH, so that `stratos` itself can be a command wherever it lies.
    if let Some(own) = std::env::current_exe()?.parent().and_then(Path::to_str) {
        let path = inherited.entry("PATH".into()).or_default();
        **path = if path.is_empty() { own.to_owned() } else { format!("{}:{own}", path.as_str()) };
    }
    let open_files = launch::raise_open_files();
    Ok(process::Launcher { program, arguments: std::env::args_os().skip(1).collect(), open_files, inherited })
}
