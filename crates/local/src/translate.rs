//! What an app becomes on this machine: a `workload`, and a `volume` for each of its volumes.
//!
//! A document holds what differs from the default alone ([`defaults`]). `supervisor::spec` reads it back.

use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::name::{Name, live_name};
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::resource::{Resource, ResourceId, Shape};
use stratos_engine::desired::text::{Segment, Text};
use stratos_engine::manifest::schema::{App, HealthCheck, OnFailure, Port, Probe, Protocol, Strategy, VolumeAccess};
use stratos_engine::platform::{Address, Field, Support, TranslatedApp};

/// The longest live name. Folders are named by uid, so it is a label's limit, the one that most platforms have.
const NAME_LIMIT: usize = 63;

/// Where everything listens: what runs here is a developer's, and nobody else's on the network.
pub const HOST: &str = "127.0.0.1";

/// The variable that holds the number of an app's first port.
pub const PORT: &str = "PORT";

/// The processes of an app, and what serves them.
///
/// A change of `replicas`, of what is published, of a probe or of the roll-out leaves what runs alone.
pub static WORKLOAD: Shape = Shape {
    kind: "workload",
    replaces: &[],
    restarts: &["command", "env", "files", "ports.*.port", "ports.*.variable", "volumes.*.access", "volumes.*.path"],
    holds_data: false,
    has_health: true,
    renames: true,
    comes_first: false,
    precedes_writes: false,
};

/// A folder that outlives instances.
///
/// Its `access` changes in place and loses nothing: the folder that all instances share is the first instance's own.
pub static VOLUME: Shape = Shape { kind: "volume", holds_data: true, renames: true, ..Shape::UNKNOWN };

/// What holds where the manifest says nothing. Such values are in no document.
pub mod defaults {
    use stratos_engine::desired::quantity::Duration;

    /// How many instances run.
    pub const REPLICAS: u32 = 1;
    /// Permission bits of a file.
    pub const FILE_MODE: u32 = 0o444;
    /// Between two probes.
    pub const INTERVAL: Duration = Duration(10_000);
    /// For one probe.
    pub const TIMEOUT: Duration = Duration(2_000);
    /// Failures in a row that count.
    pub const RETRIES: u32 = 3;
    /// How long failures do not count after a start.
    pub const START_PERIOD: Duration = Duration(0);
    /// Instances beyond `replicas` in a roll-out.
    pub const MAX_SURGE: u32 = 1;
    /// Instances of `replicas` that may be away in a roll-out.
    pub const MAX_UNAVAILABLE: u32 = 0;
    /// For a whole roll-out.
    pub const ROLLOUT_TIMEOUT: Duration = Duration(300_000);
}

/// What this platform makes of a field.
pub(crate) fn support(field: Field) -> Support {
    match field {
        Field::Image => Support::Ignored("the command runs on this machine as it is; no image is pulled"),
        Field::Ports => Support::Adapted("each instance gets ports of its own, in PORT and PORT_<NAME>"),
        Field::PortsPublish => Support::Adapted("published on 127.0.0.1 alone"),
        Field::PortsUdp => Support::Unsupported("the balancer speaks TCP alone"),
        Field::Files => Support::Adapted("in a folder of the instance: /etc/app.conf is $STRATOS_FILES/etc/app.conf"),
        Field::FilesMode => Support::Adapted("a file that holds a secret is closed to other users whatever its mode says"),
        Field::Volumes => Support::Adapted("a folder that is named by $STRATOS_VOLUME_<NAME>"),
        Field::VolumesSize => Support::Unsupported("folders have no size limit"),
        Field::ResourcesCpu | Field::ResourcesCpuLimit => Support::Unsupported("processes are not limited"),
        Field::ResourcesMemory => Support::Unsupported("processes are not limited"),
        Field::Command
        | Field::Replicas
        | Field::Env
        | Field::HealthHttp
        | Field::HealthTcp
        | Field::HealthCommand
        | Field::HealthLive
        | Field::VolumesShared
        | Field::Bind
        | Field::DependsOn
        | Field::RolloutStrategy
        | Field::RolloutMaxSurge
        | Field::RolloutMaxUnavailable
        | Field::RolloutTimeout
        | Field::RolloutOnFailure
        | Field::Protect => Support::Full,
    }
}

