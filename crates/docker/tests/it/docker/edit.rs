//! Edits by hand. A container cannot be changed: who wants another one makes it anew under the same name, with the same labels,
//! as Portainer and Watchtower do.

use bollard::models::{ContainerConfig, ContainerInspectResponse, HealthConfig, HostConfig};
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::quantity::{Bytes, Cpu, Duration};

/// Edits what a container will be made from; an error says why nobody can.
pub fn container(inspected: &mut ContainerInspectResponse, path: &Path, leaf: Option<&Leaf>) -> Result<(), String> {
    let segments: Vec<&str> = path.segments().collect();
    let config = inspected.config.as_mut().ok_or("it has no configuration")?;
    let host = inspected.host_config.as_mut().ok_or("it has no settings of its host")?;
    match segments.as_slice() {
        ["environment", name] => variable(config, name, leaf),
        ["command", index] => list(config.cmd.get_or_insert_default(), index, leaf),
        ["entrypoint", index] => list(config.entrypoint.get_or_insert_default(), index, leaf),
        ["healthcheck", "test", index] => list(config.healthcheck.get_or_insert_default().test.get_or_insert_default(), index, leaf),
        ["healthcheck", field] => check(config.healthcheck.get_or_insert_default(), field, leaf)?,
        ["deploy", "resources", which, field] => resources(host, which, field, leaf)?,
        ["volumes", target, "source"] => {
            let mounts = host.mounts.iter_mut().flatten();
            for mount in mounts.filter(|mount| mount.target.as_deref() == Some(target)) {
                let name = text(leaf).ok_or("a volume without a name is another one each time")?;
                mount.source = Some(name.replace(' ', "-"));
            }
        }
        ["protect"] => {
            let labels = config.labels.get_or_insert_default();
            match leaf {
                Some(Leaf::Bool(true)) => drop(labels.insert("stratos.protect".into(), "true".into())),
                _ => drop(labels.remove("stratos.protect")),
            }
        }
        ["image"] => match leaf {
            Some(Leaf::Image(image)) => config.image = Some(image.to_string()),
            _ => return Err("a container has an image".into()),
        },
        ["files", ..] => return Err("what an app does with its files is its own affair: they are not read again".into()),
        ["deploy", "update", ..] => return Err("how a roll-out goes is remembered in labels, which are fixed".into()),
        _ => return Err(format!("{path} is not edited by hand here")),
    }
    Ok(())
}

/// The text of a leaf; None where it is removed.
fn text(leaf: Option<&Leaf>) -> Option<String> {
    match leaf? {
        Leaf::Text(text) => Some(text.to_string()),
        Leaf::Secret { .. } => Some("by hand".into()),
        other => Some(other.to_string()),
    }
}

fn variable(config: &mut ContainerConfig, name: &str, leaf: Option<&Leaf>) {
    let variables = config.env.get_or_insert_default();
    variables.retain(|variable| variable.split('=').next() != Some(name));
    variables.extend(text(leaf).map(|value| format!("{name}={value}")));
}

fn list(items: &mut Vec<String>, index: &str, leaf: Option<&Leaf>) {
    let index: usize = index.trim_matches(['[', ']']).parse().unwrap();
    match (text(leaf), items.get_mut(index)) {
        (Some(text), Some(item)) => *item = text,
        (Some(text), None) => items.push(text),
        (None, Some(_)) => drop(items.remove(index)),
        (None, None) => {}
    }
}

fn check(check: &mut HealthConfig, field: &str, leaf: Option<&Leaf>) -> Result<(), String> {
    let time = || match leaf {
        Some(Leaf::Duration(Duration(milliseconds))) => Some(i64::try_from(*milliseconds).unwrap() * 1_000_000),
        _ => Some(0),
    };
    match field {
        "interval" => check.interval = time(),
        "timeout" => check.timeout = time(),
        "start_period" => check.start_period = time(),
        "retries" => check.retries = Some(if let Some(Leaf::Integer(retries)) = leaf { *retries } else { 0 }),
        other => return Err(format!("{other} of a health check is not edited by hand here")),
    }
    Ok(())
}

fn resources(host: &mut HostConfig, which: &str, field: &str, leaf: Option<&Leaf>) -> Result<(), String> {
    let number = match leaf {
        Some(Leaf::Cpu(Cpu(thousandths))) => i64::try_from(*thousandths).unwrap(),
        Some(Leaf::Bytes(Bytes(bytes))) => i64::try_from(*bytes).unwrap(),
        _ => 0,
    };
    match (which, field) {
        ("limits", "cpus") => {
            let there = std::thread::available_parallelism().unwrap().get();
            if number > i64::try_from(there).unwrap() * 1000 {
                return Err("more processors than the machine has are refused".into());
            }
            host.nano_cpus = Some(number * 1_000_000);
        }
        ("reservations", "cpus") => host.cpu_shares = Some(number * 1024 / 1000),
        ("limits", "memory") => (host.memory, host.memory_swap) = (Some(number), None),
        // The engine wants it to be no more than the limit.
        ("reservations", "memory") => {
            host.memory_reservation = Some(number);
            if host.memory.is_some_and(|memory| memory > 0 && memory < number) {
                return Err("a reservation beyond the limit is refused".into());
            }
        }
        _ => return Err(format!("{which} of {field} are not edited by hand here")),
    }
    // The other way round: a limit below the reservation.
    match (host.memory, host.memory_reservation) {
        (Some(limit), Some(reservation)) if limit > 0 && limit < reservation => Err("a limit below the reservation is refused".into()),
        _ => Ok(()),
    }
}
