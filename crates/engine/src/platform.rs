//! The contract between the engine and a platform.
//!
//! A [`Platform`] is one environment, connected. Its implementers guarantee, and `contract.rs` checks on each of them:
//!
//! 1. **One normal form.** `observe` returns documents in the form that `translate` writes: what a server filled in is
//!    gone, what has no order is sorted, quantities are canonical. Law: a plan right after an apply is empty.
//! 2. **Silence is not absence.** What could not be read is reported as a [`Gap`]; what a gap could contain is held, and so is
//!    every deletion beside it: what is hidden may need what would go.
//! 3. **Once is as good as twice.** Killed at any call of an apply and run again, the end is the same.
//! 4. **Only ours.** What does not carry this owner's mark is never changed or deleted, unless
//!    [`Change::may_write_over`] says so: the user agreed to adopt it, or the environment held it under its earlier name.
//! 5. **Nothing secret leaves.** Values come from [`ApplyContext::resolve`] in `apply`, go to the platform, and nowhere
//!    else. Documents hold fingerprints.
//! 6. **Fenced.** Before it writes, `apply` asks [`Change::judge`] about the live object, and
//!    uses what it just read as compare-and-swap where the platform has one.
//! 7. **A rollback is a failure.** `health` reports it as [`RolloutState::RolledBack`](crate::health::RolloutState), with
//!    what the platform said.
//! 8. **One writer.** `lease` keeps a second writer out, or says that the platform cannot.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::stream::BoxStream;
use indexmap::IndexMap;
pub use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::compare::Difference;
use crate::desired::document::Document;
use crate::desired::name::Name;
use crate::desired::owner::{Marks, Owner, Ownership};
use crate::desired::path::Path;
use crate::desired::resource::{Replacement, Resource, ResourceId};
use crate::desired::text::Text;
use crate::health::{Health, RolloutState};
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::schema::App;
use crate::plan::change::Change;
use crate::render::native::{Generated, Native};
use crate::render::secret::{Attributes, ResolveError, Secrets};

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod exec;
pub mod jobs;
#[cfg(any(test, feature = "contract"))]
pub mod memory;
pub mod support;

pub use exec::Exec;
pub use jobs::Jobs;
pub use support::{Field, Support};

/// One environment of one platform, connected.
#[async_trait]
pub trait Platform: Send + Sync {
    /// What it makes of a field of the portable model. What it cannot do is an error at plan time, unless the app
    /// allows it.
    fn support(&self, field: Field) -> Support;

    /// What is wrong with this app for this platform, beyond single fields: sentences. Pure. Errors at plan time.
    fn check(&self, _app: &App) -> Vec<String> {
        Vec::new()
    }

