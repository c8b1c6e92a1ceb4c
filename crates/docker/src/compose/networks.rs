//! `networks`: those of the project, and what a service is attached to.

use std::collections::BTreeMap;

use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::text::Text;

use super::at::{At, Check, On};
use super::service::texts;

/// The network of services that name none.
pub(super) const DEFAULT: &str = "default";

/// A network of the project.
pub(super) struct Declared {
    /// Its live name.
    pub name: String,
    /// What it is; None where it is somebody else's.
    pub document: Option<Document>,
}

/// The networks of the project by their keys, and the default one. `own` makes a live name of a key and a document.
pub(super) fn declared(networks: &At<'_>, own: &dyn Fn(&str, &Document) -> String, check: &Check<'_, '_>) -> BTreeMap<String, Declared> {
    let keys = networks.entries().map(|(key, _)| key).chain([DEFAULT]);
    let one = |key: &str| {
        let at = networks.get(key);
        let name = at.as_ref().and_then(|at| at.get("name")).and_then(|at| check.plain(&at));
        let external = at.as_ref().and_then(|at| at.get("external")).is_some_and(|at| check.flag(&at) == Some(true));
        if external {
            return Declared { name: name.unwrap_or_else(|| key.to_owned()), document: None };
        }
        let document = document(at.as_ref(), check);
        Declared { name: name.unwrap_or_else(|| own(key, &document)), document: Some(document) }
    };
    keys.map(|key| (key.to_owned(), one(key))).collect()
}

/// The document of a network of the project. In a swarm an overlay network, else a bridge, unless it says otherwise.
fn document(at: Option<&At<'_>>, check: &Check<'_, '_>) -> Document {
    let mut out = DocumentBuilder::default();
    let Some(at) = at.filter(|at| check.table(at)) else { return out.build() };
    let known = ["driver", "driver_opts", "attachable", "internal", "labels", "ipam", "enable_ipv6", "enable_ipv4", "external", "name"];
    check.known(at, &known);
    match at.get("driver").and_then(|at| check.plain(&at).map(|driver| (driver, at))) {
        Some((driver, _)) if driver == check.either("overlay", "bridge") => {}
        // What a file for the other platform says, and does not mean.
        Some((driver, at)) if driver == check.either("bridge", "overlay") => {
            let (swarm, engine) = ("a bridge is on one machine; a service's network is an overlay", "an overlay network is a swarm's");
            check.unsupported("networks.driver", check.either(swarm, engine), &at);
        }
        Some((driver, _)) => drop(out.text(["driver"], &driver)),
        None => {}
    }
    for key in ["attachable", "internal", "enable_ipv6"] {
        if at.get(key).and_then(|at| check.flag(&at)) == Some(true) {
            out.put([key], Leaf::Bool(true));
        }
    }
    for key in ["driver_opts", "labels"] {
        at.get(key).into_iter().for_each(|at| texts(&at, &[key], check, &mut out));
    }
    if let Some(at) = at.get("enable_ipv4").filter(|at| check.flag(at) == Some(false)) {
        check.unsupported("networks.enable_ipv4", check.either("an overlay network always has it", "it is not translated"), &at);
    }
    at.get("ipam").into_iter().for_each(|at| ipam(&at, check, &mut out));
    out.build()
}

fn ipam(at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    check.known(at, &["driver", "config", "options"]);
    if let Some(driver) = at.get("driver").and_then(|at| check.plain(&at)).filter(|driver| driver != "default") {
        out.text(["ipam", "driver"], &driver);
    }
    at.get("options").into_iter().for_each(|at| texts(&at, &["ipam", "options"], check, out));
    for (index, pool) in at.get("config").filter(|at| check.list(at)).iter().flat_map(At::items).enumerate() {
        check.known(&pool, &["subnet", "ip_range", "gateway", "aux_addresses"]);
        let index = format!("[{index:04}]");
        for key in ["subnet", "ip_range", "gateway"] {
            if let Some(text) = pool.get(key).and_then(|at| check.plain(&at)) {
                out.text(["ipam", "config", &index, key], &text);
            }
        }
        if let Some(at) = pool.get("aux_addresses") {
            check.unsupported(
                "networks.ipam.aux_addresses",
                check.either("an overlay network has no addresses of machines in it", "it is not translated"),
                &at,
            );
        }
    }
}

/// How a service is on a network.
pub(super) struct Attachment {
    /// The network's key.
    pub network: String,
    /// Other names of the service there.
    pub aliases: Vec<String>,
    /// Options of the driver.
    pub options: Vec<(String, Text)>,
}

/// The networks of a service, each with its other names and options.
pub(super) fn attachments(service: &At<'_>, networks: &At<'_>, check: &Check<'_, '_>) -> Vec<Attachment> {
    let Some(table) = service.get("networks").filter(|at| check.table(at) && !at.yaml.entries().is_empty()) else {
        return vec![Attachment { network: DEFAULT.to_owned(), aliases: Vec::new(), options: Vec::new() }];
    };
    let mut out = Vec::new();
    for (name, at) in table.entries() {
        if name != DEFAULT && !networks.yaml.entries().iter().any(|(key, _)| key.name == name) {
            let help = format!("add `{name}:` to the top-level `networks`");
            check.files.report_with_help(format!("there is no network `{name}`"), help, at.place());
            continue;
        }
        let known = [
            "aliases",
            "driver_opts",
            "ipv4_address",
            "ipv6_address",
            "link_local_ips",
            "mac_address",
            "priority",
            "gw_priority",
            "interface_name",
        ];
        check.known(&at, &known);
        let chosen = check.either(
            "a swarm chooses addresses and interfaces",
            "in a release a new container is there beside the old one, so the engine chooses addresses and interfaces",
        );
        for key in &known[2..] {
            at.get(key).into_iter().for_each(|at| check.unsupported(&format!("networks.{key}"), chosen, &at));
        }
        if let Some(at) = at.get("driver_opts").filter(|_| check.on == On::Engine) {
            check.unsupported("networks.driver_opts", "options of a single attachment are not translated", &at);
        }
        let aliases = at.get("aliases").map(|at| check.plains(&at)).unwrap_or_default();
        let options = at.get("driver_opts").filter(|at| check.table(at));
        let options =
            options.iter().flat_map(At::entries).filter_map(|(name, at)| Some((name.to_owned(), Text::literal(check.plain(&at)?))));
        out.push(Attachment { network: name.to_owned(), aliases, options: options.collect() });
    }
    out
}
