//! Logs of services and of containers, from a real engine in swarm mode.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use stratos_docker::connection::Connection;
use stratos_docker::endpoint::Endpoint;
use stratos_docker::logs::{Of, logs};
use stratos_engine::platform::{LogLine, LogOptions, PlatformError};
use stratos_test_platforms::{Engines, shared_engine, shared_swarm_of_two};

const LONG: Duration = Duration::from_secs(60);

pub fn swarm() -> (&'static Engines, Connection, String) {
    let engines = shared_swarm_of_two();
    let connection = Connection::new(Endpoint::Unix(engines.socket(0))).unwrap();
    (engines, connection, format!("{}/web:1", engines.registry()))
}

/// A container, or a service, that is gone when the test is.
pub struct Gone(pub &'static [&'static str], pub String);

impl Drop for Gone {
    fn drop(&mut self) {
        let words: Vec<&str> = self.0.iter().copied().chain([self.1.as_str()]).collect();
        shared_swarm_of_two().try_docker(0, &words);
    }
}

/// Starts a service that runs a script.
pub fn service(name: &str, options: &[&str], script: &str) -> Gone {
    let (engines, _, image) = swarm();
    let first = ["service", "create", "--quiet", "--detach", "--name", name, "--stop-grace-period", "1s"];
    engines.docker(0, &[&first[..], options, &[&image, "sh", "-c", script]].concat());
    Gone(&["service", "rm"], name.to_owned())
}

/// Starts a container that runs a script.
pub fn container(name: &str, options: &[&str], script: &str) -> Gone {
    let (engines, _, image) = swarm();
    engines.docker(0, &[&["run", "--detach", "--name", name][..], options, &[&image, "sh", "-c", script]].concat());
    Gone(&["rm", "--force"], name.to_owned())
}

pub fn labelled(label: &str) -> Of {
    Of::Containers(HashMap::from([("label".to_owned(), vec![label.to_owned()])]))
}

type Stream = BoxStream<'static, Result<LogLine, PlatformError>>;

async fn next(lines: &mut Stream) -> String {
    let line = tokio::time::timeout(LONG, lines.next()).await.expect("a line in time").expect("more lines").unwrap();
    format!("{} {}", line.instance, line.line)
}

/// Lines until one of them is this.
async fn until(lines: &mut Stream, wanted: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        seen.push(next(lines).await);
        if seen.last().is_some_and(|line| line == wanted) {
            return seen;
        }
    }
}

async fn all(lines: Stream) -> Vec<String> {
    lines.map(|line| line.map(|line| format!("{} {}", line.instance, line.line)).unwrap()).collect().await
}

const FOLLOW: LogOptions = LogOptions { follow: true, tail: None, previous: false };

#[tokio::test]
async fn all_replicas_of_a_service_are_heard_and_new_ones_when_they_start() {
    let (engines, connection, _) = swarm();
    let _service = service("many", &["--replicas", "2"], "echo out; echo err >&2; while true; do sleep 1; done");
    let mut lines = logs(&connection, Of::Service("many".into()), &FOLLOW).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(next(&mut lines).await);
    }
    seen.sort();
    assert_eq!(seen, ["many.1 err", "many.1 out", "many.2 err", "many.2 out"]);
    engines.docker(0, &["service", "scale", "--detach", "many=3"]);
    let mut later = [next(&mut lines).await, next(&mut lines).await];
    later.sort();
    assert_eq!(later, ["many.3 err", "many.3 out"]);
    // And nothing twice to whoever asks now.
    let history = all(logs(&connection, Of::Service("many".into()), &LogOptions::default()).await.unwrap()).await;
    assert_eq!(history.len(), 6, "{history:?}");
}

#[tokio::test]
async fn what_a_slot_wrote_before_it_crashed_is_there() {
    let (_, connection, _) = swarm();
    let _service = service("crashing", &["--restart-delay", "100ms"], "echo begin; sleep 1; echo end");
    let mut lines = logs(&connection, Of::Service("crashing".into()), &FOLLOW).await.unwrap();
    // The second task is another one, which stands in the same slot.
    for wanted in ["begin", "end", "begin", "end", "begin"] {
        assert_eq!(next(&mut lines).await, format!("crashing.1 {wanted}"));
    }
    let tail = LogOptions { follow: false, tail: Some(3), previous: false };
    let newest = all(logs(&connection, Of::Service("crashing".into()), &tail).await.unwrap()).await;
    assert_eq!(newest.len(), 3, "of the instance, and not of each of its tasks: {newest:?}");
}

#[tokio::test]
async fn tasks_of_a_global_service_are_called_after_their_node() {
    let (_, connection, _) = swarm();
    let _service = service("everywhere", &["--mode", "global"], "echo here; while true; do sleep 1; done");
    let mut lines = logs(&connection, Of::Service("everywhere".into()), &FOLLOW).await.unwrap();
    let mut seen = [next(&mut lines).await, next(&mut lines).await];
    seen.sort();
    assert_eq!(seen, ["everywhere.node0 here", "everywhere.node1 here"]);
}

