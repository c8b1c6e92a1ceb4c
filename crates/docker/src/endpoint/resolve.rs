//! From an environment's settings to an endpoint.

use std::path::Path;

use indexmap::IndexMap;
use stratos_engine::manifest::schema::{PlatformKind, Scalar};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use super::address::{self, Address};
use super::certificates::{self, Missing};
use super::options::{Options, Problem};
use super::{Certificates, Endpoint, Surroundings, context};

/// Where an engine listens unless it is told otherwise.
const SOCKET: &str = "unix:///var/run/docker.sock";

/// What an environment says about its engine.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// `docker` or `swarm`.
    pub kind: PlatformKind,
    /// `url`.
    pub url: Option<&'a str>,
    /// `options`.
    pub options: &'a IndexMap<String, Scalar>,
}

/// An endpoint, and what named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Where the engine is.
    pub endpoint: Endpoint,
    /// What said so.
    pub origin: Origin,
    /// The other options.
    pub options: Options,
}

/// What named an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The environment's `url`.
    Url,
    /// A context.
    Context {
        /// Its name.
        name: String,
        /// What named it: the option `context`, `DOCKER_CONTEXT`, or `docker context use`.
        by: &'static str,
    },
    /// `DOCKER_HOST`.
    DockerHost,
    /// Nothing: where engines usually listen.
    Default,
}

/// What is wrong with the settings as they are written, on whatever machine.
pub fn check(settings: &Settings<'_>) -> Vec<Problem> {
    let options = match Options::read(settings.kind, settings.options) {
        Ok(options) => options,
        Err(problems) => return problems,
    };
    let mut problems = Vec::new();
    let address = match settings.url.map(address::parse).transpose() {
        Ok(address) => address,
        Err((message, help)) => return vec![Problem::url(message, help)],
    };
    if let (Some(_), Some(_)) = (settings.url, &options.context) {
        let help = "leave one of them away: a context has an address of its own";
        problems.push(Problem::option("context", "`url` and the option `context` both say where the engine is", Some(help.into())));
    }
    let over_tls = matches!(&address, Some(Address::Tcp { scheme, port, .. }) if scheme.is_tls(*port, true));
    let named = [("ca", &options.ca), ("cert", &options.cert), ("key", &options.key)];
    for (key, _) in named.iter().filter(|(_, path)| path.is_some() && !over_tls) {
        let help = "write `url` as https://host/ or tcp://host:port, or leave the option away".to_owned();
        problems.push(Problem::option(key, format!("the option `{key}` is for an engine that `url` reaches over TLS"), Some(help)));
    }
    match (&options.cert, &options.key) {
        (Some(_), None) => problems.push(Problem::option("cert", "the option `cert` needs `key`", None)),
        (None, Some(_)) => problems.push(Problem::option("key", "the option `key` needs `cert`", None)),
        _ => {}
    }
    problems
}

