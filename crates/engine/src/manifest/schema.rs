//! The types of `stratos.toml`. Their doc comments are the descriptions in `schemas/manifest.json`.
//!
//! Anywhere inside an app a string may be a template (`"{{ vars.tag }}"`), also where a number or a boolean is asked for,
//! so apps are typed only after rendering. The other sections are read as they stand.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::desired::name::Name;
use crate::desired::quantity::{Bytes, Cpu, Duration};
use crate::desired::text::Text;
use crate::render::secret::SecretSource;

/// `stratos.toml`: environments and apps, described once.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ManifestFile {
    /// What this project is called, and what its live objects are marked with.
    pub project: Project,
    /// More files of this shape, or files that are one app each and are named after it: globs relative to this file.
    pub include: Vec<String>,
    /// Values for templates (`{{ vars.NAME }}`): a default, or a table with `type`, `default` and `description`.
    pub variables: IndexMap<String, Variable>,
    /// Where apps run.
    pub environments: IndexMap<Name, Environment>,
    /// Where secret values come from. They are used as `{{ secrets.NAME }}`.
    pub secrets: IndexMap<String, SecretSource>,
    /// What runs.
    pub apps: IndexMap<Name, App>,
    /// What was renamed, so that it is not deleted and made anew.
    pub moved: Vec<Moved>,
}

/// `[project]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The project's name: the first part of every live name.
    pub name: Name,
    /// Written by `stratos init`; tells two projects of the same name apart. The name is used where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9]{1,40}$"), extend("x-expected" = "1 to 40 lower-case letters and digits"))]
    pub id: Option<String>,
    /// The largest file that a native part may name (a manifest, a compose file), and the most that one may give as a template: `32MiB`
    /// where nothing is said. All files of an app together may have four times that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<Bytes>,
}

impl Default for Project {
    fn default() -> Self {
        Self { name: Name::new("project").expect("a constant, valid name"), id: None, max_file_size: None }
    }
}

/// A variable: a plain value, which is its default and its type; or a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Variable {
    /// `{ type = "integer", default = 3, description = "…" }`.
    Declared(VariableDeclaration),
    /// `tag = "1.4.2"`.
    Plain(Scalar),
}

/// A declared variable. Without a default it must be given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariableDeclaration {
    /// What its value is.
    pub r#type: ValueType,
    /// Its value unless another is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Scalar>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Text, a number or a boolean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    String(String),
}

/// The type of a variable or a cartridge's parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
}

/// The platforms that the manifest knows. Which of them this build can reach is for `connect` to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlatformKind {
    /// Processes on this machine.
    Local,
    /// A plain Docker engine.
    Docker,
    /// Docker in swarm mode.
    Swarm,
    /// Kubernetes.
    Kubernetes,
    /// AWS Elastic Container Service.
    AwsEcs,
    /// Mesos, through Marathon.
    Mesos,
    /// Cloud Foundry.
    Cloudfoundry,
}

impl PlatformKind {
    /// All of them, in the order of the documentation.
    pub const ALL: [PlatformKind; 7] =
        [Self::Local, Self::Docker, Self::Swarm, Self::Kubernetes, Self::AwsEcs, Self::Mesos, Self::Cloudfoundry];

    /// The word in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Docker => "docker",
            Self::Swarm => "swarm",
            Self::Kubernetes => "kubernetes",
            Self::AwsEcs => "aws-ecs",
            Self::Mesos => "mesos",
            Self::Cloudfoundry => "cloudfoundry",
        }
    }
}

impl std::fmt::Display for PlatformKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// `[environments.<name>]`: a place where apps run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// What kind of platform it is.
    pub platform: PlatformKind,
    /// Where the platform is. The default depends on the platform: the local engine, the current context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The platform's own division that everything goes into, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Environments that must be applied, and healthy, before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Name>,
    /// Apps come here only when they name it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opt_in: bool,
    /// Values of variables here.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub variables: IndexMap<String, Scalar>,
    /// Settings of the platform's connection, such as the name of a context.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub options: IndexMap<String, Scalar>,
}

impl Environment {
    /// An environment that says nothing but its platform.
    pub fn new(platform: PlatformKind) -> Self {
        let (variables, options) = (IndexMap::new(), IndexMap::new());
        Self { platform, url: None, namespace: None, after: Vec::new(), opt_in: false, variables, options }
    }

    /// The same, as if it said that fields are taken over from others. Kubernetes alone knows who has set a field.
    #[must_use]
    pub fn with_force_conflicts(mut self) -> Self {
        if self.platform == PlatformKind::Kubernetes {
            self.options.insert("force_conflicts".to_owned(), Scalar::Bool(true));
        }
        self
    }
}

