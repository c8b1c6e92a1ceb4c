//! The platform contract, on top of a supervisor that may or may not run.

use std::path::Path;

use async_trait::async_trait;
use futures::stream::BoxStream;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::health::Health;
use stratos_engine::manifest::schema::App;
use stratos_engine::plan::change::Change;
use stratos_engine::platform::{
    Address, ApplyContext, Field, Lease, LogLine, LogOptions, Logs, Outcome, Platform, PlatformError, PlatformErrorKind, Scope, Sink,
    Support, TranslatedApp, Wanted,
};

use crate::client::Client;
use crate::config::LocalConfig;
use crate::folder::Folder;
use crate::{apply, health, lease, logs, observe, translate};

/// One environment on this machine.
pub struct LocalPlatform {
    pub(crate) config: LocalConfig,
    pub(crate) client: Client,
}

impl LocalPlatform {
    /// Connects to an environment. Writes nothing, starts nothing.
    ///
    /// # Errors
    /// When the folder's path is too long for the socket that the supervisor listens on.
    pub fn connect(mut config: LocalConfig) -> Result<Self, PlatformError> {
        // The supervisor has another working directory than we have.
        let absolute = |path: &Path| {
            let attempted = || format!("using the folder {}", path.display());
            std::path::absolute(path).map_err(|e| PlatformError::new(PlatformErrorKind::Rejected, attempted(), e.to_string()))
        };
        config.folder = absolute(&config.folder)?;
        config.directory = config.directory.as_deref().map(absolute).transpose()?;
        let folder = Folder::new(&config.folder);
        if let Some(why) = folder.socket_problem() {
            let attempted = format!("using the folder {}", config.folder.display());
            let error = PlatformError::new(PlatformErrorKind::Rejected, attempted, why);
            return Err(error.with_hint("choose a state folder with a shorter path"));
        }
        let client = Client::new(folder, config.supervisor.clone());
        Ok(Self { config, client })
    }
}

#[async_trait]
impl Platform for LocalPlatform {
    fn support(&self, field: Field) -> Support {
        translate::support(field)
    }

    fn check(&self, app: &App) -> Vec<String> {
        translate::check(app)
    }

    fn translate(&self, app: &TranslatedApp<'_>) -> Vec<Resource> {
        translate::translate(app)
    }

    fn address(&self, app: &TranslatedApp<'_>, port: &Name) -> Address {
        translate::address(app, port)
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

    async fn lease(&self, _owner: &Owner, holder: &str) -> Result<Lease, PlatformError> {
        lease::lease(&self.client.folder, holder).await
    }

    async fn retire(&self, _owner: &Owner) -> Result<(), PlatformError> {
        apply::retire(self).await
    }

    fn requests(&self) -> u64 {
        self.client.requests()
    }

    fn logs(&self) -> Option<&dyn Logs> {
        Some(self)
    }
}

#[async_trait]
impl Logs for LocalPlatform {
    async fn logs(
        &self,
        of: &ResourceId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, PlatformError>>, PlatformError> {
        logs::logs(self, of, options).await
    }
}
