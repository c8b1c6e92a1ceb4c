//! The run of an apply: what is ready is written, what is written is waited for, what cannot be is skipped.
//!
//! One task drives it. A change is `Pending` until everything that it waits for is done and healthy; then it is written;
//! then, where it has health, it is waited for until it settles or its time is over. Health of everything that is waited
//! for in an environment is asked for in one call.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::prepare::Environments;
use super::ready::Queue;
use super::write::Write;
use super::{Applied, ApplyOptions, ChangeReport, ChangeResult, Event, Progress, ResourceHealth};
use crate::desired::name::Name;
use crate::desired::resource::ResourceId;
use crate::health::{Health, RolloutState};
use crate::plan::change::{Action, Change};
use crate::plan::{Judged, Plan, Rollout};
use crate::platform::{Lease, Outcome, PlatformError, PlatformErrorKind};
use crate::render::secret::{Attributes, Secrets};

/// The first wait between two questions for health; it doubles up to [`SLOWEST`].
const FASTEST: Duration = Duration::from_millis(50);
/// The longest wait between two questions for health.
const SLOWEST: Duration = Duration::from_secs(2);

/// After the time of `--timeout` a write that is under way has this long to say what came of it. It is in docs/commands.md.
pub const GRACE: Duration = Duration::from_secs(10);
/// After an interruption it has this long: longer than any platform's own limit for one request.
const LAST_WORD: Duration = Duration::from_secs(90);

/// A platform that does not say how things are within this time is asked again.
const ANSWER: Duration = Duration::from_secs(30);

/// So many changes that are ready are offered to `Platform::batches` at once: more than any call carries, and not a long plan
/// from end to end each time that something is done.
const OFFERED: usize = 64;

/// How far a change is.
enum State {
    Pending,
    /// It is being written.
    Writing,
    /// It is written, and its health is waited for.
    Waiting(ChangeResult),
    Finished(ChangeReport),
}

/// A resource whose health is waited for.
struct Watched<'a> {
    app: &'a Name,
    timeout: Duration,
    deadline: Option<Instant>,
    last: Option<Health>,
    /// It does not change, and the platform had gone back to it before the plan was made: what runs is what is declared.
    went_back_before: bool,
    /// Whether it got healthy; None while that is open.
    settled: Option<bool>,
}

/// Something that was going on and is over.
enum Completed {
    Written(Vec<usize>, Vec<Outcome>),
    Health(Vec<ResourceId>, Result<Vec<Health>, PlatformError>),
}

/// A plan that is being carried out.
pub struct Run<'a> {
    plan: &'a Plan,
    secrets: &'a Secrets,
    environments: &'a Environments,
    attributes: Attributes,
    options: &'a ApplyOptions,
    progress: &'a dyn Progress,
    index: HashMap<&'a ResourceId, usize>,
    judged: HashMap<&'a ResourceId, &'a Judged>,
    /// What some change waits for.
    gates: HashSet<&'a ResourceId>,
    queue: Queue<'a>,
    states: Vec<State>,
    /// How many of them are not finished.
    unfinished: usize,
    watched: BTreeMap<ResourceId, Watched<'a>>,
    /// Those that did not settle.
    unsettled: BTreeSet<ResourceId>,
    running: FuturesUnordered<BoxFuture<'a, Completed>>,
    writing: HashMap<&'a Name, usize>,
    next_poll: Instant,
    pause: Duration,
    /// How many questions for health are open.
    asked: usize,
    /// Why nothing new is started any more.
    stopped: Option<String>,
    /// Why nothing is waited for any more either.
    abandoned: Option<String>,
    /// Cancelled then: writes that are under way hear of it.
    given_up: CancellationToken,
    /// When the time given by `--timeout` is over.
    end: Option<Instant>,
    /// When writes are not waited for any more either, and what tells them.
    cut_off_at: Option<Instant>,
    cut_off: CancellationToken,
}

