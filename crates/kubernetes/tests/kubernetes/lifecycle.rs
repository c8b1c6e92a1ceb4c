//! Objects that come and go with others, or by themselves.

use serde_json::Value;
use stratos_engine::deploy::Policy;
use stratos_engine::plan::change::Action;
use stratos_engine::plan::{HeldReason, Plan};
use stratos_test_platforms::Cluster;

use crate::manifests::{Live, cluster};
use crate::support::eventually;

const MANIFESTS: &str = "platform.kubernetes.manifests = \"k8s/*\"\n";

fn destroy() -> Policy {
    Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() }
}

/// A project of one file. `NAMESPACE` in it is the environment's own, and `GROUP` a group of the API that no other process has.
async fn of(name: &str, text: &str) -> Live {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    let mut live = Live::new(name, &[("k8s/all.yaml".to_owned(), String::new())], MANIFESTS);
    let text = text.replace("NAMESPACE", &live.namespace).replace("GROUP", &group(name));
    std::fs::write(live.folder.path().join("k8s/all.yaml"), text).unwrap();
    live.manifest = stratos_engine::manifest::Manifest::load(live.folder.path()).unwrap();
    live
}

fn group(name: &str) -> String {
    format!("{name}{}.example.com", std::process::id())
}

async fn object(live: &Live, what: &str) -> Option<Value> {
    let text = live.kubectl(&["get", what, "--ignore-not-found", "--output=json"]).await.unwrap();
    serde_json::from_str(&text).ok()
}

/// The token controller deletes a Secret whose ServiceAccount is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_secret_is_made_after_its_service_account_and_stays() {
    let live = of(
        "token",
        "
apiVersion: v1
kind: Secret
metadata: { name: a-token, annotations: { kubernetes.io/service-account.name: robot } }
type: kubernetes.io/service-account-token
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: robot }
",
    )
    .await;
    let (plan, _) = live.apply(Policy::default()).await.unwrap();
    let order: Vec<&str> = plan.changes.iter().map(|change| &*change.id.kind).collect();
    assert_eq!(order, ["ServiceAccount", "Secret"]);
    eventually(|| async {
        let secret = object(&live, "secret/a-token").await;
        if secret.as_ref().is_some_and(|secret| secret["data"]["token"].is_string()) { Ok(()) } else { Err(format!("{secret:?}")) }
    })
    .await;
    live.unchanged("when its token is there").await.unwrap();
    live.apply(destroy()).await.unwrap();
}

