//! From an environment's settings to a cluster.

use std::time::Duration;

use http::Uri;
use indexmap::IndexMap;
use stratos_engine::manifest::schema::Scalar;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use super::address::{self, Missing};
use super::identity::Identity;
use super::kubeconfig::{Context, Kubeconfig};
use super::plugin::Plugin;
use super::trust::Trust;
use super::{Options, Problem, Surroundings, namespace, proxy};
use crate::connection::Connection;

/// A server that does not answer by then is not there.
const CONNECT: Duration = Duration::from_secs(15);

/// What an environment says about its cluster.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// `url`.
    pub url: Option<&'a str>,
    /// `namespace`.
    pub namespace: Option<&'a str>,
    /// `options`.
    pub options: &'a IndexMap<String, Scalar>,
}

/// A cluster, and who we are there. It may hold secrets, which are in none of its texts.
pub struct Found {
    config: kube::Config,
    plugin: Option<Plugin>,
    /// The namespace that the context names; it is for kubectl, and not where an environment goes.
    pub namespace_of_context: Option<String>,
    /// The options, read.
    pub options: Options,
    /// Whom the server takes us for: ` as the user "admin" of the context "prod" in ~/.kube/config`.
    who: String,
    /// What proves it: `a client certificate`.
    how: Vec<String>,
    /// Sentences on how the server proves itself, and on what is in between.
    trust: Vec<String>,
}

/// What is wrong with the settings as they are written, on whatever machine.
pub fn check(settings: &Settings<'_>) -> Vec<Problem> {
    let mut problems: Vec<Problem> = namespace::check(settings.namespace).into_iter().collect();
    let url = match settings.url.map(address::parse).transpose() {
        Ok(url) => url,
        Err((message, help)) => {
            problems.push(Problem::key("url", message, help));
            None
        }
    };
    match Options::read(settings.options) {
        Ok(options) => check_together(settings.url.is_some(), url.as_ref(), &options, &mut problems),
        Err(found) => problems.extend(found),
    }
    problems
}

/// What each setting says is right; do they go together?
fn check_together(written: bool, url: Option<&Uri>, options: &Options, problems: &mut Vec<Problem>) {
    let mut refuse = |key: &str, message: String, help: &str| {
        problems.push(Problem::option(key, message, (!help.is_empty()).then(|| help.to_owned())));
    };
    let (credentials, tls) = (options.credentials(), options.tls());
    if options.in_cluster {
        let others = [("context", options.context.is_some()), ("kubeconfig", options.kubeconfig.is_some())];
        if written {
            refuse("in_cluster", "`url` and the option `in_cluster` both say where the cluster is".to_owned(), "leave one of them away");
        }
        let others = others.into_iter().filter(|(_, is)| *is).map(|(key, _)| key);
        for key in others.chain(credentials.iter().copied()).chain(tls.iter().copied().filter(|key| !credentials.contains(key))) {
            refuse(key, format!("the option `{key}` does not go with `in_cluster`"), "a pod's service account has its own");
        }
        return;
    }
    if !written {
        for key in credentials.iter().copied().chain(tls.iter().copied().filter(|key| !credentials.contains(key))) {
            let help = "write `url`, or leave the option away: a context of the kubeconfig has its own";
            refuse(key, format!("the option `{key}` is for a cluster that `url` names"), help);
        }
        return;
    }
    if !credentials.is_empty() {
        for key in
            [("context", &options.context), ("kubeconfig", &options.kubeconfig)].iter().filter(|(_, is)| is.is_some()).map(|(key, _)| key)
        {
            let message = format!("the options `{key}` and `{}` both say who we are", credentials[0]);
            refuse(key, message, "leave one of them away");
        }
    }
    if options.token_file.is_some() && options.token_env.is_some() {
        refuse("token_env", "the options `token_file` and `token_env` both say where the token is".to_owned(), "leave one of them away");
    }
    match (&options.cert, &options.key) {
        (Some(_), None) => refuse("cert", "the option `cert` needs `key`".to_owned(), ""),
        (None, Some(_)) => refuse("key", "the option `key` needs `cert`".to_owned(), ""),
        _ => {}
    }
    if options.ca.is_some() && options.insecure_skip_tls_verify {
        let message = "the option `insecure_skip_tls_verify` leaves out what `ca` is for".to_owned();
        refuse("insecure_skip_tls_verify", message, "leave it away: the server's certificate is then checked against `ca`");
    }
    if url.is_some_and(|url| !address::is_tls(url)) {
        for key in tls {
            let help = "write `url` as https://host:port/, or leave the option away";
            refuse(key, format!("the option `{key}` is for a cluster that `url` reaches over TLS"), help);
        }
    } else if credentials.is_empty() {
        // What a user's kubeconfig says of a server must not be undone by a manifest that they were given.
        for key in tls {
            let help =
                "write `token_env`, `token_file`, or `cert` and `key` beside it, or leave it away: a context of the kubeconfig has its own";
            refuse(key, format!("the option `{key}` goes with credentials that are written here"), help);
        }
    }
}

