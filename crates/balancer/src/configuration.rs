//! The file that says what a balancer by itself does.

use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::target::Target;

/// As many connections as there may be at once, where the file does not say.
pub const CONNECTIONS: usize = 10_000;

/// All that a balancer is told, as JSON:
///
/// ```
/// # let text = r#"
/// { "connections": 10000,
///   "listeners": [{ "listen": "0.0.0.0:80", "targets": ["shop-web-1:8080", "shop-web-2:8080"] }] }
/// # "#;
/// # let configuration: stratos_balancer::Configuration = serde_json::from_str(text).unwrap();
/// # assert_eq!(configuration.listeners[0].targets.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// How many connections there may be at once, on all listeners together: the next ones wait. It is lowered to what
    /// the process's limit of open files allows.
    #[serde(default = "default_connections")]
    pub connections: usize,
    /// Where it listens, and where what comes there goes.
    pub listeners: Vec<Listener>,
}

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// An IP address and a port: `0.0.0.0:80`, `[::]:80`.
    pub listen: SocketAddr,
    /// The healthy targets. Without any, connections wait for one, and are closed after five seconds.
    pub targets: Vec<Target>,
}

fn default_connections() -> usize {
    CONNECTIONS
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("reading {path}: {why}")]
pub struct ConfigurationError {
    path: String,
    why: String,
}

impl Configuration {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read, is not understood, or says two things of one address.
    pub fn read(path: &Path) -> Result<Self, ConfigurationError> {
        let wrong = |why: String| ConfigurationError { path: path.display().to_string(), why };
        let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let configuration: Self = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        configuration.check().map_err(wrong)?;
        Ok(configuration)
    }

    fn check(&self) -> Result<(), String> {
        if self.connections == 0 {
            return Err("`connections` is 0: nothing could ever be accepted".into());
        }
        for (at, listener) in self.listeners.iter().enumerate() {
            if self.listeners[..at].iter().any(|earlier| earlier.listen == listener.listen) {
                return Err(format!("`listen` says {} twice: put all of its targets into one", listener.listen));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Configuration, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("balancer.json");
        std::fs::write(&path, text).unwrap();
        Configuration::read(&path).map_err(|error| error.to_string().replace(&format!("{}", path.display()), "FILE"))
    }

    #[test]
    fn a_configuration_is_read_as_it_is_written() {
        let listener = |listen: &str, targets: &[&str]| Listener {
            listen: listen.parse().unwrap(),
            targets: targets.iter().map(|target| target.parse().unwrap()).collect(),
        };
        let listeners = vec![listener("0.0.0.0:80", &["shop-web-1:8080", "[fd00::7]:80"]), listener("[::]:81", &[])];
        let configuration = Configuration { connections: 7, listeners };
        assert_eq!(read(&serde_json::to_string(&configuration).unwrap()), Ok(configuration));
        assert_eq!(read(r#"{"listeners": []}"#), Ok(Configuration { connections: CONNECTIONS, listeners: vec![] }));
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_place() {
        let why = |text| read(text).unwrap_err();
        assert_eq!(why(""), "reading FILE: EOF while parsing a value at line 1 column 0");
        assert!(why(r#"{"listeners": [{"listen": "web:80", "targets": []}]}"#).contains("invalid socket address"));
        assert!(why(r#"{"listeners": [{"listen": "0.0.0.0:80", "targets": ["web"]}]}"#).contains("\"web\" is no target"));
        assert!(why(r#"{"listeners": [], "conections": 1}"#).contains("unknown field `conections`"));
        assert_eq!(why(r#"{"listeners": [], "connections": 0}"#), "reading FILE: `connections` is 0: nothing could ever be accepted");
        let twice = r#"{"listeners": [{"listen": "0.0.0.0:80", "targets": []}, {"listen": "0.0.0.0:80", "targets": []}]}"#;
        assert_eq!(why(twice), "reading FILE: `listen` says 0.0.0.0:80 twice: put all of its targets into one");
    }
}
