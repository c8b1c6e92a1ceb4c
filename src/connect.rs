//! From an environment's settings to a platform: the one place that names all of them.

#[cfg(feature = "docker")]
mod docker;
#[cfg(feature = "kubernetes")]
mod kubernetes;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use stratos_engine::deploy::Connector;
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::Manifest;
use stratos_engine::manifest::diagnostic::{Diagnostic, FileId, Report, Span};
use stratos_engine::manifest::schema::{Environment, PlatformKind, Project};
use stratos_engine::manifest::source;
use stratos_engine::platform::{Platform, PlatformError, PlatformErrorKind};

/// The platforms that this build can reach.
pub const BUILT: &[PlatformKind] = &[
    #[cfg(feature = "local")]
    PlatformKind::Local,
    #[cfg(feature = "docker")]
    PlatformKind::Docker,
    #[cfg(feature = "docker")]
    PlatformKind::Swarm,
    #[cfg(feature = "kubernetes")]
    PlatformKind::Kubernetes,
];

/// The command, hidden from help, whose further arguments [`supervise`] takes.
pub const SUPERVISE: &str = "supervise";

/// The command, hidden from help, that is a balancer by itself: its argument is the file that tells it what to do.
pub const BALANCE: &str = "balance";

/// The folder of all local environments, in the state folder.
#[cfg(feature = "local")]
const LOCAL: &str = "local";

/// Makes platforms of environments.
#[cfg_attr(not(feature = "local"), allow(dead_code, reason = "these places are those of the platform local"))]
pub struct Connect {
    /// Where the platform `local` keeps its environments. None where no place for it is known.
    state: Option<PathBuf>,
    /// The manifest's folder.
    folder: PathBuf,
    /// What this machine and its user say about engines.
    #[cfg(feature = "docker")]
    engines: stratos_docker::endpoint::Surroundings,
    /// The same about clusters.
    #[cfg(feature = "kubernetes")]
    clusters: stratos_kubernetes::access::Surroundings,
}

/// What is wrong with an environment as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The keys in the environment that lead to it.
    pub at: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Connect {
    /// For the manifest of this folder. `state` is where environments that live on this machine are kept.
    pub fn new(folder: &Path, state: Option<PathBuf>) -> Self {
        Self {
            state,
            folder: folder.to_owned(),
            #[cfg(feature = "docker")]
            engines: stratos_docker::endpoint::Surroundings::new(|name| std::env::var_os(name), folder),
            #[cfg(feature = "kubernetes")]
            clusters: stratos_kubernetes::access::Surroundings::new(|name| std::env::var_os(name), folder),
        }
    }

    /// How an environment's platform will be reached from this machine, and how each side shows who it is. None where there is
    /// nothing to say. Nothing is sent.
    pub fn describe(&self, environment: &Environment) -> Option<Result<String, PlatformError>> {
        match environment.platform {
            #[cfg(feature = "docker")]
            PlatformKind::Docker | PlatformKind::Swarm => Some(docker::describe(environment, &self.engines)),
            #[cfg(feature = "kubernetes")]
            PlatformKind::Kubernetes => Some(kubernetes::describe(environment, &self.clusters)),
            _ => None,
        }
    }

    /// Notes that what an environment holds is left behind on purpose, where its place would tell of it again and again.
    ///
    /// # Errors
    /// Where that could not be written down.
    #[cfg_attr(not(feature = "local"), allow(unused_variables, clippy::unnecessary_wraps, reason = "only local places tell"))]
    pub fn abandon(&self, project: &Project, name: &Name) -> std::io::Result<()> {
        #[cfg(feature = "local")]
        if let Some(state) = &self.state {
            return stratos_local::abandon(&state.join(LOCAL), owner_of(project), name);
        }
        Ok(())
    }

    #[cfg(feature = "local")]
    fn local(&self, project: &Project, name: &Name) -> Result<Arc<dyn Platform>, PlatformError> {
        use stratos_engine::desired::owner::Owner;
        use stratos_local::{LocalConfig, LocalPlatform};

        let attempted = format!("finding the folder of the local environment {name}");
        let failed = |why: &str, hint: &str| PlatformError::new(PlatformErrorKind::Rejected, attempted.clone(), why).with_hint(hint);
        let state = self.state.as_ref().ok_or_else(|| {
            failed("neither STRATOS_STATE_DIR nor XDG_STATE_HOME nor HOME is an absolute path", "set STRATOS_STATE_DIR to a folder")
        })?;
        let program = std::env::current_exe()
            .map_err(|error| failed(&format!("the path of this program is not known: {error}"), "start it by its full path"))?;
        let owner = Owner::new(owner_of(project), name.clone());
        let platform = LocalPlatform::connect(LocalConfig {
            folder: stratos_local::environment_folder(&state.join(LOCAL), &owner.project, name),
            environment: name.clone(),
            owner,
            supervisor: vec![program.into(), SUPERVISE.into()],
            directory: Some(self.folder.clone()),
        })?;
        Ok(Arc::new(platform))
    }
}

