//! A job on a plain engine: a container.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, ContainerState, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use stratos_engine::desired::name::Name;
use stratos_engine::platform::jobs::{JobEnd, JobEvent, JobEvents, JobRequest};
use stratos_engine::platform::{ApplyContext, PlatformError, PlatformErrorKind};
use tokio::time::Instant;

use super::record::Record;
use super::work::Work;
use super::{LOOK, Lines, events, tell_lines, time_left};
use crate::connection::Connection;
use crate::container::environment_list;
use crate::engine::archive::{Archive, ROOT};
use crate::engine::{DockerPlatform, image, network, translate};
use crate::failure::{failure, is_not_found};
use crate::logs::{self, Of};

/// How long a program may take to end when its time is over.
const GRACE: i32 = 10;

/// Starts a job, or finds it as it is.
///
/// # Errors
/// Where it could not be started, and where something else has its name.
pub(super) async fn run(platform: &DockerPlatform, job: &JobRequest<'_>, context: &ApplyContext<'_>) -> Result<JobEvents, PlatformError> {
    let work = Work::of(&platform.config, job, context)?;
    let connection = &platform.connection;
    let there = inspect(connection, &work.record).await?;
    let found = there.is_some();
    if !there.is_some_and(|there| has_begun(&there)) {
        if !found {
            create(platform, &work).await?;
        }
        // Whoever died between making it and starting it left it without some of its files.
        upload(connection, &work).await?;
        let started = connection.docker.start_container(&work.record.name, None::<StartContainerOptions>).await;
        started.map_err(|error| failure(format!("starting the job {}", work.record.name), &error))?;
    }
    let (connection, record, timeout) = (connection.clone(), work.record, work.timeout);
    Ok(events(move |teller| async move {
        teller.tell(JobEvent::Started { instance: record.name.clone(), found }).await;
        let lines = |follow| -> Lines { logs::of_part(&connection, Of::Containers(HashMap::new()), &record.name, &record.name, follow) };
        tell_lines(&teller, lines(true), ended(&connection, &record, timeout), || lines(false)).await
    }))
}

/// Removes a job; one that runs is killed.
///
/// # Errors
/// Where it could not be removed, and where something else has its name.
pub(super) async fn remove(platform: &DockerPlatform, app: &Name, key: &str) -> Result<(), PlatformError> {
    let (record, connection) = (Record::of(&platform.config, app, key), &platform.connection);
    let Some(there) = inspect(connection, &record).await? else { return Ok(()) };
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match connection.docker.remove_container(there.id.as_deref().unwrap_or(&record.name), Some(options)).await {
        Err(error) if !is_not_found(&error) => Err(failure(format!("removing the job {}", record.name), &error)),
        _ => Ok(()),
    }
}

/// The job's container; None where there is none.
async fn inspect(connection: &Connection, record: &Record) -> Result<Option<ContainerInspectResponse>, PlatformError> {
    match connection.docker.inspect_container(&record.name, None::<InspectContainerOptions>).await {
        Ok(there) => {
            record.check(there.config.as_ref().and_then(|config| config.labels.as_ref()), "container")?;
            Ok(Some(there))
        }
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(failure(format!("looking for the job {}", record.name), &error)),
    }
}

fn has_begun(there: &ContainerInspectResponse) -> bool {
    // The engine's zero time stands for never.
    there.state.as_ref().and_then(|state| state.started_at.as_deref()).is_some_and(|time| !time.starts_with("0001-"))
}

async fn create(platform: &DockerPlatform, work: &Work) -> Result<(), PlatformError> {
    network::present(platform).await?;
    image::present(platform, &work.image).await?;
    let options = CreateContainerOptionsBuilder::new().name(&work.record.name).build();
    let body = body(work, &translate::network(&platform.config));
    match platform.connection.docker.create_container(Some(options), body).await {
        // Another process was faster: it is the same job.
        Err(Error::DockerResponseServerError { status_code: 409, .. }) => inspect(&platform.connection, &work.record).await.map(drop),
        Err(error) => Err(failure(format!("making the job {} from {}", work.record.name, work.image), &error)),
        Ok(_) => Ok(()),
    }
}

fn body(work: &Work, network: &str) -> ContainerCreateBody {
    let container = &work.container;
    let list = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    ContainerCreateBody {
        image: Some(work.image.clone()),
        entrypoint: list(&container.entrypoint),
        cmd: list(&container.command),
        env: Some(environment_list(&container.environment)),
        labels: Some(work.record.labels.clone()),
        host_config: Some(HostConfig {
            network_mode: Some(network.to_owned()),
            memory: Some(work.limits.memory),
            nano_cpus: Some(work.limits.nano_cpus),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

async fn upload(connection: &Connection, work: &Work) -> Result<(), PlatformError> {
    let attempted = || format!("putting files into the job {}", work.record.name);
    let mut archive = Archive::default();
    for file in &work.files {
        let added = archive.add(&file.path, file.content.as_bytes(), file.mode, ROOT);
        added.map_err(|error| PlatformError::new(PlatformErrorKind::Rejected, attempted(), format!("{}: {error}", file.path)))?;
    }
    let archive = archive.finish().map_err(|error| PlatformError::new(PlatformErrorKind::Internal, attempted(), error.to_string()))?;
    let Some(archive) = archive else { return Ok(()) };
    let options = UploadToContainerOptionsBuilder::new().path("/").build();
    let uploaded = connection.docker.upload_to_container(&work.record.name, Some(options), bollard::body_full(archive)).await;
    uploaded.map_err(|error| failure(attempted(), &error))
}

/// Waits until it has ended, or until its time is over: then it is stopped.
async fn ended(connection: &Connection, record: &Record, timeout: std::time::Duration) -> Result<JobEnd, PlatformError> {
    let mut deadline = None;
    loop {
        let Some(there) = inspect(connection, record).await? else {
            return Ok(JobEnd::Failed { why: "its container was removed while it ran".to_owned() });
        };
        let state = there.state.unwrap_or_default();
        if state.running != Some(true) {
            return Ok(end(&state, timeout));
        }
        let deadline = match deadline {
            Some(deadline) => deadline,
            None => *deadline.insert(Instant::now() + time_left(connection, state.started_at.as_deref(), timeout).await?),
        };
        if Instant::now() >= deadline {
            let options = StopContainerOptionsBuilder::new().t(GRACE).build();
            let stopped = connection.docker.stop_container(&record.name, Some(options)).await;
            stopped.map_err(|error| failure(format!("stopping the job {}, whose time is over", record.name), &error))?;
            continue;
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)).await;
    }
}

/// How it ended. Whoever looks later comes to the same answer: what ran for its whole time was stopped.
fn end(state: &ContainerState, timeout: std::time::Duration) -> JobEnd {
    let time = |text: &Option<String>| text.as_ref()?.parse::<jiff::Timestamp>().ok();
    let ran = time(&state.started_at).zip(time(&state.finished_at)).map(|(started, finished)| finished.duration_since(started));
    if ran.and_then(|ran| std::time::Duration::try_from(ran).ok()).is_some_and(|ran| ran >= timeout) {
        return JobEnd::TimedOut;
    }
    if state.oom_killed == Some(true) {
        return JobEnd::Failed { why: "it was killed for using more memory than it may".to_owned() };
    }
    match (state.error.as_deref().filter(|error| !error.is_empty()), state.exit_code) {
        (Some(error), _) => JobEnd::Failed { why: error.to_owned() },
        (None, Some(code)) => JobEnd::Exited(code),
        (None, None) => JobEnd::Failed { why: "the engine does not tell its exit code".to_owned() },
    }
}