    /// The resources that an app becomes here. Pure. Every resource is in this platform's normal form.
    ///
    /// The engine has checked `support`, and adds the dependencies between apps itself.
    fn translate(&self, app: &TranslatedApp<'_>) -> Vec<Resource>;

    /// The files that a native part names: paths and globs from the part's folder on, as far as the part and those of its
    /// files that are there tell. Pure; asked again until it names nothing new.
    fn native_files(&self, _part: &Native) -> Vec<String> {
        Vec::new()
    }

    /// The files that programs of this machine make of a native part whose own files are read ([`Native::generated`]). It may run
    /// programs, and asks no platform.
    ///
    /// # Errors
    /// What is wrong, each thing at its place in the manifest or in a file. What `native` says as well is said there.
    async fn generate(&self, _app: &Name, _part: &Native) -> Result<Generated, Vec<Diagnostic>> {
        Ok(Generated::default())
    }

    /// The resources of an app's native part (`platform.<kind>`), marked as the app's and in normal form. Pure.
    ///
    /// It is beside what `translate` makes of the portable part; where an app has no `image` and no `command`, `translate`
    /// is not asked.
    ///
    /// # Errors
    /// Everything that is wrong with it, each thing at its place in the manifest or in a file.
    fn native(&self, _app: &TranslatedApp<'_>, part: &Native) -> Result<NativeResources, Vec<Diagnostic>> {
        Err(vec![Diagnostic::new("this platform has no native parts", part.node.span).with_help("remove it")])
    }

    /// Where other apps of the environment reach a port of this app: literal text, or an attribute that becomes known.
    fn address(&self, app: &TranslatedApp<'_>, port: &Name) -> Address;

    /// Reads everything that carries the owner's mark, and what has one of the `wanted` ids, whoever it belongs to.
    ///
    /// Of a live object it reports what is ours to say: what the owner wrote, and the fields that are wanted. What neither names
    /// may be left out.
    ///
    /// It reports what it could not read as a gap and goes on; it returns an error only where nothing could be read.
    async fn observe(&self, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError>;

    /// The platform's own dry run for what differs: what it would really store. Reads only. The default knows no more than
    /// `translate` does.
    async fn preview(&self, _differences: &[Difference]) -> Result<Preview, PlatformError> {
        Ok(Preview::default())
    }

    /// Which changes one call carries: indexes into `changes`. Pure. One each by default.
    fn batches(&self, changes: &[&Change]) -> Vec<Vec<usize>> {
        (0..changes.len()).map(|i| vec![i]).collect()
    }

    /// Writes. Returns one outcome for each change of the batch, in its order.
    ///
    /// It does not wait for health. It may be called concurrently for changes that do not wait for each other.
    async fn apply(&self, batch: &[&Change], context: &ApplyContext<'_>) -> Vec<Outcome>;

    /// How these resources are. One answer for each id, in the order asked; `missing` for what is not there.
    async fn health(&self, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError>;

    /// Keeps other writers out of this environment while the returned value lives (and no longer than its holder).
    /// `holder` says who we are, for the message that the other one gets.
    async fn lease(&self, owner: &Owner, holder: &str) -> Result<Lease, PlatformError>;

    /// Ends what the environment itself needs (a supervisor, a namespace), if nothing is left in it: the platform looks.
    async fn retire(&self, _owner: &Owner) -> Result<(), PlatformError> {
        Ok(())
    }

    /// How many requests were sent since it was connected.
    fn requests(&self) -> u64;

    /// Logs, where the platform keeps them.
    fn logs(&self) -> Option<&dyn Logs> {
        None
    }

    /// Commands in running instances, where the platform can run them.
    fn exec(&self) -> Option<&dyn Exec> {
        None
    }

    /// Commands that run to their end, where the platform can run them.
    fn jobs(&self) -> Option<&dyn Jobs> {
        None
    }
}

/// What is read whoever it belongs to: ids, each with what should be there, where something should.
pub type Wanted<'a> = BTreeMap<ResourceId, Option<&'a Document>>;

/// Reading logs: apart, so that the contract for a deployment stays small.
#[async_trait]
pub trait Logs: Send + Sync {
    /// The lines of all instances of a resource, oldest first; with `follow` it goes on until it is dropped.
    async fn logs(
        &self,
        of: &ResourceId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, PlatformError>>, PlatformError>;
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// Go on with new lines.
    pub follow: bool,
    /// At most this many of the newest lines of each instance.
    pub tail: Option<usize>,
    /// Instead: the lines of each instance's run before its last restart, which has ended: there is nothing to follow. An error
    /// on a platform that does not keep them apart.
    pub previous: bool,
}

/// One line of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The platform's name for the instance.
    pub instance: String,
    /// Without its line end.
    pub line: String,
}

/// An app as `translate` gets it: effective, with everything resolved that can be before anything runs.
#[derive(Debug)]
pub struct TranslatedApp<'a> {
    /// The project's name: the first part of live names.
    pub project: &'a Name,
    /// The app's name.
    pub name: &'a Name,
    /// Where it goes.
    pub environment: &'a Name,
    /// What its resources are marked with.
    pub marks: &'a Marks,
    /// The app itself. For `env` and `files` take the fields below.
    pub app: &'a App,
    /// Its environment variables, with those of its bindings.
    pub env: &'a IndexMap<String, Text>,
    /// Its files, with their templates rendered.
    pub files: &'a IndexMap<String, FileContent>,
    /// Its native part for this platform, with its files, where it has one: it may say how the portable part is translated.
    pub native: Option<&'a Native>,
    /// Whether a live object was renamed: app, or volume of the app (`None` for the app itself), to its name before.
    pub moved_from: &'a BTreeMap<Option<Name>, MovedFrom>,
}

/// What a platform makes of an app's native part.
#[derive(Debug, Default)]
pub struct NativeResources {
    /// The resources.
    pub resources: Vec<Resource>,
    /// What is left out, as `allow_degraded` says: sentences.
    pub degraded: Vec<String>,
}

/// What an app, or one of its volumes, was called before a `[[moved]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedFrom {
    /// The app's name before.
    pub app: Name,
    /// The volume's name before, where it is about a volume.
    pub volume: Option<Name>,
}

/// A file that an app finds at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// The content.
    pub content: Text,
    /// Permission bits.
    pub mode: u32,
}

/// Where an app is reached from inside its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A host name or an IP address.
    pub host: Text,
    /// A port number.
    pub port: Text,
}

/// What is read: one owner's resources, or only those of some of its apps.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Whose.
    pub owner: Owner,
    /// Only these apps; all of them where it is None.
    pub apps: Option<BTreeSet<Name>>,
}

