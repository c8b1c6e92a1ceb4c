//! Single steps on containers, each of which may have happened already.

use bollard::errors::Error;
use bollard::query_parameters::{LogsOptions, RemoveContainerOptions, RenameContainerOptions, StopContainerOptions};
use futures::StreamExt;
use stratos_engine::platform::PlatformError;

use super::{DockerPlatform, network};
use crate::failure::{failure, is_not_found};

/// Requests for the end of one container: each waits as long as a request may, and a container may take longer.
const STOPS: u32 = 60;

/// So many lines of a container that does not work are told.
const LINES: &str = "8";

/// Ends what runs in it, and waits for that: first by its signal, after its time by force.
pub(crate) async fn stop(platform: &DockerPlatform, id: &str, name: &str) -> Result<(), PlatformError> {
    let mut left = STOPS;
    loop {
        left -= 1;
        match platform.connection.docker.stop_container(id, None::<StopContainerOptions>).await {
            Ok(()) => return Ok(()),
            Err(error) if is_not_found(&error) => return Ok(()),
            Err(Error::RequestTimeoutError) if left > 0 => {}
            Err(error) => return Err(failure(format!("stopping the container {name}"), &error)),
        }
    }
}

/// Starts what was stopped, or goes on with what was paused.
pub(crate) async fn start(platform: &DockerPlatform, id: &str, name: &str) -> Result<(), PlatformError> {
    let paused = |error: &Error| matches!(error, Error::DockerResponseServerError { message, .. } if message.contains("paused"));
    let result = match network::start(platform, id).await? {
        Err(error) if paused(&error) => platform.connection.docker.unpause_container(id).await,
        other => other,
    };
    result.map_err(|error| failure(format!("starting the container {name}"), &error))
}

/// Takes a container away, running or not, with the volumes that have no name.
pub(crate) async fn remove(platform: &DockerPlatform, id: &str, name: &str) -> Result<(), PlatformError> {
    let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
    match platform.connection.docker.remove_container(id, Some(options)).await {
        Err(error) if is_not_found(&error) => Ok(()),
        // Somebody else is at it, and will come to the same end.
        Err(Error::DockerResponseServerError { status_code: 409, message }) if message.contains("already in progress") => Ok(()),
        Err(error) => Err(failure(format!("removing the container {name}"), &error)),
        Ok(()) => Ok(()),
    }
}

/// Gives a container another name.
///
/// One that waits to be started again after a crash counts as running and has no network any more: an engine of version 20
/// cannot rename it ("sandbox … not found"). It is stopped for that, and started again, which is what it waited for.
pub(crate) async fn rename(platform: &DockerPlatform, id: &str, from: &str, to: &str) -> Result<(), PlatformError> {
    let docker = &platform.connection.docker;
    let failed = |error: Error| failure(format!("renaming the container {from} to {to}"), &error);
    let rename = || docker.rename_container(id, RenameContainerOptions { name: to.to_owned() });
    match rename().await {
        Err(Error::DockerResponseServerError { message, .. }) if message.contains("sandbox") && message.contains("not found") => {}
        renamed => return renamed.map_err(failed),
    }
    let at_once = StopContainerOptions { t: Some(0), ..StopContainerOptions::default() };
    docker.stop_container(id, Some(at_once)).await.map_err(failed)?;
    rename().await.map_err(failed)?;
    network::start(platform, id).await?.map_err(failed)
}

/// The last lines that it wrote. Where they cannot be had, there are none: they only explain.
pub(crate) async fn last_lines(platform: &DockerPlatform, id: &str) -> Vec<String> {
    let options = LogsOptions { stdout: true, stderr: true, tail: LINES.to_owned(), ..LogsOptions::default() };
    let mut stream = platform.connection.docker.logs(id, Some(options));
    let mut text = Vec::new();
    while let Some(Ok(chunk)) = stream.next().await {
        text.extend_from_slice(&chunk.into_bytes());
    }
    String::from_utf8_lossy(&text).lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}
