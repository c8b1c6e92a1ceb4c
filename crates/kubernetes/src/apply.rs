//! One change is carried out: read, judged, written over the version that was just read.

mod body;
pub(crate) use body::marked;
mod generations;
mod namespace;
mod patch;
pub(crate) use patch::{APPLY, conflict, is_by_hand};
mod removal;
pub(crate) use removal::PATIENCE;
mod scale;
mod settle;

use std::collections::BTreeMap;

use stratos_engine::desired::owner::{Owner, Ownership};
use stratos_engine::desired::resource::Resource as Desired;
use stratos_engine::plan::change::{Action, Change, Verdict};
use stratos_engine::platform::{ApplyContext, ObservedResource, Outcome, PlatformError, PlatformErrorKind};

use crate::apply_set::{Places, Ran};
use crate::failure::Failure;
use crate::kind::{GroupKind, Resource};
use crate::names;
use crate::object::live::Live;
use crate::observe::version;
use crate::platform::KubernetesPlatform;
use crate::read::{Reader, attributes};

/// How often a write is tried over that another one was faster with: controllers write the status of an object while we look.
const ATTEMPTS: usize = 8;

/// What a request came to.
pub(crate) enum Answer {
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
pub(crate) async fn apply(platform: &KubernetesPlatform, change: &Change, context: &ApplyContext<'_>) -> Outcome {
    let call = Call { platform, change, context, attempted: format!("{} {}", change.action.doing(), change.id) };
    let mut outrun = None;
    for _ in 0..ATTEMPTS {
        if let Err(error) = platform.lease.check(&call.attempted) {
            return Outcome::Failed(error);
        }
        match call.once().await.unwrap_or_else(|answer| answer) {
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
pub(crate) struct Call<'a> {
    platform: &'a KubernetesPlatform,
    change: &'a Change,
    context: &'a ApplyContext<'a>,
    attempted: String,
}

/// What is live, and where.
struct Found {
    kind: GroupKind,
    resource: Resource,
    namespace: String,
    live: Option<Live>,
}

impl Found {
    /// The path of the object that has this name.
    fn path(&self, name: &str) -> String {
        self.resource.object(Some(&self.namespace), name)
    }
}

impl Call<'_> {
    async fn once(&self) -> Result<Answer, Answer> {
        let found = self.find().await?;
        if self.change.id.name.ends_with(names::GENERATIONS) {
            return generations::apply(self, &found).await;
        }
        if self.platform.config.is_own_namespace(&self.change.id) {
            return namespace::apply(self, found).await;
        }
        let (reader, desired) = (self.reader(), self.change.desired.as_ref().map(|desired| &desired.document));
        let seen = found.live.as_ref().map(|live| reader.observed(self.change.id.clone(), &found.kind, live, desired));
        self.judge_settled(&found, seen.as_ref()).await?;
        match (self.change.action, &found.live) {
            (Action::Create, None) => self.create(&found).await,
            (Action::Create | Action::Update, Some(live)) => {
                let before = seen.map(|seen| seen.document).unwrap_or_default();
                self.update(&found, live, &before).await
            }
            (Action::Replace(_), live) => {
                if let Some(live) = live {
                    self.remove(&found, live).await?;
                }
                self.create(&found).await
            }
            (Action::Delete, Some(live)) => self.remove(&found, live).await.map(|()| Answer::Done(BTreeMap::new())),
            (Action::Forget, Some(live)) => self.forget(&found, live).await,
            (Action::Restart, Some(live)) => self.restart(&found, live).await,
            (Action::Update, None) => Err(Answer::Stale("it is gone since the plan was made".to_owned())),
            (Action::Delete, None) => Ok(Answer::AlreadyDone(BTreeMap::new())),
            (Action::Forget | Action::Restart, None) => Err(self.rejected("it is not there")),
        }
    }

    /// Reads what has the change's name. What is being deleted is waited for: nothing can be made in its place before.
    async fn find(&self) -> Result<Found, Answer> {
        let kind = GroupKind::parse(&self.change.id.kind);
        let api_version = self.change.desired.as_ref().and_then(|desired| version(&desired.document));
        let found = self.platform.discovery.find(&kind, api_version).await.map_err(|failure| self.unread(&failure))?;
        let Some(resource) = found else {
            let error = self.error(PlatformErrorKind::Rejected, &format!("the cluster has no kind {kind}"));
            return match self.change.action {
                Action::Delete => Err(Answer::AlreadyDone(BTreeMap::new())),
                _ => Err(Answer::Failed(error.with_hint("is its CustomResourceDefinition installed, in this version?"))),
            };
        };
        let namespace = self.change.id.namespace.as_deref().unwrap_or(&self.platform.config.namespace).to_owned();
        let mut found = Found { kind, resource, namespace, live: None };
        if !self.change.id.name.ends_with(names::GENERATIONS) {
            found.live = self.get(&found, &self.change.id.name).await?;
            if let Some(live) = found.live.take_if(|live| live.is_going()) {
                self.wait_until_gone(&found, &live).await?;
            }
        }
        Ok(found)
    }

    async fn get(&self, found: &Found, name: &str) -> Result<Option<Live>, Answer> {
        let body = self.find_settled(found, name).await.map_err(|failure| self.unread(&failure))?;
        body.map(|body| Live::parse(&body).map_err(|error| self.unread(&Failure::unreadable(&error)))).transpose()
    }

    fn reader(&self) -> Reader<'_> {
        Reader { config: &self.platform.config, owner: self.us() }
    }

    /// On whose behalf it is done.
    fn us(&self) -> &Owner {
        self.change.owner().unwrap_or(&self.platform.config.owner)
    }

    fn desired(&self) -> Result<&Desired, Answer> {
        self.change.desired.as_ref().ok_or_else(|| self.rejected("the plan does not say what to write"))
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
        let ours = live.is_none_or(|live| self.change.may_write_over(&live.ownership) || matches!(live.ownership, Ownership::Ours(_)));
        if ours { Ok(()) } else { Err(Answer::Stale(format!("{} is not ours", self.change.id))) }
    }

    /// Before something of a kind is made, it is written down that there may be some.
    async fn prepare(&self, found: &Found) -> Result<(), Answer> {
        self.platform.ensure_namespace().await.map_err(Answer::Failed)?;
        let namespaces = [found.namespace.clone()].into_iter().filter(|namespace| *namespace != self.platform.config.namespace);
        let places = Places {
            kinds: [found.kind.clone()].into(),
            namespaces: if found.resource.namespaced { namespaces.collect() } else { Default::default() },
            ran: Vec::new(),
        };
        self.record(&places).await.map_err(|failure| {
            let error = failure.error(&self.attempted);
            let why = format!("the environment's record of kinds, a ConfigMap, must be written before that: {}", error.why);
            Answer::Failed(PlatformError { why, ..error })
        })
    }

    /// Writes into the environment's record.
    async fn record(&self, places: &Places) -> Result<(), Failure> {
        let set = self.platform.apply_set(self.us());
        let (connection, discovery) = (&self.platform.connection, &self.platform.discovery);
        set.widen(connection, discovery, self.platform.is_new(), places).await
    }

    /// A Job that goes by itself is remembered when it is made: a run that is killed in between makes it twice rather than never.
    async fn remember(&self) {
        let ran = self.change.desired.as_ref().and_then(|desired| Ran::of(&self.change.id, &desired.document));
        let Some(ran) = ran else { return };
        if let Err(failure) = self.record(&Places { ran: vec![ran], ..Places::default() }).await {
            tracing::warn!(
                why = failure.why(),
                "{}: that it was made is not written down: when it is gone, a plan makes it again",
                self.change.id
            );
        }
    }

    fn error(&self, kind: PlatformErrorKind, why: &str) -> PlatformError {
        PlatformError::new(kind, &self.attempted, why)
    }

    fn rejected(&self, why: impl AsRef<str>) -> Answer {
        Answer::Failed(self.error(PlatformErrorKind::Rejected, why.as_ref()))
    }

    /// A read that failed: nothing is written.
    fn unread(&self, failure: &Failure) -> Answer {
        Answer::Failed(failure.error(&self.attempted))
    }

    /// A write that failed, or whose answer was lost.
    fn unwritten(&self, failure: &Failure) -> Answer {
        let error = failure.error(&self.attempted);
        if failure.is_conflict() || failure.is_there_already() || failure.is_not_found() && self.change.action != Action::Create {
            Answer::Outrun(error)
        } else if failure.is_lost() && !self.is_unconverted(failure) {
            Answer::Lost(error)
        } else {
            Answer::Failed(error)
        }
    }

    /// The object that we sent could not be converted to be stored: nothing is stored.
    fn is_unconverted(&self, failure: &Failure) -> bool {
        let sent = self.change.desired.as_ref().and_then(|desired| version(&desired.document));
        sent.is_some_and(|sent| failure.is_unconverted_from(sent))
    }

    async fn done(&self, found: &Found, body: &[u8]) -> Result<Answer, Answer> {
        let live = Live::parse(body).map_err(|error| Answer::Lost(Failure::unreadable(&error).error(&self.attempted)))?;
        if found.kind.group == "apiextensions.k8s.io" {
            // A definition is called `<plural>.<group>`.
            self.platform.discovery.defined(live.meta.name.split_once('.').map_or("", |(_, group)| group)).await;
        }
        self.remember().await;
        Ok(Answer::Done(attributes(&found.kind, &live)))
    }
}
