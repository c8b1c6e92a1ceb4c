//! How apps are: from the engine's own words about each container.

use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::{Health, Instance, Status};
use stratos_engine::platform::PlatformError;

use super::live::{self, App, Member};
use super::state::State;
use super::translate::CONTAINER;
use super::{DockerPlatform, containers};
use crate::labels;

/// One answer for each id.
pub(crate) async fn health(platform: &DockerPlatform, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError> {
    let wanted = ids.iter().filter(|id| &*id.kind == CONTAINER.kind).map(|id| id.name.to_string()).collect();
    let listed = live::list(platform, Some(labels::filter(&platform.config.owner))).await?;
    let mut apps = live::read(platform, &listed, &wanted, &|_, _| false).await;
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        answers.push(match apps.remove(&*id.name).filter(|_| &*id.kind == CONTAINER.kind) {
            Some(app) => {
                let mut app = app?;
                app.probe(platform).await;
                one(platform, id, &app).await
            }
            None => Health { rollout: platform.rollout(id), ..Health::missing(format!("there is no container of {}", id.name)) },
        });
    }
    Ok(answers)
}

async fn one(platform: &DockerPlatform, id: &ResourceId, app: &App) -> Health {
    let mut instances = Vec::with_capacity(app.members.len());
    for member in &app.members {
        instances.push(instance(platform, member).await);
    }
    let ready = app.members.iter().filter(|member| member.state == State::Ready).count();
    let broken = instances.iter().find(|instance| instance.status == Status::Failed);
    let worst = broken.or_else(|| instances.iter().find(|instance| instance.status != Status::Healthy));
    let because = worst.map(|instance| format!("; {}: {}{}", instance.name, instance.message, said(instance))).unwrap_or_default();
    let all = instances.len();
    let (status, message) = match (ready, broken) {
        (ready, _) if ready == all && all > 0 => (Status::Healthy, String::new()),
        (0, Some(_)) => (Status::Failed, format!("none of {all} instances is ready{because}")),
        (_, Some(_)) => (Status::Degraded, format!("{ready} of {all} instances are ready{because}")),
        _ if all == 0 => (Status::Missing, format!("there is no container of {}", id.name)),
        _ => (Status::Progressing, format!("{ready} of {all} instances are ready{because}")),
    };
    let endpoints = app.proxy.iter().filter(|proxy| proxy.works()).flat_map(|proxy| proxy.ports().iter());
    let host = platform.connection.endpoint.host();
    let endpoints = endpoints.map(|port| format!("{host}:{port}")).collect();
    Health { status, message, instances, endpoints, rollout: platform.rollout(id) }
}

/// What it wrote last, in one sentence.
fn said(instance: &Instance) -> String {
    if instance.last_log.is_empty() { String::new() } else { format!("; its last lines: {}", instance.last_log.join(" | ")) }
}

async fn instance(platform: &DockerPlatform, member: &Member) -> Instance {
    let status = match &member.state {
        State::Ready => Status::Healthy,
        State::Waiting(_) => Status::Progressing,
        State::NeverStarted | State::Stopped(_) | State::Failed(_) => Status::Failed,
    };
    let last_log = if status == Status::Failed { containers::last_lines(platform, &member.id).await } else { vec![] };
    Instance {
        name: member.name.clone(),
        status,
        message: member.state.why().to_owned(),
        restarts: member.inspected.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
        last_log,
    }
}
