//! Manifests in a namespace of their own, deployed by a user of their own, which the server's audit log names with each request.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stratos_engine::apply::{Applied, ApplyError, ApplyOptions, ChangeResult, Quiet};
use stratos_engine::deploy::{self, PlanError, Policy, Request};
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::Manifest;
use stratos_engine::plan::Plan;
use stratos_engine::render::VariableInputs;
use stratos_engine::render::secret::Secrets;
use stratos_test_platforms::Cluster;
use zeroize::Zeroizing;

use crate::differential::WithoutPreview;
use crate::support::{Place, TestConnector, Way};

/// An app of manifests, in an environment of their own.
pub struct Manifests {
    /// The name of the project and the namespace.
    pub name: String,
    /// The name of the environment, which was `test` once.
    pub environment: String,
    /// The user who deploys them.
    kubeconfig: PathBuf,
    /// The value of `secrets.login`.
    pub login: String,
    /// The apps that are looked at, or all.
    pub only: BTreeSet<Name>,
    folder: tempfile::TempDir,
}

/// A manifest that cannot be read, or that leads to no plan.
#[derive(Debug)]
pub struct Refused(pub String);

impl Manifests {
    pub fn new(kubeconfig: &Path, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (name, kubeconfig) = (name.to_owned(), kubeconfig.to_owned());
        Self { name, environment: "test".to_owned(), kubeconfig, login: String::new(), only: BTreeSet::new(), folder }
    }

    /// Declares documents of one file, a template.
    pub fn write(&self, text: &str) {
        self.write_files(&[("all.yaml.j2".to_owned(), text.to_owned())]);
    }

    /// Declares the documents of these files of one app.
    pub fn write_files(&self, files: &[(String, String)]) {
        let files: Vec<_> = files.iter().map(|(name, text)| (format!("k8s/{name}"), text.clone())).collect();
        self.write_apps("[apps.web]\nrollout.timeout = \"5s\"\nplatform.kubernetes.manifests = \"k8s/*\"\n", &files);
    }

    /// Declares these apps, and the files that they name.
    pub fn write_apps(&self, apps: &str, files: &[(String, String)]) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        }
        for (path, text) in files {
            let path = self.folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut manifest = format!(
            "[project]\nname = \"{}\"\n[environments.{}]\nplatform = \"kubernetes\"\n[secrets]\nlogin = {{ env = \"LOGIN\" }}\n",
            self.name, self.environment
        );
        if self.environment != "test" {
            manifest += &format!("[[moved]]\nfrom = \"environments.test\"\nto = \"environments.{}\"\n", self.environment);
        }
        std::fs::write(self.folder.path().join("stratos.toml"), manifest + apps).unwrap();
    }

    fn connector(&self, previews: bool) -> TestConnector {
        let connector = TestConnector::new(Way::Kubeconfig(self.kubeconfig.clone()), &self.name);
        match previews {
            true => connector,
            false => TestConnector { wrap: |platform| Arc::new(WithoutPreview(platform)), ..connector },
        }
    }

    fn secrets(&self) -> Secrets {
        Secrets::new([("login".to_owned(), Ok(Zeroizing::new(self.login.clone())))])
    }

    /// Plans with the server's dry run, or from what is read alone.
    pub async fn try_plan(&self, previews: bool, policy: Policy) -> Result<Plan, Refused> {
        let manifest = Manifest::load(self.folder.path()).map_err(|report| Refused(report.to_string()))?;
        let request = Request {
            manifest: &manifest,
            variables: &VariableInputs::default(),
            secrets: &self.secrets(),
            history: None,
            registry: None,
            refresh_images: false,
            environments: BTreeSet::new(),
            apps: self.only.clone(),
            policy,
        };
        let plan = deploy::plan(&request, &self.connector(previews)).await;
        let plan = plan.map_err(|error: PlanError| Refused(format!("{error}: {error:?}")))?;
        self.holds_no_secret(&plan);
        Ok(plan)
    }

    pub async fn plan(&self, previews: bool, policy: Policy) -> Plan {
        self.try_plan(previews, policy).await.unwrap_or_else(|Refused(why)| panic!("{why}"))
    }

    fn holds_no_secret(&self, plan: &Plan) {
        if self.login.is_empty() {
            return;
        }
        let shown = format!("{plan:?}{}", serde_json::to_string(plan).unwrap());
        // In base64 the last characters depend on what follows.
        let encoded = STANDARD.encode(&self.login);
        for hidden in [&*self.login, encoded.get(..encoded.len() - 4).unwrap_or_default()] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }

    /// Carries a plan out.
    pub async fn carry_out(&self, plan: &Plan) -> Applied {
        self.try_carry_out(plan).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn try_carry_out(&self, plan: &Plan) -> Result<Applied, ApplyError> {
        let options = ApplyOptions { no_wait: true, ..ApplyOptions::default() };
        deploy::apply(plan, &self.secrets(), &self.connector(true), &options, &Quiet).await
    }

    /// Plans and applies. A change that is blocked or not written is a panic.
    pub async fn apply(&self, policy: Policy) -> Plan {
        let plan = self.plan(true, policy).await;
        assert!(plan.held.is_empty(), "{:?}", plan.held);
        let applied = self.carry_out(&plan).await;
        assert_eq!(unwritten(&applied), [""; 0]);
        plan
    }
}

