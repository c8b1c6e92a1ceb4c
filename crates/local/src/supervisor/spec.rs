//! A workload's document, read back: what the supervisor runs.

use std::collections::BTreeMap;
use std::time::Duration;

use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;

use crate::protocol::Value;
use crate::translate::{PORT, defaults};

/// Everything that is needed to run a workload. It holds the values of secrets, so it has no `Debug` and is never written.
#[derive(Clone, Default)]
pub(crate) struct Spec {
    /// What instances are made of. Another one means other instances.
    pub template: Template,
    pub replicas: u32,
    /// The port on which a port is published, by its name.
    pub publish: BTreeMap<String, u16>,
    pub ready: Option<Probe>,
    pub live: Option<Probe>,
    pub rollout: Rollout,
    /// The live names of the volumes, by their names in the app.
    pub sources: BTreeMap<String, String>,
    /// What it has from other resources of its environment. Not in the document: looked up when a change is written.
    pub uses: Vec<Use>,
}

/// An attribute of another resource, and its value when it was used.
#[derive(Clone)]
pub(crate) struct Use {
    /// The leaf that it is in.
    pub path: Path,
    pub of: ResourceId,
    pub name: String,
    pub value: String,
}

/// What an instance is made of.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Template {
    pub command: Vec<Value>,
    pub env: BTreeMap<String, Value>,
    pub files: BTreeMap<String, File>,
    /// The declared port numbers, by name. They only tell one declaration from another: instances get their own.
    pub ports: BTreeMap<String, u16>,
    /// The one whose number is in `PORT`, too.
    pub first_port: Option<String>,
    pub mounts: BTreeMap<String, Mount>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub content: Value,
    pub mode: u32,
    pub secret: bool,
}

/// A volume as an app uses it. Its `uid` is not in the document: it is looked up when a change is written.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Mount {
    pub uid: String,
    pub path: String,
    pub shared: bool,
}

#[derive(Clone)]
pub(crate) struct Probe {
    pub action: Action,
    pub interval: Duration,
    pub timeout: Duration,
    pub retries: u32,
    pub start_period: Duration,
}

#[derive(Clone)]
pub(crate) enum Action {
    /// The path, and the name of the port.
    Http(String, String),
    /// The name of the port.
    Tcp(String),
    Command(Vec<String>),
}

#[derive(Clone)]
pub(crate) struct Rollout {
    pub recreate: bool,
    pub max_surge: u32,
    pub max_unavailable: u32,
    pub timeout: Duration,
    pub pause: bool,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            recreate: false,
            max_surge: defaults::MAX_SURGE,
            max_unavailable: defaults::MAX_UNAVAILABLE,
            timeout: defaults::ROLLOUT_TIMEOUT.to_std(),
            pause: false,
        }
    }
}

impl File {
    /// The permission bits on the disk: what holds a secret is for its owner alone.
    pub fn mode_on_disk(&self) -> u32 {
        if self.secret { self.mode & 0o700 } else { self.mode }
    }
}

/// Reads a document, with the values of its leaves that are not plain. What is not understood is an error: a document
/// of a newer program must not be run by halves.
pub(crate) fn decode(document: &Document, values: &BTreeMap<Path, Value>) -> Result<Spec, String> {
    let mut spec = Spec { replicas: defaults::REPLICAS, ..Spec::default() };
    let (mut ready, mut live) = (ProbeLeaves::default(), ProbeLeaves::default());
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        let read = Reader { path, leaf, values };
        match segments.as_slice() {
            ["command", _] => spec.template.command.push(read.value()?),
            ["replicas"] => spec.replicas = read.number()?,
            ["ports", name, "port"] => drop(spec.template.ports.insert((*name).into(), read.number()?)),
            ["ports", name, "variable"] if read.text()? == PORT => spec.template.first_port = Some((*name).into()),
            ["ports", name, "publish"] => drop(spec.publish.insert((*name).into(), read.number()?)),
            ["env", name] => drop(spec.template.env.insert((*name).into(), read.value()?)),
            ["files", name, "content"] => {
                let file = spec.template.files.entry((*name).into()).or_insert_with(new_file);
                file.content = read.value()?;
                file.secret = matches!(leaf, Leaf::Secret { .. });
            }
            ["files", name, "mode"] => {
                let mode = u32::from_str_radix(&read.text()?, 8).map_err(|e| read.refuse(&e.to_string()))?;
                spec.template.files.entry((*name).into()).or_insert_with(new_file).mode = mode;
            }
            ["volumes", name, "path"] => spec.template.mounts.entry((*name).into()).or_default().path = read.text()?,
            ["volumes", name, "access"] => spec.template.mounts.entry((*name).into()).or_default().shared = read.text()? == "shared",
            ["volumes", name, "source"] => drop(spec.sources.insert((*name).into(), read.text()?)),
            ["health", "ready", rest @ ..] => ready.read(rest, &read)?,
            ["health", "live", rest @ ..] => live.read(rest, &read)?,
            ["rollout", rest] => spec.rollout.read(rest, &read)?,
            _ => return Err(read.refuse("this build does not know it")),
        }
    }
    // By name, where the document says nothing: it does where the first one in the manifest is another.
    spec.template.first_port = spec.template.first_port.or_else(|| spec.template.ports.keys().next().cloned());
    if spec.template.command.is_empty() {
        return Err("it has no command".into());
    }
    spec.ready = ready.build("ready", &spec.template)?;
    spec.live = live.build("live", &spec.template)?;
    Ok(spec)
}

