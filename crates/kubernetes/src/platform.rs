//! One environment in a cluster, connected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::Method;
use serde_json::json;
use stratos_engine::compare::Difference;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::health::{Health, Status};
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::manifest::schema::App;
use stratos_engine::plan::change::Change;
use stratos_engine::platform::exec::{ExecEvents, ExecRequest};
use stratos_engine::platform::jobs::{JobEvents, JobRequest};
use stratos_engine::platform::{
    Address, ApplyContext, Exec, Field, Jobs, Lease, LogOptions, Logs, NativeResources, Outcome, Platform, PlatformError, Preview, Scope,
    Sink, Support, TranslatedApp, Wanted,
};
use stratos_engine::render::native::{Generated, Native};
use tokio::sync::OnceCell;

use crate::apply_set::ApplySet;
use crate::config::EnvironmentConfig;
use crate::connection::{Connection, Content};
use crate::discovery::Discovery;
use crate::native::helm::Helm;
use crate::read::listed;
use crate::release::{self, Release};
use crate::{apply, exec, health, jobs, lease, logs, marks, native, observe, preview, retire, support, translate};

/// One environment in a cluster.
pub struct KubernetesPlatform {
    pub(crate) config: EnvironmentConfig,
    pub(crate) connection: Connection,
    pub(crate) discovery: Discovery,
    pub(crate) lease: Arc<lease::Standing>,
    apply_sets: Mutex<BTreeMap<Owner, Arc<ApplySet>>>,
    /// Whether we made it just now. Empty before anybody looked.
    namespace: OnceCell<bool>,
    watched: health::Watched,
    pub(crate) patience: Duration,
    ours_alone: Mutex<BTreeSet<ResourceId>>,
    releases: Mutex<BTreeMap<ResourceId, Release>>,
    helm: Helm,
}

impl KubernetesPlatform {
    /// Sends nothing yet.
    pub fn connect(config: EnvironmentConfig, connection: Connection) -> Self {
        let discovery = Discovery::new(connection.clone());
        Self {
            config,
            connection,
            discovery,
            lease: Arc::default(),
            apply_sets: Mutex::default(),
            namespace: OnceCell::new(),
            watched: health::Watched::default(),
            patience: apply::PATIENCE,
            ours_alone: Mutex::default(),
            releases: Mutex::default(),
            helm: Helm::default(),
        }
    }

    /// The same, that waits so long for an object to go which is being deleted.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same, that renders charts. Without this there is no `helm`.
    #[must_use]
    pub fn with_helm(self, helm: Helm) -> Self {
        Self { helm, ..self }
    }

    /// Nobody else writes to these, of what was not as it should be when it was read: a change of one is no conflict, and need not be
    /// tried for that.
    pub(crate) fn know_ours_alone(&self, ids: impl Iterator<Item = ResourceId>) {
        *self.ours_alone.lock().unwrap_or_else(PoisonError::into_inner) = ids.collect();
    }

    pub(crate) fn is_ours_alone(&self, id: &ResourceId) -> bool {
        self.ours_alone.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// A live object that is wanted and not ours belongs to a Helm release.
    pub(crate) fn know_release(&self, id: ResourceId, release: Release) {
        self.releases.lock().unwrap_or_else(PoisonError::into_inner).insert(id, release);
    }

    /// The Helm releases of these objects, with the objects of each.
    pub(crate) fn releases<'a>(&self, ids: impl Iterator<Item = &'a ResourceId>) -> BTreeMap<Release, Vec<&'a ResourceId>> {
        let known = self.releases.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out: BTreeMap<Release, Vec<&'a ResourceId>> = BTreeMap::new();
        for id in ids {
            known.get(id).into_iter().for_each(|release| out.entry(release.clone()).or_default().push(id));
        }
        out
    }

    /// The record of where an owner has objects.
    pub(crate) fn apply_set(&self, owner: &Owner) -> Arc<ApplySet> {
        let mut sets = self.apply_sets.lock().unwrap_or_else(PoisonError::into_inner);
        sets.entry(owner.clone()).or_insert_with(|| Arc::new(ApplySet::new(&self.config.namespace, owner))).clone()
    }

    /// Makes the environment's namespace where it is missing, once.
    pub(crate) async fn ensure_namespace(&self) -> Result<(), PlatformError> {
        self.namespace.get_or_try_init(|| self.make_namespace()).await.map(|_| ())
    }

    /// We made the namespace: nothing else can be in it.
    pub(crate) fn is_new(&self) -> bool {
        self.namespace.get() == Some(&true)
    }

    async fn make_namespace(&self) -> Result<bool, PlatformError> {
        let namespace = &self.config.namespace;
        let path = format!("/api/v1/namespaces/{}", crate::query::segment(namespace));
        let attempted = format!("looking for the namespace {namespace}");
        match self.connection.find(&path).await {
            Ok(Some(_)) => return Ok(false),
            // Who may only use one namespace may not look at namespaces: it is there, or the first write says that it is not.
            Err(failure) if failure.is_denied() => return Ok(false),
            Err(failure) => return Err(failure.error(attempted)),
            Ok(None) => {}
        }
        if !self.config.create_namespace {
            let why = format!("there is no namespace {namespace}, and `create_namespace` is false");
            let error = PlatformError::new(stratos_engine::platform::PlatformErrorKind::Rejected, attempted, why);
            return Err(error.with_hint(format!("`kubectl create namespace {namespace}` makes it")));
        }
        let labels = marks::labels_of_owner(&self.config.owner);
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace, "labels": labels } });
        let content = Content { kind: "application/json", bytes: object.to_string().into_bytes() };
        match self.connection.send(Method::POST, "/api/v1/namespaces?fieldManager=stratos", "application/json", Some(&content)).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_there_already() => Ok(false),
            Err(failure) => Err(failure.error(format!("making the namespace {namespace}"))),
        }
    }
}

