use serde_json::json;

use super::*;
use crate::object::desired::{Identity, document};

const API: &str = "keyed.example/v1";

fn key(host: &str, port: i64) -> String {
    format!("k:{}", json!({ "host": host, "port": port }))
}

fn object(spec: &Value) -> Value {
    json!({ "apiVersion": API, "kind": "Router", "metadata": { "name": "edge" }, "spec": spec })
}

/// What a manager manages below `spec`.
fn manages(manager: &str, operation: &str, fields: &Value) -> Value {
    json!({ "manager": manager, "operation": operation, "apiVersion": API, "fieldsV1": { "f:spec": fields } })
}

/// What is below `spec` of an object, of which one manager is ours and the other is not, arranged by what is declared; and whether it is
/// unclear.
fn arranged(ours: &Value, others: &Value, spec: &Value, declared: &Value) -> (Value, bool) {
    let mut live = object(spec);
    live["metadata"]["managedFields"] = json!([manages("operator", "Update", others), manages("stratos", "Apply", ours)]);
    let live = Live::parse(live.to_string().as_bytes()).unwrap();
    let declared = object(declared);
    let declared = document(&Identity::of(&declared).unwrap(), &declared).unwrap();
    let arranged = Arranged::new(&live, &declared).into_owned();
    (arranged.body["spec"].clone(), arranged.is_unclear)
}

/// Routes with all that they say of themselves.
fn routes(elements: &[(&str, i64)]) -> Value {
    let all = elements.iter().map(|(host, port)| (key(host, *port), json!({ ".": {}, "f:host": {}, "f:port": {} })));
    json!({ "f:routes": Value::Object(all.collect()) })
}

/// Routes whose port has been filled in.
fn portless(elements: &[(&str, i64)]) -> Value {
    let all = elements.iter().map(|(host, port)| (key(host, *port), json!({ ".": {}, "f:host": {} })));
    json!({ "f:routes": Value::Object(all.collect()) })
}

fn route(host: &str, port: i64) -> Value {
    json!({ "host": host, "port": port })
}

fn clear(elements: &[Value]) -> (Value, bool) {
    (json!({ "routes": elements }), false)
}

#[test]
fn what_is_in_order_stays_as_it_is() {
    let live = Live::parse(b"{}").unwrap();
    assert!(matches!(Arranged::new(&live, &Document::default()).body, Cow::Borrowed(_)));
    let spec = json!({ "routes": [route("a", 1), route("b", 1)] });
    let both = routes(&[("a", 1), ("b", 1)]);
    assert_eq!(arranged(&both, &json!({}), &spec, &spec), (spec, false));
    // A list that is one value.
    let spec = json!({ "words": ["b", "a"] });
    assert_eq!(arranged(&json!({ "f:words": {} }), &json!({}), &spec, &json!({ "words": ["a", "b"] })), (spec, false));
}

#[test]
fn a_declared_element_comes_to_its_place_and_the_others_after_it() {
    let spec = json!({ "routes": [route("z", 1), route("c", 1), route("a", 1)] });
    let declared = json!({ "routes": [route("a", 1), route("c", 1)] });
    let out = arranged(&routes(&[("a", 1), ("c", 1)]), &routes(&[("z", 1)]), &spec, &declared);
    assert_eq!(out, clear(&[route("a", 1), route("c", 1), route("z", 1)]));
}

/// So a change of a key is one, and so is what an admission webhook makes of it.
#[test]
fn where_there_is_none_one_that_nobody_else_has_is_looked_at() {
    let declared = json!({ "routes": [route("B", 1), route("a", 1), route("d", 1)] });
    let spec = json!({ "routes": [route("a", 1), route("z", 1), route("b", 1)] });
    let out = arranged(&routes(&[("a", 1), ("b", 1)]), &routes(&[("z", 1)]), &spec, &declared);
    assert_eq!(out, clear(&[route("b", 1), route("a", 1), Value::Null, route("z", 1)]));
    // Ours before what nobody manages.
    let spec_of_three = json!({ "routes": [route("n", 1), route("a", 1), route("b", 1)] });
    let out = arranged(&routes(&[("a", 1), ("b", 1)]), &json!({}), &spec_of_three, &declared);
    assert_eq!(out, clear(&[route("b", 1), route("a", 1), route("n", 1)]));
    let nobodys = arranged(&routes(&[("a", 1)]), &routes(&[("z", 1)]), &spec, &declared);
    assert_eq!(nobodys, clear(&[route("b", 1), route("a", 1), Value::Null, route("z", 1)]));
}

