//! Images for tests, made of Debian's static busybox.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::Engines;

/// Serves `GET /healthz` and `GET /` (its version) on `$PORT`, and ends at SIGTERM at once.
///
/// With `BEHAVIOUR=sick` `/healthz` answers 404; with `BEHAVIOUR=crash` it says so and ends with exit code 3.
pub const WEB: &str = r#"#!/bin/sh
trap 'exit 0' TERM INT
mkdir -p /www && cat /version > /www/index.html
case "${BEHAVIOUR:-well}" in
    crash) echo "cannot open the database: connection refused" >&2; exit 3 ;;
    sick) ;;
    *) echo well > /www/healthz ;;
esac
echo "version $(cat /version) listens on ${PORT:-8080}"
httpd -f -p "${PORT:-8080}" -h /www &
wait
"#;

/// Builds `web:1`, `web:2`, `web:sick` and `web:crash` on an engine, and pushes them to the registry.
///
/// # Panics
/// When an image cannot be made.
pub fn build(engines: &Engines, engine: usize) {
    for (version, behaviour) in VERSIONS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let archive = archive(folder.path(), version).display().to_string();
        let name = format!("{}/web:{version}", engines.registry());
        let behaviour = format!("ENV BEHAVIOUR={behaviour}");
        engines.docker(engine, &["import", "-c", "ENV PATH=/bin", "-c", &behaviour, "-c", r#"CMD ["/bin/web"]"#, &archive, &name]);
        engines.docker(engine, &["push", "--quiet", &name]);
    }
}

/// Pulls what [`build`] has pushed, so that no roll-out waits for it.
pub(crate) fn pull(engines: &Engines, engine: usize) {
    for (version, _) in VERSIONS {
        engines.docker(engine, &["pull", "--quiet", &format!("{}/web:{version}", engines.registry())]);
    }
}

/// The tags of `web`, and what `$BEHAVIOUR` is in each.
pub(crate) const VERSIONS: [(&str, &str); 4] = [("1", "well"), ("2", "well"), ("sick", "sick"), ("crash", "crash")];

/// The root file system of `web`, as a tar archive in the folder. Its `wget` crashes with `-T`, as Debian built it.
pub(crate) fn archive(folder: &Path, version: &str) -> PathBuf {
    lay_out(folder, version).unwrap_or_else(|error| panic!("the image web:{version} (busybox-static is needed): {error}"));
    let archive = folder.join("image.tar");
    let archived = std::process::Command::new("tar")
        .args(["--create", "--file"])
        .arg(&archive)
        .args(["--directory", &folder.join("root").display().to_string(), "."])
        .status();
    assert!(archived.is_ok_and(|status| status.success()), "tar of web:{version}");
    archive
}

fn lay_out(folder: &Path, version: &str) -> std::io::Result<()> {
    let root = folder.join("root");
    let programs = root.join("bin");
    fs::create_dir_all(&programs)?;
    // It may run as any user.
    for folder in ["tmp", "www"] {
        fs::create_dir_all(root.join(folder))?;
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o1777))?;
    }
    fs::copy("/bin/busybox", programs.join("busybox"))?;
    for applet in
        ["sh", "cat", "echo", "env", "httpd", "ls", "mkdir", "nc", "sleep", "true", "false", "wget", "head", "grep", "hostname", "id"]
    {
        symlink("busybox", programs.join(applet))?;
    }
    fs::write(root.join("version"), version)?;
    fs::write(programs.join("web"), WEB)?;
    fs::set_permissions(programs.join("web"), fs::Permissions::from_mode(0o755))
}
