//! A job on a swarm: a service in the mode `replicated-job`, which runs one task and does not restart it.
//!
//! A service that was stopped because its time was over cannot stay, since it would go on: a config with its labels says how it
//! ended.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::errors::Error;
use bollard::models::{
    ConfigSpec, Limit, NetworkAttachmentConfig, SecretSpec, Service, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicatedJob, Task,
    TaskSpec, TaskSpecContainerSpec, TaskSpecContainerSpecFile, TaskSpecContainerSpecSecrets, TaskSpecResources, TaskSpecRestartPolicy,
    TaskSpecRestartPolicyConditionEnum, TaskState,
};
use bollard::query_parameters::{InspectServiceOptions, ListConfigsOptionsBuilder, ListSecretsOptionsBuilder, ListTasksOptionsBuilder};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use stratos_engine::desired::name::Name;
use stratos_engine::platform::jobs::{JobEnd, JobEvent, JobEvents, JobRequest};
use stratos_engine::platform::{ApplyContext, PlatformError};
use tokio::time::Instant;

use super::record::Record;
use super::work::Work;
use super::{LOOK, Lines, events, tell_lines, time_left};
use crate::connection::Connection;
use crate::container::environment_list;
use crate::failure::{failure, is_not_found};
use crate::logs::{self, Of};
use crate::swarm::{SwarmPlatform, names};

/// What a config says of a job whose time was over while it ran.
const TIMED_OUT: &str = "timed out";

/// Starts a job, or finds it as it is.
///
/// # Errors
/// Where it could not be started, and where something else has its name.
pub(super) async fn run(platform: &SwarmPlatform, job: &JobRequest<'_>, context: &ApplyContext<'_>) -> Result<JobEvents, PlatformError> {
    let work = Work::of(&platform.config, job, context)?;
    let connection = &platform.connection;
    let stopped = how_it_was_stopped(connection, &work.record).await?;
    let there = inspect(connection, &work.record).await?;
    let found = there.is_some() || stopped.is_some();
    if !found {
        create(platform, &work).await?;
    }
    let (connection, record, timeout) = (connection.clone(), work.record, work.timeout);
    Ok(events(move |teller| async move {
        teller.tell(JobEvent::Started { instance: record.name.clone(), found }).await;
        if let Some(end) = stopped {
            // Whoever wrote that may have died before the service was gone.
            delete_service(&connection, &record).await?;
            return Ok(end);
        }
        let end = ended(&connection, &record, timeout);
        tell_lines(&teller, lines(&connection, &record, true), end, || lines(&connection, &record, false)).await
    }))
}

/// Removes a job with its secrets; one that runs is stopped.
///
/// # Errors
/// Where something could not be removed, and where something else has its name.
pub(super) async fn remove(platform: &SwarmPlatform, app: &Name, key: &str) -> Result<(), PlatformError> {
    let (record, connection) = (Record::of(&platform.config, app, key), &platform.connection);
    delete_service(connection, &record).await?;
    remove_secrets(connection, &record).await?;
    for id in configs(connection, &record).await?.into_iter().map(|(id, _)| id) {
        gone(connection.docker.delete_config(&id).await, &record)?;
    }
    Ok(())
}

async fn inspect(connection: &Connection, record: &Record) -> Result<Option<Service>, PlatformError> {
    match connection.docker.inspect_service(&record.name, None::<InspectServiceOptions>).await {
        Ok(there) => {
            record.check(there.spec.as_ref().and_then(|spec| spec.labels.as_ref()), "service")?;
            Ok(Some(there))
        }
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(failure(format!("looking for the job {}", record.name), &error)),
    }
}

async fn delete_service(connection: &Connection, record: &Record) -> Result<(), PlatformError> {
    match inspect(connection, record).await?.and_then(|service| service.id) {
        Some(id) => gone(connection.docker.delete_service(&id).await, record),
        None => Ok(()),
    }
}

/// That it was gone already is a success.
fn gone(deleted: Result<(), Error>, record: &Record) -> Result<(), PlatformError> {
    match deleted {
        Err(error) if !is_not_found(&error) => Err(failure(format!("removing the job {}", record.name), &error)),
        _ => Ok(()),
    }
}