/// What is not declared is found by its keys, but not where something declared is.
#[test]
fn what_has_a_place_is_not_called_by_its_keys() {
    let mut live = object(&json!({ "routes": [route("z", 1), route("a", 1)], "tags": ["green", "red"] }));
    let ours = json!({ "f:routes": routes(&[("a", 1)])["f:routes"], "f:tags": { "v:\"red\"": {} } });
    live["metadata"]["managedFields"] = json!([manages("stratos", "Apply", &ours)]);
    let live = Live::parse(live.to_string().as_bytes()).unwrap();
    let found = |declared: &Value| {
        let declared = object(declared);
        let arranged = Arranged::new(&live, &document(&Identity::of(&declared).unwrap(), &declared).unwrap()).into_owned();
        let at = |list: &str, element: &str| arranged.at(&["spec", list, element]).is_some();
        [at("routes", "[host=a,port=1]"), at("routes", "[host=z,port=1]"), at("tags", "[=red]"), at("tags", "[=green]")]
    };
    assert_eq!(found(&json!({ "routes": [route("a", 1)], "tags": ["red"] })), [false, true, false, true]);
    assert_eq!(found(&json!({})), [true; 4]);
    let nothing = Arranged::new(&live, &Document::default());
    let list = |name: &str| vec!["spec".to_owned(), name.to_owned()];
    assert_eq!(nothing.name(&list("routes"), 1, &route("a", 1)).as_deref(), Some("[host=a,port=1]"), "wherever it stands");
    assert_eq!(nothing.name(&list("tags"), 1, &json!("red")).as_deref(), Some("[=red]"));
}

/// Where order means something it is part of what is there: what embeds a pod has its containers and their variables.
#[test]
fn another_order_is_told_where_it_means_something() {
    let named = |names: [&str; 3]| Value::Array(names.iter().map(|name| json!({ "name": name })).collect());
    let fields =
        |list: &str| json!({ list: { "k:{\"name\":\"x\"}": { ".": {}, "f:name": {} }, "k:{\"name\":\"y\"}": { ".": {}, "f:name": {} } } });
    let orders = |list: &str, live: [&str; 3], declared: [&str; 2]| {
        let mut object = object(&json!({ list: named(live) }));
        object["metadata"]["managedFields"] = json!([manages("stratos", "Apply", &fields(&format!("f:{list}")))]);
        let live = Live::parse(object.to_string().as_bytes()).unwrap();
        let path = |place: &str| Path::new(["spec", list, place, "name"]);
        let name = |name: &str| Leaf::Text(name.into());
        let declared = [(path("[0000]"), name(declared[0])), (path("[0001]"), name(declared[1]))].into_iter().collect();
        Arranged::new(&live, &declared).orders().map(|(at, order)| format!("{} {order}", at.join("."))).collect::<Vec<_>>()
    };
    assert_eq!(orders("env", ["x", "z", "y"], ["x", "y"]), [""; 0]);
    assert_eq!(orders("env", ["x", "z", "y"], ["y", "x"]), ["spec.env [0001] [0000]"]);
    assert_eq!(orders("routes", ["x", "z", "y"], ["y", "x"]), [""; 0]);
    // What is looked at in place of something is none of them.
    assert_eq!(orders("env", ["z", "y", "x"], ["x", "new"]), [""; 0]);
}

