//! Where the manifest stands in its git repository.

use std::path::Path;
use std::sync::Mutex;

use stratos_engine::deploy::History;

/// The history of the repository that a manifest lies in. A tree with uncommitted changes counts as its commit: the
/// revision tells older from newer, and does not tell what was applied.
pub struct GitHistory {
    /// libgit2's objects may move between threads and not be shared.
    repository: Mutex<git2::Repository>,
    head: git2::Oid,
}

impl GitHistory {
    /// The history of what lies in this folder. None where it is in no repository, or in one without a commit.
    pub fn of(folder: &Path) -> Option<Self> {
        let repository = git2::Repository::discover(folder)
            .inspect_err(|error| tracing::debug!(folder = %folder.display(), %error, "no git repository"))
            .ok()?;
        let head = repository.head().and_then(|head| head.peel_to_commit()).map(|commit| commit.id()).ok()?;
        Some(Self { repository: Mutex::new(repository), head })
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(repository: &git2::Repository, message: &str) -> String {
        let author = git2::Signature::now("Someone", "someone@example.com").unwrap();
        let tree = repository.find_tree(repository.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let parent = repository.head().and_then(|head| head.peel_to_commit()).ok();
        let parents: Vec<_> = parent.iter().collect();
        repository.commit(Some("HEAD"), &author, &author, message, &tree, &parents).unwrap().to_string()
    }

    #[test]
    fn a_commit_is_older_than_its_descendants_alone() {
        let folder = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(folder.path()).unwrap();
        assert!(GitHistory::of(folder.path()).is_none(), "no commit yet");
        let first = commit(&repository, "first");
        let at_first = GitHistory::of(folder.path()).unwrap();
        let second = commit(&repository, "second");
        let at_second = GitHistory::of(folder.path()).unwrap();
        assert_eq!(at_second.revision(), Some(second.clone()));
        assert_eq!(at_first.is_older_than(&second), Some(true));
        assert_eq!(at_second.is_older_than(&first), Some(false));
        assert_eq!(at_second.is_older_than(&second), Some(false), "not older than itself");
        assert_eq!(at_second.is_older_than(&"0".repeat(40)), None, "not in this history");
        assert_eq!(at_second.is_older_than("nonsense"), None);
    }
}
