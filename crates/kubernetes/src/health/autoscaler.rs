//! HorizontalPodAutoscalers: conditions say what keeps one from working.

use super::object::{Object, condition, said};
use super::verdict::Verdict;

/// Reasons that pass: the metrics of a pod that has only just begun are not there yet.
const FOR_NOW: [&str; 3] = ["FailedGetResourceMetric", "FailedGetContainerResourceMetric", "SucceededRescale"];

pub(super) fn judge(object: &Object) -> Verdict {
    let conditions = object.conditions();
    for kind in ["AbleToScale", "ScalingActive"] {
        let Some(no) = condition(&conditions, kind).filter(|condition| condition.status == "False") else { continue };
        // Scaled to nothing by hand: it is switched off.
        if no.reason == "ScalingDisabled" {
            return Verdict::healthy_but(said(no));
        }
        return match FOR_NOW.contains(&no.reason.as_str()) {
            true => Verdict::progressing(said(no)),
            false => Verdict::degraded(said(no)),
        };
    }
    match conditions.is_empty() {
        true => Verdict::progressing("nothing has looked at it yet"),
        false => Verdict::healthy(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stratos_engine::health::Status;

    use super::*;

    #[test]
    fn it_works_or_says_why_not() {
        let with = |kind: &str, status: &str, reason: &str| {
            let condition = json!({ "type": kind, "status": status, "reason": reason, "message": "so" });
            judge(&serde_json::from_value(json!({ "status": { "conditions": [condition] } })).unwrap()).status
        };
        assert_eq!(judge(&Object::default()).status, Status::Progressing);
        assert_eq!(with("ScalingActive", "True", "ValidMetricFound"), Status::Healthy);
        assert_eq!(with("ScalingLimited", "True", "TooManyReplicas"), Status::Healthy);
        assert_eq!(with("AbleToScale", "False", "FailedGetScale"), Status::Degraded);
        assert_eq!(with("ScalingActive", "False", "FailedGetResourceMetric"), Status::Progressing);
        assert_eq!(with("ScalingActive", "False", "ScalingDisabled"), Status::Healthy);
    }
}
