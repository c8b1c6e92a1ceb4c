//! How a job ended, as the Job and its pod tell.

use serde::Deserialize;
use stratos_engine::platform::jobs::JobEnd;

use super::record::GIVEN_UP;
use crate::health::ended;
use crate::pods::{Condition, Meta, Pod};

/// A Job, as far as we look at it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Live {
    pub(super) metadata: Meta,
    spec: Spec,
    status: JobStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Spec {
    suspend: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct JobStatus {
    conditions: Vec<Condition>,
}

impl Live {
    fn holds(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind && condition.status == "True")
    }

    /// It was made, and what it needs may not be there yet.
    pub(super) fn waits_for_its_start(&self) -> bool {
        self.spec.suspend && !self.metadata.annotations.contains_key(GIVEN_UP) && !self.has_ended()
    }

    /// The cluster has begun to stop it.
    pub(super) fn is_ending(&self) -> bool {
        self.holds("FailureTarget").is_some() || self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.holds("Complete").is_some() || self.holds("Failed").is_some()
    }

    /// How it ended. None while it goes on, or while the pod has not told yet how it ended.
    pub(super) fn end(&self, pod: Option<&Pod>, container: &str) -> Option<JobEnd> {
        if let Some(why) = self.metadata.annotations.get(GIVEN_UP) {
            return Some(JobEnd::Failed { why: why.clone() });
        }
        if self.holds("Complete").is_some() {
            return Some(JobEnd::Exited(0));
        }
        let failed = self.holds("Failed")?;
        if failed.reason == "DeadlineExceeded" {
            return Some(JobEnd::TimedOut);
        }
        Some(
            pod.and_then(|pod| of_pod(pod, container))
                .unwrap_or_else(|| JobEnd::Failed { why: format!("{}: {}", failed.reason, failed.message) }),
        )
    }
}

/// What the pod of a job that failed says.
fn of_pod(pod: &Pod, container: &str) -> Option<JobEnd> {
    if !pod.status.reason.is_empty() {
        return Some(JobEnd::Failed { why: format!("the cluster ended it ({}): {}", pod.status.reason, pod.status.message) });
    }
    let status = pod.container(container)?;
    let Some(terminated) = &status.state.terminated else {
        // Another one failed: one that comes before it.
        let before = pod.status.init_container_statuses.iter();
        let failed = before.filter_map(|status| Some((status, status.state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?)));
        return failed.map(|(status, terminated)| JobEnd::Failed { why: ended(status, terminated) }).next();
    };
    Some(match terminated.reason.as_str() {
        // The program did not end by itself, or never began.
        "OOMKilled" | "StartError" | "ContainerCannotRun" | "ContainerStatusUnknown" => JobEnd::Failed { why: ended(status, terminated) },
        _ => JobEnd::Exited(terminated.exit_code),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn live(suspend: bool, conditions: &Value) -> Live {
        serde_json::from_value(json!({ "spec": { "suspend": suspend }, "status": { "conditions": conditions } })).unwrap()
    }

    fn failed(reason: &str) -> Live {
        live(false, &json!([{ "type": "Failed", "status": "True", "reason": reason, "message": "so" }]))
    }

    fn pod(terminated: &Value) -> Pod {
        serde_json::from_value(json!({ "status": { "containerStatuses": [{ "name": "web", "state": { "terminated": terminated } }] } }))
            .unwrap()
    }

    #[test]
    fn one_that_runs_has_no_end() {
        assert_eq!(live(false, &json!([])).end(None, "web"), None);
        assert!(live(true, &json!([])).waits_for_its_start() && !live(false, &json!([])).waits_for_its_start());
        let target = live(false, &json!([{ "type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded" }]));
        assert!(target.is_ending() && target.end(None, "web").is_none() && !live(false, &json!([])).is_ending());
    }

    #[test]
    fn it_ends_as_its_program_does_or_as_the_cluster_says() {
        assert_eq!(live(false, &json!([{ "type": "Complete", "status": "True" }])).end(None, "web"), Some(JobEnd::Exited(0)));
        assert_eq!(failed("BackoffLimitExceeded").end(Some(&pod(&json!({ "exitCode": 3 }))), "web"), Some(JobEnd::Exited(3)));
        assert_eq!(failed("DeadlineExceeded").end(None, "web"), Some(JobEnd::TimedOut));
        assert_eq!(failed("BackoffLimitExceeded").end(None, "web"), Some(JobEnd::Failed { why: "BackoffLimitExceeded: so".into() }));
        for reason in ["OOMKilled", "StartError"] {
            let end = failed("BackoffLimitExceeded").end(Some(&pod(&json!({ "exitCode": 137, "reason": reason }))), "web");
            assert!(matches!(end, Some(JobEnd::Failed { .. })), "{end:?}");
        }
    }

    #[test]
    fn one_that_was_given_up_stays_given_up() {
        let mut given_up = live(true, &json!([]));
        given_up.metadata.annotations.insert(GIVEN_UP.into(), "no such image".into());
        assert!(!given_up.waits_for_its_start());
        assert_eq!(given_up.end(None, "web"), Some(JobEnd::Failed { why: "no such image".into() }));
    }
}
