//! One change is carried out: read, judged, written with the version just read.

use std::collections::BTreeMap;

use super::MemoryPlatform;
use super::fault::{Call, Lost};
use super::read;
use super::rollout::Progress;
use super::server::{Config, DEFAULT_MODE, FileMount, Mount, Port, Probe, SecretFile, Service, Spec, Stored, Variable, Volume};
use super::world::{Key, Object, State};
use crate::desired::document::{Document, Leaf};
use crate::desired::owner::{Marks, Owner};
use crate::desired::path::Path;
use crate::desired::resource::{ReplaceOrder, Replacement, Resource};
use crate::desired::text::Text;
use crate::plan::change::{Action, Change, Verdict};
use crate::platform::{ApplyContext, ObservedResource, Outcome, PlatformError, PlatformErrorKind};

/// What the server answers to a write.
type Answer = Result<BTreeMap<String, String>, PlatformError>;

/// What was there when it was judged: the key under which it lives, and its version.
type Found = Option<(Key, u64)>;

/// Carries out one change.
pub(crate) async fn carry_out(platform: &MemoryPlatform, change: &Change, context: &ApplyContext<'_>) -> Outcome {
    let spec = match change.desired.as_ref().map(|desired| spec_of(desired, context)).transpose() {
        Ok(spec) => spec,
        Err(why) => return Outcome::Failed(rejected(change, why)),
    };
    let (found, live, before) = match platform.call(Call::Read, &change.id, |state| look(platform, state, change)).await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => return Outcome::Failed(error),
        Err(lost) => return Outcome::Failed(lost.error),
    };
    match change.judge(live.as_ref(), before.as_ref()) {
        Verdict::Stale(why) => return Outcome::Stale { why },
        Verdict::AlreadyDone => {
            return Outcome::AlreadyDone { attributes: live.or(before).map(|live| live.attributes).unwrap_or_default() };
        }
        Verdict::Proceed => {}
    }
    if let Some(found) = before.filter(|found| !change.may_write_over(&found.ownership)) {
        return Outcome::Stale { why: format!("{} is not ours", found.id) };
    }
    // Another process may write here: the version that was just read is the compare-and-swap.
    tokio::task::yield_now().await;
    let marks = change.desired.as_ref().map(|desired| marks(desired, context));
    let mut write = Write { platform, change, spec, marks, found };
    write.carry_out().await
}

fn marks(desired: &Resource, context: &ApplyContext<'_>) -> Marks {
    Marks {
        revision: context.revision.map(str::to_owned),
        specification: Some(desired.document.digest().to_string()),
        ..desired.marks.clone()
    }
}

fn rejected(change: &Change, why: impl Into<String>) -> PlatformError {
    PlatformError::new(PlatformErrorKind::Rejected, format!("writing {}", change.id), why)
}

/// What is live under the change's own name, and under the name before.
#[allow(clippy::type_complexity, reason = "three parts of one reading, taken apart at once")]
fn look(
    platform: &MemoryPlatform,
    state: &State,
    change: &Change,
) -> Result<(Found, Option<ObservedResource>, Option<ObservedResource>), PlatformError> {
    let (id, earlier) = (&change.id, change.fence.before.as_ref().map_or(&change.id, |seen| &seen.id));
    for id in [id, earlier] {
        if let Some(gap) = platform.gap(state, &id.kind, &id.name) {
            return Err(PlatformError::new(PlatformErrorKind::Denied, format!("reading {id}"), gap.why));
        }
    }
    let nobody = Owner::new("", id.environment.clone());
    let owner = change.owner().unwrap_or(&nobody);
    let see = |id: &crate::desired::resource::ResourceId| {
        let object = state.object(&platform.place, &Key::of(id))?;
        Some(read::observed(state, &platform.place, id.clone(), object, owner))
    };
    let found = |id| state.object(&platform.place, &Key::of(id)).map(|object| (Key::of(id), object.version));
    Ok((found(earlier), see(id), see(earlier)))
}

struct Write<'a> {
    platform: &'a MemoryPlatform,
    change: &'a Change,
    spec: Option<Spec>,
    marks: Option<Marks>,
    found: Found,
}

