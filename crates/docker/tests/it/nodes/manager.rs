//! The manager that we are connected to is lost.

use std::sync::Arc;

use stratos_engine::apply::{ApplyError, ChangeResult, Event, Progress, Quiet, RunVerdict};
use stratos_engine::deploy::PlanError;
use stratos_engine::platform::PlatformErrorKind;
use stratos_engine::platform::contract::stage::told;
use stratos_test_platforms::{Engines, eventually, eventually_async};

use super::cluster::cluster;
use super::project::{Project, web};

/// Takes a node away as soon as a change is done.
struct LosesAfter {
    change: &'static str,
    engines: Arc<Engines>,
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
    let after = web("second", &cluster.image(), "depends_on = [\"first\"]");
    project.declare(&format!("{}{after}", web("first", &cluster.image(), "")));
    let (first, second) = (project.service("first"), project.service("second"));
    let plan = project.plan().await;
    cluster.is_lost(lost);
    let applied = project.try_apply(&plan, &LosesAfter { change: "-first", engines: cluster.engines().clone(), node: lost }).await.unwrap();
    assert_eq!(applied.verdict(), RunVerdict::Partial, "{}", told(&plan, &applied));
    let result_of = |app: &str| &applied.changes.iter().find(|report| report.id.name.ends_with(app)).unwrap().result;
    assert!(matches!(result_of("-first"), ChangeResult::Done), "{}", told(&plan, &applied));
    let ChangeResult::Failed { why, hint } = result_of("-second") else { panic!("{}", told(&plan, &applied)) };
    assert!(why.starts_with("creating prod/service/manager-second: ") && why.contains("Connection refused"), "{why}");
    assert!(hint.as_deref().is_some_and(|hint| hint.contains("is the engine running")), "{hint:?}");

    project.ask(other);
    let (plan, applied) = eventually_async("the other manager takes over", async || {
        let plan = match project.try_plan().await {
            Ok(plan) => plan,
            Err(PlanError::Platform { source, .. }) if source.kind == PlatformErrorKind::Unreachable => return Err(source),
            Err(error) => panic!("{error}"),
        };
        match project.try_apply(&plan, &Quiet).await {
            Ok(applied) => Ok((plan, applied)),
            Err(ApplyError::Platform { source, .. })
                if matches!(source.kind, PlatformErrorKind::Unreachable | PlatformErrorKind::Locked) =>
            {
                Err(source)
            }
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
    assert!(plan.changes.iter().all(|change| change.id.name.ends_with("-second")), "{}", told(&plan, &applied));
    project.expect_nothing().await;
    assert_eq!(cluster.services(other, "manager"), [first.clone(), second.clone()]);

    cluster.revive(lost);
    cluster.until_node_is(other, lost, "Ready Active");
    eventually("each runs once", || cluster.containers(&first) == 1 && cluster.containers(&second) == 1);
    project.expect_nothing().await;
    project.destroy(&cluster).await;
}
