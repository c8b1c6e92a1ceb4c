//! A node is to be emptied.

use stratos_engine::health::Status;
use stratos_test_platforms::eventually;

use super::cluster::cluster;
use super::project::{Project, web};

#[tokio::test(flavor = "multi_thread")]
async fn instances_leave_a_node_that_is_drained() {
    let cluster = cluster();
    let mut project = Project::new(&cluster, "drain");
    project.declare(&web("web", &cluster.image(), "replicas = 3"));
    project.converge().await;
    let service = project.service("web");
    assert_eq!(cluster.places(0, &service), ["node0", "node1", "node2"]);

    cluster.engines().docker(0, &["node", "update", "--availability", "drain", "node1"]);
    // Right away: the apply waits for what moves.
    let plan = project.converge().await;
    assert!(plan.is_empty());
    eventually("they have moved", || {
        let places = cluster.places(0, &service);
        places.len() == 3 && !places.contains(&"node1".to_owned())
    });
    eventually("nothing is left there", || cluster.containers_on(1, &service) == 0);
    assert_eq!(project.health("web").await.status, Status::Healthy);
    project.expect_nothing().await;

    // It takes work again, and nothing moves back by itself.
    cluster.engines().docker(0, &["node", "update", "--availability", "active", "node1"]);
    project.expect_nothing().await;
    assert!(!cluster.places(0, &service).contains(&"node1".to_owned()));
    project.destroy(&cluster).await;
}
