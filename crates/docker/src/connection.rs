//! One engine, connected: its client, and how many requests were sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::models::SystemInfo;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use stratos_engine::platform::PlatformError;

use crate::endpoint::{self, Endpoint};
use crate::failure::failure;

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
        let docker = endpoint::client(&endpoint, TIMEOUT)?;
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        let docker = docker.with_request_modifier(move |request| {
            counter.fetch_add(1, Ordering::Relaxed);
            without_version(crate::raw::lead(request))
        });
        Ok(Self { docker, endpoint, requests })
    }

    /// What the engine says about itself.
    ///
    /// # Errors
    /// Where it is not reached, or does not let us in.
    pub async fn info(&self) -> Result<SystemInfo, PlatformError> {
        let asked = self.docker.info().await;
        asked.map_err(|error| failure(format!("asking the Docker engine at {}", self.endpoint), &error))
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
