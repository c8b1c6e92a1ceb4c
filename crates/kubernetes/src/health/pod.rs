//! One pod: what it says of itself.

use std::time::Duration;

use jiff::Timestamp;
use stratos_engine::health::Status;

use super::container::{self, Log, Trouble};
use super::watched::Watched;
use super::words;
use crate::pods::{ContainerStatus, Pod};

/// A container that crashed before counts once it has run for so long: one without a probe is ready the moment it starts.
const STAYS: Duration = Duration::from_secs(10);

/// How a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: Status,
    pub(super) message: String,
    /// Where lines that tell more are.
    pub(super) log: Option<Log>,
    /// Nothing in the pod says why: its events may.
    pub(super) is_vague: bool,
}

impl Seen {
    fn healthy() -> Self {
        Self { status: Status::Healthy, message: String::new(), log: None, is_vague: false }
    }

    fn vague(message: impl Into<String>) -> Self {
        Self { status: Status::Progressing, message: message.into(), log: None, is_vague: true }
    }
}

impl From<Trouble> for Seen {
    fn from(trouble: Trouble) -> Self {
        let Trouble { status, message, log } = trouble;
        Self { status, message, log, is_vague: false }
    }
}

pub(super) fn look(pod: &Pod, watched: &Watched) -> Seen {
    if pod.metadata.deletion_timestamp.is_some() {
        return Seen { is_vague: false, ..Seen::vague("it is being ended") };
    }
    let goes_on = !pod.has_ended() && pod.spec.restart_policy != "Never";
    let trouble = troubles(pod, goes_on);
    match pod.status.phase.as_str() {
        "Succeeded" => return Seen::healthy(),
        "Failed" => {
            let of_pod = Trouble { status: Status::Failed, message: ended_by_the_cluster(pod), log: None };
            let trouble = trouble.filter(|_| pod.status.reason.is_empty()).unwrap_or(of_pod);
            return Seen { status: Status::Failed, ..trouble.into() };
        }
        _ => {}
    }
    if let Some(trouble) = trouble {
        return trouble.into();
    }
    if let Some(no) = pod.condition("PodScheduled").filter(|scheduled| scheduled.status == "False") {
        return Seen { is_vague: false, ..Seen::vague(format!("no node takes it: {}", words::cause(&no.message))) };
    }
    if !pod.is_ready() {
        return not_ready(pod);
    }
    match pod.status.container_statuses.iter().find(|status| !has_stayed(status, watched)) {
        Some(status) => {
            let last = status.last_state.terminated.as_ref().map(|last| container::end(status, last)).unwrap_or_default();
            Seen { is_vague: false, ..Seen::vague(format!("{last}; it runs again, and is watched for a moment")) }
        }
        None => Seen::healthy(),
    }
}

/// The first container that does not work: those that come before the others first.
fn troubles(pod: &Pod, goes_on: bool) -> Option<Trouble> {
    let before = pod.status.init_container_statuses.iter().filter_map(|status| {
        // One that has done its work is not started again, unless it is to run beside the others.
        let done = status.state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0);
        let again = goes_on && (!done || pod.is_sidecar(&status.name));
        container::trouble(status, again)
    });
    let all: Vec<Trouble> = before.chain(pod.status.container_statuses.iter().filter_map(|s| container::trouble(s, goes_on))).collect();
    let failed = all.iter().position(|trouble| trouble.status == Status::Failed);
    all.into_iter().nth(failed.unwrap_or(0))
}

fn not_ready(pod: &Pod) -> Seen {
    let unready: Option<&ContainerStatus> =
        pod.status.container_statuses.iter().find(|status| status.state.running.is_some() && !status.ready);
    let Some(status) = unready else {
        let said = pod.condition("Ready").map(|ready| words::cause(&ready.message)).unwrap_or_default();
        let gates = said.contains("readiness gate");
        return Seen::vague(if gates { said } else { "it is starting".to_owned() });
    };
    let log = Some(Log { container: status.name.clone(), previous: false, ended: None });
    let message = match &status.last_state.terminated {
        Some(last) => format!("{}; it runs again, and is not ready yet", container::end(status, last)),
        None => "it runs, and is not ready yet".to_owned(),
    };
    Seen { log, ..Seen::vague(message) }
}

