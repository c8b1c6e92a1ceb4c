//! How a patch is laid on an object: a strategic merge for kinds that come with every cluster, a JSON merge (RFC 7386) for others.
//!
//! The patch is walked with the type of the object, so that a list is matched by keys only where the API does so.

use serde_json::{Map, Value};

use crate::object::desired::Wrong;
use crate::types::Type;

/// Says what becomes of a table, of a list's element, or of a list.
const DIRECTIVE: &str = "$patch";

/// Lays a patch on an object of a type. The error is at a place in the patch.
pub(super) fn merge(object: &mut Value, patch: &Value, of: Type) -> Result<(), Wrong> {
    let mut merger = Merger { is_strategic: of.is_known(), at: Vec::new() };
    merger.value(object, patch, of)
}

struct Merger {
    /// The kind of the object comes with every cluster.
    is_strategic: bool,
    /// The segments that lead to the place in the patch.
    at: Vec<String>,
}

impl Merger {
    fn wrong(&self, why: impl Into<String>) -> Wrong {
        Wrong { at: self.at.clone(), why: why.into() }
    }

    fn value(&mut self, old: &mut Value, new: &Value, of: Type) -> Result<(), Wrong> {
        match new {
            Value::Object(new) => self.object(old, new, of),
            Value::Array(new) if self.is_strategic => self.list(old, new, of),
            other => {
                *old = other.clone();
                Ok(())
            }
        }
    }

    fn object(&mut self, old: &mut Value, new: &Map<String, Value>, of: Type) -> Result<(), Wrong> {
        match self.directive(new)? {
            Some("replace") => *old = Value::Object(Map::new()),
            Some("delete") => {
                let why = if self.at.is_empty() {
                    "a patch cannot delete an object"
                } else {
                    "`$patch: delete` is for elements of lists: null removes a field"
                };
                return Err(self.wrong(why));
            }
            _ => {}
        }
        if !old.is_object() {
            *old = Value::Object(Map::new());
        }
        let Value::Object(old) = old else { return Ok(()) };
        for (key, new) in new.iter().filter(|(key, _)| *key != DIRECTIVE) {
            if new.is_null() {
                old.remove(key);
                continue;
            }
            self.at.push(key.clone());
            let slot = old.entry(key.clone()).or_insert(Value::Null);
            let done = self.value(slot, new, of.field(key));
            self.at.pop();
            done?;
        }
        Ok(())
    }

