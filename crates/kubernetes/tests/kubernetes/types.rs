//! Rules go by the types of fields: what is declared is what the live object holds, read by kubectl; what the server fills in is no
//! difference; and the committed table of types is what the API server of this version is made of.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use stratos_engine::deploy::Policy;
use stratos_engine::plan::Plan;
use stratos_test_platforms::Cluster;

use crate::case::Manifests;
use crate::case::told;

/// A namespace of its own for manifests, and what is in it or of the whole cluster goes with it.
struct Place {
    cluster: &'static Cluster,
    manifests: Manifests,
    /// `kind/name` of all that was ever applied.
    made: BTreeSet<String>,
}

impl Place {
    async fn new(name: &str) -> Self {
        let name = format!("types-{name}");
        let cluster = tokio::task::spawn_blocking(Cluster::shared_api_only).await.unwrap();
        cluster.apply_yaml(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
        Self { cluster, manifests: Manifests::new(cluster.kubeconfig(), &name), made: BTreeSet::new() }
    }

    fn write(&self, objects: &[Value]) {
        self.manifests.write(&objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n"));
    }

    async fn apply(&mut self) -> Plan {
        let plan = self.manifests.apply(Policy { allow_delete: true, ..Policy::default() }).await;
        self.made.extend(plan.changes.iter().map(|change| format!("{}/{}", change.id.kind, change.id.name)));
        plan
    }

    /// There is nothing to do, whether the server is asked for a dry run or not.
    async fn nothing(&self) {
        for previews in [false, true] {
            let plan = self.manifests.plan(previews, Policy::default()).await;
            assert_eq!(told(&plan), [""; 0], "dry run: {previews}");
        }
    }

    /// Applies objects. Then each live one holds all that is declared, and there is nothing to do.
    async fn holds(&mut self, objects: &[Value]) -> Vec<String> {
        self.write(objects);
        let plan = self.apply().await;
        for object in objects {
            let live = self.live(&format!("{}/{}", resource(object), object["metadata"]["name"].as_str().unwrap()));
            missing(object, &live, &mut resource(object));
        }
        self.nothing().await;
        told(&plan)
    }

    fn live(&self, what: &str) -> Value {
        let text = self.cluster.kubectl(&["--namespace", &self.manifests.name, "get", what, "--output=json"]);
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let all = ["--namespace", &self.manifests.name, "delete", "--ignore-not-found", "--wait=false"];
        let made: Vec<&str> = self.made.iter().map(String::as_str).collect();
        if !made.is_empty() {
            let _ = self.cluster.try_kubectl(&[&all[..], &made].concat());
        }
        let _ = self.cluster.try_kubectl(&["delete", "namespace", &self.manifests.name, "--wait=false"]);
    }
}

/// A kind as kubectl takes it: `Deployment.v1.apps`.
fn resource(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap();
    match object["apiVersion"].as_str().unwrap().split_once('/') {
        Some((group, version)) => format!("{kind}.{version}.{group}"),
        None => kind.to_owned(),
    }
}

/// Panics where a declared value is not in the live object.
fn missing(declared: &Value, live: &Value, at: &mut String) {
    match (declared, live) {
        (Value::Object(declared), Value::Object(live)) => {
            for (key, value) in declared {
                let length = at.len();
                *at += &format!(".{key}");
                missing(value, live.get(key).unwrap_or(&Value::Null), at);
                at.truncate(length);
            }
        }
        (Value::Array(declared), Value::Array(live)) => {
            assert_eq!(declared.len(), live.len(), "{at}");
            declared.iter().zip(live).for_each(|(declared, live)| missing(declared, live, at));
        }
        _ => assert_eq!(declared, live, "{at}"),
    }
}

fn definition(group: &str, kind: &str, spec: Value) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group, "names": { "kind": kind, "plural": plural }, "scope": "Namespaced",
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec } } } }],
        },
    })
}

#[test]
fn the_table_of_types_is_what_this_version_of_kubernetes_knows() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/types/generate.sh");
    let out = Command::new(script).arg("--check").output().unwrap();
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
}

