//! The platform `docker`: containers, networks and volumes of one plain engine.
//!
//! Reading order: `translate` (what an app becomes), `live` (what is there, with `read` and `record` as the two halves of a
//! container), `observe`, `apply` (one change), `exchange` (its roll-out, which `rollout` decides about), `proxy` (published
//! ports), `handover` (of a port from one app to another), `project_network` (networks of compose files), `health`. The reasons
//! are in `docs/design/docker-engine.md`.

mod apply;
pub(crate) mod archive;
mod body;
mod containers;
mod exchange;
mod goal;
mod handover;
mod health;
pub(crate) mod host;
pub(crate) mod image;
mod live;
mod make;
pub(crate) mod names;
pub(crate) mod network;
mod observe;
pub(crate) mod ports;
mod probe;
mod project_network;
mod proxy;
mod read;
pub(crate) mod record;
mod rollout;
mod state;
pub(crate) mod translate;
mod volume;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::health::{Health, RolloutState};
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

/// One environment on one engine.
pub struct DockerPlatform {
    pub(crate) config: EnvironmentConfig,
    pub(crate) connection: Connection,
    watch: state::Watch,
    under_way: handover::UnderWay,
    /// Held while the network is looked for and made.
    network: tokio::sync::Mutex<()>,
    /// The roll-outs that failed in this process, by resource: the engine has no place for that.
    rollouts: Mutex<HashMap<ResourceId, RolloutState>>,
}

impl DockerPlatform {
    /// Makes a client. Sends nothing yet.
    ///
    /// # Errors
    /// Where a socket, a certificate or a key is not there or is none.
    pub fn connect(config: EnvironmentConfig) -> Result<Self, PlatformError> {
        let connection = Connection::new(config.endpoint.clone())?;
        Ok(Self {
            config,
            connection,
            watch: state::Watch::default(),
            under_way: handover::UnderWay::default(),
            network: tokio::sync::Mutex::default(),
            rollouts: Mutex::default(),
        })
    }

    /// The image of the container that has published ports: this program's own, where the environment names no other.
    fn proxy_image(&self) -> String {
        self.config.docker.proxy_image.clone().unwrap_or_else(|| format!("stratos:{}", env!("CARGO_PKG_VERSION")))
    }

    fn rollouts(&self) -> MutexGuard<'_, HashMap<ResourceId, RolloutState>> {
        self.rollouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rollout(&self, id: &ResourceId) -> RolloutState {
        self.rollouts().get(id).cloned().unwrap_or_default()
    }

    fn remember_rollout(&self, id: &ResourceId, state: RolloutState) {
        self.rollouts().insert(id.clone(), state);
    }

    fn forget_rollout(&self, id: &ResourceId) {
        self.rollouts().remove(id);
    }
}

#[async_trait]
impl Platform for DockerPlatform {
    fn support(&self, field: Field) -> Support {
        translate::support(field)
    }

    fn check(&self, app: &App) -> Vec<String> {
        translate::check(app)
    }

    fn translate(&self, app: &TranslatedApp<'_>) -> Vec<Resource> {
        translate::translate(&self.config, app)
    }

    fn native_files(&self, part: &Native) -> Vec<String> {
        compose::wanted(part)
    }

    fn native(&self, app: &TranslatedApp<'_>, part: &Native) -> Result<NativeResources, Vec<Diagnostic>> {
        compose::docker::resources(&self.config, app, part)
    }

    fn address(&self, app: &TranslatedApp<'_>, port: &Name) -> Address {
        translate::address(&self.config, app, port)
    }

    async fn observe(&self, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
        observe::observe(self, scope, wanted, sink).await
    }

    /// Unlike other platforms' it waits for health where containers are exchanged: nothing else would stop the old ones.
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

    async fn lease(&self, _owner: &Owner, _holder: &str) -> Result<Lease, PlatformError> {
        Ok(Lease::Unsupported { why: "a Docker engine has nothing that is written only if nobody else has written".to_owned() })
    }

    async fn retire(&self, _owner: &Owner) -> Result<(), PlatformError> {
        apply::retire(self).await
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
