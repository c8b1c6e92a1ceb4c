//! Names, ports and CPUs of their own for tests that share one server with tests of other processes.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A name that no other test has, in this process or in another one: a DNS label. No such name begins another one.
pub fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static RANDOM: OnceLock<u64> = OnceLock::new();
    let random = RANDOM.get_or_init(|| RandomState::new().build_hasher().finish()) & 0xffff;
    format!("case{:06x}{random:04x}{:04}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// So many ports belong to one process, of those between 20000 and 30000.
const PORTS: u16 = 400;

/// A port that can be published now. Each process has some for itself as long as it lives, and takes them in turn.
///
/// # Panics
/// When too many processes have some.
pub fn free_port() -> u16 {
    static FIRST: OnceLock<(u16, File)> = OnceLock::new();
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let mine = |first: u16| Some((first, try_lock(&format!("ports-{first}"))?));
    let (first, _) = FIRST.get_or_init(|| (20000..30000).step_by(PORTS.into()).find_map(mine).expect("ports that nobody has"));
    first + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS
}

/// The CPUs of a server, for one case that reserves some: others that do would find too few of them free.
#[derive(Default)]
pub struct ReservedCpus(Mutex<Option<File>>);

impl ReservedCpus {
    /// Waits for them. They are this case's until this value is dropped. Of a runtime it blocks one thread.
    ///
    /// # Panics
    /// When there is no temporary folder.
    pub fn reserve(&self, server: &str) {
        let mut mine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mine.is_none() {
            let wait = || {
                let file = lock_file(&format!("cpus-{server}"));
                file.lock().expect("a file that can be locked");
                file
            };
            *mine = Some(tokio::task::block_in_place(wait));
        }
    }
}

fn try_lock(name: &str) -> Option<File> {
    let file = lock_file(name);
    file.try_lock().is_ok().then_some(file)
}

/// A file that stands for something that one process has at a time. The system unlocks it when its process ends.
fn lock_file(name: &str) -> File {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let path: PathBuf = std::env::temp_dir().join(format!("stratos-tests-{name}.lock"));
    File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
