//! Parts of a cluster are killed while we work. These tests have one cluster, one after the other.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use stratos_engine::apply::{ChangeResult, Event, Progress, RunVerdict};
use stratos_engine::platform::LogOptions;
use stratos_engine::platform::contract::stage::told;
use stratos_test_platforms::{Cluster, Part};
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::faults::apps;
use crate::logs::{next, open, pod};
use crate::support::{LIMIT, Place};
use crate::user::{User, agreed};

static CLUSTER: Mutex<Option<Cluster>> = Mutex::const_new(None);
/// The tests that have the cluster or wait for it.
static USERS: AtomicUsize = AtomicUsize::new(0);

/// The cluster, for one test at a time. It is started for the first test and ends after the last one that waited for it.
struct Killed(MutexGuard<'static, Option<Cluster>>);

impl Killed {
    async fn cluster() -> Self {
        USERS.fetch_add(1, Ordering::SeqCst);
        let mut cluster = CLUSTER.lock().await;
        if cluster.is_none() {
            *cluster = Some(tokio::task::spawn_blocking(Cluster::start).await.unwrap());
        }
        Self(cluster)
    }
}

impl Deref for Killed {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("a cluster until this value is dropped")
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let is_last = USERS.fetch_sub(1, Ordering::SeqCst) == 1;
        // A test that failed may have left the API server dead.
        if is_last || std::thread::panicking() {
            *self.0 = None;
        }
    }
}

/// A deletion that was taken goes on by itself: whoever cannot ask any more does not know, and does not say that nothing happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_whose_end_nobody_saw_is_unknown_and_a_second_run_finishes() {
    let cluster = Killed::cluster().await;
    let mut user = User::new(&cluster, "faults-deletion");
    user.converge().await;
    user.kubectl(&["patch", "service", "web", "--type=merge", "--patch", r#"{"metadata":{"finalizers":["example.com/later"]}}"#]);
    user.patience = Duration::from_secs(5);
    let destroyer = User { policy: agreed(), ..user.through(user.way.clone()) };
    let plan = destroyer.plan().await;
    let kill = || {
        user.kubectl(&["wait", "--for=jsonpath={.metadata.deletionTimestamp}", "service/web", "--timeout=60s"]);
        cluster.kill(Part::ApiServer);
    };
    let runtime = tokio::runtime::Handle::current();
    let applied = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            scope.spawn(kill);
            runtime.block_on(destroyer.apply(&plan))
        })
    });
    let service = applied.changes.iter().find(|report| &*report.id.kind == "Service").map(|report| &report.result);
    assert!(matches!(service, Some(ChangeResult::Unknown { .. })), "{}", told(&plan, &applied));
    tokio::task::block_in_place(|| cluster.revive(Part::ApiServer));
    user.kubectl(&["patch", "service", "web", "--type=merge", "--patch", r#"{"metadata":{"finalizers":null}}"#]);
    // The lease that could not be given back ends by itself.
    let deadline = Instant::now() + LIMIT;
    let again = destroyer.plan().await;
    while let Err(error) = destroyer.try_apply(&again).await {
        assert!(error.to_string().contains("is applying to this environment now") && Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(user.names("services,deployments"), [""; 0]);
}

/// The API server is away while lines are written.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_is_read_on_from_where_it_broke() {
    let cluster = Killed::cluster().await;
    let place = Place::of(&cluster, "l-break", "");
    place.apply(&pod("count", "n=0; while true; do n=$((n+1)); echo line $n; sleep 0.1; done", ""));
    place.kubectl(&["wait", "--for=condition=Ready", "pod/count", "--timeout=60s"]);
    let mut lines = open(&place, "Pod", "count", &LogOptions { follow: true, ..LogOptions::default() }).await;
    let mut seen = next(&mut lines, 20).await;
    cluster.kill(Part::ApiServer);
    // The lines that were on their way still come, and then nothing.
    while let Ok(Some(line)) = tokio::time::timeout(Duration::from_secs(2), lines.next()).await {
        seen.push(line.unwrap_or_else(|error| panic!("{error}")).line);
    }
    cluster.revive(Part::ApiServer);
    let last = seen.len() + 50;
    while seen.len() < last {
        seen.extend(next(&mut lines, 1).await);
    }
    let expected: Vec<String> = (1..=last).map(|n| format!("line {n}")).collect();
    assert_eq!(seen, expected);
}

/// Tells when so many changes are done.
struct After {
    left: AtomicUsize,
    reached: Notify,
}

impl Progress for After {
    fn event(&self, event: Event<'_>) {
        if matches!(event, Event::Finished { .. }) && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.reached.notify_one();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_dies_leaves_the_truth_and_a_second_run_finishes() {
    let cluster = Killed::cluster().await;
    let mut user = User::new(&cluster, "faults-death");
    user.apps = apps(12);
    let plan = user.plan().await;
    let after = After { left: AtomicUsize::new(7), reached: Notify::new() };
    let kill = async {
        after.reached.notified().await;
        tokio::task::block_in_place(|| cluster.kill(Part::ApiServer));
    };
    let (applied, ()) = tokio::join!(user.apply_watched(&plan, &after), kill);
    let applied = applied.unwrap();
    assert_eq!(applied.verdict(), RunVerdict::Partial, "{}", told(&plan, &applied));
    tokio::task::block_in_place(|| cluster.revive(Part::ApiServer));

    // An object that is reported as done is there, and one that is reported as failed or skipped is not.
    let there = user.names("deployments,services,serviceaccounts");
    let mut done = 0;
    for report in &applied.changes {
        let name = format!("{}/{}", report.id.kind.to_lowercase(), report.id.name);
        let is_there = there.contains(&name);
        match &report.result {
            ChangeResult::Done => {
                done += 1;
                assert!(is_there, "{name} is reported as made: {there:?}");
            }
            ChangeResult::Failed { .. } | ChangeResult::Skipped { .. } => assert!(!is_there, "{name} is reported as not made"),
            ChangeResult::Unknown { .. } | ChangeResult::Unhealthy { .. } => {}
            other => panic!("{}: {other:?}", report.id),
        }
    }
    assert!(done >= 7 && done < plan.changes.len(), "{}", told(&plan, &applied));

    // The lease that could not be given back ends by itself.
    let again = user.plan().await;
    let deadline = Instant::now() + LIMIT;
    let applied = loop {
        match user.try_apply(&again).await {
            Ok(applied) => break applied,
            Err(error) => {
                assert!(error.to_string().contains("is applying to this environment now") && Instant::now() < deadline, "{error}")
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&again, &applied));
    user.nothing().await;
    let there = user.names("deployments,services");
    assert_eq!(there.len(), 24, "{there:?}");
}
