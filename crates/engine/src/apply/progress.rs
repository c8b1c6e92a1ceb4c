//! What an apply tells while it goes on.

use crate::desired::resource::ResourceId;
use crate::health::Health;
use crate::plan::change::Action;
use crate::platform::PlatformError;

use super::ChangeReport;

/// Is told of what happens. Called from the task that applies: it must not block.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// A change is being written.
    Started {
        /// Which.
        id: &'a ResourceId,
        /// What is done.
        action: Action,
    },
    /// A written (or unchanged) resource is waited for; repeated when its health changes.
    Waiting {
        /// Which.
        id: &'a ResourceId,
        /// How it is.
        health: &'a Health,
    },
    /// A call is repeated after a transient failure.
    Retrying {
        /// Which.
        id: &'a ResourceId,
        /// What went wrong.
        error: &'a PlatformError,
        /// After this time.
        after: std::time::Duration,
    },
    /// A change has its result.
    Finished {
        /// The result.
        report: &'a ChangeReport,
    },
}

/// Listens to nothing.
pub struct Quiet;

impl Progress for Quiet {
    fn event(&self, _: Event<'_>) {}
}
