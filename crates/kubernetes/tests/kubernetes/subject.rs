//! An environment in the shared cluster, for the conformance suite.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Request;
use kube::client::Body as HttpBody;
use serde_json::{Value, json};
use stratos_engine::apply::{ApplyOptions, Quiet};
use stratos_engine::deploy::{self, Connector};
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::plan::Plan;
use stratos_engine::platform::contract::stage::KnownValues;
use stratos_engine::platform::contract::{Body, Crash, Edited, Subject, When};
use stratos_engine::platform::{Field, Platform as _, Support};
use stratos_kubernetes::KubernetesPlatform;
use stratos_kubernetes::config::WATCH;
use stratos_kubernetes::connection::Connection;
use stratos_test_platforms::{Cluster, ReservedCpus, unique_name};

use crate::edit;
use crate::proxy::Proxy;
use crate::read;
use crate::support::{TestConnector, Way, client, config, dev};

/// A namespace of the shared cluster.
pub struct KubernetesSubject {
    pub namespace: String,
    pub proxy: Proxy,
    admin: kube::Client,
    cpus: ReservedCpus,
    /// Whether an app of the case ends right after its start.
    crashes: AtomicBool,
}

/// Asks for something; None where it is not there.
pub async fn ask(admin: &kube::Client, method: &str, path: &str, content: Option<(&str, &Value)>) -> Result<Option<Value>, String> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some((kind, _)) = content {
        request = request.header("content-type", kind);
    }
    let body = content.map(|(_, body)| body.to_string().into_bytes()).unwrap_or_default();
    let answer = admin.send(request.body(HttpBody::from(body)).unwrap()).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await.map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    match status.as_u16() {
        404 => Ok(None),
        200..300 => Ok(Some(value)),
        _ => Err(value["message"].as_str().unwrap_or("it is refused").to_owned()),
    }
}

/// What an object is, without its history.
fn unmanaged(object: &Value) -> Value {
    let mut object = object.clone();
    for moves in ["managedFields", "resourceVersion", "generation"] {
        object["metadata"].as_object_mut().map(|metadata| metadata.remove(moves));
    }
    object["status"] = json!(null);
    object
}

impl KubernetesSubject {
    fn connect_through(&self, proxy: &Proxy) -> TestConnector {
        // Most cases are about what works: nothing there ends right after its start.
        let watch = if self.crashes.load(Ordering::Relaxed) { WATCH } else { 0 };
        TestConnector { watch, ..TestConnector::new(Way::Url(proxy.url()), &self.namespace) }
    }

    /// The path of a kind's objects in this namespace.
    pub fn collection(&self, kind: &str) -> String {
        let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
        let root = match group {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        format!("{root}/namespaces/{}/{}s", self.namespace, kind.to_lowercase())
    }

    /// The path of what has an id now.
    async fn path(&self, id: &ResourceId) -> Option<String> {
        let collection = self.collection(&id.kind);
        let Some(of) = id.name.strip_suffix('*') else { return Some(format!("{collection}/{}", id.name)) };
        let list = ask(&self.admin, "GET", &collection, None).await.unwrap()?;
        let names = list["items"].as_array()?.iter().filter_map(|item| item["metadata"]["name"].as_str());
        let numbers = names.filter_map(|name| name.strip_prefix(of)?.parse::<u64>().ok());
        Some(format!("{collection}/{of}{}", numbers.max()?))
    }

    async fn expire_lease(&self) {
        let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace);
        let _ = ask(&self.admin, "DELETE", &leases, None).await;
    }
}

#[async_trait]
impl Subject for KubernetesSubject {
    const NAME: &'static str = "kubernetes";

    async fn fresh() -> Self {
        let namespace = unique_name();
        tokio::task::spawn_blocking(Cluster::shared).await.unwrap();
        let admin = client(Cluster::shared().kubeconfig()).await;
        Self { proxy: Proxy::new(admin.clone()).await, namespace, admin, cpus: ReservedCpus::default(), crashes: AtomicBool::default() }
    }

    async fn clean_up(&self) {
        let _ = ask(&self.admin, "DELETE", &format!("/api/v1/namespaces/{}", self.namespace), None).await;
    }

    fn project(&self) -> String {
        self.namespace.clone()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(25)
    }

