//! What an app's containers are to become, and how they get there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::owner::Marks;
use stratos_engine::desired::path::Path;

use super::rollout::Rules;
use super::{body, ports, translate};

/// What a change leads to.
pub(crate) struct Goal {
    /// The name of the resource.
    pub live: String,
    /// What new containers are marked with.
    pub marks: Marks,
    /// How many there are, and how they are exchanged.
    pub rules: Rules,
    /// What a failed roll-out leaves stays as it is.
    pub pause: bool,
    /// How long it may take.
    pub timeout: Duration,
    /// Whether it waits until everything is ready. Where nothing was there before, whoever asked for it does.
    pub waits: bool,
    /// The published ports, and the ports of the instances that they lead to.
    pub ports: BTreeMap<u16, u16>,
    /// The addresses of the machine that some of these have, instead of all.
    pub addresses: BTreeMap<u16, String>,
    /// The networks that the instances are on.
    pub networks: BTreeSet<String>,
}

impl Goal {
    /// The goal that a document says.
    pub fn new(live: &str, marks: &Marks, document: &Document, timeout: Duration) -> Self {
        let ports = ports::published(document);
        Self {
            live: live.to_owned(),
            marks: marks.clone(),
            rules: rules(document),
            pause: word(document, "failure_action").as_deref() == Some("pause"),
            timeout,
            waits: true,
            addresses: ports.iter().filter_map(|(port, (_, address))| Some((*port, address.clone()?))).collect(),
            ports: ports.into_iter().map(|(port, (target, _))| (port, target)).collect(),
            networks: body::networks(document).into_keys().collect(),
        }
    }

    /// The network on which the proxy reaches the instances: the environment's own where they are on it, else their first.
    pub fn network_of_proxy<'a>(&'a self, own: &'a str) -> Option<&'a str> {
        if self.networks.contains(own) { Some(own) } else { self.networks.first().map(String::as_str) }
    }
}

/// The part of a document that is said of each container alone: how many there are and what is published are not.
pub(crate) fn of_one(document: &Document) -> Document {
    let of_all = |path: &Path| {
        let patterns = ["deploy.replicas", "deploy.stopped", "deploy.unfinished", "ports.*.published", "ports.*.address"];
        patterns.iter().any(|pattern| path.matches(pattern))
    };
    document.leaves().iter().filter(|(path, _)| !of_all(path)).cloned().collect()
}

fn rules(document: &Document) -> Rules {
    let replicas = number(document, &["deploy", "replicas"]).unwrap_or(1);
    // None at a time is all at a time.
    let parallelism = number(document, &["deploy", "update", "parallelism"]).map(|number| if number == 0 { replicas } else { number });
    // The words of compose files: `stop-first` takes so many away, `start-first` adds so many.
    let (surge, away) = match word(document, "order").as_deref() {
        Some("stop-first") => (0, parallelism.unwrap_or(1)),
        _ => (parallelism.unwrap_or(translate::MAX_SURGE), 0),
    };
    Rules {
        replicas,
        max_surge: number(document, &["deploy", "update", "max_surge"]).unwrap_or(surge),
        max_unavailable: number(document, &["deploy", "update", "max_unavailable"]).unwrap_or(away),
        recreate: word(document, "strategy").as_deref() == Some("recreate"),
        exclusive: body::has_own_volume(document) || ports::binds(document),
    }
}

fn number(document: &Document, path: &[&str]) -> Option<u32> {
    match document.get(&Path::new(path.iter().copied())) {
        Some(Leaf::Integer(number)) => u32::try_from(*number).ok(),
        _ => None,
    }
}

fn word(document: &Document, name: &str) -> Option<String> {
    match document.get(&Path::new(["deploy", "update", name])) {
        Some(Leaf::Text(word)) => Some(word.to_string()),
        _ => None,
    }
}