fn ended_by_the_cluster(pod: &Pod) -> String {
    match (pod.status.reason.as_str(), words::cause(&pod.status.message)) {
        ("", said) if said.is_empty() => "it failed".to_owned(),
        ("", said) => said,
        (reason, said) => format!("the cluster ended it ({reason}): {said}"),
    }
}

/// By the time that its node wrote down, or by what we saw ourselves: the two clocks need not agree.
fn has_stayed(status: &ContainerStatus, watched: &Watched) -> bool {
    let crashed = status.last_state.terminated.is_some() && status.restart_count > 0;
    let Some(running) = status.state.running.as_ref().filter(|_| crashed) else { return true };
    let started: Option<Timestamp> = running.started_at.as_ref().and_then(|time| time.parse().ok());
    let age = started.and_then(|started| Duration::try_from(Timestamp::now().duration_since(started)).ok());
    watched.seen_for(&status.container_id) >= STAYS || age.is_some_and(|age| age >= STAYS)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn see(spec: &Value, status: &Value) -> Seen {
        look(&serde_json::from_value(json!({ "spec": spec, "status": status })).unwrap(), &Watched::default())
    }

    fn ready(containers: &Value) -> Value {
        json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }], "containerStatuses": containers })
    }

    #[test]
    fn one_that_is_ready_has_nothing_to_say() {
        assert_eq!(see(&json!({}), &ready(&json!([]))), Seen::healthy());
        assert_eq!(see(&json!({}), &json!({ "phase": "Succeeded" })), Seen::healthy());
    }

    #[test]
    fn one_that_finds_no_node_says_what_the_scheduler_says() {
        let scheduled = json!([{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu." }]);
        let seen = see(&json!({}), &json!({ "phase": "Pending", "conditions": scheduled }));
        assert_eq!(
            (seen.status, seen.message.as_str()),
            (Status::Progressing, "no node takes it: 0/1 nodes are available: 1 Insufficient cpu.")
        );
    }

    #[test]
    fn what_runs_and_is_not_ready_may_say_more_in_its_events_and_its_log() {
        let containers = json!([{ "name": "web", "state": { "running": {} } }]);
        let seen = see(&json!({}), &json!({ "phase": "Running", "containerStatuses": containers }));
        assert!(seen.is_vague && seen.log.is_some(), "{seen:?}");
        let seen = see(&json!({}), &json!({ "phase": "Pending" }));
        assert_eq!(seen, Seen::vague("it is starting"));
    }

    #[test]
    fn an_init_container_comes_first_and_a_failure_before_everything() {
        let bad = json!({ "name": "init", "state": { "waiting": { "reason": "CrashLoopBackOff" } }, "lastState": { "terminated": { "exitCode": 4 } } });
        let waits = json!({ "name": "web", "state": { "waiting": { "reason": "PodInitializing" } } });
        let seen = see(&json!({}), &json!({ "phase": "Pending", "initContainerStatuses": [bad], "containerStatuses": [waits] }));
        assert_eq!(seen.status, Status::Failed);
        assert!(seen.message.starts_with("the container init ended with exit code 4"), "{}", seen.message);
        let done = json!({ "name": "init", "state": { "terminated": { "exitCode": 0 } } });
        let seen = see(&json!({}), &json!({ "phase": "Pending", "initContainerStatuses": [done], "containerStatuses": [waits] }));
        assert_eq!(seen, Seen::vague("it is starting"));
    }

    #[test]
    fn one_that_the_cluster_ended_says_why() {
        let seen = see(&json!({}), &json!({ "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory." }));
        assert_eq!(
            (seen.status, seen.message.as_str()),
            (Status::Failed, "the cluster ended it (Evicted): The node was low on resource: memory.")
        );
    }

    #[test]
    fn one_that_has_just_crashed_is_watched_for_a_moment() {
        let container = |started: &str| {
            json!([{ "name": "web", "ready": true, "restartCount": 1, "containerID": "c", "state": { "running": { "startedAt": started } },
                "lastState": { "terminated": { "exitCode": 3 } } }])
        };
        let now = Timestamp::now().to_string();
        let seen = see(&json!({}), &ready(&container(&now)));
        assert_eq!(seen.message, "the container web ended with exit code 3; it runs again, and is watched for a moment");
        assert_eq!(see(&json!({}), &ready(&container("2020-01-01T00:00:00Z"))), Seen::healthy());
    }
}
