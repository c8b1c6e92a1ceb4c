//! An apply that is killed at one of its calls: by itself, with the signal that nothing survives.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use stratos_engine::apply::{ApplyOptions, Quiet};
use stratos_engine::deploy::{self, Connector};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::health::Health;
use stratos_engine::manifest::schema::{App, Environment, Project};
use stratos_engine::plan::Plan;
use stratos_engine::plan::change::Change;
use stratos_engine::platform::{
    Address, ApplyContext, Field, Lease, Outcome, Platform, PlatformError, Scope, Sink, Support, TranslatedApp, Wanted,
};
use stratos_engine::render::secret::Secrets;
use stratos_local::{LocalConfig, LocalPlatform};
use zeroize::Zeroizing;

/// The platform, until its call number `at`.
struct Doomed {
    platform: LocalPlatform,
    at: usize,
    after: bool,
    calls: AtomicUsize,
}

struct Connect(PathBuf, usize, bool);

pub fn apply(arguments: &[OsString]) -> Result<(), String> {
    let [folder, plan, secrets, call, when] = arguments else { return Err("apply FOLDER PLAN SECRETS CALL WHEN".into()) };
    let read = |path: &OsString| std::fs::read(path).map_err(|e| e.to_string());
    let plan: Plan = serde_json::from_slice(&read(plan)?).map_err(|e| e.to_string())?;
    let secrets: BTreeMap<String, String> = serde_json::from_slice(&read(secrets)?).map_err(|e| e.to_string())?;
    let secrets = Secrets::new(secrets.into_iter().map(|(name, value)| (name, Ok(Zeroizing::new(value)))));
    let call = call.to_str().and_then(|call| call.parse().ok()).ok_or("CALL is no number")?;
    let connector = Connect(folder.into(), call, when == "after");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let applied = runtime.block_on(deploy::apply(&plan, &secrets, &connector, &ApplyOptions::default(), &Quiet));
    applied.map(drop).map_err(|e| e.to_string())
}

/// A platform on a folder of tests, whose supervisor is this very program.
pub fn connect(folder: PathBuf, project: &str, environment: &Name) -> Result<LocalPlatform, PlatformError> {
    let owner = Owner::new(project, environment.clone());
    let program = std::env::current_exe().unwrap_or_default();
    let supervisor = vec![program.into(), "supervise".into()];
    LocalPlatform::connect(LocalConfig { folder, environment: environment.clone(), owner, supervisor, directory: None })
}

#[async_trait]
impl Connector for Connect {
    async fn connect(&self, project: &Project, name: &Name, _: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        let platform = connect(self.0.clone(), project.id.as_deref().unwrap_or(&project.name), name)?;
        Ok(Arc::new(Doomed { platform, at: self.1, after: self.2, calls: AtomicUsize::new(0) }))
    }
}

impl Doomed {
    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let now = self.calls.fetch_add(1, Ordering::SeqCst) == self.at;
        if now && !self.after {
            die();
        }
        let result = call.await;
        if now {
            die();
        }
        result
    }
}

fn die() {
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
}

#[async_trait]
impl Platform for Doomed {
    fn support(&self, field: Field) -> Support {
        self.platform.support(field)
    }
    fn check(&self, app: &App) -> Vec<String> {
        self.platform.check(app)
    }
    fn translate(&self, app: &TranslatedApp<'_>) -> Vec<Resource> {
        self.platform.translate(app)
    }
    fn address(&self, app: &TranslatedApp<'_>, port: &Name) -> Address {
        self.platform.address(app, port)
    }
    async fn observe(&self, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
        self.call(self.platform.observe(scope, wanted, sink)).await
    }
    async fn apply(&self, batch: &[&Change], context: &ApplyContext<'_>) -> Vec<Outcome> {
        self.call(self.platform.apply(batch, context)).await
    }
    async fn health(&self, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError> {
        self.platform.health(ids).await
    }
    async fn lease(&self, owner: &Owner, holder: &str) -> Result<Lease, PlatformError> {
        self.call(self.platform.lease(owner, holder)).await
    }
    async fn retire(&self, owner: &Owner) -> Result<(), PlatformError> {
        self.call(self.platform.retire(owner)).await
    }
    fn requests(&self) -> u64 {
        self.platform.requests()
    }
}