/// The changes that were not written, `Kind name: why`. Nothing runs in these clusters: health is not asked for.
pub fn unwritten(applied: &Applied) -> Vec<String> {
    let unwritten = applied.changes.iter().filter_map(|change| match &change.result {
        ChangeResult::Done | ChangeResult::AlreadyDone | ChangeResult::Unhealthy { .. } => None,
        other => Some(format!("{} {}: {other:?}", short(&change.id.kind), change.id.name)),
    });
    unwritten.collect()
}

/// A kind without its group.
pub fn short(kind: &str) -> &str {
    kind.split('.').next().unwrap_or_default()
}

/// Manifests, their namespace, and what was made of them.
pub struct Case {
    pub cluster: &'static Cluster,
    pub manifests: Manifests,
    place: Place<'static>,
    /// The step that is under way, for a test that fails.
    pub at: String,
    /// The kinds, with their namespaces, that were ever deployed.
    kinds: BTreeSet<String>,
    /// The objects, as kubectl names them. They are deleted with this value, for those that do not go with the namespace.
    objects: BTreeSet<String>,
}

impl Case {
    pub async fn new(name: &str) -> Self {
        let name = name.to_owned();
        let start = move || {
            let place = Place::without_pods(Cluster::shared_api_only(), &name, "");
            let kubeconfig = place.cluster.kubeconfig_of(&place.namespace, &["system:masters"]);
            let manifests = Manifests::new(&kubeconfig, &place.namespace);
            Self { cluster: place.cluster, manifests, place, at: String::new(), kinds: BTreeSet::new(), objects: BTreeSet::new() }
        };
        tokio::task::spawn_blocking(start).await.unwrap()
    }

    /// The first of it; then there is nothing to do.
    pub async fn begin(name: &str, text: &str) -> Self {
        let mut case = Self::new(name).await;
        case.apply(text, Policy::default()).await;
        case.nothing().await;
        case
    }

    /// The namespace, which is a name that nothing else has.
    pub fn id(&self) -> &str {
        &self.place.namespace
    }

    /// Declares documents. `${id}` in them is a name that nothing else has.
    pub fn write(&self, text: &str) {
        self.manifests.write(&text.replace("${id}", self.id()));
    }

    pub async fn apply(&mut self, text: &str, policy: Policy) -> Plan {
        self.write(text);
        let plan = self.manifests.apply(policy).await;
        self.remember(&plan);
        plan
    }

    /// Keeps in mind what a plan makes that is carried out.
    pub fn remember(&mut self, plan: &Plan) {
        for change in &plan.changes {
            self.kinds.insert(format!("{} {:?}", change.id.kind, change.id.namespace));
            self.objects.insert(format!("{}/{}", change.id.kind.to_lowercase(), change.id.name));
        }
    }

