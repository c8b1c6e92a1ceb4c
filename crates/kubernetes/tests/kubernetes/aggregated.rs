//! A kind that cannot be read, since the API server of its group or the conversion between its versions does not answer, stops
//! nothing that does not need it.

use stratos_engine::plan::HeldReason;
use stratos_engine::platform::contract::stage::{brief, told};
use stratos_test_platforms::Cluster;

use crate::apart::Apart;
use crate::bad_objects::{config_map, convert_by_nothing, convert_by_webhook, definition};
use crate::declared::{Declared, changes};
use crate::record::{kinds, records};
use crate::support::eventually;
use crate::user::{User, agreed, web};

/// An API server behind a Service that leads nowhere.
const SERVER: &str = "
apiVersion: v1
kind: Service
metadata: { name: nowhere, namespace: default }
spec: { ports: [{ port: 443 }] }
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: { name: v1.nowhere.example }
spec:
  group: nowhere.example
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: { name: nowhere, namespace: default }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_server_is_down_is_a_gap_of_that_group_and_the_rest_is_planned() {
    let apart = Apart::get().await;
    let mut user = Declared::in_cluster(apart.cluster, "ag-down");
    user.says(&config_map("b")).converge().await;
    apart.cluster.apply_yaml(SERVER);
    // The cluster says that it has such a group once it has tried to reach it.
    apart.cluster.kubectl(&["wait", "--for=condition=Available=false", "apiservice/v1.nowhere.example", "--timeout=60s"]);
    user.nothing("while a group that is not wanted does not answer").await;
    user.says(&(config_map("c") + "apiVersion: nowhere.example/v1\nkind: Thing\nmetadata: { name: one }\n"));
    let plan = user.plan().await;
    assert_eq!(changes(&plan), ["update ConfigMap/good"], "{:#?}", brief(&plan));
    let [gap] = &plan.coverage.gaps[..] else { panic!("{:#?}", plan.coverage.gaps) };
    assert_eq!(gap.kind.as_deref(), Some("Thing.nowhere.example"));
    assert!(gap.why.contains("nowhere.example"), "{}", gap.why);
    let held: Vec<_> = plan.held.iter().map(|held| (&*held.id.name, matches!(held.why, HeldReason::Unreadable { .. }))).collect();
    assert_eq!(held, [("one", true)]);
    user.apply(&plan).await;
    assert_eq!(user.kubectl(&["get", "configmap", "good", "--output=jsonpath={.data.a}"]), "c");
    user.says(&config_map("c")).destroy().await;
    apart.cluster.kubectl(&["delete", "apiservice", "v1.nowhere.example"]);
    apart.cluster.kubectl(&["delete", "service", "nowhere", "--namespace=default"]);
}

/// Breaks a kind of the cluster, of which there is an object in this namespace: its objects can be neither read nor written.
async fn break_kind(cluster: &Cluster, group: &str, namespace: &str) {
    let versions = [("v1", true, ""), ("v1alpha1", true, "")];
    cluster.apply_yaml(&definition("hooks", "Hook", group, &versions));
    let name = format!("hooks.{group}");
    cluster.established(&name);
    // An object that is stored in the other version is converted when it is read.
    cluster.apply_yaml(&format!("{{apiVersion: {group}/v1alpha1, kind: Hook, metadata: {{name: one, namespace: {namespace}}}}}"));
    stop_conversion(cluster, &name).await;
}

/// From now on objects of the kind cannot be read.
async fn stop_conversion(cluster: &Cluster, definition: &str) {
    convert_by_webhook(cluster, definition);
    eventually(|| async {
        let listed = cluster.try_kubectl(&["get", "hooks", "--all-namespaces"]);
        if listed.status.success() { Err("the kind can be read".to_owned()) } else { Ok(()) }
    })
    .await;
}

fn remove_kind(cluster: &Cluster, group: &str) {
    let name = format!("hooks.{group}");
    convert_by_nothing(cluster, &name);
    cluster.kubectl(&["delete", "crd", &name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_cannot_be_read_does_not_hold_up_an_environment_that_does_not_use_it() {
    const GROUP: &str = "ag-first.example";
    let apart = Apart::get().await;
    break_kind(apart.cluster, GROUP, "default").await;
    let mut user = User::new(apart.cluster, "ag-first");
    // The namespace was there: the record may have been lost, and so all kinds are looked through before the first write.
    user.converge().await;
    assert_eq!(kinds(&user), "Deployment.apps,Service,ServiceAccount");

    // Where a record was lost, something of the kind may be ours: it is looked for from now on.
    user.kubectl(&["delete", &records(&user)[0]]);
    user.apps = web("2", "");
    let plan = user.plan().await;
    user.apply(&plan).await;
    assert_eq!(kinds(&user), "Deployment.apps,Hook.ag-first.example,Service,ServiceAccount");

    // The kind can be read when the deletion of the Service is planned, and cannot when the run ends: the record loses the kind of which
    // nothing is left, and keeps the one that cannot be read.
    let definition = format!("hooks.{GROUP}");
    convert_by_nothing(apart.cluster, &definition);
    user.apps = web("2", "").replace("ports.http = 8080", "");
    let plan = eventually(|| async {
        let plan = user.plan().await;
        if plan.coverage.gaps.is_empty() { Ok(plan) } else { Err(format!("{:#?}", plan.coverage.gaps)) }
    })
    .await;
    stop_conversion(apart.cluster, &definition).await;
    user.apply(&plan).await;
    assert_eq!(kinds(&user), "Deployment.apps,Hook.ag-first.example,ServiceAccount");

    remove_kind(apart.cluster, GROUP);
    user.destroy().await;
}

/// A namespace that we made stays where nobody can tell whether it is empty, and everything else of the environment goes.
#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_cannot_be_read_keeps_the_namespace_and_nothing_else() {
    const GROUP: &str = "ag-last.example";
    let apart = Apart::get().await;
    let user = User::new(apart.cluster, "ag-last");
    user.kubectl(&["delete", "namespace", &user.namespace]);
    user.converge().await;
    break_kind(apart.cluster, GROUP, &user.namespace).await;

    let plan = User { policy: agreed(), ..user.through(user.way.clone()) }.plan().await;
    let applied = user.apply(&plan).await;
    let said = applied.notes.join("\n");
    assert!(said.contains("whether it is empty cannot be told, since its hooks cannot be listed"), "{said:?} {}", told(&plan, &applied));
    assert_eq!(user.names("deployments,services,serviceaccounts"), ["serviceaccount/default"]);
    remove_kind(apart.cluster, GROUP);
}
