//! Kubeconfig files: the user's own, and one that the manifest names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use http::Uri;
use kube::config::{AuthInfo, Cluster, KubeconfigError};

use super::Surroundings;
use super::address::{self, Missing};

/// What one or more files say together: the first to say something counts.
pub(super) struct Kubeconfig {
    merged: kube::config::Kubeconfig,
    /// The files that were looked for, and whether each is there.
    files: Vec<(PathBuf, bool)>,
    /// The file that each context is in.
    places: BTreeMap<String, PathBuf>,
    /// The folder of the repository that it came with. None where it is the user's own.
    repository: Option<PathBuf>,
}

/// A context, and what it refers to.
pub(super) struct Context {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) server: Uri,
    pub(super) cluster: Cluster,
    /// The user's name. None where the context names none.
    pub(super) user: Option<String>,
    pub(super) identity: AuthInfo,
    pub(super) namespace: Option<String>,
    /// The folder of the repository that it came with. None where it is the user's own.
    pub(super) repository: Option<PathBuf>,
}

impl Kubeconfig {
    /// The user's own: the files in `KUBECONFIG`, else `~/.kube/config`. Those that are not there are left out.
    pub(super) fn of_user(surroundings: &Surroundings) -> Result<Self, Missing> {
        Self::read(surroundings.kubeconfigs(), None)
    }

    /// The file that the option `kubeconfig` names.
    pub(super) fn named(written: &str, surroundings: &Surroundings) -> Result<Self, Missing> {
        let path = surroundings.path(written);
        if !path.is_file() {
            let why = format!("the option `kubeconfig` names {}, which is no file", surroundings.show(&path));
            return Err((why, Some("paths are relative to stratos.toml".to_owned())));
        }
        let repository = came_with(written, &path, surroundings);
        Self::read(vec![path], repository)
    }

    fn read(files: Vec<PathBuf>, repository: Option<PathBuf>) -> Result<Self, Missing> {
        let mut merged = kube::config::Kubeconfig::default();
        let (mut read, mut places) = (Vec::new(), BTreeMap::new());
        for file in files {
            let found = match kube::config::Kubeconfig::read_from(&file) {
                Ok(found) => Some(found),
                Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err((format!("{} cannot be read: {}", file.display(), reason(&error)), None)),
            };
            read.push((file.clone(), found.is_some()));
            let Some(mut found) = found else { continue };
            let named_twice = twice(&found);
            if let Some((what, name)) = named_twice {
                let why = format!("{} has the {what} {name:?} twice, and kubectl refuses such a file", file.display());
                return Err((why, Some("rename one of both, or remove it".to_owned())));
            }
            found.current_context = found.current_context.filter(|name| !name.is_empty());
            for context in &found.contexts {
                places.entry(context.name.clone()).or_insert_with(|| file.clone());
            }
            merged =
                merged.merge(found).map_err(|error| (format!("{} does not go with the files before it: {error}", file.display()), None))?;
        }
        Ok(Self { merged, files: read, places, repository })
    }

    /// Whether there is any file.
    pub(super) fn is_there(&self) -> bool {
        self.files.iter().any(|(_, is_there)| *is_there)
    }

    /// The files, for a message.
    pub(super) fn files(&self, surroundings: &Surroundings) -> String {
        let shown: Vec<String> = self.files.iter().map(|(file, _)| surroundings.show(file)).collect();
        if shown.is_empty() { "no file, since neither KUBECONFIG nor HOME is set".to_owned() } else { shown.join(", ") }
    }

    /// The context of this name; the current one where none is given.
    pub(super) fn context(&self, name: Option<&str>, surroundings: &Surroundings) -> Result<Context, Missing> {
        let Some(name) = name.or(self.merged.current_context.as_deref()) else {
            let why = format!("no context is the current one in {}", self.files(surroundings));
            return Err((
                why,
                Some(format!("name one with the option `context`, or `kubectl config use-context` one: {}", self.there_are())),
            ));
        };
        let found = self.merged.contexts.iter().find(|context| context.name == name).and_then(|context| context.context.clone());
        let Some(found) = found else {
            return Err((format!("there is no context {name:?} in {}", self.files(surroundings)), Some(self.there_are())));
        };
        let lacks = |what: &str, of: &str| {
            (format!("the context {name:?} names the {what} {of:?}, which is not in {}", self.files(surroundings)), None)
        };
        let clusters = &mut self.merged.clusters.iter();
        let cluster = clusters.find(|cluster| cluster.name == found.cluster).and_then(|cluster| cluster.cluster.clone());
        let cluster = cluster.ok_or_else(|| lacks("cluster", &found.cluster))?;
        let user = found.user.filter(|user| !user.is_empty());
        let identity = match &user {
            None => AuthInfo::default(),
            Some(user) => {
                let there = self.merged.auth_infos.iter().find(|there| there.name == *user);
                there.ok_or_else(|| lacks("user", user))?.auth_info.clone().unwrap_or_default()
            }
        };
        one_of_each(&found.cluster, &cluster, user.as_deref().unwrap_or_default(), &identity)?;
        let server = address::parse(cluster.server.as_deref().unwrap_or_default());
        let server = server.map_err(|(why, help)| (format!("the cluster {:?} of the context {name:?}: {why}", found.cluster), help))?;
        Ok(Context {
            name: name.to_owned(),
            file: self.places.get(name).cloned().unwrap_or_default(),
            server,
            cluster,
            user,
            identity,
            namespace: found.namespace.filter(|namespace| !namespace.is_empty()),
            repository: self.repository.clone(),
        })
    }

