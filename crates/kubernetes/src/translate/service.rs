//! Ports become Services: one for the environment, and one that leads in from outside where a port is published.

use serde_json::{Value, json};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::resource::Resource;
use stratos_engine::manifest::schema::{Port, Protocol};

use super::Maker;
use crate::names;

/// The Services of an app.
pub(crate) fn services(maker: &Maker<'_>) -> Vec<Resource> {
    let ports = &maker.app.app.ports;
    let inside: Vec<Value> = ports.iter().map(|(name, port)| entry(name, port, port.port)).collect();
    let outside: Vec<Value> = ports.iter().filter_map(|(name, port)| Some(entry(name, port, port.publish?))).collect();
    let service = |name: &str, kind: &str, ports: Vec<Value>| {
        maker.object(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": maker.metadata(name),
            "spec": { "type": kind, "selector": maker.selector(), "ports": ports },
        }))
    };
    let inside = (!inside.is_empty()).then(|| service(maker.app.name, "ClusterIP", inside));
    let outside = (!outside.is_empty()).then(|| service(&names::published(maker.app.name), "LoadBalancer", outside));
    inside.into_iter().chain(outside).collect()
}

fn entry(name: &Name, port: &Port, number: u16) -> Value {
    json!({ "name": &**name, "port": number, "protocol": protocol(port), "targetPort": port.port })
}

/// As the API writes it.
pub(crate) fn protocol(port: &Port) -> &'static str {
    match port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}