/// kubernetes/kubernetes #91395, #94275, argo-cd #11139, controller-runtime #1131.
#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_stored_as_it_is_declared() {
    let text = json!({ "type": "string" });
    let integer = json!({ "type": "integer" });
    // A schema, a place in it, and what it is changed to.
    let cases = [
        (
            "Empty",
            json!({ "type": "object", "default": {}, "properties": {
                "group": { "type": "string", "default": "" }, "names": { "type": "array", "default": [], "items": text },
                "on": { "type": "boolean", "default": false }, "count": { "type": "integer", "default": 0 },
                "labels": { "type": "object", "default": {}, "additionalProperties": text } } }),
            "/properties/group/default",
            json!("x"),
        ),
        (
            "Number",
            json!({ "type": "object", "properties": {
                "min": { "type": "integer", "minimum": 1 }, "max": { "type": "integer", "maximum": 50 },
                "capacity": { "type": "string", "maxLength": 10 }, "limits": { "type": "array", "maxItems": 3, "items": integer },
                "requests": { "type": "number", "minimum": 0.5, "multipleOf": 0.25 }, "hard": { "type": "string", "minLength": 1000 },
                "overhead": { "type": "object", "maxProperties": 4, "additionalProperties": integer },
                "defaultRequest": { "type": "integer", "enum": [1000, 2000] }, "divisor": { "type": "string", "enum": ["1000m", "", "1.0"] },
                "sizeLimit": { "type": "string", "default": "1000" } } }),
            "/properties/min/minimum",
            json!(2),
        ),
        (
            "Object",
            json!({ "type": "object", "properties": {
                "scale": { "type": "object", "default": { "replicas": 2, "limits": { "cpu": 1 }, "text": "" }, "properties": {
                    "replicas": integer, "text": text, "limits": { "type": "object", "additionalProperties": integer } } },
                "example": { "type": "object", "example": { "fieldRef": { "fieldPath": "x" }, "none": [] }, "properties": { "fieldRef": {
                    "type": "object", "properties": { "fieldPath": text } }, "none": { "type": "array", "items": text } } } } }),
            "/properties/scale/default/limits/cpu",
            json!(2),
        ),
        (
            "Pod",
            json!({ "type": "object", "properties": { "env": { "type": "array", "items": { "type": "object", "properties": {
                "name": text, "valueFrom": { "type": "object", "properties": {
                    "fieldRef": { "type": "object", "required": ["fieldPath"], "properties": { "apiVersion": text, "fieldPath": text } },
                    "resourceFieldRef": { "type": "object", "properties": { "resource": text,
                        "divisor": { "x-kubernetes-int-or-string": true } } } } } } } },
                "imagePullSecrets": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": { "type": "object", "properties": { "name": { "type": "string", "default": "" } } } },
                "ports": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                    "items": { "type": "object", "required": ["port"], "properties": { "port": integer,
                        "protocol": { "type": "string", "default": "TCP" } } } },
                "rules": { "type": "object", "x-kubernetes-validations": [
                    { "rule": "!has(self.b) || self.b == 'x,y'", "message": "b" }, { "rule": "!has(self.a)", "message": "a" }],
                    "properties": { "a": text, "b": text } } } }),
            "/properties/rules/x-kubernetes-validations/0/message",
            json!("other"),
        ),
    ];
    let mut place = Place::new("definitions").await;
    let group = "types-definitions.example";
    let mut all: Vec<Value> = cases.iter().map(|(kind, schema, ..)| definition(group, kind, schema.clone())).collect();
    place.holds(&all).await;
    for (index, (kind, schema, at, other)) in cases.iter().enumerate() {
        let mut schema = schema.clone();
        *schema.pointer_mut(at).unwrap() = other.clone();
        all[index] = definition(group, kind, schema);
        let changed = place.holds(&all).await;
        let name = at.rsplit('/').next().unwrap();
        assert!(changed.len() == 1 && changed[0].ends_with(name) && changed[0].contains(&kind.to_lowercase()), "{changed:?}");
    }
}

