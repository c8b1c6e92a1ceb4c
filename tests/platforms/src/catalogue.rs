//! The images of the catalogue's cartridges, under the names that cartridges give them, with Debian's build of the same
//! software in them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Engines;

const PATH: &str = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Builds the image of a cartridge (`nginx`, `tomcat`, `php`, `mysql`, `redis`) and puts it into the registry as
/// `library/<name>:<tag>`, from where engines pull `docker.io/library/<name>:<tag>`.
///
/// # Panics
/// When its packages cannot be had or unpacked.
pub fn provide(engines: &Engines, engine: usize, name: &str, tag: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = folder.path().join("image.tar");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/debian-image.sh");
    let status = Command::new("bash")
        .args([script, name, &packages().display().to_string()])
        .stdin(Stdio::null())
        .stdout(File::create(&archive).expect("a file for the image"))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the image {name} cannot be made of Debian's packages");
    let image = format!("{}/library/{name}:{tag}", engines.registry());
    engines.docker(engine, &["import", "-c", PATH, "-c", r#"ENTRYPOINT ["/entrypoint"]"#, &archive.display().to_string(), &image]);
    engines.docker(engine, &["push", "--quiet", &image]);
    // What runs is what was pulled.
    engines.docker(engine, &["image", "rm", &image]);
}

/// Downloaded packages stay in the user's cache.
fn packages() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_else(std::env::temp_dir);
    cache.join("stratos/packages")
}
