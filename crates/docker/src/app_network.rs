//! Networks of apps, on a swarm and on a plain engine: those that compose files ask for. Nothing of a network can change, so its
//! name holds a hash of what it is.

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::name::{Name, live_name};
use stratos_engine::desired::owner::{Marks, Owner};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::{ReplaceOrder, Replacement, ResourceId, Shape};
use stratos_engine::platform::ObservedResource;

use crate::container::leaves;
use crate::labels;
use crate::swarm::names::hash;

const NAME_LIMIT: usize = 63;
/// The driver of a network in a swarm that does not say another one.
pub(crate) const OVERLAY: &str = "overlay";
/// The same on a plain engine.
pub(crate) const BRIDGE: &str = "bridge";
/// Says that the addresses are those that the document asks for: the swarm chooses some for every network.
const ADDRESSES: &str = "stratos.addresses";
/// What the swarm writes among the driver's options.
const CHOSEN_OPTION: &str = "com.docker.network.driver.overlay.vxlanid_list";

/// A network. What is fixed when it is made is all of it, its marks included.
pub(crate) static NETWORK: Shape = Shape {
    kind: "network",
    replaces: &[("*", Replacement { order: ReplaceOrder::DeleteFirst, downtime: true, loses_data: false })],
    ..Shape::UNKNOWN
};

/// The live name of an app's network. One with options has a hash of them in it: other options are another network, to which
/// services move before the one before goes.
pub(crate) fn name(prefix: &Name, app: &Name, key: &str, document: &Document) -> String {
    if document.is_empty() {
        return live_name(prefix, app, Some(key), NAME_LIMIT);
    }
    let part = format!("{key}-{}", &hash(&document.digest().to_string())[..8]);
    live_name(prefix, app, Some(&part), NAME_LIMIT)
}

/// A network as the engine of Stratos sees it. `usual` is the driver that says nothing.
pub(crate) fn observed(network: &Network, usual: &str, environment: &Name, owner: &Owner) -> ObservedResource {
    let mut out = DocumentBuilder::default();
    let own = network.labels.clone().unwrap_or_default();
    leaves::text(&mut out, &["driver"], network.driver.as_deref().filter(|driver| *driver != usual));
    for (key, on) in [("attachable", network.attachable), ("internal", network.internal), ("enable_ipv6", network.enable_ipv6)] {
        leaves::flag(&mut out, &[key], on.unwrap_or_default());
    }
    for (name, value) in network.options.iter().flatten().filter(|(name, _)| *name != CHOSEN_OPTION) {
        out.text(["driver_opts", name], value);
    }
    for (name, value) in own.iter().filter(|(name, _)| !name.starts_with(labels::PREFIX)) {
        out.text(["labels", name], value);
    }
    let Ipam { driver, config, options } = network.ipam.clone().unwrap_or_default();
    leaves::text(&mut out, &["ipam", "driver"], driver.as_deref().filter(|driver| *driver != "default"));
    for (name, value) in options.iter().flatten() {
        out.text(["ipam", "options", name], value);
    }
    for (index, pool) in config.into_iter().flatten().enumerate().filter(|_| own.contains_key(ADDRESSES)) {
        let index = format!("[{index:04}]");
        let IpamConfig { subnet, ip_range, gateway, auxiliary_addresses: _ } = pool;
        for (key, value) in [("subnet", subnet), ("ip_range", ip_range), ("gateway", gateway)] {
            leaves::text(&mut out, &["ipam", "config", &index, key], value.as_deref());
        }
    }
    let id = ResourceId::new(environment, NETWORK.kind, network.name.as_deref().unwrap_or_default());
    ObservedResource { uid: network.id.clone(), ..ObservedResource::new(id, labels::ownership(&own, owner), out.build()) }
}

