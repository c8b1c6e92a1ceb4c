//! What a container on a plain engine can be told, and a service of a swarm cannot: leaves on one side, the engine's
//! `HostConfig` on the other.

use bollard::models::{DeviceMapping, HostConfig};
use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};

use crate::container::{leaves, resources};

/// Memory for `/dev/shm` where nothing is said.
pub(crate) const SHM_SIZE: i64 = 64 << 20;
/// What the engine adds where a container sees the host's processes.
const NO_LABEL: &str = "label=disable";
/// What may be done with a device where nothing is said.
pub(crate) const PERMISSIONS: &str = "rwm";

/// Puts the leaves of a document into the engine's request.
///
/// # Errors
/// A sentence, where a leaf is not what its field takes.
pub(crate) fn write(document: &Document, host: &mut HostConfig) -> Result<(), String> {
    for (path, leaf) in document.leaves() {
        let text = || match leaf {
            Leaf::Text(text) => Ok(Some(text.to_string())),
            other => Err(format!("{path}: {other} is no text")),
        };
        match path.segments().collect::<Vec<_>>().as_slice() {
            ["privileged"] => host.privileged = Some(leaves::to_flag(path, leaf)?),
            ["pid"] => host.pid_mode = text()?,
            ["ipc"] => host.ipc_mode = text()?,
            ["uts"] => host.uts_mode = text()?,
            ["userns_mode"] => host.userns_mode = text()?,
            ["cgroup_parent"] => host.cgroup_parent = text()?,
            ["cpuset"] => host.cpuset_cpus = text()?,
            ["oom_score_adj"] => host.oom_score_adj = Some(leaves::to_integer(path, leaf)?),
            ["shm_size"] => host.shm_size = Some(resources::to_bytes(path, leaf)?),
            ["security_opt", option] => host.security_opt.get_or_insert_default().push((*option).to_owned()),
            ["devices", inside] => {
                let text = text()?.unwrap_or_default();
                let (outside, permissions) = text.rsplit_once(':').unwrap_or((&text, PERMISSIONS));
                let device = DeviceMapping {
                    path_on_host: Some(outside.to_owned()),
                    path_in_container: Some((*inside).to_owned()),
                    cgroup_permissions: Some(permissions.to_owned()),
                };
                host.devices.get_or_insert_default().push(device);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes the leaves of what a container was told, without what the engine fills in.
pub(crate) fn read(host: &HostConfig, out: &mut DocumentBuilder) {
    leaves::flag(out, &["privileged"], host.privileged.unwrap_or_default());
    let ipc = host.ipc_mode.as_deref().filter(|mode| !matches!(*mode, "private" | "shareable"));
    for (name, word) in [
        ("pid", host.pid_mode.as_deref()),
        ("ipc", ipc),
        ("uts", host.uts_mode.as_deref()),
        ("userns_mode", host.userns_mode.as_deref()),
        ("cgroup_parent", host.cgroup_parent.as_deref()),
        ("cpuset", host.cpuset_cpus.as_deref()),
    ] {
        leaves::text(out, &[name], word);
    }
    leaves::integer(out, &["oom_score_adj"], host.oom_score_adj, 0);
    if let Some(size) = host.shm_size.filter(|size| ![0, SHM_SIZE].contains(size)) {
        out.put(["shm_size"], resources::bytes(size));
    }
    let sees_the_host =
        host.privileged.unwrap_or_default() || [&host.pid_mode, &host.ipc_mode].into_iter().any(|mode| mode.as_deref() == Some("host"));
    leaves::set(out, &["security_opt"], host.security_opt.iter().flatten().filter(|option| !sees_the_host || *option != NO_LABEL));
    for DeviceMapping { path_on_host, path_in_container, cgroup_permissions } in host.devices.iter().flatten() {
        let outside = path_on_host.as_deref().unwrap_or_default();
        let permissions = cgroup_permissions.as_deref().filter(|permissions| !permissions.is_empty()).unwrap_or(PERMISSIONS);
        out.text(["devices", path_in_container.as_deref().unwrap_or_default()], &format!("{outside}:{permissions}"));
    }
}

#[cfg(test)]
mod tests {
    use stratos_engine::desired::quantity::Bytes;

    use super::*;

    #[test]
    fn a_document_comes_back_as_it_was_written() {
        let mut out = DocumentBuilder::default();
        for name in ["pid", "ipc", "uts", "userns_mode"] {
            out.text([name], "host");
        }
        out.text(["cgroup_parent"], "/slow").text(["cpuset"], "0-1").integer(["oom_score_adj"], 500);
        out.put(["privileged"], Leaf::Bool(true)).put(["shm_size"], Leaf::Bytes(Bytes(1 << 30)));
        out.put(["security_opt", "no-new-privileges:true"], Leaf::Bool(true)).text(["devices", "/dev/zigbee"], "/dev/ttyUSB0:rw");
        let document = out.build();
        let mut host = HostConfig::default();
        write(&document, &mut host).unwrap();
        // What the engine adds to it.
        host.security_opt.as_mut().unwrap().push(NO_LABEL.into());
        let mut out = DocumentBuilder::default();
        read(&host, &mut out);
        assert_eq!(out.build(), document);
    }

    #[test]
    fn what_the_engine_fills_in_is_in_no_document() {
        let host = HostConfig {
            ipc_mode: Some("private".into()),
            shm_size: Some(SHM_SIZE),
            pid_mode: Some(String::new()),
            ..HostConfig::default()
        };
        let mut out = DocumentBuilder::default();
        read(&host, &mut out);
        assert!(out.build().is_empty());
    }
}
