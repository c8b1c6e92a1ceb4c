//! `options` of an environment on Kubernetes, as they are written.

use indexmap::IndexMap;
use stratos_engine::manifest::schema::Scalar;
use stratos_engine::manifest::suggest;

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
    /// A problem with a key of the environment itself.
    pub(super) fn key(key: &str, message: impl Into<String>, help: Option<String>) -> Self {
        Self { at: vec![key.into()], message: message.into(), help }
    }

    /// A problem with an option.
    pub(super) fn option(key: &str, message: impl Into<String>, help: Option<String>) -> Self {
        Self { at: vec!["options".into(), key.into()], message: message.into(), help }
    }
}

/// An environment's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `context`: the name of a context of the kubeconfig.
    pub context: Option<String>,
    /// `kubeconfig`: a file that is read in place of the user's own.
    pub kubeconfig: Option<String>,
    /// `token_file`: a file that holds our token.
    pub token_file: Option<String>,
    /// `token_env`: the environment variable that holds our token.
    pub token_env: Option<String>,
    /// `ca`: the authority that the server's certificate comes from.
    pub ca: Option<String>,
    /// `cert`: our certificate.
    pub cert: Option<String>,
    /// `key`: the key to it.
    pub key: Option<String>,
    /// `tls_server_name`: the name in the server's certificate, where it is not the host in `url`.
    pub tls_server_name: Option<String>,
    /// `in_cluster`: as the service account of the pod that we run in.
    pub in_cluster: bool,
    /// `insecure_skip_tls_verify`: the server's certificate is not checked.
    pub insecure_skip_tls_verify: bool,
    /// `create_namespace`: the namespace is made when it is missing.
    pub create_namespace: bool,
    /// `force_conflicts`: fields that another manager has set to another value are taken over.
    pub force_conflicts: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            context: None,
            kubeconfig: None,
            token_file: None,
            token_env: None,
            ca: None,
            cert: None,
            key: None,
            tls_server_name: None,
            in_cluster: false,
            insecure_skip_tls_verify: false,
            create_namespace: true,
            force_conflicts: false,
        }
    }
}

/// All of them.
const KNOWN: [&str; 12] = [
    "context",
    "kubeconfig",
    "token_file",
    "token_env",
    "ca",
    "cert",
    "key",
    "tls_server_name",
    "in_cluster",
    "insecure_skip_tls_verify",
    "create_namespace",
    "force_conflicts",
];

/// What people write for a credential itself. It would be in the history of the repository for ever.
const CREDENTIALS: [&str; 5] = ["token", "password", "bearer_token", "token_data", "key_data"];

