//! Volumes become claims: one for all instances, or one for each.
//!
//! A StatefulSet would make the claims of its instances by itself. They are made here, under the names that it looks for: so they
//! are in plans, are held as what holds data, and can be enlarged.

use serde_json::{Value, json};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::quantity::Bytes;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::manifest::schema::{Volume, VolumeAccess};

use super::{Maker, volume_before};
use crate::names;

/// A claim must say how large it is.
const SIZE: Bytes = Bytes(1 << 30);

/// The claims of an app.
pub(crate) fn claims(maker: &Maker<'_>) -> Vec<Resource> {
    let mut out = Vec::new();
    for (name, volume) in &maker.app.app.volumes {
        let before = volume_before(maker.app, name);
        match volume.access {
            VolumeAccess::Shared => {
                let before = before.map(|(app, volume)| names::shared_volume(app, volume));
                out.push(claim(maker, &names::shared_volume(maker.app.name, name), volume, before));
            }
            VolumeAccess::Replica => {
                for replica in 0..maker.replicas() {
                    let before = before.map(|(app, volume)| names::replica_volume(app, volume, replica));
                    out.push(claim(maker, &names::replica_volume(maker.app.name, name, replica), volume, before));
                }
            }
        }
    }
    out
}

fn claim(maker: &Maker<'_>, name: &str, volume: &Volume, before: Option<String>) -> Resource {
    let resource = maker.object(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": maker.metadata(name), "spec": spec(maker, volume),
    }));
    let moved_from = before.map(|before| ResourceId { name: before.into(), ..resource.id.clone() }.into());
    Resource { moved_from, ..resource }
}

fn spec(maker: &Maker<'_>, volume: &Volume) -> Value {
    // Nodes can share what more than one may write to; not every storage class has that.
    let shared = volume.access == VolumeAccess::Shared && maker.replicas() > 1;
    let mode = if shared { "ReadWriteMany" } else { "ReadWriteOnce" };
    json!({ "accessModes": [mode], "resources": { "requests": { "storage": volume.size.unwrap_or(SIZE).0.to_string() } } })
}

/// Whether each instance has a volume of its own.
pub(crate) fn has_replica_volumes(maker: &Maker<'_>) -> bool {
    maker.app.app.volumes.values().any(|volume| volume.access == VolumeAccess::Replica)
}

/// What a StatefulSet makes claims of for instances that somebody adds by hand.
pub(crate) fn templates(maker: &Maker<'_>) -> Vec<Value> {
    let own = maker.app.app.volumes.iter().filter(|(_, volume)| volume.access == VolumeAccess::Replica);
    own.map(|(name, volume)| json!({ "metadata": { "name": &**name }, "spec": spec(maker, volume) })).collect()
}

/// Volumes of the pod, and where they are mounted.
pub(crate) fn volumes(maker: &Maker<'_>) -> (Vec<Value>, Vec<Value>) {
    let shared = maker.app.app.volumes.iter().filter(|(_, volume)| volume.access == VolumeAccess::Shared);
    let claimed = |(name, _): (&Name, &Volume)| json!({ "name": &**name, "persistentVolumeClaim": { "claimName": names::shared_volume(maker.app.name, name) } });
    let mounted = |(name, volume): (&Name, &Volume)| json!({ "name": &**name, "mountPath": volume.path });
    (shared.map(claimed).collect(), maker.app.app.volumes.iter().map(mounted).collect())
}
