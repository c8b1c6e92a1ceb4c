//! `stratos deploy`

use crate::support::Place;

const MANIFEST: &str = "[project]\nname = \"shop\"\n\n[environments.dev]\nplatform = \"local\"\n";

#[test]
fn an_app_comes_from_the_cartridge_of_its_name_without_a_question() {
    let place = Place::with(MANIFEST);
    let run = place.run(&["deploy", "hello", "--env=dev"]).code(0);
    assert!(run.err.contains("Added the app hello from the cartridge hello"), "{}", run.err);
    assert!(run.out.contains("created"), "{}", run.out);
    assert!(place.read("stratos.toml").starts_with(MANIFEST), "{}", place.read("stratos.toml"));
    let again = place.run(&["deploy", "hello", "--env=dev"]).code(0);
    assert!(again.out.contains("nothing to do"), "{}", again.out);
}

#[test]
fn only_the_named_app_is_touched() {
    let place = Place::with(&format!("{MANIFEST}\n[apps.other]\ncartridge = \"hello\"\n"));
    let run = place.run(&["deploy", "hello", "--env=dev"]).code(0);
    assert!(!run.out.contains("shop-other"), "{}", run.out);
}

#[test]
fn a_name_that_no_cartridge_has_changes_nothing() {
    let place = Place::with(MANIFEST);
    let run = place.run(&["deploy", "redsi", "--env=dev"]).code(64);
    assert!(run.err.contains("redis"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), MANIFEST);
}

/// The cartridge's image needs a container platform. The manifest must not keep an app that no plan gets past.
#[test]
fn a_cartridge_that_does_not_work_there_leaves_the_manifest_as_it_was() {
    let place = Place::with(MANIFEST);
    let run = place.run(&["deploy", "tomcat", "--env=dev"]).code(1);
    assert!(run.err.contains("stratos.toml is as it was"), "{}", run.err);
    assert!(run.err.contains("resources.memory cannot be honoured on local"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), MANIFEST);
}

#[test]
fn several_environments_are_named_or_all_taken() {
    let place = Place::with(&format!("{MANIFEST}\n[environments.two]\nplatform = \"local\"\n"));
    let run = place.run(&["deploy", "hello"]).code(64);
    assert!(run.err.contains("`stratos deploy hello --env=dev`") && run.err.contains("`--all`"), "{}", run.err);
    place.run(&["deploy", "hello", "--all", "--no-wait"]).code(0);
}

/// Its parameters cannot be given here, so nothing is added that could not be planned.
#[test]
fn a_cartridge_that_needs_parameters_says_which() {
    let place = Place::with(MANIFEST);
    let run = place.run(&["deploy", "redis", "--env=dev"]).code(64);
    assert!(run.err.contains("needs values for `password`"), "{}", run.err);
    assert!(run.err.contains("stratos add app redis --parameter 'password=…'"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), MANIFEST);
    let added = place.run(&["add", "app", "redis"]).code(0);
    assert!(added.err.contains("parameters.password"), "{}", added.err);
    let given = place.run(&["add", "app", "mysql", "--parameter", "password=x"]).code(0);
    assert!(!given.err.contains("parameters.password"), "{}", given.err);
}
