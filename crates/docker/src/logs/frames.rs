//! What the engine sends becomes lines.
//!
//! Each frame is `<time> <text>` of one of the two outputs. The engine cuts a long line into frames of 16 KiB; only the last of
//! them ends in a line end. A shorter frame without one is the last thing that a program wrote.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bollard::container::LogOutput;
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use stratos_engine::platform::{LogLine, PlatformError};

/// The engine's size of a part of a line.
const PART: usize = 16 * 1024;

/// A line is given out in pieces when it is longer: a program that never ends its line must not fill our memory.
const LONGEST: usize = 1024 * 1024;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Out,
    Error,
    /// A terminal has only one.
    Terminal,
}

impl Output {
    pub(super) const COUNT: usize = 3;
}

/// A line, and when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub at: Option<Timestamp>,
    pub output: Output,
    pub line: LogLine,
}

/// The lines of one part of an instance.
pub(super) struct Lines<S> {
    frames: Pin<Box<S>>,
    instance: String,
    begun: [Begun; Output::COUNT],
    ready: VecDeque<Line>,
    ended: bool,
}

/// A line whose end has not come yet.
#[derive(Default)]
struct Begun {
    at: Option<Timestamp>,
    bytes: Vec<u8>,
}

impl<S: Stream<Item = Result<LogOutput, PlatformError>>> Lines<S> {
    pub(super) fn of(frames: S, instance: String) -> Self {
        Self { frames: Box::pin(frames), instance, begun: Default::default(), ready: VecDeque::new(), ended: false }
    }

    fn add(&mut self, frame: &LogOutput) {
        let (output, bytes) = match frame {
            LogOutput::StdOut { message } | LogOutput::StdIn { message } => (Output::Out, message),
            LogOutput::StdErr { message } => (Output::Error, message),
            LogOutput::Console { message } => (Output::Terminal, message),
        };
        let (at, text) = split_time(bytes);
        let begun = &mut self.begun[output as usize];
        begun.at = begun.at.or(at);
        begun.bytes.extend_from_slice(text);
        if text.ends_with(b"\n") || text.len() < PART || begun.bytes.len() >= LONGEST {
            self.finish(output);
        }
    }

    fn finish(&mut self, output: Output) {
        let Begun { at, mut bytes } = std::mem::take(&mut self.begun[output as usize]);
        for end in [b'\n', b'\r'] {
            if bytes.last() == Some(&end) {
                bytes.pop();
            }
        }
        let line = String::from_utf8_lossy(&bytes).into_owned();
        self.ready.push_back(Line { at, output, line: LogLine { instance: self.instance.clone(), line } });
    }
}

impl<S: Stream<Item = Result<LogOutput, PlatformError>>> Stream for Lines<S> {
    type Item = Result<Line, PlatformError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(line)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(self.frames.poll_next_unpin(cx)) {
                Some(Ok(frame)) => self.add(&frame),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.ended = true;
                    for output in [Output::Out, Output::Error, Output::Terminal] {
                        if !self.begun[output as usize].bytes.is_empty() {
                            self.finish(output);
                        }
                    }
                }
            }
        }
    }
}

/// What stands before a line. Words of the engine itself have no time.
fn split_time(bytes: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(space) = bytes.iter().take(40).position(|byte| *byte == b' ') else { return (None, bytes) };
    let time = std::str::from_utf8(&bytes[..space]).ok().and_then(|text| text.parse().ok());
    if time.is_some() { (time, &bytes[space + 1..]) } else { (None, bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-22T08:22:54.094908739Z";

    fn out(text: &str) -> LogOutput {
        LogOutput::StdOut { message: format!("{TIME} {text}").into_bytes().into() }
    }

    async fn lines(frames: Vec<LogOutput>) -> Vec<String> {
        let frames = futures::stream::iter(frames.into_iter().map(Ok));
        let lines: Vec<_> = Lines::of(frames, "web".into()).collect().await;
        lines.into_iter().map(|line| line.unwrap().line.line).collect()
    }

    #[tokio::test]
    async fn outputs_are_told_apart_and_lines_stay_whole() {
        let long = "x".repeat(PART);
        let error = LogOutput::StdErr { message: format!("{TIME} oh\n").into_bytes().into() };
        assert_eq!(
            lines(vec![out(&long), error, out("end\n"), out("next\n")]).await,
            ["oh".to_owned(), format!("{long}end"), "next".into()]
        );
    }

    #[tokio::test]
    async fn what_a_program_wrote_last_is_a_line_without_an_end() {
        assert_eq!(lines(vec![out("abc"), out("abc")]).await, ["abc", "abc"]);
        assert_eq!(lines(vec![out("x\n"), out(&"y".repeat(PART))]).await, ["x".to_owned(), "y".repeat(PART)]);
        assert_eq!(lines(vec![out("\n")]).await, [""]);
    }

    #[tokio::test]
    async fn a_line_without_end_is_given_out_in_pieces() {
        let pieces = lines(vec![out(&"x".repeat(PART)); 2 * LONGEST / PART]).await;
        assert_eq!(pieces.iter().map(String::len).collect::<Vec<_>>(), [LONGEST, LONGEST]);
    }

    #[tokio::test]
    async fn terminals_and_words_of_the_engine_are_lines_too() {
        let console = LogOutput::Console { message: format!("{TIME} hello\r\n").into_bytes().into() };
        let engine = LogOutput::StdErr { message: "Error grabbing logs: no such thing\n".into() };
        assert_eq!(lines(vec![console, engine]).await, ["hello", "Error grabbing logs: no such thing"]);
        assert_eq!(split_time(b"2026-11-22T08:22:54Z x").0, Some("2026-11-22T08:22:54Z".parse().unwrap()));
    }
}
