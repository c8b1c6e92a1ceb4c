//! What is planned, what is held, and that a plan is carried out exactly.

use super::stage::{Recorder, Stage, brief, expect_held_in, note, possible, told};
use super::{Body, Subject};
use crate::apply::{ApplyError, ChangeResult, RunVerdict};
use crate::deploy::{PlanError, Policy, RequestedAction};
use crate::desired::document::Leaf;
use crate::desired::path::Path;
use crate::desired::resource::ResourceId;
use crate::plan::change::{Action, Reason};
use crate::plan::{HeldReason, Plan};
use crate::platform::{Field, PlatformErrorKind, Support};

pub(super) fn honoured<S: Subject>(subject: &S, field: Field) -> bool {
    matches!(subject.support(field), Support::Full | Support::Adapted(_))
}

/// An empty manifest over an empty environment: an empty plan, which applies.
pub async fn nothing_to_do<S: Subject>(subject: &S) {
    let stage = Stage::new(subject);
    let plan = stage.expect_nothing().await;
    assert_eq!(plan.coverage.observed, 0);
    stage.apply_well(&plan).await;
}

/// A manifest with every field that the platform honours, and a second app: a plan right after an apply is empty.
pub async fn empty_plan_after_apply<S: Subject>(subject: &S) {
    let mut stage = Stage::new(subject);
    stage.web("cache", 1);
    full_app(&mut stage, "web");
    stage.converge().await;
    let plan = stage.expect_nothing().await;
    assert!(plan.coverage.unchanged > 0 && plan.coverage.unchanged == plan.coverage.observed, "{:?}", plan.coverage);
    stage.apply_well(&plan).await;
}

/// An app that uses everything at once.
fn full_app<S: Subject>(stage: &mut Stage<'_, S>, name: &str) {
    stage.app::<&str>(name, Body::WebByCommand(1), &[]);
    let port = stage.subject.free_port();
    let published = honoured(stage.subject, Field::PortsPublish);
    let http = if published { format!("ports.http = {{ port = 8080, publish = {port} }}") } else { "ports.http = 8080".to_owned() };
    stage.add(name, &[http, "env.PLAIN = \"one\"".into(), "env.SPECIAL = \"a=b; \\\"c\\\" {} ü\"".into(), "env.EMPTY = \"\"".into()]);
    let lines = [
        (Field::Replicas, "replicas = 2"),
        (Field::Ports, "ports.admin = 9090"),
        (Field::Files, "files.\"/etc/web/app.conf\" = { content = \"one\\ntwo\\n\" }"),
        (Field::Files, "files.\"/etc/web/other.conf\" = { content = \"three\" }"),
        (Field::HealthHttp, "health = { http = \"/healthz\", port = \"http\", interval = \"1s\", retries = 5, start_period = \"2s\" }"),
        (Field::ResourcesCpu, "resources.cpu = \"1000m\""),
        (Field::ResourcesMemory, "resources.memory = \"1024MiB\""),
        (Field::Volumes, "volumes.data = { path = \"/var/lib/web\" }"),
        (Field::Bind, "bind.cache = {}"),
        (Field::RolloutMaxSurge, "rollout.max_surge = 2"),
        (Field::RolloutTimeout, "rollout.timeout = \"60s\""),
    ];
    for (field, line) in lines {
        stage.add_where_supported(name, field, line);
    }
}

/// An app that leaves the manifest is deleted, and the other one is not touched.
pub async fn removal_of_an_app<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.web("other", 1);
    stage.converge().await;
    let other = stage.main_resource("other").await;
    let before = subject.state(&other).await;
    stage.remove("web");
    let plan = stage.converge().await;
    assert!(plan.changes.iter().all(|change| change.action == Action::Delete && &*change.app == "web"), "{:#?}", brief(&plan));
    assert_eq!(subject.state(&other).await, before);
}

/// What still needs something goes first, also when the manifest has forgotten both.
pub async fn removal_of_an_app_and_its_dependency<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.web("db", 1).web("other", 1).add("web", &["depends_on = [\"db\"]"]);
    stage.converge().await;
    let (web, db) = (stage.main_resource("web").await, stage.main_resource("db").await);
    stage.remove("web").remove("db");
    let plan = stage.plan().await;
    let recorder = Recorder::default();
    let applied = stage.apply_as(&plan, "someone", &recorder).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
    let happened = recorder.0.into_inner().unwrap_or_default();
    let place = |line: String| happened.iter().position(|l| *l == line);
    assert!(place(format!("finish {web}")) < place(format!("start {db}")), "{happened:#?}");
    stage.expect_nothing().await;
}

