//! What is particular to this platform, by name.

use std::collections::BTreeSet;
use std::sync::Arc;

use stratos_engine::apply::RunVerdict;
use stratos_engine::deploy::{self, Policy};
use stratos_engine::health::{RolloutState, Status};
use stratos_engine::plan::HeldReason;
use stratos_engine::plan::change::{Action, Reason};
use stratos_engine::platform::Platform;
use stratos_engine::platform::contract::stage::{Stage, told};
use stratos_engine::platform::contract::{Body, Subject, run};
use stratos_test_platforms::eventually;

use super::load::{Load, ask, ask_for};
use super::subject::{DockerSubject, engine, engines, remove, web};
use crate::login::apply_through;

/// A health check that is quick to pass and to fail.
const HEALTH: &str = "health = { http = \"/healthz\", port = \"http\", interval = \"200ms\", timeout = \"2s\", retries = 3 }";

pub fn published(port: u16) -> String {
    format!("ports.http = {{ port = 8080, publish = {port} }}")
}

/// A web app behind a published port.
async fn serving<'a>(subject: &'a DockerSubject, lines: &[&str]) -> (Stage<'a, DockerSubject>, u16) {
    let mut stage = Stage::new(subject);
    let port = subject.free_port();
    stage.app("web", Body::Web(1), &[published(port).as_str(), HEALTH]).add("web", lines);
    stage.converge().await;
    assert_eq!(ask(port).await, Ok("1".into()));
    (stage, port)
}

/// The same app with another image.
fn with_image(stage: &mut Stage<'_, DockerSubject>, tag: &str) {
    stage.apps["web"][0] = format!("image = \"{}\"", web(tag));
}

/// The ids of an app's containers, its proxy not included, by name.
pub async fn ids(subject: &DockerSubject, app: &str) -> Vec<(String, String)> {
    let containers = subject.of(&subject.live(app)).await;
    let pair = |container: bollard::models::ContainerInspectResponse| (container.name.unwrap(), container.id.unwrap());
    containers.into_iter().map(pair).filter(|(name, _)| !name.contains(".proxy")).collect()
}

#[test]
fn a_release_under_load_loses_no_request() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, port) = serving(subject, &["replicas = 2"]).await;
        let load = Load::begin(port);
        with_image(&mut stage, "2");
        stage.converge().await;
        assert_eq!(ask(port).await, Ok("2".into()));
        // Back again, and a restart: each is a release, too.
        with_image(&mut stage, "1");
        stage.converge().await;
        let plan = stage.plan_request("web", deploy::RequestedAction::Restart).await;
        stage.apply_well(&plan).await;
        let (answers, failures) = load.end().await;
        assert!(failures.is_empty(), "{} of {answers:?} failed: {:?}", failures.len(), failures.first());
        assert!(answers["1"] > 0 && answers["2"] > 0 && answers.len() == 2, "{answers:?}");
    });
}

#[test]
fn a_failed_update_leaves_the_old_containers_serving_and_is_reported() {
    run::<DockerSubject>(async |subject| {
        for (tag, words) in [("sick", "its health check fails"), ("crash", "was started again")] {
            let (mut stage, port) = serving(subject, &["replicas = 2", "rollout.max_surge = 2"]).await;
            let before = ids(subject, "web").await;
            let load = Load::begin(port);
            with_image(&mut stage, tag);
            let platform: Arc<dyn Platform> = Arc::new(subject.platform());
            let plan = stage.plan().await;
            let applied = apply_through(&stage, &plan, platform.clone()).await;
            let (answers, failures) = load.end().await;
            assert!(failures.is_empty() && answers.len() == 1, "{answers:?} {failures:?}");
            assert_ne!(applied.verdict(), RunVerdict::Success);
            let told = told(&plan, &applied);
            assert!(told.contains(words) && told.contains("serves again"), "{told}");
            assert!(tag != "crash" || told.contains("cannot open the database"), "the last lines are missing: {told}");
            let health = platform.health(&[plan.judged[0].id.clone()]).await.unwrap().remove(0);
            assert_eq!(health.status, Status::Healthy);
            assert!(matches!(&health.rollout, RolloutState::RolledBack { why } if why.contains(words)), "{:?}", health.rollout);
            assert_eq!(ids(subject, "web").await, before, "the old containers were touched, or something is left");
            assert!(!stage.plan().await.is_empty(), "the manifest still wants the new image");
            with_image(&mut stage, "1");
            stage.expect_nothing().await;
            stage.policy = Policy { destroy: true, ..Policy::default() };
            stage.converge().await;
        }
    });
}

