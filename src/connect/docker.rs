//! Environments on a Docker engine or a swarm.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use stratos_docker::config::{DockerCredentials, EnvironmentConfig, ImageCredentials};
use stratos_docker::endpoint::{self, Settings, Surroundings};
use stratos_docker::{DockerPlatform, SwarmPlatform};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::manifest::schema::{Environment, PlatformKind, Project};
use stratos_engine::platform::{Platform, PlatformError, PlatformErrorKind};
use stratos_registry::credentials::Login;
use stratos_registry::{Credential, Credentials};

/// Makes the platform of an environment. `folder` is the manifest's.
pub fn connect(folder: &Path, project: &Project, name: &Name, environment: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
    let Environment { platform: kind, url, namespace, options, .. } = environment;
    let settings = Settings { kind: *kind, url: url.as_deref(), options };
    let found = endpoint::resolve(&settings, &Surroundings::new(|name| std::env::var_os(name), folder))?;
    let prefix = match namespace {
        Some(namespace) => Name::new(namespace).map_err(|error| {
            let attempted = format!("reading `namespace` of the environment {name}");
            PlatformError::new(PlatformErrorKind::Rejected, attempted, error.to_string())
                .with_hint("it is the first part of live names there: letters, digits and '-', at most 40")
        })?,
        None => project.name.clone(),
    };
    let config = EnvironmentConfig {
        environment: name.clone(),
        owner: Owner { project: super::owner_of(project).to_owned(), environment: name.clone() },
        prefix,
        endpoint: found.endpoint,
        credentials: Some(Arc::new(Configured(crate::registry::credentials()))),
        swarm: found.options.swarm,
        docker: found.options.docker,
    };
    Ok(match kind {
        PlatformKind::Swarm => Arc::new(SwarmPlatform::connect(config)?),
        _ => Arc::new(DockerPlatform::connect(config)?),
    })
}

/// What `docker login` has written.
struct Configured(Credentials);

#[async_trait]
impl ImageCredentials for Configured {
    async fn for_image(&self, reference: &str) -> Result<Option<DockerCredentials>, PlatformError> {
        let found = self.0.for_image(reference).await.map_err(|error| {
            PlatformError::new(PlatformErrorKind::Denied, format!("finding credentials for {reference}"), error.to_string())
                .with_hint("`docker login` writes them anew")
        })?;
        Ok(found.map(|Credential { server, login }| {
            let server = Some(server);
            match login {
                Login::Password { username, password } => DockerCredentials {
                    username: Some(username),
                    password: Some(password.to_string()),
                    serveraddress: server,
                    ..DockerCredentials::default()
                },
                Login::IdentityToken(token) => {
                    DockerCredentials { identitytoken: Some(token.to_string()), serveraddress: server, ..DockerCredentials::default() }
                }
            }
        }))
    }
}
