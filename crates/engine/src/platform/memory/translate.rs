//! An app becomes a service, with the configs, secrets and volumes that it needs: all in normal form.

use std::sync::Arc;

use super::server::{DEFAULT_INTERVAL, DEFAULT_MODE, DEFAULT_PROBE_TIMEOUT, DEFAULT_RETRIES, DEFAULT_SIZE, DEFAULT_TIMEOUT};
use crate::desired::document::{Document, DocumentBuilder, Leaf};
use crate::desired::name::{Name, live_name};
use crate::desired::owner::Marks;
use crate::desired::quantity::Duration;
use crate::desired::resource::{ReplaceOrder, Replacement, Resource, ResourceId, Shape};
use crate::desired::text::{Segment, Text};
use crate::manifest::schema::{OnFailure, Probe, Protocol, Strategy, VolumeAccess};
use crate::platform::{Address, Field, FileContent, TranslatedApp};

/// The kinds, in the order in which they are listed.
pub(crate) const KINDS: [&str; 4] = ["config", "secret", "service", "volume"];

const NAME_LIMIT: usize = 63;

/// Runs instances. It cannot be renamed. Another protocol needs a new object beside the old one; another published port
/// needs the old object to go first, since the port is its own.
pub(crate) static SERVICE: Shape = Shape {
    kind: "service",
    replaces: &[
        ("ports.*.protocol", Replacement { order: ReplaceOrder::CreateFirst, downtime: false, loses_data: false }),
        ("ports.*.publish", Replacement { order: ReplaceOrder::DeleteFirst, downtime: true, loses_data: false }),
    ],
    restarts: &["image", "command", "ports", "env", "files", "mounts", "ready", "live", "resources"],
    holds_data: false,
    has_health: true,
    renames: false,
    comes_first: false,
    precedes_writes: false,
};

/// Immutable content: its name holds a hash of it, so that other content is another config.
static CONFIG: Shape = Shape {
    kind: "config",
    replaces: &[("content", Replacement { order: ReplaceOrder::DeleteFirst, downtime: false, loses_data: false })],
    restarts: &[],
    holds_data: false,
    has_health: false,
    renames: false,
    comes_first: false,
    precedes_writes: false,
};

/// Content that is not shown; it can be changed in place, because its name cannot hold a hash of what nobody may know.
static SECRET: Shape = Shape { kind: "secret", replaces: &[], ..Shape::UNKNOWN };

/// Keeps data. It can be renamed with what is in it.
static VOLUME: Shape = Shape {
    kind: "volume",
    replaces: &[("access", Replacement { order: ReplaceOrder::DeleteFirst, downtime: true, loses_data: true })],
    restarts: &[],
    holds_data: true,
    has_health: false,
    renames: true,
    comes_first: false,
    precedes_writes: false,
};

/// Where other apps reach a port: both parts are given by the server.
pub(crate) fn address(app: &TranslatedApp<'_>, port: &Name) -> Address {
    let service = service_id(app.project, app.name, app.environment);
    Address { host: attribute(&service, "address"), port: attribute(&service, &format!("ports.{port}")) }
}

/// The resources of an app; only fields that `keeps` says are written.
pub(crate) fn resources(app: &TranslatedApp<'_>, keeps: &dyn Fn(Field) -> bool) -> Vec<Resource> {
    let mut out = Vec::new();
    let mut document = DocumentBuilder::default();
    basics(app, keeps, &mut document);
    health(app, keeps, &mut document);
    rollout(app, keeps, &mut document);
    if keeps(Field::Files) {
        out.extend(app.files.iter().map(|(path, file)| mounted_file(app, keeps, path, file, &mut document)));
    }
    if keeps(Field::Volumes) {
        out.extend(volumes(app, keeps, &mut document));
    }
    let timeout = app.app.rollout.as_ref().and_then(|r| r.timeout).unwrap_or(DEFAULT_TIMEOUT);
    let before = app.moved_from.get(&None).map(|before| service_id(app.project, &before.app, app.environment));
    out.push(Resource {
        depends_on: out.iter().map(|resource| resource.id.clone()).collect(),
        rollout_timeout: Some(timeout),
        moved_from: before.map(Box::new),
        ..resource(service_id(app.project, app.name, app.environment), app.marks.clone(), document.build(), &SERVICE)
    });
    out
}

