//! One writer at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use stratos_engine::platform::{Lease, Outcome, Platform, PlatformErrorKind};
use stratos_test_platforms::eventually_async;

use crate::bench::{Bench, PROGRAM, serving, workload};

#[tokio::test]
async fn the_second_writer_is_told_who_the_first_is() {
    let bench = Bench::new();
    let Lease::Held(first) = bench.platform.lease(&bench.owner, "ann@laptop").await.unwrap() else { panic!("a file can be locked") };
    let Err(error) = bench.platform.lease(&bench.owner, "bob@laptop").await else { panic!("ann has it") };
    assert_eq!(error.kind, PlatformErrorKind::Locked);
    assert_eq!(error.why, "ann@laptop is applying to this environment");
    drop(first);
    assert!(matches!(bench.platform.lease(&bench.owner, "bob@laptop").await, Ok(Lease::Held(_))));
}

#[tokio::test]
async fn a_lease_leaves_nothing_behind_and_many_that_want_it_get_it_one_at_a_time() {
    let bench = Bench::new();
    let (inside, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let one = async || {
        while turns.load(Ordering::Relaxed) < 300 {
            match bench.platform.lease(&bench.owner, "ann@laptop").await {
                Ok(Lease::Held(held)) => {
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two have it");
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::Relaxed);
                    turns.fetch_add(1, Ordering::Relaxed);
                    drop(held);
                }
                Ok(_) => panic!("a file can be locked"),
                Err(error) => assert_eq!(error.kind, PlatformErrorKind::Locked, "{error}"),
            }
        }
    };
    futures::future::join_all((0..4).map(|_| one())).await;
    assert!(!bench.state().exists(), "the last one removed what the first one made");
}

#[tokio::test]
async fn a_supervisor_that_a_ctrl_c_reaches_before_it_has_left_the_terminal_is_started_again() {
    let bench = Bench::new();
    let script = format!("[ -e ../interrupted ] || {{ touch ../interrupted; kill -INT $$; }}; exec {PROGRAM} supervise \"$0\"");
    let platform = bench.supervised_by(vec!["sh".into(), "-c".into(), script.into()]);
    let missing = bench.plan(bench.resources("web", serving("healthy", serde_json::json!({})))).await.differences;
    let outcome = bench.apply_as(&platform, &crate::bench::change(&missing[0])).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    assert!(bench.folder.path().join("interrupted").exists());
}

#[tokio::test]
async fn two_that_start_at_once_find_one_supervisor() {
    let bench = Bench::new();
    let resources = ["one", "two", "three", "four"].map(|app| bench.resources(app, serving("healthy", serde_json::json!({}))).remove(0));
    let differences = bench.plan(resources.to_vec()).await.differences;
    let changes: Vec<_> = differences.iter().map(crate::bench::change).collect();
    let outcomes = futures::future::join_all(changes.iter().map(|change| bench.apply(change))).await;
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Done { .. })), "{outcomes:?}");
    for app in ["one", "two", "three", "four"] {
        bench.healthy(&workload(app)).await;
    }
    eventually_async("surplus supervisors to end", async || bench.processes().len() == 5).await;
}
