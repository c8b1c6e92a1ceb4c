//! What is not ours, and what cannot be seen, is left alone.

use super::Subject;
use super::stage::{Stage, brief, expect_held_in, note, possible};
use crate::deploy::Policy;
use crate::desired::path::Path;
use crate::desired::resource::ResourceId;
use crate::plan::change::{Action, Change, OWNER, OWNER_APP, Reason};
use crate::plan::{HeldReason, Plan};
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

/// A volume moves from one app to another, under the name that it has: whatever is planned, nothing deletes it, and one change says
/// which app's it is. A platform whose labels are fixed for life says nothing.
pub async fn an_object_moves_between_apps<S: Subject>(subject: &S) {
    if !super::plans::honoured(subject, Field::Volumes) {
        return note::<S>("an object that moves between apps: there are no volumes here");
    }
    let mut stage = Stage::new(subject);
    let declare = |stage: &mut Stage<'_, S>, app: &str, other: &str, volume: &str| {
        stage.web("web", 1).web("web-a", 1).web("other", 1);
        let shared = if super::plans::honoured(stage.subject, Field::VolumesShared) { ", access = \"shared\"" } else { "" };
        stage.add(app, &[format!("volumes.{volume} = {{ path = \"/var/lib/web\"{shared} }}")]).add(other, &["env.MODE = \"without\""]);
    };
    declare(&mut stage, "web", "web-a", "a-b");
    let created = stage.converge().await;
    let holds_data = |change: &&Change| change.desired.as_ref().is_some_and(|desired| desired.shape.holds_data);
    let Some(volume) = created.changes.iter().find(holds_data) else {
        return note::<S>("an object that moves between apps: volumes are no objects of their own here");
    };
    let (volume, is_fixed) = (volume.id.clone(), is_fixed(volume));
    declare(&mut stage, "web-a", "web", "b");
    stage.policy = Policy { delete_data: true, allow_delete: true, ..Policy::default() };
    for (destroy, app) in [(false, "web"), (true, "web"), (false, "web-a")] {
        let standing = stage.policy;
        stage.policy.destroy = destroy;
        let plan = stage.plan_of(&[app]).await;
        expect_one_move(&plan, &volume, "web-a", !is_fixed && app == "web-a");
        assert_eq!(app == "web", plan.held.iter().any(|held| matches!(&held.why, HeldReason::DeclaredBy { app } if &**app == "web-a")));
        stage.apply_well(&plan).await;
        assert!(subject.state(&volume).await.is_some(), "{volume} is gone after a run of {app} (destroy: {destroy})");
        stage.policy = standing;
    }
    stage.converge().await;
    // And back, in a run for all.
    declare(&mut stage, "web", "web-a", "a-b");
    let plan = stage.converge().await;
    expect_one_move(&plan, &volume, "web", !is_fixed);
    stage.policy.destroy = true;
    let plan = stage.plan_of(&["web-a"]).await;
    assert!(plan.held.is_empty() && plan.changes.iter().all(|change| change.id != volume), "{:#?}", brief(&plan));
    stage.apply_well(&plan).await;
    assert!(subject.state(&volume).await.is_some(), "{volume} is gone with another app");
}

/// Whether its labels are fixed for its life.
fn is_fixed(change: &Change) -> bool {
    let rules = change.desired.iter().flat_map(|desired| desired.shape.replaces);
    rules.into_iter().any(|(pattern, _)| Path::new([OWNER, OWNER_APP]).matches(pattern))
}

/// At most one change is about it: an update that says which app's it is now.
fn expect_one_move(plan: &Plan, id: &ResourceId, app: &str, moves: bool) {
    let about: Vec<_> = plan.changes.iter().filter(|change| change.id == *id).collect();
    assert_eq!(about.len(), usize::from(moves), "{:#?}", brief(plan));
    for change in about {
        assert!(change.action == Action::Update && change.reason == Reason::Moved && &*change.app == app, "{:#?}", brief(plan));
    }
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
