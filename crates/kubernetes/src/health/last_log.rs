//! The last lines of a container that does not work.

use std::time::Duration;

use super::container::Log;
use super::{Reader, words};
use crate::pods::{self, Pod};
use crate::query::Query;

/// So many lines.
const LINES: usize = 10;
/// So many characters of each.
const LONGEST: usize = 500;
/// So many bytes are read for them.
const BYTES: &str = "65536";
/// A node that is away does not answer, and the report does not wait for it.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an answer is good while the container runs. One that has ended says nothing more.
const GOOD_FOR: Duration = Duration::from_secs(2);

/// Reads them. Whoever may not read logs is told none.
pub(super) async fn read(reader: &Reader<'_>, pod: &Pod, log: &Log) -> Vec<String> {
    let Log { container, previous, ended } = log;
    let (key, good_for) = match ended.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => (id.to_owned(), Duration::MAX),
        None => (format!("{}/{container}", pod.metadata.uid), GOOD_FOR),
    };
    if let Some(known) = reader.watched.logs.get(&key, good_for) {
        return known;
    }
    let path = format!("{}/{}/log", pods::collection(&pod.metadata.namespace), pod.metadata.name);
    let query = Query::of(path).with("container", container).with("tailLines", &LINES.to_string()).with("limitBytes", BYTES);
    let query = if *previous { query.with("previous", "true") } else { query };
    let answer = tokio::time::timeout(PATIENCE, reader.connection.get(query.as_str())).await;
    let Ok(Ok(body)) = answer else {
        tracing::debug!(pod = pod.metadata.name, "its last lines were not read");
        return vec![];
    };
    let lines = lines(&String::from_utf8_lossy(&body));
    reader.watched.logs.put(key, lines.clone());
    lines
}

fn lines(text: &str) -> Vec<String> {
    let lines: Vec<String> = text.lines().map(|line| words::without_control(line).trim_end().chars().take(LONGEST).collect()).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_few_short_and_plain() {
        assert!(super::lines("").is_empty());
        let text = format!("{}\u{1b}[31mcannot open\u{1b}[0m\r\n{}\n", "old\n".repeat(20), "x".repeat(1000));
        let lines = super::lines(&text);
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[8], "cannot open");
        assert_eq!(lines[9].len(), 500);
    }
}
