//! One environment in a cluster.

use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::resource::ResourceId;

/// What it takes to reach an environment, and how it is set up.
#[derive(Clone)]
pub struct EnvironmentConfig {
    /// The environment's name.
    pub environment: Name,
    /// What live objects are marked with.
    pub owner: Owner,
    /// The namespace that everything goes into which names no other one.
    pub namespace: String,
    /// Whether the namespace is made when it is missing (`create_namespace`, true unless written otherwise).
    pub create_namespace: bool,
    /// Take fields over from other managers that have set them to other values (`force_conflicts`, false unless written otherwise).
    pub force_conflicts: bool,
    /// For so many seconds a new instance without a readiness check is watched before it counts: one that ends right after its
    /// start would count otherwise. An app's `rollout.timeout` may make it shorter.
    pub watch: u64,
}

impl EnvironmentConfig {
    /// Whether an object is the environment's own namespace.
    pub(crate) fn is_own_namespace(&self, id: &ResourceId) -> bool {
        &*id.kind == "Namespace" && *id.name == *self.namespace
    }
}

/// How long a new instance is watched where nothing else is said, in seconds.
pub const WATCH: u64 = 5;
