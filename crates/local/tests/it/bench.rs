//! An environment of one test: its folder, a platform on it, and the few steps of the main path that a test needs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path as FilePath, PathBuf};

use indexmap::IndexMap;
use serde_json::Value;
use stratos_engine::compare::{Difference, Differences, compare};
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::{Marks, Owner};
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::desired::text::Text;
use stratos_engine::health::Health;
use stratos_engine::manifest::schema::App;
use stratos_engine::plan::change::{Action, Change, Fence, Reason, Seen, state_digest};
use stratos_engine::platform::{ApplyContext, FileContent, MovedFrom, ObservedResource, Outcome, Platform, Scope, Sink, TranslatedApp};
use stratos_engine::render::secret::{Attributes, Salt, Secrets};
use stratos_local::{LocalConfig, LocalPlatform};
use stratos_test_platforms::{PATIENCE, eventually_async};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// The program with the supervisor and the app in it.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_stratos-local-test-program");

pub struct Bench {
    pub folder: TempDir,
    pub platform: LocalPlatform,
    pub owner: Owner,
    pub secrets: Secrets,
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub fn workload(app: &str) -> ResourceId {
    ResourceId::new(&name("dev"), "workload", &format!("shop-{app}"))
}

pub fn volume(app: &str, volume: &str) -> ResourceId {
    ResourceId::new(&name("dev"), "volume", &format!("shop-{app}-{volume}"))
}

/// An app that serves in this mode on its port `http`; `more` is merged over it.
pub fn serving(mode: &str, more: Value) -> Value {
    let mut app = serde_json::json!({
        "command": [PROGRAM, "serve", mode],
        "ports": { "http": 8080 },
        "health": { "http": "/healthz", "interval": "500ms", "timeout": "2s" },
        "rollout": { "timeout": "20s" },
    });
    for (key, value) in more.as_object().unwrap() {
        app[key] = value.clone();
    }
    app
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("stratos").tempdir().unwrap();
        let owner = Owner { project: "k3v9q2xw".into(), environment: name("dev") };
        let platform = Self::connect(folder.path(), &owner);
        let secrets = Secrets::new([("db".to_owned(), Ok(Zeroizing::new("hunter2 $(PORT)".to_owned())))]);
        Self { folder, platform, owner, secrets }
    }

    /// The same environment for another owner.
    pub fn for_owner(&self, project: &str) -> LocalPlatform {
        Self::connect(self.folder.path(), &Owner { project: project.into(), environment: name("dev") })
    }

    /// The same environment with another program for its supervisor.
    pub fn supervised_by(&self, supervisor: Vec<OsString>) -> LocalPlatform {
        LocalPlatform::connect(LocalConfig { supervisor, ..Self::config(self.folder.path(), &self.owner) }).unwrap()
    }

    fn connect(folder: &FilePath, owner: &Owner) -> LocalPlatform {
        LocalPlatform::connect(Self::config(folder, owner)).unwrap()
    }

    fn config(folder: &FilePath, owner: &Owner) -> LocalConfig {
        LocalConfig {
            folder: folder.join("dev"),
            environment: name("dev"),
            owner: owner.clone(),
            supervisor: vec![PROGRAM.into(), "supervise".into()],
            directory: None,
        }
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("dev")
    }

    pub fn resources(&self, app: &str, body: Value) -> Vec<Resource> {
        self.moved(app, body, &BTreeMap::new())
    }

    pub fn moved(&self, app: &str, body: Value, moved_from: &BTreeMap<Option<Name>, MovedFrom>) -> Vec<Resource> {
        let parsed: App = serde_json::from_value(body).unwrap();
        let app_name = name(app);
        let marks =
            Marks { owner: self.owner.clone(), app: app_name.clone(), protect: parsed.protect, revision: None, specification: None };
        let files: IndexMap<String, FileContent> = parsed
            .files
            .iter()
            .map(|(path, file)| {
                let content = file.content.clone().unwrap_or_default();
                let mode = file.mode.as_deref().map_or(0o444, |mode| u32::from_str_radix(mode, 8).unwrap());
                (path.clone(), FileContent { content, mode })
            })
            .collect();
        let translated = TranslatedApp {
            project: &name("shop"),
            name: &app_name,
            environment: &name("dev"),
            marks: &marks,
            app: &parsed,
            env: &parsed.env,
            files: &files,
            native: None,
            moved_from,
        };
        let mut resources = self.platform.translate(&translated);
        for leaf in resources.iter_mut().flat_map(|r| r.document.leaves_mut().map(|(_, leaf)| leaf)) {
            if let Leaf::Secret { text: Some(text), fingerprint } = leaf {
                *fingerprint = Some(self.secrets.fingerprint(text, Salt([7; 16])).unwrap());
            }
        }
        resources
    }

