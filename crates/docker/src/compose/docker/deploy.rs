//! `deploy` on a plain engine: how containers are exchanged, and what only a swarm has.

use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;

use crate::compose::at::{At, Check};
use crate::compose::deploy::{EXCHANGE, KEYS, both};
use crate::engine::ports;

/// Writes `deploy` without the order of a release.
pub(super) fn write(service: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    let deploy = service.get("deploy").filter(|at| check.table(at));
    if let Some(deploy) = &deploy {
        check.known(deploy, &KEYS);
        for (key, why) in [
            ("labels", "there is no service beside its containers: use `labels`"),
            ("placement", "there is one machine"),
            ("rollback_config", "what ran before a failed release is started again, all at once"),
        ] {
            deploy.get(key).into_iter().for_each(|at| check.unsupported(&format!("deploy.{key}"), why, &at));
        }
        if let Some(at) = deploy.get("endpoint_mode").filter(|at| check.one_of(at, &["vip", "dnsrr"]) == Some("vip")) {
            check.unsupported("deploy.endpoint_mode", "a name leads to the containers themselves: dnsrr", &at);
        }
        deploy.get("update_config").into_iter().for_each(|at| update(&at, check, out));
    }
    both(service, deploy.as_ref(), check, out);
}

fn update(at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    check.known(at, &EXCHANGE);
    if let Some(parallelism) = at.get("parallelism").and_then(|at| check.integer(&at, 0, 10_000)).filter(|number| *number != 1) {
        out.integer(["deploy", "update", "parallelism"], parallelism);
    }
    let unsupported = |key: &str, why: &str| {
        at.get(key).into_iter().for_each(|at| check.unsupported(&format!("deploy.update_config.{key}"), why, &at));
    };
    unsupported("delay", "the next container is exchanged when the one before is ready");
    unsupported("monitor", "a container is watched until its health check passes, or for 1.5 seconds where it has none");
    unsupported("max_failure_ratio", "a release fails with the first container that does");
    if let Some(order) = at.get("order") {
        check.one_of(&order, &["stop-first", "start-first"]);
    }
    if let Some(action) = at.get("failure_action") {
        match check.one_of(&action, &["pause", "continue", "rollback"]) {
            Some("pause") => drop(out.text(["deploy", "update", "failure_action"], "pause")),
            Some("continue") => {
                let why = "a release that fails does not go on to what still works";
                check.unsupported("deploy.update_config.failure_action", why, &action);
            }
            _ => {}
        }
    }
}

/// The document with the order of a release: as it is written; else the old container stops first where two would harm each
/// other, since both would write to the same volume or folder, or would want the same port of the machine.
pub(super) fn with_order(service: &At<'_>, document: Document) -> Document {
    let written = service.get("deploy").and_then(|at| at.get("update_config")).and_then(|at| at.get("order"));
    let stop_first = match written.as_ref().and_then(|at| at.yaml.as_text()) {
        Some(order) => order == "stop-first",
        None => writes_to_what_stays(&document) || ports::binds(&document) || is_on_the_host(&document),
    };
    let leaf = stop_first.then(|| Leaf::Text("stop-first".into()));
    document.with([(Path::new(["deploy", "update", "order"]), leaf)])
}

fn writes_to_what_stays(document: &Document) -> bool {
    let sources = document.leaves().iter().filter(|(path, _)| path.matches("volumes.*.source"));
    let targets = sources.filter_map(|(path, _)| path.segments().nth(1));
    targets.into_iter().any(|target| document.get(&Path::new(["volumes", target, "read_only"])).is_none())
}

fn is_on_the_host(document: &Document) -> bool {
    document.get(&Path::new(["networks", "host", "attached"])).is_some()
}
