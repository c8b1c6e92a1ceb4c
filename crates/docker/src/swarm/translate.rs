//! An app becomes a service, and a config or a secret for each of its files.

use std::sync::Arc;

use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Marks;
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::resource::{ReplaceOrder, Replacement, Resource, ResourceId, Shape};
use stratos_engine::desired::text::{Segment, Text};
use stratos_engine::manifest::schema::{Port, Protocol};
use stratos_engine::platform::{Address, FileContent, TranslatedApp};

use super::{names, rollout, spec};
use crate::config::{EnvironmentConfig, SwarmOptions};
use crate::container;
pub(crate) use crate::container::app::FILE_MODE;
use crate::container::app::ROLLOUT_TIMEOUT;

/// Runs instances. Everything that its tasks are made of restarts them.
pub static SERVICE: Shape = Shape {
    kind: "service",
    replaces: &[("deploy.mode", Replacement { order: ReplaceOrder::DeleteFirst, downtime: true, loses_data: false })],
    restarts: &container::fields_and::<4, 32>(["ports", "deploy.resources", "deploy.restart", "deploy.placement"]),
    holds_data: false,
    has_health: true,
    renames: false,
    comes_first: false,
    precedes_writes: false,
};

/// Content that cannot change. Its name holds a hash of it: other content is another config.
pub static CONFIG: Shape = Shape {
    kind: "config",
    replaces: &[("content", Replacement { order: ReplaceOrder::DeleteFirst, downtime: false, loses_data: false })],
    ..Shape::UNKNOWN
};

/// Content that cannot change and is not shown. Other content is another generation, beside the one before.
pub static SECRET: Shape = Shape {
    kind: "secret",
    replaces: &[("content", Replacement { order: ReplaceOrder::CreateFirst, downtime: false, loses_data: false })],
    ..Shape::UNKNOWN
};

/// Where other apps reach a port: by the service's name, in the environment's network.
pub(crate) fn address(config: &EnvironmentConfig, app: &TranslatedApp<'_>, port: &Name) -> Address {
    let number = app.app.ports.get(port).map(|port| port.port.to_string()).unwrap_or_default();
    Address { host: Text::literal(names::service(&config.prefix, app.name)), port: Text::literal(number) }
}

/// The resources of an app. `watch` is how long a new instance is watched at most.
pub(crate) fn translate(config: &EnvironmentConfig, watch: Duration, app: &TranslatedApp<'_>) -> Vec<Resource> {
    let mut resources: Vec<Resource> = Vec::new();
    let mut document = DocumentBuilder::default();
    container::app::write(app, &mut document);
    for (path, file) in app.files {
        let resource = mounted(config, app, path, file, &mut document);
        // One content under two paths is one config.
        if resources.iter().all(|other| other.id != resource.id) {
            resources.push(resource);
        }
    }
    for (name, volume) in &app.app.volumes {
        document.text(["volumes", volume.path.as_str(), "type"], "volume");
        document.text(["volumes", volume.path.as_str(), "source"], &names::volume(&config.prefix, app.name, name, volume.access));
    }
    let ports: Vec<spec::ports::Published> = app.app.ports.values().filter_map(|port| published(config.swarm, port)).collect();
    let takes_host_ports = ports.iter().any(|port| port.on_host && port.published.is_some());
    spec::ports::write(&ports, &mut document);
    if config.swarm.dns_round_robin {
        document.text(["deploy", "endpoint_mode"], "dnsrr");
    }
    if let Some(replicas) = app.app.replicas.filter(|replicas| *replicas != 1) {
        document.integer(["deploy", "replicas"], replicas);
    }
    rollout::write(app.app.rollout.as_ref(), takes_host_ports, watch, &mut document);
    let network = names::network(&config.prefix, app.environment);
    spec::networks::write(&network, [app.name.as_str()], &mut document);
    let id = service_id(config, app.name);
    let before = app.moved_from.get(&None).map(|before| service_id(config, &before.app));
    resources.push(Resource {
        depends_on: resources.iter().map(|resource| resource.id.clone()).collect(),
        rollout_timeout: Some(app.app.rollout.as_ref().and_then(|rollout| rollout.timeout).unwrap_or(ROLLOUT_TIMEOUT)),
        moved_from: before.map(Box::new),
        ..resource(id, app.marks.clone(), document, &SERVICE)
    });
    resources
}

fn service_id(config: &EnvironmentConfig, app: &Name) -> ResourceId {
    ResourceId::new(&config.environment, SERVICE.kind, &names::service(&config.prefix, app))
}

fn resource(id: ResourceId, marks: Marks, document: DocumentBuilder, shape: &'static Shape) -> Resource {
    Resource { id, marks, document: document.build(), depends_on: vec![], rollout_timeout: None, moved_from: None, shape }
}

fn published(options: SwarmOptions, port: &Port) -> Option<spec::ports::Published> {
    let protocol = if port.protocol == Protocol::Udp { "udp" } else { "tcp" };
    let published = port.publish?;
    Some(spec::ports::Published {
        target: port.port,
        protocol: protocol.into(),
        published: Some(published),
        on_host: options.publish_on_host,
    })
}

/// A reference to the id that the swarm gives an object.
pub(crate) fn reference(of: ResourceId) -> Leaf {
    Leaf::Ref(Arc::new([Segment::Attribute { of: Box::new(of), name: "id".to_owned() }].into_iter().collect()))
}

/// The config or the secret of a file, and its place in the service.
fn mounted(config: &EnvironmentConfig, app: &TranslatedApp<'_>, path: &str, file: &FileContent, service: &mut DocumentBuilder) -> Resource {
    let (shape, name) = if file.content.has_secret() {
        (&SECRET, names::secret(&config.prefix, app.name, path))
    } else {
        (&CONFIG, names::config(&config.prefix, app.name, path, &file.content.to_rendered()))
    };
    let id = ResourceId::new(&config.environment, shape.kind, &name);
    service.put(["files", path, shape.kind], reference(id.clone()));
    if file.mode != FILE_MODE {
        service.text(["files", path, "mode"], &spec::files::octal(file.mode));
    }
    let mut document = DocumentBuilder::default();
    document.put(["content"], Leaf::from_text(&file.content));
    // A protected app keeps what it uses because it uses it; protecting each would keep every old one, too.
    let marks = Marks { protect: false, ..app.marks.clone() };
    resource(id, marks, document, shape)
}
