//! The server's own dry run of what differs: what it would store, with its defaults and what admission makes of it; and who
//! else holds a field with another value, before anything is written. A refusal is said of its object alone.

mod anew;

mod dry_run;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use serde_json::Value;
use stratos_engine::compare::{Difference, FieldChange};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::Resource as Desired;
use stratos_engine::platform::{ObservedResource, PlatformError, PlatformErrorKind, Preview};

use crate::again::again;
use crate::apply::{conflict, is_by_hand, marked};
use crate::definitions::{Definitions, is_definition};
use crate::entry::{self, Stays};
use crate::failure::Failure;
use crate::kind::{GroupKind, Resource};
use crate::marks;
use crate::names;
use crate::object::arrange::Arranged;
use crate::object::live::{Live, Meta};
use crate::object::project::{self, View};
use crate::object::write;
use crate::observe::version;
use crate::platform::KubernetesPlatform;
use dry_run::DryRun;

/// Asks about all differences that are changes in place, as many at once as the connection allows. Definitions are first: a resource whose
/// definition changes cannot be tried before that is written.
pub(crate) async fn preview(platform: &KubernetesPlatform, differences: &[Difference]) -> Result<Preview, PlatformError> {
    let mut definitions = Definitions::of(differences);
    let (mut said, mut unasked) = (Preview::default(), BTreeSet::new());
    let (first, others): (Vec<_>, Vec<_>) = differences.iter().partition(|difference| is_definition(difference));
    for some in [first, others] {
        let answers = join_all(some.iter().map(|difference| look(platform, difference, &definitions))).await;
        for (difference, answer) in some.into_iter().zip(answers) {
            let id = difference.id();
            match answer? {
                Answer::Stored(document) => {
                    if let Difference::Differs { observed, .. } = difference {
                        definitions.forget_unless_changed(id, &document, &observed.document);
                    }
                    said.stored.insert(id.clone(), document);
                }
                Answer::Immutable(why) => {
                    said.notes.push(format!("{id} has to be replaced: the cluster does not change it in place: {why}"));
                    said.anew.insert(id.clone(), anew::replacement(&GroupKind::parse(&id.kind)));
                }
                Answer::Refused(why) => {
                    definitions.forget(id);
                    said.refused.insert(id.clone(), why);
                }
                Answer::Conflict(why) => {
                    definitions.forget(id);
                    said.conflicts.insert(id.clone());
                    said.refused.insert(id.clone(), why);
                }
                Answer::Unasked(why) => drop(unasked.insert(why)),
                Answer::Nothing => {}
            }
            let needed = difference.desired().and_then(|_| definitions.id(&GroupKind::parse(&id.kind)));
            said.needs.extend(needed.map(|needed| (id.clone(), needed.clone())));
        }
    }
    let note = |why| format!("not tried on the cluster before it is applied (dry run): {why}");
    said.notes.extend(unasked.into_iter().map(note));
    Ok(said)
}

/// What a dry run came to.
enum Answer {
    /// The cluster would store this.
    Stored(Document),
    /// The cluster would not change it in place, in its words.
    Immutable(String),
    /// The cluster would refuse it, for this reason and with what helps.
    Refused(String),
    /// Other managers have set fields of it, which are named.
    Conflict(String),
    /// The cluster was not asked, or did not say.
    Nothing,
    /// The cluster would not be asked.
    Unasked(String),
}

/// Where the kind of a resource is, in the version that is to be written.
enum Served {
    Here(Resource),
    /// A definition of the same plan brings it, or changes it.
    Later,
    /// The cluster has no such kind, or not in this version.
    Nowhere(String),
    /// Its server does not answer.
    Unknown,
}

