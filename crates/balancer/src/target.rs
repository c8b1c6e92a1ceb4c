//! Where a connection may go.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

/// A host, by its name or its IP address, and a port: `shop-web-1:8080`, `10.0.0.7:8080`, `[fd00::7]:8080`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    host: String,
    port: u16,
}

impl Target {
    /// A port of a host. An IPv6 address stands here without brackets.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Looks the name up and connects to the first of its addresses that accepts.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect((self.host.as_str(), self.port)).await
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A text that is no target.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no target: it should be HOST:PORT, such as web-1:8080 or [fd00::7]:8080")]
pub struct NoTarget(String);

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let wrong = || NoTarget(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // Without brackets a colon could be part of the address or stand before the port.
        let is_host = |host: &str| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "[]/".contains(c));
        let known = match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_host(host) && !host.contains(':'),
        };
        match port.parse::<u16>() {
            Ok(port) if known && port != 0 => Ok(Self::new(inner.unwrap_or(host), port)),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = NoTarget;

    fn try_from(text: String) -> Result<Self, NoTarget> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_is_written() {
        for text in ["web-1:8080", "10.0.0.7:80", "[fd00::7]:65535"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_an_example() {
        for text in ["", "web", "web:", ":80", "web:0", "web:65536", "fd00::7:80", "[web]:80", "http://web:80", "a b:80", "[fd00::7:80"] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("web-1:8080"), "{error}");
        }
    }
}
