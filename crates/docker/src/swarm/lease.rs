//! One writer for each environment: a config of a name that only one can have.
//!
//! Whoever makes it has the lease. It is written anew while it is held, and whoever finds one that was not written for its
//! time to live takes it over. Both times are the swarm's own: nobody's clock has to agree with ours.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::errors::Error;
use bollard::models::{Config, ConfigSpec};
use bollard::query_parameters::UpdateConfigOptions;
use stratos_engine::desired::owner::Owner;
use stratos_engine::platform::{Lease, PlatformError, PlatformErrorKind};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{SwarmPlatform, generations, live, names};
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::failure::{failure, is_not_found};

/// So long a lease outlives a process that was killed.
const TIME_TO_LIVE: Duration = Duration::from_secs(30);
/// It is written anew this often.
const RENEWAL: Duration = Duration::from_secs(10);
/// A run ends this long after its last change at most: what is left then stays until the next run.
const LAST_WORD: Duration = Duration::from_secs(10);
/// How often a lease is asked for that comes and goes while we look.
const ATTEMPTS: usize = 10;

const OWNER: &str = "stratos.lease";
const HOLDER: &str = "stratos.lease.holder";
const TOKEN: &str = "stratos.lease.token";
const SECONDS: &str = "stratos.lease.seconds";

/// Whether the lease that this connection took still stands.
#[derive(Default)]
pub(crate) struct Standing {
    lost: AtomicBool,
}

impl Standing {
    /// Refuses to write when it does not.
    pub(crate) fn check(&self, attempted: &str) -> Result<(), PlatformError> {
        if !self.lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        let error = PlatformError::new(PlatformErrorKind::Locked, attempted, "the lease ran out while the swarm was not reached");
        Err(error.with_hint("somebody else may be applying now: plan again"))
    }
}

