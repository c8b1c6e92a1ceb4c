//! Bytes become lines. Each is `<time> <text>`.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use stratos_engine::platform::LogLine;

use super::Source;
use crate::failure::Failure;

/// A line is given out in pieces when it is longer: a program that never ends its line must not fill our memory.
const LONGEST: usize = 1024 * 1024;

/// A line, and when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Option<Timestamp>,
    pub(super) line: LogLine,
}

/// What the kubelet says in place of a log that has gone, with status 200 (`GetContainerLogs`, and `ReadLogs` of `k8s.io/cri-client`).
const GONE: [&str; 3] = ["unable to retrieve container logs for ", "failed to try resolving symlinks in path ", "failed to open log file "];

impl Line {
    /// Words of the kubelet: there is no such log. What a container wrote has a time.
    pub(super) fn says_that_there_is_none(&self) -> bool {
        self.at.is_none() && GONE.iter().any(|words| self.line.line.starts_with(words))
    }
}

/// The lines of one container. What comes before a stream breaks and is no whole line is not told: it comes again.
pub(super) fn of(bytes: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static, instance: String) -> Source {
    let cutter = Cutter { instance, begun: Vec::new(), piece_of: None, ready: VecDeque::new() };
    stream::unfold((Some(bytes.boxed()), cutter), next).boxed()
}

type Rest = (Option<BoxStream<'static, Result<Bytes, Failure>>>, Cutter);

async fn next((mut bytes, mut cutter): Rest) -> Option<(Result<Line, Failure>, Rest)> {
    loop {
        if let Some(line) = cutter.ready.pop_front() {
            return Some((Ok(line), (bytes, cutter)));
        }
        match bytes.as_mut()?.next().await {
            Some(Ok(more)) => cutter.add(&more),
            Some(Err(failure)) => return Some((Err(failure), (None, cutter))),
            None => {
                bytes = None;
                cutter.finish();
            }
        }
    }
}

struct Cutter {
    instance: String,
    begun: Vec<u8>,
    /// The time of the line that a piece of was given out already.
    piece_of: Option<Option<Timestamp>>,
    ready: VecDeque<Line>,
}

impl Cutter {
    fn add(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.cut(true);
        }
        self.begun.extend_from_slice(bytes);
        if self.begun.len() >= LONGEST {
            self.cut(false);
        }
    }

    /// What a program wrote last may have no line end.
    fn finish(&mut self) {
        if !self.begun.is_empty() {
            self.cut(true);
        }
    }

    fn cut(&mut self, is_whole: bool) {
        let bytes = std::mem::take(&mut self.begun);
        let (at, text) = match self.piece_of.take() {
            // The end of a line that was given out whole.
            Some(_) if is_whole && bytes.is_empty() => return,
            Some(at) => (at, bytes.as_slice()),
            None => split_time(&bytes),
        };
        if !is_whole {
            self.piece_of = Some(at);
        }
        let text = if is_whole { text.strip_suffix(b"\r").unwrap_or(text) } else { text };
        let line = String::from_utf8_lossy(text).into_owned();
        self.ready.push_back(Line { at, line: LogLine { instance: self.instance.clone(), line } });
    }
}

/// What stands before a line. Words of the kubelet itself have no time.
fn split_time(bytes: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let end = bytes.iter().take(40).position(|byte| *byte == b' ').unwrap_or(bytes.len());
    let time = std::str::from_utf8(&bytes[..end]).ok().and_then(|text| text.parse().ok());
    if time.is_some() { (time, bytes.get(end + 1..).unwrap_or_default()) } else { (None, bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-22T08:22:54.094908739Z";

    async fn cut(pieces: Vec<Vec<u8>>) -> Vec<(bool, String)> {
        let bytes = stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece))));
        let lines: Vec<_> = of(bytes, "web".into()).collect().await;
        lines.into_iter().map(|line| line.unwrap()).map(|line| (line.at.is_some(), line.line.line)).collect()
    }

    #[tokio::test]
    async fn lines_are_cut_wherever_the_bytes_are() {
        assert!(cut(vec![]).await.is_empty());
        let text = format!("{TIME} one\n{TIME} two\r\n{TIME} \nunable to retrieve logs\n{TIME} \u{fc}");
        let expected = [(true, "one"), (true, "two"), (true, ""), (false, "unable to retrieve logs"), (true, "\u{fc}")];
        let expected: Vec<(bool, String)> = expected.into_iter().map(|(at, line)| (at, line.to_owned())).collect();
        assert_eq!(cut(vec![text.clone().into_bytes()]).await, expected);
        assert_eq!(cut(text.bytes().map(|byte| vec![byte]).collect()).await, expected);
    }

    #[tokio::test]
    async fn only_the_kubelet_says_that_there_is_no_log() {
        let none = async |text: String| {
            let bytes = stream::iter([Ok(Bytes::from(text))]);
            let lines: Vec<_> = of(bytes, "web".into()).collect().await;
            lines[0].as_ref().unwrap().says_that_there_is_none()
        };
        let words = "unable to retrieve container logs for containerd://5f";
        assert!(none(words.to_owned()).await);
        assert!(!none(format!("{TIME} {words}")).await);
        assert!(none("failed to try resolving symlinks in path \"/var/log/pods/x/1.log\": lstat".to_owned()).await);
        assert!(!none("failed to open a door".to_owned()).await);
    }

    #[tokio::test]
    async fn junk_is_a_line_and_a_line_without_end_is_many() {
        let junk = cut(vec![[TIME.as_bytes(), b" \xff\x00\x07x\n"].concat()]).await;
        assert_eq!(junk, [(true, "\u{fffd}\u{0}\u{7}x".to_owned())]);
        let long = cut(vec![format!("{TIME} ").into_bytes(), vec![b'x'; LONGEST], vec![b'y'; 10], b"\n".to_vec()]).await;
        assert_eq!(long.iter().map(|(at, line)| (*at, line.len())).collect::<Vec<_>>(), [(true, LONGEST), (true, 10)]);
    }

    #[tokio::test]
    async fn half_a_line_before_a_break_is_not_told() {
        let bytes = stream::iter([Ok(Bytes::from(format!("{TIME} one\n{TIME} tw"))), Err(Failure::no_answer(std::time::Duration::ZERO))]);
        let lines: Vec<_> = of(bytes, "web".into()).collect().await;
        assert_eq!(lines.len(), 2);
        assert!(lines[0].is_ok() && lines[1].is_err());
    }
}