impl Write<'_> {
    async fn carry_out(&mut self) -> Outcome {
        if let (Action::Replace(Replacement { order: ReplaceOrder::DeleteFirst, .. }), Some(_)) = (self.change.action, &self.found) {
            // Two requests: killed between them, nothing is there, and the fence lets the next run go on.
            let deleted = self.request(Self::take_away).await;
            if !matches!(deleted, Outcome::Done { .. }) {
                return deleted;
            }
            self.found = None;
        }
        match self.change.action {
            Action::Create | Action::Update | Action::Replace(_) => self.request(Self::put).await,
            Action::Delete => self.request(Self::delete).await,
            Action::Forget => self.request(Self::forget).await,
            Action::Restart => self.request(Self::restart).await,
        }
    }

    async fn request(&self, write: fn(&Self, &mut State) -> Answer) -> Outcome {
        let carry_out = |state: &mut State| {
            self.check_version(state)?;
            let attributes = write(self, state)?;
            let key = Key::of(&self.change.id);
            state.journal.push(format!("{} {} {key}", action_word(self.change.action), self.platform.place));
            Ok(attributes)
        };
        match self.platform.call(Call::Apply, &self.change.id, carry_out).await {
            Ok(Ok(attributes)) => Outcome::Done { attributes },
            Ok(Err(error)) => Outcome::Failed(error),
            Err(Lost { took_effect: true, error }) => Outcome::Unknown(error),
            Err(Lost { took_effect: false, error }) => Outcome::Failed(error),
        }
    }

    /// Compare-and-swap.
    fn check_version(&self, state: &State) -> Result<(), PlatformError> {
        let place = &self.platform.place;
        let now = match &self.found {
            Some((key, _)) => state.object(place, key).map(|object| (key.clone(), object.version)),
            None => state.object(place, &Key::of(&self.change.id)).map(|object| (Key::of(&self.change.id), object.version)),
        };
        if now == self.found {
            return Ok(());
        }
        let attempted = format!("writing {}", self.change.id);
        Err(PlatformError::new(PlatformErrorKind::Conflict, attempted, "the object has been modified: read it again"))
    }

    fn put(&self, state: &mut State) -> Answer {
        let place = &self.platform.place;
        let key = Key::of(&self.change.id);
        let spec = self.spec.clone().ok_or_else(|| rejected(self.change, "there is nothing to write"))?;
        if let Some(why) = state.refusal(place, self.found.as_ref().map_or(&key, |(key, _)| key), &spec) {
            return Err(rejected(self.change, why).with_hint("choose another port, or stop what has it"));
        }
        let before = self.found.as_ref().and_then(|(key, _)| state.object(place, key).cloned());
        if let Some(before) = &before
            && self.found.as_ref().is_some_and(|(earlier, _)| *earlier != key)
        {
            self.rename(state, before)?;
        }
        let mut object = match before {
            Some(before) if !matches!(self.change.action, Action::Replace(_)) => {
                if matches!(before.spec, Spec::Config(_)) && before.spec != spec {
                    return Err(rejected(self.change, "a config is immutable"));
                }
                Object { progress: Progress::over(&before), spec, marks: self.marks.clone(), ..before }
            }
            _ => Object { progress: Progress::begin(), ..Object::new(self.marks.clone(), spec) },
        };
        object.needs = self.change.desired.as_ref().map(|desired| desired.depends_on.clone()).unwrap_or_default();
        state.insert(place, key.clone(), object);
        Ok(state.object(place, &key).map(|object| object.attributes.clone()).unwrap_or_default())
    }

    fn rename(&self, state: &mut State, before: &Object) -> Result<(), PlatformError> {
        if !matches!(before.spec, Spec::Volume(_)) {
            return Err(rejected(self.change, "only volumes can be renamed"));
        }
        if let (Some((earlier, _)), Some(objects)) = (&self.found, state.places.get_mut(&self.platform.place)) {
            objects.remove(earlier);
        }
        Ok(())
    }

    fn delete(&self, state: &mut State) -> Answer {
        let user = self.found.as_ref().and_then(|(key, _)| state.user_of(&self.platform.place, key));
        match user {
            Some(user) => Err(rejected(self.change, format!("it is in use by {user}"))),
            None => self.take_away(state),
        }
    }

    /// Deletes also what is in use: its users keep an id that leads nowhere, until they are written, too.
    fn take_away(&self, state: &mut State) -> Answer {
        if let (Some((key, _)), Some(objects)) = (&self.found, state.places.get_mut(&self.platform.place)) {
            objects.remove(key);
        }
        Ok(BTreeMap::new())
    }

    fn forget(&self, state: &mut State) -> Answer {
        let object = self.found.as_ref().and_then(|(key, _)| state.object_mut(&self.platform.place, key));
        let object = object.ok_or_else(|| rejected(self.change, "it is not there"))?;
        object.marks = None;
        object.version += 1;
        Ok(object.attributes.clone())
    }

    fn restart(&self, state: &mut State) -> Answer {
        let object = self.found.as_ref().and_then(|(key, _)| state.object_mut(&self.platform.place, key));
        let object = object.ok_or_else(|| rejected(self.change, "it is not there"))?;
        object.progress = Progress::begin();
        object.version += 1;
        Ok(object.attributes.clone())
    }
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Replace(_) => "replace",
        Action::Delete => "delete",
        Action::Forget => "forget",
        Action::Restart => "restart",
    }
}

