//! Where an engine is, and how it is reached.

use std::path::PathBuf;

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
        /// The certificate authority that the engine's certificate comes from, beside those of the system.
        ca: PathBuf,
        /// Our certificate.
        certificate: PathBuf,
        /// Our key.
        key: PathBuf,
    },
    /// Through the system's `ssh`, which knows hosts, agents and keys: `user@host:port`.
    Ssh(String),
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