/// The platform of an environment, for what it does without being reached. Whether it can be from this machine is not looked
/// at. None for a platform without native parts.
///
/// # Errors
/// Where the settings are wrong, which [`check`] says before.
#[cfg_attr(
    not(any(feature = "docker", feature = "kubernetes")),
    allow(unused_variables, reason = "the other platforms have no native parts")
)]
pub fn unconnected(project: &Project, name: &Name, environment: &Environment) -> Result<Option<Arc<dyn Platform>>, PlatformError> {
    match environment.platform {
        #[cfg(feature = "docker")]
        PlatformKind::Docker | PlatformKind::Swarm => docker::unconnected(project, name, environment).map(Some),
        #[cfg(feature = "kubernetes")]
        PlatformKind::Kubernetes => kubernetes::unconnected(project, name, environment).map(Some),
        _ => Ok(None),
    }
}

/// What is wrong with an environment's settings for its platform, on whatever machine. What a build lacks is not checked.
pub fn check(environment: &Environment) -> Vec<Problem> {
    match environment.platform {
        #[cfg(feature = "docker")]
        PlatformKind::Docker | PlatformKind::Swarm => docker::check(environment),
        #[cfg(feature = "kubernetes")]
        PlatformKind::Kubernetes => kubernetes::check(environment),
        _ => Vec::new(),
    }
}

/// What is wrong with the place that an environment's name leads to.
#[cfg_attr(not(feature = "kubernetes"), allow(unused_variables, reason = "the names of the other platforms' places are always right"))]
fn check_name(project: &Project, name: &Name, environment: &Environment) -> Vec<Problem> {
    match environment.platform {
        #[cfg(feature = "kubernetes")]
        PlatformKind::Kubernetes => kubernetes::check_name(project, name, environment),
        _ => Vec::new(),
    }
}

/// The same for all environments of a manifest, each problem at its place.
pub fn check_all(manifest: &Manifest) -> Result<(), Report> {
    let mut problems = Vec::new();
    for (name, environment) in &manifest.environments {
        let found = check(environment).into_iter().chain(check_name(&manifest.project, name, environment));
        problems.extend(found.map(|problem| {
            let place = place(manifest, name, &problem.at);
            let diagnostic = Diagnostic::new(problem.message, place);
            Diagnostic { help: problem.help, ..diagnostic }
        }));
    }
    if problems.is_empty() { Ok(()) } else { Err(Report::new(manifest.sources.clone(), problems)) }
}

/// Where a key of an environment stands. A manifest does not keep the places of its environments: its files do.
fn place(manifest: &Manifest, name: &Name, keys: &[String]) -> Option<Span> {
    let sources = &manifest.sources;
    let files = (0..).map(FileId).take_while(|file| sources.name(*file) != "?");
    let trees = files.filter_map(|file| source::parse(sources.text(file), file).ok());
    let path = || ["environments", name.as_str()].into_iter().chain(keys.iter().map(String::as_str));
    trees.filter_map(|tree| tree.at(path()).map(|node| node.span)).next()
}

