//! What a supervisor looks after while nothing is asked of it.

use std::time::Duration;

use super::log;
use crate::folder::Folder;
use crate::lock::Lock;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Bounds the supervisor's log. Returns when the folder is not ours any more: it was removed or moved, so nobody finds us
/// there, and whoever applies next starts another supervisor.
pub(crate) async fn upkeep(folder: &Folder, lock: &Lock) {
    let mut looks = tokio::time::interval(PAUSE);
    loop {
        looks.tick().await;
        // Where it cannot be told, it is taken for ours: to end everything is the wrong answer to a moment's trouble.
        if !lock.is_at(&folder.supervisor_lock()).unwrap_or(true) {
            tracing::error!(folder = %folder.path().display(), "its folder has gone: the supervisor ends, and all that it runs");
            return;
        }
        if let Err(error) = log::bound(&folder.supervisor_log()) {
            tracing::warn!(%error, "the supervisor's log cannot be set aside");
        }
    }
}
