//! What runs the pods: a Deployment, or a StatefulSet where each instance has a volume of its own.

use serde_json::{Value, json};
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::manifest::schema::{HealthCheck, Rollout, Strategy};

use super::files::Files;
use super::{Maker, ROLLOUT_TIMEOUT, pod, seconds, storage};

/// The workload of an app. It comes after what its pods need.
pub(crate) fn workload(maker: &Maker<'_>, files: &Files<'_>, needs: Vec<ResourceId>) -> Resource {
    let rollout = maker.app.app.rollout.clone().unwrap_or_default();
    let timeout = rollout.timeout.unwrap_or(ROLLOUT_TIMEOUT);
    let mut spec = json!({
        "replicas": maker.app.app.replicas,
        "selector": { "matchLabels": maker.selector() },
        "template": pod::template(maker, files),
    });
    let watch = watch(maker, timeout);
    if watch > 0 {
        spec["minReadySeconds"] = json!(watch);
    }
    let stateful = storage::has_replica_volumes(maker);
    let kind = if stateful {
        spec["serviceName"] = json!(&**maker.app.name);
        spec["volumeClaimTemplates"] = Value::Array(storage::templates(maker));
        "StatefulSet"
    } else {
        spec["progressDeadlineSeconds"] = json!(seconds(timeout).max(watch + 1));
        spec["strategy"] = strategy(&rollout);
        "Deployment"
    };
    let resource = maker.object(json!({ "apiVersion": "apps/v1", "kind": kind, "metadata": maker.metadata(maker.app.name), "spec": spec }));
    Resource {
        marks: maker.app.marks.clone(),
        depends_on: needs.into_iter().chain(resource.depends_on.iter().cloned()).collect(),
        rollout_timeout: Some(timeout),
        moved_from: maker.name_before().map(|before| ResourceId { name: before.to_string().into(), ..resource.id.clone() }.into()),
        ..resource
    }
}

fn watch(maker: &Maker<'_>, timeout: Duration) -> u64 {
    let checked = maker.app.app.health.as_ref().and_then(HealthCheck::ready).is_some();
    if checked { 0 } else { maker.config.watch.min(timeout.0 / 10_000) }
}

fn strategy(rollout: &Rollout) -> Value {
    match rollout.strategy.unwrap_or_default() {
        Strategy::Recreate => json!({ "type": "Recreate" }),
        Strategy::Rolling => {
            let unavailable = rollout.max_unavailable.unwrap_or(0);
            // One of the two must move.
            let surge = rollout.max_surge.unwrap_or(1).max(u32::from(unavailable == 0));
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } })
        }
    }
}

/// How many instances may be taken away on purpose (a node that is drained), where there is more than one.
pub(crate) fn budget(maker: &Maker<'_>) -> Option<Resource> {
    let unavailable = maker.app.app.rollout.as_ref().and_then(|rollout| rollout.max_unavailable).unwrap_or(0).max(1);
    (maker.replicas() > 1).then(|| {
        maker.object(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": maker.metadata(maker.app.name),
            "spec": { "maxUnavailable": unavailable, "selector": { "matchLabels": maker.selector() } },
        }))
    })
}
