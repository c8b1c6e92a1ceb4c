//! One engine, connected: its client, and how many requests were sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use crate::endpoint::Endpoint;

/// A request that is not answered after this long has failed. Streams (logs, pulls) may go on: it is the time to the
/// first byte.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one engine. Cheap to clone.
#[derive(Clone)]
pub struct Connection {
    /// The client.
    pub docker: Docker,
    /// Where it leads, for messages.
    pub endpoint: Endpoint,
    requests: Arc<AtomicU64>,
}

impl Connection {
    /// Makes a client. Sends nothing yet.
    ///
    /// # Errors
    /// Where a socket, a certificate or a key is not there or is none.
    pub fn new(endpoint: Endpoint) -> Result<Self, PlatformError> {
        // Whoever was first in this process has installed the same provider.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let seconds = TIMEOUT.as_secs();
        let docker = match &endpoint {
            Endpoint::Unix(path) => Docker::connect_with_unix(&path.display().to_string(), seconds, API_DEFAULT_VERSION),
            Endpoint::Http(address) => Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION),
            Endpoint::Tls { address, ca, certificate, key } => {
                Docker::connect_with_ssl(address, key, certificate, ca, seconds, API_DEFAULT_VERSION)
            }
            Endpoint::Ssh(destination) => Docker::connect_with_ssh(&format!("ssh://{destination}"), seconds, API_DEFAULT_VERSION, None),
        };
        let attempted = format!("connecting to the Docker engine at {endpoint}");
        let docker = docker.map_err(|error| {
            PlatformError::new(PlatformErrorKind::Unreachable, attempted, error.to_string())
                .with_hint("is the engine running, and may you use it? `url`, DOCKER_HOST or a context say where it is")
        })?;
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        let docker = docker.with_request_modifier(move |request| {
            counter.fetch_add(1, Ordering::Relaxed);
            without_version(crate::raw::lead(request))
        });
        Ok(Self { docker, endpoint, requests })
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Takes `/v1.53` off the path: an engine then speaks the newest version that it knows, and no request is spent on finding
/// out which that is. Every engine since 1.0 (and Podman) answers such paths.
fn without_version(mut request: BollardRequest) -> BollardRequest {
    let path = request.uri().path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let version = format!("/v{API_DEFAULT_VERSION}");
    let Some(rest) = path.strip_prefix(&version) else { return request };
    let mut parts = request.uri().clone().into_parts();
    let Ok(rest) = rest.parse() else { return request };
    parts.path_and_query = Some(rest);
    if let Ok(uri) = TryFrom::try_from(parts) {
        *request.uri_mut() = uri;
    }
    request
}
