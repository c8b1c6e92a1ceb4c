//! Credential plugins: programs that a user's kubeconfig names, and that print a token or a certificate.
//!
//! They run when the first request is sent and not before, once until what they printed expires. The client would run them itself,
//! three times each, and would repeat in its errors what they print.

use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use kube::config::{Cluster, ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use zeroize::Zeroizing;

/// What expires by then has expired: a request takes a while.
const SLACK: Duration = Duration::from_secs(60);
/// So much of what a plugin says when it fails is repeated.
const LONGEST: usize = 300;

/// A program that knows who we are.
#[derive(Clone)]
pub(crate) struct Plugin {
    command: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    version: String,
    cluster: Option<ExecAuthCluster>,
    mode: ExecInteractiveMode,
    install: Option<String>,
}

/// What a plugin printed.
#[derive(Default)]
pub(crate) struct Printed {
    pub(crate) token: Option<Zeroizing<String>>,
    /// A certificate and the key to it, in PEM form.
    pub(crate) certificate: Option<(String, Zeroizing<String>)>,
    expires: Option<Timestamp>,
}

impl Printed {
    /// Whether it is still good for a request.
    pub(crate) fn is_valid(&self) -> bool {
        self.expires.is_none_or(|end| Timestamp::now() + SLACK < end)
    }
}

/// `ExecCredential`, as it is handed to a plugin.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    kind: &'static str,
    api_version: &'a str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Spec<'a> {
    interactive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a ExecAuthCluster>,
}

/// `ExecCredential`, as a plugin prints it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

impl Plugin {
    /// Reads what a kubeconfig says of one. The error is a sentence.
    pub(super) fn read(config: &ExecConfig, cluster: &Cluster) -> Result<Self, String> {
        let command = config.command.clone().filter(|command| !command.is_empty()).ok_or("its `exec` names no command")?;
        let version = config.api_version.clone().unwrap_or_default();
        if !["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"].contains(&version.as_str()) {
            return Err(format!("its `exec` speaks the version {version:?}, and not client.authentication.k8s.io/v1 or v1beta1"));
        }
        let informed = config.provide_cluster_info;
        let cluster = informed.then(|| ExecAuthCluster::try_from(cluster)).transpose().map_err(|error| error.to_string())?;
        let variable = |entry: &std::collections::HashMap<String, String>| Some((entry.get("name")?.clone(), entry.get("value")?.clone()));
        Ok(Self {
            command,
            arguments: config.args.clone().unwrap_or_default(),
            environment: config.env.iter().flatten().filter_map(variable).collect(),
            version,
            cluster,
            mode: config.interactive_mode.clone().unwrap_or(ExecInteractiveMode::IfAvailable),
            install: config.install_hint.clone().filter(|hint| !hint.trim().is_empty()),
        })
    }

    /// The program's name, for messages. Its arguments may hold anything.
    pub(super) fn name(&self) -> &str {
        &self.command
    }

    /// Runs it. The error is a sentence that holds nothing of what it printed.
    pub(crate) async fn run(&self) -> Result<Printed, String> {
        let Self { command, arguments, environment, version, cluster, mode, install } = self;
        let at_terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
        if *mode == ExecInteractiveMode::Always && !at_terminal {
            return Err(format!("the credential plugin `{command}` wants to ask something, and there is no terminal"));
        }
        let interactive = at_terminal && *mode != ExecInteractiveMode::Never;
        let spec = Spec { interactive, cluster: cluster.as_ref() };
        let asked = Asked { kind: "ExecCredential", api_version: version, spec };
        let asked = serde_json::to_string(&asked).map_err(|error| format!("asking the credential plugin `{command}`: {error}"))?;
        let mut program = Command::new(command);
        program.args(arguments).envs(environment.iter().map(|(name, value)| (name, value))).env("KUBERNETES_EXEC_INFO", asked);
        // Who is asked something must see the question.
        program.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
        program.stderr(if interactive { Stdio::inherit() } else { Stdio::piped() });
        let output = program.stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let output = match output {
            Ok(child) => child.wait_with_output().await,
            Err(error) => Err(error),
        };
        let output = output.map_err(|error| {
            let install = install.as_ref().map(|hint| format!(" ({})", hint.trim())).unwrap_or_default();
            format!("the credential plugin `{command}` cannot be run: {error}{install}")
        })?;
        let printed = Zeroizing::new(output.stdout);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().chars().take(LONGEST).collect::<String>();
            let said = if said.is_empty() { String::new() } else { format!(": {said}") };
            return Err(format!("the credential plugin `{command}` failed ({}){said}", output.status));
        }
        read(&printed, version).map_err(|why| format!("the credential plugin `{command}` printed {why}"))
    }
}

/// Reads what a plugin printed. The error goes on with a sentence, without a word of it.
fn read(printed: &[u8], version: &str) -> Result<Printed, String> {
    let answer: Answer = serde_json::from_slice(printed).map_err(|_| "something that is no ExecCredential in JSON".to_owned())?;
    if answer.kind != "ExecCredential" || answer.api_version != version {
        return Err(format!("no ExecCredential of the version {version}"));
    }
    let status = answer.status.ok_or("an ExecCredential without a status")?;
    let expires = status.expiration_timestamp.filter(|text| !text.is_empty()).map(|text| text.parse::<Timestamp>()).transpose();
    let expires = expires.map_err(|_| "an ExecCredential whose expirationTimestamp is no time".to_owned())?;
    let token = status.token.map(Zeroizing::new).filter(|token| !token.is_empty());
    let certificate = match (status.client_certificate_data, status.client_key_data.map(Zeroizing::new)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err("a certificate without its key, or a key without its certificate".to_owned()),
    };
    if token.is_none() && certificate.is_none() {
        return Err("an ExecCredential with neither a token nor a certificate".to_owned());
    }
    Ok(Printed { token, certificate, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    fn answer(status: &str) -> Result<Printed, String> {
        read(format!(r#"{{"kind":"ExecCredential","apiVersion":"{V1}","status":{status}}}"#).as_bytes(), V1)
    }

    #[test]
    fn a_token_or_a_certificate_is_read_with_its_end() {
        let printed = answer(r#"{"token":"abc"}"#).unwrap();
        assert!(printed.token.as_deref().is_some_and(|token| *token == "abc") && printed.is_valid());
        assert!(!answer(r#"{"token":"abc","expirationTimestamp":"2020-01-01T00:00:00Z"}"#).unwrap().is_valid());
        assert!(answer(r#"{"token":"abc","expirationTimestamp":"2999-01-01T00:00:00Z"}"#).unwrap().is_valid());
        let printed = answer(r#"{"clientCertificateData":"c","clientKeyData":"k"}"#).unwrap();
        assert!(printed.certificate.is_some_and(|(certificate, key)| certificate == "c" && *key == "k"));
    }

    #[test]
    fn what_is_none_is_refused_and_not_repeated() {
        for status in
            ["null", "{}", r#"{"token":""}"#, r#"{"clientCertificateData":"hunter2"}"#, r#"{"token":"hunter2","expirationTimestamp":"x"}"#]
        {
            let why = answer(status).err().expect(status);
            assert!(!why.contains("hunter2"), "{why}");
        }
        for text in ["hunter2", r#"{"token":"hunter2"}"#, r#"{"kind":"ExecCredential","apiVersion":"v1","status":{"token":"hunter2"}}"#] {
            let why = read(text.as_bytes(), V1).err().expect(text);
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
