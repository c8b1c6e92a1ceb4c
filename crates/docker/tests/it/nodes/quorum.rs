//! Most managers are lost: nobody may decide anything, and the one that is left answers no question.

use stratos_engine::apply::{ApplyError, Quiet};
use stratos_engine::deploy::PlanError;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use stratos_test_platforms::eventually;

use super::cluster::{NODES, cluster};
use super::project::{Project, web};

/// It says what is missing and what to do.
fn names_the_lack_of_a_leader(error: &PlatformError) {
    assert_eq!(error.kind, PlatformErrorKind::Unreachable, "{error:?}");
    assert!(error.why.contains("does not have a leader"), "{error:?}");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("start those that are away")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_most_managers_nothing_is_planned_and_nothing_written() {
    let mut cluster = cluster();
    let left = 0;
    let mut project = Project::new(&cluster, "quorum");
    project.ask(left);
    let (one, two) = (web("one", &cluster.image(), "replicas = 3"), web("two", &cluster.image(), ""));
    project.declare(&format!("{one}{two}"));
    project.converge().await;
    let (first, second) = (project.service("one"), project.service("two"));
    let ran = cluster.containers_on(left, &first);
    assert_eq!(ran, 1);
    // What would delete something, and was planned in good time.
    project.declare(&one);
    let before = project.plan().await;
    assert!(!before.is_empty());

    cluster.kill(1);
    cluster.kill(2);
    eventually("there is no leader", || cluster.nodes(left).is_none());
    match project.try_plan().await {
        Err(PlanError::Platform { source, .. }) => names_the_lack_of_a_leader(&source),
        other => panic!("{other:?}"),
    }
    match project.try_apply(&before, &Quiet).await {
        Err(ApplyError::Platform { source, .. }) => names_the_lack_of_a_leader(&source),
        other => panic!("{other:?}"),
    }
    let status = project.status().await;
    assert!(status.unreachable.as_deref().is_some_and(|why| why.contains("does not have a leader")), "{status:?}");
    assert_eq!(cluster.containers_on(left, &first), ran, "what runs goes on");

    cluster.revive(1);
    cluster.revive(2);
    eventually("there is a leader again", || (0..NODES).all(|node| cluster.nodes(node).is_some()));
    project.declare(&format!("{one}{two}"));
    project.expect_nothing().await;
    // What ran on the two is started again, once.
    project.converge().await;
    assert_eq!(cluster.services(left, "quorum"), [first.clone(), second.clone()]);
    eventually("each runs as often as it should", || cluster.containers(&first) == 3 && cluster.containers(&second) == 1);
    project.expect_nothing().await;
    project.destroy(&cluster).await;
}