/// Asks about one difference. An object that is not there yet is not tried, since its namespace or its ServiceAccount may be part of the
/// same plan; its kind must be there.
async fn look(platform: &KubernetesPlatform, difference: &Difference, definitions: &Definitions) -> Result<Answer, PlatformError> {
    let (desired, in_place) = match difference {
        Difference::Differs { desired, observed, fields, .. } if is_fixed_secret(desired, observed, fields) => {
            return Ok(Answer::Immutable("the Secret says `immutable: true`".to_owned()));
        }
        Difference::Differs { desired, observed, fields, .. } => {
            (desired, is_in_place(desired, observed, fields).then_some((&observed.document, fields)))
        }
        Difference::Missing(desired) => (desired, None),
        Difference::Taken { .. } | Difference::Refused { .. } | Difference::Undeclared(_) => return Ok(Answer::Nothing),
    };
    match (served(platform, desired, definitions).await?, in_place) {
        (Served::Nowhere(why), _) => Ok(Answer::Refused(why)),
        (Served::Unknown, _) | (_, None) => Ok(Answer::Nothing),
        (Served::Later, Some(_)) => Ok(Answer::Unasked(format!("the definition of {} changes in the same plan", desired.id))),
        (Served::Here(resource), Some((before, fields))) => Asked { platform, desired, before, fields, resource }.answer().await,
    }
}

async fn served(platform: &KubernetesPlatform, desired: &Desired, definitions: &Definitions) -> Result<Served, PlatformError> {
    let kind = GroupKind::parse(&desired.id.kind);
    let version = version(&desired.document);
    if let Some(definition) = definitions.id(&kind) {
        let said = version.unwrap_or_default();
        return Ok(match definitions.bring(&kind, said) {
            true => Served::Later,
            false => Served::Nowhere(format!("the definition {} of the same plan does not serve {kind} as {said}", definition.name)),
        });
    }
    match platform.discovery.find(&kind, version).await {
        Ok(Some(resource)) => Ok(Served::Here(resource)),
        Ok(None) => Ok(Served::Nowhere(unserved(&kind, version, &platform.discovery.versions(&kind).await))),
        Err(failure) if failure.is_of_its_kind() => Ok(Served::Unknown),
        Err(failure) => Err(failure.error(format!("asking which kinds the cluster has, for {kind}"))),
    }
}

/// The message about a kind that the cluster does not have in a version.
pub(crate) fn unserved(kind: &GroupKind, version: Option<&str>, served: &[String]) -> String {
    let version = version.map(|version| format!(" in the version {version}")).unwrap_or_default();
    let others = if served.is_empty() { String::new() } else { format!(" (it serves {})", served.join(", ")) };
    format!(
        "the cluster has no kind {kind}{version}{others}; is its CustomResourceDefinition installed, in this version? Where something in this \
         environment installs it, apply again when that runs"
    )
}

/// Whether a Secret changes that says of itself that it cannot. The cluster is not asked: it would have to be told the values.
fn is_fixed_secret(desired: &Desired, observed: &ObservedResource, fields: &[FieldChange]) -> bool {
    let is_fixed = observed.document.get(&Path::new(["immutable"])) == Some(&Leaf::Bool(true));
    let changes = |field: &FieldChange| ["data", "immutable"].iter().any(|of| field.path.segments().next() == Some(of));
    &*desired.id.kind == "Secret" && !desired.id.name.ends_with(names::GENERATIONS) && is_fixed && fields.iter().any(changes)
}

/// What is made anew is no dry run of a change; nor is one that only its marks differ in.
fn is_in_place(desired: &Desired, observed: &ObservedResource, fields: &[FieldChange]) -> bool {
    let replaces = |field: &FieldChange| desired.shape.replaces.iter().any(|(pattern, _)| field.path.matches(pattern));
    let marks = |field: &FieldChange| stratos_engine::plan::change::is_mark(&field.path);
    desired.id == observed.id && !desired.id.name.ends_with(names::GENERATIONS) && !fields.iter().any(replaces) && !fields.iter().all(marks)
}

