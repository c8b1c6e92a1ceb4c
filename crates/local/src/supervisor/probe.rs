//! One probe of one instance.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::supervisor::process::{Launch, Process};
use crate::supervisor::spec::{Action, Probe};

/// The longest status line that is read.
const STATUS_LINE: u64 = 4096;

/// Probes once. The error is a sentence's part: `GET /healthz answered 503`.
pub(crate) async fn probe(probe: &Probe, ports: &BTreeMap<String, u16>, launch: &Launch) -> Result<(), String> {
    let what = match &probe.action {
        Action::Http(path, _) => format!("GET {path}"),
        Action::Tcp(port) => format!("connecting to port {port}"),
        Action::Command(command) => format!("the command {:?}", command.join(" ")),
    };
    let attempt = async {
        let port = |name: &str| ports.get(name).copied().ok_or_else(|| format!("has no port {name:?}"));
        match &probe.action {
            Action::Http(path, name) => http(path, port(name)?).await,
            Action::Tcp(name) => connect(port(name)?).await.map(drop),
            Action::Command(words) => command(words, launch).await,
        }
    };
    match timeout(probe.timeout, attempt).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(format!("{what} {why}")),
        Err(_) => Err(format!("{what} did not answer within {} ms", probe.timeout.as_millis())),
    }
}

async fn connect(port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|e| format!("failed: {e}"))
}

/// The smallest HTTP/1.1 client that tells a good status from a bad one.
async fn http(path: &str, port: u16) -> Result<(), String> {
    let mut stream = connect(port).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: stratos-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|e| format!("failed: {e}"))?;
    let mut line = vec![];
    let mut reader = BufReader::new(stream.take(STATUS_LINE));
    reader.read_until(b'\n', &mut line).await.map_err(|e| format!("failed: {e}"))?;
    let line = String::from_utf8_lossy(&line);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.trim().parse::<u16>().ok());
    match status {
        Some(200..=399) => Ok(()),
        Some(status) => Err(format!("answered {status}")),
        None if line.is_empty() => Err("was not answered".into()),
        None => Err(format!("was answered by something that is not HTTP: {:?}", line.trim())),
    }
}

async fn command(words: &[String], launch: &Launch) -> Result<(), String> {
    let mut command = launch.command(words).map_err(|e| format!("did not start: {e}"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // What a probe started in turn ends with it, also where its time is over: dropping the process ends its group.
    let mut process = Process::spawn(&mut command).map_err(|e| format!("did not start: {e}"))?;
    let status = process.ended().await.map_err(|e| format!("did not end well: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("ended with {status}")) }
}
