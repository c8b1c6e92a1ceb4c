//! The in-memory platform as a subject of the conformance suite.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use async_trait::async_trait;
use serde_json::Value;

use super::world::Leases;
use super::{Effect, Fault, Key, MemoryConnector, Quirks, World};
use crate::apply::{ApplyOptions, Quiet};
use crate::deploy::{self, Connector};
use crate::desired::document::Leaf;
use crate::desired::path::Path;
use crate::desired::resource::ResourceId;
use crate::plan::Plan;
use crate::platform::contract::stage::KnownValues;
use crate::platform::contract::{Body, Crash, Edited, Subject, When};
use crate::platform::{Field, Support};

/// A world of its own for each case.
pub struct MemorySubject {
    /// The world.
    pub world: World,
    next_port: AtomicU16,
}

/// The same, and the server gives secret values back.
pub struct OpenMemorySubject(MemorySubject);

const PLACE: &str = "dev";

impl MemorySubject {
    /// A world that neglects some duties.
    pub fn with_quirks(quirks: Quirks) -> Self {
        Self::of(World::with_quirks(quirks))
    }

    /// This world.
    pub fn of(world: World) -> Self {
        Self { world, next_port: AtomicU16::new(8000) }
    }
}

fn edited(result: Result<(), String>) -> Edited {
    result.map_or_else(Edited::NotPossible, |()| Edited::Done)
}

fn paused() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()
}

#[async_trait]
impl Subject for MemorySubject {
    const NAME: &'static str = "memory";
    const KILLED_AFTER_EACH_CALL: bool = true;

    fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
        paused()
    }

    async fn fresh() -> Self {
        Self::with_quirks(Quirks::default())
    }

    fn environment(&self) -> Vec<String> {
        // The word matters to the program's `connect` alone, which knows no memory.
        vec!["platform = \"local\"".into()]
    }

    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(MemoryConnector::new(self.world.clone()))
    }

    fn support(&self, field: Field) -> Support {
        self.world.support(field)
    }

    fn body(&self, body: Body) -> Vec<String> {
        let image = |image: String| vec![format!("image = \"{image}\"")];
        match body {
            Body::Web(version) => image(format!("shop/web:{version}")),
            Body::WebByCommand(version) => {
                vec![
                    "image = \"shop/web:1\"".into(),
                    format!("command = [\"web\", \"--port\", \"$(PORT_HTTP)\", \"--version\", \"{version}\"]"),
                ]
            }
            Body::NeverHealthy => image("fail/web:1".into()),
            Body::CrashLoop => image("crash/web:1".into()),
            Body::Missing => image("missing/web:1".into()),
            Body::NeverSettles => image("wait/web:1".into()),
        }
    }

    fn free_port(&self) -> u16 {
        self.next_port.fetch_add(1, Ordering::Relaxed)
    }

    async fn take_port(&self, port: u16) -> Edited {
        self.world.take_port(port);
        Edited::Done
    }

    async fn edit(&self, id: &ResourceId, path: &Path, leaf: Option<&Leaf>) -> Edited {
        edited(self.world.edit_leaf(PLACE, id, path, leaf.cloned()))
    }

    async fn make_foreign(&self, id: &ResourceId) -> Edited {
        if &*id.kind == "config" {
            return Edited::NotPossible("a config's name holds a hash of its content".into());
        }
        edited(self.world.insert_foreign(PLACE, &id.kind, &id.name))
    }

    async fn hide(&self, id: &ResourceId) -> Edited {
        self.world.hide(PLACE, Some(&id.kind), Some(&id.name), "this account may not read it");
        Edited::Done
    }

    async fn reveal(&self) {
        self.world.reveal();
    }

    async fn cut_off(&self) -> Edited {
        // More requests than any case makes.
        for _ in 0..1000 {
            let effect = Effect::Unreachable;
            self.world.fault(Fault { call: None, index: 0, when: super::When::Before, effect });
        }
        Edited::Done
    }

    async fn reconnect(&self) {
        self.world.clear_faults();
    }

    async fn apply_and_crash(&self, plan: &Plan, secrets: &KnownValues, call: usize, when: When) -> Crash {
        let when = match when {
            When::Before => super::When::Before,
            When::After => super::When::After,
        };
        self.world.fault(Fault { call: None, index: call, when, effect: Effect::Crash });
        let (connector, options) = (self.connector(), ApplyOptions::default());
        let crashed = tokio::select! {
            _ = deploy::apply(plan, &secrets.secrets, &*connector, &options, &Quiet) => false,
            () = self.world.crashed().notified() => true,
        };
        self.world.clear_faults();
        if !crashed {
            return Crash::Finished;
        }
        // The killed process has left its lease, which expires.
        tokio::time::sleep(Leases::TIME_TO_LIVE).await;
        Crash::Crashed
    }

    async fn dump(&self) -> String {
        self.world.to_json()
    }

    async fn read(&self, app: &str, field: Field) -> Result<Value, String> {
        let world: Value = serde_json::from_str(&self.world.to_json()).map_err(|error| error.to_string())?;
        read(&world["places"][PLACE], app, field)
    }

    async fn state(&self, id: &ResourceId) -> Option<String> {
        self.world.describe(PLACE, &Key::of(id))
    }
}