#[test]
fn a_failed_update_is_left_as_it_is_where_that_is_asked_for() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, port) = serving(subject, &["rollout.on_failure = \"pause\""]).await;
        with_image(&mut stage, "sick");
        let plan = stage.plan().await;
        let applied = stage.apply(&plan).await;
        let told = told(&plan, &applied);
        assert!(told.contains("left as it is"), "{told}");
        assert_eq!(ids(subject, "web").await.len(), 2, "the new one can be looked at, beside the old one");
        assert_eq!(ask(port).await, Ok("1".into()));
        with_image(&mut stage, "2");
        stage.converge().await;
        assert_eq!(ids(subject, "web").await.len(), 1);
        assert_eq!(ask(port).await, Ok("2".into()));
    });
}

#[test]
fn a_missing_image_stops_nothing_and_is_explained() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, port) = serving(subject, &["rollout.strategy = \"recreate\""]).await;
        let before = ids(subject, "web").await;
        with_image(&mut stage, "missing");
        let plan = stage.plan().await;
        let told = told(&plan, &stage.apply(&plan).await);
        assert!(told.contains("pulling the image") && told.contains("web:missing"), "{told}");
        assert_eq!(ids(subject, "web").await, before);
        assert_eq!(ask(port).await, Ok("1".into()));
    });
}

#[test]
fn a_recreation_that_fails_starts_the_old_containers_again() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, port) = serving(subject, &["rollout.strategy = \"recreate\""]).await;
        let before = ids(subject, "web").await;
        with_image(&mut stage, "sick");
        let plan = stage.plan().await;
        let told = told(&plan, &stage.apply(&plan).await);
        assert!(told.contains("serves again"), "{told}");
        assert_eq!(ids(subject, "web").await, before);
        assert_eq!(ask(port).await, Ok("1".into()));
    });
}

#[test]
fn a_taken_port_is_an_error_that_leaves_nothing_behind() {
    run::<DockerSubject>(async |subject| {
        let mut stage = Stage::new(subject);
        let port = subject.free_port();
        subject.take_port(port).await;
        stage.app("web", Body::Web(1), &[published(port)]);
        let plan = stage.plan().await;
        let told = told(&plan, &stage.apply(&plan).await);
        assert!(told.contains(&format!("{port}")) && told.contains("already allocated"), "{told}");
        assert!(subject.of(&subject.live("web")).await.is_empty());
        assert_eq!(ask(port).await, Ok("1".into()), "whoever had the port has it still");
    });
}

#[test]
fn a_port_that_is_taken_when_it_is_changed_leaves_the_old_one_open() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, port) = serving(subject, &[]).await;
        let taken = subject.free_port();
        subject.take_port(taken).await;
        stage.apps["web"][1] = published(taken);
        let plan = stage.plan().await;
        assert!(!plan.changes[0].restarts, "a published port restarts nothing");
        let told = told(&plan, &stage.apply(&plan).await);
        assert!(told.contains("already allocated"), "{told}");
        assert_eq!(ask(port).await, Ok("1".into()));
    });
}

#[test]
fn a_proxy_that_was_deleted_is_seen_and_made_anew() {
    run::<DockerSubject>(async |subject| {
        let (stage, port) = serving(subject, &[]).await;
        let before = ids(subject, "web").await;
        for by in ["deletion", "stop"] {
            let proxy = subject.containers(&format!("{}.proxy", subject.live("web"))).await.remove(0).id.unwrap();
            match by {
                "deletion" => remove(&proxy).await,
                _ => drop(engines().docker(0, &["stop", &proxy])),
            }
            assert!(ask(port).await.is_err());
            let plan = stage.converge().await;
            let paths: Vec<String> = plan.changes.iter().flat_map(|c| &c.differences).map(|d| d.path.to_string()).collect();
            assert_eq!(paths, ["ports.\"8080/tcp\".published"], "{by}");
            assert!(!plan.changes[0].restarts);
            assert_eq!(ask(port).await, Ok("1".into()), "{by}");
        }
        assert_eq!(ids(subject, "web").await, before, "the app was touched");
    });
}

#[test]
fn scaling_touches_only_the_difference() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, port) = serving(subject, &["replicas = 2"]).await;
        let two = ids(subject, "web").await;
        stage.apps["web"][3] = "replicas = 3".into();
        let plan = stage.converge().await;
        assert!(!plan.changes[0].restarts);
        let three = ids(subject, "web").await;
        assert!(three.len() == 3 && three.starts_with(&two), "{two:?} {three:?}");
        let load = Load::begin(port);
        stage.apps["web"][3] = "replicas = 1".into();
        stage.converge().await;
        let (_, failures) = load.end().await;
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(ids(subject, "web").await, two[..1]);
    });
}

