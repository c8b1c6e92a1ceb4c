//! Jobs: they are healthy when they have done their work. CronJobs only start them.

use serde::Deserialize;

use super::object::{Object, holds, said};
use super::verdict::Verdict;
use crate::pods::Condition;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    suspend: bool,
    completions: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JobStatus {
    active: i64,
    succeeded: i64,
    failed: i64,
    conditions: Vec<Condition>,
}

pub(super) fn judge(object: &Object) -> Verdict {
    let (spec, status) = (object.spec::<Spec>(), object.status::<JobStatus>());
    if holds(&status.conditions, "Complete").is_some() {
        return Verdict::healthy();
    }
    if let Some(failed) = holds(&status.conditions, "Failed") {
        return Verdict::failed(match failed.reason.as_str() {
            "" => said(failed),
            reason => format!("{reason}: {}", said(failed)),
        });
    }
    if spec.suspend {
        return Verdict::healthy_but("it is suspended (`spec.suspend`)");
    }
    let wanted = spec.completions.unwrap_or(1);
    let mut message = format!("{} of {wanted} are done, {} run", status.succeeded, status.active);
    if status.failed > 0 {
        message.push_str(&format!(", {} failed and are tried again", status.failed));
    }
    Verdict::progressing(message)
}

/// A schedule is there, or stands still.
pub(super) fn judge_schedule(object: &Object) -> Verdict {
    match object.spec::<Spec>().suspend {
        true => Verdict::healthy_but("it is suspended (`spec.suspend`): nothing is started"),
        false => Verdict::healthy(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stratos_engine::health::Status;

    use super::*;

    fn job(spec: &Value, status: &Value) -> Verdict {
        judge(&serde_json::from_value(json!({ "spec": spec, "status": status })).unwrap())
    }

    #[test]
    fn one_that_has_not_begun_is_on_its_way() {
        assert_eq!(job(&json!({}), &json!({})), Verdict::progressing("0 of 1 are done, 0 run"));
    }

    #[test]
    fn it_is_healthy_when_it_is_done_and_not_before() {
        assert_eq!(job(&json!({}), &json!({ "active": 1, "failed": 2 })).message, "0 of 1 are done, 1 run, 2 failed and are tried again");
        let done = json!({ "succeeded": 1, "conditions": [{ "type": "Complete", "status": "True" }] });
        assert_eq!(job(&json!({}), &done), Verdict::healthy());
        let failed = json!({ "conditions": [{ "type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline" }] });
        assert_eq!(job(&json!({}), &failed), Verdict::failed("DeadlineExceeded: Job was active longer than specified deadline"));
        assert_eq!(job(&json!({ "suspend": true }), &json!({})).status, Status::Healthy);
    }

    #[test]
    fn a_schedule_is_healthy_as_it_is() {
        assert_eq!(judge_schedule(&Object::default()), Verdict::healthy());
    }
}
