//! Finds the supervisor of an environment, starts one where that is wanted, and talks to it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

use crate::folder::Folder;
use crate::protocol::{Envelope, Reply, Request, VERSION, WireError};
use crate::supervisor::process::INHERITED;

/// How long a supervisor may take from its start until it listens. It does a few milliseconds of work.
const START: Duration = Duration::from_secs(15);

/// How long an answer may take. A deletion is answered when the processes are gone, which their grace bounds.
const ANSWER: Duration = Duration::from_secs(60);

/// The variable that says what is logged.
const LOG: &str = "STRATOS_LOG";

/// What a supervisor writes to its log, where `STRATOS_LOG` does not say.
const LOGGED: &str = "warn,stratos_local=info";

/// The way to one environment's supervisor.
pub(crate) struct Client {
    pub folder: Folder,
    command: Vec<OsString>,
    requests: AtomicU64,
}

/// Why there is no answer.
pub(crate) enum CallError {
    /// The request was not sent.
    NotSent(PlatformError),
    /// It was sent, and what came of it is not known.
    Lost(PlatformError),
    /// The supervisor refused it.
    Refused(WireError),
}

impl CallError {
    /// For requests that change nothing, where the three are the same to the caller.
    pub fn into_platform_error(self, attempted: &str) -> PlatformError {
        match self {
            Self::NotSent(error) | Self::Lost(error) => error,
            Self::Refused(error) => error.into_platform_error(attempted),
        }
    }
}

impl Client {
    pub fn new(folder: Folder, command: Vec<OsString>) -> Self {
        Self { folder, command, requests: AtomicU64::new(0) }
    }

    /// How many requests were sent.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// A connection to the supervisor that runs; None where none does.
    pub async fn connect(&self) -> Result<Option<UnixStream>, PlatformError> {
        match UnixStream::connect(self.folder.socket()).await {
            Ok(stream) => Ok(Some(stream)),
            // Without a file there never was one, and a socket that nobody listens on outlived its supervisor.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
            Err(e) => {
                let attempted = format!("connecting to the supervisor at {}", self.folder.socket().display());
                Err(PlatformError::new(PlatformErrorKind::Unreachable, attempted, e.to_string()))
            }
        }
    }

    /// A connection to the supervisor, which is started where none runs.
    pub async fn connect_or_start(&self) -> Result<UnixStream, PlatformError> {
        if let Some(stream) = self.connect().await? {
            return Ok(stream);
        }
        let attempted = || format!("starting the supervisor of {}", self.folder.path().display());
        let broken = |e: io::Error| PlatformError::new(PlatformErrorKind::Unreachable, attempted(), e.to_string());
        self.folder.create().map_err(broken)?;
        let mut child = self.spawn().map_err(broken)?;
        let deadline = Instant::now() + START;
        let mut pause = Duration::from_millis(2);
        loop {
            if let Some(stream) = self.connect().await? {
                return Ok(stream);
            }
            match child.try_wait().map_err(broken)? {
                // A Ctrl-C on the terminal that was for us, and reached it before it had left the terminal.
                Some(status) if status.signal() == Some(Signal::SIGINT as i32) => child = self.spawn().map_err(broken)?,
                Some(status) if !status.success() => {
                    let why = format!("it ended with {status}: {}", self.last_words());
                    return Err(PlatformError::new(PlatformErrorKind::Internal, attempted(), why));
                }
                // Another one was there already, and may be about to end or about to listen.
                Some(_) => child = self.spawn().map_err(broken)?,
                None => {}
            }
            if Instant::now() >= deadline {
                let why = format!("it does not listen after {} s: {}", START.as_secs(), self.last_words());
                return Err(PlatformError::new(PlatformErrorKind::Unreachable, attempted(), why));
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program is configured for it"));
        };
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(self.folder.supervisor_log())?;
        let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        Command::new(program)
            .args(arguments)
            .arg(self.folder.path())
            .env_clear()
            .envs(inherited)
            // For itself alone: what it starts does not get it.
            .env(LOG, std::env::var_os(LOG).filter(|wish| !wish.is_empty()).unwrap_or_else(|| LOGGED.into()))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(false)
            .spawn()
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.supervisor_log()).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        format!("{last} (see {})", self.folder.supervisor_log().display())
    }

    /// Asks, and reads the one line of the answer.
    pub async fn call<T: DeserializeOwned>(&self, stream: UnixStream, request: Request, attempted: &str) -> Result<T, CallError> {
        self.open(stream, request, attempted).await.map(|(answer, _)| answer)
    }

    /// Asks, reads the first line of the answer, and leaves the connection open for more.
    pub async fn open<T: DeserializeOwned>(
        &self,
        stream: UnixStream,
        request: Request,
        attempted: &str,
    ) -> Result<(T, BufReader<UnixStream>), CallError> {
        let error = |kind, why: String| PlatformError::new(kind, attempted, why);
        let envelope = Envelope { version: VERSION, request };
        let text = serde_json::to_vec(&envelope).map_err(|e| CallError::NotSent(error(PlatformErrorKind::Internal, e.to_string())))?;
        let mut text = Zeroizing::new(text);
        text.push(b'\n');
        self.requests.fetch_add(1, Ordering::Relaxed);
        let lost = |why: String| CallError::Lost(error(PlatformErrorKind::Unreachable, why));
        let mut stream = BufReader::new(stream);
        let mut answer = String::new();
        let exchange = async {
            stream.write_all(&text).await?;
            stream.read_line(&mut answer).await
        };
        match timeout(ANSWER, exchange).await {
            Ok(Ok(0)) => return Err(lost("the supervisor ended before it answered".into())),
            Ok(Ok(_)) => {}
            Ok(Err(e)) => return Err(lost(format!("the connection to the supervisor broke: {e}"))),
            Err(_) => return Err(lost(format!("the supervisor did not answer within {} s", ANSWER.as_secs()))),
        }
        match serde_json::from_str::<Reply<T>>(&answer) {
            Ok(Ok(value)) => Ok((value, stream)),
            Ok(Err(refused)) => Err(CallError::Refused(refused)),
            Err(e) => Err(CallError::Lost(error(PlatformErrorKind::Internal, format!("the supervisor's answer was not understood: {e}")))),
        }
    }
}
