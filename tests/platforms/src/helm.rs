//! The program `helm`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::cluster::succeeded;

/// `helm`, which is built once on a machine.
pub fn helm() -> PathBuf {
    static HELM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let mut command = Command::new("bash");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/helm/build.sh")).stdin(Stdio::null());
        PathBuf::from(succeeded("helm cannot be built of its Go module (Go 1.26 or later is needed)", command.output()))
    };
    HELM.get_or_init(build).clone()
}
