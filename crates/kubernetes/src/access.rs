//! How a cluster is found and reached.
//!
//! [`check`] says what is wrong with an environment's settings as they are written; [`resolve`] looks around on this machine
//! (kubeconfigs, tokens, certificates) and says where the cluster is and who we are there. Neither sends anything, and neither
//! runs a credential plugin.

mod address;
mod identity;
mod kubeconfig;
mod namespace;
mod options;
pub(crate) mod plugin;
mod proxy;
mod resolve;
mod trust;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use address::Missing;
pub use namespace::namespace;
pub use options::{Options, Problem};
pub use resolve::{Found, Settings, check, resolve};

/// Where a pod finds what its service account is known by.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the machine and its user say about clusters, beside the manifest. The program alone reads the process environment.
#[derive(Clone)]
pub struct Surroundings {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// The manifest's folder: paths in it are relative to that.
    pub folder: PathBuf,
    /// The folder with the files `token`, `ca.crt` and `namespace` of the pod that we run in.
    pub service_account: PathBuf,
    variable: Arc<Variables>,
}

/// The value of an environment variable.
type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

impl Surroundings {
    /// Those that environment variables give, for the manifest of a folder. An empty variable is as none.
    pub fn new(variable: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static, folder: &Path) -> Self {
        let variable = Arc::new(move |name: &str| variable(name).filter(|value| !value.is_empty()));
        let home = variable("HOME").map(PathBuf::from);
        Self { home, folder: folder.to_owned(), service_account: SERVICE_ACCOUNT.into(), variable }
    }

    /// A variable's value as text.
    fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name)?.into_string().ok()
    }

    /// The user's own kubeconfigs: those in `KUBECONFIG`, else `~/.kube/config`.
    fn kubeconfigs(&self) -> Vec<PathBuf> {
        let named = (self.variable)("KUBECONFIG");
        let named: Vec<PathBuf> = named.iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty()).collect();
        if named.is_empty() { self.home.iter().map(|home| home.join(".kube/config")).collect() } else { named }
    }

    /// A path of the manifest.
    fn path(&self, written: &str) -> PathBuf {
        match (written.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.folder.join(written),
        }
    }

    /// A path of the manifest that an option names, and where there must be a file.
    fn file(&self, option: &str, written: &str) -> Result<PathBuf, Missing> {
        let path = self.path(written);
        if path.is_file() {
            return Ok(path);
        }
        let why = format!("the option `{option}` names {}, which is no file", self.show(&path));
        Err((why, Some("paths are relative to stratos.toml".to_owned())))
    }

    /// A path for people: the home folder is `~`.
    fn show(&self, path: &Path) -> String {
        match self.home.as_ref().and_then(|home| path.strip_prefix(home).ok()) {
            Some(rest) => format!("~/{}", rest.display()),
            None => path.display().to_string(),
        }
    }
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { home, folder, service_account, variable: _ } = self;
        f.debug_struct("Surroundings").field("home", home).field("folder", folder).field("service_account", service_account).finish()
    }
}
