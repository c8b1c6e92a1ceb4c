//! Mutating webhooks that change what is declared: a real HTTPS server of this process.

use serde_json::{Value, json};
use stratos_engine::deploy::Policy;

use crate::admission;
use crate::case::{Case, told};
use crate::support::eventually;

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 0
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: 'docker.example/web:1', env: [{ name: A, value: x }] }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: web }
data: { a: b }
";

/// Adds what nobody declared, once.
fn inject(object: &Value) -> Vec<Value> {
    let pod = &object["spec"]["template"];
    let has = |list: &Value, name: &str| list.as_array().into_iter().flatten().any(|one| one["name"] == name);
    let mut out = Vec::new();
    if pod["metadata"]["labels"]["injected"] != "yes" {
        out.push(json!({ "op": "add", "path": "/spec/template/metadata/labels/injected", "value": "yes" }));
    }
    if !has(&pod["spec"]["containers"][0]["env"], "INJECTED") {
        let value = json!({ "name": "INJECTED", "value": "yes" });
        out.push(json!({ "op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": value }));
    }
    if !has(&pod["spec"]["containers"], "sidecar") {
        let value = json!({ "name": "sidecar", "image": "docker.example/sidecar:1", "ports": [{ "containerPort": 15001 }] });
        out.push(json!({ "op": "add", "path": "/spec/template/spec/containers/-", "value": value }));
    }
    out
}

/// Images come from a mirror, whatever is declared.
fn mirror(object: &Value) -> Vec<Value> {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let images = containers.enumerate().filter_map(|(index, container)| {
        let image = container["image"].as_str()?.strip_prefix("docker.example/")?;
        let path = format!("/spec/template/spec/containers/{index}/image");
        Some(json!({ "op": "replace", "path": path, "value": format!("mirror.example/{image}") }))
    });
    images.collect()
}

const DEPLOYMENTS: &str = "{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}";

impl Case {
    /// Starts a webhook for the Deployments of the namespace, and waits until it is asked.
    async fn webhook(&mut self, changes: admission::Changes, sign: &str) {
        self.made(format!("mutatingwebhookconfiguration/{}", self.id()));
        tokio::task::block_in_place(|| admission::start(self.cluster, self.id(), DEPLOYMENTS, changes));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), WEB.replace("name: web }\nspec", "name: probe }\nspec")).unwrap();
        let path = file.path().display().to_string();
        eventually(|| async {
            let tried = self.kubectl(&["create", "--dry-run=server", "--output=yaml", "--filename", &path]);
            if tried.contains(sign) { Ok(()) } else { Err(format!("the webhook is not asked yet: {tried}")) }
        })
        .await;
    }
}

/// Argo CD takes a webhook's fields out of a server-side difference by managers, and gets lists wrong: #23126, gitops-engine #688.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_adds() {
    let mut case = Case::new("webhook-adds").await;
    case.webhook(inject, "sidecar").await;
    case.apply(WEB, Policy::default()).await;
    let spec = case.live("deployment/web")["spec"]["template"]["spec"].clone();
    assert!(spec["containers"][1]["name"] == "sidecar" && spec.to_string().contains("INJECTED"), "{spec:#}");
    case.nothing().await;
    let fields = ["Deployment web: spec.template.spec.containers[name=web].env[name=A].value"];
    case.other(&WEB.replace("value: x", "value: v"), &fields).await;
    let spec = case.live("deployment/web")["spec"]["template"]["spec"].clone();
    assert!(spec["containers"][1]["name"] == "sidecar" && spec.to_string().contains("INJECTED"), "{spec:#}");
    // The variable that is declared now is ours, although it is there already: only the value is another one.
    let declared = WEB.replace("{ name: A, value: x }", "{ name: A, value: v }, { name: INJECTED, value: none }");
    case.other(&declared, &["Deployment web: spec.template.spec.containers[name=web].env[name=INJECTED].value"]).await;
}

/// Another value than the declared one differs in each plan, until the dry run tells that the cluster would store what is there: it costs
/// one request for each such object, and there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_sets_in_place_of_what_is_declared() {
    let mut case = Case::new("webhook-sets").await;
    case.webhook(mirror, "mirror.example/web").await;
    case.apply(WEB, Policy::default()).await;
    let image = |case: &Case| case.kubectl(&["get", "deployment/web", "--output=jsonpath={.spec.template.spec.containers[0].image}"]);
    assert_eq!(image(&case), "mirror.example/web:1");
    let settled = async |case: &Case| {
        let (plan, requests) = case.plan().await;
        assert!(plan.is_empty() && plan.held.is_empty(), "there is something to do: {:#?}", told(&plan));
        let tried: Vec<&str> = requests.iter().filter(|request| request.dry_run).map(|request| request.uri.as_str()).collect();
        assert!(tried.len() == 1 && tried[0].contains("/deployments/web?"), "{tried:#?}");
        assert_eq!(requests.len(), case.kinds() + 2, "{requests:#?}");
    };
    settled(&case).await;
    let generation = case.live("deployment/web")["metadata"]["generation"].clone();
    case.apply(WEB, Policy::default()).await;
    assert_eq!(case.live("deployment/web")["metadata"]["generation"], generation, "nothing was written");
    let plan = case.apply(&WEB.replace("web:1", "web:2"), Policy::default()).await;
    assert_eq!(told(&plan), ["Deployment web: spec.template.spec.containers[name=web].image"]);
    assert_eq!(image(&case), "mirror.example/web:2");
    settled(&case).await;
}
