//! What keeps the sources of the program in order.

use std::path::Path;

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