/// A field in the server's own JSON.
fn read(objects: &Value, app: &str, field: Field) -> Result<Value, String> {
    let objects = objects.as_object().ok_or("there is nothing")?;
    let of = |key: &str| objects.iter().filter(|(name, _)| name.starts_with(key)).map(|(_, object)| object).collect::<Vec<_>>();
    let service = objects.iter().find(|(key, _)| key.starts_with("service") && key.ends_with(&format!("-{app}")));
    let spec = &service.ok_or("there is no service")?.1["spec"];
    let list = |name: &str| spec[name].as_array().cloned().unwrap_or_default();
    let pairs = |name: &str, key: &str, value: &dyn Fn(&Value) -> Value| -> Value {
        list(name).iter().map(|item| (item[key].as_str().unwrap_or_default().to_owned(), value(item))).collect()
    };
    let content = |file: &Value| {
        let configs = of("config");
        let source = configs.iter().find(|config| config["attributes"]["id"] == file["source"]);
        source.map_or(Value::Null, |config| config["spec"]["data"].clone())
    };
    Ok(match field {
        Field::Replicas => spec["replicas"].clone(),
        Field::Ports => list("ports").iter().map(|port| port["target"].clone()).collect(),
        Field::PortsPublish => list("ports").iter().map(|port| port["published"].clone()).collect(),
        Field::Env => pairs("env", "name", &|variable| variable["value"].clone()),
        Field::Files => pairs("files", "path", &content),
        Field::FilesMode => pairs("files", "path", &|file| format!("{:04o}", file["mode"].as_u64().unwrap_or_default()).into()),
        Field::HealthHttp => spec["ready"]["http"].clone(),
        Field::ResourcesMemory => {
            let text = spec["limits"]["memory"].as_str().unwrap_or_default();
            let mebibytes = text.strip_suffix("Mi").and_then(|number| number.parse::<u64>().ok());
            mebibytes.map_or(Value::Null, |number| (number << 20).into())
        }
        Field::Volumes => list("mounts").iter().map(|mount| mount["target"].clone()).collect(),
        Field::RolloutMaxSurge => spec["update"]["max_surge"].clone(),
        _ => return Err("the server's JSON does not show it in these terms".into()),
    })
}

#[async_trait]
impl Subject for OpenMemorySubject {
    const NAME: &'static str = "memory (open)";
    const KILLED_AFTER_EACH_CALL: bool = true;

    fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
        paused()
    }
    async fn fresh() -> Self {
        Self(MemorySubject::with_quirks(Quirks { returns_secrets: true, ..Quirks::default() }))
    }
    fn environment(&self) -> Vec<String> {
        self.0.environment()
    }
    fn connector(&self) -> Arc<dyn Connector> {
        self.0.connector()
    }
    fn support(&self, field: Field) -> Support {
        self.0.support(field)
    }
    fn body(&self, body: Body) -> Vec<String> {
        self.0.body(body)
    }
    fn free_port(&self) -> u16 {
        self.0.free_port()
    }
    async fn take_port(&self, port: u16) -> Edited {
        self.0.take_port(port).await
    }
    async fn edit(&self, id: &ResourceId, path: &Path, leaf: Option<&Leaf>) -> Edited {
        self.0.edit(id, path, leaf).await
    }
    async fn make_foreign(&self, id: &ResourceId) -> Edited {
        self.0.make_foreign(id).await
    }
    async fn hide(&self, id: &ResourceId) -> Edited {
        self.0.hide(id).await
    }
    async fn reveal(&self) {
        self.0.reveal().await;
    }
    async fn cut_off(&self) -> Edited {
        self.0.cut_off().await
    }
    async fn reconnect(&self) {
        self.0.reconnect().await;
    }
    async fn apply_and_crash(&self, plan: &Plan, secrets: &KnownValues, call: usize, when: When) -> Crash {
        self.0.apply_and_crash(plan, secrets, call, when).await
    }
    async fn dump(&self) -> String {
        self.0.dump().await
    }
    async fn read(&self, app: &str, field: Field) -> Result<Value, String> {
        self.0.read(app, field).await
    }
    async fn state(&self, id: &ResourceId) -> Option<String> {
        self.0.state(id).await
    }
}

crate::contract_suite!(memory: MemorySubject);
crate::contract_suite!(memory_that_returns_secrets: OpenMemorySubject);
