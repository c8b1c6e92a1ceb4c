//! A user's project, whose environment is the swarm, and who is connected to one of its managers.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use stratos_docker::config::{DockerOptions, EnvironmentConfig, SwarmOptions};
use stratos_docker::endpoint::Endpoint;
use stratos_docker::swarm::SwarmPlatform;
use stratos_engine::apply::{Applied, ApplyError, ApplyOptions, Progress, Quiet, RunVerdict};
use stratos_engine::deploy::{self, Connector, EnvironmentStatus, PlanError, Policy, Request};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner_in;
use stratos_engine::health::Health;
use stratos_engine::manifest::Manifest;
use stratos_engine::manifest::schema::{Environment, Project as ProjectSettings};
use stratos_engine::plan::Plan;
use stratos_engine::platform::contract::stage::{brief, told};
use stratos_engine::platform::{Platform, PlatformError};
use stratos_engine::render::VariableInputs;
use stratos_engine::render::secret::Secrets;
use stratos_test_platforms::{Engines, eventually, eventually_async};
use tempfile::TempDir;

use super::cluster::Cluster;

/// Passes within half a second where the app works, however slow its node is.
const CHECKED: &str = "health = { http = \"/healthz\", interval = \"500ms\", timeout = \"10s\" }\nrollout.timeout = \"3m\"";

/// A project and what it is connected to.
pub struct Project {
    name: String,
    engines: Arc<Engines>,
    folder: TempDir,
    manager: usize,
    policy: Policy,
}

impl Project {
    /// A project without apps.
    pub fn new(cluster: &Cluster, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Self { name: name.to_owned(), engines: cluster.engines().clone(), folder, manager: 0, policy: Policy::default() };
        project.declare("");
        project
    }

    /// Declares the apps, instead of those before.
    pub fn declare(&self, apps: &str) {
        let head = format!("[project]\nname = \"{}\"\n[environments.prod]\nplatform = \"swarm\"\n", self.name);
        self.write("stratos.toml", &format!("{head}{apps}\n"));
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.folder.path().join(path), text).unwrap();
    }

    /// From now on, another manager is asked.
    pub fn ask(&mut self, manager: usize) {
        self.manager = manager;
    }

    /// The live name of an app's service.
    pub fn service(&self, app: &str) -> String {
        format!("{}-{app}", self.name)
    }

    fn manifest(&self) -> Manifest {
        Manifest::load(self.folder.path()).unwrap_or_else(|report| panic!("{report}"))
    }

    async fn request<T>(&self, call: impl AsyncFnOnce(&Request<'_>) -> T) -> T {
        let (manifest, secrets) = (self.manifest(), no_secrets());
        let request = Request {
            manifest: &manifest,
            variables: &VariableInputs::default(),
            secrets: &secrets,
            history: None,
            registry: None,
            refresh_images: false,
            environments: BTreeSet::new(),
            apps: BTreeSet::new(),
            policy: self.policy,
        };
        call(&request).await
    }

    pub async fn try_plan(&self) -> Result<Plan, PlanError> {
        self.request(async |request| deploy::plan(request, self).await).await
    }

    pub async fn plan(&self) -> Plan {
        self.try_plan().await.unwrap_or_else(|error| panic!("no plan: {error}"))
    }

    pub async fn try_apply(&self, plan: &Plan, progress: &dyn Progress) -> Result<Applied, ApplyError> {
        deploy::apply(plan, &no_secrets(), self, &ApplyOptions::default(), progress).await
    }

    /// Plans and applies, which must go through; then there is nothing to do.
    pub async fn converge(&self) -> Plan {
        let plan = self.plan().await;
        let applied = self.try_apply(&plan, &Quiet).await.unwrap_or_else(|error| panic!("not applied: {error}"));
        assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
        self.expect_nothing().await;
        plan
    }

    pub async fn expect_nothing(&self) {
        let plan = self.plan().await;
        assert!(plan.is_empty() && plan.held.is_empty(), "there is still something to do: {:#?}", brief(&plan));
    }

    /// How the environment is.
    pub async fn status(&self) -> EnvironmentStatus {
        let tree = self.request(async |request| deploy::status(request, self).await).await;
        tree.unwrap_or_else(|error| panic!("no status: {error}")).environments.remove(0)
    }

    /// How an app is.
    pub async fn health(&self, app: &str) -> Health {
        let status = self.status().await;
        let found = status.apps.iter().find(|there| &*there.name == app).and_then(|app| app.health.first());
        found.unwrap_or_else(|| panic!("no health of {app}: {status:?}")).1.clone()
    }

    /// Waits until an app is so.
    pub async fn until_health(&self, app: &str, is_so: impl Fn(&Health) -> bool) -> Health {
        eventually_async(&format!("another health of {app}"), async || {
            let health = self.health(app).await;
            if is_so(&health) { Ok(health) } else { Err(format!("{health:?}")) }
        })
        .await
    }

    /// Takes everything away.
    pub async fn destroy(&mut self, cluster: &Cluster) {
        self.policy = Policy { destroy: true, allow_delete: true, ..Policy::default() };
        self.converge().await;
        // A node has the network until what was attached there has ended; meanwhile the swarm may give its addresses to another
        // network, which that node then cannot make.
        eventually("the network is gone", || cluster.has_no_network(&format!("{}-prod", self.name)));
    }
}

/// The lines of an app of this image, with more of them.
pub fn web(name: &str, image: &str, lines: &str) -> String {
    format!("[apps.{name}]\nimage = \"{image}\"\nports.http.port = 8080\n{CHECKED}\n{lines}\n")
}

fn no_secrets() -> Secrets {
    Secrets::new([])
}

#[async_trait]
impl Connector for Project {
    async fn connect(&self, project: &ProjectSettings, name: &Name, _: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        Ok(Arc::new(SwarmPlatform::connect(EnvironmentConfig {
            environment: name.clone(),
            owner: owner_in(project, name),
            prefix: project.name.clone(),
            endpoint: Endpoint::Unix(self.engines.socket(self.manager)),
            credentials: None,
            // The kernel of a test machine may lack IPVS.
            swarm: SwarmOptions { publish_on_host: true, dns_round_robin: true },
            docker: DockerOptions::default(),
        })?))
    }
}
