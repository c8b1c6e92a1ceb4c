//! Manifests as native parts against a real API server: `tests/manifests/<name>/` holds what people publish, in their style. Each
//! folder is planned, applied, planned empty, changed by hand, set right, and taken away without a trace.
//!
//! Nothing runs in this cluster: that something is written is asked for, not that it gets healthy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use stratos_engine::apply::{Applied, ApplyOptions, ChangeResult, Quiet};
use stratos_engine::deploy::{self, PlanError, Policy, Request};
use stratos_engine::manifest::Manifest;
use stratos_engine::plan::Plan;
use stratos_engine::render::VariableInputs;
use stratos_engine::render::secret::Secrets;
use stratos_kubernetes::Helm;
use stratos_test_platforms::Cluster;
use zeroize::Zeroizing;

use crate::case::short;
use crate::stored::{Compared, Reader};
use crate::support::{self, TestConnector, Way};

pub fn cluster() -> &'static Cluster {
    Cluster::shared_api_only()
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests");
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn destroy() -> Policy {
    Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() }
}

/// A project whose only app is made of manifests.
pub struct Live {
    pub manifest: Manifest,
    pub cluster: &'static Cluster,
    pub namespace: String,
    /// The one that renders charts.
    pub helm: Helm,
    /// Where the cluster is reached, if not directly.
    pub url: Option<String>,
    /// The value of the only secret.
    pub password: &'static str,
    pub folder: tempfile::TempDir,
}

impl Live {
    pub fn connector(&self) -> TestConnector {
        let way = self.url.clone().map_or_else(|| Way::Kubeconfig(self.cluster.kubeconfig().to_owned()), Way::Url);
        TestConnector { watch: 5, helm: self.helm.clone(), ..TestConnector::new(way, &self.namespace) }
    }

    /// Of these files, and what the app says beside. The same name is the same project in this process.
    pub fn new(name: &str, files: &[(String, String)], app: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let name = format!("m-{name}-{}", std::process::id());
        let manifest = format!(
            "[project]\nname = \"{name}\"\n[environments.test]\nplatform = \"kubernetes\"\n[secrets]\ndb = {{ env = \"DB\" }}\n\
             [apps.web]\nrollout.timeout = \"5s\"\n{app}"
        );
        std::fs::write(folder.path().join("stratos.toml"), manifest).unwrap();
        let manifest = Manifest::load(folder.path()).unwrap_or_else(|report| panic!("{report}"));
        Self { manifest, cluster: cluster(), namespace: name, helm: Helm::default(), url: None, password: "s3cr3t-of-the-database", folder }
    }

    fn of(folder: &Path) -> Self {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let read =
            |path: PathBuf| (format!("k8s/{}", path.file_name().unwrap().to_string_lossy()), std::fs::read_to_string(&path).unwrap());
        let files: Vec<_> = files.map(read).collect();
        Self::new(&folder.file_name().unwrap().to_string_lossy(), &files, "platform.kubernetes.manifests = \"k8s/*\"\n")
    }

    pub async fn plan(&self, policy: Policy) -> Result<Plan, PlanError> {
        let secrets = secrets(self.password);
        let request = Request {
            manifest: &self.manifest,
            variables: &VariableInputs::default(),
            secrets: &secrets,
            history: None,
            registry: None,
            refresh_images: false,
            environments: BTreeSet::new(),
            apps: BTreeSet::new(),
            policy,
        };
        deploy::plan(&request, &self.connector()).await
    }

    /// Carries out what is planned. What is not written is returned.
    pub async fn apply(&self, policy: Policy) -> Result<(Plan, Applied), String> {
        let plan = self.plan(policy).await.map_err(|error| error.to_string())?;
        let options = ApplyOptions { no_wait: true, ..ApplyOptions::default() };
        let applied =
            deploy::apply(&plan, &secrets(self.password), &self.connector(), &options, &Quiet).await.map_err(|error| error.to_string())?;
        let unwritten = applied.changes.iter().filter_map(|change| match &change.result {
            ChangeResult::Done | ChangeResult::AlreadyDone | ChangeResult::Unhealthy { .. } => None,
            other => Some(format!("{:?} {}: {other:?}", change.action, change.id)),
        });
        let unwritten: Vec<String> = unwritten.collect();
        if unwritten.is_empty() { Ok((plan, applied)) } else { Err(unwritten.join("\n")) }
    }

