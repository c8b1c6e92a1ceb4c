//! The manager that we are connected to is lost.

use stratos_engine::apply::{ApplyError, ChangeResult, Event, Progress, Quiet, RunVerdict};
use stratos_engine::deploy::PlanError;
use stratos_engine::platform::PlatformErrorKind;
use stratos_engine::platform::contract::stage::told;
use stratos_test_platforms::Engines;

use crate::cluster::{NODES, cluster, until};
use crate::project::{Project, web};

/// Takes a node away as soon as a change is done.
struct LosesAfter {
    change: &'static str,
    engines: &'static Engines,
    node: usize,
}

impl Progress for LosesAfter {
    fn event(&self, event: Event<'_>) {
        if let Event::Finished { report } = event
            && report.id.name.ends_with(self.change)
        {
            self.engines.kill(self.node);
        }
    }
}

/// The apply ends with what is done and what is not. Another one, through another manager, does the rest: when the managers
/// have a leader again and the lease of the first has ended.
#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_loses_its_manager_is_finished_through_another() {
    let mut cluster = cluster();
    let (lost, other) = cluster.leader_and_another();
    let mut project = Project::new(&cluster, "manager");
    project.ask(lost);
    let first = web("first", &cluster.image(), "");
    project.declare(&format!("{first}{}", web("second", &cluster.image(), "depends_on = [\"first\"]")));
    let plan = project.plan().await;
    cluster.is_lost(lost);
    let applied = project.try_apply(&plan, &LosesAfter { change: "-first", engines: cluster.engines(), node: lost }).await.unwrap();
    assert_eq!(applied.verdict(), RunVerdict::Partial, "{}", told(&plan, &applied));
    let result_of = |app: &str| &applied.changes.iter().find(|report| report.id.name.ends_with(app)).unwrap().result;
    assert!(matches!(result_of("-first"), ChangeResult::Done), "{}", told(&plan, &applied));
    let ChangeResult::Failed { why, hint } = result_of("-second") else { panic!("{}", told(&plan, &applied)) };
    println!("{why}\n{hint:?}");

    project.ask(other);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    let (plan, applied) = loop {
        assert!(std::time::Instant::now() < deadline, "the other manager does not take over");
        let plan = match project.try_plan().await {
            Ok(plan) => plan,
            Err(PlanError::Platform { source, .. }) if source.kind == PlatformErrorKind::Unreachable => continue,
            Err(error) => panic!("{error}"),
        };
        match project.try_apply(&plan, &Quiet).await {
            Ok(applied) => break (plan, applied),
            Err(ApplyError::Platform { source, .. }) if source.kind == PlatformErrorKind::Unreachable => {}
            Err(ApplyError::Platform { source, .. }) if source.kind == PlatformErrorKind::Locked => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
    assert!(plan.changes.iter().all(|change| change.id.name.ends_with("-second")), "{}", told(&plan, &applied));
    project.expect_nothing().await;
    assert_eq!(cluster.services(other), [project.service("first"), project.service("second")]);

    cluster.revive(lost);
    cluster.until_node_is(other, lost, "Ready Active");
    until("each runs once", || ((0..NODES).map(|node| cluster.containers(node)).sum::<usize>() == 2).then_some(()));
    project.expect_nothing().await;
    project.destroy(&cluster).await;
}
