//! Which changes can be written now, and which never can. Pure: it is told what has ended, and does not look through the
//! plan for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::desired::name::Name;
use crate::desired::resource::ResourceId;
use crate::plan::Plan;

/// The changes that were not started, each with how much it still waits for.
///
/// A change waits for the resources that it names, and for the environments that come before its own, also by way of another
/// in which nothing happens. An environment has ended well when everything in it that changes or is judged has.
#[derive(Default)]
pub struct Queue<'a> {
    waiting: Vec<Waiting<'a>>,
    /// By resource: which changes wait for it.
    waiters: HashMap<&'a ResourceId, Vec<usize>>,
    environments: HashMap<&'a Name, Environment<'a>>,
    /// By environment: changes that wait for nothing more, in the plan's order.
    ready: BTreeMap<&'a Name, BTreeSet<usize>>,
    /// Changes that wait for what does not come, in the plan's order, and what that is.
    never: BTreeMap<usize, String>,
    /// What has not ended yet.
    ending: HashSet<&'a ResourceId>,
    /// Nothing gets ready any more.
    closed: bool,
}

/// One change.
struct Waiting<'a> {
    environment: &'a Name,
    /// How many resources and environments have not ended that it waits for.
    open: usize,
}

#[derive(Default)]
struct Environment<'a> {
    changes: Vec<usize>,
    /// How many resources in it have not ended well.
    open: usize,
    /// Whether one of them never will.
    failed: bool,
    /// The environments that come after it.
    later: Vec<&'a Name>,
}

impl<'a> Queue<'a> {
    /// The changes of a plan. `watched` are the resources that do not change and whose health is waited for.
    pub fn new(plan: &'a Plan, watched: &[&'a ResourceId]) -> Self {
        let mut queue =
            Self { ending: plan.changes.iter().map(|change| &change.id).chain(watched.iter().copied()).collect(), ..Self::default() };
        for id in &queue.ending {
            queue.environments.entry(&id.environment).or_default().open += 1;
        }
        for (i, change) in plan.changes.iter().enumerate() {
            let environment = &change.id.environment;
            queue.environments.entry(environment).or_default().changes.push(i);
            // What neither changes nor is watched is there already.
            let named = change.waits_for.iter().filter(|id| queue.ending.contains(id));
            let open = named.map(|id| queue.waiters.entry(id).or_default().push(i)).count();
            queue.waiting.push(Waiting { environment, open });
        }
        for later in plan.based_on.environments.keys() {
            earlier(plan, later).into_iter().for_each(|before| queue.put_after(later, before));
        }
        for (i, waiting) in queue.waiting.iter().enumerate().filter(|(_, waiting)| waiting.open == 0) {
            queue.ready.entry(waiting.environment).or_default().insert(i);
        }
        queue
    }

    fn put_after(&mut self, later: &'a Name, before: &Name) {
        let Some(environment) = self.environments.get_mut(before) else { return };
        environment.later.push(later);
        for i in self.changes_of(later) {
            self.waiting[i].open += 1;
        }
    }

    fn changes_of(&self, environment: &Name) -> Vec<usize> {
        self.environments.get(environment).map(|environment| environment.changes.clone()).unwrap_or_default()
    }

    /// A resource has ended well.
    pub fn ended(&mut self, id: &ResourceId) {
        if !self.ending.remove(id) {
            return;
        }
        for i in self.waiters.remove(id).unwrap_or_default() {
            self.one_less(i);
        }
        let Some(environment) = self.environments.get_mut(&id.environment) else { return };
        environment.open -= 1;
        if environment.open == 0 {
            for later in std::mem::take(&mut environment.later) {
                self.changes_of(later).into_iter().for_each(|i| self.one_less(i));
            }
        }
    }

    fn one_less(&mut self, i: usize) {
        let waiting = &mut self.waiting[i];
        waiting.open -= 1;
        if waiting.open == 0 && !self.closed {
            self.ready.entry(waiting.environment).or_default().insert(i);
        }
    }

    /// A resource has not ended well, and never will: what waits for it does so for ever.
    pub fn failed(&mut self, id: &ResourceId, why: &str) {
        let mut never = self.waiters.remove(id).unwrap_or_default();
        if let Some(environment) = self.environments.get_mut(&id.environment).filter(|environment| !environment.failed) {
            environment.failed = true;
            let later = std::mem::take(&mut environment.later);
            never.extend(later.into_iter().flat_map(|later| self.changes_of(later)));
        }
        for i in never {
            self.never.entry(i).or_insert_with(|| why.to_owned());
        }
    }

    /// The environments in which something is ready.
    pub fn environments(&self) -> Vec<&'a Name> {
        self.ready.iter().filter(|(_, ready)| !ready.is_empty()).map(|(name, _)| *name).collect()
    }

    /// The first changes of an environment that are ready, at most so many.
    pub fn ready(&self, environment: &Name, most: usize) -> Vec<usize> {
        self.ready.get(environment).into_iter().flatten().take(most).copied().collect()
    }

    /// A change was started.
    pub fn started(&mut self, i: usize) {
        if let Some(ready) = self.ready.get_mut(self.waiting[i].environment) {
            ready.remove(&i);
        }
    }

    /// The next change that never gets ready, and why.
    pub fn next_never(&mut self) -> Option<(usize, String)> {
        self.never.pop_first()
    }

    /// Nothing is started any more.
    pub fn close(&mut self) {
        self.closed = true;
        self.ready.clear();
    }
}