const OPERATED: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: dbs.GROUP }
spec:
  group: GROUP
  names: { kind: Db, plural: dbs }
  scope: Namespaced
  versions: [{ name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: operator }
spec:
  replicas: 0
  selector: { matchLabels: { app: operator } }
  template: { metadata: { labels: { app: operator } }, spec: { serviceAccountName: operator, containers: [{ name: web, image: 'registry.example/web:1' }] } }
---
{ apiVersion: v1, kind: ServiceAccount, metadata: { name: operator } }
---
apiVersion: v1
kind: Service
metadata: { name: operator }
spec: { selector: { app: operator }, ports: [{ port: 443 }] }
---
apiVersion: GROUP/v1
kind: Db
metadata: { name: d1, finalizers: [example.com/clean-up] }
spec: { size: 1 }
";

/// Its operator serves the finalizer: the resource goes first, then the definition, then what runs and what it needs.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_deleted_after_the_resources_that_wait_for_it() {
    let live = of("operated", OPERATED).await;
    live.apply(Policy::default()).await.unwrap();
    live.unchanged("right after an apply").await.unwrap();
    let plan = live.plan(destroy()).await.unwrap();
    let place = |kind: &str| plan.changes.iter().position(|change| &*change.id.kind == kind).unwrap_or_else(|| panic!("no {kind}"));
    let group = group("operated");
    let dbs = format!("dbs.{group}");
    let (db, definition) = (place(&format!("Db.{group}")), place("CustomResourceDefinition.apiextensions.k8s.io"));
    let (operator, service, account) = (place("Deployment.apps"), place("Service"), place("ServiceAccount"));
    assert!(db < definition && definition < operator && definition < service && operator < account, "{:#?}", plan.changes);
    assert!(plan.changes[operator].waits_for.contains(&plan.changes[db].id));

    let serve = async {
        eventually(|| async {
            match object(&live, &format!("{dbs}/d1")).await {
                Some(db) if db["metadata"]["deletionTimestamp"].is_string() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        for still in ["deployment/operator", "serviceaccount/operator", &format!("crd/{dbs}"), "service/operator"] {
            let there = object(&live, still).await.unwrap_or_else(|| panic!("{still} is gone"));
            assert!(there["metadata"]["deletionTimestamp"].is_null(), "{there:#}");
        }
        let patch = r#"{"metadata":{"finalizers":null}}"#;
        live.kubectl(&["patch", &format!("{dbs}/d1"), "--type=merge", "--patch", patch]).await.unwrap();
    };
    let (gone, ()) = tokio::join!(live.apply(destroy()), serve);
    gone.unwrap();
    assert!(object(&live, "deployment/operator").await.is_none());
}

/// A definition that holds data is kept, and does not keep the operator.
#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_is_kept_keeps_no_operator() {
    let live = of("keeping", &OPERATED.replace(", finalizers: [example.com/clean-up]", "")).await;
    let definition = format!("crd/dbs.{}", group("keeping"));
    live.apply(Policy::default()).await.unwrap();
    live.apply(Policy { delete_data: false, ..destroy() }).await.unwrap();
    assert!(object(&live, &definition).await.is_some());
    assert!(object(&live, "deployment/operator").await.is_none());
    live.apply(destroy()).await.unwrap();
    assert!(object(&live, &definition).await.is_none());
}

const OWN: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: NAMESPACE, labels: { pod-security.kubernetes.io/enforce: baseline, istio-injection: enabled }, annotations: { note: x } }
---
";
const INSIDE: &str = "{ apiVersion: v1, kind: ConfigMap, metadata: { name: c, namespace: NAMESPACE }, data: { a: b } }\n";

async fn labels(live: &Live) -> Value {
    object(live, &format!("namespace/{}", live.namespace)).await.map_or(Value::Null, |namespace| namespace["metadata"]["labels"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_own_namespace_is_declared_changed_no_longer_declared_and_destroyed() {
    let live = of("own", &format!("{OWN}{INSIDE}")).await;
    let (plan, _) = live.apply(Policy::default()).await.unwrap();
    assert_eq!((&*plan.changes[0].id.kind, plan.changes[0].action), ("Namespace", Action::Create));
    assert!(plan.changes[1..].iter().all(|change| change.waits_for.contains(&plan.changes[0].id)));
    assert_eq!(labels(&live).await["istio-injection"], "enabled");
    live.unchanged("right after an apply").await.unwrap();

    // By hand, and by another manifest.
    live.kubectl(&[
        "patch",
        "namespace",
        &live.namespace,
        "--type=merge",
        "--patch",
        r#"{"metadata":{"labels":{"istio-injection":"disabled"}}}"#,
    ])
    .await
    .unwrap();
    live.apply(Policy::default()).await.unwrap();
    assert_eq!(labels(&live).await["istio-injection"], "enabled");
    let live = of("own", &format!("{}{INSIDE}", OWN.replace(", istio-injection: enabled", ""))).await;
    live.apply(Policy::default()).await.unwrap();
    assert_eq!(labels(&live).await["istio-injection"], Value::Null);

    // It is not declared any more: it is what it is without a manifest, and nothing in it is touched.
    let without = of("own", INSIDE).await;
    without.apply(Policy { allow_delete: true, delete_data: true, ..Policy::default() }).await.unwrap();
    assert_eq!(labels(&without).await["pod-security.kubernetes.io/enforce"], Value::Null);
    assert_eq!(labels(&without).await["stratos/project"], without.namespace.as_str());
    assert!(object(&without, "configmap/c").await.is_some());
    without.unchanged("where it is declared no more").await.unwrap();

    // Declared again, it is there already, with somebody else's thing in it.
    live.apply(Policy::default()).await.unwrap();
    live.unchanged("declared again").await.unwrap();
    live.kubectl(&["create", "configmap", "theirs"]).await.unwrap();
    live.apply(destroy()).await.unwrap();
    assert!(object(&live, "configmap/theirs").await.is_some() && object(&live, "configmap/c").await.is_none());
    live.kubectl(&["delete", "configmap", "theirs"]).await.unwrap();
    live.apply(Policy::default()).await.unwrap();
    live.apply(destroy()).await.unwrap();
    let left = labels(&live).await;
    assert!(left.is_null(), "{left}");
}

/// Somebody else's namespace is adopted like everything else.
#[tokio::test(flavor = "multi_thread")]
async fn an_own_namespace_that_somebody_else_made_is_taken_over_where_the_user_agrees() {
    let live = of("own-theirs", &format!("{OWN}{INSIDE}")).await;
    live.kubectl(&["create", "namespace", &live.namespace]).await.unwrap();
    let held = live.changes().await.unwrap();
    assert!(held.iter().any(|change| change.starts_with("held:") && change.contains("NotOurs")), "{held:#?}");
    live.apply(Policy { adopt: true, ..Policy::default() }).await.unwrap();
    live.unchanged("right after an adoption").await.unwrap();
    live.apply(destroy()).await.unwrap();
    assert!(labels(&live).await.is_null());
}

/// A Job of no completions has run at once.
fn job(more: &str) -> String {
    format!(
        "
apiVersion: batch/v1
kind: Job
metadata: {{ name: once{more} }}
spec:
  completions: 0
  ttlSecondsAfterFinished: 0
  template: {{ spec: {{ restartPolicy: Never, containers: [{{ name: one, image: 'registry.example/web:1' }}] }} }}
---
{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: beside }} }}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_went_after_its_time_to_live_is_made_again_only_when_it_changes() {
    let live = of("ttl", &job("")).await;
    for (text, times) in [(job(""), 1), (job(", labels: { run: second }"), 2)] {
        let live = of("ttl", &text).await;
        let (plan, _) = live.apply(Policy::default()).await.unwrap();
        let made = plan.changes.iter().filter(|change| &*change.id.kind == "Job.batch" && change.action == Action::Create).count();
        assert_eq!(made, 1, "{times}: {:#?}", plan.changes);
        eventually(|| async { object(&live, "job/once").await.map_or(Ok(()), |job| Err(job.to_string())) }).await;
        live.unchanged("after its time to live").await.unwrap();
    }
    // The deletion of another object takes nothing of that away.
    let alone = job(", labels: { run: second }").split("---").next().unwrap().to_owned();
    let alone = of("ttl", &alone).await;
    alone.apply(Policy { allow_delete: true, ..Policy::default() }).await.unwrap();
    alone.unchanged("after something else was deleted").await.unwrap();
    live.apply(destroy()).await.unwrap();
}

/// A Job without a time to live that somebody deletes is made again.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_go_by_itself_is_made_again() {
    let live = of("no-ttl", &job("").replace("  ttlSecondsAfterFinished: 0\n", "")).await;
    live.apply(Policy::default()).await.unwrap();
    live.unchanged("right after an apply").await.unwrap();
    live.kubectl(&["delete", "job", "once"]).await.unwrap();
    let changes = live.changes().await.unwrap();
    assert!(changes.iter().any(|change| change.starts_with("Create test/Job.batch/once")), "{changes:#?}");
    live.apply(destroy()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_no_words_of_an_address_are_found_again() {
    let role = |name: &str| {
        format!(
            "---\n{{ apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{ name: '{name}' }}, rules: [{{ apiGroups: [''], resources: [pods], verbs: [get] }}] }}\n"
        )
    };
    let names = ["system:m-names", "a b", "a?b", "a#b", "a+b", "a&b=c", "Ünïcode", "a\"b", "a@b"];
    let live = of("names", &names.map(role).concat()).await;
    let (plan, _) = live.apply(Policy::default()).await.unwrap();
    assert_eq!(plan.changes.len(), names.len());
    live.unchanged("right after an apply").await.unwrap();
    let there = live.kubectl(&["get", "roles", "--output=jsonpath={range .items[*]}{.metadata.name}{\"\\n\"}{end}"]).await.unwrap();
    for name in names {
        assert!(there.lines().any(|line| line == name), "{name} in {there}");
    }
    live.kubectl(&["delete", "role", "a b"]).await.unwrap();
    let changes = live.changes().await.unwrap();
    assert!(
        !changes.is_empty() && changes.iter().all(|change| change.starts_with("Create test/Role.rbac.authorization.k8s.io/a b:")),
        "{changes:#?}"
    );
    live.apply(destroy()).await.unwrap();
    assert_eq!(live.kubectl(&["get", "roles", "--output=name"]).await.unwrap(), "");
}

/// The server drops a field whose feature gate is off.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_cluster_does_not_keep_is_no_difference_and_is_said() {
    let live = of(
        "gate",
        "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec:
  maxReplicas: 3
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }
  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } } }]
  behavior: { scaleUp: { tolerance: 50m, stabilizationWindowSeconds: 0 } }
