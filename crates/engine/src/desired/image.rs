//! The name of a container image.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const DOCKER_HUB: &str = "docker.io";

/// An image as the manifest names it and as the platform runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// `registry.example.com/shop/web:1.4.2`, without a digest.
    pub reference: Arc<str>,
    /// `sha256:…`, where it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Arc<str>>,
}

impl Image {
    /// Reads `name[:tag][@digest]`.
    pub fn parse(written: &str) -> Self {
        match written.split_once('@') {
            Some((reference, digest)) => Self { reference: reference.into(), digest: Some(digest.into()) },
            None => Self { reference: written.into(), digest: None },
        }
    }

    /// Whether both have the same name and tag: `nginx` is `docker.io/library/nginx:latest`, and platforms give back either.
    pub fn has_the_name_of(&self, other: &Self) -> bool {
        self.reference == other.reference || in_full(&self.reference) == in_full(&other.reference)
    }
}

/// Registry, repository and tag, with what a container engine fills in (`ParseNormalizedNamed` of the package
/// `distribution/reference`).
fn in_full(reference: &str) -> (&str, &str, &str) {
    let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let (registry, rest) = match reference.split_once('/') {
        Some(("index.docker.io", rest)) => (DOCKER_HUB, rest),
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (DOCKER_HUB, reference),
    };
    let (repository, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
    let repository = if registry == DOCKER_HUB { repository.strip_prefix("library/").unwrap_or(repository) } else { repository };
    (registry, repository, tag)
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_fills_in_is_the_same_name() {
        let same = |a: &str, b: &str| Image::parse(a).has_the_name_of(&Image::parse(b));
        for other in ["nginx:latest", "library/nginx", "docker.io/nginx", "index.docker.io/library/nginx", "docker.io/library/nginx:latest"]
        {
            assert!(same("nginx", other) && same(other, "nginx"), "{other}");
        }
        assert!(same("grafana/grafana:11", "docker.io/grafana/grafana:11"));
        assert!(same("registry.example.com:5000/web", "registry.example.com:5000/web:latest"));
        for (a, b) in [
            ("nginx", "nginx:1"),
            ("nginx:1", "nginx:2"),
            ("nginx", "mine/nginx"),
            ("nginx", "quay.io/nginx"),
            ("quay.io/library/nginx", "quay.io/nginx"),
            ("localhost/nginx", "nginx"),
            ("registry:5000/web", "registry/web:5000"),
        ] {
            assert!(!same(a, b) && !same(b, a), "{a} {b}");
        }
    }
}
