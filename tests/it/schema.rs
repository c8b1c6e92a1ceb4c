//! `stratos schema` and `stratos completions`

use crate::support::Place;

#[test]
fn schemas_are_json_schemas() {
    let place = Place::new();
    for what in ["manifest", "cartridge", "plan"] {
        let schema = place.run(&["schema", what]).code(0).json();
        jsonschema::validator_for(&schema).unwrap();
        let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
        let committed = std::fs::read_to_string(format!("{committed}/{what}.json")).unwrap();
        assert_eq!(schema, serde_json::from_str::<serde_json::Value>(&committed).unwrap(), "schemas/{what}.json");
    }
}

#[test]
fn completions_name_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).code(0).out;
        assert!(script.contains("apply") && script.contains("detailed-exitcode"), "{shell}");
        assert!(!script.contains("\x1b["), "{shell}");
    }
}