    pub async fn observe(&self, wanted: &[&ResourceId]) -> Sink {
        let scope = Scope { owner: self.owner.clone(), apps: None };
        let mut sink = Sink::default();
        self.platform.observe(&scope, &wanted.iter().map(|id| ((*id).clone(), None)).collect(), &mut sink).await.unwrap();
        sink
    }

    /// What an id holds, where it holds anything.
    pub async fn live(&self, id: &ResourceId) -> Option<ObservedResource> {
        self.observe(&[id]).await.resources.remove(id).map(|live| *live)
    }

    pub async fn plan(&self, desired: Vec<Resource>) -> Differences {
        let wanted: BTreeSet<ResourceId> = desired.iter().map(|r| r.id.clone()).collect();
        let sink = self.observe(&wanted.iter().collect::<Vec<_>>()).await;
        assert!(sink.gaps.is_empty(), "{:?}", sink.gaps);
        compare(desired, &sink.resources)
    }

    pub async fn assert_nothing_to_do(&self, desired: Vec<Resource>) {
        let differences = self.plan(desired).await.differences;
        assert!(differences.is_empty(), "{differences:#?}");
    }

    pub async fn apply(&self, change: &Change) -> Outcome {
        self.apply_as(&self.platform, change).await
    }

    pub async fn apply_as(&self, platform: &LocalPlatform, change: &Change) -> Outcome {
        let attributes: Attributes = self.observe(&[]).await.resources.into_iter().map(|(id, live)| (id, live.attributes)).collect();
        let context = ApplyContext {
            secrets: &self.secrets,
            attributes: &attributes,
            revision: Some("abc"),
            given_up: &stratos_engine::platform::CancellationToken::new(),
        };
        platform.apply(&[change], &context).await.remove(0)
    }

    /// Plans and applies: what is missing or differs is written, what is not declared is deleted.
    pub async fn converge(&self, desired: Vec<Resource>) -> Vec<Outcome> {
        let mut differences = self.plan(desired).await.differences;
        // Volumes come first, and go last.
        differences.sort_by_key(|d| match d {
            Difference::Undeclared(observed) => (1, observed.holds_data),
            other => (0, &*other.id().kind != "volume"),
        });
        let mut outcomes = vec![];
        for difference in &differences {
            outcomes.push(self.apply(&change(difference)).await);
        }
        outcomes
    }

    /// The same, where all of it must succeed.
    pub async fn deploy(&self, desired: Vec<Resource>) {
        for outcome in self.converge(desired).await {
            assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        }
    }

    pub async fn health(&self, id: &ResourceId) -> Health {
        self.platform.health(std::slice::from_ref(id)).await.unwrap().remove(0)
    }

    /// Waits until the roll-out is over, and says how.
    pub async fn settled(&self, id: &ResourceId) -> (bool, Health) {
        eventually_async("the end of the roll-out", async || {
            let health = self.health(id).await;
            health.settled().map(|good| (good, health.clone())).ok_or_else(|| format!("{id} did not settle: {health:#?}"))
        })
        .await
    }

    pub async fn healthy(&self, id: &ResourceId) -> Health {
        let (good, health) = self.settled(id).await;
        assert!(good, "{health:#?}");
        health
    }

    /// The port on which other apps reach an app.
    pub async fn port(&self, app: &str) -> u16 {
        self.live(&workload(app)).await.unwrap().attributes["ports.http"].parse().unwrap()
    }

