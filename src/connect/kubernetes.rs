//! The platform `kubernetes`: where its cluster is, who we are there, and the namespace of an environment.

use std::sync::Arc;

use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::manifest::schema::{Environment, Project};
use stratos_engine::platform::{Platform, PlatformError, PlatformErrorKind};
use stratos_kubernetes::access::{self, Options, Settings, Surroundings};
use stratos_kubernetes::config::WATCH;
use stratos_kubernetes::connection::Connection;
use stratos_kubernetes::{EnvironmentConfig, Helm, KubernetesPlatform};

use super::Problem;

/// Connects an environment. Sends nothing yet.
pub fn connect(
    project: &Project,
    name: &Name,
    environment: &Environment,
    surroundings: &Surroundings,
) -> Result<Arc<dyn Platform>, PlatformError> {
    let found = access::resolve(&settings(environment), surroundings)?;
    let config = config(project, name, environment, &found.options)?;
    Ok(platform(config, found.connect()?))
}

/// The same where no cluster will be asked for anything.
pub fn unconnected(project: &Project, name: &Name, environment: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
    let options = Options::read(&environment.options).unwrap_or_default();
    Ok(platform(config(project, name, environment, &options)?, Connection::nowhere()?))
}

fn platform(config: EnvironmentConfig, connection: Connection) -> Arc<dyn Platform> {
    Arc::new(KubernetesPlatform::connect(config, connection).with_helm(Helm::new(|name| std::env::var_os(name))))
}

fn config(project: &Project, name: &Name, environment: &Environment, options: &Options) -> Result<EnvironmentConfig, PlatformError> {
    let namespace = access::namespace(&project.name, name, &settings(environment)).map_err(|problem| {
        let error = PlatformError::new(PlatformErrorKind::Rejected, format!("naming the namespace of {name}"), problem.message);
        PlatformError { hint: problem.help, ..error }
    })?;
    Ok(EnvironmentConfig {
        environment: name.clone(),
        owner: Owner::new(super::owner_of(project), name.clone()),
        namespace,
        create_namespace: options.create_namespace,
        force_conflicts: options.force_conflicts,
        watch: WATCH,
    })
}

/// What is wrong with an environment as it is written.
pub fn check(environment: &Environment) -> Vec<Problem> {
    access::check(&settings(environment)).into_iter().map(problem).collect()
}

/// What is wrong with the namespace that is named after the environment. One that is written is looked at in [`check`].
pub fn check_name(project: &Project, name: &Name, environment: &Environment) -> Vec<Problem> {
    if environment.namespace.is_some() {
        return Vec::new();
    }
    let found = access::namespace(&project.name, name, &settings(environment)).err();
    // There is no key yet to point at.
    found.into_iter().map(|found| Problem { at: Vec::new(), ..problem(found) }).collect()
}

/// How its cluster will be reached, and how each side shows who it is.
pub fn describe(environment: &Environment, surroundings: &Surroundings) -> Result<String, PlatformError> {
    Ok(access::resolve(&settings(environment), surroundings)?.describe())
}

fn settings(environment: &Environment) -> Settings<'_> {
    Settings { url: environment.url.as_deref(), namespace: environment.namespace.as_deref(), options: &environment.options }
}

fn problem(problem: access::Problem) -> Problem {
    let access::Problem { at, message, help } = problem;
    Problem { at, message, help }
}
