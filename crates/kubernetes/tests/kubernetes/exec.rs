//! Commands in running containers.

use futures::stream::{self, StreamExt as _};
use stratos_engine::platform::exec::{ExecEvent, ExecInput, ExecRequest, TerminalSize};
use stratos_engine::platform::{Platform as _, PlatformError};

use crate::support::{LIMIT, Place, id};

fn place(name: &str) -> Place<'static> {
    let place = Place::new(name, "");
    place.apply("{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: NAMESPACE}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: web, image: 'IMAGE:1'}]}}");
    place.kubectl(&["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"]);
    place
}

fn command(words: &[&str]) -> ExecRequest {
    ExecRequest { command: words.iter().map(|word| (*word).to_owned()).collect(), instance: None, terminal: None, input: None }
}

/// What it wrote to its two outputs, and its exit code.
async fn run(place: &Place<'_>, request: ExecRequest) -> Result<(String, String, i64), PlatformError> {
    let work = async {
        let mut events = place.platform.exec().expect("exec").exec(&id("Pod", "web"), request).await?;
        let (mut out, mut error) = (Vec::new(), Vec::new());
        while let Some(event) = events.next().await {
            match event? {
                ExecEvent::Started { instance } => assert_eq!(instance, "web"),
                ExecEvent::Output(bytes) => out.extend(bytes),
                ExecEvent::Error(bytes) => error.extend(bytes),
                ExecEvent::Ended { code } => {
                    return Ok((String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&error).into_owned(), code));
                }
            }
        }
        panic!("it has no end")
    };
    tokio::time::timeout(LIMIT, work).await.expect("it hangs")
}

fn bytes(text: &str) -> ExecInput {
    ExecInput::Bytes(text.as_bytes().to_vec())
}

#[tokio::test]
async fn a_command_has_two_outputs_an_exit_code_and_an_input() {
    let place = place("e-command");
    let said = run(&place, command(&["sh", "-c", "echo 'a b'; echo bad >&2; exit 3"])).await.unwrap();
    assert_eq!(said, ("a b\n".to_owned(), "bad\n".to_owned(), 3));
    assert_eq!(run(&place, command(&["true"])).await.unwrap().2, 0);
    let input = stream::iter([bytes("one\n"), bytes("two")]).boxed();
    let said = run(&place, ExecRequest { input: Some(input), ..command(&["cat"]) }).await.unwrap();
    assert_eq!(said, ("one\ntwo".to_owned(), String::new(), 0), "its input ends");
    // More than fits into any buffer on the way, there and back.
    let much = "x".repeat(64 * 1024);
    let input = stream::iter((0..128).map(move |_| bytes(&much)).collect::<Vec<_>>()).boxed();
    let (out, _, code) = run(&place, ExecRequest { input: Some(input), ..command(&["cat"]) }).await.unwrap();
    assert_eq!((out.len(), code), (128 * 64 * 1024, 0));
}

#[tokio::test]
async fn a_terminal_has_a_size() {
    let place = place("e-terminal");
    let terminal = Some(TerminalSize { columns: 91, rows: 33 });
    // A size and what is typed come on two channels: the later one may be there first.
    let script =
        "i=0; until busybox stty size | grep -q '^34.92' || [ $((i += 1)) = 300 ]; do sleep 0.1; done; busybox stty size; exit 5\n";
    let input = stream::iter([ExecInput::Resize(TerminalSize { columns: 92, rows: 34 }), bytes(script)]);
    let input = input.chain(stream::pending()).boxed();
    let (out, error, code) = run(&place, ExecRequest { terminal, input: Some(input), ..command(&["sh"]) }).await.unwrap();
    assert!(out.contains("34 92"), "{out}");
    assert_eq!((error.as_str(), code), ("", 5));
}

#[tokio::test]
async fn what_cannot_be_run_says_why() {
    let place = place("e-errors");
    let error = run(&place, command(&["/nosuch"])).await.unwrap_err();
    assert!(error.why.contains("/nosuch"), "{error}");
    assert!(error.hint.as_deref().unwrap_or_default().contains("no such program"), "{error:?}");
    let error = run(&place, ExecRequest { instance: Some("other".into()), ..command(&["true"]) }).await.unwrap_err();
    assert_eq!(error.why, "there is no instance \"other\"");
    assert_eq!(error.hint.as_deref(), Some("there runs: web"));
}

#[tokio::test]
async fn a_command_ends_with_its_pod() {
    let place = place("e-ends");
    let request = command(&["sh", "-c", "echo begin; sleep 1000"]);
    let mut events = place.platform.exec().expect("exec").exec(&id("Pod", "web"), request).await.unwrap();
    while !matches!(events.next().await.expect("it begins").unwrap(), ExecEvent::Output(_)) {}
    place.kubectl(&["delete", "pod", "web", "--wait=false"]);
    let end = tokio::time::timeout(LIMIT, events.next()).await.expect("it hangs").expect("it has an end");
    assert!(end.is_err() || matches!(end, Ok(ExecEvent::Ended { code: 137 })), "{end:?}");
    assert!(events.next().await.is_none());
}
