//! Credential helpers: `docker-credential-<name> get` reads a server's name and writes what it keeps for it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{CredentialError, Login};

/// How long a helper may take: those of clouds ask a server themselves.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a helper writes where it has nothing, by Docker's protocol.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The name of a user that means that the secret is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Zeroizing<String>,
}

/// Asks a helper; None where it has nothing for this server.
pub async fn get(name: &str, server: &str, folders: &[PathBuf]) -> Result<Option<Login>, CredentialError> {
    let program = format!("docker-credential-{name}");
    let failed = |why: String| CredentialError::Helper { program: program.clone(), server: server.to_owned(), why };
    let path = find(&program, folders).ok_or_else(|| failed("there is no such program in PATH; install it, or log in again".into()))?;
    let output = match tokio::time::timeout(PATIENCE, run(&path, server)).await {
        Ok(output) => output.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    // What it wrote may be secret, and stays here.
    let (status, text) = (output.status, Zeroizing::new(output.stdout));
    if !status.success() {
        if std::str::from_utf8(&text).is_ok_and(|text| text.trim() == NOT_FOUND) {
            return Ok(None);
        }
        return Err(failed(format!("it failed ({status}); `echo {server} | {program} get` shows why")));
    }
    let Answer { username, secret } =
        serde_json::from_slice(&text).map_err(|_| failed("its answer is not understood: no JSON with Username and Secret".into()))?;
    Ok(match username.as_str() {
        _ if secret.is_empty() => None,
        TOKEN_USER => Some(Login::IdentityToken(secret)),
        _ => Some(Login::Password { username, password: secret }),
    })
}

fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    // A name that leads to another folder is none.
    let is_plain = Path::new(program).file_name().is_some_and(|name| name == program);
    folders.iter().map(|folder| folder.join(program)).find(|path| is_plain && path.is_file())
}

async fn run(path: &Path, server: &str) -> std::io::Result<Output> {
    let mut command = Command::new(path);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that needs no name does not read it.
        let _ = input.write_all(server.as_bytes()).await;
    }
    child.wait_with_output().await
}