    /// Asks an app, through its balancer.
    pub async fn get(&self, app: &str, path: &str) -> String {
        let (port, path) = (self.port(app).await, path.to_owned());
        tokio::task::spawn_blocking(move || get(port, &path)).await.unwrap().unwrap()
    }

    /// The process id of the supervisor, which it writes into its lock.
    pub fn supervisor(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.state().join("supervisor.lock")).ok()?;
        text.trim().strip_prefix("process ")?.parse().ok()
    }

    /// The process id of the supervisor's guard.
    pub fn guard(&self) -> Option<i32> {
        let words = format!("{}\0guard\0", self.state().display());
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut ids = processes.filter_map(|p| Some((p.file_name().to_str()?.parse().ok()?, p.path())));
        ids.find(|(_, path)| std::fs::read_to_string(path.join("cmdline")).is_ok_and(|line| line.ends_with(&words))).map(|(id, _)| id)
    }

    /// Kills the supervisor as a crash would, and waits until it and everything that it started are gone.
    pub async fn kill_supervisor(&self) {
        kill(self.supervisor().unwrap());
        eventually_async("the processes to end", async || self.processes().is_empty()).await;
    }

    /// The processes that run from this environment: its supervisor and what carries its mark.
    pub fn processes(&self) -> Vec<i32> {
        let folder = self.state().canonicalize().unwrap().into_os_string().into_string().unwrap();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let ids = processes.filter_map(|p| {
            let id: i32 = p.file_name().to_str()?.parse().ok()?;
            let read = |file: &str| std::fs::read_to_string(p.path().join(file)).unwrap_or_default();
            let marked = read("environ").split('\0').any(|v| v == format!("STRATOS_SUPERVISED_FROM={folder}"));
            (runs(id) && (marked || Some(id) == self.supervisor() && read("cmdline").contains("supervise"))).then_some(id)
        });
        ids.collect()
    }
}

/// What a plan makes of a difference.
pub fn change(difference: &Difference) -> Change {
    let (before, desired, action, reason) = match difference {
        Difference::Missing(desired) => (None, Some(desired), Action::Create, Reason::NotFound),
        Difference::Differs { desired, observed, .. } => (Some(observed), Some(desired), Action::Update, Reason::Differs),
        Difference::Taken { desired, observed } => (Some(observed), Some(desired), Action::Update, Reason::Adopted),
        Difference::Refused { desired, why, .. } => panic!("{} is refused: {why}", desired.id),
        Difference::Undeclared(observed) => (Some(observed), None, Action::Delete, Reason::NoLongerDeclared),
    };
    let id = desired.map_or_else(|| difference.id().clone(), |d| d.id.clone());
    let marks = before.and_then(|b| b.ownership.marks());
    Change {
        app: desired.map(|d| &d.marks).or(marks).unwrap().app.clone(),
        id,
        action,
        reason,
        differences: vec![],
        restarts: false,
        loses_data: false,
        waits_for: vec![],
        fence: Fence { before: before.map(Seen::of), after: desired.map(|d| state_digest(&d.document, d.marks.protect)) },
        desired: desired.cloned(),
    }
}

/// A change that a user asks for: a restart, a forgetting.
pub fn requested(observed: &ObservedResource, action: Action) -> Change {
    let delete = change(&Difference::Undeclared(observed.clone()));
    Change { action, reason: Reason::Requested, ..delete }
}

/// One request, with its answer's body. An answer that breaks off is an error.
pub fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| std::io::Error::other(format!("it broke off: {answer:?}")))?;
    if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(std::io::Error::other(head.to_owned())) }
}

/// Whether a process is there, and not only waits to be waited for.
pub fn runs(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

pub fn kill(process: i32) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), nix::sys::signal::Signal::SIGKILL);
}

/// Whatever a test left running ends with it.
impl Drop for Bench {
    fn drop(&mut self) {
        if self.state().is_dir() {
            self.processes().into_iter().for_each(kill);
        }
    }
}

/// Text, as the manifest has it, with a secret in it.
pub fn secret(before: &str) -> Text {
    use stratos_engine::desired::text::{Encoding, Segment};
    [Segment::Literal(before.into()), Segment::Secret { name: "db".into(), encoding: Encoding::Plain }].into_iter().collect()
}
