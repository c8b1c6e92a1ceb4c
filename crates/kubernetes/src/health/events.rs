//! What a cluster says about one object: newest first, each sentence once.

use std::time::Duration;

use serde::Deserialize;

use super::{Reader, words};
use crate::connection::Connection;
use crate::pages;
use crate::pods::Meta;
use crate::query::Query;

/// How long an answer is good: events are no news that must be known at once.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// What the state of a container tells better.
const NOISE: [&str; 3] = ["BackOff", "Failed", "FailedScheduling"];

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinds {
    Warnings,
    All,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Event {
    metadata: Meta,
    reason: String,
    message: String,
    last_timestamp: Option<String>,
    event_time: Option<String>,
    series: Option<Series>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    last_observed_time: Option<String>,
}

impl Event {
    /// When it was last seen. The texts sort as the times do, to the second.
    fn last(&self) -> &str {
        let times = [self.series.as_ref().and_then(|series| series.last_observed_time.as_ref()), self.last_timestamp.as_ref()];
        let times = times.into_iter().chain([self.event_time.as_ref(), self.metadata.creation_timestamp.as_ref()]);
        times.flatten().map(String::as_str).max().unwrap_or_default()
    }
}

/// Reads them. Whoever may not read events is told none.
pub(super) async fn about(reader: &Reader<'_>, namespace: &str, uid: &str, kinds: Kinds) -> Vec<String> {
    if let Some(known) = reader.watched.events.get(uid, GOOD_FOR) {
        return known;
    }
    let sentences = read(reader.connection, namespace, uid, kinds).await;
    reader.watched.events.put(uid.to_owned(), sentences.clone());
    sentences
}

pub(super) async fn read(connection: &Connection, namespace: &str, uid: &str, kinds: Kinds) -> Vec<String> {
    let mut selector = format!("involvedObject.uid={uid}");
    if kinds == Kinds::Warnings {
        selector.push_str(",type=Warning");
    }
    let query = Query::of(format!("/api/v1/namespaces/{}/events", crate::query::segment(namespace))).with("fieldSelector", &selector);
    let events = pages::all::<Event>(connection, &query).await;
    let events = events.inspect_err(|failure| tracing::debug!(why = failure.why(), "events were not listed")).unwrap_or_default();
    sentences(events)
}

fn sentences(mut events: Vec<Event>) -> Vec<String> {
    events.sort_by(|a, b| b.last().cmp(a.last()).then_with(|| b.metadata.name.cmp(&a.metadata.name)));
    let mut out: Vec<String> = Vec::new();
    for event in events.iter().filter(|event| !NOISE.contains(&event.reason.as_str())) {
        let sentence = words::cause(&event.message);
        if !sentence.is_empty() && !out.contains(&sentence) {
            out.push(sentence);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_comes_first_and_nothing_twice() {
        assert!(sentences(vec![]).is_empty());
        let event = |reason: &str, message: &str, last: &str| -> Event {
            serde_json::from_value(json!({ "reason": reason, "message": message, "lastTimestamp": last, "eventTime": null })).unwrap()
        };
        let events = vec![
            event("FailedMount", "secret \"db\" not found", "2026-01-01T00:00:01Z"),
            event("BackOff", "Back-off restarting failed container", "2026-01-01T00:00:09Z"),
            event("Unhealthy", "Readiness probe failed: 404", "2026-01-01T00:00:05Z"),
            event("FailedMount", "secret \"db\" not found", "2026-01-01T00:00:03Z"),
        ];
        assert_eq!(sentences(events), ["Readiness probe failed: 404", "secret \"db\" not found"]);
    }
}
