//! Lists of kinds that no cluster comes with, whose schema gives their elements keys (`map`) or makes them a set: their order is no
//! difference, another manager's elements are its own wherever they stand, and what leaves the manifest is removed.

use serde_json::{Value, json};
use stratos_engine::deploy::Policy;

use crate::false_differences::Case;

const KIND: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: routers.NAME.example }
spec:
  group: NAME.example
  names: { kind: Router, plural: routers }
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              routes:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [host, port]
                items:
                  type: object
                  required: [host]
                  properties:
                    host: { type: string }
                    port: { type: integer, default: 80 }
                    to: { type: string }
                    paths: { type: array, x-kubernetes-list-type: set, items: { type: string } }
              tags: { type: array, x-kubernetes-list-type: set, items: { type: string } }
";

/// A kind of its own for each case, and an object of it.
async fn case(name: &str, spec: &str) -> Case {
    let mut case = Case::new(name).await;
    let kind = KIND.replace("NAME", name);
    tokio::task::block_in_place(|| {
        case.cluster.apply_yaml(&kind);
        case.kubectl(&["wait", "--for=condition=Established", &format!("crd/routers.{name}.example"), "--timeout=60s"]);
    });
    case.apply(&router(name, spec), Policy::default()).await;
    case.nothing().await;
    case
}

fn router(name: &str, spec: &str) -> String {
    format!("apiVersion: {name}.example/v1\nkind: Router\nmetadata: {{ name: edge }}\nspec: {{ {spec} }}\n")
}

/// The object as kubectl is asked for it, where each case has a kind of that name.
fn edge(case: &Case) -> String {
    let name = case.manifests.name.trim_start_matches("false-");
    format!("router.{name}.example/edge")
}

/// Somebody else writes to it.
fn patch(case: &Case, manager: &str, patch: &Value) {
    let patch = patch.to_string();
    let manager = format!("--field-manager={manager}");
    tokio::task::block_in_place(|| case.kubectl(&["patch", &edge(case), "--type=json", &manager, "--patch", &patch]));
}

fn spec(case: &Case) -> Value {
    tokio::task::block_in_place(|| case.live(&edge(case)))["spec"].take()
}

fn others(field: &str, value: &Value) -> Value {
    json!([{ "op": "add", "path": format!("/spec/{field}/0"), "value": value }])
}

#[tokio::test(flavor = "multi_thread")]
async fn elements_with_keys_have_no_order_and_others_are_left_alone() {
    let (name, text) = ("keyed-map", |routes: &[&str]| router("keyed-map", &format!("routes: [{}]", routes.join(", "))));
    let (a, b, c) = ("{ host: a, port: 1, to: x, paths: [p, q] }", "{ host: a, port: 2, to: y }", "{ host: c, port: 1, to: y }");
    let mut case = case(name, &format!("routes: [{a}, {b}, {c}]")).await;
    case.same(&text(&[c, b, a])).await;
    case.same(&text(&[b, "{ host: a, port: 1, to: x, paths: [q, p] }", c])).await;
    let z = json!({ "host": "z", "port": 9, "to": "y" });
    patch(&case, "another-operator", &others("routes", &z));
    patch(&case, "another-operator", &others("routes/1/paths", &json!("o")));
    assert_eq!(spec(&case)["routes"][0], z, "it stands before ours");
    case.same(&text(&[a, b, c])).await;
    case.same(&text(&[c, a, b])).await;
    case.other(&text(&[a, "{ host: a, port: 2, to: z }", c]), &["Router edge: spec.routes[1].to"]).await;
    // What is removed is removed, from the front and from the middle.
    let b = "{ host: a, port: 2, to: z }";
    let gone = ["host", "paths[0]", "paths[1]", "port", "to"].map(|field| format!("Router edge: spec.routes[2].{field}"));
    case.other(&text(&[b, c]), &gone.each_ref().map(String::as_str)).await;
    let more = ["host", "port", "to"].map(|field| format!("Router edge: spec.routes[1].{field}"));
    case.other(&text(&[b, "{ host: d, port: 1, to: y }", c]), &more.each_ref().map(String::as_str)).await;
    let gone = ["host", "port", "to"].map(|field| format!("Router edge: spec.routes[2].{field}"));
    case.other(&text(&[c, b]), &gone.each_ref().map(String::as_str)).await;
    let mut left: Vec<String> =
        spec(&case)["routes"].as_array().unwrap().iter().map(|route| format!("{}{}", route["host"], route["port"])).collect();
    left.sort();
    // With the first one the server removed the path that the other had put into it.
    assert_eq!(left, [r#""a"2"#, r#""c"1"#, r#""z"9"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_sets_have_no_order_and_others_are_left_alone() {
    let (name, text) = ("keyed-set", |tags: &str| router("keyed-set", &format!("tags: [{tags}]")));
    let mut case = case(name, "tags: [red, blue, grey]").await;
    case.same(&text("grey, blue, red")).await;
    patch(&case, "another-operator", &others("tags", &json!("green")));
    assert_eq!(spec(&case)["tags"][0], "green", "it stands before ours");
    case.same(&text("red, blue, grey")).await;
    case.same(&text("blue, grey, red")).await;
    case.other(&text("blue, grey"), &["Router edge: spec.tags[2]"]).await;
    case.other(&text("blue, black, grey"), &["Router edge: spec.tags[1]"]).await;
    case.other(&text("blue, grey"), &["Router edge: spec.tags[2]"]).await;
    let mut left: Vec<Value> = spec(&case)["tags"].as_array().unwrap().clone();
    left.sort_by_key(Value::to_string);
    assert_eq!(left, ["blue", "green", "grey"]);
    // A whole list goes, and the other's member stays.
    case.other(&router("keyed-set", ""), &["Router edge: spec.tags[0]", "Router edge: spec.tags[1]"]).await;
    assert_eq!(spec(&case)["tags"], json!(["green"]));
}

/// A key that the manifest leaves to the schema, and what people change by hand.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_filled_in_and_edits_by_hand() {
    let (name, text) = ("keyed-hand", |routes: &[&str]| router("keyed-hand", &format!("routes: [{}]", routes.join(", "))));
    let (a, b) = ("{ host: a, to: x }", "{ host: a, port: 81, to: y }");
    let mut case = case(name, &format!("routes: [{a}, {b}]")).await;
    assert_eq!(spec(&case)["routes"][0]["port"], 80);
    case.same(&text(&[b, a])).await;
    case.same(&text(&["{ host: a, to: x }", b])).await;
    patch(&case, "another-operator", &others("routes", &json!({ "host": "z", "to": "x" })));
    case.same(&text(&[a, b])).await;
    case.other(&text(&["{ host: a, to: w }", b]), &["Router edge: spec.routes[0].to"]).await;
    // By hand: an element before all others, and a value of ours.
    patch(&case, "kubectl-edit", &others("routes", &json!({ "host": "hand", "port": 5 })));
    let edit = json!([{ "op": "replace", "path": "/spec/routes/3/to", "value": "hand" }]);
    patch(&case, "kubectl-edit", &edit);
    let fields = ["spec.routes[1].to", "spec.routes[2].host", "spec.routes[2].port"].map(|field| format!("Router edge: {field}"));
    case.other(&text(&["{ host: a, to: w }", b]), &fields.each_ref().map(String::as_str)).await;
    let hosts: Vec<Value> = spec(&case)["routes"].as_array().unwrap().iter().map(|route| route["host"].clone()).collect();
    assert!(!hosts.contains(&json!("hand")) && hosts.contains(&json!("z")), "{hosts:?}");
}