    /// What is planned, one line for each difference.
    pub async fn changes(&self) -> Result<Vec<String>, String> {
        let plan = self.plan(Policy::default()).await.map_err(|error| error.to_string())?;
        let mut out: Vec<String> = plan.held.iter().map(|held| format!("held: {held:?}")).collect();
        for change in &plan.changes {
            let action = format!("{:?} {}", change.action, change.id);
            out.extend(change.differences.iter().map(|difference| format!("{action}: {difference:?}")));
            out.extend(change.differences.is_empty().then_some(action));
        }
        Ok(out)
    }

    pub async fn unchanged(&self, when: &str) -> Result<(), String> {
        let changes = self.changes().await?;
        if changes.is_empty() { Ok(()) } else { Err(format!("{when} there are changes:\n  {}", changes.join("\n  "))) }
    }

    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let arguments: Vec<String> = [&["--namespace", &self.namespace], arguments].concat().into_iter().map(str::to_owned).collect();
        let cluster = self.cluster;
        let output = tokio::task::spawn_blocking(move || cluster.try_kubectl(&arguments)).await.unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Everything of ours that is anywhere, of every kind of the plan.
    pub async fn left(&self, plan: &Plan) -> Result<String, String> {
        let mut kinds: BTreeSet<String> = plan.changes.iter().map(|change| change.id.kind.to_lowercase()).collect();
        let selector = format!("stratos/project={}", self.manifest.project.name);
        while !kinds.is_empty() {
            let all = kinds.iter().cloned().collect::<Vec<_>>().join(",");
            match self.kubectl(&["get", &all, "--all-namespaces", "--selector", &selector, "--output", "name"]).await {
                Ok(found) => return Ok(found),
                Err(why) => {
                    let before = kinds.len();
                    // A kind whose definition is gone has no objects. kubectl names the first of these.
                    let gone = |kind: &String| why.contains(&format!("the server doesn't have a resource type \"{kind}\""));
                    kinds.retain(|kind| !gone(kind) && !gone(&short(kind).to_owned()));
                    if kinds.len() == before {
                        return Err(why);
                    }
                }
            }
        }
        Ok(String::new())
    }

    /// The files beside the live objects.
    pub async fn compared(&self) -> Compared {
        let (cluster, folder, namespace) = (self.cluster, self.folder.path().join("k8s"), self.namespace.clone());
        tokio::task::spawn_blocking(move || Reader::new(cluster, &namespace).compare(&folder)).await.unwrap()
    }

    /// The result of a test of this project, all of which is destroyed first where the test failed: others have the same names.
    pub async fn cleared<T>(&self, result: Result<T, String>) -> Result<T, String> {
        if let Err(why) = &result {
            self.apply(destroy()).await.map_err(|left| format!("{why}\nand it is not destroyed: {left}"))?;
        }
        result
    }