/// Takes the lease of an environment.
pub(crate) async fn take(platform: &SwarmPlatform, owner: &Owner, holder: &str) -> Result<Lease, PlatformError> {
    let claim = Claim { connection: platform.connection.clone(), owner: owner.clone(), holder: holder.to_owned(), token: token() };
    let attempted = format!("taking the lease of {owner}");
    let failed = |error: Error| failure(&attempted, &error);
    for _ in 0..ATTEMPTS {
        match claim.create().await {
            Ok(()) => return Ok(claim.hold(platform.lease.clone())),
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => {}
            Err(error) => return Err(failed(error)),
        }
        let Some(other) = claim.find().await.map_err(failed)? else { continue };
        let holder = label(&other, HOLDER).unwrap_or("somebody").to_owned();
        if !claim.has_expired(&other).await.map_err(failed)? {
            let error = PlatformError::new(PlatformErrorKind::Locked, attempted, format!("{holder} is applying to this environment now"));
            return Err(error.with_hint("wait until the other run has ended; the lease of one that was killed ends after half a minute"));
        }
        // Two may see that it has ended: the first write wins.
        match claim.write(&other).await {
            Ok(()) => return Ok(claim.hold(platform.lease.clone())),
            Err(Error::DockerResponseServerError { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(PlatformError::new(PlatformErrorKind::Locked, attempted, "others are applying to this environment, one after another"))
}

fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn label<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    live::config_labels(config).get(name).map(String::as_str)
}

/// The name of an environment's lease.
fn name(owner: &Owner) -> String {
    format!("stratos-lease-{}", names::hash(&owner.to_string()))
}

/// Who wants the lease.
#[derive(Clone)]
struct Claim {
    connection: Connection,
    owner: Owner,
    holder: String,
    token: String,
}

impl Claim {
    fn spec(&self) -> ConfigSpec {
        let labels: HashMap<String, String> = [
            (OWNER, self.owner.to_string()),
            (HOLDER, self.holder.clone()),
            (TOKEN, self.token.clone()),
            (SECONDS, TIME_TO_LIVE.as_secs().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let data = Some(STANDARD.encode("Keeps a second writer out. It can be removed when nobody applies.\n"));
        ConfigSpec { name: Some(name(&self.owner)), labels: Some(labels), data, templating: None }
    }

    async fn create(&self) -> Result<(), Error> {
        self.connection.docker.create_config(self.spec()).await.map(|_| ())
    }

    async fn find(&self) -> Result<Option<Config>, Error> {
        match self.connection.docker.inspect_config(&name(&self.owner)).await {
            Ok(config) => Ok(Some(config)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// By the swarm's clock: when it was written last, and what time it is there.
    async fn has_expired(&self, other: &Config) -> Result<bool, Error> {
        let now = self.connection.docker.info().await?.system_time;
        let time = |text: Option<String>| text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let (Some(now), Some(written)) = (time(now), time(other.updated_at.clone())) else { return Ok(false) };
        let seconds: i64 = label(other, SECONDS).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(now.duration_since(written) > jiff::SignedDuration::from_secs(seconds))
    }

    /// Writes it anew, over what was just read.
    async fn write(&self, over: &Config) -> Result<(), Error> {
        let index = over.version.as_ref().and_then(|version| version.index).unwrap_or_default();
        let options = UpdateConfigOptions { version: i64::try_from(index).unwrap_or(i64::MAX) };
        // Data is fixed: the engine wants to see what it has.
        let data = over.spec.as_ref().and_then(|spec| spec.data.clone());
        let spec = ConfigSpec { data, ..self.spec() };
        self.connection.docker.update_config(over.id.as_deref().unwrap_or_default(), spec, options).await
    }

    fn is_mine(&self, config: &Config) -> bool {
        label(config, TOKEN) == Some(self.token.as_str())
    }

    fn hold(self, standing: Arc<Standing>) -> Lease {
        standing.lost.store(false, Ordering::Relaxed);
        let claim = Arc::new(self);
        let renewal = tokio::spawn(renew(claim.clone(), standing));
        Lease::Held(Box::new(Held { claim, renewal }))
    }

    /// The last of a run: what it left over, and the lease.
    async fn end(&self, connection: &Connection) -> Result<(), Error> {
        let cleaned = generations::clean_up(connection, &self.owner).await;
        let there = Self { connection: connection.clone(), ..self.clone() };
        if let Some(config) = there.find().await?.filter(|config| self.is_mine(config)) {
            connection.docker.delete_config(config.id.as_deref().unwrap_or_default()).await?;
        }
        cleaned
    }
}

/// Writes the lease anew until it is given back or lost.
async fn renew(claim: Arc<Claim>, standing: Arc<Standing>) {
    let mut written = Instant::now();
    loop {
        tokio::time::sleep(RENEWAL).await;
        let began = Instant::now();
        let found = match claim.find().await {
            Ok(Some(config)) if claim.is_mine(&config) => claim.write(&config).await,
            Ok(_) => return standing.lost.store(true, Ordering::Relaxed),
            Err(error) => Err(error),
        };
        match found {
            Ok(()) => written = began,
            Err(error) => tracing::warn!(%error, "the lease of {} was not renewed", claim.owner),
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
}

impl Drop for Held {
    /// Waits until it is given back: a program that ends right after would leave it behind.
    fn drop(&mut self) {
        self.renewal.abort();
        let (claim, endpoint) = (self.claim.clone(), self.claim.connection.endpoint.clone());
        let given_back = std::thread::spawn(move || give_back(&claim, endpoint));
        match given_back.join() {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!("the lease of {} was not given back: {why}", self.claim.owner),
            Err(_) => tracing::warn!("the lease of {} was not given back", self.claim.owner),
        }
    }
}

/// On a thread and a runtime of its own: a destructor cannot wait for those of the run.
fn give_back(claim: &Claim, endpoint: Endpoint) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let connection = Connection::new(endpoint).map_err(|error| error.to_string())?;
        match tokio::time::timeout(LAST_WORD, claim.end(&connection)).await {
            Ok(ended) => ended.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_under_a_lease_that_was_lost() {
        let standing = Standing::default();
        assert!(standing.check("creating dev/service/shop-web").is_ok());
        standing.lost.store(true, Ordering::Relaxed);
        let refused = standing.check("creating dev/service/shop-web").unwrap_err();
        assert_eq!(refused.kind, PlatformErrorKind::Locked);
    }

    /// A lease is found again by this name: a change here lets two writers in.
    #[test]
    fn the_name_of_a_lease_is_frozen() {
        let owner =
            |project: &str| Owner { project: project.into(), environment: stratos_engine::desired::name::Name::new("dev").unwrap() };
        assert_eq!(name(&owner("k3v9q2xw")), "stratos-lease-1aa8cb03c22c");
        assert_ne!(name(&owner("a")), name(&owner("b")));
    }
}
