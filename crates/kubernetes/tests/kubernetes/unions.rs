//! Fields of which only one may be there: each is changed from each member to each other one, also where the API server has filled in
//! the field that has to go. The live object is then the one that another client makes with the new member from the start.

mod table;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{Method, Uri};
use serde_json::{Value, json};
use stratos_engine::apply::ChangeResult;
use stratos_engine::deploy::Policy;
use stratos_engine::plan::change::Action;
use stratos_engine::platform::contract::When;
use stratos_test_platforms::Cluster;

use crate::case::{Manifests, told, unwritten};
use crate::proxy::Proxy;
use crate::user::{User, client, nodeless, web};
use table::{Union, of_objects, of_pods, of_the_cluster};

/// The live objects of some, without what the API server chooses for each.
fn live(kubectl: &dyn Fn(&[&str]) -> String, objects: &[Value], prefix: &str) -> Vec<Value> {
    let kinds: BTreeSet<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    let mut out = vec![];
    for kind in kinds {
        let names: Vec<&str> =
            objects.iter().filter(|object| object["kind"] == kind).filter_map(|object| object["metadata"]["name"].as_str()).collect();
        let found = kubectl(&[&["get", kind, "--output=json"], names.as_slice()].concat());
        // Kinds of definitions have it in capital and small letters.
        let short = prefix.trim_end_matches('-');
        let found = found.replace(prefix, "").replace(&format!("U{short}"), "U").replace(&format!("u{short}"), "u");
        let found: Value = serde_json::from_str(&found).unwrap();
        let list = if found["kind"] == "List" { found["items"].as_array().cloned().unwrap_or_default() } else { vec![found] };
        out.extend(list.into_iter().map(|object| {
            let name = object["metadata"]["name"].clone();
            let mut object = object;
            for field in ["metadata", "status"] {
                object.as_object_mut().unwrap().remove(field);
            }
            without_chosen(&mut object);
            json!({ "name": name, "object": object })
        }));
    }
    out.sort_by_key(|object| object.to_string());
    out
}

fn without_chosen(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for field in ["clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort"] {
                map.remove(field);
            }
            // The elements of these lists are found by their names.
            for list in ["volumes", "webhooks"] {
                if let Some(elements) = map.get_mut(list).and_then(Value::as_array_mut) {
                    elements.sort_by_key(|element| element["name"].to_string());
                }
            }
            // With `type: RollingUpdate` a StatefulSet has this value where none is stored.
            map.retain(|field, value| !(field == "rollingUpdate" && *value == json!({ "partition": 0 })));
            map.values_mut().for_each(without_chosen);
        }
        Value::Array(list) => list.iter_mut().for_each(without_chosen),
        _ => {}
    }
}

