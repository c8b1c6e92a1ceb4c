//! Single values: what a value of an object is as a leaf.

use serde_json::{Number, Value};
use stratos_engine::desired::document::Leaf;

use super::quantity;

/// Whether the values of a kind's fields are known. Of custom resources they are not: a text there is a text, whatever it looks like.
pub(crate) fn is_known(group: &str) -> bool {
    group.is_empty() || !group.contains('.') || group.ends_with(".k8s.io") && KNOWN_GROUPS.contains(&group)
}

/// Groups that come with every cluster, of those that have a domain.
const KNOWN_GROUPS: [&str; 13] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// A number.
pub(crate) fn number(number: &Number) -> Leaf {
    match number.as_i64() {
        Some(number) => Leaf::Integer(number),
        None => Leaf::Number(number.to_string().into()),
    }
}

/// A text at a path: an image's name, a quantity, or itself. `names` leads there, without places in lists.
pub(crate) fn text(names: &[&str], text: &str) -> Leaf {
    match names {
        [.., "containers" | "initContainers", "image"] => Leaf::image(text),
        _ => quantity(names, text).unwrap_or_else(|| Leaf::shared(text)),
    }
}

/// A number where a quantity is asked for: `cpu: 1`.
pub(crate) fn number_at(names: &[&str], value: &Number) -> Leaf {
    quantity(names, &value.to_string()).unwrap_or_else(|| number(value))
}

/// What is written in a field of the type Quantity, in the kinds that come with every cluster. None where the field is no such one.
fn quantity(names: &[&str], written: &str) -> Option<Leaf> {
    match names {
        [
            ..,
            "limits"
            | "requests"
            | "hard"
            | "overhead"
            | "capacity"
            | "min"
            | "max"
            | "default"
            | "defaultRequest"
            | "maxLimitRequestRatio",
            _,
        ] => {
            // An `env` of a container may be called anything, and is no map.
            Some(Leaf::shared(&quantity::canonical_amount(written)))
        }
        [.., "sizeLimit" | "averageValue" | "divisor" | "allocatedResources"] | [.., "target", "value"] => {
            Some(Leaf::shared(&quantity::canonical(written)))
        }
        _ => None,
    }
}

/// A value that is none of those that have parts.
pub(crate) fn scalar(known: bool, names: &[&str], value: &Value) -> Option<Leaf> {
    Some(match value {
        Value::Bool(value) => Leaf::Bool(*value),
        Value::Number(value) if known => number_at(names, value),
        Value::Number(value) => number(value),
        Value::String(value) if known => text(names, value),
        Value::String(value) => Leaf::shared(value),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_by_where_they_are() {
        let requests = ["spec", "containers", "resources", "requests", "cpu"];
        let text = |text: &str| Some(Leaf::Text(text.into()));
        assert_eq!(scalar(true, &requests, &json!("1000m")), text("1"));
        assert_eq!(scalar(true, &requests, &json!(1)), text("1"));
        assert_eq!(scalar(true, &requests, &json!(0.5)), text("500m"));
        assert_eq!(scalar(false, &requests, &json!("1000m")), text("1000m"));
        assert_eq!(scalar(true, &["spec", "containers", "env", "value"], &json!("1000m")), text("1000m"));
        assert_eq!(scalar(true, &["spec", "replicas"], &json!(3)), Some(Leaf::Integer(3)));
        assert_eq!(scalar(true, &["spec", "x"], &json!(0.25)), Some(Leaf::Number("0.25".into())));
        assert_eq!(scalar(true, &[], &json!({})), None);
    }

    #[test]
    fn groups_of_custom_resources_are_not_known() {
        assert!(is_known("") && is_known("apps") && is_known("networking.k8s.io"));
        assert!(!is_known("gateway.networking.k8s.io") && !is_known("cert-manager.io") && !is_known("snapshot.storage.k8s.io"));
    }
}
