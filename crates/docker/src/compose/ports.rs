//! `ports` of a service: what is published.

use super::at::{At, Check, On};

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub target: u16,
    pub protocol: String,
    /// None where the engine chooses one.
    pub published: Option<u16>,
    /// `mode`, where it is written: whether it is on the machines that run an instance alone.
    pub on_host: Option<bool>,
    /// The one address of the machine; None for all of them.
    pub address: Option<String>,
}

/// The most ports that one range may have.
const MAX_RANGE: u16 = 1000;

/// The published ports, each once.
pub(super) fn read(service: &At<'_>, check: &Check<'_, '_>) -> Vec<Port> {
    let mut ports: Vec<Port> = Vec::new();
    for item in service.get("ports").filter(|at| check.list(at)).iter().flat_map(At::items) {
        let found = if item.is_table() { long(&item, check) } else { short(&item, check) };
        for port in found {
            let taken = |other: &Port| port.published.is_some() && other.published == port.published && other.protocol == port.protocol;
            match ports.iter().find(|other| taken(other)) {
                Some(other) if *other == port => {}
                Some(_) => check.report(format!("port {} is published twice", port.published.unwrap_or_default()), &item),
                None => ports.push(port),
            }
        }
    }
    ports
}

/// `[[address:]published:]target[/protocol]`, with ranges.
fn short(at: &At<'_>, check: &Check<'_, '_>) -> Vec<Port> {
    let Some(text) = check.plain(at) else { return Vec::new() };
    let (ports, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    let (rest, target) = ports.rsplit_once(':').map_or((None, ports), |(rest, target)| (Some(rest), target));
    let (address, published) = match rest {
        None => (None, None),
        Some(rest) => rest.rsplit_once(':').map_or((None, Some(rest)), |(address, published)| (Some(address), Some(published))),
    };
    let Some(protocol) = known_protocol(protocol, at, check) else { return Vec::new() };
    let address = address.map(|address| address.trim_matches(['[', ']']).to_owned());
    let like =
        Port { target: 0, protocol, published: None, on_host: None, address: address.and_then(|address| on_one(address, at, check)) };
    pairs(target, published.filter(|published| !published.is_empty()), &like, at, check)
}

fn long(at: &At<'_>, check: &Check<'_, '_>) -> Vec<Port> {
    check.known(at, &["target", "published", "protocol", "mode", "host_ip", "name", "app_protocol"]);
    let Some(target) = at.get("target").and_then(|at| check.plain(&at)) else {
        check.report(format!("`{}` has no `target`", at.path), at);
        return Vec::new();
    };
    let protocol = at.get("protocol").and_then(|at| check.plain(&at)).unwrap_or_else(|| "tcp".to_owned());
    let Some(protocol) = known_protocol(&protocol, at, check) else { return Vec::new() };
    let mode = at.get("mode").and_then(|at| check.one_of(&at, &["host", "ingress"]));
    let address = at.get("host_ip").and_then(|at| on_one(check.plain(&at)?, &at, check));
    let published = at.get("published").and_then(|at| check.plain(&at)).filter(|published| published != "0");
    let like = Port { target: 0, protocol, published: None, on_host: mode.map(|mode| mode == "host"), address };
    pairs(&target, published.as_deref(), &like, at, check)
}

/// One address of the machine; None where it is all of them, and where it cannot be one.
fn on_one(address: String, at: &At<'_>, check: &Check<'_, '_>) -> Option<String> {
    if check.on == On::Swarm {
        check.unsupported("ports.host_ip", "a swarm publishes on all addresses of a machine", at);
        return None;
    }
    match address.parse::<std::net::IpAddr>() {
        Ok(parsed) => (!parsed.is_unspecified()).then_some(address),
        Err(_) => {
            check.report(format!("`{}`: {address:?} is no address of a machine", at.path), at);
            None
        }
    }
}

fn known_protocol(protocol: &str, at: &At<'_>, check: &Check<'_, '_>) -> Option<String> {
    if ["tcp", "udp", "sctp"].contains(&protocol) {
        return Some(protocol.to_owned());
    }
    check.report(format!("`{}`: {protocol:?} is not a protocol: there are tcp, udp and sctp", at.path), at);
    None
}

/// The ports of a pair of ranges, each else like the given one.
fn pairs(target: &str, published: Option<&str>, like: &Port, at: &At<'_>, check: &Check<'_, '_>) -> Vec<Port> {
    let range = |text: &str| {
        let found = range(text);
        if found.is_none() {
            check.report(format!("`{}`: {text:?} is neither a port nor a range of ports", at.path), at);
        }
        found
    };
    let Some(targets) = range(target) else { return Vec::new() };
    let port = |target, published| Port { target, published, ..like.clone() };
    let Some(published) = published else { return targets.map(|target| port(target, None)).collect() };
    let Some(published) = range(published) else { return Vec::new() };
    if targets.len() != published.len() {
        check.report(format!("`{}`: the two ranges are not as long as each other", at.path), at);
        return Vec::new();
    }
    targets.zip(published).map(|(target, published)| port(target, Some(published))).collect()
}

/// `80`, or `8000-8010`.
fn range(text: &str) -> Option<std::ops::RangeInclusive<u16>> {
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port != 0);
    let (first, last) = text.split_once('-').map_or((text, text), |ends| ends);
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && last - first < MAX_RANGE).then_some(first..=last)
}
