//! The environments of a project, found by their folders: what nobody would look for by name.

use std::io;
use std::path::{Path, PathBuf};

use stratos_engine::desired::name::Name;

use crate::folder::Folder;

/// The folder of an environment below the folder of all of them. `project` is what its objects are marked with.
pub fn environment_folder(root: &Path, project: &str, environment: &Name) -> PathBuf {
    root.join(format!("{project}-{environment}"))
}

/// Notes that an environment is left behind on purpose: [`environments`] does not name it until something is written there again.
///
/// # Errors
/// Where its folder cannot be written to. That there is none is no error.
pub fn abandon(root: &Path, project: &str, environment: &Name) -> io::Result<()> {
    let folder = Folder::new(&environment_folder(root, project, environment));
    match std::fs::write(folder.abandoned(), "") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written,
    }
}

/// The environments of a project below the folder of all environments, in the order of their names; without those that were
/// abandoned.
///
/// A folder's name alone does not tell where the project's ends (`shop-api-dev`): some may be another project's. The marks
/// of what is in them tell, and `observe` goes by those. What this user may not look into, this user has not made.
pub fn environments(root: &Path, project: &str) -> Vec<Name> {
    let quiet = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory, io::ErrorKind::PermissionDenied];
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) => {
            if !quiet.contains(&error.kind()) {
                tracing::warn!(folder = %root.display(), %error, "it is not known which local environments there are");
            }
            return Vec::new();
        }
    };
    let prefix = format!("{project}-");
    let kept = entries.flatten().filter(|entry| !Folder::new(&entry.path()).abandoned().exists());
    let named = kept.filter_map(|entry| Name::new(entry.file_name().to_str()?.strip_prefix(&prefix)?).ok());
    let mut names: Vec<Name> = named.collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environments_of_a_project_are_found_by_their_folders() {
        let root = tempfile::tempdir().unwrap();
        let dev = Name::new("dev").unwrap();
        for folder in [environment_folder(root.path(), "shop", &dev), root.path().join("shop-api-dev"), root.path().join("other-dev")] {
            std::fs::create_dir(folder).unwrap();
        }
        std::fs::create_dir(root.path().join("shop-No Name")).unwrap();
        assert_eq!(environments(root.path(), "shop").iter().map(Name::as_str).collect::<Vec<_>>(), ["api-dev", "dev"]);
        abandon(root.path(), "shop", &dev).unwrap();
        assert_eq!(environments(root.path(), "shop").iter().map(Name::as_str).collect::<Vec<_>>(), ["api-dev"]);
        let missing = root.path().join("missing");
        assert!(environments(&missing, "shop").is_empty());
        abandon(&missing, "shop", &dev).unwrap();
        assert!(!missing.exists());
    }
}
