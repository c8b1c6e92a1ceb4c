//! Stage 8: what was applied is judged, in six words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The six words. They are ordered from good to bad, so that the worst of several is their maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything that should run does, and passes its probe.
    Healthy,
    /// On its way, within its time.
    Progressing,
    /// It serves, but not with everything that it should have.
    Degraded,
    /// It could not be found out.
    Unknown,
    /// It is not there.
    Missing,
    /// It does not work, and waiting will not help.
    Failed,
}

impl Status {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Progressing => "progressing",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a platform says of one resource that has health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// One of the six words.
    pub status: Status,
    /// One sentence, in the platform's own words where it has some: why it is not healthy.
    pub message: String,
    /// Its instances, in a stable order.
    #[serde(default)]
    pub instances: Vec<Instance>,
    /// Where it can be reached from outside.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// The state of its last roll-out, where the platform remembers one.
    #[serde(default)]
    pub rollout: RolloutState,
}

/// The state of the last roll-out of a resource. A write through `Platform::apply` begins a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// There is none, or it went through.
    #[default]
    Done,
    /// It is going on.
    Running,
    /// The platform went back to what ran before: a failure, also when what runs is healthy.
    RolledBack {
        /// What the platform said.
        why: String,
    },
    /// It failed and was left as it is.
    Paused {
        /// What the platform said.
        why: String,
    },
}

/// One running copy of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// The platform's name for it.
    pub name: String,
    /// One of the six words.
    pub status: Status,
    /// Why, in one sentence; empty when it is healthy.
    pub message: String,
    /// How often it was started again after it ended.
    pub restarts: u32,
    /// Its last log lines, where it does not work.
    #[serde(default)]
    pub last_log: Vec<String>,
}

impl Health {
    /// The health of what is not there.
    pub fn missing(message: impl Into<String>) -> Self {
        Self { status: Status::Missing, message: message.into(), instances: vec![], endpoints: vec![], rollout: RolloutState::Done }
    }

    /// The same, where a roll-out that the platform took back is no news: somebody has agreed with it since.
    #[must_use]
    pub fn apart_from_rollback(self) -> Self {
        match self.rollout {
            RolloutState::RolledBack { .. } => Self { rollout: RolloutState::Done, ..self },
            RolloutState::Done | RolloutState::Running | RolloutState::Paused { .. } => self,
        }
    }

    /// Whether a wait for health is over: true for good, false for bad, None to wait on.
    pub fn settled(&self) -> Option<bool> {
        match (&self.rollout, self.status) {
            (RolloutState::RolledBack { .. } | RolloutState::Paused { .. }, _) | (_, Status::Failed) => Some(false),
            (RolloutState::Running, _) => None,
            (RolloutState::Done, Status::Healthy) => Some(true),
            (RolloutState::Done, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_is_a_failure_although_what_runs_is_healthy() {
        let healthy = Health { status: Status::Healthy, ..Health::missing("") };
        assert_eq!(healthy.settled(), Some(true));
        let rolled_back = Health { rollout: RolloutState::RolledBack { why: "probe failed".into() }, ..healthy.clone() };
        assert_eq!(rolled_back.settled(), Some(false));
        assert_eq!(Health { rollout: RolloutState::Running, ..healthy }.settled(), None);
    }

    #[test]
    fn the_worst_of_several_is_the_maximum() {
        assert_eq!([Status::Healthy, Status::Failed, Status::Missing].into_iter().max(), Some(Status::Failed));
    }
}