/// What a platform's own dry run says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// What it would really store, in normal form. A secret leaf needs no text: the engine has it.
    pub stored: BTreeMap<ResourceId, Document>,
    /// What it would not change in place, and how it is made anew instead.
    pub anew: BTreeMap<ResourceId, Replacement>,
    /// Resources that it would refuse, and why, also those that are not there yet: held, while everything else is planned.
    pub refused: BTreeMap<ResourceId, String>,
    /// Resources after another change of the same plan, which only the platform knows: an object after the definition of its kind.
    pub needs: BTreeMap<ResourceId, ResourceId>,
    /// Those of the refused ones that are right, and have fields that somebody else has set: no mistake of the manifest.
    pub conflicts: BTreeSet<ResourceId>,
    /// What it could not be asked, and why: sentences.
    pub notes: Vec<String>,
}

/// What is live under one id.
#[derive(Debug, Clone)]
pub struct ObservedResource {
    /// Which.
    pub id: ResourceId,
    /// Whose it is.
    pub ownership: Ownership,
    /// Its body, in normal form. May be empty for what is not ours.
    pub document: Document,
    /// The platform's identity of this very object, where it has one: another object of the same name has another uid.
    pub uid: Option<String>,
    /// What the platform gave it: addresses, ports. They stay the same for as long as the object lives: only a creation or
    /// a replacement changes them, and whoever refers to them is updated then.
    pub attributes: BTreeMap<String, String>,
    /// The values of its secret leaves, where the platform returns them. They are compared and dropped.
    pub secret_values: Vec<(Path, Zeroizing<String>)>,
    /// Deleting it destroys data.
    pub holds_data: bool,
    /// It has health that can be asked for.
    pub has_health: bool,
    /// What it needs: it is deleted before these.
    pub depends_on: Vec<ResourceId>,
    /// It has run and is gone, and nothing is to be done where its document is what should be: whose it is counts no more.
    pub is_over: bool,
    /// Operators that serve its deletion, by doing what its finalizers wait for. Where both are deleted, this resource goes first; nothing
    /// else follows from it.
    pub deleted_before: Vec<ResourceId>,
    /// The state of its last roll-out, where the platform tells it with the object.
    pub rollout: RolloutState,
    /// Secret leaves that are not as they should be although their fingerprints agree. The engine adds those whose live
    /// value was compared with the desired one; a platform adds those that hold an address which has moved since.
    pub secrets_moved: Vec<Path>,
    /// Secret leaves whose value the manifest says openly. What is not ours is hidden wherever it may be secret; the engine
    /// says here what is no difference all the same.
    pub said_openly: Vec<Path>,
}

impl ObservedResource {
    /// What is live under an id; everything else is empty, and is set by those who know it.
    pub fn new(id: ResourceId, ownership: Ownership, document: Document) -> Self {
        Self {
            id,
            ownership,
            document,
            uid: None,
            attributes: BTreeMap::new(),
            secret_values: Vec::new(),
            holds_data: false,
            has_health: false,
            depends_on: Vec::new(),
            is_over: false,
            deleted_before: Vec::new(),
            rollout: RolloutState::Done,
            secrets_moved: Vec::new(),
            said_openly: Vec::new(),
        }
    }
}

