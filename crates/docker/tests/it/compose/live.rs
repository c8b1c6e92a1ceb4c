//! Each case on a real swarm: planned, applied, planned empty, and taken away without a trace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stratos_docker::config::SwarmOptions;
use stratos_docker::endpoint::Endpoint;
use stratos_engine::apply::{Applied, ApplyOptions, Quiet, RunVerdict};
use stratos_engine::deploy::{self, PlanError, Policy, Request, RequestedAction};
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::Manifest;
use stratos_engine::plan::Plan;
use stratos_engine::render::VariableInputs;
use stratos_engine::render::secret::Secrets;
use stratos_test_platforms::{eventually_async, shared_swarm_of_two};

use super::support::{Engine, folder, secrets};
use crate::proxy_image;

/// A manifest on the engine of the tests: in its environment `test` on the swarm, in `plain` on the engine alone.
pub struct Live {
    pub manifest: Manifest,
    environment: Name,
    variables: VariableInputs,
    engine: Engine,
}

impl Live {
    pub fn new(folder: &Path) -> Self {
        Self::in_environment(folder, "test")
    }

    pub fn in_environment(folder: &Path, environment: &str) -> Self {
        let engines = shared_swarm_of_two();
        let endpoint = Endpoint::Unix(engines.socket(0));
        // There is no virtual address on a machine without IPVS.
        let options = SwarmOptions { publish_on_host: true, dns_round_robin: true };
        Self {
            manifest: Manifest::load(folder).unwrap_or_else(|report| panic!("{report}")),
            variables: VariableInputs { arguments: vec![("registry".into(), engines.registry())], ..VariableInputs::default() },
            environment: Name::new(environment).unwrap(),
            engine: Engine { endpoint, options, proxy_image: Some(proxy_image::name(engines)) },
        }
    }

    fn request<'a>(&'a self, secrets: &'a Secrets, policy: Policy) -> Request<'a> {
        Request {
            manifest: &self.manifest,
            variables: &self.variables,
            secrets,
            history: None,
            registry: None,
            refresh_images: false,
            environments: [self.environment.clone()].into(),
            apps: BTreeSet::new(),
            policy,
        }
    }

    pub async fn plan(&self, policy: Policy) -> Result<Plan, PlanError> {
        deploy::plan(&self.request(&secrets(&self.manifest), policy), &self.engine).await
    }

    /// Carries out a plan, however it ends.
    pub async fn run(&self, plan: &Plan) -> Applied {
        deploy::apply(plan, &secrets(&self.manifest), &self.engine, &ApplyOptions::default(), &Quiet).await.unwrap()
    }

    pub async fn apply(&self, policy: Policy) -> Plan {
        let plan = self.plan(policy).await.unwrap_or_else(|error| panic!("{error}"));
        let applied = self.run(&plan).await;
        assert_eq!(applied.verdict(), RunVerdict::Success, "{applied:#?}");
        plan
    }

    /// `stratos forget`.
    pub async fn forget(&self) {
        let secrets = secrets(&self.manifest);
        let plan = deploy::plan_request(&self.request(&secrets, Policy::default()), RequestedAction::Forget, &self.engine).await.unwrap();
        let applied = self.run(&plan).await;
        assert_eq!(applied.verdict(), RunVerdict::Success, "{applied:#?}");
    }

    pub async fn unchanged(&self) {
        let plan = self.plan(Policy::default()).await.unwrap();
        let changes: Vec<String> =
            plan.changes.iter().map(|change| format!("{:?} {}: {:?}", change.action, change.id, change.differences)).collect();
        assert!(plan.is_empty() && plan.held.is_empty(), "{}\n{:?}", changes.join("\n"), plan.held);
    }

