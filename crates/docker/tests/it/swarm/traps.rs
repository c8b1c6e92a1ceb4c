//! What a swarm does that one does not expect, each by name.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bollard::models::{Config, ConfigSpec, NetworkCreateRequest, TaskState};
use bollard::query_parameters::{ListConfigsOptions, ListNetworksOptions, ListSecretsOptions, ListTasksOptions};
use stratos_docker::config::SwarmOptions;
use stratos_engine::apply::{Applied, ApplyError, ChangeResult, RunVerdict};
use stratos_engine::deploy::{Policy, RequestedAction};
use stratos_engine::health::{Health, RolloutState};
use stratos_engine::plan::change::Action;
use stratos_engine::platform::contract::stage::{HTTP, Stage, brief, told};
use stratos_engine::platform::contract::{Body, Subject, run};
use stratos_test_platforms::eventually_async;

use super::subject::{SwarmSubject, engine, inspect, swarm, update};

/// A check that finds out soon.
const CHECKED: &str = "health = { http = \"/healthz\", interval = \"500ms\", timeout = \"5s\", retries = 2 }";

/// The report on the app's service.
fn health_of(applied: &Applied) -> &Health {
    let reported = applied.changes.iter().filter_map(|report| report.health.as_ref());
    reported.chain(applied.health.iter().map(|resource| &resource.health)).next().unwrap_or_else(|| panic!("no health: {applied:?}"))
}

async fn image_of(service: &str) -> String {
    let spec = inspect(service).await.and_then(|service| service.spec).and_then(|spec| spec.task_template);
    spec.and_then(|task| task.container_spec).and_then(|inside| inside.image).unwrap_or_default()
}

async fn version_of(service: &str) -> u64 {
    inspect(service).await.and_then(|service| service.version).and_then(|version| version.index).unwrap_or_default()
}

/// The tasks of a service that are to run, and do.
async fn running(service: &str) -> Vec<String> {
    let options = ListTasksOptions { filters: Some([("service".to_owned(), vec![service.to_owned()])].into()) };
    let tasks = engine().list_tasks(Some(options)).await.unwrap();
    let runs = |task: &bollard::models::Task| {
        task.desired_state == Some(TaskState::RUNNING) && task.status.as_ref().and_then(|status| status.state) == Some(TaskState::RUNNING)
    };
    let mut ids: Vec<String> = tasks.into_iter().filter(runs).filter_map(|task| task.id).collect();
    ids.sort();
    ids
}

fn get(address: &str, port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((address, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.rsplit("\r\n\r\n").next().map(|body| body.trim().to_owned())
}

#[test]
fn a_silent_rollback_is_reported_with_its_cause() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::new(s);
        stage.app("web", Body::Web(1), &[HTTP, CHECKED]);
        stage.converge().await;
        stage.app("web", Body::NeverHealthy, &[HTTP, CHECKED]);
        let plan = stage.plan().await;
        let applied = stage.apply(&plan).await;
        assert_eq!(applied.verdict(), RunVerdict::Unhealthy, "{}", told(&plan, &applied));
        let health = health_of(&applied);
        let RolloutState::RolledBack { why } = &health.rollout else { panic!("{}", told(&plan, &applied)) };
        assert!(why.contains("health check failed") || why.contains("unhealthy"), "{why}");
        // Nothing else tells: the specification is the old one again.
        eventually_async("it is back", async || image_of(&s.service("web")).await.ends_with("web:1")).await;
        assert!(!stage.plan().await.is_empty());
    });
}

#[test]
fn a_pause_with_crashing_instances_is_reported_with_their_last_words() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::new(s);
        stage.web("web", 1).add("web", &["rollout.on_failure = \"pause\""]);
        stage.converge().await;
        stage.app("web", Body::CrashLoop, &[HTTP, "rollout.on_failure = \"pause\""]);
        let plan = stage.plan().await;
        let applied = stage.apply(&plan).await;
        assert_eq!(applied.verdict(), RunVerdict::Unhealthy, "{}", told(&plan, &applied));
        let health = health_of(&applied);
        let RolloutState::Paused { why } = &health.rollout else { panic!("{}", told(&plan, &applied)) };
        assert!(why.contains("non-zero exit (3)"), "{why}");
        let log = health.instances.iter().flat_map(|instance| &instance.last_log).cloned().collect::<Vec<_>>().join("\n");
        assert!(log.contains("cannot open the database"), "{health:?}");
        assert!(image_of(&s.service("web")).await.ends_with("web:crash"));
    });
}

