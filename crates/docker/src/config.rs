//! One environment on an engine or a swarm.

use std::sync::Arc;

use async_trait::async_trait;
pub use bollard::auth::DockerCredentials;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::platform::PlatformError;

use crate::endpoint::Endpoint;

/// What it takes to reach an environment, and how it is set up.
#[derive(Clone)]
pub struct EnvironmentConfig {
    /// The environment's name.
    pub environment: Name,
    /// What live objects are marked with.
    pub owner: Owner,
    /// The first part of live names: the environment's `namespace`, else the project's name. Two environments on one engine
    /// need two.
    pub prefix: Name,
    /// Where the engine is.
    pub endpoint: Endpoint,
    /// What registries want to see. None asks for images as nobody.
    pub credentials: Option<Arc<dyn ImageCredentials>>,
    /// How published ports and names work in a swarm.
    pub swarm: SwarmOptions,
    /// How published ports work on a plain engine.
    pub docker: DockerOptions,
}

/// Settings of a swarm's environment (`options` in the manifest).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SwarmOptions {
    /// `publish = "host"`: on the nodes that run an instance, instead of the routing mesh on all nodes.
    pub publish_on_host: bool,
    /// `endpoint_mode = "dnsrr"`: a service's name leads to its instances, instead of one virtual address.
    pub dns_round_robin: bool,
}

/// Settings of a plain engine's environment (`options` in the manifest).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerOptions {
    /// `proxy_image`: what the container runs that published ports lead to. None is this program's own image.
    pub proxy_image: Option<String>,
}

/// Credentials for pulling images: the Docker configuration's.
#[async_trait]
pub trait ImageCredentials: Send + Sync {
    /// Those for an image's registry; None where none are configured.
    async fn for_image(&self, reference: &str) -> Result<Option<DockerCredentials>, PlatformError>;
}
