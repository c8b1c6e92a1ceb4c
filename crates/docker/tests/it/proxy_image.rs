//! An image with the balancer, as the image of Stratos has it: `ENTRYPOINT ["stratos"]`, `balance FILE`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use stratos_test_platforms::{Engines, image_of, unique_name};

/// What `stratos balance FILE` is here.
const STRATOS: &str = "#!/bin/sh\n[ \"$1\" = balance ] || exit 64\nexec /bin/stratos-balancer \"$2\"\n";

/// Makes the image once for the first of these engines. Returns its name, which no other process gives to another image.
pub fn name(engines: &Engines) -> String {
    static MADE: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(engines.socket(0)).or_insert_with(|| make(engines)).clone()
}

fn make(engines: &Engines) -> String {
    let name = format!("stratos-for-tests:{}", unique_name());
    let folder = tempfile::tempdir().unwrap();
    let stratos = folder.path().join("stratos");
    fs::write(&stratos, STRATOS).unwrap();
    fs::set_permissions(&stratos, fs::Permissions::from_mode(0o755)).unwrap();
    image_of(engines, 0, &name, &[("sh", Path::new("/bin/busybox")), ("stratos-balancer", &build()), ("stratos", &stratos)]);
    name
}

/// The balancer's program: Cargo builds no program of another package for these tests.
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--quiet", "--package", "stratos-balancer"]).status().unwrap();
    assert!(built.success(), "the balancer cannot be built");
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().map(|folder| folder.join("stratos-balancer")).find(|file| file.is_file()).expect("the program that was built")
}
