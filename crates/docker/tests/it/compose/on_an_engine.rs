//! Each case on a real engine alone, without a swarm; and what is particular to it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use stratos_engine::apply::RunVerdict;
use stratos_engine::deploy::Policy;
use stratos_engine::plan::change::Action;
use stratos_test_platforms::shared_swarm_of_two;

use super::live::{Live, project, there_and_back};

/// A policy that deletes what left the file.
fn delete() -> Policy {
    Policy { allow_delete: true, ..Policy::default() }
}

macro_rules! cases {
    ($($name:ident $folder:literal),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            there_and_back($folder, "plain").await;
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

fn docker(arguments: &[&str]) -> String {
    shared_swarm_of_two().docker(0, arguments)
}

fn plain(folder: &std::path::Path) -> Live {
    Live::in_environment(folder, "plain")
}

/// The containers of a project by name, proxies included.
fn containers(project: &str) -> Vec<String> {
    let filter = format!("name=^/{project}-plain-");
    let mut names: Vec<String> =
        docker(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]).lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// What was changed by hand is seen and put right, what left the file is deleted, and a stranger beside it is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn hands_are_seen_and_strangers_are_left_alone() {
    let compose = "services:\n  a:\n    image: ${REGISTRY}/web:1\n  b:\n    image: ${REGISTRY}/web:1\n    networks: [back]\n    volumes: [data:/data]\n\
                   networks: { back: }\nvolumes: { data: }\n";
    let (_folder, path) = project("hands", compose);
    let live = plain(&path);
    live.apply(Policy::default()).await;
    live.unchanged().await;
    assert_eq!(containers("hands"), ["hands-plain-stack-a-1", "hands-plain-stack-b-1"]);
    let image = docker(&["inspect", "--format", "{{.Config.Image}}", "hands-plain-stack-a-1"]);
    docker(&["run", "--detach", "--name", "hands-plain-stranger", "--network", "hands-plain-stack-default", &image]);

    docker(&["rm", "--force", "hands-plain-stack-a-1"]);
    docker(&["network", "disconnect", "hands-plain-stack-back", "hands-plain-stack-b-1"]);
    let plan = live.apply(Policy::default()).await;
    assert_eq!(plan.changes.len(), 2, "{plan:#?}");
    live.unchanged().await;

    let without = "services:\n  a:\n    image: ${REGISTRY}/web:1\n";
    std::fs::write(path.join("compose.yml"), without).unwrap();
    let live = plain(&path);
    let plan = live.apply(delete()).await;
    let held: Vec<String> = plan.held.iter().map(|held| held.id.to_string()).collect();
    assert_eq!(held, ["plain/volume/hands-plain-stack-data"]);
    assert_eq!(containers("hands"), ["hands-plain-stack-a-1", "hands-plain-stranger"]);
    assert_eq!(docker(&["network", "ls", "--quiet", "--filter", "name=hands-plain-stack-back"]), "");
    assert_eq!(docker(&["volume", "ls", "--quiet", "--filter", "name=hands-plain-stack-data"]), "hands-plain-stack-data");

    docker(&["rm", "--force", "hands-plain-stranger"]);
    // Its volume is held still, and goes when that is asked for.
    live.gone().await;
}

/// Whoever asks, again and again, and how often no answer came.
struct Asking {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
    thread: std::thread::JoinHandle<()>,
}

impl Asking {
    fn begin(port: u16) -> Self {
        let (stop, answered, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let thread = std::thread::spawn({
            let (stop, answered, lost) = (stop.clone(), answered.clone(), lost.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    match ask(port) {
                        Some(text) if text.contains("200 OK") => answered.fetch_add(1, Ordering::Relaxed),
                        _ => lost.fetch_add(1, Ordering::Relaxed),
                    };
                }
            }
        });
        Self { stop, answered, lost, thread }
    }

    /// How many were answered and lost.
    fn end(self) -> (u32, u32) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        (self.answered.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}

fn ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((shared_swarm_of_two().address(0), port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// Also where the service is on a network of its own, which changes with the release.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_loses_no_request() {
    let address = shared_swarm_of_two().address(0);
    let compose = |release: &str, network: &str| {
        format!(
            "services:\n  web:\n    image: ${{REGISTRY}}/web:1\n    environment: {{ RELEASE: '{release}' }}\n    ports: [\"{address}:18310:8080\"]\n\
             \x20   networks: [{network}]\n    healthcheck: {{ test: 'wget -q -O /dev/null http://127.0.0.1:8080/healthz', interval: 1s }}\n\
             networks: {{ {network}: }}\n"
        )
    };
    let (_folder, path) = project("release", &compose("one", "back"));
    plain(&path).apply(Policy::default()).await;
    let asking = Asking::begin(18310);
    std::fs::write(path.join("compose.yml"), compose("two", "back")).unwrap();
    let live = plain(&path);
    let plan = live.apply(Policy::default()).await;
    assert!(plan.changes.iter().any(|change| change.action == Action::Update), "{plan:#?}");
    let (answered, lost) = asking.end();
    assert_eq!(lost, 0, "{answered} were answered");
    assert!(answered > 0);
    // Another network: the proxy goes along.
    std::fs::write(path.join("compose.yml"), compose("two", "front")).unwrap();
    let live = plain(&path);
    live.apply(delete()).await;
    live.unchanged().await;
    assert!(ask(18310).is_some_and(|text| text.contains("200 OK")));
    let bound = docker(&["inspect", "--format", "{{json .HostConfig.PortBindings}}", "release-plain-stack-web.proxy"]);
    assert!(bound.contains(&address), "{bound}");
    live.gone().await;
}

/// What a proxy cannot do the container does itself, and its port is given back before the next one wants it.
#[tokio::test(flavor = "multi_thread")]
async fn a_udp_port_is_the_containers_own() {
    let compose = |release: &str| {
        format!(
            "services:\n  dns:\n    image: ${{REGISTRY}}/web:1\n    environment: {{ RELEASE: '{release}' }}\n    ports: [\"18353:53/udp\", \"9000\"]\n"
        )
    };
    let (_folder, path) = project("udp", &compose("one"));
    plain(&path).apply(Policy::default()).await;
    std::fs::write(path.join("compose.yml"), compose("two")).unwrap();
    let live = plain(&path);
    live.apply(Policy::default()).await;
    live.unchanged().await;
    assert_eq!(containers("udp"), ["udp-plain-stack-dns-1"], "nothing here needs a proxy");
    assert_eq!(docker(&["port", "udp-plain-stack-dns-1", "53/udp"]).lines().next(), Some("0.0.0.0:18353"));
    live.gone().await;
}

/// The order and the gate: who depends on a service that never becomes healthy is not started.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_waits_for_the_health_of_another() {
    let compose = "services:\n  sick:\n    image: ${REGISTRY}/web:sick\n    healthcheck: { test: 'wget -q -O /dev/null http://127.0.0.1:8080/healthz', interval: 1s, retries: 1 }\n\
                   \x20 web:\n    image: ${REGISTRY}/web:1\n    depends_on: { sick: { condition: service_healthy } }\n";
    let (_folder, path) = project("gated", compose);
    let live = plain(&path);
    let plan = live.plan(Policy::default()).await.unwrap();
    let applied = live.run(&plan).await;
    assert_ne!(applied.verdict(), RunVerdict::Success, "{applied:#?}");
    assert_eq!(containers("gated"), ["gated-plain-stack-sick-1"]);
    live.gone().await;
}

/// Files, their owners and permissions, and a secret, as the process finds them; and no secret where it can be read in passing.
#[tokio::test(flavor = "multi_thread")]
async fn configs_and_secrets_are_files() {
    let compose = "services:\n  web:\n    image: ${REGISTRY}/web:1\n    configs: [{ source: c, target: /etc/app.conf, uid: '7', gid: '8', mode: 0440 }]\n    secrets: [token]\n\
                   configs: { c: { content: 'level = 1' } }\nsecrets: { token: { file: ./token.txt } }\n";
    let (_folder, path) = project("as-files", compose);
    let manifest = std::fs::read_to_string(path.join("stratos.toml")).unwrap() + "[secrets]\ntoken = { env = \"TOKEN\" }\n";
    std::fs::write(path.join("stratos.toml"), manifest).unwrap();
    let live = plain(&path);
    live.apply(Policy::default()).await;
    live.unchanged().await;
    let run = |script: &str| docker(&["exec", "as-files-plain-stack-web-1", "sh", "-c", script]);
    assert_eq!(run("cat /run/secrets/token"), "the value of token");
    assert_eq!(run("cat /etc/app.conf; stat -c ' %u %g %a' /etc/app.conf").replace('\n', ""), "level = 1 7 8 440");
    let shown = docker(&["inspect", "as-files-plain-stack-web-1"]);
    assert!(!shown.contains("the value of token"), "{shown}");
    live.gone().await;
}

/// What was forgotten with its network is nobody's, and is taken up again.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_forgotten_with_its_network_and_adopted_again() {
    let (_folder, path) = project("forgotten", "services:\n  web:\n    image: ${REGISTRY}/web:1\n    ports: [\"18311:8080\"]\n");
    let live = plain(&path);
    live.apply(Policy::default()).await;
    live.forget().await;
    assert!(ask(18311).is_some_and(|text| text.contains("200 OK")), "what is forgotten goes on");
    let plan = live.plan(Policy { destroy: true, allow_delete: true, ..Policy::default() }).await.unwrap();
    assert!(plan.is_empty(), "nothing of it is ours any more: {plan:#?}");
    live.apply(Policy { adopt: true, ..Policy::default() }).await;
    live.unchanged().await;
    live.gone().await;
}

/// Its options and labels are fixed when it is made, and other ones would lose what is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_has_what_the_file_says_and_is_not_replaced_unasked() {
    let compose = |size: &str| {
        format!(
            "services:\n  web:\n    image: ${{REGISTRY}}/web:1\n    volumes: [data:/data, other:/other]\n\
             volumes:\n  data: {{ driver_opts: {{ type: tmpfs, device: tmpfs, o: 'size={size}' }}, labels: [team=shop] }}\n  other: {{ name: a-volume-with-a-name }}\n"
        )
    };
    let (_folder, path) = project("volumes", &compose("1m"));
    plain(&path).apply(Policy::default()).await;
    assert_eq!(docker(&["volume", "inspect", "--format", "{{.Options.o}} {{.Labels.team}}", "volumes-plain-stack-data"]), "size=1m shop");
    assert_eq!(docker(&["volume", "inspect", "--format", "{{.Name}}", "a-volume-with-a-name"]), "a-volume-with-a-name");
    std::fs::write(path.join("compose.yml"), compose("2m")).unwrap();
    let live = plain(&path);
    let plan = live.plan(Policy::default()).await.unwrap();
    assert!(plan.changes.is_empty() && plan.held.len() == 1, "{plan:#?}");
    live.gone().await;
}
