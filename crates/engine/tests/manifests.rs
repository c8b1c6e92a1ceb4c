//! Manifests as files: `tests/manifests/valid/` loads, and each one in `tests/manifests/invalid/` gives exactly the text beside
//! it. A case is `NAME.toml` or, with includes, a folder `NAME/`. In `tests/manifests/edits/NAME/`
//! the lines of `edits` make of `before.toml` either `after.toml` or `error.txt`. `STRATOS_BLESS=1` writes the texts anew.

use std::path::{Path, PathBuf};

use stratos_engine::manifest::diagnostic::{FileId, Report};
use stratos_engine::manifest::{Manifest, edit, source};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cases of a folder, sorted: name and path.
fn cases(folder: &str) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(root().join("tests/manifests").join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let cases = paths.filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "toml"));
    let mut cases: Vec<_> = cases.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path)).collect();
    cases.sort();
    cases
}

/// Compares with a file, or writes it where that was asked for.
fn compare(path: &Path, actual: &str, differing: &mut Vec<String>) {
    if std::env::var_os("STRATOS_BLESS").is_some() {
        std::fs::write(path, actual).unwrap();
    } else if std::fs::read_to_string(path).unwrap_or_default() != actual {
        differing.push(format!("{}:\n{actual}", path.display()));
    }
}

#[test]
fn valid_manifests_load() {
    let cases = cases("valid");
    assert!(cases.len() >= 8);
    for (name, path) in cases {
        if let Err(report) = Manifest::load(&path) {
            panic!("{name}:\n{report}");
        }
    }
}

#[test]
fn invalid_manifests_give_their_exact_text() {
    let cases = cases("invalid");
    assert!(cases.len() >= 40);
    let mut differing = Vec::new();
    for (name, path) in &cases {
        let report = Manifest::load(path).err().unwrap_or_else(|| panic!("{name} is not refused"));
        assert!(report.diagnostics.iter().all(|diagnostic| diagnostic.span.is_some()), "{name}: a mistake has no place");
        compare(&path.with_file_name(format!("{name}.txt")), &format!("{report}\n"), &mut differing);
    }
    assert!(differing.is_empty(), "these texts differ (STRATOS_BLESS=1 writes them):\n{}", differing.join("\n"));
}

#[test]
fn each_text_belongs_to_a_manifest() {
    let cases = cases("invalid");
    for entry in std::fs::read_dir(root().join("tests/manifests/invalid")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy();
        assert!(cases.iter().any(|(name, _)| *name == stem), "{} belongs to no manifest", path.display());
    }
}

#[test]
fn a_missing_manifest_is_said_to_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let report = Manifest::load(folder.path()).unwrap_err().to_string();
    assert!(report.starts_with("there is no manifest at "), "{report}");
    assert!(report.contains("stratos init"), "{report}");
}

#[test]
#[cfg(unix)]
fn a_link_does_not_lead_out_of_the_folder() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("web.toml"), "image = \"x\"\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratos.toml"), "include = [\"apps/*.toml\"]\n[project]\nname = \"a\"\n").unwrap();
    std::fs::create_dir(folder.path().join("apps")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("web.toml"), folder.path().join("apps/web.toml")).unwrap();
    let report = Manifest::load(folder.path()).unwrap_err().to_string();
    assert_eq!(report, "stratos.toml:1:12: cannot read apps/web.toml: it leads out of the manifest's folder");
}

#[test]
#[cfg(unix)]
fn linked_folders_are_not_walked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stratos.toml"), "include = [\"apps/**/*.toml\"]\n[project]\nname = \"a\"\n").unwrap();
    std::fs::create_dir(folder.path().join("apps")).unwrap();
    std::fs::write(folder.path().join("apps/web.toml"), "image = \"x\"\n").unwrap();
    std::os::unix::fs::symlink(folder.path().join("apps"), folder.path().join("apps/again")).unwrap();
    let manifest = Manifest::load(folder.path()).unwrap();
    assert_eq!(manifest.apps.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["web"]);
}

/// Carries out one line of `edits`: a verb and its words, separated by spaces.
fn carry_out(text: &str, line: &str) -> Result<String, Report> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["add-environment", name, platform, rest @ ..] => {
            let (options, url): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| word.contains('='));
            let options = options.iter().filter_map(|option| option.split_once('='));
            let url = url.first().map(|url| (vec!["url"], (*url).into()));
            let fields: Vec<_> = url.into_iter().chain(options.map(|(key, value)| (vec!["options", key], edit::scalar(value)))).collect();
            edit::add_environment(text, name, platform, &fields)
        }
        ["add-app", name, fields @ ..] => {
            let fields = fields.iter().map(|field| field.split_once('=').unwrap());
            let fields: Vec<_> = fields.map(|(path, value)| (path.split('.').collect(), value.parse().unwrap())).collect();
            edit::add_app(text, name, &fields)
        }
        ["remove-environment", name] => edit::remove_environment(text, name),
        ["remove-app", name] => edit::remove_app(text, name),
        _ => panic!("{line:?} is no edit"),
    }
}

#[test]
fn edits_change_nothing_else() {
    let cases = cases("edits");
    assert!(cases.len() >= 10);
    let mut differing = Vec::new();
    for (name, folder) in &cases {
        let before = std::fs::read_to_string(folder.join("before.toml")).unwrap();
        let edits = std::fs::read_to_string(folder.join("edits")).unwrap();
        let result = edits.lines().try_fold(before, |text, line| carry_out(&text, line));
        let (file, other, actual) = match result {
            Ok(after) => ("after.toml", "error.txt", after),
            Err(report) => ("error.txt", "after.toml", format!("{report}\n")),
        };
        assert!(!folder.join(other).exists(), "{name} gives {file} and has {other}");
        compare(&folder.join(file), &actual, &mut differing);
    }
    assert!(differing.is_empty(), "these texts differ (STRATOS_BLESS=1 writes them):\n{}", differing.join("\n"));
}

#[test]
fn published_schemas_are_what_the_types_say() {
    let mut differing = Vec::new();
    for (file, text) in stratos_engine::manifest::json_schema::published() {
        compare(&root().join("schemas").join(file), &text, &mut differing);
    }
    assert!(differing.is_empty(), "schemas/ is stale; STRATOS_BLESS=1 writes it anew");
}

/// The schema is for editors, so it must not refuse what the program takes; and it should find what is plainly wrong.
#[test]
fn the_published_schema_agrees_with_the_program() {
    let schema = serde_json::from_str(&stratos_engine::manifest::json_schema::manifest_schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        let json = source::parse(&text, FileId(0)).unwrap().to_json();
        validator.iter_errors(&json).map(|error| error.to_string()).collect::<Vec<_>>()
    };
    let valid = cases("valid").into_iter().map(|(_, path)| if path.is_dir() { path.join("stratos.toml") } else { path });
    for path in valid.chain([root().join("stratos.toml.example")]) {
        assert_eq!(errors(&path), [""; 0], "{}", path.display());
    }
    for name in
        ["unknown-key", "misspelt-platform", "wrong-types", "port-range", "project-missing", "secret-sources", "override", "quantities"]
    {
        let path = root().join("tests/manifests/invalid").join(format!("{name}.toml"));
        assert!(!errors(&path).is_empty(), "the schema finds nothing wrong with {name}");
    }
}