",
    )
    .await;
    live.apply(Policy::default()).await.unwrap();
    let kept = object(&live, "horizontalpodautoscaler/web").await.unwrap();
    assert!(kept["spec"]["behavior"]["scaleUp"]["tolerance"].is_null(), "this cluster keeps it: {kept}");
    let plan = live.plan(Policy::default()).await.unwrap();
    assert!(plan.is_empty() && plan.held.is_empty());
    let [note] = &plan.coverage.degraded[..] else { panic!("{:?}", plan.coverage.degraded) };
    let words = "does not keep spec.behavior.scaleUp.tolerance of test/HorizontalPodAutoscaler.autoscaling/web";
    assert!(note.contains(words) && note.contains("feature gate"), "{note}");
    live.apply(destroy()).await.unwrap();
}

/// Its claim grows in place. Its StatefulSet, whose templates of claims cannot change, is replaced, and finds the claim again.
#[tokio::test(flavor = "multi_thread")]
async fn a_volume_grows_and_keeps_what_is_in_it() {
    let cluster = tokio::task::spawn_blocking(Cluster::shared).await.unwrap();
    let of = |size: &str| {
        let image = format!("{}/web:1", cluster.registry());
        let app = format!("image = \"{image}\"\nvolumes.data = {{ path = \"/data\", size = \"{size}\", access = \"replica\" }}\n");
        Live { cluster, ..Live::new("grows", &[], &app) }
    };
    let live = of("1Gi");
    live.apply(Policy::default()).await.unwrap();
    let claim = eventually(|| async {
        let claim = object(&live, "pvc/data-web-0").await;
        let is_bound = |claim: &Value| claim["status"]["phase"] == "Bound";
        claim.clone().filter(is_bound).ok_or_else(|| format!("{claim:?}"))
    })
    .await;

    let live = of("2Gi");
    let plan = live.plan(Policy::default()).await.unwrap();
    assert!(plan.held.is_empty(), "{:#?}", plan.held);
    let actions: Vec<String> = plan.changes.iter().map(|change| format!("{:?} {}", change.action, change.id.name)).collect();
    assert!(actions.iter().any(|action| action == "Update data-web-0"), "{actions:#?}");
    assert!(actions.iter().any(|action| action.starts_with("Replace") && action.ends_with(" web")), "{actions:#?}");
    live.apply(Policy::default()).await.unwrap();
    live.unchanged("when the volume has grown").await.unwrap();
    let set = object(&live, "statefulset/web").await.unwrap();
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], "2Gi");
    let grown = object(&live, "pvc/data-web-0").await.unwrap();
    assert_eq!(grown["spec"]["resources"]["requests"]["storage"], "2Gi");
    assert_eq!((&grown["metadata"]["uid"], &grown["spec"]["volumeName"]), (&claim["metadata"]["uid"], &claim["spec"]["volumeName"]));
    live.apply(destroy()).await.unwrap();
}

