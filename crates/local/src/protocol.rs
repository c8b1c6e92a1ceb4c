//! What the command line and the supervisor say to each other: one JSON message a line, one request a connection.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stratos_engine::desired::document::Document;
use stratos_engine::desired::owner::{Marks, Owner, Ownership};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::{Health, RolloutState};
use stratos_engine::plan::change::Change;
use stratos_engine::platform::{LogLine, ObservedResource, PlatformError, PlatformErrorKind};
use zeroize::Zeroizing;

use crate::translate::WORKLOAD;

/// A supervisor outlives the program that started it: another version of the program may find it.
pub(crate) const VERSION: u32 = 1;

/// The longest request that a supervisor reads: more than all files of a large app.
pub(crate) const LONGEST_REQUEST: u64 = 256 * 1024 * 1024;

/// The line that a connection begins with.
#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub version: u32,
    pub request: Request,
}

/// What is asked. The answer is one line, `Reply` of the type in brackets.
#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    /// Everything that is there ([`Vec<SeenObject>`]).
    Observe,
    /// A change ([`Applied`]).
    Apply(Box<ApplyRequest>),
    /// How things are, in this order ([`Vec<Health>`]).
    Health(Vec<ResourceId>),
    /// Lines (`()`, then [`WireLine`]s until the connection ends).
    Logs { of: ResourceId, follow: bool, tail: Option<usize> },
    /// End, if nothing is left (`bool`: whether it ends).
    Retire,
}

pub(crate) type Reply<T> = Result<T, WireError>;

/// A change, with the values that it needs.
#[derive(Serialize, Deserialize)]
pub(crate) struct ApplyRequest {
    pub change: Change,
    /// Who asks.
    pub owner: Owner,
    /// What is marked, with the revision of this very apply.
    pub marks: Option<Marks>,
    /// The values of the leaves that hold secrets or refer to others. For the supervisor's memory alone.
    pub values: BTreeMap<Path, Value>,
    /// Where commands start.
    pub directory: Option<PathBuf>,
}

/// A value that may be secret: wiped when it is given back, and without `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Value(pub Zeroizing<String>);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Zeroizing::new(String::deserialize(deserializer)?)))
    }
}

/// What came of a change.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Applied {
    Done { attributes: BTreeMap<String, String> },
    AlreadyDone { attributes: BTreeMap<String, String> },
    Stale { why: String },
}

/// One object, as the supervisor or `state.json` has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SeenObject {
    pub id: ResourceId,
    pub marks: Option<Marks>,
    pub document: Document,
    pub uid: String,
    pub attributes: BTreeMap<String, String>,
    pub holds_data: bool,
    /// What it was applied after: it goes before them.
    pub depends_on: Vec<ResourceId>,
    /// How its last roll-out stands: a plan shows it, and knows by it what went back before.
    #[serde(default)]
    pub rollout: RolloutState,
}

impl SeenObject {
    /// It, from this owner's point of view.
    pub fn for_owner(self, owner: &Owner) -> ObservedResource {
        let Self { id, marks, document, uid, attributes, holds_data, depends_on, rollout } = self;
        let ownership = match marks {
            Some(marks) if marks.owner == *owner => Ownership::Ours(marks),
            Some(marks) => Ownership::Another(marks.owner),
            None => Ownership::Unmarked,
        };
        let has_health = *id.kind == *WORKLOAD.kind;
        ObservedResource {
            uid: Some(uid),
            attributes,
            holds_data,
            has_health,
            depends_on,
            rollout,
            ..ObservedResource::new(id, ownership, document)
        }
    }
}

/// A line of a log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireLine {
    pub instance: String,
    pub line: String,
}

impl From<WireLine> for LogLine {
    fn from(WireLine { instance, line }: WireLine) -> Self {
        Self { instance, line }
    }
}

/// A failure, on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireError {
    pub kind: WireErrorKind,
    pub why: String,
    pub hint: Option<String>,
}

/// The kinds of failure that a supervisor reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WireErrorKind {
    Rejected,
    /// Refused because of something of ours that may be about to change.
    Busy,
    Denied,
    Internal,
}

impl WireError {
    pub fn new(kind: WireErrorKind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into(), hint: None }
    }

    pub fn rejected(why: impl Into<String>) -> Self {
        Self::new(WireErrorKind::Rejected, why)
    }

    pub fn internal(why: impl std::fmt::Display) -> Self {
        Self::new(WireErrorKind::Internal, why.to_string())
    }

    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// It, as the engine knows errors.
    pub fn into_platform_error(self, attempted: &str) -> PlatformError {
        let kind = match self.kind {
            WireErrorKind::Rejected | WireErrorKind::Busy => PlatformErrorKind::Rejected,
            WireErrorKind::Denied => PlatformErrorKind::Denied,
            WireErrorKind::Internal => PlatformErrorKind::Internal,
        };
        PlatformError { hint: self.hint, ..PlatformError::new(kind, attempted, self.why) }
    }
}

/// The answer to [`Request::Health`].
pub(crate) type HealthReply = Vec<Health>;
