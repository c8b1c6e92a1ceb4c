//! Environments on `docker` and `swarm`: how they are added, and what is wrong with their settings. No engine is asked.

use crate::support::Place;

const PROJECT: &str = "[project]\nname = \"shop\"\nid = \"k3v9q2xw\"\n";

#[test]
fn an_environment_is_added_and_it_is_said_how_it_is_reached() {
    let place = Place::with(PROJECT);
    let swarm = place.run(&["add", "env", "myswarm", "--platform", "swarm", "https://swarm-host/"]).code(0);
    let said = "It is reached at https://swarm-host:2376. Its certificate is checked against the authorities of the system; \
                no certificate of ours is shown, since none is configured (options `cert` and `key`).";
    assert!(swarm.err.contains("Added the environment myswarm.") && swarm.err.contains(said), "{}", swarm.err);
    let here = place.run(&["add", "env", "here", "--platform", "docker"]).code(0);
    assert!(here.err.contains("It is reached at unix:///var/run/docker.sock (where engines usually listen)."), "{}", here.err);
    let context = place.run(&["add", "env", "far", "--platform", "docker", "--option", "context=far"]).code(0);
    assert!(
        context.err.contains("It cannot be reached from this machine yet: the option `context`: there is no Docker context"),
        "{}",
        context.err
    );
    place.run(&["validate"]).code(0);
    assert!(place.read("stratos.toml").contains("[environments.myswarm]\nplatform = \"swarm\"\nurl = \"https://swarm-host/\"\n"));
}

#[test]
fn what_is_wrong_with_the_settings_is_shown_at_its_place() {
    let environment = "[environments.here]\nplatform = \"docker\"\nurl = \"swarm-host:2376\"\n";
    let run = Place::with(&format!("{PROJECT}{environment}")).run(&["validate", "--output=json"]).code(1);
    let error: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    let problem = &error["error"]["problems"][0];
    assert_eq!((problem["line"].as_u64(), problem["help"].as_str()), (Some(6), Some("did you mean `tcp://swarm-host:2376`?")), "{error}");
    let environment = "[environments.here]\nplatform = \"swarm\"\n[environments.here.options]\npublsh = \"host\"\n";
    let run = Place::with(&format!("{PROJECT}{environment}")).run(&["validate"]).code(1);
    assert!(run.err.contains("stratos.toml:7") && run.err.contains("did you mean `publish`?"), "{}", run.err);
    // What is wrong with an app has nothing to do with it, and is told in the same run.
    let app = "[apps.web]\nimage = \"web:{{ vars.tga }}\"\n";
    let run = Place::with(&format!("{PROJECT}{environment}{app}")).run(&["validate"]).code(1);
    assert!(run.err.contains("did you mean `publish`?") && run.err.contains("tga"), "{}", run.err);
    assert!(run.err.contains("error: 2 problems in stratos.toml"), "{}", run.err);
    let place = Place::with(PROJECT);
    let run = place.run(&["add", "env", "here", "--platform", "docker", "--option", "contxt=far"]).code(64);
    assert!(run.err.contains("did you mean `context`?"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), PROJECT, "nothing was written");
}

/// Compose files are read and translated for the platform of each environment, without asking anybody.
#[test]
fn what_is_wrong_with_a_compose_file_is_shown_at_its_place() {
    let manifest = |environments: &str| {
        format!(
            "{PROJECT}{environments}[apps.web.platform]\ndocker = {{ compose = \"compose.yml\" }}\nswarm = {{ compose = \"compose.yml\" }}\n"
        )
    };
    let both = "[environments.one]\nplatform = \"docker\"\n[environments.two]\nplatform = \"swarm\"\nurl = \"http://127.0.0.1:9\"\n";
    let place = Place::with(&manifest(both));
    place.write("compose.yml", "services:\n  web:\n    image: web:1\n    privileged: true\n    comand: x\n");
    let said = |environment: &str, parts: &[&str]| {
        let run = place.run(&["validate", environment]).code(1);
        parts.iter().for_each(|part| assert!(run.err.contains(part), "{part}: {}", run.err));
        run.err
    };
    said(
        "--env=one,two",
        &["compose.yml:5:5", "`services.web` has no key `comand`", "compose.yml:4:17", "a swarm runs nothing privileged"],
    );
    assert!(!said("--env=one", &["has no key `comand`"]).contains("privileged` is not supported"), "an engine can do that");
    place.write("compose.yml", "services:\n  web:\n    image: web:1\n    build: .\n");
    said("--env=one", &["compose.yml:4:12", "`services.web.build` is not supported: images are built before"]);
    place.write("compose.yml", "services:\n  web:\n    image: web:1\n");
    place.run(&["validate"]).code(0);
}