#[test]
fn a_container_that_was_stopped_by_hand_is_started_and_not_made_anew() {
    run::<DockerSubject>(async |subject| {
        let (stage, port) = serving(subject, &[]).await;
        let before = ids(subject, "web").await;
        engines().docker(0, &["stop", &before[0].1]);
        let plan = stage.converge().await;
        assert_eq!(plan.changes[0].differences[0].path.to_string(), "deploy.stopped");
        assert_eq!(ids(subject, "web").await, before);
        assert_eq!(ask(port).await, Ok("1".into()));
    });
}

#[test]
fn what_was_started_by_hand_is_never_touched() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, _) = serving(subject, &[]).await;
        // One of them has the name that a second instance would have.
        let names = [format!("{}-by-hand", subject.prefix), format!("{}-2", subject.live("web"))];
        let run = |name: &String| engines().docker(0, &["run", "--detach", "--name", name, &web("1")]);
        let theirs = names.each_ref().map(run);
        stage.expect_nothing().await;
        with_image(&mut stage, "2");
        stage.converge().await;
        stage.policy = Policy { destroy: true, delete_data: true, ..Policy::default() };
        stage.converge().await;
        let seen = names.map(|name| engines().docker(0, &["inspect", "--format", "{{.Id}} {{.State.Running}}", &name]));
        assert_eq!(seen, theirs.map(|id| format!("{id} true")));
        let networks = engines().docker(0, &["network", "ls", "--quiet", "--filter", &format!("name={}-dev", subject.prefix)]);
        assert_eq!(networks, "", "the environment's network is left");
    });
}

#[test]
fn an_adopted_container_is_replaced_and_the_plan_says_so() {
    run::<DockerSubject>(async |subject| {
        let name = format!("{}-1", subject.live("web"));
        let id = engines().docker(0, &["run", "--detach", "--name", &name, "--env", "TOKEN=s3cr3t", "--hostname", "theirs", &web("1")]);
        let mut stage = Stage::with_web(subject);
        stage.expect_held(|why| matches!(why, HeldReason::NotOurs { .. })).await;
        assert_eq!(engines().docker(0, &["inspect", "--format", "{{.Id}}", &name]), id);
        stage.policy = Policy { adopt: true, ..Policy::default() };
        let plan = stage.plan().await;
        let change = &plan.changes[0];
        assert!(change.reason == Reason::Adopted && change.action == Action::Update && change.restarts, "{change:?}");
        let told: Vec<String> = change.differences.iter().filter(|d| d.old.is_some()).map(|d| d.path.to_string()).collect();
        assert!(told.iter().all(|path| path == "image"), "what is somebody else's is nobody's business here: {told:?}");
        stage.converge().await;
        assert_ne!(ids(subject, "web").await[0].1, id);
    });
}

#[test]
fn somebody_elses_network_is_not_used() {
    run::<DockerSubject>(async |subject| {
        let network = format!("{}-dev", subject.prefix);
        engines().docker(0, &["network", "create", &network]);
        let stage = Stage::with_web(subject);
        let plan = stage.plan().await;
        let told = told(&plan, &stage.apply(&plan).await);
        assert!(told.contains("belongs to somebody else") && told.contains(&network), "{told}");
        assert_eq!(engines().docker(0, &["network", "inspect", "--format", "{{len .Containers}}", &network]), "0");
    });
}

#[test]
fn files_are_there_before_the_app_starts_and_no_label_holds_a_secret() {
    run::<DockerSubject>(async |subject| {
        let mut stage = Stage::with_web(subject);
        stage.secrets.insert("password".into(), Some("s3cr3t-value".into()));
        stage.add(
            "web",
            &[
                "files.\"/etc/web/app.conf\" = { content = \"one\\n\", mode = \"0640\" }",
                "files.\"/etc/web/password\" = { content = \"p={{ secrets.password }}\", mode = \"0400\" }",
                "env.PASSWORD = \"{{ secrets.password }}\"",
            ],
        );
        stage.converge().await;
        let read = |id: &str, path: &str| engines().docker(0, &["exec", id, "sh", "-c", &format!("ls -l {path}; cat {path}")]);
        let first = ids(subject, "web").await.remove(0).1;
        let labels = engines().docker(0, &["inspect", "--format", "{{json .Config.Labels}}", &first]);
        assert!(!labels.contains("s3cr3t-value") && labels.contains("app.conf"), "{labels}");
        // A restart makes copies: with their files, the secret ones included.
        let plan = stage.plan_request("web", deploy::RequestedAction::Restart).await;
        stage.apply_well(&plan).await;
        let second = ids(subject, "web").await.remove(0).1;
        assert_ne!(first, second);
        for (path, mode, content) in [("/etc/web/app.conf", "-rw-r-----", "one"), ("/etc/web/password", "-r--------", "p=s3cr3t-value")] {
            let read = read(&second, path);
            assert!(read.starts_with(mode) && read.ends_with(content), "{read}");
        }
        // Another text is a difference that can be read.
        stage.apps["web"][2] = stage.apps["web"][2].replace("one", "two");
        let plan = stage.converge().await;
        let change = &plan.changes[0].differences[0];
        let values = [&change.old, &change.new].map(|leaf| leaf.as_ref().unwrap().to_string());
        assert_eq!(values, ["\"one\\n\"", "\"two\\n\""]);
    });
}

