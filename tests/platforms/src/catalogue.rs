//! The images of the catalogue's cartridges, under the names that cartridges give them, with Debian's build of the same
//! software in them.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::{Cluster, Engines};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Builds the image of a cartridge (`nginx`, `tomcat`, `php`, `mysql`, `redis`) and puts it into the registry as
/// `library/<name>:<tag>`, from where engines pull `docker.io/library/<name>:<tag>`.
///
/// # Panics
/// When its packages cannot be had or unpacked.
pub fn provide(engines: &Engines, engine: usize, name: &str, tag: &str) {
    once(&engines.registry(), name, tag, |archive| {
        let image = format!("{}/library/{name}:{tag}", engines.registry());
        let path = format!("ENV {PATH}");
        engines.docker(engine, &["import", "-c", &path, "-c", r#"ENTRYPOINT ["/entrypoint"]"#, &archive.display().to_string(), &image]);
        engines.docker(engine, &["push", "--quiet", &image]);
        // What runs is what was pulled.
        engines.docker(engine, &["image", "rm", &image]);
    });
}

/// The same for a cluster, whose node pulls `docker.io/library/<name>:<tag>` from its registry.
///
/// # Panics
/// When its packages cannot be had or unpacked.
pub fn provide_to(cluster: &Cluster, name: &str, tag: &str) {
    once(&cluster.registry(), name, tag, |archive| {
        let settings = format!(r#"{{"Env": ["{PATH}"], "Entrypoint": ["/entrypoint"]}}"#);
        cluster.push(&format!("library/{name}:{tag}"), archive, &settings);
    });
}

/// Two tests may want one image: the second finds it in the registry.
fn once(registry: &str, name: &str, tag: &str, push: impl FnOnce(&Path)) {
    static PROVIDED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut provided = PROVIDED.lock().unwrap_or_else(PoisonError::into_inner);
    if provided.insert(format!("{registry}/{name}:{tag}")) {
        push(&archive(name));
    }
}

/// The root file system of an image, which is made once on a machine: it stays in the user's cache until its script changes.
fn archive(name: &str) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/debian-image.sh");
    let mut version = DefaultHasher::new();
    include_str!("../debian-image.sh").hash(&mut version);
    let cache = cache();
    let archive = cache.join(format!("images/{name}-{:016x}.tar", version.finish()));
    if archive.exists() {
        return archive;
    }
    let folder = cache.join("images");
    std::fs::create_dir_all(&folder).expect("a folder for images");
    // Whole, or not there: another test may look for it meanwhile.
    let unfinished = tempfile::NamedTempFile::new_in(&folder).expect("a file for the image");
    let status = Command::new("bash")
        .args([script, name, &cache.join("packages").display().to_string()])
        .stdin(Stdio::null())
        .stdout(unfinished.as_file().try_clone().expect("a file for the image"))
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the image {name} cannot be made of Debian's packages");
    unfinished.persist(&archive).expect("the image is kept");
    archive
}

/// Where this user keeps what is made once on a machine.
pub(crate) fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).unwrap_or_else(std::env::temp_dir);
    cache.join("stratos")
}
