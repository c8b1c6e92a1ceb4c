//! Deployments: the controller counts, and says when it gives up.

use serde::Deserialize;
use stratos_engine::health::{RolloutState, Status};

use super::object::{Object, condition, holds, said};
use super::verdict::Verdict;
use crate::pods::Condition;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    replicas: Option<i64>,
    paused: bool,
    progress_deadline_seconds: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DeploymentStatus {
    replicas: i64,
    updated_replicas: i64,
    ready_replicas: i64,
    available_replicas: i64,
    conditions: Vec<Condition>,
}

/// How the API writes that nothing is ever given up.
const NO_DEADLINE: i64 = i32::MAX as i64;

pub(super) fn judge(object: &Object) -> Verdict {
    if !object.was_looked_at() || !object.is_observed() {
        return Verdict::unobserved();
    }
    let (spec, status) = (object.spec::<Spec>(), object.status::<DeploymentStatus>());
    let wanted = spec.replicas.unwrap_or(1);
    let progress = condition(&status.conditions, "Progressing");
    if let Some(progress) = progress.filter(|progress| progress.reason == "ProgressDeadlineExceeded") {
        return Verdict::given_up(said(progress));
    }
    let DeploymentStatus { replicas, updated_replicas: updated, ready_replicas: ready, available_replicas: available, .. } = status;
    if spec.paused {
        let why = "its roll-outs are paused (`spec.paused`)";
        return match updated < wanted || replicas > updated {
            // Nobody goes on with it.
            true => Verdict { rollout: RolloutState::Paused { why: why.to_owned() }, ..Verdict::progressing(why) },
            false if available < wanted => Verdict::degraded(format!("{why}; {available} of {wanted} are available")),
            false => Verdict::healthy_but(why),
        };
    }
    if updated < wanted {
        return Verdict::running(format!("{updated} of {wanted} are of the new version"));
    }
    if replicas > updated {
        return Verdict::running(format!("{} of the version before are still there", replicas - updated));
    }
    let went_through = progress.is_none_or(|progress| progress.reason == "NewReplicaSetAvailable");
    let short = format!("{available} of {wanted} are available");
    match (available < wanted || ready < wanted, went_through) {
        (true, false) => return Verdict::running(short),
        // It worked once: what is missing now has nothing to do with a roll-out.
        (true, true) if available > 0 => return Verdict::degraded(short),
        (true, true) => return Verdict::progressing(short),
        (false, _) => {}
    }
    let has_deadline = spec.progress_deadline_seconds.is_some_and(|seconds| seconds != NO_DEADLINE);
    if has_deadline && (progress.is_none() || !went_through) {
        return Verdict::running(format!("{short}, and the roll-out is not over yet"));
    }
    match holds(&status.conditions, "Available") {
        Some(_) => Verdict::healthy(),
        None if wanted == 0 => Verdict::healthy(),
        None => Verdict { status: Status::Progressing, ..Verdict::running(short) },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(spec: &Value, status: &Value) -> Object {
        serde_json::from_value(json!({ "metadata": { "generation": 2 }, "spec": spec, "status": status })).unwrap()
    }

    fn status(replicas: i64, updated: i64, available: i64, reason: &str) -> Value {
        json!({
            "observedGeneration": 2, "replicas": replicas, "updatedReplicas": updated, "readyReplicas": available,
            "availableReplicas": available,
            "conditions": [
                { "type": "Available", "status": if available > 0 { "True" } else { "False" } },
                { "type": "Progressing", "status": "True", "reason": reason, "message": "ReplicaSet \"web-1\" has timed out progressing." },
            ],
        })
    }

    fn two() -> Value {
        json!({ "replicas": 2, "progressDeadlineSeconds": 60 })
    }

    fn verdict(spec: &Value, status: &Value) -> (Status, String, RolloutState) {
        let Verdict { status, message, rollout } = judge(&deployment(spec, status));
        (status, message, rollout)
    }

    #[test]
    fn one_that_nobody_has_looked_at_is_being_rolled_out() {
        assert_eq!(judge(&deployment(&two(), &json!({}))), Verdict::unobserved());
        assert_eq!(judge(&deployment(&two(), &json!({ "observedGeneration": 1 }))), Verdict::unobserved());
    }

    #[test]
    fn it_is_healthy_when_all_are_new_and_available() {
        assert_eq!(judge(&deployment(&two(), &status(2, 2, 2, "NewReplicaSetAvailable"))), Verdict::healthy());
        let none = judge(&deployment(&json!({ "replicas": 0 }), &json!({ "observedGeneration": 2 })));
        assert_eq!(none, Verdict::healthy());
    }

    #[test]
    fn a_roll_out_runs_until_the_last_old_one_is_gone_and_all_new_ones_are_available() {
        for (replicas, updated, available, says) in [
            (3, 1, 2, "1 of 2 are of the new version"),
            (3, 2, 3, "1 of the version before are still there"),
            (2, 2, 1, "1 of 2 are available"),
            (2, 2, 2, "2 of 2 are available, and the roll-out is not over yet"),
        ] {
            let found = verdict(&two(), &status(replicas, updated, available, "ReplicaSetUpdated"));
            assert_eq!(found, (Status::Progressing, says.to_owned(), RolloutState::Running));
        }
    }

    #[test]
    fn what_loses_an_instance_later_is_degraded() {
        let found = verdict(&two(), &status(2, 2, 1, "NewReplicaSetAvailable"));
        assert_eq!(found, (Status::Degraded, "1 of 2 are available".to_owned(), RolloutState::Done));
        assert_eq!(verdict(&two(), &status(2, 2, 0, "NewReplicaSetAvailable")).0, Status::Progressing);
    }

    #[test]
    fn a_deadline_that_is_over_ends_it() {
        let why = "ReplicaSet \"web-1\" has timed out progressing";
        let found = judge(&deployment(&two(), &status(3, 1, 2, "ProgressDeadlineExceeded")));
        assert_eq!(found, Verdict::given_up(why));
    }

    #[test]
    fn a_paused_one_says_so() {
        let paused = json!({ "replicas": 2, "paused": true });
        let (found, message, rollout) = verdict(&paused, &status(2, 2, 2, "DeploymentPaused"));
        assert_eq!((found, rollout), (Status::Healthy, RolloutState::Done));
        assert!(message.contains("paused"));
        assert!(matches!(verdict(&paused, &status(2, 0, 2, "DeploymentPaused")).2, RolloutState::Paused { .. }));
    }
}
