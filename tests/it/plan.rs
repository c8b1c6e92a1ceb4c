//! `stratos plan` and `stratos show`

use crate::support::Place;

const MANIFEST: &str = r#"
[project]
name = "shop"
[environments.dev]
platform = "local"
[apps.web]
command = ["stratos", "hello"]
ports.http = 8080
"#;

#[test]
fn the_exit_code_tells_of_changes_only_when_asked() {
    let place = Place::with(MANIFEST);
    let run = place.run(&["plan"]).code(0);
    assert!(run.out.contains("+ workload/shop-web  create: it is not there yet"), "{}", run.out);
    assert!(run.out.contains("Plan: 1 to create, 0 to update, 0 to replace, 0 to delete."), "{}", run.out);
    place.run(&["plan", "--detailed-exitcode"]).code(2);
    place.run(&["plan", "--detailed-exitcode", "--destroy"]).code(0);
    assert!(!place.run(&["status"]).out.contains("healthy"), "a plan starts nothing");
}

#[test]
fn a_saved_plan_is_for_its_owner_and_is_what_was_shown() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::with(MANIFEST);
    place.write("plan.json", "an older file that everyone may read");
    let saved = place.run(&["plan", "--out", "plan.json"]).code(0);
    let mode = std::fs::metadata(place.folder().join("plan.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = place.run(&["show", "plan.json"]).code(0);
    let without_effort = |text: &str| text.replace(&text[text.rfind("delete.").unwrap()..], "");
    assert_eq!(without_effort(&saved.out), without_effort(&shown.out));
}

#[test]
fn json_is_what_the_schema_says() {
    let place = Place::with(MANIFEST);
    let plan = place.run(&["plan", "--output", "json"]).code(0).json();
    assert_eq!(plan["format"], 1);
    let schema = place.run(&["schema", "plan"]).code(0).json();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&plan).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn markdown_is_for_a_pull_request() {
    let place = Place::with(MANIFEST);
    let run = place.run(&["plan", "--output", "markdown"]).code(0);
    assert!(run.out.starts_with("### Stratos plan\n\nPlan: 1 to create"), "{}", run.out);
    assert!(run.out.contains("<details>"), "{}", run.out);
}

#[test]
fn a_plan_of_another_format_is_refused() {
    let place = Place::with(MANIFEST);
    place.run(&["plan", "--out", "plan.json"]).code(0);
    place.write("plan.json", &place.read("plan.json").replace("\"format\": 1", "\"format\": 2"));
    for command in [&["show", "plan.json"][..], &["apply", "plan.json", "--yes"]] {
        let run = place.run(command).code(1);
        assert!(run.err.contains("its format is 2, and this build reads format 1"), "{}", run.err);
    }
}

#[test]
fn every_mistake_is_shown_at_its_place() {
    let place = Place::with("[project]\nname = \"shop\"\n\n[apps.web]\nimagee = \"nginx\"\nreplicas = \"many\"\n");
    let run = place.run(&["plan"]).code(1);
    assert!(run.err.contains("stratos.toml:5:1"), "{}", run.err);
    assert!(run.err.contains("5 | imagee = \"nginx\""), "{}", run.err);
    assert!(run.err.contains("`image`"), "{}", run.err);
    assert!(run.err.contains("error: 2 problems in stratos.toml"), "{}", run.err);
}

#[test]
fn a_platform_that_is_not_built_says_what_is() {
    let place = Place::with("[project]\nname = \"shop\"\n[environments.prod]\nplatform = \"mesos\"\n");
    let run = place.run(&["plan"]).code(1);
    assert!(run.err.contains("this build does not have the platform mesos yet"), "{}", run.err);
    assert!(run.err.contains("it has: local"), "{}", run.err);
}

#[test]
fn secrets_need_no_value_and_show_none() {
    let secret = "[secrets]\npassword = { env = \"THE_PASSWORD\" }\n";
    let place = Place::with(&format!("{MANIFEST}env.PASSWORD = \"{{{{ secrets.password }}}}\"\n{secret}"));
    let run = place.run(&["plan"]).code(0);
    assert!(run.out.contains("(secret)"), "{}", run.out);
    assert!(run.out.contains("not verified") && run.out.contains("password"), "{}", run.out);
    let output = place.stratos(&["plan", "--output", "json", "-vv"]).env("THE_PASSWORD", "hunter2hunter2").output().unwrap();
    let all = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && !String::from_utf8_lossy(&all).contains("hunter2hunter2"));
    let rendered = place.run(&["render"]).code(0).out;
    assert!(rendered.contains("PASSWORD = \"{{ secrets.password }}\""), "{rendered}");
}

#[test]
fn variables_come_from_everywhere_in_their_order() {
    let place = Place::with(&format!("{MANIFEST}env.TAG = \"{{{{ vars.tag }}}}\"\n[variables]\ntag = \"default\"\n"));
    place.write("vars.toml", "tag = \"file\"\n");
    let tag = |arguments: &[&str], variable: Option<&str>| {
        let mut command = place.stratos(&[&["render", "--output", "json"], arguments].concat());
        command.envs(variable.map(|value| ("STRATOS_VAR_TAG", value)));
        let out = command.output().unwrap().stdout;
        serde_json::from_slice::<serde_json::Value>(&out).unwrap()["environments"]["dev"]["apps"]["web"]["env"]["TAG"].clone()
    };
    assert_eq!(tag(&[], None), "default");
    assert_eq!(tag(&["--var-file", "vars.toml"], None), "file");
    assert_eq!(tag(&["--var-file", "vars.toml"], Some("environment")), "environment");
    assert_eq!(tag(&["--var-file", "vars.toml", "--var", "tag=argument"], Some("environment")), "argument");
}
