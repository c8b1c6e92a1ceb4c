//! What is there: one list request for each kind, all at once; and one more for a kind of which something wanted was not
//! among what is ours.

use std::collections::BTreeSet;

use bollard::errors::Error;
use bollard::models::{Config, Secret, Service};
use stratos_engine::desired::owner::Owner;
use stratos_engine::platform::{Gap, ObservedResource, PlatformError, Scope, Sink, Wanted};

use super::SwarmPlatform;
use super::live::{self, Asked, Generations};
use super::names::split_generation;
use super::spec::Known;
use super::translate::{CONFIG, SECRET, SERVICE};
use super::{forgotten, network};
use crate::app_network::{self, OVERLAY};
use crate::connection::Connection;
use crate::failure::failure;

/// Services, configs and secrets.
const KINDS: usize = 3;

/// Reports what is ours and in scope, and what has a wanted id.
pub(crate) async fn observe(platform: &SwarmPlatform, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
    let connection = &platform.connection;
    let of = |kind: &str| wanted.keys().filter(|id| &*id.kind == kind).map(|id| id.name.to_string()).collect::<BTreeSet<_>>();
    let (services, configs, secrets, networks) = futures::join!(
        services(connection, &scope.owner, of(SERVICE.kind)),
        configs(connection, &scope.owner, of(CONFIG.kind)),
        secrets(connection, &scope.owner, of(SECRET.kind)),
        platform.networks.list(connection),
    );
    let mut part = Part { platform, sink, failed: vec![] };
    // Without the networks no service's document can be read.
    let services = part.read(
        SERVICE.kind,
        match (services, &networks) {
            (Ok(services), Ok(_)) => Ok(services),
            (Err(error), _) => Err(error),
            (Ok(_), Err(error)) => Err(failure("listing networks", error)),
        },
    )?;
    let configs = part.read(CONFIG.kind, configs)?;
    let secrets = part.read(SECRET.kind, secrets)?;
    // Nothing at all could be read: that is no gap in something.
    if part.failed.len() == KINDS {
        return Err(part.failed.swap_remove(0));
    }
    let ours = services.as_deref().unwrap_or_default();
    let all_networks = networks.as_deref().map_or(&[][..], |networks| networks.as_slice());
    let forgotten = forgotten::networks(connection, all_networks, ours, &scope.owner).await;
    let forgotten = forgotten.map_err(|error| failure("listing the services on our networks", &error))?;
    let own_networks: Vec<ObservedResource> = networks
        .iter()
        .flat_map(|networks| networks.iter())
        .map(|network| app_network::observed(network, OVERLAY, &platform.config.environment, &scope.owner))
        .map(|network| forgotten::seen(network, &forgotten))
        .collect();
    let networks = network::names(networks.as_deref().map_or(&[], |networks| networks.as_slice()));
    let present = secrets.as_ref().map(|secrets| live::present_generations(secrets, &scope.owner));
    let known = Known { environment: &platform.config.environment, networks: &networks, secrets: present.as_ref() };
    let mut found: Vec<ObservedResource> = own_networks;
    found.extend(services.iter().flatten().map(|service| live::observed_service(service, &known, &scope.owner)));
    found.extend(configs.iter().flatten().map(|config| live::observed_config(config, &known, &scope.owner)));
    let secrets = secrets.unwrap_or_default();
    let names: BTreeSet<&str> = secrets.iter().map(|secret| split_generation(live::secret_name(secret)).0).collect();
    for name in names {
        let present = Generations::of(name, &secrets, &scope.owner).present();
        found.extend(present.map(|secret| live::observed_secret(name, secret, &known, &scope.owner)));
    }
    sink.add(found.into_iter().filter(|resource| is_asked_for(resource, scope, wanted)));
    Ok(())
}

fn is_asked_for(resource: &ObservedResource, scope: &Scope, wanted: &Wanted<'_>) -> bool {
    let in_scope = |app| scope.apps.as_ref().is_none_or(|apps| apps.contains(app));
    wanted.contains_key(&resource.id) || resource.ownership.marks().is_some_and(|marks| in_scope(&marks.app))
}

/// What is ours, and what has a wanted name.
async fn services(connection: &Connection, owner: &Owner, wanted: BTreeSet<String>) -> Result<Vec<Service>, PlatformError> {
    let failed = |error: Error| failure("listing services", &error);
    let mut listed = live::services(connection, &Asked::Of(owner.clone())).await.map_err(failed)?;
    let missing = missing(wanted, listed.iter().map(live::service_name));
    if !missing.is_empty() {
        let others = live::services(connection, &Asked::Named(missing.iter().cloned().collect())).await.map_err(failed)?;
        listed.extend(others.into_iter().filter(|service| missing.contains(live::service_name(service))));
    }
    Ok(listed)
}

async fn configs(connection: &Connection, owner: &Owner, wanted: BTreeSet<String>) -> Result<Vec<Config>, PlatformError> {
    let failed = |error: Error| failure("listing configs", &error);
    let mut listed = live::configs(connection, &Asked::Of(owner.clone())).await.map_err(failed)?;
    let missing = missing(wanted, listed.iter().map(live::config_name));
    if !missing.is_empty() {
        let others = live::configs(connection, &Asked::Named(missing.iter().cloned().collect())).await.map_err(failed)?;
        listed.extend(others.into_iter().filter(|config| missing.contains(live::config_name(config))));
    }
    Ok(listed)
}

async fn secrets(connection: &Connection, owner: &Owner, wanted: BTreeSet<String>) -> Result<Vec<Secret>, PlatformError> {
    let failed = |error: Error| failure("listing secrets", &error);
    let mut listed = live::secrets(connection, &Asked::Of(owner.clone())).await.map_err(failed)?;
    let name_of = |secret: &Secret| split_generation(live::secret_name(secret)).0.to_owned();
    let missing = missing(wanted, listed.iter().map(|secret| split_generation(live::secret_name(secret)).0));
    if !missing.is_empty() {
        let asked = Asked::Named(missing.iter().cloned().collect());
        let others = live::secrets(connection, &asked).await.map_err(failed)?;
        listed.extend(others.into_iter().filter(|secret| missing.contains(&name_of(secret))));
    }
    Ok(listed)
}

fn missing<'a>(wanted: BTreeSet<String>, listed: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let listed: BTreeSet<&str> = listed.collect();
    wanted.into_iter().filter(|name| !listed.contains(name.as_str())).collect()
}

/// One kind after another, as far as they can be read.
struct Part<'a> {
    platform: &'a SwarmPlatform,
    sink: &'a mut Sink,
    failed: Vec<PlatformError>,
}

impl Part<'_> {
    /// What was listed. What may not be read is a gap; what may be readable in a moment is asked for again.
    fn read<T>(&mut self, kind: &str, listed: Result<Vec<T>, PlatformError>) -> Result<Option<Vec<T>>, PlatformError> {
        match listed {
            Ok(listed) => Ok(Some(listed)),
            Err(error) if error.kind.is_transient() => Err(error),
            Err(error) => {
                let environment = self.platform.config.environment.clone();
                self.sink.gaps.push(Gap { environment, kind: Some(kind.to_owned()), name: None, why: error.to_string() });
                self.failed.push(error);
                Ok(None)
            }
        }
    }
}
