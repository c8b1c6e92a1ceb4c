//! A command that runs: what it reads is sent, what it writes is told, until it ends or its container does.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use stratos_engine::platform::exec::{ExecEvent, ExecInput, TerminalSize};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{self, Message};

use super::channel::{self, End, Told};
use crate::connection::Connection;
use crate::failure::with_causes;
use crate::pods::Pod;

/// How often the other side is asked whether it is still there, so that nothing in between forgets the connection.
const PING: Duration = Duration::from_secs(20);
/// How long it may be silent then.
const SILENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether the container still runs.
const LOOK: Duration = Duration::from_secs(5);
/// How long output may be on its way after its end is known.
const LAST: Duration = Duration::from_secs(3);

type Event = Result<ExecEvent, PlatformError>;
type Outgoing = Pin<Box<dyn Sink<Message, Error = tungstenite::Error> + Send>>;
type Incoming = BoxStream<'static, Result<Message, tungstenite::Error>>;

/// Where a command runs, and how to look whether it still does.
pub(super) struct Place {
    pub(super) connection: Connection,
    /// The pod's path.
    pub(super) pod: String,
    pub(super) container: String,
    /// For errors: what runs, and where.
    pub(super) attempted: String,
}

/// What happens, until the end. The session lives as long as somebody listens.
pub(super) fn events(
    place: Place,
    opened: kube::client::Connection,
    terminal: Option<TerminalSize>,
    input: Option<BoxStream<'static, ExecInput>>,
) -> impl Stream<Item = Event> + Send {
    let (tell, told) = mpsc::channel(16);
    let work = async move {
        let can_end = opened.supports_stream_close();
        let (outgoing, incoming) = opened.into_stream().split();
        let sizes = terminal.map(ExecInput::Resize);
        let input = input.map(|input| input.map(Some).chain(stream::iter(can_end.then_some(None))).boxed());
        let input = stream::iter(sizes.map(Some)).chain(input.unwrap_or_else(|| stream::empty().boxed())).boxed();
        let listener = Listener { place, end: None, gone: None, heard: Instant::now() };
        // Both at once: a command that waits for its output to be read does not read its input.
        let end = tokio::select! {
            end = listener.listen(incoming.boxed(), &tell) => end,
            never = feed(Box::pin(outgoing), input) => match never {},
        };
        let _ = tell.send(end).await;
    };
    let told = stream::unfold(told, |mut told| async move { Some((told.recv().await?, told)) });
    let work = stream::once(work).filter_map(|()| futures::future::ready(None));
    stream::select(told, work)
}

/// Sends what the command reads, and the sizes of its terminal; None closes its input. What is not read any more does no harm: how
/// the command ended is told all the same.
async fn feed(mut outgoing: Outgoing, mut input: BoxStream<'static, Option<ExecInput>>) -> std::convert::Infallible {
    let mut ping = every(PING);
    let mut has_more = true;
    loop {
        let message = tokio::select! {
            next = input.next(), if has_more => match next {
                Some(Some(ExecInput::Bytes(bytes))) => Message::Binary(channel::input(&bytes)),
                Some(Some(ExecInput::Resize(size))) => Message::Binary(channel::size(size)),
                Some(None) => Message::Binary(channel::end_of_input()),
                None => {
                    has_more = false;
                    continue;
                }
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        if let Err(error) = outgoing.send(message).await {
            tracing::debug!(%error, "sending to a command");
            std::future::pending::<()>().await;
        }
    }
}

struct Listener {
    place: Place,
    end: Option<(End, Instant)>,
    /// Since when the container has ended; what was written before may still come.
    gone: Option<Instant>,
    heard: Instant,
}

impl Listener {
    async fn listen(mut self, mut incoming: Incoming, tell: &mpsc::Sender<Event>) -> Event {
        let mut look = every(LOOK);
        loop {
            let over = self.end.as_ref().map(|(_, at)| *at).or(self.gone).map(|at| at + LAST);
            tokio::select! {
                message = incoming.next() => match self.hear(message) {
                    Ok(Some(event)) => drop(tell.send(Ok(event)).await),
                    Ok(None) => {}
                    Err(end) => return end,
                },
                _ = look.tick(), if self.gone.is_none() => {
                    if self.heard.elapsed() > SILENCE {
                        return Err(self.failed(PlatformErrorKind::Unreachable, "the cluster has gone silent"));
                    }
                    if !self.runs().await {
                        self.gone = Some(Instant::now());
                    }
                }
                () = until(over) => return self.over(),
            }
        }
    }

    /// A message becomes an event, or the end.
    fn hear(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Result<Option<ExecEvent>, Event> {
        self.heard = Instant::now();
        let bytes = match message {
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(_)) => return Ok(None),
            Some(Err(error)) if self.end.is_none() && self.gone.is_none() => {
                let why = format!("the connection broke: {}", with_causes(&error));
                return Err(Err(self.failed(PlatformErrorKind::Unreachable, why)));
            }
            None | Some(Err(_)) => return Err(self.over()),
        };
        Ok(match channel::read(&bytes) {
            Some(Told::Output(bytes)) => Some(ExecEvent::Output(bytes)),
            Some(Told::Error(bytes)) => Some(ExecEvent::Error(bytes)),
            Some(Told::End(end)) => {
                self.end = Some((end, Instant::now()));
                None
            }
            None => None,
        })
    }

    /// Everything is told.
    fn over(&mut self) -> Event {
        match self.end.take() {
            Some((End::Exited(code), _)) => Ok(ExecEvent::Ended { code }),
            Some((End::Failed(why), _)) => Err(self.not_started(&why)),
            None => Err(self.failed(PlatformErrorKind::Rejected, "its instance ended, or let go of it, before it said how it ended")),
        }
    }

    fn not_started(&self, why: &str) -> PlatformError {
        let inner = why.rsplit_once("unable to start container process: ").map_or(why, |(_, inner)| inner);
        let error = self.failed(PlatformErrorKind::Rejected, inner);
        let missing = ["executable file not found", "no such file or directory"].iter().any(|words| why.contains(words));
        match missing {
            true => error.with_hint("the image has no such program; no shell is put around a command"),
            false => error,
        }
    }

    fn failed(&self, kind: PlatformErrorKind, why: impl Into<String>) -> PlatformError {
        PlatformError::new(kind, self.place.attempted.clone(), why)
    }

    /// Whether the container is still there. Where nobody can say so it is.
    async fn runs(&self) -> bool {
        let Place { connection, pod, container, attempted: _ } = &self.place;
        match connection.find(pod).await {
            Ok(Some(body)) => serde_json::from_slice::<Pod>(&body)
                .is_ok_and(|pod| pod.container(container).is_some_and(|status| status.state.running.is_some())),
            Ok(None) => false,
            Err(_) => true,
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
