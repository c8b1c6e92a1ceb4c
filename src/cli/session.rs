//! What a command that works with a manifest needs: the manifest, the values for it, its history, and the platforms.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stratos_engine::deploy::{History, Policy, Request};
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::Manifest;
use stratos_engine::render::VariableInputs;
use stratos_engine::render::secret::Secrets;
use stratos_registry::Client;

use super::error::Failure;
use super::global::Global;
use super::secrets;
use crate::connect::{self, Connect};
use crate::registry;
use crate::revision::GitHistory;

/// The manifest's file name.
pub const MANIFEST: &str = "stratos.toml";

/// A manifest with everything around it.
pub struct Session {
    /// The manifest.
    pub manifest: Manifest,
    /// Values of its variables.
    pub variables: VariableInputs,
    /// Values of its secrets.
    pub secrets: Secrets,
    /// Makes platforms of its environments.
    pub connector: Connect,
    history: Option<GitHistory>,
    registry: Client,
    environments: BTreeSet<Name>,
    apps: BTreeSet<Name>,
}

impl Session {
    /// Reads the manifest of the current folder, or of the nearest folder above that has one, and checks what it says of
    /// platforms.
    pub fn load(global: &Global) -> Result<Self, Failure> {
        let session = Self::read(global)?;
        connect::check_all(&session.manifest)?;
        Ok(session)
    }

    /// Reads the manifest, without a look at what it says of platforms.
    pub fn read(global: &Global) -> Result<Self, Failure> {
        let path = find_manifest()?;
        let manifest = Manifest::load(&path)?;
        let secrets = secrets::read(&manifest.secrets, &manifest.folder);
        let session = Self {
            variables: variables(global)?,
            secrets,
            connector: connector(&manifest.folder),
            history: GitHistory::of(&path),
            registry: registry::client().map_err(|error| Failure::usage(format!("STRATOS_INSECURE_REGISTRIES: {error}")))?,
            environments: global.environments.iter().cloned().collect(),
            apps: global.apps.iter().cloned().collect(),
            manifest,
        };
        session.check_environments()?;
        Ok(session)
    }

    /// A name that no environment has is a mistake also where the engine is not asked.
    fn check_environments(&self) -> Result<(), Failure> {
        let unknown = self.environments.iter().find(|name| !self.manifest.environments.contains_key(*name));
        match unknown {
            None => Ok(()),
            Some(name) => {
                let there: Vec<&str> = self.manifest.environments.keys().map(Name::as_str).collect();
                let failure = Failure::new(format!("the manifest has no environment {:?}", name.as_str()));
                Err(failure.with_hint(match there.as_slice() {
                    [] => "it has none at all: `stratos add env NAME --platform local` adds one".to_owned(),
                    there => format!("it has: {}", there.join(", ")),
                }))
            }
        }
    }

    /// A name of an app that the manifest does not have is a mistake where nobody looks at what is live.
    pub fn check_apps(&self) -> Result<(), Failure> {
        match self.apps.iter().find(|name| !self.manifest.apps.contains_key(*name)) {
            None => Ok(()),
            Some(name) => Err(self.no_such_app(name)),
        }
    }

    /// The failure of a command that was given the name of no app.
    pub fn no_such_app(&self, name: &Name) -> Failure {
        let there: Vec<&str> = self.manifest.apps.keys().map(Name::as_str).collect();
        Failure::new(format!("the manifest has no app {:?}", name.as_str())).with_hint(match there.as_slice() {
            [] => "it has none at all: `stratos add app NAME` adds one".to_owned(),
            there => format!("it has: {}", there.join(", ")),
        })
    }