async fn create(platform: &SwarmPlatform, work: &Work) -> Result<(), PlatformError> {
    let SwarmPlatform { config, connection, networks, .. } = platform;
    let attempted = || format!("making the job {} from {}", work.record.name, work.image);
    let credentials = match &config.credentials {
        Some(credentials) => credentials.for_image(&work.image).await?,
        None => None,
    };
    // Secrets without their service are those of somebody who died before it was made.
    remove_secrets(connection, &work.record).await?;
    let mut secrets = Vec::new();
    for (index, file) in work.files.iter().enumerate() {
        let name = format!("{}.{index}", work.record.name);
        let data = BASE64_STANDARD.encode(file.content.as_bytes());
        let spec =
            SecretSpec { name: Some(name.clone()), labels: Some(work.record.labels.clone()), data: Some(data), ..SecretSpec::default() };
        let made = connection.docker.create_secret(spec).await.map_err(|error| failure(attempted(), &error))?;
        let target = TaskSpecContainerSpecFile {
            name: Some(file.path.clone()),
            uid: Some("0".to_owned()),
            gid: Some("0".to_owned()),
            mode: Some(file.mode),
        };
        secrets.push(TaskSpecContainerSpecSecrets { file: Some(target), secret_id: Some(made.id), secret_name: Some(name) });
    }
    let network = names::network(&config.prefix, &config.environment);
    networks.ensure(connection, &network, &config.owner).await?;
    match connection.docker.create_service(spec(work, secrets, network), credentials).await {
        // Another process was faster: it is the same job.
        Err(Error::DockerResponseServerError { status_code: 409, .. }) => inspect(connection, &work.record).await.map(drop),
        Err(error) => Err(failure(attempted(), &error)),
        Ok(_) => Ok(()),
    }
}

fn spec(work: &Work, secrets: Vec<TaskSpecContainerSpecSecrets>, network: String) -> ServiceSpec {
    let container = &work.container;
    let list = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let limits = Limit { nano_cpus: Some(work.limits.nano_cpus), memory_bytes: Some(work.limits.memory), ..Limit::default() };
    let attachment = NetworkAttachmentConfig { target: Some(network), ..NetworkAttachmentConfig::default() };
    let task = TaskSpec {
        container_spec: Some(TaskSpecContainerSpec {
            image: Some(work.image.clone()),
            command: list(&container.entrypoint),
            args: list(&container.command),
            env: Some(environment_list(&container.environment)),
            secrets: Some(secrets),
            ..TaskSpecContainerSpec::default()
        }),
        resources: Some(TaskSpecResources { limits: Some(limits), ..TaskSpecResources::default() }),
        restart_policy: Some(TaskSpecRestartPolicy { condition: Some(TaskSpecRestartPolicyConditionEnum::NONE), ..Default::default() }),
        networks: Some(vec![attachment]),
        ..TaskSpec::default()
    };
    let once = ServiceSpecModeReplicatedJob { max_concurrent: Some(1), total_completions: Some(1) };
    ServiceSpec {
        name: Some(work.record.name.clone()),
        labels: Some(work.record.labels.clone()),
        task_template: Some(task),
        mode: Some(ServiceSpecMode { replicated_job: Some(once), ..ServiceSpecMode::default() }),
        ..ServiceSpec::default()
    }
}

async fn remove_secrets(connection: &Connection, record: &Record) -> Result<(), PlatformError> {
    let options = ListSecretsOptionsBuilder::new().filters(&record.filters()).build();
    let listed = connection.docker.list_secrets(Some(options)).await;
    let listed = listed.map_err(|error| failure(format!("looking for the secrets of the job {}", record.name), &error))?;
    for id in listed.into_iter().filter_map(|secret| secret.id) {
        gone(connection.docker.delete_secret(&id).await, record)?;
    }
    Ok(())
}

/// The configs that say how the job was stopped: their ids and words.
async fn configs(connection: &Connection, record: &Record) -> Result<Vec<(String, String)>, PlatformError> {
    let options = ListConfigsOptionsBuilder::new().filters(&record.filters()).build();
    let listed = connection.docker.list_configs(Some(options)).await;
    let listed = listed.map_err(|error| failure(format!("looking for the job {}", record.name), &error))?;
    let words = |config: bollard::models::Config| {
        let data = BASE64_STANDARD.decode(config.spec?.data.unwrap_or_default()).unwrap_or_default();
        Some((config.id?, String::from_utf8_lossy(&data).into_owned()))
    };
    Ok(listed.into_iter().filter_map(words).collect())
}

