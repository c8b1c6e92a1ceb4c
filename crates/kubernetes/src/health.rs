//! How resources are: judged by the rules of their kinds, and explained by what their pods and events say.
//!
//! It is asked several times a second while an apply waits. What works costs a request for each kind and one for the pods of
//! each namespace; ReplicaSets, events and logs are read only for what does not work.

mod address;
mod autoscaler;
mod conclude;
mod container;
mod daemon_set;
mod deployment;
mod endpoints;
mod events;
mod generic;
mod job;
mod last_log;
mod object;
mod pod;
mod read;
mod route;
mod stateful_set;
mod verdict;
mod volume_claim;
mod watched;
mod words;
mod workload;

use futures::future;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::{Health, Status};
use stratos_engine::platform::PlatformError;

use crate::config::EnvironmentConfig;
use crate::connection::Connection;
use crate::discovery::Discovery;
use crate::kind::GroupKind;
use crate::pods::{ContainerStatus, Pod, Terminated};
use object::Object;
use read::{Asked, Found};
use verdict::Verdict;
pub(crate) use watched::Watched;
use workload::Workload;

/// What it takes to ask.
#[derive(Clone, Copy)]
struct Reader<'a> {
    connection: &'a Connection,
    discovery: &'a Discovery,
    config: &'a EnvironmentConfig,
    watched: &'a Watched,
}

/// One answer for each id, in the order asked; `missing` for what is not there.
///
/// # Errors
/// Where the cluster did not answer. What may not be read is `unknown`.
pub(crate) async fn health(
    connection: &Connection,
    discovery: &Discovery,
    config: &EnvironmentConfig,
    watched: &Watched,
    ids: &[ResourceId],
) -> Result<Vec<Health>, PlatformError> {
    let reader = Reader { connection, discovery, config, watched };
    let asked: Vec<Asked> = ids.iter().map(|id| Asked::of(id, config)).collect();
    let found = read::objects(&reader, &asked).await?;
    let workloads: Vec<Option<Workload<'_>>> = asked
        .iter()
        .zip(&found)
        .map(|(asked, found)| match found {
            Found::Is(object) => Workload::of(&asked.kind, &asked.namespace, object),
            Found::NotThere(_) | Found::Unreadable(_) => None,
        })
        .collect();
    let pods = read::pods(&reader, &workloads).await?;
    let endpoints = endpoints::of(&reader, workloads.iter().flatten());
    let judged = asked.iter().zip(&found).zip(workloads.iter().zip(pods));
    let judged = judged.map(|((asked, found), (workload, pods))| one(&reader, asked, found, workload.as_ref(), pods));
    let (endpoints, mut out) = future::join(endpoints, future::join_all(judged)).await;
    for (health, workload) in out.iter_mut().zip(&workloads) {
        if let Some(workload) = workload.as_ref().filter(|_| health.status == Status::Healthy) {
            health.endpoints = endpoints.get(&workload.key()).cloned().unwrap_or_default();
        }
    }
    Ok(out)
}

async fn one(reader: &Reader<'_>, asked: &Asked, found: &Found, workload: Option<&Workload<'_>>, pods: Vec<Pod>) -> Health {
    let object = match found {
        Found::Is(object) => object,
        Found::NotThere(why) => return Health::missing(why),
        Found::Unreadable(why) => return Health { status: Status::Unknown, ..Health::missing(why) },
    };
    if let Some(workload) = workload {
        return workload.health(reader, pods).await;
    }
    let verdict = judge(&asked.kind, object);
    if asked.kind.kind == "PersistentVolumeClaim" && verdict.status == Status::Progressing {
        let events = events::about(reader, &asked.namespace, &object.metadata.uid, events::Kinds::All).await;
        return volume_claim::with_events(verdict, &events).into_health();
    }
    verdict.into_health()
}

/// What keeps a pod from running, and whether waiting helps. None for one that is as it should be, or says nothing.
pub(crate) fn trouble(pod: &Pod) -> Option<(Status, String)> {
    let seen = pod::look(pod, &Watched::default());
    (seen.status != Status::Healthy && !seen.is_vague).then_some((seen.status, seen.message))
}

/// How a container ended, in one sentence.
pub(crate) fn ended(status: &ContainerStatus, ended: &Terminated) -> String {
    container::end(status, ended)
}

/// What a cluster warns of about an object, newest first. Whoever may not read events is told nothing.
pub(crate) async fn warnings(connection: &Connection, namespace: &str, uid: &str) -> Vec<String> {
    events::read(connection, namespace, uid, events::Kinds::Warnings).await
}

/// By the rules of its kind.
fn judge(kind: &GroupKind, object: &Object) -> Verdict {
    let kind = (kind.group.as_str(), kind.kind.as_str());
    if let ("", "Namespace") = kind {
        return generic::judge_namespace(object);
    }
    if let Some(verdict) = generic::at_once(object) {
        return verdict;
    }
    match kind {
        ("apps", "Deployment") => deployment::judge(object),
        ("apps", "StatefulSet") => stateful_set::judge(object),
        ("apps", "DaemonSet") => daemon_set::judge(object),
        ("apps", "ReplicaSet") => daemon_set::judge_replica_set(object),
        ("batch", "Job") => job::judge(object),
        ("batch", "CronJob") => job::judge_schedule(object),
        ("", "PersistentVolumeClaim") => volume_claim::judge(object),
        ("", "Service") => address::judge_service(object),
        ("networking.k8s.io", "Ingress") => address::judge_ingress(object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler::judge(object),
        ("policy", "PodDisruptionBudget") => generic::judge_budget(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => generic::judge_definition(object),
        ("gateway.networking.k8s.io", "HTTPRoute" | "GRPCRoute") => route::judge(object),
        _ => generic::judge(object),
    }
}
