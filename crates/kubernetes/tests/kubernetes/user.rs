//! A user with a manifest, in front of a namespace of a cluster whose pods never run: apps have no instances.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stratos_engine::apply::{Applied, ApplyError, ApplyOptions, ChangeResult, Progress, Quiet, RunVerdict};
use stratos_engine::deploy::{self, PlanError, Policy, Request};
use stratos_engine::manifest::Manifest;
use stratos_engine::plan::{HeldReason, Plan};
use stratos_engine::platform::PlatformError;
use stratos_engine::platform::contract::stage::{brief, told};
use stratos_engine::render::VariableInputs;
use stratos_engine::render::secret::Secrets;
use stratos_test_platforms::Cluster;

use crate::support::{Place, TestConnector};

pub use crate::support::{Way, client};

/// The cluster without nodes, for tests that need none.
pub fn nodeless() -> &'static Cluster {
    Cluster::shared_api_only()
}

/// A user in front of a [`Place`], which is deleted with its last user.
pub struct User<'a> {
    pub place: Arc<Place<'a>>,
    /// The apps, as TOML.
    pub apps: String,
    pub policy: Policy,
    pub force_conflicts: bool,
    pub patience: Duration,
    pub way: Way,
}

impl<'a> Deref for User<'a> {
    type Target = Place<'a>;
    fn deref(&self) -> &Place<'a> {
        &self.place
    }
}

/// An app without instances.
pub fn web(tag: &str, more: &str) -> String {
    format!("[apps.web]\nimage = \"registry.example/web:{tag}\"\nreplicas = 0\nports.http = 8080\n{more}\n")
}

impl<'a> User<'a> {
    /// The administrator, and one app. The namespace is there.
    pub fn new(cluster: &'a Cluster, namespace: &str) -> Self {
        Self {
            place: Arc::new(Place::without_pods(cluster, namespace, "")),
            apps: web("1", ""),
            policy: Policy::default(),
            force_conflicts: false,
            patience: Duration::from_secs(180),
            way: Way::Kubeconfig(cluster.kubeconfig().to_owned()),
        }
    }

