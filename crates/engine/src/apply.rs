//! Stage 7: a plan is carried out. Makes no choices: order, reasons and fences are in the plan.

mod prepare;
mod progress;
mod ready;
mod run;
#[cfg(test)]
mod tests;
mod write;

pub use prepare::{attributes, connect, retire, verify_secrets};
pub use progress::{Event, Progress, Quiet};
pub use run::{GRACE, Run};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::desired::name::Name;
use crate::desired::quantity::Duration;
use crate::desired::resource::ResourceId;
use crate::health::Health;
use crate::plan::change::Action;
use crate::platform::PlatformError;

/// How a plan is carried out.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// At most this many changes at once in each environment.
    pub concurrency: usize,
    /// Write one change after the other without waiting for health. A resource that has to be healthy before another change can be
    /// written at all (the definition of a kind) is waited for all the same, and so is an environment before one that comes after it.
    pub no_wait: bool,
    /// Start nothing new after the first failure.
    pub fail_fast: bool,
    /// For the whole run; each resource has its roll-out's own besides.
    pub timeout: Option<Duration>,
    /// Cancelled by Ctrl-C: nothing new is started, what runs is finished and reported.
    pub cancel: CancellationToken,
    /// Who we are, for the lease: `user@machine, process 12`.
    pub holder: String,
}

impl ApplyOptions {
    /// When a run that begins now has to end.
    pub fn end(&self) -> Option<tokio::time::Instant> {
        self.timeout.map(|timeout| tokio::time::Instant::now() + timeout.to_std())
    }
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { concurrency: 8, no_wait: false, fail_fast: false, timeout: None, cancel: CancellationToken::new(), holder: "stratos".into() }
    }
}

/// What came of a plan.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// One for each change, in the plan's order.
    pub changes: Vec<ChangeReport>,
    /// The health of every resource in scope that has health, also of those that did not change; empty with `no_wait`.
    pub health: Vec<ResourceHealth>,
    /// Requests sent to the platforms.
    pub requests: u64,
    /// What the user should know besides: a platform that cannot keep a lease.
    pub notes: Vec<String>,
}

/// The health of one resource.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ResourceHealth {
    /// Which.
    pub id: ResourceId,
    /// Its app.
    pub app: Name,
    /// How it is.
    pub health: Health,
}

/// What came of one change.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChangeReport {
    /// Which resource.
    pub id: ResourceId,
    /// Its app.
    pub app: Name,
    /// What was to be done.
    pub action: Action,
    /// What was done.
    pub result: ChangeResult,
    /// Its health afterwards, where it has health and was waited for.
    #[serde(default)]
    pub health: Option<Health>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeResult {
    /// Written, and healthy where it was waited for.
    Done,
    /// It had happened already.
    AlreadyDone,
    /// Not written.
    Failed {
        /// What went wrong.
        why: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// Written, and not healthy: it failed, did not get healthy in its time, or the platform went back.
    Unhealthy {
        /// What the platform says.
        why: String,
    },
    /// Refused: the live object is not what the plan was made from. Nothing was written.
    Stale {
        /// What is different.
        why: String,
    },
    /// Not started.
    Skipped {
        /// Because of what.
        why: String,
    },
    /// It may have been written or not. Plan again to see.
    Unknown {
        /// What went wrong.
        why: String,
    },
}

impl Applied {
    /// What the run comes to.
    pub fn verdict(&self) -> RunVerdict {
        let any = |test: fn(&ChangeResult) -> bool| self.changes.iter().any(|report| test(&report.result));
        if any(|r| matches!(r, ChangeResult::Failed { .. } | ChangeResult::Unknown { .. })) {
            RunVerdict::Partial
        } else if any(|r| matches!(r, ChangeResult::Unhealthy { .. })) || self.health.iter().any(|h| h.health.settled() != Some(true)) {
            RunVerdict::Unhealthy
        } else if any(|r| matches!(r, ChangeResult::Stale { .. })) {
            RunVerdict::Stale
        } else if any(|r| matches!(r, ChangeResult::Skipped { .. })) {
            RunVerdict::Partial
        } else {
            RunVerdict::Success
        }
    }
}

/// The run as a whole: decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunVerdict {
    /// Everything is done, and healthy as far as it was waited for.
    Success,
    /// Something was refused as stale; nothing else went wrong.
    Stale,
    /// Something failed or is unknown, or was skipped for another reason than health.
    Partial,
    /// Everything that could be is written, and something is not healthy.
    Unhealthy,
    /// Everything that was planned is done, and the platform would refuse something that is declared.
    Refused,
}

/// Why nothing was applied at all.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A secret is not available, so what is planned cannot be written.
    #[error("the plan needs the secret {name:?}: {why}")]
    Secret {
        /// Its name.
        name: String,
        /// Why it is not available.
        why: String,
    },
    /// A secret's value is not the one that was planned with.
    #[error("the secret {name:?} has another value than when the plan was made")]
    SecretMoved {
        /// Its name.
        name: String,
    },
    /// A platform could not be reached, or another writer holds the lease.
    #[error("environment {environment}: {source}")]
    Platform {
        /// Which environment.
        environment: Name,
        /// What went wrong.
        source: PlatformError,
    },
}
