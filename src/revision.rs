//! Where the manifest stands in its git repository.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use stratos_engine::deploy::History;

/// So many versions of the manifest are compared with the present one: the last committed one, which is the present one in a
/// pipeline that runs after the commit, and the one before.
const VERSIONS: usize = 2;
/// So many commits are looked at for them. Most do not touch the manifest, and reading a tree takes some microseconds.
const LOOKED_AT: usize = 200;

/// The history of the repository that a manifest lies in. A tree with uncommitted changes counts as its commit: the
/// revision tells older from newer, and does not tell what was applied.
pub struct GitHistory {
    /// libgit2's objects may move between threads and not be shared.
    repository: Mutex<git2::Repository>,
    head: git2::Oid,
    /// The manifest's path in the repository.
    manifest: Option<PathBuf>,
}

impl GitHistory {
    /// The history of a manifest. None where it is in no repository, or in one without a commit.
    pub fn of(manifest: &Path) -> Option<Self> {
        let folder = manifest.parent()?;
        let repository = git2::Repository::discover(folder)
            .inspect_err(|error| tracing::debug!(folder = %folder.display(), %error, "no git repository"))
            .ok()?;
        let head = repository.head().and_then(|head| head.peel_to_commit()).map(|commit| commit.id()).ok()?;
        // Both sides without symbolic links, or one would not start with the other.
        let inside = |root: &Path| {
            let (root, manifest) = (root.canonicalize().ok()?, manifest.canonicalize().ok()?);
            Some(manifest.strip_prefix(root).ok()?.to_path_buf())
        };
        let manifest = repository.workdir().and_then(inside);
        Some(Self { repository: Mutex::new(repository), head, manifest })
    }
}

impl History for GitHistory {
    fn revision(&self) -> Option<String> {
        Some(self.head.to_string())
    }

    fn is_older_than(&self, live: &str) -> Option<bool> {
        let live = git2::Oid::from_str(live).ok()?;
        let repository = self.repository.lock().unwrap_or_else(|e| e.into_inner());
        repository.graph_descendant_of(live, self.head).ok()
    }

    fn earlier_manifests(&self) -> Vec<String> {
        let Some(path) = &self.manifest else { return Vec::new() };
        let repository = self.repository.lock().unwrap_or_else(|e| e.into_inner());
        let blob = |commit: &git2::Commit<'_>| Some(commit.tree().ok()?.get_path(path).ok()?.id());
        let text = |id| String::from_utf8(repository.find_blob(id).ok()?.content().to_vec()).ok();
        // The first parent is the branch that the others were merged into.
        let commits = std::iter::successors(repository.find_commit(self.head).ok(), |commit| commit.parent(0).ok());
        let mut versions: Vec<git2::Oid> = commits.take(LOOKED_AT).filter_map(|commit| blob(&commit)).collect();
        versions.dedup();
        versions.into_iter().take(VERSIONS).filter_map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits this text as `deploy/stratos.toml`.
    fn commit(repository: &git2::Repository, text: &str) -> String {
        let author = git2::Signature::now("Someone", "someone@example.com").unwrap();
        let folder = repository.workdir().unwrap().join("deploy");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("stratos.toml"), text).unwrap();
        let mut index = repository.index().unwrap();
        index.add_path(Path::new("deploy/stratos.toml")).unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let parent = repository.head().and_then(|head| head.peel_to_commit()).ok();
        let parents: Vec<_> = parent.iter().collect();
        repository.commit(Some("HEAD"), &author, &author, text, &tree, &parents).unwrap().to_string()
    }

    fn repository() -> (tempfile::TempDir, git2::Repository, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(folder.path()).unwrap();
        let manifest = folder.path().join("deploy/stratos.toml");
        (folder, repository, manifest)
    }

    #[test]
    fn a_commit_is_older_than_its_descendants_alone() {
        let (_folder, repository, manifest) = repository();
        assert!(GitHistory::of(&manifest).is_none(), "no commit yet");
        let first = commit(&repository, "first");
        let at_first = GitHistory::of(&manifest).unwrap();
        let second = commit(&repository, "second");
        let at_second = GitHistory::of(&manifest).unwrap();
        assert_eq!(at_second.revision(), Some(second.clone()));
        assert_eq!(at_first.is_older_than(&second), Some(true));
        assert_eq!(at_second.is_older_than(&first), Some(false));
        assert_eq!(at_second.is_older_than(&second), Some(false), "not older than itself");
        assert_eq!(at_second.is_older_than(&"0".repeat(40)), None, "not in this history");
        assert_eq!(at_second.is_older_than("nonsense"), None);
    }

    #[test]
    fn commits_that_leave_the_manifest_alone_do_not_push_its_earlier_version_out_of_sight() {
        let (_folder, repository, manifest) = repository();
        for text in ["first", "second", "second", "second"] {
            commit(&repository, text);
        }
        assert_eq!(GitHistory::of(&manifest).unwrap().earlier_manifests(), ["second", "first"]);
    }

    #[test]
    fn earlier_manifests_are_the_last_two_that_were_committed() {
        let (_folder, repository, manifest) = repository();
        commit(&repository, "first");
        assert_eq!(GitHistory::of(&manifest).unwrap().earlier_manifests(), ["first"]);
        commit(&repository, "second");
        commit(&repository, "third");
        std::fs::write(&manifest, "not committed").unwrap();
        assert_eq!(GitHistory::of(&manifest).unwrap().earlier_manifests(), ["third", "second"]);
    }
}
