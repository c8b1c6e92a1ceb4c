//! A node is lost.

use stratos_engine::apply::{Event, Progress, RunVerdict};
use stratos_engine::health::Status;
use tokio::sync::Notify;

use crate::cluster::{NODES, cluster, until};
use crate::project::{Project, web};

/// Its instance is started on another node, once, and nothing of that is a difference.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_node_ran_runs_elsewhere() {
    let mut cluster = cluster();
    let (manager, lost) = cluster.leader_and_another();
    let mut project = Project::new(&cluster, "loss");
    project.ask(manager);
    project.declare(&web("web", &cluster.image(), "replicas = 3"));
    project.converge().await;
    let service = project.service("web");
    assert_eq!(cluster.places(manager, &service), ["node0", "node1", "node2"]);

    cluster.kill(lost);
    project.expect_nothing().await;
    cluster.until_node_is(manager, lost, "Down Active");
    // There is nothing to write, and the apply ends when all instances run again.
    let plan = project.converge().await;
    assert!(plan.is_empty());
    let places = cluster.places(manager, &service);
    assert!(places.len() == 3 && !places.contains(&format!("node{lost}")), "{places:?}");
    assert_eq!(cluster.services(manager), [service.clone()]);
    assert_eq!((0..NODES).filter(|node| *node != lost).map(|node| cluster.containers(node)).sum::<usize>(), 3);
    assert_eq!(project.health("web").await.status, Status::Healthy);

    // It comes back, and what it ran before does not.
    cluster.revive(lost);
    cluster.until_node_is(manager, lost, "Ready Active");
    until("the old instance is gone", || (cluster.containers(lost) == 0).then_some(()));
    assert_eq!(cluster.places(manager, &service), places);
    project.expect_nothing().await;
    project.destroy(&cluster).await;
}

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

/// Where the nodes that are left have no room: what is missing is said in words, and an apply waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_room_after_a_loss_is_told_and_waited_for() {
    let mut cluster = cluster();
    let (manager, lost) = cluster.leader_and_another();
    let mut project = Project::new(&cluster, "room");
    project.ask(manager);
    // A port of the host can be had once on each node.
    project.declare(
        &web("web", &cluster.image(), "replicas = 3\nports.http = { port = 8080, publish = 23080 }").replace("ports.http = 8080\n", ""),
    );
    project.converge().await;

    cluster.kill(lost);
    cluster.until_node_is(manager, lost, "Down Active");
    let service = project.service("web");
    until("two are left", || (cluster.places(manager, &service).len() == 2).then_some(()));
    let health = project.health("web").await;
    println!("{health:#?}");
    assert_eq!(health.status, Status::Degraded, "{health:?}");
    assert!(health.message.contains("2 of 3 run; room-web."), "{health:?}");
    project.expect_nothing().await;

    let plan = project.plan().await;
    let waits = WaitsFor { words: "no suitable node", seen: Notify::new() };
    let (applied, ()) = tokio::join!(project.try_apply(&plan, &waits), async {
        waits.seen.notified().await;
        tokio::task::block_in_place(|| cluster.revive(lost));
    });
    assert_eq!(applied.unwrap().verdict(), RunVerdict::Success);
    assert_eq!(cluster.places(manager, &service), ["node0", "node1", "node2"]);
    project.expect_nothing().await;
    project.destroy(&cluster).await;
}
