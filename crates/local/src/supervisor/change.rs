//! Writing a change: judged and written in one step, with nothing in between.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::owner::Ownership;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::plan::change::{Action, Reason, Verdict};
use stratos_engine::platform::ObservedResource;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::ports::{self, bind};
use super::site::Site;
use super::spec::{self, Mount, Spec, Use};
use super::workload::{Version, Workload};
use super::world::World;
use super::{files, log};
use crate::folder::create_private;
use crate::protocol::{Applied, ApplyRequest, Reply, WireError, WireErrorKind};
use crate::state::{Stored, is_known_kind};
use crate::translate::VOLUME;

/// How long a change waits for a port that another workload publishes: one plan may take it there and give it here.
const HANDED_OVER: Duration = Duration::from_secs(3);

/// Carries out a change. A deletion returns when the processes are gone.
pub(crate) async fn apply(world: &Rc<World>, request: ApplyRequest) -> Reply<Applied> {
    let deadline = Instant::now() + HANDED_OVER;
    let written = loop {
        match judge_and_write(world, &request) {
            Err(error) if error.kind == WireErrorKind::Busy && Instant::now() < deadline => sleep(HANDED_OVER / 60).await,
            other => break other,
        }
    };
    match &written {
        Ok(Written { applied: Applied::Done { .. }, .. }) => tracing::info!("{:?} {}: done", request.change.action, request.change.id),
        Ok(Written { applied, .. }) => tracing::info!("{:?} {}: {applied:?}", request.change.action, request.change.id),
        Err(error) => tracing::warn!("{:?} {}: {}", request.change.action, request.change.id, error.why),
    }
    let Written { applied, ending } = written?;
    if let Some(workload) = ending {
        workload.ended().await;
        drop(fs::remove_dir_all(world.folder.workload(&workload.site.uid)));
    }
    Ok(applied)
}

struct Written {
    applied: Applied,
    ending: Option<Rc<Workload>>,
}

/// The critical section: it has no `await`, and the supervisor has one thread.
fn judge_and_write(world: &Rc<World>, request: &ApplyRequest) -> Reply<Written> {
    let change = &request.change;
    let before_id = change.fence.before.as_ref().map_or(&change.id, |seen| &seen.id);
    let look = |id: &ResourceId| world.seen(id).map(|seen| seen.for_owner(&request.owner));
    let live = look(&change.id);
    let before = if *before_id == change.id { live.clone() } else { look(before_id) };
    let applied = match change.judge(live.as_ref(), before.as_ref()) {
        Verdict::AlreadyDone => Applied::AlreadyDone { attributes: live.map(|l| l.attributes).unwrap_or_default() },
        Verdict::Stale(why) => Applied::Stale { why },
        Verdict::Proceed => {
            only_ours(before.as_ref(), &change.reason)?;
            return write(world, request, before_id);
        }
    };
    Ok(Written { applied, ending: None })
}

fn only_ours(found: Option<&ObservedResource>, reason: &Reason) -> Reply<()> {
    let owner = match found.map(|found| &found.ownership) {
        None | Some(Ownership::Ours(_)) => return Ok(()),
        Some(_) if *reason == Reason::Adopted => return Ok(()),
        Some(Ownership::Another(owner)) => format!("it belongs to {owner}"),
        Some(Ownership::Unmarked) => "it belongs to nobody".to_owned(),
    };
    Err(WireError::new(WireErrorKind::Denied, owner).with_hint("plan with --adopt to take it over"))
}

fn write(world: &Rc<World>, request: &ApplyRequest, before_id: &ResourceId) -> Reply<Written> {
    let change = &request.change;
    let stored = world.stored(before_id);
    let done = |attributes| Ok(Written { applied: Applied::Done { attributes }, ending: None });
    match (change.action, stored) {
        (Action::Create | Action::Update | Action::Replace(_), before) => {
            let desired = change.desired.as_ref().ok_or_else(|| WireError::rejected("the change does not say what should be"))?;
            if !is_known_kind(&desired.id.kind) {
                return Err(WireError::rejected(format!("there is no kind {:?} here", desired.id.kind)));
            }
            let is_volume = &*desired.id.kind == VOLUME.kind;
            let entry = if is_volume { volume(world, request, desired, before)? } else { workload(world, request, desired, before)? };
            done(entry.attributes())
        }
        (_, None) => Err(WireError::internal("it is not there, although its fence let the change through")),
        (Action::Delete, Some(stored)) => delete(world, &stored),
        (Action::Forget, Some(stored)) => {
            let uid = stored.uid.clone();
            world.commit(|objects| drop(objects.insert(before_id.clone(), Stored { marks: None, ..stored }))).map_err(not_written)?;
            if let Some(workload) = world.workload(&uid) {
                workload.forget();
            }
            done(BTreeMap::new())
        }
        (Action::Restart, Some(stored)) => match world.workload(&stored.uid) {
            Some(workload) => {
                workload.restart();
                done(stored.attributes())
            }
            None => Err(WireError::rejected("it does not run, so there is nothing to restart").with_hint("apply first: that starts it")),
        },
    }
}

