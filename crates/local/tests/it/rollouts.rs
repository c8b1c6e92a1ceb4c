//! Changes of what runs: without a lost request, and back again where they fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use stratos_engine::health::{RolloutState, Status};
use stratos_test_platforms::eventually_async;

use crate::bench::{Bench, get, serving, workload};

fn version(version: &str, mode: &str, more: Value) -> Value {
    let mut body = serving(mode, more);
    body["env"]["VERSION"] = version.into();
    body
}

#[tokio::test]
async fn a_rolling_change_under_load_loses_no_request() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", version("1", "healthy", json!({ "replicas": 2 })))).await;
    bench.healthy(&workload("web")).await;
    let port = bench.port("web").await;

    let (stop, answers, failures) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..6)
        .map(|i| {
            let (stop, answers, failures) = (stop.clone(), answers.clone(), failures.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match get(port, if i % 2 == 0 { "/slow" } else { "/" }) {
                        Ok(body) if body == "1" || body == "2" => answers.fetch_add(1, Ordering::Relaxed),
                        _ => failures.fetch_add(1, Ordering::Relaxed),
                    };
                }
            })
        })
        .collect();
    let desired = bench.resources("web", version("2", "healthy", json!({ "replicas": 2 })));
    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    assert_eq!(get(port, "/").unwrap(), "2");
    bench.assert_nothing_to_do(desired).await;
    // Until the last old instance has ended, the load goes on.
    eventually_async("the old instances to end", async || bench.processes().len() == 3).await;
    stop.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(failures.load(Ordering::Relaxed), 0, "of {}", answers.load(Ordering::Relaxed));
    assert!(answers.load(Ordering::Relaxed) > 20);
}

#[tokio::test]
async fn a_change_that_crashes_is_rolled_back_and_reported() {
    let bench = Bench::new();
    let good = bench.resources("web", version("1", "healthy", json!({})));
    bench.deploy(good.clone()).await;
    bench.healthy(&workload("web")).await;
    let bad = bench.resources("web", version("2", "crash", json!({})));
    bench.deploy(bad.clone()).await;
    let (settled, health) = bench.settled(&workload("web")).await;
    assert!(!settled);
    let RolloutState::RolledBack { why } = &health.rollout else { panic!("{health:?}") };
    assert!(why.contains("exited with status 1") && why.contains("boom"), "{why}");
    assert_eq!(health.status, Status::Healthy, "what runs is what ran: {health:?}");
    assert_eq!(bench.get("web", "/").await, "1");
    bench.assert_nothing_to_do(good).await;
    assert_eq!(bench.plan(bad).await.differences.len(), 1, "what was asked for is still to be done");
}

#[tokio::test]
async fn a_change_that_never_gets_ready_is_rolled_back_when_its_time_is_over() {
    let bench = Bench::new();
    let rollout = |timeout: &str| json!({ "replicas": 2, "rollout": { "timeout": timeout } });
    bench.deploy(bench.resources("web", version("1", "healthy", rollout("20s")))).await;
    let before = bench.healthy(&workload("web")).await;
    bench.deploy(bench.resources("web", version("2", "never-healthy", rollout("1s")))).await;
    let (_, health) = bench.settled(&workload("web")).await;
    let RolloutState::RolledBack { why } = &health.rollout else { panic!("{health:?}") };
    assert!(why.contains("GET /healthz answered 503"), "{why}");
    let names = |health: &stratos_engine::health::Health| health.instances.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&health), names(&before), "what was healthy was left alone");
}

#[tokio::test]
async fn a_change_that_fails_is_left_as_it_is_where_that_was_asked_for() {
    let bench = Bench::new();
    let pause = json!({ "rollout": { "on_failure": "pause" } });
    bench.deploy(bench.resources("web", version("1", "healthy", pause.clone()))).await;
    bench.healthy(&workload("web")).await;
    let bad = bench.resources("web", version("2", "crash", pause.clone()));
    bench.deploy(bad.clone()).await;
    let (good, health) = bench.settled(&workload("web")).await;
    assert!(!good && matches!(health.rollout, RolloutState::Paused { .. }), "{health:?}");
    assert_eq!(bench.get("web", "/").await, "1", "the old instance was not needed less");
    bench.assert_nothing_to_do(bad).await;

    bench.deploy(bench.resources("web", version("3", "healthy", pause))).await;
    bench.healthy(&workload("web")).await;
    assert_eq!(bench.get("web", "/").await, "3");
}

#[tokio::test]
async fn a_first_roll_out_that_fails_may_still_come_good() {
    let bench = Bench::new();
    let script = format!("test -e \"$STRATOS_VOLUME_DATA/go\" || exit 3; exec {} serve healthy", crate::bench::PROGRAM);
    let more = json!({ "command": ["sh", "-c", script], "volumes": { "data": { "path": "/data" } } });
    bench.deploy(bench.resources("web", serving("healthy", more))).await;
    let (good, health) = bench.settled(&workload("web")).await;
    assert!(!good && health.message.contains("exited with status 3"), "{health:?}");
    let volume = std::fs::read_dir(bench.state().join("volumes")).unwrap().flatten().next().unwrap().path();
    std::fs::write(volume.join("0/go"), "").unwrap();
    eventually_async("it comes good", async || bench.health(&workload("web")).await.settled() == Some(true)).await;
}

#[tokio::test]
async fn other_replicas_and_probes_and_published_ports_restart_nothing() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", version("1", "healthy", json!({})))).await;
    let first = bench.healthy(&workload("web")).await.instances[0].name.clone();
    let port = {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        free.local_addr().unwrap().port()
    };
    let internal = bench.port("web").await;
    let more = json!({
        "replicas": 3,
        "ports": { "http": { "port": 8080, "publish": port } },
        "health": { "tcp": "http", "interval": "300ms" },
    });
    let desired = bench.resources("web", version("1", "healthy", more));
    bench.deploy(desired.clone()).await;
    let health = bench.healthy(&workload("web")).await;
    bench.assert_nothing_to_do(desired).await;
    assert_eq!((health.instances.len(), &health.instances[0].name), (3, &first));
    assert_eq!(get(port, "/").unwrap(), "1");
    assert_eq!(bench.port("web").await, internal, "what others refer to stays");

    bench.deploy(bench.resources("web", version("1", "healthy", json!({ "replicas": 0 })))).await;
    assert!(bench.healthy(&workload("web")).await.instances.is_empty());
}

#[tokio::test]
async fn recreate_ends_all_old_instances_first() {
    let bench = Bench::new();
    let more = json!({ "rollout": { "strategy": "recreate" }, "volumes": { "data": { "path": "/data" } } });
    let script = |v: &str| {
        let serve = format!("{} serve healthy", crate::bench::PROGRAM);
        // It notices a second one: the folder can be made by one alone.
        let command =
            format!("mkdir \"$STRATOS_VOLUME_DATA/lock\" || exit 9; {serve} & trap 'rmdir \"$STRATOS_VOLUME_DATA/lock\"; exit' TERM; wait");
        let mut body = version(v, "healthy", more.clone());
        body["command"] = json!(["sh", "-c", command]);
        body
    };
    bench.deploy(bench.resources("web", script("1"))).await;
    bench.healthy(&workload("web")).await;
    bench.deploy(bench.resources("web", script("2"))).await;
    let health = bench.healthy(&workload("web")).await;
    assert_eq!(health.instances[0].restarts, 0, "{health:?}");
    assert_eq!(bench.get("web", "/").await, "2");
}
