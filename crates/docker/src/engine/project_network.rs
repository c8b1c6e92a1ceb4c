//! The networks of apps, which compose files ask for. They are made and deleted; nothing of them can change.
//!
//! Their labels are fixed, too, so one that was forgotten still carries our marks. It is nobody's for as long as forgotten
//! containers are on it and none of ours is.

use std::collections::BTreeMap;

use bollard::models::Network;
use bollard::query_parameters::ListNetworksOptions;
use stratos_engine::desired::owner::Ownership;
use stratos_engine::desired::resource::Resource;
use stratos_engine::plan::change::{Action, Change, Verdict};
use stratos_engine::platform::{ObservedResource, Outcome, PlatformError, PlatformErrorKind};

use super::live::{self, Listed};
use super::{DockerPlatform, network};
use crate::app_network::{self, BRIDGE};
use crate::failure::failure;
use crate::labels;

/// All networks of the engine, ours or not. `listed` are its containers.
pub(crate) async fn observed(platform: &DockerPlatform, listed: &[Listed]) -> Result<Vec<ObservedResource>, PlatformError> {
    Ok(list(platform).await?.iter().map(|network| one(platform, network, listed)).collect())
}

async fn list(platform: &DockerPlatform) -> Result<Vec<Network>, PlatformError> {
    let networks = platform.connection.docker.list_networks(None::<ListNetworksOptions>).await;
    networks.map_err(|error| failure(format!("listing the networks of {}", platform.connection.endpoint), &error))
}

fn one(platform: &DockerPlatform, network: &Network, listed: &[Listed]) -> ObservedResource {
    let seen = app_network::observed(network, BRIDGE, &platform.config.environment, &platform.config.owner);
    let on_it = || listed.iter().filter(|container| network.name.as_ref().is_some_and(|name| container.networks.contains(name)));
    let is_forgotten = on_it().any(Listed::is_forgotten) && !on_it().any(|container| container.ownership(platform).marks().is_some());
    if is_forgotten { ObservedResource { ownership: Ownership::Unmarked, ..seen } } else { seen }
}

/// Carries out the change of a network.
pub(crate) async fn apply(platform: &DockerPlatform, change: &Change) -> Result<Outcome, PlatformError> {
    let done = || Ok(Outcome::Done { attributes: BTreeMap::new() });
    let refused = |why: &str, hint: &str| {
        let attempted = format!("changing the network {}", change.id.name);
        Err(PlatformError::new(PlatformErrorKind::Rejected, attempted, why).with_hint(hint))
    };
    let listed = live::list(platform, None).await?;
    let networks = list(platform).await?;
    let live = networks.iter().find(|network| network.name.as_deref() == Some(&*change.id.name));
    let seen = live.map(|network| one(platform, network, &listed));
    match change.judge(seen.as_ref(), seen.as_ref()) {
        Verdict::AlreadyDone => return Ok(Outcome::AlreadyDone { attributes: BTreeMap::new() }),
        Verdict::Stale(why) => return Ok(Outcome::Stale { why }),
        Verdict::Proceed => {}
    }
    let id = live.and_then(|network| network.id.as_deref()).unwrap_or_default();
    let is_marked = live.is_some_and(|network| {
        let own = network.labels.clone().unwrap_or_default();
        labels::ownership(&own, &platform.config.owner).marks().is_some()
    });
    match (change.action, &change.desired) {
        (Action::Delete, _) => network::remove_by(platform, id, &change.id.name).await.and_then(|()| done()),
        (Action::Replace(_), Some(desired)) => {
            network::remove_by(platform, id, &change.id.name).await?;
            make(platform, desired).await.and_then(|()| done())
        }
        (Action::Create | Action::Update, Some(desired)) if live.is_none() => make(platform, desired).await.and_then(|()| done()),
        // It was forgotten, and is taken up again with the containers on it.
        (Action::Update, _) if is_marked => done(),
        // The containers that are forgotten with it make it nobody's.
        (Action::Forget, _) => done(),
        _ => refused(
            "the labels of a network are fixed when it is made, so it cannot be adopted",
            "say `external: true` in the compose file, or remove the network",
        ),
    }
}

async fn make(platform: &DockerPlatform, desired: &Resource) -> Result<(), PlatformError> {
    let request = app_network::request(&desired.id.name, BRIDGE, &desired.document, &desired.marks)
        .map_err(|why| PlatformError::new(PlatformErrorKind::Rejected, format!("creating the network {}", desired.id.name), why))?;
    network::ensure(platform, request).await
}
