//! `options` of an environment on Docker, as they are written.

use indexmap::IndexMap;
use stratos_engine::manifest::schema::{PlatformKind, Scalar};
use stratos_engine::manifest::suggest;

use crate::config::{DockerOptions, SwarmOptions};

/// What is wrong with an environment's settings, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key in the environment: `["url"]`, `["options", "ca"]`.
    pub at: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// A problem with `url`.
    pub(super) fn url(message: impl Into<String>, help: Option<String>) -> Self {
        Self { at: vec!["url".into()], message: message.into(), help }
    }

    /// A problem with an option.
    pub(super) fn option(key: &str, message: impl Into<String>, help: Option<String>) -> Self {
        Self { at: vec!["options".into(), key.into()], message: message.into(), help }
    }
}

/// An environment's options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `context`: the name of a Docker context.
    pub context: Option<String>,
    /// `ca`: the authority that the engine's certificate comes from.
    pub ca: Option<String>,
    /// `cert`: our certificate.
    pub cert: Option<String>,
    /// `key`: the key to it.
    pub key: Option<String>,
    /// Those of a swarm.
    pub swarm: SwarmOptions,
    /// Those of a plain engine.
    pub docker: DockerOptions,
}

/// The options of both platforms, then those of each.
const BOTH: [&str; 4] = ["context", "ca", "cert", "key"];
const SWARM: [&str; 2] = ["publish", "endpoint_mode"];
const DOCKER: [&str; 1] = ["proxy_image"];

impl Options {
    /// Reads them. Everything that is wrong is reported.
    ///
    /// # Errors
    /// Options that the platform does not have, and values that they do not take.
    pub fn read(kind: PlatformKind, written: &IndexMap<String, Scalar>) -> Result<Self, Vec<Problem>> {
        let own: &[&str] = if kind == PlatformKind::Swarm { &SWARM } else { &DOCKER };
        let known = || BOTH.iter().chain(own).copied();
        let (mut options, mut problems) = (Self::default(), Vec::new());
        for (key, value) in written {
            if !known().any(|known| known == key) {
                let help = suggest::help(key, known(), "it has");
                problems.push(Problem::option(key, format!("the platform {kind} has no option {key:?}"), help));
                continue;
            }
            let Some(text) = text(value) else {
                problems.push(Problem::option(key, format!("the option `{key}` takes text that is not empty"), None));
                continue;
            };
            let taken = match key.as_str() {
                "context" => put(&mut options.context, text),
                "ca" => put(&mut options.ca, text),
                "cert" => put(&mut options.cert, text),
                "key" => put(&mut options.key, text),
                "proxy_image" => put(&mut options.docker.proxy_image, text),
                "publish" => choose(&mut options.swarm.publish_on_host, key, text, "ingress", "host"),
                _ => choose(&mut options.swarm.dns_round_robin, key, text, "vip", "dnsrr"),
            };
            problems.extend(taken.err());
        }
        if problems.is_empty() { Ok(options) } else { Err(problems) }
    }

    /// Whether certificates are named.
    pub(super) fn names_certificates(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }
}

fn text(value: &Scalar) -> Option<&str> {
    match value {
        Scalar::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn put(place: &mut Option<String>, text: &str) -> Result<(), Problem> {
    *place = Some(text.to_owned());
    Ok(())
}

/// Sets a switch: off is the default's word, on is the other one.
fn choose(place: &mut bool, key: &str, text: &str, off: &str, on: &str) -> Result<(), Problem> {
    *place = text == on;
    if text == on || text == off {
        return Ok(());
    }
    let help = suggest::help(text, [off, on], "it takes");
    Err(Problem::option(key, format!("the option `{key}` is \"{off}\" or \"{on}\", and not {text:?}"), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: PlatformKind, written: &[(&str, &str)]) -> Result<Options, Vec<Problem>> {
        let written = written.iter().map(|(key, value)| ((*key).to_owned(), Scalar::String((*value).to_owned()))).collect();
        Options::read(kind, &written)
    }

    #[test]
    fn options_are_read() {
        assert_eq!(read(PlatformKind::Docker, &[]), Ok(Options::default()));
        let options = read(PlatformKind::Swarm, &[("publish", "host"), ("endpoint_mode", "dnsrr"), ("ca", "tls/ca.pem")]).unwrap();
        assert_eq!(options.swarm, SwarmOptions { publish_on_host: true, dns_round_robin: true });
        assert_eq!(options.ca.as_deref(), Some("tls/ca.pem"));
        assert_eq!(read(PlatformKind::Swarm, &[("publish", "ingress"), ("endpoint_mode", "vip")]), Ok(Options::default()));
        let options = read(PlatformKind::Docker, &[("proxy_image", "registry:5000/stratos:1")]).unwrap();
        assert_eq!(options.docker.proxy_image.as_deref(), Some("registry:5000/stratos:1"));
    }

    #[test]
    fn what_is_not_known_is_refused_with_a_suggestion() {
        let problems = read(PlatformKind::Swarm, &[("contxt", "x"), ("publish", "hosts"), ("proxy_image", "x")]).unwrap_err();
        let said: Vec<_> = problems.iter().map(|p| (p.at.join("."), p.help.clone().unwrap_or_default())).collect();
        assert_eq!(said[0], ("options.contxt".into(), "did you mean `context`?".into()));
        assert_eq!(said[1], ("options.publish".into(), "did you mean `host`?".into()));
        assert_eq!(said[2], ("options.proxy_image".into(), "it has: context, ca, cert, key, publish, endpoint_mode".into()));
        let number = IndexMap::from([("ca".to_owned(), Scalar::Integer(1))]);
        assert!(Options::read(PlatformKind::Docker, &number).is_err());
        assert!(read(PlatformKind::Docker, &[("ca", "")]).is_err());
    }
}
