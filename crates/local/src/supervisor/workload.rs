//! One workload: brings what runs to what should run, and judges how that goes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use stratos_engine::desired::document::Document;
use stratos_engine::desired::owner::Marks;
use stratos_engine::health::{Health, RolloutState, Status};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

use super::change;
use super::files::Drift;
use super::instance::{Instance, Phase};
use super::rollout::{Rules, Step, View, ViewState, steps};
use super::site::Site;
use super::spec::{Action, Spec};
use super::world::World;
use crate::translate::HOST;
use stratos_balancer::Listeners;

/// Without a deadline, the next event is waited for: this is only to have one type of timer.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// One specification of a workload, as it was applied.
#[derive(Clone)]
pub(crate) struct Version {
    pub spec: Rc<Spec>,
    /// What is live while this version is: a roll-back makes it live again.
    pub document: Document,
    pub marks: Option<Marks>,
    pub mounts: BTreeMap<String, String>,
    /// Versions of one template share the instances of a generation.
    generation: u64,
}

impl Version {
    pub fn new(spec: Spec, document: Document, marks: Option<Marks>, mounts: BTreeMap<String, String>) -> Self {
        Self { spec: Rc::new(spec), document, marks, mounts, generation: 0 }
    }
}

/// How the last roll-out stands.
enum Progress {
    Running {
        deadline: Instant,
    },
    Done,
    RolledBack {
        why: String,
    },
    /// It failed and is left as it is. `held`: nothing more is started or stopped for it. A first roll-out, which has
    /// nothing to return to, is not held: it may still come good.
    Paused {
        why: String,
        held: bool,
    },
}

impl Progress {
    fn state(&self) -> RolloutState {
        match self {
            Self::Running { .. } => RolloutState::Running,
            Self::Done => RolloutState::Done,
            Self::RolledBack { why } => RolloutState::RolledBack { why: why.clone() },
            Self::Paused { why, .. } => RolloutState::Paused { why: why.clone() },
        }
    }
}

/// A workload that runs.
pub(crate) struct Workload {
    pub site: Rc<Site>,
    pub listeners: Listeners<u16>,
    world: Weak<World>,
    inner: RefCell<Inner>,
    gone: Notify,
}

struct Inner {
    target: Version,
    /// What ran well last.
    good: Option<Version>,
    progress: Progress,
    instances: Vec<Rc<Instance>>,
    next_serial: u64,
    next_generation: u64,
    ending: bool,
}

impl Workload {
    /// Starts a workload. Its listeners are added by the caller.
    pub fn start(world: &Rc<World>, site: Rc<Site>, target: Version, first_serial: u64) -> Rc<Self> {
        let workload = Rc::new(Self {
            site,
            listeners: Listeners::default(),
            world: Rc::downgrade(world),
            inner: RefCell::new(Inner {
                progress: running(&target.spec),
                target,
                good: None,
                instances: vec![],
                next_serial: first_serial,
                next_generation: 1,
                ending: false,
            }),
            gone: Notify::new(),
        });
        spawn_local(workload.clone().drive());
        workload
    }

    /// What should run.
    pub fn spec(&self) -> Rc<Spec> {
        self.inner.borrow().target.spec.clone()
    }

    /// Rolls another version out. Instances are exchanged when their template changes, or when `anew` says so.
    pub fn update(&self, mut version: Version, anew: bool) {
        let mut inner = self.inner.borrow_mut();
        let same = |other: &Version| !anew && other.spec.template == version.spec.template;
        version.generation = if same(&inner.target) {
            inner.target.generation
        } else if let Some(good) = inner.good.as_ref().filter(|good| same(good)) {
            good.generation
        } else {
            inner.new_generation()
        };
        for instance in inner.instances.iter().filter(|i| i.generation == version.generation) {
            instance.respecify(&version.spec);
        }
        inner.progress = running(&version.spec);
        inner.target = version;
        self.site.wake.notify_one();
    }

    /// Exchanges all instances for new ones of the same version.
    pub fn restart(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.target.generation = inner.new_generation();
        inner.progress = running(&inner.target.spec);
        self.site.wake.notify_one();
    }

    /// It is not ours any more: a roll-back must not make it ours again.
    pub fn forget(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.target.marks = None;
        if let Some(good) = &mut inner.good {
            good.marks = None;
        }
    }

