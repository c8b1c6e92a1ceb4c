//! A manifest that a case changes as it goes on, and the main path behind it.

use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use zeroize::Zeroizing;

use super::{Body, Edited, Subject};
use crate::apply::{Applied, ApplyError, ApplyOptions, Event, Progress, RunVerdict};
use crate::deploy::{self, History, PlanError, Policy, Request, RequestedAction};
use crate::desired::name::Name;
use crate::desired::resource::ResourceId;
use crate::manifest::Manifest;
use crate::plan::{Held, HeldReason, Plan};
use crate::platform::{Field, Support};
use crate::render::VariableInputs;
use crate::render::secret::{SecretError, Secrets};

/// A user with a manifest, in front of one environment called `dev`.
pub struct Stage<'a, S> {
    /// The environment.
    pub subject: &'a S,
    /// The apps and their lines.
    pub apps: IndexMap<String, Vec<String>>,
    /// Lines of `[[moved]]`: from, to.
    pub moved: Vec<(String, String)>,
    /// The secrets and their values; without a value it is declared and not available.
    pub secrets: Declared,
    /// What the user agrees to.
    pub policy: Policy,
    /// The revision of the manifest; revisions are ordered as text.
    pub revision: Option<String>,
    known: Mutex<Vec<(Declared, Arc<Secrets>)>>,
}

/// Secrets by name, with their values where they are available.
type Declared = IndexMap<String, Option<String>>;

/// The values of secrets, for another process or for one that is played in this one.
pub struct KnownValues {
    /// By name: for a process, which derives for itself.
    pub pairs: Vec<(String, String)>,
    /// The same values, with what was derived from them: each derivation costs more than all the rest of a case.
    pub secrets: Arc<Secrets>,
}

/// A history of revisions that are ordered as text.
struct Line(String);

impl History for Line {
    fn revision(&self) -> Option<String> {
        Some(self.0.clone())
    }
    fn is_older_than(&self, live: &str) -> Option<bool> {
        Some(self.0.as_str() < live)
    }
}

/// What happened during an apply, in order: `start dev/service/shop-web`, `finish …`.
#[derive(Default)]
pub struct Recorder(pub Mutex<Vec<String>>);

impl Progress for Recorder {
    fn event(&self, event: Event<'_>) {
        let line = match event {
            Event::Started { id, .. } => format!("start {id}"),
            Event::Finished { report } => format!("finish {}", report.id),
            Event::Waiting { .. } | Event::Retrying { .. } => return,
        };
        self.0.lock().unwrap_or_else(|e| e.into_inner()).push(line);
    }
}

/// The line that declares the port that every body listens on.
pub const HTTP: &str = "ports.http = 8080";

impl<'a, S: Subject> Stage<'a, S> {
    /// A manifest without apps.
    pub fn new(subject: &'a S) -> Self {
        Self {
            subject,
            apps: IndexMap::new(),
            moved: Vec::new(),
            secrets: IndexMap::new(),
            policy: Policy::default(),
            revision: None,
            known: Mutex::default(),
        }
    }

    /// A manifest with one web app called `web`.
    pub fn with_web(subject: &'a S) -> Self {
        let mut stage = Self::new(subject);
        stage.web("web", 1);
        stage
    }

    /// Declares (or declares anew) a web app that works.
    pub fn web(&mut self, name: &str, version: u32) -> &mut Self {
        self.app(name, Body::Web(version), &[HTTP])
    }

    /// Declares (or declares anew) an app.
    pub fn app<L: AsRef<str>>(&mut self, name: &str, body: Body, lines: &[L]) -> &mut Self {
        let lines = self.subject.body(body).into_iter().chain(lines.iter().map(|line| line.as_ref().to_owned()));
        self.apps.insert(name.to_owned(), lines.collect());
        self
    }

    /// Adds lines to an app.
    pub fn add<L: AsRef<str>>(&mut self, name: &str, lines: &[L]) -> &mut Self {
        self.apps.entry(name.to_owned()).or_default().extend(lines.iter().map(|line| line.as_ref().to_owned()));
        self
    }

    /// Adds a line to an app where the platform honours the field.
    pub fn add_where_supported(&mut self, name: &str, field: Field, line: &str) -> &mut Self {
        match self.subject.support(field) {
            Support::Full | Support::Adapted(_) => self.add(name, &[line]),
            Support::Ignored(_) | Support::Unsupported(_) => self,
        }
    }

