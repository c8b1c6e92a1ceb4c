//! Commands in running containers of a real engine.

use std::time::Duration;

use futures::StreamExt as _;
use futures::channel::mpsc;
use stratos_docker::connection::Connection;
use stratos_docker::endpoint::Endpoint;
use stratos_docker::exec::exec;
use stratos_docker::logs::Of;
use stratos_engine::platform::exec::{ExecEvent, ExecInput, ExecRequest, TerminalSize};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use stratos_test_platforms::eventually_async;

use super::logs::{container, labelled, service, swarm};

const LONG: Duration = Duration::from_secs(60);
const IDLE: &str = "trap 'exit 0' TERM; while true; do sleep 0.1; done";

fn command(words: &[&str]) -> ExecRequest {
    ExecRequest { command: words.iter().map(|word| (*word).to_owned()).collect(), instance: None, terminal: None, input: None }
}

/// What a command did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ran {
    instance: String,
    out: String,
    err: String,
    code: i64,
}

async fn run(connection: &Connection, of: &Of, request: ExecRequest) -> Result<Ran, PlatformError> {
    let mut events = exec(connection, of, request).await?;
    let mut ran = Ran::default();
    while let Some(event) = tokio::time::timeout(LONG, events.next()).await.expect("an event in time") {
        match event? {
            ExecEvent::Started { instance } => ran.instance = instance,
            ExecEvent::Output(bytes) => ran.out.push_str(&String::from_utf8_lossy(&bytes)),
            ExecEvent::Error(bytes) => ran.err.push_str(&String::from_utf8_lossy(&bytes)),
            ExecEvent::Ended { code } => ran.code = code,
        }
    }
    Ok(ran)
}

#[tokio::test]
async fn outputs_come_apart_with_the_exit_code() {
    let (_, connection, _) = swarm();
    let _container = container("exec-plain", &["--label", "exec=plain"], IDLE);
    let ran = run(&connection, &labelled("exec=plain"), command(&["sh", "-c", "echo out; echo err >&2; exit 7"])).await.unwrap();
    assert_eq!(ran, Ran { instance: "exec-plain".into(), out: "out\n".into(), err: "err\n".into(), code: 7 });
}

#[tokio::test]
async fn input_is_passed_on_until_its_end() {
    let (_, connection, _) = swarm();
    let _container = container("exec-input", &["--label", "exec=input"], IDLE);
    let big = "x".repeat(300_000);
    let input = [ExecInput::Bytes(b"hello ".to_vec()), ExecInput::Bytes(big.clone().into_bytes())];
    let input = Some(futures::stream::iter(input).boxed());
    let ran = run(&connection, &labelled("exec=input"), ExecRequest { input, ..command(&["cat"]) }).await.unwrap();
    assert_eq!((ran.out.len(), ran.code), (6 + big.len(), 0));
    assert!(ran.out.starts_with("hello x"));
    // Without input the command reads an end at once.
    assert_eq!(run(&connection, &labelled("exec=input"), command(&["cat"])).await.unwrap().code, 0);
}

#[tokio::test]
async fn a_command_that_ends_does_not_wait_for_its_input() {
    let (_, connection, _) = swarm();
    let _container = container("exec-open", &["--label", "exec=open"], IDLE);
    let input = Some(futures::stream::pending().boxed());
    assert_eq!(run(&connection, &labelled("exec=open"), ExecRequest { input, ..command(&["true"]) }).await.unwrap().code, 0);
}