    /// Ends all instances. What was published is free at once.
    pub fn end(&self) {
        self.listeners.close();
        let mut inner = self.inner.borrow_mut();
        inner.ending = true;
        inner.instances.iter().for_each(|instance| instance.stop());
        self.site.wake.notify_one();
    }

    /// Waits until the last instance is gone, after [`Workload::end`].
    pub async fn ended(&self) {
        while self.inner.borrow().instances.iter().any(|i| i.phase() != Phase::Gone) {
            self.gone.notified().await;
        }
    }

    /// How the files of what should run differ from what was written.
    pub fn drift(&self) -> Vec<(String, Drift)> {
        let inner = self.inner.borrow();
        let current = inner.instances.iter().filter(|i| i.generation == inner.target.generation);
        current.flat_map(|instance| instance.drift()).collect()
    }

    /// The instances that have not been told to end.
    pub fn serials(&self) -> Vec<u64> {
        self.inner.borrow().instances.iter().map(|i| i.serial).collect()
    }

    async fn drive(self: Rc<Self>) {
        loop {
            let rolled_back = self.inner.borrow_mut().reconcile(&self.site);
            if let (Some(version), Some(world)) = (rolled_back, self.world.upgrade()) {
                change::roll_back(&world, &self, &version);
            }
            let (ended, deadline) = {
                let inner = self.inner.borrow();
                (inner.ending && inner.instances.is_empty(), inner.deadline())
            };
            // More than one may wait: who deleted it, and who ends the supervisor.
            self.gone.notify_waiters();
            if ended {
                return;
            }
            tokio::select! {
                () = self.site.wake.notified() => {}
                () = sleep_until(deadline.unwrap_or_else(|| Instant::now() + FAR)) => {}
            }
        }
    }

    /// How its last roll-out stands.
    pub fn rollout(&self) -> RolloutState {
        self.inner.borrow().progress.state()
    }

    /// How it is.
    pub fn health(&self) -> Health {
        let inner = self.inner.borrow();
        let current: Vec<&Rc<Instance>> = inner.current().collect();
        let serving = inner.instances.iter().filter(|i| i.phase() == Phase::Ready).count();
        let ready = current.iter().filter(|i| i.phase() == Phase::Ready).count();
        let replicas = inner.target.spec.replicas as usize;
        let broken = current.iter().find(|i| i.phase() == Phase::Failed);
        let worst = broken.or_else(|| current.iter().find(|i| i.phase() != Phase::Ready));
        let worst = worst.map(|instance| format!("; {}", instance.sentence())).unwrap_or_default();
        let (status, message) = match &inner.progress {
            Progress::Running { .. } => (Status::Progressing, format!("{ready} of {replicas} instances are up to date and ready{worst}")),
            Progress::Paused { why, .. } if serving == 0 && replicas > 0 => (Status::Failed, why.clone()),
            _ if ready >= replicas => (Status::Healthy, String::new()),
            _ => {
                let status = match (serving, broken) {
                    (0, Some(_)) => Status::Failed,
                    (0, None) => Status::Progressing,
                    _ => Status::Degraded,
                };
                (status, format!("{ready} of {replicas} instances are ready{worst}"))
            }
        };
        let mut instances: Vec<&Rc<Instance>> = inner.instances.iter().filter(|i| is_live(i)).collect();
        instances.sort_by_key(|i| (i.slot, i.serial));
        let rollout = inner.progress.state();
        let instances = instances.into_iter().map(|i| i.health()).collect();
        Health { status, message, instances, endpoints: endpoints(&inner.target.spec), rollout }
    }
}

impl Inner {
    fn new_generation(&mut self) -> u64 {
        let generation = self.next_generation;
        self.next_generation += 1;
        generation
    }

    fn deadline(&self) -> Option<Instant> {
        match self.progress {
            Progress::Running { deadline } => Some(deadline),
            Progress::Done | Progress::RolledBack { .. } | Progress::Paused { .. } => None,
        }
    }

    fn current(&self) -> impl Iterator<Item = &Rc<Instance>> {
        self.instances.iter().filter(|i| i.generation == self.target.generation && is_live(i))
    }

