//! `deploy` of a service, and what older files say beside it: `restart`, `scale`, `mem_limit`. What only a plain engine makes
//! of it is in `docker/deploy.rs`.

use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::text::Text;

use super::at::{At, Check, On};
use super::service::texts;

/// What the engine takes where nothing is said: such values are in no document.
const MONITOR: Duration = Duration(5_000);
const RESTART_DELAY: Duration = Duration(5_000);

/// The keys of `deploy`.
pub(super) const KEYS: [&str; 9] =
    ["mode", "replicas", "endpoint_mode", "labels", "placement", "resources", "restart_policy", "update_config", "rollback_config"];

/// The keys of `update_config` and `rollback_config`.
pub(super) const EXCHANGE: [&str; 6] = ["parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order"];

/// Writes `deploy` for a swarm. `takes_host_ports` is whether it publishes fixed ports of the machines that it runs on.
pub(super) fn write(service: &At<'_>, takes_host_ports: bool, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    let deploy = service.get("deploy").filter(|at| check.table(at));
    if let Some(deploy) = &deploy {
        check.known(deploy, &KEYS);
        deploy.get("labels").into_iter().for_each(|at| texts(&at, &["deploy", "labels"], check, out));
        deploy.get("placement").into_iter().for_each(|at| placement(&at, check, out));
        for (key, which) in [("update_config", "update"), ("rollback_config", "rollback")] {
            deploy.get(key).into_iter().for_each(|at| exchange(&at, which, takes_host_ports, check, out));
        }
    }
    both(service, deploy.as_ref(), check, out);
}

/// Writes what both platforms have: how many there are, what they may use, and when they are started again.
pub(super) fn both(service: &At<'_>, deploy: Option<&At<'_>>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    instances(service, deploy, check, out);
    resources(service, deploy, check, out);
    match deploy.and_then(|deploy| deploy.get("restart_policy")) {
        Some(policy) => restart_policy(&policy, check, out),
        None => service.get("restart").into_iter().for_each(|at| restart(&at, check, out)),
    }
}

fn instances(service: &At<'_>, deploy: Option<&At<'_>>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    let mode = deploy.and_then(|deploy| deploy.get("mode"));
    if let Some(at) = mode.as_ref().filter(|at| at.yaml.as_text().is_some_and(|mode| mode.ends_with("-job"))) {
        return check.report(format!("`{}`: this build does not have jobs yet", at.path), at);
    }
    let global = mode.and_then(|at| check.one_of(&at, &["replicated", "global"])) == Some("global");
    // On the one machine of an engine an instance on each machine is one instance.
    if global && check.on == On::Swarm {
        out.text(["deploy", "mode"], "global");
    }
    let replicas = deploy.and_then(|deploy| deploy.get("replicas")).or_else(|| service.get("scale"));
    if let Some(at) = replicas {
        let fewest = if check.on == On::Swarm { 0 } else { 1 };
        let number = check.integer(&at, fewest, 10_000);
        if global {
            return check.report(format!("`{}`: a global service has an instance on each machine", at.path), &at);
        }
        if let Some(number) = number.filter(|number| *number != 1) {
            out.integer(["deploy", "replicas"], number);
        }
    }
}

fn placement(at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    check.known(at, &["constraints", "preferences", "max_replicas_per_node"]);
    for constraint in at.get("constraints").map(|at| check.plains(&at)).unwrap_or_default() {
        out.put(["deploy", "placement", "constraints", constraint.as_str()], Leaf::Bool(true));
    }
    let mut spread = Vec::new();
    for item in at.get("preferences").filter(|at| check.list(at)).iter().flat_map(At::items) {
        check.known(&item, &["spread"]);
        spread.extend(item.get("spread").and_then(|at| check.plain(&at)).map(Text::literal));
    }
    out.list(&["deploy", "placement", "spread"], &spread);
    let most = at.get("max_replicas_per_node").and_then(|at| check.integer(&at, 0, 10_000));
    if let Some(most) = most.filter(|most| *most != 0) {
        out.integer(["deploy", "placement", "max_replicas_per_node"], most);
    }
}

fn resources(service: &At<'_>, deploy: Option<&At<'_>>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    let written = deploy.and_then(|deploy| deploy.get("resources"));
    if let Some(written) = &written {
        check.known(written, &["limits", "reservations"]);
    }
    for which in ["limits", "reservations"] {
        let table = written.as_ref().and_then(|written| written.get(which));
        if let Some(table) = &table {
            check.known(table, &["cpus", "memory", "pids", "devices", "generic_resources"]);
            for key in ["devices", "generic_resources"] {
                let why = "devices are not given out yet";
                table.get(key).into_iter().for_each(|at| check.unsupported(&format!("deploy.resources.{key}"), why, &at));
            }
            if let Some(at) = table.get("pids").filter(|_| which == "reservations") {
                check.report(format!("`{}`: processes cannot be kept free", at.path), &at);
            }
        }
        let older = if which == "limits" {
            [("cpus", "cpus"), ("memory", "mem_limit"), ("pids", "pids_limit")]
        } else {
            [("cpus", ""), ("memory", "mem_reservation"), ("pids", "")]
        };
        let field = |name: &str| {
            let old = older.iter().find(|(key, _)| *key == name).and_then(|(_, old)| service.get(old));
            table.as_ref().and_then(|table| table.get(name)).or(old)
        };
        if let Some(cpus) = field("cpus").and_then(|at| check.cpus(&at)).filter(|cpus| cpus.0 != 0) {
            out.put(["deploy", "resources", which, "cpus"], Leaf::Cpu(cpus));
        }
        if let Some(memory) = field("memory").and_then(|at| check.bytes(&at)).filter(|memory| memory.0 != 0) {
            out.put(["deploy", "resources", which, "memory"], Leaf::Bytes(memory));
        }
        let pids = field("pids").filter(|_| which == "limits").and_then(|at| check.integer(&at, -1, i64::MAX));
        if let Some(pids) = pids.filter(|pids| *pids > 0) {
            out.integer(["deploy", "resources", which, "pids"], pids);
        }
    }
}

