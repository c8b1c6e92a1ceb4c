//! Scripted faults: what goes wrong at which request.

use std::time::Duration;

use crate::platform::{PlatformError, PlatformErrorKind};

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// A list, or a read of wanted names, by `observe`.
    Observe,
    /// The read of the live object before a write.
    Read,
    /// A write. A replacement that deletes first is two of them.
    Apply,
    /// A read of health.
    Health,
    /// Taking a lease.
    Lease,
}

impl Call {
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Observe => "listing",
            Self::Read => "reading",
            Self::Apply => "writing",
            Self::Health => "reading the health of",
            Self::Lease => "taking",
        }
    }
}

/// Whether the request reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It did not: nothing happened.
    Before,
    /// It did, and was carried out; only the answer is lost.
    After,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The connection breaks.
    Unreachable,
    /// The server says that another writer was faster.
    Conflict,
    /// The server asks to wait this long.
    Throttled(Duration),
    /// We may not.
    Denied,
    /// Nothing but time is lost.
    Delay(Duration),
    /// The process is killed: the call never returns. See [`World::crashed`](super::World::crashed).
    Crash,
}

impl Effect {
    pub(crate) fn error(self, attempted: String) -> PlatformError {
        let error = |kind, why: &str| PlatformError::new(kind, attempted.clone(), why);
        match self {
            Self::Unreachable | Self::Crash | Self::Delay(_) => error(PlatformErrorKind::Unreachable, "the connection was closed"),
            Self::Conflict => error(PlatformErrorKind::Conflict, "the object has been modified: read it again"),
            Self::Throttled(time) => {
                PlatformError { retry_after: Some(time), ..error(PlatformErrorKind::Throttled, "too many requests: slow down") }
            }
            Self::Denied => error(PlatformErrorKind::Denied, "this account may not do that"),
        }
    }
}

/// One scripted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// At which kind of request; any where it is None.
    pub call: Option<Call>,
    /// At which of them, counted from 0 from now on.
    pub index: usize,
    /// Whether it reached the server.
    pub when: When,
    /// What goes wrong.
    pub effect: Effect,
}

/// A request whose answer did not arrive.
pub(crate) struct Lost {
    pub took_effect: bool,
    pub error: PlatformError,
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pending: Vec<Fault>,
}

impl Script {
    pub fn add(&mut self, fault: Fault) {
        self.pending.push(fault);
    }

    pub fn clear(&mut self) {
        self.pending.clear();
    }

    /// Counts a request, and returns the fault that it meets.
    pub fn meet(&mut self, call: Call) -> Option<Fault> {
        let mut met = None;
        let about = |fault: &Fault| fault.call.is_none_or(|c| c == call);
        for (position, fault) in self.pending.iter_mut().enumerate().filter(|(_, fault)| about(fault)) {
            match fault.index.checked_sub(1) {
                Some(rest) => fault.index = rest,
                None => met = met.or(Some(position)),
            }
        }
        met.map(|position| self.pending.remove(position))
    }
}
