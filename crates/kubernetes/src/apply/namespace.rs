//! The environment's own namespace, where a manifest declares it.
//!
//! It is there before anything is applied, since the lease is in it. So to make it is to write the declared fields into it, and where it leaves
//! the manifest it becomes what it is without one: `destroy` deletes it when nothing is in it, and nothing else does.

use http::Method;
use serde_json::json;
use stratos_engine::desired::document::Document;
use stratos_engine::plan::change::Action;

use super::body::content;
use super::patch::APPLY;
use super::{Answer, Call, Found};
use crate::marks;
use crate::object::live::{Live, MANAGER};

pub(super) async fn apply(call: &Call<'_>, mut found: Found) -> Result<Answer, Answer> {
    let (reader, desired) = (call.reader(), call.change.desired.as_ref().map(|desired| &desired.document));
    found.live.take_if(|live| reader.is_undeclared_namespace(&call.change.id, live));
    let seen = found.live.as_ref().map(|live| reader.observed(call.change.id.clone(), &found.kind, live, desired));
    call.judge(seen.as_ref())?;
    match (call.change.action, &found.live) {
        (Action::Create, None) => declare(call, &found).await,
        (Action::Create | Action::Update, Some(live)) => {
            call.update(&found, live, &seen.map(|seen| seen.document).unwrap_or_default()).await
        }
        (Action::Delete, Some(live)) => undeclare(call, &found, live).await,
        (Action::Forget, Some(live)) => call.forget(&found, live).await,
        (Action::Replace(_) | Action::Restart, _) => Err(call.rejected("the environment's own namespace is changed in place alone")),
        (_, None) => Err(Answer::Stale("it is gone since the plan was made".to_owned())),
    }
}

/// Writes what is declared into the namespace that we made.
async fn declare(call: &Call<'_>, found: &Found) -> Result<Answer, Answer> {
    call.platform.ensure_namespace().await.map_err(Answer::Failed)?;
    match call.get(found, &call.change.id.name).await? {
        Some(live) if call.reader().is_undeclared_namespace(&call.change.id, &live) => {
            call.update(found, &live, &Document::default()).await
        }
        Some(_) => Err(Answer::Stale("something is there since the plan was made".to_owned())),
        None => Err(call.rejected("it is not there, and may not be looked at")),
    }
}

/// Takes back what was declared. Our manager goes on to say whose it is.
async fn undeclare(call: &Call<'_>, found: &Found, live: &Live) -> Result<Answer, Answer> {
    let object = json!({ "apiVersion": found.resource.api_version, "kind": found.resource.kind, "metadata": {
        "name": live.meta.name, "uid": live.meta.uid, "resourceVersion": live.meta.resource_version,
        "labels": marks::labels_of_owner(call.us()),
    } });
    let path = format!("{}?fieldManager={MANAGER}&force=true", found.path(&live.meta.name));
    match call.platform.connection.send(Method::PATCH, &path, "application/json", Some(&content(APPLY, &object))).await {
        Ok(answer) => {
            call.platform.lease.has_deleted();
            call.done(found, &answer.body).await
        }
        Err(failure) => Err(call.unwritten(&failure)),
    }
}
