//! `stratos schema` and `stratos completions`

use std::fs;
use std::path::Path;

use crate::support::Place;

#[test]
fn schemas_are_json_schemas() {
    let place = Place::new();
    for what in ["manifest", "cartridge", "plan"] {
        let schema = place.run(&["schema", what]).code(0).json();
        jsonschema::validator_for(&schema).unwrap();
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schemas/{what}.json"));
        assert_eq!(schema, serde_json::from_str::<serde_json::Value>(&fs::read_to_string(committed).unwrap()).unwrap(), "{what}");
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

/// The script is loaded by the shell itself, and completes what is typed.
#[test]
fn bash_completes_commands_and_options() {
    let place = Place::new();
    place.write("stratos.bash", &place.run(&["completions", "bash"]).code(0).out);
    let script = "source stratos.bash
        complete -p stratos
        COMP_WORDS=(stratos dep) COMP_CWORD=1; _stratos stratos dep stratos; echo \"${COMPREPLY[*]}\"
        COMP_WORDS=(stratos plan --detail) COMP_CWORD=2; _stratos stratos --detail plan; echo \"${COMPREPLY[*]}\"";
    let output = std::process::Command::new("bash").args(["--norc", "-euc", script]).current_dir(place.folder()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().skip(1).collect();
    assert_eq!(lines, ["deploy", "--detailed-exitcode"], "{printed}{}", String::from_utf8_lossy(&output.stderr));
}
