//! Lists of kinds that no cluster comes with, whose schema gives their elements keys (`map`) or makes them a set: their order is no
//! difference, another manager's elements are its own wherever they stand, and what leaves the manifest is removed.

use serde_json::{Value, json};
use stratos_engine::deploy::Policy;

use crate::case::{Case, told};

const KIND: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: routers.${id}.example }
spec:
  group: ${id}.example
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
              env:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: { name: { type: string }, value: { type: string }, weight: { type: integer, default: 5 } }
              tags: { type: array, x-kubernetes-list-type: set, items: { type: string } }
";

/// A kind of its own for each case, and an object of it.
async fn case(name: &str, spec: &str) -> Case {
    let mut case = Case::new(name).await;
    let (kind, definition) = (KIND.replace("${id}", case.id()), format!("routers.{}.example", case.id()));
    tokio::task::block_in_place(|| {
        case.cluster.apply_yaml(&kind);
        case.cluster.established(&definition);
    });
    case.made(format!("crd/{definition}"));
    case.apply(&router(spec), Policy::default()).await;
    case.nothing().await;
    case
}

fn router(spec: &str) -> String {
    format!("apiVersion: ${{id}}.example/v1\nkind: Router\nmetadata: {{ name: edge }}\nspec: {{ {spec} }}\n")
}