/// The orchestrator writes into a service while it updates it; a stale version is an internal error of the engine's.
#[test]
fn a_version_that_has_moved_is_read_again() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::with_web(s);
        stage.converge().await;
        stage.web("web", 2);
        let plan = stage.plan().await;
        s.proxy.take_seen();
        let service = s.service("web");
        // Somebody else is faster than the first update.
        let mut faster = false;
        s.proxy.fault(move |method, uri| {
            if method == "POST" && uri.path().starts_with("/services/") && !std::mem::replace(&mut faster, true) {
                swarm().docker(0, &["service", "update", "--quiet", "--detach", "--force", &service]);
            }
            None
        });
        stage.apply_well(&plan).await;
        let updates = s.proxy.take_seen().into_iter().filter(|seen| seen.starts_with("POST /services/")).count();
        assert_eq!(updates, 2);
        stage.expect_nothing().await;
    });
}

/// Marks are labels of services: they start nothing anew, and leave no status of an update to wait for.
#[test]
fn a_change_of_marks_restarts_nothing() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::with_web(s);
        stage.revision = Some("r1".into());
        stage.converge().await;
        let service = s.service("web");
        let (before, version) = (running(&service).await, version_of(&service).await);
        assert_eq!(before.len(), 1);
        stage.revision = Some("r2".into());
        stage.expect_nothing().await;
        assert_eq!(version_of(&service).await, version, "a revision alone was written");
        stage.add("web", &["protect = true"]);
        let plan = stage.converge().await;
        assert!(plan.changes.iter().all(|change| !change.restarts), "{:#?}", brief(&plan));
        assert!(inspect(&service).await.unwrap().update_status.is_none());
        assert_eq!(running(&service).await, before);
        let labels = inspect(&service).await.unwrap().spec.unwrap().labels.unwrap();
        assert_eq!(labels.get("stratos.revision").map(String::as_str), Some("r2"));
        stage.apps["web"].pop();
        stage.converge().await;
    });
}

/// With `start-first` the new instance would wait for the port for ever.
#[test]
fn a_port_of_the_host_is_given_on_from_the_old_instance_to_the_new_one() {
    run::<SwarmSubject>(async |_| {
        let mut s = SwarmSubject::fresh().await;
        s.options = SwarmOptions { publish_on_host: true, dns_round_robin: true };
        let mut stage = Stage::new(&s);
        let port = s.free_port();
        for version in [1, 2] {
            // Two instances on two nodes: none is left over.
            let lines = [format!("ports.http = {{ port = 8080, publish = {port} }}"), "replicas = 2".to_owned(), CHECKED.to_owned()];
            stage.app("web", Body::Web(version), &lines);
            let plan = stage.plan().await;
            let applied = stage.apply_well(&plan).await;
            let mut wanted = [0, 1].map(|node| format!("{}:{port}", swarm().address(node)));
            wanted.sort();
            assert_eq!(health_of(&applied).endpoints, wanted);
            assert_eq!(get(&swarm().address(0), port), Some(version.to_string()));
            stage.expect_nothing().await;
        }
        s.clean_up().await;
    });
}

#[test]
fn what_finds_no_node_says_why() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::new(s);
        stage.app("web", Body::NeverSettles, &[HTTP, "rollout.timeout = \"5s\""]);
        let plan = stage.plan().await;
        let applied = stage.apply(&plan).await;
        let said = format!("{:?}", applied.changes);
        assert!(said.contains("no suitable node (insufficient resources"), "{said}");
        // A constraint that somebody added by hand is seen, and goes.
        stage.web("web", 1);
        stage.converge().await;
        swarm().docker(0, &["service", "update", "--quiet", "--detach", "--constraint-add", "node.role == nobody", &s.service("web")]);
        let plan = stage.plan().await;
        assert!(brief(&plan).join("").contains("node.role"), "{:#?}", brief(&plan));
        stage.converge().await;
    });
}

/// The engine takes any image, and finds out later.
#[test]
fn a_missing_image_is_a_failure_long_before_the_time_is_over() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::new(s);
        stage.app("web", Body::Missing, &[HTTP, "rollout.timeout = \"10m\""]);
        let plan = stage.plan().await;
        let applied = stage.apply(&plan).await;
        assert_eq!(applied.verdict(), RunVerdict::Unhealthy);
        let said = format!("{:?}", applied.changes);
        assert!(said.contains("No such image"), "{said}");
    });
}

