//! The registry client, with what the environment says about registries and credentials.

use std::env::{split_paths, var_os};
use std::path::PathBuf;

use stratos_registry::{Client, Credentials, InvalidRegistry};

/// Names registries that are asked without TLS.
const INSECURE: &str = "STRATOS_INSECURE_REGISTRIES";

/// Where `docker login` keeps credentials (`$DOCKER_CONFIG`, else `~/.docker`), then where `podman login` does
/// (`$REGISTRY_AUTH_FILE`, else in `$XDG_RUNTIME_DIR`). Nothing is read before a registry wants to see some.
pub fn credentials() -> Credentials {
    let place = |name: &str| var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let docker = place("DOCKER_CONFIG").or_else(|| place("HOME").map(|home| home.join(".docker")));
    let podman = place("REGISTRY_AUTH_FILE").or_else(|| place("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")));
    let files = docker.map(|folder| folder.join("config.json")).into_iter().chain(podman).collect();
    Credentials::new(files, var_os("PATH").map(|path| split_paths(&path).collect()).unwrap_or_default())
}

/// The client of a command.
pub fn client() -> Result<Client, InvalidRegistry> {
    let insecure = var_os(INSECURE).unwrap_or_default();
    Client::new(credentials(), &insecure.to_string_lossy())
}
