//! A document becomes a container.

use bollard::models::HealthConfig;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;

use super::{Container, Whole, leaves, mount};

/// The fields that are not a container's: each platform reads those that it has.
const OTHERS: [&str; 4] = ["deploy", "ports", "files", "networks"];

pub(crate) fn container(document: &Document, whole: &Whole<'_>) -> Result<Container, String> {
    let mut out = Container::default();
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        if !segments.first().is_some_and(|first| OTHERS.contains(first)) {
            field(&mut out, &segments, path, leaf, whole)?;
        }
    }
    Ok(out)
}

fn field(out: &mut Container, segments: &[&str], path: &Path, leaf: &Leaf, whole: &Whole<'_>) -> Result<(), String> {
    match segments {
        ["image"] => match leaf {
            Leaf::Image(image) => out.image = Some((**image).clone()),
            other => return Err(format!("{path}: {other} is no image")),
        },
        ["entrypoint", _] => out.entrypoint.push(whole(leaf)?),
        ["command", _] => out.command.push(whole(leaf)?),
        ["environment", name] => {
            let value = if matches!(leaf, Leaf::Bool(false)) { None } else { Some(whole(leaf)?) };
            out.environment.insert((*name).to_owned(), value);
        }
        ["healthcheck", field @ ..] => healthcheck(out.healthcheck.get_or_insert_default(), field, path, leaf, whole)?,
        ["labels", name] => drop(out.labels.insert((*name).to_owned(), whole(leaf)?)),
        ["volumes", field @ ..] => mount::set(&mut out.mounts, field, path, leaf, whole)?,
        ["hostname"] => out.hostname = Some(whole(leaf)?),
        ["user"] => out.user = Some(whole(leaf)?),
        ["working_dir"] => out.working_dir = Some(whole(leaf)?),
        ["stop_signal"] => out.stop_signal = Some(whole(leaf)?),
        ["stop_grace_period"] => match leaf {
            Leaf::Duration(time) => out.stop_grace_period = Some(*time),
            other => return Err(format!("{path}: {other} is no time")),
        },
        ["init"] => out.init = Some(leaves::to_flag(path, leaf)?),
        ["read_only"] => out.read_only = leaves::to_flag(path, leaf)?,
        ["tty"] => out.tty = leaves::to_flag(path, leaf)?,
        ["stdin_open"] => out.stdin_open = leaves::to_flag(path, leaf)?,
        ["cap_add", member] => leaves::member(&mut out.cap_add, path, member, leaf)?,
        ["cap_drop", member] => leaves::member(&mut out.cap_drop, path, member, leaf)?,
        ["group_add", member] => leaves::member(&mut out.group_add, path, member, leaf)?,
        ["extra_hosts", member] => leaves::member(&mut out.extra_hosts, path, member, leaf)?,
        ["dns", _] => out.dns.push(whole(leaf)?),
        ["dns_search", _] => out.dns_search.push(whole(leaf)?),
        ["dns_opt", member] => leaves::member(&mut out.dns_opt, path, member, leaf)?,
        ["sysctls", name] => drop(out.sysctls.insert((*name).to_owned(), whole(leaf)?)),
        ["ulimits", name, side] => {
            let limit = out.ulimits.entry((*name).to_owned()).or_default();
            match *side {
                "soft" => limit.0 = leaves::to_integer(path, leaf)?,
                "hard" => limit.1 = leaves::to_integer(path, leaf)?,
                _ => return Err(format!("{path} is not a limit")),
            }
        }
        ["logging", "driver"] => out.log_driver = Some(whole(leaf)?),
        ["logging", "options", name] => drop(out.log_options.insert((*name).to_owned(), whole(leaf)?)),
        _ => return Err(format!("{path} is not a field of a container")),
    }
    Ok(())
}

fn healthcheck(check: &mut HealthConfig, field: &[&str], path: &Path, leaf: &Leaf, whole: &Whole<'_>) -> Result<(), String> {
    let time = || leaves::to_nanoseconds(path, leaf).map(Some);
    match field {
        ["test", _] => check.test.get_or_insert_default().push(whole(leaf)?),
        ["interval"] => check.interval = time()?,
        ["timeout"] => check.timeout = time()?,
        ["start_period"] => check.start_period = time()?,
        ["start_interval"] => check.start_interval = time()?,
        ["retries"] => check.retries = Some(leaves::to_integer(path, leaf)?),
        _ => return Err(format!("{path} is not a field of a health check")),
    }
    Ok(())
}