/// What makes a network of a document. `usual` is its driver where it does not say one.
///
/// # Errors
/// A sentence, where a leaf is not what its field takes.
pub(crate) fn request(name: &str, usual: &str, document: &Document, marks: &Marks) -> Result<NetworkCreateRequest, String> {
    let mut request = NetworkCreateRequest { name: name.to_owned(), driver: Some(usual.to_owned()), ..NetworkCreateRequest::default() };
    let mut own = labels::of(marks);
    let mut pools: Vec<(String, IpamConfig)> = Vec::new();
    for (path, leaf) in document.leaves() {
        let segments: Vec<&str> = path.segments().collect();
        match segments.as_slice() {
            ["driver"] => request.driver = Some(text(path, leaf)?),
            ["attachable"] => request.attachable = Some(leaves::to_flag(path, leaf)?),
            ["internal"] => request.internal = Some(leaves::to_flag(path, leaf)?),
            ["enable_ipv6"] => request.enable_ipv6 = Some(leaves::to_flag(path, leaf)?),
            ["driver_opts", name] => drop(request.options.get_or_insert_default().insert((*name).to_owned(), text(path, leaf)?)),
            ["labels", name] => drop(own.insert((*name).to_owned(), text(path, leaf)?)),
            ["ipam", "driver"] => request.ipam.get_or_insert_default().driver = Some(text(path, leaf)?),
            ["ipam", "options", name] => {
                let options = request.ipam.get_or_insert_default().options.get_or_insert_default();
                options.insert((*name).to_owned(), text(path, leaf)?);
            }
            ["ipam", "config", index, field] => {
                if pools.last().is_none_or(|(last, _)| last != index) {
                    pools.push(((*index).to_owned(), IpamConfig::default()));
                }
                let Some((_, pool)) = pools.last_mut() else { continue };
                match *field {
                    "subnet" => pool.subnet = Some(text(path, leaf)?),
                    "ip_range" => pool.ip_range = Some(text(path, leaf)?),
                    "gateway" => pool.gateway = Some(text(path, leaf)?),
                    _ => return Err(format!("{path} is not a field of a network")),
                }
            }
            _ => return Err(format!("{path} is not a field of a network")),
        }
    }
    if !pools.is_empty() {
        own.insert(ADDRESSES.to_owned(), "written".to_owned());
        request.ipam.get_or_insert_default().config = Some(pools.into_iter().map(|(_, pool)| pool).collect());
    }
    request.labels = Some(own);
    Ok(request)
}

fn text(path: &Path, leaf: &Leaf) -> Result<String, String> {
    match leaf {
        Leaf::Text(text) => Ok(text.to_string()),
        other => Err(format!("{path}: {other} is no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn full() -> Document {
        let mut out = DocumentBuilder::default();
        out.text(["driver"], "other").put(["attachable"], Leaf::Bool(true)).put(["internal"], Leaf::Bool(true));
        out.put(["enable_ipv6"], Leaf::Bool(true)).text(["driver_opts", "encrypted"], "").text(["labels", "team"], "shop");
        out.text(["ipam", "driver"], "mine").text(["ipam", "options", "a"], "b");
        out.text(["ipam", "config", "[0000]", "subnet"], "10.9.0.0/24").text(["ipam", "config", "[0000]", "gateway"], "10.9.0.1");
        out.build()
    }

    #[test]
    fn a_document_comes_back_as_it_was_written() {
        let owner = Owner { project: "p".into(), environment: app("dev") };
        let marks = Marks { owner: owner.clone(), app: app("shop"), protect: false, revision: None, specification: None };
        for document in [Document::default(), full()] {
            let made = request("n", OVERLAY, &document, &marks).unwrap();
            let live = Network {
                name: Some("n".into()),
                driver: made.driver,
                attachable: made.attachable,
                internal: made.internal,
                enable_ipv6: made.enable_ipv6,
                options: made.options,
                labels: made.labels,
                ipam: made.ipam.or(Some(Ipam {
                    config: Some(vec![IpamConfig { subnet: Some("10.0.1.0/24".into()), ..IpamConfig::default() }]),
                    ..Ipam::default()
                })),
                ..Network::default()
            };
            let seen = observed(&live, OVERLAY, &app("dev"), &owner);
            assert_eq!(seen.document, document);
            assert_eq!(seen.ownership.marks(), Some(&marks));
        }
    }

    /// Live networks are found by these names: a change here orphans them all.
    #[test]
    fn live_names_are_frozen() {
        assert_eq!(name(&app("shop"), &app("wiki"), "default", &Document::default()), "shop-wiki-default");
        assert_eq!(name(&app("shop"), &app("wiki"), "back", &full()), "shop-wiki-back-e9d0c3d8");
    }
}