fn exchange(at: &At<'_>, which: &str, takes_host_ports: bool, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    check.known(at, &EXCHANGE);
    let path = |field| ["deploy", which, field];
    if let Some(parallelism) = at.get("parallelism").and_then(|at| check.integer(&at, 0, 10_000)).filter(|number| *number != 1) {
        out.integer(path("parallelism"), parallelism);
    }
    if let Some(delay) = at.get("delay").and_then(|at| check.duration(&at)).filter(|delay| delay.0 > 0) {
        out.put(path("delay"), Leaf::Duration(delay));
    }
    let monitor = at.get("monitor").and_then(|at| check.duration(&at));
    if let Some(monitor) = monitor.filter(|monitor| *monitor != MONITOR && monitor.0 > 0) {
        out.put(path("monitor"), Leaf::Duration(monitor));
    }
    let actions: &[&str] = if which == "update" { &["pause", "continue", "rollback"] } else { &["pause", "continue"] };
    let action = at.get("failure_action").and_then(|at| check.one_of(&at, actions));
    if let Some(action) = action.filter(|action| *action != "pause") {
        out.text(path("failure_action"), action);
    }
    if let Some(ratio) = at.get("max_failure_ratio").and_then(|at| check.ratio(&at)).filter(|ratio| *ratio != 0.0) {
        out.text(path("max_failure_ratio"), &ratio.to_string());
    }
    if let Some(order) = at.get("order")
        && check.one_of(&order, &["stop-first", "start-first"]) == Some("start-first")
    {
        if takes_host_ports {
            let why = "a port of the machine can be had once: the new instance would wait for a machine without the old one, for ever";
            check.files.report_with_help(format!("`{}`: {why}", order.path), "use stop-first", order.place());
        }
        out.text(path("order"), "start-first");
    }
}

fn restart_policy(at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    check.known(at, &["condition", "delay", "max_attempts", "window"]);
    let condition = at.get("condition").and_then(|at| check.one_of(&at, &["any", "none", "on-failure"]));
    if let Some(condition) = condition.filter(|condition| *condition != "any") {
        out.text(["deploy", "restart", "condition"], condition);
    }
    for (key, default) in [("delay", RESTART_DELAY), ("window", Duration(0))] {
        if let Some(time) = at.get(key).and_then(|at| check.duration(&at)).filter(|time| *time != default || check.on == On::Engine) {
            if check.on == On::Engine {
                let why = "an engine waits before each start, twice as long each time";
                at.get(key).into_iter().for_each(|at| check.unsupported(&format!("deploy.restart_policy.{key}"), why, &at));
                continue;
            }
            out.put(["deploy", "restart", key], Leaf::Duration(time));
        }
    }
    if let Some(at) = at.get("max_attempts").filter(|_| check.on == On::Engine && condition != Some("on-failure")) {
        return check.unsupported("deploy.restart_policy.max_attempts", "an engine counts with `condition: on-failure` alone", &at);
    }
    let attempts = at.get("max_attempts").and_then(|at| check.integer(&at, 0, 1_000_000));
    if let Some(attempts) = attempts.filter(|attempts| *attempts != 0) {
        out.integer(["deploy", "restart", "max_attempts"], attempts);
    }
}

/// The field of before `deploy`.
fn restart(at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    let Some(text) = check.plain(at) else { return };
    let (word, attempts) = text.split_once(':').map_or((text.as_str(), None), |(word, attempts)| (word, Some(attempts)));
    match (word, attempts.map(str::parse::<i64>)) {
        // What was stopped by hand stays so, also when the engine itself is started again; a swarm does not know the difference.
        ("always", None) if check.on == On::Engine => drop(out.text(["deploy", "restart", "condition"], "always")),
        ("always" | "unless-stopped", None) => {}
        // A bare `no` is text here, and `"no"` is the same text.
        ("no", None) => drop(out.text(["deploy", "restart", "condition"], "none")),
        ("on-failure", attempts @ (None | Some(Ok(0..)))) => {
            out.text(["deploy", "restart", "condition"], "on-failure");
            if let Some(Ok(attempts @ 1..)) = attempts {
                out.integer(["deploy", "restart", "max_attempts"], attempts);
            }
        }
        _ => check.report(format!("`{}` must be no, always, unless-stopped or on-failure[:attempts]; found {text:?}", at.path), at),
    }
}