/// What keeps an app from running here although it uses no unsupported field.
pub(crate) fn check(app: &App) -> Vec<String> {
    let mut problems = Vec::new();
    match app.command.as_deref() {
        None | Some([]) => problems.push("`command` is required: the platform local runs it on this machine instead of an image".into()),
        // Which program was not found, and where, is told in errors.
        Some([program, ..]) if program.has_secret() => {
            problems.push("the first word of `command` names a program: it cannot hold a secret".into())
        }
        Some(_) => {}
    }
    if app.env.get("PATH").is_some_and(Text::has_secret) {
        problems.push("`env.PATH` cannot hold a secret: it is told where a program is not found".into());
    }
    problems
}

/// The resources of an app: its volumes first.
pub(crate) fn translate(app: &TranslatedApp<'_>) -> Vec<Resource> {
    let mut resources: Vec<Resource> = app.app.volumes.keys().map(|name| volume(app, name)).collect();
    let depends_on = resources.iter().map(|r| r.id.clone()).collect();
    let rollout = app.app.rollout.as_ref();
    resources.push(Resource {
        id: workload_id(app),
        marks: app.marks.clone(),
        document: workload(app),
        depends_on,
        rollout_timeout: Some(rollout.and_then(|r| r.timeout).unwrap_or(defaults::ROLLOUT_TIMEOUT)),
        moved_from: app
            .moved_from
            .get(&None)
            .map(|from| ResourceId::new(app.environment, WORKLOAD.kind, &live_name(app.project, &from.app, None, NAME_LIMIT)).into()),
        shape: &WORKLOAD,
    });
    resources
}

/// Where other apps reach a port: a port of the balancer, which is chosen once and stays, whatever is published.
pub(crate) fn address(app: &TranslatedApp<'_>, port: &Name) -> Address {
    let attribute = Segment::Attribute { of: Box::new(workload_id(app)), name: format!("ports.{port}") };
    Address { host: Text::literal(HOST), port: [attribute].into_iter().collect() }
}

fn workload_id(app: &TranslatedApp<'_>) -> ResourceId {
    ResourceId::new(app.environment, WORKLOAD.kind, &live_name(app.project, app.name, None, NAME_LIMIT))
}

fn volume_name(app: &TranslatedApp<'_>, name: &Name) -> String {
    live_name(app.project, app.name, Some(name), NAME_LIMIT)
}

fn volume(app: &TranslatedApp<'_>, name: &Name) -> Resource {
    let mut document = DocumentBuilder::default();
    if app.app.volumes[name].access == VolumeAccess::Shared {
        document.text(["access"], "shared");
    }
    // A volume moves with its app, and under a name of its own.
    let moved = app.moved_from.get(&Some(name.clone())).or_else(|| app.moved_from.get(&None));
    let moved_from = moved.map(|from| {
        let before = from.volume.as_ref().unwrap_or(name);
        ResourceId::new(app.environment, VOLUME.kind, &live_name(app.project, &from.app, Some(before), NAME_LIMIT))
    });
    Resource {
        id: ResourceId::new(app.environment, VOLUME.kind, &volume_name(app, name)),
        marks: app.marks.clone(),
        document: document.build(),
        depends_on: vec![],
        rollout_timeout: None,
        moved_from: moved_from.map(Box::new),
        shape: &VOLUME,
    }
}

