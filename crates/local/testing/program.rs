//! What the tests of this crate run: a supervisor without the stratos program around it, and an app to supervise.
//!
//! `apply FOLDER PLAN SECRETS CALL WHEN` applies a plan and kills itself at a call (`doomed`). `supervise FOLDER …` is the supervisor. `serve MODE` is an HTTP server on `$PORT`; its modes are `healthy`,
//! `never-healthy` (`/healthz` answers 503) and `crash` (it ends at once).

#![expect(clippy::disallowed_macros, reason = "a program of its own, whose output is what is tested")]
#![expect(clippy::disallowed_methods, reason = "a slow answer is what `/slow` is for")]

#[path = "doomed.rs"]
mod doomed;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let result = match arguments.split_first() {
        Some((word, rest)) if word == "supervise" => stratos_local::supervisor::run(rest).map_err(|e| e.to_string()),
        Some((word, rest)) if word == "serve" => serve(rest.first().and_then(|mode| mode.to_str()).unwrap_or("healthy")),
        Some((word, rest)) if word == "apply" => doomed::apply(rest),
        _ => Err("expected `supervise`, `serve` or `apply`".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mode: &str) -> Result<(), String> {
    if mode == "crash" {
        return Err("boom: it cannot start".into());
    }
    let port: u16 = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).ok_or("PORT is missing")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|e| e.to_string())?;
    println!("listening on {port}");
    let healthy = mode != "never-healthy";
    for client in listener.incoming().flatten() {
        std::thread::spawn(move || drop(answer(client, healthy)));
    }
    Ok(())
}

/// `/healthz`; `/env/NAME`; `/file/PATH` (below `$STRATOS_FILES`); `/slow` answers late; everything else tells `$VERSION`.
fn answer(mut client: TcpStream, healthy: bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "(unset)".into());
    let (status, body) = match path.as_str() {
        "/healthz" if !healthy => ("503 Service Unavailable", "not yet".into()),
        "/slow" => {
            std::thread::sleep(Duration::from_millis(300));
            ("200 OK", variable("VERSION"))
        }
        path if path.starts_with("/env/") => ("200 OK", variable(&path[5..])),
        path if path.starts_with("/file/") => {
            let file = format!("{}/{}", variable("STRATOS_FILES"), &path[6..]);
            ("200 OK", std::fs::read_to_string(file).unwrap_or_else(|e| e.to_string()))
        }
        _ => ("200 OK", variable("VERSION")),
    };
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())?;
    client.flush()
}
