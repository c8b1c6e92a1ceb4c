//! What runs in a container, in the vocabulary of compose files: the part that a service of a swarm and a container of a
//! plain engine share.
//!
//! [`app`] writes it from an app; [`Container`] stands between a document and the engine's own fields, which each platform
//! fills in and reads by itself. Values in it may be secret: it is never printed.

pub(crate) mod app;
mod expand;
pub(crate) mod leaves;
mod mount;
mod probe;
mod read;
pub(crate) mod resources;
pub(crate) mod secrets;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{HealthConfig, Mount};
use stratos_engine::desired::document::{Document, DocumentBuilder, Image, Leaf};
use stratos_engine::desired::quantity::Duration;
use stratos_engine::platform::ApplyContext;

/// A container, as documents describe it. Everything that is empty is left to the image and the engine.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Container {
    /// What is run.
    pub image: Option<Image>,
    /// Replaces the image's entry point.
    pub entrypoint: Vec<String>,
    /// The entry point's arguments: `Cmd` of a container, `Args` of a service.
    pub command: Vec<String>,
    /// Variables; None takes one of the image's away.
    pub environment: BTreeMap<String, Option<String>>,
    /// How to tell that it works.
    pub healthcheck: Option<HealthConfig>,
    /// Labels of the user's own.
    pub labels: BTreeMap<String, String>,
    /// Volumes, folders of the host, and memory.
    pub mounts: Vec<Mount>,
    /// The name that it has inside.
    pub hostname: Option<String>,
    /// Who runs it.
    pub user: Option<String>,
    /// Where it starts.
    pub working_dir: Option<String>,
    /// What ends it.
    pub stop_signal: Option<String>,
    /// How long it may take to end.
    pub stop_grace_period: Option<Duration>,
    /// Whether a small init process reaps what it leaves.
    pub init: Option<bool>,
    /// Whether its file system can be written.
    pub read_only: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input is open.
    pub stdin_open: bool,
    /// Capabilities beyond the usual ones.
    pub cap_add: BTreeSet<String>,
    /// Usual capabilities that it does without.
    pub cap_drop: BTreeSet<String>,
    /// More groups of its user.
    pub group_add: BTreeSet<String>,
    /// Lines for `/etc/hosts`: `name:address`.
    pub extra_hosts: BTreeSet<String>,
    /// Name servers, in order.
    pub dns: Vec<String>,
    /// Search domains, in order.
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    pub dns_opt: BTreeSet<String>,
    /// Kernel settings.
    pub sysctls: BTreeMap<String, String>,
    /// Limits by name: soft and hard.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// What takes its logs; the engine's own choice where it is None.
    pub log_driver: Option<String>,
    /// The log driver's options.
    pub log_options: BTreeMap<String, String>,
}

/// What a document says of a container, its files and networks included: none of it changes while the container runs.
pub(crate) const FIELDS: [&str; 28] = [
    "image",
    "entrypoint",
    "command",
    "environment",
    "healthcheck",
    "labels",
    "volumes",
    "files",
    "networks",
    "hostname",
    "user",
    "working_dir",
    "stop_signal",
    "stop_grace_period",
    "init",
    "read_only",
    "tty",
    "stdin_open",
    "cap_add",
    "cap_drop",
    "group_add",
    "extra_hosts",
    "dns",
    "dns_search",
    "dns_opt",
    "sysctls",
    "ulimits",
    "logging",
];

/// [`FIELDS`] and more, for a shape's `restarts`.
pub(crate) const fn fields_and<const MORE: usize, const ALL: usize>(more: [&'static str; MORE]) -> [&'static str; ALL] {
    assert!(ALL == FIELDS.len() + MORE);
    let mut all = [""; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < MORE { more[at] } else { FIELDS[at - MORE] };
        at += 1;
    }
    all
}

/// Makes the text of a leaf whole: plain text as it is; what holds a secret or an attribute with its value.
pub(crate) type Whole<'a> = dyn Fn(&Leaf) -> Result<String, String> + Send + Sync + 'a;

/// What a reference to a live volume is in a document.
pub(crate) type VolumeLeaf<'a> = dyn Fn(&str) -> Leaf + Send + Sync + 'a;

/// Fills in what `apply` may fill in.
pub(crate) fn whole<'a>(context: &'a ApplyContext<'a>) -> impl Fn(&Leaf) -> Result<String, String> + Send + Sync + 'a {
    |leaf| match (leaf, leaf.text()) {
        (Leaf::Text(text), _) => Ok(text.to_string()),
        (_, Some(text)) => context.resolve(text).map(|value| value.to_string()).map_err(|error| error.to_string()),
        (other, None) => Err(format!("{other} is no text")),
    }
}

impl Container {
    /// The container of a document. Leaves of other parts (`deploy`, `ports`, `files`, `networks`) are passed over.
    ///
    /// # Errors
    /// A sentence, where a leaf is not what its field takes, or a text cannot be made whole.
    pub(crate) fn read(document: &Document, whole: &Whole<'_>) -> Result<Self, String> {
        read::container(document, whole)
    }

    /// Writes its leaves. What is secret is written as it is: [`secrets::hide`] follows.
    pub(crate) fn write(&self, volume: &VolumeLeaf<'_>, out: &mut DocumentBuilder) {
        write::container(self, volume, out);
    }
}

/// A time as the engine counts it. Longer than 292 years is as long as that.
pub(crate) fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// A time of the engine's, in the unit of documents; None where it is no whole number of them.
pub(crate) fn whole_milliseconds(nanoseconds: i64) -> Option<Duration> {
    u64::try_from(nanoseconds).ok().filter(|nanoseconds| nanoseconds % 1_000_000 == 0).map(|nanoseconds| Duration(nanoseconds / 1_000_000))
}

/// The variables as the engine lists them: `NAME=value`, or `NAME` alone for one that is taken away.
pub(crate) fn environment_list(environment: &BTreeMap<String, Option<String>>) -> Vec<String> {
    let line = |(name, value): (&String, &Option<String>)| value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}"));
    environment.iter().map(line).collect()
}

/// The variables of an engine's list; the last of two with one name counts.
pub(crate) fn environment_table(list: &[String]) -> BTreeMap<String, Option<String>> {
    let entry = |line: &String| match line.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (line.clone(), None),
    };
    list.iter().map(entry).collect()
}

#[cfg(test)]
mod tests;