impl<'a> Run<'a> {
    /// A run that has not started.
    pub fn new(
        plan: &'a Plan,
        secrets: &'a Secrets,
        environments: &'a Environments,
        attributes: Attributes,
        options: &'a ApplyOptions,
        progress: &'a dyn Progress,
        end: Option<Instant>,
    ) -> Self {
        let index: HashMap<&ResourceId, usize> = plan.changes.iter().enumerate().map(|(i, change)| (&change.id, i)).collect();
        let mut run = Self {
            plan,
            secrets,
            environments,
            attributes,
            options,
            progress,
            queue: Queue::default(),
            states: plan.changes.iter().map(|_| State::Pending).collect(),
            unfinished: plan.changes.len(),
            watched: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            running: FuturesUnordered::new(),
            writing: HashMap::new(),
            next_poll: Instant::now(),
            pause: FASTEST,
            asked: 0,
            stopped: None,
            abandoned: None,
            given_up: CancellationToken::new(),
            end,
            cut_off_at: None,
            cut_off: CancellationToken::new(),
            index,
            judged: plan.judged.iter().map(|judged| (&judged.id, judged)).collect(),
            gates: plan.changes.iter().flat_map(|change| &change.waits_for).collect(),
        };
        run.watch_unchanged();
        run
    }

    /// Declared resources that do not change are judged too; with `no_wait` only those that are waited for all the same.
    fn watch_unchanged(&mut self) {
        let wanted = |id: &&ResourceId| !self.options.no_wait || self.is_waited_for(id);
        let unchanged = self.plan.judged.iter().map(|judged| &judged.id).filter(|id| !self.index.contains_key(id));
        let unchanged: Vec<&'a ResourceId> = unchanged.filter(wanted).collect();
        self.queue = Queue::new(self.plan, &unchanged);
        unchanged.into_iter().for_each(|id| self.watch(id));
    }

    fn watch(&mut self, id: &ResourceId) {
        let Some(judged) = self.judged.get(id) else { return };
        let timeout = judged.timeout.to_std();
        let went_back = |rollout: &Rollout| rollout.id == *id && matches!(rollout.state, RolloutState::RolledBack { .. });
        let watched = Watched {
            app: &judged.app,
            timeout,
            deadline: Some(Instant::now() + timeout),
            last: None,
            went_back_before: !self.index.contains_key(id) && self.plan.rollouts.iter().any(went_back),
            settled: None,
        };
        self.watched.insert(id.clone(), watched);
        self.unsettled.insert(id.clone());
        self.next_poll = Instant::now();
        self.pause = FASTEST;
    }

    /// Carries the plan out.
    pub async fn to_the_end(mut self) -> Applied {
        let cancel = self.options.cancel.clone();
        let end = self.end;
        loop {
            self.start_ready();
            // Questions for health may still be open where the run was given up: nobody waits for those answers.
            if self.is_over() {
                return self.report();
            }
            let poll_at = self.next_poll;
            let poll = self.asked == 0 && self.abandoned.is_none() && !self.unsettled.is_empty();
            if self.running.is_empty() && !poll {
                self.stop("it waits for something that does not come");
                continue;
            }
            tokio::select! {
                Some(completed) = self.running.next(), if !self.running.is_empty() => self.complete(completed),
                () = sleep_until(poll_at), if poll => self.ask_health(),
                () = cancel.cancelled(), if self.abandoned.is_none() => self.abandon("interrupted", LAST_WORD),
                () = sleep_until(end.unwrap_or(poll_at)), if end.is_some() && self.abandoned.is_none() => {
                    self.abandon("the time given by --timeout is over", GRACE);
                }
                () = sleep_until(self.cut_off_at.unwrap_or(poll_at)), if self.cut_off_at.is_some() => self.cut_off(),
            }
        }
    }

    fn is_over(&self) -> bool {
        self.unfinished == 0 && (self.abandoned.is_some() || self.unsettled.is_empty())
    }

