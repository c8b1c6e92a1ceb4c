//! One word, one sentence, and the state of the roll-out.

use stratos_engine::health::{Health, RolloutState, Status};

/// What is made of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) status: Status,
    pub(super) message: String,
    pub(super) rollout: RolloutState,
}

impl Verdict {
    fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), rollout: RolloutState::Done }
    }

    pub(super) fn healthy() -> Self {
        Self::new(Status::Healthy, "")
    }

    /// It works, and there is something to say all the same.
    pub(super) fn healthy_but(message: impl Into<String>) -> Self {
        Self::new(Status::Healthy, message)
    }

    pub(super) fn progressing(message: impl Into<String>) -> Self {
        Self::new(Status::Progressing, message)
    }

    pub(super) fn degraded(message: impl Into<String>) -> Self {
        Self::new(Status::Degraded, message)
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(Status::Failed, message)
    }

    /// A roll-out is under way.
    pub(super) fn running(message: impl Into<String>) -> Self {
        Self { rollout: RolloutState::Running, ..Self::progressing(message) }
    }

    /// A roll-out was given up, and left as it is.
    pub(super) fn given_up(why: impl Into<String>) -> Self {
        let why = why.into();
        Self { rollout: RolloutState::Paused { why: why.clone() }, ..Self::failed(why) }
    }

    /// The controller has not seen yet what the object is now.
    pub(super) fn unobserved() -> Self {
        Self::running("the cluster has not taken it up yet")
    }

    pub(super) fn into_health(self) -> Health {
        let Self { status, message, rollout } = self;
        Health { status, message, instances: vec![], endpoints: vec![], rollout }
    }
}
