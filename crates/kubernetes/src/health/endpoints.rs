//! Where a workload is reached from outside: by a Service of its name, by the one that publishes it, or by an Ingress of its name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde::Deserialize;

use super::Reader;
use super::address::given;
use super::object::Object;
use super::workload::Workload;
use crate::marks;
use crate::names;
use crate::pages;
use crate::query::Query;

/// How long an answer is good: addresses stay.
const GOOD_FOR: Duration = Duration::from_secs(60);

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceSpec {
    r#type: String,
    ports: Vec<Port>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    name: String,
    app_protocol: String,
    port: u16,
    node_port: u16,
    protocol: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IngressSpec {
    rules: Vec<Rule>,
    tls: Vec<Tls>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule {
    host: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tls {
    hosts: Vec<String>,
}

/// The addresses of workloads, by their keys. An address is not worth a failure: whoever may not read Services is told none.
pub(super) async fn of<'a>(reader: &Reader<'_>, workloads: impl Iterator<Item = &'a Workload<'a>>) -> HashMap<String, Vec<String>> {
    let mut known = HashMap::new();
    let mut unknown: BTreeMap<&str, Vec<&Workload<'a>>> = BTreeMap::new();
    for workload in workloads {
        match reader.watched.endpoints.get(&workload.key(), GOOD_FOR) {
            Some(addresses) => drop(known.insert(workload.key(), addresses)),
            None => unknown.entry(workload.namespace).or_default().push(workload),
        }
    }
    for (namespace, workloads) in unknown {
        let services = format!("/api/v1/namespaces/{}/services", crate::query::segment(namespace));
        let ingresses = format!("/apis/networking.k8s.io/v1/namespaces/{}/ingresses", crate::query::segment(namespace));
        let (services, ingresses) = futures::future::join(read(reader, &services), read(reader, &ingresses)).await;
        for workload in workloads {
            let mut addresses = BTreeSet::new();
            let mut waits = false;
            let published = format!("{}{}", workload.name(), names::PUBLISHED);
            let is_its = |name: &str| name == workload.name() || name == published;
            for service in services.iter().filter(|service| is_its(&service.metadata.name)) {
                let spec: ServiceSpec = service.spec();
                let nodes = if spec.r#type == "NodePort" { nodes(reader).await } else { vec![] };
                let of_service = of_service(&spec, &given(service), &nodes);
                waits |= spec.r#type == "LoadBalancer" && of_service.is_empty();
                addresses.extend(of_service);
            }
            addresses.extend(ingresses.iter().filter(|ingress| ingress.metadata.name == workload.name()).flat_map(of_ingress));
            let addresses: Vec<String> = addresses.into_iter().collect();
            if !waits {
                reader.watched.endpoints.put(workload.key(), addresses.clone());
            }
            known.insert(workload.key(), addresses);
        }
    }
    known
}

/// All of ours: two requests for any number of workloads.
async fn read(reader: &Reader<'_>, collection: &str) -> Vec<Object> {
    let query = Query::of(collection).with_encoded("labelSelector", &marks::selector(&reader.config.owner));
    let found = pages::all(reader.connection, &query).await;
    found.inspect_err(|failure| tracing::debug!(why = failure.why(), "addresses were not read")).unwrap_or_default()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    addresses: Vec<NodeAddress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeAddress {
    r#type: String,
    address: String,
}

/// The addresses of nodes: those that are meant for others where a node has one.
async fn nodes(reader: &Reader<'_>) -> Vec<String> {
    if let Some(known) = reader.watched.nodes.get("", GOOD_FOR) {
        return known;
    }
    let nodes = pages::all::<Object>(reader.connection, &Query::of("/api/v1/nodes")).await;
    let nodes = nodes.inspect_err(|failure| tracing::debug!(why = failure.why(), "nodes were not listed")).unwrap_or_default();
    let addresses: Vec<String> = nodes.iter().filter_map(|node| outside(node.status())).collect();
    reader.watched.nodes.put(String::new(), addresses.clone());
    addresses
}

fn outside(status: NodeStatus) -> Option<String> {
    let of = |kind: &str| status.addresses.iter().find(|address| address.r#type == kind).map(|address| address.address.clone());
    of("ExternalIP").or_else(|| of("InternalIP"))
}

fn of_service(spec: &ServiceSpec, given: &[String], nodes: &[String]) -> Vec<String> {
    let each = |hosts: &[String], number: fn(&Port) -> u16| {
        let pairs = hosts.iter().flat_map(|host| spec.ports.iter().map(move |port| (host, port)));
        pairs.map(|(host, port)| url(host, number(port), port)).collect()
    };
    match spec.r#type.as_str() {
        "LoadBalancer" => each(given, |port| port.port),
        "NodePort" => each(nodes, |port| port.node_port),
        _ => vec![],
    }
}

/// With a scheme where the port's name or number tells it.
fn url(host: &str, number: u16, port: &Port) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let is = |word: &str| port.app_protocol.eq_ignore_ascii_case(word) || port.name == word || port.name.starts_with(&format!("{word}-"));
    match (port.protocol.as_str(), port.port) {
        ("UDP" | "SCTP", _) => format!("{host}:{number}/{}", port.protocol.to_lowercase()),
        (_, 443) => format!("https://{host}:{number}"),
        _ if is("https") => format!("https://{host}:{number}"),
        (_, 80) => format!("http://{host}:{number}"),
        _ if is("http") => format!("http://{host}:{number}"),
        _ => format!("{host}:{number}"),
    }
}

fn of_ingress(ingress: &Object) -> Vec<String> {
    let IngressSpec { rules, tls } = ingress.spec();
    let secure = |host: &str| tls.iter().any(|tls| tls.hosts.iter().any(|of| of == host));
    let named = rules.iter().filter(|rule| !rule.host.is_empty()).map(|rule| &rule.host);
    let named: Vec<String> = named.map(|host| format!("{}://{host}", if secure(host) { "https" } else { "http" })).collect();
    if named.is_empty() { given(ingress).into_iter().map(|host| format!("http://{host}")).collect() } else { named }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn addresses(spec: Value) -> Vec<String> {
        let spec = serde_json::from_value(spec).unwrap();
        of_service(&spec, &["192.0.2.1".into()], &["2001:db8::1".into()])
    }

    #[test]
    fn a_service_inside_the_cluster_has_no_address_outside() {
        assert!(addresses(json!({ "type": "ClusterIP", "ports": [{ "port": 80 }] })).is_empty());
    }

    #[test]
    fn each_published_port_is_an_address() {
        let ports = json!([{ "name": "http", "port": 8080, "nodePort": 30080, "protocol": "TCP" }, { "name": "dns", "port": 53, "nodePort": 30053, "protocol": "UDP" }]);
        assert_eq!(addresses(json!({ "type": "LoadBalancer", "ports": ports })), ["http://192.0.2.1:8080", "192.0.2.1:53/udp"]);
        assert_eq!(addresses(json!({ "type": "NodePort", "ports": ports })), ["http://[2001:db8::1]:30080", "[2001:db8::1]:30053/udp"]);
        assert_eq!(
            addresses(json!({ "type": "LoadBalancer", "ports": [{ "port": 443 }, { "port": 5432 }] })),
            ["https://192.0.2.1:443", "192.0.2.1:5432"]
        );
    }

    #[test]
    fn an_ingress_is_reached_by_its_hosts() {
        let ingress: Object = serde_json::from_value(json!({ "spec": {
            "rules": [{ "host": "a.example" }, { "host": "b.example" }], "tls": [{ "hosts": ["a.example"] }],
        } }))
        .unwrap();
        assert_eq!(of_ingress(&ingress), ["https://a.example", "http://b.example"]);
    }
}