/// What live objects are marked with: the project's id, or its name where it has none.
#[cfg(any(feature = "local", feature = "docker", feature = "kubernetes"))]
fn owner_of(project: &Project) -> &str {
    project.id.as_deref().unwrap_or(&project.name)
}

#[async_trait]
impl Connector for Connect {
    fn reaches(&self, kind: PlatformKind) -> bool {
        BUILT.contains(&kind)
    }

    #[cfg_attr(
        not(any(feature = "local", feature = "docker", feature = "kubernetes")),
        allow(unused_variables, reason = "a build without any platform only refuses")
    )]
    async fn connect(&self, project: &Project, name: &Name, environment: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        match environment.platform {
            #[cfg(feature = "local")]
            PlatformKind::Local => self.local(project, name),
            #[cfg(feature = "docker")]
            PlatformKind::Docker | PlatformKind::Swarm => docker::connect(project, name, environment, &self.engines),
            #[cfg(feature = "kubernetes")]
            PlatformKind::Kubernetes => kubernetes::connect(project, name, environment, &self.clusters),
            kind => {
                let there: Vec<&str> = BUILT.iter().map(|kind| kind.as_str()).collect();
                let why = format!("this build does not have the platform {kind} yet");
                let error = PlatformError::new(PlatformErrorKind::Rejected, "connecting", why);
                Err(error.with_hint(format!("it has: {}", there.join(", "))))
            }
        }
    }

    /// A local environment is a folder that is named after it, and its processes run in there. A namespace that is not written is
    /// named after its environment.
    fn place_follows_name(&self, environment: &Environment) -> bool {
        match environment.platform {
            PlatformKind::Local => true,
            PlatformKind::Kubernetes => environment.namespace.is_none(),
            _ => false,
        }
    }

    /// This machine's own environments. What is on a server may be another branch's, or another machine's.
    #[cfg(feature = "local")]
    async fn left_behind(&self, manifest: &Manifest) -> Vec<(Name, Environment)> {
        let Some(state) = &self.state else { return Vec::new() };
        let declared = |name: &Name| manifest.environments.get(name).is_some_and(|settings| settings.platform == PlatformKind::Local);
        let found = stratos_local::environments(&state.join(LOCAL), owner_of(&manifest.project)).into_iter();
        found.filter(|name| !declared(name)).map(|name| (name, Environment::new(PlatformKind::Local))).collect()
    }
}

/// What a platform does with secrets that a user should know. None where only the app gets to see them.
pub fn secrets_readable(kind: PlatformKind) -> Option<&'static str> {
    match kind {
        PlatformKind::Local => None,
        PlatformKind::Docker => Some("environment variables of a container can be read by everyone who may use the engine"),
        PlatformKind::Swarm => Some("environment variables of a service can be read by everyone who may use the swarm"),
        PlatformKind::Kubernetes => Some("Secrets can be read by everyone who may read them in the namespace"),
        PlatformKind::AwsEcs => None,
        PlatformKind::Mesos => Some("environment variables of an app can be read by everyone who may use Marathon"),
        PlatformKind::Cloudfoundry => Some("environment variables of an app can be read by every developer of the space"),
    }
}

/// Runs the supervisor of a local environment until it is told to end.
///
/// # Errors
/// Where it could not start, and in a build without the platform.
pub fn supervise(arguments: &[OsString]) -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "local")]
    return Ok(stratos_local::supervisor::run(arguments)?);
    #[cfg(not(feature = "local"))]
    return Err(format!("this build does not have the platform local (arguments: {arguments:?})").into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_is_not_written_follows_the_name_of_its_environment() {
        let connect = Connect::new(Path::new("."), None);
        let environment = Environment::new(PlatformKind::Kubernetes);
        assert!(connect.place_follows_name(&environment));
        assert!(!connect.place_follows_name(&Environment { namespace: Some("shop".to_owned()), ..environment }));
        assert!(!connect.place_follows_name(&Environment::new(PlatformKind::Swarm)));
    }
}
