//! An image with the balancer, as the image of Stratos has it: `ENTRYPOINT ["stratos"]`, `balance FILE`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use stratos_test_platforms::Engines;

/// Its name on the engine.
const NAME: &str = "stratos-for-tests:1";

/// What `stratos balance FILE` is here.
const STRATOS: &str = "#!/bin/sh\n[ \"$1\" = balance ] || exit 64\nexec /bin/stratos-balancer \"$2\"\n";

/// Makes the image once for an engine. Returns its name.
pub fn name(engines: &Engines) -> &'static str {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| make(engines));
    NAME
}

fn make(engines: &Engines) {
    let program = build();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/bin/busybox", root.join("bin/sh")).unwrap();
    fs::copy(&program, root.join("bin/stratos-balancer")).unwrap();
    fs::write(root.join("bin/stratos"), STRATOS).unwrap();
    fs::set_permissions(root.join("bin/stratos"), fs::Permissions::from_mode(0o755)).unwrap();
    for library in libraries(&program) {
        let place = root.join(library.strip_prefix("/").unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&library, place).unwrap();
    }
    let archive = folder.path().join("image.tar").display().to_string();
    let root = root.display().to_string();
    let status = Command::new("tar").args(["--create", "--file", &archive, "--directory", &root, "."]).status().unwrap();
    assert!(status.success());
    engines.docker(0, &["import", "-c", "ENV PATH=/bin", "-c", r#"ENTRYPOINT ["stratos"]"#, &archive, NAME]);
}

/// The balancer's program: Cargo builds no program of another package for these tests.
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--quiet", "--package", "stratos-balancer"]).status().unwrap();
    assert!(built.success(), "the balancer cannot be built");
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().map(|folder| folder.join("stratos-balancer")).find(|file| file.is_file()).expect("the program that was built")
}

/// The shared libraries that a program needs, its loader included.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}
