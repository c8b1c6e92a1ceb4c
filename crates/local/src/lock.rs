//! Files that one process holds locked, until it lets go or dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A locked file. The kernel takes the lock back when the holder dies, however it dies.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// The same lock for another process: it ends when both have let go.
    pub fn share(&self) -> io::Result<File> {
        self.0.try_clone()
    }

    /// Whether it keeps others out still: not where its file was removed, or moved away with its folder.
    pub fn is_at(&self, path: &Path) -> io::Result<bool> {
        is_at(&self.0, path)
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = match std::fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    let ours = file.metadata()?;
    Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

/// What came of an attempt to lock.
pub(crate) enum Attempt {
    Locked(Lock),
    /// Somebody holds it; the text is what they wrote about themselves.
    HeldBy(String),
}

/// Locks a file, and writes into it who holds it. Does not wait.
pub(crate) fn acquire(path: &Path, holder: &str) -> io::Result<Attempt> {
    loop {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                return Ok(Attempt::HeldBy(text.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever held it before may have removed it: then what is locked is a file that nobody else can find.
        if is_at(&file, path)? {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{holder}")?;
            return Ok(Attempt::Locked(Lock(file)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let Attempt::Locked(first) = acquire(&path, "ann").unwrap() else { panic!("it was free") };
        assert!(matches!(acquire(&path, "bob").unwrap(), Attempt::HeldBy(who) if who == "ann"));
        drop(first);
        assert!(matches!(acquire(&path, "bob").unwrap(), Attempt::Locked(_)));
    }

    #[test]
    fn a_lock_on_a_removed_file_keeps_nobody_out_and_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let Attempt::Locked(_first) = acquire(&path, "ann").unwrap() else { panic!("it was free") };
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(acquire(&path, "bob").unwrap(), Attempt::Locked(_)));
    }
}