#[async_trait]
impl Platform for KubernetesPlatform {
    fn support(&self, field: Field) -> Support {
        support::support(field)
    }

    fn check(&self, app: &App) -> Vec<String> {
        support::check(app)
    }

    fn translate(&self, app: &TranslatedApp<'_>) -> Vec<Resource> {
        translate::translate(&self.config, app)
    }

    fn native_files(&self, part: &Native) -> Vec<String> {
        native::wanted(part)
    }

    async fn generate(&self, app: &Name, part: &Native) -> Result<Generated, Vec<Diagnostic>> {
        native::helm::generate(&self.helm, &self.config.namespace, app, part).await
    }

    fn native(&self, app: &TranslatedApp<'_>, part: &Native) -> Result<NativeResources, Vec<Diagnostic>> {
        native::native(&self.config, app, part)
    }

    fn address(&self, app: &TranslatedApp<'_>, port: &Name) -> Address {
        translate::address(app, port)
    }

    async fn observe(&self, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
        observe::observe(self, scope, wanted, sink).await
    }

    async fn preview(&self, differences: &[Difference]) -> Result<Preview, PlatformError> {
        let mut preview = preview::preview(self, differences).await?;
        preview.notes.extend(release::notes(self, differences));
        Ok(preview)
    }

    async fn apply(&self, batch: &[&Change], context: &ApplyContext<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for change in batch {
            outcomes.push(apply::apply(self, change, context).await);
        }
        outcomes
    }

    async fn health(&self, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError> {
        let mut found = health::health(&self.connection, &self.discovery, &self.config, &self.watched, ids).await?;
        let is_gone_job = |(id, health): &(&ResourceId, &mut Health)| health.status == Status::Missing && &*id.kind == "Job.batch";
        let mut gone: Vec<_> = ids.iter().zip(&mut found).filter(is_gone_job).collect();
        if !gone.is_empty() {
            // Where the record cannot be read, they are missing.
            let ran = self.apply_set(&self.config.owner).read(&self.connection).await.ok().flatten().unwrap_or_default().ran;
            for (id, health) in &mut gone {
                if ran.iter().any(|ran| ran.id == listed([*id])) {
                    let message = "it has run, and was removed after `ttlSecondsAfterFinished`".to_owned();
                    **health = Health { status: Status::Healthy, message, ..health.clone() };
                }
            }
        }
        Ok(found)
    }

    async fn lease(&self, owner: &Owner, holder: &str) -> Result<Lease, PlatformError> {
        lease::take(self, owner, holder).await
    }

    async fn retire(&self, owner: &Owner) -> Result<(), PlatformError> {
        retire::retire(self, owner).await
    }

    fn requests(&self) -> u64 {
        self.connection.requests()
    }

    fn logs(&self) -> Option<&dyn Logs> {
        Some(self)
    }

    fn exec(&self) -> Option<&dyn Exec> {
        Some(self)
    }

    fn jobs(&self) -> Option<&dyn Jobs> {
        Some(self)
    }
}

#[async_trait]
impl Logs for KubernetesPlatform {
    async fn logs(&self, of: &ResourceId, options: &LogOptions) -> Result<logs::LogLines, PlatformError> {
        logs::logs(&self.connection, &self.discovery, &self.config, of, options).await
    }
}

#[async_trait]
impl Exec for KubernetesPlatform {
    async fn exec(&self, of: &ResourceId, request: ExecRequest) -> Result<ExecEvents, PlatformError> {
        exec::exec(&self.connection, &self.discovery, &self.config, of, request).await
    }
}

#[async_trait]
impl Jobs for KubernetesPlatform {
    async fn run(&self, job: &JobRequest<'_>, context: &ApplyContext<'_>) -> Result<JobEvents, PlatformError> {
        self.ensure_namespace().await?;
        let pod = jobs::pod(&self.config, job, context)?;
        jobs::run(&self.connection, &self.config, job, pod).await
    }

    async fn remove(&self, app: &Name, key: &str) -> Result<(), PlatformError> {
        jobs::remove(&self.connection, &self.config, app, key).await
    }
}
