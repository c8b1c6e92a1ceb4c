//! Logs of everything that runs an app: the tasks of a service, or the containers of a plain engine.
//!
//! First the history of all instances, in the order of its timestamps. Then, where that is asked for, each of them is followed
//! from where its history ended, and whoever starts later is followed from its first line.

mod cursor;
mod frames;
mod instances;
mod merge;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::errors::Error;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::{LogLine, LogOptions, Logs, PlatformError, PlatformErrorKind};
use tokio_util::sync::CancellationToken;

use crate::failure::{failure, is_not_found};
use cursor::Cursor;
use frames::{Line, Lines};
pub use instances::Of;
use instances::Part;
pub(crate) use instances::{Instance, node_names};

use crate::connection::Connection;
use crate::engine::DockerPlatform;
use crate::swarm::SwarmPlatform;

/// How often it is looked for instances that started meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// How long a line waits for earlier ones of other instances, while following.
const PATIENCE: Duration = Duration::from_millis(100);

#[async_trait]
impl Logs for DockerPlatform {
    async fn logs(&self, of: &ResourceId, options: &LogOptions) -> Result<LogLines, PlatformError> {
        logs(&self.connection, Of::containers_of(self, of), options).await
    }
}

#[async_trait]
impl Logs for SwarmPlatform {
    async fn logs(&self, of: &ResourceId, options: &LogOptions) -> Result<LogLines, PlatformError> {
        logs(&self.connection, Of::Service(of.name.to_string()), options).await
    }
}

/// What a reader of logs gets.
type LogLines = BoxStream<'static, Result<LogLine, PlatformError>>;

type Source = BoxStream<'static, Result<Line, PlatformError>>;

/// The lines of all instances, oldest first; with `follow` it goes on until it is dropped.
///
/// # Errors
/// Where the instances cannot be listed.
pub async fn logs(connection: &Connection, of: Of, options: &LogOptions) -> Result<LogLines, PlatformError> {
    if options.previous {
        let why = "the lines of an instance before its last restart are not kept apart here";
        let error = PlatformError::new(PlatformErrorKind::Rejected, "reading logs", why);
        return Err(error.with_hint("they are among the others: leave `--previous` away"));
    }
    let reader = Reader { connection: connection.clone(), of: Arc::new(of) };
    let found = reader.of.instances(&reader.connection).await?;
    let cursors: HashMap<String, Arc<Cursor>> = parts(&found).map(|(_, part)| (part.id.clone(), Arc::default())).collect();
    let history = found.iter().map(|instance| reader.history(instance, &cursors, options.tail)).collect();
    let history = merge::in_order(history);
    let follower = options.follow.then(|| Follower { reader, followed: HashMap::new(), cursors });
    let following = stream::iter(follower).map(move |mut follower| {
        let first = follower.look(found.clone());
        merge::as_they_come(first, follower.later(), PATIENCE)
    });
    let lines = history.chain(following.flatten());
    Ok(lines.map_ok(|line| line.line).boxed())
}

/// The lines of one task or container, as they stand in its log: all of them, and with `follow` what it writes further.
pub(crate) fn of_part(connection: &Connection, of: Of, instance: &str, part: &str, follow: bool) -> LogLines {
    let reader = Reader { connection: connection.clone(), of: Arc::new(of) };
    reader.read(instance, part, Arc::default(), follow, None).map_ok(|line| line.line).boxed()
}

fn parts(instances: &[Instance]) -> impl Iterator<Item = (&Instance, &Part)> {
    instances.iter().flat_map(|instance| instance.parts.iter().map(move |part| (instance, part)))
}

/// Reads what parts wrote.
#[derive(Clone)]
struct Reader {
    connection: Connection,
    of: Arc<Of>,
}

