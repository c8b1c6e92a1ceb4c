//! Objects that other tools have made, and that a manifest declares: taken over field by field, as far as people's tools wrote them.

use serde_json::Value;
use stratos_engine::deploy::Policy;
use stratos_engine::plan::Plan;

use crate::manifests::{Live, cluster};

fn adopt() -> Policy {
    Policy { adopt: true, ..Policy::default() }
}

fn destroy() -> Policy {
    Policy { destroy: true, allow_delete: true, ..Policy::default() }
}

/// How an object is made by somebody else: the name of its field manager, whether by server-side apply, and whether it is taken over.
const MANAGERS: [(&str, bool, bool); 16] = [
    ("helm", false, true),
    ("helm", true, true),
    ("kubectl-create", false, true),
    ("kubectl-client-side-apply", false, true),
    ("kubectl-replace", false, true),
    ("kubectl", true, true),
    ("k9s", false, true),
    ("rancher", false, true),
    ("Terraform", true, true),
    ("HashiCorp", false, true),
    ("pulumi-kubernetes-a1b2c3", true, true),
    ("kapp", false, true),
    // They would write it again.
    ("argocd-controller", true, false),
    ("helm-controller", false, false),
    ("kustomize-controller", true, false),
    ("octant", false, false),
];

fn name(manager: &str, applied: bool) -> String {
    format!("{}-{}", manager.to_lowercase(), if applied { "apply" } else { "update" })
}

fn deployment(name: &str, more: &str, metadata: &str, env: &str, containers: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: {name}{metadata} }}\nspec:\n  replicas: 0\n{more}  selector: {{ matchLabels: {{ app: {name} }} }}\n  \
         template:\n    metadata: {{ labels: {{ app: {name} }} }}\n    spec:\n      containers:\n      - {{ name: web, image: 'registry.example/web:1', env: [{{ name: KEEP, value: x }}{env}] }}\n{containers}"
    )
}

/// All that the manifest does not have.
fn of_others(name: &str) -> String {
    deployment(
        name,
        "  minReadySeconds: 7\n",
        ", labels: { chart: web-1, app.kubernetes.io/managed-by: Helm }, annotations: { meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: m-adopt }",
        ", { name: OLD, value: x }",
        "      - { name: old-sidecar, image: 'registry.example/web:1' }\n",
    )
}

/// The paths that a plan changes of an object.
fn paths(plan: &Plan, name: &str) -> Vec<String> {
    let change = plan.changes.iter().find(|change| *change.id.name == *name).unwrap_or_else(|| panic!("no change of {name}"));
    change.differences.iter().map(|difference| difference.path.to_string()).collect()
}

async fn make(live: &Live, yaml: &str, manager: &str, applied: bool) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    let (path, manager) = (file.path().display().to_string(), format!("--field-manager={manager}"));
    let verb: &[&str] = if applied { &["apply", "--server-side"] } else { &["create"] };
    live.kubectl(&[verb, &[&manager, "--filename", &path]].concat()).await.unwrap();
}

