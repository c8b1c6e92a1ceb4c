//! Instances that may run on some nodes only.

use stratos_engine::apply::{Quiet, RunVerdict};
use stratos_engine::platform::contract::stage::told;

use super::cluster::cluster;
use super::project::Project;

#[tokio::test(flavor = "multi_thread")]
async fn what_no_node_may_run_says_so_and_runs_as_soon_as_one_may() {
    let cluster = cluster();
    let mut project = Project::new(&cluster, "placement");
    let service = project.service("store-db");
    let constraint = "{ constraints: [node.labels.disk == ssd] }";
    let compose = format!("services:\n  db:\n    image: {}\n    deploy: {{ placement: {constraint} }}\n", cluster.image());
    project.write("compose.yml", &compose);
    project.declare("[apps.store]\nplatform.swarm.compose = \"compose.yml\"\nrollout.timeout = \"10s\"");

    let plan = project.plan().await;
    let applied = project.try_apply(&plan, &Quiet).await.unwrap();
    assert_eq!(applied.verdict(), RunVerdict::Unhealthy, "{}", told(&plan, &applied));
    let words = "no suitable node (scheduling constraints not satisfied on 3 nodes)";
    assert!(told(&plan, &applied).contains(words), "{}", told(&plan, &applied));
    assert!(project.health("store").await.message.contains(words));
    project.expect_nothing().await;

    project.declare("[apps.store]\nplatform.swarm.compose = \"compose.yml\"\nrollout.timeout = \"2m\"");
    cluster.engines().docker(0, &["node", "update", "--label-add", "disk=ssd", "node1"]);
    project.converge().await;
    assert_eq!(cluster.places(0, &service), ["node1"]);
    project.destroy(&cluster).await;
    cluster.engines().docker(0, &["node", "update", "--label-rm", "disk", "node1"]);
}
