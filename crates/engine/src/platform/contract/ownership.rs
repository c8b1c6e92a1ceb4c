//! What is not ours, and what cannot be seen, is left alone.

use super::Subject;
use super::stage::{Stage, brief, expect_held_in, possible};
use crate::deploy::Policy;
use crate::desired::resource::ResourceId;
use crate::plan::HeldReason;
use crate::plan::change::{Action, Reason};
use crate::platform::Field;

/// The resources of a web app, the one with health first.
async fn wanted<S: Subject>(stage: &Stage<'_, S>) -> Vec<ResourceId> {
    let plan = stage.plan().await;
    let mut ids: Vec<ResourceId> = plan.changes.iter().filter(|c| c.action == Action::Create).map(|c| c.id.clone()).collect();
    ids.sort_by_key(|id| !plan.judged.iter().any(|judged| judged.id == *id));
    ids
}

/// A name that is taken by somebody else's object is a conflict, planned and not touched; the rest goes on.
pub async fn what_is_not_ours_is_not_touched<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    let Some(taken) = wanted(&stage).await.first().cloned() else { panic!("a web app makes nothing") };
    if !possible::<S>("an object that is not ours", &subject.make_foreign(&taken).await) {
        return;
    }
    let before = subject.state(&taken).await;
    stage.web("other", 1);
    let plan = stage.plan().await;
    assert!(plan.held.iter().any(|h| h.id == taken && matches!(h.why, HeldReason::NotOurs { .. })), "{:#?}", brief(&plan));
    stage.apply_well(&plan).await;
    stage.expect_held(|why| matches!(why, HeldReason::NotOurs { .. } | HeldReason::Follows(_))).await;
    // Nor is it deleted when nothing declares it, or everything is destroyed.
    stage.remove("web");
    stage.expect_nothing().await;
    stage.policy = Policy { destroy: true, delete_data: true, ..Policy::default() };
    stage.converge().await;
    assert_eq!(subject.state(&taken).await, before, "{taken} was touched");
}

/// With `--adopt` what is in the way is taken over, and is shown as such.
pub async fn adoption<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    let mut adopted = Vec::new();
    for id in wanted(&stage).await {
        if possible::<S>(&format!("adoption of {id}"), &subject.make_foreign(&id).await) {
            adopted.push(id);
        }
    }
    if adopted.is_empty() {
        return;
    }
    stage.policy = Policy { adopt: true, ..Policy::default() };
    let plan = stage.plan().await;
    for id in &adopted {
        assert!(plan.changes.iter().any(|c| c.id == *id && c.reason == Reason::Adopted), "{:#?}", brief(&plan));
    }
    stage.apply_well(&plan).await;
    stage.expect_nothing().await;
    // It is ours now, without any agreement.
    stage.policy = Policy::default();
    stage.expect_nothing().await;
    stage.web("web", 2);
    stage.converge().await;
}

/// What somebody makes between plan and apply, under a name that is wanted, is not overwritten.
pub async fn an_object_made_later_is_not_overwritten<S: Subject>(subject: &S) {
    let stage = Stage::with_web(subject);
    let plan = stage.plan().await;
    let Some(taken) = wanted(&stage).await.first().cloned() else { panic!("a web app makes nothing") };
    if !possible::<S>("an object that is not ours", &subject.make_foreign(&taken).await) {
        return;
    }
    let before = subject.state(&taken).await;
    let applied = stage.apply(&plan).await;
    assert_ne!(applied.verdict(), crate::apply::RunVerdict::Success);
    assert_eq!(subject.state(&taken).await, before, "{taken} was touched");
    stage.expect_held(|why| matches!(why, HeldReason::NotOurs { .. } | HeldReason::Follows(_))).await;
}

/// What cannot be read is held: neither made anew, nor changed, nor deleted; and nothing at all is deleted beside it, since
/// what is hidden may need it.
pub async fn a_gap_holds<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.add_where_supported("web", Field::Files, "files.\"/etc/web/app.conf\" = { content = \"one\" }");
    stage.web("other", 1).web("third", 1);
    let created = stage.converge().await;
    let main = stage.main_resource("web").await;
    // To hide something may take more than that from some platforms (an end of what reads): what is compared is from then on.
    if !possible::<S>("a gap", &subject.hide(&main).await) {
        return;
    }
    subject.reveal().await;
    let mut before = Vec::new();
    for change in &created.changes {
        before.push((change.id.clone(), subject.state(&change.id).await));
    }
    assert!(possible::<S>("a gap", &subject.hide(&main).await));
    // Unchanged, changed, and removed, together with an app that can be read.
    for version in [Some(1), Some(2), None] {
        match version {
            Some(version) => drop(stage.web("web", version)),
            None => drop(stage.remove("web").remove("third")),
        }
        let plan = stage.plan().await;
        assert!(!plan.coverage.gaps.is_empty(), "the gap is not reported");
        assert!(plan.changes.iter().all(|change| change.id != main && change.action != Action::Delete), "{:#?}", brief(&plan));
        expect_held_in(&plan, |why| matches!(why, HeldReason::Unreadable { .. } | HeldReason::Follows(_)));
        if version.is_none() {
            stage.apply(&plan).await;
        }
    }
    subject.reveal().await;
    for (id, state) in before {
        assert_eq!(subject.state(&id).await, state, "{id} was touched");
    }
    stage.web("web", 2);
    stage.converge().await;
}
