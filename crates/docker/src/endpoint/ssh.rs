//! An engine behind `ssh`: each connection is `ssh HOST docker system dial-stdio`, as it is for the Docker command line, so that
//! what works there (agents, keys, `~/.ssh/config`, known hosts, jump hosts) works here.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::Destination;
use super::transport::CONNECT;

/// As much as is kept of what `ssh` says. What a login greets with comes first, and what went wrong last.
const SAID: usize = 4096;

/// Starts an `ssh` for each connection.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    arguments: Vec<String>,
}

impl Connector {
    pub(super) fn new(destination: &Destination) -> Self {
        let Destination { user, host, port } = destination;
        // Nobody is there to be asked for a password or about an unknown host: it fails, and says so.
        let mut arguments = vec!["-T".to_owned(), "-o".into(), "BatchMode=yes".into()];
        arguments.extend(["-o".into(), format!("ConnectTimeout={}", CONNECT.as_secs())]);
        arguments.extend(user.iter().flat_map(|user| ["-l".to_owned(), user.clone()]));
        arguments.extend(port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        arguments.extend(["--", host, "docker", "system", "dial-stdio"].map(str::to_owned));
        Self { arguments }
    }

    fn start(&self) -> io::Result<Stream> {
        let mut command = Command::new("ssh");
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| io::Error::new(error.kind(), format!("starting the program `ssh`: {error}")))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("`ssh` has no pipes"));
        };
        Ok(Stream { _child: child, stdin: Some(stdin), stdout, stderr: Some(stderr), said: Vec::new(), heard: false })
    }
}

impl tower_service::Service<hyper::Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: hyper::Uri) -> Self::Future {
        let connector = self.clone();
        async move { connector.start().map(TokioIo::new) }.boxed()
    }
}

/// The pipes to an `ssh`, which ends with this value.
pub(super) struct Stream {
    _child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: Option<ChildStderr>,
    /// The last of what it wrote to standard error.
    said: Vec<u8>,
    /// Whether the engine has answered anything yet. Before that an end means that `ssh` failed.
    heard: bool,
}

impl Stream {
    /// Takes what `ssh` says: it would stop where nobody does. Ready when it says no more.
    fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(stderr) = &mut self.stderr {
            let mut bytes = [0; 1024];
            let mut read = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(stderr).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => self.said.extend_from_slice(read.filled()),
                Ok(()) | Err(_) => self.stderr = None,
            }
            let too_many = self.said.len().saturating_sub(SAID);
            self.said.drain(..too_many);
        }
        Poll::Ready(())
    }

    fn failure(&self) -> io::Error {
        let said = String::from_utf8_lossy(&self.said);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let why = if lines.is_empty() { "it ended without a word".to_owned() } else { lines.join("; ") };
        io::Error::other(format!("ssh: {why}"))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let _ = self.poll_said(cx);
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stdout).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.heard = true;
        }
        if self.heard {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_said(cx));
        Poll::Ready(Err(self.failure()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let heard = self.heard;
        let Some(stdin) = &mut self.stdin else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(stdin).poll_write(cx, bytes)) {
            // It ended before it was connected. Reading tells why; an error here would only tell that a pipe is broken.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !heard => Poll::Ready(Ok(bytes.len())),
            result => Poll::Ready(result),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin.as_mut().map_or(Poll::Ready(Ok(())), |stdin| Pin::new(stdin).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The other side sees the end when the pipe is closed.
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
