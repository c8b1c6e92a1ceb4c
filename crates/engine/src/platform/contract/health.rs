//! Order, health gates, and what does not work: each ends with a true report within its time.

use std::time::Duration;

use tokio::time::Instant;

use super::stage::{HTTP, Recorder, Stage, brief, note, possible, told};
use super::{Body, Subject};
use crate::apply::{Applied, ApplyError, ChangeResult, RunVerdict};
use crate::deploy::{PlanError, RequestedAction};
use crate::health::RolloutState;
use crate::plan::Plan;
use crate::plan::change::Action;
use crate::platform::{Field, Support};

/// What a run may take beyond the time of its roll-out, on a busy machine.
const GRACE: Duration = Duration::from_secs(20);

/// How long a plan and an apply together may take to give up on a platform that cannot be reached.
const UNREACHABLE: Duration = Duration::from_secs(120);

/// Lines that make an app give up early. Where a probe is a process in a container, it takes a moment.
fn impatient(subject: &impl Subject) -> [String; 3] {
    [
        HTTP.to_owned(),
        "health = { http = \"/healthz\", port = \"http\", interval = \"200ms\", timeout = \"2s\", retries = 2 }".to_owned(),
        gives_up_after(subject.patience()),
    ]
}

/// The line that ends a roll-out after this long.
pub fn gives_up_after(patience: Duration) -> String {
    format!("rollout.timeout = \"{}ms\"", patience.as_millis())
}

/// Applies what cannot work, in its time, and returns the report.
async fn fails<S: Subject>(stage: &Stage<'_, S>, plan: &Plan) -> Applied {
    let began = Instant::now();
    let applied = stage.apply(plan).await;
    assert!(began.elapsed() <= stage.subject.patience() + GRACE, "it took {:?}", began.elapsed());
    assert!(matches!(applied.verdict(), RunVerdict::Unhealthy | RunVerdict::Partial), "{}", told(plan, &applied));
    applied
}

/// The report says of the app's main resource that it failed, and why.
fn says_why(plan: &Plan, applied: &Applied, app: &str) {
    let judged = plan.judged.iter().find(|judged| &*judged.app == app);
    let report = judged.and_then(|judged| applied.changes.iter().find(|report| report.id == judged.id));
    let told = told(plan, applied);
    match report.map(|report| &report.result) {
        Some(ChangeResult::Unhealthy { why } | ChangeResult::Failed { why, .. }) => assert!(!why.is_empty(), "{told}"),
        _ => panic!("{app} is not reported as failed:\n{told}"),
    }
}

/// An app that never gets healthy, one that crashes, one whose image or program is missing: created.
async fn body_fails<S: Subject>(subject: &S, body: Body) {
    let mut stage = Stage::new(subject);
    stage.app("web", body, &impatient(subject));
    let plan = stage.plan().await;
    let applied = fails(&stage, &plan).await;
    says_why(&plan, &applied, "web");
    let health = applied.changes.iter().filter_map(|report| report.health.as_ref());
    assert!(health.clone().all(|health| health.settled() != Some(true)), "{}", told(&plan, &applied));
    // The second run finds nothing to do, and is no success: health is judged all the same.
    let plan = stage.plan().await;
    fails(&stage, &plan).await;
    // It is repaired by a manifest that works.
    stage.web("web", 1);
    stage.converge().await;
}

/// Created, and its probe never passes.
pub async fn failing_health<S: Subject>(subject: &S) {
    body_fails(subject, Body::NeverHealthy).await;
}

/// Created, and it ends right after each start.
pub async fn a_crash_loop<S: Subject>(subject: &S) {
    body_fails(subject, Body::CrashLoop).await;
}

/// Created, and its image or program does not exist.
pub async fn a_missing_image_or_command<S: Subject>(subject: &S) {
    body_fails(subject, Body::Missing).await;
}

/// Created, and the platform never says that it failed: our own time is over.
pub async fn what_never_settles_is_given_up<S: Subject>(subject: &S) {
    if subject.body(Body::NeverSettles).is_empty() {
        return note::<S>("an app that never settles: cannot be made");
    }
    body_fails(subject, Body::NeverSettles).await;
}

/// A published port that another program has.
pub async fn a_taken_port<S: Subject>(subject: &S) {
    if !matches!(subject.support(Field::PortsPublish), Support::Full | Support::Adapted(_)) {
        return note::<S>("published ports: not supported");
    }
    let mut stage = Stage::new(subject);
    let port = subject.free_port();
    if !possible::<S>("a taken port", &subject.take_port(port).await) {
        return;
    }
    stage.app("web", Body::Web(1), &[format!("ports.http = {{ port = 8080, publish = {port} }}"), gives_up_after(subject.patience())]);
    let plan = stage.plan().await;
    let applied = fails(&stage, &plan).await;
    let said = format!("{:?}", applied.changes);
    assert!(said.contains(&port.to_string()), "the report does not name port {port}: {said}");
    let free = subject.free_port();
    stage.app("web", Body::Web(1), &[format!("ports.http = {{ port = 8080, publish = {free} }}")]);
    stage.converge().await;
}