    fn environment(&self) -> Vec<String> {
        vec!["platform = \"kubernetes\"".into()]
    }

    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(self.connect_through(&self.proxy))
    }

    fn support(&self, field: Field) -> Support {
        // Who asks this is about to reserve some, and would wait for a node that has them free.
        if field == Field::ResourcesCpu {
            self.cpus.reserve(&Cluster::shared().registry());
        }
        let config = config(&dev(), Owner::new(&self.namespace, dev()), &self.namespace, WATCH);
        let connection = Connection::new(kube::Config::new(self.proxy.url().parse().unwrap())).unwrap();
        KubernetesPlatform::connect(config, connection).support(field)
    }

    fn body(&self, body: Body) -> Vec<String> {
        let image = |tag: &str| format!("image = \"{}/web:{tag}\"", Cluster::shared().registry());
        match body {
            Body::Web(version) => vec![image(&version.to_string())],
            Body::WebByCommand(version) => vec![image("1"), format!("command = [\"/bin/web\", \"$(PORT_HTTP)\", \"{version}\"]")],
            Body::NeverHealthy => vec![image("sick")],
            Body::CrashLoop => {
                self.crashes.store(true, Ordering::Relaxed);
                vec![image("crash")]
            }
            Body::Missing => vec![image("missing")],
            // No node has as much.
            Body::NeverSettles => vec![image("1"), "resources.cpu = 1000".into()],
        }
    }

    fn free_port(&self) -> u16 {
        static NEXT: AtomicU16 = AtomicU16::new(20000);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    async fn take_port(&self, _: u16) -> Edited {
        Edited::NotPossible("each Service has an address of its own, so that no port is taken".into())
    }

    async fn edit(&self, id: &ResourceId, path: &Path, leaf: Option<&Leaf>) -> Edited {
        let Some(at) = self.path(id).await else { return Edited::NotPossible("it is not there".into()) };
        for _ in 0..50 {
            let Some(before) = ask(&self.admin, "GET", &at, None).await.unwrap() else {
                return Edited::NotPossible("it is not there".into());
            };
            let mut object = before.clone();
            if object["immutable"] == json!(true) {
                return Edited::NotPossible(format!("a {} that is immutable cannot be changed", id.kind));
            }
            if let Err(why) = edit::object(&mut object, path, leaf) {
                return Edited::NotPossible(why);
            }
            let written = ask(&self.admin, "PUT", &format!("{at}?fieldManager=kubectl-edit"), Some(("application/json", &object))).await;
            match written {
                Ok(Some(after)) if unmanaged(&after) == unmanaged(&before) => {
                    return Edited::NotPossible("the server stores the same value again".into());
                }
                Ok(_) => return Edited::Done,
                // A controller was faster.
                Err(why) if why.contains("the object has been modified") => {}
                Err(why) => return Edited::NotPossible(why.lines().next().unwrap_or_default().chars().take(160).collect()),
            }
        }
        panic!("{id} is written all the time");
    }

    async fn make_foreign(&self, id: &ResourceId) -> Edited {
        let namespace = json!({ "metadata": { "name": self.namespace } });
        let _ = ask(&self.admin, "POST", "/api/v1/namespaces", Some(("application/json", &namespace))).await;
        let name = &*id.name;
        let body = match &*id.kind {
            "Deployment.apps" => json!({ "metadata": { "name": name }, "spec": {
                "selector": { "matchLabels": { "theirs": "yes" } },
                "template": { "metadata": { "labels": { "theirs": "yes" } }, "spec": { "containers": [
                    { "name": "theirs", "image": format!("{}/web:1", Cluster::shared().registry()) }
                ] } },
            } }),
            "Service" => json!({ "metadata": { "name": name }, "spec": { "ports": [{ "port": 1234 }] } }),
            "ServiceAccount" => json!({ "metadata": { "name": name } }),
            "ConfigMap" => json!({ "metadata": { "name": name }, "data": { "theirs": "yes" } }),
            kind => return Edited::NotPossible(format!("no {kind} of somebody else's is made here")),
        };
        let path = format!("{}?fieldManager=kubectl-create", self.collection(&id.kind));
        ask(&self.admin, "POST", &path, Some(("application/json", &body))).await.unwrap();
        Edited::Done
    }

    async fn hide(&self, id: &ResourceId) -> Edited {
        self.proxy.refuse(&[self.collection(&id.kind)]);
        Edited::Done
    }

    async fn reveal(&self) {
        self.proxy.refuse::<&str>(&[]);
    }

    async fn cut_off(&self) -> Edited {
        self.proxy.cut(true);
        Edited::Done
    }

    async fn reconnect(&self) {
        self.proxy.cut(false);
    }

    async fn apply_and_crash(&self, plan: &Plan, secrets: &KnownValues, call: usize, when: When) -> Crash {
        let proxy = Proxy::that_kills(self.admin.clone(), call, when).await;
        let (connector, options) = (self.connect_through(&proxy), ApplyOptions::default());
        tokio::select! {
            biased;
            () = proxy.died() => {}
            applied = deploy::apply(plan, &secrets.secrets, &connector, &options, &Quiet) => drop(applied),
        }
        if !proxy.is_dead() {
            return Crash::Finished;
        }
        proxy.settle().await;
        self.expire_lease().await;
        Crash::Crashed
    }

    /// Secrets are what somebody who may not read secrets cannot see.
    async fn dump(&self) -> String {
        let mut out = String::new();
        for kind in [
            "ConfigMap",
            "Service",
            "Pod",
            "Event",
            "ServiceAccount",
            "PersistentVolumeClaim",
            "Deployment.apps",
            "StatefulSet.apps",
            "ReplicaSet.apps",
            "PodDisruptionBudget.policy",
            "Lease.coordination.k8s.io",
        ] {
            out += &ask(&self.admin, "GET", &self.collection(kind), None).await.unwrap().unwrap_or_default().to_string();
        }
        // Of Secrets everything but what is secret in them.
        let mut secrets = ask(&self.admin, "GET", &self.collection("Secret"), None).await.unwrap().unwrap_or_default();
        for secret in secrets["items"].as_array_mut().into_iter().flatten() {
            secret["data"] = json!(null);
        }
        out + &secrets.to_string()
    }

    async fn read(&self, app: &str, field: Field) -> Result<Value, String> {
        let (namespace, app) = (self.namespace.clone(), app.to_owned());
        tokio::task::spawn_blocking(move || read::field(&namespace, &app, field)).await.unwrap()
    }

    async fn state(&self, id: &ResourceId) -> Option<String> {
        let path = self.path(id).await?;
        let mut object = ask(&self.admin, "GET", &path, None).await.unwrap()?;
        // What moves by itself.
        let map = object.as_object_mut()?;
        map.remove("status");
        let metadata = map.get_mut("metadata")?.as_object_mut()?;
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
        metadata.remove("generation");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("deployment.kubernetes.io/revision");
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
        object.sort_all_objects();
        Some(object.to_string())
    }
}
