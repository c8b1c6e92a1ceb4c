//! Hands a change to the supervisor, which judges its fence and writes in one step.

use std::collections::BTreeMap;

use stratos_engine::desired::document::Document;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::text::{Segment, Text};
use stratos_engine::plan::change::Change;
use stratos_engine::platform::{ApplyContext, Outcome, PlatformError, PlatformErrorKind};
use stratos_engine::render::secret::ResolveError;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use crate::client::CallError;
use crate::platform::LocalPlatform;
use crate::protocol::{Applied, ApplyRequest, Request, Value};
use crate::state::State;
use crate::supervisor::expand::escape;

/// Carries out one change.
pub(crate) async fn apply(platform: &LocalPlatform, change: &Change, context: &ApplyContext<'_>) -> Outcome {
    let attempted = format!("{} {}", change.action.doing(), change.id);
    let request = match request(platform, change, context) {
        Ok(request) => request,
        Err(error) => return Outcome::Failed(PlatformError::new(PlatformErrorKind::Rejected, attempted, error.to_string())),
    };
    let stream = match platform.client.connect_or_start().await {
        Ok(stream) => stream,
        Err(error) => return Outcome::Failed(PlatformError { attempted: format!("{attempted}: {}", error.attempted), ..error }),
    };
    match platform.client.call(stream, Request::Apply(Box::new(request)), &attempted).await {
        Ok(Applied::Done { attributes }) => Outcome::Done { attributes },
        Ok(Applied::AlreadyDone { attributes }) => Outcome::AlreadyDone { attributes },
        Ok(Applied::Stale { why }) => Outcome::Stale { why },
        Err(CallError::Lost(error)) => Outcome::Unknown(error),
        Err(other) => Outcome::Failed(other.into_platform_error(&attempted)),
    }
}

fn request(platform: &LocalPlatform, change: &Change, context: &ApplyContext<'_>) -> Result<ApplyRequest, ResolveError> {
    let mut marks = change.desired.as_ref().map(|desired| desired.marks.clone());
    if let (Some(marks), Some(desired)) = (&mut marks, &change.desired) {
        marks.specification = Some(desired.document.digest().to_string());
        if let Some(revision) = context.revision {
            marks.revision = Some(revision.to_owned());
        }
    }
    let values = change.desired.as_ref().map(|desired| values(&desired.document, context)).transpose()?.unwrap_or_default();
    Ok(ApplyRequest {
        change: change.clone(),
        owner: platform.config.owner.clone(),
        marks,
        values,
        directory: platform.config.directory.clone(),
    })
}

/// The values of all leaves that are not plain.
fn values(document: &Document, context: &ApplyContext<'_>) -> Result<BTreeMap<Path, Value>, ResolveError> {
    let open = document.leaves().iter().filter_map(|(path, leaf)| Some((path, leaf.text()?)));
    open.map(|(path, text)| {
        let expands = path.matches("command") || path.matches("env");
        let value = if expands { resolve_escaped(text, context)? } else { context.resolve(text)? };
        Ok((path.clone(), Value(value)))
    })
    .collect()
}

/// Resolves a text in which `$(NAME)` will be expanded: only where the user wrote it, so not in a secret's value.
fn resolve_escaped(text: &Text, context: &ApplyContext<'_>) -> Result<Zeroizing<String>, ResolveError> {
    let mut out = Zeroizing::new(String::new());
    for segment in text.segments() {
        match segment {
            Segment::Literal(literal) => out.push_str(literal),
            other => out.push_str(&escape(&context.resolve(&Text::from_iter([other.clone()]))?)),
        }
    }
    Ok(out)
}

/// Ends the supervisor, and removes what it needed, when nothing is left.
pub(crate) async fn retire(platform: &LocalPlatform) -> Result<(), PlatformError> {
    let folder = &platform.client.folder;
    let attempted = format!("ending the supervisor of {}", platform.config.environment);
    if let Some(stream) = platform.client.connect().await? {
        return end(platform, stream, &attempted).await;
    }
    let error = |why: String| PlatformError::new(PlatformErrorKind::Internal, attempted.as_str(), why);
    let empty = State::read(folder).map_err(|e| error(e.to_string()))?.objects.is_empty();
    if empty && folder.path().is_dir() {
        crate::supervisor::remove_traces(folder).map_err(|e| error(e.to_string()))?;
    }
    Ok(())
}

async fn end(platform: &LocalPlatform, stream: UnixStream, attempted: &str) -> Result<(), PlatformError> {
    let ends: bool = platform.client.call(stream, Request::Retire, attempted).await.map_err(|e| e.into_platform_error(attempted))?;
    tracing::debug!(ends, "asked the supervisor to end");
    Ok(())
}
