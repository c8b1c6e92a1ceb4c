//! The platforms `docker` and `swarm` from the command line: how they are added, and an app on a real engine.

use stratos_test_platforms::shared_swarm;

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
    let place = Place::with(PROJECT);
    let run = place.run(&["add", "env", "here", "--platform", "docker", "--option", "contxt=far"]).code(64);
    assert!(run.err.contains("did you mean `context`?"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), PROJECT, "nothing was written");
}

#[test]
fn an_app_runs_and_commands_run_in_it_and_no_log_holds_its_secret() {
    let engines = shared_swarm();
    let manifest = format!(
        "{PROJECT}[environments.here]\nplatform = \"docker\"\nurl = \"{}\"\n[secrets]\ntoken = {{ file = \"token\" }}\n\
         [apps.web]\nimage = \"{}/web:1\"\nenv.TOKEN = \"{{{{ secrets.token }}}}\"\n",
        engines.url(0),
        engines.registry()
    );
    let place = Place::with(&manifest);
    place.write("token", "hunter2-hunter2");
    let applied = place.run(&["apply", "--yes", "-vvv"]);
    assert!(!format!("{}{}", applied.out, applied.err).contains("hunter2"), "a value is in what was printed or logged");
    let applied = applied.code(0);
    assert!(applied.err.contains("TRACE") || applied.err.contains("DEBUG"), "nothing was logged: this proves nothing");
    let again = place.run(&["plan", "-vvv", "--detailed-exitcode"]).code(0);
    assert!(!again.err.contains("hunter2"), "what the engine answers is logged");
    let run = place.run(&["exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]).code(7);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("out\n", "err\n"));
    assert_eq!(place.run(&["exec", "web", "--", "sh", "-c", "echo $TOKEN"]).code(0).out, "hunter2-hunter2\n");
    let mut piped = place.stratos(&["exec", "web", "-i", "--", "cat"]);
    assert_eq!(piped.write_stdin("from here").output().unwrap().stdout, b"from here");
    let terminal = place.run(&["exec", "web", "-t", "--", "sh"]).code(64);
    assert!(terminal.err.contains("-t needs a terminal"), "{}", terminal.err);
    let missing = place.run(&["exec", "web", "--instance", "shop-web-9", "--", "true"]).code(1);
    assert!(
        missing.err.contains("there is no instance \"shop-web-9\"") && missing.err.contains("there runs: shop-web-1"),
        "{}",
        missing.err
    );
    assert!(place.run(&["logs", "web"]).code(0).out.contains("shop-web-1 | version 1 listens on"));
    place.run(&["destroy", "--yes"]).code(0);
    assert!(place.run(&["exec", "web", "--", "true"]).code(1).err.contains("nothing of the app \"web\" runs here"));
}