#[test]
fn what_is_removed_does_not_hide_behind_what_follows_it() {
    let spec = json!({ "routes": [route("a", 1), route("b", 1)] });
    let declared = json!({ "routes": [route("b", 1)] });
    let out = arranged(&routes(&[("a", 1), ("b", 1)]), &json!({}), &spec, &declared);
    assert_eq!(out, clear(&[route("b", 1), route("a", 1)]));
}

#[test]
fn a_key_that_is_not_declared_has_been_filled_in() {
    let spec = json!({ "routes": [route("a", 81), route("a", 80), route("b", 80)] });
    let ours = portless(&[("a", 80), ("b", 80)]);
    let declared = json!({ "routes": [{ "host": "b" }, { "host": "a" }] });
    let out = arranged(&ours, &routes(&[("a", 81)]), &spec, &declared);
    assert_eq!(out, clear(&[route("b", 80), route("a", 80), route("a", 81)]));
    // One of another manager, or one whose port was declared, is not meant: the server would make a second one.
    let missing = (json!({ "routes": [null, route("a", 81)] }), true);
    let spec = json!({ "routes": [route("a", 81)] });
    let declared = json!({ "routes": [{ "host": "a" }] });
    assert_eq!(arranged(&json!({}), &routes(&[("a", 81)]), &spec, &declared), missing);
    assert_eq!(arranged(&routes(&[("a", 81)]), &json!({}), &spec, &declared), missing);
    assert_eq!(arranged(&routes(&[("a", 81)]), &json!({}), &spec, &spec), (spec, false));
}

/// Whoever makes an object without server-side apply has every field of it, also those that were filled in.
#[test]
fn a_key_that_a_hand_has_is_none_that_we_applied() {
    let mut live = object(&json!({ "routes": [route("z", 1), route("a", 80)] }));
    live["metadata"]["managedFields"] = json!([manages("kubectl-create", "Update", &routes(&[("z", 1), ("a", 80)]))]);
    let live = Live::parse(live.to_string().as_bytes()).unwrap();
    let declared = object(&json!({ "routes": [{ "host": "a" }] }));
    let arranged = Arranged::new(&live, &document(&Identity::of(&declared).unwrap(), &declared).unwrap()).into_owned();
    assert_eq!((&arranged.body["spec"]["routes"], arranged.is_unclear), (&json!([route("a", 80), route("z", 1)]), false));
}

/// Else taking its fields over would change which one is meant.
#[test]
fn what_we_have_applied_is_meant_before_what_a_hand_has_put_beside_it() {
    let mut live = object(&json!({ "routes": [route("a", 81), route("a", 80)] }));
    let hand = manages("kubectl-edit", "Update", &routes(&[("a", 81)]));
    live["metadata"]["managedFields"] = json!([hand, manages("stratos", "Apply", &portless(&[("a", 80)]))]);
    let live = Live::parse(live.to_string().as_bytes()).unwrap();
    let declared = object(&json!({ "routes": [{ "host": "a" }] }));
    let arranged = Arranged::new(&live, &document(&Identity::of(&declared).unwrap(), &declared).unwrap()).into_owned();
    assert_eq!((&arranged.body["spec"]["routes"], arranged.is_unclear), (&json!([route("a", 80), route("a", 81)]), false));
}

#[test]
fn which_of_several_is_meant_is_unclear() {
    let spec = json!({ "routes": [route("a", 80), route("a", 81)] });
    let declared = json!({ "routes": [{ "host": "a" }] });
    let out = arranged(&portless(&[("a", 80), ("a", 81)]), &json!({}), &spec, &declared);
    assert_eq!(out, (json!({ "routes": [null, route("a", 80), route("a", 81)] }), true));
}