fn not_written(error: io::Error) -> WireError {
    WireError::internal(format!("state.json could not be written: {error}"))
}

fn delete(world: &Rc<World>, stored: &Stored) -> Reply<Written> {
    let aside = world.folder.deleted_volume(&stored.uid);
    if stored.is_volume() {
        // Aside first: what a crash leaves of it is no volume any more, and is removed at the next start.
        fs::rename(world.folder.volume(&stored.uid), &aside)
            .map_err(|e| WireError::internal(format!("its data cannot be removed: {e}")))?;
    }
    let written = world.commit(|objects| drop(objects.remove(&stored.id)));
    if let (Err(_), true) = (&written, stored.is_volume()) {
        drop(fs::rename(&aside, world.folder.volume(&stored.uid)));
    }
    written.map_err(not_written)?;
    let ending = world.end(&stored.uid);
    if ending.is_none() {
        drop(fs::remove_dir_all(if stored.is_volume() { aside } else { world.folder.workload(&stored.uid) }));
    }
    Ok(Written { applied: Applied::Done { attributes: BTreeMap::new() }, ending })
}

/// The entry as it will be: the one before under its new name, or a new one.
fn entry(request: &ApplyRequest, desired: &Resource, before: Option<&Stored>) -> Stored {
    let mut document = desired.document.clone();
    for (_, leaf) in document.leaves_mut() {
        if let Leaf::Secret { text, .. } = leaf {
            *text = None;
        }
    }
    Stored {
        id: desired.id.clone(),
        uid: before.map_or_else(|| format!("{:016x}", rand::random::<u64>()), |before| before.uid.clone()),
        marks: request.marks.clone(),
        document,
        ports: before.map(|before| before.ports.clone()).unwrap_or_default(),
        mounts: BTreeMap::new(),
        depends_on: desired.depends_on.clone(),
    }
}

fn replace_entry(world: &World, before: Option<&Stored>, entry: &Stored) -> Reply<()> {
    let written = world.commit(|objects| {
        if let Some(before) = before {
            objects.remove(&before.id);
        }
        objects.insert(entry.id.clone(), entry.clone());
    });
    written.map_err(not_written)
}

fn volume(world: &World, request: &ApplyRequest, desired: &Resource, before: Option<Stored>) -> Reply<Stored> {
    let entry = entry(request, desired, before.as_ref());
    if before.is_none() {
        let folder = world.folder.volume(&entry.uid);
        create_private(&folder).map_err(|e| WireError::internal(format!("making {}: {e}", folder.display())))?;
    }
    replace_entry(world, before.as_ref(), &entry)?;
    Ok(entry)
}

fn workload(world: &Rc<World>, request: &ApplyRequest, desired: &Resource, before: Option<Stored>) -> Reply<Stored> {
    let mut entry = entry(request, desired, before.as_ref());
    let mut spec = spec::decode(&desired.document, &request.values).map_err(WireError::rejected)?;
    if let Some(path) = spec.template.files.keys().find(|path| files::place(&world.folder.path().join("files"), path).is_none()) {
        return Err(WireError::rejected(format!("the file {path:?} would lie outside of the instance's folder")));
    }
    mount(world, desired, &mut spec)?;
    entry.mounts = spec.template.mounts.iter().map(|(name, mount)| (name.clone(), mount.uid.clone())).collect();
    spec.uses = uses(world, &desired.document);

    let runs = before.as_ref().and_then(|before| world.workload(&before.uid));
    let opened = open(world, &mut entry, &spec, runs.as_deref())?;
    // What has drifted is written only into new instances.
    let drifted = runs.as_ref().is_some_and(|workload| !workload.drift().is_empty());
    replace_entry(world, before.as_ref(), &entry)?;

    let version = Version::new(spec, entry.document.clone(), entry.marks.clone(), entry.mounts.clone());
    let workload = match runs {
        Some(workload) => {
            workload.site.rename(&entry.id.name);
            workload.site.directory.replace(request.directory.clone());
            workload.update(version, drifted);
            workload
        }
        None => {
            let site = Site::new(&entry.uid, &entry.id.name, world.folder.clone(), world.launcher.clone(), world.ports.clone());
            site.directory.replace(request.directory.clone());
            // Another supervisor's instances had lower numbers: logs are not mixed up.
            let last = log::serials(&world.folder.logs(&entry.uid)).ok().and_then(|serials| serials.last().copied());
            let workload = Workload::start(world, site, version, last.unwrap_or(0) + 1);
            world.insert(workload.clone());
            workload
        }
    };
    listen(&workload, &entry, opened);
    Ok(entry)
}

/// Finds the volumes that a workload names.
fn mount(world: &World, desired: &Resource, spec: &mut Spec) -> Reply<()> {
    for (name, source) in &spec.sources {
        let id = ResourceId::new(&desired.id.environment, VOLUME.kind, source);
        let volume = world.stored(&id).ok_or_else(|| WireError::rejected(format!("its volume {source} is not there")))?;
        let mount: &mut Mount = spec.template.mounts.entry(name.clone()).or_default();
        mount.uid = volume.uid;
    }
    match spec.template.mounts.iter().find(|(_, mount)| mount.uid.is_empty()) {
        Some((name, _)) => Err(WireError::rejected(format!("volumes.{name} names no volume"))),
        None => Ok(()),
    }
}

