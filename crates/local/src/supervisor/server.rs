//! Listens on the socket: one request a connection, answered in one line or, for logs, in many.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use stratos_engine::desired::resource::ResourceId;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::world::World;
use super::{change, log};
use crate::protocol::{Envelope, HealthReply, LONGEST_REQUEST, Reply, Request, VERSION, WireError};

/// How long a request may take to arrive. Whoever sends it has all of it at hand; one that says nothing must not keep a
/// descriptor for as long as it likes.
const ARRIVAL: Duration = Duration::from_secs(10);

/// Listens, readable and writable for this user alone.
pub(crate) fn listen(world: &World) -> io::Result<UnixListener> {
    let path = world.folder.socket();
    // We hold the lock, so whoever listened there is dead.
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until it is dropped. `retire` is told when the supervisor should end.
pub(crate) async fn serve(world: Rc<World>, listener: UnixListener, retire: mpsc::UnboundedSender<UnixStream>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(spawn_local(answer(world.clone(), stream, retire.clone()))),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer(world: Rc<World>, mut stream: UnixStream, retire: mpsc::UnboundedSender<UnixStream>) {
    let late = |_| Err(WireError::internal(format!("the request did not arrive within {} s", ARRIVAL.as_secs())));
    let request = match timeout(ARRIVAL, read(&mut stream)).await.unwrap_or_else(late) {
        Ok(request) => request,
        Err(error) => return drop(send(&mut stream, &Reply::<()>::Err(error)).await),
    };
    // One that went away before its answer is no concern of ours: it asks again.
    let sent = match request {
        Request::Observe => send(&mut stream, &Reply::Ok(world.seen_all())).await,
        Request::Health(ids) => {
            let health: HealthReply = ids.iter().map(|id| world.health(id)).collect();
            send(&mut stream, &Reply::Ok(health)).await
        }
        Request::Apply(request) => {
            // A writer that went away must not stop a deletion half-way: this task is nobody's but ours.
            let reply = change::apply(&world, *request).await;
            send(&mut stream, &reply).await
        }
        Request::Logs { of, follow, tail } => logs(&world, stream, &of, follow, tail).await,
        Request::Retire if world.is_empty() => {
            drop(retire.send(stream));
            Ok(())
        }
        Request::Retire => send(&mut stream, &Reply::Ok(false)).await,
    };
    if let Err(error) = sent {
        tracing::debug!(%error, "an answer could not be sent");
    }
}

async fn read(stream: &mut UnixStream) -> Reply<Request> {
    let mut text = Zeroizing::new(Vec::new());
    let mut reader = BufReader::new(stream.take(LONGEST_REQUEST));
    reader.read_until(b'\n', &mut text).await.map_err(|e| WireError::internal(format!("the request could not be read: {e}")))?;
    if text.len() as u64 >= LONGEST_REQUEST {
        return Err(WireError::rejected(format!("the request is longer than {} MiB", LONGEST_REQUEST >> 20)));
    }
    // The version comes first: another version's request may not be understood.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let versioned: Versioned = serde_json::from_slice(&text).map_err(not_understood)?;
    if versioned.version != VERSION {
        let why = format!("the supervisor speaks version {VERSION} of its protocol, and this program version {}", versioned.version);
        return Err(WireError::internal(why).with_hint("destroy the environment with the program that made it, or end its supervisor"));
    }
    let Envelope { version: _, request } = serde_json::from_slice(&text).map_err(not_understood)?;
    Ok(request)
}

/// Without the details, which could quote a value.
fn not_understood(error: serde_json::Error) -> WireError {
    WireError::internal(format!("the request was not understood, at column {}", error.column()))
}

pub(crate) async fn send<T: Serialize>(stream: &mut (impl AsyncWriteExt + Unpin), message: &T) -> io::Result<()> {
    let mut text = serde_json::to_vec(message)?;
    text.push(b'\n');
    stream.write_all(&text).await
}

async fn logs(world: &World, mut stream: UnixStream, of: &ResourceId, follow: bool, tail: Option<usize>) -> io::Result<()> {
    let Some(stored) = world.stored(of) else {
        return send(&mut stream, &Reply::<()>::Err(WireError::rejected("it is not there"))).await;
    };
    let workload = world.workload(&stored.uid);
    let serials = workload.as_ref().map(|workload| workload.serials());
    // Before the history is read, and nothing runs in between: so no line is lost and none comes twice.
    let lines = workload.as_ref().map(|workload| workload.site.lines.subscribe());
    let history = match log::history(&world.folder.logs(&stored.uid), &of.name, serials.as_deref(), tail) {
        Ok(history) => history,
        Err(error) => return send(&mut stream, &Reply::<()>::Err(WireError::internal(error))).await,
    };
    let (mut closed, mut out): (_, OwnedWriteHalf) = stream.into_split();
    send(&mut out, &Reply::Ok(())).await?;
    for line in &history {
        send(&mut out, line).await?;
    }
    let Some(mut lines) = lines.filter(|_| follow) else { return Ok(()) };
    let mut nothing = [0; 1];
    loop {
        tokio::select! {
            // The reader says nothing more: what can be read is its end.
            _ = closed.read(&mut nothing) => return Ok(()),
            line = lines.recv() => match line {
                Ok(line) => send(&mut out, &line).await?,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::task::LocalSet;

    use super::super::process::Launcher;
    use super::*;
    use crate::folder::Folder;
    use crate::protocol::WireErrorKind;
    use crate::state::State;

    /// What a client gets that sends this, and leaves the connection open.
    async fn answered(request: &[u8]) -> WireError {
        let folder = tempfile::tempdir().unwrap();
        let launcher = Launcher { program: "/bin/false".into(), arguments: vec![], open_files: None, inherited: BTreeMap::new() };
        let world = World::new(Folder::new(folder.path()), launcher, State::new(vec![]));
        let (mut client, server) = UnixStream::pair().unwrap();
        let (retire, _retired) = mpsc::unbounded_channel();
        let test = async {
            client.write_all(request).await.unwrap();
            answer(world, server, retire).await;
            let mut text = String::new();
            BufReader::new(&mut client).read_line(&mut text).await.unwrap();
            serde_json::from_str::<Reply<()>>(&text).unwrap().unwrap_err()
        };
        LocalSet::new().run_until(test).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_or_half_of_it_is_sent_away() {
        for request in [&b""[..], b"{ \"version\": 1, "] {
            let error = answered(request).await;
            assert_eq!((error.kind, error.why.as_str()), (WireErrorKind::Internal, "the request did not arrive within 10 s"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_understood_is_not_quoted() {
        for request in [&b"{ \"version\": 1, \"request\": \"hunter2\" }\n"[..], b"hunter2\n", b"{ \"version\": \"hunter2\" }\n"] {
            let error = answered(request).await;
            assert!(error.why.starts_with("the request was not understood") && !error.why.contains("hunter2"), "{}", error.why);
        }
        let error = answered(b"{ \"version\": 99, \"request\": 1 }\n").await;
        assert!(error.why.contains("version 99") && error.hint.is_some(), "{}", error.why);
    }
}
