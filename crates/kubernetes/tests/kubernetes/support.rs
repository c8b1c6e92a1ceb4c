//! A namespace of the shared cluster for one test, and the platform in it.

use std::time::Duration;

use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::Health;
use stratos_engine::platform::Platform as _;
use stratos_kubernetes::access::{Settings, Surroundings, resolve};
use stratos_kubernetes::connection::Connection;
use stratos_kubernetes::{EnvironmentConfig, KubernetesPlatform};
use stratos_test_platforms::{Cluster, Look};

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

pub struct Place {
    pub cluster: &'static Cluster,
    pub namespace: String,
    pub platform: KubernetesPlatform,
}

impl Place {
    /// A namespace of this name, with these labels beside.
    pub fn new(name: &str, labels: &str) -> Self {
        Self::of(Cluster::shared(), name, labels)
    }

    /// The same, in another cluster.
    pub fn of(cluster: &'static Cluster, name: &str, labels: &str) -> Self {
        cluster.apply_yaml(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}"));
        // Without it no pod is made.
        cluster.kubectl(&["wait", "--for=create", "serviceaccount/default", "--namespace", name, "--timeout=60s"]);
        Self { cluster, namespace: name.to_owned(), platform: platform(cluster.kubeconfig(), name) }
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
        let yaml = yaml.replace("IMAGE", &format!("{}/web", self.cluster.registry())).replace("NAMESPACE", &self.namespace);
        self.cluster.apply_yaml(&yaml);
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", &self.namespace], arguments].concat())
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

pub fn id(kind: &str, name: &str) -> ResourceId {
    ResourceId::new(&dev(), kind, name)
}

pub fn dev() -> Name {
    Name::new("dev").expect("a name")
}

fn platform(kubeconfig: &std::path::Path, namespace: &str) -> KubernetesPlatform {
    let owner = Owner { project: "k3v9q2xw".into(), environment: dev() };
    let config = EnvironmentConfig {
        environment: dev(),
        owner,
        namespace: namespace.to_owned(),
        create_namespace: true,
        force_conflicts: false,
        watch: 5,
    };
    KubernetesPlatform::connect(config, connection(kubeconfig, namespace))
}

/// A way to the cluster of a kubeconfig.
pub fn connection(kubeconfig: &std::path::Path, namespace: &str) -> Connection {
    let kubeconfig = kubeconfig.to_owned();
    let surroundings = Surroundings::new(move |name| (name == "KUBECONFIG").then(|| kubeconfig.clone().into()), std::path::Path::new("/"));
    let options = Default::default();
    let settings = Settings { url: None, namespace: Some(namespace), options: &options };
    let found = resolve(&settings, &surroundings).unwrap_or_else(|error| panic!("{error}"));
    found.connect().unwrap_or_else(|error| panic!("{error}"))
}

/// Looks until what is looked for is there. A look that fails says what was there instead.
pub async fn eventually<F: Future<Output: Look>>(look: impl FnMut() -> F) -> <F::Output as Look>::Found {
    stratos_test_platforms::eventually_async("what the test waits for", look).await
}
