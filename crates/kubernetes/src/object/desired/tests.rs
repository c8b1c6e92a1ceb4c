//! The normal form of many shapes.

use serde_json::{Value, json};

use super::*;

/// The leaves of an object below `spec`, or below nothing where it has none: `path = leaf`.
fn leaves_of(object: &Value) -> Vec<String> {
    let identity = Identity::of(object).unwrap();
    let document = document(&identity, object).unwrap_or_else(|wrong| panic!("{} at {:?}", wrong.why, wrong.at));
    let version = Path::new(["apiVersion"]);
    document.leaves().iter().filter(|(path, _)| *path != version).map(|(path, leaf)| format!("{path} = {leaf}")).collect()
}

fn deployment(pod: &Value) -> Vec<String> {
    let object =
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a" }, "spec": { "template": { "spec": pod } } });
    let leaves = leaves_of(&object);
    leaves.into_iter().map(|leaf| leaf.strip_prefix("spec.template.spec.").map(str::to_owned).unwrap_or(leaf)).collect()
}

fn custom(spec: &Value) -> Vec<String> {
    leaves_of(&json!({ "apiVersion": "x.example.com/v1", "kind": "Thing", "metadata": { "name": "a" }, "spec": spec }))
}

fn of(kind: &str, rest: &Value) -> Vec<String> {
    let mut object = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "a" } });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    leaves_of(&object)
}

fn wrong(rest: &Value) -> (String, String) {
    let mut object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" } });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let wrong = document(&Identity::of(&object).unwrap(), &object).unwrap_err();
    (wrong.at.join("."), wrong.why)
}