fn workload(app: &TranslatedApp<'_>) -> Document {
    let App { command, replicas, ports, health, volumes, rollout, .. } = app.app;
    let mut document = DocumentBuilder::default();
    document.list(&["command"], command.as_deref().unwrap_or_default());
    other_than(&mut document, ["replicas"], *replicas, defaults::REPLICAS);

    let ports: Vec<(&Name, &Port)> = ports.iter().filter(|(_, port)| port.protocol == Protocol::Tcp).collect();
    for (name, port) in &ports {
        document.integer(["ports", name.as_str(), "port"], port.port);
        if let Some(publish) = port.publish {
            document.integer(["ports", name.as_str(), "publish"], publish);
        }
    }
    // A document has no order: the first one in the manifest is told where it is not the first by name.
    let first_port = ports.first().map(|(name, _)| name.as_str());
    if let Some(first) = first_port.filter(|first| ports.iter().any(|(name, _)| name.as_str() < *first)) {
        document.text(["ports", first, "variable"], PORT);
    }

    for (name, value) in app.env {
        document.put(["env", name.as_str()], Leaf::from_text(value));
    }
    for (path, file) in app.files {
        document.put(["files", path.as_str(), "content"], Leaf::from_text(&file.content));
        if file.mode != defaults::FILE_MODE {
            document.text(["files", path.as_str(), "mode"], &format!("{:04o}", file.mode));
        }
    }
    for (name, volume) in volumes {
        document.text(["volumes", name.as_str(), "path"], &volume.path);
        document.text(["volumes", name.as_str(), "source"], &volume_name(app, name));
        if volume.access == VolumeAccess::Shared {
            document.text(["volumes", name.as_str(), "access"], "shared");
        }
    }
    if let Some(health) = health {
        probe(&mut document, "ready", health.ready(), first_port);
        probe(&mut document, "live", HealthCheck::live(health), first_port);
    }
    if let Some(rollout) = rollout {
        if rollout.strategy == Some(Strategy::Recreate) {
            document.text(["rollout", "strategy"], "recreate");
        }
        other_than(&mut document, ["rollout", "max_surge"], rollout.max_surge, defaults::MAX_SURGE);
        other_than(&mut document, ["rollout", "max_unavailable"], rollout.max_unavailable, defaults::MAX_UNAVAILABLE);
        duration(&mut document, ["rollout", "timeout"], rollout.timeout, defaults::ROLLOUT_TIMEOUT);
        if rollout.on_failure == Some(OnFailure::Pause) {
            document.text(["rollout", "on_failure"], "pause");
        }
    }
    document.build()
}

fn probe(document: &mut DocumentBuilder, which: &str, probe: Option<&Probe>, first_port: Option<&str>) {
    let Some(Probe { http, tcp, command, port, interval, timeout, retries, start_period }) = probe else { return };
    if let Some(path) = http {
        document.text(["health", which, "http"], path);
        // The port is written out: a change of which one is the first would change the probe unseen.
        if let Some(port) = port.as_ref().map(Name::as_str).or(first_port) {
            document.text(["health", which, "port"], port);
        }
    }
    if let Some(port) = tcp {
        document.text(["health", which, "tcp"], port);
    }
    if let Some(command) = command {
        let command: Vec<Text> = command.iter().map(|word| Text::literal(word.as_str())).collect();
        document.list(&["health", which, "command"], &command);
    }
    duration(document, ["health", which, "interval"], *interval, defaults::INTERVAL);
    duration(document, ["health", which, "timeout"], *timeout, defaults::TIMEOUT);
    other_than(document, ["health", which, "retries"], *retries, defaults::RETRIES);
    duration(document, ["health", which, "start_period"], *start_period, defaults::START_PERIOD);
}

fn other_than<'a>(document: &mut DocumentBuilder, path: impl IntoIterator<Item = &'a str>, value: Option<u32>, default: u32) {
    if let Some(value) = value.filter(|value| *value != default) {
        document.integer(path, value);
    }
}

fn duration<'a>(document: &mut DocumentBuilder, path: impl IntoIterator<Item = &'a str>, value: Option<Duration>, default: Duration) {
    if let Some(value) = value.filter(|value| *value != default) {
        document.put(path, Leaf::Duration(value));
    }
}
