//! The client of an endpoint.

use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::TokioExecutor;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use super::{Endpoint, ssh, tls};

/// A host that does not answer by then is not there.
pub(super) const CONNECT: Duration = Duration::from_secs(15);

/// Makes a client. Sends nothing yet.
pub(crate) fn client(endpoint: &Endpoint, timeout: Duration) -> Result<Docker, PlatformError> {
    let seconds = timeout.as_secs();
    let made = match endpoint {
        Endpoint::Unix(path) => Docker::connect_with_unix(&path.display().to_string(), seconds, API_DEFAULT_VERSION),
        Endpoint::Http(address) => Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION),
        // The client's own TLS needs all three files, trusts the system's authorities beside ours, and does not say that a key
        // cannot be read; its own ssh takes no port and accepts unknown hosts.
        Endpoint::Tls { address, certificates } => over(tls::connector(certificates)?, &format!("https://{address}"), seconds),
        Endpoint::Ssh(destination) => over(ssh::Connector::new(destination), "http://engine", seconds),
    };
    made.map_err(|error| {
        let attempted = format!("connecting to the Docker engine at {endpoint}");
        PlatformError::new(PlatformErrorKind::Unreachable, attempted, error.to_string())
            .with_hint("is the engine running, and may you use it? `url`, DOCKER_HOST or a context say where it is")
    })
}

fn over<C: Connect + Clone + Send + Sync + 'static>(connector: C, address: &str, seconds: u64) -> Result<Docker, Error> {
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let request = move |request: BollardRequest| {
        let client = client.clone();
        async move { client.request(request).await.map_err(Error::from) }
    };
    Docker::connect_with_custom_transport(request, Some(address), seconds, API_DEFAULT_VERSION)
}