#[tokio::test]
async fn a_terminal_has_its_size_and_takes_ctrl_c() {
    let (_, connection, _) = swarm();
    let _container = container("exec-terminal", &["--label", "exec=terminal"], IDLE);
    let (sender, receiver) = mpsc::unbounded();
    let request = ExecRequest {
        terminal: Some(TerminalSize { columns: 91, rows: 17 }),
        input: Some(receiver.boxed()),
        ..command(&["sh", "-c", "while read line; do busybox stty size; done; echo never"])
    };
    let mut events = exec(&connection, &labelled("exec=terminal"), request).await.unwrap();
    let mut screen = String::new();
    let mut step = 0;
    sender.unbounded_send(ExecInput::Bytes(b"\n".to_vec())).unwrap();
    let code = loop {
        match tokio::time::timeout(LONG, events.next()).await.expect("an event in time").expect("an end").unwrap() {
            ExecEvent::Output(bytes) => screen.push_str(&String::from_utf8_lossy(&bytes)),
            ExecEvent::Ended { code } => break code,
            ExecEvent::Started { .. } => {}
            ExecEvent::Error(bytes) => panic!("a terminal has one output: {bytes:?}"),
        }
        if step == 0 && screen.contains("17 91") {
            step = 1;
            sender.unbounded_send(ExecInput::Resize(TerminalSize { columns: 50, rows: 20 })).unwrap();
            sender.unbounded_send(ExecInput::Bytes(b"\n".to_vec())).unwrap();
        } else if step == 1 && screen.contains("20 50") {
            step = 2;
            sender.unbounded_send(ExecInput::Bytes(vec![3])).unwrap();
        }
    };
    assert_eq!((code, step), (130, 2), "{screen:?}");
    assert!(!screen.contains("never"));
}

#[tokio::test]
async fn an_instance_is_chosen_by_its_name() {
    let (_, connection, _) = swarm();
    // A command is run on the node that we are connected to.
    let _service = service("exec-many", &["--replicas", "2", "--constraint", "node.hostname==node0"], IDLE);
    let of = Of::Service("exec-many".into());
    let on = |name: &str| ExecRequest { instance: Some(name.to_owned()), ..command(&["hostname"]) };
    let first = eventually_async("the first runs", async || run(&connection, &of, on("exec-many.1")).await).await;
    let second = eventually_async("the second runs", async || run(&connection, &of, on("exec-many.2")).await).await;
    assert_eq!((first.instance.as_str(), second.instance.as_str()), ("exec-many.1", "exec-many.2"));
    assert_ne!(first.out, second.out);
    let error = run(&connection, &of, on("exec-many.3")).await.unwrap_err();
    assert_eq!(error.why, "there is no instance \"exec-many.3\"");
    assert_eq!(error.hint.as_deref(), Some("there runs: exec-many.1, exec-many.2"));
}

#[tokio::test]
async fn what_cannot_be_run_is_explained() {
    let (engines, connection, _) = swarm();
    let _ended = container("exec-ended", &["--label", "exec=ended"], "true");
    engines.docker(0, &["wait", "exec-ended"]);
    let error = run(&connection, &labelled("exec=ended"), command(&["true"])).await.unwrap_err();
    assert_eq!((error.kind, error.why.as_str()), (PlatformErrorKind::Rejected, "none of its instances runs"));
    let _container = container("exec-missing", &["--label", "exec=missing"], IDLE);
    let ran = run(&connection, &labelled("exec=missing"), command(&["no-such-program"])).await;
    match ran {
        Ok(ran) => assert!((126..=127).contains(&ran.code) && ran.out.contains("no-such-program"), "{ran:?}"),
        Err(error) => assert!(error.why.contains("no-such-program"), "{error}"),
    }
}

/// The API leads to the containers of one node alone.
#[tokio::test]
async fn an_instance_on_another_node_is_named_with_its_node() {
    let (engines, connection, _) = swarm();
    let _service = service("far", &["--constraint", "node.hostname==node1"], IDLE);
    let error = eventually_async("it runs", async || {
        let error = run(&connection, &Of::Service("far".into()), command(&["true"])).await.unwrap_err();
        if error.why.contains("runs on") { Ok(error) } else { Err(error) }
    })
    .await;
    assert!(
        error.why.starts_with("far.1 runs on the node node1, and a command can be run only on the node that we are connected to (node0)"),
        "{error}"
    );
    assert!(error.hint.unwrap().contains("connect to node1"));
    let there = Connection::new(Endpoint::Unix(engines.socket(1))).unwrap();
    let ran = run(&there, &Of::Service("far".into()), command(&["hostname"])).await.unwrap();
    assert_eq!((ran.instance.as_str(), ran.code), ("far.1", 0));
}
