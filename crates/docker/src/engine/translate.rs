//! An app becomes a `container` (the set of its instances) and a `volume` for each of its volumes.

use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::name::{Name, live_name};
use stratos_engine::desired::owner::Marks;
use stratos_engine::desired::resource::{ReplaceOrder, Replacement, Resource, ResourceId, Shape};
use stratos_engine::desired::text::Text;
use stratos_engine::manifest::schema::{App, OnFailure, Protocol, Strategy, VolumeAccess};
use stratos_engine::platform::{Address, Field, Support, TranslatedApp};

use super::{body, names, ports};
use crate::config::EnvironmentConfig;
pub(crate) use crate::container::app::{FILE_MODE, ROLLOUT_TIMEOUT};
use crate::container::{self, leaves};

/// The longest live name: what a name in DNS may have.
const NAME_LIMIT: usize = 63;

/// Containers beyond `replicas` in a roll-out, where the app does not say.
pub(crate) const MAX_SURGE: u32 = 1;

/// The instances of an app. A container cannot be changed, so everything that is said of one makes new ones, which take the
/// place of the old ones one after the other. How many there are, and what is published, is said of all together.
pub static CONTAINER: Shape = Shape {
    kind: "container",
    replaces: &[],
    restarts: &container::fields_and::<17, 45>([
        "privileged",
        "pid",
        "ipc",
        "userns_mode",
        "uts",
        "cgroup_parent",
        "cpuset",
        "oom_score_adj",
        "shm_size",
        "security_opt",
        "devices",
        "ports.*.bound",
        "deploy.resources",
        "deploy.restart",
        "deploy.update",
        "owner",
        "protect",
    ]),
    holds_data: false,
    has_health: true,
    renames: true,
    comes_first: false,
    precedes_writes: false,
};

/// The kind of an app's volumes, which outlive its instances. The volumes under one name are one for each instance or one for all. Their
/// labels are fixed when they are made.
pub static VOLUME: Shape = Shape { replaces: &[("owner", FIXED)], kind: "volume", holds_data: true, ..Shape::UNKNOWN };

const FIXED: Replacement = Replacement { order: ReplaceOrder::DeleteFirst, downtime: true, loses_data: true };

/// A volume that a compose file declares. It is called like its resource; what it says is fixed when it is made.
pub(crate) static PROJECT_VOLUME: Shape = Shape { replaces: &[("*", FIXED)], ..VOLUME };

/// What this platform makes of a field.
pub(crate) fn support(field: Field) -> Support {
    match field {
        Field::PortsPublish => Support::Adapted("a proxy beside the app has the port, and sends to the instances that are ready"),
        Field::PortsUdp => Support::Adapted("reached within the environment alone: the proxy speaks TCP"),
        Field::HealthHttp => Support::Adapted("a command in the container: its image needs `wget` or `curl`"),
        Field::HealthTcp => Support::Adapted("a command in the container: its image needs `nc` or `bash`"),
        Field::HealthLive => Support::Unsupported("a container has one health check, and is not started again when it fails"),
        Field::ResourcesCpu => Support::Adapted("a share beside the other containers of the machine"),
        Field::VolumesSize => Support::Unsupported("the engine's own volumes have no size limit"),
        Field::RolloutTimeout => Support::Adapted("taken from the manifest at each roll-out; nothing is kept of it"),
        Field::RolloutStrategy
        | Field::RolloutMaxSurge
        | Field::RolloutMaxUnavailable
        | Field::RolloutOnFailure
        | Field::Protect
        | Field::Image
        | Field::Command
        | Field::Replicas
        | Field::Ports
        | Field::Env
        | Field::Files
        | Field::FilesMode
        | Field::HealthCommand
        | Field::ResourcesCpuLimit
        | Field::ResourcesMemory
        | Field::Volumes
        | Field::VolumesShared
        | Field::Bind
        | Field::DependsOn => Support::Full,
    }
}

/// What keeps an app from running here although it uses no unsupported field.
pub(crate) fn check(app: &App) -> Vec<String> {
    let mut problems = Vec::new();
    if app.image.is_none() {
        problems.push(
            "`image` is required: the platform docker runs containers (`environments = [\"…\"]` keeps an app to other environments)"
                .to_owned(),
        );
    }
    let udp = app.ports.iter().filter(|(_, port)| port.protocol == Protocol::Udp && port.publish.is_some());
    problems.extend(udp.map(|(name, _)| format!("port {name:?}: UDP cannot be published, the proxy that has published ports speaks TCP")));
    problems
}