#[test]
fn what_says_nothing_is_nothing() {
    assert_eq!(of("ConfigMap", &json!({})), [""; 0]);
    let server = json!({ "name": "a", "namespace": "b", "creationTimestamp": null, "uid": "x", "resourceVersion": "1", "generation": 2 });
    assert_eq!(of("ConfigMap", &json!({ "metadata": server, "status": { "x": 1 }, "data": null })), [""; 0]);
    assert_eq!(of("ConfigMap", &json!({ "data": {}, "metadata": { "name": "a", "labels": {}, "annotations": null } })), [""; 0]);
    let of_a_custom_kind = json!({ "apiVersion": "x.example.com/v1", "kind": "Thing",
        "metadata": { "name": "a", "labels": {}, "annotations": {}, "finalizers": [], "ownerReferences": [] } });
    assert_eq!(leaves_of(&of_a_custom_kind), [""; 0]);
    // What holds it is there all the same.
    assert_eq!(deployment(&json!({ "containers": null, "volumes": [], "nodeSelector": {}, "hostname": "" })), [r#""{}" = true"#]);
}

/// Else what follows it would be looked for at a place where it is not.
#[test]
fn an_element_that_is_nothing_has_no_place() {
    assert_eq!(custom(&json!({ "list": [null, "a", null, { "b": 1 }] })), ["spec.list[0] = \"a\"", "spec.list[1].b = 1"]);
}

#[test]
fn an_object_says_what_it_is() {
    let missing = |object: Value| Identity::of(&object).unwrap_err().why;
    assert_eq!(missing(json!({})), "`apiVersion` is missing");
    assert_eq!(missing(json!({ "apiVersion": "v1", "kind": "" })), "`kind` is missing");
    assert_eq!(missing(json!({ "apiVersion": "v1", "kind": "A", "metadata": { "name": null } })), "`metadata.name` is missing");
}

#[test]
fn elements_of_keyed_lists_are_called_by_their_keys_and_their_order_is_said_where_it_means_something() {
    let pod = json!({
        "initContainers": [{ "name": "b", "image": "x" }, { "name": "a", "image": "y" }],
        "containers": [{ "name": "w", "ports": [{ "containerPort": 53, "protocol": "UDP" }, { "containerPort": 53 }],
                         "env": [{ "name": "Z", "value": "" }, { "name": "A", "value": "1000m" }, { "name": "N" }] }],
        "imagePullSecrets": [{ "name": "b" }, { "name": "a" }],
    });
    let leaves = deployment(&pod);
    for expected in [
        "initContainers.(order) = \"[name=b] [name=a]\"",
        "containers.[name=w].env.(order) = \"[name=Z] [name=A] [name=N]\"",
        "containers.[name=w].env.[name=A].value = \"1000m\"",
        "containers.[name=w].env.[name=N].{} = true",
        "containers.[name=w].ports.[containerPort=53,protocol=TCP].{} = true",
        "containers.[name=w].ports.[containerPort=53,protocol=UDP].{} = true",
        "imagePullSecrets.[name=a].{} = true",
    ] {
        assert!(leaves.iter().any(|leaf| leaf.replace('"', "") == expected.replace('"', "")), "{expected} is not among {leaves:#?}");
    }
    assert!(!leaves.iter().any(|leaf| leaf.starts_with("imagePullSecrets.(order)")));
    for (kind, is_said) in [("MutatingWebhookConfiguration", true), ("ValidatingWebhookConfiguration", false)] {
        let webhooks = json!([{ "name": "b.example.com", "sideEffects": "None" }, { "name": "a.example.com", "sideEffects": "None" }]);
        let leaves = leaves_of(
            &json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": "a" }, "webhooks": webhooks }),
        );
        assert_eq!(leaves.iter().any(|leaf| leaf.contains("(order)")), is_said, "{leaves:#?}");
    }
}

#[test]
fn quantities_are_one_text_for_each_value_where_the_kind_is_known() {
    let resources = |value: Value| deployment(&json!({ "containers": [{ "name": "a", "resources": { "limits": { "cpu": value } } }] }));
    for value in [json!("1000m"), json!(1), json!("1.0"), json!(1.0), json!("1e0")] {
        assert_eq!(resources(value), resources(json!("1")));
    }
    assert_ne!(custom(&json!({ "limits": { "cpu": "1000m" } })), custom(&json!({ "limits": { "cpu": "1" } })));
}

#[test]
fn nothing_is_assumed_of_custom_resources() {
    let leaves = custom(&json!({
        "empty": {}, "list": [], "text": "", "none": null, "containers": [{ "name": "b" }, { "name": "a" }], "ports": [{ "port": 80 }], "labels": {},
    }));
    let expected = [
        "spec.containers[0].name",
        "spec.containers[1].name",
        "spec.empty.{}",
        "spec.labels.{}",
        "spec.list.[]",
        "spec.ports[0].port",
        "spec.text",
    ];
    let mut paths: Vec<String> = leaves.iter().map(|leaf| leaf.split(" = ").next().unwrap().replace('"', "")).collect();
    paths.sort();
    assert_eq!(paths, expected);
}

#[test]
fn nothing_is_filled_into_what_is_written() {
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "a" },
        "roleRef": { "kind": "Role", "name": "r" } });
    assert_eq!(leaves_of(&role), [r#"roleRef.kind = "Role""#, r#"roleRef.name = "r""#]);
}

#[test]
fn a_zero_in_the_place_of_which_the_server_puts_something_else_is_nothing() {
    let probe =
        json!({ "containers": [{ "name": "a", "image": "a", "livenessProbe": { "failureThreshold": 0, "initialDelaySeconds": 0 } }] });
    let leaves = deployment(&probe);
    assert!(leaves.iter().any(|leaf| leaf.contains("initialDelaySeconds")), "{leaves:?}");
    assert!(!leaves.iter().any(|leaf| leaf.contains("failureThreshold")), "{leaves:?}");
}

#[test]
fn what_a_service_leaves_to_the_server_is_not_declared() {
    let service = |spec: Value| leaves_of(&json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a" }, "spec": spec }));
    let ports = json!([{ "port": 80, "nodePort": 0, "protocol": "" }, { "port": 81, "nodePort": 30001 }]);
    let leaves = service(json!({ "healthCheckNodePort": 0, "clusterIP": "", "ports": ports }));
    let ports: Vec<&String> = leaves.iter().filter(|leaf| leaf.starts_with("spec.")).collect();
    assert_eq!(
        ports,
        ["spec.ports.[port=80,protocol=TCP].\"{}\" = true", "spec.ports.[port=81,protocol=TCP].nodePort = 30001"],
        "{leaves:?}"
    );
}

fn schema(schema: &Value) -> Vec<String> {
    let leaves =
        leaves_of(&json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "a" },
        "spec": { "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": schema } }] } }));
    let inside = |leaf: &String| leaf.split_once("openAPIV3Schema.").map(|(_, rest)| rest.to_owned());
    leaves.iter().filter_map(inside).collect()
}

