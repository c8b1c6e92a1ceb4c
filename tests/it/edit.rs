//! `stratos add`, `stratos remove` and `stratos list`

use crate::support::Place;

const MANIFEST: &str = "\
# The shop.
[project]
name = \"shop\"  # ours

[environments.dev]
platform = \"local\"

[apps.web]
command = [\"web\"]
";

#[test]
fn an_environment_is_added_as_the_documentation_has_it() {
    let place = Place::with(MANIFEST);
    place.run(&["add", "env", "myswarm", "--platform", "swarm", "https://swarm-host/", "--option", "publish=host"]).code(0);
    let text = place.read("stratos.toml");
    assert!(text.starts_with("# The shop.\n[project]\nname = \"shop\"  # ours\n"), "{text}");
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["environments"]["myswarm"]["url"].as_str(), Some("https://swarm-host/"));
    assert_eq!(table["environments"]["myswarm"]["options"]["publish"].as_str(), Some("host"));
    let again = place.run(&["add", "env", "myswarm", "--platform", "swarm", "https://swarm-host/", "--option", "publish=host"]).code(0);
    assert!(again.err.contains("is there already"), "{}", again.err);
    place.run(&["add", "env", "prod", "--platform", "mesos"]).code(0);
    let listed = place.run(&["list", "envs"]).code(0).out;
    assert!(listed.contains("myswarm  swarm"), "{listed}");
    assert!(listed.contains("this build does not have it yet"), "{listed}");
}

#[test]
fn a_misspelt_platform_gets_a_suggestion() {
    let place = Place::with(MANIFEST);
    let run = place.run(&["add", "env", "x", "--platform", "swram"]).code(1);
    assert!(run.err.contains("`swram`") && run.err.contains("`swarm`"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), MANIFEST);
}

#[test]
fn apps_are_added_with_what_they_run() {
    let place = Place::with(MANIFEST);
    place.run(&["add", "app", "api", "--port", "http=8080:80", "--replicas", "2", "--", "./api", "--port", "$(PORT_HTTP)"]).code(0);
    place.run(&["add", "app", "hello"]).code(0);
    let text = place.read("stratos.toml");
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["apps"]["api"]["ports"]["http"]["publish"].as_integer(), Some(80), "{text}");
    assert_eq!(table["apps"]["api"]["command"].as_array().unwrap().len(), 3);
    assert_eq!(table["apps"]["hello"]["cartridge"].as_str(), Some("hello"));
    let listed = place.run(&["list", "apps"]).code(0).out;
    assert!(listed.contains("hello  cartridge hello"), "{listed}");
    let run = place.run(&["add", "app", "nothing"]).code(64);
    assert!(run.err.contains("no cartridge of that name"), "{}", run.err);
}

#[test]
fn what_was_added_is_removed_again_and_everything_else_stays() {
    let place = Place::with(MANIFEST);
    place.run(&["add", "env", "prod", "--platform", "local"]).code(0);
    place.run(&["add", "app", "hello"]).code(0);
    place.run(&["remove", "app", "hello"]).code(0);
    place.run(&["remove", "env", "prod"]).code(0);
    assert_eq!(place.read("stratos.toml"), MANIFEST);
    let run = place.run(&["remove", "app", "wbe"]).code(1);
    assert!(run.err.contains("`web`"), "{}", run.err);
}

#[test]
fn cartridges_are_listed_and_shown() {
    let place = Place::new();
    let listed = place.run(&["list", "cartridges", "--output", "json"]).code(0).json();
    let names: Vec<_> = listed["cartridges"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
    for name in ["hello", "mysql", "nginx", "php", "redis", "tomcat"] {
        assert!(names.contains(&name.to_owned()), "{names:?}");
        assert!(place.run(&["show", "cartridge", name]).code(0).out.contains("app.toml.j2"));
    }
    let run = place.run(&["show", "cartridge", "nginxx"]).code(1);
    assert!(run.err.contains("nginx"), "{}", run.err);
}

#[test]
fn an_environment_is_added_with_everything_that_it_can_have() {
    let place = Place::with(MANIFEST);
    place.run(&["add", "env", "prod", "--platform", "kubernetes", "--namespace", "shop", "--after", "dev", "--opt-in"]).code(0);
    let text = place.read("stratos.toml");
    let added = "\n[environments.prod]\nplatform = \"kubernetes\"\nnamespace = \"shop\"\nafter = [\"dev\"]\nopt_in = true\n";
    assert!(text.contains(added), "{text}");
    let run = place.run(&["add", "env", "late", "--platform", "local", "--after", "nope"]).code(1);
    assert!(run.err.contains("there is no environment `nope`"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), text);
}

/// A version looks like a number and is none: what was added must be a manifest that works.
#[test]
fn parameters_have_the_type_that_the_cartridge_wants() {
    let place = Place::with(MANIFEST);
    place.run(&["add", "app", "tomcat", "--parameter", "version=10.1"]).code(0);
    assert!(place.read("stratos.toml").contains("parameters.version = \"10.1\"\n"), "{}", place.read("stratos.toml"));
    place.write("mine/cartridge.toml", "name = \"mine\"\nversion = \"1.0.0\"\ndescription = \"Mine.\"\n[parameters.count]\ntype = \"integer\"\ndescription = \"How many.\"\n");
    place.write("mine/app.toml.j2", "command = [\"mine\"]\nreplicas = {{ parameters.count }}\n");
    place.run(&["add", "app", "mine", "--cartridge", "./mine", "--parameter", "count=2"]).code(0);
    assert!(place.read("stratos.toml").contains("parameters.count = 2\n"), "{}", place.read("stratos.toml"));
    place.run(&["validate"]).code(0);
    assert!(place.run(&["show", "cartridge", "./mine"]).code(0).out.contains("count (integer"));
}
