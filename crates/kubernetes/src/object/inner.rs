//! What the server fills in within a list or a table that is replaced as a whole: there it cannot be told from what somebody wrote, and
//! so it is part of what is wanted.
//!
//! Source: the defaulting functions of `k8s.io/kubernetes` (1.34).

use serde_json::{Map, Value, json};

/// The fields that are filled in where they are missing. `names` leads to the table, without places in lists.
pub(crate) fn defaults(names: &[String], map: &Map<String, Value>) -> Vec<(&'static str, Value)> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let of = |fields: &[(&'static str, &str)]| fields.iter().map(|(key, value)| (*key, json!(value))).collect();
    match names[..] {
        [.., "fieldRef"] => of(&[("apiVersion", "v1")]),
        [.., "resourceFieldRef"] => of(&[("divisor", "0")]),
        [.., "serviceAccountToken"] => vec![("expirationSeconds", json!(3600))],
        [.., "ingress" | "egress" | "subsets", "ports"] | ["ports"] => of(&[("protocol", "TCP")]),
        ["roleRef"] => of(&[("apiGroup", RBAC)]),
        ["subjects"] if map.get("kind").is_some_and(|kind| kind == "User" || kind == "Group") => of(&[("apiGroup", RBAC)]),
        ["webhooks", "rules"] | [.., "resourceRules" | "excludeResourceRules"] => of(&[("scope", "*")]),
        [.., "podFailurePolicy", "rules", "onPodConditions"] => of(&[("status", "True")]),
        [.., "volumeClaimTemplates"] => of(&[("apiVersion", "v1"), ("kind", "PersistentVolumeClaim")]),
        [.., "volumeClaimTemplates", "spec"] => of(&[("volumeMode", "Filesystem")]),
        _ => vec![],
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// A limit of a LimitRange with what follows of one bound for another (`SetDefaults_LimitRangeItem`). None where nothing does.
pub(crate) fn limit(names: &[String], map: &Map<String, Value>) -> Option<Map<String, Value>> {
    if !(names.len() == 2 && names[0] == "spec" && names[1] == "limits" && map.get("type").is_some_and(|kind| kind == "Container")) {
        return None;
    }
    let mut map = map.clone();
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let Some(Value::Object(bounds)) = map.get(from).cloned() else { continue };
        let filled = map.entry(to).or_insert(Value::Null);
        if filled.is_null() {
            *filled = json!({});
        }
        for (resource, amount) in bounds {
            filled.as_object_mut()?.entry(resource).or_insert(amount);
        }
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(names: &[&str], map: &Value) -> Value {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Value::Object(defaults(&names, map.as_object().unwrap()).into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    #[test]
    fn fields_are_filled_in_by_where_they_are_and_what_is_beside() {
        assert_eq!(filled(&["subjects"], &json!({ "kind": "Group" })), json!({ "apiGroup": "rbac.authorization.k8s.io" }));
        assert_eq!(filled(&["subjects"], &json!({ "kind": "ServiceAccount" })), json!({}));
        assert_eq!(filled(&["spec", "ports"], &json!({ "port": 1 })), json!({}));
        assert_eq!(filled(&["ports"], &json!({ "port": 1 })), json!({ "protocol": "TCP" }));
    }

    #[test]
    fn one_bound_of_a_limit_follows_from_another() {
        let of = |map: Value| limit(&["spec".to_owned(), "limits".to_owned()], map.as_object().unwrap()).map(Value::Object);
        assert_eq!(of(json!({ "type": "Pod", "max": { "cpu": 1 } })), None);
        assert_eq!(
            of(json!({ "type": "Container", "max": { "cpu": 3 }, "min": { "cpu": 1, "memory": 1 }, "default": { "cpu": 2 } })),
            Some(json!({
                "type": "Container", "max": { "cpu": 3 }, "min": { "cpu": 1, "memory": 1 }, "default": { "cpu": 2 },
                "defaultRequest": { "cpu": 2, "memory": 1 },
            }))
        );
    }
}
