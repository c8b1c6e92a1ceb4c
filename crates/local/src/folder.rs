//! Where things lie in an environment's folder.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The room for a socket's path in the kernel's `sockaddr_un`, without the closing zero byte (unix(7)).
const SOCKET_PATH_LIMIT: usize = 107;

/// An environment's folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the supervisor listens.
    pub fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    /// Why the socket could not be made here, where that is known before.
    pub fn socket_problem(&self) -> Option<String> {
        let length = self.socket().as_os_str().len();
        (length > SOCKET_PATH_LIMIT).then(|| {
            format!("the path of its socket, {}, has {length} bytes; at most {SOCKET_PATH_LIMIT} are possible", self.socket().display())
        })
    }

    /// What is there, as it was last written.
    pub fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// Held by the supervisor while it lives.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.0.join("supervisor.lock")
    }

    /// Held by the one who applies.
    pub fn lease_lock(&self) -> PathBuf {
        self.0.join("lease.lock")
    }

    /// Is there while nobody wants to hear of the environment any more, although something of it is left.
    pub fn abandoned(&self) -> PathBuf {
        self.0.join("abandoned")
    }

    /// What the supervisor itself has to say.
    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    pub fn volumes(&self) -> PathBuf {
        self.0.join("volumes")
    }

    /// A volume's folder: by its uid, so that a rename moves nothing under a running process.
    pub fn volume(&self, uid: &str) -> PathBuf {
        self.volumes().join(uid)
    }

    /// Where a volume's data waits for its removal, which a crash may interrupt.
    pub fn deleted_volume(&self, uid: &str) -> PathBuf {
        self.volumes().join(format!(".deleted-{uid}"))
    }

    pub fn workloads(&self) -> PathBuf {
        self.0.join("workloads")
    }

    pub fn workload(&self, uid: &str) -> PathBuf {
        self.workloads().join(uid)
    }

    /// The log files of a workload's instances.
    pub fn logs(&self, uid: &str) -> PathBuf {
        self.workload(uid).join("logs")
    }

    /// The folder of one instance.
    pub fn instance(&self, uid: &str, serial: u64) -> PathBuf {
        self.workload(uid).join("run").join(serial.to_string())
    }

    /// Makes the folder, closed to everyone else.
    pub fn create(&self) -> io::Result<()> {
        create_private(&self.0)?;
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700))
    }
}

/// Makes a folder and those above it, closed to everyone else where they are new.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_noticed_before_anything_is_made() {
        assert_eq!(Folder::new(Path::new("/tmp/x")).socket_problem(), None);
        let problem = Folder::new(&Path::new("/tmp").join("x".repeat(100))).socket_problem();
        assert!(problem.is_some_and(|p| p.contains("112 bytes")));
    }
}
