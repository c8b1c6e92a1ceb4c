//! StatefulSets: one revision after the other, which takes as long as it takes: there is no deadline.

use serde::Deserialize;

use super::object::Object;
use super::verdict::Verdict;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    replicas: Option<i64>,
    update_strategy: Strategy,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Strategy {
    r#type: String,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RollingUpdate {
    partition: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SetStatus {
    replicas: i64,
    ready_replicas: i64,
    updated_replicas: i64,
    available_replicas: Option<i64>,
    current_revision: String,
    update_revision: String,
}

pub(super) fn judge(object: &Object) -> Verdict {
    if !object.was_looked_at() || !object.is_observed() {
        return Verdict::unobserved();
    }
    let (spec, status) = (object.spec::<Spec>(), object.status::<SetStatus>());
    let wanted = spec.replicas.unwrap_or(1);
    let by_hand = spec.update_strategy.r#type == "OnDelete";
    let partition = spec.update_strategy.rolling_update.and_then(|update| update.partition).unwrap_or(0);
    let SetStatus { replicas, ready_replicas: ready, updated_replicas: updated, .. } = status;
    // Servers before 1.22 do not tell what is available.
    let available = status.available_replicas.unwrap_or(ready).min(ready);
    let same = status.update_revision.is_empty() || status.current_revision == status.update_revision;
    let new = if same { replicas } else { updated };
    let due = (wanted - partition).max(0);
    if !by_hand && new < due.min(wanted) {
        return Verdict::running(format!("{new} of {due} are of the new version"));
    }
    if replicas > wanted {
        return Verdict::running(format!("{} more than wanted are still there", replicas - wanted));
    }
    if available < wanted {
        let short = format!("{available} of {wanted} are available");
        // While revisions differ a roll-out is under way; where they agree, the first one is when nothing has served yet.
        return match same || by_hand {
            true if available > 0 && replicas >= wanted => Verdict::degraded(short),
            _ => Verdict::running(short),
        };
    }
    if !same && by_hand {
        return Verdict::healthy_but(
            "it is of the version before: its pods are renewed when they are deleted (`updateStrategy: OnDelete`)",
        );
    }
    if !same && partition > 0 {
        return Verdict::healthy_but(format!("{updated} of {wanted} are of the new version, as `partition: {partition}` says"));
    }
    // The controller notes at the very end that the new revision is the current one.
    if same { Verdict::healthy() } else { Verdict::running("the roll-out is not over yet") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stratos_engine::health::{RolloutState, Status};

    use super::*;

    fn set(spec: &Value, status: Value) -> Object {
        let mut status = status;
        status["observedGeneration"] = json!(2);
        serde_json::from_value(json!({ "metadata": { "generation": 2 }, "spec": spec, "status": status })).unwrap()
    }

    fn status(replicas: i64, available: i64, updated: i64, current: &str) -> Value {
        json!({
            "replicas": replicas, "readyReplicas": available, "availableReplicas": available, "updatedReplicas": updated,
            "currentRevision": current, "updateRevision": "b",
        })
    }

    #[test]
    fn one_that_nobody_has_looked_at_is_being_rolled_out() {
        let unseen = serde_json::from_value(json!({ "metadata": { "generation": 1 }, "spec": { "replicas": 2 } })).unwrap();
        assert_eq!(judge(&unseen), Verdict::unobserved());
    }

    #[test]
    fn it_is_healthy_when_all_are_of_one_revision_and_available() {
        let two = json!({ "replicas": 2 });
        assert_eq!(judge(&set(&two, status(2, 2, 2, "b"))), Verdict::healthy());
        assert_eq!(judge(&set(&json!({ "replicas": 0 }), status(0, 0, 0, "b"))), Verdict::healthy());
    }

    #[test]
    fn a_roll_out_runs_until_the_revision_is_the_current_one() {
        let two = json!({ "replicas": 2 });
        for (status, says) in [
            (status(2, 2, 1, "a"), "1 of 2 are of the new version"),
            (status(2, 1, 2, "a"), "1 of 2 are available"),
            (status(1, 1, 0, "b"), "1 of 2 are of the new version"),
            (status(2, 0, 2, "b"), "0 of 2 are available"),
            (status(3, 2, 2, "b"), "1 more than wanted are still there"),
            (status(2, 2, 2, "a"), "the roll-out is not over yet"),
        ] {
            assert_eq!(judge(&set(&two, status)), Verdict::running(says));
        }
        assert_eq!(judge(&set(&two, status(2, 1, 2, "b"))).status, Status::Degraded);
    }

    #[test]
    fn a_partition_and_pods_renewed_by_hand_end_it_earlier() {
        let partition = json!({ "replicas": 3, "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 2 } } });
        let found = judge(&set(&partition, status(3, 3, 1, "a")));
        assert_eq!((found.status, found.rollout), (Status::Healthy, RolloutState::Done));
        assert_eq!(found.message, "1 of 3 are of the new version, as `partition: 2` says");
        assert_eq!(judge(&set(&partition, status(3, 3, 0, "a"))).rollout, RolloutState::Running);
        let by_hand = json!({ "replicas": 1, "updateStrategy": { "type": "OnDelete" } });
        let found = judge(&set(&by_hand, status(1, 1, 0, "a")));
        assert_eq!((found.status, found.rollout), (Status::Healthy, RolloutState::Done));
    }
}