impl Reader {
    /// What an instance has written so far: all of it, or its newest lines.
    fn history(&self, instance: &Instance, cursors: &HashMap<String, Arc<Cursor>>, tail: Option<usize>) -> Source {
        let read = |part: &Part, tail| {
            let cursor = cursors.get(&part.id).cloned().unwrap_or_default();
            self.read(&instance.name, &part.id, cursor, false, tail)
        };
        let Some(tail) = tail else {
            let parts: Vec<Source> = instance.parts.iter().map(|part| read(part, None)).collect();
            return stream::iter(parts).flatten().boxed();
        };
        // Also where none is wanted, the last line is read: it says where following begins.
        let parts: Vec<Source> = instance.parts.iter().map(|part| read(part, Some(tail.max(1)))).collect();
        let read: Vec<Arc<Cursor>> = instance.parts.iter().filter_map(|part| cursors.get(&part.id).cloned()).collect();
        let newest = async move {
            let mut lines = std::collections::VecDeque::new();
            for mut part in parts {
                while let Some(line) = part.try_next().await? {
                    lines.push_back(line);
                    if lines.len() > tail {
                        lines.pop_front();
                    }
                }
            }
            read.iter().for_each(|cursor| cursor.settle());
            Ok(stream::iter(lines.into_iter().map(Ok)))
        };
        stream::once(newest).try_flatten().boxed()
    }

    /// What a part wrote after its cursor, which moves on with each line.
    fn read(&self, instance: &str, part: &str, cursor: Arc<Cursor>, follow: bool, tail: Option<usize>) -> Source {
        let (reader, instance, part) = (self.clone(), instance.to_owned(), part.to_owned());
        let attempted = format!("reading the logs of {instance}");
        let open = async move {
            let frames = reader.of.open(&reader.connection, &part, follow, tail, cursor.seconds());
            Lines::of(without_missing(frames, attempted), instance).try_filter(move |line| futures::future::ready(cursor.pass(line)))
        };
        stream::once(open).flatten().boxed()
    }
}

/// Frames until the end. A part that has gone meanwhile has no more of them.
fn without_missing(
    frames: BoxStream<'static, Result<LogOutput, Error>>,
    attempted: String,
) -> impl futures::Stream<Item = Result<LogOutput, PlatformError>> + Send {
    frames.filter_map(move |frame| {
        let frame = match frame {
            Ok(frame) => Some(Ok(frame)),
            Err(error) if is_not_found(&error) => None,
            Err(error) => Some(Err(failure(attempted.clone(), &error))),
        };
        futures::future::ready(frame)
    })
}

/// Follows what runs, and looks for what starts.
struct Follower {
    reader: Reader,
    /// Parts that are read as they write; cancelled when they have ended.
    followed: HashMap<String, CancellationToken>,
    cursors: HashMap<String, Arc<Cursor>>,
}

impl Follower {
    /// The sources that are new since the last look.
    fn look(&mut self, found: Vec<Instance>) -> Vec<Source> {
        let mut sources = Vec::new();
        for (instance, part) in parts(&found) {
            let is_new = !self.cursors.contains_key(&part.id);
            let cursor = Arc::clone(self.cursors.entry(part.id.clone()).or_default());
            let is_followed = self.followed.get(&part.id).is_some_and(|token| !token.is_cancelled());
            if part.runs && !is_followed {
                let token = CancellationToken::new();
                let ends = token.clone();
                let source = self.reader.read(&instance.name, &part.id, cursor, true, None);
                let until = token.clone().cancelled_owned();
                // A stream that ends by itself may be opened again: a container that is restarted stays the same.
                let last = stream::once(async move { ends.cancel() }).filter_map(|()| futures::future::ready(None));
                sources.push(source.take_until(until).chain(last).boxed());
                self.followed.insert(part.id.clone(), token);
            } else if !part.runs && (is_new || is_followed) {
                // The logs of a task that has ended do not end while they are followed.
                self.followed.remove(&part.id).inspect(CancellationToken::cancel);
                sources.push(self.reader.read(&instance.name, &part.id, cursor, false, None));
            }
        }
        sources
    }

    /// Sources that come later.
    fn later(self) -> BoxStream<'static, Result<Source, PlatformError>> {
        let looks = stream::unfold(self, |mut follower| async move {
            tokio::time::sleep(LOOK).await;
            let found = follower.reader.of.instances(&follower.reader.connection).await;
            let sources = found.map(|found| follower.look(found));
            Some((sources, follower))
        });
        looks.map_ok(|sources| stream::iter(sources.into_iter().map(Ok))).try_flatten().boxed()
    }
}