#[test]
fn an_image_that_only_the_engine_has_is_not_pulled() {
    run::<DockerSubject>(async |subject| {
        let image = format!("{}/never-pushed:1", subject.prefix);
        engines().docker(0, &["tag", &web("1"), &image]);
        let mut stage = Stage::with_web(subject);
        stage.apps["web"][0] = format!("image = \"{image}\"");
        stage.converge().await;
    });
}

#[test]
fn each_instance_has_a_volume_of_its_own_and_never_two_containers_share_it() {
    run::<DockerSubject>(async |subject| {
        let mut stage = Stage::with_web(subject);
        // It ends where another one has not left yet.
        let alone = "command = [\"sh\", \"-c\", \"cd /var/lib/web && mkdir busy || exit 9; trap 'busybox rmdir busy; exit 0' TERM; httpd -f -p 8080 & wait\"]";
        let lines = [alone, "replicas = 2", "volumes.data = { path = \"/var/lib/web\" }"];
        stage.add("web", &lines);
        stage.converge().await;
        let write = |name: &str| engines().docker(0, &["exec", name, "sh", "-c", "hostname > /var/lib/web/who; cat /var/lib/web/who"]);
        let names = [1, 2].map(|number| format!("{}-{number}", subject.live("web")));
        let written = names.clone().map(|name| write(&name));
        assert_ne!(written[0], written[1]);
        stage.web("web", 2).add("web", &lines);
        stage.converge().await;
        let read = |name: &str| engines().docker(0, &["exec", name, "cat", "/var/lib/web/who"]);
        assert_eq!(names.map(|name| read(&name)), written);
    });
}

#[test]
fn reading_costs_three_lists_and_one_request_for_each_container() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, _) = serving(subject, &["replicas = 2"]).await;
        stage.web("other", 1);
        stage.converge().await;
        subject.proxy.take_seen();
        stage.expect_nothing().await;
        let seen = subject.proxy.take_seen();
        let seen: Vec<&str> = seen.iter().filter_map(|seen| seen.split('?').next()).collect();
        let of = |start: &str, end: &str| seen.iter().filter(|seen| seen.starts_with(start) && seen.ends_with(end)).count();
        let lists = [of("GET /containers/json", ""), of("GET /volumes", ""), of("GET /networks", "")];
        assert_eq!(lists, [1, 1, 1], "{seen:?}");
        let others = [of("GET /containers/", "/json") - 1, of("GET", "/logs")];
        // Two instances, one, and the proxy of the two, whose log is read.
        assert_eq!(others, [4, 1], "{seen:?}");
        assert_eq!(seen.len(), 8, "{seen:?}");
    });
}

#[test]
fn a_renamed_app_hands_its_port_over() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, port) = serving(subject, &[]).await;
        let lines = stage.apps["web"].clone();
        stage.remove("web");
        stage.apps.insert("shop".into(), lines);
        stage.moved.push(("apps.web".into(), "apps.shop".into()));
        let plan = stage.plan().await;
        assert!(plan.changes.len() == 1 && plan.changes[0].restarts, "a rename makes new containers, and says so");
        stage.converge().await;
        assert_eq!(ask(port).await, Ok("1".into()));
        assert!(ids(subject, "web").await.is_empty());
    });
}