    /// Removes an app.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.apps.shift_remove(name);
        self
    }

    /// The manifest as text.
    pub fn text(&self) -> String {
        let mut out = format!("[project]\nname = \"shop\"\nid = \"{}\"\n\n[environments.dev]\n", self.subject.project());
        out.push_str(&self.subject.environment().join("\n"));
        out.push('\n');
        if !self.secrets.is_empty() {
            out.push_str("\n[secrets]\n");
        }
        for name in self.secrets.keys() {
            out.push_str(&format!("{name} = {{ env = \"STRATOS_CONTRACT_{}\" }}\n", name.to_uppercase()));
        }
        for (name, lines) in &self.apps {
            out.push_str(&format!("\n[apps.{name}]\n{}\n", lines.join("\n")));
        }
        for (from, to) in &self.moved {
            out.push_str(&format!("\n[[moved]]\nfrom = \"{from}\"\nto = \"{to}\"\n"));
        }
        out
    }

    fn manifest(&self) -> Manifest {
        let text = self.text();
        Manifest::parse(&text).unwrap_or_else(|report| panic!("the suite's manifest is refused:\n{report}\n{text}"))
    }

    /// The values of the secrets. The same ones are the same value, as in one run of the program: their fingerprints are
    /// slow to derive.
    pub fn secret_values(&self) -> Arc<Secrets> {
        let mut known = self.known.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((_, secrets)) = known.iter().find(|(declared, _)| *declared == self.secrets) {
            return secrets.clone();
        }
        let secrets = Arc::new(self.new_secrets());
        known.push((self.secrets.clone(), secrets.clone()));
        secrets
    }

    /// Forgets what was derived, as another machine would not know it.
    pub fn on_another_machine(&self) {
        self.known.lock().unwrap_or_else(|e| e.into_inner()).clear();
    }

    /// What a run that is to be killed gets: the values, and what was derived from them already.
    pub fn known_values(&self) -> KnownValues {
        KnownValues { pairs: self.secret_pairs(), secrets: self.secret_values() }
    }

    fn new_secrets(&self) -> Secrets {
        let missing = |name: &str| SecretError { name: name.to_owned(), why: "it is not set".to_owned() };
        let value =
            |(name, value): (&String, &Option<String>)| (name.clone(), value.clone().map(Zeroizing::new).ok_or_else(|| missing(name)));
        Secrets::new(self.secrets.iter().map(value))
    }

    /// The secrets that have values.
    fn secret_pairs(&self) -> Vec<(String, String)> {
        self.secrets.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }

    async fn request<T>(&self, apps: &[&str], call: impl AsyncFnOnce(&Request<'_>) -> T) -> T {
        let manifest = self.manifest();
        let history = self.revision.clone().map(Line);
        let apps = apps.iter().map(|name| Name::new(name).unwrap_or_else(|error| panic!("{error}"))).collect();
        let request = Request {
            manifest: &manifest,
            variables: &VariableInputs::default(),
            secrets: &self.secret_values(),
            history: history.as_ref().map(|line| line as &dyn History),
            registry: None,
            refresh_images: false,
            environments: Default::default(),
            apps,
            policy: self.policy,
        };
        call(&request).await
    }

    /// Plans.
    pub async fn try_plan(&self) -> Result<Plan, PlanError> {
        self.try_plan_of(&[]).await
    }

    /// Plans these apps alone; all where there are none.
    pub async fn try_plan_of(&self, apps: &[&str]) -> Result<Plan, PlanError> {
        let connector = self.subject.connector();
        self.request(apps, async |request| deploy::plan(request, &*connector).await).await
    }

    /// Plans these apps alone; the case fails where there is no plan.
    pub async fn plan_of(&self, apps: &[&str]) -> Plan {
        self.try_plan_of(apps).await.unwrap_or_else(|error| panic!("no plan: {error}\n{}", self.text()))
    }

    /// Plans; the case fails where there is no plan.
    pub async fn plan(&self) -> Plan {
        self.try_plan().await.unwrap_or_else(|error| panic!("no plan: {error}\n{}", self.text()))
    }

    /// Plans a restart or a forgetting of an app.
    pub async fn plan_request(&self, app: &str, action: RequestedAction) -> Plan {
        let connector = self.subject.connector();
        let plan = self.request(&[app], async |request| deploy::plan_request(request, action, &*connector).await).await;
        plan.unwrap_or_else(|error| panic!("no plan: {error}"))
    }

    /// Applies a plan.
    pub async fn try_apply(&self, plan: &Plan) -> Result<Applied, ApplyError> {
        self.apply_as(plan, "someone", &crate::apply::Quiet).await
    }

    /// Applies a plan as somebody, watched.
    pub async fn apply_as(&self, plan: &Plan, holder: &str, progress: &dyn Progress) -> Result<Applied, ApplyError> {
        let options = ApplyOptions { holder: holder.to_owned(), ..ApplyOptions::default() };
        let connector = self.subject.connector();
        deploy::apply(plan, &self.secret_values(), &*connector, &options, progress).await
    }

    /// Applies a plan; the case fails where nothing is applied.
    pub async fn apply(&self, plan: &Plan) -> Applied {
        self.try_apply(plan).await.unwrap_or_else(|error| panic!("not applied: {error}"))
    }

    /// Applies a plan that must go through.
    pub async fn apply_well(&self, plan: &Plan) -> Applied {
        let applied = self.apply(plan).await;
        assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(plan, &applied));
        applied
    }

    /// Plans and applies, which must go through; then there is nothing to do. Returns the plan.
    pub async fn converge(&self) -> Plan {
        let plan = self.plan().await;
        assert!(plan.held.is_empty(), "held: {:#?}", plan.held);
        self.apply_well(&plan).await;
        self.expect_nothing().await;
        plan
    }

    /// There is nothing to do, and nothing is held.
    pub async fn expect_nothing(&self) -> Plan {
        let plan = self.expect_no_changes().await;
        assert!(plan.held.is_empty(), "held: {:#?}", plan.held);
        plan
    }

    /// There is nothing to do; something may be held.
    pub async fn expect_no_changes(&self) -> Plan {
        let plan = self.plan().await;
        assert!(plan.is_empty(), "there is still something to do: {:#?}", brief(&plan));
        plan
    }

    /// There is nothing to do, and exactly something of this reason is held.
    pub async fn expect_held(&self, reason: fn(&HeldReason) -> bool) -> Plan {
        let plan = self.expect_no_changes().await;
        expect_held_in(&plan, reason);
        plan
    }

    /// The resource whose health is the app's.
    pub async fn main_resource(&self, app: &str) -> ResourceId {
        let plan = self.plan().await;
        let found = plan.judged.into_iter().find(|judged| &*judged.app == app);
        found.unwrap_or_else(|| panic!("{app} has nothing with health on {}", S::NAME)).id
    }
}

