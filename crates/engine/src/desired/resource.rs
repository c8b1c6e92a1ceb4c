//! A resource that should exist, and what is known of its kind.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::document::Document;
use super::name::Name;
use super::owner::Marks;
use super::shared::shared;

/// Which resource: `environment/kind/[namespace/]name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// The environment that it lives in.
    pub environment: Name,
    /// The platform's kind of thing, such as `workload` or `Deployment`.
    pub kind: Arc<str>,
    /// The platform's own division of an environment, where it has one.
    pub namespace: Option<Arc<str>>,
    /// The live name.
    pub name: Arc<str>,
}

impl ResourceId {
    /// The id of a resource that no namespace divides.
    pub fn new(environment: &Name, kind: &str, name: &str) -> Self {
        Self { environment: environment.clone(), kind: shared(kind), namespace: None, name: shared(name) }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.environment, self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}
impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for ResourceId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || format!("{text:?} is not environment/kind/name");
        let parts: Vec<&str> = text.split('/').collect();
        let (environment, kind, namespace, name) = match parts.as_slice() {
            [environment, kind, name] => (environment, kind, None, name),
            [environment, kind, namespace, name] => (environment, kind, Some(shared(namespace)), name),
            _ => return Err(malformed()),
        };
        let environment = Name::new(environment).map_err(|e| e.to_string())?;
        Ok(Self { environment, kind: shared(kind), namespace, name: shared(name) })
    }
}
impl Serialize for ResourceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for ResourceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
impl JsonSchema for ResourceId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ResourceId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "description": "environment/kind/[namespace/]name", "type": "string" })
    }
}

/// A resource that should exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// Which one.
    pub id: ResourceId,
    /// Whose it is, and what else is written beside the document.
    pub marks: Marks,
    /// Its body, in the platform's normal form.
    pub document: Document,
    /// What must be there (and healthy, where it has health) before it: in this environment or in another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<ResourceId>,
    /// How long its roll-out may take before it counts as failed, in milliseconds. None where it has no health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout_timeout: Option<super::quantity::Duration>,
    /// The live name that it had before a `[[moved]]`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<Box<ResourceId>>,
    /// What is known of its kind. A saved plan does not need it: its choices are made.
    #[serde(skip, default = "Shape::unknown")]
    #[schemars(skip)]
    pub shape: &'static Shape,
}

/// What is known of a kind of resource: data, so that the comparison needs no platform.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    /// The kind, as in [`ResourceId::kind`].
    pub kind: &'static str,
    /// Patterns (see [`Path::matches`](super::path::Path::matches)) of fields that cannot be changed in place. The mark
    /// [`OWNER`](crate::plan::change::OWNER) counts as a field: a kind whose labels are fixed has a rule for it.
    pub replaces: &'static [(&'static str, Replacement)],
    /// Patterns of fields whose change restarts what runs.
    pub restarts: &'static [&'static str],
    /// Deleting it destroys data: prune and replace never do, only `--delete-data`.
    pub holds_data: bool,
    /// It has health that others can wait for.
    pub has_health: bool,
    /// The platform can rename it, with what is in it.
    pub renames: bool,
    /// All else of its environment is in it: it is written first.
    pub comes_first: bool,
    /// A write of what needs it fails before it is healthy: the definition of a kind. It is waited for also with `--no-wait`.
    pub precedes_writes: bool,
}

impl Shape {
    /// The shape of a kind of which nothing is known: changed in place, holds no data, has no health.
    pub const UNKNOWN: Shape = Shape {
        kind: "",
        replaces: &[],
        restarts: &[],
        holds_data: false,
        has_health: false,
        renames: false,
        comes_first: false,
        precedes_writes: false,
    };

    fn unknown() -> &'static Shape {
        &Self::UNKNOWN
    }
}

/// How a resource is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Replacement {
    /// Which comes first.
    pub order: ReplaceOrder,
    /// Whether nothing serves in between.
    pub downtime: bool,
    /// Whether what is stored in it is lost.
    pub loses_data: bool,
}

/// Which comes first in a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplaceOrder {
    /// The new one is made, and healthy, before the old one goes.
    CreateFirst,
    /// The old one goes first: both cannot exist at once.
    DeleteFirst,
}
