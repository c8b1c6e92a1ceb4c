//! Servers to ask, and files with credentials to ask with.

pub mod docker_registry;
pub mod stub;
pub mod token_server;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stratos_registry::{Client, Credentials};

/// A user of the registries here.
pub const USER: &str = "ada";
/// The user's password. No error, note or debug text may hold it.
pub const PASSWORD: &str = "hunter2";

/// A client without credentials.
pub fn anonymous() -> Client {
    Client::new(Credentials::default(), "").unwrap()
}

/// A client with the credentials of this configuration file.
pub fn client(configuration: &Path) -> Client {
    Client::new(Credentials::new(vec![configuration.to_owned()], vec![]), "").unwrap()
}

/// Writes a Docker configuration.
pub fn configuration(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("config.json");
    std::fs::write(&path, text).unwrap();
    path
}

/// A Docker configuration with a password for one registry, as `docker login` writes it.
pub fn logged_in(folder: &Path, registry: &str, password: &str) -> PathBuf {
    let auth = STANDARD.encode(format!("{USER}:{password}"));
    configuration(folder, &format!(r#"{{"auths": {{"{registry}": {{"auth": "{auth}"}}}}}}"#))
}