/// Volumes of an app that has gone are held; `--delete-data` deletes them.
pub async fn volumes_are_held<S: Subject>(subject: &S) {
    if !honoured(subject, Field::Volumes) {
        return note::<S>("volumes: not supported");
    }
    let mut stage = Stage::with_web(subject);
    stage.web("other", 1).add("web", &["volumes.data = { path = \"/var/lib/web\" }"]);
    let created = stage.converge().await;
    if !created.changes.iter().any(|change| change.desired.as_ref().is_some_and(|desired| desired.shape.holds_data)) {
        return note::<S>("volumes: no objects of their own here, so that nothing deletes them");
    }
    stage.remove("web");
    let plan = stage.plan().await;
    expect_held_in(&plan, |why| *why == HeldReason::HoldsData);
    stage.apply_well(&plan).await;
    stage.expect_held(|why| *why == HeldReason::HoldsData).await;
    stage.policy = Policy { delete_data: true, ..Policy::default() };
    let plan = stage.converge().await;
    assert!(plan.changes.iter().all(|change| change.action == Action::Delete), "{:#?}", brief(&plan));
}

/// The last app of an environment is not deleted by a manifest that happens to be empty.
pub async fn the_last_app_is_held<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.converge().await;
    stage.remove("web");
    let plan = stage.expect_held(|why| *why == HeldReason::LastApp).await;
    stage.apply(&plan).await;
    stage.expect_held(|why| *why == HeldReason::LastApp).await;
    stage.policy = Policy { allow_delete: true, ..Policy::default() };
    stage.converge().await;
}

/// More deletions than the budget allows are held, all of them.
pub async fn deletions_over_the_budget_are_held<S: Subject>(subject: &S) {
    let mut stage = Stage::new(subject);
    for name in ["one", "two", "three", "four", "five"] {
        stage.web(name, 1);
    }
    stage.converge().await;
    for name in ["one", "two", "three", "four"] {
        stage.remove(name);
    }
    stage.expect_held(|why| matches!(why, HeldReason::OverDeletionBudget { .. })).await;
    stage.policy = Policy { allow_delete: true, ..Policy::default() };
    stage.converge().await;
}

/// `destroy` is an apply of an empty desire.
pub async fn destroy_leaves_nothing<S: Subject>(subject: &S) {
    let mut stage = Stage::new(subject);
    stage.web("cache", 1);
    full_app(&mut stage, "web");
    stage.converge().await;
    let standing = std::mem::replace(&mut stage.policy, Policy { destroy: true, delete_data: true, ..Policy::default() });
    let plan = stage.converge().await;
    assert!(plan.changes.iter().all(|change| change.action == Action::Delete), "{:#?}", brief(&plan));
    assert_eq!(stage.plan().await.coverage.observed, 0);
    // And everything can be made again where it was.
    stage.policy = standing;
    stage.converge().await;
}

/// Protection is on the live object: it holds after the entry has gone, for what the protected app needs, too.
pub async fn protection_outlives_the_entry<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.web("other", 1).add("web", &["protect = true"]);
    stage.add_where_supported("web", Field::Files, "files.\"/etc/web/app.conf\" = { content = \"one\" }");
    stage.converge().await;
    let main = stage.main_resource("web").await;
    let before = subject.state(&main).await;
    let standing = stage.apps["web"].clone();
    stage.remove("web");
    let plan = stage.plan().await;
    assert!(plan.held.iter().any(|held| held.id == main && held.why == HeldReason::Protected), "{:#?}", brief(&plan));
    stage.apply_well(&plan).await;
    stage.expect_no_changes().await;
    assert_eq!(subject.state(&main).await, before, "what is protected was touched");
    stage.apps.insert("web".into(), standing.into_iter().filter(|line| !line.starts_with("protect")).collect());
    stage.converge().await;
    stage.remove("web");
    stage.converge().await;
}

/// A plan that was saved and read back is the same plan, and applies.
pub async fn a_saved_plan_applies<S: Subject>(subject: &S) {
    let mut stage = Stage::new(subject);
    stage.web("cache", 1);
    full_app(&mut stage, "web");
    stage.secrets.insert("token".into(), Some("s3cr3t-value".into()));
    stage.add("web", &["env.TOKEN = \"x {{ secrets.token }}\""]);
    for _ in 0..2 {
        let plan = stage.plan().await;
        let saved = serde_json::to_string(&plan).unwrap_or_else(|error| panic!("{error}"));
        let read: Plan = serde_json::from_str(&saved).unwrap_or_else(|error| panic!("{error}\n{saved}"));
        assert_eq!(serde_json::to_string(&read).unwrap_or_default(), saved);
        stage.apply_well(&read).await;
        stage.expect_nothing().await;
        stage.web("cache", 2).add("web", &["env.LATER = \"{{ secrets.token }}\""]);
    }
}

