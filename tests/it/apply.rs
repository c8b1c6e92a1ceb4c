//! `stratos apply` and `stratos destroy`: the main job, on this machine, for real.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Place, eventually, free_port, get};

/// A manifest with one app whose command ends in these arguments, published on the port.
fn manifest(port: u16, arguments: &str, more: &str) -> String {
    format!(
        r#"
[project]
name = "shop"

[environments.dev]
platform = "local"

[apps.web]
command = ["stratos", "hello", "--host", "127.0.0.1"{arguments}]
ports.http = {{ port = 8080, publish = {port} }}
health = {{ http = "/healthz", port = "http", interval = "100ms", timeout = "1s", retries = 2 }}
{more}
"#
    )
}

#[test]
fn the_main_job_from_init_to_destroy() {
    let place = Place::new();
    let port = free_port();
    place.run(&["init", "--yes"]).code(0);
    place.write("stratos.toml", &place.read("stratos.toml").replace("publish = 8080", &format!("publish = {port}")));
    place.run(&["plan", "--detailed-exitcode"]).code(2);
    let run = place.run(&["apply", "--yes"]).code(0);
    assert!(run.out.contains("+ dev/workload/shop-hello  created"), "{}", run.out);
    assert!(run.out.contains(&format!("dev/hello  http://127.0.0.1:{port}")), "{}", run.out);
    assert!(run.out.contains("Applied: 1 done."), "{}", run.out);
    assert!(run.err.contains("dev/workload/shop-hello: creating"), "progress goes to standard error: {}", run.err);
    assert!(run.err.contains("dev/workload/shop-hello: created, healthy"), "{}", run.err);
    assert!(!run.err.contains("waiting: healthy"), "what is well is not waited for: {}", run.err);
    assert!(get(port, "/").unwrap().1.contains("Hello from Stratos"));
    assert!(place.run(&["plan", "--detailed-exitcode"]).code(0).out.starts_with("No changes."));
    let again = place.run(&["apply", "--yes", "--quiet"]).code(0);
    assert!(again.out.contains("nothing to do") && again.err.is_empty(), "{again:?}");
    let gone = place.run(&["destroy", "--yes"]).code(0);
    assert!(gone.out.contains("- dev/workload/shop-hello  deleted"), "{}", gone.out);
    eventually("the end of the server", || get(port, "/").is_none().then_some(()));
    assert!(place.run(&["plan", "--destroy"]).code(0).out.starts_with("No changes."));
}

/// The supervisor ends with the last app, also when the apps were destroyed one at a time.
#[test]
fn nothing_is_left_when_the_last_app_was_destroyed_by_name() {
    let place = Place::with(&manifest(
        free_port(),
        "",
        "[apps.other]\ncommand = [\"stratos\", \"hello\", \"--host\", \"127.0.0.1\"]\nports.http = 1\n",
    ));
    place.run(&["apply", "--yes"]).code(0);
    place.run(&["destroy", "--app=other", "--yes"]).code(0);
    let status = place.run(&["status"]);
    assert!(status.out.contains("web    healthy"), "the other app runs on: {}", status.out);
    place.run(&["destroy", "--app=web", "--yes"]).code(0);
    eventually("the end of the supervisor", || (!place.state().join("local/shop-dev").exists()).then_some(()));
}

#[test]
fn nobody_to_ask_means_no() {
    let place = Place::with(&manifest(free_port(), "", ""));
    let run = place.run(&["apply"]).code(64);
    assert!(run.err.contains("Plan: 1 to create"), "the plan is shown all the same: {}", run.err);
    assert!(run.err.contains("the same command with `--yes`"), "{}", run.err);
    assert!(place.run(&["plan"]).out.contains("1 to create"), "nothing was done");
}

#[test]
fn several_environments_must_be_named() {
    let place = Place::with(&format!("{}[environments.other]\nplatform = \"local\"\n", manifest(free_port(), "", "")));
    for command in ["apply", "destroy"] {
        let run = place.run(&[command, "--yes"]).code(64);
        assert!(run.err.contains("dev, other") && run.err.contains("--all"), "{}", run.err);
    }
}

/// A local environment is a folder that is named after it: what runs there is not lost from sight.
#[test]
fn a_local_environment_that_holds_something_is_not_renamed() {
    let dev = manifest(free_port(), "", "");
    let place = Place::with(&dev);
    let moved = "[[moved]]\nfrom = \"environments.dev\"\nto = \"environments.test\"\n";
    let test = format!("{}{moved}", dev.replace("environments.dev", "environments.test"));
    place.run(&["apply", "--yes"]).code(0);
    place.write("stratos.toml", &test);
    let refused = place.run(&["plan"]).code(1);
    assert!(refused.err.contains("environment dev is called test now, and 1 of its resources are on local"), "{}", refused.err);
    assert!(refused.err.contains("stratos destroy --env=dev"), "{}", refused.err);
    place.write("stratos.toml", &dev);
    place.run(&["destroy", "--yes"]).code(0);
    place.write("stratos.toml", &test);
    assert!(place.run(&["plan"]).code(0).out.contains("1 to create"), "nothing is there any more: it is no rename");
}