fn new_file() -> File {
    File { content: Value::default(), mode: defaults::FILE_MODE, secret: false }
}

impl Rollout {
    fn read(&mut self, field: &str, read: &Reader<'_>) -> Result<(), String> {
        match field {
            "strategy" => self.recreate = read.text()? == "recreate",
            "max_surge" => self.max_surge = read.number()?,
            "max_unavailable" => self.max_unavailable = read.number()?,
            "timeout" => self.timeout = read.duration()?,
            "on_failure" => self.pause = read.text()? == "pause",
            _ => return Err(read.refuse("this build does not know it")),
        }
        Ok(())
    }
}

#[derive(Default)]
struct ProbeLeaves {
    http: Option<String>,
    port: Option<String>,
    tcp: Option<String>,
    command: Vec<String>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    retries: Option<u32>,
    start_period: Option<Duration>,
}

impl ProbeLeaves {
    fn read(&mut self, rest: &[&str], read: &Reader<'_>) -> Result<(), String> {
        match rest {
            ["http"] => self.http = Some(read.text()?),
            ["port"] => self.port = Some(read.text()?),
            ["tcp"] => self.tcp = Some(read.text()?),
            ["command", _] => self.command.push(read.text()?),
            ["interval"] => self.interval = Some(read.duration()?),
            ["timeout"] => self.timeout = Some(read.duration()?),
            ["retries"] => self.retries = Some(read.number()?),
            ["start_period"] => self.start_period = Some(read.duration()?),
            _ => return Err(read.refuse("this build does not know it")),
        }
        Ok(())
    }

    fn build(self, which: &str, template: &Template) -> Result<Option<Probe>, String> {
        let known = |port: String| {
            let missing = || format!("health.{which} is about the port {port:?}, which the app does not have");
            if template.ports.contains_key(&port) { Ok(port) } else { Err(missing()) }
        };
        let action = match (self.http, self.tcp) {
            (Some(path), _) => {
                Action::Http(path, known(self.port.ok_or_else(|| format!("health.{which}.http needs a port, and the app has none"))?)?)
            }
            (None, Some(port)) => Action::Tcp(known(port)?),
            (None, None) if !self.command.is_empty() => Action::Command(self.command),
            (None, None) => return Ok(None),
        };
        Ok(Some(Probe {
            action,
            interval: self.interval.unwrap_or(defaults::INTERVAL.to_std()),
            timeout: self.timeout.unwrap_or(defaults::TIMEOUT.to_std()),
            retries: self.retries.unwrap_or(defaults::RETRIES),
            start_period: self.start_period.unwrap_or(defaults::START_PERIOD.to_std()),
        }))
    }
}

/// One leaf, read as what is expected there.
struct Reader<'a> {
    path: &'a Path,
    leaf: &'a Leaf,
    values: &'a BTreeMap<Path, Value>,
}

impl Reader<'_> {
    fn refuse(&self, why: &str) -> String {
        format!("{} cannot be used: {why}", self.path)
    }

    fn value(&self) -> Result<Value, String> {
        match self.leaf {
            Leaf::Text(text) => Ok(Value(text.to_string().into())),
            Leaf::Secret { .. } | Leaf::Ref(_) => self.values.get(self.path).cloned().ok_or_else(|| self.refuse("its value was not sent")),
            _ => Err(self.refuse("it is not text")),
        }
    }

    fn text(&self) -> Result<String, String> {
        match self.leaf {
            Leaf::Text(text) => Ok(text.to_string()),
            _ => Err(self.refuse("it is not plain text")),
        }
    }

    fn number<T: TryFrom<i64>>(&self) -> Result<T, String> {
        match self.leaf {
            Leaf::Integer(value) => T::try_from(*value).map_err(|_| self.refuse(&format!("{value} is out of range"))),
            _ => Err(self.refuse("it is not a number")),
        }
    }

    fn duration(&self) -> Result<Duration, String> {
        match self.leaf {
            Leaf::Duration(value) => Ok(value.to_std()),
            _ => Err(self.refuse("it is not a duration")),
        }
    }
}
