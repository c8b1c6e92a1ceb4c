//! The volumes of an app: one resource for all of one name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use stratos_engine::desired::document::Document;
use stratos_engine::desired::owner::{Marks, Ownership};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::{ObservedResource, PlatformError, PlatformErrorKind};

use super::record::RESOURCE;
use super::translate::VOLUME;
use super::{DockerPlatform, names};
use crate::failure::{failure, is_not_found};
use crate::labels;

/// The volumes of one resource.
pub(crate) struct Volumes {
    /// Whose they are.
    pub ownership: Ownership,
    /// The engine's names.
    pub names: Vec<String>,
}

/// All volumes that are ours, and those of others that have a wanted name, by the name of their resource.
pub(crate) async fn read(platform: &DockerPlatform, wanted: &BTreeSet<String>) -> Result<BTreeMap<String, Volumes>, PlatformError> {
    let listed = platform.connection.docker.list_volumes(None::<ListVolumesOptions>).await;
    let listed = listed.map_err(|error| failure(format!("listing the volumes of {}", platform.connection.endpoint), &error))?;
    let mut found: BTreeMap<String, Volumes> = BTreeMap::new();
    for volume in listed.volumes.unwrap_or_default() {
        let ownership = labels::ownership(&volume.labels, &platform.config.owner);
        let resource = match &ownership {
            Ownership::Ours(_) => volume.labels.get(RESOURCE),
            _ => wanted.iter().find(|live| names::is_in_the_way(live, &volume.name)),
        };
        let Some(resource) = resource else { continue };
        let entry = found.entry(resource.clone()).or_insert_with(|| Volumes { ownership: ownership.clone(), names: vec![] });
        // What is ours counts; what others have beside it is found when a volume of that name is needed.
        match (entry.ownership.marks().is_some(), ownership.marks().is_some()) {
            (false, true) => *entry = Volumes { ownership, names: vec![volume.name] },
            (true, false) => {}
            _ => entry.names.push(volume.name),
        }
    }
    Ok(found)
}

impl Volumes {
    /// As the engine of Stratos sees them.
    pub fn observed(&self, id: ResourceId) -> ObservedResource {
        ObservedResource { holds_data: true, ..ObservedResource::new(id, self.ownership.clone(), Document::default()) }
    }
}

/// Makes a volume, or finds it.
pub(crate) async fn present(platform: &DockerPlatform, name: &str, resource: &str, marks: &Marks) -> Result<(), PlatformError> {
    let attempted = || format!("creating the volume {name}");
    let mut all_labels: HashMap<String, String> =
        labels::of(&Marks { protect: false, revision: None, specification: None, ..marks.clone() });
    all_labels.insert(RESOURCE.to_owned(), resource.to_owned());
    let request = VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(all_labels), ..VolumeCreateRequest::default() };
    let made: Volume = platform.connection.docker.create_volume(request).await.map_err(|error| failure(attempted(), &error))?;
    match labels::ownership(&made.labels, &platform.config.owner) {
        Ownership::Ours(_) => Ok(()),
        // The engine gives back what is there already.
        Ownership::Another(_) | Ownership::Unmarked => {
            let error = PlatformError::new(PlatformErrorKind::Rejected, attempted(), "somebody else has a volume of that name");
            Err(error.with_hint("a volume's labels are fixed, so it cannot be adopted: copy what is in it, and remove it"))
        }
    }
}

/// Deletes volumes, with what is in them.
pub(crate) async fn delete(platform: &DockerPlatform, volumes: &Volumes) -> Result<(), PlatformError> {
    for name in &volumes.names {
        match platform.connection.docker.remove_volume(name, None::<RemoveVolumeOptions>).await {
            Err(error) if !is_not_found(&error) => return Err(failure(format!("deleting the volume {name}"), &error)),
            _ => {}
        }
    }
    Ok(())
}

/// The id of the resource.
pub(crate) fn id(platform: &DockerPlatform, name: &str) -> ResourceId {
    ResourceId::new(&platform.config.environment, VOLUME.kind, name)
}