/// No history tells of it: the folders on this machine do.
#[test]
fn a_local_environment_that_holds_something_is_not_left_behind() {
    let dev = manifest(free_port(), "", "");
    let place = Place::with(&dev);
    place.run(&["apply", "--yes"]).code(0);
    let removed = dev.replace("environments.dev", "environments.test");
    for (manifest, why) in [(&removed, "removed"), (&dev.replace("\"local\"", "\"docker\""), "on another platform")] {
        place.write("stratos.toml", manifest);
        for command in [&["plan"][..], &["apply", "--yes"]] {
            let refused = place.run(command).code(1);
            let told = "environment dev was on local before, and 1 of our resources are still there";
            assert!(refused.err.contains(told), "{why}: {}", refused.err);
            assert!(refused.err.contains("stratos destroy --env=dev") && refused.err.contains("--abandon"), "{why}: {}", refused.err);
        }
    }
    place.write("stratos.toml", &removed);
    assert!(place.run(&["plan", "--abandon"]).code(0).out.contains("1 to create"));
    place.run(&["plan"]).code(1);
    place.write("stratos.toml", &dev);
    place.run(&["destroy", "--yes"]).code(0);
    place.write("stratos.toml", &removed);
    place.run(&["plan"]).code(0);
}

/// Whoever agreed to it once is not stopped again, until something is written there again.
#[test]
fn a_local_environment_that_was_abandoned_is_not_told_of_again() {
    let dev = manifest(free_port(), "", "");
    let removed =
        dev.replace("[environments.dev]\nplatform = \"local\"\n", "") + "\n[environments.test]\nplatform = \"local\"\nopt_in = true\n";
    let place = Place::with(&dev);
    for abandon in [&["remove", "env", "dev", "--abandon"][..], &["apply", "--abandon", "--yes"]] {
        place.write("stratos.toml", &dev);
        place.run(&["apply", "--yes"]).code(0);
        if abandon[0] == "apply" {
            place.write("stratos.toml", &removed);
            place.run(&["plan"]).code(1);
        }
        place.run(abandon).code(0);
        place.write("stratos.toml", &removed);
        place.run(&["plan"]).code(0);
        place.write("stratos.toml", &dev);
        assert!(place.run(&["plan"]).code(0).out.contains("No changes"), "what was abandoned is still there");
        place.run(&["destroy", "--yes"]).code(0);
    }
}