/// Where an option's value goes.
enum Place<'a> {
    Text(&'a mut Option<String>),
    Flag(&'a mut bool),
}

impl Options {
    /// Reads them. Everything that is wrong is reported.
    ///
    /// # Errors
    /// Options that the platform does not have, and values that they do not take.
    pub fn read(written: &IndexMap<String, Scalar>) -> Result<Self, Vec<Problem>> {
        let (mut options, mut problems) = (Self::default(), Vec::new());
        for (key, value) in written {
            let problem = match (options.place(key), value) {
                (None, _) => Some(unknown(key)),
                (Some(Place::Text(place)), Scalar::String(text)) if !text.is_empty() => {
                    *place = Some(text.clone());
                    None
                }
                (Some(Place::Flag(place)), Scalar::Bool(flag)) => {
                    *place = *flag;
                    None
                }
                (Some(Place::Text(_)), _) => Some(Problem::option(key, format!("the option `{key}` takes text that is not empty"), None)),
                (Some(Place::Flag(_)), _) => Some(Problem::option(key, format!("the option `{key}` is true or false"), None)),
            };
            problems.extend(problem);
        }
        if let Some(name) = options.token_env.as_deref().filter(|name| !is_variable(name)) {
            // It may be the token itself: it is not repeated.
            let message =
                format!("the option `token_env` takes the name of an environment variable, and {} characters are none", name.len());
            let help = "write `token_env = \"SHOP_TOKEN\"`, and put the token into that variable".to_owned();
            problems.push(Problem::option("token_env", message, Some(help)));
        }
        if problems.is_empty() { Ok(options) } else { Err(problems) }
    }

    fn place(&mut self, key: &str) -> Option<Place<'_>> {
        Some(match key {
            "context" => Place::Text(&mut self.context),
            "kubeconfig" => Place::Text(&mut self.kubeconfig),
            "token_file" => Place::Text(&mut self.token_file),
            "token_env" => Place::Text(&mut self.token_env),
            "ca" => Place::Text(&mut self.ca),
            "cert" => Place::Text(&mut self.cert),
            "key" => Place::Text(&mut self.key),
            "tls_server_name" => Place::Text(&mut self.tls_server_name),
            "in_cluster" => Place::Flag(&mut self.in_cluster),
            "insecure_skip_tls_verify" => Place::Flag(&mut self.insecure_skip_tls_verify),
            "create_namespace" => Place::Flag(&mut self.create_namespace),
            "force_conflicts" => Place::Flag(&mut self.force_conflicts),
            _ => return None,
        })
    }

    /// The options that say who we are, as far as they are written.
    pub(super) fn credentials(&self) -> Vec<&'static str> {
        let Self { token_file, token_env, cert, key, .. } = self;
        let written = [("token_file", token_file), ("token_env", token_env), ("cert", cert), ("key", key)];
        written.into_iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key).collect()
    }

    /// Those that say how TLS is spoken, as far as they are written.
    pub(super) fn tls(&self) -> Vec<&'static str> {
        let Self { ca, cert, key, tls_server_name, insecure_skip_tls_verify, .. } = self;
        let written = [
            ("ca", ca.is_some()),
            ("cert", cert.is_some()),
            ("key", key.is_some()),
            ("tls_server_name", tls_server_name.is_some()),
            ("insecure_skip_tls_verify", *insecure_skip_tls_verify),
        ];
        written.into_iter().filter(|(_, is)| *is).map(|(key, _)| key).collect()
    }
}

fn unknown(key: &str) -> Problem {
    if CREDENTIALS.contains(&key) {
        let help =
            "a manifest is no place for a secret: `token_env` names an environment variable that holds the token, `token_file` a file";
        return Problem::option(key, format!("`{key}` itself does not belong into the manifest"), Some(help.to_owned()));
    }
    let help = suggest::help(key, KNOWN, "it has");
    Problem::option(key, format!("the platform kubernetes has no option {key:?}"), help)
}

fn is_variable(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    starts && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &[(&str, Scalar)]) -> Result<Options, Vec<Problem>> {
        Options::read(&written.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    fn text(value: &str) -> Scalar {
        Scalar::String(value.to_owned())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(read(&[]), Ok(Options::default()));
        let written = [("context", text("prod")), ("in_cluster", Scalar::Bool(false)), ("create_namespace", Scalar::Bool(false))];
        let expected = Options { context: Some("prod".into()), create_namespace: false, ..Options::default() };
        assert_eq!(read(&written), Ok(expected));
    }

    #[test]
    fn every_option_that_is_known_has_a_place() {
        for key in KNOWN {
            assert!(Options::default().place(key).is_some(), "{key}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_with_a_suggestion() {
        let problems = read(&[("contxt", text("x")), ("ca", Scalar::Integer(1)), ("key", text("")), ("in_cluster", text("yes"))]);
        let said: Vec<_> = problems.unwrap_err().into_iter().map(|p| (p.at.join("."), p.message, p.help)).collect();
        assert_eq!(said.len(), 4);
        assert_eq!((said[0].0.as_str(), said[0].2.as_deref()), ("options.contxt", Some("did you mean `context`?")));
        assert_eq!(said[1].1, "the option `ca` takes text that is not empty");
        assert_eq!(said[3].1, "the option `in_cluster` is true or false");
    }

    #[test]
    fn a_token_in_the_manifest_is_refused_and_not_repeated() {
        for (key, value) in [("token", "hunter2.secret"), ("token_env", "hunter2.secret")] {
            let problem = read(&[(key, text(value))]).unwrap_err().remove(0);
            assert_eq!(problem.at, ["options", key]);
            let said = format!("{} {}", problem.message, problem.help.unwrap());
            assert!(said.contains("token_env") && !said.contains("hunter2"), "{said}");
        }
    }
}
