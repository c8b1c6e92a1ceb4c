//! `stratos status`, `logs`, `restart`, `forget`, `check` and what needs something that runs.

use crate::support::Place;

const MANIFEST: &str = r#"
[project]
name = "shop"
[environments.dev]
platform = "local"
[apps.web]
command = ["stratos", "hello", "--host", "127.0.0.1"]
image = "web:1"
replicas = 2
ports.http = 8080
health = { http = "/healthz", interval = "100ms" }
"#;

#[test]
fn the_tree_shows_apps_and_instances() {
    let place = Place::with(MANIFEST);
    let before = place.run(&["status"]).code(5);
    assert!(before.out.contains("web  missing"), "{}", before.out);
    place.run(&["apply", "--yes"]).code(0);
    let run = place.run(&["status"]).code(0);
    assert!(run.out.contains("dev (local)\n└─ web  healthy  2 of 2"), "{}", run.out);
    assert_eq!(run.out.matches("shop-web-").count(), 2, "{}", run.out);
    let json = place.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!((&json["format"], &json["environments"][0]["apps"][0]["declared"]), (&1.into(), &true.into()));
}

#[test]
fn logs_are_of_all_instances_and_can_be_cut() {
    let place = Place::with(MANIFEST);
    let run = place.run(&["logs", "web"]).code(1);
    assert!(run.err.contains("nothing of the app \"web\" runs here"), "{}", run.err);
    place.run(&["apply", "--yes"]).code(0);
    let all = place.run(&["logs", "web"]).code(0).out;
    assert_eq!(all.matches("listening on").count(), 2, "{all}");
    let cut = place.run(&["logs", "web", "--tail", "1"]).code(0).out;
    assert_eq!(cut.lines().count(), 2, "{cut}");
    let json = place.run(&["logs", "web", "--tail", "1", "--output", "json"]).code(0).out;
    let line: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(line["environment"], "dev");
    let run = place.run(&["logs", "web", "--previous"]).code(1);
    assert!(run.err.contains("not kept apart here") && run.err.contains("leave `--previous` away"), "{}", run.err);
}

#[test]
fn a_restart_changes_the_instances_and_nothing_else() {
    let place = Place::with(MANIFEST);
    place.run(&["apply", "--yes"]).code(0);
    let run = place.run(&["restart", "web"]).code(0);
    assert!(run.out.contains("^ dev/workload/shop-web  restarted"), "{}", run.out);
    assert!(place.run(&["plan"]).code(0).out.contains("No changes."));
}

/// A misspelt name must not look like an app of which nothing is to be done.
#[test]
fn an_app_that_there_is_not_is_an_error() {
    let place = Place::with(MANIFEST);
    let nothing_runs = place.run(&["restart", "web"]).code(1);
    assert!(nothing_runs.err.contains("nothing of the app \"web\" is known to run here, so nothing was restarted"), "{}", nothing_runs.err);
    place.run(&["forget", "web", "--yes"]).code(0);
    let commands: [&[&str]; 8] = [
        &["plan", "--app=wbe"],
        &["apply", "--app=wbe", "--yes"],
        &["restart", "wbe"],
        &["forget", "wbe", "--yes"],
        &["status", "--app=wbe"],
        &["render", "--app=wbe"],
        &["check", "--app=wbe"],
        &["logs", "wbe"],
    ];
    for command in commands {
        let run = place.run(command).code(1);
        assert!(run.err.contains("the manifest has no app \"wbe\""), "{command:?}: {}", run.err);
        assert!(run.err.contains("it has: web"), "{command:?}: {}", run.err);
    }
}

/// What could not be read may be anything: it is not missing, and what was asked of it is not done.
#[test]
fn what_could_not_be_read_is_neither_missing_nor_done() {
    let place = Place::with(MANIFEST);
    std::fs::create_dir_all(place.state().join("local/shop-dev")).unwrap();
    std::fs::write(place.state().join("local/shop-dev/state.json"), "{").unwrap();
    let status = place.run(&["status"]).code(5);
    assert!(status.out.contains("web  unknown") && status.out.contains("not read: the environment dev"), "{}", status.out);
    for command in [&["apply", "--yes", "--quiet"][..], &["destroy", "--yes", "--quiet"]] {
        let run = place.run(command).code(4);
        assert!(run.out.contains("not read: the environment dev") && run.out.contains("Not all applied"), "{command:?}: {}", run.out);
        assert!(!run.out.contains("Applied:"), "{command:?}: {}", run.out);
    }
    let json = place.run(&["destroy", "--yes", "--output", "json"]).code(4).json();
    assert_eq!(json["verdict"], "partial");
    for command in [&["restart", "web"][..], &["forget", "web", "--yes"]] {
        let run = place.run(command).code(1);
        assert!(run.err.contains("not read: the environment dev"), "{command:?}: {}", run.err);
    }
}

#[test]
fn what_is_forgotten_runs_on_and_can_be_taken_back() {
    let place = Place::with(MANIFEST);
    place.run(&["apply", "--yes"]).code(0);
    place.run(&["forget", "web"]).code(64);
    place.run(&["forget", "web", "--yes"]).code(0);
    let taken = place.run(&["plan"]).code(0);
    assert!(taken.out.contains("not ours") && taken.out.contains("--adopt"), "{}", taken.out);
    place.run(&["apply", "--yes", "--adopt"]).code(0);
    assert!(place.run(&["plan"]).code(0).out.contains("No changes."));
}

#[test]
fn an_environment_that_holds_something_is_not_removed() {
    let place = Place::with(MANIFEST);
    place.run(&["apply", "--yes"]).code(0);
    let run = place.run(&["remove", "env", "dev"]).code(1);
    assert!(run.err.contains("still holds dev/workload/shop-web"), "{}", run.err);
    assert!(run.err.contains("stratos destroy --env=dev"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), MANIFEST);
    place.run(&["destroy", "--yes"]).code(0);
    place.run(&["remove", "env", "dev"]).code(0);
}

#[test]
fn the_matrix_says_what_each_environment_honours() {
    let place = Place::with(&format!("{MANIFEST}[environments.prod]\nplatform = \"mesos\"\n"));
    let run = place.run(&["check"]).code(0);
    for words in ["image", "ignored", "ports", "adapted", "honoured", "prod: this build does not have the platform mesos yet"] {
        assert!(run.out.contains(words), "{words}: {}", run.out);
    }
    let json = place.run(&["check", "--output", "json"]).code(0).json();
    assert_eq!(json["apps"]["web"]["command"]["dev"]["word"], "honoured");
    let markdown = place.run(&["check", "--output", "markdown"]).code(0).out;
    assert!(markdown.starts_with("| app"), "{markdown}");
}

#[test]
fn validation_counts_and_rendering_is_a_manifest_again() {
    let place = Place::with(MANIFEST);
    assert_eq!(place.run(&["validate"]).code(0).out, "stratos.toml is valid: 1 app, 1 environment.\n");
    let rendered: toml::Table = place.run(&["render"]).code(0).out.parse().unwrap();
    assert_eq!(rendered["environments"]["dev"]["apps"]["web"]["replicas"].as_integer(), Some(2));
}

/// An app that says nothing more must not keep a pipeline whose reader has seen enough.
#[test]
fn following_ends_with_its_reader() {
    let place = Place::with(MANIFEST);
    place.run(&["apply", "--yes"]).code(0);
    for command in [&["logs", "web", "--follow"][..], &["status", "--watch", "--every", "3600"]] {
        let mut child = place.process(command).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut first = [0; 1];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        drop(child.stdout.take());
        let status = crate::support::eventually("the end of what nobody reads", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{command:?}");
    }
}
