//! Each folder in `examples/` is planned, applied, asked and destroyed: what a reader copies must work.

use std::path::Path;

use crate::support::{Place, free_port, get};

/// Copies an example into a place. Published ports become free ones, which are returned.
fn copy(from: &Path, below: &Path, place: &Place, ports: &mut Vec<u16>) {
    for entry in std::fs::read_dir(from.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            copy(from, &path, place, ports);
            continue;
        }
        let mut text = String::new();
        for line in std::fs::read_to_string(entry.path()).unwrap().lines() {
            match line.split_once("publish = ").filter(|_| !line.trim_start().starts_with('#')) {
                Some((before, after)) => {
                    let port = free_port();
                    ports.push(port);
                    text.push_str(&format!("{before}publish = {port}{}\n", after.trim_start_matches(|c: char| c.is_ascii_digit())));
                }
                None => text.push_str(&format!("{line}\n")),
            }
        }
        place.write(&path.to_string_lossy(), &text);
    }
}

fn example_works(name: &str) {
    let place = Place::new();
    let mut ports = Vec::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name), Path::new(""), &place, &mut ports);
    assert!(!ports.is_empty(), "{name} can be looked at");
    let run = |arguments: &[&str], code: i32| {
        let output = place.stratos(arguments).env("API_TOKEN", "s3cret-s3cret").output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{name}: {arguments:?}: {said}");
        assert!(!said.contains("s3cret-s3cret"), "{name}: a secret is shown: {said}");
    };
    run(&["plan", "--detailed-exitcode"], 2);
    run(&["apply", "--yes", "--all"], 0);
    for port in ports {
        assert_eq!(get(port, "/").map(|(status, _)| status), Some(200), "{name}: port {port}");
    }
    run(&["plan", "--detailed-exitcode"], 0);
    run(&["status"], 0);
    run(&["destroy", "--yes", "--all", "--delete-data"], 0);
}

#[test]
fn hello() {
    example_works("hello");
}

#[test]
fn monorepo() {
    example_works("monorepo");
}

#[test]
fn two_services() {
    example_works("two-services");
}

#[test]
fn no_example_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    // `docker`, `swarm` and `kubernetes` need an engine or a cluster: tests/engines/example.rs.
    assert_eq!(names, ["docker", "hello", "kubernetes", "monorepo", "swarm", "two-services"], "an example without a test");
}
