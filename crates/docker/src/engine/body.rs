//! A document becomes what the engine is asked to make.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType, NetworkingConfig, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::quantity::{Cpu, Duration};

use super::archive::{Archive, Ids};
use super::{host, ports};
use crate::container::{Container, Whole, environment_list, resources};

/// In a document, the number of an instance within the name of its own volume.
pub(crate) const SLOT: &str = "{instance}";
/// On a mount: the volume is the instance's own.
pub(crate) const OWN: &str = "stratos.own";

/// The request for a container, but for its labels and for what its number decides.
pub(crate) fn body(document: &Document, container: Container) -> Result<ContainerCreateBody, String> {
    let (limits, reservations) = resources::read(document)?;
    let shares = match document.get(&Path::new(["deploy", "resources", "reservations", "cpus"])) {
        Some(Leaf::Cpu(cpu)) => Some(shares(*cpu)),
        _ => None,
    };
    let set = |value: i64| (value != 0).then_some(value);
    let list = |items: Vec<String>| (!items.is_empty()).then_some(items);
    let networks = networks(document);
    let bindings = ports::bindings(document);
    let exposed: Vec<String> = bindings.keys().cloned().collect();
    let mut host = HostConfig {
        nano_cpus: set(limits.nano_cpus),
        memory: set(limits.memory),
        pids_limit: set(limits.pids),
        memory_reservation: set(reservations.memory),
        cpu_shares: shares,
        restart_policy: Some(restart(document)),
        network_mode: networks.keys().next().cloned(),
        port_bindings: (!bindings.is_empty()).then_some(bindings),
        mounts: (!container.mounts.is_empty()).then_some(container.mounts),
        log_config: (container.log_driver.is_some() || !container.log_options.is_empty())
            .then(|| HostConfigLogConfig { typ: container.log_driver, config: Some(container.log_options.into_iter().collect()) }),
        init: container.init,
        readonly_rootfs: container.read_only.then_some(true),
        cap_add: list(container.cap_add.into_iter().collect()),
        cap_drop: list(container.cap_drop.into_iter().collect()),
        group_add: list(container.group_add.into_iter().collect()),
        extra_hosts: list(container.extra_hosts.into_iter().collect()),
        dns: list(container.dns),
        dns_search: list(container.dns_search),
        dns_options: list(container.dns_opt.into_iter().collect()),
        sysctls: (!container.sysctls.is_empty()).then(|| container.sysctls.into_iter().collect()),
        ulimits: (!container.ulimits.is_empty()).then(|| {
            let one = |(name, (soft, hard))| ResourcesUlimits { name: Some(name), soft: Some(soft), hard: Some(hard) };
            container.ulimits.into_iter().map(one).collect()
        }),
        ..HostConfig::default()
    };
    host::write(document, &mut host)?;
    Ok(ContainerCreateBody {
        exposed_ports: list(exposed),
        image: container.image.map(|image| image.to_string()),
        entrypoint: list(container.entrypoint),
        cmd: list(container.command),
        env: list(environment_list(&container.environment)),
        healthcheck: container.healthcheck,
        labels: Some(container.labels.into_iter().collect()),
        hostname: container.hostname,
        user: container.user,
        working_dir: container.working_dir,
        stop_signal: container.stop_signal,
        stop_timeout: container.stop_grace_period.map(seconds),
        tty: container.tty.then_some(true),
        open_stdin: container.stdin_open.then_some(true),
        host_config: Some(host),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(networks.into_iter().collect()) }),
        ..ContainerCreateBody::default()
    })
}

/// Whole seconds are what the engine takes: a fraction is given in full.
fn seconds(time: Duration) -> i64 {
    i64::try_from(time.0.div_ceil(1000)).unwrap_or(i64::MAX)
}

/// The same request for one instance.
pub(crate) fn for_instance(body: &ContainerCreateBody, number: u32) -> ContainerCreateBody {
    let mut body = body.clone();
    for mount in body.host_config.iter_mut().filter_map(|host| host.mounts.as_mut()).flatten() {
        own_volume(mount, number);
    }
    let labels = body.labels.get_or_insert_default();
    labels.insert(super::record::INSTANCE.to_owned(), number.to_string());
    body
}

