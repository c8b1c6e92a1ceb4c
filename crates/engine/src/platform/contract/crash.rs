//! Once is as good as twice: killed at any call of an apply and run again, the end is the same.
//!
//! Each case runs the same apply once for each of its calls, in an environment of its own, and kills it at that call. On a
//! real server an apply that is killed after call 3 leaves the same state as one that is killed before call 4: the process is
//! gone in both. So a real server is asked for each call once, before it takes effect, and once after the last call; the
//! memory platform, which costs nothing, for both at each call.

use futures::future::join_all;

use super::stage::{Stage, brief, note};
use super::{Crash, Subject, When};
use crate::deploy::Policy;
use crate::platform::{Field, Support};

/// No apply of these cases makes more calls than this.
const MAX_CALLS: usize = 400;
/// Environments that are set up and killed at the same time: on a real server each of them mostly waits.
const CONCURRENCY: usize = 4;

type Edit<S> = fn(&mut Stage<'_, S>);

/// Kills the apply of the edit `change` at each of its calls in turn, each time in an environment that holds the same, and
/// then plans and applies again.
async fn at_each_call<S: Subject>(start: Edit<S>, change: Edit<S>) {
    let calls = killed_at_each(When::Before, start, change).await;
    if S::KILLED_AFTER_EACH_CALL {
        killed_at_each(When::After, start, change).await;
        note::<S>(format!("killed before and after each of {calls} calls"));
        return;
    }
    // How many calls an apply makes may differ by those that are tried again.
    for call in (0..calls).rev() {
        if killed_at(call, When::After, start, change).await == Crash::Crashed {
            note::<S>(format!("killed before each of {calls} calls, and after number {call}"));
            return;
        }
    }
    panic!("no apply was killed after its last call");
}

/// Kills one apply for each call, several at a time. Returns the number of calls: no apply got to the next one.
async fn killed_at_each<S: Subject>(when: When, start: Edit<S>, change: Edit<S>) -> usize {
    for first in (0..MAX_CALLS).step_by(CONCURRENCY) {
        let together = first..first + CONCURRENCY;
        let crashes = join_all(together.map(|call| killed_at(call, when, start, change))).await;
        if let Some(finished) = crashes.iter().position(|crash| *crash == Crash::Finished) {
            assert!(first + finished > 0, "an apply that makes no call");
            return first + finished;
        }
    }
    panic!("an apply of this size makes fewer than {MAX_CALLS} calls");
}

async fn killed_at<S: Subject>(call: usize, when: When, start: Edit<S>, change: Edit<S>) -> Crash {
    let subject = S::fresh().await;
    let crash = one(&subject, call, when, start, change).await;
    subject.clean_up().await;
    crash
}

async fn one<S: Subject>(subject: &S, call: usize, when: When, start: Edit<S>, change: Edit<S>) -> Crash {
    let mut stage = Stage::new(subject);
    start(&mut stage);
    if !stage.apps.is_empty() {
        stage.converge().await;
    }
    change(&mut stage);
    let plan = stage.plan().await;
    let crash = subject.apply_and_crash(&plan, &stage.known_values(), call, when).await;
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

/// Two apps that need one another, with everything that an app can have.
fn two_apps<S: Subject>(stage: &mut Stage<'_, S>) {
    stage.web("cache", 1).web("web", 1);
    let lines = [
        (Field::Bind, "bind.cache = {}"),
        (Field::Files, "files.\"/etc/web/app.conf\" = { content = \"one\" }"),
        (Field::Volumes, "volumes.data = { path = \"/var/lib/web\" }"),
    ];
    for (field, line) in lines {
        stage.add_where_supported("web", field, line);
    }
}

fn nothing<S: Subject>(_: &mut Stage<'_, S>) {}

/// An update of both, the file exchanged, an app added and one removed.
fn before_the_update<S: Subject>(stage: &mut Stage<'_, S>) {
    two_apps(stage);
    stage.secrets.insert("password".into(), Some("s3cr3t".into()));
    stage.add("web", &["env.PASSWORD = \"{{ secrets.password }}\""]);
    stage.web("old", 1);
}

fn the_update<S: Subject>(stage: &mut Stage<'_, S>) {
    stage.remove("old").web("new", 1).web("cache", 2);
    if let Some(line) = stage.apps["web"].iter_mut().find(|line| line.starts_with("files.")) {
        *line = line.replace("one", "two");
    }
    stage.add("web", &["env.LATER = \"yes\""]);
}

/// What forces a replacement on most platforms: another published port, and a rename.
fn before_the_replacement<S: Subject>(stage: &mut Stage<'_, S>) {
    stage.web("cache", 1);
    stage.web("web", 1).add_where_supported("web", Field::Bind, "bind.cache = {}");
    stage.web("frontend", 1);
}

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
    stage.app("cache", super::Body::Web(2), &ports);
    let frontend = stage.apps["frontend"].clone();
    stage.remove("frontend");
    stage.apps.insert("shop".into(), frontend);
    stage.moved.push(("apps.frontend".into(), "apps.shop".into()));
}

/// Everything is created.
pub async fn creation_killed_at_each_call<S: Subject>(_: &S) {
    at_each_call::<S>(nothing, two_apps).await;
}

/// Things are updated, created and deleted.
pub async fn update_killed_at_each_call<S: Subject>(_: &S) {
    at_each_call::<S>(before_the_update, the_update).await;
}

/// Things are replaced, and what refers to them follows.
pub async fn replacement_killed_at_each_call<S: Subject>(_: &S) {
    at_each_call::<S>(before_the_replacement, the_replacement).await;
}

/// Everything goes, volumes included.
fn the_destruction<S: Subject>(stage: &mut Stage<'_, S>) {
    stage.policy = Policy { destroy: true, delete_data: true, ..Policy::default() };
}

/// Everything is deleted, and what the environment itself needed is ended.
pub async fn destruction_killed_at_each_call<S: Subject>(_: &S) {
    at_each_call::<S>(two_apps, the_destruction).await;
}
