//! One instance: started, probed, started again when it ends, and ended when it is told to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;
use stratos_engine::health::{self, Status};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::files::{self, Drift};
use super::log::InstanceLog;
use super::ports::Port;
use super::probe::probe;
use super::process::{Launch, MARK, Process};
use super::site::Site;
use super::spec::Spec;
use super::{expand, spec};
use crate::folder::create_private;
use crate::protocol::WireLine;
use crate::translate::{HOST, PORT};
use stratos_balancer::{Backend, Target};

/// Without a probe, what has run for this long works.
const STABLE_START: Duration = Duration::from_secs(1);

/// What has run for this long is in no crash loop: its ends are counted anew.
const STABLE: Duration = Duration::from_secs(10);

/// This many short lives in a row are a crash loop.
const CRASH_LOOP: u32 = 4;

/// Between an end and the next start: doubled from the first to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Until an instance is ready, it is probed this often, so that a roll-out need not wait for the interval.
const START_INTERVAL: Duration = Duration::from_millis(150);

/// One that has become unready is probed at least this often.
const UNREADY_INTERVAL: Duration = Duration::from_secs(1);

/// How long an instance that is to end may finish what it was asked.
const DRAIN: Duration = Duration::from_secs(10);

/// How long output is waited for after an end.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It runs and has not passed its probe yet.
    Starting,
    /// It serves.
    Ready,
    /// It served, and its probe fails.
    Unready,
    /// It ended, and is started again in a moment.
    Waiting,
    /// It ends again and again, or does not start at all. It is tried all the same, ever less often.
    Failed,
    /// It was told to end.
    Stopping,
    /// It is gone.
    Gone,
}

/// One instance.
pub(crate) struct Instance {
    pub serial: u64,
    pub slot: u32,
    pub generation: u64,
    site: Rc<Site>,
    spec: RefCell<Rc<Spec>>,
    respecified: Notify,
    folder: PathBuf,
    prepared: Cell<bool>,
    phase: Cell<Phase>,
    message: RefCell<String>,
    restarts: Cell<u32>,
    short_lives: Cell<u32>,
    log: RefCell<Option<InstanceLog>>,
    stop: CancellationToken,
}

/// How one life of an instance ended.
enum End {
    /// It was told to.
    Told,
    /// By itself, or because its probe said so.
    Ended(String),
    /// It did not start.
    NotStarted(String),
}

impl Instance {
    /// Starts an instance.
    pub fn start(site: &Rc<Site>, serial: u64, slot: u32, generation: u64, spec: Rc<Spec>) -> Rc<Self> {
        let instance = Rc::new(Self {
            serial,
            slot,
            generation,
            site: site.clone(),
            spec: RefCell::new(spec),
            respecified: Notify::new(),
            folder: site.folder.instance(&site.uid, serial),
            prepared: Cell::new(false),
            phase: Cell::new(Phase::Starting),
            message: RefCell::new("it has just been started".into()),
            restarts: Cell::new(0),
            short_lives: Cell::new(0),
            log: RefCell::new(None),
            stop: CancellationToken::new(),
        });
        spawn_local(instance.clone().live());
        instance
    }

    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Takes another specification of the same template: other probes.
    pub fn respecify(&self, spec: &Rc<Spec>) {
        *self.spec.borrow_mut() = spec.clone();
        self.respecified.notify_waiters();
    }

    /// Tells it to end: it finishes what it was asked and gets nothing new.
    pub fn stop(&self) {
        if self.phase.get() != Phase::Gone {
            self.phase.set(Phase::Stopping);
            self.stop.cancel();
        }
    }

    pub fn name(&self) -> String {
        format!("{}-{}", self.site.name(), self.serial)
    }

    /// What is wrong with it, as a sentence with its last output.
    pub fn sentence(&self) -> String {
        let mut sentence = format!("{}: {}", self.name(), self.message.borrow());
        let recent = self.recent();
        if let [.., _] = recent.as_slice() {
            let last = &recent[recent.len().saturating_sub(3)..];
            sentence.push_str(&format!("; last output: {}", last.join(" | ")));
        }
        sentence
    }