#[test]
fn what_is_left_of_an_interrupted_roll_out_is_seen_and_cleaned_up() {
    run::<DockerSubject>(async |subject| {
        let (stage, port) = serving(subject, &[]).await;
        let before = ids(subject, "web").await;
        let list = engine().inspect_container(&before[0].1, None::<bollard::query_parameters::InspectContainerOptions>).await.unwrap();
        let mut labels: BTreeSet<String> = BTreeSet::new();
        for (name, value) in list.config.unwrap().labels.unwrap() {
            labels.insert(format!("--label={name}={value}"));
        }
        // As a run leaves it that dies right after it has made a container.
        let name = format!("{}-1.0abc", subject.live("web"));
        let arguments: Vec<String> = ["create".to_owned(), "--name".to_owned(), name].into_iter().chain(labels).chain([web("2")]).collect();
        engines().docker(0, &arguments);
        let plan = stage.converge().await;
        assert!(plan.changes[0].differences.iter().any(|d| d.path.to_string() == "deploy.unfinished"), "{:?}", plan.changes[0].differences);
        assert_eq!(ids(subject, "web").await, before, "what serves was touched");
        assert_eq!(ask(port).await, Ok("1".into()));
    });
}

/// The engine runs a check for the first time when its interval is over; whoever waits need not.
#[test]
fn a_roll_out_does_not_wait_for_the_interval_of_its_health_check() {
    run::<DockerSubject>(async |subject| {
        let mut stage = Stage::with_web(subject);
        stage.add("web", &["health = { http = \"/healthz\", port = \"http\", interval = \"10m\" }", "rollout.timeout = \"2m\""]);
        stage.converge().await;
        with_image(&mut stage, "2");
        stage.converge().await;
        // What does not pass the check is not taken for ready.
        stage.apps["web"][3] = "rollout.timeout = \"5s\"".into();
        with_image(&mut stage, "sick");
        let plan = stage.plan().await;
        let told = told(&plan, &stage.apply(&plan).await);
        assert!(told.contains("its health check has not passed yet") && told.contains("serves again"), "{told}");
    });
}

#[test]
fn what_is_being_answered_when_a_release_comes_is_answered_to_its_end() {
    run::<DockerSubject>(async |subject| {
        let mut stage = Stage::new(subject);
        let port = subject.free_port();
        let slow = "#!/bin/sh\\necho begun >> /www/begun\\nsleep 5\\nprintf 'Content-Type: text/plain\\\\r\\\\n\\\\r\\\\nslow'\\n";
        stage.app("web", Body::Web(1), &[published(port)]).add(
            "web",
            &[
                // It ends at its signal, whatever is open.
                "command = [\"sh\", \"-c\", \"trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait\"]".to_owned(),
                format!("files.\"/www/cgi-bin/slow\" = {{ content = \"{slow}\", mode = \"0755\" }}"),
            ],
        );
        stage.converge().await;
        let first = ids(subject, "web").await.remove(0).1;
        let answer = tokio::spawn(async move { ask_for(port, "/cgi-bin/slow").await });
        eventually("it is asked", || engines().try_docker(0, &["exec", &first, "cat", "/www/begun"]).status.success());
        stage.add("web", &["env.MODE = \"two\""]);
        stage.converge().await;
        assert_ne!(ids(subject, "web").await[0].1, first);
        assert_eq!(answer.await.unwrap(), Ok("slow".into()));
    });
}

#[test]
fn a_digest_is_stronger_than_its_tag() {
    run::<DockerSubject>(async |subject| {
        let digests = engines().docker(0, &["image", "inspect", "--format", "{{join .RepoDigests \" \"}}", &web("1")]);
        let (_, digest) = digests.split_once('@').unwrap();
        let (mut stage, port) = serving(subject, &[]).await;
        stage.apps["web"][0] = format!("image = \"{}@{digest}\"", web("2"));
        stage.converge().await;
        assert_eq!(ask(port).await, Ok("1".into()), "what the tag says was run");
        let id = ids(subject, "web").await.remove(0).1;
        assert!(engines().docker(0, &["inspect", "--format", "{{.Config.Image}}", &id]).ends_with(digest));
    });
}

#[test]
fn somebody_elses_volume_is_not_used() {
    run::<DockerSubject>(async |subject| {
        let volume = format!("{}-data-1", subject.live("web"));
        engines().docker(0, &["volume", "create", &volume]);
        let mut stage = Stage::with_web(subject);
        stage.add("web", &["volumes.data = { path = \"/var/lib/web\" }"]);
        stage.expect_held(|why| matches!(why, HeldReason::NotOurs { .. } | HeldReason::Follows(_))).await;
        engines().docker(0, &["volume", "rm", &volume]);
        stage.converge().await;
        // Beside ours the plan does not look at it; whoever needs it does.
        engines().docker(0, &["volume", "create", &format!("{}-data-2", subject.live("web"))]);
        stage.add("web", &["replicas = 2"]);
        let plan = stage.plan().await;
        let told = told(&plan, &stage.apply(&plan).await);
        assert!(told.contains("somebody else has a volume of that name"), "{told}");
        assert_eq!(ids(subject, "web").await.len(), 1);
    });
}
