//! Lines of several sources in the order of their times.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, Stream, StreamExt as _};
use stratos_engine::platform::PlatformError;
use tokio::time::{Sleep, sleep};

use super::Source;
use super::frames::Line;

/// The lines of sources that end, in order.
pub(super) fn in_order(sources: Vec<Source>) -> impl Stream<Item = Result<Line, PlatformError>> + Send {
    Merge::new(sources, stream::empty().boxed(), None)
}

/// The lines of sources that go on, of which there may be more later. A line waits for earlier ones of others no longer than
/// this; a source that lets it wait that long is not waited for until it has something to say.
pub(super) fn as_they_come(
    sources: Vec<Source>,
    later: BoxStream<'static, Result<Source, PlatformError>>,
    patience: Duration,
) -> impl Stream<Item = Result<Line, PlatformError>> + Send {
    Merge::new(sources, later, Some(patience))
}

struct Merge {
    open: Vec<Open>,
    later: Option<BoxStream<'static, Result<Source, PlatformError>>>,
    patience: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

struct Open {
    source: Source,
    /// Its next line.
    head: Option<Line>,
    /// It let others wait long enough.
    is_quiet: bool,
}

impl Open {
    fn new(source: Source) -> Self {
        Self { source, head: None, is_quiet: false }
    }
}

impl Merge {
    fn new(sources: Vec<Source>, later: BoxStream<'static, Result<Source, PlatformError>>, patience: Option<Duration>) -> Self {
        Self { open: sources.into_iter().map(Open::new).collect(), later: Some(later), patience, timer: None }
    }

    /// Takes what there is: new sources, and a next line of each.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<(), PlatformError> {
        while let Some(Poll::Ready(next)) = self.later.as_mut().map(|later| later.poll_next_unpin(cx)) {
            match next {
                Some(source) => self.open.push(Open::new(source?)),
                None => self.later = None,
            }
        }
        let mut index = 0;
        while let Some(open) = self.open.get_mut(index) {
            if open.head.is_none() {
                match open.source.poll_next_unpin(cx) {
                    Poll::Ready(Some(line)) => (open.head, open.is_quiet) = (Some(line?), false),
                    Poll::Ready(None) => {
                        // The others keep their places: of two lines of the same time the first source's comes first.
                        self.open.remove(index);
                        continue;
                    }
                    Poll::Pending => {}
                }
            }
            index += 1;
        }
        Ok(())
    }

    /// Whether the earliest line that is here may go: nothing earlier can come, or was waited for long enough.
    fn may_go(&mut self, cx: &mut Context<'_>) -> bool {
        if self.open.iter().all(|open| open.head.is_some() || open.is_quiet) {
            return true;
        }
        let Some(patience) = self.patience else { return false };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(patience)));
        if timer.poll_unpin(cx).is_pending() {
            return false;
        }
        self.open.iter_mut().filter(|open| open.head.is_none()).for_each(|open| open.is_quiet = true);
        true
    }
}

impl Stream for Merge {
    type Item = Result<Line, PlatformError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(error) = self.fill(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        let heads = self.open.iter().enumerate().filter_map(|(index, open)| Some((open.head.as_ref()?.at, index)));
        let Some((_, earliest)) = heads.min() else {
            let ended = self.open.is_empty() && self.later.is_none();
            return if ended { Poll::Ready(None) } else { Poll::Pending };
        };
        if !self.may_go(cx) {
            return Poll::Pending;
        }
        self.timer = None;
        Poll::Ready(self.open[earliest].head.take().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use jiff::Timestamp;
    use stratos_engine::platform::LogLine;

    use super::super::frames::Output;
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(100);

    fn line(second: i64) -> Line {
        let line = LogLine { instance: "web".into(), line: second.to_string() };
        Line { at: Some(Timestamp::from_second(second).unwrap()), output: Output::Out, line }
    }

    fn source(seconds: &[i64]) -> Source {
        stream::iter(seconds.iter().map(|second| Ok(line(*second))).collect::<Vec<_>>()).boxed()
    }

    async fn all(lines: impl Stream<Item = Result<Line, PlatformError>>) -> Vec<i64> {
        lines.map(|line| line.unwrap().at.unwrap().as_second()).collect().await
    }

    /// A source that is fed by hand.
    fn fed() -> (mpsc::UnboundedSender<Line>, Source) {
        let (sender, receiver) = mpsc::unbounded();
        (sender, receiver.map(Ok).boxed())
    }

    #[tokio::test]
    async fn histories_are_merged() {
        assert_eq!(all(in_order(vec![])).await, Vec::<i64>::new());
        assert_eq!(all(in_order(vec![source(&[1, 4, 5]), source(&[]), source(&[2, 3, 6])])).await, [1, 2, 3, 4, 5, 6]);
    }

    #[tokio::test]
    async fn a_history_waits_for_a_slow_source_however_long_it_takes() {
        let (slow, receiver) = fed();
        let mut merged = Box::pin(in_order(vec![source(&[2]), receiver]));
        assert!(futures::poll!(merged.next()).is_pending());
        slow.unbounded_send(line(1)).unwrap();
        drop(slow);
        assert_eq!(all(merged).await, [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_source_is_waited_for_once() {
        let (_silent, receiver) = fed();
        let busy = source(&(0..1000).collect::<Vec<_>>());
        let merged = as_they_come(vec![receiver, busy], stream::empty().boxed(), PATIENCE);
        let began = tokio::time::Instant::now();
        assert_eq!(all(merged.take(1000)).await.len(), 1000);
        assert!(began.elapsed() < 2 * PATIENCE, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_come_together_are_put_in_order() {
        let ((a, a_lines), (b, b_lines)) = (fed(), fed());
        let mut merged = Box::pin(as_they_come(vec![a_lines, b_lines], stream::pending().boxed(), PATIENCE));
        a.unbounded_send(line(2)).unwrap();
        assert!(futures::poll!(merged.next()).is_pending());
        b.unbounded_send(line(1)).unwrap();
        assert_eq!(merged.next().await.unwrap().unwrap(), line(1));
        assert_eq!(merged.next().await.unwrap().unwrap(), line(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_comes_later_is_heard() {
        let (add, added) = mpsc::unbounded();
        let mut merged = Box::pin(as_they_come(vec![source(&[1])], added.map(Ok).boxed(), PATIENCE));
        assert_eq!(merged.next().await.unwrap().unwrap(), line(1));
        assert!(futures::poll!(merged.next()).is_pending());
        add.unbounded_send(source(&[7])).unwrap();
        assert_eq!(merged.next().await.unwrap().unwrap(), line(7));
        drop(add);
        assert!(merged.next().await.is_none());
    }
}