    pub async fn gone(&self) {
        self.apply(Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() }).await;
        let label = format!("label=stratos.project={}", self.manifest.project.name);
        let environment = format!("label=stratos.environment={}", self.environment);
        for kind in ["service", "config", "secret", "container"] {
            let mut arguments = vec![kind, "ls", "--quiet", "--filter", &label, "--filter", &environment];
            arguments.extend((kind == "container").then_some("--all"));
            assert_eq!(shared_swarm_of_two().docker(0, &arguments), "", "a {kind} is left");
        }
        let left = on_both(&["volume", "ls", "--quiet", "--filter", &label, "--filter", &environment]);
        assert_eq!(left, "", "a volume is left");
        // The swarm forgets the environment's network at once; a machine lists it until what was attached there has ended.
        eventually_async("no network is left", async || {
            let left = on_both(&["network", "ls", "--quiet", "--filter", &label, "--filter", &environment]);
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }
}

/// Each node of the swarm has volumes and networks of its own.
fn on_both(arguments: &[&str]) -> String {
    [0, 1].map(|node| shared_swarm_of_two().docker(node, arguments)).concat()
}

pub async fn there_and_back(case: &str, environment: &str) {
    let live = Live::in_environment(&folder("files").join(case), environment);
    let plan = live.apply(Policy::default()).await;
    assert!(!plan.is_empty());
    live.unchanged().await;
    live.gone().await;
}

macro_rules! cases {
    ($($name:ident $folder:literal),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            there_and_back($folder, "test").await;
        })*

        #[test]
        fn no_case_is_forgotten() {
            assert_eq!(super::support::cases(), [$($folder),*]);
        }
    };
}

cases! {
    anchors_and_layers "anchors-and-layers",
    blog "blog",
    cron_worker "cron-worker",
    git_server "git-server",
    global_agent "global-agent",
    log_store "log-store",
    long_syntax "long-syntax",
    message_broker "message-broker",
    monitoring "monitoring",
    object_store "object-store",
    reverse_proxy "reverse-proxy",
    sentinel "sentinel",
    two_services "two-services",
    voting "voting",
    web_and_database "web-and-database",
    wiki "wiki",
    worker_and_queue "worker-and-queue",
}

pub fn project(name: &str, compose: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[project]\nname = \"{name}\"\n[environments.test]\nplatform = \"swarm\"\n\
         [environments.plain]\nplatform = \"docker\"\nnamespace = \"{name}-plain\"\n[variables]\nregistry = \"x\"\n\
         [apps.stack]\nplatform.swarm.compose = \"compose.yml\"\nplatform.docker.compose = \"compose.yml\"\n"
    );
    std::fs::write(folder.path().join("stratos.toml"), manifest).unwrap();
    std::fs::write(folder.path().join("compose.yml"), compose).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

/// Other content and other options are another config and another network: the services move, then the old ones go.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_config_and_a_changed_network_are_exchanged() {
    let compose = |content: &str, options: &str| {
        format!(
            "services:\n  web:\n    image: ${{REGISTRY}}/web:1\n    configs: [c]\n    networks: [n]\n\
             configs: {{ c: {{ content: {content} }} }}\nnetworks: {{ n: {options} }}\n"
        )
    };
    let (_folder, path) = project("exchanged", &compose("one", "{ attachable: true }"));
    Live::new(&path).apply(Policy::default()).await;
    std::fs::write(path.join("compose.yml"), compose("two", "{ internal: true }")).unwrap();
    let live = Live::new(&path);
    live.apply(Policy { allow_delete: true, ..Policy::default() }).await;
    live.unchanged().await;
    for kind in ["config", "network"] {
        let left = shared_swarm_of_two()
            .docker(0, &[kind, "ls", "--quiet", "--filter", "label=stratos.app=stack", "--filter", "label=stratos.project=exchanged"]);
        assert_eq!(left.lines().count(), 1, "{kind}: {left}");
    }
    live.gone().await;
}

/// One service that is deleted by hand and one that is changed by hand are both put right.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_deleted_by_hand_is_made_anew() {
    let (_folder, path) =
        project("by-hand", "services:\n  a:\n    image: ${REGISTRY}/web:1\n  b:\n    image: ${REGISTRY}/web:1\n    depends_on: [a]\n");
    let live = Live::new(&path);
    live.apply(Policy::default()).await;
    shared_swarm_of_two().docker(0, &["service", "rm", "by-hand-stack-b"]);
    shared_swarm_of_two().docker(0, &["service", "update", "--detach", "--env-add", "DRIFT=1", "by-hand-stack-a"]);
    let plan = live.apply(Policy::default()).await;
    assert_eq!(plan.changes.len(), 2, "{plan:#?}");
    live.unchanged().await;
    live.gone().await;
}

