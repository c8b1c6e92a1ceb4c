//! Files for a container and from it: the engine takes and gives tar archives.

use std::io::Read as _;

use bytes::Bytes;

/// Files by their absolute path in the container, with their permission bits. They belong to root.
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
    pub fn add(&mut self, path: &str, content: &[u8], mode: u32) -> std::io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
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

/// The files of an archive: their names without folders, permission bits and content.
///
/// # Errors
/// Where it is no archive.
pub(crate) fn files(archive: &[u8]) -> std::io::Result<Vec<(String, u32, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let name = entry.path()?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let mode = entry.header().mode()?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            found.push((name, mode, content));
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
        archive.add(&long, b"one\n", 0o400).unwrap();
        archive.add("/etc/other", b"", 0o444).unwrap();
        let bytes = archive.finish().unwrap().unwrap();
        assert_eq!(files(&bytes).unwrap(), [("app.conf".into(), 0o400, b"one\n".to_vec()), ("other".into(), 0o444, vec![])]);
    }

    #[test]
    fn nothing_is_no_archive() {
        assert!(Archive::default().finish().unwrap().is_none());
    }
}
