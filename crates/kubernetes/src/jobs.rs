//! Jobs: commands that run to their end, once (`docs/design/jobs.md`).
//!
//! A job is a `Job` that is tried once. The key makes its name, so that the API's own refusal of a second object of one name keeps
//! it from running twice. It is made suspended where it needs a Secret or ConfigMaps: these belong to it, so that whatever
//! removes it removes them, and its pod begins when they are there.

mod end;
mod follow;
mod objects;
mod record;
mod work;

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use stratos_engine::desired::name::Name;
use stratos_engine::platform::jobs::{JobEvents, JobRequest};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use zeroize::Zeroizing;

use crate::config::EnvironmentConfig;
use crate::connection::{Connection, Content};
use crate::failure::Failure;
use end::Live;
use record::{Record, name};
pub(crate) use work::pod;

/// The entries of a Secret.
pub(crate) type Values = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// What a job runs. It may hold secrets: it is never printed.
pub(crate) struct JobPod {
    /// A complete pod template: values resolved but secrets, which are references to the Secret below.
    pub(crate) pod_template: Value,
    /// Its Secret, with [`name`] as its name: an app's own may go or change while the job runs.
    pub(crate) secret: Option<(String, Values)>,
    /// Complete ConfigMaps for it alone.
    pub(crate) config_maps: Vec<Value>,
}

/// Starts a job, or finds it as it is.
///
/// # Errors
/// Where it could not be started, and where something else has its name.
pub(crate) async fn run(
    connection: &Connection,
    config: &EnvironmentConfig,
    job: &JobRequest<'_>,
    pod: JobPod,
) -> Result<JobEvents, PlatformError> {
    let record = Record::of(config, job.app.name, job.key);
    let container = objects::first_container(&pod.pod_template).ok_or_else(|| {
        let why = "the app has no image, so that its pods have no container";
        PlatformError::new(PlatformErrorKind::Rejected, format!("preparing the job {}", record.name), why)
    })?;
    let found = find(connection, &record).await?;
    let (live, found) = match found {
        Some(live) => (live, true),
        None => create(connection, &record, &objects::job(&record, &pod, job.timeout)).await?,
    };
    if live.waits_for_its_start() {
        // Also where somebody died between making it and starting it.
        for object in objects::beside(&record, pod, &live.metadata.uid) {
            make(connection, &record, &object).await?;
        }
        let begin = json!({ "spec": { "suspend": false } });
        patch(connection, &record, &live, &begin).await.map_err(|failure| failure.error(format!("starting the job {}", record.name)))?;
    }
    Ok(follow::events(connection.clone(), record, container, found))
}

/// Removes a job with everything that was made for it; one that runs is stopped.
///
/// # Errors
/// Where it could not be removed, and where something else has its name.
pub(crate) async fn remove(connection: &Connection, config: &EnvironmentConfig, app: &Name, key: &str) -> Result<(), PlatformError> {
    let record = Record::of(config, app, key);
    let Some(live) = find(connection, &record).await? else { return Ok(()) };
    let options = json!({ "propagationPolicy": "Background", "preconditions": { "uid": live.metadata.uid } });
    let options = Content { kind: "application/json", bytes: options.to_string().into_bytes() };
    match connection.send(Method::DELETE, &record.path(), "application/json", Some(&options)).await {
        Err(failure) if !failure.is_not_found() && !failure.is_conflict() => {
            Err(failure.error(format!("removing the job {}", record.name)))
        }
        _ => Ok(()),
    }
}

/// The job as it is; None where there is none.
async fn find(connection: &Connection, record: &Record) -> Result<Option<Live>, PlatformError> {
    let attempted = || format!("looking for the job {}", record.name);
    let Some(body) = connection.find(&record.path()).await.map_err(|failure| failure.error(attempted()))? else { return Ok(None) };
    let live: Live = serde_json::from_slice(&body)
        .map_err(|error| PlatformError::new(PlatformErrorKind::Internal, attempted(), format!("the answer was not understood: {error}")))?;
    record.check(&live.metadata)?;
    Ok(Some(live))
}

/// Makes it. Another process may be faster: it is the same job.
async fn create(connection: &Connection, record: &Record, job: &Value) -> Result<(Live, bool), PlatformError> {
    let attempted = || format!("making the job {}", record.name);
    match post(connection, &record.collection("/apis/batch/v1", "jobs"), job).await {
        Ok(body) => serde_json::from_slice(&body)
            .map(|live| (live, false))
            .map_err(|error| PlatformError::new(PlatformErrorKind::Internal, attempted(), error.to_string())),
        // The answer to the first attempt may have been lost.
        Err(failure) if failure.is_there_already() || failure.is_lost() => match find(connection, record).await? {
            Some(live) => Ok((live, failure.is_there_already())),
            None => Err(failure.error(attempted())),
        },
        Err(failure) => Err(failure.error(attempted())),
    }
}

/// Makes what belongs to it. What is there already was made for it.
async fn make(connection: &Connection, record: &Record, object: &objects::Beside) -> Result<(), PlatformError> {
    let objects::Beside { plural, body } = object;
    match post_bytes(connection, &record.collection("/api/v1", plural), body).await {
        Err(failure) if !failure.is_there_already() => Err(failure.error(format!("making the {plural} of the job {}", record.name))),
        _ => Ok(()),
    }
}

async fn post(connection: &Connection, path: &str, object: &Value) -> Result<bytes::Bytes, Failure> {
    post_bytes(connection, path, object.to_string().as_bytes()).await
}

async fn post_bytes(connection: &Connection, path: &str, object: &[u8]) -> Result<bytes::Bytes, Failure> {
    let content = Content { kind: "application/json", bytes: object.to_vec() };
    Ok(connection.send(Method::POST, path, "application/json", Some(&content)).await?.body)
}

/// Changes it, if it is still the one that was seen.
async fn patch(connection: &Connection, record: &Record, live: &Live, change: &Value) -> Result<(), Failure> {
    let mut change = change.clone();
    change["metadata"]["uid"] = json!(live.metadata.uid);
    let content = Content { kind: "application/merge-patch+json", bytes: change.to_string().into_bytes() };
    connection.send(Method::PATCH, &record.path(), "application/json", Some(&content)).await.map(drop)
}
