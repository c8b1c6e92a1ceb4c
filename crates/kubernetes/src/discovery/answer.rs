//! What a cluster answers when it is asked for its kinds: all in one document, or group by group.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::Listable;
use crate::kind::{GroupKind, Resource, split_api_version};

/// What a cluster serves, in the order of its preference.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    served: Vec<Served>,
    /// Groups of which something is not known.
    undiscovered: BTreeSet<String>,
}

#[derive(Debug)]
struct Served {
    resource: Resource,
    /// Whether it can be listed and deleted.
    listable: bool,
}

/// An answer of `/api` or `/apis`.
pub(super) enum Groups {
    /// With everything in it.
    Aggregated(Catalogue),
    /// The versions (`apps/v1`) that can be asked for, preferred ones first in each group.
    Listed(Vec<String>),
}

/// Either form; which, says `kind`.
#[derive(Deserialize)]
struct Root {
    kind: String,
    #[serde(default)]
    items: Option<Vec<Value>>,
    #[serde(default)]
    versions: Option<Vec<String>>,
    #[serde(default)]
    groups: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedGroup {
    versions: Option<Vec<ListedVersion>>,
    preferred_version: Option<ListedVersion>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct ListedVersion {
    group_version: String,
}

#[derive(Deserialize)]
struct Group {
    metadata: Option<Metadata>,
    versions: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    resources: Option<Vec<Value>>,
    freshness: Option<String>,
}

/// A kind in the document that has everything.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AggregatedKind {
    resource: String,
    response_kind: Option<ResponseKind>,
    scope: String,
    verbs: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

/// A kind in the document of a group's version.
#[derive(Deserialize)]
struct ListedKind {
    name: String,
    kind: String,
    namespaced: bool,
    verbs: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ListedKinds {
    resources: Option<Vec<Value>>,
}

/// Reads an answer of `/api` or `/apis`. What is not understood of a group makes that group unknown, and no other.
pub(super) fn read(body: &[u8]) -> Result<Groups, serde_json::Error> {
    let root: Root = serde_json::from_slice(body)?;
    if root.kind == "APIGroupDiscoveryList" {
        let mut catalogue = Catalogue::default();
        root.items.into_iter().flatten().for_each(|group| catalogue.aggregated(group));
        return Ok(Groups::Aggregated(catalogue));
    }
    let groups = root.groups.into_iter().flatten().filter_map(|group| serde_json::from_value::<ListedGroup>(group).ok());
    let of_groups = groups.flat_map(|group| {
        let preferred = group.preferred_version.filter(|version| !version.group_version.is_empty());
        let others: Vec<_> = group.versions.into_iter().flatten().filter(|version| preferred.as_ref() != Some(version)).collect();
        preferred.into_iter().chain(others)
    });
    let own = root.versions.into_iter().flatten();
    Ok(Groups::Listed(own.chain(of_groups.map(|version| version.group_version)).collect()))
}

impl Catalogue {
    /// Adds what another answer has.
    pub(super) fn extend(&mut self, other: Self) {
        self.served.extend(other.served);
        self.undiscovered.extend(other.undiscovered);
    }

    /// A group's version is there, and what it has is not known.
    pub(super) fn is_missing(&mut self, api_version: &str) {
        self.undiscovered.insert(split_api_version(api_version).0.to_owned());
    }

    /// Adds the answer of a group's version.
    pub(super) fn add(&mut self, api_version: &str, body: &[u8]) {
        let Ok(ListedKinds { resources }) = serde_json::from_slice(body) else { return self.is_missing(api_version) };
        for resource in resources.into_iter().flatten() {
            match serde_json::from_value::<ListedKind>(resource) {
                Ok(ListedKind { name, kind, namespaced, verbs }) => self.serve(api_version, kind, name, namespaced, verbs),
                Err(_) => self.is_missing(api_version),
            }
        }
    }

    fn aggregated(&mut self, group: Value) {
        let Ok(Group { metadata, versions }) = serde_json::from_value::<Group>(group) else { return };
        let group = metadata.map(|metadata| metadata.name).unwrap_or_default();
        for version in versions.into_iter().flatten() {
            let Ok(Version { version, resources, freshness }) = serde_json::from_value::<Version>(version) else {
                self.undiscovered.insert(group.clone());
                continue;
            };
            let api_version = if group.is_empty() { version } else { format!("{group}/{version}") };
            // What it knew before the server went away is still where it was; what is new is not known.
            if freshness.is_some_and(|freshness| freshness != "Current") {
                self.is_missing(&api_version);
            }
            for resource in resources.into_iter().flatten() {
                match serde_json::from_value::<AggregatedKind>(resource) {
                    Ok(AggregatedKind { resource, response_kind: Some(ResponseKind { kind }), scope, verbs }) => {
                        self.serve(&api_version, kind, resource, scope == "Namespaced", verbs);
                    }
                    // Only its subresources are served.
                    Ok(_) => {}
                    Err(_) => self.is_missing(&api_version),
                }
            }
        }
    }

    fn serve(&mut self, api_version: &str, kind: String, plural: String, namespaced: bool, verbs: Option<Vec<String>>) {
        // `deployments/scale` is a part of a kind.
        if kind.is_empty() || plural.contains('/') {
            return;
        }
        let can = |verb: &str| verbs.iter().flatten().any(|there| there == verb);
        let listable = namespaced && can("list") && can("delete");
        let resource = Resource { api_version: api_version.to_owned(), kind, plural, namespaced };
        self.served.push(Served { resource, listable });
    }

    /// Where a kind is.
    pub(super) fn find(&self, kind: &GroupKind, api_version: Option<&str>) -> Option<&Resource> {
        let is_it = |served: &&Served| {
            let Resource { api_version: there, kind: name, .. } = &served.resource;
            GroupKind::of(there, name) == *kind && api_version.is_none_or(|wanted| wanted == there)
        };
        self.served.iter().find(is_it).map(|served| &served.resource)
    }

    /// The versions of a kind.
    pub(super) fn versions(&self, kind: &GroupKind) -> impl Iterator<Item = &str> {
        let resources = self.served.iter().map(|served| &served.resource);
        resources.filter(|resource| GroupKind::of(&resource.api_version, &resource.kind) == *kind).map(|resource| &*resource.api_version)
    }

    /// Whether a kind of this group may be there although it was not found.
    pub(super) fn is_undiscovered(&self, group: &str) -> bool {
        self.undiscovered.contains(group)
    }

    /// All kinds that are in namespaces and can be listed and deleted, each once.
    pub(super) fn listable(&self) -> Listable {
        let mut resources: Vec<Resource> = Vec::new();
        let mut seen = BTreeSet::new();
        for Served { resource, .. } in self.served.iter().filter(|served| served.listable) {
            if seen.insert((split_api_version(&resource.api_version).0, resource.plural.as_str())) {
                resources.push(resource.clone());
            }
        }
        Listable { resources, undiscovered: self.undiscovered.iter().cloned().collect() }
    }
}
