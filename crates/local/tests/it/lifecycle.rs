//! From nothing to a running app, to another one, to nothing.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use stratos_engine::desired::owner::Ownership;
use stratos_engine::health::Status;
use stratos_engine::plan::change::Action;
use stratos_engine::platform::{MovedFrom, Outcome, Platform, PlatformErrorKind};
use stratos_test_platforms::eventually_async;

use crate::bench::{Bench, change, get, name, requested, serving, volume, workload};

#[tokio::test]
async fn nothing_is_there_and_nothing_is_made_by_looking() {
    let bench = Bench::new();
    assert!(bench.observe(&[&workload("web")]).await.resources.is_empty());
    assert_eq!(bench.health(&workload("web")).await.status, Status::Missing);
    assert!(!bench.state().exists());
}

#[tokio::test]
async fn an_app_becomes_healthy_and_answers_and_goes() {
    let bench = Bench::new();
    let body = serving("healthy", json!({ "replicas": 2, "env": { "VERSION": "1", "URL": "http://x:$(PORT_HTTP)/" } }));
    let desired = bench.resources("web", body);
    bench.deploy(desired.clone()).await;
    let health = bench.healthy(&workload("web")).await;
    assert_eq!(health.instances.len(), 2);
    bench.assert_nothing_to_do(desired).await;
    assert_eq!(bench.get("web", "/").await, "1");
    let (port, named, url) = (bench.get("web", "/env/PORT"), bench.get("web", "/env/PORT_HTTP"), bench.get("web", "/env/URL"));
    let (port, named, url) = (port.await, named.await, url.await);
    assert!(port.parse::<u16>().is_ok() && named.parse::<u16>().is_ok());
    assert!(url.starts_with("http://x:") && !url.contains('$'), "{url}");

    let mode = |file: &str| bench.state().join(file).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("socket"), mode(""), mode("state.json")), (0o600, 0o700, 0o600));

    bench.deploy(vec![]).await;
    assert!(bench.observe(&[]).await.resources.is_empty());
    bench.platform.retire(&bench.owner).await.unwrap();
    eventually_async("everything to end", async || bench.processes().is_empty()).await;
    assert!(!bench.state().join("socket").exists() && !bench.state().join("state.json").exists());
}

#[tokio::test]
async fn an_environment_that_holds_something_is_not_retired() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", serving("healthy", json!({})))).await;
    let live = bench.live(&workload("web")).await.unwrap();
    assert!(matches!(bench.apply(&requested(&live, Action::Forget)).await, Outcome::Done { .. }));
    bench.platform.retire(&bench.owner).await.unwrap();

    // It runs on and is supervised, and is nobody's.
    bench.healthy(&workload("web")).await;
    let forgotten = bench.live(&workload("web")).await.unwrap();
    assert_eq!(forgotten.ownership, Ownership::Unmarked);
    assert!(bench.observe(&[]).await.resources.is_empty(), "what is nobody's is seen only by its id");
    assert!(matches!(bench.apply(&requested(&live, Action::Forget)).await, Outcome::AlreadyDone { .. }));
}

#[tokio::test]
async fn what_is_not_ours_is_touched_only_by_adoption() {
    let bench = Bench::new();
    let desired = bench.resources("web", serving("healthy", json!({})));
    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    let live = bench.live(&workload("web")).await.unwrap();
    bench.apply(&requested(&live, Action::Forget)).await;

    let differences = bench.plan(desired.clone()).await.differences;
    let adoption = change(&differences[0]);
    let mut grab = adoption.clone();
    grab.reason = stratos_engine::plan::change::Reason::Differs;
    let Outcome::Failed(error) = bench.apply(&grab).await else { panic!("it is not ours") };
    assert_eq!(error.kind, PlatformErrorKind::Denied);

    let processes = bench.processes();
    assert!(matches!(bench.apply(&adoption).await, Outcome::Done { .. }));
    bench.assert_nothing_to_do(desired).await;
    bench.healthy(&workload("web")).await;
    assert_eq!(bench.processes(), processes, "adopting restarts nothing");
}

#[tokio::test]
async fn another_owner_sees_whose_it_is_and_cannot_have_it() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", serving("healthy", json!({})))).await;
    let other = bench.for_owner("other");
    let live = bench.live(&workload("web")).await.unwrap();
    let outcome = bench.apply_as(&other, &requested(&live, Action::Delete)).await;
    assert!(matches!(&outcome, Outcome::Failed(e) if e.kind == PlatformErrorKind::Denied), "{outcome:?}");
    bench.healthy(&workload("web")).await;
}

#[tokio::test]
async fn a_change_is_written_only_over_what_the_plan_saw() {
    let bench = Bench::new();
    let one = bench.resources("web", serving("healthy", json!({ "env": { "VERSION": "1" } })));
    let create = change(&bench.plan(one.clone()).await.differences[0]);
    assert!(matches!(bench.apply(&create).await, Outcome::Done { .. }));
    assert!(matches!(bench.apply(&create).await, Outcome::AlreadyDone { attributes } if attributes.contains_key("ports.http")));

    let two = change(&bench.plan(bench.resources("web", serving("healthy", json!({ "env": { "VERSION": "2" } })))).await.differences[0]);
    let three = change(&bench.plan(bench.resources("web", serving("healthy", json!({ "env": { "VERSION": "3" } })))).await.differences[0]);
    assert!(matches!(bench.apply(&two).await, Outcome::Done { .. }));
    assert!(matches!(bench.apply(&three).await, Outcome::Stale { .. }));
    bench.healthy(&workload("web")).await;
    assert_eq!(bench.get("web", "/").await, "2");
}

