//! What keeps the tests and the sources in order.

use std::path::Path;

fn modules(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).map(str::to_owned).collect()
}

/// A file that nobody names is compiled by nobody, and its tests pass by not running.
#[test]
fn every_file_is_a_module() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let named = modules(&std::fs::read_to_string(folder.join("main.rs")).unwrap());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && stem != "main" {
            assert!(named.contains(&stem), "tests/it/{stem}.rs is no module of tests/it/main.rs");
        }
    }
}

/// `clippy.toml` bans the macros; this bans writing to the streams behind them.
#[test]
fn only_the_output_touches_the_standard_streams() {
    fn visit(folder: &Path, check: &dyn Fn(&Path, &str)) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { visit(&path, check) } else { check(&path, &std::fs::read_to_string(&path).unwrap()) }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    visit(&source, &|path, text| {
        if path.ends_with("cli/output.rs") {
            return;
        }
        for banned in ["stdout()", "stderr()", "io::stdout", "println!", "eprintln!"] {
            assert!(!text.contains(banned), "{} uses {banned}: only cli/output.rs prints", path.display());
        }
    });
}
