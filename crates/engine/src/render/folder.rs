//! Files that templates and cartridges are read from: only inside one folder, whatever a path or a symbolic link says.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::native::Bundle;
use crate::desired::quantity::Bytes;

/// The largest template of an app's files, and the largest file of a cartridge.
pub(super) const MAX_FILE: u64 = 1024 * 1024;
/// The most files, and the deepest folders, that a cartridge may have.
const MAX_FILES: usize = 256;
const MAX_DEPTH: usize = 8;
/// The most files and bytes that a folder for a program may have, and its deepest folders: several times what the largest published
/// charts have, with the charts in them.
const MAX_BUNDLE: usize = 4096;
const MAX_BUNDLE_BYTES: u64 = 64 * 1024 * 1024;
const MAX_BUNDLE_DEPTH: usize = 16;

/// A folder that cannot be left.
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at this path; an empty path is the current one.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let root = path.canonicalize().map_err(|e| format!("the folder {} cannot be opened: {e}", path.display()))?;
        Ok(Self { root })
    }

    /// The folder at a relative path inside this one.
    pub(super) fn inner(&self, relative: &str) -> Result<Self, String> {
        let root = self.resolve(relative)?;
        if !root.is_dir() {
            return Err(format!("`{relative}` is not a folder"));
        }
        Ok(Self { root })
    }

    /// The text of a file at a relative path inside.
    pub(super) fn read(&self, relative: &str) -> Result<String, String> {
        self.read_up_to(relative, MAX_FILE)
    }

    /// The text of a file that has at most so many bytes.
    pub(super) fn read_up_to(&self, relative: &str, limit: u64) -> Result<String, String> {
        read_text(&self.resolve(relative)?, relative, limit)
    }

    /// All files inside, by their path with `/`. Symbolic links are refused: a cartridge is what is in its folder.
    pub(super) fn read_all(&self) -> Result<BTreeMap<String, String>, String> {
        let mut files = BTreeMap::new();
        self.collect(&self.root, "", 0, &mut files)?;
        Ok(files)
    }

    /// A file or a whole folder at a relative path inside, as bytes. Symbolic links in it are refused: a program gets what is there.
    pub(super) fn bundle(&self, relative: &str) -> Result<Bundle, String> {
        let found = self.resolve(relative)?;
        let mut left = MAX_BUNDLE_BYTES;
        if !found.is_dir() {
            return Ok(Bundle::File(read_bytes(&found, relative, &mut left)?));
        }
        let mut files = BTreeMap::new();
        let mut folders = vec![(found, String::new(), 0)];
        while let Some((folder, prefix, depth)) = folders.pop() {
            let shown = |name: &str| format!("{relative}/{prefix}{name}");
            if depth > MAX_BUNDLE_DEPTH {
                return Err(format!("`{}` is more than {MAX_BUNDLE_DEPTH} folders deep", shown("")));
            }
            let unreadable = |e: std::io::Error| format!("`{}` cannot be read: {}", shown(""), plain(&e));
            for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let name = entry.file_name();
                let name = name.to_str().ok_or_else(|| format!("a file name in `{}` is not UTF-8", shown("")))?;
                let kind = entry.file_type().map_err(unreadable)?;
                if kind.is_symlink() {
                    return Err(format!("`{}` is a symbolic link, which is not followed here", shown(name)));
                } else if kind.is_dir() {
                    folders.push((entry.path(), format!("{prefix}{name}/"), depth + 1));
                } else if files.len() >= MAX_BUNDLE {
                    return Err(format!("`{relative}` has more than {MAX_BUNDLE} files"));
                } else {
                    files.insert(format!("{prefix}{name}"), read_bytes(&entry.path(), &shown(name), &mut left)?);
                }
            }
        }
        Ok(Bundle::Folder(files))
    }

    fn collect(&self, folder: &Path, prefix: &str, depth: usize, files: &mut BTreeMap<String, String>) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("`{prefix}` is more than {MAX_DEPTH} folders deep"));
        }
        let unreadable = |e: std::io::Error| format!("the folder `{prefix}` cannot be read: {e}");
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| format!("a file name in `{prefix}` is not UTF-8"))?;
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_symlink() {
                return Err(format!("`{path}` is a symbolic link, which a cartridge must not hold"));
            } else if kind.is_dir() {
                self.collect(&entry.path(), &path, depth + 1, files)?;
            } else if files.len() >= MAX_FILES {
                return Err(format!("there are more than {MAX_FILES} files"));
            } else {
                let text = read_text(&entry.path(), &path, MAX_FILE)?;
                files.insert(path, text);
            }
        }
        Ok(())
    }

    fn resolve(&self, relative: &str) -> Result<PathBuf, String> {
        let path = Path::new(relative);
        let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if relative.is_empty() || !inside {
            return Err(format!("`{relative}` is not a path inside this folder: it must be relative and must not hold \"..\""));
        }
        let found = self.root.join(path).canonicalize().map_err(|e| format!("`{relative}` cannot be read: {}", plain(&e)))?;
        if !found.starts_with(&self.root) {
            return Err(format!("`{relative}` leads out of this folder through a symbolic link"));
        }
        Ok(found)
    }
}