/// Its claims are deleted with it, as it says: neither a replacement nor a removal does that without somebody's word.
#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_whose_claims_go_with_it_holds_data() {
    let of = |service: &str, when: &str| {
        let text = format!(
            "
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: db }}
spec:
  replicas: 0
  serviceName: {service}
  persistentVolumeClaimRetentionPolicy: {{ whenDeleted: {when}, whenScaled: Retain }}
  selector: {{ matchLabels: {{ app: db }} }}
  template: {{ metadata: {{ labels: {{ app: db }} }}, spec: {{ containers: [{{ name: db, image: 'registry.example/db:1' }}] }} }}
  volumeClaimTemplates: [{{ metadata: {{ name: data }}, spec: {{ accessModes: [ReadWriteOnce], resources: {{ requests: {{ storage: 1Gi }} }} }} }}]
"
        );
        async move { self::of("claims-go", &text).await }
    };
    let kept = |plan: &Plan| plan.held.iter().filter(|held| held.why == HeldReason::HoldsData).count();
    of("one", "Delete").await.apply(Policy::default()).await.unwrap();
    // The live policy counts, since it is the one that the cluster follows when the set is deleted.
    for when in ["Delete", "Retain"] {
        let plan = of("two", when).await.plan(Policy::default()).await.unwrap();
        assert!(plan.is_empty() && kept(&plan) == 1, "{plan:#?}");
    }
    let agreed = Policy { delete_data: true, ..Policy::default() };
    let plan = of("two", "Retain").await.plan(agreed).await.unwrap();
    assert!(plan.changes.len() == 1 && plan.changes[0].loses_data, "{plan:#?}");
    let live = of("one", "Delete").await;
    let plan = live.plan(Policy { delete_data: false, ..destroy() }).await.unwrap();
    assert!(plan.is_empty() && kept(&plan) == 1, "{plan:#?}");

    let live_retains = of("one", "Retain").await;
    live_retains.apply(Policy::default()).await.unwrap();
    let plan = of("two", "Retain").await.plan(Policy::default()).await.unwrap();
    assert!(plan.held.is_empty() && plan.changes.len() == 1 && !plan.changes[0].loses_data, "{plan:#?}");
    live.apply(destroy()).await.unwrap();
}

