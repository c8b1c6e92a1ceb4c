//! One writer at a time: a locked file, which the death of its holder unlocks.

use std::fs;
use std::io;
use std::time::Duration;

use tokio::time::Instant;

use stratos_engine::platform::{Lease, PlatformError, PlatformErrorKind};

use crate::folder::Folder;
use crate::lock::{Attempt, Lock, acquire};

/// How long a lease that is held is waited for. Another process that is being started may hold a copy of the file from its
/// fork to its exec, and a run that has just ended lets go a moment later.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who may write, until it is dropped.
struct Writer {
    folder: Folder,
    lock: Lock,
}

/// Nothing of it stays: not the file, and not the folder, where nothing else is in it.
///
/// The file goes while it is still locked. Whoever has opened it meanwhile finds, once it gets the lock, that its file is
/// not the one that is there, and begins anew ([`acquire`]); so there are never two that hold it.
impl Drop for Writer {
    fn drop(&mut self) {
        let path = self.folder.lease_lock();
        if self.lock.is_at(&path).unwrap_or(false) {
            drop(fs::remove_file(path));
            drop(fs::remove_dir(self.folder.path()));
        }
    }
}

/// Takes the lease, or says who has it.
pub(crate) async fn lease(folder: &Folder, holder: &str) -> Result<Lease, PlatformError> {
    let attempted = || format!("locking {}", folder.lease_lock().display());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let in_time = Instant::now() < deadline;
        let other = match folder.create().and_then(|()| acquire(&folder.lease_lock(), holder)) {
            Ok(Attempt::Locked(lock)) => {
                // Who writes here has not abandoned it, or not for good.
                drop(fs::remove_file(folder.abandoned()));
                return Ok(Lease::Held(Box::new(Writer { folder: folder.clone(), lock })));
            }
            Ok(Attempt::HeldBy(other)) if other.is_empty() => "another process".to_owned(),
            Ok(Attempt::HeldBy(other)) => other,
            // The one before has just removed the folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound && in_time => continue,
            Err(error) => return Err(PlatformError::new(PlatformErrorKind::Denied, attempted(), error.to_string())),
        };
        if !in_time {
            let error = PlatformError::new(PlatformErrorKind::Locked, attempted(), format!("{other} is applying to this environment"));
            return Err(error.with_hint("wait until it is done; when its process ends, the lock ends too"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