/// The object as kubectl is asked for it, where each case has a kind of that name.
fn edge(case: &Case) -> String {
    format!("router.{}.example/edge", case.id())
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

/// What differs, as the cases tell it.
fn differ<const N: usize>(at: &str, fields: [&str; N]) -> Vec<String> {
    fields.iter().map(|field| format!("Router edge: spec.{at}{field}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn elements_with_keys_have_no_order_and_others_are_left_alone() {
    let (name, text) = ("keyed-map", |routes: &[&str]| router(&format!("routes: [{}]", routes.join(", "))));
    let (a, b, c) = ("{ host: a, port: 1, to: x, paths: [p, q] }", "{ host: a, port: 2, to: v }", "{ host: c, port: 1, to: v }");
    let mut case = case(name, &format!("routes: [{a}, {b}, {c}]")).await;
    case.same(&text(&[c, b, a])).await;
    case.same(&text(&[b, "{ host: a, port: 1, to: x, paths: [q, p] }", c])).await;
    let z = json!({ "host": "z", "port": 9, "to": "y" });
    patch(&case, "another-operator", &others("routes", &z));
    patch(&case, "another-operator", &others("routes/1/paths", &json!("o")));
    assert_eq!(spec(&case)["routes"][0], z, "it stands before ours");
    case.same(&text(&[a, b, c])).await;
    case.same(&text(&[c, a, b])).await;
    case.other(&text(&[a, "{ host: a, port: 2, to: z }", c]), &differ("routes[1]", [".to"])).await;
    // What is removed is removed, from the front and from the middle.
    let b = "{ host: a, port: 2, to: z }";
    case.other(&text(&[b, c]), &differ("routes[host=a,port=1]", [".paths[=p]", ".paths[=q]", ".to"])).await;
    case.other(&text(&[b, "{ host: d, port: 1, to: v }", c]), &differ("routes[1]", [".host", ".port", ".to"])).await;
    case.other(&text(&[c, b]), &differ("routes[host=d,port=1]", [".to"])).await;
    // With the first one the server removed the path that the other had put into it.
    assert_eq!(hosts(&case), ["a:2", "c:1", "z:9"]);
    // A whole list goes, and the other's element stays.
    let all = [differ("routes[host=a,port=2]", [".to"]), differ("routes[host=c,port=1]", [".to"])].concat();
    case.other(&router(""), &all).await;
    assert_eq!(hosts(&case), ["z:9"]);
}

/// The routes, in the order of the alphabet.
fn hosts(case: &Case) -> Vec<String> {
    let routes = spec(case)["routes"].take();
    let name = |route: &Value| format!("{}:{}", route["host"].as_str().unwrap(), route["port"]);
    let mut hosts: Vec<String> = routes.as_array().unwrap().iter().map(name).collect();
    hosts.sort();
    hosts
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_sets_have_no_order_and_others_are_left_alone() {
    let (name, text) = ("keyed-set", |tags: &str| router(&format!("tags: [{tags}]")));
    let mut case = case(name, "tags: [red, blue, grey]").await;
    case.same(&text("grey, blue, red")).await;
    case.same(&text("red, null, blue, grey")).await;
    patch(&case, "another-operator", &others("tags", &json!("green")));
    assert_eq!(spec(&case)["tags"][0], "green", "it stands before ours");
    case.same(&text("red, blue, grey")).await;
    case.same(&text("blue, grey, red")).await;
    case.other(&text("blue, grey"), &differ("tags", ["[=red]"])).await;
    case.other(&text("blue, null, black, grey"), &differ("tags", ["[1]"])).await;
    case.other(&text("blue, grey"), &differ("tags", ["[=black]"])).await;
    let mut left: Vec<Value> = spec(&case)["tags"].as_array().unwrap().clone();
    left.sort_by_key(Value::to_string);
    assert_eq!(left, ["blue", "green", "grey"]);
    case.other(&router(""), &differ("tags", ["[=blue]", "[=grey]"])).await;
    assert_eq!(spec(&case)["tags"], json!(["green"]));
}

/// A key that the manifest leaves to the schema; others have elements that are called the same but for that key.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_filled_in() {
    let (name, text) = ("keyed-default", |routes: &[&str]| router(&format!("routes: [{}]", routes.join(", "))));
    let (a, b) = ("{ host: a, to: x }", "{ host: a, port: 81, to: v }");
    let mut case = case(name, &format!("routes: [{a}, {b}]")).await;
    assert_eq!(hosts(&case), ["a:80", "a:81"]);
    case.same(&text(&[b, a])).await;
    patch(&case, "another-operator", &others("routes", &json!({ "host": "a", "port": 82, "to": "x" })));
    case.same(&text(&[a, b])).await;
    case.other(&text(&["{ host: a, to: w }", b]), &differ("routes[0]", [".to"])).await;
    // Another's element with the same host and the same value is not what was removed.
    case.other(&text(&["{ host: a, to: x }", b]), &differ("routes[0]", [".to"])).await;
    case.other(&text(&[b]), &differ("routes[host=a,port=80]", [".to"])).await;
    assert_eq!(hosts(&case), ["a:81", "a:82"]);
    // Nor is it what is wanted again.
    case.other(&text(&[b, a]), &differ("routes[1]", [".host", ".to"])).await;
    assert_eq!(hosts(&case), ["a:80", "a:81", "a:82"]);
    // The port that would be filled in is said, and is said no more.
    case.same(&text(&[b, "{ host: a, port: 80, to: x }"])).await;
    case.other(&text(&[b, "{ host: a, port: 80, to: v }"]), &differ("routes[1]", [".to"])).await;
    let fields = [differ("routes[host=a,port=80]", [".to"]), differ("routes[1]", [".host", ".to"])].concat();
    case.other(&text(&[b, "{ host: a, to: v }"]), &fields).await;
    assert_eq!(hosts(&case), ["a:80", "a:81", "a:82"]);
    // A port that is said no more is another route.
    case.other(&text(&[b]), &differ("routes[host=a,port=80]", [".to"])).await;
    let fields = [differ("routes[host=a,port=81]", [".to"]), differ("routes[0]", [".host", ".to"])].concat();
    case.other(&text(&["{ host: a, to: v }"]), &fields).await;
    assert_eq!(hosts(&case), ["a:80", "a:82"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_by_hand() {
    let (name, text) = ("keyed-hand", |routes: &[&str]| router(&format!("routes: [{}]", routes.join(", "))));
    let (a, b) = ("{ host: a, port: 1, to: x }", "{ host: b, port: 1, to: v }");
    let mut case = case(name, &format!("routes: [{a}, {b}]")).await;
    // An element before all others, and a value of ours.
    patch(&case, "kubectl-edit", &others("routes", &json!({ "host": "hand", "port": 5 })));
    patch(&case, "kubectl-edit", &json!([{ "op": "replace", "path": "/spec/routes/2/to", "value": "hand" }]));
    let fields = [differ("routes[host=hand,port=5]", [".{}"]), differ("routes[1]", [".to"])].concat();
    case.other(&text(&[a, b]), &fields).await;
    assert_eq!(hosts(&case), ["a:1", "b:1"]);
    // Within another's element: the value that was set by hand is taken away again, and the element stays.
    patch(&case, "another-operator", &others("routes", &json!({ "host": "z", "port": 9 })));
    patch(&case, "kubectl-edit", &json!([{ "op": "add", "path": "/spec/routes/0/to", "value": "hand" }]));
    case.other(&text(&[b, a]), &differ("routes[host=z,port=9]", [".to"])).await;
    assert_eq!(hosts(&case), ["a:1", "b:1", "z:9"]);
}

/// Where order means something it is a difference: what embeds a pod has variables that are made of earlier ones.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_variables() {
    let (name, text) = ("keyed-order", |env: &[&str]| router(&format!("env: [{}]", env.join(", "))));
    let (a, b) = ("{ name: A, value: '1' }", "{ name: B, value: $(A) }");
    let mut case = case(name, &format!("env: [{b}, {a}]")).await;
    patch(&case, "another-operator", &others("env", &json!({ "name": "Z" })));
    case.same(&text(&[b, a])).await;
    case.other(&text(&[a, b]), &differ("env", [".(order)"])).await;
    assert_eq!(spec(&case)["env"].as_array().unwrap().iter().filter(|one| one["name"] != "Z").collect::<Vec<_>>()[0]["name"], "A");
}

/// Of what a hand put there nothing is carried over to what is declared in its place: not even a default that is the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_element_in_place_of_another() {
    let (name, text) = ("keyed-instead", |env: &[&str]| router(&format!("env: [{}]", env.join(", "))));
    let (a, b) = ("{ name: A, value: '1' }", "{ name: B, value: '2' }");
    let mut case = case(name, &format!("env: [{a}]")).await;
    patch(&case, "kubectl-edit", &json!([{ "op": "add", "path": "/spec/env/-", "value": { "name": "HAND" } }]));
    case.other(&text(&[a, b]), &differ("env[1]", [".name", ".value", ".weight"])).await;
    let names: Vec<Value> = spec(&case)["env"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["A", "B"]);
}

/// An element that two declare is given up by one of them, and stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_declares_as_well() {
    let (name, text) = ("keyed-shared", |routes: &[&str]| router(&format!("routes: [{}]", routes.join(", "))));
    let (a, b, c) = ("{ host: a, port: 1, to: x }", "{ host: b, port: 1, to: v }", "{ host: c, port: 1, to: z }");
    let mut case = case(name, &format!("routes: [{a}, {b}, {c}]")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("theirs.yaml");
    std::fs::write(&file, router(&format!("routes: [{c}]")).replace("${id}", case.id())).unwrap();
    let apply = ["apply", "--server-side", "--field-manager=another-operator", "--filename", file.to_str().unwrap()];
    tokio::task::block_in_place(|| case.kubectl(&apply));
    case.same(&text(&[c, a, b])).await;
    let plan = case.apply(&text(&[a]), Policy { allow_delete: true, ..Policy::default() }).await;
    assert_eq!(told(&plan), differ("routes[host=b,port=1]", [".to"]));
    assert_eq!(hosts(&case), ["a:1", "c:1"]);
    // It is still ours as well: the dry run says that it would stay.
    let (plan, requests) = case.plan().await;
    assert_eq!(told(&plan), [""; 0]);
    assert_eq!(requests.iter().filter(|request| request.dry_run).count(), 1, "{requests:#?}");
}

/// What an environment held under its earlier name is read as it is read again when it is applied.
#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_renamed() {
    let (name, text) = ("keyed-renamed", |routes: &[&str]| router(&format!("routes: [{}]", routes.join(", "))));
    let (a, b) = ("{ host: a, to: x }", "{ host: b, to: v }");
    let mut case = case(name, &format!("routes: [{a}, {b}]")).await;
    case.same(&text(&[b, a])).await;
    case.manifests.environment = "live".to_owned();
    let plan = case.apply(&text(&[b, "{ host: a, to: z }"]), Policy::default()).await;
    assert_eq!(told(&plan), ["Router edge: owner", "Router edge: spec.routes[1].to"]);
    // It costs the lists of both names, and nothing for each object.
    let (plan, requests) = case.plan().await;
    assert_eq!(told(&plan), [""; 0]);
    let lists = requests.iter().filter(|request| request.verb == "list").count();
    assert!(lists == 2 && requests.iter().all(|request| !request.dry_run && !request.uri.contains("/edge")), "{requests:#?}");
}

/// Whose order means nothing either, of any kind.
#[tokio::test(flavor = "multi_thread")]
async fn finalizers() {
    let text = |finalizers: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: kept, finalizers: [{finalizers}] }}\ndata: {{ a: b }}\n")
    };
    let mut case = Case::begin("keyed-finalizers", &text("keyed.example/one, keyed.example/two")).await;
    let first = json!([{ "op": "add", "path": "/metadata/finalizers/0", "value": "keyed.example/theirs" }]).to_string();
    let patch = ["patch", "configmap/kept", "--type=json", "--field-manager=another-operator", "--patch", &first];
    tokio::task::block_in_place(|| case.kubectl(&patch));
    case.same(&text("keyed.example/two, keyed.example/one")).await;
    case.other(&text("keyed.example/two"), &["ConfigMap kept: metadata.finalizers[=keyed.example/one]".to_owned()]).await;
    let left = tokio::task::block_in_place(|| case.live("configmap/kept"))["metadata"]["finalizers"].take();
    assert_eq!(left, json!(["keyed.example/theirs", "keyed.example/two"]));
    let none = r#"{"metadata":{"finalizers":null}}"#;
    tokio::task::block_in_place(|| case.kubectl(&["patch", "configmap/kept", "--type=merge", "--patch", none]));
}
