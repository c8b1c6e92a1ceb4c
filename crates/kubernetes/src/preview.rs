//! The server's own dry run of what differs: what it would store, with its defaults and what admission makes of it; and who
//! else holds a field with another value, before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use http::Method;
use stratos_engine::compare::Difference;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::{Replacement, Resource, ResourceId};
use stratos_engine::platform::{ObservedResource, PlatformError, PlatformErrorKind, Preview};

use crate::apply::{APPLY, conflict, is_by_hand};
use crate::connection::Content;
use crate::failure::Failure;
use crate::kind::GroupKind;
use crate::names;
use crate::object::arrange::Arranged;
use crate::object::leaf::is_known;
use crate::object::live::{Live, MANAGER, Meta};
use crate::object::project::{self, View};
use crate::object::write;
use crate::observe::version;
use crate::platform::KubernetesPlatform;
use crate::shape;

/// Asks about all differences that are changes in place, as many at once as the connection allows.
pub(crate) async fn preview(platform: &KubernetesPlatform, differences: &[Difference]) -> Result<Preview, PlatformError> {
    let in_place = differences.iter().filter_map(|difference| match difference {
        Difference::Differs { desired, observed, fields, .. } if is_in_place(desired, observed, fields) => Some((desired, observed)),
        _ => None,
    });
    let answers = join_all(in_place.map(|(desired, observed)| one(platform, desired, &observed.document))).await;
    let (mut said, mut unasked) = (Preview::default(), BTreeSet::new());
    for answer in answers {
        match answer? {
            Answer::Stored(id, document) => drop(said.stored.insert(id, document)),
            Answer::Immutable(id) => drop(said.anew.insert(id.clone(), anew(&GroupKind::parse(&id.kind)))),
            Answer::Refused(id, why) => drop(said.refused.insert(id, why)),
            Answer::Unasked(why) => drop(unasked.insert(why)),
            Answer::Nothing => {}
        }
    }
    let note = |why| format!("not tried on the cluster before it is applied (dry run): {why}");
    said.notes = unasked.into_iter().map(note).collect();
    Ok(said)
}

/// What a dry run came to.
enum Answer {
    /// The cluster would store this.
    Stored(ResourceId, Document),
    /// The cluster would not change it in place.
    Immutable(ResourceId),
    /// The cluster would refuse it, for this reason and with what helps.
    Refused(ResourceId, String),
    /// The cluster was not asked, or did not say.
    Nothing,
    /// The cluster would not be asked.
    Unasked(String),
}

/// What is made anew is no dry run of a change; nor is one that only its marks differ in.
fn is_in_place(desired: &Resource, observed: &ObservedResource, fields: &[stratos_engine::compare::FieldChange]) -> bool {
    let replaces =
        |field: &stratos_engine::compare::FieldChange| desired.shape.replaces.iter().any(|(pattern, _)| field.path.matches(pattern));
    let marks = |field: &stratos_engine::compare::FieldChange| stratos_engine::plan::change::is_mark(&field.path);
    desired.id == observed.id && !desired.id.name.ends_with(names::GENERATIONS) && !fields.iter().any(replaces) && !fields.iter().all(marks)
}

/// How something is made anew. What goes with an object that an operator serves (a database, a bucket) is its operator's to say: it is
/// kept until somebody agrees.
fn anew(kind: &GroupKind) -> Replacement {
    if is_known(&kind.group) { shape::ANEW } else { shape::LOSES_DATA }
}

/// Whether nothing is wrong but that fields can be set only once. Validation says that in words only, and so do the rules of most custom
/// resources.
fn is_immutable(failure: &Failure) -> bool {
    let says_so =
        |message: &str| ["immutable", "updates to statefulset spec for fields other than"].iter().any(|words| message.contains(words));
    failure.causes().next().is_some() && failure.causes().all(|(_, message, _)| says_so(message))
}

