//! The volumes of an app: one resource for all of one name. And those of compose files, each a resource of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::owner::{Marks, Ownership};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::{ObservedResource, PlatformError, PlatformErrorKind};

use super::record::RESOURCE;
use super::translate::VOLUME;
use super::{DockerPlatform, names};
use crate::container::leaves;
use crate::failure::{failure, is_not_found};
use crate::labels;

/// The volumes of one resource.
pub(crate) struct Volumes {
    /// Whose they are.
    pub ownership: Ownership,
    /// The engine's names.
    pub names: Vec<String>,
    /// What a compose file says of it; nothing of an app's own.
    document: Document,
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
            _ => wanted.iter().find(|live| **live == volume.name || names::is_in_the_way(live, &volume.name)),
        };
        let Some(resource) = resource else { continue };
        let new = || Volumes { ownership: ownership.clone(), names: vec![], document: document(&volume, resource) };
        let entry = found.entry(resource.clone()).or_insert_with(new);
        // What is ours counts; what others have beside it is found when a volume of that name is needed.
        match (entry.ownership.marks().is_some(), ownership.marks().is_some()) {
            (false, true) => *entry = Volumes { names: vec![volume.name.clone()], ..new() },
            (true, false) => {}
            _ => entry.names.push(volume.name),
        }
    }
    Ok(found)
}

impl Volumes {
    /// As the engine of Stratos sees them.
    pub fn observed(&self, id: ResourceId) -> ObservedResource {
        ObservedResource { holds_data: true, ..ObservedResource::new(id, self.ownership.clone(), self.document.clone()) }
    }
}

/// The driver that a volume has where nothing is said.
const DRIVER: &str = "local";

/// What a volume of a compose file says: it is called like its resource.
fn document(volume: &Volume, resource: &str) -> Document {
    let mut out = DocumentBuilder::default();
    if volume.name != resource {
        return out.build();
    }
    out.text(["name"], &volume.name);
    leaves::text(&mut out, &["driver"], Some(volume.driver.as_str()).filter(|driver| *driver != DRIVER));
    for (name, value) in &volume.options {
        out.text(["driver_opts", name], value);
    }
    for (name, value) in volume.labels.iter().filter(|(name, _)| !name.starts_with(labels::PREFIX)) {
        out.text(["labels", name], value);
    }
    out.build()
}

/// Makes a volume, or finds it.
pub(crate) async fn present(
    platform: &DockerPlatform,
    name: &str,
    resource: &str,
    marks: &Marks,
    document: &Document,
) -> Result<(), PlatformError> {
    let attempted = || format!("creating the volume {name}");
    let mut all_labels: HashMap<String, String> =
        labels::of(&Marks { protect: false, revision: None, specification: None, ..marks.clone() });
    all_labels.insert(RESOURCE.to_owned(), resource.to_owned());
    let mut request = VolumeCreateRequest { name: Some(name.to_owned()), ..VolumeCreateRequest::default() };
    for (path, leaf) in document.leaves() {
        let Leaf::Text(text) = leaf else { continue };
        match path.segments().collect::<Vec<_>>().as_slice() {
            ["driver"] => request.driver = Some(text.to_string()),
            ["driver_opts", option] => drop(request.driver_opts.get_or_insert_default().insert((*option).to_owned(), text.to_string())),
            ["labels", label] => drop(all_labels.insert((*label).to_owned(), text.to_string())),
            _ => {}
        }
    }
    request.labels = Some(all_labels);
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
            Err(error) if !is_not_found(&error) => {
                let error = failure(format!("deleting the volume {name}"), &error);
                let used = error.why.contains("in use");
                return Err(if used {
                    error.with_hint(format!("`docker ps --all --filter volume={name}` shows who uses it"))
                } else {
                    error
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The id of the resource.
pub(crate) fn id(platform: &DockerPlatform, name: &str) -> ResourceId {
    ResourceId::new(&platform.config.environment, VOLUME.kind, name)
}
