//! Label selectors: which pods are a workload's.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A selector as workloads write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Selector {
    /// The selector of a Service: labels alone.
    pub(crate) fn of_labels(labels: BTreeMap<String, String>) -> Self {
        Self { match_labels: labels, match_expressions: vec![] }
    }

    /// Whether it selects nothing: an empty one would select everything, and is meant by nobody.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { match_labels, match_expressions } = self;
        match_labels.is_empty() && match_expressions.is_empty()
    }

    /// The value of `labelSelector`.
    pub(crate) fn text(&self) -> String {
        let labels = self.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        labels.chain(self.match_expressions.iter().map(Expression::text)).collect::<Vec<_>>().join(",")
    }

    /// Whether it selects what has these labels.
    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| expression.selects(labels))
    }
}

impl Expression {
    fn text(&self) -> String {
        let Self { key, operator, values } = self;
        let values = values.join(",");
        match operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        }
    }

    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let listed = || value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "DoesNotExist" => value.is_none(),
            _ => value.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_written_as_requests_want_it_and_selects_as_servers_do() {
        let selector: Selector = serde_json::from_value(json!({
            "matchLabels": { "app": "web" },
            "matchExpressions": [
                { "key": "tier", "operator": "In", "values": ["a", "b"] },
                { "key": "track", "operator": "NotIn", "values": ["canary"] },
                { "key": "zone", "operator": "Exists" },
                { "key": "old", "operator": "DoesNotExist" },
            ],
        }))
        .unwrap();
        assert_eq!(selector.text(), "app=web,tier in (a,b),track notin (canary),zone,!old");
        let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let good = [("app", "web"), ("tier", "b"), ("zone", "x")];
        assert!(selector.selects(&labels(&good)));
        for (key, value) in [("app", "db"), ("tier", "c"), ("track", "canary"), ("old", "")] {
            let mut other: BTreeMap<String, String> = labels(&good);
            other.insert(key.into(), value.into());
            assert!(!selector.selects(&other), "{key}={value}");
        }
        assert!(Selector::default().is_empty() && !selector.is_empty());
    }
}
