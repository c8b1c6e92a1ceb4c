//! Objects of a kind whose definition has just changed: servers take up a definition a moment after its condition says `Established`.

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use stratos_engine::desired::document::Leaf;
use stratos_engine::plan::change::is_mark;
use stratos_engine::platform::ObservedResource;

use super::body::content;
use super::patch::APPLY;
use super::{Answer, Call, Found};
use crate::connection;
use crate::discovery::LOOK;
use crate::failure::Failure;

const JSON: &str = "application/json";

impl Call<'_> {
    /// Sends a server-side apply. Where the definition of the kind has just changed, no plan could try it: it is tried now (dry run), until the
    /// server takes it or has had its time. `is_outdated`: our entry is of another version, which waiting does not change.
    pub(super) async fn send(&self, found: &Found, path: &str, object: &Value, is_outdated: bool) -> Result<connection::Answer, Failure> {
        let (connection, content) = (&self.platform.connection, content(APPLY, object));
        let tried = format!("{path}&dryRun=All");
        while !self.has_secrets() && self.platform.discovery.is_settling(&found.kind.group).await {
            match connection.send(Method::PATCH, &tried, JSON, Some(&content)).await {
                Ok(_) => break,
                Err(failure) if failure.has_no_dry_run() => break,
                Err(failure) if failure.is_of_the_cluster() || failure.is_conflict() || failure.is_denied() => return Err(failure),
                Err(failure) if failure.is_of_an_entry() && is_outdated => return Err(failure),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
        connection.send(Method::PATCH, path, JSON, Some(&content)).await
    }

    /// Judges what is live. Where the definition of the kind has just changed, fields come and go with its schema (defaults, what a version does
    /// not have): those that the plan changes anyway count as they were then, and all others must be what they were.
    pub(super) async fn judge_settled(&self, found: &Found, live: Option<&ObservedResource>) -> Result<(), Answer> {
        let judged = self.judge(live);
        let Some(live) = live.filter(|_| matches!(judged, Err(Answer::Stale(_)))) else { return judged };
        if self.change.desired.is_none() || !self.platform.discovery.is_settling(&found.kind.group).await {
            return judged;
        }
        let then =
            self.change.differences.iter().filter(|field| !is_mark(&field.path)).map(|field| (field.path.clone(), field.old.clone()));
        let then = ObservedResource { document: live.document.with(then), ..live.clone() };
        self.judge(Some(&then)).or(judged)
    }

    fn has_secrets(&self) -> bool {
        let leaves = self.change.desired.iter().flat_map(|desired| desired.document.leaves());
        leaves.into_iter().any(|(_, leaf)| matches!(leaf, Leaf::Secret { .. }))
    }

    /// Reads what has a name. None where nothing has it, of a kind that is served.
    pub(super) async fn find_settled(&self, found: &Found, name: &str) -> Result<Option<Bytes>, Failure> {
        let path = found.path(name);
        loop {
            match self.platform.connection.get(&path).await {
                Ok(body) => return Ok(Some(body)),
                Err(failure) if failure.is_unserved() && self.platform.discovery.is_settling(&found.kind.group).await => {
                    tokio::time::sleep(LOOK).await;
                }
                Err(failure) if failure.is_not_found() => return Ok(None),
                Err(failure) => return Err(failure),
            }
        }
    }
}
