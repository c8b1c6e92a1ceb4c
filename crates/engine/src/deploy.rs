//! The main path. Everything else (the command line, the server) only calls [`plan`] and [`apply`].

mod abandoned;
mod images;
mod live;
mod others;
mod read;
mod select;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::apply::{Applied, ApplyError, ApplyOptions, Progress};
use crate::desired::name::Name;
use crate::desired::resource::ResourceId;
use crate::health::Health;
use crate::manifest::Manifest;
use crate::manifest::diagnostic::Report;
use crate::manifest::schema::{Environment, PlatformKind, Project};
use crate::plan::Plan;
pub use crate::plan::policy::Policy;
use crate::platform::{Gap, Platform, PlatformError};
use crate::render::VariableInputs;
use crate::render::secret::Secrets;

/// Makes platforms of environments: `connect.rs` of the program, or a test.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Connects to an environment. Does not read or write anything of ours yet.
    async fn connect(&self, project: &Project, name: &Name, environment: &Environment) -> Result<Arc<dyn Platform>, PlatformError>;

    /// Whether this build can reach environments of a kind at all. What it cannot reach, it has made nothing in.
    fn reaches(&self, _kind: PlatformKind) -> bool {
        true
    }

    /// Whether an environment's name decides where it is (a folder, say): under another name it is another place, and what
    /// is at the first cannot be taken over from there.
    fn place_follows_name(&self, _environment: &Environment) -> bool {
        false
    }

    /// Environments of this project, where they are, that can be seen without being told their names, and that the manifest
    /// does not have there. Whether one holds anything of ours is looked at afterwards, so a mere suspicion will do.
    ///
    /// Only places that nobody else's manifest writes to can say so: on a server, what this manifest does not name may well
    /// be named by another branch of it. It sends no request, since every plan asks.
    async fn left_behind(&self, _manifest: &Manifest) -> Vec<(Name, Environment)> {
        Vec::new()
    }
}

/// The commit of the manifest, and its history.
pub trait History: Send + Sync {
    /// The commit that the manifest was read from.
    fn revision(&self) -> Option<String>;
    /// Whether our revision is a (strict) ancestor of this one. None where the history does not hold both.
    fn is_older_than(&self, live: &str) -> Option<bool>;
    /// The text of the main manifest file as it was last committed, and as it was before it was last changed.
    fn earlier_manifests(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Tells the digest that an image's tag stands for now.
#[async_trait]
pub trait Registry: Send + Sync {
    /// `sha256:…`, or why it is not known.
    async fn digest(&self, reference: &str) -> Result<String, Unanswered>;
}

/// Why the digest of a tag is not known. It names the registry and not the image, so that a plan says one cause once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(pub String);

/// What is planned.
pub struct Request<'a> {
    /// The manifest.
    pub manifest: &'a Manifest,
    /// Values of variables from outside.
    pub variables: &'a VariableInputs,
    /// The values of its secrets, as far as they are available.
    pub secrets: &'a Secrets,
    /// Where the manifest stands in its repository; None where there is none.
    pub history: Option<&'a dyn History>,
    /// Where the digests of images come from; None pins nothing.
    pub registry: Option<&'a dyn Registry>,
    /// Ask the registry also about images that have not changed.
    pub refresh_images: bool,
    /// Only these environments; all where it is empty.
    pub environments: BTreeSet<Name>,
    /// Only these apps; all where it is empty.
    pub apps: BTreeSet<Name>,
    /// What the user agreed to.
    pub policy: Policy,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The manifest or a template is wrong.
    #[error(transparent)]
    Manifest(#[from] Report),
    /// A platform could not be reached.
    #[error("environment {environment}: {source}")]
    Platform {
        /// Which environment.
        environment: Name,
        /// What went wrong.
        source: PlatformError,
    },
    /// The manifest is older than what is live.
    #[error("the manifest's revision {ours} is an ancestor of {live}, which {id} was written from")]
    Older {
        /// Our revision.
        ours: String,
        /// The live one.
        live: String,
        /// Where it was found.
        id: ResourceId,
    },
    /// An environment was removed or moved while it holds something.
    #[error("environment {environment} was on {place} before, and {resources} of our resources are still there")]
    Abandoned {
        /// Which environment.
        environment: Name,
        /// The platform that it was on.
        place: String,
        /// How many resources of ours are there.
        resources: usize,
    },
    /// An environment was renamed where its name is its place, and the place of its earlier name holds something.
    #[error(
        "environment {before} is called {environment} now, and {resources} of its resources are on {place}, where an environment cannot be renamed"
    )]
    NotRenamed {
        /// The environment.
        environment: Name,
        /// What it was called.
        before: Name,
        /// The platform.
        place: String,
        /// How many resources of ours are under the earlier name.
        resources: usize,
    },
    /// Something was asked for that is not there: an environment, an app. The text says what there is.
    #[error("{0}")]
    Selection(String),
}

