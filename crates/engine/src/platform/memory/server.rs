//! The server form: what the in-memory server makes of what it is sent. Nothing here knows of documents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rollout::Progress;
use super::world::{Key, Object, State};
use crate::desired::owner::Marks;
use crate::desired::path::Path;
use crate::desired::quantity::{Bytes, Cpu, Duration};
use crate::desired::text::Text;
use crate::render::secret::Fingerprint;

/// A specification. Its kind is in the object's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Spec {
    /// Runs instances.
    Service(Box<Service>),
    /// Immutable content.
    Config(Config),
    /// Content that is not shown.
    Secret(SecretFile),
    /// Keeps data.
    Volume(Volume),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    pub image: String,
    #[serde(default)]
    pub args: Vec<Stored>,
    #[serde(default = "one")]
    pub replicas: u32,
    #[serde(default)]
    pub ports: Vec<Port>,
    #[serde(default)]
    pub env: Vec<Variable>,
    #[serde(default)]
    pub files: Vec<FileMount>,
    #[serde(default)]
    pub mounts: Vec<Mount>,
    #[serde(default)]
    pub ready: Option<Probe>,
    #[serde(default)]
    pub live: Option<Probe>,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub update: Update,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Port {
    pub name: String,
    pub target: u16,
    #[serde(default)]
    pub published: Option<u16>,
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Assigned by the server.
    #[serde(default)]
    pub node: u16,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    pub name: String,
    pub value: Stored,
}

