//! While a container starts, its health check is run more often than the engine does.
//!
//! The engine runs it for the first time when the check's interval is over (an engine of version 25 has `start_interval` for
//! that, for those who set it): a roll-out would wait as long for each instance, ready or not. So whoever waits for one that
//! has just started runs the very same check in it. That it has passed counts for us as it does for the engine. That it has not
//! means nothing: how often it may fail is the engine's to count.

use std::time::Duration;

use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerInspectResponse, HealthConfig};
use futures::StreamExt as _;

use super::DockerPlatform;
use super::state::{Check, State};

/// What the engine gives a check that has no time of its own.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a container is. Where its health check has yet to pass, it is run.
pub(crate) async fn judge(platform: &DockerPlatform, inspected: &ContainerInspectResponse) -> State {
    if platform.watch.is_open(inspected)
        && let Some((command, timeout)) = command(inspected)
    {
        let id = inspected.id.as_deref().unwrap_or_default();
        let check = match tokio::time::timeout(timeout, run(platform, id, command)).await {
            Ok(Ok(0)) => Check::Passed,
            Ok(Ok(_)) => Check::Open,
            // It has ended meanwhile, or the engine does not let us: then the engine's own checks are what there is.
            Ok(Err(error)) => {
                tracing::debug!(%error, container = id, "running its health check");
                Check::Open
            }
            Err(_) => Check::Hangs,
        };
        platform.watch.checked(inspected, check);
    }
    platform.watch.judge(inspected)
}

/// The command of its health check as the engine runs it, and the time that it has.
fn command(inspected: &ContainerInspectResponse) -> Option<(Vec<String>, Duration)> {
    let config = inspected.config.as_ref()?;
    let HealthConfig { test, timeout, .. } = config.healthcheck.as_ref()?;
    let (kind, words) = test.as_ref()?.split_first()?;
    let command = match kind.as_str() {
        "CMD" => words.to_vec(),
        "CMD-SHELL" => {
            let shell = config.shell.clone().filter(|shell| !shell.is_empty());
            let mut command = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            command.extend_from_slice(words);
            command
        }
        _ => return None,
    };
    let timeout = timeout.and_then(|nanoseconds| u64::try_from(nanoseconds).ok()).filter(|nanoseconds| *nanoseconds > 0);
    (!command.is_empty()).then(|| (command, timeout.map_or(TIMEOUT, Duration::from_nanos)))
}

/// Runs a command in a container to its end; its exit code, or -1 where the engine does not tell it.
async fn run(platform: &DockerPlatform, id: &str, command: Vec<String>) -> Result<i64, Error> {
    let docker = &platform.connection.docker;
    let options =
        CreateExecOptions { cmd: Some(command), attach_stdout: Some(true), attach_stderr: Some(true), ..CreateExecOptions::default() };
    let exec = docker.create_exec(id, options).await?.id;
    if let StartExecResults::Attached { mut output, input: _ } = docker.start_exec(&exec, None::<StartExecOptions>).await? {
        // Its end is the end of its output.
        while let Some(chunk) = output.next().await {
            chunk?;
        }
    }
    Ok(docker.inspect_exec(&exec).await?.exit_code.unwrap_or(-1))
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerConfig;

    use super::*;

    fn checked_by(test: &[&str], shell: Option<&[&str]>, timeout: Option<i64>) -> ContainerInspectResponse {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let healthcheck = HealthConfig { test: Some(words(test)), timeout, ..HealthConfig::default() };
        let config = ContainerConfig { healthcheck: Some(healthcheck), shell: shell.map(words), ..ContainerConfig::default() };
        ContainerInspectResponse { config: Some(config), ..ContainerInspectResponse::default() }
    }

    #[test]
    fn what_is_run_is_what_the_engine_runs() {
        for none in [&[][..], &["NONE"], &["CMD"]] {
            assert_eq!(command(&checked_by(none, None, None)), None, "{none:?}");
        }
        let told = |inspected| command(&inspected).map(|(command, timeout)| (command.join(" "), timeout));
        assert_eq!(told(checked_by(&["CMD", "wget", "-q"], None, Some(0))), Some(("wget -q".into(), TIMEOUT)));
        let two_seconds = Some(2_000_000_000);
        assert_eq!(told(checked_by(&["CMD-SHELL", "a | b"], None, two_seconds)), Some(("/bin/sh -c a | b".into(), Duration::from_secs(2))));
        assert_eq!(told(checked_by(&["CMD-SHELL", "a"], Some(&["/bin/bash", "-ec"]), None)), Some(("/bin/bash -ec a".into(), TIMEOUT)));
    }
}
