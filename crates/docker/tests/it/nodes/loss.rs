//! A node is lost.

use stratos_engine::apply::{Event, Progress, RunVerdict};
use stratos_engine::health::Status;
use stratos_engine::platform::contract::stage::told;
use stratos_test_platforms::{PATIENCE, eventually};
use tokio::sync::Notify;

use super::cluster::cluster;
use super::project::{Project, web};

/// Tells when something is waited for because of this.
struct WaitsFor {
    words: &'static str,
    seen: Notify,
}

impl Progress for WaitsFor {
    fn event(&self, event: Event<'_>) {
        if let Event::Waiting { health, .. } = event
            && health.message.contains(self.words)
        {
            self.seen.notify_one();
        }
    }
}

/// What it ran is started on the other nodes, once, and that is no difference. What they have no room for is told in words
/// and waited for.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_node_ran_runs_elsewhere_or_is_told_of() {
    let mut cluster = cluster();
    let (manager, lost) = cluster.leader_and_another();
    let mut project = Project::new(&cluster, "loss");
    project.ask(manager);
    // A port of the host can be had once on each node: `edge` needs three.
    let edge = web("edge", &cluster.image(), "replicas = 3\nports.http.publish = 23080");
    project.declare(&format!("{}{edge}", web("web", &cluster.image(), "replicas = 3")));
    project.converge().await;
    let (web, edge) = (project.service("web"), project.service("edge"));
    let nodes = ["node0", "node1", "node2"];
    assert_eq!(
        (cluster.places(manager, &web), cluster.places(manager, &edge)),
        (nodes.map(str::to_owned).into(), nodes.map(str::to_owned).into())
    );

    cluster.kill(lost);
    project.expect_nothing().await;
    cluster.until_node_is(manager, lost, "Down Active");
    eventually("web runs elsewhere", || cluster.containers(&web) == 3);
    let room = "no suitable node (host-mode port already in use on 2 nodes; 1 node not available for new tasks): port 23080";
    let health = project.until_health("edge", |health| health.message.ends_with(room)).await;
    assert_eq!(health.status, Status::Degraded, "{health:?}");
    assert!(health.message.starts_with("2 of 3 run; loss-edge."), "{health:?}");
    project.expect_nothing().await;

    // There is nothing to write, and an apply ends when all instances run again: here, when the node is back.
    let plan = project.plan().await;
    let waits = WaitsFor { words: room, seen: Notify::new() };
    let (applied, ()) = tokio::join!(project.try_apply(&plan, &waits), async {
        let seen = tokio::time::timeout(PATIENCE, waits.seen.notified()).await;
        assert!(seen.is_ok(), "the apply does not wait for {room:?}");
        tokio::task::block_in_place(|| cluster.revive(lost));
    });
    let applied = applied.unwrap();
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
    assert_eq!(cluster.places(manager, &edge), nodes);
    assert_eq!(project.health("web").await.status, Status::Healthy);
    // What the node ran before does not run there again, beside what took its place.
    eventually("web runs three times", || cluster.containers(&web) == 3 && cluster.containers_on(lost, &web) == 0);
    assert_eq!(cluster.containers(&edge), 3);
    assert_eq!(cluster.services(manager, "loss"), [edge, web]);
    project.expect_nothing().await;
    project.destroy(&cluster).await;
}