    /// Starts nothing new.
    fn stop(&mut self, why: &str) {
        self.stopped = Some(why.to_owned());
        self.queue.close();
        for i in 0..self.states.len() {
            if matches!(self.states[i], State::Pending) {
                self.finish(i, ChangeResult::Skipped { why: why.to_owned() });
            }
        }
    }

    fn cut_off(&mut self) {
        self.cut_off_at = None;
        self.cut_off.cancel();
    }

    /// Starts nothing new, and waits for nothing but what is being written, and for that no longer than a last word takes.
    fn abandon(&mut self, why: &str, last_word: Duration) {
        self.abandoned = Some(why.to_owned());
        self.given_up.cancel();
        self.cut_off_at = Some(Instant::now() + last_word);
        self.stop(why);
        for i in 0..self.states.len() {
            if matches!(self.states[i], State::Waiting(_)) {
                self.finish(i, ChangeResult::Unhealthy { why: format!("{why} before it was healthy") });
            }
        }
    }

    fn start_ready(&mut self) {
        self.skip_hopeless();
        for name in self.queue.environments() {
            if !self.is_full(name) {
                self.start(name, self.queue.ready(name, OFFERED));
            }
        }
        self.skip_hopeless();
    }

    fn skip_hopeless(&mut self) {
        // Skipping one decides about those that wait for it, which come later in the plan.
        while let Some((i, why)) = self.queue.next_never() {
            if matches!(self.states[i], State::Pending) {
                self.finish(i, ChangeResult::Skipped { why });
            }
        }
    }

    fn is_full(&self, environment: &Name) -> bool {
        self.writing.get(environment).copied().unwrap_or(0) >= self.options.concurrency.max(1)
    }

    fn start(&mut self, name: &'a Name, indexes: Vec<usize>) {
        let Some(environment) = self.environments.get(name) else {
            let why = "its environment is not part of the plan".to_owned();
            return indexes.into_iter().for_each(|i| {
                self.queue.started(i);
                self.finish(i, ChangeResult::Skipped { why: why.clone() });
            });
        };
        let changes: Vec<&'a Change> = indexes.iter().map(|i| &self.plan.changes[*i]).collect();
        for batch in environment.platform.batches(&changes) {
            if self.is_full(name) {
                return;
            }
            let indexes: Vec<usize> = batch.iter().map(|b| indexes[*b]).collect();
            let batch: Vec<&'a Change> = batch.into_iter().map(|b| changes[b]).collect();
            *self.writing.entry(name).or_default() += 1;
            for (i, change) in indexes.iter().zip(&batch) {
                self.states[*i] = State::Writing;
                self.queue.started(*i);
                self.progress.event(Event::Started { id: &change.id, action: change.action });
            }
            let write = Write {
                platform: environment.platform.clone(),
                attributes: self.attributes_for(&batch),
                batch,
                secrets: self.secrets,
                revision: self.plan.based_on.revision.as_deref(),
                given_up: self.given_up.clone(),
                cut_off: self.cut_off.clone(),
            };
            let progress = self.progress;
            self.running.push(Box::pin(async move {
                let tell = |change: &Change, error: &PlatformError, after| progress.event(Event::Retrying { id: &change.id, error, after });
                Completed::Written(indexes, write.run(tell).await)
            }));
        }
    }

    fn attributes_for(&self, batch: &[&Change]) -> Attributes {
        let texts =
            batch.iter().filter_map(|change| change.desired.as_ref()).flat_map(|d| d.document.leaves()).filter_map(|(_, l)| l.text());
        let ids = texts.flat_map(|text| text.attributes()).map(|(of, _)| of);
        ids.filter_map(|of| Some((of.clone(), self.attributes.get(of)?.clone()))).collect()
    }

