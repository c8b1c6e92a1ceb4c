//! One writer at a time: a locked file, which the death of its holder unlocks.

use stratos_engine::platform::{Lease, PlatformError, PlatformErrorKind};

use crate::folder::Folder;
use crate::lock::{Attempt, acquire};

/// Takes the lease, or says who has it.
pub(crate) fn lease(folder: &Folder, holder: &str) -> Result<Lease, PlatformError> {
    let attempted = || format!("locking {}", folder.lease_lock().display());
    let broken = |error: std::io::Error| PlatformError::new(PlatformErrorKind::Denied, attempted(), error.to_string());
    folder.create().map_err(broken)?;
    let holder = format!("{holder} (process {})", std::process::id());
    match acquire(&folder.lease_lock(), &holder).map_err(broken)? {
        Attempt::Locked(lock) => Ok(Lease::Held(Box::new(lock))),
        Attempt::HeldBy(other) => {
            let other = if other.is_empty() { "another process".to_owned() } else { other };
            let error = PlatformError::new(PlatformErrorKind::Locked, attempted(), format!("{other} is applying to this environment"));
            Err(error.with_hint("wait until it is done; when its process ends, the lock ends too"))
        }
    }
}