async fn names_of_configs(s: &SwarmSubject) -> Vec<String> {
    let options = ListConfigsOptions { filters: Some([("label".to_owned(), vec![format!("stratos.project={}", s.project())])].into()) };
    engine().list_configs(Some(options)).await.unwrap().into_iter().filter_map(|config| config.spec?.name).collect()
}

/// The content of a config cannot change: another content is another config, and the old one goes when nothing uses it.
#[test]
fn a_changed_file_is_another_config() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::with_web(s);
        stage.add("web", &["files.\"/etc/app.conf\" = { content = \"one\" }"]);
        stage.converge().await;
        let before = names_of_configs(s).await;
        stage.apps["web"].pop();
        stage.add("web", &["files.\"/etc/app.conf\" = { content = \"two\" }"]);
        let plan = stage.converge().await;
        let mut actions: Vec<Action> = plan.changes.iter().map(|change| change.action).collect();
        actions.sort_by_key(|action| format!("{action:?}"));
        assert_eq!(actions, [Action::Create, Action::Delete, Action::Update], "{:#?}", brief(&plan));
        let after = names_of_configs(s).await;
        assert_eq!((before.len(), after.len()), (1, 1));
        assert_ne!(before, after);
    });
}

async fn generations(s: &SwarmSubject) -> Vec<String> {
    let options = ListSecretsOptions { filters: Some([("label".to_owned(), vec![format!("stratos.project={}", s.project())])].into()) };
    let secrets = engine().list_secrets(Some(options)).await.unwrap();
    let names = secrets.into_iter().filter_map(|secret| secret.spec?.name);
    let mut numbers: Vec<String> = names.map(|name| name.rsplit('.').next().unwrap_or_default().to_owned()).collect();
    numbers.sort();
    numbers
}

/// A new value is a new generation, and the old one goes once nothing can go back to it.
#[test]
fn a_rotated_secret_leaves_no_old_generation_and_a_failed_rotation_keeps_it() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::new(s);
        let file = "files.\"/run/password\" = { secret = \"password\" }";
        stage.app("web", Body::Web(1), &[HTTP, CHECKED, file]);
        stage.secrets.insert("password".into(), Some("one".into()));
        stage.converge().await;
        assert_eq!(generations(s).await, ["1"]);
        stage.secrets.insert("password".into(), Some("two".into()));
        stage.converge().await;
        assert_eq!(generations(s).await, ["2"]);
        // The rotation fails: what runs goes back to the generation before, which must be there.
        stage.secrets.insert("password".into(), Some("three".into()));
        stage.app("web", Body::NeverHealthy, &[HTTP, CHECKED, file]);
        let plan = stage.plan().await;
        let applied = stage.apply(&plan).await;
        assert!(matches!(health_of(&applied).rollout, RolloutState::RolledBack { .. }), "{}", told(&plan, &applied));
        assert_eq!(generations(s).await, ["2", "3"]);
        // Back to the old value: one more generation, and then only that one.
        stage.secrets.insert("password".into(), Some("two".into()));
        stage.app("web", Body::Web(1), &[HTTP, CHECKED, file]);
        stage.converge().await;
        assert_eq!(generations(s).await, ["4"]);
    });
}

/// A tag that somebody's client pinned to a digest is still that tag; another tag is another image.
#[test]
fn a_pinned_tag_is_no_difference_and_another_tag_is() {
    run::<SwarmSubject>(async |s| {
        let stage = Stage::with_web(s);
        stage.converge().await;
        let image = |tag: &str| format!("{}/web:{tag}", swarm().registry());
        let by_hand = |image: &str| swarm().docker(0, &["service", "update", "--quiet", "--detach", "--image", image, &s.service("web")]);
        by_hand(&image("1"));
        assert!(image_of(&s.service("web")).await.contains("@sha256:"), "the client did not pin the image");
        let plan = stage.plan().await;
        assert!(plan.changes.iter().all(|change| change.differences.iter().all(|d| !d.path.matches("image"))), "{:#?}", brief(&plan));
        by_hand(&image("2"));
        let plan = stage.plan().await;
        assert!(plan.changes.iter().any(|change| change.differences.iter().any(|d| d.path.matches("image"))), "{:#?}", brief(&plan));
        stage.converge().await;
    });
}

