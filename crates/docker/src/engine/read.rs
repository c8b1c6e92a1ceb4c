//! An inspected container becomes a document: what the engine filled in is gone, and so is what the image said.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, HostConfig, Mount, MountType, RestartPolicyNameEnum};
use stratos_engine::desired::document::{Document, DocumentBuilder, Image, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::quantity::{Cpu, Duration};
use zeroize::Zeroizing;

use super::body::{self, SLOT};
use super::names::is_short_id;
use super::record::Record;
use super::{host, ports};
use crate::container::resources::{self, Amount};
use crate::container::{Container, environment_table, leaves, secrets};
use crate::labels;

/// What a container of ours was made from, as far as it can be seen, and the values of its secrets.
pub(crate) fn document(inspected: &ContainerInspectResponse, record: &Record, number: u32) -> (Document, Vec<(Path, Zeroizing<String>)>) {
    let config = inspected.config.clone().unwrap_or_default();
    let host = inspected.host_config.clone().unwrap_or_default();
    let all_labels = config.labels.clone().unwrap_or_default();
    let mut out = DocumentBuilder::default();
    let mut container = container(inspected, &all_labels);
    let is_recorded = |field: &str| record.leaves.leaves().iter().any(|(path, _)| path.matches(field));
    // What the engine fills in where nothing was asked for.
    container.working_dir = container.working_dir.filter(|path| path != "/" || is_recorded(WORKING_DIR));
    container.stop_signal = container.stop_signal.filter(|signal| signal != "SIGTERM" || is_recorded(STOP_SIGNAL));
    if [&host.network_mode, &host.uts_mode].into_iter().any(|mode| mode.as_deref() == Some("host")) {
        container.hostname = None;
    }
    // Where nobody asked for a log driver it is the engine's own, whichever that is.
    if let Some(log) = host.log_config.clone().filter(|_| is_recorded(LOGGING)) {
        (container.log_driver, container.log_options) = (log.typ, log.config.unwrap_or_default().into_iter().collect());
    }
    number_out_of(&mut container.mounts, number);
    container.write(&|source| Leaf::Text(source.into()), &mut out);
    let own = record.without_inherited(out.build());
    let own = record.with_references(&own);
    let mut out = DocumentBuilder::default();
    for (path, leaf) in own.leaves() {
        out.put(path.segments(), leaf.clone());
    }
    let is_seen = |path: &Path| ["deploy.resources", RESTART, LOGGING, WORKING_DIR, STOP_SIGNAL].iter().any(|field| path.matches(field));
    for (path, leaf) in record.leaves.leaves().iter().filter(|(path, _)| !is_seen(path)) {
        out.put(path.segments(), leaf.clone());
    }
    amounts(&host, &record.leaves, &mut out);
    restart(&host, &mut out);
    networks(inspected, &mut out);
    host::read(&host, &mut out);
    ports::read(&host, &mut out);
    secrets::hide(out, &all_labels)
}

/// The leaves of the restart policy.
const RESTART: &str = "deploy.restart";
/// The leaves of the log driver.
const LOGGING: &str = "logging";
/// Leaves that the engine fills in.
const WORKING_DIR: &str = "working_dir";
const STOP_SIGNAL: &str = "stop_signal";

fn container(inspected: &ContainerInspectResponse, all_labels: &HashMap<String, String>) -> Container {
    let config = inspected.config.clone().unwrap_or_default();
    let host = inspected.host_config.clone().unwrap_or_default();
    let id = inspected.id.as_deref().unwrap_or_default();
    let own = |(name, _): &(&String, &String)| !name.starts_with(labels::PREFIX);
    let pairs = |table: Option<HashMap<String, String>>| table.unwrap_or_default().into_iter().collect();
    let ulimits = host.ulimits.clone().unwrap_or_default().into_iter();
    Container {
        image: config.image.as_deref().map(Image::parse),
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        environment: environment_table(config.env.as_deref().unwrap_or_default()),
        healthcheck: config.healthcheck,
        labels: all_labels.iter().filter(own).map(|(name, value)| (name.clone(), value.clone())).collect(),
        mounts: mounts(&host),
        hostname: config.hostname.filter(|name| !is_short_id(id, name)),
        user: config.user,
        working_dir: config.working_dir,
        stop_signal: config.stop_signal,
        stop_grace_period: config.stop_timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(|seconds| Duration(seconds * 1000)),
        init: host.init,
        read_only: host.readonly_rootfs.unwrap_or_default(),
        tty: config.tty.unwrap_or_default(),
        stdin_open: config.open_stdin.unwrap_or_default(),
        cap_add: capabilities(host.cap_add),
        cap_drop: capabilities(host.cap_drop),
        group_add: host.group_add.unwrap_or_default().into_iter().collect(),
        extra_hosts: host.extra_hosts.unwrap_or_default().into_iter().collect(),
        dns: host.dns.unwrap_or_default(),
        dns_search: host.dns_search.unwrap_or_default(),
        dns_opt: host.dns_options.unwrap_or_default().into_iter().collect(),
        sysctls: pairs(host.sysctls),
        log_driver: None,
        log_options: Default::default(),
        ulimits: ulimits
            .filter_map(|limit| Some((limit.name?, (limit.soft.unwrap_or_default(), limit.hard.unwrap_or_default()))))
            .collect(),
    }
}

/// Older engines leave `CAP_` out.
fn capabilities(names: Option<Vec<String>>) -> std::collections::BTreeSet<String> {
    names
        .unwrap_or_default()
        .into_iter()
        .map(|name| if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") })
        .collect()
}

/// The mounts as they were asked for. `docker run --volume` leaves another list, which only hands fill.
fn mounts(host: &HostConfig) -> Vec<Mount> {
    let bind = |bind: &String| {
        let mut parts = bind.splitn(3, ':');
        let (source, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let typ = if source.starts_with('/') { MountType::BIND } else { MountType::VOLUME };
        Some(Mount { source: Some(source), target: Some(target), typ: Some(typ), ..Mount::default() })
    };
    let binds = host.binds.iter().flatten().filter_map(bind);
    let mut mounts: Vec<Mount> = host.mounts.iter().flatten().cloned().chain(binds).collect();
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    mounts
}

/// A volume of an instance's own has the instance's number at the end, where documents have a placeholder.
fn number_out_of(mounts: &mut [Mount], number: u32) {
    for mount in mounts.iter_mut().filter(|mount| mount.typ == Some(MountType::VOLUME)) {
        let marked = mount.volume_options.as_ref().and_then(|options| options.labels.as_ref()).is_some_and(|l| l.contains_key(body::OWN));
        let Some(source) = mount.source.as_deref() else { continue };
        if let (true, Some(name)) = (marked, source.strip_suffix(&format!("-{number}"))) {
            mount.source = Some(format!("{name}-{SLOT}"));
        }
        if let Some(options) = &mut mount.volume_options {
            options.labels =
                options.labels.take().map(|labels| labels.into_iter().filter(|(name, _)| !name.starts_with(labels::PREFIX)).collect());
        }
    }
    for mount in mounts.iter_mut() {
        let empty = |options: &bollard::models::MountVolumeOptions| {
            options.labels.as_ref().is_none_or(HashMap::is_empty) && options.driver_config.is_none() && options.subpath.is_none()
        };
        if mount.volume_options.as_ref().is_some_and(|options| empty(options) && !options.no_copy.unwrap_or_default()) {
            mount.volume_options = None;
        }
    }
}

fn amounts(host: &HostConfig, recorded: &Document, out: &mut DocumentBuilder) {
    let set = |value: Option<i64>| value.filter(|value| *value > 0).unwrap_or_default();
    let period = set(host.cpu_period).max(1);
    let nano_cpus = match set(host.nano_cpus) {
        0 => set(host.cpu_quota).saturating_mul(1_000_000_000) / if host.cpu_period.unwrap_or_default() > 0 { period } else { 100_000 },
        nano_cpus => nano_cpus,
    };
    let limits = Amount { nano_cpus, memory: set(host.memory), pids: set(host.pids_limit) };
    resources::write(limits, "limits", out);
    let path = Path::new(["deploy", "resources", "reservations", "cpus"]);
    let shares = set(host.cpu_shares);
    // A share is coarser than a thousandth: what was asked for is what it says, as long as it leads to this share.
    match recorded.get(&path) {
        Some(leaf @ Leaf::Cpu(cpu)) if body::shares(*cpu) == shares => drop(out.put(path.segments(), leaf.clone())),
        _ if shares > 0 => drop(out.put(path.segments(), Leaf::Cpu(Cpu(u64::try_from(shares).unwrap_or_default() * 1000 / 1024)))),
        _ => {}
    }
    resources::write(Amount { memory: set(host.memory_reservation), ..Amount::default() }, "reservations", out);
}

fn restart(host: &HostConfig, out: &mut DocumentBuilder) {
    let policy = host.restart_policy.clone().unwrap_or_default();
    let condition = match policy.name {
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => return,
        Some(RestartPolicyNameEnum::ALWAYS) => "always",
        Some(RestartPolicyNameEnum::ON_FAILURE) => "on-failure",
        Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => "none",
    };
    out.text(["deploy", "restart", "condition"], condition);
    leaves::integer(out, &["deploy", "restart", "max_attempts"], policy.maximum_retry_count, 0);
}

/// The networks that it is in, with its names there. The engine adds the container's id to the names.
fn networks(inspected: &ContainerInspectResponse, out: &mut DocumentBuilder) {
    let id = inspected.id.as_deref().unwrap_or_default();
    let networks = inspected.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    for (network, endpoint) in networks.into_iter().flatten() {
        let aliases: Vec<&String> = endpoint.aliases.iter().flatten().filter(|alias| !is_short_id(id, alias)).collect();
        if aliases.is_empty() {
            out.put(["networks", network.as_str(), "attached"], Leaf::Bool(true));
        }
        for alias in aliases {
            out.put(["networks", network.as_str(), "aliases", alias.as_str()], Leaf::Bool(true));
        }
    }
}
