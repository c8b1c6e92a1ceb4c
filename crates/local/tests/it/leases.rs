//! One writer at a time.

use stratos_engine::platform::{Lease, Outcome, Platform, PlatformErrorKind};

use crate::bench::{Bench, serving, wait_for, workload};

#[tokio::test]
async fn the_second_writer_is_told_who_the_first_is() {
    let bench = Bench::new();
    let Lease::Held(first) = bench.platform.lease(&bench.owner, "ann@laptop").await.unwrap() else { panic!("a file can be locked") };
    let Err(error) = bench.platform.lease(&bench.owner, "bob@laptop").await else { panic!("ann has it") };
    assert_eq!(error.kind, PlatformErrorKind::Locked);
    assert!(error.why.contains("ann@laptop"), "{error}");
    drop(first);
    assert!(matches!(bench.platform.lease(&bench.owner, "bob@laptop").await, Ok(Lease::Held(_))));
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
    wait_for("surplus supervisors to end", || bench.processes().len() == 5).await;
}
