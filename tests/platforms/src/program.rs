//! Images of programs that were built here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Engines;

/// Makes an image on an engine that holds these programs in `/bin`, each under a name, with the shared libraries that they
/// need; the last is its entry point.
///
/// # Panics
/// When the image cannot be made.
pub fn image_of(engines: &Engines, engine: usize, image: &str, programs: &[(&str, &Path)]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("root");
    lay_out(&root, programs).unwrap_or_else(|error| panic!("the image {image}: {error}"));
    let archive = folder.path().join("image.tar").display().to_string();
    let root = root.display().to_string();
    let archived = Command::new("tar").args(["--create", "--file", &archive, "--directory", &root, "."]).status();
    assert!(archived.is_ok_and(|status| status.success()), "tar of {image}");
    let entry_point = format!("ENTRYPOINT [{:?}]", programs.last().expect("a program").0);
    engines.docker(engine, &["import", "-c", "ENV PATH=/bin", "-c", &entry_point, &archive, image]);
}

fn lay_out(root: &Path, programs: &[(&str, &Path)]) -> std::io::Result<()> {
    fs::create_dir_all(root.join("bin"))?;
    for (name, program) in programs {
        fs::copy(program, root.join("bin").join(name))?;
        for library in libraries(program)? {
            let place = root.join(library.strip_prefix("/").unwrap_or(&library));
            fs::create_dir_all(place.parent().unwrap_or(root))?;
            fs::copy(&library, place)?;
        }
    }
    Ok(())
}

/// The shared libraries that a program needs, its loader included; none of a script.
fn libraries(program: &Path) -> std::io::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}
