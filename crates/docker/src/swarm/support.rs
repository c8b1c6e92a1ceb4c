//! What a swarm makes of the portable fields, and what it cannot take.

use stratos_engine::manifest::schema::App;
use stratos_engine::platform::{Field, Support};

use crate::config::SwarmOptions;

/// The most that a config or a secret may hold; both must hold something.
const LARGEST: usize = 500 * 1024;

const NODE_VOLUMES: &str =
    "a volume of the node that runs the instance: an instance that is moved to another node finds an empty one there";

/// What this platform makes of a field.
pub(crate) fn support(field: Field) -> Support {
    match field {
        Field::PortsUdp => Support::Adapted("an app's network is open for both protocols: it counts where a port is published"),
        Field::HealthHttp => Support::Adapted("a command inside the container: the image needs a shell, and wget or curl"),
        Field::HealthTcp => Support::Adapted("a command inside the container: the image needs a shell, and nc or bash"),
        Field::HealthLive => Support::Unsupported("a container has one check; an instance that fails it is replaced"),
        Field::Volumes => Support::Adapted(NODE_VOLUMES),
        Field::VolumesShared => Support::Adapted("shared by the instances on one node"),
        Field::VolumesSize => Support::Unsupported("an engine's volumes have no size limit"),
        Field::RolloutMaxUnavailable => Support::Adapted(
            "old instances stop first, so many at a time, where max_surge is 0 or not written; beside max_surge it has no effect",
        ),
        Field::RolloutTimeout => {
            Support::Adapted("counted by whoever applies; the swarm watches each new instance for a tenth of it, at most 5s")
        }
        Field::Image
        | Field::Command
        | Field::Replicas
        | Field::Ports
        | Field::PortsPublish
        | Field::Env
        | Field::Files
        | Field::FilesMode
        | Field::HealthCommand
        | Field::ResourcesCpu
        | Field::ResourcesCpuLimit
        | Field::ResourcesMemory
        | Field::Bind
        | Field::DependsOn
        | Field::RolloutStrategy
        | Field::RolloutMaxSurge
        | Field::RolloutOnFailure
        | Field::Protect => Support::Full,
    }
}

/// What keeps an app from running in a swarm although it uses no unsupported field.
pub(crate) fn check(options: SwarmOptions, app: &App) -> Vec<String> {
    let mut problems = Vec::new();
    if app.image.is_none() {
        problems.push("`image` is required: a swarm runs images (`environments = [\"…\"]` keeps an app to other environments)".to_owned());
    }
    if options.dns_round_robin && !options.publish_on_host && app.ports.values().any(|port| port.publish.is_some()) {
        problems.push(
            "a port cannot be published on all nodes with `endpoint_mode = \"dnsrr\"`: set `publish = \"host\"` in the environment's options"
                .to_owned(),
        );
    }
    for (path, file) in &app.files {
        let Some(content) = file.content.as_ref().and_then(|content| content.as_literal()) else { continue };
        if content.is_empty() || content.len() >= LARGEST {
            let size = content.len();
            problems.push(format!("the file {path} has {size} bytes: a swarm's config holds at least one, and less than {LARGEST}"));
        }
    }
    problems
}