#[test]
fn a_definition_s_schema_is_read_by_its_own_type() {
    assert_eq!(
        schema(&json!({ "type": "object", "description": "", "nullable": false, "properties": {} })),
        ["nullable = false", r#"type = "object""#]
    );
    let limits = json!({ "properties": { "limits": { "minimum": 1.0, "maxLength": 10, "default": 1 }, "min": { "default": "", "description": "" } } });
    assert_eq!(
        schema(&limits),
        [
            "properties.limits.default = 1",
            "properties.limits.maxLength = 10",
            "properties.limits.minimum = 1",
            r#"properties.min.default = """#
        ]
    );
    for field in ["default", "example"] {
        let opaque = json!({ field: { "limits": { "cpu": "1000m" }, "replicas": 0, "list": [], "labels": {}, "text": "" } });
        let expected = ["labels.{} = true", "limits.cpu = \"1000m\"", "list.\"[]\" = true", "replicas = 0", "text = \"\""];
        let expected: Vec<String> = expected.iter().map(|leaf| format!("{field}.{leaf}").replace('"', "")).collect();
        assert_eq!(schema(&opaque).iter().map(|leaf| leaf.replace('"', "")).collect::<Vec<_>>(), expected);
    }
    assert_eq!(schema(&json!({ "enum": ["", "1000m", 1] })).len(), 3);
    // Also below what may be a flag, and in what is recursive.
    assert_eq!(schema(&json!({ "additionalProperties": false })), ["additionalProperties = false"]);
    assert_eq!(schema(&json!({ "items": { "properties": { "fieldRef": { "required": ["fieldPath"] } } } })).len(), 1);
}

#[test]
fn maps_with_free_keys_are_kept_as_they_are() {
    let odd = json!({ "sizeLimit": "1000", "divisor": "2000m", "averageValue": "1024Mi", "cpu": "1.0", "empty": "" });
    for (kind, field) in [("ConfigMap", "data"), ("ConfigMap", "binaryData")] {
        let leaves = of(kind, &json!({ field: odd }));
        assert_eq!(leaves.len(), 5, "{leaves:?}");
        assert!(leaves.contains(&format!("{field}.averageValue = \"1024Mi\"")) && leaves.contains(&format!("{field}.empty = \"\"")));
    }
    let labelled = of("ConfigMap", &json!({ "metadata": { "name": "a", "labels": odd, "annotations": odd } }));
    assert!(labelled.contains(&"metadata.labels.divisor = \"2000m\"".to_owned()) && labelled.len() == 10, "{labelled:?}");
}

mod round_trip {
    use proptest::prelude::*;

    use super::*;
    use crate::object::write;

    fn key() -> impl Strategy<Value = String> {
        const ODD: [&str; 20] = [
            "{}", "[]", "(order)", "[0]", "[0001]", "[a=b]", "[=x]", "[", "\\", "\\[0]", "\\u", "a.b", "a/b", "~", "\u{1f}", "[\u{1f}", "",
            "base64", "labels", "limits",
        ];
        prop_oneof![proptest::sample::select(&ODD[..]).prop_map(str::to_owned), "[a-z\\[\\]{}()=,.\\\\\"]{0,6}"]
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), key().prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(key(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// A custom resource may have any keys: the object that is sent is the one that is written.
        #[test]
        fn any_keys_survive_being_a_document(inner in json()) {
            prop_assume!(!inner.to_string().contains("{{"));
            let object = json!({ "apiVersion": "x.example.com/v1", "kind": "Thing", "metadata": { "name": "a" }, "spec": { "inner": inner } });
            let document = document(&Identity::of(&object).unwrap(), &object).unwrap();
            let whole = |leaf: &Leaf| match leaf {
                Leaf::Text(text) => Ok(text.to_string()),
                other => Err(other.to_string()),
            };
            let back = write::object(&document, false, &whole).unwrap();
            prop_assert_eq!(&back["spec"], &object["spec"]);
            for (path, _) in document.leaves() {
                let again: Path = serde_json::from_str(&serde_json::to_string(path).unwrap()).unwrap();
                prop_assert_eq!(&again, path);
            }
        }
    }
}

#[test]
fn a_volume_of_no_kind_is_an_empty_folder() {
    let volume = |volume: Value| deployment(&json!({ "volumes": [volume] }));
    assert_eq!(volume(json!({ "name": "v" })), volume(json!({ "name": "v", "emptyDir": {} })));
    assert_eq!(volume(json!({ "name": "v", "configMap": null })), volume(json!({ "name": "v", "emptyDir": {} })));
}

#[test]
fn secrets_are_the_text_behind_their_base64() {
    let text = of("Secret", &json!({ "stringData": { "k": "line\n" } }));
    assert_eq!(text.len(), 1);
    for written in ["bGluZQo=", "bGlu\nZQo=\n", " bGluZQo= "] {
        assert_eq!(of("Secret", &json!({ "data": { "k": written } })), text);
    }
    // Where both say it, the server takes the text.
    for other in ["b3RoZXI=", "/////w=="] {
        assert_eq!(of("Secret", &json!({ "stringData": { "k": "line\n" }, "data": { "k": other } })), text);
        assert_eq!(of("Secret", &json!({ "data": { "k": other }, "stringData": { "k": "line\n" } })), text);
    }
    let binary = of("Secret", &json!({ "data": { "k": "/////w==" } }));
    assert!(binary[0].starts_with("data.k.base64"), "{binary:?}");
    assert_eq!(wrong(&json!({ "data": { "k": "%" } })).0, "data.k");
    assert_eq!(wrong(&json!({ "stringData": { "k": 1 } })), ("data.k".to_owned(), "an entry of a Secret is text".to_owned()));
}
