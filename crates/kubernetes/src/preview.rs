//! The server's own dry run of what differs: what it would store, with its defaults and what admission makes of it.

use std::collections::BTreeMap;

use futures::future::join_all;
use http::Method;
use stratos_engine::compare::Difference;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::platform::{ObservedResource, PlatformError};

use crate::connection::Content;
use crate::failure::Failure;
use crate::kind::GroupKind;
use crate::names;
use crate::object::live::{Live, MANAGER};
use crate::object::project::{self, View};
use crate::object::write;
use crate::observe::version;
use crate::platform::KubernetesPlatform;

/// Asks about all differences that are changes in place, as many at once as the connection allows.
pub(crate) async fn preview(
    platform: &KubernetesPlatform,
    differences: &[Difference],
) -> Result<BTreeMap<ResourceId, Document>, PlatformError> {
    let in_place = differences.iter().filter_map(|difference| match difference {
        Difference::Differs { desired, observed, fields } if is_in_place(desired, observed, fields) => Some(desired),
        _ => None,
    });
    let answers = join_all(in_place.map(|desired| one(platform, desired))).await;
    let mut out = BTreeMap::new();
    for answer in answers {
        out.extend(answer?);
    }
    Ok(out)
}

/// What is made anew is no dry run of a change; nor is one that only its marks differ in.
fn is_in_place(desired: &Resource, observed: &ObservedResource, fields: &[stratos_engine::compare::FieldChange]) -> bool {
    let replaces = |field: &stratos_engine::compare::FieldChange| desired.shape.replaces.iter().any(|(pattern, _)| field.path.matches(pattern));
    let marks = |field: &stratos_engine::compare::FieldChange| stratos_engine::plan::change::is_mark(&field.path);
    desired.id == observed.id && !desired.id.name.ends_with(names::GENERATIONS) && !fields.iter().any(replaces) && !fields.iter().all(marks)
}

async fn one(platform: &KubernetesPlatform, desired: &Resource) -> Result<Option<(ResourceId, Document)>, PlatformError> {
    let attempted = || format!("asking the cluster what a change of {} would come to (dry run)", desired.id);
    let kind = GroupKind::parse(&desired.id.kind);
    let is_secret = kind.group.is_empty() && kind.kind == "Secret";
    // The values of secrets are no part of a plan.
    if is_secret || desired.document.leaves().iter().any(|(_, leaf)| matches!(leaf, Leaf::Secret { .. })) {
        return Ok(None);
    }
    let found = platform.discovery.find(&kind, version(&desired.document)).await.map_err(|failure| failure.error(attempted()))?;
    let Some(resource) = found else { return Ok(None) };
    let namespace = desired.id.namespace.as_deref().unwrap_or(&platform.config.namespace);
    // A reference is known when what it refers to is: its logical name stands for it.
    let whole = |leaf: &Leaf| match (leaf, leaf.text()) {
        (Leaf::Text(text), _) => Ok(text.to_string()),
        (_, Some(text)) => Ok(text.attributes().map(|(of, _)| of.name.trim_end_matches('*').trim_end_matches('-').to_owned()).collect()),
        (other, None) => Err(format!("{other} is no text")),
    };
    let Ok(mut object) = write::object(&desired.document, false, &whole) else { return Ok(None) };
    object["kind"] = resource.kind.clone().into();
    object["metadata"]["name"] = desired.id.name.to_string().into();
    let path = format!(
        "{}?fieldManager={MANAGER}&force=true&dryRun=All&fieldValidation=Strict",
        resource.object(Some(namespace), &desired.id.name)
    );
    let content = Content { kind: crate::apply::APPLY, bytes: object.to_string().into_bytes() };
    let answer = match platform.connection.send(Method::PATCH, &path, "application/json", Some(&content)).await {
        Ok(answer) => answer,
        Err(failure) => return Err(failure.error(attempted())),
    };
    let live = Live::parse(&answer.body).map_err(|error| Failure::unreadable(&error).error(attempted()))?;
    // Only what is declared: what is not, and is ours, will be gone.
    let unmanaged = Live { meta: crate::object::live::Meta { managed_fields: vec![], ..live.meta }, body: live.body };
    let view = View { kind: &kind, desired: Some(&desired.document), refers: &[], fingerprints: &BTreeMap::new() };
    let stored = project::project(&unmanaged, &view).document;
    // References stay what they are: the live name that was sent for them is none.
    let references = desired.document.leaves().iter().filter(|(_, leaf)| matches!(leaf, Leaf::Ref(_)));
    let stored = stored.with(references.map(|(path, leaf)| (path.clone(), Some(leaf.clone()))));
    Ok(Some((desired.id.clone(), stored)))
}
