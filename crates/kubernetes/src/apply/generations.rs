//! The Secret of an app: each content is an object of its own, so that a change rolls the pods, and what runs on keeps what it
//! started with. Its name cannot hold a hash of the content: that would be a test for guesses.

use std::collections::BTreeMap;

use stratos_engine::plan::change::Action;

use super::{Answer, Call, Found};
use crate::lists;
use crate::marks;
use crate::names;
use crate::object::live::Live;
use crate::read::generation;

/// Carries out the change of such a Secret.
pub(super) async fn apply(call: &Call<'_>, found: &Found) -> Result<Answer, Answer> {
    let of = call.change.id.name.strip_suffix(names::GENERATIONS).unwrap_or_default().to_owned();
    let mut all = ours(call, found, &of).await?;
    all.sort_by_key(|(number, _)| *number);
    let present = all.last().map(|(_, live)| live);
    let reader = call.reader();
    let desired = call.change.desired.as_ref().map(|desired| &desired.document);
    let seen = present.map(|live| reader.observed(reader.id(&found.kind, live), &found.kind, live, desired));
    call.judge(seen.as_ref())?;
    match (call.change.action, present) {
        (Action::Delete, _) => {
            // The present one last: killed in between, there is still something to delete.
            for (_, live) in &all {
                call.remove(found, live).await?;
            }
            Ok(Answer::Done(BTreeMap::new()))
        }
        (Action::Forget, Some(_)) => {
            let mut answer = Answer::Done(BTreeMap::new());
            for (_, live) in &all {
                answer = call.forget(found, live).await?;
            }
            Ok(answer)
        }
        // Only what is beside its content.
        (Action::Update, Some(live)) => call.update(found, live, &Default::default()).await,
        (Action::Create | Action::Update | Action::Replace(_), _) => {
            call.prepare(found).await?;
            let next = all.last().map_or(1, |(number, _)| number + 1);
            let made = create(call, found, &of, next).await?;
            // What the present roll-out goes back to is the one before; what is older nobody needs.
            for (_, live) in all.iter().rev().skip(1) {
                call.remove(found, live).await?;
            }
            Ok(made)
        }
        (Action::Forget | Action::Restart, _) => Err(call.rejected("there is nothing to do this to")),
    }
}

async fn ours(call: &Call<'_>, found: &Found, of: &str) -> Result<Vec<(u64, Live)>, Answer> {
    let selector = marks::selector(call.us());
    let keep = |live: Live| {
        let number = generation(&live).filter(|(name, _)| *name == of).map(|(_, number)| number);
        number.filter(|_| !live.is_going()).map(|number| (number, live))
    };
    let listed = lists::read(&call.platform.connection, &found.resource, Some(&found.namespace), &selector, keep).await;
    Ok(listed.map_err(|failure| call.unread(&failure))?.into_iter().flatten().collect())
}

/// Makes a generation. A number that somebody else's object has is passed over.
async fn create(call: &Call<'_>, found: &Found, of: &str, first: u64) -> Result<Answer, Answer> {
    for number in first..first + 100 {
        let name = format!("{of}-{number}");
        let mut object = call.object(found, &name, None)?;
        object["metadata"]["annotations"][marks::GENERATION] = number.to_string().into();
        match call.make(found, object).await {
            Err(Answer::Outrun(_)) => {}
            made => return made,
        }
    }
    Err(call.rejected(format!("the names {of}-{first} and on are taken by others")))
}
