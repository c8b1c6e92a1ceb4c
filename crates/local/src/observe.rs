//! What is there: from the supervisor, or from `state.json` and the disk where none runs. Starts nothing.

use stratos_engine::health::RolloutState;
use stratos_engine::platform::{Gap, PlatformError, Scope, Sink, Wanted};

use crate::platform::LocalPlatform;
use crate::protocol::{Request, SeenObject};
use crate::state::State;

/// Reports what is ours and in scope, and what has a wanted id.
pub(crate) async fn observe(platform: &LocalPlatform, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
    let attempted = format!("reading environment {}", platform.config.environment);
    let objects = match platform.client.connect().await? {
        Some(stream) => {
            let answer = platform.client.call::<Vec<SeenObject>>(stream, Request::Observe, &attempted).await;
            answer.map_err(|e| e.into_platform_error(&attempted))?
        }
        None => match at_rest(platform) {
            Ok(objects) => objects,
            // What was there is not known: that is a gap, and never an empty environment.
            Err(why) => {
                sink.gaps.push(Gap { environment: platform.config.environment.clone(), kind: None, name: None, why });
                return Ok(());
            }
        },
    };
    let in_scope = |object: &SeenObject| {
        let ours = object.marks.as_ref().filter(|marks| marks.owner == scope.owner);
        ours.is_some_and(|marks| scope.apps.as_ref().is_none_or(|apps| apps.contains(&marks.app)))
    };
    let reported = objects.into_iter().filter(|object| in_scope(object) || wanted.contains_key(&object.id));
    sink.add(reported.map(|object| object.for_owner(&scope.owner)));
    Ok(())
}

/// What an environment without a supervisor holds.
fn at_rest(platform: &LocalPlatform) -> Result<Vec<SeenObject>, String> {
    let folder = &platform.client.folder;
    let state = State::read(folder).map_err(|e| format!("{e}; restore the file, or remove the folder to begin anew"))?;
    let existing = state.objects.iter().filter(|object| object.exists(folder));
    Ok(existing.map(|object| object.seen(object.document_at_rest(), RolloutState::Done)).collect())
}