/// The environments that come before this one, also by way of another in which nothing happens.
fn earlier<'a>(plan: &'a Plan, environment: &'a Name) -> HashSet<&'a Name> {
    let (mut found, mut next) = (HashSet::new(), vec![environment]);
    while let Some(name) = next.pop() {
        let settings = plan.based_on.environments.get(name);
        next.extend(settings.into_iter().flat_map(|settings| &settings.after).filter(|name| found.insert(*name)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan of changes as they would be noted down: `prod/web after dev/db`, in environments that may come after others.
    fn plan(environments: &str, changes: &[&str]) -> Plan {
        let environments = environments.split_whitespace().map(|written| {
            let (name, after) = written.split_once('>').unwrap_or((written, ""));
            let after: Vec<&str> = after.split(',').filter(|name| !name.is_empty()).collect();
            (name.to_owned(), serde_json::json!({ "platform": "local", "after": after }))
        });
        let changes = changes.iter().map(|written| {
            let (id, after) = written.split_once(" after ").unwrap_or((written, ""));
            let after: Vec<ResourceId> = after.split(", ").filter(|id| !id.is_empty()).map(id_of).collect();
            serde_json::json!({
                "id": id_of(id), "app": "web", "action": "restart", "reason": "requested", "waits_for": after, "fence": {},
            })
        });
        serde_json::from_value(serde_json::json!({
            "format": 1,
            "based_on": { "project": { "name": "shop" }, "environments": environments.collect::<serde_json::Map<_, _>>() },
            "changes": changes.collect::<Vec<_>>(),
            "coverage": { "unchanged": 0, "observed": 0, "requests": 0 },
        }))
        .unwrap()
    }

    fn id_of(written: &str) -> ResourceId {
        written.replace('/', "/service/").parse().unwrap()
    }

    /// What is ready, taken out.
    fn take(queue: &mut Queue<'_>) -> Vec<usize> {
        let ready: Vec<usize> = queue.environments().into_iter().flat_map(|name| queue.ready(name, usize::MAX)).collect();
        ready.iter().for_each(|i| queue.started(*i));
        ready
    }

    #[test]
    fn nothing_is_ready_where_nothing_is_to_be_done() {
        assert_eq!(take(&mut Queue::new(&plan("dev", &[]), &[])), [0; 0]);
    }

    #[test]
    fn a_change_is_ready_when_the_last_of_what_it_waits_for_has_ended() {
        let plan = plan("dev", &["dev/db", "dev/cache", "dev/web after dev/cache, dev/db, dev/there", "dev/mail after dev/watched"]);
        let watched = id_of("dev/watched");
        let mut queue = Queue::new(&plan, &[&watched]);
        assert_eq!(take(&mut queue), [0, 1], "what neither changes nor is watched is there already");
        queue.ended(&id_of("dev/db"));
        queue.ended(&id_of("dev/db"));
        assert_eq!(take(&mut queue), [0; 0], "ended twice is ended once");
        queue.ended(&id_of("dev/cache"));
        assert_eq!(take(&mut queue), [2]);
        queue.ended(&watched);
        assert_eq!(take(&mut queue), [3]);
    }

    #[test]
    fn an_environment_waits_for_everything_in_those_before_it() {
        let plan = plan("dev staging>dev prod>staging", &["dev/db", "dev/web after dev/db", "prod/web"]);
        let watched = id_of("dev/cache");
        let mut queue = Queue::new(&plan, &[&watched]);
        for (ends, ready) in [("dev/db", vec![0]), ("dev/web", vec![1]), ("dev/cache", vec![]), ("prod/web", vec![2])] {
            assert_eq!(take(&mut queue), ready);
            queue.ended(&id_of(ends));
        }
    }

    #[test]
    fn what_waits_for_a_failure_never_gets_ready() {
        let plan = plan("dev prod>dev", &["dev/db", "dev/web after dev/db", "prod/web", "prod/mail"]);
        let mut queue = Queue::new(&plan, &[]);
        take(&mut queue);
        queue.failed(&id_of("dev/db"), "dev/db failed");
        let mut never = vec![];
        while let Some((i, why)) = queue.next_never() {
            queue.failed(&plan.changes[i].id, "it was skipped");
            never.push((i, why));
        }
        assert_eq!(never, [1, 2, 3].map(|i| (i, "dev/db failed".to_owned())), "each once, with the first cause");
        assert_eq!(take(&mut queue), [0; 0]);
    }

    #[test]
    fn nothing_gets_ready_after_it_was_closed() {
        let plan = plan("dev", &["dev/db", "dev/cache", "dev/web after dev/db"]);
        let mut queue = Queue::new(&plan, &[]);
        queue.started(0);
        queue.close();
        queue.ended(&id_of("dev/db"));
        assert_eq!(take(&mut queue), [0; 0]);
    }
}