/// Somebody else's stack, in the same swarm, from the client's own command.
#[test]
fn a_stack_of_somebody_else_is_not_touched() {
    run::<SwarmSubject>(async |s| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stack.yml");
        let stack = format!("{}-theirs", s.prefix);
        let image = format!("{}/web:1", swarm().registry());
        let text = format!(
            "version: \"3.8\"\nservices:\n  web:\n    image: {image}\n    configs: [app]\n    secrets: [key]\nconfigs:\n  app: {{ file: ./app.conf }}\nsecrets:\n  key: {{ file: ./app.conf }}\n"
        );
        std::fs::write(&file, text).unwrap();
        std::fs::write(folder.path().join("app.conf"), "theirs").unwrap();
        swarm().docker(0, &["stack", "deploy", "--detach=true", "--compose-file", &file.display().to_string(), &stack]);
        let service = format!("{stack}_web");
        eventually_async("their service runs", async || running(&service).await.len() == 1).await;
        let (before, tasks) = (version_of(&service).await, running(&service).await);
        let mut stage = Stage::with_web(s);
        stage.add("web", &["files.\"/etc/app.conf\" = { content = \"ours\" }"]);
        stage.converge().await;
        stage.policy = Policy { destroy: true, ..Policy::default() };
        let plan = stage.converge().await;
        assert!(plan.changes.iter().all(|change| !change.id.name.contains("theirs")), "{:#?}", brief(&plan));
        assert_eq!((version_of(&service).await, running(&service).await), (before, tasks));
        swarm().docker(0, &["stack", "rm", &stack]);
    });
}

#[test]
fn a_change_of_one_app_writes_no_other_service() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::with_web(s);
        stage.web("one", 1).web("two", 1);
        stage.converge().await;
        let versions = async || [version_of(&s.service("one")).await, version_of(&s.service("two")).await];
        let before = versions().await;
        stage.web("web", 2);
        stage.converge().await;
        assert_eq!(versions().await, before);
    });
}

/// A plan costs four requests, however much there is.
#[test]
fn a_plan_that_finds_everything_makes_four_requests() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::with_web(s);
        stage.web("other", 1).add("other", &["files.\"/etc/app.conf\" = { content = \"one\" }"]);
        stage.converge().await;
        s.proxy.take_seen();
        assert_eq!(stage.expect_nothing().await.coverage.requests, 4);
        let seen = s.proxy.take_seen();
        let mut seen: Vec<&str> = seen.iter().filter_map(|seen| seen.split('?').next()).collect();
        seen.sort_unstable();
        assert_eq!(seen, ["GET /configs", "GET /networks", "GET /secrets", "GET /services"]);
    });
}

async fn lease_of(s: &SwarmSubject) -> Option<Config> {
    let owner = format!("{}/dev", s.project());
    let is_ours = |config: &Config| {
        let labels = config.spec.as_ref().and_then(|spec| spec.labels.as_ref());
        labels.is_some_and(|labels| labels.get("stratos.lease") == Some(&owner))
    };
    engine().list_configs(None::<ListConfigsOptions>).await.unwrap().into_iter().find(is_ours)
}

/// A lease that its holder did not renew in time is taken over; one that still has time is respected.
#[test]
fn a_lease_ends_with_its_time() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::with_web(s);
        // Where the lease lies is learned from a run: while it is written, it is there.
        let name = {
            let plan = stage.plan().await;
            let (found, _) = futures::join!(eventually_async("the lease", async || lease_of(s).await), stage.apply_well(&plan));
            found.spec.unwrap().name.unwrap()
        };
        assert!(lease_of(s).await.is_none(), "the lease is left behind");
        for (seconds, expected) in [("3600", false), ("0", true)] {
            let labels = [("stratos.lease", format!("{}/dev", s.project())), ("stratos.lease.holder", "ada@laptop".into())];
            let mut labels: std::collections::HashMap<String, String> = labels.map(|(name, value)| (name.to_owned(), value)).into();
            labels.insert("stratos.lease.seconds".into(), seconds.into());
            let spec = ConfigSpec { name: Some(name.clone()), labels: Some(labels), data: Some("eA==".into()), templating: None };
            let made = engine().create_config(spec).await.unwrap();
            stage.web("web", if expected { 1 } else { 2 });
            stage.add("web", &[format!("env.SECONDS = \"{seconds}\"")]);
            let plan = stage.plan().await;
            match stage.try_apply(&plan).await {
                Ok(applied) => assert!(expected && applied.verdict() == RunVerdict::Success, "{}", told(&plan, &applied)),
                Err(ApplyError::Platform { source, .. }) => assert!(!expected && source.to_string().contains("ada@laptop"), "{source}"),
                Err(error) => panic!("{error}"),
            }
            let _ = engine().delete_config(&made.id).await;
        }
    });
}

