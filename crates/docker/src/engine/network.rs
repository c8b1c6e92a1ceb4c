//! The environment's own network: made by the first change that needs it, removed when nothing is left in it. And how any
//! network of ours is made and removed.

use std::collections::HashMap;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{Network, NetworkConnectRequest, NetworkCreateRequest};
use bollard::query_parameters::{ListNetworksOptions, StartContainerOptions};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use tokio::time::Instant;

use super::{DockerPlatform, translate};
use crate::failure::{failure, is_not_found};
use crate::labels;

/// The time that another process has to remove the second network of one name that it has made.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Makes the environment's network where it is missing.
///
/// Two that do so at once may make two of one name, which the engine then cannot tell apart: the older one stays.
pub(crate) async fn present(platform: &DockerPlatform) -> Result<(), PlatformError> {
    let request = NetworkCreateRequest {
        name: translate::network(&platform.config),
        driver: Some("bridge".to_owned()),
        attachable: Some(true),
        labels: Some(labels::of_owner(&platform.config.owner)),
        ..NetworkCreateRequest::default()
    };
    ensure(platform, request).await
}

/// The same with any network of ours.
pub(crate) async fn ensure(platform: &DockerPlatform, request: NetworkCreateRequest) -> Result<(), PlatformError> {
    let _alone = platform.network.lock().await;
    let name = request.name.clone();
    if let Some(network) = find(platform, &name).await?.first() {
        return ours(platform, &name, network);
    }
    let attempted = format!("creating the network {name}");
    let made = match platform.connection.docker.create_network(request).await {
        Ok(made) => made.id,
        Err(Error::DockerResponseServerError { status_code: 409, .. }) => String::new(),
        Err(error) => {
            let error = failure(attempted, &error);
            let full = error.why.contains("address pool");
            return Err(if full { error.with_hint("`docker network prune` removes networks that nobody uses") } else { error });
        }
    };
    let found = find(platform, &name).await?;
    let Some(kept) = found.first() else {
        return Err(PlatformError::new(PlatformErrorKind::Conflict, attempted, "it is gone again"));
    };
    ours(platform, &name, kept)?;
    if kept.id.as_deref() != Some(made.as_str()) && found.iter().any(|network| network.id.as_deref() == Some(made.as_str())) {
        remove_by(platform, &made, &name).await?;
    }
    Ok(())
}

/// Starts a container. Where the engine finds two networks of one name, this waits until one is left, and starts the container again.
pub(crate) async fn start(platform: &DockerPlatform, id: &str) -> Result<Result<(), Error>, PlatformError> {
    let start = || platform.connection.docker.start_container(id, None::<StartContainerOptions>);
    let started = start().await;
    if is_settled(platform, &started).await? { Ok(start().await) } else { Ok(started) }
}

/// Attaches a container to a network, in the same way.
pub(crate) async fn connect(
    platform: &DockerPlatform,
    name: &str,
    request: NetworkConnectRequest,
) -> Result<Result<(), Error>, PlatformError> {
    let connect = || platform.connection.docker.connect_network(name, request.clone());
    let connected = connect().await;
    if is_settled(platform, &connected).await? { Ok(connect().await) } else { Ok(connected) }
}

/// Whether the engine found two networks of one name, of which one is left now.
async fn is_settled(platform: &DockerPlatform, result: &Result<(), Error>) -> Result<bool, PlatformError> {
    let Err(Error::DockerResponseServerError { message, .. }) = result else { return Ok(false) };
    let Some(name) = ambiguous(message) else { return Ok(false) };
    settle(platform, name).await.map(|()| true)
}

/// The name of which there are two networks: "network shop-dev is ambiguous (2 matches found on name)".
fn ambiguous(message: &str) -> Option<&str> {
    let (before, _) = message.split_once(" is ambiguous")?;
    before.rsplit_once("network ").map(|(_, name)| name)
}

/// Waits until the process that made a second network of this name has removed it. After [`PATIENCE`] that process is gone, and the
/// younger networks are removed here.
async fn settle(platform: &DockerPlatform, name: &str) -> Result<(), PlatformError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = find(platform, name).await?;
        let younger = found.get(1..).unwrap_or_default();
        if younger.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            for network in younger {
                ours(platform, name, network)?;
                remove_by(platform, network.id.as_deref().unwrap_or_default(), name).await?;
            }
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Removes the environment's network, if it is ours.
pub(crate) async fn remove(platform: &DockerPlatform) -> Result<(), PlatformError> {
    let name = translate::network(&platform.config);
    for network in find(platform, &name).await? {
        if let (Ok(()), Some(id)) = (ours(platform, &name, &network), network.id) {
            remove_by(platform, &id, &name).await?;
        }
    }
    Ok(())
}

/// Removes a network. It may be gone already.
pub(crate) async fn remove_by(platform: &DockerPlatform, id: &str, name: &str) -> Result<(), PlatformError> {
    match platform.connection.docker.remove_network(id).await {
        Err(error) if !is_not_found(&error) => {
            let error = failure(format!("removing the network {name}"), &error);
            let used = error.why.contains("active endpoints");
            Err(if used { error.with_hint(format!("`docker network inspect {name}` shows who is on it")) } else { error })
        }
        _ => Ok(()),
    }
}

/// The networks of this name, the oldest first. The engine's filter takes parts of names.
async fn find(platform: &DockerPlatform, name: &str) -> Result<Vec<Network>, PlatformError> {
    let filters = HashMap::from([("name".to_owned(), vec![name.to_owned()])]);
    let options = ListNetworksOptions { filters: Some(filters) };
    let found = platform.connection.docker.list_networks(Some(options)).await;
    let mut found = found.map_err(|error| failure(format!("looking for the network {name}"), &error))?;
    found.retain(|network| network.name.as_deref() == Some(name));
    found.sort_by_key(|network| (network.created.as_ref().map(ToString::to_string), network.id.clone()));
    Ok(found)
}

fn ours(platform: &DockerPlatform, name: &str, network: &Network) -> Result<(), PlatformError> {
    let labels = network.labels.clone().unwrap_or_default();
    if labels::owner(&labels).as_ref() == Some(&platform.config.owner) {
        return Ok(());
    }
    let error = PlatformError::new(PlatformErrorKind::Rejected, format!("using the network {name}"), "it belongs to somebody else");
    Err(error.with_hint("give the environment a `namespace` of its own, or remove that network"))
}

#[cfg(test)]
mod tests {
    use super::ambiguous;

    #[test]
    fn the_name_of_two_networks() {
        let long = "cannot start: network shop-dev is ambiguous (2 matches found on name)";
        for (message, name) in [(long, Some("shop-dev")), ("network a is ambiguous", Some("a")), ("network a not found", None), ("", None)]
        {
            assert_eq!(ambiguous(message), name);
        }
    }
}