fn service_id(project: &Name, app: &Name, environment: &Name) -> ResourceId {
    ResourceId::new(environment, SERVICE.kind, &live_name(project, app, None, NAME_LIMIT))
}

fn resource(id: ResourceId, marks: Marks, document: Document, shape: &'static Shape) -> Resource {
    Resource { id, marks, document, depends_on: Vec::new(), rollout_timeout: None, moved_from: None, shape }
}

fn attribute(of: &ResourceId, name: &str) -> Text {
    [Segment::Attribute { of: Box::new(of.clone()), name: name.to_owned() }].into_iter().collect()
}

/// A reference to the id that the server gives a resource.
pub(crate) fn reference(of: &ResourceId) -> Leaf {
    Leaf::Ref(Arc::new(attribute(of, "id")))
}

fn basics(app: &TranslatedApp<'_>, keeps: &dyn Fn(Field) -> bool, document: &mut DocumentBuilder) {
    if let Some(image) = app.app.image.as_deref().filter(|_| keeps(Field::Image)) {
        document.put(["image"], Leaf::image(image));
    }
    if let Some(command) = app.app.command.as_ref().filter(|_| keeps(Field::Command)) {
        document.list(&["command"], command);
    }
    if let Some(replicas) = app.app.replicas.filter(|replicas| *replicas != 1 && keeps(Field::Replicas)) {
        document.integer(["replicas"], replicas);
    }
    for (name, port) in app.app.ports.iter().filter(|_| keeps(Field::Ports)) {
        document.integer(["ports", name, "port"], port.port);
        if let Some(publish) = port.publish.filter(|_| keeps(Field::PortsPublish)) {
            document.integer(["ports", name, "publish"], publish);
        }
        if port.protocol == Protocol::Udp && keeps(Field::PortsUdp) {
            document.text(["ports", name, "protocol"], "udp");
        }
    }
    for (name, value) in app.env.iter().filter(|_| keeps(Field::Env)) {
        document.put(["env", name], Leaf::from_text(value));
    }
    let Some(resources) = &app.app.resources else { return };
    if let Some(cpu) = resources.cpu.filter(|_| keeps(Field::ResourcesCpu)) {
        document.put(["resources", "cpu"], Leaf::Cpu(cpu));
    }
    if let Some(limit) = resources.cpu_limit.filter(|_| keeps(Field::ResourcesCpuLimit)) {
        document.put(["resources", "cpu_limit"], Leaf::Cpu(limit));
    }
    if let Some(memory) = resources.memory.filter(|_| keeps(Field::ResourcesMemory)) {
        document.put(["resources", "memory"], Leaf::Bytes(memory));
    }
}

fn health(app: &TranslatedApp<'_>, keeps: &dyn Fn(Field) -> bool, document: &mut DocumentBuilder) {
    let Some(check) = &app.app.health else { return };
    let live = check.live().filter(|_| keeps(Field::HealthLive)).map(|probe| ("live", probe));
    for (role, probe) in check.ready().map(|probe| ("ready", probe)).into_iter().chain(live) {
        let first = app.app.ports.keys().next();
        let kept = [
            probe.http.is_some() && keeps(Field::HealthHttp),
            probe.tcp.is_some() && keeps(Field::HealthTcp),
            probe.command.is_some() && keeps(Field::HealthCommand),
        ];
        if kept.contains(&true) {
            one_probe(role, probe, first, document);
        }
    }
}

fn one_probe(role: &str, probe: &Probe, first_port: Option<&Name>, document: &mut DocumentBuilder) {
    let Probe { http, tcp, command, port, interval, timeout, retries, start_period } = probe;
    if let Some(path) = http {
        document.text([role, "http"], path);
        if let Some(port) = port.as_ref().or(first_port) {
            document.text([role, "port"], port);
        }
    }
    if let Some(port) = tcp {
        document.text([role, "tcp"], port);
    }
    let command: Vec<Text> = command.iter().flatten().map(|word| Text::literal(word.clone())).collect();
    document.list(&[role, "command"], &command);
    let times = [
        ("interval", interval, DEFAULT_INTERVAL),
        ("timeout", timeout, DEFAULT_PROBE_TIMEOUT),
        ("start_period", start_period, Duration(0)),
    ];
    for (name, time, default) in times {
        if let Some(time) = time.filter(|time| *time != default) {
            document.put([role, name], Leaf::Duration(time));
        }
    }
    if let Some(retries) = retries.filter(|retries| *retries != DEFAULT_RETRIES) {
        document.integer([role, "retries"], retries);
    }
}

