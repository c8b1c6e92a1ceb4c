//! Logs of everything that runs a resource: the containers of its pods.
//!
//! First the history of all containers, in the order of its timestamps. Then, where that is asked for, each of them is followed
//! from where its history ended; whoever starts later is followed from its first line, and a stream that breaks is read on
//! from the last line that came.

mod cursor;
mod follow;
mod lines;
mod merge;
mod parts;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::{LogLine, LogOptions, PlatformError, PlatformErrorKind};

use crate::config::EnvironmentConfig;
use crate::connection::Connection;
use crate::discovery::Discovery;
use crate::failure::Failure;
use crate::pods::{self, Pods};
use crate::query::Query;
use cursor::Cursor;
use follow::Follower;
use lines::Line;
pub(crate) use parts::{Part, of_pod as parts_of};

/// What a reader of logs gets.
pub(crate) type LogLines = BoxStream<'static, Result<LogLine, PlatformError>>;

/// Between two runs of a container the kubelet may know none before, or name one whose log has gone already: it is asked again, so
/// often and after so long.
const OPENED: u32 = 10;
const SETTLES: Duration = Duration::from_millis(500);

type Source = BoxStream<'static, Result<Line, Failure>>;

/// The lines of all instances, oldest first; with `follow` it goes on until it is dropped.
///
/// # Errors
/// Where the resource is not there, has no pods by its kind, or may not be read.
pub(crate) async fn logs(
    connection: &Connection,
    discovery: &Discovery,
    config: &EnvironmentConfig,
    of: &ResourceId,
    options: &LogOptions,
) -> Result<LogLines, PlatformError> {
    let attempted = format!("reading the logs of {of}");
    if options.follow && options.previous {
        let why = "what ran before the last restart has ended: there is nothing to follow";
        return Err(PlatformError::new(PlatformErrorKind::Rejected, attempted, why));
    }
    let pods = Pods::of(connection, discovery, config, of).await?;
    let reader = Reader { connection: connection.clone(), namespace: Arc::from(pods.namespace()) };
    let found = pods.read(connection).await.map_err(|failure| failure.error(attempted.clone()))?;
    let found = parts::of(&found);
    let cursors: HashMap<String, Arc<Cursor>> = found.iter().map(|part| (part.key(), Arc::default())).collect();
    let which = if options.previous { Which::Previous } else { Which::Latest };
    let histories = found.iter().filter(|part| part.has_log(which));
    let histories = histories.map(|part| reader.history(part, cursors[&part.key()].clone(), which, options.tail)).collect();
    let history = merge::in_order(histories);
    let follower = options.follow.then(|| Follower::new(reader, pods, found, cursors));
    let following = stream::iter(follower).map(Follower::lines).flatten();
    let lines = history.chain(following);
    Ok(lines.map_ok(|line| line.line).map_err(move |failure| failure.error(attempted.clone())).boxed())
}

/// The log of one container that runs once.
pub(crate) struct ContainerLog {
    reader: Reader,
    part: Part,
    cursor: Arc<Cursor>,
}

impl ContainerLog {
    /// Its lines carry the name of this instance.
    pub(crate) fn of(connection: &Connection, namespace: &str, pod: &str, container: &str, instance: &str) -> Self {
        let reader = Reader { connection: connection.clone(), namespace: Arc::from(namespace) };
        Self { reader, part: Part::only(pod, container, instance), cursor: Arc::default() }
    }

    /// The lines that were not told yet, as they come.
    pub(crate) fn follow(&self) -> LogLines {
        self.lines(Which::Following)
    }

    /// Those that are there and were not told yet.
    pub(crate) fn rest(&self) -> LogLines {
        self.lines(Which::Latest)
    }

    fn lines(&self, which: Which) -> LogLines {
        let attempted = format!("reading the log of {}", self.part.instance);
        let lines = self.reader.read(&self.part, Arc::clone(&self.cursor), which, None);
        lines.map_ok(|line| line.line).map_err(move |failure| failure.error(attempted.clone())).boxed()
    }
}

/// Which of a container's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Of the run that is there now, or was last.
    Latest,
    /// The same, and what is written further.
    Following,
    /// Of the run before.
    Previous,
}

/// Reads what containers wrote.
#[derive(Clone)]
struct Reader {
    connection: Connection,
    namespace: Arc<str>,
}

impl Reader {
    /// What a container has written so far: all of it, or its newest lines.
    fn history(&self, part: &Part, cursor: Arc<Cursor>, which: Which, tail: Option<usize>) -> Source {
        let Some(tail) = tail else { return self.read(part, cursor, which, None) };
        // Also where none is wanted, the last line is read: it says where following begins.
        let mut lines = self.read(part, cursor, which, Some(tail.max(1)));
        let newest = async move {
            let mut newest = VecDeque::new();
            while let Some(line) = lines.try_next().await? {
                newest.push_back(line);
                if newest.len() > tail {
                    newest.pop_front();
                }
            }
            Ok(stream::iter(newest.into_iter().map(Ok)))
        };
        stream::once(newest).try_flatten().boxed()
    }

    /// What a container wrote after its cursor, which moves on with each line. One that has no log (yet, or any more) has no lines.
    fn read(&self, part: &Part, cursor: Arc<Cursor>, which: Which, tail: Option<usize>) -> Source {
        let (reader, part) = (self.clone(), part.clone());
        let open = async move {
            let path = format!("{}/{}/log", pods::collection(&reader.namespace), part.pod);
            let mut query = Query::of(path).with("container", &part.container).with("timestamps", "true");
            if let Some(since) = cursor.resume() {
                query = query.with("sinceTime", &since);
            }
            if let Some(tail) = tail {
                query = query.with("tailLines", &tail.to_string());
            }
            query = match which {
                Which::Latest => query,
                Which::Following => query.with("follow", "true"),
                Which::Previous => query.with("previous", "true"),
            };
            for attempt in 1..=OPENED {
                match reader.connection.open(query.as_str()).await {
                    Ok(bytes) => {
                        let mut lines = lines::of(bytes, part.instance.clone()).fuse();
                        let first = lines.next().await;
                        let is_gone = first.as_ref().is_some_and(|line| line.as_ref().is_ok_and(Line::says_that_there_is_none));
                        // In the end it is true, and told: somebody misses these lines.
                        if !is_gone || attempt == OPENED {
                            let new = move |line: &Line| futures::future::ready(cursor.pass(line));
                            return Ok(stream::iter(first).chain(lines).try_filter(new).boxed());
                        }
                    }
                    Err(failure) if failure.is_not_found() || has_no_log(&failure) && which != Which::Previous => break,
                    Err(failure) if has_no_log(&failure) => {}
                    Err(failure) => return Err(failure),
                }
                tokio::time::sleep(SETTLES).await;
            }
            Ok(stream::empty().boxed())
        };
        stream::once(open).try_flatten().boxed()
    }
}

/// The pod is gone, or the container has not started, or was never started again.
fn has_no_log(failure: &Failure) -> bool {
    failure.is_not_found() || failure.reason() == "BadRequest"
}