/// A plan is refused when what it was made from has moved; nothing is written, and the next plan repairs it.
pub async fn a_stale_plan_is_refused<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.add("web", &["env.MODE = \"one\""]);
    stage.converge().await;
    stage.apps["web"].pop();
    stage.add("web", &["env.MODE = \"two\""]);
    let plan = stage.plan().await;
    let stale = stage.plan().await;
    stage.apply_well(&plan).await;
    // Applied already: the same plan again is a success that writes nothing.
    let applied = stage.apply_well(&stale).await;
    assert!(applied.changes.iter().all(|report| report.result == ChangeResult::AlreadyDone), "{}", told(&stale, &applied));
    // Another one went on from there: the old plan is refused.
    stage.apps["web"].pop();
    stage.add("web", &["env.MODE = \"three\""]);
    stage.converge().await;
    let main = stage.main_resource("web").await;
    let before = subject.state(&main).await;
    let applied = stage.apply(&stale).await;
    assert_eq!(applied.verdict(), RunVerdict::Stale, "{}", told(&stale, &applied));
    assert_eq!(subject.state(&main).await, before, "a refused plan has written");
    stage.expect_nothing().await;
}

/// An edit by hand between plan and apply is not overwritten.
pub async fn an_edit_after_the_plan_is_refused<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.add("web", &["env.MODE = \"one\"", "env.OTHER = \"one\""]);
    let first = stage.converge().await;
    stage.apps["web"].pop();
    stage.add("web", &["env.OTHER = \"two\""]);
    let plan = stage.plan().await;
    let Some((id, path)) = variable(&first, "MODE") else {
        return note::<S>("no leaf is named after the variable");
    };
    if !possible::<S>("an edit after the plan", &subject.edit(&id, &path, Some(&super::fields::by_hand())).await) {
        return;
    }
    let before = subject.state(&id).await;
    let applied = stage.apply(&plan).await;
    assert_eq!(applied.verdict(), RunVerdict::Stale, "{}", told(&plan, &applied));
    assert_eq!(subject.state(&id).await, before, "a refused plan has written");
    stage.converge().await;
}

/// Whether a segment is a variable's name, or the element of a list that has this name.
fn is_named(segment: &str, name: &str) -> bool {
    segment == name || segment.strip_prefix("[name=").and_then(|rest| rest.strip_suffix(']')) == Some(name)
}

/// The leaf of an environment variable, where leaves are named after them.
fn variable(plan: &Plan, name: &str) -> Option<(ResourceId, Path)> {
    let mut desired = plan.changes.iter().filter_map(|change| change.desired.as_ref());
    desired.find_map(|desired| {
        let named = |(path, _): &&(Path, Leaf)| path.segments().any(|segment| is_named(segment, name));
        let (path, _) = desired.document.leaves().iter().find(named)?;
        Some((desired.id.clone(), path.clone()))
    })
}

/// What somebody added by hand to something of ours is seen and removed.
pub async fn what_was_added_by_hand_is_removed<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.add("web", &["env.MODE = \"one\""]);
    let first = stage.converge().await;
    let Some((id, path)) = variable(&first, "MODE") else {
        return note::<S>("no leaf is named after the variable");
    };
    let segments: Vec<String> =
        path.segments().map(|s| if is_named(s, "MODE") { s.replace("MODE", "BY_HAND") } else { s.into() }).collect();
    let added = Path::new(segments.iter().map(String::as_str));
    if !possible::<S>("an added variable", &subject.edit(&id, &added, Some(&super::fields::by_hand())).await) {
        return;
    }
    let plan = stage.converge().await;
    assert!(plan.changes.iter().any(|c| c.id == id && c.differences.iter().any(|d| d.path == added)), "{:#?}", brief(&plan));
}

/// An app is renamed: it goes on under its new name, and its data is not lost.
pub async fn an_app_is_renamed<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.add_where_supported("web", Field::Volumes, "volumes.data = { path = \"/var/lib/web\" }");
    stage.add_where_supported("web", Field::Files, "files.\"/etc/web/app.conf\" = { content = \"one\" }");
    stage.web("other", 1);
    stage.converge().await;
    let lines = stage.apps["web"].clone();
    stage.remove("web");
    stage.apps.insert("shop".into(), lines);
    stage.moved.push(("apps.web".into(), "apps.shop".into()));
    let plan = stage.plan().await;
    assert!(plan.changes.iter().any(|change| change.reason == Reason::Moved), "{:#?}", brief(&plan));
    stage.apply_well(&plan).await;
    renamed(&stage).await;
}