    /// A context whose cluster is at this address: the current one where it is one of them, else the first.
    pub(super) fn context_at(&self, server: &Uri, surroundings: &Surroundings) -> Result<Option<Context>, Missing> {
        let current = self.merged.current_context.iter();
        let names = current.chain(self.merged.contexts.iter().map(|context| &context.name));
        let at_server = |name: &&String| self.server_of(name).is_some_and(|there| address::same(&there, server));
        names.into_iter().find(at_server).map(|name| self.context(Some(name), surroundings)).transpose()
    }

    fn server_of(&self, context: &str) -> Option<Uri> {
        let context = self.merged.contexts.iter().find(|there| there.name == context)?.context.as_ref()?;
        let cluster = self.merged.clusters.iter().find(|there| there.name == context.cluster)?.cluster.as_ref()?;
        address::parse(cluster.server.as_deref()?).ok()
    }

    /// The names of all contexts, as a sentence.
    pub(super) fn there_are(&self) -> String {
        let names: Vec<&str> = self.merged.contexts.iter().map(|context| context.name.as_str()).collect();
        if names.is_empty() { "there is no context".to_owned() } else { format!("there are: {}", names.join(", ")) }
    }
}

/// The kind and the name of an entry that one file has twice. Of entries in different files the first one counts.
fn twice(file: &kube::config::Kubeconfig) -> Option<(&'static str, String)> {
    fn second<'f>(mut names: impl Iterator<Item = &'f String>) -> Option<String> {
        let mut seen = BTreeSet::new();
        names.find(|name| !seen.insert(*name)).cloned()
    }
    let clusters = second(file.clusters.iter().map(|cluster| &cluster.name)).map(|name| ("cluster", name));
    let contexts = || second(file.contexts.iter().map(|context| &context.name)).map(|name| ("context", name));
    let users = || second(file.auth_infos.iter().map(|user| &user.name)).map(|name| ("user", name));
    clusters.or_else(contexts).or_else(users)
}

/// Refuses two ways of saying one thing, as kubectl does (`clientcmd.ConfirmUsable`): which one counts would be a guess.
fn one_of_each(cluster: &str, of: &Cluster, user: &str, identity: &AuthInfo) -> Result<(), Missing> {
    let is_said = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let ca = [
        ("certificate-authority", is_said(&of.certificate_authority)),
        ("certificate-authority-data", is_said(&of.certificate_authority_data)),
    ];
    let is_https = of.server.as_deref().is_some_and(|server| !server.starts_with("http://"));
    let insecure = ("insecure-skip-tls-verify", is_https && of.insecure_skip_tls_verify == Some(true));
    let token = identity.token.is_some() || is_said(&identity.token_file);
    let pairs = [
        ("cluster", cluster, ca[0], ca[1]),
        ("cluster", cluster, ca[0], insecure),
        ("cluster", cluster, ca[1], insecure),
        (
            "user",
            user,
            ("client-certificate", is_said(&identity.client_certificate)),
            ("client-certificate-data", is_said(&identity.client_certificate_data)),
        ),
        ("user", user, ("client-key", is_said(&identity.client_key)), ("client-key-data", identity.client_key_data.is_some())),
        ("user", user, ("token", token), ("username", is_said(&identity.username))),
    ];
    match pairs.into_iter().find(|(_, _, one, other)| one.1 && other.1) {
        None => Ok(()),
        Some((what, name, (one, _), (other, _))) => {
            let why = format!("the {what} {name:?} has both `{one}` and `{other}`, of which kubectl takes one alone");
            Err((why, Some(format!("remove one of both from the {what}"))))
        }
    }
}

/// The folder of the repository that a file came with, where it did. What a repository brings must not run programs, or send files
/// of its user somewhere. So a file is the user's own where they keep kubeconfigs (`KUBECONFIG`, `~/.kube`), or where its path is
/// written in full and leads out of the repository. What counts is where the file really is.
fn came_with(written: &str, path: &Path, surroundings: &Surroundings) -> Option<PathBuf> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (file, repository) = (real(path), repository(&real(&surroundings.folder)));
    if surroundings.kubeconfigs().iter().any(|own| real(own) == file) {
        return None;
    }
    let kept = surroundings.home.as_ref().map(|home| real(&home.join(".kube"))).filter(|kept| !repository.starts_with(kept));
    let is_kept = kept.is_some_and(|kept| file.starts_with(kept));
    let in_full = Path::new(written).is_absolute() || written.starts_with("~/");
    let is_own = is_kept || (in_full && !file.starts_with(&repository));
    (!is_own).then_some(repository)
}

/// The outermost repository around a folder; the folder itself where there is none.
fn repository(folder: &Path) -> PathBuf {
    folder.ancestors().filter(|above| above.join(".git").exists()).last().unwrap_or(folder).to_owned()
}

/// Why a file is none, without a word of what is in it: that may be a credential.
fn reason(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        KubeconfigError::Parse(error) => {
            let place = error.location().map(|place| format!(" (line {}, column {})", place.line(), place.column()));
            format!("it is no kubeconfig{}", place.unwrap_or_default())
        }
        other => other.to_string(),
    }
}