/// Something that could not be read. Everything that it could contain is held.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Gap {
    /// The environment that it is in.
    pub environment: Name,
    /// Only this kind; every kind where it is None.
    #[serde(default)]
    pub kind: Option<String>,
    /// Only this name; every name where it is None.
    #[serde(default)]
    pub name: Option<String>,
    /// Why it could not be read, and what would help.
    pub why: String,
}

impl Gap {
    /// Whether this resource could be in it.
    pub fn contains(&self, id: &ResourceId) -> bool {
        let Self { environment, kind, name, why: _ } = self;
        *environment == id.environment
            && kind.as_deref().is_none_or(|kind| kind == &*id.kind)
            && name.as_deref().is_none_or(|name| name == &*id.name)
    }
}

/// Takes what `observe` finds, as it is found.
#[derive(Debug, Default)]
pub struct Sink {
    /// What is there, by id. Boxed, since there may be many of them, and they are handed on from stage to stage.
    pub resources: BTreeMap<ResourceId, Box<ObservedResource>>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// Sentences about what is there, for the user.
    pub notes: Vec<String>,
}

impl Sink {
    /// Takes what is there.
    pub fn add(&mut self, found: impl IntoIterator<Item = ObservedResource>) {
        self.resources.extend(found.into_iter().map(|live| (live.id.clone(), Box::new(live))));
    }
}

/// What `apply` may use.
pub struct ApplyContext<'a> {
    /// The values of secrets.
    pub secrets: &'a Secrets,
    /// The attributes that are known by now.
    pub attributes: &'a Attributes,
    /// The marks that are written with a change: the manifest's revision.
    pub revision: Option<&'a str>,
    /// Cancelled when the run is given up: a call that waits for what is under way says how far that is, and ends.
    pub given_up: &'a CancellationToken,
}

impl ApplyContext<'_> {
    /// A text made whole. What it returns goes to the platform and nowhere else.
    pub fn resolve(&self, text: &Text) -> Result<Zeroizing<String>, ResolveError> {
        self.secrets.resolve(text, self.attributes)
    }
}

/// What came of one change.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is written, with these attributes.
    Done {
        /// What the platform gave the resource.
        attributes: BTreeMap<String, String>,
    },
    /// It had happened already; nothing was written.
    AlreadyDone {
        /// What the platform gave the resource.
        attributes: BTreeMap<String, String>,
    },
    /// The live object is not what the plan was made from; nothing was written.
    Stale {
        /// What is different.
        why: String,
    },
    /// Nothing was written.
    Failed(PlatformError),
    /// The answer was lost: it may have been written or not.
    Unknown(PlatformError),
}

/// Whether this process is the only writer.
pub enum Lease {
    /// It is, while the value lives.
    Held(Box<dyn Send + Sync>),
    /// The platform cannot keep a lease; the plan and the report say so.
    Unsupported {
        /// Why not.
        why: String,
    },
}

/// What went wrong with a platform.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{attempted}: {why}")]
pub struct PlatformError {
    /// What kind of failure it is.
    pub kind: PlatformErrorKind,
    /// What was attempted, on what: `creating dev/workload/shop-web`.
    pub attempted: String,
    /// Why it failed, in the platform's own words.
    pub why: String,
    /// What to do next, where that is known.
    pub hint: Option<String>,
    /// How long the platform asked to wait (`Retry-After`).
    pub retry_after: Option<std::time::Duration>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlatformErrorKind {
    /// It could not be reached, or did not answer in time. Safe to repeat.
    Unreachable,
    /// It asked to slow down. Safe to repeat.
    Throttled,
    /// Another writer was faster: read again and repeat.
    Conflict,
    /// Another writer holds the lease.
    Locked,
    /// We may not.
    Denied,
    /// It refused what it was given. Repeating will not help.
    Rejected,
    /// It is broken, or answered something that was not understood.
    Internal,
}

impl PlatformErrorKind {
    /// Whether the same call may work a moment later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::Throttled | Self::Conflict)
    }
}

impl PlatformError {
    /// An error without a hint.
    pub fn new(kind: PlatformErrorKind, attempted: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, attempted: attempted.into(), why: why.into(), hint: None, retry_after: None }
    }

    /// The same error with what to do next.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
