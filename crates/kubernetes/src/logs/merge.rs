//! Lines of several sources that end, in the order of their times.

use futures::future::join_all;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};

use super::Source;
use super::lines::Line;
use crate::failure::Failure;

struct Open {
    source: Source,
    /// Its next line.
    head: Option<Line>,
}

pub(super) fn in_order(sources: Vec<Source>) -> BoxStream<'static, Result<Line, Failure>> {
    let open: Vec<Open> = sources.into_iter().map(|source| Open { source, head: None }).collect();
    stream::try_unfold(open, next).boxed()
}

async fn next(mut open: Vec<Open>) -> Result<Option<(Line, Vec<Open>)>, Failure> {
    let empty = open.iter_mut().filter(|open| open.head.is_none());
    let read = join_all(empty.map(|open| async {
        open.head = open.source.try_next().await?;
        Ok(())
    }));
    read.await.into_iter().collect::<Result<(), Failure>>()?;
    open.retain(|open| open.head.is_some());
    // Of two lines of the same time the first source's comes first; one without a time stays where it stands in its own.
    let earliest = (0..open.len()).min_by_key(|i| open[*i].head.as_ref().and_then(|line| line.at));
    Ok(earliest.and_then(|i| open[i].head.take()).map(|line| (line, open)))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use stratos_engine::platform::LogLine;

    use super::*;

    fn source(seconds: &[i64]) -> Source {
        let line = |second: &i64| Line {
            at: Some(Timestamp::from_second(*second).unwrap()),
            line: LogLine { instance: "web".into(), line: second.to_string() },
        };
        stream::iter(seconds.iter().map(|second| Ok(line(second))).collect::<Vec<_>>()).boxed()
    }

    async fn all(sources: Vec<Source>) -> Vec<String> {
        in_order(sources).map(|line| line.unwrap().line.line).collect().await
    }

    #[tokio::test]
    async fn histories_are_merged() {
        assert!(all(vec![]).await.is_empty());
        assert_eq!(all(vec![source(&[1, 4, 5]), source(&[]), source(&[2, 3, 6])]).await, ["1", "2", "3", "4", "5", "6"]);
    }

    #[tokio::test]
    async fn a_source_that_fails_ends_it() {
        let failing = stream::iter([Err(Failure::no_answer(std::time::Duration::ZERO))]).boxed();
        let lines: Vec<_> = in_order(vec![source(&[1]), failing]).collect().await;
        assert!(matches!(lines.as_slice(), [Err(_)]));
    }
}