/// Where the engine is: the environment's `url`; else the context that its options name; else `DOCKER_HOST`,
/// `DOCKER_CONTEXT`, the current context, the usual socket, in this order, which is that of the Docker command line.
///
/// # Errors
/// Where the settings are wrong, and where a context or a certificate is not there.
pub fn resolve(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Resolved, PlatformError> {
    if let Some(problem) = check(settings).into_iter().next() {
        return Err(rejected((problem.message, problem.help)));
    }
    let options = Options::read(settings.kind, settings.options).unwrap_or_default();
    let found = match (settings.url, &options.context) {
        (Some(url), _) => {
            let named = options.names_certificates();
            let certificates = || match named {
                true => certificates::named(&options, &surroundings.folder),
                false => certificates::usual(surroundings),
            };
            endpoint(url, named || surroundings.tls, certificates).map(|endpoint| (endpoint, Origin::Url))
        }
        (None, Some(name)) => of_context(name, "the option `context`", surroundings),
        (None, None) => of_surroundings(surroundings),
    };
    let (endpoint, origin) = found.map_err(rejected)?;
    Ok(Resolved { endpoint, origin, options })
}

/// What Docker's own command line would use.
fn of_surroundings(surroundings: &Surroundings) -> Result<(Endpoint, Origin), Missing> {
    if let Some(host) = &surroundings.host {
        let endpoint = endpoint(host, surroundings.tls, || certificates::usual(surroundings));
        return match endpoint {
            Ok(endpoint) => Ok((endpoint, Origin::DockerHost)),
            Err((why, help)) => Err((format!("DOCKER_HOST: {why}"), help)),
        };
    }
    if let Some(name) = &surroundings.context {
        return of_context(name, "DOCKER_CONTEXT", surroundings);
    }
    let current = surroundings.configuration.as_deref().map_or(Ok(None), context::current)?;
    match current {
        Some(name) => of_context(&name, "`docker context use`", surroundings),
        None => endpoint(SOCKET, false, || Ok(Certificates::default())).map(|endpoint| (endpoint, Origin::Default)),
    }
}

fn of_context(name: &str, by: &'static str, surroundings: &Surroundings) -> Result<(Endpoint, Origin), Missing> {
    if name == context::DEFAULT {
        // It stands for DOCKER_HOST or the usual socket, whatever else is chosen.
        let rest = Surroundings { context: None, configuration: None, ..surroundings.clone() };
        return of_surroundings(&rest);
    }
    let nowhere =
        || (format!("{by} names the Docker context {name:?}"), Some("set HOME or DOCKER_CONFIG: contexts are kept there".to_owned()));
    let configuration: &Path = surroundings.configuration.as_deref().ok_or_else(nowhere)?;
    let context = context::read(configuration, name).map_err(|(why, help)| (format!("{by}: {why}"), help))?;
    let own = context.certificates;
    let endpoint = endpoint(&context.host, own != Certificates::default(), || Ok(own.clone()));
    let endpoint = endpoint.map_err(|(why, help)| (format!("the Docker context {name:?}: {why}"), help))?;
    Ok((endpoint, Origin::Context { name: name.to_owned(), by }))
}

/// The endpoint of an address. `configured` says whether certificates are set up, `certificates` which.
fn endpoint(url: &str, configured: bool, certificates: impl Fn() -> Result<Certificates, Missing>) -> Result<Endpoint, Missing> {
    Ok(match address::parse(url)? {
        Address::Unix(path) => Endpoint::Unix(path),
        Address::Ssh(destination) => Endpoint::Ssh(destination),
        Address::Tcp { host, port, scheme } => {
            let tls = scheme.is_tls(port, configured);
            let address = address::with_port(&host, port, tls);
            if tls { Endpoint::Tls { address, certificates: certificates()? } } else { Endpoint::Http(address) }
        }
    })
}

fn rejected((why, help): Missing) -> PlatformError {
    let error = PlatformError::new(PlatformErrorKind::Rejected, "finding the Docker engine", why);
    match help {
        Some(help) => error.with_hint(help),
        None => error,
    }
}

impl Resolved {
    /// How the engine will be reached, and how each side shows who it is: sentences.
    pub fn describe(&self) -> String {
        let Self { endpoint, origin, options: _ } = self;
        let origin = match origin {
            Origin::Url => String::new(),
            Origin::Context { name, by } => format!(" (the Docker context {name:?}, by {by})"),
            Origin::DockerHost => " (DOCKER_HOST)".to_owned(),
            Origin::Default => " (where engines usually listen)".to_owned(),
        };
        let how = match endpoint {
            Endpoint::Unix(_) => "You are let in if you may use that socket.".to_owned(),
            Endpoint::Http(_) => {
                "Nothing is encrypted and nobody is asked who they are: whoever reaches that port is master of the machine.".to_owned()
            }
            Endpoint::Ssh(_) => {
                "It goes through your `ssh`, with its keys, agent and known hosts; the other side needs the program `docker`.".to_owned()
            }
            Endpoint::Tls { certificates: Certificates { ca, client }, .. } => {
                let theirs = match ca {
                    Some(ca) => format!("Its certificate is checked against {}", ca.display()),
                    None => "Its certificate is checked against the authorities of the system".to_owned(),
                };
                match client {
                    Some(client) => format!("{theirs}; ours is {}.", client.certificate.display()),
                    None => format!("{theirs}; no certificate of ours is shown, since none is configured (options `cert` and `key`)."),
                }
            }
        };
        format!("It is reached at {endpoint}{origin}. {how}")
    }
}

#[cfg(test)]
mod tests;