    fn complete(&mut self, completed: Completed) {
        match completed {
            Completed::Written(indexes, outcomes) => {
                if let Some(first) = indexes.first() {
                    *self.writing.entry(&self.plan.changes[*first].id.environment).or_default() -= 1;
                }
                indexes.into_iter().zip(outcomes).for_each(|(i, outcome)| self.written(i, outcome));
            }
            Completed::Health(ids, answer) => self.answered(ids, answer),
        }
    }

    fn written(&mut self, i: usize, outcome: Outcome) {
        let change = &self.plan.changes[i];
        let result = match outcome {
            Outcome::Done { attributes } => {
                self.attributes.insert(change.id.clone(), attributes);
                ChangeResult::Done
            }
            Outcome::AlreadyDone { attributes } => {
                self.attributes.insert(change.id.clone(), attributes);
                ChangeResult::AlreadyDone
            }
            Outcome::Stale { why } => ChangeResult::Stale { why },
            Outcome::Failed(error) => ChangeResult::Failed { why: error.to_string(), hint: error.hint },
            Outcome::Unknown(error) => ChangeResult::Unknown { why: error.to_string() },
        };
        let good = matches!(result, ChangeResult::Done | ChangeResult::AlreadyDone);
        let has_health = change.action != Action::Delete && self.judged.contains_key(&change.id);
        let wait = good && has_health && (!self.options.no_wait || self.is_waited_for(&change.id));
        match &self.abandoned {
            None if wait => {
                self.states[i] = State::Waiting(result);
                self.watch(&change.id);
            }
            Some(why) if wait => self.finish(i, ChangeResult::Unhealthy { why: format!("{why} before it was healthy") }),
            _ => self.finish(i, result),
        }
    }

    /// Whether its health is waited for with `no_wait`: where what needs it cannot even be written before, and before another
    /// environment is begun.
    fn is_waited_for(&self, id: &ResourceId) -> bool {
        let precedes_writes = || self.judged.get(id).is_some_and(|judged| judged.precedes_writes);
        (self.gates.contains(id) && precedes_writes()) || self.is_before_another(&id.environment)
    }

    fn is_before_another(&self, environment: &Name) -> bool {
        self.plan.based_on.environments.values().any(|settings| settings.after.contains(environment))
    }

    fn finish(&mut self, i: usize, result: ChangeResult) {
        let change = &self.plan.changes[i];
        let good = matches!(result, ChangeResult::Done | ChangeResult::AlreadyDone);
        let health = self.watched.get(&change.id).and_then(|watched| watched.last.clone());
        let report = ChangeReport { id: change.id.clone(), app: change.app.clone(), action: change.action, result, health };
        self.progress.event(Event::Finished { report: &report });
        match &report.result {
            ChangeResult::Done | ChangeResult::AlreadyDone => self.queue.ended(&change.id),
            ChangeResult::Skipped { .. } => self.queue.failed(&change.id, &format!("{} was skipped", change.id)),
            ChangeResult::Unhealthy { why } => self.queue.failed(&change.id, &format!("{} is not healthy: {why}", change.id)),
            _ => self.queue.failed(&change.id, &format!("{} failed", change.id)),
        }
        self.states[i] = State::Finished(report);
        self.unfinished -= 1;
        if !good && self.options.fail_fast && self.stopped.is_none() {
            self.stop(&format!("{} failed, and --fail-fast was given", change.id));
        }
    }

    /// Asks each environment for the health of everything that is waited for in it.
    fn ask_health(&mut self) {
        let mut open: BTreeMap<&Name, Vec<ResourceId>> = BTreeMap::new();
        for id in &self.unsettled {
            open.entry(&id.environment).or_default().push(id.clone());
        }
        for (name, ids) in open {
            let Some(environment) = self.environments.get(name) else { continue };
            let platform = environment.platform.clone();
            self.asked += 1;
            self.running.push(Box::pin(async move {
                let health = timeout(ANSWER, platform.health(&ids)).await.unwrap_or_else(|_| Err(no_answer()));
                Completed::Health(ids, health)
            }));
        }
        self.next_poll = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(SLOWEST);
    }

