//! The fields of a service that a plain engine has, and a swarm has not.

use stratos_engine::desired::document::{DocumentBuilder, Leaf};

use crate::compose::at::{At, Check};
use crate::engine::host::{PERMISSIONS, SHM_SIZE};

/// Writes them.
pub(super) fn write(service: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    if service.get("privileged").and_then(|at| check.flag(&at)) == Some(true) {
        out.put(["privileged"], Leaf::Bool(true));
    }
    for (key, words, usual) in [
        ("pid", ["host"].as_slice(), ""),
        ("ipc", &["host", "none", "private"], "private"),
        ("uts", &["host"], ""),
        ("userns_mode", &["host"], ""),
    ] {
        let Some(at) = service.get(key) else { continue };
        match check.plain(&at) {
            Some(word) if word == usual => {}
            Some(word) if words.contains(&word.as_str()) => drop(out.text([key], &word)),
            Some(_) => check.unsupported(key, "a container that is exchanged is nobody's to share with: there is `host`", &at),
            None => {}
        }
    }
    for key in ["cgroup_parent", "cpuset"] {
        if let Some(text) = service.get(key).and_then(|at| check.plain(&at)).filter(|text| !text.is_empty()) {
            out.text([key], &text);
        }
    }
    if let Some(score) = service.get("oom_score_adj").and_then(|at| check.integer(&at, -1000, 1000)).filter(|score| *score != 0) {
        out.integer(["oom_score_adj"], score);
    }
    let usual = u64::try_from(SHM_SIZE).unwrap_or_default();
    if let Some(size) = service.get("shm_size").and_then(|at| check.bytes(&at)).filter(|size| ![0, usual].contains(&size.0)) {
        out.put(["shm_size"], Leaf::Bytes(size));
    }
    for item in service.get("security_opt").filter(|at| check.list(at)).iter().flat_map(At::items) {
        let Some(option) = check.plain(&item) else { continue };
        match option.strip_prefix("seccomp").map(|rest| rest.trim_start_matches(['=', ':'])) {
            Some(profile) if !["unconfined", "builtin"].contains(&profile) => {
                check.unsupported("security_opt.seccomp", "a profile is a file, which is not read", &item);
            }
            _ => drop(out.put(["security_opt", option.as_str()], Leaf::Bool(true))),
        }
    }
    for item in service.get("devices").filter(|at| check.list(at)).iter().flat_map(At::items) {
        device(&item, check, out);
    }
}

/// `/dev/a[:/dev/b[:rwm]]`, or a table.
fn device(at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    let (outside, inside, permissions) = if at.is_table() {
        check.known(at, &["source", "target", "permissions"]);
        let field = |key| at.get(key).and_then(|at| check.plain(&at));
        (field("source").unwrap_or_default(), field("target"), field("permissions"))
    } else {
        let Some(text) = check.plain(at) else { return };
        let mut parts = text.split(':').map(str::to_owned);
        (parts.next().unwrap_or_default(), parts.next(), parts.next())
    };
    let inside = inside.unwrap_or_else(|| outside.clone());
    let permissions = permissions.unwrap_or_else(|| PERMISSIONS.to_owned());
    if !outside.starts_with('/') {
        return check.unsupported("devices.cdi", "only devices with a path on the machine are", at);
    }
    if !inside.starts_with('/') || permissions.is_empty() || !permissions.chars().all(|c| "rwm".contains(c)) {
        return check.report(format!("`{}` must be /dev/…[:/dev/…[:rwm]]", at.path), at);
    }
    out.text(["devices", inside.as_str()], &format!("{outside}:{permissions}"));
}