/// `[apps.<name>]`: something that runs. After rendering: its override is merged and its templates are filled in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct App {
    /// The container image. The platform `local` runs `command` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A cartridge that this app starts from: a name from the catalogue, or a folder (`./cartridges/mine`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cartridge: Option<String>,
    /// Values for the cartridge's parameters.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub parameters: IndexMap<String, Value>,
    /// The program and its arguments. `$(NAME)` is replaced at start with an environment variable of the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<Text>>,
    /// Where it runs: by default in all environments but those with `opt_in = true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<Name>>,
    /// How many instances run (default 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10000))]
    pub replicas: Option<u32>,
    /// The ports that it listens on, by name. The app finds them in `PORT_<NAME>` and `PORT` (the first).
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub ports: IndexMap<Name, Port>,
    /// Environment variables.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, Text>,
    /// Files that the app finds at these absolute paths.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub files: IndexMap<String, File>,
    /// How to tell that it works: one probe (readiness and start-up), or `ready` and `live` apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// CPU and memory for each instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Storage, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub volumes: IndexMap<Name, Volume>,
    /// Apps whose address it is given (`CACHE_HOST`, `CACHE_PORT`) and which are healthy before it.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub bind: IndexMap<Name, Binding>,
    /// Apps that are healthy before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Name>,
    /// How a change is rolled out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Held against deletion and replacement, also when this entry has gone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
    /// Fields that a platform may ignore where it cannot honour them. Elsewhere that is an error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_degraded: Vec<String>,
    /// Other values for one environment: tables merge by key, arrays replace, `unset` removes.
    #[serde(rename = "override", skip_serializing_if = "IndexMap::is_empty")]
    pub overrides: IndexMap<Name, Override>,
    /// Host names and paths that lead to it.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub routes: IndexMap<Name, Route>,
    /// More processes of the same image.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub processes: IndexMap<Name, Value>,
    /// Containers beside each instance.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub sidecars: IndexMap<Name, Value>,
    /// What runs once, before a roll-out or on a schedule.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub jobs: IndexMap<Name, Job>,
    /// Instances by load; excludes `replicas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
    /// The environment whose images this one promotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_from: Option<Name>,
    /// Native parts, by platform: what the portable model does not say. `docker` and `swarm`: `compose` (a compose file, or
    /// several that are merged) and `service` (the one that other apps reach). `kubernetes`: `manifests` and `patches` (files or
    /// patterns), `helm` (a chart), `service`, and for the app's own pods `pod_security`, `run_as_user` and `run_as_group`.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub platform: IndexMap<PlatformKind, Value>,
}

/// A key that the manifest knows and this build does not have yet.
pub const NOT_BUILT_YET: [&str; 6] = ["routes", "processes", "sidecars", "jobs", "autoscale", "images_from"];

/// `[apps.<name>.override.<environment>]`: any key of an app but `override` and `environments`, and `unset`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Override {
    /// Dotted keys that are removed here, such as `env.LOG_LEVEL`.
    pub unset: Vec<String>,
    /// Keys of an app.
    #[serde(flatten)]
    pub app: IndexMap<String, Value>,
}

impl Override {
    /// The keys of an app that cannot differ by environment.
    pub const NOT_HERE: [&str; 2] = ["override", "environments"];
}

/// The properties of an app, so that a misspelt key in an override is found where it is written.
impl JsonSchema for Override {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Override".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = App::json_schema(generator);
        let description = "`[apps.<name>.override.<environment>]`: any key of an app but `override` and `environments`, and `unset`.";
        schema.insert("description".into(), description.into());
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.retain(|key, _| !Self::NOT_HERE.contains(&key.as_str()));
            let unset = serde_json::json!({
                "description": "Dotted keys that are removed here, such as `env.LOG_LEVEL`.",
                "type": "array",
                "items": { "type": "string" }
            });
            properties.insert("unset".into(), unset);
        }
        schema
    }
}

/// A port: `8080`, or `{ port = 8080, publish = 80 }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PortWritten")]
pub struct Port {
    /// The port that the app listens on. The platform `local` chooses one for each instance instead.
    pub port: u16,
    /// The port on the platform's edge (layer 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<u16>,
    /// TCP unless written otherwise.
    pub protocol: Protocol,
}

/// TCP or UDP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A port, as written.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum PortWritten {
    /// The port that the app listens on.
    Number(#[schemars(range(min = 1))] u16),
    /// The port, and where it is published.
    Full(PortTable),
}

/// A port, written as a table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PortTable {
    /// The port that the app listens on.
    #[schemars(range(min = 1))]
    port: u16,
    /// The port on the platform's edge (layer 4). Host names are `routes`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    publish: Option<u16>,
    /// TCP (the default) or UDP.
    #[serde(default)]
    protocol: Protocol,
}

