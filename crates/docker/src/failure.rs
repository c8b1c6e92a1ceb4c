//! What an engine answered, as an error that says what to do.

use bollard::errors::Error;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

/// An error of the client or the engine. `attempted` says what was tried, on what.
pub(crate) fn failure(attempted: impl Into<String>, error: &Error) -> PlatformError {
    let (kind, why) = match error {
        Error::DockerResponseServerError { status_code, message } => (kind_of(*status_code, message), message.trim().to_owned()),
        Error::RequestTimeoutError => (PlatformErrorKind::Unreachable, "no answer in time".to_owned()),
        Error::HyperResponseError { .. } | Error::HyperLegacyError { .. } | Error::IOError { .. } => {
            let why = with_causes(error);
            (if is_refused(&why) { PlatformErrorKind::Denied } else { PlatformErrorKind::Unreachable }, why)
        }
        other => (PlatformErrorKind::Internal, with_causes(other)),
    };
    let hint = hint(kind, &why);
    let error = PlatformError::new(kind, attempted, why);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Whether the engine says that there is no such thing.
pub(crate) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// Whether a write may have happened although no answer came.
pub(crate) fn is_lost(error: &Error) -> bool {
    !matches!(error, Error::DockerResponseServerError { .. })
}

fn kind_of(status: u16, message: &str) -> PlatformErrorKind {
    match status {
        401 | 403 => PlatformErrorKind::Denied,
        408 | 502 | 504 => PlatformErrorKind::Unreachable,
        429 => PlatformErrorKind::Throttled,
        409 => PlatformErrorKind::Conflict,
        // A stale version is no 409 (moby/swarmkit issue 1379).
        500 if message.contains("update out of sequence") => PlatformErrorKind::Conflict,
        // What the raft store answers while it elects, or has lost its majority.
        500 | 503 if message.contains("does not have a leader") || message.contains("deadline exceeded") => PlatformErrorKind::Unreachable,
        500..=599 => PlatformErrorKind::Internal,
        _ => PlatformErrorKind::Rejected,
    }
}

/// Whether a connection failed because one side does not trust the other: asking again will not help.
fn is_refused(why: &str) -> bool {
    let why = why.to_lowercase();
    ["certificate", "host key verification failed", "permission denied"].iter().any(|word| why.contains(word))
}

fn hint(kind: PlatformErrorKind, why: &str) -> Option<&'static str> {
    let contains = |text: &str| why.to_lowercase().contains(text);
    if contains("invalid peer certificate") {
        return Some("the engine's certificate is not one that we trust: `ca` names the authority that it comes from, and `url` its host");
    }
    if contains("received fatal alert") && contains("certificate") {
        return Some("the engine takes those alone who show a certificate of its authority: name yours with `cert` and `key`");
    }
    if contains("invalidcontenttype") {
        return Some("what listens there speaks no TLS: write `url` as http://host:port, if nobody else can reach that port");
    }
    if contains("http request to an https server") {
        return Some("the engine speaks TLS there: write `url` as https://host:port/");
    }
    if contains("host key verification failed") {
        return Some("`ssh` does not know this host: connect once by hand (`ssh HOST`) and look at its key");
    }
    if contains("ssh: ") && contains("permission denied (") {
        return Some("`ssh` was not let in, and asks for no password here: does `ssh HOST docker version` work without one?");
    }
    if contains("ssh: ") && contains("not found") {
        return Some("the program `docker` is run on the other side (`docker system dial-stdio`): install it there");
    }
    if contains("permission denied") {
        return Some("your user may not use the engine's socket: is it in the group `docker`?");
    }
    if contains("not a swarm manager") || contains("not part of a swarm") {
        return Some("`docker swarm init` makes a swarm of this engine; or use `platform = \"docker\"`, or the `url` of a manager");
    }
    if contains("does not have a leader") {
        return Some(
            "where more than half of the swarm's managers are there, they have a leader within half a minute: try again; \
             otherwise start those that are away",
        );
    }
    match kind {
        PlatformErrorKind::Unreachable => Some("is the engine running, and does `docker info` reach it the same way?"),
        PlatformErrorKind::Denied => Some("`docker info` tells whether you may use this engine"),
        _ => None,
    }
}

/// The whole chain: hyper's own text names none of its causes.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}
