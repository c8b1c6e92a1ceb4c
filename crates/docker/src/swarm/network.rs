//! The environment's network: made by the first apply that needs it, and never by a plan.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::errors::Error;
use bollard::models::{Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;
use stratos_engine::desired::owner::Owner;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::failure::{failure, is_not_found};
use crate::labels;

/// The networks of the swarm, as they were listed last.
#[derive(Default)]
pub(crate) struct Networks {
    listed: Mutex<Option<Arc<Vec<Network>>>>,
}

impl Networks {
    /// Lists them anew.
    pub(crate) async fn list(&self, connection: &Connection) -> Result<Arc<Vec<Network>>, Error> {
        let mut listed = self.listed.lock().await;
        let networks = Arc::new(list(connection).await?);
        *listed = Some(networks.clone());
        Ok(networks)
    }

    /// Those that were listed last; lists them where they never were, or one of these ids is not among them.
    pub(crate) async fn with_ids(&self, connection: &Connection, ids: &[&str]) -> Result<Arc<Vec<Network>>, Error> {
        let listed = self.listed.lock().await.clone();
        let there = |networks: &Arc<Vec<Network>>| ids.iter().all(|id| networks.iter().any(|network| network.id.as_deref() == Some(id)));
        match listed.filter(there) {
            Some(networks) => Ok(networks),
            None => self.list(connection).await,
        }
    }

    /// Makes the environment's network, unless it is there.
    pub(crate) async fn ensure(&self, connection: &Connection, name: &str, owner: &Owner) -> Result<(), PlatformError> {
        let attempted = format!("making the network {name}");
        // Held until it is there: changes are applied at the same time.
        let mut listed = self.listed.lock().await;
        let known = listed.as_ref().and_then(|networks| named(networks, name).cloned());
        if let Some(network) = known {
            return ours(&network, owner, &attempted);
        }
        let networks = list(connection).await.map_err(|error| failure(&attempted, &error))?;
        match named(&networks, name) {
            Some(network) => ours(network, owner, &attempted)?,
            // Somebody who was faster is found, and judged, by the next attempt.
            None => create(connection, name, owner).await.map_err(|error| failure(&attempted, &error))?,
        }
        *listed = Some(Arc::new(list(connection).await.map_err(|error| failure(&attempted, &error))?));
        Ok(())
    }

    /// Makes it although it is listed. A node lists a network that is gone for as long as something of it is left there.
    pub(crate) async fn make_anew(&self, connection: &Connection, name: &str, owner: &Owner) -> Result<(), PlatformError> {
        let mut listed = self.listed.lock().await;
        *listed = None;
        match create(connection, name, owner).await {
            // Another change was faster.
            Err(Error::DockerResponseServerError { message, .. }) if message.contains("already exists") => Ok(()),
            Err(error) => Err(failure(format!("making the network {name}"), &error)),
            Ok(()) => Ok(()),
        }
    }

    /// Removes the environment's network, where it is ours.
    pub(crate) async fn remove(&self, connection: &Connection, name: &str, owner: &Owner) -> Result<(), Error> {
        let networks = self.list(connection).await?;
        let Some(network) = named(&networks, name).filter(|network| is_ours(network, owner)) else { return Ok(()) };
        match connection.docker.remove_network(network.id.as_deref().unwrap_or(name)).await {
            Err(error) if !is_not_found(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

async fn create(connection: &Connection, name: &str, owner: &Owner) -> Result<(), Error> {
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("overlay".to_owned()),
        attachable: Some(true),
        labels: Some(labels::of_owner(owner)),
        ..NetworkCreateRequest::default()
    };
    connection.docker.create_network(request).await.map(|_| ())
}

/// Networks of a node alone cannot be a service's.
async fn list(connection: &Connection) -> Result<Vec<Network>, Error> {
    let filters = [("scope".to_owned(), vec!["swarm".to_owned()])].into();
    connection.docker.list_networks(Some(ListNetworksOptions { filters: Some(filters) })).await
}

/// Names by id.
pub(crate) fn names(networks: &[Network]) -> HashMap<String, String> {
    networks.iter().filter_map(|network| Some((network.id.clone()?, network.name.clone()?))).collect()
}

fn named<'a>(networks: &'a [Network], name: &str) -> Option<&'a Network> {
    networks.iter().find(|network| network.name.as_deref() == Some(name))
}

fn is_ours(network: &Network, owner: &Owner) -> bool {
    network.labels.as_ref().and_then(labels::owner).as_ref() == Some(owner)
}

fn ours(network: &Network, owner: &Owner, attempted: &str) -> Result<(), PlatformError> {
    if is_ours(network, owner) {
        return Ok(());
    }
    let theirs =
        network.labels.as_ref().and_then(labels::owner).map_or("it carries no mark of Stratos".to_owned(), |o| format!("it is {o}'s"));
    let error =
        PlatformError::new(PlatformErrorKind::Rejected, attempted, format!("a network of that name is there, and is not ours: {theirs}"));
    Err(error.with_hint("choose another `namespace` for the environment, or remove that network"))
}
