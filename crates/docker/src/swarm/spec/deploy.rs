//! `deploy`: how many instances, where, and how they are exchanged.

use bollard::models::{
    EndpointSpec, Limit, ResourceObject, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated, ServiceSpecModeReplicatedJob,
    ServiceSpecRollbackConfig, ServiceSpecUpdateConfig, TaskSpec, TaskSpecPlacementPreferences, TaskSpecPlacementSpread, TaskSpecResources,
};
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::quantity::Duration;

use crate::container::resources::{self, Amount};
use crate::container::{Whole, leaves, nanoseconds};
use crate::swarm::rollout::defaults;

const REPLICAS: i64 = 1;
const RESTART_CONDITION: &str = "any";
const RESTART_DELAY: Duration = Duration(5_000);

/// How instances are exchanged, in an update or in a rollback.
#[derive(Default)]
struct Exchange {
    parallelism: Option<i64>,
    delay: Option<i64>,
    failure_action: Option<String>,
    monitor: Option<i64>,
    max_failure_ratio: Option<f64>,
    order: Option<String>,
}

/// Takes mode, replicas and updates out of a live specification and writes them.
pub(crate) fn read(spec: &mut ServiceSpec, endpoint: &EndpointSpec, out: &mut DocumentBuilder) {
    let mode = endpoint.mode.map(|mode| mode.to_string());
    leaves::text(out, &["deploy", "endpoint_mode"], mode.as_deref().filter(|mode| *mode != "vip"));
    let ServiceSpecMode { replicated, global, replicated_job, global_job } = spec.mode.take().unwrap_or_default();
    if let Some(ServiceSpecModeReplicatedJob { max_concurrent, total_completions }) = replicated_job {
        out.text(["deploy", "mode"], "replicated-job");
        leaves::integer(out, &["deploy", "max_concurrent"], max_concurrent, REPLICAS);
        leaves::integer(out, &["deploy", "replicas"], total_completions, REPLICAS);
    } else if global.is_some() {
        out.text(["deploy", "mode"], "global");
    } else if global_job.is_some() {
        out.text(["deploy", "mode"], "global-job");
    } else {
        leaves::integer(out, &["deploy", "replicas"], replicated.and_then(|mode| mode.replicas), REPLICAS);
    }
    if let Some(update) = spec.update_config.take() {
        let ServiceSpecUpdateConfig { parallelism, delay, failure_action, monitor, max_failure_ratio, order } = update;
        let (failure_action, order) = (failure_action.map(|action| action.to_string()), order.map(|order| order.to_string()));
        Exchange { parallelism, delay, failure_action, monitor, max_failure_ratio, order }.write("update", out);
    }
    if let Some(rollback) = spec.rollback_config.take() {
        let ServiceSpecRollbackConfig { parallelism, delay, failure_action, monitor, max_failure_ratio, order } = rollback;
        let (failure_action, order) = (failure_action.map(|action| action.to_string()), order.map(|order| order.to_string()));
        Exchange { parallelism, delay, failure_action, monitor, max_failure_ratio, order }.write("rollback", out);
    }
}

/// Takes resources, restarts and placement out of a live task and writes them.
pub(crate) fn read_task(task: &mut TaskSpec, out: &mut DocumentBuilder) {
    if let Some(resources) = &mut task.resources {
        if let Some(Limit { nano_cpus, memory_bytes, pids }) = resources.limits.take() {
            let amount = Amount { nano_cpus: nano_cpus.unwrap_or(0), memory: memory_bytes.unwrap_or(0), pids: pids.unwrap_or(0) };
            resources::write(amount, "limits", out);
        }
        if let Some(reserved) = &mut resources.reservations {
            let (nano_cpus, memory) = (reserved.nano_cpus.take().unwrap_or(0), reserved.memory_bytes.take().unwrap_or(0));
            resources::write(Amount { nano_cpus, memory, pids: 0 }, "reservations", out);
        }
    }
    if let Some(restart) = task.restart_policy.take() {
        let condition = restart.condition.map(|condition| condition.to_string());
        leaves::text(out, &["deploy", "restart", "condition"], condition.as_deref().filter(|word| *word != RESTART_CONDITION));
        leaves::nanoseconds(out, &["deploy", "restart", "delay"], restart.delay, RESTART_DELAY);
        leaves::integer(out, &["deploy", "restart", "max_attempts"], restart.max_attempts, 0);
        leaves::nanoseconds(out, &["deploy", "restart", "window"], restart.window, Duration(0));
    }
    if let Some(placement) = &mut task.placement {
        leaves::set(out, &["deploy", "placement", "constraints"], &placement.constraints.take().unwrap_or_default());
        let preferences = placement.preferences.take().unwrap_or_default();
        let spread = |preference: TaskSpecPlacementPreferences| preference.spread?.spread_descriptor;
        let spread: Vec<String> = preferences.into_iter().filter_map(spread).collect();
        leaves::list(out, &["deploy", "placement", "spread"], &spread);
        leaves::integer(out, &["deploy", "placement", "max_replicas_per_node"], placement.max_replicas.take(), 0);
    }
}

