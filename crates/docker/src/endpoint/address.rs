//! An engine's address as text: `unix://`, `tcp://`, `http://`, `https://` and `ssh://`.

use std::fmt;
use std::path::PathBuf;

/// The port of an engine that speaks plain HTTP.
const PLAIN: u16 = 2375;
/// The port of an engine that speaks TLS.
const TLS: u16 = 2376;

/// An address that was read, before it is known whether `tcp://` means TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp { host: String, port: Option<u16>, scheme: Scheme },
    Ssh(Destination),
}

/// What an address with a host says about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `tcp://`: TLS where certificates are configured, and on port 2376.
    Tcp,
    /// `http://`: never.
    Http,
    /// `https://`: always.
    Https,
}

impl Scheme {
    /// Whether TLS is spoken on this port.
    pub(super) fn is_tls(self, port: Option<u16>, configured: bool) -> bool {
        match self {
            Self::Tcp => configured || port == Some(TLS),
            Self::Http => false,
            Self::Https => true,
        }
    }
}

/// `host:port`, with the port that engines have where none is given.
pub(super) fn with_port(host: &str, port: Option<u16>, tls: bool) -> String {
    format!("{host}:{}", port.unwrap_or(if tls { TLS } else { PLAIN }))
}

/// Where `ssh` goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Who we are there; `ssh` decides where it is None.
    pub user: Option<String>,
    /// A host, or what `~/.ssh/config` calls one.
    pub host: String,
    /// Its port; `ssh` decides where it is None.
    pub port: Option<u16>,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port } = self;
        if let Some(user) = user {
            write!(f, "{user}@")?;
        }
        match host.contains(':') {
            true => write!(f, "[{host}]")?,
            false => f.write_str(host)?,
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Reads an address. The error is a sentence, and what to write instead.
pub(super) fn parse(text: &str) -> Result<Address, (String, Option<String>)> {
    const FORMS: &str = "unix:///path/to/socket, tcp://host:port, https://host/, http://host/ or ssh://user@host";
    let wrong = |why: &str, help: Option<String>| Err((format!("{} is no address of a Docker engine: {why}", shown(text)), help));
    let Some((scheme, rest)) = text.split_once("://") else {
        let meant = if text.starts_with('/') { format!("unix://{text}") } else { format!("tcp://{text}") };
        let certain = text.starts_with('/') || text.contains(':');
        let help = if certain { format!("did you mean `{meant}`?") } else { format!("write it as {FORMS}") };
        return wrong("it has no scheme", Some(help));
    };
    let scheme = match scheme {
        "unix" if rest.starts_with('/') && rest.len() > 1 => return Ok(Address::Unix(rest.into())),
        "unix" => return wrong("a socket's path is absolute", Some("write unix:///path/to/socket, with three slashes".into())),
        "npipe" => return wrong("named pipes are for Windows", Some(format!("write it as {FORMS}"))),
        "tcp" => Some(Scheme::Tcp),
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        "ssh" => None,
        other => return wrong(&format!("the scheme `{other}` is not known"), Some(format!("write it as {FORMS}"))),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !path.is_empty() || authority.contains(['?', '#']) {
        return wrong("there is something behind the host", Some("an engine has no path: leave away what follows the host".into()));
    }
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return wrong("a password does not belong into an address", Some("`ssh` takes keys and agents; TLS takes certificates".into()));
    }
    let (host, port) = match host_and_port(place) {
        Ok(parts) => parts,
        Err(why) => return wrong(why, None),
    };
    match scheme {
        Some(scheme) if user.is_none() => Ok(Address::Tcp { host: host.to_owned(), port, scheme }),
        Some(_) => wrong("only ssh:// has a user", Some("TLS takes certificates (`ca`, `cert`, `key`)".into())),
        None if user.is_some_and(|user| user.is_empty() || user.starts_with('-')) => wrong("the user is none", None),
        None => {
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            Ok(Address::Ssh(Destination { user: user.map(str::to_owned), host, port }))
        }
    }
}

/// `host`, `host:port`, `[::1]:port`: the host as it stands (with its brackets), and the port.
fn host_and_port(place: &str) -> Result<(&str, Option<u16>), &'static str> {
    let end = if place.starts_with('[') {
        place.find(']').ok_or("the bracket is not closed")? + 1
    } else {
        place.find(':').unwrap_or(place.len())
    };
    let (host, port) = place.split_at(end);
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let valid = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        // A host that starts with `-` would be an option of `ssh`.
        None => !host.is_empty() && !host.starts_with('-') && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    if !valid {
        return Err("the host is none");
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return Err("the host is none"),
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0).ok_or("the port is not a number from 1 to 65535")?),
    };
    Ok((host, port))
}

