//! Once is as good as twice: killed at any call of an apply and run again, the end is the same.
//!
//! A life is an environment that is created, updated, replaced and destroyed, one apply for each. It is lived once for each number of a
//! call, and each of its applies is killed at its call of that number.
//!
//! On a real server an apply that is killed after call 3 leaves the same state as one that is killed before call 4: the process is
//! gone in both. So a real server is asked for each call once, before it takes effect, and once after the last call of each apply; the
//! memory platform, which costs nothing, for both at each call.

use futures::future::join_all;

use super::stage::{Stage, brief, note};
use super::{Crash, Subject, When};
use crate::deploy::Policy;
use crate::platform::{Field, Support};

/// No apply of a life makes more calls than this.
const MAX_CALLS: usize = 400;
/// So many lives are lived at the same time: on a real server each of them mostly waits.
const CONCURRENCY: usize = 6;
/// How many applies a life has.
const APPLIES: usize = 4;

/// The number of the call at which each apply is killed.
type Calls = [usize; APPLIES];

/// Lives a life for each call, and kills each apply at that call.
pub async fn a_life_killed_at_each_call<S: Subject>(_: &S) {
    let calls = lives::<S>(When::Before).await;
    if S::KILLED_AFTER_EACH_CALL {
        lives::<S>(When::After).await;
        note::<S>(format!("killed before and after each of {calls:?} calls"));
        return;
    }
    after_the_last::<S>(calls).await;
    note::<S>(format!("killed before each of {calls:?} calls, and after the last ones"));
}

/// Several lives at a time, until no apply gets to the next call. Returns how many calls each apply makes.
async fn lives<S: Subject>(when: When) -> Calls {
    let mut calls: Calls = [0; APPLIES];
    for first in (0..MAX_CALLS).step_by(CONCURRENCY) {
        let together = first..first + CONCURRENCY;
        let ends = join_all(together.map(|call| async move { (call, life::<S>([call; APPLIES], when).await) })).await;
        for (call, crashes) in &ends {
            let killed = calls.iter_mut().zip(crashes).filter(|(_, crash)| **crash == Crash::Crashed);
            killed.for_each(|(calls, _)| *calls = call + 1);
        }
        if ends.iter().any(|(_, crashes)| crashes.iter().all(|crash| *crash == Crash::Finished)) {
            assert!(calls.iter().all(|calls| *calls > 0), "an apply that makes no call: {calls:?}");
            return calls;
        }
    }
    panic!("an apply of this size makes fewer than {MAX_CALLS} calls");
}

/// One more life, whose applies are killed after their last calls. How many an apply makes may differ by those that are tried again:
/// an apply that made fewer is killed after the one before.
async fn after_the_last<S: Subject>(calls: Calls) {
    let mut last = calls.map(|calls| calls - 1);
    while life::<S>(last, When::After).await.contains(&Crash::Finished) {
        last = last.map(|call| call.checked_sub(1).expect("an apply is killed after its last call"));
    }
}

async fn life<S: Subject>(calls: Calls, when: When) -> [Crash; APPLIES] {
    let subject = S::fresh().await;
    let mut stage = Stage::new(&subject);
    let edits: [fn(&mut Stage<'_, S>); APPLIES] = [the_creation, the_update, the_replacement, the_destruction];
    let mut crashes = [Crash::Finished; APPLIES];
    for ((edit, call), crash) in edits.into_iter().zip(calls).zip(&mut crashes) {
        edit(&mut stage);
        *crash = killed_at(&stage, call, when).await;
    }
    subject.clean_up().await;
    crashes
}

/// Applies what is declared, is killed at a call, and plans and applies again.
async fn killed_at<S: Subject>(stage: &Stage<'_, S>, call: usize, when: When) -> Crash {
    let plan = stage.plan().await;
    let crash = stage.subject.apply_and_crash(&plan, &stage.known_values(), call, when).await;
    let again = stage.plan().await;
    if crash == Crash::Finished {
        assert!(again.is_empty(), "not finished: {:#?}", brief(&again));
    }
    assert!(again.held.is_empty(), "after a crash at call {call} ({when:?}) something is held: {:#?}", brief(&again));
    stage.apply_well(&again).await;
    let end = stage.expect_nothing().await;
    // Nothing lost, nothing made twice: what is there is what is declared.
    assert_eq!(end.coverage.observed, end.coverage.unchanged, "after a crash at call {call} ({when:?})");
    crash
}

/// Two apps that need one another, with everything that an app can have, and a third.
fn the_creation<S: Subject>(stage: &mut Stage<'_, S>) {
    stage.web("cache", 1).web("web", 1).web("old", 1);
    let lines = [
        (Field::Bind, "bind.cache = {}"),
        (Field::Files, "files.\"/etc/web/app.conf\" = { content = \"one\" }"),
        (Field::Volumes, "volumes.data = { path = \"/var/lib/web\" }"),
    ];
    for (field, line) in lines {
        stage.add_where_supported("web", field, line);
    }
    stage.secrets.insert("password".into(), Some("s3cr3t".into()));
    stage.add("web", &["env.PASSWORD = \"{{ secrets.password }}\""]);
}

/// Both are updated, the file is exchanged, an app is added and one removed.
fn the_update<S: Subject>(stage: &mut Stage<'_, S>) {
    stage.remove("old").web("frontend", 1).web("cache", 2);
    if let Some(line) = stage.apps["web"].iter_mut().find(|line| line.starts_with("files.")) {
        *line = line.replace("one", "two");
    }
    stage.add("web", &["env.LATER = \"yes\""]);
}

/// Another published port and a rename force a replacement on most platforms. What refers to the app follows.
fn the_replacement<S: Subject>(stage: &mut Stage<'_, S>) {
    let publish = matches!(stage.subject.support(Field::PortsPublish), Support::Full | Support::Adapted(_));
    let udp = matches!(stage.subject.support(Field::PortsUdp), Support::Full | Support::Adapted(_));
    let mut ports = vec!["ports.http = 8080".to_owned()];
    if publish {
        ports = vec![format!("ports.http = {{ port = 8080, publish = {} }}", stage.subject.free_port())];
    }
    if udp {
        ports.push("ports.dns = { port = 5353, protocol = \"udp\" }".to_owned());
    }
    stage.app("cache", super::Body::Web(1), &ports);
    let frontend = stage.apps["frontend"].clone();
    stage.remove("frontend");
    stage.apps.insert("shop".into(), frontend);
    stage.moved.push(("apps.frontend".into(), "apps.shop".into()));
}

/// Everything goes, volumes and what the environment itself needed included.
fn the_destruction<S: Subject>(stage: &mut Stage<'_, S>) {
    stage.policy = Policy { destroy: true, delete_data: true, ..Policy::default() };
}
