//! Kinds of objects: how they stand in ids, and where the API has them.

use std::fmt;

use crate::query::segment;

/// A kind with its group, in the order and form that kubectl and ApplySets write it: `Deployment.apps`, `Service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupKind {
    /// `Deployment`.
    pub(crate) kind: String,
    /// `apps`; empty for the core group.
    pub(crate) group: String,
}

impl GroupKind {
    /// Reads the kind of an id.
    pub(crate) fn parse(text: &str) -> Self {
        let (kind, group) = text.split_once('.').unwrap_or((text, ""));
        Self { kind: kind.to_owned(), group: group.to_owned() }
    }

    /// The kind of an object that says `apiVersion: <group>/<version>` and `kind: <kind>`.
    pub(crate) fn of(api_version: &str, kind: &str) -> Self {
        let (group, _) = split_api_version(api_version);
        Self { kind: kind.to_owned(), group: group.to_owned() }
    }

    /// Controllers write these beside other objects, with their labels on them, and remove them themselves.
    pub(crate) fn follows_others(&self) -> bool {
        matches!(
            (self.kind.as_str(), self.group.as_str()),
            ("Endpoints" | "Event", "") | ("EndpointSlice", "discovery.k8s.io") | ("Event", "events.k8s.io")
        )
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, group } = self;
        if group.is_empty() { f.write_str(kind) } else { write!(f, "{kind}.{group}") }
    }
}

/// `apps/v1` is group `apps`, version `v1`; `v1` is the core group.
pub(crate) fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// Where the API has a kind, in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// `apps/v1`, `v1`.
    pub(crate) api_version: String,
    /// `Deployment`.
    pub(crate) kind: String,
    /// `deployments`.
    pub(crate) plural: String,
    /// Whether its objects are in namespaces.
    pub(crate) namespaced: bool,
}

impl Resource {
    /// The path of all objects of a namespace; of the whole cluster where there is none, or the kind has no namespaces.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        let Self { api_version, plural, namespaced, kind: _ } = self;
        let root = if api_version.contains('/') { "/apis" } else { "/api" };
        match namespace.filter(|_| *namespaced) {
            Some(namespace) => format!("{root}/{api_version}/namespaces/{}/{plural}", segment(namespace)),
            None => format!("{root}/{api_version}/{plural}"),
        }
    }

    /// The path of one object.
    pub(crate) fn object(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), segment(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_kubectl_writes_them() {
        for text in ["Deployment.apps", "Service", "Ingress.networking.k8s.io"] {
            assert_eq!(GroupKind::parse(text).to_string(), text);
        }
        assert_eq!(GroupKind::of("apps/v1", "Deployment").to_string(), "Deployment.apps");
        assert_eq!(GroupKind::of("v1", "Service").to_string(), "Service");
    }

    #[test]
    fn paths_are_those_of_the_api() {
        let of = |api_version: &str, plural: &str, namespaced| Resource {
            api_version: api_version.into(),
            kind: String::new(),
            plural: plural.into(),
            namespaced,
        };
        assert_eq!(of("apps/v1", "deployments", true).object(Some("shop"), "web"), "/apis/apps/v1/namespaces/shop/deployments/web");
        assert_eq!(of("v1", "services", true).collection(None), "/api/v1/services");
        assert_eq!(of("v1", "namespaces", false).object(Some("x"), "shop"), "/api/v1/namespaces/shop");
    }
}