/// The text for a message, without what could be a password.
fn shown(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((before, place))) if before.len() > scheme.len() => format!("{:?}", format!("{scheme}://…@{place}")),
        _ => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: Option<u16>, scheme: Scheme) -> Result<Address, (String, Option<String>)> {
        Ok(Address::Tcp { host: host.to_owned(), port, scheme })
    }

    fn ssh(user: Option<&str>, host: &str, port: Option<u16>) -> Result<Address, (String, Option<String>)> {
        Ok(Address::Ssh(Destination { user: user.map(str::to_owned), host: host.to_owned(), port }))
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(parse("unix:///var/run/docker.sock"), Ok(Address::Unix("/var/run/docker.sock".into())));
        assert_eq!(parse("https://swarm-host/"), tcp("swarm-host", None, Scheme::Https));
        assert_eq!(parse("tcp://10.0.0.1:2376"), tcp("10.0.0.1", Some(2376), Scheme::Tcp));
        assert_eq!(parse("http://[::1]:80/"), tcp("[::1]", Some(80), Scheme::Http));
        assert_eq!(parse("ssh://deploy@host:2222"), ssh(Some("deploy"), "host", Some(2222)));
        assert_eq!(parse("ssh://host"), ssh(None, "host", None));
        assert_eq!(parse("ssh://root@[fe80::1]:22"), ssh(Some("root"), "fe80::1", Some(22)));
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_sentence() {
        let wrong = [
            "",
            "host",
            "host:2375",
            "/var/run/docker.sock",
            "unix://docker.sock",
            "unix:///",
            "ftp://host",
            "npipe:////./pipe/docker",
            "https://",
            "https://:2376",
            "https://host/docker",
            "https://host?x",
            "tcp://host:0",
            "tcp://host:x",
            "tcp://[::1",
            "tcp://[x]:1",
            "tcp://user@host",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://-x@host",
            "ssh://@host",
            "ssh://a b",
            "tcp://[::1]x",
        ];
        for text in wrong {
            let (why, _) = parse(text).expect_err(text);
            assert!(why.contains(": "), "{text}: {why}");
        }
        assert_eq!(parse("host:2375").unwrap_err().1.as_deref(), Some("did you mean `tcp://host:2375`?"));
        assert_eq!(parse("/run/docker.sock").unwrap_err().1.as_deref(), Some("did you mean `unix:///run/docker.sock`?"));
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let (why, _) = parse("ssh://root:hunter2@host").unwrap_err();
        assert!(why.contains("a password does not belong") && !why.contains("hunter2"), "{why}");
    }

    #[test]
    fn tcp_speaks_tls_as_docker_decides_it() {
        assert!(Scheme::Tcp.is_tls(Some(2376), false));
        assert!(Scheme::Tcp.is_tls(Some(2375), true));
        assert!(!Scheme::Tcp.is_tls(Some(2375), false));
        assert!(!Scheme::Http.is_tls(Some(2376), true));
        assert_eq!(with_port("swarm-host", None, true), "swarm-host:2376");
        assert_eq!(with_port("host", None, false), "host:2375");
    }
}