/// A platform that cannot be reached: no plan (or one that deletes nothing), no apply that calls itself a success, each in
/// its time; and when it is back, nothing was lost.
pub async fn a_missing_network<S: Subject>(subject: &S) {
    let mut stage = Stage::with_web(subject);
    stage.web("other", 1).converge().await;
    stage.web("web", 2).remove("other");
    let plan = stage.plan().await;
    if !possible::<S>("a missing network", &subject.cut_off().await) {
        return;
    }
    let began = Instant::now();
    match stage.try_plan().await {
        Err(PlanError::Platform { environment, source }) => {
            assert_eq!(&*environment, "dev");
            assert!(!source.to_string().is_empty());
        }
        Err(error) => panic!("refused for another reason: {error}"),
        Ok(plan) => {
            assert!(!plan.coverage.gaps.is_empty(), "the network is not missed: {:#?}", brief(&plan));
            assert!(plan.changes.iter().all(|change| change.action != Action::Delete), "{:#?}", brief(&plan));
        }
    }
    match stage.try_apply(&plan).await {
        Err(ApplyError::Platform { environment, .. }) => assert_eq!(&*environment, "dev"),
        Err(error) => panic!("refused for another reason: {error}"),
        Ok(applied) => assert_ne!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied)),
    }
    assert!(began.elapsed() <= UNREACHABLE, "it took {:?}", began.elapsed());
    subject.reconnect().await;
    stage.converge().await;
}

/// An update that does not work is a failure, also where the platform goes back to what ran; and going back to the old
/// manifest is a success.
pub async fn a_rollback_is_a_failure<S: Subject>(subject: &S) {
    let mut stage = Stage::new(subject);
    stage.app("web", Body::Web(1), &impatient(subject));
    stage.converge().await;
    let good = stage.apps["web"].clone();
    stage.app("web", Body::NeverHealthy, &impatient(subject));
    let plan = stage.plan().await;
    let applied = fails(&stage, &plan).await;
    says_why(&plan, &applied, "web");
    let report = &applied.changes[applied.changes.len() - 1];
    if let Some(RolloutState::RolledBack { why }) = report.health.as_ref().map(|health| &health.rollout) {
        assert!(!why.is_empty());
        // What runs is the old one: the manifest still wants the new one.
        assert!(!stage.plan().await.is_empty(), "the rollback is not seen");
    }
    stage.apps.insert("web".into(), good);
    stage.converge().await;
}

/// A restart of what does not work is no success either.
pub async fn a_restart_of_what_is_broken_is_no_success<S: Subject>(subject: &S) {
    let mut stage = Stage::new(subject);
    stage.app("web", Body::CrashLoop, &impatient(subject));
    let plan = stage.plan().await;
    fails(&stage, &plan).await;
    let plan = stage.plan_request("web", RequestedAction::Restart).await;
    let applied = stage.apply(&plan).await;
    assert_eq!(applied.verdict(), RunVerdict::Unhealthy, "{}", told(&plan, &applied));
    stage.web("web", 1);
    stage.converge().await;
}

/// What an app depends on is done and healthy before it is started.
pub async fn dependencies_come_first<S: Subject>(subject: &S) {
    let mut stage = Stage::new(subject);
    // The names are chosen so that their alphabetical order is the wrong one.
    stage.web("web", 1).add("web", &["depends_on = [\"xdb\"]"]);
    stage.web("xdb", 1).add("xdb", &["depends_on = [\"zqueue\"]"]);
    stage.web("zqueue", 1);
    let plan = stage.plan().await;
    let ids: Vec<_> = plan.judged.iter().map(|judged| judged.id.clone()).collect();
    let recorder = Recorder::default();
    let applied = stage.apply_as(&plan, "someone", &recorder).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
    let happened = recorder.0.into_inner().unwrap_or_default();
    let place = |line: String| happened.iter().position(|l| *l == line).unwrap_or_else(|| panic!("no {line} in {happened:#?}"));
    let [web, xdb, zqueue] = &ids[..] else { panic!("{ids:?}") };
    assert!(place(format!("finish {zqueue}")) < place(format!("start {xdb}")), "{happened:#?}");
    assert!(place(format!("finish {xdb}")) < place(format!("start {web}")), "{happened:#?}");
    stage.expect_nothing().await;
}

/// What depends on something that does not work is skipped; independent work goes on.
pub async fn dependents_of_a_failure_are_skipped<S: Subject>(subject: &S) {
    let mut stage = Stage::new(subject);
    stage.app("db", Body::CrashLoop, &impatient(subject));
    stage.web("web", 1).add("web", &["depends_on = [\"db\"]"]);
    stage.web("other", 1);
    let plan = stage.plan().await;
    let applied = fails(&stage, &plan).await;
    says_why(&plan, &applied, "db");
    for (app, skipped) in [("web", true), ("other", false)] {
        let judged = plan.judged.iter().find(|judged| &*judged.app == app);
        let report = judged.and_then(|judged| applied.changes.iter().find(|report| report.id == judged.id));
        let result = report.map(|report| &report.result);
        let good = if skipped { matches!(result, Some(ChangeResult::Skipped { .. })) } else { matches!(result, Some(ChangeResult::Done)) };
        assert!(good, "{app}: {}", told(&plan, &applied));
    }
    stage.web("db", 1);
    stage.converge().await;
}

/// Other apps follow what they are bound to when it changes in any way that moves its address.
pub async fn bound_apps_follow<S: Subject>(subject: &S) {
    let honours = |field| matches!(subject.support(field), Support::Full | Support::Adapted(_));
    if !honours(Field::Bind) {
        return note::<S>("bindings: not supported");
    }
    let mut stage = Stage::with_web(subject);
    stage.web("cache", 1).add("web", &["bind.cache = {}"]);
    stage.converge().await;
    let mut ports = vec![HTTP.to_owned()];
    if honours(Field::PortsPublish) {
        ports.insert(0, format!("ports.http = {{ port = 8080, publish = {} }}", subject.free_port()));
    }
    if honours(Field::PortsUdp) {
        ports.push("ports.http = 8080\nports.dns = { port = 5353, protocol = \"udp\" }".to_owned());
    }
    for port in ports {
        stage.app("cache", Body::Web(2), &[port]);
        stage.converge().await;
    }
    // The binding goes, and what it was bound to with it.
    stage.apps["web"].pop();
    stage.remove("cache");
    stage.converge().await;
}