async fn how_it_was_stopped(connection: &Connection, record: &Record) -> Result<Option<JobEnd>, PlatformError> {
    let said = configs(connection, record).await?.into_iter().next();
    Ok(said.map(|(_, words)| if words == TIMED_OUT { JobEnd::TimedOut } else { JobEnd::Failed { why: words } }))
}

/// Writes down how it ends, and then ends it.
async fn stop(connection: &Connection, record: &Record, words: &str) -> Result<(), PlatformError> {
    let data = BASE64_STANDARD.encode(words);
    let spec =
        ConfigSpec { name: Some(record.name.clone()), labels: Some(record.labels.clone()), data: Some(data), ..ConfigSpec::default() };
    match connection.docker.create_config(spec).await {
        Ok(_) | Err(Error::DockerResponseServerError { status_code: 409, .. }) => delete_service(connection, record).await,
        Err(error) => Err(failure(format!("stopping the job {}, whose time is over", record.name), &error)),
    }
}

/// The newest task of the job.
async fn task(connection: &Connection, record: &Record) -> Result<Option<Task>, PlatformError> {
    let filters = HashMap::from([("service".to_owned(), vec![record.name.clone()])]);
    let options = ListTasksOptionsBuilder::new().filters(&filters).build();
    let tasks = match connection.docker.list_tasks(Some(options)).await {
        // It was stopped between two looks.
        Err(error) if is_not_found(&error) => return Ok(None),
        tasks => tasks.map_err(|error| failure(format!("looking at the task of the job {}", record.name), &error))?,
    };
    Ok(tasks.into_iter().max_by(|a, b| a.created_at.cmp(&b.created_at)))
}

/// The lines of its task, once it has one that has begun.
fn lines(connection: &Connection, record: &Record, follow: bool) -> Lines {
    let (connection, name) = (connection.clone(), record.name.clone());
    let record = Record { name: record.name.clone(), labels: record.labels.clone() };
    let opened = async move {
        loop {
            let task = task(&connection, &record).await?;
            let begun = task.as_ref().and_then(|task| task.status.as_ref()?.container_status.as_ref()?.container_id.clone());
            match (task.and_then(|task| task.id), begun.filter(|id| !id.is_empty())) {
                (Some(id), Some(_)) => break Ok(logs::of_part(&connection, Of::Service(name.clone()), &name, &id, follow)),
                _ if !follow => break Ok(stream::empty().boxed()),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    };
    stream::once(opened).try_flatten().boxed()
}

/// Waits until its task has ended, or until its time is over: then it is stopped.
async fn ended(connection: &Connection, record: &Record, timeout: Duration) -> Result<JobEnd, PlatformError> {
    let mut deadline = None;
    loop {
        let Some(service) = inspect(connection, record).await? else {
            return Ok(how_it_was_stopped(connection, record)
                .await?
                .unwrap_or_else(|| JobEnd::Failed { why: "its service was removed while it ran".to_owned() }));
        };
        let task = task(connection, record).await?;
        if let Some(end) = task.as_ref().and_then(end) {
            return Ok(end);
        }
        let deadline = match deadline {
            Some(deadline) => deadline,
            None => *deadline.insert(Instant::now() + time_left(connection, service.created_at.as_deref(), timeout).await?),
        };
        if Instant::now() >= deadline {
            let status = task.and_then(|task| task.status).unwrap_or_default();
            let words = match status.err.filter(|error| !error.is_empty()) {
                Some(error) => format!("it did not start in time: {error}"),
                None => TIMED_OUT.to_owned(),
            };
            stop(connection, record, &words).await?;
            continue;
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + LOOK)).await;
    }
}

/// How a task ended; None while it goes on.
fn end(task: &Task) -> Option<JobEnd> {
    let status = task.status.as_ref()?;
    let code = status.container_status.as_ref().and_then(|container| container.exit_code);
    let why = || status.err.clone().filter(|error| !error.is_empty()).or_else(|| status.message.clone()).unwrap_or_default();
    match status.state? {
        TaskState::COMPLETE => Some(JobEnd::Exited(code.unwrap_or_default())),
        TaskState::FAILED => Some(code.filter(|code| *code != 0).map_or_else(|| JobEnd::Failed { why: why() }, JobEnd::Exited)),
        TaskState::REJECTED | TaskState::SHUTDOWN | TaskState::ORPHANED | TaskState::REMOVE => Some(JobEnd::Failed { why: why() }),
        _ => None,
    }
}