/// kubernetes/kubernetes #116135, #66450.
#[tokio::test(flavor = "multi_thread")]
async fn maps_with_free_keys_are_stored_as_they_are_declared() {
    let odd =
        |last: &str| json!({ "sizeLimit": "1000", "divisor": "2000m", "averageValue": "1024Mi", "cpu": "1.0", "limits": "", "last": last });
    let objects = |last: &str, name: &str| {
        let odd = odd(last);
        let meta = |kind: &str| json!({ "name": format!("{name}-{kind}"), "labels": odd, "annotations": odd });
        let pod = json!({ "nodeSelector": odd, "containers": [{ "name": "a", "image": "registry.example/a:1" }], "volumes": [
            { "name": "csi", "csi": { "driver": "types.example", "volumeAttributes": odd } },
            { "name": "flex", "flexVolume": { "driver": "types/x", "options": odd } }] });
        vec![
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("map"), "data": odd }),
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("{name}-binary") },
                "binaryData": { "limits": "MTAwMA==", "cpu": "" } }),
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": meta("service"), "spec": { "selector": odd, "ports": [{ "port": 80 }] } }),
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("deployment"), "spec": { "replicas": 0,
                "selector": { "matchLabels": { "cpu": "1.0", "limits": "" } },
                "template": { "metadata": { "labels": odd, "annotations": odd }, "spec": pod } } }),
            json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta("budget"),
                "spec": { "maxUnavailable": 1, "selector": { "matchLabels": odd } } }),
            json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta("policy"),
                "spec": { "podSelector": { "matchLabels": odd }, "policyTypes": ["Ingress"] } }),
        ]
    };
    let fixed = |name: &str| {
        let odd = odd("a");
        let name = |kind: &str| json!({ "name": format!("{name}-{kind}") });
        vec![
            json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": name("class"), "provisioner": "types.example",
                "parameters": odd }),
            json!({ "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "metadata": name("attributes"),
                "driverName": "types.example", "parameters": odd }),
            json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": name("volume"), "spec": { "capacity": { "storage": "1Gi" },
                "accessModes": ["ReadWriteOnce"], "storageClassName": "none",
                "csi": { "driver": "types.example", "volumeHandle": "x", "volumeAttributes": odd } } }),
        ]
    };
    let mut place = Place::new("maps").await;
    let name = place.manifests.name.clone();
    place.holds(&[objects("a", &name), fixed(&name)].concat()).await;
    let changed = place.holds(&[objects("b", &name), fixed(&name)].concat()).await;
    // Labels and annotations of five, and what is in each of those.
    assert_eq!(changed.len(), 10 + 1 + 1 + 5 + 1 + 1, "{changed:#?}");
    assert!(changed.iter().all(|change| change.ends_with(".last")), "{changed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_s_text_is_stored_as_it_is_declared() {
    let mut place = Place::new("secret").await;
    let secret = |last: &str| {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" },
            "stringData": { "sizeLimit": "1000", "divisor": "2000m", "limits": "", "last": last } })
    };
    place.write(&[secret("1.0")]);
    place.apply().await;
    place.nothing().await;
    let data = json!({ "sizeLimit": "MTAwMA==", "divisor": "MjAwMG0=", "limits": "", "last": "MS4w" });
    assert_eq!(place.live("secret/a")["data"], data);
    place.write(&[secret("1")]);
    assert_eq!(told(&place.apply().await), ["Secret a: data.last"]);
}

/// Keys of a custom resource's map that look like the places of a path.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_look_like_places_are_stored_as_they_are_declared() {
    let mut place = Place::new("keys").await;
    let group = "types-keys.example";
    let odd = definition(group, "Odd", json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }));
    place.holds(std::slice::from_ref(&odd)).await;
    place.cluster.established("odds.types-keys.example");
    let keys = ["", "{}", "[]", "(order)", "[0]", "[1]", "[0001]", "[a=b]", "[=x]", "[", "\\", "\\[0]", "a.b", "a/b", "~1", "base64"];
    let objects = |value: &str| -> Vec<Value> {
        let one = |(index, key): (usize, &&str)| {
            json!({ "apiVersion": format!("{group}/v1"), "kind": "Odd", "metadata": { "name": format!("odd-{index}") },
                "spec": { "text": { *key: value, "other": "x" }, "object": { *key: { *key: value } }, "list": { *key: [{ *key: value }] } } })
        };
        keys.iter().enumerate().map(one).collect()
    };
    let all = |value: &str| [vec![odd.clone()], objects(value)].concat();
    place.holds(&all("a")).await;
    let changed = place.holds(&all("b")).await;
    assert_eq!(changed.len(), 3 * keys.len(), "{changed:#?}");
}

/// Objects that leave to the server all that it fills in. NAME is the name of the place.
const LEFT_OUT: &str = include_str!("types/left-out.yaml");