/// The order and the gate: who depends on a service that never becomes healthy is not started.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_waits_for_the_health_of_another() {
    let compose = "services:\n  sick:\n    image: ${REGISTRY}/web:sick\n    healthcheck: { test: 'wget -q -O /dev/null http://127.0.0.1:8080/healthz', interval: 1s, retries: 1 }\n\
                   \x20 web:\n    image: ${REGISTRY}/web:1\n    depends_on: { sick: { condition: service_healthy } }\n";
    let (_folder, path) = project("gate", compose);
    let live = Live::new(&path);
    let plan = live.plan(Policy::default()).await.unwrap();
    let applied = live.run(&plan).await;
    assert_ne!(applied.verdict(), RunVerdict::Success, "{applied:#?}");
    let services = shared_swarm_of_two().docker(0, &["service", "ls", "--format", "{{.Name}}", "--filter", "label=stratos.project=gate"]);
    assert_eq!(services, "gate-stack-sick");
    live.gone().await;
}

/// Somebody else's config and secret are used and left alone; where they are missing, the apply says which.
#[tokio::test(flavor = "multi_thread")]
async fn external_configs_and_secrets_are_used_and_never_made_or_deleted() {
    let compose = "services:\n  web:\n    image: ${REGISTRY}/web:1\n    configs: [{ source: theirs, target: /etc/theirs }]\n    secrets: [theirs-too]\n\
                   configs: { theirs: { external: true, name: external-config } }\nsecrets: { theirs-too: { external: true } }\n";
    let (_folder, path) = project("external", compose);
    let live = Live::new(&path);
    let plan = live.plan(Policy::default()).await.unwrap();
    let ids: Vec<String> = plan.changes.iter().map(|change| change.id.to_string()).collect();
    assert!(ids.iter().all(|id| !id.contains("/config/") && !id.contains("/secret/")), "{ids:?}");
    let applied = live.run(&plan).await;
    assert_ne!(applied.verdict(), RunVerdict::Success);
    let said = format!("{applied:?}");
    assert!(said.contains("external-config") || said.contains("theirs-too"), "{said}");

    let engines = shared_swarm_of_two();
    let folder = path.join("value");
    std::fs::write(&folder, "theirs").unwrap();
    for (kind, name) in [("config", "external-config"), ("secret", "theirs-too")] {
        engines.docker(0, &[kind, "create", name, &folder.display().to_string()]);
    }
    live.apply(Policy::default()).await;
    live.unchanged().await;
    let format = "{{json .Spec.TaskTemplate.ContainerSpec.Configs}} {{json .Spec.TaskTemplate.ContainerSpec.Secrets}}";
    let spec = engines.docker(0, &["service", "inspect", "--format", format, "external-stack-web"]);
    assert!(spec.contains("external-config") && spec.contains("theirs-too") && spec.contains("/etc/theirs"), "{spec}");
    live.gone().await;
    for (kind, name) in [("config", "external-config"), ("secret", "theirs-too")] {
        engines.docker(0, &[kind, "inspect", name]);
        engines.docker(0, &[kind, "rm", name]);
    }
}

/// A network's labels are fixed: what was forgotten with it makes it nobody's, and is taken up again with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_forgotten_with_its_network_and_adopted_again() {
    let compose = "services:\n  web:\n    image: ${REGISTRY}/web:1\n    configs: [c]\nconfigs: { c: { content: x } }\n";
    let (_folder, path) = project("unmarked", compose);
    let live = Live::new(&path);
    live.apply(Policy::default()).await;
    live.forget().await;
    let plan = live.plan(Policy { destroy: true, allow_delete: true, ..Policy::default() }).await.unwrap();
    assert!(plan.is_empty() && plan.held.is_empty(), "nothing of it is ours any more: {plan:#?}");
    live.apply(Policy { adopt: true, ..Policy::default() }).await;
    live.unchanged().await;
    live.gone().await;
}
