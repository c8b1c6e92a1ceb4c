//! Commands in running containers: those of a plain engine, and those tasks of a service that run on the node that we are
//! connected to. The engine's API has no way to the containers of another node.

use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::exec::{Exec, ExecEvent, ExecEvents, ExecInput, ExecRequest, TerminalSize};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::beside::beside;
use crate::connection::Connection;
use crate::engine::DockerPlatform;
use crate::failure::failure;
use crate::logs::{Instance, Of, node_names};
use crate::swarm::SwarmPlatform;

/// Output ends a moment before the engine knows the exit code.
const EXIT_CODE: Duration = Duration::from_secs(10);

#[async_trait]
impl Exec for DockerPlatform {
    async fn exec(&self, of: &ResourceId, request: ExecRequest) -> Result<ExecEvents, PlatformError> {
        exec(&self.connection, &Of::containers_of(self, of), request).await
    }
}

#[async_trait]
impl Exec for SwarmPlatform {
    async fn exec(&self, of: &ResourceId, request: ExecRequest) -> Result<ExecEvents, PlatformError> {
        exec(&self.connection, &Of::Service(of.name.to_string()), request).await
    }
}

/// Starts a command in an instance.
///
/// # Errors
/// Where there is no such instance, where it does not run, and where it runs on another node.
pub async fn exec(connection: &Connection, of: &Of, request: ExecRequest) -> Result<ExecEvents, PlatformError> {
    let instances = of.instances(connection).await?;
    let (instance, container) = choose(connection, &instances, request.instance.as_deref()).await?;
    start(connection, instance, container, request).await
}

/// The instance's name, and its container on the engine that we are connected to.
async fn choose(connection: &Connection, instances: &[Instance], wanted: Option<&str>) -> Result<(String, String), PlatformError> {
    let refused = |why: String| PlatformError::new(PlatformErrorKind::Rejected, "finding an instance to run a command in", why);
    let names = |found: &[(&str, String, Option<String>)]| found.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
    let newest = |instance: &Instance| instance.parts.iter().rev().find(|part| part.runs).cloned();
    let running = instances.iter().filter_map(|instance| newest(instance).map(|part| (instance.name.as_str(), part.container, part.node)));
    let running: Vec<(&str, String, Option<String>)> = running.collect();
    let candidates: Vec<_> = running.iter().filter(|(name, ..)| wanted.is_none_or(|wanted| wanted == *name)).cloned().collect();
    let Some((first, _, node)) = candidates.first() else {
        let why = match wanted {
            Some(wanted) if instances.iter().any(|instance| instance.name == wanted) => format!("{wanted} does not run"),
            Some(wanted) => format!("there is no instance {wanted:?}"),
            None => "none of its instances runs".to_owned(),
        };
        let hint = match running.as_slice() {
            [] => "`stratos status` shows why".to_owned(),
            there => format!("there runs: {}", names(there)),
        };
        return Err(refused(why).with_hint(hint));
    };
    // A container of a plain engine is on no node.
    let here = if node.is_some() { connection.info().await?.swarm.and_then(|swarm| swarm.node_id) } else { None };
    let is_here = |node: &Option<String>| node.is_none() || *node == here;
    if let Some((name, container, _)) = candidates.iter().find(|(_, _, node)| is_here(node)) {
        return Ok(((*name).to_owned(), container.clone()));
    }
    let nodes = node_names(connection).await.unwrap_or_default();
    let named = |id: &Option<String>| id.as_ref().map(|id| nodes.get(id).unwrap_or(id).clone()).unwrap_or_default();
    let place = named(node);
    let why =
        format!("{first} runs on the node {place}, and a command can be run only on the node that we are connected to ({})", named(&here));
    let elsewhere: Vec<_> = running.iter().filter(|(_, _, node)| is_here(node)).cloned().collect();
    let hint = match elsewhere.as_slice() {
        [] => format!("connect to {place}: `docker -H ssh://{place} exec …`, or an environment whose `url` leads there"),
        there => format!("take one that runs here (`--instance`): {}; or connect to {place}", names(there)),
    };
    Err(refused(why).with_hint(hint))
}

async fn start(connection: &Connection, instance: String, container: String, request: ExecRequest) -> Result<ExecEvents, PlatformError> {
    let ExecRequest { command, instance: _, terminal, input } = request;
    let attempted = format!("running {} in {instance}", command.first().map_or("nothing", String::as_str));
    let docker = connection.docker.clone();
    let options = CreateExecOptions {
        attach_stdin: Some(input.is_some()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(terminal.is_some()),
        cmd: Some(command),
        ..CreateExecOptions::default()
    };
    let id = docker.create_exec(&container, options).await.map_err(|error| failure(attempted.as_str(), &error))?.id;
    let options = StartExecOptions { detach: false, tty: terminal.is_some(), output_capacity: None };
    let started = docker.start_exec(&id, Some(options)).await.map_err(|error| failure(attempted.as_str(), &error))?;
    let StartExecResults::Attached { output, input: stdin } = started else {
        return Err(PlatformError::new(PlatformErrorKind::Internal, attempted, "the engine started it without its output"));
    };
    if let Some(size) = terminal {
        resize(&docker, &id, size).await;
    }
    let input = feed(docker.clone(), id.clone(), stdin, input.unwrap_or_else(|| stream::empty().boxed()));
    let failing = attempted.clone();
    let output = output.map(move |frame| match frame {
        Ok(LogOutput::StdErr { message }) => Ok(ExecEvent::Error(message.to_vec())),
        Ok(frame) => Ok(ExecEvent::Output(frame.into_bytes().to_vec())),
        Err(error) => Err(failure(failing.as_str(), &error)),
    });
    let end = async move { exit_code(&docker, &id, attempted).await.map(|code| ExecEvent::Ended { code }) };
    let begin = stream::iter([Ok(ExecEvent::Started { instance })]);
    Ok(begin.chain(beside(output.boxed(), input)).chain(stream::once(end)).boxed())
}

/// Sends what the command reads, and the sizes of its terminal; then closes its input. Whether it still reads is told by its
/// end, not by an error here.
async fn feed(docker: Docker, id: String, mut stdin: std::pin::Pin<Box<dyn AsyncWrite + Send>>, mut input: BoxStream<'static, ExecInput>) {
    while let Some(next) = input.next().await {
        match next {
            ExecInput::Resize(size) => resize(&docker, &id, size).await,
            ExecInput::Bytes(bytes) => {
                let sent = stdin.write_all(&bytes).await;
                if sent.is_err() || stdin.flush().await.is_err() {
                    return;
                }
            }
        }
    }
    let _ = stdin.shutdown().await;
}

/// A terminal of the wrong size is no reason to end a command.
async fn resize(docker: &Docker, id: &str, size: TerminalSize) {
    let size = ResizeExecOptions { height: size.rows, width: size.columns };
    if let Err(error) = docker.resize_exec(id, size).await {
        tracing::debug!(%error, "resizing the terminal of a command");
    }
}

async fn exit_code(docker: &Docker, id: &str, attempted: String) -> Result<i64, PlatformError> {
    let deadline = tokio::time::Instant::now() + EXIT_CODE;
    loop {
        let seen = docker.inspect_exec(id).await.map_err(|error| failure(attempted.as_str(), &error))?;
        match seen.exit_code {
            Some(code) if seen.running != Some(true) => return Ok(code),
            _ if tokio::time::Instant::now() >= deadline => {
                return Err(PlatformError::new(
                    PlatformErrorKind::Internal,
                    attempted,
                    "its output ended, and the engine does not tell its exit code",
                ));
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
