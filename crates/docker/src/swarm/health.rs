//! How services are: from their instances, and from what the orchestrator says of the last update.
//!
//! Two requests for all services that are asked for; more only where something does not work (the last lines of its log), or
//! where it is published on the nodes that run it (their addresses).

mod endpoints;
mod instances;
mod log;
mod task;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bollard::models::{Service, Task};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::{Health, Instance, RolloutState, Status};
use stratos_engine::platform::PlatformError;
use tokio::time::Instant;

use super::SwarmPlatform;
use super::live::{self, Asked};
use super::wire;
use crate::failure::failure;
use instances::Judged;

/// What was seen of instances before, and need not be asked for again.
#[derive(Default)]
pub(crate) struct Watched {
    /// Since when instances run, as far as we have seen it ourselves.
    since: Mutex<HashMap<String, Instant>>,
    /// The last lines of instances that have ended.
    logs: Mutex<HashMap<String, Vec<String>>>,
}

impl Watched {
    fn runs_since(&self, task: &str) -> Instant {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *since.entry(task.to_owned()).or_insert_with(Instant::now)
    }
}

/// One answer for each id.
pub(crate) async fn health(platform: &SwarmPlatform, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError> {
    let connection = &platform.connection;
    let names: Vec<String> = ids.iter().map(|id| id.name.to_string()).collect();
    if names.is_empty() {
        return Ok(vec![]);
    }
    let services = live::services(connection, &Asked::Named(names)).await.map_err(|error| failure("listing services", &error))?;
    let services: HashMap<&str, &Service> = services.iter().map(|service| (live::service_name(service), service)).collect();
    let asked: Vec<&Service> = ids.iter().filter_map(|id| services.get(&*id.name).copied()).collect();
    let tasks = tasks(platform, &asked).await?;
    let mut out = Vec::with_capacity(ids.len());
    for id in ids {
        out.push(match services.get(&*id.name) {
            Some(service) => one(platform, service, tasks.get(service.id.as_deref().unwrap_or_default())).await,
            None => Health::missing(format!("there is no service {}", id.name)),
        });
    }
    Ok(out)
}

/// The instances of services, past ones too, by the service's id.
async fn tasks(platform: &SwarmPlatform, services: &[&Service]) -> Result<HashMap<String, Vec<Task>>, PlatformError> {
    let ids: Vec<String> = services.iter().filter_map(|service| service.id.clone()).collect();
    let mut out: HashMap<String, Vec<Task>> = HashMap::new();
    if ids.is_empty() {
        return Ok(out);
    }
    let listed = wire::tasks(&platform.connection, &[("service".to_owned(), ids)].into()).await;
    for task in listed.map_err(|error| failure("listing the tasks of services", &error))? {
        out.entry(task.service_id.clone().unwrap_or_default()).or_default().push(task);
    }
    Ok(out)
}

async fn one(platform: &SwarmPlatform, service: &Service, tasks: Option<&Vec<Task>>) -> Health {
    let judged = instances::judge(service, tasks.map_or(&[], Vec::as_slice), &platform.watched);
    let rollout = with_cause(live::rollout(service.update_status.as_ref()), &judged);
    let (status, message) = judged.verdict(&rollout);
    let mut instances = Vec::with_capacity(judged.instances.len());
    for (instance, ended) in &judged.instances {
        let last_log = match ended {
            Some(ended) if instance.status != Status::Healthy => log::last_lines(platform, ended).await,
            _ => vec![],
        };
        instances.push(Instance { last_log, ..instance.clone() });
    }
    let endpoints = if status == Status::Healthy { endpoints::of(platform, service, &judged.running).await } else { vec![] };
    Health { status, message, instances, endpoints, rollout }
}

/// The orchestrator names an instance; what that one died of is what people want to know.
fn with_cause(rollout: RolloutState, judged: &Judged<'_>) -> RolloutState {
    let told = |why: String, cause: &Option<String>| match cause {
        Some(cause) if why.is_empty() => cause.clone(),
        Some(cause) => format!("{why}: {cause}"),
        None => why,
    };
    match rollout {
        RolloutState::RolledBack { why } => RolloutState::RolledBack { why: told(why, &judged.cause_before) },
        RolloutState::Paused { why } => RolloutState::Paused { why: told(why, &judged.cause) },
        other @ (RolloutState::Done | RolloutState::Running) => other,
    }
}

#[cfg(test)]
mod tests;