/// Where the cluster is, and who we are there: at the environment's `url`, by its options, or as the user of a context of the
/// kubeconfig that leads to the same server; else by the context that is named, else by the current one; else as the pod that
/// we run in.
///
/// # Errors
/// Where the settings are wrong, and where a context, a file or a variable is not there.
pub fn resolve(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Found, PlatformError> {
    if let Some(problem) = check(settings).into_iter().next() {
        return Err(rejected((problem.message, problem.help)));
    }
    let options = Options::read(settings.options).unwrap_or_default();
    let found = match settings.url {
        _ if options.in_cluster => in_pod(options, surroundings),
        Some(url) => address::parse(url).and_then(|url| at(url, options, surroundings)),
        None => by_context(options, surroundings),
    };
    found.map_err(rejected)
}

fn kubeconfig(options: &Options, surroundings: &Surroundings) -> Result<Kubeconfig, Missing> {
    match &options.kubeconfig {
        Some(written) => Kubeconfig::named(written, surroundings),
        None => Kubeconfig::of_user(surroundings),
    }
}

/// The cluster at an address.
fn at(server: Uri, options: Options, surroundings: &Surroundings) -> Result<Found, Missing> {
    if !options.credentials().is_empty() {
        let identity = Identity::of_options(&options, surroundings)?;
        let trust = if address::is_tls(&server) { Trust::of_options(&options, surroundings)? } else { Trust::plain() };
        return Found::new(server, String::new(), identity, trust, None, options, surroundings);
    }
    let kubeconfig = kubeconfig(&options, surroundings)?;
    let context = match &options.context {
        None => kubeconfig.context_at(&server, surroundings)?,
        Some(name) => {
            let context = kubeconfig.context(Some(name), surroundings)?;
            if !address::same(&context.server, &server) {
                let there = address::display(&context.server);
                let why = format!("the context {name:?} leads to {there}, and `url` to {}", address::display(&server));
                return Err((why, Some("leave one of them away".to_owned())));
            }
            Some(context)
        }
    };
    match context {
        Some(context) => of_context(context, options, surroundings),
        // Such as `kubectl proxy`, which says who we are itself.
        None if !address::is_tls(&server) => {
            Found::new(server, String::new(), Identity::default(), Trust::plain(), None, options, surroundings)
        }
        None => {
            let why = format!(
                "nothing says who we are at {}: no credentials are written, and no context in {} leads there",
                address::display(&server),
                kubeconfig.files(surroundings)
            );
            let help = format!(
                "give it a token (option `token_env` or `token_file`) or a certificate (`cert` and `key`), or add the cluster to your \
                 kubeconfig with the same address; {}",
                kubeconfig.there_are()
            );
            Err((why, Some(help)))
        }
    }
}

/// The cluster of the context that is named, else of the current one, else the one that we run in.
fn by_context(options: Options, surroundings: &Surroundings) -> Result<Found, Missing> {
    let kubeconfig = kubeconfig(&options, surroundings)?;
    if options.context.is_none() && !kubeconfig.is_there() {
        if surroundings.variable("KUBERNETES_SERVICE_HOST").is_some() && surroundings.service_account.join("token").exists() {
            return in_pod(options, surroundings);
        }
        let why = format!("no `url` is written, and there is no kubeconfig: {} was looked for", kubeconfig.files(surroundings));
        let help = "write the `url` of the cluster and how to authenticate, or set KUBECONFIG; in a pod, its service account is used";
        return Err((why, Some(help.to_owned())));
    }
    let context = kubeconfig.context(options.context.as_deref(), surroundings)?;
    of_context(context, options, surroundings)
}

fn of_context(context: Context, options: Options, surroundings: &Surroundings) -> Result<Found, Missing> {
    let identity = Identity::of_context(&context, surroundings)?;
    let tls = address::is_tls(&context.server);
    let trust = if tls { Trust::of_cluster(&context.cluster, surroundings)? } else { Trust::plain() };
    let file = surroundings.show(&context.file);
    let who = match &context.user {
        Some(user) => format!(" as the user {user:?} of the context {:?} in {file}", context.name),
        None => format!(" by the context {:?} in {file}", context.name),
    };
    let of_cluster = context.cluster.proxy_url.clone();
    let found = Found::new(context.server, who, identity, trust, of_cluster.as_deref(), options, surroundings)?;
    Ok(Found { namespace_of_context: context.namespace, ..found })
}

/// As the service account of the pod that we run in.
fn in_pod(options: Options, surroundings: &Surroundings) -> Result<Found, Missing> {
    let variable = |name: &str| surroundings.variable(name);
    let host = variable("KUBERNETES_SERVICE_HOST").ok_or_else(|| {
        let why = "this is no pod of a cluster: KUBERNETES_SERVICE_HOST is not set".to_owned();
        (why, Some("the option `in_cluster` is for Stratos in a pod; write `url` or `context` elsewhere".to_owned()))
    })?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
    let server = address::parse(&format!("https://{host}:{port}/"))?;
    let folder = &surroundings.service_account;
    let identity = Identity::of_pod(&folder.join("token"), surroundings)
        .map_err(|(why, _)| (why, Some("does the pod say `automountServiceAccountToken: false`?".to_owned())))?;
    let trust = Trust::of_pod(folder.join("ca.crt"))?;
    let who = " as the service account of this pod".to_owned();
    let found = Found::new(server, who, identity, trust, None, options, surroundings)?;
    let namespace = std::fs::read_to_string(folder.join("namespace")).ok().map(|text| text.trim().to_owned());
    Ok(Found { namespace_of_context: namespace.filter(|name| !name.is_empty()), ..found })
}

fn rejected((why, help): Missing) -> PlatformError {
    let error = PlatformError::new(PlatformErrorKind::Rejected, "finding the Kubernetes cluster", why);
    match help {
        Some(help) => error.with_hint(help),
        None => error,
    }
}

impl Found {
    fn new(
        server: Uri,
        who: String,
        identity: Identity,
        trust: Trust,
        of_cluster: Option<&str>,
        options: Options,
        surroundings: &Surroundings,
    ) -> Result<Self, Missing> {
        let either = |upper: &str, lower: &str| surroundings.variable(upper).or_else(|| surroundings.variable(lower));
        let (general, exempt) = (either("HTTPS_PROXY", "https_proxy"), either("NO_PROXY", "no_proxy"));
        let proxy = proxy::choose(&server, of_cluster, general.as_deref(), exempt.as_deref())?;
        let mut sentences = vec![trust.how];
        let place = proxy.as_ref().map(|proxy| format!("{}:{}", proxy.host().unwrap_or_default(), address::port(proxy)));
        sentences.extend(place.map(|place| format!("It goes through the proxy {place}.")));
        let mut config = kube::Config::new(server);
        config.root_cert = trust.roots;
        config.root_cert_file = trust.file;
        config.accept_invalid_certs = trust.insecure;
        config.tls_server_name = trust.name;
        config.auth_info = identity.client;
        config.proxy_url = proxy;
        config.connect_timeout = Some(CONNECT);
        Ok(Self { config, plugin: identity.plugin, namespace_of_context: None, options, who, how: identity.how, trust: sentences })
    }

    /// A connection. Nothing is sent, and no plugin runs, before the first request.
    ///
    /// # Errors
    /// Where a certificate or a key is none.
    pub fn connect(self) -> Result<Connection, PlatformError> {
        Connection::with_plugin(self.config, self.plugin)
    }

    /// How the cluster will be reached, and how each side shows who it is: sentences.
    pub fn describe(&self) -> String {
        let Self { config, who, how, trust, plugin: _, namespace_of_context: _, options: _ } = self;
        let how = match how.as_slice() {
            [] => "without credentials".to_owned(),
            how => format!("with {}", how.join(" and ")),
        };
        let comma = if who.is_empty() { "" } else { "," };
        format!("It is reached at {}{who}{comma} {how}. {}", address::display(&config.cluster_url), trust.join(" "))
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

#[cfg(test)]
mod tests;