    /// The same environment in the hands of somebody with these roles of the namespace, which are there.
    pub fn as_somebody(&self, user: &str, roles: &[&str]) -> Self {
        for role in roles {
            self.cluster.apply_yaml(&format!(
                "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {user}-{role}, namespace: {}}},
                  roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}, subjects: [{{kind: User, name: {user}}}]}}",
                self.namespace
            ));
        }
        self.through(Way::Kubeconfig(self.cluster.kubeconfig_of(user, &[])))
    }

    /// The same user on another way.
    pub fn through(&self, way: Way) -> Self {
        Self { place: self.place.clone(), apps: self.apps.clone(), way, ..*self }
    }

    /// What is there under this label, or everything of these kinds.
    pub fn names(&self, kinds: &str) -> Vec<String> {
        self.kubectl(&["get", kinds, "--output=name"]).lines().map(str::to_owned).collect()
    }

    /// `kubectl apply --server-side` of another manager, by force.
    pub fn other_applies(&self, manager: &str, yaml: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), yaml).unwrap();
        let path = file.path().display().to_string();
        self.kubectl(&["apply", "--server-side", "--force-conflicts", &format!("--field-manager={manager}"), "--filename", &path]);
    }

    /// The project's id.
    pub fn project(&self) -> String {
        self.namespace.replace('-', "")
    }

    fn text(&self) -> String {
        let project = format!("[project]\nname = \"shop\"\nid = \"{}\"\n", self.project());
        format!("{project}\n[environments.dev]\nplatform = \"kubernetes\"\n\n{}", self.apps)
    }

    fn connector(&self) -> TestConnector {
        TestConnector {
            force_conflicts: self.force_conflicts,
            patience: Some(self.patience),
            ..TestConnector::new(self.way.clone(), &self.namespace)
        }
    }

    pub async fn try_plan(&self) -> Result<Plan, PlanError> {
        let manifest = Manifest::parse(&self.text()).unwrap_or_else(|report| panic!("{report}\n{}", self.text()));
        let request = Request {
            manifest: &manifest,
            variables: &VariableInputs::default(),
            secrets: &no_secrets(),
            history: None,
            registry: None,
            refresh_images: false,
            environments: Default::default(),
            apps: Default::default(),
            policy: self.policy,
        };
        deploy::plan(&request, &self.connector()).await
    }

    pub async fn plan(&self) -> Plan {
        self.try_plan().await.unwrap_or_else(|error| panic!("no plan: {error}"))
    }

    /// Why a change is held that the cluster would refuse, with what to do.
    pub async fn refused(&self) -> String {
        let plan = self.plan().await;
        let refused = plan.held.iter().find_map(|held| match &held.why {
            HeldReason::Refused { why } | HeldReason::Conflict { why } => Some(format!("{}: {why}", held.id)),
            _ => None,
        });
        assert!(plan.is_empty(), "{:#?}", brief(&plan));
        refused.unwrap_or_else(|| panic!("nothing is refused: {:#?}", brief(&plan)))
    }

    pub async fn try_apply(&self, plan: &Plan) -> Result<Applied, ApplyError> {
        self.apply_watched(plan, &Quiet).await
    }

    /// Applies while somebody looks on.
    pub async fn apply_watched(&self, plan: &Plan, progress: &dyn Progress) -> Result<Applied, ApplyError> {
        deploy::apply(plan, &no_secrets(), &self.connector(), &ApplyOptions::default(), progress).await
    }

    pub async fn apply(&self, plan: &Plan) -> Applied {
        self.try_apply(plan).await.unwrap_or_else(|error| panic!("not applied: {error}"))
    }

    /// Plans and applies, and then there is nothing to do.
    pub async fn converge(&self) -> Plan {
        let plan = self.plan().await;
        assert!(plan.held.is_empty(), "{:#?}", brief(&plan));
        let applied = self.apply(&plan).await;
        assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
        self.nothing().await;
        plan
    }

    /// There is nothing to do.
    pub async fn nothing(&self) -> Plan {
        let plan = self.plan().await;
        assert!(plan.is_empty() && plan.held.is_empty(), "there is still something to do: {:#?}", brief(&plan));
        plan
    }

    /// Destroys the environment; nothing of it is left.
    pub async fn destroy(&self) {
        let plan = Self { policy: agreed(), ..self.through(self.way.clone()) }.plan().await;
        let applied = self.apply(&plan).await;
        assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
        let left = self.names("deployments,services,configmaps,serviceaccounts,leases");
        assert_eq!(left.iter().filter(|name| name.contains("web") || name.contains("stratos-")).count(), 0, "{left:?}");
    }
}

/// What an apply says that did not begin.
pub fn refusal(result: Result<Applied, ApplyError>) -> PlatformError {
    match result {
        Err(ApplyError::Platform { source, .. }) => source,
        Err(other) => panic!("{other}"),
        Ok(applied) => panic!("it is applied: {:?}", applied.changes),
    }
}

/// Everything may go.
pub fn agreed() -> Policy {
    Policy { destroy: true, allow_delete: true, ..Policy::default() }
}

fn no_secrets() -> Secrets {
    Secrets::new([])
}

/// Why changes failed: `(what, why, hint)`.
pub fn failures(applied: &Applied) -> Vec<(String, String, String)> {
    let failed = applied.changes.iter().filter_map(|report| match &report.result {
        ChangeResult::Failed { why, hint } => Some((report.id.to_string(), why.clone(), hint.clone().unwrap_or_default())),
        _ => None,
    });
    failed.collect()
}

/// The JSON of what a plan says, for what it holds.
pub fn said(plan: &Plan) -> String {
    json!({ "held": plan.held, "coverage": plan.coverage }).to_string()
}