    /// Takes stock, judges the roll-out, and does what can be done now. Returns the version that it went back to.
    fn reconcile(&mut self, site: &Rc<Site>) -> Option<Version> {
        self.instances.retain(|i| i.phase() != Phase::Gone);
        if self.ending {
            return None;
        }
        let rolled_back = self.judge();
        if !matches!(self.progress, Progress::Paused { held: true, .. }) {
            self.step(site);
        }
        rolled_back
    }

    fn step(&mut self, site: &Rc<Site>) {
        let spec = self.target.spec.clone();
        let rules = Rules {
            replicas: spec.replicas,
            max_surge: spec.rollout.max_surge,
            max_unavailable: spec.rollout.max_unavailable,
            recreate: spec.rollout.recreate,
            exclusive: spec.template.mounts.values().any(|mount| !mount.shared),
        };
        let views: Vec<View> = self.instances.iter().map(|i| self.view(i)).collect();
        for step in steps(&views, &rules) {
            match step {
                Step::Start { slot } => {
                    let instance = Instance::start(site, self.next_serial, slot, self.target.generation, spec.clone());
                    self.next_serial += 1;
                    self.instances.push(instance);
                }
                Step::Stop { serial } => self.instances.iter().filter(|i| i.serial == serial).for_each(|i| i.stop()),
            }
        }
    }

    fn view(&self, instance: &Instance) -> View {
        let state = match instance.phase() {
            Phase::Ready => ViewState::Ready,
            Phase::Stopping | Phase::Gone => ViewState::Stopping,
            Phase::Starting | Phase::Unready | Phase::Waiting | Phase::Failed => ViewState::NotReady,
        };
        View { serial: instance.serial, slot: instance.slot, current: instance.generation == self.target.generation, state }
    }

    fn judge(&mut self) -> Option<Version> {
        let deadline = match self.progress {
            Progress::Running { deadline } => Some(deadline),
            Progress::Paused { held: false, .. } => None,
            Progress::Done | Progress::RolledBack { .. } | Progress::Paused { held: true, .. } => return None,
        };
        let all_ready = self.current().all(|i| i.phase() == Phase::Ready);
        let complete = self.current().count() == self.target.spec.replicas as usize;
        let old = self.instances.iter().any(|i| i.generation != self.target.generation && is_live(i));
        if all_ready && complete && !old {
            self.progress = Progress::Done;
            self.good = Some(self.target.clone());
            return None;
        }
        let deadline = deadline?;
        let broken = self.current().find(|i| i.phase() == Phase::Failed).map(|i| i.sentence());
        let why = match broken {
            Some(why) => why,
            None if Instant::now() >= deadline => {
                let slow = self.current().find(|i| i.phase() != Phase::Ready).map(|i| i.sentence());
                let slow = slow.unwrap_or_else(|| "old instances have not ended".into());
                format!("it was not done within {} s; {slow}", self.target.spec.rollout.timeout.as_secs_f64())
            }
            None => return None,
        };
        self.fail(why)
    }

    fn fail(&mut self, why: String) -> Option<Version> {
        match self.good.clone() {
            Some(good) if !self.target.spec.rollout.pause => {
                self.progress = Progress::RolledBack { why };
                for instance in self.instances.iter().filter(|i| i.generation == good.generation) {
                    instance.respecify(&good.spec);
                }
                self.target = good.clone();
                Some(good)
            }
            good => {
                self.progress = Progress::Paused { why, held: good.is_some() };
                None
            }
        }
    }
}

fn is_live(instance: &Rc<Instance>) -> bool {
    !matches!(instance.phase(), Phase::Stopping | Phase::Gone)
}

fn running(spec: &Spec) -> Progress {
    Progress::Running { deadline: Instant::now() + spec.rollout.timeout }
}

/// Where it is reached from this machine; as a URL where a probe says that it speaks HTTP.
fn endpoints(spec: &Spec) -> Vec<String> {
    let speaks_http = |name: &str| {
        let probed = [&spec.ready, &spec.live].into_iter().flatten().any(|p| matches!(&p.action, Action::Http(_, port) if port == name));
        probed || name == "http"
    };
    let endpoint = |(name, number): (&String, &u16)| {
        let scheme = if speaks_http(name) { "http://" } else { "" };
        format!("{scheme}{HOST}:{number}")
    };
    spec.publish.iter().map(endpoint).collect()
}
