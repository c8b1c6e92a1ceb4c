//! The program is killed at each request that it sends to a supervisor, before the supervisor has got it and after its
//! answer. Run again, it comes to the same end: nothing is lost, and nothing is there twice.

use std::process::{Child, Stdio};

use stratos_test_platforms::{FaultProxy, Side};

use crate::support::{Place, eventually};

/// A word that only the processes of one place have in their command line, told apart by the place's folder.
fn word(place: &Place) -> String {
    place.state().parent().unwrap().file_name().unwrap().to_string_lossy().into_owned()
}

/// An app that stays, so that there is a supervisor, and one that comes, changes and goes.
fn write(place: &Place, web: Option<usize>) {
    let app = |name: &str, more: String| {
        let command = format!("command = [\"stratos\", \"hello\", \"--host\", \"127.0.0.1\", \"--message\", \"{}-{name}\"]", word(place));
        let health = "health = { http = \"/healthz\", interval = \"50ms\", timeout = \"5s\" }";
        format!("[apps.{name}]\n{command}\nports.http = 8080\n{health}\n{more}\n")
    };
    let web = web.map(|version| app("web", format!("replicas = 2\nenv.VERSION = \"{version}\"\n"))).unwrap_or_default();
    let project = "[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n";
    place.write("stratos.toml", &format!("{project}{}{web}", app("base", String::new())));
}

/// How many processes have this text in their command line, whose words each end with a zero.
fn processes(text: &str) -> usize {
    command_lines().filter(|line| line.contains(text)).count()
}

/// The command lines of all processes.
fn command_lines() -> impl Iterator<Item = String> {
    let folders = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    // A process may end between the two reads: then it is not there.
    let lines = folders.filter_map(|folder| std::fs::read(folder.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned())
}

/// How many supervisors a place has. Their guards have one word more.
fn supervisors(place: &Place) -> usize {
    let end = format!("supervise\0{}\0", folder(place));
    command_lines().filter(|line| line.ends_with(&end)).count()
}

/// The number of live apps, and of all their instances, as `status` tells them.
fn live(place: &Place) -> (usize, usize) {
    let status = place.run(&["status", "--output", "json"]).json();
    let apps = status["environments"][0]["apps"].as_array().unwrap();
    let objects = apps.iter().flat_map(|app| app["health"].as_array().unwrap());
    let instances = objects.clone().map(|object| object[1]["instances"].as_array().unwrap().len());
    (objects.clone().count(), instances.sum())
}

/// Runs the program again, which goes on to the end that was wanted: so many apps, with so many processes.
fn goes_on(place: &Place, apps: usize, instances: usize) {
    place.run(&["apply", "--yes"]).code(0);
    place.run(&["plan", "--detailed-exitcode"]).code(0);
    assert_eq!(live(place), (apps, instances));
    let text = format!("{}-", word(place));
    eventually("the end of every other process", || (processes(&text) == instances).then_some(()));
    eventually("the end of every other supervisor", || (supervisors(place) == 1).then_some(()));
}

/// Ends the program as `kill -9` does.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs the program and kills it at a request. Whether it ever came to that request.
fn crash(place: &Place, arguments: &[&str], request: usize, side: Side) -> bool {
    let socket = place.state().join("local/shop-dev/socket");
    let proxy = FaultProxy::in_place_of(&socket, &place.folder().join("moved"));
    proxy.kill_at(request, side);
    let mut child = place.process(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ended = eventually("the crash, or the end of a run without one", || match proxy.is_dead() {
        true => Some(None),
        false => child.try_wait().unwrap().map(Some),
    });
    if let Some(status) = ended {
        assert!(status.success(), "{arguments:?} without a crash: {status}");
    }
    kill(child);
    ended.is_none()
}

/// Crashes at each request, on both sides, until there is none left. `prepare` and `check` surround each crash.
fn everywhere(arguments: &[&str], at_least: usize, mut prepare: impl FnMut(usize), mut check: impl FnMut(), place: &Place) {
    let mut round = 0;
    for request in 0.. {
        let mut reached = false;
        for side in [Side::Before, Side::After] {
            round += 1;
            prepare(round);
            reached |= crash(place, arguments, request, side);
            check();
        }
        if !reached {
            assert!(request >= at_least, "only {request} requests were met");
            return;
        }
    }
}

/// What must be as it was before anything was applied: no process, no supervisor, nothing of ours.
fn nothing_is_left(place: &Place) {
    let text = format!("{}-", word(place));
    eventually("the end of every process", || (processes(&text) == 0).then_some(()));
    eventually("the end of the supervisor", || (processes(&folder(place)) == 0).then_some(()));
    place.run(&["plan", "--destroy", "--detailed-exitcode"]).code(0);
}

/// The folder of the environment, which the supervisor has in its command line.
fn folder(place: &Place) -> String {
    place.state().join("local/shop-dev").to_string_lossy().into_owned()
}

#[test]
fn killed_at_any_request_of_an_update_it_goes_on() {
    let place = Place::new();
    write(&place, Some(0));
    place.run(&["apply", "--yes"]).code(0);
    everywhere(&["apply", "--yes"], 4, |round| write(&place, Some(round)), || goes_on(&place, 2, 3), &place);
}

#[test]
fn killed_at_any_request_of_a_creation_it_goes_on() {
    let place = Place::new();
    let prepare = |_| {
        write(&place, None);
        place.run(&["apply", "--yes"]).code(0);
        write(&place, Some(0));
    };
    everywhere(&["apply", "--yes"], 4, prepare, || goes_on(&place, 2, 3), &place);
}

#[test]
fn killed_at_any_request_of_a_destruction_it_goes_on() {
    let place = Place::new();
    write(&place, Some(0));
    let prepare = |_| drop(place.run(&["apply", "--yes"]).code(0));
    let check = || {
        place.run(&["destroy", "--yes"]).code(0);
        nothing_is_left(&place);
    };
    everywhere(&["destroy", "--yes"], 4, prepare, check, &place);
}

/// The very first apply starts the supervisor. Killed right after that, it has asked it for nothing yet.
#[test]
fn killed_when_it_has_just_started_the_supervisor_it_goes_on() {
    let place = Place::new();
    write(&place, Some(0));
    // The kernel may give the program the time for its first request after all: then this was another crash than was meant.
    eventually("a crash between the start and the first request", || {
        let mut child = place.process(&["apply", "--yes"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while supervisors(&place) == 0 {
            assert_eq!(child.try_wait().unwrap(), None, "it ended without a supervisor");
        }
        kill(child);
        eventually("the supervisor", || place.state().join("local/shop-dev/socket").exists().then_some(()));
        let as_meant = live(&place) == (0, 0);
        goes_on(&place, 2, 3);
        place.run(&["destroy", "--yes"]).code(0);
        nothing_is_left(&place);
        as_meant.then_some(())
    });
}
