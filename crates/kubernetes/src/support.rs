//! What Kubernetes makes of the portable fields, and what it cannot take.

use std::collections::BTreeMap;

use stratos_engine::manifest::schema::{App, Protocol};
use stratos_engine::platform::{Field, Support};

/// The most that a ConfigMap or a Secret may hold.
const LARGEST: usize = 1024 * 1024;

const PROBE: &str = "times are whole seconds here; `start_period` counts for `live` alone: a check that is not ready restarts nothing";

/// What this platform makes of a field.
pub(crate) fn support(field: Field) -> Support {
    match field {
        Field::HealthHttp | Field::HealthTcp | Field::HealthCommand | Field::HealthLive => Support::Adapted(PROBE),
        Field::PortsPublish => Support::Adapted("a Service of type LoadBalancer: the cluster's load balancer gives it an address"),
        Field::VolumesSize => Support::Adapted("a claim of that size; one that is there is enlarged where its storage class can"),
        Field::RolloutOnFailure => Support::Adapted("a roll-out that failed is left as it is: what ran before goes on"),
        Field::RolloutMaxSurge | Field::RolloutMaxUnavailable => {
            Support::Adapted("of an app with volumes of its own for each instance one after another is exchanged")
        }
        Field::Image
        | Field::Command
        | Field::Replicas
        | Field::Ports
        | Field::PortsUdp
        | Field::Env
        | Field::Files
        | Field::FilesMode
        | Field::ResourcesCpu
        | Field::ResourcesCpuLimit
        | Field::ResourcesMemory
        | Field::Volumes
        | Field::VolumesShared
        | Field::Bind
        | Field::DependsOn
        | Field::RolloutStrategy
        | Field::RolloutTimeout
        | Field::Protect => Support::Full,
    }
}

/// What keeps an app from running in a cluster although it uses no unsupported field.
pub(crate) fn check(app: &App) -> Vec<String> {
    let mut problems = Vec::new();
    if app.image.is_none() {
        problems
            .push("`image` is required: a cluster runs images (`environments = [\"…\"]` keeps an app to other environments)".to_owned());
    }
    // Two ports of a Service, and of a container, with one number and protocol are one to the API.
    let mut numbers = BTreeMap::new();
    for (name, port) in app.ports.iter().filter(|_| app.image.is_some()) {
        if let Some(first) = numbers.insert((port.port, port.protocol == Protocol::Udp), name) {
            problems.push(format!("its ports `{first}` and `{name}` are the same: {} of one protocol", port.port));
        }
    }
    let literal = app.files.values().filter_map(|file| file.content.as_ref()?.as_literal());
    let size: usize = literal.map(str::len).sum();
    if size >= LARGEST {
        problems.push(format!("its files have {size} bytes: a ConfigMap holds less than {LARGEST}"));
    }
    problems
}
