//! What the environment itself needed goes when nothing of ours is left in it.

use std::time::Duration;

use bollard::errors::Error;
use stratos_engine::desired::owner::Owner;
use stratos_engine::platform::PlatformError;
use tokio::time::Instant;

use super::live::{self, Asked};
use super::{SwarmPlatform, names};
use crate::failure::failure;

/// Instances of services that were deleted hold the network until they have ended: 10 s where the app does not say more.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Removes the network, unless something of ours is there.
pub(crate) async fn retire(platform: &SwarmPlatform, owner: &Owner) -> Result<(), PlatformError> {
    let connection = &platform.connection;
    let asked = Asked::Of(owner.clone());
    let attempted = format!("removing the network of {}", platform.config.environment);
    let (services, configs, secrets) =
        futures::join!(live::services(connection, &asked), live::configs(connection, &asked), live::secrets(connection, &asked));
    let left = [services.map(|s| s.len()), configs.map(|c| c.len()), secrets.map(|s| s.len())];
    for count in left {
        if count.map_err(|error| failure(&attempted, &error))? > 0 {
            return Ok(());
        }
    }
    let name = names::network(&platform.config.prefix, &platform.config.environment);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match platform.networks.remove(connection, &name, owner).await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() < deadline && is_in_use(&error) => tokio::time::sleep(PAUSE).await,
            Err(error) => {
                let error = failure(&attempted, &error);
                return Err(error.with_hint(format!("`docker network rm {name}` removes it, once nothing is attached to it")));
            }
        }
    }
}

/// Whether something is still attached to a network.
pub(crate) fn is_in_use(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { message, .. } if message.contains("in use") || message.contains("active endpoints"))
}