async fn object(live: &Live, what: &str) -> Value {
    serde_json::from_str(&live.kubectl(&["get", what, "--output=json", "--show-managed-fields"]).await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_of_people_wrote_is_taken_over_field_by_field_and_what_controllers_wrote_stays() {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    let files = MANAGERS.map(|(manager, applied, _)| {
        let name = name(manager, applied);
        (format!("k8s/{name}.yaml"), deployment(&name, "", "", "", ""))
    });
    let live = Live::new("adopt", &files, "platform.kubernetes.manifests = \"k8s/*\"\n");
    let namespace = live.namespace.clone();
    tokio::task::spawn_blocking(move || {
        cluster().apply_yaml(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"))
    })
    .await
    .unwrap();
    for (manager, applied, _) in MANAGERS {
        let name = name(manager, applied);
        make(&live, &of_others(&name), manager, applied).await;
        let of_controller = r#"{"spec":{"template":{"metadata":{"annotations":{"by":"a-controller"}}}}}"#;
        live.kubectl(&["patch", "deployment", &name, "--field-manager=a-controller", "--type=merge", "--patch", of_controller])
            .await
            .unwrap();
    }
    let plan = live.plan(adopt()).await.unwrap();
    for (manager, applied, is_taken) in MANAGERS {
        let (name, by_file) = (name(manager, applied), !["k9s", "rancher"].contains(&manager));
        let paths = paths(&plan, &name);
        for (field, is_shown) in [
            ("minReadySeconds", is_taken),
            ("env.[name=OLD].value", is_taken),
            ("containers.[name=old-sidecar].image", is_taken),
            ("metadata.labels.chart", is_taken && by_file),
            // Of a controller, and defaults of the server. Those of the container that goes are changes: they go with it.
            ("a-controller", false),
            ("annotations.by", false),
            ("[name=web].terminationMessagePath", false),
            ("progressDeadlineSeconds", false),
            ("strategy", false),
        ] {
            assert_eq!(paths.iter().any(|path| path.contains(field)), is_shown, "{name}: {field} in {paths:#?}");
        }
    }
    live.apply(adopt()).await.unwrap();
    live.unchanged("right after an adoption").await.unwrap();
    for (manager, applied, is_taken) in MANAGERS {
        let name = name(manager, applied);
        let object = object(&live, &format!("deployment/{name}")).await;
        let containers = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        let is_gone =
            (containers.len() == 1, object["spec"]["minReadySeconds"].is_null(), containers[0]["env"].as_array().unwrap().len() == 1);
        assert_eq!(is_gone, (is_taken, is_taken, is_taken), "{name}: {object:#}");
        assert_eq!(object["spec"]["template"]["metadata"]["annotations"]["by"], "a-controller");
        assert_eq!(object["spec"]["progressDeadlineSeconds"], 600);
        let managed = object["metadata"]["managedFields"].as_array().unwrap();
        let holds =
            |managed: &Value| managed["manager"] == manager && managed["subresource"].is_null() && !managed["fieldsV1"]["f:spec"].is_null();
        assert_eq!(managed.iter().any(holds), !is_taken, "{name}: {managed:#?}");
    }
    live.apply(destroy()).await.unwrap();
    live.kubectl(&["delete", "namespace", &live.namespace, "--wait=false"]).await.unwrap();
}

/// Paths of `autoscaling/v1` mean nothing in `autoscaling/v2`: what a tool wrote in another version stays its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_wrote_in_another_version_of_the_api_is_not_merged() {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    let scaler = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: web }\nspec: { scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }, maxReplicas: 3 }\n";
    let live = Live::new("adopt-version", &[("k8s/a.yaml".to_owned(), scaler.to_owned())], "platform.kubernetes.manifests = \"k8s/*\"\n");
    let namespace = live.namespace.clone();
    tokio::task::spawn_blocking(move || {
        cluster().apply_yaml(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"))
    })
    .await
    .unwrap();
    let v1 =
        scaler.replace("autoscaling/v2", "autoscaling/v1").replace("maxReplicas: 3", "maxReplicas: 2, targetCPUUtilizationPercentage: 70");
    make(&live, &v1, "helm", false).await;
    live.apply(adopt()).await.unwrap();
    live.unchanged("right after an adoption").await.unwrap();
    let object = object(&live, "hpa/web").await;
    assert_eq!(object["spec"]["maxReplicas"], 3);
    let managed = object["metadata"]["managedFields"].as_array().unwrap();
    let of = |manager: &str| managed.iter().find(|managed| managed["manager"] == manager).unwrap_or_else(|| panic!("{managed:#?}"));
    assert_eq!(of("helm")["apiVersion"], "autoscaling/v1");
    assert_eq!(of("stratos")["apiVersion"], "autoscaling/v2");
    assert!(!of("stratos").to_string().contains("targetCPU"), "{managed:#?}");
    live.apply(destroy()).await.unwrap();
    live.kubectl(&["delete", "namespace", &live.namespace, "--wait=false"]).await.unwrap();
}

/// While a release is there, `helm uninstall` deletes what was taken over.
#[tokio::test(flavor = "multi_thread")]
async fn a_helm_release_that_owns_an_object_is_named_with_the_line_that_makes_helm_forget_it() {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    let files = [("k8s/a.yaml".to_owned(), deployment("web", "", "", "", ""))];
    let live = Live::new("adopt-release", &files, "platform.kubernetes.manifests = \"k8s/*\"\n");
    let namespace = live.namespace.clone();
    tokio::task::spawn_blocking(move || {
        cluster().apply_yaml(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"))
    })
    .await
    .unwrap();
    make(&live, &of_others("web"), "helm", false).await;
    let plan = live.plan(adopt()).await.unwrap();
    let notes = plan.coverage.degraded.join("\n");
    assert!(notes.contains("the Helm release web in the namespace m-adopt owns test/Deployment.apps/web"), "{notes}");
    assert!(notes.contains("kubectl delete secret --namespace m-adopt --selector owner=helm,name=web"), "{notes}");
    live.apply(adopt()).await.unwrap();
    // It is ours, and Helm's marks are gone.
    let plan = live.plan(Policy::default()).await.unwrap();
    assert!(plan.is_empty() && plan.coverage.degraded.is_empty(), "{:?}", plan.coverage.degraded);
    live.apply(destroy()).await.unwrap();
    live.kubectl(&["delete", "namespace", &live.namespace, "--wait=false"]).await.unwrap();
}
