//! Who may do only a part of it: the roles of the documentation, and what is said where they are too little.

use stratos_test_platforms::Cluster;

use crate::support::unique;
use crate::user::{User, failures, nodeless, said, web};

/// Makes the roles that stand in the documentation.
fn documented(cluster: &Cluster) {
    static MADE: std::sync::Once = std::sync::Once::new();
    MADE.call_once(|| make_documented(cluster));
}

fn make_documented(cluster: &Cluster) {
    let document = include_str!("../../../../docs/kubernetes.md");
    let (_, rights) = document.split_once("\n## Rights\n").expect("a section on rights");
    let rights = rights.split("\n## ").next().unwrap_or_default();
    let blocks: Vec<&str> = rights.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(blocks.len(), 3, "roles to plan, to apply, and for namespaces");
    for block in blocks {
        cluster.apply_yaml(block);
    }
}

/// A role of one test. It is deleted with this value.
struct OwnRole<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl<'a> OwnRole<'a> {
    fn new(cluster: &'a Cluster, rules: &str) -> Self {
        let name = unique("test-role");
        cluster.apply_yaml(&format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: {name}}}, rules: {rules}}}"
        ));
        Self { cluster, name }
    }
}

impl Drop for OwnRole<'_> {
    fn drop(&mut self) {
        self.cluster.try_kubectl(&["delete", "clusterrole", &self.name, "--wait=false"]);
    }
}

const FILE: &str = "files.\"/etc/app.conf\".content = \"a\"";