/// What is generated has another name each time.
#[test]
fn an_element_that_is_called_by_a_reference_means_the_one_with_such_a_name() {
    let refers = |to: &str| {
        let of = Box::new(format!("dev/ConfigMap/{to}").parse().unwrap());
        Leaf::Ref(std::sync::Arc::new([Segment::Attribute { of, name: "name".into() }].into_iter().collect()))
    };
    let declared = |from: [&str; 2]| -> Document {
        let at = |place: &str| Path::new(["spec", "files", place, "name"]);
        [(at("[0000]"), refers(from[0])), (at("[0001]"), refers(from[1]))].into_iter().collect()
    };
    let fields = |name: &str| (format!("k:{{\"name\":\"{name}\"}}"), json!({ ".": {}, "f:name": {} }));
    let ours = json!({ "f:files": Value::Object(["web-1", "db-7"].map(fields).into_iter().collect()) });
    let mut live = object(&json!({ "files": [{ "name": "web-1" }, { "name": "db-7" }] }));
    live["metadata"]["managedFields"] = json!([manages("stratos", "Apply", &ours)]);
    let live = Live::parse(live.to_string().as_bytes()).unwrap();
    let arranged = |declared: &Document| {
        let arranged = Arranged::new(&live, declared);
        (arranged.body["spec"]["files"].to_string(), arranged.is_unclear)
    };
    assert_eq!(arranged(&declared(["web-*", "db-*"])), (r#"[{"name":"web-1"},{"name":"db-7"}]"#.into(), false));
    assert_eq!(arranged(&declared(["db-*", "web-*"])), (r#"[{"name":"db-7"},{"name":"web-1"}]"#.into(), false));
    assert_eq!(arranged(&declared(["db-*", "api-*"])), (r#"[{"name":"db-7"},null,{"name":"web-1"}]"#.into(), true));
}

#[test]
fn fields_with_names_like_places_are_none() {
    let spec = json!({ "routes": [route("a", 1)] });
    let declared = json!({ "routes": { "[99999999999]": { "host": "a" }, "[0001]": { "host": "b", "port": 1 } } });
    let out = arranged(&routes(&[("a", 1)]), &json!({}), &spec, &declared);
    assert_eq!(out, clear(&[route("a", 1)]));
}

#[test]
fn sets_and_lists_in_elements_are_arranged_too() {
    let set = json!({ "f:tags": { "v:\"red\"": {}, "v:\"blue\"": {} } });
    let spec = json!({ "tags": ["red", "green", "blue"] });
    let out = arranged(&set, &json!({}), &spec, &json!({ "tags": ["blue", "red"] }));
    assert_eq!(out, (json!({ "tags": ["blue", "red", "green"] }), false));
    let inner = json!({ "f:routes": { key("a", 1): { "f:host": {}, "f:port": {}, "f:tags": { "v:\"x\"": {}, "v:\"y\"": {} } } } });
    let element = |tags: [&str; 2]| json!({ "routes": [{ "host": "a", "port": 1, "tags": tags }] });
    assert_eq!(arranged(&inner, &json!({}), &element(["x", "y"]), &element(["y", "x"])), (element(["y", "x"]), false));
    // Members that are no single values have places.
    let pairs = json!({ "f:pairs": { "v:[1,2]": {}, "v:[3,4]": {} } });
    let spec = json!({ "pairs": [[1, 2], [3, 4]] });
    assert_eq!(arranged(&pairs, &json!({}), &spec, &json!({ "pairs": [[3, 4]] })), (spec, false));
}

#[test]
fn of_what_every_cluster_has_only_finalizers_are_arranged() {
    let fields = json!({ "f:metadata": { "f:finalizers": { "v:\"b\"": {} } }, "f:spec": { "f:list": { "v:\"b\"": {} } } });
    let mut live =
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "finalizers": ["a", "b"] }, "spec": { "list": ["a", "b"] } });
    let declared =
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "x", "finalizers": ["b"] }, "spec": { "list": ["b"] } });
    let declared = document(&Identity::of(&declared).unwrap(), &declared).unwrap();
    live["metadata"]["managedFields"] = json!([{ "manager": "stratos", "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields }]);
    let live = Live::parse(live.to_string().as_bytes()).unwrap();
    let out = Arranged::new(&live, &declared);
    assert_eq!(out.body["metadata"]["finalizers"], json!(["b", "a"]));
    assert_eq!(out.body["spec"]["list"], json!(["a", "b"]));
}
