//! The last lines of an instance that does not work.

use std::time::Duration;

use bollard::models::Task;
use bollard::query_parameters::LogsOptions;
use futures::StreamExt;
use std::sync::PoisonError;

use crate::swarm::SwarmPlatform;

/// So many lines.
const LINES: usize = 10;
/// So many characters of each.
const LONGEST: usize = 500;
/// A node that is away does not answer, and the report does not wait for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Reads them, once for each instance: it has ended and says nothing more.
pub(super) async fn last_lines(platform: &SwarmPlatform, ended: &Task) -> Vec<String> {
    let has_run = ended.status.as_ref().and_then(|status| status.container_status.as_ref()).is_some_and(|c| c.container_id.is_some());
    let Some(id) = ended.id.as_deref().filter(|_| has_run) else { return vec![] };
    let known = platform.watched.logs.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
    if let Some(lines) = known {
        return lines;
    }
    let lines = tokio::time::timeout(PATIENCE, read(platform, id)).await.unwrap_or_default();
    platform.watched.logs.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), lines.clone());
    lines
}

async fn read(platform: &SwarmPlatform, id: &str) -> Vec<String> {
    let options = LogsOptions { stdout: true, stderr: true, tail: LINES.to_string(), ..LogsOptions::default() };
    let mut stream = std::pin::pin!(platform.connection.docker.task_logs(id, Some(options)));
    let mut out = String::new();
    while let Some(Ok(part)) = stream.next().await {
        out.push_str(&String::from_utf8_lossy(&part.into_bytes()));
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    let lines: Vec<String> = out.lines().map(|line| line.chars().take(LONGEST).collect()).collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}