/// A change in place that the cluster is asked about.
struct Asked<'a> {
    platform: &'a KubernetesPlatform,
    desired: &'a Desired,
    before: &'a Document,
    fields: &'a [FieldChange],
    resource: Resource,
}

impl Asked<'_> {
    fn kind(&self) -> GroupKind {
        GroupKind::parse(&self.desired.id.kind)
    }

    fn namespace(&self) -> &str {
        self.desired.id.namespace.as_deref().unwrap_or(&self.platform.config.namespace)
    }

    fn path(&self, name: &str) -> String {
        self.resource.object(Some(self.namespace()), name)
    }

    fn attempted(&self) -> String {
        format!("asking the cluster what a change of {} would come to (dry run)", self.desired.id)
    }

    async fn answer(&self) -> Result<Answer, PlatformError> {
        let Some(object) = self.object() else { return Ok(Answer::Nothing) };
        let path = self.path(&self.desired.id.name);
        let (declared, before) = (&self.desired.document, self.before);
        let asked = DryRun { connection: &self.platform.connection, path: &path, object: &object, declared, before };
        let mut force = self.platform.config.force_conflicts || self.platform.is_ours_alone(&self.desired.id);
        loop {
            match again(|| asked.send(force)).await {
                // The server translates the object to the version before and back, which may bring lists into another order: an apply
                // writes it once more then.
                Ok(_) if version(self.before) != version(declared) => return Ok(Answer::Nothing),
                Ok(answer) => {
                    let live = Live::parse(&answer.body).map_err(|error| Failure::unreadable(&error).error(self.attempted()))?;
                    return Ok(self.stored(live));
                }
                Err(failure) if !force && is_by_hand(&failure) => force = true,
                Err(failure) => return self.refused(&failure, &object).await,
            }
        }
    }

    /// The object that an apply would send. None where it holds secrets, whose values are no part of a plan.
    fn object(&self) -> Option<Value> {
        let Self { platform, desired, resource, .. } = self;
        let kind = self.kind();
        let is_secret = kind.group.is_empty() && kind.kind == "Secret";
        if is_secret || desired.document.leaves().iter().any(|(_, leaf)| matches!(leaf, Leaf::Secret { .. })) {
            return None;
        }
        // A reference is known when what it refers to is: its logical name stands for it.
        let whole = |leaf: &Leaf| match (leaf, leaf.text()) {
            (Leaf::Text(text), _) => Ok(text.to_string()),
            (_, Some(text)) => {
                Ok(text.attributes().map(|(of, _)| of.name.trim_end_matches('*').trim_end_matches('-').to_owned()).collect())
            }
            (other, None) => Err(format!("{other} is no text")),
        };
        let object = write::object(&desired.document, false, &whole).ok()?;
        Some(marked(platform, desired, resource, self.namespace(), None, object))
    }

    /// The answer that a refusal leads to: whatever its status code, it is about this object.
    async fn refused(&self, failure: &Failure, object: &Value) -> Result<Answer, PlatformError> {
        let conflict = conflict(failure, &self.attempted());
        let answer = if conflict.is_some() { Answer::Conflict } else { Answer::Refused };
        let error = conflict.unwrap_or_else(|| failure.error(self.attempted()));
        let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let refused = answer(format!("{}{hint}", error.why));
        // It has gone since it was read: the apply will say so.
        if failure.is_not_found() {
            return Ok(Answer::Nothing);
        }
        // Who may only read may plan.
        if failure.is_unauthorized() || failure.has_no_dry_run() {
            return Ok(Answer::Unasked(failure.why().to_owned()));
        }
        if failure.is_of_the_cluster() {
            return Err(error);
        }
        if anew::is_immutable(failure) {
            return Ok(self.immutable(failure, refused));
        }
        if failure.is_of_the_schema() {
            return Ok(refused);
        }
        let live = self.platform.connection.find(&self.path(&self.desired.id.name)).await;
        if let Some(live) = live.ok().flatten().and_then(|body| Live::parse(&body).ok()) {
            if let Some(before) = entry::outdated(&live, &self.resource).filter(|_| failure.is_of_an_entry()) {
                return self.outdated(failure, &live, before).await;
            }
            // Fields that people wrote by hand are taken over first, which no dry run can do: the cluster sees both as it is.
            if [PlatformErrorKind::Rejected, PlatformErrorKind::Denied].contains(&error.kind) && live.must_be_taken_over() {
                return Ok(Answer::Nothing);
            }
        }
        if anew::is_at(failure, self.fields) && self.may_be_made(object).await {
            return Ok(self.immutable(failure, refused));
        }
        Ok(refused)
    }

    /// Our entry among the managers of fields names another version than the one that is written: an apply moves it first.
    async fn outdated(&self, failure: &Failure, live: &Live, before: &str) -> Result<Answer, PlatformError> {
        let path = self.path(&self.desired.id.name);
        match entry::try_to_move(&self.platform.connection, &self.resource, &path, live).await {
            Ok(()) => {
                let now = &self.resource.api_version;
                Ok(Answer::Unasked(format!("{} was applied as {before} before, which is changed to {now} first", self.desired.id)))
            }
            Err(Stays::Blocked(why)) => Ok(Answer::Refused(format!("{}: {why}", failure.why()))),
            Err(Stays::Failed(failure)) if failure.is_of_the_cluster() => Err(failure.error(self.attempted())),
            Err(Stays::Failed(other)) => Ok(Answer::Refused(format!("{}: {}", failure.why(), other.why()))),
        }
    }

    /// The answer with the document that the server would store.
    fn stored(&self, mut live: Live) -> Answer {
        let (kind, before, desired) = (&self.kind(), self.before, self.desired);
        // Nothing is written yet: that the object is as we wrote it must not be taken from this.
        live.meta.annotations.remove(marks::SPECIFICATION);
        let arranged = Arranged::new(&live, &desired.document).into_owned();
        // A document that is not known to be the stored one does not replace the declared one.
        if arranged.is_unclear {
            return Answer::Nothing;
        }
        // Undeclared fields that stay are filled in by the server, or owned by another manager. Those that people own will be gone.
        let look = |live: &Live, desired: Option<&Document>| {
            let view = View { kind, desired, refers: &[], fingerprints: &BTreeMap::new() };
            project::project_arranged(live, &arranged, &view).document
        };
        let taken_over = look(&live, None);
        let exchanged = arranged.exchanged(before, &desired.document);
        let is_below = |path: &Path, at: &Vec<String>| at.iter().map(String::as_str).eq(path.segments().take(at.len()));
        let is_of_another = |path: &Path| exchanged.iter().any(|at| is_below(path, at));
        let stays =
            |(path, _): &&(Path, Leaf)| desired.document.get(path).is_none() && taken_over.get(path).is_none() && !is_of_another(path);
        let stays: Document = before.leaves().iter().filter(stays).cloned().collect();
        let unmanaged = Live { meta: Meta { managed_fields: vec![], ..live.meta }, body: live.body };
        let stays = look(&unmanaged, Some(&stays));
        let stored = look(&unmanaged, Some(&desired.document));
        // Only what stays as it is: another value is none that anybody asked us to write.
        let length = |list: &[&str]| arranged.at(list).and_then(Value::as_array).map(Vec::len);
        let stays = dry_run::in_whole_lists(&stays, before, &desired.document, length);
        let stored = stored.with(stays.map(|(path, leaf)| (path.clone(), Some(leaf.clone()))));
        // References stay what they are: the live name that was sent for them is none.
        let references = desired.document.leaves().iter().filter(|(_, leaf)| matches!(leaf, Leaf::Ref(_)));
        let stored = stored.with(references.map(|(path, leaf)| (path.clone(), Some(leaf.clone()))));
        Answer::Stored(stored)
    }
}