/// Where other apps reach a port: by the app's name in the environment's network.
pub(crate) fn address(config: &EnvironmentConfig, app: &TranslatedApp<'_>, port: &Name) -> Address {
    let number = app.app.ports.get(port).map(|port| port.port.to_string()).unwrap_or_default();
    Address { host: Text::literal(live(config, app.name, None)), port: Text::literal(number) }
}

/// The resources of an app: its volumes first.
pub(crate) fn translate(config: &EnvironmentConfig, app: &TranslatedApp<'_>) -> Vec<Resource> {
    let mut document = DocumentBuilder::default();
    let mut resources: Vec<Resource> = app.app.volumes.keys().map(|name| volume(config, app, name, &mut document)).collect();
    container::app::write(app, &mut document);
    for (path, file) in app.files {
        document.put(["files", path.as_str(), "content"], Leaf::from_text(&file.content));
        if file.mode != FILE_MODE {
            document.text(["files", path.as_str(), "mode"], &format!("{:04o}", file.mode));
        }
    }
    let tcp = app.app.ports.values().filter(|port| port.protocol == Protocol::Tcp);
    let published = tcp.filter_map(|port| Some(ports::Published { target: port.port, port: port.publish?, address: None, leads: true }));
    for (path, leaf) in ports::leaves(published.collect()) {
        document.put(path.segments(), leaf);
    }
    let name = live(config, app.name, None);
    for alias in [app.name.as_str(), &name] {
        document.put(["networks", network(config).as_str(), "aliases", alias], Leaf::Bool(true));
    }
    leaves::integer(&mut document, &["deploy", "replicas"], app.app.replicas.map(i64::from), 1);
    rollout(app.app, &mut document);
    resources.push(Resource {
        id: ResourceId::new(app.environment, CONTAINER.kind, &name),
        marks: app.marks.clone(),
        document: document.build(),
        depends_on: resources.iter().map(|resource| resource.id.clone()).collect(),
        rollout_timeout: Some(app.app.rollout.as_ref().and_then(|rollout| rollout.timeout).unwrap_or(ROLLOUT_TIMEOUT)),
        moved_from: app
            .moved_from
            .get(&None)
            .map(|before| ResourceId::new(app.environment, CONTAINER.kind, &live(config, &before.app, None)).into()),
        shape: &CONTAINER,
    });
    resources
}

/// The environment's own network.
pub(crate) fn network(config: &EnvironmentConfig) -> String {
    format!("{}-{}", config.prefix, config.environment)
}

pub(crate) fn live(config: &EnvironmentConfig, app: &Name, part: Option<&str>) -> String {
    live_name(&config.prefix, app, part, NAME_LIMIT)
}

fn rollout(app: &App, out: &mut DocumentBuilder) {
    let Some(rollout) = &app.rollout else { return };
    if rollout.strategy == Some(Strategy::Recreate) {
        out.text(["deploy", "update", "strategy"], "recreate");
    }
    leaves::integer(out, &["deploy", "update", "max_surge"], rollout.max_surge.map(i64::from), MAX_SURGE.into());
    leaves::integer(out, &["deploy", "update", "max_unavailable"], rollout.max_unavailable.map(i64::from), 0);
    if rollout.on_failure == Some(OnFailure::Pause) {
        out.text(["deploy", "update", "failure_action"], "pause");
    }
}

/// A volume, and its place in the container. One that all instances share is the first instance's own, so that a change
/// of `access` loses nothing.
fn volume(config: &EnvironmentConfig, app: &TranslatedApp<'_>, name: &Name, document: &mut DocumentBuilder) -> Resource {
    let live_name = live(config, app.name, Some(name));
    let volume = &app.app.volumes[name];
    let source = match volume.access {
        VolumeAccess::Shared => names::volume(&live_name, 1),
        VolumeAccess::Replica => format!("{live_name}-{}", body::SLOT),
    };
    document.text(["volumes", volume.path.as_str(), "type"], "volume");
    document.text(["volumes", volume.path.as_str(), "source"], &source);
    let moved = app.moved_from.get(&Some(name.clone())).or_else(|| app.moved_from.get(&None));
    let before = moved.map(|from| live(config, &from.app, Some(from.volume.as_ref().unwrap_or(name))));
    Resource {
        id: ResourceId::new(app.environment, VOLUME.kind, &live_name),
        // A volume's labels are fixed, and it never goes by itself: it needs no protection of its own.
        marks: Marks { protect: false, ..app.marks.clone() },
        document: DocumentBuilder::default().build(),
        depends_on: vec![],
        rollout_timeout: None,
        moved_from: before
            .filter(|before| *before != live_name)
            .map(|before| ResourceId::new(app.environment, VOLUME.kind, &before).into()),
        shape: &VOLUME,
    }
}