/// A live object without the values that no other object may have, or that belong to objects made beside it.
fn without_what_is_chosen(mut live: Value, name: &str) -> Value {
    let object = live.as_object_mut().unwrap();
    object.remove("status");
    object.insert("metadata".to_owned(), json!({ "name": name }));
    let is_job = object["kind"] == "Job";
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        for chosen in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort", "volumeName"] {
            spec.remove(chosen);
        }
        if is_job {
            spec.remove("selector");
            // Labels alone are in it, which name this Job.
            spec["template"].as_object_mut().unwrap().remove("metadata");
        }
    }
    let ports = live.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        port.remove("nodePort");
    }
    live
}

/// Each default of the table in the kinds below is one of the server's: written out it is no difference where it is not declared, nor
/// is it one to leave it out again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_filled_in_can_be_written_out_and_left_out_again() {
    let mut first = Place::new("left-out").await;
    let text = |place: &Place| LEFT_OUT.replace("NAME", &place.manifests.name);
    first.manifests.write(&text(&first));
    first.apply().await;
    first.nothing().await;
    let mut second = Place::new("written-out").await;
    let (one, other) = (first.manifests.name.clone(), second.manifests.name.clone());
    let whole = |place: &Place| -> Vec<Value> {
        let one = |what: &String| {
            let live = place.live(what);
            let name = live["metadata"]["name"].as_str().unwrap().to_owned();
            without_what_is_chosen(live, &name)
        };
        place.made.iter().map(one).collect()
    };
    let written_out = whole(&first);
    first.write(&written_out);
    first.nothing().await;
    let renamed: Vec<Value> =
        written_out.iter().map(|object| serde_json::from_str(&object.to_string().replace(&one, &other)).unwrap()).collect();
    second.holds(&renamed).await;
    second.manifests.write(&text(&second));
    second.nothing().await;
}

/// Keyed lists whose order means something are stored as they are written, and another order is a change.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_list_whose_order_means_something_is_stored_in_the_order_of_the_file() {
    let mut place = Place::new("order").await;
    let name = place.manifests.name.clone();
    let webhook = |of: &str| {
        let rules =
            json!([{ "apiGroups": ["types-order.example"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothing"] }]);
        json!({ "name": format!("{of}.types-order.example"), "clientConfig": { "url": "https://nowhere.example" }, "rules": rules,
            "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": ["v1"] })
    };
    let objects = |is_turned: bool| -> Vec<Value> {
        let order = |mut list: Vec<Value>| {
            if is_turned {
                list.reverse();
            }
            Value::from(list)
        };
        // A variable may use earlier ones alone.
        let variables = if is_turned {
            json!([{ "name": "a", "expression": "1" }, { "name": "z", "expression": "variables.a" }])
        } else {
            json!([{ "name": "z", "expression": "1" }, { "name": "a", "expression": "variables.z" }])
        };
        let constraints = json!({ "resourceRules": [{ "apiGroups": ["types-order.example"], "apiVersions": ["v1"], "operations": ["CREATE"],
            "resources": ["nothing"] }] });
        let hosts = order(vec![json!({ "ip": "10.0.0.2", "hostnames": ["a"] }), json!({ "ip": "10.0.0.1", "hostnames": ["a"] })]);
        let env = order(vec![json!({ "name": "B", "value": "1" }), json!({ "name": "A", "value": "2" })]);
        let container = |name: &str| json!({ "name": name, "image": "registry.example/a:1", "env": env });
        vec![
            json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": { "name": name },
                "webhooks": order(vec![webhook("z"), webhook("b"), webhook("a")]) }),
            json!({ "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
                "spec": { "failurePolicy": "Ignore", "matchConstraints": constraints, "variables": variables,
                    "validations": [{ "expression": "variables.a == 1 && variables.z == 1" }] } }),
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": { "replicas": 0,
                "selector": { "matchLabels": { "app": "web" } }, "template": { "metadata": { "labels": { "app": "web" } }, "spec": {
                    "hostAliases": hosts, "initContainers": order(vec![container("z"), container("a")]),
                    "containers": order(vec![container("y"), container("b")]) } } } }),
        ]
    };
    place.holds(&objects(false)).await;
    let changed = place.holds(&objects(true)).await;
    let of = |kind: &str| changed.iter().filter(|change| change.starts_with(kind) && change.contains("(order)")).count();
    let lists = (of("MutatingWebhookConfiguration"), of("ValidatingAdmissionPolicy"), of("Deployment"));
    assert_eq!(lists, (1, 1, 7), "{changed:#?}");
    assert_eq!(changed.len(), 1 + 3 + 7, "{changed:#?}");
}