    fn recent(&self) -> Vec<String> {
        self.log.borrow().as_ref().map(InstanceLog::recent).unwrap_or_default()
    }

    /// How it is, in the engine's words.
    pub fn health(&self) -> health::Instance {
        let status = match self.phase.get() {
            Phase::Ready => Status::Healthy,
            Phase::Starting | Phase::Waiting | Phase::Stopping | Phase::Gone => Status::Progressing,
            Phase::Unready => Status::Degraded,
            Phase::Failed => Status::Failed,
        };
        let healthy = status == Status::Healthy;
        health::Instance {
            name: self.name(),
            status,
            message: if healthy { String::new() } else { self.message.borrow().clone() },
            restarts: self.restarts.get(),
            last_log: if healthy { vec![] } else { self.recent() },
        }
    }

    /// How its files differ from what was written.
    pub fn drift(&self) -> Vec<(String, Drift)> {
        if !self.prepared.get() || matches!(self.phase.get(), Phase::Stopping | Phase::Gone) {
            return vec![];
        }
        let (spec, root) = (self.spec.borrow(), self.folder.join("files"));
        let drifts = spec.template.files.iter().filter_map(|(path, file)| Some((path.clone(), files::drift(&root, path, file)?)));
        drifts.collect()
    }

    /// Its whole life.
    async fn live(self: Rc<Self>) {
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            let end = self.one_life().await;
            let delay = match end {
                End::Told => break,
                End::Ended(why) => self.ended(began.elapsed(), why, 1),
                End::NotStarted(why) => self.ended(began.elapsed(), why, CRASH_LOOP),
            };
            drop(timeout(delay, self.stop.cancelled()).await);
            self.restarts.set(self.restarts.get() + 1);
        }
        drop(std::fs::remove_dir_all(&self.folder));
        self.phase.set(Phase::Gone);
        self.site.wake.notify_one();
    }

    /// Counts an end, and says how long to wait.
    fn ended(&self, after: Duration, why: String, weight: u32) -> Duration {
        let lives = if after >= STABLE { 0 } else { self.short_lives.get() }.saturating_add(weight);
        self.short_lives.set(lives);
        if lives >= CRASH_LOOP {
            let times = if weight > 1 { String::new() } else { format!(", {lives} times in a row") };
            self.set(Phase::Failed, format!("{why}{times}"));
        } else {
            self.set(Phase::Waiting, why);
        }
        BACK_OFF.0.saturating_mul(1 << (lives - 1).min(16)).min(BACK_OFF.1)
    }

    fn set(&self, phase: Phase, message: String) {
        // Once told to end, it is ending, whatever else happens to it.
        if self.phase.get() != Phase::Stopping {
            self.phase.set(phase);
        }
        *self.message.borrow_mut() = message;
        self.site.wake.notify_one();
    }

    /// From a start to an end.
    async fn one_life(self: &Rc<Self>) -> End {
        let started = self.prepare().and_then(|()| {
            let ports = self.choose_ports()?;
            let launch = self.launch(&ports)?;
            let command: Vec<Zeroizing<String>> = self.spec.borrow().template.command.iter().map(|word| word.0.clone()).collect();
            let (process, output) = launch.start(&command)?;
            Ok((ports, launch, process, output))
        });
        let (ports, launch, mut process, output) = match started {
            Ok(started) => started,
            Err(error) => return End::NotStarted(error.to_string()),
        };
        if self.phase.get() != Phase::Failed {
            self.set(Phase::Starting, "it is starting".into());
        }
        let mut reader = spawn_local(self.clone().read(output));
        let numbers = ports.iter().map(|(name, port)| (name.clone(), port.number)).collect();
        let backend = |port: &Port| Backend::new(Target::new(HOST, port.number));
        let backends: Vec<(String, Rc<Backend>)> = ports.iter().map(|(name, port)| (name.clone(), backend(port))).collect();
        let end = tokio::select! {
            status = process.ended() => End::Ended(ending(status)),
            why = self.watch(&numbers, &backends, &launch) => {
                self.serve(&backends, false);
                process.end().await;
                End::Ended(why)
            }
            () = self.stop.cancelled() => {
                self.serve(&backends, false);
                self.drain(&mut process, &backends).await;
                End::Told
            }
        };
        self.serve(&backends, false);
        // What it said last is in the pipe still, and belongs into the message about its end.
        if timeout(LAST_OUTPUT, &mut reader).await.is_err() {
            reader.abort();
        }
        end
    }

    async fn drain(&self, process: &mut Process, backends: &[(String, Rc<Backend>)]) {
        tokio::select! {
            _ = process.ended() => return,
            _ = join_all(backends.iter().map(|(_, backend)| backend.drained(DRAIN))) => {}
        }
        process.end().await;
    }

    /// Makes its folder and writes its files, once: what somebody edits there stays until it is replaced.
    fn prepare(&self) -> io::Result<()> {
        if self.log.borrow().is_none() {
            *self.log.borrow_mut() = Some(InstanceLog::open(&self.site.folder.logs(&self.site.uid), self.serial)?);
        }
        if self.prepared.get() {
            return Ok(());
        }
        drop(std::fs::remove_dir_all(&self.folder));
        create_private(&self.folder)?;
        let spec = self.spec.borrow();
        files::write(&self.folder.join("files"), &spec.template)?;
        for mount in spec.template.mounts.values() {
            create_private(&self.mounted(mount))?;
        }
        self.prepared.set(true);
        Ok(())
    }

    /// The folder of a volume for this instance. The one that all share is the first instance's own, so that a volume
    /// which changes its access keeps what is in it.
    fn mounted(&self, mount: &spec::Mount) -> PathBuf {
        let slot = if mount.shared { 0 } else { self.slot };
        self.site.folder.volume(&mount.uid).join(slot.to_string())
    }

    fn choose_ports(&self) -> io::Result<Vec<(String, Port)>> {
        self.spec.borrow().template.ports.keys().map(|name| Ok((name.clone(), self.site.ports.port()?))).collect()
    }

    fn launch(&self, ports: &[(String, Port)]) -> io::Result<Launch> {
        let spec = self.spec.borrow();
        let template = &spec.template;
        let mut own: BTreeMap<String, Zeroizing<String>> = template.env.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
        let text = |path: PathBuf| path.into_os_string().into_string().unwrap_or_default();
        // What the platform says is stronger than the app: on another platform the same app may say PORT = "8080".
        let mut put = |name: String, value: String| own.insert(name, Zeroizing::new(expand::escape(&value).to_string()));
        for (name, port) in ports {
            if template.first_port.as_ref() == Some(name) {
                put(PORT.into(), port.number.to_string());
            }
            put(format!("PORT_{}", variable(name)), port.number.to_string());
        }
        for (name, mount) in &template.mounts {
            put(format!("STRATOS_VOLUME_{}", variable(name)), text(self.mounted(mount)));
        }
        put("STRATOS_FILES".into(), text(self.folder.join("files")));
        put("STRATOS_INSTANCE".into(), self.name());
        put("STRATOS_REPLICA".into(), self.slot.to_string());
        put(MARK.into(), text(self.site.folder.path().to_owned()));
        let directory = self.site.directory.borrow().clone().unwrap_or_else(|| self.folder.clone());
        if !directory.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("its working directory {} is not there", directory.display())));
        }
        let environment = expand::environment(&self.site.launcher.inherited, &own);
        Ok(Launch { launcher: self.site.launcher.clone(), directory, environment })
    }

    /// Reads its output until it ends.
    async fn read(self: Rc<Self>, mut output: Receiver) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = output.read(&mut buffer).await.unwrap_or(0);
            let lines = match self.log.borrow_mut().as_mut() {
                Some(log) if read > 0 => log.write(&buffer[..read]),
                Some(log) => log.finish().into_iter().collect(),
                None => vec![],
            };
            for line in lines {
                // Nobody may be listening.
                drop(self.site.lines.send(WireLine { instance: self.name(), line }));
            }
            if read == 0 {
                return;
            }
        }
    }

    fn serve(&self, backends: &[(String, Rc<Backend>)], yes: bool) {
        for (name, backend) in backends {
            let pool = self.site.pool(name);
            if yes { pool.add(backend) } else { pool.remove(backend) }
        }
    }

    /// Probes it. Returns only when it should be started again, with the reason.
    async fn watch(&self, ports: &BTreeMap<String, u16>, backends: &[(String, Rc<Backend>)], launch: &Launch) -> String {
        tokio::select! {
            why = self.liveness(ports, launch) => why,
            never = self.readiness(ports, backends, launch) => match never {},
        }
    }

    async fn readiness(&self, ports: &BTreeMap<String, u16>, backends: &[(String, Rc<Backend>)], launch: &Launch) -> Infallible {
        let (started, mut failures, mut ready) = (Instant::now(), 0u32, None::<bool>);
        loop {
            let spec = self.spec.borrow().clone();
            let result = match &spec.ready {
                Some(check) => probe(check, ports, launch).await,
                None if started.elapsed() >= STABLE_START => Ok(()),
                None => Err("it has just been started".into()),
            };
            let (interval, retries) = spec.ready.as_ref().map_or((STABLE_START, 1), |check| (check.interval, check.retries));
            match result {
                Ok(()) => {
                    failures = 0;
                    if ready != Some(true) {
                        ready = Some(true);
                        self.serve(backends, true);
                        self.set(Phase::Ready, String::new());
                    }
                }
                Err(why) => {
                    failures += 1;
                    match ready {
                        Some(true) if failures >= retries => {
                            ready = Some(false);
                            self.serve(backends, false);
                            self.set(Phase::Unready, format!("it is not ready any more: {why}"));
                        }
                        Some(true) => {}
                        Some(false) => *self.message.borrow_mut() = format!("it is not ready any more: {why}"),
                        None if self.phase.get() == Phase::Failed => {}
                        None => *self.message.borrow_mut() = format!("it is not ready yet: {why}"),
                    }
                }
            }
            let pause = match ready {
                // Without a probe there is nothing more to find out, until there is one.
                Some(true) if spec.ready.is_none() => {
                    self.respecified.notified().await;
                    continue;
                }
                Some(true) => interval,
                Some(false) => interval.min(UNREADY_INTERVAL),
                None => interval.min(START_INTERVAL),
            };
            drop(timeout(pause, self.respecified.notified()).await);
        }
    }

    async fn liveness(&self, ports: &BTreeMap<String, u16>, launch: &Launch) -> String {
        let (started, mut failures) = (Instant::now(), 0);
        loop {
            let spec = self.spec.borrow().clone();
            let Some(check) = &spec.live else {
                self.respecified.notified().await;
                continue;
            };
            drop(timeout(check.interval, self.respecified.notified()).await);
            match probe(check, ports, launch).await {
                Ok(()) => failures = 0,
                Err(_) if started.elapsed() < check.start_period => {}
                Err(why) => {
                    failures += 1;
                    if failures >= check.retries {
                        return format!("it was ended because it does not live: {why} ({failures} times)");
                    }
                }
            }
        }
    }
}

/// `metrics-http` becomes `METRICS_HTTP`.
fn variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

fn ending(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("it exited with status {code}"),
            (None, Some(signal)) => {
                let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown", nix::sys::signal::Signal::as_str);
                format!("it was ended by signal {signal} ({name})")
            }
            (None, None) => format!("it ended with {status}"),
        },
        Err(error) => format!("its end could not be waited for: {error}"),
    }
}
