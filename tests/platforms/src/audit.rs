//! What an API server was asked, as it has written it down itself.

use std::collections::BTreeSet;

use serde_json::Value;

/// A moment in a cluster's life: so many bytes of its audit log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(pub(crate) u64);

/// One request that reached the API server. Those of the cluster's own parts are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`: as the server understood it.
    pub verb: String,
    /// Path and query.
    pub uri: String,
    /// Who asked.
    pub user: String,
    /// The program that asked, as it calls itself.
    pub agent: String,
    /// The status of the answer.
    pub status: u64,
    /// Whether nothing was to change, as the query or the body of a deletion says.
    pub dry_run: bool,
}

/// The requests in an audit log of version `audit.k8s.io/v1`, each once: a watch is written down when it starts and when it
/// ends.
pub(crate) fn requests(log: &str) -> Vec<Request> {
    let mut seen = BTreeSet::new();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| seen.insert(text(&event["auditID"]))).map(|event| request(&event)).collect()
}

fn request(event: &Value) -> Request {
    let uri = text(&event["requestURI"]);
    Request {
        verb: text(&event["verb"]),
        user: text(&event["user"]["username"]),
        agent: text(&event["userAgent"]),
        status: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
        dry_run: uri.contains("dryRun=All") || event["requestObject"]["dryRun"][0] == "All",
        uri,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
