//! Who we are to a server.

use std::path::Path;

use kube::config::AuthInfo;

use super::address::Missing;
use super::kubeconfig::Context;
use super::plugin::Plugin;
use super::{Options, Surroundings};

/// What we show to a server. It holds secrets: it is in no message.
#[derive(Default)]
pub(super) struct Identity {
    /// For the client: nothing in it runs a program.
    pub(super) client: AuthInfo,
    /// The program that says the rest, when it is needed.
    pub(super) plugin: Option<Plugin>,
    /// What that is, for people: `a client certificate`.
    pub(super) how: Vec<String>,
}

impl Identity {
    /// As the options say. They were checked: there is a token or a certificate.
    pub(super) fn of_options(options: &Options, surroundings: &Surroundings) -> Result<Self, Missing> {
        let mut identity = Self::default();
        if let Some(written) = &options.token_file {
            let path = surroundings.file("token_file", written)?;
            identity.token_of_file(&path, surroundings)?;
        }
        if let Some(name) = &options.token_env {
            let token = surroundings.variable(name).map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
            let why = || format!("the environment variable {name}, which the option `token_env` names, is not set");
            let token = token.ok_or_else(|| (why(), Some(format!("set {name} to the token before you start Stratos"))))?;
            identity.client.token = Some(token.into());
            identity.how.push(format!("the token in the environment variable {name}"));
        }
        if let (Some(certificate), Some(key)) = (&options.cert, &options.key) {
            let (certificate, key) = (surroundings.file("cert", certificate)?, surroundings.file("key", key)?);
            identity.how.push(format!("the certificate {}", surroundings.show(&certificate)));
            identity.client.client_certificate = Some(certificate.display().to_string());
            identity.client.client_key = Some(key.display().to_string());
        }
        Ok(identity)
    }

    /// As the user of a context says.
    pub(super) fn of_context(context: &Context, surroundings: &Surroundings) -> Result<Self, Missing> {
        let told = &context.identity;
        let mut identity = Self::default();
        let whose = format!("the user {:?} in {}", context.user.as_deref().unwrap_or_default(), surroundings.show(&context.file));
        identity.certificate(told);
        match (told.token.is_some(), told.token_file.as_deref().filter(|path| !path.is_empty())) {
            (true, _) => {
                identity.client.token.clone_from(&told.token);
                identity.how.push("a token".to_owned());
            }
            (false, Some(path)) => {
                let path = Path::new(path);
                if let Some(repository) = &context.repository
                    && !std::fs::canonicalize(path).is_ok_and(|path| path.starts_with(repository))
                {
                    let why = format!("{whose} sends the file {}, which did not come with the repository", path.display());
                    return Err((why, Some(format!("it would be sent to {}: {}", context.server, KEEP))));
                }
                identity.token_of_file(path, surroundings)?;
            }
            (false, None) if told.username.is_some() && told.password.is_some() => {
                identity.client.username.clone_from(&told.username);
                identity.client.password.clone_from(&told.password);
                identity.how.push("a password".to_owned());
            }
            (false, None) => identity.program(told, context, &whose)?,
        }
        let AuthInfo { impersonate, impersonate_uid, impersonate_groups, impersonate_user_extra, .. } = told;
        if let Some(other) = impersonate {
            identity.how.push(format!("acting as {other}"));
        }
        identity.client.impersonate.clone_from(impersonate);
        identity.client.impersonate_uid.clone_from(impersonate_uid);
        identity.client.impersonate_groups.clone_from(impersonate_groups);
        identity.client.impersonate_user_extra.clone_from(impersonate_user_extra);
        Ok(identity)
    }

    /// The service account of the pod that we run in.
    pub(super) fn of_pod(token: &Path, surroundings: &Surroundings) -> Result<Self, Missing> {
        let mut identity = Self::default();
        identity.token_of_file(token, surroundings)?;
        identity.how = vec!["its token".to_owned()];
        Ok(identity)
    }

    fn certificate(&mut self, told: &AuthInfo) {
        let certificate = told.client_certificate_data.is_some() || told.client_certificate.is_some();
        if certificate {
            self.client.client_certificate.clone_from(&told.client_certificate);
            self.client.client_certificate_data.clone_from(&told.client_certificate_data);
            self.client.client_key.clone_from(&told.client_key);
            self.client.client_key_data.clone_from(&told.client_key_data);
            self.how.push("a client certificate".to_owned());
        }
    }

    /// A token in a file, which may change: the client reads it again each minute. It takes the file as it is, so a line feed at
    /// its end, which an editor or `echo` left there, makes it a token that is read once.
    fn token_of_file(&mut self, path: &Path, surroundings: &Surroundings) -> Result<(), Missing> {
        let shown = surroundings.show(path);
        let text = std::fs::read_to_string(path).map_err(|error| (format!("the token in {shown} cannot be read: {error}"), None))?;
        let text = zeroize::Zeroizing::new(text);
        match text.trim() {
            "" => return Err((format!("there is no token in {shown}: it is empty"), None)),
            token if token == text.as_str() => self.client.token_file = Some(path.display().to_string()),
            token => self.client.token = Some(token.to_owned().into()),
        }
        self.how.push(format!("the token in {shown}"));
        Ok(())
    }

    /// A credential plugin, or the token that one left behind.
    fn program(&mut self, told: &AuthInfo, context: &Context, whose: &str) -> Result<(), Missing> {
        if let Some(provider) = &told.auth_provider {
            let token = provider.config.get("id-token").filter(|_| provider.name == "oidc");
            let why = || format!("{whose} has the auth-provider {:?}, which is not supported", provider.name);
            let help = "kubectl has none since 1.26 but oidc with an id-token: use the credential plugin (`exec`) of your provider";
            let token = token.ok_or_else(|| (why(), Some(help.to_owned())))?;
            self.client.token = Some(token.clone().into());
            self.how.push("the id-token in it".to_owned());
            return Ok(());
        }
        let Some(exec) = &told.exec else { return Ok(()) };
        if context.repository.is_some() {
            let why = format!("{whose} runs a program (`exec`), and that file came with the repository: it was not run");
            return Err((why, Some(KEEP.to_owned())));
        }
        let plugin = Plugin::read(exec, &context.cluster).map_err(|why| (format!("{whose}: {why}"), None))?;
        self.how.push(format!("what the credential plugin `{}` prints", plugin.name()));
        self.plugin = Some(plugin);
        Ok(())
    }
}

/// What to do with a kubeconfig that wants more than a repository may.
const KEEP: &str =
    "look at it, and if you trust it keep it in ~/.kube or name it in KUBECONFIG; then name its context with the option `context`";
