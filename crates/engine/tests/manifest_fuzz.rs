//! Whatever a manifest holds, reading, checking and editing it ends, and with an error rather than a panic.

use proptest::prelude::*;
use stratos_engine::manifest::diagnostic::FileId;
use stratos_engine::manifest::{Manifest, check, edit, source, validate};

const EXAMPLE: &str = include_str!("../../../stratos.toml.example");

/// Words that manifests are made of, so that random text gets past the first checks.
const WORDS: [&str; 34] = [
    "[apps.web]",
    "[apps.web.override.dev]",
    "[environments.dev]",
    "[project]",
    "[[moved]]",
    "name",
    "image",
    "ports",
    "health",
    "http",
    "ready",
    "environments",
    "include",
    "unset",
    "files",
    "bind",
    "rollout",
    "=",
    "=",
    "=",
    ".",
    "\"",
    "\"a\"",
    "\"{{ x }}\"",
    "1",
    "-1.5",
    "true",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\n",
    "\r\n",
];

fn toml_like() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60).prop_map(|words| words.join(" "))
}

/// The example with a few places damaged.
fn damaged() -> impl Strategy<Value = String> {
    let damage = (any::<prop::sample::Index>(), 0..20usize, prop::sample::select(&WORDS[..]));
    prop::collection::vec(damage, 1..5).prop_map(|damages| {
        let mut text = EXAMPLE.to_owned();
        for (at, length, word) in damages {
            let start = text.floor_char_boundary(at.index(text.len()));
            let end = text.floor_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, word);
        }
        text
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), toml_like(), damaged()]
}

/// Everything that reads a text. Reports are written out too, since they point into it.
fn read(text: &str) {
    if let Err(report) = Manifest::parse(text) {
        assert!(!report.diagnostics.is_empty());
        let _ = report.to_string();
    }
    let Ok(root) = source::parse(text, FileId(0)) else { return };
    let _ = check::check_app(&root);
    if let (Ok(app), Ok(manifest)) = (check::typed_app(&root), Manifest::parse("[project]\nname = \"a\"\n")) {
        let name = "web".parse().unwrap();
        let _ = validate::validate_app(&name, &app, &root, &manifest);
        let _ = validate::validate_environment("dev", [(&name, &root)]);
    }
}

/// Whatever an edit makes of a text is a right manifest, as far as one text tells.
fn edit_it(text: &str, name: &str) {
    let results = [
        edit::add_environment(text, name, "local", &[(vec!["url"], "x".into()), (vec!["options", name], edit::scalar(name))]),
        edit::add_app(text, name, &[(vec!["image"], name.into()), (vec!["ports", "http"], 80.into())]),
        edit::remove_app(text, "web"),
        edit::remove_environment(text, "dev"),
    ];
    for result in results {
        match result {
            Ok(edited) => assert!(source::parse(&edited, FileId(0)).is_ok(), "{edited}"),
            Err(report) => assert!(!report.to_string().is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any_text()) {
        read(&text);
    }

    #[test]
    fn any_text_is_edited_or_refused(text in any_text(), name in "[a-z][a-z0-9-]{0,8}|.{0,5}") {
        edit_it(&text, &name);
    }

    #[test]
    fn any_bytes_are_loaded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stratos.toml"), "include = [\"apps/*\"]\n[project]\nname = \"a\"\n").unwrap();
        std::fs::create_dir(folder.path().join("apps")).unwrap();
        std::fs::write(folder.path().join("apps/web.toml"), &bytes).unwrap();
        if let Err(report) = Manifest::load(folder.path()) {
            let _ = report.to_string();
        }
    }

}

proptest! {
    // Each case checks the whole example eight times.
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// What was added can be removed again, and then the file is what it was.
    #[test]
    fn removing_undoes_adding(name in "[a-z][a-z0-9]{3,8}") {
        prop_assume!(!["dev", "production", "cache", "search"].contains(&name.as_str()));
        let added = edit::add_environment(EXAMPLE, &name, "docker", &[]).unwrap();
        prop_assert_eq!(edit::remove_environment(&added, &name).unwrap(), EXAMPLE);
        let added = edit::add_app(EXAMPLE, &name, &[(vec!["image"], "nginx".into())]).unwrap();
        prop_assert_eq!(edit::remove_app(&added, &name).unwrap(), EXAMPLE);
    }
}

/// Text that is made to be slow or deep, rather than to be random.
#[test]
fn hostile_text_is_refused_soon() {
    let started = std::time::Instant::now();
    let deep = |open: &str, close: &str| format!("a = {}1{}", open.repeat(50_000), close.repeat(50_000));
    let dotted = vec!["a"; 100_000].join(".");
    let texts = [
        deep("[", "]"),
        deep("{ a = ", "}"),
        format!("{dotted} = 1"),
        format!("[{dotted}]"),
        "[[a]]\n".repeat(20_000),
        (0..5_000).map(|i| format!("unknown{i} = 1\n")).collect(),
        (0..2_000).map(|i| format!("[apps.a{i}]\nimage = \"x\"\ndepends_on = [\"b{i}\"]\n")).collect(),
        "\"".repeat(100_000),
        "a = \"\\u".repeat(10_000),
    ];
    for text in texts {
        read(&text);
        edit_it(&text, "b");
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
}
