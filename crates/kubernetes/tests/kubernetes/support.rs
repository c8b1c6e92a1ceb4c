//! A namespace of a cluster for one test, the ways to reach it, and the platform in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use stratos_engine::deploy::Connector;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::owner_in;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::Health;
use stratos_engine::manifest::schema::{Environment, Project};
use stratos_engine::platform::{Platform, PlatformError};
use stratos_kubernetes::access::{Options, Settings, Surroundings, resolve};
use stratos_kubernetes::connection::Connection;
use stratos_kubernetes::{EnvironmentConfig, Helm, KubernetesPlatform};
use stratos_test_platforms::{Cluster, Look, SERVERS_VARIABLE};

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A name that no other test has, and no other process that uses the same cluster.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // A project's name has at most 40 characters.
    let name = name.get(..24).unwrap_or(name).trim_end_matches('-');
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Keeps other processes that share the cluster away from objects whose names are the same in each process, until the file is
/// dropped.
pub async fn alone(with: &str) -> Option<std::fs::File> {
    let path = PathBuf::from(std::env::var_os(SERVERS_VARIABLE)?).join(format!("{with}.lock"));
    let lock = move || {
        let file = std::fs::File::create(path).unwrap();
        file.lock().unwrap();
        file
    };
    Some(tokio::task::spawn_blocking(lock).await.unwrap())
}

/// A namespace. It is deleted with this value.
pub struct Place<'a> {
    pub cluster: &'a Cluster,
    pub namespace: String,
    pub platform: KubernetesPlatform,
}

impl Place<'static> {
    /// A namespace of the shared cluster that has a node, with these labels.
    pub fn new(name: &str, labels: &str) -> Self {
        Self::of(Cluster::shared(), name, labels)
    }
}

impl<'a> Place<'a> {
    /// The same, in another cluster with a node.
    pub fn of(cluster: &'a Cluster, name: &str, labels: &str) -> Self {
        let place = Self::without_pods(cluster, name, labels);
        // Without it no pod is made.
        place.kubectl(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"]);
        place
    }

    /// A namespace in which nothing has to run.
    pub fn without_pods(cluster: &'a Cluster, name: &str, labels: &str) -> Self {
        let namespace = unique(name);
        cluster.apply_yaml(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}, labels: {{{labels}}}}}}}"));
        let platform = platform(cluster.kubeconfig(), &namespace);
        Self { cluster, namespace, platform }
    }

    /// The same place, for somebody who may do there what these rules of a Role say.
    pub fn as_somebody(&self, user: &str, rules: &str) -> KubernetesPlatform {
        self.apply(&format!(
            "{{apiVersion: v1, kind: List, items: [
              {{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: {user}, namespace: NAMESPACE}}, rules: {rules}}},
              {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {user}, namespace: NAMESPACE}},
                roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {user}}}, subjects: [{{kind: User, name: {user}}}]}}]}}"
        ));
        platform(&self.cluster.kubeconfig_of(user, &[]), &self.namespace)
    }

    /// Applies objects. `IMAGE` in them is the test's web server, without a tag; `NAMESPACE` is this place.
    pub fn apply(&self, yaml: &str) {
        let mut yaml = yaml.replace("NAMESPACE", &self.namespace);
        if yaml.contains("IMAGE") {
            yaml = yaml.replace("IMAGE", &format!("{}/web", self.cluster.registry()));
        }
        self.cluster.apply_yaml(&yaml);
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// A live object.
    pub fn live(&self, what: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", what, "--output=json", "--show-managed-fields"])).unwrap()
    }

    pub async fn health(&self, kind: &str, name: &str) -> Health {
        let health = self.platform.health(&[id(kind, name)]).await.unwrap_or_else(|error| panic!("{error}"));
        health.into_iter().next().expect("an answer")
    }

    /// Asks for health until it is as it should be.
    pub async fn until(&self, kind: &str, name: &str, is_good: impl Fn(&Health) -> bool) -> Health {
        eventually(|| async {
            let health = self.health(kind, name).await;
            if is_good(&health) { Ok(health) } else { Err(format!("{health:#?}")) }
        })
        .await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let delete = ["delete", "namespace", &self.namespace, "--wait=false", "--ignore-not-found", "--request-timeout=20s"];
        self.cluster.try_kubectl(&delete);
    }
}

