//! One writer at a time: a locked file, which the death of its holder unlocks.

use std::time::Duration;

use tokio::time::Instant;

use stratos_engine::platform::{Lease, PlatformError, PlatformErrorKind};

use crate::folder::Folder;
use crate::lock::{Attempt, acquire};

/// How long a lease that is held is waited for. Another process that is being started may hold a copy of the file from its
/// fork to its exec, and a run that has just ended lets go a moment later.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes the lease, or says who has it.
pub(crate) async fn lease(folder: &Folder, holder: &str) -> Result<Lease, PlatformError> {
    let attempted = || format!("locking {}", folder.lease_lock().display());
    let broken = |error: std::io::Error| PlatformError::new(PlatformErrorKind::Denied, attempted(), error.to_string());
    folder.create().map_err(broken)?;
    let holder = format!("{holder} (process {})", std::process::id());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let other = match acquire(&folder.lease_lock(), &holder).map_err(broken)? {
            Attempt::Locked(lock) => return Ok(Lease::Held(Box::new(lock))),
            Attempt::HeldBy(other) if other.is_empty() => "another process".to_owned(),
            Attempt::HeldBy(other) => other,
        };
        if Instant::now() >= deadline {
            let error = PlatformError::new(PlatformErrorKind::Locked, attempted(), format!("{other} is applying to this environment"));
            return Err(error.with_hint("wait until it is done; when its process ends, the lock ends too"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
