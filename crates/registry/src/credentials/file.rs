//! One configuration file: `config.json` of Docker, `auth.json` of Podman.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{CredentialError, Login};

/// What a file says about a registry.
pub enum Found {
    /// Nothing.
    Nothing,
    /// It holds the credentials.
    Login(Login),
    /// The helper of this name (`docker-credential-<name>`) has them.
    Helper(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<Zeroizing<String>>,
    username: Option<String>,
    password: Option<Zeroizing<String>>,
    identitytoken: Option<Zeroizing<String>>,
}

/// Reads what this file says: the registry's own helper is asked before what is written down, and the helper of all
/// registries after that, as by Docker.
pub fn read(path: &Path, registry: &str) -> Result<Found, CredentialError> {
    let text = match std::fs::read(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Found::Nothing),
        Err(error) => return Err(CredentialError::Unreadable { path: path.to_owned(), why: error.to_string() }),
    };
    // What serde says of a wrong value quotes the value.
    let malformed =
        |error: serde_json::Error| CredentialError::Malformed { path: path.to_owned(), line: error.line(), column: error.column() };
    let Configuration { auths, cred_helpers, creds_store } = serde_json::from_slice(&text).map_err(malformed)?;
    let own = cred_helpers.unwrap_or_default().into_iter().find(|(key, _)| names(key, registry)).map(|(_, helper)| helper);
    if let Some(helper) = own.clone().filter(|helper| !helper.is_empty()) {
        return Ok(Found::Helper(helper));
    }
    for (server, entry) in auths.unwrap_or_default().into_iter().filter(|(key, _)| names(key, registry)) {
        if let Some(login) = login(entry).map_err(|()| CredentialError::Entry { path: path.to_owned(), server })? {
            return Ok(Found::Login(login));
        }
    }
    // An own helper that is empty means that the registry has none.
    let store = if own.is_some() { None } else { creds_store.filter(|helper| !helper.is_empty()) };
    Ok(store.map_or(Found::Nothing, Found::Helper))
}

/// Whether a key is about this registry: its name, or an address of its API. A key with a path and no scheme is Podman's
/// for a part of a registry, and is not about all of it.
fn names(key: &str, registry: &str) -> bool {
    let address = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let host = match (address, key.split_once('/')) {
        (Some(address), _) => address.split('/').next().unwrap_or(address),
        (None, Some((host, "" | "v1" | "v1/" | "v2" | "v2/"))) => host,
        (None, Some(_)) => return false,
        (None, None) => key,
    };
    match host {
        "index.docker.io" | "registry-1.docker.io" => registry == "docker.io",
        host => host == registry,
    }
}

/// None where the entry only says that a helper knows the registry.
fn login(entry: Entry) -> Result<Option<Login>, ()> {
    let Entry { auth, username, password, identitytoken } = entry;
    let filled = |text: Option<Zeroizing<String>>| text.filter(|text| !text.is_empty());
    if let Some(token) = filled(identitytoken) {
        return Ok(Some(Login::IdentityToken(token)));
    }
    if let Some(auth) = filled(auth) {
        return decode(&auth).map(Some).ok_or(());
    }
    Ok(username.zip(filled(password)).map(|(username, password)| Login::Password { username, password }))
}

/// The base64 of `user:password`.
fn decode(auth: &str) -> Option<Login> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = Zeroizing::new(GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(auth).ok()?);
    let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    // Docker wrote zeros after passwords once, and ignores them.
    let password = Zeroizing::new(password.trim_matches('\0').to_owned());
    (!username.is_empty()).then(|| Login::Password { username: username.to_owned(), password })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn keys_are_names_or_addresses() {
        for key in ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "https://registry-1.docker.io"] {
            assert!(names(key, "docker.io"), "{key}");
            assert!(!names(key, "quay.io"), "{key}");
        }
        for key in ["quay.io", "https://quay.io", "http://quay.io/v1/", "quay.io/", "quay.io/v2/"] {
            assert!(names(key, "quay.io"), "{key}");
        }
        for key in ["quay.io/shop", "quay.io:443", "aquay.io", "https://quay.io.example.com", ""] {
            assert!(!names(key, "quay.io"), "{key}");
        }
    }
}