/// A text as the server has it: whole. What is beside it are labels that the platform wrote to find its way back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Stored {
    /// Itself.
    Plain(String),
    /// Holds secrets: only its fingerprint is shown.
    Hidden {
        /// The value: never written to a file, never shown.
        #[serde(default, skip_serializing)]
        secret: String,
        /// The label with its fingerprint.
        fingerprint: Option<Fingerprint>,
        /// The label with the text that it was made from.
        made_from: Option<Text>,
        /// The label with the addresses that were put into it.
        #[serde(default)]
        with: BTreeMap<String, String>,
    },
    /// Holds addresses of other objects.
    Composed {
        /// The value.
        value: String,
        /// The label with the text that it was made from.
        made_from: Text,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileMount {
    pub path: String,
    /// The id that the server gave the config or the secret.
    pub source: String,
    #[serde(default = "readable")]
    pub mode: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mount {
    pub target: String,
    /// The id that the server gave the volume.
    pub source: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    #[serde(default)]
    pub http: Option<String>,
    #[serde(default)]
    pub tcp: Option<String>,
    #[serde(default)]
    pub command: Vec<String>,
    #[serde(default)]
    pub port: Option<String>,
    #[serde(default)]
    pub interval: Option<String>,
    #[serde(default)]
    pub timeout: Option<String>,
    #[serde(default)]
    pub retries: Option<u32>,
    #[serde(default)]
    pub start_period: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    #[serde(default)]
    pub cpu: Option<String>,
    #[serde(default)]
    pub cpu_limit: Option<String>,
    #[serde(default)]
    pub memory: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Update {
    pub strategy: String,
    pub max_surge: u32,
    pub max_unavailable: u32,
    pub timeout: String,
    pub on_failure: String,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            strategy: "rolling".into(),
            max_surge: 1,
            max_unavailable: 0,
            timeout: DEFAULT_TIMEOUT.to_string(),
            on_failure: "rollback".into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub data: Stored,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretFile {
    pub content: Stored,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Volume {
    #[serde(default)]
    pub size: Option<String>,
    #[serde(default = "replica")]
    pub access: String,
}

/// The server's defaults; `translate` leaves them out, and `read` drops them.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration(300_000);
pub(crate) const DEFAULT_SIZE: Bytes = Bytes(1 << 30);
pub(crate) const DEFAULT_MODE: u32 = 0o444;
pub(crate) const DEFAULT_INTERVAL: Duration = Duration(10_000);
pub(crate) const DEFAULT_PROBE_TIMEOUT: Duration = Duration(2_000);
pub(crate) const DEFAULT_RETRIES: u32 = 3;

fn one() -> u32 {
    1
}
fn tcp() -> String {
    "TCP".into()
}
fn readable() -> u32 {
    DEFAULT_MODE
}
fn replica() -> String {
    "replica".into()
}

impl Stored {
    /// The value, for the server's own eyes.
    pub fn value(&self) -> &str {
        match self {
            Self::Plain(value) | Self::Composed { value, .. } | Self::Hidden { secret: value, .. } => value,
        }
    }
}

impl Spec {
    /// Reads the specification of a kind, and says what is wrong with it.
    pub fn read(kind: &str, json: Value) -> Result<Self, String> {
        let spec = match kind {
            "service" => serde_json::from_value(json).map(|s| Self::Service(Box::new(s))),
            "config" => serde_json::from_value(json).map(Self::Config),
            "secret" => serde_json::from_value(json).map(Self::Secret),
            "volume" => serde_json::from_value(json).map(Self::Volume),
            other => return Err(format!("there is no kind {other:?}")),
        };
        spec.map_err(|error| format!("this is no {kind}: {error}"))
    }

    /// What somebody else might have made under a name.
    pub fn foreign(kind: &str) -> Option<Self> {
        let json = match kind {
            "service" => serde_json::json!({ "image": "elsewhere/thing:7", "env": [{ "name": "THEIRS", "value": "yes" }] }),
            "config" => serde_json::json!({ "data": "theirs" }),
            "secret" => serde_json::json!({ "content": "theirs" }),
            "volume" => serde_json::json!({ "size": "3Gi" }),
            _ => return None,
        };
        Self::read(kind, json).ok()
    }

    /// The server ids that it refers to.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        let service = match self {
            Self::Service(service) => Some(&**service),
            Self::Config(_) | Self::Secret(_) | Self::Volume(_) => None,
        };
        let files = service.into_iter().flat_map(|s| s.files.iter().map(|f| f.source.as_str()));
        files.chain(service.into_iter().flat_map(|s| s.mounts.iter().map(|m| m.source.as_str())))
    }

    /// Overwrites a secret value behind everybody's back. Its labels stay, as they would.
    pub fn edit_secret(&mut self, path: &Path) {
        let segments: Vec<&str> = path.segments().collect();
        let stored = match (self, segments.as_slice()) {
            (Self::Service(service), ["env", name]) => service.env.iter_mut().find(|v| v.name == *name).map(|v| &mut v.value),
            (Self::Service(service), ["command", index]) => {
                index.trim_matches(['[', ']']).parse::<usize>().ok().and_then(|i| service.args.get_mut(i))
            }
            (Self::Secret(file), _) => Some(&mut file.content),
            _ => None,
        };
        if let Some(Stored::Hidden { secret, .. }) = stored {
            *secret = "edited by hand".into();
        }
    }

    /// Fills in defaults, sorts lists its own way and rewrites quantities.
    fn admit(&mut self) {
        match self {
            Self::Service(service) => service.admit(),
            Self::Volume(volume) => {
                volume.size = Some(volume.size.as_deref().map_or_else(|| rewrite_bytes("1Gi"), rewrite_bytes));
            }
            Self::Config(_) | Self::Secret(_) => {}
        }
    }
}

impl Service {
    fn admit(&mut self) {
        if !self.image.contains('@') {
            let digest = blake3::hash(self.image.as_bytes());
            self.image = format!("{}@sha256:{}", self.image, digest.to_hex());
        }
        for port in &mut self.ports {
            port.protocol = port.protocol.to_uppercase();
        }
        self.ports.sort_by_key(|port| std::cmp::Reverse(port.target));
        self.env.sort_by(|a, b| b.name.cmp(&a.name));
        self.files.sort_by(|a, b| a.source.cmp(&b.source).then_with(|| b.path.cmp(&a.path)));
        self.mounts.sort_by(|a, b| b.target.cmp(&a.target));
        for probe in [&mut self.ready, &mut self.live].into_iter().flatten() {
            probe.admit();
        }
        for cpu in [&mut self.limits.cpu, &mut self.limits.cpu_limit].into_iter().flatten() {
            *cpu = cpu.parse::<Cpu>().map_or_else(|_| cpu.clone(), |cpu| cpu.to_string());
        }
        self.limits.memory = self.limits.memory.as_deref().map(rewrite_bytes);
        self.update.timeout = rewrite_duration(&self.update.timeout);
    }
}

impl Probe {
    fn admit(&mut self) {
        let Self { http: _, tcp: _, command: _, port: _, interval, timeout, retries, start_period } = self;
        let fill = |field: &mut Option<String>, default: Duration| {
            *field = Some(field.as_deref().map_or_else(|| default.to_string(), rewrite_duration));
        };
        fill(interval, DEFAULT_INTERVAL);
        fill(timeout, DEFAULT_PROBE_TIMEOUT);
        fill(start_period, Duration(0));
        retries.get_or_insert(DEFAULT_RETRIES);
    }
}

/// `1024Mi` is kept as `1Gi`.
fn rewrite_bytes(written: &str) -> String {
    let Ok(Bytes(bytes)) = written.parse::<Bytes>() else { return written.to_owned() };
    let units = [("Gi", 1u64 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    let unit = units.into_iter().find(|(_, factor)| bytes >= *factor && bytes % factor == 0);
    unit.map_or_else(|| bytes.to_string(), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// `60000ms` is kept as `1m`.
fn rewrite_duration(written: &str) -> String {
    written.parse::<Duration>().map_or_else(|_| written.to_owned(), |duration| duration.to_string())
}

impl Object {
    pub fn new(marks: Option<Marks>, spec: Spec) -> Self {
        Self { marks, spec, uid: String::new(), version: 0, attributes: BTreeMap::new(), needs: Vec::new(), progress: Progress::default() }
    }
}

impl State {
    /// Takes an object in: gives it an identity, an id, an address and ports, where it has none yet.
    pub fn insert(&mut self, place: &str, key: Key, mut object: Object) {
        if object.uid.is_empty() {
            object.uid = format!("uid-{:04}", self.number());
        }
        if !object.attributes.contains_key("id") {
            let number = self.number();
            object.attributes.insert("id".into(), format!("{}{number:04}", &key.kind[..1]));
            if key.kind == "service" {
                object.attributes.insert("address".into(), format!("10.0.{}.{}", number / 200, number % 200 + 1));
            }
        }
        self.settle(&mut object);
        object.version += 1;
        self.places.entry(place.to_owned()).or_default().insert(key, object);
    }

    /// Gives an object another specification; its identity stays.
    pub fn replace_spec(&mut self, place: &str, key: &Key, spec: Spec) {
        let Some(mut object) = self.places.get_mut(place).and_then(|objects| objects.remove(key)) else { return };
        object.spec = spec;
        self.insert(place, key.clone(), object);
    }

    fn settle(&mut self, object: &mut Object) {
        object.spec.admit();
        let Spec::Service(service) = &mut object.spec else { return };
        service.replicas = service.replicas.min(self.quirks.most_replicas.unwrap_or(u32::MAX));
        for port in &mut service.ports {
            let name = format!("ports.{}", port.name);
            let given = object.attributes.get(&name).and_then(|node| node.parse().ok());
            // A port keeps its number for as long as the object lives, also when it is taken away and comes back.
            port.node = given.unwrap_or_else(|| 30_000 + (self.number() % 30_000) as u16);
            object.attributes.insert(name, port.node.to_string());
        }
    }
}
