//! One writer for each environment: a Lease in its namespace.
//!
//! Whoever makes it has it. It is renewed while it is held, and whoever finds one that was not renewed for its time takes it
//! over. Both times are the server's own (when it was written, and the date of the answer): nobody's clock has to agree with ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use stratos_engine::desired::owner::Owner;
use stratos_engine::platform::{Lease, PlatformError, PlatformErrorKind};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::apply_set::{ApplySet, Places};
use crate::connection::{Connection, Content};
use crate::discovery::Discovery;
use crate::failure::Failure;
use crate::object::live::{Live, MANAGER};
use crate::platform::KubernetesPlatform;
use crate::{lists, marks, names};

/// So long a lease outlives a process that was killed.
const TIME_TO_LIVE: Duration = Duration::from_secs(30);
/// It is renewed this often.
const RENEWAL: Duration = Duration::from_secs(10);
/// A run ends this long after its last change at most: what is left then stays until the next run.
const LAST_WORD: Duration = Duration::from_secs(10);
/// How often a lease is asked for that comes and goes while we look.
const ATTEMPTS: usize = 10;
/// Annotation: whoever has it, for the message that the other one gets.
const HOLDER: &str = "stratos/holder";

/// Whether the lease that this connection took still stands, and what was done under it.
#[derive(Default)]
pub(crate) struct Standing {
    lost: AtomicBool,
    deleted: AtomicBool,
}

impl Standing {
    /// Refuses to write when it does not.
    pub(crate) fn check(&self, attempted: &str) -> Result<(), PlatformError> {
        if !self.lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        let error = PlatformError::new(PlatformErrorKind::Locked, attempted, "the lease ran out while the cluster was not reached");
        Err(error.with_hint("somebody else may be applying now: plan again"))
    }

    /// Something was deleted: there may be kinds now of which nothing is left.
    pub(crate) fn has_deleted(&self) {
        self.deleted.store(true, Ordering::Relaxed);
    }
}

/// Takes the lease of an environment.
pub(crate) async fn take(platform: &KubernetesPlatform, owner: &Owner, holder: &str) -> Result<Lease, PlatformError> {
    platform.ensure_namespace().await?;
    let claim = Claim {
        connection: platform.connection.clone(),
        namespace: platform.config.namespace.clone(),
        owner: owner.clone(),
        holder: holder.to_owned(),
        token: names::hash(&format!("{holder} {} {:?}", std::process::id(), std::time::SystemTime::now())),
        set: platform.apply_set(owner),
    };
    let attempted = format!("taking the lease of {owner}");
    for _ in 0..ATTEMPTS {
        match claim.create().await {
            Ok(()) => return Ok(claim.hold(platform.lease.clone())),
            Err(failure) if failure.is_there_already() => {}
            Err(failure) => return Err(failure.error(attempted)),
        }
        let Some((other, now)) = claim.find().await.map_err(|failure| failure.error(&attempted))? else { continue };
        if !has_expired(&other, now) {
            let who = other.meta.annotations.get(HOLDER).map_or("somebody", String::as_str);
            let error = PlatformError::new(PlatformErrorKind::Locked, attempted, format!("{who} is applying to this environment now"));
            return Err(error.with_hint("wait until the other run has ended; the lease of one that was killed ends after half a minute"));
        }
        // Two may see that it has ended: the first write wins.
        match claim.write(&other).await {
            Ok(()) => return Ok(claim.hold(platform.lease.clone())),
            Err(failure) if failure.is_conflict() || failure.is_not_found() => {}
            Err(failure) => return Err(failure.error(attempted)),
        }
    }
    Err(PlatformError::new(PlatformErrorKind::Locked, attempted, "others are applying to this environment, one after another"))
}

/// By the server's clock: when it was written last, and what time it is there.
fn has_expired(other: &Live, now: Option<jiff::Timestamp>) -> bool {
    let times = other.meta.managed_fields.iter().filter_map(|managed| managed.time.as_ref()?.parse::<jiff::Timestamp>().ok());
    let (Some(now), Some(written)) = (now, times.max()) else { return false };
    let seconds = other.body.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64).unwrap_or(0);
    now.duration_since(written) > jiff::SignedDuration::from_secs(seconds)
}

/// Who wants the lease.
struct Claim {
    connection: Connection,
    namespace: String,
    owner: Owner,
    holder: String,
    token: String,
    set: Arc<ApplySet>,
}

impl Claim {
    fn collection(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", crate::query::segment(&self.namespace))
    }