#[tokio::test]
async fn a_rename_keeps_what_runs_and_what_is_stored() {
    let bench = Bench::new();
    let body = serving("healthy", json!({ "volumes": { "data": { "path": "/data" } } }));
    bench.deploy(bench.resources("front", body.clone())).await;
    bench.healthy(&workload("front")).await;
    let place = bench.get("front", "/env/STRATOS_VOLUME_DATA").await;
    std::fs::write(format!("{place}/kept"), "still here").unwrap();
    let processes = bench.processes();

    let moved = MovedFrom { app: name("front"), volume: None };
    let desired = bench.moved("web", body, &BTreeMap::from([(None, moved)]));
    bench.deploy(desired.clone()).await;
    bench.assert_nothing_to_do(desired).await;
    assert!(bench.live(&workload("front")).await.is_none() && bench.live(&volume("front", "data")).await.is_none());
    let health = bench.healthy(&workload("web")).await;
    assert!(health.instances[0].name.starts_with("shop-web-"));
    assert_eq!(bench.get("web", "/env/STRATOS_VOLUME_DATA").await, place);
    assert_eq!(std::fs::read_to_string(format!("{place}/kept")).unwrap(), "still here");
    assert_eq!(bench.processes(), processes, "nothing was restarted");
}

#[tokio::test]
async fn a_published_port_that_is_taken_is_named_with_who_has_it() {
    let bench = Bench::new();
    let blocker = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = blocker.local_addr().unwrap().port();
    let desired = bench.resources("web", serving("healthy", json!({ "ports": { "http": { "port": 8080, "publish": port } } })));
    let outcome = bench.converge(desired.clone()).await.remove(0);
    let Outcome::Failed(error) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains(&format!("port {port} cannot be published for http: process {}", std::process::id())), "{error}");
    assert!(bench.live(&workload("web")).await.is_none(), "nothing was written");

    drop(blocker);
    bench.deploy(desired).await;
    let health = bench.healthy(&workload("web")).await;
    assert_eq!(health.endpoints, [format!("http://127.0.0.1:{port}")]);

    let second = bench.resources("other", serving("healthy", json!({ "ports": { "http": { "port": 8080, "publish": port } } })));
    let create = change(&bench.plan(second).await.differences[0]);
    let Outcome::Failed(error) = bench.apply(&create).await else { panic!("it is taken") };
    assert!(error.to_string().contains("shop-web publishes it"), "{error}");
}

#[tokio::test]
async fn published_ports_move_between_names_and_between_apps() {
    let bench = Bench::new();
    let free = || TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let (one, two) = (free(), free());
    let ports = |http: u16, admin: u16| {
        let ports = json!({ "http": { "port": 8080, "publish": http }, "admin": { "port": 9090, "publish": admin } });
        serving("healthy", json!({ "ports": ports, "env": { "VERSION": "web" } }))
    };
    bench.deploy(bench.resources("web", ports(one, two))).await;
    let before = bench.healthy(&workload("web")).await;
    bench.deploy(bench.resources("web", ports(two, one))).await;
    let after = bench.healthy(&workload("web")).await;
    assert_eq!(after.instances, before.instances, "nothing was restarted");
    assert_eq!(get(two, "/").unwrap(), "web");

    // One plan takes a port here and gives it there, and the one that gets it may come first.
    let give = json!({ "ports": { "http": { "port": 8080, "publish": two } }, "env": { "VERSION": "other" } });
    let other = bench.resources("other", serving("healthy", give));
    let web = bench.resources("web", ports(free(), one));
    let changes: Vec<_> = bench.plan([web, other].concat()).await.differences.iter().map(change).collect();
    let outcomes = futures::future::join_all(changes.iter().map(|change| bench.apply(change))).await;
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Done { .. })), "{outcomes:?}");
    bench.healthy(&workload("other")).await;
    assert_eq!(get(two, "/").unwrap(), "other");
}

#[tokio::test]
async fn a_volume_goes_only_when_it_is_told_to() {
    let bench = Bench::new();
    let with = bench.resources("web", serving("healthy", json!({ "volumes": { "data": { "path": "/data" } } })));
    bench.deploy(with).await;
    bench.healthy(&workload("web")).await;
    let place = bench.get("web", "/env/STRATOS_VOLUME_DATA").await;
    let live = bench.live(&workload("web")).await.unwrap();
    bench.apply(&requested(&live, Action::Delete)).await;
    let data = bench.live(&volume("web", "data")).await.unwrap();
    assert!(data.holds_data && std::path::Path::new(&place).is_dir());
    assert!(matches!(bench.apply(&requested(&data, Action::Delete)).await, Outcome::Done { .. }));
    assert!(!std::path::Path::new(&place).exists());
    assert!(matches!(bench.apply(&requested(&data, Action::Delete)).await, Outcome::AlreadyDone { .. }));
}

#[tokio::test]
async fn a_folder_too_deep_for_a_socket_is_refused_with_a_hint() {
    let bench = Bench::new();
    let config = stratos_local::LocalConfig {
        folder: bench.folder.path().join("x".repeat(100)),
        environment: name("dev"),
        owner: bench.owner.clone(),
        supervisor: vec![],
        directory: None,
    };
    let Err(error) = stratos_local::LocalPlatform::connect(config) else { panic!("it is too long") };
    assert!(error.hint.is_some() && error.why.contains("107"), "{error}");
}
