//! Docker contexts: `docker context create` writes them below the Docker configuration's folder.

use std::path::Path;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::Certificates;
use super::certificates::{self, Missing};

/// The context that stands for `DOCKER_HOST` or the usual socket, and that no file describes.
pub(super) const DEFAULT: &str = "default";

/// What a context says about its engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Context {
    /// The engine's address.
    pub host: String,
    /// The context's own certificates.
    pub certificates: Certificates,
}

/// `meta.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    endpoints: std::collections::HashMap<String, MetaEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetaEndpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// `config.json`.
#[derive(Deserialize)]
struct Configuration {
    #[serde(default, rename = "currentContext")]
    current_context: Option<String>,
}

/// The name of the context that `docker context use` chose. None where none was, and where it chose the default.
pub(super) fn current(configuration: &Path) -> Result<Option<String>, Missing> {
    let path = configuration.join("config.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err((format!("reading {}: {error}", path.display()), None)),
    };
    let read: Configuration = serde_json::from_str(&text).map_err(|error| (format!("reading {}: {error}", path.display()), None))?;
    Ok(read.current_context.filter(|name| !name.is_empty() && name != DEFAULT))
}

/// Reads a context.
pub(super) fn read(configuration: &Path, name: &str) -> Result<Context, Missing> {
    let id = id(name);
    let path = configuration.join("contexts/meta").join(&id).join("meta.json");
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            (format!("there is no Docker context {name:?} in {}", configuration.display()), Some(there_are(configuration)))
        }
        _ => (format!("reading the Docker context {name:?}: {}: {error}", path.display()), None),
    })?;
    let meta: Meta =
        serde_json::from_str(&text).map_err(|error| (format!("reading the Docker context {name:?}: {}: {error}", path.display()), None))?;
    let Some(endpoint) = meta.endpoints.get("docker").filter(|endpoint| !endpoint.host.is_empty()) else {
        return Err((format!("the Docker context {name:?} names no engine"), Some("`docker context inspect` shows it".into())));
    };
    if endpoint.skip_tls_verify {
        let help = "give it the engine's `ca` (`docker context update`); an engine that nobody vouches for is not used";
        return Err((format!("the Docker context {name:?} skips the check of the engine's certificate"), Some(help.into())));
    }
    let certificates = certificates::of_folder(&configuration.join("contexts/tls").join(&id).join("docker"))?;
    Ok(Context { host: endpoint.host.clone(), certificates })
}

/// The folder of a context is called after the digest of its name.
fn id(name: &str) -> String {
    Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names of all contexts, as a sentence.
fn there_are(configuration: &Path) -> String {
    let folders = std::fs::read_dir(configuration.join("contexts/meta")).into_iter().flatten().flatten();
    let read =
        |folder: std::fs::DirEntry| serde_json::from_str::<Meta>(&std::fs::read_to_string(folder.path().join("meta.json")).ok()?).ok();
    let mut names: Vec<String> = folders.filter_map(read).map(|meta| meta.name).collect();
    names.sort();
    match names.as_slice() {
        [] => "`docker context create` makes one; there is none yet".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    }
}
