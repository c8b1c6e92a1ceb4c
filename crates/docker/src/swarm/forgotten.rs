//! Networks of apps that were forgotten.
//!
//! The labels of a network are fixed, so one that was forgotten with its app still carries our marks. It is nobody's for as long
//! as services are on it and none of them is ours: those that were forgotten with it.

use std::collections::BTreeSet;

use bollard::errors::Error;
use bollard::models::{Network, Service};
use stratos_engine::desired::owner::{Owner, Ownership};
use stratos_engine::platform::ObservedResource;

use super::live::{self, Asked};
use crate::connection::Connection;
use crate::labels;

/// The ids of these networks that were forgotten. `ours` are the services that are ours, as far as they are listed already.
pub(crate) async fn networks(
    connection: &Connection,
    networks: &[Network],
    ours: &[Service],
    owner: &Owner,
) -> Result<BTreeSet<String>, Error> {
    let is_marked = |network: &&Network| {
        let own = network.labels.clone().unwrap_or_default();
        labels::ownership(&own, owner).marks().is_some()
    };
    let used = on_networks(ours.iter().filter(|service| is_ours(service, owner)));
    let unused: Vec<&String> =
        networks.iter().filter(is_marked).filter_map(|network| network.id.as_ref()).filter(|id| !used.contains(*id)).collect();
    if unused.is_empty() {
        return Ok(BTreeSet::new());
    }
    let all = live::services(connection, &Asked::All).await?;
    let (ours, others): (Vec<&Service>, Vec<&Service>) = all.iter().partition(|service| is_ours(service, owner));
    let (ours, others) = (on_networks(ours.into_iter()), on_networks(others.into_iter()));
    Ok(unused.into_iter().filter(|id| others.contains(*id) && !ours.contains(*id)).cloned().collect())
}

/// A network as it is seen: one that was forgotten belongs to nobody.
pub(crate) fn seen(network: ObservedResource, forgotten: &BTreeSet<String>) -> ObservedResource {
    if network.uid.as_ref().is_some_and(|id| forgotten.contains(id)) {
        return ObservedResource { ownership: Ownership::Unmarked, ..network };
    }
    network
}

fn is_ours(service: &Service, owner: &Owner) -> bool {
    labels::ownership(live::service_labels(service), owner).marks().is_some()
}

fn on_networks<'s>(services: impl Iterator<Item = &'s Service>) -> BTreeSet<String> {
    let attached = services.filter_map(|service| service.spec.as_ref()?.task_template.as_ref()?.networks.as_ref());
    attached.flatten().filter_map(|attachment| attachment.target.clone()).collect()
}
