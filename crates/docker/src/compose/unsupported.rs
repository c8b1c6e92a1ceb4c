//! What a compose file can say and a platform here cannot do. It is named, never dropped.

use super::at::{At, Check};

/// The fields of a service that are translated.
const SERVICE: [&str; 42] = [
    "cap_add",
    "cap_drop",
    "command",
    "configs",
    "cpus",
    "depends_on",
    "deploy",
    "dns",
    "dns_opt",
    "dns_search",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "extra_hosts",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "labels",
    "logging",
    "mem_limit",
    "mem_reservation",
    "networks",
    "pids_limit",
    "ports",
    "read_only",
    "restart",
    "scale",
    "secrets",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "volumes",
    "working_dir",
];

/// Fields of a service that a swarm cannot do, and why.
const IN_A_SWARM: [(&str, &str); 53] = [
    ("annotations", "the API of services does not have them"),
    ("attach", "it is about a terminal"),
    ("blkio_config", "the API of services does not have it"),
    ("build", "images are built before: CI builds, Stratos deploys"),
    ("cgroup", "the API of services does not have it"),
    ("cgroup_parent", "the API of services does not have it"),
    ("container_name", "a service can have several containers, and the swarm names them"),
    ("cpu_count", "it is for Windows"),
    ("cpu_percent", "it is for Windows"),
    ("cpu_period", "use `deploy.resources.limits.cpus`"),
    ("cpu_quota", "use `deploy.resources.limits.cpus`"),
    ("cpu_rt_period", "the API of services does not have it"),
    ("cpu_rt_runtime", "the API of services does not have it"),
    ("cpu_shares", "use `deploy.resources.reservations.cpus`"),
    ("cpuset", "the API of services does not have it"),
    ("credential_spec", "it is for Windows"),
    ("develop", "it is about a workplace"),
    ("device_cgroup_rules", "a swarm gives services no devices"),
    ("devices", "a swarm gives services no devices"),
    ("domainname", "the API of services does not have it"),
    ("external_links", "use a network that both are on"),
    ("gpus", "a swarm gives services no devices"),
    ("ipc", "the API of services does not have it"),
    ("isolation", "it is for Windows"),
    ("label_file", "write the labels into `labels`"),
    ("links", "services find each other by name; give one an alias in `networks`"),
    ("mac_address", "a swarm chooses addresses"),
    ("mem_swappiness", "the API of services does not have it"),
    ("memswap_limit", "the API of services does not have it"),
    ("models", "it is a feature of Docker Desktop"),
    ("network_mode", "a service is on networks; use `networks`"),
    ("oom_kill_disable", "the API of services does not have it"),
    ("oom_score_adj", "the API of services does not have it"),
    ("pid", "the API of services does not have it"),
    ("platform", "use `deploy.placement.constraints` with node.platform.arch"),
    ("post_start", "the API of services does not have it"),
    ("pre_stop", "the API of services does not have it"),
    ("privileged", "a swarm runs nothing privileged; `cap_add` gives single rights"),
    ("profiles", "a service is deployed or it is not; use a file of its own in an override"),
    ("provider", "it is a feature of one client"),
    ("pull_policy", "an image is pulled where an instance starts"),
    ("runtime", "the API of services does not have it"),
    ("security_opt", "the API of services does not have it"),
    ("shm_size", "the API of services does not have it; mount a tmpfs at /dev/shm"),
    ("storage_opt", "the API of services does not have it"),
    ("use_api_socket", "it is a feature of one client"),
    ("userns_mode", "the API of services does not have it"),
    ("uts", "the API of services does not have it"),
    ("volumes_from", "name the volumes in each service"),
    // Of the first versions of the format.
    ("dockerfile", "images are built before: CI builds, Stratos deploys"),
    ("log_driver", "use `logging.driver`"),
    ("log_opt", "use `logging.options`"),
    ("net", "use `networks`"),
];

/// Reports what a swarm cannot do, and what is no field of a service at all.
pub(super) fn in_a_swarm(service: &At<'_>, check: &Check<'_, '_>) {
    let known: Vec<&str> = SERVICE.into_iter().chain(IN_A_SWARM.into_iter().map(|(name, _)| name)).collect();
    check.known(service, &known);
    for (name, why) in IN_A_SWARM {
        if let Some(at) = service.get(name) {
            check.unsupported(name, why, &at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_translated_or_not() {
        for (name, why) in IN_A_SWARM {
            assert!(!SERVICE.contains(&name) && !why.is_empty(), "{name}");
        }
    }

    /// Each has its text in the golden file of that case.
    #[test]
    fn the_case_of_refused_fields_has_all_of_them() {
        let case = include_str!("../../tests/compose/refused/fields.yml");
        for (name, _) in IN_A_SWARM {
            assert!(case.contains(&format!("\n    {name}: ")), "{name}");
        }
    }
}
