//! Edits of a service by hand: a document's path and leaf, put into the engine's own fields.

use bollard::models::{
    EndpointPortConfigPublishModeEnum, HealthConfig, ServiceSpec, ServiceSpecRollbackConfigOrderEnum,
    ServiceSpecUpdateConfigFailureActionEnum, ServiceSpecUpdateConfigOrderEnum, TaskSpecContainerSpec,
};
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::quantity::{Bytes, Cpu, Duration};

/// Edits one leaf; None removes it. An error says why nobody can.
pub fn service(spec: &mut ServiceSpec, path: &Path, leaf: Option<&Leaf>) -> Result<(), String> {
    let segments: Vec<&str> = path.segments().collect();
    let task = spec.task_template.as_mut().ok_or("it has no task")?;
    let inside = task.container_spec.as_mut().ok_or("it has no container")?;
    match segments.as_slice() {
        ["protect"] => {
            let labels = spec.labels.get_or_insert_default();
            match leaf {
                Some(Leaf::Bool(true)) => drop(labels.insert("stratos.protect".into(), "true".into())),
                _ => drop(labels.remove("stratos.protect")),
            }
        }
        ["image"] => inside.image = Some(leaf.ok_or("a service has an image")?.to_string()),
        ["entrypoint", index] => word(inside.command.get_or_insert_default(), index, leaf),
        ["command", index] => word(inside.args.get_or_insert_default(), index, leaf),
        ["environment", name] => {
            let list = inside.env.get_or_insert_default();
            list.retain(|line| !line.starts_with(&format!("{name}=")));
            list.extend(leaf.map(|leaf| format!("{name}={}", text(leaf))));
        }
        ["healthcheck", field @ ..] => healthcheck(inside.health_check.get_or_insert_default(), field, leaf),
        ["files", file, field] => self::file(inside, file, field, leaf)?,
        ["networks", _, "attached"] => task.networks = None,
        ["networks", _, "aliases", _] => {
            task.networks.iter_mut().flatten().for_each(|network| network.aliases = None);
        }
        ["ports", port, field] => self::port(spec, port, field, leaf)?,
        ["deploy", "replicas"] => {
            let replicas = leaf.map_or(1, integer);
            spec.mode.get_or_insert_default().replicated.get_or_insert_default().replicas = Some(replicas);
        }
        ["deploy", "resources", which, field] => {
            let resources = task.resources.get_or_insert_default();
            let (cpus, memory) = match *which {
                "limits" => {
                    let limits = resources.limits.get_or_insert_default();
                    (&mut limits.nano_cpus, &mut limits.memory_bytes)
                }
                _ => {
                    let reserved = resources.reservations.get_or_insert_default();
                    (&mut reserved.nano_cpus, &mut reserved.memory_bytes)
                }
            };
            match (*field, leaf) {
                ("cpus", Some(Leaf::Cpu(Cpu(thousandths)))) => *cpus = i64::try_from(*thousandths).ok().map(|t| t * 1_000_000),
                ("cpus", _) => *cpus = None,
                (_, Some(Leaf::Bytes(Bytes(bytes)))) => *memory = i64::try_from(*bytes).ok(),
                _ => *memory = None,
            }
        }
        ["deploy", "update", field] => {
            let update = spec.update_config.get_or_insert_default();
            match *field {
                "parallelism" => update.parallelism = Some(leaf.map_or(1, integer)),
                "monitor" => update.monitor = leaf.map(nanos),
                "order" => update.order = Some(ServiceSpecUpdateConfigOrderEnum::STOP_FIRST),
                "failure_action" => update.failure_action = Some(ServiceSpecUpdateConfigFailureActionEnum::PAUSE),
                other => return Err(format!("no edit of {other}")),
            }
        }
        ["deploy", "rollback", field] => {
            let rollback = spec.rollback_config.get_or_insert_default();
            match *field {
                "parallelism" => rollback.parallelism = Some(leaf.map_or(1, integer)),
                "monitor" => rollback.monitor = leaf.map(nanos),
                "order" => rollback.order = Some(ServiceSpecRollbackConfigOrderEnum::STOP_FIRST),
                other => return Err(format!("no edit of {other}")),
            }
        }
        _ => return Err(format!("no edit of {path}")),
    }
    Ok(())
}

fn text(leaf: &Leaf) -> String {
    match leaf {
        Leaf::Text(text) => text.to_string(),
        _ => "by hand".into(),
    }
}

fn integer(leaf: &Leaf) -> i64 {
    if let Leaf::Integer(number) = leaf { *number } else { 0 }
}

fn nanos(leaf: &Leaf) -> i64 {
    if let Leaf::Duration(Duration(ms)) = leaf { i64::try_from(*ms).unwrap() * 1_000_000 } else { 0 }
}

fn word(list: &mut Vec<String>, index: &str, leaf: Option<&Leaf>) {
    let index: usize = index.trim_matches(['[', ']']).parse().unwrap();
    match leaf {
        Some(leaf) if index < list.len() => list[index] = text(leaf),
        Some(leaf) => list.push(text(leaf)),
        None if index < list.len() => drop(list.remove(index)),
        None => {}
    }
}

fn healthcheck(check: &mut HealthConfig, field: &[&str], leaf: Option<&Leaf>) {
    match field {
        ["test", index] => word(check.test.get_or_insert_default(), index, leaf),
        ["interval"] => check.interval = leaf.map(nanos),
        ["timeout"] => check.timeout = leaf.map(nanos),
        ["start_period"] => check.start_period = leaf.map(nanos),
        _ => check.retries = leaf.map(integer),
    }
}

fn file(inside: &mut TaskSpecContainerSpec, path: &str, field: &str, leaf: Option<&Leaf>) -> Result<(), String> {
    let mode = leaf.map_or(Some(0o444), |leaf| u32::from_str_radix(&text(leaf), 8).ok());
    match (field, leaf) {
        ("config", None) => {
            inside.configs.get_or_insert_default().retain(|config| config.file.as_ref().and_then(|f| f.name.as_deref()) != Some(path));
        }
        ("secret", None) => {
            inside.secrets.get_or_insert_default().retain(|secret| secret.file.as_ref().and_then(|f| f.name.as_deref()) != Some(path));
        }
        ("mode", _) => {
            let mode = Some(mode.ok_or("a mode is a number")?);
            let files = inside.configs.iter_mut().flatten().filter_map(|config| config.file.as_mut());
            files.filter(|file| file.name.as_deref() == Some(path)).for_each(|file| file.mode = mode);
        }
        _ => return Err("a file comes from what is there".into()),
    }
    Ok(())
}

fn port(spec: &mut ServiceSpec, port: &str, field: &str, leaf: Option<&Leaf>) -> Result<(), String> {
    let ports = spec.endpoint_spec.as_mut().and_then(|endpoint| endpoint.ports.as_mut()).ok_or("nothing is published")?;
    let target: i64 = port.split('/').next().unwrap_or_default().parse().map_err(|_| "no port")?;
    let found = ports.iter_mut().find(|port| port.target_port == Some(target)).ok_or("no such port")?;
    match (field, leaf) {
        ("published", leaf) => found.published_port = leaf.map(integer),
        ("mode", None) => found.publish_mode = Some(EndpointPortConfigPublishModeEnum::INGRESS),
        _ => return Err("no edit of a mode".into()),
    }
    Ok(())
}