impl Exchange {
    fn write(self, which: &str, out: &mut DocumentBuilder) {
        let path = |field| ["deploy", which, field];
        leaves::integer(out, &path("parallelism"), self.parallelism, defaults::PARALLELISM);
        leaves::nanoseconds(out, &path("delay"), self.delay, Duration(0));
        // None and zero are the engine's default.
        leaves::nanoseconds(out, &path("monitor"), self.monitor.filter(|time| *time != 0), defaults::MONITOR);
        leaves::text(out, &path("order"), self.order.as_deref().filter(|order| *order != defaults::ORDER));
        leaves::text(out, &path("failure_action"), self.failure_action.as_deref().filter(|action| *action != defaults::FAILURE_ACTION));
        if let Some(ratio) = self.max_failure_ratio.filter(|ratio| *ratio != 0.0) {
            out.text(path("max_failure_ratio"), &ratio.to_string());
        }
    }

    fn set(&mut self, field: &str, path: &Path, leaf: &Leaf, whole: &Whole<'_>) -> Result<(), String> {
        match field {
            "parallelism" => self.parallelism = Some(leaves::to_integer(path, leaf)?),
            "delay" => self.delay = Some(leaves::to_nanoseconds(path, leaf)?),
            "monitor" => self.monitor = Some(leaves::to_nanoseconds(path, leaf)?),
            "order" => self.order = Some(whole(leaf)?),
            "failure_action" => self.failure_action = Some(whole(leaf)?),
            "max_failure_ratio" => self.max_failure_ratio = Some(leaves::to_word(path, leaf)?),
            _ => return Err(format!("{path} is not a field of an update")),
        }
        Ok(())
    }
}

/// A word of the engine's.
fn word<T: std::str::FromStr>(field: &str, word: Option<String>, default: &str) -> Result<Option<T>, String> {
    let word = word.as_deref().unwrap_or(default);
    word.parse().map(Some).map_err(|_| format!("deploy: {field}: {word:?} is not a word that the engine knows"))
}

/// Puts `deploy` into a specification. What is a default is said as well: an update without it would take zero for none.
pub(crate) fn put(document: &Document, whole: &Whole<'_>, spec: &mut ServiceSpec, task: &mut TaskSpec) -> Result<(), String> {
    let (mut update, mut rollback) = (Exchange::default(), Exchange::default());
    let (mut mode, mut replicas, mut concurrent) = (None, None, None);
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        match segments.as_slice() {
            ["deploy", "labels", name] => drop(spec.labels.get_or_insert_default().insert((*name).to_owned(), whole(leaf)?)),
            ["deploy", "mode"] => mode = Some(whole(leaf)?),
            ["deploy", "replicas"] => replicas = Some(leaves::to_integer(path, leaf)?),
            ["deploy", "max_concurrent"] => concurrent = Some(leaves::to_integer(path, leaf)?),
            ["deploy", "endpoint_mode"] => spec.endpoint_spec.get_or_insert_default().mode = Some(leaves::to_word(path, leaf)?),
            ["deploy", "update", field] => update.set(field, path, leaf, whole)?,
            ["deploy", "rollback", field] => rollback.set(field, path, leaf, whole)?,
            ["deploy", "restart", field] => restart(task, field, path, leaf)?,
            ["deploy", "placement", field @ ..] => placement(task, field, path, leaf, whole)?,
            ["deploy", "resources", ..] => {}
            ["deploy", ..] => return Err(format!("{path} is not a field of a service")),
            _ => {}
        }
    }
    spec.mode = Some(mode_of(mode.as_deref(), replicas, concurrent)?);
    spec.update_config = Some(ServiceSpecUpdateConfig {
        parallelism: update.parallelism.or(Some(defaults::PARALLELISM)),
        delay: update.delay,
        failure_action: word("failure_action", update.failure_action, defaults::FAILURE_ACTION)?,
        monitor: update.monitor.or(Some(nanoseconds(defaults::MONITOR))),
        max_failure_ratio: update.max_failure_ratio,
        order: word("order", update.order, defaults::ORDER)?,
    });
    spec.rollback_config = Some(ServiceSpecRollbackConfig {
        parallelism: rollback.parallelism.or(Some(defaults::PARALLELISM)),
        delay: rollback.delay,
        failure_action: word("failure_action", rollback.failure_action, defaults::FAILURE_ACTION)?,
        monitor: rollback.monitor.or(Some(nanoseconds(defaults::MONITOR))),
        max_failure_ratio: rollback.max_failure_ratio,
        order: word("order", rollback.order, defaults::ORDER)?,
    });
    put_resources(document, task)
}

