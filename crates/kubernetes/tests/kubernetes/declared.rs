//! A user whose only app, or whose apps, are made of objects that are declared as text, in front of the cluster without nodes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use stratos_engine::apply::{Applied, ApplyOptions, ChangeResult, Quiet};
use stratos_engine::deploy::{self, PlanError, Policy, Registry, Request, Unanswered};
use stratos_engine::manifest::Manifest;
use stratos_engine::plan::change::Action;
use stratos_engine::plan::{HeldReason, Plan};
use stratos_engine::platform::contract::stage::{brief, told};
use stratos_engine::render::VariableInputs;
use stratos_engine::render::secret::Secrets;
use stratos_test_platforms::Cluster;

use crate::support::{TestConnector, Way};

pub struct Declared {
    pub cluster: &'static Cluster,
    pub namespace: String,
    /// By the name of the app.
    pub apps: BTreeMap<&'static str, String>,
    pub policy: Policy,
    pub registry: Option<Digests>,
}

/// A registry in which each tag stands for the same digest.
pub struct Digests;

#[async_trait]
impl Registry for Digests {
    async fn digest(&self, _: &str) -> Result<String, Unanswered> {
        Ok(format!("sha256:{}", "1f".repeat(32)))
    }
}

impl Declared {
    /// Nothing is declared yet.
    pub fn new(namespace: &str) -> Self {
        Self::in_cluster(Cluster::shared_api_only(), namespace)
    }

    pub fn in_cluster(cluster: &'static Cluster, namespace: &str) -> Self {
        Self { cluster, namespace: namespace.to_owned(), apps: BTreeMap::new(), policy: Policy::default(), registry: None }
    }

    /// The same user with these objects in the app `a`.
    pub fn says(&mut self, yaml: &str) -> &mut Self {
        self.app("a", yaml)
    }

    pub fn app(&mut self, app: &'static str, yaml: &str) -> &mut Self {
        self.apps.insert(app, yaml.to_owned());
        self
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    fn connector(&self) -> TestConnector {
        TestConnector::new(Way::Kubeconfig(self.cluster.kubeconfig().to_owned()), &self.namespace)
    }

    pub async fn try_plan(&self) -> Result<Plan, PlanError> {
        let folder = tempfile::tempdir().unwrap();
        let mut text = format!(
            "[project]\nname = \"bad-object\"\nid = \"{}\"\n[environments.dev]\nplatform = \"kubernetes\"\n",
            self.namespace.replace('-', "")
        );
        for (app, yaml) in &self.apps {
            std::fs::write(folder.path().join(format!("{app}.yaml")), yaml).unwrap();
            text += &format!("[apps.{app}]\nrollout.timeout = \"30s\"\nplatform.kubernetes.manifests = [\"{app}.yaml\"]\n");
        }
        std::fs::write(folder.path().join("stratos.toml"), &text).unwrap();
        let manifest = Manifest::load(folder.path()).unwrap_or_else(|report| panic!("{report}"));
        let request = Request {
            manifest: &manifest,
            variables: &VariableInputs::default(),
            secrets: &Secrets::new([]),
            history: None,
            registry: self.registry.as_ref().map(|registry| registry as &dyn Registry),
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

    pub async fn apply(&self, plan: &Plan) -> Applied {
        let options = ApplyOptions { no_wait: true, ..ApplyOptions::default() };
        deploy::apply(plan, &Secrets::new([]), &self.connector(), &options, &Quiet)
            .await
            .unwrap_or_else(|error| panic!("not applied: {error}"))
    }

    /// Plans and applies, and then there is nothing to do.
    pub async fn converge(&self) -> Plan {
        let plan = self.plan().await;
        assert!(plan.held.is_empty(), "{:#?}", brief(&plan));
        let applied = self.apply(&plan).await;
        let done = |result: &ChangeResult| matches!(result, ChangeResult::Done | ChangeResult::AlreadyDone);
        assert!(applied.changes.iter().all(|report| done(&report.result)), "{}", told(&plan, &applied));
        self.nothing("right after an apply").await;
        plan
    }

    /// There is nothing to do.
    pub async fn nothing(&self, when: &str) {
        let plan = self.plan().await;
        assert!(plan.is_empty() && plan.held.is_empty(), "{when}: {:#?}", brief(&plan));
    }

    /// Destroys the environment.
    pub async fn destroy(&mut self) {
        self.policy = Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() };
        let plan = self.plan().await;
        let applied = self.apply(&plan).await;
        let done = |result: &ChangeResult| matches!(result, ChangeResult::Done | ChangeResult::AlreadyDone);
        assert!(applied.changes.iter().all(|report| done(&report.result)), "{}", told(&plan, &applied));
    }
}

/// The changes of a plan, each as `action kind/name`, sorted.
pub fn changes(plan: &Plan) -> Vec<String> {
    let word = |action: Action| match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Replace(_) => "replace",
        Action::Delete => "delete",
        Action::Forget | Action::Restart => "other",
    };
    let mut out: Vec<String> =
        plan.changes.iter().map(|change| format!("{} {}/{}", word(change.action), change.id.kind, change.id.name)).collect();
    out.sort();
    out
}

/// The changes that a plan blocks since the cluster would refuse them, by name, each with the cluster's words.
pub fn refused(plan: &Plan) -> BTreeMap<String, String> {
    let refused = plan.held.iter().filter_map(|held| match &held.why {
        HeldReason::Refused { why } => Some((held.id.name.to_string(), format!("{}: {why}", held.instead_of))),
        _ => None,
    });
    refused.collect()
}

/// The result of each change, by name.
pub fn results(applied: &Applied) -> BTreeMap<String, ChangeResult> {
    applied.changes.iter().map(|report| (report.id.name.to_string(), report.result.clone())).collect()
}