async fn one(platform: &KubernetesPlatform, desired: &Resource, before: &Document) -> Result<Answer, PlatformError> {
    let attempted = || format!("asking the cluster what a change of {} would come to (dry run)", desired.id);
    let kind = GroupKind::parse(&desired.id.kind);
    let is_secret = kind.group.is_empty() && kind.kind == "Secret";
    // The values of secrets are no part of a plan.
    if is_secret || desired.document.leaves().iter().any(|(_, leaf)| matches!(leaf, Leaf::Secret { .. })) {
        return Ok(Answer::Nothing);
    }
    let found = platform.discovery.find(&kind, version(&desired.document)).await.map_err(|failure| failure.error(attempted()))?;
    let Some(resource) = found else { return Ok(Answer::Nothing) };
    let namespace = desired.id.namespace.as_deref().unwrap_or(&platform.config.namespace);
    // A reference is known when what it refers to is: its logical name stands for it.
    let whole = |leaf: &Leaf| match (leaf, leaf.text()) {
        (Leaf::Text(text), _) => Ok(text.to_string()),
        (_, Some(text)) => Ok(text.attributes().map(|(of, _)| of.name.trim_end_matches('*').trim_end_matches('-').to_owned()).collect()),
        (other, None) => Err(format!("{other} is no text")),
    };
    let Ok(mut object) = write::object(&desired.document, false, &whole) else { return Ok(Answer::Nothing) };
    write::clear_unions(&mut object, &desired.document, before);
    object["kind"] = resource.kind.clone().into();
    object["metadata"]["name"] = desired.id.name.to_string().into();
    let content = Content { kind: APPLY, bytes: object.to_string().into_bytes() };
    let mut force = platform.config.force_conflicts || platform.is_ours_alone(&desired.id);
    let answer = loop {
        let path = resource.object(Some(namespace), &desired.id.name);
        let path = format!("{path}?fieldManager={MANAGER}&force={force}&dryRun=All&fieldValidation=Strict");
        match platform.connection.send(Method::PATCH, &path, "application/json", Some(&content)).await {
            Ok(answer) => break answer,
            Err(failure) if !force && is_by_hand(&failure) => force = true,
            // It has gone since it was read: the apply will say so.
            Err(failure) if failure.is_not_found() => return Ok(Answer::Nothing),
            // Who may only read may plan.
            Err(failure) if failure.is_unauthorized() || failure.has_no_dry_run() => return Ok(Answer::Unasked(failure.why().to_owned())),
            Err(failure) if is_immutable(&failure) => return Ok(Answer::Immutable(desired.id.clone())),
            Err(failure) => {
                let error = conflict(&failure, &attempted()).unwrap_or_else(|| failure.error(attempted()));
                if ![PlatformErrorKind::Rejected, PlatformErrorKind::Denied].contains(&error.kind) {
                    return Err(error);
                }
                // What people wrote by hand is taken over first, which no dry run can do: the cluster sees both as it is.
                let live = platform.connection.find(&resource.object(Some(namespace), &desired.id.name)).await;
                let live = live.ok().flatten().and_then(|body| Live::parse(&body).ok());
                if live.is_some_and(|live| live.must_be_taken_over()) {
                    return Ok(Answer::Nothing);
                }
                let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                return Ok(Answer::Refused(desired.id.clone(), error.why + &hint));
            }
        }
    };
    let live = Live::parse(&answer.body).map_err(|error| Failure::unreadable(&error).error(attempted()))?;
    let arranged = Arranged::new(&live, is_known(&kind.group), &desired.document).into_owned();
    // What is not known to be stored is not written in place of what is declared.
    if arranged.is_unclear {
        return Ok(Answer::Nothing);
    }
    // What is not declared and stays is filled in by the server, or held by another manager. What people hold will be gone.
    let look = |live: &Live, desired: Option<&Document>| {
        let view = View { kind: &kind, desired, refers: &[], fingerprints: &BTreeMap::new() };
        project::project_arranged(live, &arranged, &view).document
    };
    let taken_over = look(&live, None);
    let exchanged = arranged.exchanged(before, &desired.document);
    let is_below = |path: &Path, at: &Vec<String>| at.iter().map(String::as_str).eq(path.segments().take(at.len()));
    let is_of_another = |path: &Path| exchanged.iter().any(|at| is_below(path, at));
    let stays = |(path, _): &&(Path, Leaf)| desired.document.get(path).is_none() && taken_over.get(path).is_none() && !is_of_another(path);
    let stays: Document = before.leaves().iter().filter(stays).cloned().collect();
    let unmanaged = Live { meta: Meta { managed_fields: vec![], ..live.meta }, body: live.body };
    let stays = look(&unmanaged, Some(&stays));
    let stored = look(&unmanaged, Some(&desired.document));
    // Only what stays as it is: another value is none that anybody asked us to write.
    let stays = stays.leaves().iter().filter(|(path, leaf)| before.get(path) == Some(leaf));
    let stored = stored.with(stays.map(|(path, leaf)| (path.clone(), Some(leaf.clone()))));
    // References stay what they are: the live name that was sent for them is none.
    let references = desired.document.leaves().iter().filter(|(_, leaf)| matches!(leaf, Leaf::Ref(_)));
    let stored = stored.with(references.map(|(path, leaf)| (path.clone(), Some(leaf.clone()))));
    Ok(Answer::Stored(desired.id.clone(), stored))
}
