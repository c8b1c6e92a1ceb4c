//! What the caller says about an environment on this machine.

use std::ffi::OsString;
use std::path::PathBuf;

use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;

/// One environment on this machine. Nothing here is read from the process's environment: the caller decides.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// The environment's state folder. It is made (mode 0700) when something is first written.
    pub folder: PathBuf,
    /// The environment's name.
    pub environment: Name,
    /// Who we are: what does not carry this mark is not touched.
    pub owner: Owner,
    /// The program and the arguments that end in [`supervisor::run`](crate::supervisor::run). What that function needs
    /// (the folder, and more) is appended; the program hands it on as it is.
    pub supervisor: Vec<OsString>,
    /// The folder in which commands start: the manifest's. Without one, each instance starts in a folder of its own.
    /// It is no part of what is compared, so another checkout of the same project plans nothing.
    pub directory: Option<PathBuf>,
}
