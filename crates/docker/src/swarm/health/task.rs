//! One instance, as the swarm tells of it.

use std::time::Duration;

use bollard::models::{Service, Task, TaskSpec, TaskState};
use stratos_engine::health::Status;

use crate::swarm::rollout::defaults;
use crate::swarm::spec::ports::Published;

/// What an instance that was killed by the kernel, or by somebody, ends with: 128 + 9.
const KILLED: i64 = 137;

/// How an instance is.
pub(super) struct Seen {
    pub status: Status,
    pub message: String,
}

/// Whether an instance is made from what the service is now: nothing tells but what it is made from.
pub(super) fn is_current(task: &Task, service: &Service) -> bool {
    let wanted = service.spec.as_ref().and_then(|spec| spec.task_template.as_ref());
    let part = |spec: Option<&TaskSpec>| spec.map(|spec| (spec.container_spec.clone(), spec.force_update.unwrap_or(0)));
    part(task.spec.as_ref()) == part(wanted)
}

/// Whether the orchestrator wants it to run.
pub(super) fn is_wanted(task: &Task) -> bool {
    matches!(task.desired_state, Some(TaskState::RUNNING | TaskState::READY | TaskState::COMPLETE))
}

pub(super) fn state(task: &Task) -> TaskState {
    task.status.as_ref().and_then(|status| status.state).unwrap_or(TaskState::NEW)
}

/// Whether it ended, or could not be started. To end with success is no success for what should run: so does an instance
/// that is stopped because its health check failed, and ends in good order.
pub(super) fn has_ended(task: &Task) -> bool {
    let completed = state(task) == TaskState::COMPLETE && task.desired_state == Some(TaskState::SHUTDOWN);
    completed || matches!(state(task), TaskState::FAILED | TaskState::REJECTED | TaskState::ORPHANED)
}

/// Why a node rejects an instance for a moment: it has not heard yet that an earlier network with these addresses is gone, or
/// that it is in the swarm; or an instance that ends clears the network away that the new one is to join (seen on 20.10).
const NOT_YET: [&str; 3] = ["Pool overlaps with other one", "when swarm is not active", "error while removing network"];

/// Whether it ended for a reason that lies in it, and not in a node that has not caught up.
pub(super) fn has_failed(task: &Task) -> bool {
    let said = task.status.as_ref().and_then(|status| status.err.as_deref()).unwrap_or_default();
    has_ended(task) && !(state(task) == TaskState::REJECTED && NOT_YET.iter().any(|reason| said.contains(reason)))
}

/// How long a new instance is watched: what counts is in the service.
pub(super) fn watch(service: &Service) -> Duration {
    let update = service.spec.as_ref().and_then(|spec| spec.update_config.as_ref());
    let monitor = update.and_then(|update| update.monitor).and_then(|nanos| u64::try_from(nanos).ok()).filter(|nanos| *nanos > 0);
    monitor.map_or(defaults::MONITOR.to_std(), Duration::from_nanos)
}

/// Whether its health is checked: then it runs only once it is healthy.
pub(super) fn has_check(task: &Task) -> bool {
    let inside = task.spec.as_ref().and_then(|spec| spec.container_spec.as_ref());
    let test = inside.and_then(|inside| inside.health_check.as_ref()).and_then(|check| check.test.as_ref());
    test.is_some_and(|test| test.first().is_some_and(|word| word != "NONE"))
}

/// What an instance that does not run says of itself.
pub(super) fn problem(task: &Task, service: &Service) -> String {
    let Some(status) = &task.status else { return String::new() };
    if state(task) == TaskState::COMPLETE {
        let why = if has_check(task) { ", by itself or because its health check failed" } else { "" };
        return format!("it ended with exit code 0{why}");
    }
    let mut said = status.err.clone().filter(|err| !err.is_empty()).or_else(|| status.message.clone()).unwrap_or_default();
    let code = status.container_status.as_ref().and_then(|container| container.exit_code).unwrap_or(0);
    if code == KILLED && !said.contains("unhealthy") {
        let inside = task.spec.as_ref().and_then(|spec| spec.resources.as_ref()).and_then(|resources| resources.limits.as_ref());
        if let Some(limit) = inside.and_then(|limit| limit.memory_bytes).and_then(|bytes| u64::try_from(bytes).ok()) {
            said.push_str(&format!(
                " (killed, perhaps because it needs more than its {} of memory)",
                stratos_engine::desired::quantity::Bytes(limit)
            ));
        }
    }
    if code != 0 && !said.contains(&code.to_string()) {
        said.push_str(&format!(" (exit code {code})"));
    }
    if said.contains("host-mode port") {
        let endpoint = service.spec.as_ref().and_then(|spec| spec.endpoint_spec.as_ref());
        let ports = endpoint.and_then(|endpoint| endpoint.ports.as_ref()).into_iter().flatten().map(Published::of);
        let ports: Vec<String> = ports.filter(|port| port.on_host).filter_map(|port| Some(port.published?.to_string())).collect();
        said.push_str(&format!(": port {}", ports.join(", ")));
    }
    said
}
