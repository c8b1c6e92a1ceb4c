//! An image's name, read as Docker reads it.

use std::fmt;

/// The registry of images without one.
const DOCKER_HUB: &str = "docker.io";
/// What its API listens on.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// The longest name of a repository.
const NAME: usize = 255;
/// The longest tag.
const TAG: usize = 128;

/// Where an image is: `nginx` is `docker.io/library/nginx:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: String,
}

/// Why something is no image's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no image's name (`registry.example.com/shop/web:1.4.2`): {0}")]
pub struct InvalidReference(&'static str);

impl Reference {
    /// Reads `[registry/]repository[:tag][@digest]`. The digest is left out: it says what the tag was, not where it is.
    pub fn parse(written: &str) -> Result<Self, InvalidReference> {
        let (name, digest) = written.split_once('@').map_or((written, None), |(name, digest)| (name, Some(digest)));
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(InvalidReference("after `@` stands `sha256:` and 64 hexadecimal digits"));
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => (DOCKER_HUB, name),
        };
        let (repository, tag) = path.split_once(':').unwrap_or((path, "latest"));
        let registry = match registry {
            "index.docker.io" | DOCKER_HUB_API => DOCKER_HUB,
            other => other,
        };
        check(registry, repository, tag).map_err(InvalidReference)?;
        let official = registry == DOCKER_HUB && !repository.contains('/');
        let repository = if official { format!("library/{repository}") } else { repository.to_owned() };
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.to_owned() })
    }

    /// `docker.io`, `registry.example.com:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// `latest`, where none is written.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The host, with its port, on which the registry listens.
    pub(crate) fn api(&self) -> &str {
        if self.registry == DOCKER_HUB { DOCKER_HUB_API } else { &self.registry }
    }

    /// Whether it is on this machine: Docker speaks plain HTTP with such a registry.
    pub(crate) fn is_on_this_machine(&self) -> bool {
        let host = host(&self.registry);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, tag } = self;
        write!(f, "{registry}/{repository}:{tag}")
    }
}

/// Whether the first part of a name is a registry and not a folder of Docker Hub: Docker's own rule.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.contains(|c: char| c.is_ascii_uppercase())
}

/// The host without its port, and an IPv6 address without its brackets.
fn host(registry: &str) -> &str {
    match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => registry.split_once(':').map_or(registry, |(host, _)| host),
    }
}

fn check(registry: &str, repository: &str, tag: &str) -> Result<(), &'static str> {
    let is_component = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().last()];
        ends.iter().all(|end| end.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
            && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'_' | b'-'))
            && !part.contains("..")
    };
    if !is_host_and_port(registry) {
        return Err("the registry is no host with an optional port");
    }
    if repository.len() > NAME || !repository.split('/').all(is_component) {
        return Err("the name holds lower-case letters and digits, with `.`, `_`, `-` and `/` between them");
    }
    let tag_starts = tag.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_');
    if tag.len() > TAG || !tag_starts || !tag.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-')) {
        return Err("a tag holds up to 128 letters, digits, `.`, `_` and `-`");
    }
    Ok(())
}

/// `sha256:…` or `sha512:…`, in full.
pub(crate) fn is_digest(written: &str) -> bool {
    let is_hex = |digits: &str| digits.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'a'..=b'f'));
    match written.split_once(':') {
        Some(("sha256", digits)) => digits.len() == 64 && is_hex(digits),
        Some(("sha512", digits)) => digits.len() == 128 && is_hex(digits),
        _ => false,
    }
}

/// `registry.example.com`, `registry:5000`, `[::1]:5000`.
pub(crate) fn is_host_and_port(written: &str) -> bool {
    let host = host(written);
    let bracketed = written.starts_with('[');
    let port = written.strip_prefix(&if bracketed { format!("[{host}]") } else { host.to_owned() });
    let port_is_fine = match port {
        Some("") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok()),
        None => false,
    };
    let host_is_fine = match bracketed {
        true => host.parse::<std::net::Ipv6Addr>().is_ok(),
        false => host.split('.').all(is_label),
    };
    host_is_fine && port_is_fine
}

/// A part of a host's name.
fn is_label(label: &str) -> bool {
    let is_inner = label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    is_inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::{Reference, is_host_and_port};

    fn read(written: &str) -> String {
        Reference::parse(written).unwrap().to_string()
    }

    #[test]
    fn short_names_are_of_docker_hub() {
        assert_eq!(read("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(read("nginx:1.27"), "docker.io/library/nginx:1.27");
        assert_eq!(read("grafana/grafana:11"), "docker.io/grafana/grafana:11");
        assert_eq!(read("docker.io/nginx"), "docker.io/library/nginx:latest");
        assert_eq!(read("index.docker.io/library/nginx"), "docker.io/library/nginx:latest");
        assert_eq!(Reference::parse("nginx").unwrap().api(), "registry-1.docker.io");
    }

    #[test]
    fn a_first_part_with_a_dot_or_a_port_is_a_registry() {
        assert_eq!(read("registry.example.com/shop/web:1.4.2"), "registry.example.com/shop/web:1.4.2");
        assert_eq!(read("localhost/web"), "localhost/web:latest");
        assert_eq!(read("registry:5000/web:1"), "registry:5000/web:1");
        assert_eq!(read("[::1]:5000/web:1"), "[::1]:5000/web:1");
        assert_eq!(read(&format!("quay.io/a/b/c:1@sha256:{}", "0".repeat(64))), "quay.io/a/b/c:1");
    }

    #[test]
    fn this_machine_is_known() {
        for here in ["localhost/web", "localhost:5000/web", "127.0.0.1:5000/web", "127.8.8.8/web", "[::1]:5000/web"] {
            assert!(Reference::parse(here).unwrap().is_on_this_machine(), "{here}");
        }
        for away in ["nginx", "10.0.0.1:5000/web", "localhost.example.com/web", "127.0.0.1.example.com/web"] {
            assert!(!Reference::parse(away).unwrap().is_on_this_machine(), "{away}");
        }
    }

    #[test]
    fn what_would_lead_elsewhere_is_refused() {
        let long = "a".repeat(256);
        let names = [
            "",
            ":",
            "/",
            "Web",
            "web:",
            "web:-1",
            "web:a b",
            "a//b",
            "../v2/x",
            "example.com/../../etc:1",
            "example.com/a..b",
            "a?b",
            "a%2fb",
            "user@example.com/web",
            "example.com:port/web",
            "example.com:99999/web",
            "exa mple.com/web",
            "[::1/web",
            "[zz]:1/web",
            "ü:1",
            &long,
            "web:1\n",
            "example.com:/web",
            "web@sha256:0123",
            "web@",
        ];
        for name in names {
            assert!(Reference::parse(name).is_err(), "{name:?} is {:?}", Reference::parse(name));
        }
    }

    #[test]
    fn a_host_has_an_optional_port_and_nothing_else() {
        assert!(["registry", "registry.example.com:443", "[fd00::1]:5000", "10.0.0.1"].into_iter().all(is_host_and_port));
        assert!(!["", "http://registry", "registry/", ":5000", "registry:", "a b"].into_iter().any(is_host_and_port));
    }
}
