//! Invariants of the layout that neither Cargo nor clippy keeps.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut out);
    assert!(!out.is_empty(), "{folder} holds no sources");
    out
}

/// The files below `folder` that hold one of these words, but for the allowed ones.
fn offenders(folder: &str, words: &[&str], allowed: &[&str]) -> Vec<String> {
    let holds = |text: &str| words.iter().any(|word| text.contains(word));
    let is_allowed = |path: &Path| allowed.iter().any(|allowed| path.ends_with(allowed));
    let found = sources(folder).into_iter().filter(|(path, text)| !is_allowed(path) && holds(text));
    found.map(|(path, _)| path.display().to_string()).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_pure_stages_know_no_runtime_and_no_clock() {
    let impure = ["tokio", "async fn", "Instant", "SystemTime", "std::fs", "std::env"];
    assert_eq!(offenders("crates/engine/src/plan", &impure, &[]), NOTHING);
    for file in ["crates/engine/src/compare.rs", "crates/engine/src/plan.rs"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        assert!(!impure.iter().any(|word| text.contains(word)), "{file}");
    }
}

#[test]
fn platforms_are_read_and_written_from_one_place_each() {
    assert_eq!(offenders("crates/engine/src", &["platform.apply("], &["apply/write.rs"]), NOTHING);
    assert_eq!(offenders("crates/engine/src", &["platform.observe("], &["src/observe.rs"]), NOTHING);
    assert_eq!(offenders("src", &[".observe(&", "Platform::apply", "Platform::observe"], &[]), NOTHING);
}

#[test]
fn only_the_program_reads_the_environment_and_the_home_directory() {
    let words = ["std::env::var", "env::vars", "env::home_dir", "env::var_os"];
    assert_eq!(offenders("crates/engine/src", &words, &["tests.rs"]), NOTHING);
    for folder in ["crates/registry/src", "crates/docker/src", "crates/kubernetes/src"] {
        assert_eq!(offenders(folder, &words, &[]), NOTHING);
    }
    // A supervisor passes its own environment on, and is started with that of the program.
    assert_eq!(offenders("crates/local/src", &words, &["src/supervisor.rs", "src/client.rs"]), NOTHING);
}

#[test]
fn no_module_is_a_drawer() {
    let drawers = ["utils", "util", "helpers", "common", "core", "misc"];
    let all = [sources("src"), sources("crates")].concat();
    let named = all.iter().filter(|(path, _)| {
        path.components().any(|c| drawers.iter().any(|d| c.as_os_str() == *d || c.as_os_str() == format!("{d}.rs").as_str()))
    });
    assert_eq!(named.count(), 0);
}

#[test]
fn every_test_file_is_part_of_the_test_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs").filter(|m| *m != "main") else { continue };
        assert!(main.contains(&format!("mod {module};")), "tests/it/{name} is forgotten: it is no module of main.rs");
    }
}
