//! DaemonSets (one pod for each node) and ReplicaSets.

use serde::Deserialize;

use super::object::Object;
use super::verdict::Verdict;
use crate::pods::Condition;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    update_strategy: Strategy,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Strategy {
    r#type: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DaemonStatus {
    desired_number_scheduled: i64,
    current_number_scheduled: i64,
    updated_number_scheduled: i64,
    number_available: i64,
    number_ready: i64,
}

pub(super) fn judge(object: &Object) -> Verdict {
    if !object.was_looked_at() || !object.is_observed() {
        return Verdict::unobserved();
    }
    let status = object.status::<DaemonStatus>();
    let by_hand = object.spec::<Spec>().update_strategy.r#type == "OnDelete";
    let wanted = status.desired_number_scheduled;
    let updated = if by_hand { wanted } else { status.updated_number_scheduled };
    let available = status.number_available.min(status.number_ready);
    if status.current_number_scheduled < wanted {
        Verdict::running(format!("{} of {wanted} nodes have one", status.current_number_scheduled))
    } else if updated < wanted {
        Verdict::running(format!("{updated} of {wanted} are of the new version"))
    } else if available < wanted {
        // Nothing tells whether it has worked before: a node that is away must not end a roll-out.
        Verdict::running(format!("{available} of {wanted} are available"))
    } else {
        Verdict::healthy()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SetSpec {
    replicas: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SetStatus {
    replicas: i64,
    ready_replicas: i64,
    available_replicas: i64,
    fully_labeled_replicas: i64,
    conditions: Vec<Condition>,
}

/// A ReplicaSet of its own. It never renews its pods.
pub(super) fn judge_replica_set(object: &Object) -> Verdict {
    if !object.was_looked_at() || !object.is_observed() {
        return Verdict::unobserved();
    }
    let (spec, status) = (object.spec::<SetSpec>(), object.status::<SetStatus>());
    let wanted = spec.replicas.unwrap_or(1);
    let available = status.available_replicas.min(status.ready_replicas).min(status.fully_labeled_replicas);
    if let Some(failure) = super::object::holds(&status.conditions, "ReplicaFailure") {
        Verdict::progressing(super::object::said(failure))
    } else if status.replicas > wanted {
        Verdict::progressing(format!("{} more than wanted are still there", status.replicas - wanted))
    } else if available >= wanted {
        Verdict::healthy()
    } else if available > 0 {
        Verdict::degraded(format!("{available} of {wanted} are available"))
    } else {
        Verdict::progressing(format!("{available} of {wanted} are available"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stratos_engine::health::Status;

    use super::*;

    fn object(spec: &Value, status: &Value) -> Object {
        let mut status = status.clone();
        status["observedGeneration"] = json!(1);
        serde_json::from_value(json!({ "metadata": { "generation": 1 }, "spec": spec, "status": status })).unwrap()
    }

    fn daemons(wanted: i64, current: i64, updated: i64, available: i64) -> Value {
        json!({
            "desiredNumberScheduled": wanted, "currentNumberScheduled": current, "updatedNumberScheduled": updated,
            "numberAvailable": available, "numberReady": available,
        })
    }

    #[test]
    fn no_nodes_are_enough_nodes() {
        assert_eq!(judge(&object(&json!({}), &daemons(0, 0, 0, 0))), Verdict::healthy());
        assert_eq!(judge(&Object::default()), Verdict::unobserved());
    }

    #[test]
    fn every_node_has_a_new_one_that_is_available() {
        for (status, says) in [
            (daemons(3, 2, 2, 2), "2 of 3 nodes have one"),
            (daemons(3, 3, 1, 3), "1 of 3 are of the new version"),
            (daemons(3, 3, 3, 2), "2 of 3 are available"),
        ] {
            assert_eq!(judge(&object(&json!({}), &status)), Verdict::running(says));
        }
        assert_eq!(judge(&object(&json!({}), &daemons(3, 3, 3, 3))), Verdict::healthy());
        let by_hand = json!({ "updateStrategy": { "type": "OnDelete" } });
        assert_eq!(judge(&object(&by_hand, &daemons(3, 3, 0, 3))), Verdict::healthy());
    }

    #[test]
    fn a_replica_set_has_what_it_wants_or_says_why_not() {
        let status = |replicas: i64, available: i64| json!({ "replicas": replicas, "readyReplicas": available, "availableReplicas": available, "fullyLabeledReplicas": replicas });
        let two = json!({ "replicas": 2 });
        let word = |status: &Value| judge_replica_set(&object(&two, status)).status;
        assert_eq!(word(&status(2, 2)), Status::Healthy);
        assert_eq!(word(&status(2, 1)), Status::Degraded);
        assert_eq!(word(&status(2, 0)), Status::Progressing);
        assert_eq!(word(&status(3, 2)), Status::Progressing);
        let mut failing = status(0, 0);
        failing["conditions"] = json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q" }]);
        assert_eq!(judge_replica_set(&object(&two, &failing)).message, "exceeded quota: q");
    }
}
