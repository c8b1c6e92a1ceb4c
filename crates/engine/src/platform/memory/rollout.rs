//! Roll-outs and health. There is no clock: each read of a service's health is a tick.
//!
//! How an image behaves is in its name: `fail/…` never passes its probe, `crash/…` ends right after it starts,
//! `missing/…` cannot be pulled, `wait/…` never finds a node with room. Anything else works after two ticks.

use serde::{Deserialize, Deserializer};

use super::server::Spec;
use super::world::{Key, Object, State};
use crate::desired::owner::Marks;
use crate::health::{Health, Instance, RolloutState, Status};

/// How a roll-out goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Reads of health since it began.
    ticks: u32,
    phase: Phase,
    /// What a rollback goes back to.
    previous: Option<Box<(Spec, Option<Marks>)>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
enum Phase {
    #[default]
    Done,
    Running,
    RolledBack(String),
    Paused(String),
}

/// As a world file has it: a [`RolloutState`], just begun where it runs.
impl<'de> Deserialize<'de> for Progress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let phase = match RolloutState::deserialize(deserializer)? {
            RolloutState::Done => Phase::Done,
            RolloutState::Running => Phase::Running,
            RolloutState::RolledBack { why } => Phase::RolledBack(why),
            RolloutState::Paused { why } => Phase::Paused(why),
        };
        Ok(Self { ticks: 0, phase, previous: None })
    }
}

impl Progress {
    /// A roll-out of something new.
    pub fn begin() -> Self {
        Self { ticks: 0, phase: Phase::Running, previous: None }
    }

    /// A roll-out over what is there.
    pub fn over(before: &Object) -> Self {
        // A second write while the first still rolls out falls back to what worked last.
        let previous = match (&before.progress.phase, &before.progress.previous) {
            (Phase::Running, Some(previous)) => previous.clone(),
            _ => Box::new((before.spec.clone(), before.marks.clone())),
        };
        Self { previous: before.marks.is_some().then_some(previous), ..Self::begin() }
    }

    pub fn state(&self) -> RolloutState {
        match &self.phase {
            Phase::Done => RolloutState::Done,
            Phase::Running => RolloutState::Running,
            Phase::RolledBack(why) => RolloutState::RolledBack { why: why.clone() },
            Phase::Paused(why) => RolloutState::Paused { why: why.clone() },
        }
    }
}

/// What an image does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Works,
    FailsItsProbe,
    Crashes,
    CannotBePulled,
    FindsNoNode,
}

impl Behaviour {
    fn of(image: &str) -> Self {
        match image.split('/').next() {
            Some("fail") => Self::FailsItsProbe,
            Some("crash") => Self::Crashes,
            Some("missing") => Self::CannotBePulled,
            Some("wait") => Self::FindsNoNode,
            _ => Self::Works,
        }
    }

    /// After how many ticks the platform gives its verdict; never for what waits.
    fn verdict_after(self) -> Option<u32> {
        match self {
            Self::Works => Some(2),
            Self::CannotBePulled => Some(1),
            Self::Crashes => Some(3),
            Self::FailsItsProbe => Some(4),
            Self::FindsNoNode => None,
        }
    }

    fn why(self, image: &str, ticks: u32) -> String {
        match self {
            Self::Works => String::new(),
            Self::FailsItsProbe => format!("its probe has failed {ticks} times in a row"),
            Self::Crashes => format!("it ended with status 1 and was started again {ticks} times"),
            Self::CannotBePulled => format!("the image {} cannot be pulled: not found", image.split('@').next().unwrap_or_default()),
            Self::FindsNoNode => "no node has room for it".to_owned(),
        }
    }
}

/// One read of health: the roll-out moves on, and its object's version moves with it, unasked.
pub(crate) fn tick(state: &mut State, place: &str, key: &Key) -> Health {
    let hidden = state.hidden.iter().find(|gap| gap.place == place && gap.hides(&key.kind, &key.name));
    if let Some(hidden) = hidden {
        return Health { status: Status::Unknown, ..Health::missing(hidden.why.clone()) };
    }
    let Some(object) = state.object_mut(place, key) else { return Health::missing(format!("{key} is not there")) };
    object.version += 1;
    if let Spec::Service(service) = &object.spec {
        let behaviour = Behaviour::of(&service.image);
        let pauses = service.update.on_failure == "pause";
        object.progress.ticks += 1;
        let ticks = object.progress.ticks;
        if object.progress.phase == Phase::Running && behaviour.verdict_after().is_some_and(|after| ticks >= after) {
            let why = behaviour.why(&service.image, ticks);
            object.conclude(behaviour, pauses, why);
        }
    }
    object.health(&key.name)
}

impl Object {
    /// The platform's verdict on a roll-out.
    fn conclude(&mut self, behaviour: Behaviour, pauses: bool, why: String) {
        let progress = &mut self.progress;
        match progress.previous.take() {
            _ if behaviour == Behaviour::Works => progress.phase = Phase::Done,
            // Silently: nothing but the state of the roll-out tells.
            Some(previous) if !pauses => {
                (self.spec, self.marks) = *previous;
                progress.phase = Phase::RolledBack(why);
            }
            _ => progress.phase = Phase::Paused(why),
        }
    }

    fn health(&self, name: &str) -> Health {
        let rollout = self.progress.state();
        let Spec::Service(service) = &self.spec else {
            return Health { status: Status::Healthy, rollout: RolloutState::Done, ..Health::missing("") };
        };
        let behaviour = Behaviour::of(&service.image);
        let ticks = self.progress.ticks;
        let running = self.progress.phase == Phase::Running;
        let status = match behaviour {
            Behaviour::FindsNoNode => Status::Progressing,
            _ if running => Status::Progressing,
            Behaviour::Works => Status::Healthy,
            Behaviour::FailsItsProbe | Behaviour::Crashes | Behaviour::CannotBePulled => Status::Failed,
        };
        let message = match (behaviour, status) {
            (_, Status::Healthy) => String::new(),
            (Behaviour::Works, _) => "it is starting".to_owned(),
            (behaviour, _) => behaviour.why(&service.image, ticks),
        };
        let last_log = match behaviour {
            Behaviour::Crashes => vec!["panicked: it was told to".to_owned()],
            Behaviour::FailsItsProbe => vec!["GET /healthz 503".to_owned()],
            Behaviour::Works | Behaviour::CannotBePulled | Behaviour::FindsNoNode => Vec::new(),
        };
        let instance = |index: u32| Instance {
            name: format!("{name}.{index}"),
            status,
            message: message.clone(),
            restarts: if behaviour == Behaviour::Crashes { ticks } else { 0 },
            last_log: last_log.clone(),
        };
        Health {
            status,
            message: message.clone(),
            instances: (1..=service.replicas).map(instance).collect(),
            endpoints: service.ports.iter().filter_map(|port| port.published).map(|port| format!("memory:{port}")).collect(),
            rollout,
        }
    }
}