    /// An object that was made beside the manifests, as kubectl names it.
    pub fn made(&mut self, object: String) {
        self.objects.insert(object);
    }

    /// Plans, and counts the requests of this plan.
    pub async fn plan(&self) -> (Plan, Vec<stratos_test_platforms::Request>) {
        let mark = tokio::task::block_in_place(|| self.cluster.mark());
        let plan = self.manifests.plan(true, Policy::default()).await;
        let requests = tokio::task::block_in_place(|| self.cluster.requests_since(mark));
        (plan, requests.into_iter().filter(|request| request.user == self.id()).collect())
    }

    /// There is nothing to do, and nothing was asked but lists, the record, and which kinds there are where some come with no cluster.
    pub async fn nothing(&self) {
        let at = &self.at;
        let (plan, requests) = self.plan().await;
        assert_eq!(told(&plan), [""; 0], "{at}");
        let alone = self.manifests.plan(false, Policy::default()).await;
        assert_eq!(told(&alone), [""; 0], "{at} before the dry run");
        let asked: Vec<String> = requests.iter().map(|request| format!("{} {}", request.verb, request.uri)).collect();
        let lists = requests.iter().filter(|request| request.verb == "list").count();
        let record = format!("get /api/v1/namespaces/{}/configmaps/stratos-", self.id());
        let expected = |asked: &&String| asked.starts_with(&record) || ["get /api", "get /apis"].contains(&asked.as_str());
        assert_eq!(lists, self.kinds.len(), "{at} {asked:#?}");
        assert_eq!(asked.iter().filter(|asked| asked.starts_with(&record)).count(), 1, "{at} {asked:#?}");
        assert_eq!(lists + asked.iter().filter(expected).count(), asked.len(), "{at} {asked:#?}");
        assert_eq!(requests.iter().filter(|request| request.dry_run).count(), 0, "{at} {asked:#?}");
    }

    /// This declares the same.
    pub async fn same(&self, text: &str) {
        self.write(text);
        self.nothing().await;
    }

    /// This declares something else in just these fields. It is applied, and then there is nothing to do.
    pub async fn other(&mut self, text: &str, fields: &[impl AsRef<str>]) {
        let plan = self.apply(text, Policy { allow_delete: true, ..Policy::default() }).await;
        let fields: Vec<&str> = fields.iter().map(AsRef::as_ref).collect();
        assert_eq!(told(&plan), fields);
        self.nothing().await;
    }

    /// So many kinds were ever deployed, counted once in each namespace.
    pub fn kinds(&self) -> usize {
        self.kinds.len()
    }
}

impl std::ops::Deref for Case {
    type Target = Place<'static>;
    fn deref(&self) -> &Place<'static> {
        &self.place
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if !self.objects.is_empty() {
            let mut delete = vec!["delete", "--wait=false", "--ignore-not-found", "--namespace", self.id()];
            delete.extend(self.objects.iter().map(String::as_str));
            self.cluster.try_kubectl(&delete);
        }
    }
}

/// The fields that a plan changes, `Kind name: path`, and the objects that it blocks.
pub fn told(plan: &Plan) -> Vec<String> {
    let held = plan.held.iter().map(|held| format!("held: {held:?}"));
    lines(fields(plan).chain(held).collect())
}

/// The fields that a plan changes; `Kind name: Create` where an object comes or goes.
pub fn changed(plan: &Plan) -> Vec<String> {
    lines(fields(plan).collect())
}

fn fields(plan: &Plan) -> impl Iterator<Item = String> {
    plan.changes.iter().flat_map(|change| {
        let object = format!("{} {}", short(&change.id.kind), change.id.name);
        let whole = change.differences.is_empty().then(|| format!("{object}: {:?}", change.action));
        let fields = change.differences.iter().map(move |field| format!("{object}: {}", field.path));
        fields.chain(whole).collect::<Vec<_>>()
    })
}

fn lines(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines.into_iter().map(|line| line.replace(".[", "[").replace('"', "")).collect()
}