#[test]
fn a_network_of_somebody_else_is_not_used() {
    run::<SwarmSubject>(async |s| {
        let request =
            NetworkCreateRequest { name: format!("{}-dev", s.prefix), driver: Some("overlay".into()), ..NetworkCreateRequest::default() };
        let made = engine().create_network(request).await.unwrap();
        let stage = Stage::with_web(s);
        let plan = stage.plan().await;
        let applied = stage.apply(&plan).await;
        let Some(ChangeResult::Failed { why, hint }) = applied.changes.first().map(|report| &report.result) else { panic!("{applied:?}") };
        assert!(why.contains("is not ours"), "{why}");
        assert!(hint.as_deref().is_some_and(|hint| hint.contains("namespace")), "{hint:?}");
        engine().remove_network(&made.id).await.unwrap();
    });
}

/// Nothing is left of an environment that was destroyed, its network included.
#[test]
fn a_destroyed_environment_leaves_no_network() {
    run::<SwarmSubject>(async |s| {
        let networks = async || {
            let filters = [("name".to_owned(), vec![format!("{}-dev", s.prefix)])].into();
            engine().list_networks(Some(ListNetworksOptions { filters: Some(filters) })).await.unwrap().len()
        };
        let mut stage = Stage::with_web(s);
        stage.converge().await;
        assert_eq!(networks().await, 1);
        stage.policy = Policy { destroy: true, ..Policy::default() };
        let plan = stage.plan().await;
        let applied = stage.apply_well(&plan).await;
        assert!(applied.notes.is_empty(), "{:?}", applied.notes);
        eventually_async("the network is gone", async || networks().await == 0).await;
    });
}

/// The time that a restart takes is the roll-out's; its specification is the same but for the count.
#[test]
fn a_restart_counts_and_a_later_change_keeps_the_count() {
    run::<SwarmSubject>(async |s| {
        let mut stage = Stage::with_web(s);
        stage.converge().await;
        let service = s.service("web");
        let before = running(&service).await;
        let plan = stage.plan_request("web", RequestedAction::Restart).await;
        stage.apply_well(&plan).await;
        assert_ne!(running(&service).await, before);
        let restarted = running(&service).await;
        // A change of marks alone must not take the count back: that would be a restart.
        stage.add("web", &["protect = true"]);
        stage.converge().await;
        assert_eq!(running(&service).await, restarted);
        stage.apps["web"].pop();
        stage.converge().await;
    });
}

/// What somebody changed by hand while nobody looked is seen in the next plan, and only that.
#[test]
fn an_option_that_no_manifest_has_is_seen_and_removed() {
    run::<SwarmSubject>(async |s| {
        let stage = Stage::with_web(s);
        stage.converge().await;
        update(&s.service("web"), |spec| {
            let inside = spec.task_template.as_mut().and_then(|task| task.container_spec.as_mut()).ok_or("no container")?;
            inside.oom_score_adj = Some(100);
            inside.tty = Some(true);
            Ok(())
        })
        .await;
        let plan = stage.plan().await;
        assert!(brief(&plan).join("").contains("tty"), "{:#?}", brief(&plan));
        stage.converge().await;
    });
}

/// Nobody knows which of another's values are secret: none is shown, and what is as it should be is no difference.
#[test]
fn adoption_shows_no_value_of_somebody_else() {
    run::<SwarmSubject>(async |s| {
        let image = format!("{}/web:1", swarm().registry());
        let name = s.service("web");
        let theirs = ["--env", "TOKEN=hunter2", "--env", "PLAIN=as-declared"];
        let create = [&["service", "create", "--quiet", "--detach", "--replicas", "0", "--name", &name][..], &theirs, &[&image]].concat();
        swarm().docker(0, &create);
        let mut stage = Stage::new(s);
        stage.web("web", 1).add("web", &["env.PLAIN = \"as-declared\"", "env.TOKEN = \"ours\""]);
        stage.policy.adopt = true;
        let plan = stage.plan().await;
        let json = serde_json::to_string(&plan).unwrap();
        assert!(!json.contains("hunter2"), "{json}");
        let paths: Vec<String> = plan.changes.iter().flat_map(|change| &change.differences).map(|field| field.path.to_string()).collect();
        assert!(paths.contains(&"environment.TOKEN".to_owned()), "{paths:?}");
        assert!(!paths.contains(&"environment.PLAIN".to_owned()), "{paths:?}");
        stage.apply_well(&plan).await;
        stage.expect_nothing().await;
    });
}
