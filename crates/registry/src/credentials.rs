//! Finds the user's credentials for a registry, where `docker login` and `podman login` keep them.

mod file;
mod helper;

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::reference::{InvalidReference, Reference};
use file::{Found, read};

/// Where credentials are kept: configuration files, and the folders that credential helpers are in.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    files: Vec<PathBuf>,
    programs: Vec<PathBuf>,
}

/// What a user shows a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The name that the registry has there: its host, or `https://index.docker.io/v1/` for Docker Hub.
    pub server: String,
    /// What is shown.
    pub login: Login,
}

/// What is shown. It is secret, and forgotten with the value.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// A user's name and password (or access token).
    Password {
        /// The user.
        username: String,
        /// The password.
        password: Zeroizing<String>,
    },
    /// A token that is exchanged for others: the refresh token of OAuth 2.
    IdentityToken(Zeroizing<String>),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { username, password: _ } => f.debug_struct("Password").field("username", username).finish_non_exhaustive(),
            Self::IdentityToken(_) => f.write_str("IdentityToken(..)"),
        }
    }
}

/// Why credentials could not be read. It holds nothing of what was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The image's name is none.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// A file is there and cannot be read.
    #[error("reading the credentials in {}: {why}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A file is not what Docker writes.
    #[error("the credentials in {} are not understood: no Docker configuration at line {line}, column {column}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// An entry is not what Docker writes.
    #[error("the entry for {server} in {} is not understood: `auth` is no base64 of user:password; log in again", path.display())]
    Entry {
        /// Which file.
        path: PathBuf,
        /// Whose entry.
        server: String,
    },
    /// A credential helper did not do its work.
    #[error("{program} was asked for the credentials of {server}: {why}")]
    Helper {
        /// The helper.
        program: String,
        /// Whose credentials.
        server: String,
        /// What went wrong.
        why: String,
    },
}

impl Credentials {
    /// Looks in these files, the first that knows a registry first; those that are not there are left out. Credential
    /// helpers are looked for in these folders, as in `PATH`.
    pub fn new(files: Vec<PathBuf>, programs: Vec<PathBuf>) -> Self {
        Self { files, programs }
    }

    /// The credentials for this image's registry; None where there are none. May run a credential helper.
    pub async fn for_image(&self, reference: &str) -> Result<Option<Credential>, CredentialError> {
        self.for_registry(&Reference::parse(reference)?).await
    }

    /// The credentials for the registry of this image.
    pub(crate) async fn for_registry(&self, reference: &Reference) -> Result<Option<Credential>, CredentialError> {
        let registry = reference.registry();
        let server = server(registry);
        for path in &self.files {
            let login = match read(path, registry)? {
                Found::Nothing => None,
                Found::Login(login) => Some(login),
                Found::Helper(name) => helper::get(&name, server, &self.programs).await?,
            };
            if let Some(login) = login {
                tracing::debug!(registry, path = %path.display(), "credentials");
                return Ok(Some(Credential { server: server.to_owned(), login }));
            }
        }
        Ok(None)
    }
}

/// The name under which Docker keeps the credentials of a registry.
fn server(registry: &str) -> &str {
    if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry }
}
