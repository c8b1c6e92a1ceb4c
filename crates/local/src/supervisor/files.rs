//! The files of an instance: written when it is made, and compared with what is on the disk when somebody asks.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use crate::folder::create_private;
use crate::supervisor::spec::{File, Template};

/// Where a file lies below an instance's folder of files. None for a path that would lead out of it.
pub(crate) fn place(root: &Path, path: &str) -> Option<PathBuf> {
    let mut place = root.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(part) => place.push(part),
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (place != root).then_some(place)
}

/// Writes all files of an instance.
pub(crate) fn write(root: &Path, template: &Template) -> io::Result<()> {
    create_private(root)?;
    for (path, file) in &template.files {
        let place = place(root, path).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} leads nowhere")))?;
        write_one(&place, file).map_err(|e| io::Error::new(e.kind(), format!("writing {path}: {e}")))?;
    }
    Ok(())
}

fn write_one(place: &Path, file: &File) -> io::Result<()> {
    if let Some(folder) = place.parent() {
        create_private(folder)?;
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
    open.write_all(file.content.0.as_bytes())?;
    // After writing, since the mode may forbid it; and explicitly, since a umask may have narrowed it.
    open.set_permissions(fs::Permissions::from_mode(file.mode_on_disk()))
}

/// How a file on the disk differs from what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Drift {
    Missing,
    Content(Vec<u8>),
    Mode(u32),
}

/// Compares a file with the disk. A file that its own mode keeps from being read is compared by its mode alone.
pub(crate) fn drift(root: &Path, path: &str, file: &File) -> Option<Drift> {
    let place = place(root, path)?;
    let Ok(metadata) = fs::metadata(&place) else { return Some(Drift::Missing) };
    let mode = metadata.permissions().mode() & 0o777;
    if mode != file.mode_on_disk() {
        return Some(Drift::Mode(mode));
    }
    match fs::read(&place) {
        Ok(content) if content == file.content.0.as_bytes() => None,
        Ok(content) => Some(Drift::Content(content)),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Value;

    fn file(content: &str, mode: u32, secret: bool) -> File {
        File { content: Value(content.to_owned().into()), mode, secret }
    }

    #[test]
    fn a_path_never_leads_out_of_the_folder() {
        let root = Path::new("/run/7");
        assert_eq!(place(root, "/etc/app.conf"), Some("/run/7/etc/app.conf".into()));
        assert_eq!(place(root, "/etc/../../../passwd"), None);
        assert_eq!(place(root, "/"), None);
    }

    #[test]
    fn what_was_written_has_not_drifted_and_what_was_edited_has() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("files");
        let mut template = Template::default();
        template.files.insert("/etc/app.conf".into(), file("a = 1\n", 0o644, false));
        template.files.insert("/etc/key".into(), file("hunter2", 0o444, true));
        write(&root, &template).unwrap();
        let drift_of = |path: &str| drift(&root, path, &template.files[path]);
        assert_eq!((drift_of("/etc/app.conf"), drift_of("/etc/key")), (None, None));
        let mode = fs::metadata(root.join("etc/key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400, "a secret is for its owner alone");

        fs::write(root.join("etc/app.conf"), "a = 2\n").unwrap();
        assert_eq!(drift_of("/etc/app.conf"), Some(Drift::Content(b"a = 2\n".to_vec())));
        fs::set_permissions(root.join("etc/app.conf"), fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(drift_of("/etc/app.conf"), Some(Drift::Mode(0o666)));
        fs::remove_file(root.join("etc/key")).unwrap();
        assert_eq!(drift_of("/etc/key"), Some(Drift::Missing));
    }
}