/// Something is held, all of it for this reason.
pub fn expect_held_in(plan: &Plan, reason: fn(&HeldReason) -> bool) {
    assert!(!plan.held.is_empty() && plan.held.iter().all(|held| reason(&held.why)), "held: {:#?}", plan.held);
}

/// What a plan does, one line each, with the fields.
pub fn brief(plan: &Plan) -> Vec<String> {
    let fields = |change: &crate::plan::change::Change| {
        let field = |field: &crate::compare::FieldChange| {
            let show = |leaf: &Option<crate::desired::document::Leaf>| leaf.as_ref().map_or("nothing".to_owned(), |leaf| leaf.to_string());
            format!("{}: {} -> {}", field.path, show(&field.old), show(&field.new))
        };
        change.differences.iter().map(field).collect::<Vec<_>>().join(", ")
    };
    let mut out: Vec<String> =
        plan.changes.iter().map(|c| format!("{:?} {} because {:?} [{}]", c.action, c.id, c.reason, fields(c))).collect();
    out.extend(plan.held.iter().map(|Held { id, instead_of, why, .. }| format!("held {id} instead of {instead_of}: {why:?}")));
    out
}

/// A plan and what came of it, for the message of a case that failed.
pub fn told(plan: &Plan, applied: &Applied) -> String {
    let changes = applied.changes.iter().map(|report| format!("{}: {:?}", report.id, report.result));
    let health = applied.health.iter().map(|h| format!("{}: {} {}{:?}", h.id, h.health.status, h.health.message, h.health.rollout));
    let lines: Vec<String> = brief(plan).into_iter().chain(changes).chain(health).collect();
    format!("{:?}\n{}", applied.verdict(), lines.join("\n"))
}

/// Tells what a case found out, or why it could not look: shown by `cargo test -- --nocapture`.
#[allow(clippy::disallowed_macros, reason = "a test reports to whoever runs it, not to the program's user")]
pub fn note<S: Subject>(what: impl std::fmt::Display) {
    println!("{:<13} {what}", S::NAME);
}

/// Tells why a part of a case cannot be checked here, and says whether it can.
pub fn possible<S: Subject>(what: &str, edited: &Edited) -> bool {
    match edited {
        Edited::Done => true,
        Edited::NotPossible(why) => {
            note::<S>(format!("{what}: not possible: {why}"));
            false
        }
    }
}
