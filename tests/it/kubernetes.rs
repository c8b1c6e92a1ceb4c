//! Environments on `kubernetes`: how they are added, how their cluster is found, and what is wrong with their settings. No cluster
//! is asked.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Place, Run};

const PROJECT: &str = "[project]\nname = \"shop\"\nid = \"k3v9q2xw\"\n";

/// A kubeconfig with the context `prod`, whose user is what is given here.
fn kubeconfig(server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: prod\n\
         clusters: [{{ name: c, cluster: {{ server: {server:?} }} }}]\n\
         users: [{{ name: admin, user: {user} }}]\n\
         contexts: [{{ name: prod, context: {{ cluster: c, user: admin }} }}]\n"
    )
}

/// Runs the program with the kubeconfig of this file in the project.
fn run_with(place: &Place, kubeconfig: &str, arguments: &[&str]) -> Run {
    let output = place.stratos(arguments).env("KUBECONFIG", place.folder().join(kubeconfig)).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&*place.folder().to_string_lossy(), "SHOP");
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn an_environment_is_added_and_it_is_said_how_it_is_reached() {
    let place = Place::with(PROJECT);
    let add = ["add", "env", "myk8s", "--platform", "kubernetes", "https://kubernetes-master/"];
    let run = place.run(&add).code(0);
    for part in [
        "Added the environment myk8s.",
        "It cannot be reached from this machine yet: nothing says who we are at https://kubernetes-master:443/",
        "no context in ~/.kube/config leads there",
        "token_env",
    ] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    assert!(place.read("stratos.toml").contains("[environments.myk8s]\nplatform = \"kubernetes\"\nurl = \"https://kubernetes-master/\"\n"));
    place.write("mine", &kubeconfig("https://kubernetes-master:443", "{ token: hunter2 }"));
    let run = run_with(&place, "mine", &add).code(0);
    let said = "It is reached at https://kubernetes-master:443/ as the user \"admin\" of the context \"prod\" in SHOP/mine, with a token. \
                Its certificate is checked against the authorities of the system.";
    assert!(run.err.contains(said) && !run.err.contains("hunter2"), "{}", run.err);
    let context = place.run(&["add", "env", "far", "--platform", "kubernetes", "--option", "context=far"]).code(0);
    assert!(context.err.contains("there is no context \"far\" in ~/.kube/config"), "{}", context.err);
    place.run(&["validate"]).code(0);
    let listed = place.run(&["list", "envs"]).code(0).out;
    assert!(listed.contains("kubernetes") && !listed.contains("does not have it"), "{listed}");
}

#[test]
fn what_is_wrong_with_the_settings_is_shown_at_its_place() {
    let environment = "[environments.here]\nplatform = \"kubernetes\"\nurl = \"master:6443\"\nnamespace = \"Shop\"\n";
    let run = Place::with(&format!("{PROJECT}{environment}")).run(&["validate", "--output=json"]).code(1);
    let error: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    let problems = &error["error"]["problems"];
    assert_eq!((problems[0]["line"].as_u64(), problems[1]["line"].as_u64()), (Some(6), Some(7)), "{error}");
    assert_eq!(problems[0]["help"].as_str(), Some("did you mean `https://master:6443`?"), "{error}");
    let environment = "[environments.here]\nplatform = \"kubernetes\"\n[environments.here.options]\ncontxt = \"x\"\ntoken = \"hunter2\"\n";
    let run = Place::with(&format!("{PROJECT}{environment}")).run(&["validate"]).code(1);
    for part in ["stratos.toml:7", "did you mean `context`?", "stratos.toml:8", "`token` itself does not belong into the manifest"] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    let place = Place::with(PROJECT);
    let run = place.run(&["add", "env", "here", "--platform", "kubernetes", "--option", "ca=ca.pem"]).code(64);
    assert!(run.err.contains("the option `ca` is for a cluster that `url` names"), "{}", run.err);
    assert_eq!(place.read("stratos.toml"), PROJECT, "nothing was written");
}

#[test]
fn a_namespace_that_would_be_too_long_is_told_at_its_environment() {
    let (project, environment) = ("p".repeat(40), "e".repeat(40));
    let place = Place::with(&format!("[project]\nname = \"{project}\"\n[environments.{environment}]\nplatform = \"kubernetes\"\n"));
    let run = place.run(&["validate"]).code(1);
    assert!(run.err.contains("stratos.toml:3") && run.err.contains("it has 81 characters, and 63 are allowed"), "{}", run.err);
    assert!(run.err.contains("write a shorter one"), "{}", run.err);
    place.write("stratos.toml", &format!("{}namespace = \"shop\"\n", place.read("stratos.toml")));
    place.run(&["validate"]).code(0);
}

/// Whoever wrote the repository would run a program on the machine of everybody who looks at a plan.
#[test]
fn a_kubeconfig_that_came_with_the_repository_runs_no_program() {
    let manifest = format!("{PROJECT}[environments.prod]\nplatform = \"kubernetes\"\noptions.kubeconfig = \"kube/config\"\n");
    let place = Place::with(&manifest);
    place.write("kube/who", &format!("#!/bin/sh\ntouch '{}'\n", place.folder().join("ran").display()));
    std::fs::set_permissions(place.folder().join("kube/who"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let exec = "{ exec: { apiVersion: client.authentication.k8s.io/v1, command: ./who } }";
    place.write("kube/config", &kubeconfig("http://127.0.0.1:9", exec));
    for command in ["plan", "status", "check"] {
        let run = place.run(&[command]);
        assert_ne!(run.code, Some(0), "{command}");
        let said = format!("{}{}", run.out, run.err);
        assert!(said.contains("runs a program (`exec`), and that file came with the repository: it was not run"), "{command}: {said}");
        assert!(!place.folder().join("ran").exists(), "{command}");
    }
}

/// The client logs what fails by itself, and what it is told of may be secret.
#[test]
fn the_client_is_not_heard() {
    let place = Place::with(&format!("{PROJECT}[environments.prod]\nplatform = \"kubernetes\"\nurl = \"http://127.0.0.1:9\"\n"));
    for verbosity in ["-q", "-vv"] {
        let run = place.run(&["plan", verbosity]);
        assert_ne!(run.code, Some(0), "nobody listens there");
        assert!(!run.err.contains("kube_client"), "{}", run.err);
    }
}

/// A chart is part of what `validate` reads, and what keeps it from being rendered is told at its place.
#[test]
fn a_chart_without_helm_is_told_at_its_place() {
    let environment = "[environments.here]\nplatform = \"kubernetes\"\n";
    let app = "[apps.web.platform.kubernetes]\nhelm = { chart = \"charts/web\" }\n";
    let place = Place::with(&format!("{PROJECT}{environment}{app}"));
    place.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n");
    let output = place.stratos(&["validate"]).env("PATH", place.folder()).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    for part in [
        "the chart `charts/web` cannot be rendered: there is no program `helm` on PATH",
        "stratos.toml:7:18",
        "help: install Helm (https://helm.sh/docs/intro/install)",
        "`helm template web charts/web`",
    ] {
        assert!(err.contains(part), "{part}: {err}");
    }
}

/// That fields are taken over is said when it is planned, and a saved plan is applied as it is.
#[test]
fn fields_are_not_taken_over_by_who_applies_a_saved_plan() {
    let run = Place::with(PROJECT).run(&["apply", "plan.json", "--force-conflicts"]).code(64);
    assert!(run.err.contains("cannot be used with") && run.err.contains("--force-conflicts"), "{}", run.err);
}