    /// Destroys all of it, which leaves nothing of what a plan made.
    pub async fn destroyed(&self, plan: &Plan) -> Result<(), String> {
        let (gone, applied) = self.apply(destroy()).await?;
        let told = format!("{:?}, held {:?}, notes {:?}", applied.verdict(), gone.held, applied.notes);
        // A namespace goes when everything in it has gone.
        let deadline = Instant::now() + support::LIMIT;
        loop {
            let left = self.left(plan).await?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("this is left: {left} ({told})"));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn secrets(password: &str) -> Secrets {
    Secrets::new([("db".to_owned(), Ok(Zeroizing::new(password.to_owned())))])
}

/// How many objects there were, and the reasons for which some are stored as something else.
async fn there_and_back(folder: &Path) -> Result<Compared, String> {
    let live = Live::of(folder);
    live.cleared(is_there_and_back(&live).await).await
}

async fn is_there_and_back(live: &Live) -> Result<Compared, String> {
    let (plan, _) = live.apply(Policy::default()).await?;
    live.unchanged("right after an apply").await?;
    let compared = live.compared().await;
    compared.nothing_lost()?;
    // An annotation and a label of somebody else's are none of our business.
    let first = &plan.changes[0].id;
    let within = first.namespace.as_deref().unwrap_or(&live.namespace).to_owned();
    let kind = first.kind.to_lowercase();
    live.kubectl(&["annotate", &kind, &first.name, "somebody/note=x", "--namespace", &within]).await?;
    live.unchanged("after a note of somebody else's").await?;
    live.destroyed(&plan).await?;
    Ok(compared)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_folders_are_planned_empty_right_after_an_apply() {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    let _alone = support::alone("manifests").await;
    let only = std::env::var("STRATOS_TEST_MANIFESTS").unwrap_or_default();
    let folders: Vec<_> = folders().into_iter().filter(|folder| folder.to_string_lossy().contains(&only)).collect();
    let run = |folder: PathBuf| async move {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        there_and_back(&folder).await.map_err(|why| format!("== {name}\n{why}"))
    };
    let results: Vec<_> = futures::stream::iter(folders).map(run).buffer_unordered(6).collect().await;
    let failed: Vec<String> = results.iter().filter_map(|result| result.clone().err()).collect();
    assert!(failed.is_empty(), "{} of {} folders:\n{}", failed.len(), results.len(), failed.join("\n"));
    let objects: usize = results.iter().flatten().map(|compared| compared.objects).sum();
    assert!(!only.is_empty() || results.len() >= 20 && objects >= 80, "{} folders, {objects} objects", results.len());
}

const EXTRA: &str = "
apiVersion: v1
kind: ConfigMap
metadata: { name: extra }
data: { a: b }
---
apiVersion: v1
kind: Secret
metadata: { name: login }
stringData: { url: \"db://shop:{{ secrets.db }}@db\" }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web }
spec:
  podSelector: { matchLabels: { app.kubernetes.io/name: web } }
  ingress: [{ ports: [{ port: 8080 }] }]
";

const PATCHES: &str = "
kind: Deployment
metadata: { name: web, labels: { team: shop } }
spec:
  template:
    spec:
      tolerations: [{ key: gpu, operator: Exists }]
      volumes: [{ name: all, projected: { sources: [{ serviceAccountToken: { path: token } }, { configMap: { name: extra } }] } }]
      containers:
      - name: web
        envFrom: [{ secretRef: { name: login } }]
        securityContext: { readOnlyRootFilesystem: false }
        volumeMounts: [{ name: all, mountPath: /all }]
---
kind: ConfigMap
metadata: { name: extra }
data: { patched: \"yes\" }
";

/// Both parts in one app, with patches on both.
fn patched() -> Live {
    let files = [("k8s/extra.yaml.j2".to_owned(), EXTRA.to_owned()), ("patches.yaml".to_owned(), PATCHES.to_owned())];
    let app = "image = \"registry.example/web:1\"\nports.http = 8080\nenv.TOKEN = \"{{ secrets.db }}\"\n\
        platform.kubernetes = { manifests = \"k8s/*\", patches = [\"patches.yaml\"] }\n";
    Live::new("patched", &files, app)
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_are_applied_and_changes_by_hand_are_seen_and_set_right() {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    let live = patched();
    live.apply(Policy::default()).await.unwrap();
    live.unchanged("right after an apply").await.unwrap();
    let team = live
        .kubectl(&["get", "deployment", "web", "--output", "jsonpath={.metadata.labels.team} {.spec.template.spec.tolerations[0].key}"])
        .await;
    assert_eq!(team.unwrap(), "shop gpu");
    for (kind, name, patch, seen) in [
        ("configmap", "extra", r#"{"data":{"patched":"by hand"}}"#, "data.patched"),
        ("configmap", "extra", r#"{"data":{"more":"by hand"}}"#, "data.more"),
        ("configmap", "extra", r#"{"data":{"a":null}}"#, "data.a"),
        ("secret", "login", r#"{"stringData":{"url":"by hand"}}"#, "data.url"),
        ("networkpolicy", "web", r#"{"spec":{"ingress":[{"ports":[{"port":81}]}]}}"#, "spec.ingress[0].ports[0].port"),
        ("networkpolicy", "web", r#"{"spec":{"ingress":[{"ports":[{"port":8080},{"port":81}]}]}}"#, "spec.ingress[0].ports[1]"),
        ("deployment", "web", r#"{"spec":{"template":{"spec":{"tolerations":null}}}}"#, "tolerations[0].key"),
        ("deployment", "web", r#"{"spec":{"template":{"spec":{"hostNetwork":true}}}}"#, "hostNetwork"),
    ] {
        live.kubectl(&["patch", kind, name, "--type", "merge", "--patch", patch]).await.unwrap();
        let changes = live.changes().await.unwrap();
        assert!(changes.iter().any(|change| change.contains(seen)), "{patch}: {changes:#?}");
        assert!(!changes.join("").contains("s3cr3t-of-the-database"));
        live.apply(Policy::default()).await.unwrap();
        live.unchanged(patch).await.unwrap();
    }
    live.kubectl(&["delete", "networkpolicy", "web"]).await.unwrap();
    let changes = live.changes().await.unwrap();
    assert!(
        !changes.is_empty() && changes.iter().all(|change| change.starts_with("Create test/NetworkPolicy.networking.k8s.io/web")),
        "{changes:#?}"
    );
    live.apply(Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() }).await.unwrap();
}

/// A group that no other process has.
fn fixed_group() -> String {
    format!("fixed-{}.example.com", std::process::id())
}

/// A definition whose rule refuses another size, a ticket of that size, and a ConfigMap that is fixed.
fn fixed(size: u32) -> Live {
    let group = fixed_group();
    let text = format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: tickets.{group} }}
spec:
  group: {group}
  scope: Namespaced
  names: {{ kind: Ticket, plural: tickets }}
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
              size: {{ type: integer, x-kubernetes-validations: [{{ rule: self == oldSelf, message: size is immutable }}] }}
              owner: {{ type: string }}
---
apiVersion: {group}/v1
kind: Ticket
metadata: {{ name: one }}
spec: {{ size: {size}, owner: \"{size}\" }}
---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: fixed }}
immutable: true
data: {{ size: \"{size}\" }}
"
    );
    Live::new("fixed", &[("k8s/all.yaml".to_owned(), text)], "platform.kubernetes.manifests = \"k8s/*\"\n")
}

/// No table of ours knows that these fields cannot change: the dry run says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_does_not_change_in_place_is_planned_to_be_made_anew() {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    fixed(1).apply(Policy::default()).await.unwrap();
    fixed(1).unchanged("right after an apply").await.unwrap();
    let ticket = format!("ticket.{}/one", fixed_group());
    let uid = ["get", &ticket, "configmap/fixed", "--output", "jsonpath={.items[*].metadata.uid}"];
    let before = fixed(1).kubectl(&uid).await.unwrap();
    // An operator may keep data in what it serves: it is held until somebody agrees.
    let held = fixed(2).changes().await.unwrap();
    let held = held.iter().filter(|change| change.starts_with("held:") && change.contains("Ticket"));
    assert!(held.clone().count() == 1 && held.clone().all(|held| held.contains("HoldsData")), "{:#?}", held.collect::<Vec<_>>());
    let agreed = Policy { delete_data: true, ..Policy::default() };
    let plan = fixed(2).plan(agreed).await.unwrap();
    let changes: Vec<String> = plan
        .changes
        .iter()
        .flat_map(|change| {
            let of = format!("{:?} {}", change.action, change.id);
            change.differences.iter().map(move |_| of.clone())
        })
        .collect();
    let ticket_id = format!("Ticket.{}/one", fixed_group());
    let replaced = |id: &str| changes.iter().filter(|change| change.starts_with("Replace") && change.contains(id)).count();
    assert_eq!((replaced(&ticket_id), replaced("ConfigMap/fixed"), changes.len()), (2, 1, 3), "{changes:#?}");
    fixed(2).apply(agreed).await.unwrap();
    fixed(2).unchanged("right after a replacement").await.unwrap();
    let after = fixed(2).kubectl(&uid).await.unwrap();
    assert!(before.split(' ').all(|uid| !after.contains(uid)) && after.len() == before.len(), "{before} {after}");
    fixed(2).apply(Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() }).await.unwrap();
}

/// The Secret of the release before is still there, and is not the one that is wanted.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_taken_back_by_hand_has_the_secret_of_then_and_is_set_right() {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    let app = "image = \"registry.example/web:1\"\nreplicas = 0\nenv.TOKEN = \"{{ secrets.db }}\"\n";
    let mut live = Live::new("undone", &[], app);
    live.apply(Policy::default()).await.unwrap();
    live.password = "another-s3cr3t-of-the-database";
    live.apply(Policy::default()).await.unwrap();
    live.unchanged("right after a rotation").await.unwrap();
    let used = ["get", "deployment", "web", "--output", "jsonpath={.spec.template.spec.containers[0].env[*].valueFrom.secretKeyRef.name}"];
    let rotated = live.kubectl(&used).await.unwrap();
    // Nothing has run here that `kubectl rollout undo` would find: this is what it writes.
    let before = rotated.replace("-2", "-1");
    let patch = format!(
        r#"{{"spec":{{"template":{{"spec":{{"containers":[{{"name":"web","env":[{{"name":"TOKEN","valueFrom":{{"secretKeyRef":{{"name":"{before}"}}}}}}]}}]}}}}}}}}"#
    );
    live.kubectl(&["patch", "deployment", "web", "--patch", &patch, "--field-manager=kubectl-rollout"]).await.unwrap();
    assert_eq!(live.kubectl(&used).await.unwrap(), before);
    assert_ne!(before, rotated, "no generation is in its name");
    let changes = live.changes().await.unwrap();
    assert!(changes.len() == 1 && changes[0].contains("secretKeyRef") && changes[0].contains("Update"), "{changes:#?}");
    assert!(!changes.concat().contains("s3cr3t"));
    live.apply(Policy::default()).await.unwrap();
    live.unchanged("after it was set right").await.unwrap();
    assert_eq!(live.kubectl(&used).await.unwrap(), rotated);
    live.apply(Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() }).await.unwrap();
}
