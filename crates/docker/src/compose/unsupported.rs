//! What a compose file can say and a platform here cannot do. It is named, never dropped.

use OnAnEngine::{But, Can, Same};

use super::at::{At, Check, On};

/// The fields of a service that are translated for both.
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

/// Whether a plain engine can do what a swarm cannot.
#[derive(Debug, Clone, Copy)]
enum OnAnEngine {
    /// It can, and does.
    Can,
    /// It cannot either, for the same reason.
    Same,
    /// It cannot, for another reason.
    But(&'static str),
}

const NOT_YET: &str = "it is not translated";

/// Fields of a service that a swarm cannot do, and why; and whether a plain engine can.
const OTHERS: [(&str, &str, OnAnEngine); 53] = [
    ("annotations", "the API of services does not have them", But(NOT_YET)),
    ("attach", "it is about a terminal", Same),
    ("blkio_config", "the API of services does not have it", But(NOT_YET)),
    ("build", "images are built before: CI builds, Stratos deploys", Same),
    ("cgroup", "the API of services does not have it", But(NOT_YET)),
    ("cgroup_parent", "the API of services does not have it", Can),
    (
        "container_name",
        "a service can have several containers, and the swarm names them",
        But("in a release the new container is there beside the old one; give the service an alias in `networks`"),
    ),
    ("cpu_count", "it is for Windows", Same),
    ("cpu_percent", "it is for Windows", Same),
    ("cpu_period", "use `deploy.resources.limits.cpus`", Same),
    ("cpu_quota", "use `deploy.resources.limits.cpus`", Same),
    ("cpu_rt_period", "the API of services does not have it", But(NOT_YET)),
    ("cpu_rt_runtime", "the API of services does not have it", But(NOT_YET)),
    ("cpu_shares", "use `deploy.resources.reservations.cpus`", Same),
    ("cpuset", "the API of services does not have it", Can),
    ("credential_spec", "it is for Windows", Same),
    ("develop", "it is about a workplace", Same),
    ("device_cgroup_rules", "a swarm gives services no devices", But(NOT_YET)),
    ("devices", "a swarm gives services no devices", Can),
    ("domainname", "the API of services does not have it", But(NOT_YET)),
    ("external_links", "use a network that both are on", Same),
    ("gpus", "a swarm gives services no devices", But(NOT_YET)),
    ("ipc", "the API of services does not have it", Can),
    ("isolation", "it is for Windows", Same),
    ("label_file", "write the labels into `labels`", Same),
    ("links", "services find each other by name; give one an alias in `networks`", Same),
    ("mac_address", "a swarm chooses addresses", But("in a release the new container is there beside the old one")),
    ("mem_swappiness", "the API of services does not have it", But(NOT_YET)),
    ("memswap_limit", "the API of services does not have it", But(NOT_YET)),
    ("models", "it is a feature of Docker Desktop", Same),
    ("network_mode", "a service is on networks; use `networks`", Can),
    ("oom_kill_disable", "the API of services does not have it", But(NOT_YET)),
    ("oom_score_adj", "the API of services does not have it", Can),
    ("pid", "the API of services does not have it", Can),
    ("platform", "use `deploy.placement.constraints` with node.platform.arch", But("an image is pulled for the machine")),
    ("post_start", "the API of services does not have it", But(NOT_YET)),
    ("pre_stop", "the API of services does not have it", But(NOT_YET)),
    ("privileged", "a swarm runs nothing privileged; `cap_add` gives single rights", Can),
    ("profiles", "a service is deployed or it is not; use a file of its own in an override", Same),
    ("provider", "it is a feature of one client", Same),
    (
        "pull_policy",
        "an image is pulled where an instance starts",
        But("an image is pulled where the engine does not have it; a tag that moved is another digest in the plan"),
    ),
    ("runtime", "the API of services does not have it", But(NOT_YET)),
    ("security_opt", "the API of services does not have it", Can),
    ("shm_size", "the API of services does not have it; mount a tmpfs at /dev/shm", Can),
    ("storage_opt", "the API of services does not have it", But(NOT_YET)),
    ("use_api_socket", "it is a feature of one client", Same),
    ("userns_mode", "the API of services does not have it", Can),
    ("uts", "the API of services does not have it", Can),
    ("volumes_from", "name the volumes in each service", Same),
    // Of the first versions of the format.
    ("dockerfile", "images are built before: CI builds, Stratos deploys", Same),
    ("log_driver", "use `logging.driver`", Same),
    ("log_opt", "use `logging.options`", Same),
    ("net", "use `networks`", Same),
];

/// Reports what cannot be done, and what is no field of a service at all.
pub(super) fn fields(service: &At<'_>, check: &Check<'_, '_>) {
    let known: Vec<&str> = SERVICE.into_iter().chain(OTHERS.into_iter().map(|(name, ..)| name)).collect();
    check.known(service, &known);
    for (name, swarm, engine) in OTHERS {
        let why = match (check.on, engine) {
            (On::Swarm, _) | (On::Engine, Same) => swarm,
            (On::Engine, But(why)) => why,
            (On::Engine, Can) => continue,
        };
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
        for (name, why, _) in OTHERS {
            assert!(!SERVICE.contains(&name) && !why.is_empty(), "{name}");
        }
    }

    /// Each has its text in the golden file of that case.
    #[test]
    fn the_cases_of_refused_fields_have_all_of_them() {
        let swarm = include_str!("../../tests/it/compose/refused/fields.yml");
        let engine = include_str!("../../tests/it/compose/refused-by-an-engine/fields.yml");
        for (name, _, on_an_engine) in OTHERS {
            assert!(swarm.contains(&format!("\n    {name}: ")), "{name}");
            assert_eq!(engine.contains(&format!("\n    {name}: ")), !matches!(on_an_engine, Can), "{name}");
        }
    }
}
