//! `volumes.<path>`: what is mounted into a container.

use bollard::models::{
    Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};
use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;

use super::{VolumeLeaf, Whole, leaves, resources};

/// Sets one field of the mount at a path inside the container.
pub(crate) fn set(mounts: &mut Vec<Mount>, field: &[&str], path: &Path, leaf: &Leaf, whole: &Whole<'_>) -> Result<(), String> {
    let [target, field @ ..] = field else { return Err(format!("{path}: it needs a path inside the container")) };
    if mounts.last().is_none_or(|mount| mount.target.as_deref() != Some(target)) {
        mounts.push(Mount { target: Some((*target).to_owned()), ..Mount::default() });
    }
    let Some(mount) = mounts.last_mut() else { return Ok(()) };
    match field {
        ["type"] => mount.typ = Some(leaves::to_word::<MountType>(path, leaf)?),
        ["source"] => mount.source = Some(whole(leaf)?),
        ["read_only"] => mount.read_only = Some(leaves::to_flag(path, leaf)?),
        ["consistency"] => mount.consistency = Some(whole(leaf)?),
        ["bind", "propagation"] => {
            let propagation = leaves::to_word::<MountBindOptionsPropagationEnum>(path, leaf)?;
            mount.bind_options.get_or_insert_default().propagation = Some(propagation);
        }
        ["bind", "create_host_path"] => {
            mount.bind_options.get_or_insert_default().create_mountpoint = Some(leaves::to_flag(path, leaf)?);
        }
        ["volume", field @ ..] => volume(mount.volume_options.get_or_insert_default(), field, path, leaf, whole)?,
        ["tmpfs", "size"] => mount.tmpfs_options.get_or_insert_default().size_bytes = Some(resources::to_bytes(path, leaf)?),
        ["tmpfs", "mode"] => mount.tmpfs_options.get_or_insert_default().mode = Some(leaves::to_integer(path, leaf)?),
        _ => return Err(format!("{path} is not a field of a mount")),
    }
    Ok(())
}

fn volume(options: &mut MountVolumeOptions, field: &[&str], path: &Path, leaf: &Leaf, whole: &Whole<'_>) -> Result<(), String> {
    match field {
        ["nocopy"] => options.no_copy = Some(leaves::to_flag(path, leaf)?),
        ["subpath"] => options.subpath = Some(whole(leaf)?),
        ["labels", name] => drop(options.labels.get_or_insert_default().insert((*name).to_owned(), whole(leaf)?)),
        ["driver"] => options.driver_config.get_or_insert_default().name = Some(whole(leaf)?),
        ["driver_opts", name] => {
            let driver = options.driver_config.get_or_insert_default();
            driver.options.get_or_insert_default().insert((*name).to_owned(), whole(leaf)?);
        }
        _ => return Err(format!("{path} is not a field of a volume")),
    }
    Ok(())
}

/// Writes the leaves of a mount.
pub(crate) fn write(mount: &Mount, source_leaf: &VolumeLeaf<'_>, out: &mut DocumentBuilder) {
    let Mount { target, source, typ, read_only, consistency, bind_options, volume_options, image_options: _, tmpfs_options } = mount;
    let Some(target) = target.as_deref() else { return };
    let typ = typ.unwrap_or(MountType::VOLUME);
    out.text(["volumes", target, "type"], &typ.to_string());
    if let Some(source) = source.as_deref().filter(|source| !source.is_empty()) {
        let leaf = if typ == MountType::VOLUME { source_leaf(source) } else { Leaf::Text(source.into()) };
        out.put(["volumes", target, "source"], leaf);
    }
    leaves::flag(out, &["volumes", target, "read_only"], read_only.unwrap_or_default());
    leaves::text(out, &["volumes", target, "consistency"], consistency.as_deref().filter(|value| *value != "default"));
    if let Some(MountBindOptions { propagation, create_mountpoint, .. }) = bind_options {
        // What the engine fills in.
        let propagation = propagation.filter(|value| *value != MountBindOptionsPropagationEnum::RPRIVATE).map(|value| value.to_string());
        leaves::text(out, &["volumes", target, "bind", "propagation"], propagation.as_deref());
        leaves::flag(out, &["volumes", target, "bind", "create_host_path"], create_mountpoint.unwrap_or_default());
    }
    if let Some(MountVolumeOptions { no_copy, labels, driver_config, subpath }) = volume_options {
        leaves::flag(out, &["volumes", target, "volume", "nocopy"], no_copy.unwrap_or_default());
        leaves::text(out, &["volumes", target, "volume", "subpath"], subpath.as_deref());
        for (name, value) in labels.iter().flatten() {
            out.text(["volumes", target, "volume", "labels", name], value);
        }
        if let Some(MountVolumeOptionsDriverConfig { name, options }) = driver_config {
            leaves::text(out, &["volumes", target, "volume", "driver"], name.as_deref());
            for (name, value) in options.iter().flatten() {
                out.text(["volumes", target, "volume", "driver_opts", name], value);
            }
        }
    }
    if let Some(MountTmpfsOptions { size_bytes, mode, options: _ }) = tmpfs_options {
        if let Some(size) = size_bytes.filter(|size| *size != 0) {
            out.put(["volumes", target, "tmpfs", "size"], resources::bytes(size));
        }
        leaves::integer(out, &["volumes", target, "tmpfs", "mode"], *mode, 0);
    }
}