/// The specification that is sent: what the document says, with its texts made whole.
fn spec_of(desired: &Resource, context: &ApplyContext<'_>) -> Result<Spec, String> {
    let whole = |text: &Text| context.resolve(text).map_err(|error| error.to_string());
    let mut store = |_: &Path, leaf: &Leaf| match leaf {
        Leaf::Secret { text: Some(text), fingerprint } => {
            let used = text.attributes().filter_map(|(of, name)| {
                let value = context.attributes.get(of)?.get(name)?;
                Some((format!("{}/{}#{name}", of.kind, of.name), value.clone()))
            });
            let (secret, with) = (whole(text)?.to_string(), used.collect());
            Ok(Stored::Hidden { secret, fingerprint: fingerprint.clone(), made_from: Some((**text).clone()), with })
        }
        Leaf::Ref(text) => Ok(Stored::Composed { value: whole(text)?.to_string(), made_from: (**text).clone() }),
        other => plain(other),
    };
    build(&desired.id.kind, &desired.document, &mut store)
}

/// The specification after an edit of the document by hand: what was not edited keeps its labels.
pub(crate) fn edited(state: &State, place: &str, object: &Object, document: &Document) -> Result<Spec, String> {
    let (Spec::Service(_) | Spec::Secret(_) | Spec::Volume(_) | Spec::Config(_)) = &object.spec;
    let kept = |path: &Path| stored_at(&object.spec, path).cloned().ok_or_else(|| format!("there is no secret at {path}"));
    let mut store = |path: &Path, leaf: &Leaf| match leaf {
        Leaf::Secret { .. } => kept(path),
        Leaf::Ref(text) => {
            let value = read::resolved(state, place, text).ok_or_else(|| format!("{text} is not known"))?;
            Ok(Stored::Composed { value, made_from: (**text).clone() })
        }
        other => plain(other),
    };
    let kind = match &object.spec {
        Spec::Service(_) => "service",
        Spec::Config(_) => "config",
        Spec::Secret(_) => "secret",
        Spec::Volume(_) => "volume",
    };
    build(kind, document, &mut store)
}

fn stored_at<'a>(spec: &'a Spec, path: &Path) -> Option<&'a Stored> {
    let segments: Vec<&str> = path.segments().collect();
    match (spec, segments.as_slice()) {
        (Spec::Service(service), ["env", name]) => service.env.iter().find(|v| v.name == *name).map(|v| &v.value),
        (Spec::Service(service), ["command", index]) => service.args.get(place_of(index)?),
        (Spec::Secret(secret), _) => Some(&secret.content),
        _ => None,
    }
}

fn place_of(index: &str) -> Option<usize> {
    index.trim_matches(['[', ']']).parse().ok()
}

fn plain(leaf: &Leaf) -> Result<Stored, String> {
    match leaf {
        Leaf::Text(text) => Ok(Stored::Plain(text.to_string())),
        other => Err(format!("{other} is no text")),
    }
}

type Store<'a> = dyn FnMut(&Path, &Leaf) -> Result<Stored, String> + 'a;

fn build(kind: &str, document: &Document, store: &mut Store<'_>) -> Result<Spec, String> {
    match kind {
        "service" => service(document, store).map(|service| Spec::Service(Box::new(service))),
        "config" => Ok(Spec::Config(Config { data: content(document, store)? })),
        "secret" => Ok(Spec::Secret(SecretFile { content: content(document, store)? })),
        "volume" => Ok(Spec::Volume(volume(document))),
        other => Err(format!("there is no kind {other:?}")),
    }
}

fn content(document: &Document, store: &mut Store<'_>) -> Result<Stored, String> {
    let path = Path::new(["content"]);
    document.get(&path).map_or_else(|| Ok(Stored::Plain(String::new())), |leaf| store(&path, leaf))
}

fn volume(document: &Document) -> Volume {
    let text = |name| document.get(&Path::new([name])).map(written);
    Volume { size: text("size"), access: text("access").unwrap_or_else(|| "replica".into()) }
}