/// A volume is renamed: it goes on under its new name, and its data is not lost.
pub async fn a_volume_is_renamed<S: Subject>(subject: &S) {
    if !honoured(subject, Field::Volumes) {
        return note::<S>("volumes: not supported");
    }
    let mut stage = Stage::with_web(subject);
    stage.add("web", &["volumes.data = { path = \"/var/lib/web\" }", "env.MODE = \"one\""]);
    stage.converge().await;
    stage.web("web", 1).add("web", &["volumes.store = { path = \"/var/lib/web\" }", "env.MODE = \"two\""]);
    stage.moved.push(("apps.web.volumes.data".into(), "apps.web.volumes.store".into()));
    let plan = stage.plan().await;
    note::<S>(format!("{:#?}", brief(&plan)));
    stage.apply_well(&plan).await;
    renamed(&stage).await;
}

/// What cannot be renamed with its data is held, and says so; anything else is done.
async fn renamed<S: Subject>(stage: &Stage<'_, S>) {
    let plan = stage.expect_no_changes().await;
    let kept = |why: &HeldReason| matches!(why, HeldReason::NotRenamed { .. } | HeldReason::HoldsData);
    assert!(plan.held.iter().all(|held| kept(&held.why)), "{:#?}", brief(&plan));
}

/// Two runs at once: one is told that the other is at it, or both end well; nothing is done twice.
pub async fn two_appliers_at_once<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.web("other", 1);
    let (one, two) = (stage.plan().await, stage.plan().await);
    let quiet = crate::apply::Quiet;
    let results = futures::join!(stage.apply_as(&one, "ada", &quiet), stage.apply_as(&two, "bob", &quiet));
    let mut locked = 0;
    for (plan, result) in [(&one, results.0), (&two, results.1)] {
        match result {
            Ok(applied) => assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(plan, &applied)),
            Err(ApplyError::Platform { source, .. }) if source.kind == PlatformErrorKind::Locked => {
                assert!(["ada", "bob"].iter().any(|holder| source.to_string().contains(holder)), "who has it? {source}");
                locked += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(locked < 2, "both were locked out");
    let plan = stage.expect_nothing().await;
    assert_eq!(plan.coverage.observed, plan.coverage.unchanged, "something is there twice");
}

/// A manifest that is an ancestor of what is live is refused, unless the user agrees.
pub async fn an_older_revision_is_refused<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.revision = Some("r2".into());
    stage.converge().await;
    stage.revision = Some("r1".into());
    stage.web("web", 2);
    match stage.try_plan().await {
        Err(PlanError::Older { ours, live, .. }) => assert_eq!((ours.as_str(), live.as_str()), ("r1", "r2")),
        Err(error) => panic!("refused for another reason: {error}"),
        Ok(plan) => panic!("an older manifest was planned: {:#?}", brief(&plan)),
    }
    stage.policy = Policy { allow_older: true, ..Policy::default() };
    stage.converge().await;
    // A newer revision alone is no change.
    stage.policy = Policy::default();
    stage.revision = Some("r3".into());
    stage.expect_nothing().await;
}

/// A restart starts the instances anew and changes nothing else.
pub async fn a_restart_changes_nothing_else<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.web("other", 1);
    stage.converge().await;
    let plan = stage.plan_request("web", RequestedAction::Restart).await;
    assert!(!plan.is_empty() && plan.changes.iter().all(|c| c.action == Action::Restart && &*c.app == "web"), "{:#?}", brief(&plan));
    stage.apply_well(&plan).await;
    stage.expect_nothing().await;
}

/// What was forgotten runs on, and is not ours any more.
pub async fn what_is_forgotten_runs_on<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.web("other", 1);
    stage.converge().await;
    let main = stage.main_resource("web").await;
    let plan = stage.plan_request("web", RequestedAction::Forget).await;
    stage.apply_well(&plan).await;
    assert!(subject.state(&main).await.is_some(), "{main} has gone");
    // Applied twice, it is still only forgotten.
    stage.apply_well(&plan).await;
    let standing = stage.apps["web"].clone();
    stage.remove("web");
    stage.expect_nothing().await;
    assert!(subject.state(&main).await.is_some(), "{main} has gone");
    // Declared again it is in the way, until it is adopted.
    stage.apps.insert("web".into(), standing);
    stage.expect_held(|why| matches!(why, HeldReason::NotOurs { .. } | HeldReason::Follows(_))).await;
    stage.policy = Policy { adopt: true, ..Policy::default() };
    stage.converge().await;
}
