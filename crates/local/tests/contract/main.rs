//! The conformance suite, against real supervisors and real processes.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use stratos_engine::deploy::Connector;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::{Marks, Owner};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::health::RolloutState;
use stratos_engine::manifest::schema::{Environment, Project};
use stratos_engine::plan::Plan;
use stratos_engine::plan::change::{Action, Change, Fence, Reason, state_digest};
use stratos_engine::platform::contract::stage::KnownValues;
use stratos_engine::platform::contract::{Body, Crash, Edited, Subject, When};
use stratos_engine::platform::{ApplyContext, Field, ObservedResource, Outcome, Platform, PlatformError, Scope, Sink, Support, Wanted};
use stratos_engine::render::secret::{Attributes, Secrets};
use stratos_local::{LocalConfig, LocalPlatform};
use stratos_test_platforms::eventually_async;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stratos-local-test-program");

/// An environment in a temporary folder.
struct LocalSubject {
    temporary: TempDir,
    taken: Mutex<Vec<TcpListener>>,
}

struct Connect(PathBuf);

fn platform(folder: &FilePath, project: &str) -> Result<LocalPlatform, PlatformError> {
    let environment = dev();
    let owner = Owner::new(project, environment.clone());
    let supervisor = vec![PROGRAM.into(), "supervise".into()];
    LocalPlatform::connect(LocalConfig { folder: folder.to_owned(), environment, owner, supervisor, directory: None })
}

fn dev() -> Name {
    Name::new("dev").unwrap()
}

#[async_trait]
impl Connector for Connect {
    async fn connect(&self, project: &Project, _: &Name, _: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        Ok(Arc::new(platform(&self.0, project.id.as_deref().unwrap_or(&project.name))?))
    }
}

impl LocalSubject {
    fn folder(&self) -> PathBuf {
        self.temporary.path().join("dev")
    }

    fn other(&self) -> LocalPlatform {
        platform(&self.folder(), "somebody-else").unwrap()
    }

    /// Ends the supervisor as a crash would: what is there is what `state.json` says, which can be edited then.
    async fn end(&self) {
        let folder = self.folder();
        let lock = std::fs::read_to_string(folder.join("supervisor.lock")).unwrap_or_default();
        let Some(id) = lock.trim().strip_prefix("process ").and_then(|id| id.parse().ok()) else { return };
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGKILL);
        // The guard holds the lock until everything is gone.
        let is_locked = || std::fs::File::open(folder.join("supervisor.lock")).is_ok_and(|lock| lock.try_lock().is_err());
        eventually_async("the end of the supervisor", async || !is_locked()).await;
    }

    fn edit_state(&self, edit: impl FnOnce(&mut Vec<Value>) -> bool) -> Edited {
        let path = self.folder().join("state.json");
        let Ok(text) = std::fs::read_to_string(&path) else { return Edited::NotPossible("nothing is written".into()) };
        let mut state: Value = serde_json::from_str(&text).unwrap();
        if !edit(state["objects"].as_array_mut().unwrap()) {
            return Edited::NotPossible("there is no such object".into());
        }
        std::fs::write(&path, state.to_string()).unwrap();
        Edited::Done
    }
}

#[async_trait]
impl Subject for LocalSubject {
    const NAME: &'static str = "local";

    async fn fresh() -> Self {
        Self { temporary: tempfile::Builder::new().prefix("stratos").tempdir().unwrap(), taken: Mutex::default() }
    }

    async fn clean_up(&self) {
        self.end().await;
    }