    fn name(&self) -> String {
        format!("stratos-{}", names::hash(&self.owner.to_string()))
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name())
    }

    fn object(&self, version: Option<&str>) -> Content {
        let now = jiff::Timestamp::now();
        let mut object = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": self.name(), "labels": marks::labels_of_owner(&self.owner), "annotations": { HOLDER: self.holder },
            },
            "spec": {
                "holderIdentity": self.token, "leaseDurationSeconds": TIME_TO_LIVE.as_secs(),
                "renewTime": format!("{now:.6}"),
            },
        });
        if let Some(version) = version {
            object["metadata"]["resourceVersion"] = json!(version);
        }
        Content { kind: "application/json", bytes: object.to_string().into_bytes() }
    }

    async fn create(&self) -> Result<(), Failure> {
        let path = format!("{}?fieldManager={MANAGER}", self.collection());
        self.connection.send(Method::POST, &path, "application/json", Some(&self.object(None))).await.map(|_| ())
    }

    async fn find(&self) -> Result<Option<(Live, Option<jiff::Timestamp>)>, Failure> {
        match self.connection.send(Method::GET, &self.path(), "application/json", None).await {
            Ok(answer) => {
                let live = Live::parse(&answer.body).map_err(|error| Failure::unreadable(&error))?;
                Ok(Some((live, answer.date)))
            }
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Writes it anew, over what was just read.
    async fn write(&self, over: &Live) -> Result<(), Failure> {
        let path = format!("{}?fieldManager={MANAGER}", self.path());
        let content = self.object(Some(&over.meta.resource_version));
        self.connection.send(Method::PUT, &path, "application/json", Some(&content)).await.map(|_| ())
    }

    fn is_mine(&self, lease: &Live) -> bool {
        lease.body.pointer("/spec/holderIdentity").and_then(Value::as_str) == Some(self.token.as_str())
    }

    fn hold(self, standing: Arc<Standing>) -> Lease {
        standing.lost.store(false, Ordering::Relaxed);
        let claim = Arc::new(self);
        let renewal = tokio::spawn(renew(claim.clone(), standing.clone()));
        Lease::Held(Box::new(Held { claim, renewal, standing }))
    }

    /// The last of a run: what its deletions have left over, and the lease.
    async fn end(&self, connection: Connection, narrow: bool) -> Result<(), Failure> {
        let there = Self {
            connection,
            namespace: self.namespace.clone(),
            owner: self.owner.clone(),
            holder: self.holder.clone(),
            token: self.token.clone(),
            set: self.set.clone(),
        };
        let narrowed = if narrow { there.narrow().await } else { Ok(()) };
        if let Some((lease, _)) = there.find().await?.filter(|(lease, _)| self.is_mine(lease)) {
            let options = json!({ "preconditions": { "uid": lease.meta.uid, "resourceVersion": lease.meta.resource_version } });
            let content = Content { kind: "application/json", bytes: options.to_string().into_bytes() };
            match there.connection.send(Method::DELETE, &self.path(), "application/json", Some(&content)).await {
                Err(failure) if !failure.is_not_found() => return Err(failure),
                _ => {}
            }
        }
        narrowed
    }

    /// Strikes kinds and namespaces out of the record that hold nothing of ours any more.
    async fn narrow(&self) -> Result<(), Failure> {
        let Some(recorded) = self.set.read(&self.connection).await? else { return Ok(()) };
        let discovery = Discovery::new(self.connection.clone());
        let selector = marks::selector(&self.owner);
        let mut left = Places { ran: recorded.ran.clone(), ..Places::default() };
        for kind in &recorded.kinds {
            let resource = match discovery.find(kind, None).await {
                // Something of it may be there, in any of them.
                Err(failure) if failure.is_of_its_kind() => {
                    left.kinds.insert(kind.clone());
                    left.namespaces.extend(recorded.namespaces.iter().cloned());
                    continue;
                }
                found => found?,
            };
            let Some(resource) = resource else { continue };
            let own = [self.namespace.clone()];
            let namespaces: Vec<Option<&str>> = match resource.namespaced {
                true => own.iter().chain(&recorded.namespaces).map(|namespace| Some(namespace.as_str())).collect(),
                false => vec![None],
            };
            for namespace in namespaces {
                let is_ours = |live: Live| live.meta.labels.contains_key(marks::APP);
                let may_be_there = match lists::read(&self.connection, &resource, namespace, &selector, is_ours).await {
                    Err(failure) if failure.is_of_its_kind() => true,
                    listed => listed?.contains(&true),
                };
                if may_be_there {
                    left.kinds.insert(kind.clone());
                    left.namespaces.extend(namespace.filter(|namespace| **namespace != *self.namespace).map(str::to_owned));
                }
            }
        }
        if left == recorded { Ok(()) } else { self.set.narrow(&self.connection, &left).await }
    }
}

/// Renews the lease until it is given back or lost.
async fn renew(claim: Arc<Claim>, standing: Arc<Standing>) {
    let mut written = Instant::now();
    loop {
        tokio::time::sleep(RENEWAL).await;
        let began = Instant::now();
        let found = match claim.find().await {
            Ok(Some((lease, _))) if claim.is_mine(&lease) => claim.write(&lease).await,
            Ok(_) => return standing.lost.store(true, Ordering::Relaxed),
            Err(failure) => Err(failure),
        };
        match found {
            Ok(()) => written = began,
            Err(failure) => tracing::warn!(why = failure.why(), "the lease of {} was not renewed", claim.owner),
        }
        if written.elapsed() > TIME_TO_LIVE {
            return standing.lost.store(true, Ordering::Relaxed);
        }
    }
}

/// A lease that is held: given back when it is dropped.
struct Held {
    claim: Arc<Claim>,
    renewal: JoinHandle<()>,
    standing: Arc<Standing>,
}

impl Drop for Held {
    /// Waits until it is given back: a program that ends right after would leave it behind.
    fn drop(&mut self) {
        self.renewal.abort();
        let (claim, narrow) = (self.claim.clone(), self.standing.deleted.swap(false, Ordering::Relaxed));
        let given_back = std::thread::spawn(move || give_back(&claim, narrow));
        match given_back.join() {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!("the lease of {} was not given back: {why}", self.claim.owner),
            Err(_) => tracing::warn!("the lease of {} was not given back", self.claim.owner),
        }
    }
}

/// On a thread and a runtime of its own: a destructor cannot wait for those of the run.
fn give_back(claim: &Claim, narrow: bool) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        match tokio::time::timeout(LAST_WORD, claim.end(claim.connection.again(), narrow)).await {
            Ok(ended) => ended.map_err(|failure| failure.why().to_owned()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    })
}