#[tokio::test]
async fn who_may_only_read_plans_and_is_told_that_nothing_was_tried() {
    let cluster = nodeless();
    documented(cluster);
    let mut admin = User::new(cluster, "rights-reader");
    let reader = admin.as_somebody("rights-reader", &["stratos-plan"]);
    let plan = reader.plan().await;
    assert!(!plan.is_empty() && plan.held.is_empty() && plan.coverage.gaps.is_empty(), "{}", said(&plan));
    assert_eq!(plan.coverage.degraded, [""; 0]);
    admin.converge().await;
    assert_eq!(reader.nothing().await.coverage.degraded, [""; 0]);

    admin.apps = web("2", FILE);
    let reader = admin.as_somebody("rights-reader", &["stratos-plan"]);
    let plan = reader.plan().await;
    assert!(!plan.is_empty() && plan.held.is_empty() && plan.coverage.gaps.is_empty(), "{}", said(&plan));
    let [note] = &plan.coverage.degraded[..] else { panic!("{:?}", plan.coverage.degraded) };
    assert!(note.contains("dry run") && note.contains(r#"cannot patch resource "deployments" in API group "apps""#), "{note}");
    // The same changes as those of somebody who was allowed to ask.
    let all = admin.plan().await;
    assert_eq!(plan.changes, all.changes);
    assert_eq!(all.coverage.degraded, [""; 0]);

    let refused = reader.try_apply(&plan).await.err().map(|error| format!("{error:?}")).unwrap_or_default();
    assert!(refused.contains(r#"cannot create resource \"leases\" in API group \"coordination.k8s.io\""#), "{refused}");
    assert!(refused.contains(r#"resources: [\"leases\"], verbs: [\"create\"]"#) && refused.contains("docs/kubernetes.md"), "{refused}");
    admin.destroy().await;
}

#[tokio::test]
async fn who_may_use_one_namespace_plans_applies_and_destroys() {
    let cluster = nodeless();
    documented(cluster);
    let admin = User::new(cluster, "rights-writer");
    let mut user = admin.as_somebody("rights-writer", &["stratos-apply"]);
    for what in [&["namespaces"][..], &["namespaces", &admin.namespace]] {
        let asked = [&["get"], what].concat();
        let kubeconfig = format!("--kubeconfig={}", cluster.kubeconfig_of("rights-writer", &[]).display());
        assert!(!cluster.try_kubectl(&[asked, vec![&kubeconfig]].concat()).status.success(), "{what:?} may be read");
    }
    user.converge().await;
    user.apps = web("2", FILE);
    assert_eq!(user.converge().await.coverage.degraded, [""; 0]);
    user.apps = web("2", "[apps.worker]\nimage = \"registry.example/web:1\"\nreplicas = 0");
    user.converge().await;
    user.apps = web("2", "");
    user.converge().await;
    user.destroy().await;
}

/// The record of kinds is lost as well: what may not be looked through is said, and what was listed is planned.
#[tokio::test]
async fn who_may_use_one_namespace_goes_on_without_the_record() {
    let cluster = nodeless();
    documented(cluster);
    let admin = User::new(cluster, "rights-record");
    let user = admin.as_somebody("rights-record", &["stratos-apply"]);
    user.converge().await;
    user.kubectl(&["delete", "configmap", &format!("--selector=stratos/project={}", admin.project())]);
    let plan = user.plan().await;
    assert!(plan.is_empty(), "{}", said(&plan));
    assert!(said(&plan).contains(r#"cannot list resource \"networkpolicies\" in API group \"networking.k8s.io\""#), "{}", said(&plan));
    admin.destroy().await;
}

#[tokio::test]
async fn a_kind_that_may_not_be_listed_is_a_gap_and_nothing_is_deleted() {
    let cluster = nodeless();
    documented(cluster);
    let role = OwnRole::new(
        cluster,
        r#"[{apiGroups: [""], resources: [configmaps, serviceaccounts], verbs: [get, list]}, {apiGroups: [apps], resources: [deployments], verbs: [get, list]}]"#,
    );
    let mut admin = User::new(cluster, "rights-gap");
    admin.apps = web("1", "[apps.other]\nimage = \"registry.example/web:1\"\nreplicas = 0\nports.http = 8080");
    admin.converge().await;
    admin.apps = web("2", "");
    let reader = admin.as_somebody("rights-gap", &[&role.name]);
    let plan = reader.plan().await;
    let gaps = format!("{:?}", plan.coverage.gaps);
    assert!(gaps.contains(r#"cannot list resource \"services\" in API group \"\""#), "{gaps}");
    assert!(gaps.contains(r#"resources: [\"services\"], verbs: [\"list\"]"#) || gaps.contains("listing services"), "{gaps}");
    let deletes = plan.changes.iter().filter(|change| matches!(change.action, stratos_engine::plan::change::Action::Delete)).count();
    assert_eq!(deletes, 0, "{:#?}", plan.changes);
    assert!(!plan.held.is_empty(), "{}", said(&plan));
    admin.converge().await;
    admin.destroy().await;
}

#[tokio::test]
async fn an_apply_with_too_little_says_which_verb_on_which_resource() {
    let cluster = nodeless();
    documented(cluster);
    let role = OwnRole::new(
        cluster,
        r#"[{apiGroups: [""], resources: [configmaps, serviceaccounts, services], verbs: [create, patch, delete]},
            {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update, delete]}]"#,
    );
    let mut admin = User::new(cluster, "rights-little");
    let user = admin.as_somebody("rights-little", &["stratos-plan", &role.name]);
    let plan = user.plan().await;
    let applied = user.apply(&plan).await;
    let failed = failures(&applied);
    let [(what, why, hint)] = &failed[..] else { panic!("{failed:#?}") };
    assert!(what.contains("Deployment.apps/web"), "{what}");
    let refused = format!(r#"cannot patch resource "deployments" in API group "apps" in the namespace "{}""#, admin.namespace);
    assert!(why.contains(&refused), "{why}");
    assert!(
        hint.contains(r#"{apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"]}"#) && hint.contains("docs/kubernetes.md"),
        "{hint}"
    );
    // With the right, the same plan goes on from there.
    admin.converge().await;
    admin.apps = web("2", "");
    let user = admin.as_somebody("rights-little", &[]);
    let plan = user.plan().await;
    let failed = failures(&user.apply(&plan).await);
    assert!(failed.iter().any(|(_, why, _)| why.contains(r#"cannot patch resource "deployments" in API group "apps""#)), "{failed:#?}");
    admin.destroy().await;
}