fn own_volume(mount: &mut Mount, number: u32) {
    let Some(name) = mount.source.as_deref().filter(|_| mount.typ == Some(MountType::VOLUME)).and_then(|s| s.strip_suffix(SLOT)) else {
        return;
    };
    mount.source = Some(format!("{name}{number}"));
    mount.volume_options.get_or_insert_default().labels.get_or_insert_default().insert(OWN.to_owned(), "true".to_owned());
}

/// Those of an instance's volumes that are these resources', by the engine's name, with the name of their resource.
pub(crate) fn volumes(document: &Document, number: u32, resources: &BTreeSet<String>) -> Vec<(String, String)> {
    let source = |(path, leaf): &(Path, Leaf)| match leaf {
        Leaf::Text(source) if path.matches("volumes.*.source") => Some(source.to_string()),
        _ => None,
    };
    let ours = |source: String| {
        let (resource, last) = source.rsplit_once('-')?;
        let last = if last == SLOT { number.to_string() } else { last.parse::<u32>().ok()?.to_string() };
        resources.contains(resource).then(|| (format!("{resource}-{last}"), resource.to_owned()))
    };
    document.leaves().iter().filter_map(source).filter_map(ours).collect()
}

/// Whether an instance has a volume of its own.
pub(crate) fn has_own_volume(document: &Document) -> bool {
    document
        .leaves()
        .iter()
        .any(|(path, leaf)| path.matches("volumes.*.source") && matches!(leaf, Leaf::Text(text) if text.ends_with(SLOT)))
}

/// A share of the processor, as the engine counts it: 1024 for a core. It takes no fewer than 2.
pub(crate) fn shares(cpu: Cpu) -> i64 {
    i64::try_from(cpu.0.saturating_mul(1024) / 1000).unwrap_or(i64::MAX).max(2)
}

fn restart(document: &Document) -> RestartPolicy {
    let text = |name: &str| match document.get(&Path::new(["deploy", "restart", name])) {
        Some(Leaf::Text(text)) => Some(text.to_string()),
        _ => None,
    };
    let attempts = match document.get(&Path::new(["deploy", "restart", "max_attempts"])) {
        Some(Leaf::Integer(attempts)) => Some(*attempts),
        _ => None,
    };
    let name = match text("condition").as_deref() {
        Some("none") => RestartPolicyNameEnum::NO,
        Some("on-failure") => RestartPolicyNameEnum::ON_FAILURE,
        Some("always") => RestartPolicyNameEnum::ALWAYS,
        _ => RestartPolicyNameEnum::UNLESS_STOPPED,
    };
    RestartPolicy { name: Some(name), maximum_retry_count: attempts }
}

/// How it is on its networks, by their names.
pub(crate) fn networks(document: &Document) -> BTreeMap<String, EndpointSettings> {
    let mut networks: BTreeMap<String, EndpointSettings> = BTreeMap::new();
    for (path, _) in document.leaves().iter().filter(|(path, _)| path.matches("networks")) {
        let segments: Vec<&str> = path.segments().collect();
        let ["networks", network, rest @ ..] = segments.as_slice() else { continue };
        let endpoint = networks.entry((*network).to_owned()).or_default();
        if let ["aliases", alias] = rest {
            endpoint.aliases.get_or_insert_default().push((*alias).to_owned());
        }
    }
    networks
}

/// Its files, as an archive that is unpacked before it starts.
///
/// # Errors
/// A sentence, where a file cannot be made whole.
pub(crate) fn files(document: &Document, whole: &Whole<'_>) -> Result<Option<bytes::Bytes>, String> {
    let mut archive = Archive::default();
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        let ["files", file, "content"] = segments.as_slice() else { continue };
        let mode = match document.get(&Path::new(["files", file, "mode"])) {
            Some(Leaf::Text(mode)) => u32::from_str_radix(mode, 8).map_err(|_| format!("{file}: {mode:?} is no mode"))?,
            _ => super::translate::FILE_MODE,
        };
        let owner = owner(document, file)?;
        archive.add(file, whole(leaf)?.as_bytes(), mode, owner).map_err(|error| format!("{file}: {error}"))?;
    }
    archive.finish().map_err(|error| error.to_string())
}

fn owner(document: &Document, file: &str) -> Result<Ids, String> {
    let number = |key: &str| match document.get(&Path::new(["files", file, key])) {
        Some(Leaf::Text(number)) => number.parse::<u64>().map_err(|_| format!("{file}: {number:?} is no {key}")),
        _ => Ok(0),
    };
    Ok((number("uid")?, number("gid")?))
}