/// Whoever finds the environment locked is told by whom, once.
#[test]
fn a_second_writer_is_told_who_the_first_is() {
    let place = Place::with(&manifest(free_port(), ", \"--delay-start\", \"60s\"", ""));
    let mut first = place.process(&["apply", "--yes"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut progress = std::io::BufReader::new(first.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("waiting:") {
        assert_ne!(std::io::BufRead::read_line(&mut progress, &mut said).unwrap(), 0, "{said}");
    }
    let second = place.run(&["destroy", "--yes"]).code(1);
    let process = format!("process {}", first.id());
    assert_eq!(second.err.matches(&process).count(), 1, "{}", second.err);
    assert!(second.err.contains(&format!("{process} is applying to this environment")), "{}", second.err);
    kill(Pid::from_raw(first.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(130));
}

#[test]
fn what_never_gets_healthy_is_reported_with_its_last_words() {
    let rollout = "rollout = { timeout = \"2s\" }";
    let place = Place::with(&manifest(free_port(), ", \"--unhealthy\"", rollout));
    let run = place.run(&["apply", "--yes"]).code(5);
    assert!(run.out.contains("not healthy"), "{}", run.out);
    assert!(run.out.contains("| GET /healthz 503 in"), "the last log lines are shown: {}", run.out);
    let again = place.run(&["apply", "--yes"]);
    assert_ne!(again.code, Some(0), "a second run over something broken is no success: {again:?}");
}

#[test]
fn a_crash_loop_is_no_success_the_second_time_either() {
    let rollout = "rollout = { timeout = \"2s\", on_failure = \"pause\" }";
    // It ends before it listens: no probe ever passes.
    let crash = ", \"--crash-after\", \"50ms\", \"--delay-start\", \"1h\"";
    let place = Place::with(&manifest(free_port(), crash, rollout));
    let run = place.run(&["apply", "--yes"]).code(5);
    assert!(run.out.contains("shop-web-1"), "{}", run.out);
    place.run(&["apply", "--yes"]).code(5);
    place.run(&["status"]).code(5);
}

#[test]
fn a_missing_secret_stops_an_apply_before_it_begins() {
    let more = "env.PASSWORD = \"{{ secrets.password }}\"\n[secrets]\npassword = { env = \"THE_PASSWORD\" }";
    let place = Place::with(&manifest(free_port(), "", more));
    let run = place.run(&["apply", "--yes"]).code(1);
    assert!(run.err.contains("the secret \"password\"") && run.err.contains("THE_PASSWORD is not set"), "{}", run.err);
    assert!(place.run(&["plan"]).out.contains("1 to create"), "nothing was done");
    let output = place.stratos(&["apply", "--yes"]).env("THE_PASSWORD", "hunter2hunter2").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains("hunter2hunter2"));
}

#[test]
fn a_saved_plan_is_applied_as_it_is_or_refused() {
    let place = Place::with(&manifest(free_port(), "", ""));
    place.run(&["plan", "--out", "first.json"]).code(0);
    place.run(&["apply", "first.json", "--env=dev", "--yes"]).code(64);
    place.run(&["apply", "first.json", "--yes"]).code(0);
    let text = place.read("stratos.toml");
    place.write("stratos.toml", &text.replace("health =", "env.A = \"1\"\nhealth ="));
    place.run(&["plan", "--out", "second.json"]).code(0);
    place.write("stratos.toml", &text.replace("health =", "env.A = \"2\"\nhealth ="));
    place.run(&["apply", "--yes"]).code(0);
    let run = place.run(&["apply", "second.json", "--yes"]).code(3);
    assert!(run.out.contains("Stale, and not written:"), "{}", run.out);
    assert!(run.out.contains("it was changed since the plan was made"), "{}", run.out);
}

#[test]
fn json_tells_everything() {
    let port = free_port();
    let place = Place::with(&manifest(port, "", ""));
    let report = place.run(&["apply", "--yes", "--output", "json"]).code(0).json();
    assert_eq!(report["format"], 1);
    assert_eq!(report["verdict"], "success");
    assert_eq!(report["planned"]["create"], 1);
    assert_eq!(report["applied"]["changes"][0]["result"], "done");
    assert_eq!(report["applied"]["health"][0]["health"]["endpoints"][0], format!("http://127.0.0.1:{port}"));
}

/// What has begun is reported, and the exit code says that it was stopped.
#[test]
fn ctrl_c_stops_cleanly() {
    let place = Place::with(&manifest(free_port(), ", \"--delay-start\", \"60s\"", ""));
    let mut child = place.process(&["apply", "--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut progress = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("waiting:") {
        assert_ne!(std::io::BufRead::read_line(&mut progress, &mut said).unwrap(), 0, "{said}");
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    std::io::Read::read_to_string(&mut progress, &mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{report}\n{said}");
    assert!(said.contains("stopping:"), "{said}");
    assert!(report.contains("dev/workload/shop-web"), "{report}");
}

/// With `--quiet` the report is all that is read: what was left out of it on purpose is at least counted.
#[test]
fn the_report_counts_what_was_held() {
    let place = Place::with(&manifest(free_port(), "", "volumes.data = { path = \"/data\" }"));
    place.run(&["apply", "--yes", "--quiet"]).code(0);
    let run = place.run(&["destroy", "--yes", "--quiet"]).code(0);
    assert!(run.out.starts_with("Done:") && run.out.contains("Applied: 1 done, 1 held."), "{}", run.out);
    let run = place.run(&["destroy", "--yes", "--quiet"]).code(0);
    assert!(run.out.starts_with("Applied: nothing to do, 1 held."), "{}", run.out);
}

/// The port is somebody else's, so nothing comes of the first apply: no supervisor stays behind for an empty environment.
#[test]
fn a_first_apply_that_comes_to_nothing_leaves_nothing_behind() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    place.write("stratos.toml", &manifest(port, "", ""));
    let run = place.run(&["apply", "--yes"]).code(4);
    assert!(run.out.contains(&port.to_string()) && run.out.contains("failed"), "{}{}", run.out, run.err);
    let socket = place.state().join("local/shop-dev/socket");
    eventually("the supervisor's end", || (!socket.exists()).then_some(()));
    drop(listener);
    place.run(&["apply", "--yes"]).code(0);
    place.run(&["plan", "--detailed-exitcode"]).code(0);
    place.run(&["destroy", "--yes"]).code(0);
}