    /// What is asked of the engine, for the environments and apps of the command line.
    pub fn request(&self, policy: Policy) -> Request<'_> {
        self.request_for(self.environments.clone(), self.apps.clone(), policy)
    }

    /// What is asked of the engine, for these environments and apps.
    pub fn request_for(&self, environments: BTreeSet<Name>, apps: BTreeSet<Name>, policy: Policy) -> Request<'_> {
        Request {
            manifest: &self.manifest,
            variables: &self.variables,
            secrets: &self.secrets,
            history: self.history.as_ref().map(|history| history as &dyn History),
            registry: Some(&self.registry),
            refresh_images: false,
            environments,
            apps,
            policy,
        }
    }

    /// The environments in scope, in the manifest's order.
    pub fn environments(&self) -> impl Iterator<Item = &Name> {
        self.manifest.environments.keys().filter(|name| self.environments.is_empty() || self.environments.contains(*name))
    }

    /// The environments that the command line names; all where it is empty.
    pub fn selected(&self) -> BTreeSet<Name> {
        self.environments.clone()
    }

    /// The apps in scope; all where it is empty.
    pub fn apps(&self) -> &BTreeSet<Name> {
        &self.apps
    }

    /// What writes to several environments wants them named, so that nobody changes production by leaving out a word.
    pub fn needs_one_environment_or(&self, all: bool, command: &str) -> Result<(), Failure> {
        let names: Vec<&str> = self.manifest.environments.keys().map(Name::as_str).collect();
        if all || names.len() <= 1 || !self.environments.is_empty() {
            return Ok(());
        }
        let failure = Failure::usage(format!("the manifest has {} environments: {}", names.len(), names.join(", ")));
        Err(failure.with_hint(format!("name one (`stratos {command} --env={}`), or take all of them (`--all`)", names[0])))
    }
}

/// The manifest of the current folder, or of the nearest folder above that has one.
pub fn find_manifest() -> Result<PathBuf, Failure> {
    let here = std::env::current_dir().map_err(|error| Failure::new(format!("finding the current folder: {error}")))?;
    match here.ancestors().map(|folder| folder.join(MANIFEST)).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => Err(Failure::new(format!("there is no {MANIFEST} in {} or above it", here.display()))
            .with_hint("`stratos init` writes one; `-C DIR` looks elsewhere")),
    }
}

/// The folder that paths in a saved plan are relative to: the manifest's, or the current one where there is none.
pub fn base_folder() -> PathBuf {
    find_manifest().ok().and_then(|path| path.parent().map(Path::to_path_buf)).unwrap_or_else(|| PathBuf::from("."))
}

/// Makes platforms for the manifest of this folder. What lives on this machine is kept in `STRATOS_STATE_DIR`, else
/// `$XDG_STATE_HOME/stratos`, else `~/.local/state/stratos`. A relative place is none, as the XDG specification has it.
pub fn connector(folder: &Path) -> Connect {
    let place = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = place("STRATOS_STATE_DIR")
        .or_else(|| place("XDG_STATE_HOME").map(|state| state.join("stratos")))
        .or_else(|| place("HOME").map(|home| home.join(".local/state/stratos")));
    Connect::new(folder, state)
}

/// Values of variables from files, the environment and the command line.
fn variables(global: &Global) -> Result<VariableInputs, Failure> {
    let mut files = Vec::new();
    for path in &global.variable_files {
        let text =
            std::fs::read_to_string(path).map_err(|error| Failure::new(format!("--var-file: reading {}: {error}", path.display())))?;
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| Failure::new(format!("--var-file: reading {}: {}", path.display(), error.message())))?;
        for (name, value) in table {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => value.to_string(),
                other => {
                    let found = other.type_str();
                    let message = format!(
                        "--var-file: reading {}: the variable {name:?} is text, a number or a boolean, not {found}",
                        path.display()
                    );
                    return Err(Failure::new(message));
                }
            };
            files.push((name, text));
        }
    }
    // A name or a value that is no Unicode text is not ours: the manifest could not name it.
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.to_str()?.strip_prefix("STRATOS_VAR_")?.to_lowercase();
        Some((name, value.into_string().ok()?))
    });
    Ok(VariableInputs { files, environment: environment.collect(), arguments: global.variables.clone() })
}