fn mode_of(mode: Option<&str>, replicas: Option<i64>, concurrent: Option<i64>) -> Result<ServiceSpecMode, String> {
    let all = Some(std::collections::HashMap::new());
    match mode {
        None | Some("replicated") => {
            let replicated = Some(ServiceSpecModeReplicated { replicas: replicas.or(Some(REPLICAS)) });
            Ok(ServiceSpecMode { replicated, ..ServiceSpecMode::default() })
        }
        Some("global") => Ok(ServiceSpecMode { global: all, ..ServiceSpecMode::default() }),
        Some("global-job") => Ok(ServiceSpecMode { global_job: all, ..ServiceSpecMode::default() }),
        Some("replicated-job") => {
            let total_completions = replicas.or(Some(REPLICAS));
            let replicated_job = Some(ServiceSpecModeReplicatedJob { max_concurrent: concurrent.or(Some(REPLICAS)), total_completions });
            Ok(ServiceSpecMode { replicated_job, ..ServiceSpecMode::default() })
        }
        Some(other) => Err(format!("deploy.mode: {other:?} is not a mode of a service")),
    }
}

fn restart(task: &mut TaskSpec, field: &str, path: &Path, leaf: &Leaf) -> Result<(), String> {
    let policy = task.restart_policy.get_or_insert_default();
    match field {
        "condition" => policy.condition = Some(leaves::to_word(path, leaf)?),
        "delay" => policy.delay = Some(leaves::to_nanoseconds(path, leaf)?),
        "max_attempts" => policy.max_attempts = Some(leaves::to_integer(path, leaf)?),
        "window" => policy.window = Some(leaves::to_nanoseconds(path, leaf)?),
        _ => return Err(format!("{path} is not a field of a restart")),
    }
    Ok(())
}

fn placement(task: &mut TaskSpec, field: &[&str], path: &Path, leaf: &Leaf, whole: &Whole<'_>) -> Result<(), String> {
    let placement = task.placement.get_or_insert_default();
    match field {
        ["constraints", constraint] => {
            if leaves::to_flag(path, leaf)? {
                placement.constraints.get_or_insert_default().push((*constraint).to_owned());
            }
        }
        ["spread", _] => {
            let spread = TaskSpecPlacementSpread { spread_descriptor: Some(whole(leaf)?) };
            placement.preferences.get_or_insert_default().push(TaskSpecPlacementPreferences { spread: Some(spread) });
        }
        ["max_replicas_per_node"] => placement.max_replicas = Some(leaves::to_integer(path, leaf)?),
        _ => return Err(format!("{path} is not a field of a placement")),
    }
    Ok(())
}

fn put_resources(document: &Document, task: &mut TaskSpec) -> Result<(), String> {
    let (limits, reservations) = resources::read(document)?;
    let some = |number: i64| (number != 0).then_some(number);
    let of = |amount: Amount| amount != Amount::default();
    let limits =
        of(limits).then(|| Limit { nano_cpus: some(limits.nano_cpus), memory_bytes: some(limits.memory), pids: some(limits.pids) });
    let reservations = of(reservations).then(|| ResourceObject {
        nano_cpus: some(reservations.nano_cpus),
        memory_bytes: some(reservations.memory),
        generic_resources: None,
    });
    if limits.is_some() || reservations.is_some() {
        task.resources = Some(TaskSpecResources { limits, reservations, ..TaskSpecResources::default() });
    }
    Ok(())
}