impl From<PortWritten> for Port {
    fn from(written: PortWritten) -> Self {
        match written {
            PortWritten::Number(port) => Self { port, publish: None, protocol: Protocol::Tcp },
            PortWritten::Full(PortTable { port, publish, protocol }) => Self { port, publish, protocol },
        }
    }
}

impl JsonSchema for Port {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Port".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        PortWritten::json_schema(generator)
    }
}

/// A file's content: exactly one of `template`, `content` and `secret`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// A template to render, relative to the manifest's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The content itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Text>,
    /// The name of a secret whose value is the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Permissions in octal, such as "0444" (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^0?[0-7]{3}$"), extend("x-expected" = "permissions in octal, such as \"0444\""))]
    pub mode: Option<String>,
}

/// How to tell that an app works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HealthCheck {
    /// Readiness and liveness apart.
    Split(SplitHealthCheck),
    /// One probe for readiness and start-up.
    Ready(Probe),
}

impl HealthCheck {
    /// The probe for readiness and start-up.
    pub fn ready(&self) -> Option<&Probe> {
        match self {
            Self::Split(split) => split.ready.as_ref(),
            Self::Ready(probe) => Some(probe),
        }
    }

    /// The probe whose failure restarts an instance.
    pub fn live(&self) -> Option<&Probe> {
        match self {
            Self::Split(split) => split.live.as_ref(),
            Self::Ready(_) => None,
        }
    }
}

/// Readiness and liveness apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitHealthCheck {
    /// Gets traffic only while this passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Probe>,
    /// Restarted when this fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<Probe>,
}

/// A probe: exactly one of `http`, `tcp` and `command`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probe {
    /// A path that answers with a status from 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/"), extend("x-expected" = "a path that starts with '/'"))]
    pub http: Option<String>,
    /// The name of a port that accepts connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Name>,
    /// A command that exits with 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The name of the port for `http` (default: the first).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Name>,
    /// The time between two probes (default 10s).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// How long one probe may take (default 2s).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How many failures in a row count (default 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub retries: Option<u32>,
    /// How long failures do not count after a start (default 0s).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Duration>,
}

/// CPU and memory for each instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// CPU that is kept free for it: a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// CPU that it cannot exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<Cpu>,
    /// Memory: request and limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bytes>,
}

/// Storage that outlives an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Where the app finds it: an absolute path.
    #[schemars(regex(pattern = r"^/"), extend("x-expected" = "an absolute path"))]
    pub path: String,
    /// How large it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Bytes>,
    /// One for each instance (`replica`, the default), or one for all (`shared`).
    #[serde(default)]
    pub access: VolumeAccess,
}

/// Who shares a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VolumeAccess {
    /// One for each instance.
    #[default]
    Replica,
    /// One for all instances.
    Shared,
}

/// How an app is bound to another one. Without keys: its first port, under the other app's name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Binding {
    /// The other app's port (default: its first).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Name>,
    /// The prefix of the variables (default: the other app's name in capitals).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Z][A-Z0-9_]*$"), extend("x-expected" = "capitals, digits and '_', starting with a letter"))]
    pub prefix: Option<String>,
}

/// How a change is rolled out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rollout {
    /// New instances beside old ones (`rolling`, the default), or all old ones stop first (`recreate`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// How many instances may run beyond `replicas` (default 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<u32>,
    /// How many of `replicas` may be away (default 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<u32>,
    /// After this the roll-out counts as failed (default 5m).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// What happens then: back to what ran before (`rollback`, the default), or left as it is (`pause`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
}

/// How instances are exchanged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// New instances beside old ones.
    #[default]
    Rolling,
    /// All old instances stop first.
    Recreate,
}

/// What happens when a roll-out fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Back to what ran before.
    #[default]
    Rollback,
    /// Left as it is.
    Pause,
}

/// A host name and path that lead to an app. Known, not built yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    /// The host name.
    pub host: Option<String>,
    /// The path's beginning (default `/`).
    pub path: Option<String>,
    /// The name of the app's port.
    pub port: Option<Name>,
    /// Whether it is served with TLS, or how.
    pub tls: Option<Value>,
}

/// A job. Known, not built yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Job {
    /// The program and its arguments.
    pub command: Vec<Text>,
    /// `"before"` (each roll-out), or a schedule.
    pub run: Option<String>,
}

/// Instances by load. Known, not built yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Autoscale {
    /// The fewest instances.
    pub min: Option<u32>,
    /// The most instances.
    pub max: Option<u32>,
    /// What is measured.
    #[serde(flatten)]
    pub metrics: IndexMap<String, Value>,
}

/// `[[moved]]`: something that was renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// What it was called: `apps.frontend`, `apps.web.volumes.data`, `environments.staging`.
    pub from: String,
    /// What it is called now.
    pub to: String,
}
