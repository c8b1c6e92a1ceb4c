//! `stratos hello`

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{eventually, get, process};

struct Server {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut command = process(&[&["hello", "--host", "127.0.0.1"], arguments].concat());
        command.env_clear().env("PORT", "0");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("listening on")).unwrap();
        let port = listening.rsplit(':').next().unwrap().parse().unwrap();
        Self { child, lines, port }
    }

    fn end(&mut self) -> Option<i32> {
        eventually("the end of the server", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_serves_and_writes_a_line_per_request_and_ends_gracefully() {
    let mut server = Server::start(&["--message", "Good <morning>"]);
    let (status, body) = get(server.port, "/").unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("<h1>Good &lt;morning&gt;</h1>") && body.contains(&format!("port {}", server.port)), "{body}");
    assert_eq!(get(server.port, "/healthz").unwrap().0, 200);
    assert_eq!(get(server.port, "/nowhere").unwrap().0, 404);
    let lines: Vec<String> = server.lines.by_ref().take(3).map(Result::unwrap).collect();
    assert!(lines[0].starts_with("GET / 200") && lines[2].starts_with("GET /nowhere 404"), "{lines:?}");
    kill(Pid::from_raw(server.child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(server.end(), Some(0));
}

#[test]
fn it_can_be_unhealthy() {
    let server = Server::start(&["--unhealthy"]);
    assert_eq!(get(server.port, "/healthz").unwrap().0, 503);
    assert_eq!(get(server.port, "/").unwrap().0, 200);
}

#[test]
fn it_can_crash_and_be_late() {
    let begun = Instant::now();
    let mut server = Server::start(&["--delay-start", "300ms", "--crash-after", "500ms"]);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.end(), Some(1));
    assert!(begun.elapsed() >= Duration::from_millis(500));
}

/// A client that keeps its connection open must not keep the server from ending.
#[test]
fn an_idle_connection_does_not_hold_it() {
    let mut server = Server::start(&[]);
    let _idle = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    kill(Pid::from_raw(server.child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(server.end(), Some(0));
}