/// What a document takes from other resources of this environment, and what that is now.
fn uses(world: &World, document: &Document) -> Vec<Use> {
    let texts = document.leaves().iter().filter_map(|(path, leaf)| Some((path, leaf.text()?)));
    let attributes = texts.flat_map(|(path, text)| text.attributes().map(move |(of, name)| (path, of, name)));
    let found = attributes.filter_map(|(path, of, name): (&Path, &ResourceId, &str)| {
        let value = world.stored(of)?.attributes().remove(name)?;
        Some(Use { path: path.clone(), of: of.clone(), name: name.to_owned(), value })
    });
    found.collect()
}

/// Listeners that are open and lead nowhere yet, by their numbers.
type Opened = Vec<(u16, TcpListener)>;

/// Opens the listeners that are not open yet, before anything is written: a taken port changes nothing.
fn open(world: &World, entry: &mut Stored, spec: &Spec, runs: Option<&Workload>) -> Reply<Opened> {
    let has = |number: u16| runs.is_some_and(|workload| workload.listeners.has(&number));
    let mut opened = vec![];
    let before = std::mem::take(&mut entry.ports);
    for name in spec.template.ports.keys() {
        let number = match before.get(name) {
            Some(number) if has(*number) => *number,
            before => {
                let wanted = before.copied().unwrap_or_else(|| usual_port(&entry.id, name));
                let (number, listener) =
                    world.ports.listener(Some(wanted)).map_err(|e| WireError::internal(format!("port {name}: {e}")))?;
                opened.push((number, into_tokio(listener)?));
                number
            }
        };
        entry.ports.insert(name.clone(), number);
    }
    for (name, number) in spec.publish.iter().filter(|(_, number)| !has(**number)) {
        let listener = bind(*number).map_err(|error| taken(world, name, *number, &error))?;
        opened.push((*number, into_tokio(listener)?));
    }
    Ok(opened)
}

fn into_tokio(listener: std::net::TcpListener) -> Reply<TcpListener> {
    listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener)).map_err(WireError::internal)
}

/// The first choice for a port that other apps connect to: the same each time, so that an app which is deleted and made
/// again is found where it was.
fn usual_port(id: &ResourceId, name: &str) -> u16 {
    let mut hash = DefaultHasher::new();
    (id.to_string(), name).hash(&mut hash);
    ports::RANGE.start + (hash.finish() % u64::from(ports::RANGE.end - ports::RANGE.start)) as u16
}

fn taken(world: &World, name: &str, number: u16, error: &io::Error) -> WireError {
    let (kind, who) = if error.kind() != io::ErrorKind::AddrInUse {
        (WireErrorKind::Rejected, error.to_string())
    } else if let Some(workload) = world.publisher(number) {
        (WireErrorKind::Busy, format!("{workload} publishes it"))
    } else {
        match ports::holder(number) {
            // A listener that was closed a moment ago is open until its task is gone; or it is one for other apps.
            Some((process, _)) if process == std::process::id() => (WireErrorKind::Busy, "this environment uses it itself".into()),
            Some((process, name)) => (WireErrorKind::Rejected, format!("process {process} ({name}) listens on it")),
            None => (WireErrorKind::Rejected, "another process listens on it".into()),
        }
    };
    let hint = if error.kind() == io::ErrorKind::PermissionDenied {
        "only root publishes ports below 1024: choose a higher one"
    } else {
        "stop what uses the port, or publish another one"
    };
    WireError::new(kind, format!("port {number} cannot be published for {name}: {who}")).with_hint(hint)
}

/// Makes the listeners of a workload what its entry and its specification say.
fn listen(workload: &Workload, entry: &Stored, opened: Opened) {
    let spec = workload.spec();
    let name = |number: u16| entry.ports.iter().chain(&spec.publish).find(|(_, port)| **port == number).map(|(name, _)| name);
    for (number, listener) in opened {
        if let Some(name) = name(number) {
            workload.listeners.add(number, listener, workload.site.pool(name));
        }
    }
    workload.listeners.route(|number| name(*number).map(|name| workload.site.pool(name)));
}

/// A workload went back to what ran before: so does what is live, and what leads to it.
pub(crate) fn roll_back(world: &World, workload: &Workload, version: &Version) {
    let Some(before) = world.stored_as(&workload.site.uid) else { return };
    let mut entry = Stored { document: version.document.clone(), mounts: version.mounts.clone(), ..before.clone() };
    // What was forgotten meanwhile stays forgotten.
    if before.marks.is_some() {
        entry.marks = version.marks.clone();
    }
    let opened = open(world, &mut entry, &version.spec, Some(workload)).unwrap_or_else(|error| {
        tracing::error!(why = error.why, "a roll-back could not open all ports that were open before");
        entry.ports = before.ports.clone();
        vec![]
    });
    if let Err(error) = replace_entry(world, Some(&before), &entry) {
        tracing::error!(why = error.why, "a roll-back could not be written");
    }
    listen(workload, &entry, opened);
}