/// An I/O error in words, without the number.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        kind => kind.to_string(),
    }
}

/// The bytes of a file, which are taken from those that are left.
fn read_bytes(path: &Path, shown: &str, left: &mut u64) -> Result<Vec<u8>, String> {
    let unreadable = |e: std::io::Error| format!("`{shown}` cannot be read: {}", plain(&e));
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(format!("`{shown}` is not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(unreadable)?.take(*left + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    *left = left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| format!("`{shown}` is too much: no more than {} MiB are read", MAX_BUNDLE_BYTES / 1024 / 1024))?;
    Ok(bytes)
}

fn read_text(path: &Path, shown: &str, limit: u64) -> Result<String, String> {
    let unreadable = |e: std::io::Error| format!("`{shown}` cannot be read: {}", plain(&e));
    // Asked before opening: opening a named pipe would wait for a writer.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(format!("`{shown}` is not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(unreadable)?.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        let how = if limit == MAX_FILE { "" } else { ": `max_file_size` of `[project]` allows larger ones" };
        return Err(format!("`{shown}` is larger than {}{how}", Bytes(limit)));
    }
    checked_text(bytes).map_err(|why| format!("`{shown}` {why}"))
}

/// Text that may be rendered: UTF-8, and without the characters that mark placeholders.
pub(super) fn checked_text(bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    if text.contains(|c| ('\u{FDD0}'..='\u{FDEF}').contains(&c)) {
        return Err("holds Unicode noncharacters (U+FDD0 to U+FDEF), which no text may hold".into());
    }
    Ok(text)
}

#[cfg(test)]
mod unit {
    use super::*;

    fn error(result: Result<String, String>) -> String {
        result.unwrap_err()
    }

    #[test]
    fn only_files_inside_are_read() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        std::fs::create_dir_all(inner.join("sub")).unwrap();
        std::fs::write(outer.path().join("outside"), "secret").unwrap();
        std::fs::write(inner.join("sub/file"), "text").unwrap();
        std::fs::write(inner.join("binary"), [0xff, 0xfe]).unwrap();
        std::fs::write(inner.join("marks"), "\u{FDD0}").unwrap();
        std::fs::write(inner.join("large"), vec![b'x'; MAX_FILE as usize + 1]).unwrap();
        std::os::unix::fs::symlink("../outside", inner.join("link")).unwrap();
        std::os::unix::fs::symlink("..", inner.join("up")).unwrap();
        std::os::unix::fs::symlink("sub/file", inner.join("harmless")).unwrap();

        let folder = Folder::open(&inner).unwrap();
        assert_eq!(folder.read("sub/file").unwrap(), "text");
        assert_eq!(folder.read("./sub/file").unwrap(), "text");
        assert_eq!(folder.read("harmless").unwrap(), "text");
        for (path, why) in [
            ("../outside", "must be relative"),
            ("sub/../../outside", "must be relative"),
            ("/etc/passwd", "must be relative"),
            ("", "must be relative"),
            ("link", "leads out of this folder"),
            ("up/outside", "leads out of this folder"),
            ("missing", "there is no such file"),
            ("sub", "is not a file"),
            ("binary", "is not UTF-8"),
            ("marks", "noncharacters"),
            ("large", "is larger than 1MiB"),
        ] {
            let error = error(folder.read(path));
            assert!(error.contains(why), "{path}: {error}");
        }
        assert_eq!(folder.read_up_to("large", MAX_FILE + 1).map(|text| text.len()), Ok(MAX_FILE as usize + 1));
        assert!(folder.read_all().is_err() && folder.inner("up").is_err());
        for (path, why) in [("../outside", "must be relative"), ("link", "leads out"), ("up", "leads out"), (".", "symbolic link")] {
            let error = folder.bundle(path).unwrap_err();
            assert!(error.contains(why), "{path}: {error}");
        }
        assert_eq!(folder.bundle("binary"), Ok(Bundle::File(vec![0xff, 0xfe])));
        std::fs::create_dir(inner.join("sub/deep")).unwrap();
        std::fs::write(inner.join("sub/deep/binary"), [0xff]).unwrap();
        let bundle = BTreeMap::from([("file".to_owned(), b"text".to_vec()), ("deep/binary".to_owned(), vec![0xff])]);
        assert_eq!(folder.bundle("sub"), Ok(Bundle::Folder(bundle)));
        std::fs::remove_dir_all(inner.join("sub/deep")).unwrap();
        assert_eq!(folder.inner("sub").unwrap().read_all().unwrap().into_iter().collect::<Vec<_>>(), [("file".into(), "text".into())]);
    }
}
