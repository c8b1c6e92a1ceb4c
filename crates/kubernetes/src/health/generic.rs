//! Every other kind: what many controllers say in the same way; and a few kinds that say little.

use serde::Deserialize;

use super::object::{Object, condition, holds, said};
use super::verdict::Verdict;

/// What is said of any object that tells by the usual words how it is. `None` where that depends on its kind.
pub(super) fn at_once(object: &Object) -> Option<Verdict> {
    if object.metadata.deletion_timestamp.is_some() {
        let finalizers = object.metadata.finalizers.join(", ");
        return Some(Verdict::progressing(match finalizers.as_str() {
            "" => "it is being deleted".to_owned(),
            names => format!("it is being deleted, which waits for {names}"),
        }));
    }
    if !object.is_observed() {
        return Some(Verdict::unobserved());
    }
    let conditions = object.conditions();
    if let Some(stalled) = holds(&conditions, "Stalled") {
        return Some(Verdict::failed(said(stalled)));
    }
    holds(&conditions, "Reconciling").map(|reconciling| Verdict::running(said(reconciling)))
}

/// By the condition `Ready`, where there is one.
pub(super) fn judge(object: &Object) -> Verdict {
    let conditions = object.conditions();
    match condition(&conditions, "Ready") {
        None => Verdict::healthy(),
        Some(ready) if ready.status == "True" => Verdict::healthy(),
        Some(ready) => Verdict::progressing(match said(ready).as_str() {
            "" => "it is not ready yet".to_owned(),
            why => why.to_owned(),
        }),
    }
}

/// CustomResourceDefinitions: whether their names are free, and are served.
pub(super) fn judge_definition(object: &Object) -> Verdict {
    let conditions = object.conditions();
    let refuses = |kind: &str| condition(&conditions, kind).filter(|condition| condition.status == "False");
    if let Some(taken) = refuses("NamesAccepted") {
        return Verdict::failed(said(taken));
    }
    match (refuses("Established").filter(|no| no.reason != "Installing"), holds(&conditions, "Established")) {
        (Some(no), _) => Verdict::failed(said(no)),
        (None, Some(_)) => Verdict::healthy(),
        (None, None) => Verdict::progressing("it is not served yet"),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Phase {
    phase: String,
}

/// Namespaces: usable until they are being deleted.
pub(super) fn judge_namespace(object: &Object) -> Verdict {
    if object.status::<Phase>().phase != "Terminating" && object.metadata.deletion_timestamp.is_none() {
        return Verdict::healthy();
    }
    let conditions = object.conditions();
    let stuck = conditions.iter().find(|condition| condition.status == "True" && !condition.message.is_empty());
    Verdict::progressing(match stuck {
        Some(stuck) => format!("it is being deleted: {}", said(stuck)),
        None => "it is being deleted".to_owned(),
    })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Budget {
    current_healthy: i64,
    desired_healthy: i64,
}

/// PodDisruptionBudgets: they are there; what they count is the workload's to say.
pub(super) fn judge_budget(object: &Object) -> Verdict {
    let Budget { current_healthy: is, desired_healthy: wanted } = object.status();
    match is < wanted {
        true => Verdict::healthy_but(format!("{is} of the {wanted} pods that it keeps are healthy: no node can be emptied")),
        false => Verdict::healthy(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stratos_engine::health::Status;

    use super::*;

    fn with(conditions: &Value) -> Object {
        serde_json::from_value(json!({ "status": { "conditions": conditions } })).unwrap()
    }

    #[test]
    fn what_says_nothing_is_healthy() {
        assert_eq!(at_once(&Object::default()), None);
        assert_eq!(judge(&Object::default()), Verdict::healthy());
        assert_eq!(judge(&serde_json::from_value(json!({ "spec": null, "status": "odd" })).unwrap()), Verdict::healthy());
    }

    #[test]
    fn the_usual_words_are_understood() {
        let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"] } });
        let deleted = at_once(&serde_json::from_value(deleted).unwrap()).unwrap();
        assert_eq!(deleted, Verdict::progressing("it is being deleted, which waits for a/b"));
        let unseen = json!({ "metadata": { "generation": 3 }, "status": { "observedGeneration": 2 } });
        assert_eq!(at_once(&serde_json::from_value(unseen).unwrap()), Some(Verdict::unobserved()));
        let stalled = with(&json!([{ "type": "Stalled", "status": "True", "message": "no such chart." }]));
        assert_eq!(at_once(&stalled), Some(Verdict::failed("no such chart")));
        let busy = with(&json!([{ "type": "Reconciling", "status": "True", "reason": "Busy" }]));
        assert_eq!(at_once(&busy), Some(Verdict::running("Busy")));
        for (status, word) in [("True", Status::Healthy), ("False", Status::Progressing), ("Unknown", Status::Progressing)] {
            assert_eq!(judge(&with(&json!([{ "type": "Ready", "status": status }]))).status, word);
        }
    }

    #[test]
    fn a_definition_is_served_or_its_name_is_taken() {
        let of = |kind: &str, status: &str, reason: &str| {
            judge_definition(&with(&json!([{ "type": kind, "status": status, "reason": reason, "message": "so" }]))).status
        };
        assert_eq!(judge_definition(&Object::default()).status, Status::Progressing);
        assert_eq!(of("NamesAccepted", "False", "Conflict"), Status::Failed);
        assert_eq!(of("Established", "False", "Installing"), Status::Progressing);
        assert_eq!(of("Established", "False", "NotAccepted"), Status::Failed);
        assert_eq!(of("Established", "True", "InitialNamesAccepted"), Status::Healthy);
    }

    #[test]
    fn a_namespace_that_goes_says_what_keeps_it() {
        assert_eq!(judge_namespace(&Object::default()), Verdict::healthy());
        let going = json!({ "status": { "phase": "Terminating", "conditions": [
            { "type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All resources successfully discovered" },
            { "type": "NamespaceFinalizersRemaining", "status": "True", "message": "a/b in 1 resource instances" },
        ] } });
        let going = judge_namespace(&serde_json::from_value(going).unwrap());
        assert_eq!(going, Verdict::progressing("it is being deleted: a/b in 1 resource instances"));
    }

    #[test]
    fn a_budget_is_healthy_and_may_have_something_to_say() {
        assert_eq!(judge_budget(&Object::default()), Verdict::healthy());
        let short = serde_json::from_value(json!({ "status": { "currentHealthy": 1, "desiredHealthy": 2 } })).unwrap();
        assert_eq!(judge_budget(&short).status, Status::Healthy);
    }
}