#[tokio::test]
async fn containers_are_merged_in_the_order_of_time() {
    let (_, connection, _) = swarm();
    // Each waits for the other's file: the order is certain, and neither container wrote all of its lines first.
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("type=bind,source={},target=/turn", folder.path().display());
    let script = |mine: &str, other: &str, first: bool| {
        let wait = |turn: u32| format!("while [ ! -e /turn/{other}{turn} ]; do sleep 0.05; done; ");
        let turns = (1..=3).map(|turn| {
            let before = if first { turn - 1 } else { turn };
            let wait = if before > 0 { wait(before) } else { String::new() };
            format!("{wait}echo {turn}; sleep 0.05; echo > /turn/{mine}{turn}; ")
        });
        turns.collect::<String>() + "while true; do sleep 1; done"
    };
    let options = ["--label", "turns=1", "--mount", &mount];
    let (_a, _b) = (container("turn-a", &options, &script("a", "b", true)), container("turn-b", &options, &script("b", "a", false)));
    let mut following = logs(&connection, labelled("turns"), &FOLLOW).await.unwrap();
    let expected = ["turn-a 1", "turn-b 1", "turn-a 2", "turn-b 2", "turn-a 3", "turn-b 3"];
    assert_eq!(until(&mut following, "turn-b 3").await, expected);
    assert_eq!(all(logs(&connection, labelled("turns"), &LogOptions::default()).await.unwrap()).await, expected);
    let tail = LogOptions { follow: false, tail: Some(1), previous: false };
    assert_eq!(all(logs(&connection, labelled("turns"), &tail).await.unwrap()).await, ["turn-a 3", "turn-b 3"]);
}

#[tokio::test]
async fn following_goes_on_after_the_tail_and_over_a_restart() {
    let (engines, connection, _) = swarm();
    let script = "echo begin; trap 'exit 0' TERM; while [ ! -e /go ]; do sleep 0.1; done; echo went; while true; do sleep 0.1; done";
    let _container = container("restarted", &["--label", "restarted=1"], script);
    let mut lines = logs(&connection, labelled("restarted"), &FOLLOW).await.unwrap();
    assert_eq!(next(&mut lines).await, "restarted begin");
    let mut later = logs(&connection, labelled("restarted"), &LogOptions { follow: true, tail: Some(1), previous: false }).await.unwrap();
    assert_eq!(next(&mut later).await, "restarted begin");
    engines.docker(0, &["exec", "restarted", "sh", "-c", "echo > /go"]);
    assert_eq!(next(&mut lines).await, "restarted went");
    assert_eq!(next(&mut later).await, "restarted went");
    engines.docker(0, &["restart", "restarted"]);
    assert_eq!([next(&mut lines).await, next(&mut lines).await], ["restarted begin", "restarted went"]);
    assert_eq!([next(&mut later).await, next(&mut later).await], ["restarted begin", "restarted went"]);
    // One that is made only now is heard from its first line.
    let _new = container("restarted-too", &["--label", "restarted=1"], "echo begin; while true; do sleep 1; done");
    assert_eq!(next(&mut lines).await, "restarted-too begin");
}

#[tokio::test]
async fn a_tail_of_nothing_is_only_what_is_new() {
    let (engines, connection, _) = swarm();
    let _container = container("silent", &["--label", "silent=1"], "echo old; echo old >&2; while true; do sleep 1; done");
    assert_eq!(next(&mut logs(&connection, labelled("silent"), &FOLLOW).await.unwrap()).await, "silent old");
    let mut lines = logs(&connection, labelled("silent"), &LogOptions { follow: true, tail: Some(0), previous: false }).await.unwrap();
    let first = tokio::spawn(async move { next(&mut lines).await });
    // When it has begun to follow cannot be seen from here: there is something new until it has.
    while !first.is_finished() {
        engines.docker(0, &["exec", "silent", "sh", "-c", "echo new > /proc/1/fd/1"]);
        tokio::task::yield_now().await;
    }
    assert_eq!(first.await.unwrap(), "silent new");
}

#[tokio::test]
async fn long_lines_stay_whole_and_a_terminals_too() {
    let (_, connection, _) = swarm();
    let script = "busybox head -c 40000 /dev/zero | busybox tr '\\0' x; echo; busybox printf end";
    let _long = container("long", &["--label", "long=1"], script);
    shared_swarm_of_two().docker(0, &["wait", "long"]);
    let seen = all(logs(&connection, labelled("long"), &LogOptions::default()).await.unwrap()).await;
    assert_eq!(seen, [format!("long {}", "x".repeat(40_000)), "long end".into()]);
    let _terminal = container("terminal", &["--label", "terminal=1", "--tty"], "echo hello; echo there");
    shared_swarm_of_two().docker(0, &["wait", "terminal"]);
    let seen = all(logs(&connection, labelled("terminal"), &LogOptions::default()).await.unwrap()).await;
    assert_eq!(seen, ["terminal hello", "terminal there"]);
}

#[tokio::test]
async fn an_engine_that_is_no_manager_says_what_to_do() {
    let connection = Connection::new(Endpoint::Unix(shared_engine().socket(0))).unwrap();
    let error = logs(&connection, Of::Service("web".into()), &LogOptions::default()).await.err().unwrap();
    assert!(error.why.contains("not a swarm manager"), "{error}");
    assert!(error.hint.unwrap().contains("docker swarm init"));
}