    /// What `$patch` says. Of the other directives none is understood.
    fn directive<'n>(&self, new: &'n Map<String, Value>) -> Result<Option<&'n str>, Wrong> {
        let directives = ["$retainKeys", "$setElementOrder/", "$deleteFromPrimitiveList/"];
        if let Some(key) = new.keys().find(|key| directives.iter().any(|directive| key.starts_with(directive))) {
            return Err(self.wrong(format!("`{key}` is not supported: null removes a field, and `$patch: replace` a whole table or list")));
        }
        match new.get(DIRECTIVE) {
            None => Ok(None),
            Some(_) if !self.is_strategic => {
                Err(self.wrong("`$patch` means nothing in a kind whose lists are not known: lists are replaced as a whole"))
            }
            Some(Value::String(word)) if ["merge", "replace", "delete"].contains(&word.as_str()) => Ok(Some(word)),
            Some(_) => Err(self.wrong("`$patch` must be merge, replace or delete")),
        }
    }

    fn list(&mut self, old: &mut Value, new: &[Value], of: Type) -> Result<(), Wrong> {
        let is_replace = |item: &Value| {
            item.get(DIRECTIVE).is_some_and(|word| word == "replace") && item.as_object().is_some_and(|item| item.len() == 1)
        };
        if new.iter().any(is_replace) {
            *old = Value::Array(vec![]);
        }
        // Of the sets only this one has the patch strategy `merge`: `validationActions` is replaced as a whole.
        let is_merged = self.at == ["metadata", "finalizers"];
        let keys = of.keys();
        if !old.is_array() || (keys.is_none() && !is_merged) {
            *old = Value::Array(vec![]);
        }
        let Value::Array(list) = old else { return Ok(()) };
        for (index, item) in new.iter().enumerate().filter(|(_, item)| !is_replace(item)) {
            self.at.push(crate::object::segment::place(index));
            let done = match (keys, item) {
                (Some(keys), Value::Object(element)) => self.element(list, element, of.item(), keys),
                _ if is_merged && list.contains(item) => Ok(()),
                _ => {
                    let mut added = Value::Null;
                    let done = self.value(&mut added, item, of.item());
                    list.push(added);
                    done
                }
            };
            self.at.pop();
            done?;
        }
        Ok(())
    }

    /// An element, of a type, of a list that is matched by keys.
    fn element(&mut self, list: &mut Vec<Value>, new: &Map<String, Value>, of: Type, keys: &[&str]) -> Result<(), Wrong> {
        // A key that the server fills in does not make another element.
        let key_of =
            |element: &Value, key: &str| element.get(key).filter(|value| !value.is_null()).cloned().or_else(|| of.key_default(key));
        let new_value = Value::Object(new.clone());
        if let Some(missing) = keys.iter().find(|key| key_of(&new_value, key).is_none()) {
            return Err(
                self.wrong(format!("an element of this list is found by its {}, and here `{missing}` is missing", keys.join(" and ")))
            );
        }
        let same = |item: &Value| keys.iter().all(|key| key_of(item, key) == key_of(&new_value, key));
        let found = list.iter().position(same);
        match (self.directive(new)?, found) {
            (Some("delete"), Some(index)) => {
                list.remove(index);
                Ok(())
            }
            (Some("delete"), None) => Err(self.wrong("there is no such element to delete")),
            (_, Some(index)) => self.object(&mut list[index], new, of),
            (_, None) => {
                let mut added = Value::Object(Map::new());
                self.object(&mut added, new, of)?;
                list.push(added);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn built_in() -> Type {
        Type::of("apps/v1", "Deployment")
    }

    fn merged(object: &Value, patch: &Value, of: Type) -> Result<Value, String> {
        let mut object = object.clone();
        merge(&mut object, patch, of).map(|()| object).map_err(|wrong| format!("{}: {}", wrong.at.join("."), wrong.why))
    }

    #[test]
    fn nothing_changes_nothing() {
        let object = json!({ "spec": { "replicas": 1, "list": [{ "a": null }] } });
        assert_eq!(merged(&object, &json!({}), built_in()), Ok(object.clone()));
        assert_eq!(merged(&object, &json!({ "spec": {} }), Type::Custom), Ok(object));
    }

    fn deployment() -> Value {
        json!({ "spec": { "template": { "spec": {
            "containers": [
                { "name": "web", "image": "web:1", "args": ["a", "b"], "ports": [{ "containerPort": 80 }],
                  "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] },
                { "name": "log", "image": "log:1" },
            ],
            "tolerations": [{ "key": "old" }],
        } } } })
    }

    fn of_pod(patch: Value) -> Result<Value, String> {
        let patched = merged(&deployment(), &json!({ "spec": { "template": { "spec": patch } } }), built_in())?;
        Ok(patched["spec"]["template"]["spec"].clone())
    }

    #[test]
    fn elements_of_keyed_lists_are_merged_and_those_of_others_replaced() {
        let pod = of_pod(json!({
            "containers": [{ "name": "web", "image": "web:2", "args": ["c"], "env": [{ "name": "B", "value": "3" }, { "name": "C" }],
                             "ports": [{ "containerPort": 80, "protocol": "TCP", "name": "http" }, { "containerPort": 80, "protocol": "UDP" }] },
                           { "name": "proxy", "image": "proxy:1" }],
            "tolerations": [{ "key": "new" }],
        }))
        .unwrap();
        let web = json!({
            "name": "web", "image": "web:2", "args": ["c"],
            "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "3" }, { "name": "C" }],
            "ports": [{ "containerPort": 80, "protocol": "TCP", "name": "http" }, { "containerPort": 80, "protocol": "UDP" }],
        });
        assert_eq!(pod["containers"], json!([web, { "name": "log", "image": "log:1" }, { "name": "proxy", "image": "proxy:1" }]));
        assert_eq!(pod["tolerations"], json!([{ "key": "new" }]));
    }

    #[test]
    fn directives_delete_and_replace() {
        let pod =
            of_pod(json!({ "containers": [{ "name": "log", "$patch": "delete" }, { "name": "web", "$patch": "replace", "image": "x" }] }))
                .unwrap();
        assert_eq!(pod["containers"], json!([{ "name": "web", "image": "x" }]));
        let pod = of_pod(json!({ "containers": [{ "$patch": "replace" }, { "name": "only" }] })).unwrap();
        assert_eq!(pod["containers"], json!([{ "name": "only" }]));
        assert_eq!(
            merged(&json!({ "a": { "b": 1 } }), &json!({ "a": { "$patch": "replace", "c": 2 } }), built_in()),
            Ok(json!({ "a": { "c": 2 } }))
        );
        let finalizers =
            merged(&json!({ "metadata": { "finalizers": ["a"] } }), &json!({ "metadata": { "finalizers": ["b", "a"] } }), built_in());
        assert_eq!(finalizers, Ok(json!({ "metadata": { "finalizers": ["a", "b"] } })));
    }

    #[test]
    fn null_removes_and_is_never_added() {
        let object = json!({ "a": { "b": 1, "c": 2 } });
        for of in [built_in(), Type::Custom] {
            let patched = merged(&object, &json!({ "a": { "b": null }, "d": { "e": null, "f": 1 } }), of);
            assert_eq!(patched, Ok(json!({ "a": { "c": 2 }, "d": { "f": 1 } })));
        }
    }

    /// The names of lists that have keys elsewhere, of fields that the table lacks, and of kinds that have the same names.
    #[test]
    fn a_list_is_matched_by_keys_only_where_its_type_has_them() {
        let list = |names: &[&str], elements: Value| names.iter().rev().fold(elements, |value, name| json!({ *name: value }));
        let cases = [
            // A kind, a list, the key of its elements where it has one.
            ("v1", "Service", &["spec", "ports"][..], Some(json!({ "port": 80 }))),
            ("networking.k8s.io/v1", "NetworkPolicy", &["spec", "ports"], None),
            ("v1", "ServiceAccount", &["secrets"], Some(json!({ "name": "a" }))),
            ("v1", "ServiceAccount", &["imagePullSecrets"], None),
            ("v1", "ConfigMap", &["data", "spec", "containers"], None),
            ("v1", "Pod", &["spec", "containers"], Some(json!({ "name": "a" }))),
            ("v1", "Pod", &["spec", "tolerations"], None),
            ("v1", "Pod", &["metadata", "annotations", "ownerReferences"], None),
            ("v1", "PodTemplate", &["template", "spec", "volumes"], Some(json!({ "name": "a" }))),
            ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", &["webhooks"], Some(json!({ "name": "a" }))),
            ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", &["spec", "variables"], Some(json!({ "name": "a" }))),
            ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", &["spec", "validationActions"], None),
        ];
        for (api_version, kind, names, key) in cases {
            let whole = |mut element: Value, x: u8| {
                element["x"] = x.into();
                element
            };
            let element = key.clone().unwrap_or(json!({ "name": "a", "port": 80 }));
            let other = json!({ "name": "other", "port": 1 });
            let before = list(names, json!([other, whole(element.clone(), 1)]));
            let patch = list(names, json!([whole(element.clone(), 2)]));
            let after = match key {
                Some(_) => list(names, json!([other, whole(element, 2)])),
                None => patch.clone(),
            };
            assert_eq!(merged(&before, &patch, Type::of(api_version, kind)), Ok(after), "{kind} {names:?}");
        }
    }

    /// RFC 7386, appendix A.
    #[test]
    fn json_merge_is_that_of_its_specification() {
        for (object, patch, result) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
            (json!({ "a": [{ "b": "c" }] }), json!({ "a": [1] }), json!({ "a": [1] })),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
            (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
            (
                json!({ "spec": { "containers": [{ "name": "a" }] } }),
                json!({ "spec": { "containers": [] } }),
                json!({ "spec": { "containers": [] } }),
            ),
        ] {
            assert_eq!(merged(&object, &patch, Type::Custom), Ok(result));
        }
    }

    #[test]
    fn what_cannot_be_is_said_at_its_place() {
        let web = |rest: Value| of_pod(json!({ "containers": [rest] })).unwrap_err();
        let at = "spec.template.spec.containers.[0000]: ";
        assert_eq!(web(json!({ "image": "x" })), format!("{at}an element of this list is found by its name, and here `name` is missing"));
        assert_eq!(web(json!({ "name": "x", "$patch": "delete" })), format!("{at}there is no such element to delete"));
        assert_eq!(web(json!({ "name": "x", "$patch": "remove" })), format!("{at}`$patch` must be merge, replace or delete"));
        assert!(
            merged(&deployment(), &json!({ "spec": { "$retainKeys": ["a"] } }), built_in())
                .unwrap_err()
                .contains("`$retainKeys` is not supported")
        );
        assert!(merged(&deployment(), &json!({ "$patch": "delete" }), built_in()).unwrap_err().contains("cannot delete an object"));
        assert!(merged(&deployment(), &json!({ "$patch": "replace" }), Type::Custom).unwrap_err().contains("means nothing"));
    }
}
