//! HTTPRoutes of the Gateway API: each gateway says what it makes of one.

use serde::Deserialize;

use super::object::{Object, condition, said};
use super::verdict::Verdict;
use crate::pods::Condition;

#[derive(Default, Deserialize)]
#[serde(default)]
struct RouteStatus {
    parents: Vec<Parent>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Parent {
    parent_ref: ParentRef,
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ParentRef {
    name: String,
}

pub(super) fn judge(object: &Object) -> Verdict {
    let parents = object.status::<RouteStatus>().parents;
    if parents.is_empty() {
        return Verdict::progressing("no gateway has taken it up yet");
    }
    let is = object.metadata.generation.unwrap_or_default();
    let mut waiting = None;
    for Parent { parent_ref: ParentRef { name }, conditions } in &parents {
        if conditions.iter().any(|condition| condition.observed_generation.is_some_and(|seen| seen < is)) {
            return Verdict::running(format!("the gateway {name} has not taken the change up yet"));
        }
        for kind in ["Accepted", "ResolvedRefs"] {
            if let Some(no) = condition(conditions, kind).filter(|condition| condition.status == "False") {
                return Verdict::degraded(format!("the gateway {name} refuses it: {}", said(no)));
            }
        }
        let accepted = condition(conditions, "Accepted").is_some_and(|accepted| accepted.status == "True");
        let programmed = condition(conditions, "Programmed").is_none_or(|programmed| programmed.status == "True");
        if !accepted || !programmed {
            waiting = Some(format!("the gateway {name} has not set it up yet"));
        }
    }
    waiting.map_or_else(Verdict::healthy, Verdict::progressing)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stratos_engine::health::Status;

    use super::*;

    fn route(conditions: &Value) -> Verdict {
        let parents = json!([{ "parentRef": { "name": "front" }, "conditions": conditions }]);
        judge(&serde_json::from_value(json!({ "metadata": { "generation": 2 }, "status": { "parents": parents } })).unwrap())
    }

    #[test]
    fn every_gateway_must_take_it() {
        assert_eq!(judge(&Object::default()).status, Status::Progressing);
        let says =
            |kind: &str, status: &str, seen: i64| json!({ "type": kind, "status": status, "observedGeneration": seen, "message": "so" });
        assert_eq!(route(&json!([says("Accepted", "True", 2), says("ResolvedRefs", "True", 2)])), Verdict::healthy());
        assert_eq!(route(&json!([says("Accepted", "True", 1)])).status, Status::Progressing);
        assert_eq!(route(&json!([says("Accepted", "True", 2), says("Programmed", "False", 2)])).status, Status::Progressing);
        let refused = route(&json!([says("Accepted", "True", 2), says("ResolvedRefs", "False", 2)]));
        assert_eq!(refused, Verdict::degraded("the gateway front refuses it: so"));
    }
}
