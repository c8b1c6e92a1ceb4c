//! Where a service is reached from outside.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{EndpointPortConfig, Service, Task};
use bollard::query_parameters::ListNodesOptions;

use crate::endpoint::Endpoint;
use crate::swarm::SwarmPlatform;
use crate::swarm::spec::ports::Published;

/// `address:port`, for each published port: on the nodes that run an instance, or on all of them, of which the one that we
/// speak to is one.
pub(super) async fn of(platform: &SwarmPlatform, service: &Service, running: &[&Task]) -> Vec<String> {
    let ports = service.endpoint.as_ref().and_then(|endpoint| endpoint.ports.as_ref());
    let ports: Vec<Published> = ports.into_iter().flatten().map(Published::of).collect();
    let mesh = ports.iter().filter(|port| !port.on_host).filter_map(|port| port.published);
    let mut out: BTreeSet<String> = mesh.map(|port| address(&host(&platform.connection.endpoint), port)).collect();
    if ports.iter().any(|port| port.on_host) {
        let nodes = nodes(platform).await;
        for task in running {
            let Some(node) = task.node_id.as_ref().and_then(|node| nodes.get(node)) else { continue };
            out.extend(on_host(task).filter_map(|port| Some(address(node, Published::of(port).published?))));
        }
    }
    out.into_iter().collect()
}

/// The ports that an instance has on its node. The engine tells each twice, for both versions of IP.
fn on_host(task: &Task) -> impl Iterator<Item = &EndpointPortConfig> {
    let status = task.status.as_ref().and_then(|status| status.port_status.as_ref());
    status.and_then(|status| status.ports.as_ref()).into_iter().flatten()
}

async fn nodes(platform: &SwarmPlatform) -> HashMap<String, String> {
    let nodes = platform.connection.docker.list_nodes(None::<ListNodesOptions>).await;
    // An address is not worth a failure: whoever may not list nodes is told none.
    let nodes = nodes.inspect_err(|error| tracing::debug!(%error, "nodes were not listed")).unwrap_or_default();
    nodes.into_iter().filter_map(|node| Some((node.id?, node.status?.addr?))).collect()
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The machine behind an endpoint.
fn host(endpoint: &Endpoint) -> String {
    let of = |address: &str| address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']).to_owned();
    match endpoint {
        Endpoint::Unix(_) => "127.0.0.1".to_owned(),
        Endpoint::Http(address) | Endpoint::Tls { address, .. } => of(address),
        Endpoint::Ssh(destination) => {
            let machine = destination.rsplit_once('@').map_or(destination.as_str(), |(_, machine)| machine);
            machine.split_once(':').map_or(machine, |(host, _)| host).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_behind_an_endpoint() {
        assert_eq!(host(&Endpoint::Http("manager:2375".into())), "manager");
        assert_eq!(host(&Endpoint::Http("[::1]:2375".into())), "::1");
        assert_eq!(host(&Endpoint::Ssh("ada@manager:22".into())), "manager");
        assert_eq!(host(&Endpoint::Ssh("manager".into())), "manager");
        assert_eq!(address("::1", 80), "[::1]:80");
    }
}
