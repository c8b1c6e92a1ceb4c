//! What runs in a service's instances, in the fields of a task.

use std::collections::BTreeMap;

use bollard::models::{HealthConfig, ResourcesUlimits, TaskSpec, TaskSpecContainerSpec, TaskSpecContainerSpecDnsConfig, TaskSpecLogDriver};
use stratos_engine::desired::document::Image;
use stratos_engine::desired::quantity::Duration;

use crate::container::{Container, environment_list, environment_table, nanoseconds, whole_milliseconds};

/// What an instance has to end where nothing is said.
const STOP_GRACE_PERIOD: Duration = Duration(10_000);

/// Takes the container out of a live specification.
pub(crate) fn take(inside: &mut TaskSpecContainerSpec, task: &mut TaskSpec) -> Container {
    let dns = inside.dns_config.take().unwrap_or_default();
    let log = task.log_driver.take().unwrap_or_default();
    let set = |list: Option<Vec<String>>| list.into_iter().flatten().collect();
    let table = |map: Option<std::collections::HashMap<String, String>>| map.into_iter().flatten().collect::<BTreeMap<_, _>>();
    let limit =
        |limit: ResourcesUlimits| (limit.name.unwrap_or_default(), (limit.soft.unwrap_or_default(), limit.hard.unwrap_or_default()));
    let mut mounts = inside.mounts.take().unwrap_or_default();
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    // A time that is no whole number of milliseconds is left where it is, and shows.
    let grace = inside.stop_grace_period.and_then(whole_milliseconds);
    if grace.is_some() {
        inside.stop_grace_period = None;
    }
    Container {
        image: inside.image.take().map(|image| Image::parse(&image)),
        entrypoint: inside.command.take().unwrap_or_default(),
        command: inside.args.take().unwrap_or_default(),
        environment: environment_table(&inside.env.take().unwrap_or_default()),
        healthcheck: inside.health_check.take().filter(|check| *check != HealthConfig::default()),
        labels: table(inside.labels.take()),
        mounts,
        hostname: inside.hostname.take(),
        user: inside.user.take(),
        working_dir: inside.dir.take(),
        stop_signal: inside.stop_signal.take(),
        stop_grace_period: grace.filter(|grace| *grace != STOP_GRACE_PERIOD),
        init: inside.init.take().filter(|init| *init),
        read_only: inside.read_only.take().unwrap_or_default(),
        tty: inside.tty.take().unwrap_or_default(),
        stdin_open: inside.open_stdin.take().unwrap_or_default(),
        cap_add: set(inside.capability_add.take()),
        cap_drop: set(inside.capability_drop.take()),
        group_add: set(inside.groups.take()),
        extra_hosts: set(inside.hosts.take()).into_iter().map(|line| colon(&line)).collect(),
        dns: dns.nameservers.unwrap_or_default(),
        dns_search: dns.search.unwrap_or_default(),
        dns_opt: set(dns.options),
        sysctls: table(inside.sysctls.take()),
        ulimits: inside.ulimits.take().into_iter().flatten().map(limit).collect(),
        log_driver: log.name,
        log_options: table(log.options),
    }
}

/// Puts a container into the fields of a task.
pub(crate) fn put(container: Container, task: &mut TaskSpec) -> TaskSpecContainerSpec {
    let Container {
        image,
        entrypoint,
        command,
        environment,
        healthcheck,
        labels,
        mounts,
        hostname,
        user,
        working_dir,
        stop_signal,
        stop_grace_period,
        init,
        read_only,
        tty,
        stdin_open,
        cap_add,
        cap_drop,
        group_add,
        extra_hosts,
        dns,
        dns_search,
        dns_opt,
        sysctls,
        ulimits,
        log_driver,
        log_options,
    } = container;
    fn list(items: impl IntoIterator<Item = String>) -> Option<Vec<String>> {
        let items: Vec<String> = items.into_iter().collect();
        (!items.is_empty()).then_some(items)
    }
    fn table(entries: BTreeMap<String, String>) -> Option<std::collections::HashMap<String, String>> {
        (!entries.is_empty()).then(|| entries.into_iter().collect())
    }
    let on = |on: bool| on.then_some(true);
    task.log_driver =
        (log_driver.is_some() || !log_options.is_empty()).then(|| TaskSpecLogDriver { name: log_driver, options: table(log_options) });
    let dns = TaskSpecContainerSpecDnsConfig { nameservers: list(dns), search: list(dns_search), options: list(dns_opt) };
    let limit = |(name, (soft, hard))| ResourcesUlimits { name: Some(name), soft: Some(soft), hard: Some(hard) };
    TaskSpecContainerSpec {
        image: image.map(|image| image.to_string()),
        command: list(entrypoint),
        args: list(command),
        env: list(environment_list(&environment)),
        health_check: healthcheck,
        labels: table(labels),
        mounts: (!mounts.is_empty()).then_some(mounts),
        hostname,
        user,
        dir: working_dir,
        stop_signal,
        stop_grace_period: stop_grace_period.map(nanoseconds),
        init,
        read_only: on(read_only),
        tty: on(tty),
        open_stdin: on(stdin_open),
        capability_add: list(cap_add),
        capability_drop: list(cap_drop),
        groups: list(group_add),
        hosts: list(extra_hosts.iter().map(|line| hosts_line(line))),
        dns_config: (dns != TaskSpecContainerSpecDnsConfig::default()).then_some(dns),
        sysctls: table(sysctls),
        ulimits: (!ulimits.is_empty()).then(|| ulimits.into_iter().map(limit).collect()),
        ..TaskSpecContainerSpec::default()
    }
}

/// A swarm keeps a line of `/etc/hosts` as in the file: the address first.
fn colon(line: &str) -> String {
    line.split_once(' ').map_or_else(|| line.to_owned(), |(address, name)| format!("{name}:{address}"))
}

fn hosts_line(line: &str) -> String {
    line.split_once(':').map_or_else(|| line.to_owned(), |(name, address)| format!("{address} {name}"))
}
