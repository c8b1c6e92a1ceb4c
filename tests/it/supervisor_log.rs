//! What a supervisor of the platform `local` writes about itself.

use std::fs::{self, File};
use std::io::Write as _;

use crate::support::{Place, eventually};

fn manifest(greeting: &str) -> String {
    let app = format!("command = [\"stratos\", \"hello\"]\nenv.GREETING = \"{greeting}\"\nports.http = 8080\nhealth.http = \"/healthz\"");
    format!("[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n[apps.web]\n{app}\n")
}

#[test]
fn it_is_bounded_and_what_comes_next_is_in_a_new_file() {
    let place = Place::with(&manifest("hello"));
    place.run(&["apply", "--yes"]).code(0);
    let folder = place.state().join("local/shop-dev");
    let log = folder.join("supervisor.log");
    assert!(fs::read_to_string(&log).unwrap().contains("Create dev/workload/shop-web: done"));

    let line = "x".repeat(99) + "\n";
    File::options().append(true).open(&log).unwrap().write_all(line.repeat(90_000).as_bytes()).unwrap();
    eventually("a new file", || (folder.join("supervisor.log.1").exists() && fs::metadata(&log).ok()?.len() == 0).then_some(()));
    place.write("stratos.toml", &manifest("good evening"));
    place.run(&["apply", "--yes"]).code(0);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("Update dev/workload/shop-web: done") && !text.contains("Create"), "{text}");

    // One that somebody removes is begun anew.
    fs::remove_file(&log).unwrap();
    eventually("a new file", || log.exists().then_some(()));

    place.run(&["destroy", "--yes"]).code(0);
    assert!(!folder.exists(), "nothing of it stays");
}
