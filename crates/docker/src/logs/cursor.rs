//! How far a part was read.

use std::sync::Mutex;

use jiff::Timestamp;

use super::frames::{Line, Output};

/// The time of the last line of each output: the two are written side by side, and not in one order.
#[derive(Debug, Default)]
pub(super) struct Cursor(Mutex<[Option<Timestamp>; Output::COUNT]>);

impl Cursor {
    /// Whether a line was not read yet. It is read now.
    pub(super) fn pass(&self, line: &Line) -> bool {
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let last = &mut last[line.output as usize];
        let is_new = line.at.is_none() || line.at > *last;
        *last = line.at.max(*last);
        is_new
    }

    /// The newest lines were read, and no older ones are wanted: also not of an output that had none among them.
    pub(super) fn settle(&self) {
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let newest = last.iter().copied().max().flatten();
        last.iter_mut().filter(|at| at.is_none()).for_each(|at| *at = newest);
    }

    /// The second from which to read on: that of the output that is behind. None reads from the start.
    pub(super) fn seconds(&self) -> Option<i32> {
        let last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let since = last.iter().flatten().min()?;
        i32::try_from(since.as_second()).ok()
    }
}

#[cfg(test)]
mod tests {
    use stratos_engine::platform::LogLine;

    use super::*;

    fn line(output: Output, at: &str) -> Line {
        Line { at: Some(at.parse().unwrap()), output, line: LogLine { instance: "web".into(), line: "x".into() } }
    }

    #[test]
    fn a_line_passes_once_in_each_output() {
        let cursor = Cursor::default();
        assert_eq!(cursor.seconds(), None);
        assert!(cursor.pass(&line(Output::Out, "1970-01-01T00:01:00.5Z")));
        assert!(!cursor.pass(&line(Output::Out, "1970-01-01T00:01:00.5Z")));
        assert!(cursor.pass(&line(Output::Error, "1970-01-01T00:01:00.4Z")), "another output");
        assert!(cursor.pass(&line(Output::Out, "1970-01-01T00:01:01Z")));
        assert_eq!(cursor.seconds(), Some(60));
    }

    #[test]
    fn an_output_that_had_none_of_the_newest_lines_is_read_from_there() {
        let cursor = Cursor::default();
        cursor.pass(&line(Output::Out, "1970-01-01T00:01:00.5Z"));
        cursor.settle();
        assert!(!cursor.pass(&line(Output::Error, "1970-01-01T00:01:00.1Z")));
        assert!(cursor.pass(&line(Output::Error, "1970-01-01T00:01:00.6Z")));
    }

    #[test]
    fn a_line_without_a_time_always_passes() {
        let cursor = Cursor::default();
        let line = Line { at: None, ..line(Output::Error, "1970-01-01T00:00:00Z") };
        assert!(cursor.pass(&line) && cursor.pass(&line));
    }
}
