//! Somebody who is known to a private registry, or not.

use std::sync::Arc;

use async_trait::async_trait;
use bollard::auth::DockerCredentials;
use stratos_docker::config::ImageCredentials;
use stratos_engine::apply::{Applied, ApplyOptions, Quiet};
use stratos_engine::deploy::{self, Connector};
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::schema::{Environment, Project};
use stratos_engine::plan::Plan;
use stratos_engine::platform::contract::Subject;
use stratos_engine::platform::contract::stage::Stage;
use stratos_engine::platform::{Platform, PlatformError};
use stratos_test_platforms::USER;

/// What `docker login` left for one registry.
pub struct Login {
    pub registry: String,
    pub password: String,
}

#[async_trait]
impl ImageCredentials for Login {
    async fn for_image(&self, reference: &str) -> Result<Option<DockerCredentials>, PlatformError> {
        let credentials = || DockerCredentials {
            username: Some(USER.to_owned()),
            password: Some(self.password.clone()),
            serveraddress: Some(self.registry.clone()),
            ..DockerCredentials::default()
        };
        Ok(reference.starts_with(&self.registry).then(credentials))
    }
}

/// One connection for all, as within one run of the program.
pub struct Same(pub Arc<dyn Platform>);

#[async_trait]
impl Connector for Same {
    async fn connect(&self, _: &Project, _: &Name, _: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        Ok(self.0.clone())
    }
}

/// Carries a plan out by way of this connection.
pub async fn apply_through<S: Subject>(stage: &Stage<'_, S>, plan: &Plan, platform: Arc<dyn Platform>) -> Applied {
    let options = ApplyOptions::default();
    deploy::apply(plan, &stage.secret_values(), &Same(platform), &options, &Quiet).await.unwrap()
}
