//! The hidden command `balance`. What a balancer does is tested in its own crate.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::Place;

#[test]
fn it_is_ready_by_a_line_and_ends_well_on_a_signal() {
    let place = Place::new();
    place.write("balancer.json", r#"{"listeners": [{"listen": "127.0.0.1:0", "targets": ["web-1:8080"]}]}"#);
    let mut balancer = place.process(&[stratos::connect::BALANCE, "balancer.json"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(balancer.stderr.take().unwrap()).read_line(&mut line).unwrap();
    kill(Pid::from_raw(balancer.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(line.starts_with("ready: 127.0.0.1:") && line.contains(" to web-1:8080; "), "{line}");
    assert!(balancer.wait().unwrap().success());
}

#[test]
fn a_file_that_cannot_be_used_is_told() {
    let place = Place::new();
    place.write("balancer.json", "{}");
    let run = place.run(&["balance", "balancer.json"]);
    assert_eq!(
        (run.code, run.err.as_str()),
        (Some(1), "error: balancing: reading balancer.json: missing field `listeners` at line 1 column 2\n")
    );
}
