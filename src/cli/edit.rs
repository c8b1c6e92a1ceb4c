//! The manifest's own text, for the commands that edit it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use stratos_engine::manifest::diagnostic::Report;

use super::error::Failure;
use super::session::find_manifest;

/// The manifest's main file.
pub struct ManifestText {
    path: PathBuf,
    text: String,
}

impl ManifestText {
    /// Reads it.
    pub fn read() -> Result<Self, Failure> {
        let path = find_manifest()?;
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::new(format!("reading {}: {error}", path.display())))?;
        Ok(Self { path, text })
    }

    /// The folder that it is in.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Writes it as it was read, where the change turned out to be wrong.
    pub fn restore(&self) -> Result<(), Failure> {
        self.write(&self.text)
    }

    /// Changes it. Returns whether there was anything to change. The file is replaced as a whole: a crash leaves the old one
    /// or the new one.
    pub fn edit(&self, edit: impl FnOnce(&str) -> Result<String, Report>) -> Result<bool, Failure> {
        let edited = edit(&self.text)?;
        if edited == self.text {
            return Ok(false);
        }
        self.write(&edited)?;
        Ok(true)
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("writing {}: {error}", self.path.display()));
        // A manifest behind a symbolic link stays behind it.
        let target = self.path.canonicalize().map_err(failed)?;
        let folder = target.parent().unwrap_or(Path::new("."));
        let permissions = std::fs::metadata(&target).map_err(failed)?.permissions();
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().set_permissions(permissions)).map_err(failed)?;
        file.persist(&target).map_err(|error| failed(error.error))?;
        Ok(())
    }
}
