//! Follows what runs, and looks for what starts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cursor::Cursor;
use super::lines::Line;
use super::{Part, Reader, Source, Which, parts};
use crate::failure::Failure;
use crate::pods::Pods;

/// How often it is looked for what has started or ended meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// How long a cluster may be away before its logs are given up.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Follower {
    reader: Reader,
    pods: Pods,
    /// What was found and is not looked at yet.
    found: Option<Vec<Part>>,
    known: HashMap<String, Known>,
    /// Since when nothing answers.
    away: Option<Instant>,
}

/// A container that was seen.
struct Known {
    cursor: Arc<Cursor>,
    restarts: u32,
    /// Cancelled when its stream has ended, or shall end.
    followed: Option<CancellationToken>,
}

impl Known {
    fn is_followed(&self) -> bool {
        self.followed.as_ref().is_some_and(|token| !token.is_cancelled())
    }
}

impl Follower {
    /// Goes on where the histories of these parts ended.
    pub(super) fn new(reader: Reader, pods: Pods, found: Vec<Part>, cursors: HashMap<String, Arc<Cursor>>) -> Self {
        let restarts: HashMap<String, u32> = found.iter().map(|part| (part.key(), part.restarts)).collect();
        let known = cursors.into_iter().map(|(key, cursor)| {
            let restarts = restarts.get(&key).copied().unwrap_or_default();
            (key, Known { cursor, restarts, followed: None })
        });
        Self { reader, pods, found: Some(found), known: known.collect(), away: None }
    }

    pub(super) fn lines(self) -> BoxStream<'static, Result<Line, Failure>> {
        let looks = stream::try_unfold(self, |mut follower| async move {
            let found = follower.next().await?;
            let sources = follower.look(&found);
            Ok(Some((stream::iter(sources.into_iter().map(Ok)), follower)))
        });
        looks.try_flatten().try_flatten_unordered(None).boxed()
    }

    /// What is there: at once what was found already, later what a look finds.
    async fn next(&mut self) -> Result<Vec<Part>, Failure> {
        if let Some(found) = self.found.take() {
            return Ok(found);
        }
        loop {
            tokio::time::sleep(LOOK).await;
            match self.pods.read(&self.reader.connection).await {
                Ok(pods) => {
                    self.away = None;
                    return Ok(parts::of(&pods));
                }
                // A server that restarts is back in a moment.
                Err(failure) if passes(&failure) && self.away.get_or_insert_with(Instant::now).elapsed() < PATIENCE => {
                    tracing::debug!(why = failure.why(), "pods were not listed");
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// The sources that are new since the last look.
    fn look(&mut self, found: &[Part]) -> Vec<Source> {
        let keys: Vec<String> = found.iter().map(Part::key).collect();
        self.known.retain(|key, known| {
            let stays = keys.contains(key);
            // Its last lines are still on their way where it is followed: the stream ends by itself.
            stays || known.is_followed()
        });
        found.iter().filter_map(|part| self.source(part)).collect()
    }

    fn source(&mut self, part: &Part) -> Option<Source> {
        let is_new = !self.known.contains_key(&part.key());
        let known = self.known.entry(part.key()).or_insert_with(|| Known { cursor: Arc::default(), restarts: 0, followed: None });
        let restarted = part.restarts > known.restarts;
        if restarted {
            // What its stream did not tell is in the log of the run before.
            known.followed.take().inspect(CancellationToken::cancel);
        }
        let is_followed = known.is_followed();
        let was_followed = known.followed.is_some();
        let ended = !part.runs && part.has_log(Which::Latest) && (is_new || was_followed || restarted);
        let begins = part.runs && !is_followed;
        if !begins && !ended {
            return None;
        }
        known.restarts = part.restarts;
        let before = (restarted && part.has_log(Which::Previous)).then_some(Which::Previous);
        let token = part.runs.then(CancellationToken::new);
        // The logs of what has ended do not end while they are followed from afar.
        if let Some(old) = std::mem::replace(&mut known.followed, token.clone()) {
            old.cancel();
        }
        let which = if part.runs { Which::Following } else { Which::Latest };
        let (reader, part, cursor) = (self.reader.clone(), part.clone(), Arc::clone(&known.cursor));
        let runs = stream::iter(before.into_iter().chain([which]));
        let lines = runs.flat_map(move |which| without_breaks(reader.read(&part, Arc::clone(&cursor), which, None)));
        let Some(token) = token else { return Some(lines.boxed()) };
        let until = token.clone().cancelled_owned();
        // A stream that ended by itself or broke is opened again at the next look, where there is still something to read.
        let last = stream::once(async move { token.cancel() }).filter_map(|()| futures::future::ready(None));
        Some(lines.take_until(until).chain(last).boxed())
    }
}

/// Ends where the stream breaks: it is read on from there.
fn without_breaks(lines: Source) -> Source {
    let goes_on = |line: &Result<Line, Failure>| {
        let broken = line.as_ref().err().filter(|failure| passes(failure));
        broken.inspect(|failure| tracing::debug!(why = failure.why(), "a log broke off"));
        futures::future::ready(broken.is_none())
    };
    lines.take_while(goes_on).boxed()
}

fn passes(failure: &Failure) -> bool {
    failure.error("").kind.is_transient() || failure.is_busy() || failure.is_lost()
}
