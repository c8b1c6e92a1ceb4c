//! Configs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::models::{Config, ConfigSpec};
use bollard::query_parameters::UpdateConfigOptions;
use stratos_engine::desired::path::Path;
use stratos_engine::plan::change::Action;

use super::{Answer, Call};
use crate::container::whole;
use crate::failure::is_not_found;
use crate::labels;
use crate::swarm::live;
use crate::swarm::spec::Known;

/// Carries out the change of a config.
pub(super) async fn apply(call: &Call<'_>) -> Result<Answer, Answer> {
    let live = inspect(call).await?;
    let networks = Default::default();
    let known = Known { environment: &call.change.id.environment, networks: &networks, secrets: None };
    let seen = live.as_ref().map(|config| live::observed_config(config, &known, call.us()));
    call.judge(seen.as_ref())?;
    match (call.change.action, live) {
        (Action::Delete, None) => Ok(Answer::AlreadyDone(BTreeMap::new())),
        (Action::Delete, Some(live)) => Ok(call.delete_config(&live).await),
        (Action::Forget, Some(live)) => {
            let mut spec = live.spec.clone().unwrap_or_default();
            spec.labels.get_or_insert_default().retain(|name, _| !name.starts_with(labels::PREFIX));
            call.update_config(&live, spec).await
        }
        (Action::Replace(_), Some(live)) => match call.delete_config(&live).await {
            Answer::Done(_) => call.create_config().await,
            other => Err(other),
        },
        (Action::Update, Some(live)) => {
            let marks = labels::of(&call.marks(call.desired()?));
            let spec = ConfigSpec { labels: Some(marks), ..live.spec.clone().unwrap_or_default() };
            call.update_config(&live, spec).await
        }
        (Action::Create | Action::Update | Action::Replace(_), _) => call.create_config().await,
        (Action::Forget | Action::Restart, _) => Err(call.rejected("there is nothing to do this to")),
    }
}

async fn inspect(call: &Call<'_>) -> Result<Option<Config>, Answer> {
    match call.platform.connection.docker.inspect_config(&call.change.id.name).await {
        Ok(config) => Ok(Some(config).filter(|config| live::config_name(config) == &*call.change.id.name)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(call.unread(&error)),
    }
}

impl Call<'_> {
    async fn create_config(&self) -> Result<Answer, Answer> {
        let desired = self.desired()?;
        let leaf = desired.document.get(&Path::new(["content"])).ok_or_else(|| self.rejected("it has no content"))?;
        let content = whole(self.context)(leaf).map_err(|why| self.rejected(why))?;
        let spec = ConfigSpec {
            name: Some(desired.id.name.to_string()),
            labels: Some(labels::of(&self.marks(desired))),
            data: Some(STANDARD.encode(content)),
            templating: None,
        };
        match self.platform.connection.docker.create_config(spec).await {
            Ok(made) => Ok(Answer::Done(live::attributes(Some(&made.id), &desired.id.name))),
            Err(error) => Ok(self.unwritten(&error)),
        }
    }

    /// Its labels: everything else is fixed.
    async fn update_config(&self, live: &Config, spec: ConfigSpec) -> Result<Answer, Answer> {
        let id = live.id.as_deref().unwrap_or(&self.change.id.name);
        let options = UpdateConfigOptions { version: self.version(live.version.as_ref())? };
        match self.platform.connection.docker.update_config(id, spec, options).await {
            Ok(()) => Ok(Answer::Done(live::attributes(Some(id), &self.change.id.name))),
            Err(error) => Ok(self.unwritten(&error)),
        }
    }

    async fn delete_config(&self, live: &Config) -> Answer {
        self.deleted(self.platform.connection.docker.delete_config(live.id.as_deref().unwrap_or_default()).await)
    }
}