fn text(objects: &[Value]) -> String {
    objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// Changes each from each member to each other one.
async fn each_to_each(name: &str, unions: &[Union]) {
    let cluster = tokio::task::spawn_blocking(nodeless).await.unwrap();
    let (ours, fresh) = (format!("unions-{name}"), format!("unions-{name}-fresh"));
    tokio::task::block_in_place(|| {
        for namespace in [&ours, &fresh] {
            cluster.apply_yaml(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"));
        }
    });
    let manifests = Manifests::new(cluster.kubeconfig(), &ours);
    let objects = |prefix: &str, after: bool| -> Vec<Value> { unions.iter().flat_map(|union| union.objects(prefix, after)).collect() };
    manifests.write(&text(&objects("ours-", false)));
    manifests.apply(Policy::default()).await;
    let plan = manifests.plan(true, Policy::default()).await;
    assert_eq!(told(&plan), [""; 0], "as the first members were made");

    let after = objects("ours-", true);
    manifests.write(&text(&after));
    let agreed = Policy { allow_delete: true, ..Policy::default() };
    manifests.apply(agreed).await;
    let others = objects("fresh-", true);
    let (now, expected) = tokio::task::block_in_place(|| {
        let kubectl = |namespace: &str, arguments: &[&str]| cluster.kubectl(&[&["--namespace", namespace], arguments].concat());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text(&others)).unwrap();
        kubectl(&fresh, &["create", "--filename", &file.path().display().to_string()]);
        let seen = live(&|arguments| kubectl(&ours, arguments), &after, "ours-");
        let made = live(&|arguments| kubectl(&fresh, arguments), &others, "fresh-");
        kubectl(&fresh, &["delete", "--wait=false", "--filename", &file.path().display().to_string()]);
        (seen, made)
    });
    for (now, expected) in now.iter().zip(&expected) {
        assert_eq!(now, expected);
    }
    assert_eq!(now.len(), expected.len());
    let plan = manifests.plan(true, Policy::default()).await;
    assert_eq!(told(&plan), [""; 0], "as the last members were written");
    tokio::task::block_in_place(|| {
        // The API server takes minutes to let a definition go that has just changed: that is not waited for.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text(&after)).unwrap();
        cluster.kubectl(&["--namespace", &ours, "delete", "--wait=false", "--filename", &file.path().display().to_string()]);
        for namespace in [&ours, &fresh] {
            cluster.kubectl(&["delete", "namespace", namespace, "--wait=false"]);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn unions_of_pods_are_changed_from_each_member_to_each_other() {
    each_to_each("pods", &of_pods()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unions_of_objects_are_changed_from_each_member_to_each_other() {
    each_to_each("objects", &of_objects()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unions_of_the_clusters_objects_are_changed_from_each_member_to_each_other() {
    each_to_each("cluster", &of_the_cluster()).await;
}

/// A volume without a source and a Deployment without a strategy, and both with one: nothing of the fields that go is ours.
fn filled_in(is_after: bool) -> String {
    let (strategy, volume) = if is_after { ("strategy: { type: Recreate }", ", configMap: { name: c }") } else { ("paused: false", "") };
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  replicas: 0
  {strategy}
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      containers: [{{ name: web, image: 'registry.example/web:1' }}]
      volumes: [{{ name: v{volume} }}]
"
    )
}

/// An environment with what the server has filled in, and the same one behind a proxy.
struct FilledIn {
    cluster: &'static Cluster,
    namespace: String,
    manifests: Manifests,
}

impl FilledIn {
    async fn new(name: &str) -> Self {
        let cluster = tokio::task::spawn_blocking(nodeless).await.unwrap();
        let namespace = format!("unions-{name}");
        tokio::task::block_in_place(|| {
            cluster.apply_yaml(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"));
        });
        let manifests = Manifests::new(cluster.kubeconfig(), &namespace);
        let out = Self { cluster, namespace, manifests };
        out.reset().await;
        out
    }

    async fn reset(&self) {
        self.manifests.write(&filled_in(false));
        self.manifests.apply(Policy { allow_delete: true, ..Policy::default() }).await;
    }

    fn through(&self, proxy: &Proxy) -> (Manifests, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a", "users": [{ "name": "a", "user": {} }],
            "clusters": [{ "name": "a", "cluster": { "server": proxy.url() } }],
            "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "a" } }],
        });
        std::fs::write(file.path(), config.to_string()).unwrap();
        let manifests = Manifests::new(file.path(), &self.namespace);
        manifests.write(&filled_in(true));
        (manifests, file)
    }

    async fn planned(&self, is_after: bool) -> Vec<String> {
        self.manifests.write(&filled_in(is_after));
        told(&self.manifests.plan(true, Policy::default()).await)
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        tokio::task::block_in_place(|| self.cluster.kubectl(&[&["--namespace", &self.namespace], arguments].concat()))
    }

    /// The strategy and the volume.
    fn live(&self) -> Value {
        let live: Value = serde_json::from_str(&self.kubectl(&["get", "deployment/web", "--output=json"])).unwrap();
        json!([live["spec"]["strategy"], live["spec"]["template"]["spec"]["volumes"][0]])
    }

    /// Carries the change out, and nothing is left to do.
    async fn finish(&self) {
        self.manifests.write(&filled_in(true));
        self.manifests.apply(Policy::default()).await;
        assert_eq!(self.live(), json!([{ "type": "Recreate" }, { "name": "v", "configMap": { "name": "c", "defaultMode": 420 } }]));
        assert_eq!(self.planned(true).await, [""; 0]);
    }

    fn end(&self) {
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}

const CHANGE: [&str; 5] = [
    "Deployment web: spec.strategy.rollingUpdate.maxSurge",
    "Deployment web: spec.strategy.rollingUpdate.maxUnavailable",
    "Deployment web: spec.strategy.type",
    "Deployment web: spec.template.spec.volumes[name=v].configMap.name",
    "Deployment web: spec.template.spec.volumes[name=v].emptyDir.{}",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_killed_between_its_two_writes_is_planned_again_or_not_at_all() {
    let place = FilledIn::new("killed").await;
    let admin = client(place.cluster.kubeconfig()).await;
    let first = place.live();
    let (mut owned, mut written) = (0, 0);
    for call in 0.. {
        let mut is_over = false;
        for when in [When::Before, When::After] {
            let proxy = Proxy::that_kills(admin.clone(), call, when).await;
            let (through, _file) = place.through(&proxy);
            let plan = through.plan(true, Policy::default()).await;
            assert_eq!(told(&plan), CHANGE);
            let applied = tokio::select! {
                biased;
                () = proxy.died() => None,
                applied = through.try_carry_out(&plan) => Some(applied),
            };
            // A connection that breaks may be noticed before the death of the process is.
            if !proxy.is_dead() {
                assert_eq!(unwritten(&applied.expect("nothing was killed").unwrap()), [""; 0]);
                is_over = true;
            }
            proxy.settle().await;
            place.kubectl(&["delete", "leases", "--all"]);
            let managed = place.kubectl(&["get", "deployment/web", "--output=json", "--show-managed-fields"]);
            if place.live() == first {
                owned += usize::from(managed.contains("f:emptyDir"));
                assert_eq!(place.planned(false).await, [""; 0], "reverted, after {call} {when:?}");
                assert_eq!(place.planned(true).await, CHANGE, "after {call} {when:?}");
            } else {
                written += 1;
                assert_eq!(place.planned(true).await, [""; 0], "after {call} {when:?}");
            }
            place.finish().await;
            place.reset().await;
            assert_eq!(place.live(), first);
        }
        if is_over {
            break;
        }
    }
    // After the first of both, and before the second one.
    assert!(owned >= 2 && written >= 1, "{owned} {written}");
    place.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_between_the_two_writes_is_seen() {
    let place = FilledIn::new("edited").await;
    let admin = client(place.cluster.kubeconfig()).await;
    let edits: [(&str, &[&str]); 2] = [
        ("by hand", &["patch", "deployment/web", "--type=merge", "--patch", r#"{"spec":{"revisionHistoryLimit":3}}"#]),
        ("beside", &["annotate", "deployment/web", "note=look"]),
    ];
    for (edit, arguments) in edits {
        let proxy = Proxy::new(admin.clone()).await;
        let (through, _file) = place.through(&proxy);
        let plan = through.plan(true, Policy::default()).await;
        assert_eq!(told(&plan), CHANGE, "{edit}");
        let (writes, cluster, namespace) = (AtomicUsize::new(0), place.cluster, place.namespace.clone());
        proxy.fault(move |method: &Method, uri: &mut Uri| {
            let is_write = *method == Method::PATCH && uri.path().ends_with("/deployments/web");
            if is_write && writes.fetch_add(1, Ordering::SeqCst) == 1 {
                tokio::task::block_in_place(|| cluster.kubectl(&[&["--namespace", &namespace], arguments].concat()));
            }
            None
        });
        let applied = through.carry_out(&plan).await;
        let is_stale = applied.changes.iter().any(|change| matches!(change.result, ChangeResult::Stale { .. }));
        assert_eq!(is_stale, edit == "by hand", "{edit}: {:?}", applied.changes);
        if is_stale {
            assert_eq!(place.live()[1], json!({ "name": "v", "emptyDir": {} }));
        }
        place.finish().await;
        place.reset().await;
    }
    place.end();
}

/// A field of which something is ours is removed by the apply itself; for one that the server filled in there is one write more, and for
/// its plan one read and one dry run more.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_server_filled_in_costs_a_request_more() {
    let place = FilledIn::new("requests").await;
    let proxy = Proxy::new(client(place.cluster.kubeconfig()).await).await;
    let (through, _file) = place.through(&proxy);
    let count = |seen: &[String], is_dry: bool| {
        let of_it = seen.iter().filter(|request| request.contains("/deployments/web?"));
        of_it.filter(|request| request.starts_with("PATCH") && request.contains("dryRun") == is_dry).count()
    };
    for (text, dry, writes) in [
        (filled_in(true), 2, 2),
        (filled_in(true).replace("configMap: { name: c }", "secret: { secretName: c }"), 1, 1),
        (filled_in(true).replace("configMap: { name: c }", "secret: { secretName: c }"), 0, 0),
    ] {
        through.write(&text);
        proxy.take_seen();
        let plan = through.plan(true, Policy::default()).await;
        let seen = proxy.take_seen();
        assert_eq!(count(&seen, true), dry, "{seen:#?}");
        through.carry_out(&plan).await;
        let seen = proxy.take_seen();
        assert_eq!(count(&seen, false), writes, "{seen:#?}");
    }
    place.end();
}

#[tokio::test]
async fn a_member_that_another_manager_holds_blocks_and_is_taken_over_by_force() {
    let health = |how: &str| web("1", &format!("health = {{ {how} }}"));
    let probe = |user: &User<'_>| user.live("deployment/web")["spec"]["template"]["spec"]["containers"][0]["readinessProbe"].clone();
    let mut user = User::new(nodeless(), "unions-held");
    user.apps = health("http = \"/up\"");
    user.converge().await;
    user.other_applies(
        "other",
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {containers: [
          {name: web, readinessProbe: {httpGet: {path: /up, port: 8080}}}]}}}}",
    );
    user.nothing().await;
    let before = probe(&user);
    user.apps = health("tcp = \"http\"");
    let text = user.refused().await;
    let field = r#".spec.template.spec.containers[name="web"].readinessProbe.httpGet"#;
    assert!(text.contains(r#"conflict with "other""#) && text.contains(field), "{text}");
    assert!(text.contains("other wants other values there") && text.contains("take them over with `--force-conflicts`"), "{text}");
    assert_eq!(probe(&user), before);
    user.policy.force_conflicts = true;
    user.converge().await;
    assert_eq!((probe(&user)["tcpSocket"]["port"].as_i64(), probe(&user)["httpGet"].is_null()), (Some(8080), true));
    user.policy.force_conflicts = false;
    user.nothing().await;
    user.destroy().await;
    user.kubectl(&["delete", "namespace", &user.namespace, "--wait=false"]);
}

#[tokio::test]
async fn the_portable_model_changes_each_union_to_each_member() {
    let mut user = User::new(nodeless(), "unions-portable");
    let health = ["http = \"/up\"", "tcp = \"http\"", "command = [\"true\"]"];
    let each = |first: &str, second: &str| [format!("health = {{ {first} }}"), format!("health = {{ {second} }}")];
    let pairs = health.iter().flat_map(|first| health.iter().filter(move |second| *second != first).map(move |second| each(first, second)));
    let mut steps: Vec<String> = pairs.flatten().collect();
    steps.extend(
        [
            "",
            "health = { ready = { tcp = \"http\" }, live = { http = \"/live\", start_period = \"5s\" } }",
            "health = { ready = { http = \"/up\" }, live = { command = [\"true\"], start_period = \"5s\" } }",
            "health = { live = { tcp = \"http\", start_period = \"5s\" } }",
            "rollout.strategy = \"recreate\"",
            "",
            "rollout = { max_surge = 2 }",
            "rollout.strategy = \"recreate\"",
            "rollout.strategy = \"rolling\"",
            "files.\"/etc/a\" = { content = \"a\" }",
            "files.\"/etc/a\" = { content = \"b\", mode = \"0400\" }",
            "volumes.data = { path = \"/data\", access = \"shared\" }\nfiles.\"/etc/b\" = { content = \"b\" }",
            "volumes.data = { path = \"/data\", access = \"shared\" }",
            "",
        ]
        .map(str::to_owned),
    );
    user.policy = crate::user::agreed();
    user.policy.destroy = false;
    user.policy.delete_data = true;
    for step in steps {
        user.apps = web("1", &step);
        user.converge().await;
        let spec = user.live("deployment/web")["spec"].clone();
        let (container, strategy) = (&spec["template"]["spec"]["containers"][0], &spec["strategy"]);
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            let handlers = ["httpGet", "tcpSocket", "exec"].iter().filter(|handler| !container[probe][handler].is_null()).count();
            assert_eq!(handlers, usize::from(!container[probe].is_null()), "{step}: {container:#}");
        }
        assert_eq!(strategy["type"] == "Recreate", strategy["rollingUpdate"].is_null(), "{step}: {strategy:#}");
        assert_eq!(container["readinessProbe"].is_null(), !step.starts_with("health") || step.starts_with("health = { live"), "{step}");
    }
    user.policy.delete_data = false;
    user.destroy().await;
    user.kubectl(&["delete", "namespace", &user.namespace, "--wait=false"]);
}

/// The source of a volume is never changed in place: that is the only complaint, and none about two sources.
#[tokio::test(flavor = "multi_thread")]
async fn another_source_of_a_persistent_volume_is_refused_for_what_it_is() {
    let cluster = tokio::task::spawn_blocking(nodeless).await.unwrap();
    tokio::task::block_in_place(|| cluster.apply_yaml("{apiVersion: v1, kind: Namespace, metadata: {name: unions-volumes}}"));
    let manifests = Manifests::new(cluster.kubeconfig(), "unions-volumes");
    let agreed = Policy { allow_delete: true, delete_data: true, ..Policy::default() };
    let first = table::persistent_volumes("unions-volumes-", 0);
    manifests.write(&text(&first));
    manifests.apply(agreed).await;
    assert_eq!(told(&manifests.plan(true, agreed).await), [""; 0]);
    for shift in 1..first.len() {
        manifests.write(&text(&table::persistent_volumes("unions-volumes-", shift)));
        let plan = manifests.plan(true, agreed).await;
        let replaced = plan.changes.iter().filter(|change| matches!(change.action, Action::Replace(_))).count();
        let held: Vec<String> = plan.held.iter().map(|held| format!("{:?}", held.why)).collect();
        assert_eq!(replaced + held.len(), first.len(), "{shift}: {:#?}", told(&plan));
        assert!(held.iter().all(|why| why.contains("immutable") && !why.contains("more than 1")), "{held:#?}");
    }
    manifests.apply(Policy { destroy: true, ..agreed }).await;
    tokio::task::block_in_place(|| cluster.kubectl(&["delete", "namespace", "unions-volumes", "--wait=false"]));
}