    fn environment(&self) -> Vec<String> {
        vec!["platform = \"local\"".into()]
    }

    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(Connect(self.folder()))
    }

    fn support(&self, field: Field) -> Support {
        self.other().support(field)
    }

    fn body(&self, body: Body) -> Vec<String> {
        let serve = |mode: &str, version: u32| vec![format!("command = [{PROGRAM:?}, \"serve\", {mode:?}, \"{version}\"]")];
        match body {
            Body::Web(version) | Body::WebByCommand(version) => serve("healthy", version),
            Body::NeverHealthy => serve("never-healthy", 1),
            Body::CrashLoop => serve("crash", 1),
            Body::Missing => vec!["command = [\"no-such-program\"]".into()],
            Body::NeverSettles => vec!["command = [\"sleep\", \"1000\"]".into()],
        }
    }

    fn free_port(&self) -> u16 {
        TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
    }

    async fn take_port(&self, port: u16) -> Edited {
        self.taken.lock().unwrap().push(TcpListener::bind(("127.0.0.1", port)).unwrap());
        Edited::Done
    }

    async fn edit(&self, id: &ResourceId, path: &Path, leaf: Option<&Leaf>) -> Edited {
        self.end().await;
        self.edit_state(|objects| {
            let Some(object) = objects.iter_mut().find(|object| object["id"] == json!(id)) else { return false };
            if path.matches("protect") {
                object["marks"]["protect"] = json!(matches!(leaf, Some(Leaf::Bool(true))));
                return true;
            }
            let document: Document = serde_json::from_value(object["document"].clone()).unwrap();
            object["document"] = json!(document.with([(path.clone(), leaf.cloned())]));
            true
        })
    }

    async fn make_foreign(&self, id: &ResourceId) -> Edited {
        let leaf = |path: &[&str], leaf: Leaf| (Path::new(path.iter().copied()), leaf);
        let document: Document = match &*id.kind {
            "workload" => [("[0000]", "sleep"), ("[0001]", "1000")]
                .into_iter()
                .map(|(at, word)| leaf(&["command", at], Leaf::Text(word.into())))
                .collect(),
            _ => Document::default(),
        };
        let owner = Owner { project: "somebody-else".into(), environment: dev() };
        let marks = Marks { owner, app: Name::new("theirs").unwrap(), protect: false, revision: None, specification: None };
        let resource = json!({ "id": id, "marks": marks, "document": document });
        let desired: Resource = serde_json::from_value(resource).unwrap();
        let fence = Fence { before: None, after: Some(state_digest(&document, false)) };
        let change =
            json!({ "id": id, "app": "theirs", "action": Action::Create, "reason": Reason::NotFound, "fence": fence, "desired": desired });
        let change: Change = serde_json::from_value(change).unwrap();
        let context = ApplyContext {
            secrets: &Secrets::default(),
            attributes: &Attributes::new(),
            revision: None,
            given_up: &stratos_engine::platform::CancellationToken::new(),
        };
        match self.other().apply(&[&change], &context).await.remove(0) {
            Outcome::Done { .. } => Edited::Done,
            other => panic!("{other:?}"),
        }
    }

    async fn hide(&self, _: &ResourceId) -> Edited {
        self.end().await;
        let state = self.folder().join("state.json");
        std::fs::write(&state, format!("!{}", std::fs::read_to_string(&state).unwrap())).unwrap();
        Edited::Done
    }

    async fn reveal(&self) {
        let state = self.folder().join("state.json");
        let text = std::fs::read_to_string(&state).unwrap();
        std::fs::write(&state, text.trim_start_matches('!')).unwrap();
    }

    async fn apply_and_crash(&self, plan: &Plan, secrets: &KnownValues, call: usize, when: When) -> Crash {
        let file = |name: &str, value: Value| {
            let path = self.temporary.path().join(name);
            std::fs::write(&path, value.to_string()).unwrap();
            path
        };
        let secrets: serde_json::Map<String, Value> = secrets.pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let when = if when == When::After { "after" } else { "before" };
        let status = tokio::process::Command::new(PROGRAM)
            .arg("apply")
            .args([self.folder(), file("plan", json!(plan)), file("secrets", json!(secrets))])
            .args([call.to_string().as_str(), when])
            .status()
            .await
            .unwrap();
        if status.code().is_none() { Crash::Crashed } else { Crash::Finished }
    }

    async fn dump(&self) -> String {
        let mut out = String::new();
        dump(&self.folder(), &mut out);
        let wanted = Wanted::new();
        let mut sink = Sink::default();
        let scope = Scope { owner: Owner { project: "k3v9q2xw".into(), environment: dev() }, apps: None };
        self.other().observe(&scope, &wanted, &mut sink).await.unwrap();
        out + &format!("{sink:?}")
    }

    async fn read(&self, app: &str, field: Field) -> Result<Value, String> {
        let processes = instances(&self.folder(), app);
        let variables = processes.first().ok_or("no instance runs")?;
        let root = PathBuf::from(&variables["STRATOS_FILES"]);
        // The files that the contract declares.
        let declared = ["/etc/web/app.conf", "/etc/web/other.conf"];
        let files = declared.into_iter().map(|path| (path.to_owned(), root.join(path.trim_start_matches('/'))));
        Ok(match field {
            Field::Replicas => processes.len().into(),
            Field::PortsPublish => listening(),
            Field::Env => json!(variables),
            Field::Files => files.filter_map(|(path, at)| Some((path, Value::from(std::fs::read_to_string(at).ok()?)))).collect(),
            Field::FilesMode => {
                use std::os::unix::fs::PermissionsExt;
                let mode = |at| Some(Value::from(format!("{:04o}", std::fs::metadata(at).ok()?.permissions().mode() & 0o7777)));
                files.filter_map(|(path, at): (String, PathBuf)| Some((path, mode(at)?))).collect()
            }
            _ => return Err("a process does not show it".into()),
        })
    }

    async fn state(&self, id: &ResourceId) -> Option<String> {
        let mut sink = Sink::default();
        let scope = Scope { owner: Owner { project: "nobody".into(), environment: dev() }, apps: None };
        self.other().observe(&scope, &Wanted::from([(id.clone(), None)]), &mut sink).await.unwrap();
        let found = sink.resources.remove(id);
        // A roll-out that has begun goes on by itself: nobody touched it.
        found.map(|resource| format!("{:?}", ObservedResource { rollout: RolloutState::Done, ..*resource }))
    }
}

/// The variables of each instance of an app that runs in a folder, from `/proc`.
fn instances(folder: &FilePath, app: &str) -> Vec<BTreeMap<String, String>> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let variables = |process: std::fs::DirEntry| {
        let bytes = std::fs::read(process.path().join("environ")).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(text.split('\0').filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    };
    let is_of = |variables: &BTreeMap<String, String>| {
        let value = |name: &str| variables.get(name).map(String::as_str).unwrap_or_default();
        FilePath::new(value("STRATOS_FILES")).starts_with(folder) && value("STRATOS_INSTANCE").contains(app)
    };
    processes.filter_map(variables).filter(is_of).collect()
}

/// The ports of 127.0.0.1 that somebody listens on.
fn listening() -> Value {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (address, port) = words.next()?.split_once(':')?;
        let is_listening = words.nth(1)? == "0A";
        (is_listening && ["0100007F", "00000000"].contains(&address)).then(|| u16::from_str_radix(port, 16).ok()).flatten()
    };
    table.lines().filter_map(port).map(Value::from).collect()
}

/// All files, but for those that are closed to everyone else because they hold a secret that somebody asked for.
fn dump(folder: &FilePath, out: &mut String) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_secret_file = || {
            let inside = path.components().any(|part| part.as_os_str() == "files");
            inside && entry.metadata().is_ok_and(|m| m.permissions().mode() & 0o077 == 0)
        };
        if path.is_dir() {
            dump(&path, out);
        } else if !is_secret_file() {
            out.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
        }
    }
}

stratos_engine::contract_suite!(local: LocalSubject);