/// Compares what should be with what is. Reads platforms, writes nothing.
pub async fn plan(request: &Request<'_>, connector: &dyn Connector) -> Result<Plan, PlanError> {
    let names = select::environments(request)?; //                                       nothing
    abandoned::refuse(request, connector).await?; //                                     reads the history, and places left
    let rendered = select::render(request, &names)?; //                                  reads templates
    let mut connected = select::connect(request, rendered, connector).await?; //         connects
    select::native(request, &mut connected).await?; //                                   reads native files, runs what makes some
    let desired = select::desired(request, &mut connected)?; //                          nothing
    let mut compared = read::compare(request, &connected, desired).await?; //            reads platforms
    others::find(request, &mut connected, &mut compared).await?; //                      with --app: as the lines before, for others
    read::refuse_unknown_apps(request, &compared)?; //                                   nothing
    read::refuse_older(request, &compared)?; //                                          reads the history
    let mut chosen = read::choose(request, compared); //                                 nothing
    let unpinned = images::pin_chosen(request, &mut chosen).await; //                    asks registries
    Ok(read::finish(request, &connected, chosen, unpinned)) //                           nothing
}

/// Carries out exactly this plan, or refuses.
pub async fn apply(
    plan: &Plan,
    secrets: &Secrets,
    connector: &dyn Connector,
    options: &ApplyOptions,
    progress: &dyn Progress,
) -> Result<Applied, ApplyError> {
    let end = options.end();
    crate::apply::verify_secrets(plan, secrets)?; //                                     nothing
    let environments = crate::apply::connect(plan, connector, options).await?; //        connects, takes leases
    let attributes = crate::apply::attributes(plan, &environments).await?; //            reads platforms
    let run = crate::apply::Run::new(plan, secrets, &environments, attributes, options, progress, end);
    let applied = run.to_the_end().await; //                                             writes platforms
    let end = end.map(|end| end + crate::apply::GRACE);
    Ok(crate::apply::retire(plan, applied, &environments, end).await) //                 writes platforms
}

/// Plans a restart or a forgetting: the same changes, fences and leases as any other plan, without a manifest's desire.
pub async fn plan_request(request: &Request<'_>, action: RequestedAction, connector: &dyn Connector) -> Result<Plan, PlanError> {
    let names = select::environments(request)?;
    let rendered = select::unrendered(request, &names);
    let connected = select::connect(request, rendered, connector).await?;
    let observed = read::observe_all(request, &connected).await?;
    select::refuse_unknown_apps(request, observed.iter())?;
    Ok(read::requested(request, action, &connected, observed))
}

/// Reads how everything in the request's scope is.
pub async fn status(request: &Request<'_>, connector: &dyn Connector) -> Result<StatusTree, PlanError> {
    let names = select::environments(request)?;
    let mut environments = Vec::new();
    for name in names {
        environments.push(status::of_environment(request, &name, connector).await);
    }
    Ok(StatusTree { environments })
}

/// What a user asks for beside the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedAction {
    /// `stratos restart APP`.
    Restart,
    /// `stratos forget APP`.
    Forget,
}

/// How things are, in one normalised tree.
#[derive(Debug, Clone, serde::Serialize, schemars::JsonSchema)]
pub struct StatusTree {
    /// Environments in the manifest's order.
    pub environments: Vec<EnvironmentStatus>,
}

/// One environment.
#[derive(Debug, Clone, serde::Serialize, schemars::JsonSchema)]
pub struct EnvironmentStatus {
    /// Its name.
    pub name: Name,
    /// Its platform's word.
    pub platform: crate::manifest::schema::PlatformKind,
    /// Why nothing of it could be read, where that is so.
    pub unreachable: Option<String>,
    /// What could not be read: it may hold apps that are not in `apps`, or that have no health there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Its apps by name, also those that are live and not declared any more.
    pub apps: Vec<AppStatus>,
}

/// One app in one environment.
#[derive(Debug, Clone, serde::Serialize, schemars::JsonSchema)]
pub struct AppStatus {
    /// Its name.
    pub name: Name,
    /// Whether the manifest declares it here.
    pub declared: bool,
    /// The resource that its health is about, and the health: the instances are in it. Empty where nothing is live that has health.
    pub health: Vec<(ResourceId, Health)>,
    /// How many of its live resources have no health of their own: a Service, a ConfigMap. They are there, and that is all that can be
    /// asked of them.
    pub without_health: usize,
}

impl AppStatus {
    fn new(name: Name, declared: bool) -> Self {
        Self { name, declared, health: Vec::new(), without_health: 0 }
    }

    /// Whether nothing of it is there.
    pub fn is_missing(&self) -> bool {
        self.health.is_empty() && self.without_health == 0
    }

    /// Whether everything of it that has health is healthy, and something of it is there.
    pub fn is_well(&self) -> bool {
        !self.is_missing() && self.health.iter().all(|(_, health)| health.settled() == Some(true))
    }
}