fn rollout(app: &TranslatedApp<'_>, keeps: &dyn Fn(Field) -> bool, document: &mut DocumentBuilder) {
    let Some(rollout) = &app.app.rollout else { return };
    if rollout.strategy == Some(Strategy::Recreate) && keeps(Field::RolloutStrategy) {
        document.text(["rollout", "strategy"], "recreate");
    }
    if let Some(surge) = rollout.max_surge.filter(|surge| *surge != 1 && keeps(Field::RolloutMaxSurge)) {
        document.integer(["rollout", "max_surge"], surge);
    }
    if let Some(away) = rollout.max_unavailable.filter(|away| *away != 0 && keeps(Field::RolloutMaxUnavailable)) {
        document.integer(["rollout", "max_unavailable"], away);
    }
    if let Some(timeout) = rollout.timeout.filter(|timeout| *timeout != DEFAULT_TIMEOUT && keeps(Field::RolloutTimeout)) {
        document.put(["rollout", "timeout"], Leaf::Duration(timeout));
    }
    if rollout.on_failure == Some(OnFailure::Pause) && keeps(Field::RolloutOnFailure) {
        document.text(["rollout", "on_failure"], "pause");
    }
}

/// The config or secret of one file, and its place in the service.
fn mounted_file(
    app: &TranslatedApp<'_>,
    keeps: &dyn Fn(Field) -> bool,
    path: &str,
    file: &FileContent,
    service: &mut DocumentBuilder,
) -> Resource {
    let secret = file.content.has_secret();
    let hashed = if secret { path.to_owned() } else { format!("{path}\n{}", file.content.to_rendered()) };
    let part = blake3::hash(hashed.as_bytes()).to_hex()[..10].to_owned();
    let shape = if secret { &SECRET } else { &CONFIG };
    let id = ResourceId::new(app.environment, shape.kind, &live_name(app.project, app.name, Some(&part), NAME_LIMIT));
    service.put(["files", path, shape.kind], reference(&id));
    if file.mode != DEFAULT_MODE && keeps(Field::FilesMode) {
        service.integer(["files", path, "mode"], file.mode);
    }
    let mut document = DocumentBuilder::default();
    document.put(["content"], Leaf::from_text(&file.content));
    // A protected app keeps its configs because it uses them; protecting each would keep every old one, too.
    let marks = Marks { protect: false, ..app.marks.clone() };
    resource(id, marks, document.build(), shape)
}

fn volumes(app: &TranslatedApp<'_>, keeps: &dyn Fn(Field) -> bool, service: &mut DocumentBuilder) -> Vec<Resource> {
    let id = |app_name: &Name, volume: &Name| {
        ResourceId::new(app.environment, VOLUME.kind, &live_name(app.project, app_name, Some(volume), NAME_LIMIT))
    };
    let one = |(name, volume): (&Name, &crate::manifest::schema::Volume)| {
        let live = id(app.name, name);
        service.put(["mounts", &volume.path], reference(&live));
        let mut document = DocumentBuilder::default();
        if let Some(size) = volume.size.filter(|size| *size != DEFAULT_SIZE && keeps(Field::VolumesSize)) {
            document.put(["size"], Leaf::Bytes(size));
        }
        if volume.access == VolumeAccess::Shared && keeps(Field::VolumesShared) {
            document.text(["access"], "shared");
        }
        let own = app.moved_from.get(&Some(name.clone()));
        let before = own.or_else(|| app.moved_from.get(&None)).map(|before| id(&before.app, before.volume.as_ref().unwrap_or(name)));
        let before = before.filter(|before| *before != live);
        Resource { moved_from: before.map(Box::new), ..resource(live, app.marks.clone(), document.build(), &VOLUME) }
    };
    app.app.volumes.iter().map(one).collect()
}