    fn answered(&mut self, ids: Vec<ResourceId>, answer: Result<Vec<Health>, PlatformError>) {
        self.asked -= 1;
        let now = Instant::now();
        self.next_poll = self.next_poll.max(now + FASTEST);
        let answers: Vec<Option<Health>> = match answer {
            Ok(health) => health.into_iter().map(Some).collect(),
            Err(error) if error.kind.is_transient() => ids.iter().map(|_| None).collect(),
            Err(error) => ids.iter().map(|_| Some(unknown(error.to_string()))).collect(),
        };
        // Whoever is left out of an answer is asked for again, and its time runs on.
        for (id, health) in ids.into_iter().zip(answers.into_iter().chain(std::iter::repeat(None))) {
            let Some(watched) = self.watched.get_mut(&id) else { continue };
            if let Some(health) = health {
                let health = if watched.went_back_before { health.apart_from_rollback() } else { health };
                if watched.last.as_ref() != Some(&health) {
                    self.progress.event(Event::Waiting { id: &id, health: &health });
                }
                watched.settled = health.settled();
                watched.last = Some(health);
            }
            let late = watched.deadline.is_some_and(|deadline| now >= deadline);
            if late && watched.settled.is_none() {
                watched.settled = Some(false);
            }
            if let Some(good) = watched.settled {
                let why = (!good).then(|| reason(watched.last.as_ref(), late.then_some(watched.timeout)));
                self.settle(&id, why);
            }
        }
    }

    fn settle(&mut self, id: &ResourceId, why_not: Option<String>) {
        self.unsettled.remove(id);
        let Some(i) = self.index.get(id).copied() else {
            return match why_not {
                None => self.queue.ended(id),
                Some(why) => self.queue.failed(id, &format!("{id} is not healthy: {why}")),
            };
        };
        if let State::Waiting(result) = &self.states[i] {
            let result = why_not.map_or_else(|| result.clone(), |why| ChangeResult::Unhealthy { why });
            self.finish(i, result);
        }
    }

    fn report(self) -> Applied {
        let notes = self.environments.iter().filter_map(|(name, environment)| match environment.leases.first() {
            Some(Lease::Unsupported { why }) => Some(format!("{name}: nothing keeps a second writer out: {why}")),
            Some(Lease::Held(_)) | None => None,
        });
        let changes = self.states.into_iter().filter_map(|state| match state {
            State::Finished(report) => Some(report),
            State::Pending | State::Writing | State::Waiting(_) => None,
        });
        // What nobody could be asked about is not known, which is no success.
        let health = self.watched.into_iter().map(|(id, watched)| {
            let health = watched.last.unwrap_or_else(|| unknown(self.abandoned.as_deref().unwrap_or("the platform did not say how it is")));
            ResourceHealth { id, app: watched.app.clone(), health }
        });
        Applied { changes: changes.collect(), health: health.collect(), requests: 0, notes: notes.collect() }
    }
}

fn no_answer() -> PlatformError {
    PlatformError::new(PlatformErrorKind::Unreachable, "asking for health", "no answer in time")
}

fn unknown(why: impl Into<String>) -> Health {
    Health { status: crate::health::Status::Unknown, ..Health::missing(why) }
}

/// Why something is not healthy, in one sentence.
fn reason(health: Option<&Health>, after: Option<Duration>) -> String {
    let late = after.map(|after| format!("not healthy within {}", crate::desired::quantity::Duration(after.as_millis() as u64)));
    let said = health.map(|health| match &health.rollout {
        RolloutState::RolledBack { why } => format!("the platform went back to what ran before: {why}"),
        RolloutState::Paused { why } => format!("the roll-out was stopped: {why}"),
        RolloutState::Done | RolloutState::Running => format!("{}: {}", health.status, health.message),
    });
    match (late, said) {
        (Some(late), Some(said)) => format!("{late}; {said}"),
        (late, said) => late.or(said).unwrap_or_else(|| "its health is not known".into()),
    }
}