/// A scalar as this platform's client writes it: in units of its own choice, for the server to rewrite.
fn written(leaf: &Leaf) -> String {
    match leaf {
        Leaf::Text(text) => text.to_string(),
        Leaf::Cpu(cpu) => format!("{}m", cpu.0),
        Leaf::Bytes(bytes) if bytes.0 % (1 << 20) == 0 => format!("{}Mi", bytes.0 >> 20),
        Leaf::Bytes(bytes) => bytes.0.to_string(),
        Leaf::Duration(duration) => format!("{}ms", duration.0),
        other => other.to_string(),
    }
}

fn number<T: TryFrom<i64>>(path: &Path, leaf: &Leaf) -> Result<T, String> {
    let number = match leaf {
        Leaf::Integer(number) => T::try_from(*number).ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("{path}: {leaf} is out of range"))
}

fn service(document: &Document, store: &mut Store<'_>) -> Result<Service, String> {
    let mut service = Service {
        image: String::new(),
        args: Vec::new(),
        replicas: 1,
        ports: Vec::new(),
        env: Vec::new(),
        files: Vec::new(),
        mounts: Vec::new(),
        ready: None,
        live: None,
        limits: Default::default(),
        update: Default::default(),
    };
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        match segments.as_slice() {
            ["image"] => service.image = leaf.to_string(),
            ["replicas"] => service.replicas = number(path, leaf)?,
            ["command", _] => service.args.push(store(path, leaf)?),
            ["env", name] => service.env.push(Variable { name: name.to_string(), value: store(path, leaf)? }),
            ["ports", name, field] => port(&mut service.ports, name, field, path, leaf)?,
            ["files", file, "mode"] => entry(&mut service.files, file).mode = number(path, leaf)?,
            ["files", file, _] => entry(&mut service.files, file).source = store(path, leaf)?.value().to_owned(),
            ["mounts", target] => {
                service.mounts.push(Mount { target: target.to_string(), source: store(path, leaf)?.value().to_owned() });
            }
            ["ready", field, ..] => probe(service.ready.get_or_insert_default(), field, path, leaf)?,
            ["live", field, ..] => probe(service.live.get_or_insert_default(), field, path, leaf)?,
            ["resources", "cpu"] => service.limits.cpu = Some(written(leaf)),
            ["resources", "cpu_limit"] => service.limits.cpu_limit = Some(written(leaf)),
            ["resources", "memory"] => service.limits.memory = Some(written(leaf)),
            ["rollout", "strategy"] => service.update.strategy = written(leaf),
            ["rollout", "max_surge"] => service.update.max_surge = number(path, leaf)?,
            ["rollout", "max_unavailable"] => service.update.max_unavailable = number(path, leaf)?,
            ["rollout", "timeout"] => service.update.timeout = written(leaf),
            ["rollout", "on_failure"] => service.update.on_failure = written(leaf),
            _ => return Err(format!("{path} is not a field of a service")),
        }
    }
    Ok(service)
}

fn port(ports: &mut Vec<Port>, name: &str, field: &str, path: &Path, leaf: &Leaf) -> Result<(), String> {
    if ports.last().is_none_or(|port| port.name != name) {
        ports.push(Port { name: name.into(), target: 0, published: None, protocol: "tcp".into(), node: 0 });
    }
    let Some(port) = ports.last_mut() else { return Ok(()) };
    match field {
        "port" => port.target = number(path, leaf)?,
        "publish" => port.published = Some(number(path, leaf)?),
        "protocol" => port.protocol = written(leaf),
        other => return Err(format!("a port has no {other}")),
    }
    Ok(())
}

fn entry<'a>(files: &'a mut Vec<FileMount>, path: &str) -> &'a mut FileMount {
    let place = files.iter().position(|file| file.path == path).unwrap_or_else(|| {
        files.push(FileMount { path: path.into(), source: String::new(), mode: DEFAULT_MODE });
        files.len() - 1
    });
    &mut files[place]
}

fn probe(probe: &mut Probe, field: &str, path: &Path, leaf: &Leaf) -> Result<(), String> {
    match field {
        "http" => probe.http = Some(written(leaf)),
        "tcp" => probe.tcp = Some(written(leaf)),
        "port" => probe.port = Some(written(leaf)),
        "command" => probe.command.push(written(leaf)),
        "interval" => probe.interval = Some(written(leaf)),
        "timeout" => probe.timeout = Some(written(leaf)),
        "start_period" => probe.start_period = Some(written(leaf)),
        "retries" => probe.retries = Some(number(path, leaf)?),
        other => return Err(format!("a probe has no {other}")),
    }
    Ok(())
}
