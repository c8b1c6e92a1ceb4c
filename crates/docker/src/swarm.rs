//! The platform `swarm`: an app is a service, its files are configs and secrets, and all are on the environment's network.

mod apply;
mod forgotten;
mod generations;
mod health;
mod lease;
mod live;
pub(crate) mod names;
mod network;
mod observe;
mod retire;
mod rollout;
pub(crate) mod spec;
mod support;
pub(crate) mod translate;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::health::Health;
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::manifest::schema::App;
use stratos_engine::plan::change::Change;
use stratos_engine::platform::{
    Address, ApplyContext, Exec, Field, Jobs, Lease, Logs, NativeResources, Outcome, Platform, PlatformError, Scope, Sink, Support,
    TranslatedApp, Wanted,
};

use stratos_engine::render::native::Native;

use crate::compose;
use crate::config::EnvironmentConfig;
use crate::connection::Connection;

pub use translate::{CONFIG, SECRET, SERVICE};

/// One environment in a swarm.
pub struct SwarmPlatform {
    pub(crate) config: EnvironmentConfig,
    pub(crate) connection: Connection,
    watch: Duration,
    pub(crate) networks: network::Networks,
    watched: health::Watched,
    lease: Arc<lease::Standing>,
}

impl SwarmPlatform {
    /// Connects to an environment. Sends nothing yet.
    ///
    /// # Errors
    /// Where a socket, a certificate or a key is not there or is none.
    pub fn connect(config: EnvironmentConfig) -> Result<Self, PlatformError> {
        let connection = Connection::new(config.endpoint.clone())?;
        Ok(Self {
            config,
            connection,
            watch: rollout::defaults::MONITOR,
            networks: network::Networks::default(),
            watched: health::Watched::default(),
            lease: Arc::default(),
        })
    }

    /// The same, where a new instance is watched for another time than 5 s before it counts as up. An app's
    /// `rollout.timeout` may make it shorter.
    #[must_use]
    pub fn watching_for(self, watch: Duration) -> Self {
        Self { watch, ..self }
    }
}

#[async_trait]
impl Platform for SwarmPlatform {
    fn support(&self, field: Field) -> Support {
        support::support(field)
    }

    fn check(&self, app: &App) -> Vec<String> {
        support::check(self.config.swarm, app)
    }

    fn translate(&self, app: &TranslatedApp<'_>) -> Vec<Resource> {
        translate::translate(&self.config, self.watch, app)
    }

    fn native_files(&self, part: &Native) -> Vec<String> {
        compose::wanted(part)
    }

    fn native(&self, app: &TranslatedApp<'_>, part: &Native) -> Result<NativeResources, Vec<Diagnostic>> {
        compose::swarm::resources(&self.config, app, part)
    }

    fn address(&self, app: &TranslatedApp<'_>, port: &Name) -> Address {
        translate::address(&self.config, app, port)
    }

    async fn observe(&self, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
        observe::observe(self, scope, wanted, sink).await
    }

    async fn apply(&self, batch: &[&Change], context: &ApplyContext<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for change in batch {
            outcomes.push(apply::apply(self, change, context).await);
        }
        outcomes
    }

    async fn health(&self, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError> {
        health::health(self, ids).await
    }

    async fn lease(&self, owner: &Owner, holder: &str) -> Result<Lease, PlatformError> {
        lease::take(self, owner, holder).await
    }

    async fn retire(&self, owner: &Owner) -> Result<(), PlatformError> {
        retire::retire(self, owner).await
    }

    fn requests(&self) -> u64 {
        self.connection.requests()
    }

    fn logs(&self) -> Option<&dyn Logs> {
        Some(self)
    }

    fn exec(&self) -> Option<&dyn Exec> {
        Some(self)
    }

    fn jobs(&self) -> Option<&dyn Jobs> {
        Some(self)
    }
}
