//! Files for a container and from it: the engine takes and gives tar archives.

use std::io::Read as _;

use bytes::Bytes;

/// Who a file belongs to: the numbers of a user and of a group.
pub(crate) type Ids = (u64, u64);

/// Whom a file belongs to where nothing is said.
pub(crate) const ROOT: Ids = (0, 0);

/// Files by their absolute path in the container, with their permission bits and owners.
pub(crate) struct Archive {
    archive: tar::Builder<Vec<u8>>,
    has_files: bool,
}

impl Default for Archive {
    fn default() -> Self {
        Self { archive: tar::Builder::new(Vec::new()), has_files: false }
    }
}

impl Archive {
    /// Adds a file. Folders that are missing are made by the engine.
    ///
    /// # Errors
    /// Where the path cannot be in an archive.
    pub fn add(&mut self, path: &str, content: &[u8], mode: u32, (user, group): Ids) -> std::io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(user);
        header.set_gid(group);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        self.has_files = true;
        self.archive.append_data(&mut header, path.trim_start_matches('/'), content)
    }

    /// The archive; None where nothing was added.
    ///
    /// # Errors
    /// None that is known.
    pub fn finish(self) -> std::io::Result<Option<Bytes>> {
        let bytes = self.archive.into_inner()?;
        Ok(self.has_files.then(|| bytes.into()))
    }
}

/// A file of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Without folders.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    pub owner: Ids,
    pub content: Vec<u8>,
}

/// The files of an archive.
///
/// # Errors
/// Where it is no archive.
pub(crate) fn files(archive: &[u8]) -> std::io::Result<Vec<File>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let name = entry.path()?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let (mode, owner) = (entry.header().mode()?, (entry.header().uid()?, entry.header().gid()?));
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            found.push(File { name, mode, owner, content });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_survive_the_round_trip() {
        let mut archive = Archive::default();
        let long = format!("/etc/{}/app.conf", "a".repeat(120));
        archive.add(&long, b"one\n", 0o400, (7, 8)).unwrap();
        archive.add("/etc/other", b"", 0o444, ROOT).unwrap();
        let bytes = archive.finish().unwrap().unwrap();
        let file = |name: &str, mode, owner, content: &[u8]| File { name: name.into(), mode, owner, content: content.to_vec() };
        assert_eq!(files(&bytes).unwrap(), [file("app.conf", 0o400, (7, 8), b"one\n"), file("other", 0o444, ROOT, b"")]);
    }

    #[test]
    fn nothing_is_no_archive() {
        assert!(Archive::default().finish().unwrap().is_none());
    }
}
