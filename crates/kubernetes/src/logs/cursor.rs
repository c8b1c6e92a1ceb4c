//! How far a container was read.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::lines::Line;

/// How many seconds before the last line are read again: servers take whole seconds, and the two outputs of a program are written
/// down side by side, and not quite in the order of their times.
const AGAIN: i64 = 1;

/// What was read last, so that what comes again is known.
#[derive(Debug, Default)]
pub(super) struct Cursor(Mutex<Place>);

#[derive(Debug, Default)]
struct Place {
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
    /// The lines of the last moments: a time, a digest of the text, and how often there was that line at that time.
    last: HashMap<(Timestamp, u64), usize>,
    /// Those of them that are still to come again.
    again: HashMap<(Timestamp, u64), usize>,
    has_resumed: bool,
}

impl Cursor {
    /// From when on to read. None reads from the start.
    pub(super) fn resume(&self) -> Option<String> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = begin(place.newest?);
        place.has_resumed = true;
        place.again = place.last.clone();
        Some(since.to_string())
    }

    /// Whether a line was not read yet. It is read now.
    pub(super) fn pass(&self, line: &Line) -> bool {
        let Some(at) = line.at else { return true };
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = (at, digest(&line.line.line));
        // Only the newest lines were wanted: what is older is none of them.
        if place.has_resumed && place.oldest.is_some_and(|oldest| at < oldest) {
            return false;
        }
        if let Some(left) = place.again.get_mut(&digest).filter(|left| **left > 0) {
            *left -= 1;
            return false;
        }
        let before = place.newest;
        place.oldest = Some(place.oldest.map_or(at, |oldest| oldest.min(at)));
        place.newest = before.max(Some(at));
        *place.last.entry(digest).or_default() += 1;
        let begins = begin(place.newest.unwrap_or(at));
        if before.is_none_or(|before| begin(before) < begins) {
            place.last.retain(|(at, _), _| *at >= begins);
        }
        true
    }
}

fn begin(newest: Timestamp) -> Timestamp {
    Timestamp::from_second(newest.as_second() - AGAIN).unwrap_or(newest)
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use stratos_engine::platform::LogLine;

    use super::*;

    fn line(at: &str, text: &str) -> Line {
        let at = format!("1970-01-01T00:01:{at}Z").parse().unwrap();
        Line { at: Some(at), line: LogLine { instance: "web".into(), line: text.into() } }
    }

    #[test]
    fn what_comes_again_is_told_once_and_what_is_new_is_told() {
        let cursor = Cursor::default();
        assert_eq!(cursor.resume(), None);
        let first = [line("00.1", "a"), line("05.2", "b"), line("05.2", "b"), line("05.1", "late")];
        assert!(first.iter().all(|line| cursor.pass(line)), "the same text twice at one time is two lines");
        assert_eq!(cursor.resume().as_deref(), Some("1970-01-01T00:01:04Z"));
        assert!(!first[1..].iter().any(|line| cursor.pass(line)));
        assert!(cursor.pass(&line("05.2", "b")), "a third one");
        assert!(cursor.pass(&line("05.15", "lost in the break")));
        assert!(cursor.pass(&line("06.0", "c")));
        assert_eq!(cursor.resume().as_deref(), Some("1970-01-01T00:01:05Z"));
    }

    #[test]
    fn what_is_older_than_the_newest_lines_that_were_wanted_is_not_told() {
        let cursor = Cursor::default();
        assert!(cursor.pass(&line("05.5", "x")));
        cursor.resume();
        assert!(!cursor.pass(&line("05.1", "before")));
        assert!(!cursor.pass(&line("05.5", "x")));
        assert!(cursor.pass(&line("05.6", "y")));
    }

    #[test]
    fn a_line_without_a_time_always_passes() {
        let cursor = Cursor::default();
        let line = Line { at: None, ..line("00", "x") };
        assert!(cursor.pass(&line) && cursor.pass(&line));
    }
}
