//! `ports.<target>/<protocol>` of an app's containers. What is `published` the proxy has, and with it an `address` of the
//! machine; what is `bound` each container has itself, as `docker run --publish` does it.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{HostConfig, PortBinding};
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;

/// A port of the machine that the engine chooses.
pub(crate) const ANY: &str = "any";

/// A port that the proxy has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Published {
    /// The port that the instances listen on.
    pub target: u16,
    /// The port on the machine.
    pub port: u16,
    /// The one address of the machine; None for all of them.
    pub address: Option<String>,
    /// Whether it leads where it should.
    pub leads: bool,
}

/// The leaves of published ports. A target that is published twice has a second table, `8080/tcp#2`.
pub(crate) fn leaves(mut ports: Vec<Published>) -> Vec<(Path, Leaf)> {
    ports.sort();
    let mut out = Vec::new();
    let mut before = (0, 0);
    for Published { target, port, address, leads } in ports {
        let count = if before.0 == target { before.1 + 1 } else { 1 };
        before = (target, count);
        let table = if count == 1 { format!("{target}/tcp") } else { format!("{target}/tcp#{count}") };
        out.push((Path::new(["ports", &table, "published"]), if leads { Leaf::Integer(port.into()) } else { Leaf::Unknown }));
        out.extend(address.map(|address| (Path::new(["ports", &table, "address"]), Leaf::Text(address.as_str().into()))));
    }
    out
}

/// The published ports of a document: target and address by port.
pub(crate) fn published(document: &Document) -> BTreeMap<u16, (u16, Option<String>)> {
    let port = |(path, leaf): &(Path, Leaf)| {
        let segments: Vec<&str> = path.segments().collect();
        let (["ports", table, "published"], Leaf::Integer(published)) = (segments.as_slice(), leaf) else { return None };
        let target = table.split('#').next()?.strip_suffix("/tcp")?.parse().ok()?;
        let address = match document.get(&Path::new(["ports", table, "address"])) {
            Some(Leaf::Text(address)) => Some(address.to_string()),
            _ => None,
        };
        Some((u16::try_from(*published).ok()?, (target, address)))
    };
    document.leaves().iter().filter_map(port).collect()
}

/// Whether two containers of this document cannot run beside each other: each would have the same port of the machine.
pub(crate) fn binds(document: &Document) -> bool {
    document.leaves().iter().any(|(path, leaf)| path.matches("ports.*.bound") && *leaf != Leaf::Text(ANY.into()))
}

/// What the containers of a document bind themselves, as the engine takes it.
pub(crate) fn bindings(document: &Document) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut out = HashMap::new();
    for (path, leaf) in document.leaves().iter().filter(|(path, _)| path.matches("ports.*.bound")) {
        let (Some(port), Leaf::Text(bound)) = (path.segments().nth(1), leaf) else { continue };
        let binding = |one: &str| {
            let (address, port) = one.rsplit_once(':').map_or((None, one), |(address, port)| (Some(address), port));
            let address = address.map(|address| address.trim_matches(['[', ']']).to_owned());
            PortBinding { host_ip: address, host_port: Some(if port == ANY { String::new() } else { port.to_owned() }) }
        };
        out.insert(port.to_owned(), Some(bound.split(", ").map(binding).collect()));
    }
    out
}

/// One port of the machine, as `bound` has it.
pub(crate) fn bound(address: Option<&str>, port: Option<u16>) -> String {
    let port = port.map_or(ANY.to_owned(), |port| port.to_string());
    match address.filter(|address| !address.is_empty()) {
        Some(address) if address.contains(':') => format!("[{address}]:{port}"),
        Some(address) => format!("{address}:{port}"),
        None => port,
    }
}

/// Writes what a container binds itself.
pub(crate) fn read(host: &HostConfig, out: &mut DocumentBuilder) {
    for (port, bindings) in host.port_bindings.iter().flatten() {
        let one = |binding: &PortBinding| {
            bound(binding.host_ip.as_deref(), binding.host_port.as_deref().and_then(|port| port.parse().ok()).filter(|port| *port != 0))
        };
        let mut all: Vec<String> = bindings.iter().flatten().map(one).collect();
        all.sort();
        if !all.is_empty() {
            out.text(["ports", port.as_str(), "bound"], &all.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ports_come_back_as_they_were_written() {
        let port = |target, port, address: Option<&str>| Published { target, port, address: address.map(str::to_owned), leads: true };
        let document: Document =
            leaves(vec![port(80, 8081, None), port(80, 8080, Some("127.0.0.1")), port(81, 8082, None)]).into_iter().collect();
        let shown: Vec<String> = document.leaves().iter().map(|(path, leaf)| format!("{path} = {leaf}")).collect();
        assert_eq!(shown.len(), 4, "{shown:?}");
        let expected = BTreeMap::from([(8080, (80, Some("127.0.0.1".to_owned()))), (8081, (80, None)), (8082, (81, None))]);
        assert_eq!(published(&document), expected);
    }

    #[test]
    fn what_is_bound_comes_back_as_it_was_written() {
        let mut out = DocumentBuilder::default();
        out.text(["ports", "53/udp", "bound"], "127.0.0.1:53, [::1]:53").text(["ports", "9000/tcp", "bound"], ANY);
        let document = out.build();
        let mut host = HostConfig { port_bindings: Some(bindings(&document)), ..HostConfig::default() };
        let mut out = DocumentBuilder::default();
        read(&host, &mut out);
        assert_eq!(out.build(), document);
        assert!(binds(&document));
        host.port_bindings = Some([("9000/tcp".to_owned(), Some(vec![PortBinding::default()]))].into());
        let mut out = DocumentBuilder::default();
        read(&host, &mut out);
        assert!(!binds(&out.build()), "two containers can each have a port that the engine chooses");
    }
}
