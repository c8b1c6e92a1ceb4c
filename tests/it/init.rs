//! `stratos init`

use crate::support::Place;

#[test]
fn the_defaults_make_a_manifest_that_is_valid() {
    let place = Place::new();
    let run = place.run(&["init", "--yes"]).code(0);
    assert!(run.err.contains("Wrote ROOT/shop/stratos.toml"), "{}", run.err);
    let text = place.read("stratos.toml");
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["project"]["name"].as_str(), Some("shop"), "{text}");
    let id = table["project"]["id"].as_str().unwrap();
    assert!(id.len() == 8 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{id}");
    assert_eq!(table["environments"]["dev"]["platform"].as_str(), Some("local"));
    assert!(text.lines().filter(|line| line.starts_with('#')).count() >= 3, "it explains itself: {text}");
    assert!(place.run(&["validate"]).code(0).out.contains("1 app, 1 environment"));
}

#[test]
fn a_manifest_that_is_there_is_left_alone() {
    let place = Place::with("# mine\n");
    let run = place.run(&["init", "--yes"]).code(1);
    assert!(run.err.contains("is there already"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), "# mine\n");
}

#[test]
fn nobody_to_ask_is_said_and_nothing_is_written() {
    let place = Place::new();
    let run = place.run(&["init"]).code(64);
    assert!(run.err.contains("--yes"), "{}", run.err);
    assert!(!place.folder().join("stratos.toml").exists());
}

#[test]
fn the_name_can_be_given() {
    let place = Place::new();
    place.run(&["init", "--yes", "--name", "other"]).code(0);
    assert!(place.read("stratos.toml").contains("name = \"other\""));
}
