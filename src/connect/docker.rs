//! The platforms `docker` and `swarm`: where their engine is, and what it may pull with.

use std::sync::Arc;

use async_trait::async_trait;
use stratos_docker::DockerPlatform;
use stratos_docker::config::{DockerCredentials, EnvironmentConfig, ImageCredentials};
use stratos_docker::endpoint::{self, Endpoint, Options, Settings, Surroundings};
use stratos_docker::swarm::SwarmPlatform;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::manifest::schema::{Environment, PlatformKind, Project};
use stratos_engine::platform::{Platform, PlatformError, PlatformErrorKind};
use stratos_registry::Credentials;
use stratos_registry::credentials::Login;

use super::Problem;

/// Connects an environment. Sends nothing yet.
pub fn connect(
    project: &Project,
    name: &Name,
    environment: &Environment,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Platform>, PlatformError> {
    let found = endpoint::resolve(&settings(environment), surroundings)?;
    platform(project, name, environment, found.endpoint, found.options)
}

/// The same where no engine will be asked for anything.
pub fn unconnected(project: &Project, name: &Name, environment: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
    let options = Options::read(environment.platform, &environment.options).unwrap_or_default();
    // Nothing can listen on this port.
    platform(project, name, environment, Endpoint::Http("127.0.0.1:0".to_owned()), options)
}

fn platform(
    project: &Project,
    name: &Name,
    environment: &Environment,
    endpoint: Endpoint,
    options: Options,
) -> Result<Arc<dyn Platform>, PlatformError> {
    let config = EnvironmentConfig {
        environment: name.clone(),
        owner: Owner::new(super::owner_of(project), name.clone()),
        prefix: prefix(project, environment)?,
        endpoint,
        credentials: Some(Arc::new(Registries(crate::registry::credentials()))),
        swarm: options.swarm,
        docker: options.docker,
    };
    Ok(match environment.platform {
        PlatformKind::Swarm => Arc::new(SwarmPlatform::connect(config)?),
        _ => Arc::new(DockerPlatform::connect(config)?),
    })
}

/// What is wrong with an environment as it is written.
pub fn check(environment: &Environment) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    if let Some(error) = environment.namespace.as_deref().and_then(|namespace| Name::new(namespace).err()) {
        let help = "it is the first part of live names".to_owned();
        problems.push(Problem { at: vec!["namespace".to_owned()], message: error.to_string(), help: Some(help) });
    }
    let found = endpoint::check(&settings(environment)).into_iter();
    problems.extend(found.map(|problem| Problem { at: problem.at, message: problem.message, help: problem.help }));
    problems
}

/// How its engine will be reached, and how each side shows who it is.
pub fn describe(environment: &Environment, surroundings: &Surroundings) -> Result<String, PlatformError> {
    Ok(endpoint::resolve(&settings(environment), surroundings)?.describe())
}

fn settings(environment: &Environment) -> Settings<'_> {
    Settings { kind: environment.platform, url: environment.url.as_deref(), options: &environment.options }
}

/// The first part of live names: two environments on one engine need two.
fn prefix(project: &Project, environment: &Environment) -> Result<Name, PlatformError> {
    let Some(namespace) = &environment.namespace else { return Ok(project.name.clone()) };
    Name::new(namespace).map_err(|error| PlatformError::new(PlatformErrorKind::Rejected, "reading `namespace`", error.to_string()))
}

/// The user's credentials, for the engine to pull with.
struct Registries(Credentials);

#[async_trait]
impl ImageCredentials for Registries {
    async fn for_image(&self, reference: &str) -> Result<Option<DockerCredentials>, PlatformError> {
        let found = self.0.for_image(reference).await.map_err(|error| {
            let attempted = format!("looking for the credentials to pull {reference}");
            PlatformError::new(PlatformErrorKind::Rejected, attempted, error.to_string()).with_hint("`docker login` writes them anew")
        })?;
        Ok(found.map(|found| {
            let credentials = DockerCredentials { serveraddress: Some(found.server), ..DockerCredentials::default() };
            match found.login {
                Login::Password { username, password } => {
                    DockerCredentials { username: Some(username), password: Some(password.to_string()), ..credentials }
                }
                Login::IdentityToken(token) => DockerCredentials { identitytoken: Some(token.to_string()), ..credentials },
            }
        }))
    }
}
