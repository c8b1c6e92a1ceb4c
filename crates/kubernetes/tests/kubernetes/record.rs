//! The record of where an environment has objects, when it is lost.

use serde_json::Value;
use stratos_engine::deploy::Policy;
use stratos_engine::plan::change::Action;

use crate::proxy::Proxy;
use crate::user::{User, Way, client, nodeless, web};

/// The names of the records.
pub fn records(user: &User<'_>) -> Vec<String> {
    user.names("configmaps").into_iter().filter(|name| name.contains("/stratos-")).collect()
}

/// Which kinds the record has.
pub fn kinds(user: &User<'_>) -> String {
    let [record] = &records(user)[..] else { panic!("no record, or more than one") };
    let record: Value = user.live(record);
    record["metadata"]["annotations"]["applyset.kubernetes.io/contains-group-kinds"].as_str().unwrap_or_default().to_owned()
}

/// An object of ours of a kind that no app becomes.
fn exotic(user: &User<'_>) {
    let labels = format!("{{stratos/project: {}, stratos/environment: dev, stratos/app: web}}", user.project());
    user.cluster.apply_yaml(&format!(
        "{{apiVersion: v1, kind: LimitRange, metadata: {{name: old, namespace: {}, labels: {labels}}},
          spec: {{limits: [{{type: Pod, max: {{cpu: 4}}}}]}}}}",
        user.namespace
    ));
}

/// Where a namespace was there before, a record may have been; where it is made, there was none.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_looked_for_in_a_namespace_that_we_make() {
    let cluster = nodeless();
    let user = User::new(cluster, "record-new");
    user.kubectl(&["delete", "namespace", &user.namespace]);
    let proxy = Proxy::new(client(cluster.kubeconfig()).await).await;
    let through = user.through(Way::Url(proxy.url()));
    through.converge().await;
    let searches = proxy.take_seen().iter().filter(|request| request.contains("/networkpolicies?")).count();
    assert_eq!(searches, 0);
    through.destroy().await;
}

#[tokio::test]
async fn without_it_everything_is_looked_through_and_it_is_written_anew() {
    let mut user = User::new(nodeless(), "record-lost");
    user.policy = Policy { allow_delete: true, ..Policy::default() };
    user.converge().await;
    let all = kinds(&user);
    assert_eq!(all, "Deployment.apps,Service,ServiceAccount");
    exotic(&user);
    // Controllers put the Service's labels on what they make of it.
    user.kubectl(&["wait", "--for=create", "endpoints/web", "--timeout=60s"]);
    user.kubectl(&["wait", "--for=create", "endpointslices", "--selector=kubernetes.io/service-name=web", "--timeout=60s"]);
    user.kubectl(&["delete", &records(&user)[0]]);

    user.apps = web("2", "");
    let plan = user.plan().await;
    let deleted: Vec<String> = plan.changes.iter().filter(|c| matches!(c.action, Action::Delete)).map(|c| c.id.to_string()).collect();
    assert_eq!(deleted, ["dev/LimitRange/old"], "{:#?}", plan.changes);
    assert_eq!(plan.changes.len(), 2);
    user.apply(&plan).await;
    user.nothing().await;
    assert_eq!(user.names("limitranges"), [""; 0]);
    // What was not changed is in it again, and what is gone is not.
    assert_eq!(kinds(&user), all);
    user.apps = web("2", "").replace("ports.http = 8080", "");
    user.converge().await;
    assert_eq!(user.names("services"), [""; 0]);
    assert_eq!(kinds(&user), "Deployment.apps,ServiceAccount");
    user.destroy().await;
}

#[tokio::test]
async fn without_it_everything_is_destroyed_all_the_same() {
    let user = User::new(nodeless(), "record-end");
    user.converge().await;
    exotic(&user);
    user.kubectl(&["delete", &records(&user)[0]]);
    user.destroy().await;
    assert_eq!(user.names("limitranges"), [""; 0]);
}

#[tokio::test]
async fn what_an_operator_made_is_not_ours_whatever_labels_it_copied() {
    let user = User::new(nodeless(), "record-copies");
    user.converge().await;
    let uid = user.kubectl(&["get", "deployment", "web", "--output=jsonpath={.metadata.uid}"]);
    user.cluster.apply_yaml(&format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: copied, namespace: {},
          labels: {{stratos/project: {}, stratos/environment: dev, stratos/app: web}},
          ownerReferences: [{{apiVersion: apps/v1, kind: Deployment, name: web, uid: {uid}, controller: true}}]}}, spec: {{ports: [{{port: 1}}]}}}}",
        user.namespace,
        user.project()
    ));
    user.nothing().await;
    user.destroy().await;
}
