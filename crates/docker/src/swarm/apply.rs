//! One change is carried out: read, judged, written with the version that was just read.

mod config;
mod network;
mod secret;
mod service;

use std::collections::BTreeMap;

use bollard::errors::Error;
use bollard::models::ObjectVersion;
use stratos_engine::desired::owner::{Marks, Owner, Ownership};
use stratos_engine::desired::resource::Resource;
use stratos_engine::plan::change::{Change, Reason, Verdict};
use stratos_engine::platform::{ApplyContext, ObservedResource, Outcome, PlatformError, PlatformErrorKind};

use super::SwarmPlatform;
use super::translate::{CONFIG, SECRET, SERVICE};
use crate::app_network::NETWORK;
use crate::failure::{failure, is_lost, is_not_found};

/// How often a write is tried over that the orchestrator was faster with: it writes a service's status into the service
/// while it updates it. Beyond that the engine of Stratos waits before it tries again.
const ATTEMPTS: usize = 5;

/// What a request came to.
enum Answer {
    /// It is written.
    Done(BTreeMap<String, String>),
    /// It had been written already.
    AlreadyDone(BTreeMap<String, String>),
    /// Another write came first: read again.
    Outrun(PlatformError),
    /// What is live is not what the plan was made from.
    Stale(String),
    /// Nothing is written.
    Failed(PlatformError),
    /// It may be written.
    Lost(PlatformError),
}

/// Carries out one change.
pub(crate) async fn apply(platform: &SwarmPlatform, change: &Change, context: &ApplyContext<'_>) -> Outcome {
    let call = Call { platform, change, context, attempted: format!("{} {}", change.action.doing(), change.id) };
    let mut outrun = None;
    for _ in 0..ATTEMPTS {
        if let Err(error) = platform.lease.check(&call.attempted) {
            return Outcome::Failed(error);
        }
        match call.once().await {
            Answer::Done(attributes) => return Outcome::Done { attributes },
            Answer::AlreadyDone(attributes) => return Outcome::AlreadyDone { attributes },
            Answer::Stale(why) => return Outcome::Stale { why },
            Answer::Failed(error) => return Outcome::Failed(error),
            Answer::Lost(error) => return Outcome::Unknown(error),
            Answer::Outrun(error) => outrun = Some(error),
        }
    }
    Outcome::Failed(outrun.unwrap_or_else(|| call.error(PlatformErrorKind::Conflict, "another writer was faster each time")))
}

/// One change, and what it takes to carry it out.
struct Call<'a> {
    platform: &'a SwarmPlatform,
    change: &'a Change,
    context: &'a ApplyContext<'a>,
    attempted: String,
}

impl Call<'_> {
    async fn once(&self) -> Answer {
        let kind = &*self.change.id.kind;
        let answer = if kind == SERVICE.kind {
            service::apply(self).await
        } else if kind == CONFIG.kind {
            config::apply(self).await
        } else if kind == SECRET.kind {
            secret::apply(self).await
        } else if kind == NETWORK.kind {
            network::apply(self).await
        } else {
            return Answer::Failed(self.error(PlatformErrorKind::Rejected, &format!("a swarm has no {kind}")));
        };
        answer.unwrap_or_else(|answer| answer)
    }

    fn error(&self, kind: PlatformErrorKind, why: &str) -> PlatformError {
        PlatformError::new(kind, &self.attempted, why)
    }

    fn rejected(&self, why: impl AsRef<str>) -> Answer {
        Answer::Failed(self.error(PlatformErrorKind::Rejected, why.as_ref()))
    }

    /// A read that failed: nothing is written.
    fn unread(&self, error: &Error) -> Answer {
        Answer::Failed(failure(&self.attempted, error))
    }

    /// A write that failed, or whose answer was lost.
    fn unwritten(&self, error: &Error) -> Answer {
        let lost = is_lost(error);
        let error = failure(&self.attempted, error);
        match (lost, error.kind) {
            (true, _) => Answer::Lost(error),
            (false, PlatformErrorKind::Conflict) => Answer::Outrun(error),
            (false, _) => Answer::Failed(error),
        }
    }

    /// What a deletion came to. Gone is gone, whoever did it.
    fn deleted(&self, result: Result<(), Error>) -> Answer {
        match result {
            Err(error) if !is_not_found(&error) => self.unwritten(&error),
            _ => Answer::Done(BTreeMap::new()),
        }
    }

    /// On whose behalf it is done.
    fn owner(&self) -> Option<&Owner> {
        let desired = self.change.desired.as_ref().map(|desired| &desired.marks.owner);
        desired.or_else(|| self.change.fence.before.as_ref().and_then(|seen| seen.owner.as_ref()))
    }

    /// The same, for reading what is live.
    fn us(&self) -> &Owner {
        self.owner().unwrap_or(&self.platform.config.owner)
    }

    /// Goes on only where the change may be written over what is live.
    fn judge(&self, live: Option<&ObservedResource>) -> Result<(), Answer> {
        match self.change.judge(live, live) {
            Verdict::Stale(why) => return Err(Answer::Stale(why)),
            Verdict::AlreadyDone => {
                return Err(Answer::AlreadyDone(live.map(|live| live.attributes.clone()).unwrap_or_default()));
            }
            Verdict::Proceed => {}
        }
        let is_ours = live.is_none_or(|live| matches!(live.ownership, Ownership::Ours(_)));
        if is_ours || self.change.reason == Reason::Adopted {
            Ok(())
        } else {
            Err(Answer::Stale(format!("{} is not ours", self.change.id)))
        }
    }

    fn desired(&self) -> Result<&Resource, Answer> {
        self.change.desired.as_ref().ok_or_else(|| self.rejected("the plan does not say what to write"))
    }

    /// The marks that are written with a change.
    fn marks(&self, desired: &Resource) -> Marks {
        Marks {
            revision: self.context.revision.map(str::to_owned).or_else(|| desired.marks.revision.clone()),
            specification: Some(desired.document.digest().to_string()),
            ..desired.marks.clone()
        }
    }

    /// A version as the client sends it for compare-and-swap.
    fn version<T: TryFrom<u64>>(&self, version: Option<&ObjectVersion>) -> Result<T, Answer> {
        let index = version.and_then(|version| version.index).unwrap_or_default();
        sendable(index).map_err(|why| Answer::Failed(self.error(PlatformErrorKind::Internal, &why)))
    }
}

/// A version in the type that the client has for it. It has fewer bits for services than the swarm counts with.
fn sendable<T: TryFrom<u64>>(index: u64) -> Result<T, String> {
    T::try_from(index).map_err(|_| format!("the swarm counts its writes to {index}, and this build's client cannot send a number so large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_the_client_cannot_send_is_refused_and_not_cut() {
        assert_eq!(sendable::<i32>(2_147_483_647), Ok(i32::MAX));
        assert!(sendable::<i32>(2_147_483_648).is_err_and(|why| why.contains("2147483648")));
        assert_eq!(sendable::<i64>(2_147_483_648), Ok(2_147_483_648));
    }
}
