//! Each case on a real swarm: planned, applied, planned empty, and taken away without a trace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stratos_docker::config::SwarmOptions;
use stratos_docker::endpoint::Endpoint;
use stratos_engine::apply::{ApplyOptions, Quiet, RunVerdict};
use stratos_engine::deploy::{self, PlanError, Policy, Request};
use stratos_engine::manifest::Manifest;
use stratos_engine::plan::Plan;
use stratos_engine::render::VariableInputs;
use stratos_test_platforms::shared_swarm;

use crate::support::{Swarm, folder, secrets};

/// A manifest on the swarm of the tests.
pub struct Live {
    pub manifest: Manifest,
    variables: VariableInputs,
    swarm: Swarm,
}

impl Live {
    pub fn new(folder: &Path) -> Self {
        let engines = shared_swarm();
        let endpoint = Endpoint::Unix(engines.socket(0));
        // There is no virtual address on a machine without IPVS.
        let options = SwarmOptions { publish_on_host: true, dns_round_robin: true };
        Self {
            manifest: Manifest::load(folder).unwrap_or_else(|report| panic!("{report}")),
            variables: VariableInputs { arguments: vec![("registry".into(), engines.registry())], ..VariableInputs::default() },
            swarm: Swarm { endpoint, options },
        }
    }

    pub async fn plan(&self, policy: Policy) -> Result<Plan, PlanError> {
        let secrets = secrets(&self.manifest);
        let request = Request {
            manifest: &self.manifest,
            variables: &self.variables,
            secrets: &secrets,
            history: None,
            registry: None,
            refresh_images: false,
            environments: BTreeSet::new(),
            apps: BTreeSet::new(),
            policy,
        };
        deploy::plan(&request, &self.swarm).await
    }

    pub async fn apply(&self, policy: Policy) -> Plan {
        let plan = self.plan(policy).await.unwrap_or_else(|error| panic!("{error}"));
        let applied = deploy::apply(&plan, &secrets(&self.manifest), &self.swarm, &ApplyOptions::default(), &Quiet).await.unwrap();
        assert_eq!(applied.verdict(), RunVerdict::Success, "{applied:#?}");
        plan
    }

    pub async fn unchanged(&self) {
        let plan = self.plan(Policy::default()).await.unwrap();
        let changes: Vec<String> =
            plan.changes.iter().map(|change| format!("{:?} {}: {:?}", change.action, change.id, change.differences)).collect();
        assert!(plan.is_empty() && plan.held.is_empty(), "{}\n{:?}", changes.join("\n"), plan.held);
    }

    pub async fn gone(&self) {
        self.apply(Policy { destroy: true, allow_delete: true, ..Policy::default() }).await;
        let label = format!("label=stratos.project={}", self.manifest.project.name);
        for kind in ["service", "config", "secret"] {
            let left = shared_swarm().docker(0, &[kind, "ls", "--quiet", "--filter", &label]);
            assert_eq!(left, "", "a {kind} is left");
        }
        // The swarm forgets the environment's network at once; a machine lists it until what was attached there has ended.
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let left = shared_swarm().docker(0, &["network", "ls", "--quiet", "--filter", &label]);
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "a network is left: {left}");
        }
    }
}

async fn there_and_back(case: &str) {
    let live = Live::new(&folder("files").join(case));
    let plan = live.apply(Policy::default()).await;
    assert!(!plan.is_empty());
    live.unchanged().await;
    live.gone().await;
}

macro_rules! cases {
    ($($name:ident $folder:literal),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            there_and_back($folder).await;
        })*

        #[test]
        fn no_case_is_forgotten() {
            assert_eq!(crate::support::cases(), [$($folder),*]);
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

fn project(name: &str, compose: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[project]\nname = \"{name}\"\n[environments.test]\nplatform = \"swarm\"\n[variables]\nregistry = \"x\"\n\
         [apps.stack]\nplatform.swarm.compose = \"compose.yml\"\n"
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
        let left = shared_swarm()
            .docker(0, &[kind, "ls", "--quiet", "--filter", "label=stratos.app=stack", "--filter", "label=stratos.project=exchanged"]);
        assert_eq!(left.lines().count(), 1, "{kind}: {left}");
    }
    live.gone().await;
}

/// A network that somebody deleted is missed, made anew, and its services are attached to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_deleted_by_hand_is_made_anew() {
    let (_folder, path) =
        project("by-hand", "services:\n  a:\n    image: ${REGISTRY}/web:1\n  b:\n    image: ${REGISTRY}/web:1\n    depends_on: [a]\n");
    let live = Live::new(&path);
    live.apply(Policy::default()).await;
    shared_swarm().docker(0, &["service", "rm", "by-hand-stack-b"]);
    shared_swarm().docker(0, &["service", "update", "--detach", "--env-add", "DRIFT=1", "by-hand-stack-a"]);
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
    let applied = deploy::apply(&plan, &secrets(&live.manifest), &live.swarm, &ApplyOptions::default(), &Quiet).await.unwrap();
    assert_ne!(applied.verdict(), RunVerdict::Success, "{applied:#?}");
    let services = shared_swarm().docker(0, &["service", "ls", "--format", "{{.Name}}", "--filter", "label=stratos.project=gate"]);
    assert_eq!(services, "gate-stack-sick");
    live.gone().await;
}