/// How a cluster is reached.
#[derive(Clone)]
pub enum Way {
    Kubeconfig(PathBuf),
    /// Without credentials: a proxy that has them.
    Url(String),
}

impl Way {
    fn connection(&self, namespace: &str) -> Result<Connection, PlatformError> {
        match self {
            Self::Url(url) => Connection::new(kube::Config::new(url.parse().unwrap())),
            Self::Kubeconfig(file) => {
                let file = file.clone();
                let surroundings = Surroundings::new(move |name| (name == "KUBECONFIG").then(|| file.clone().into()), Path::new("/"));
                let options = Default::default();
                resolve(&Settings { url: None, namespace: Some(namespace), options: &options }, &surroundings)?.connect()
            }
        }
    }
}

/// Connects an environment to a namespace, as another process each time.
pub struct TestConnector {
    pub way: Way,
    pub namespace: String,
    pub force_conflicts: bool,
    /// Seconds that a new instance is watched.
    pub watch: u64,
    pub patience: Option<Duration>,
    /// The program that renders charts.
    pub helm: Helm,
    /// The platform itself, or something around it.
    pub wrap: fn(KubernetesPlatform) -> Arc<dyn Platform>,
}

impl TestConnector {
    pub fn new(way: Way, namespace: &str) -> Self {
        let namespace = namespace.to_owned();
        Self {
            way,
            namespace,
            force_conflicts: false,
            watch: 0,
            patience: None,
            helm: Helm::default(),
            wrap: |platform| Arc::new(platform),
        }
    }
}

#[async_trait]
impl Connector for TestConnector {
    async fn connect(&self, project: &Project, name: &Name, environment: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        let options = Options::read(&environment.options).unwrap_or_default();
        let config = EnvironmentConfig {
            force_conflicts: self.force_conflicts || options.force_conflicts,
            ..config(name, owner_in(project, name), &self.namespace, self.watch)
        };
        let platform = KubernetesPlatform::connect(config, self.way.connection(&self.namespace)?).with_helm(self.helm.clone());
        Ok((self.wrap)(match self.patience {
            Some(patience) => platform.with_patience(patience),
            None => platform,
        }))
    }
}

/// An environment whose namespace may be made.
pub fn config(environment: &Name, owner: Owner, namespace: &str, watch: u64) -> EnvironmentConfig {
    let (environment, namespace) = (environment.clone(), namespace.to_owned());
    EnvironmentConfig { environment, owner, namespace, create_namespace: true, force_conflicts: false, watch }
}

fn platform(kubeconfig: &Path, namespace: &str) -> KubernetesPlatform {
    let owner = Owner { project: "k3v9q2xw".into(), environment: dev() };
    let connection = Way::Kubeconfig(kubeconfig.to_owned()).connection(namespace).unwrap_or_else(|error| panic!("{error}"));
    KubernetesPlatform::connect(config(&dev(), owner, namespace, 5), connection)
}

pub fn id(kind: &str, name: &str) -> ResourceId {
    ResourceId::new(&dev(), kind, name)
}

pub fn dev() -> Name {
    Name::new("dev").expect("a name")
}

/// The user of a kubeconfig, past Stratos.
pub async fn client(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await.unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    kube::Client::try_from(config).unwrap()
}

/// Looks until what is looked for is there. A look that fails says what was there instead.
pub async fn eventually<F: Future<Output: Look>>(look: impl FnMut() -> F) -> <F::Output as Look>::Found {
    stratos_test_platforms::eventually_async("what the test waits for", look).await
}