/// The server fills `policyTypes` in by the egress rules and keeps it when they leave: the policy would then forbid all egress.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_without_its_egress_rules_is_one_for_ingress_alone() {
    let of = |egress: &str| {
        let text = format!(
            "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{ name: web }}
spec:
  podSelector: {{ matchLabels: {{ app: web }} }}
  ingress: [{{ ports: [{{ port: 80 }}] }}]
  {egress}
"
        );
        async move { self::of("follows", &text).await }
    };
    let types = async |live: &Live| object(live, "networkpolicy/web").await.unwrap()["spec"]["policyTypes"].to_string();
    let (with, without) = ("egress: [{ ports: [{ port: 53, protocol: UDP }] }]", "");
    for (egress, expected) in [(with, r#"["Ingress","Egress"]"#), (without, r#"["Ingress"]"#), (with, r#"["Ingress","Egress"]"#)] {
        let live = of(egress).await;
        let (plan, _) = live.apply(Policy::default()).await.unwrap();
        assert_eq!(types(&live).await, expected);
        live.unchanged("afterwards").await.unwrap();
        let shown: Vec<String> = plan.changes.iter().flat_map(|change| &change.differences).map(|field| field.path.to_string()).collect();
        assert!(plan.changes[0].action == Action::Create || shown.iter().any(|path| path.starts_with("spec.policyTypes")), "{shown:?}");
    }
    of(with).await.apply(destroy()).await.unwrap();
}
