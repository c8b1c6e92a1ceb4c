//! The instances of one service: which count, which have failed, and what is made of all of them.

use std::collections::BTreeMap;

use bollard::models::{Service, Task, TaskState};
use stratos_engine::health::{Instance, RolloutState, Status};

use super::Watched;
use super::task::{self, Seen};
use crate::swarm::live::service_name;

/// An instance that ended so often does not work, whatever the orchestrator still tries.
const CRASHES: usize = 3;
/// One that could not even be started (no such image) so often.
const REJECTIONS: usize = 2;

/// What is known of a service's instances.
pub(super) struct Judged<'a> {
    /// Each place for an instance, with the last one there that ended.
    pub instances: Vec<(Instance, Option<&'a Task>)>,
    /// Those that run and count.
    pub running: Vec<&'a Task>,
    /// How many should run; None where that is for the nodes to say.
    wanted: Option<usize>,
    /// What the last one died of that is made from what the service is now.
    pub cause: Option<String>,
    /// What the last one died of that is made from something else: after a rollback, from what was taken back.
    pub cause_before: Option<String>,
}

/// Looks at the tasks of a service, which are those of now and some of the past.
pub(super) fn judge<'a>(service: &Service, tasks: &'a [Task], watched: &Watched) -> Judged<'a> {
    let mut places: BTreeMap<(i64, String), Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        places.entry(place(task)).or_default().push(task);
    }
    let mut out = Judged {
        instances: vec![],
        running: vec![],
        wanted: wanted(service),
        cause: cause(service, tasks, true),
        cause_before: cause(service, tasks, false),
    };
    for ((_, place), mut tasks) in places {
        tasks.sort_by(|a, b| newest_first(a, b));
        // A place that is to be empty: fewer instances than before, or a node less.
        if !tasks.iter().any(|task| task::is_wanted(task)) {
            continue;
        }
        let current: Vec<&Task> = tasks.iter().copied().filter(|task| task::is_current(task, service)).collect();
        let ended = current.iter().copied().find(|task| task::has_ended(task));
        let failures = current.iter().filter(|task| task::has_ended(task)).count();
        let Seen { status, message } = match current.iter().copied().find(|task| task::is_wanted(task)) {
            Some(now) => look(now, &current, service, watched),
            None => Seen { status: Status::Progressing, message: "the new instance is not there yet".to_owned() },
        };
        if status == Status::Healthy {
            out.running.extend(current.iter().copied().find(|task| task::is_wanted(task)));
        }
        let restarts = u32::try_from(failures).unwrap_or(u32::MAX);
        let name = format!("{}.{place}", service_name(service));
        out.instances.push((Instance { name, status, message, restarts, last_log: vec![] }, ended));
    }
    out
}

/// The instance that should run in a place, in the light of those before it.
fn look(now: &Task, place: &[&Task], service: &Service, watched: &Watched) -> Seen {
    let last = place.iter().copied().find(|task| task::has_ended(task));
    let problem = last.map(|task| task::problem(task, service));
    match task::state(now) {
        TaskState::RUNNING if task::has_check(now) || has_stayed(now, service, watched) => {
            return Seen { status: Status::Healthy, message: String::new() };
        }
        TaskState::COMPLETE => return Seen { status: Status::Healthy, message: String::new() },
        _ => {}
    }
    let failed = || place.iter().filter(|task| task::has_failed(task));
    let crashes = failed().count();
    let rejections = failed().filter(|task| task::state(task) == TaskState::REJECTED).count();
    if let Some(problem) = &problem
        && (crashes >= CRASHES || rejections >= REJECTIONS)
    {
        return Seen { status: Status::Failed, message: format!("it was started {crashes} times, and: {problem}") };
    }
    let message = match (task::state(now), problem) {
        // What keeps it from being placed is said by itself: no node with room, no port.
        (TaskState::PENDING, _) => task::problem(now, service),
        (_, Some(problem)) => problem,
        (TaskState::RUNNING, None) => "it runs, and is watched for a moment".to_owned(),
        (TaskState::STARTING, None) if task::has_check(now) => "it runs, and its health check has not passed yet".to_owned(),
        (_, None) => "it is starting".to_owned(),
    };
    Seen { status: Status::Progressing, message }
}

/// Without a health check an instance counts once it has run for a while. By the time that its node wrote down, or by what
/// we saw ourselves: the two clocks need not agree.
fn has_stayed(now: &Task, service: &Service, watched: &Watched) -> bool {
    let watch = task::watch(service);
    let seen = watched.runs_since(now.id.as_deref().unwrap_or_default());
    let written = now.status.as_ref().and_then(|status| status.timestamp.as_ref());
    let written = written.and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let age = written.and_then(|time| std::time::Duration::try_from(jiff::Timestamp::now().duration_since(time)).ok());
    seen.elapsed() >= watch || age.is_some_and(|age| age >= watch)
}

/// Where an instance belongs: a slot, by its number, or a node where each has one.
fn place(task: &Task) -> (i64, String) {
    match (task.slot.filter(|slot| *slot > 0), &task.node_id) {
        (Some(slot), _) => (slot, slot.to_string()),
        (None, Some(node)) => (0, node.clone()),
        (None, None) => (0, "new".to_owned()),
    }
}

fn newest_first(a: &Task, b: &Task) -> std::cmp::Ordering {
    let index = |task: &Task| task.version.as_ref().and_then(|version| version.index).unwrap_or_default();
    (&b.created_at, index(b)).cmp(&(&a.created_at, index(a)))
}

fn wanted(service: &Service) -> Option<usize> {
    let mode = service.spec.as_ref().and_then(|spec| spec.mode.as_ref())?;
    let replicas = match (&mode.replicated, &mode.replicated_job) {
        (Some(replicated), _) => replicated.replicas,
        (None, Some(job)) => job.total_completions,
        (None, None) => return None,
    };
    usize::try_from(replicas.unwrap_or(1)).ok()
}

fn cause(service: &Service, tasks: &[Task], current: bool) -> Option<String> {
    let of = |task: &&Task| task::has_ended(task) && task::is_current(task, service) == current;
    let mut failed: Vec<&Task> = tasks.iter().filter(of).collect();
    failed.sort_by(|a, b| newest_first(a, b));
    failed.first().map(|task| task::problem(task, service)).filter(|problem| !problem.is_empty())
}

impl Judged<'_> {
    /// One word and one sentence for all of them.
    pub(super) fn verdict(&self, rollout: &RolloutState) -> (Status, String) {
        let up = self.running.len();
        let wanted = self.wanted.unwrap_or(self.instances.len().max(1));
        if up >= wanted {
            return (Status::Healthy, String::new());
        }
        let say = |instance: &Instance| format!("{up} of {wanted} run; {}: {}", instance.name, instance.message);
        let worst = |status: Status| self.instances.iter().map(|(instance, _)| instance).find(|instance| instance.status == status);
        if let Some(failed) = worst(Status::Failed) {
            return (Status::Failed, say(failed));
        }
        let message = worst(Status::Progressing).map_or_else(|| format!("{up} of {wanted} run"), say);
        let degraded = up > 0 && *rollout == RolloutState::Done;
        (if degraded { Status::Degraded } else { Status::Progressing }, message)
    }
}
