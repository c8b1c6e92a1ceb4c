//! Where an engine is, and how it is reached.
//!
//! [`check`] says what is wrong with an environment's settings as they are written; [`resolve`] looks around on this machine
//! (contexts, certificates) and says where the engine is. Neither sends anything.

mod address;
mod certificates;
mod context;
pub mod options;
mod resolve;
mod ssh;
mod tls;
mod transport;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use address::Destination;
pub use options::{Options, Problem};
pub use resolve::{Origin, Resolved, Settings, check, resolve};
pub(crate) use transport::client;

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket on this machine.
    Unix(PathBuf),
    /// Plain HTTP: `host:port`.
    Http(String),
    /// TLS: `host:port`, and the files that prove who is who.
    Tls {
        /// `host:port`.
        address: String,
        /// Who may vouch for the engine, and who we are.
        certificates: Certificates,
    },
    /// Through the system's `ssh`, which knows hosts, agents and keys.
    Ssh(Destination),
}

/// Files in PEM form for a TLS connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificates {
    /// The authority that the engine's certificate comes from, and no other. None trusts those of the system.
    pub ca: Option<PathBuf>,
    /// What we show to the engine. None shows nothing.
    pub client: Option<ClientCertificate>,
}

/// A certificate and the key to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, with those between it and the authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// What the machine and its user say about engines, beside the manifest. The program alone reads the process environment.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub context: Option<String>,
    /// `DOCKER_TLS_VERIFY` is set: `tcp://` speaks TLS.
    pub tls: bool,
    /// `DOCKER_CERT_PATH`: a folder with `ca.pem`, `cert.pem` and `key.pem`.
    pub certificates: Option<PathBuf>,
    /// The folder of the Docker configuration: `DOCKER_CONFIG`, else `~/.docker`.
    pub configuration: Option<PathBuf>,
    /// The manifest's folder: paths in it are relative to that.
    pub folder: PathBuf,
}

impl Surroundings {
    /// Those that environment variables give, for the manifest of a folder. An empty variable is as none.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>, folder: &Path) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let configuration = set("DOCKER_CONFIG").map(PathBuf::from);
        Self {
            host: text("DOCKER_HOST"),
            context: text("DOCKER_CONTEXT"),
            tls: set("DOCKER_TLS_VERIFY").is_some() || set("DOCKER_TLS").is_some(),
            certificates: set("DOCKER_CERT_PATH").map(PathBuf::from),
            configuration: configuration.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".docker"))),
            folder: folder.to_owned(),
        }
    }
}

impl Endpoint {
    /// The machine that the engine is on, as it is reached from here: what the engine publishes is there.
    pub fn host(&self) -> String {
        match self {
            Self::Unix(_) => "127.0.0.1".to_owned(),
            Self::Http(address) | Self::Tls { address, .. } => {
                let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
                host.trim_matches(['[', ']']).to_owned()
            }
            Self::Ssh(destination) => destination.host.clone(),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Tls { address, .. } => write!(f, "https://{address}"),
            Self::Ssh(destination) => write!(f, "ssh://{destination}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_behind_an_endpoint() {
        let ssh = Destination { user: Some("ada".into()), host: "manager".into(), port: Some(22) };
        assert_eq!(Endpoint::Unix("/var/run/docker.sock".into()).host(), "127.0.0.1");
        assert_eq!(Endpoint::Http("manager:2375".into()).host(), "manager");
        assert_eq!(Endpoint::Http("[::1]:2375".into()).host(), "::1");
        assert_eq!(Endpoint::Ssh(ssh).host(), "manager");
    }
}
