//! What can be said of the container image without building it.

use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn manifest() -> toml::Table {
    read("Cargo.toml").parse().unwrap()
}

/// The build sees the members of the workspace, and the catalogue that the program embeds.
#[test]
fn the_context_holds_what_the_program_is_built_from() {
    let ignored = read(".dockerignore");
    let ignored: Vec<&Path> = ignored.lines().filter(|line| !line.is_empty()).map(Path::new).collect();
    let manifest = manifest();
    let members = manifest["workspace"]["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap());
    let needed: Vec<&str> = members.filter(|member| *member != ".").chain(["Cargo.lock", "src", "cartridges"]).collect();
    assert!(needed.len() > 5, "{needed:?}");
    for path in needed.iter().map(Path::new) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{} is not there", path.display());
        assert!(!ignored.iter().any(|hidden| path.starts_with(hidden)), "{} is not in the context", path.display());
    }
}

/// The compiler is the one that the sources ask for, the profile is there, the user is not root, and nothing is asked of the
/// builder that the one without BuildKit does not have.
#[test]
fn the_image_is_built_as_the_workspace_says_and_runs_as_nobody_special() {
    let dockerfile = read("Dockerfile");
    let manifest = manifest();
    let version = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(dockerfile.contains(&format!("FROM rust:{version}-")), "{dockerfile}");
    assert!(dockerfile.contains("--profile dist ") && manifest["profile"].get("dist").is_some(), "{dockerfile}");
    let user = dockerfile.lines().filter_map(|line| line.strip_prefix("USER ")).next_back();
    assert!(user.is_some_and(|user| user.parse::<u32>().is_ok_and(|number| number > 0)), "{user:?}");
    assert!(!dockerfile.contains("--mount") && !dockerfile.contains("<<"), "{dockerfile}");
}
