//! One change of a plan, with its cause and its fence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::FieldChange;
use crate::desired::document::{Digest, Document, Leaf};
use crate::desired::name::Name;
use crate::desired::owner::{Owner, Ownership};
use crate::desired::path::Path;
use crate::desired::resource::{Replacement, Resource, ResourceId};
use crate::platform::ObservedResource;

/// What is done to a resource. Unchanged is not an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Made.
    Create,
    /// Changed in place.
    Update,
    /// Made anew, because a field cannot be changed in place.
    Replace(Replacement),
    /// Removed.
    Delete,
    /// Its marks are removed; it is left running and is not ours any more.
    Forget,
    /// Its instances are started anew, as its roll-out says. Nothing else changes.
    Restart,
}

impl Action {
    /// What is being done, for messages: `updating dev/service/shop-web`.
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Create => "creating",
            Self::Update => "updating",
            Self::Replace(_) => "replacing",
            Self::Delete => "deleting",
            Self::Forget => "forgetting",
            Self::Restart => "restarting",
        }
    }
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is declared and not there.
    NotFound,
    /// Fields differ (`differences` has them).
    Differs,
    /// It was renamed, or the environment that it is in was, or another app declares it now.
    Moved,
    /// It is there, is not ours, and the user agreed to take it over.
    Adopted,
    /// It is ours and not declared any more.
    NoLongerDeclared,
    /// Another resource that it refers to changes its identity or its address.
    Follows(ResourceId),
    /// It has other content than what it takes the place of, and so another name.
    Succeeds {
        /// What it takes the place of.
        before: ResourceId,
        /// What refers to it,
        user: ResourceId,
        /// and in which field.
        #[schemars(with = "String")]
        path: Path,
    },
    /// Another resource takes its place.
    SucceededBy(ResourceId),
    /// The user asked for it.
    Requested,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Which resource, under the name that it has afterwards.
    pub id: ResourceId,
    /// The app that it belongs to.
    pub app: Name,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// The fields that differ, sorted by path. A creation lists what it sets, a deletion nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<FieldChange>,
    /// Whether it restarts what runs.
    #[serde(default)]
    pub restarts: bool,
    /// Whether data goes with what it deletes or replaces.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loses_data: bool,
    /// What must be done, and healthy where it has health, before it. Includes resources that do not change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<ResourceId>,
    /// What the live object must be for it to be written.
    pub fence: Fence,
    /// What should be; none for deletions and requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Resource>,
}

/// What the live object must be: a change is written only over what the plan was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fence {
    /// What the plan saw; none where nothing was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Seen>,
    /// The digest of what it leaves; none where it leaves nothing, or nothing that a digest would tell from what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
}

/// What a plan saw of a live object. It holds no version counter: status writes move those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Under which name: another than the change's own where it is a rename.
    pub id: ResourceId,
    /// Whose it was; none where it carried no mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Which app's it was; none where it was not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<Name>,
    /// Its platform's identity, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The digest of its normal form.
    pub digest: Digest,
}

/// What a fence says of a live object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is what the plan saw: write.
    Proceed,
    /// It is already what the change leaves: success, nothing to write.
    AlreadyDone,
    /// It is something else: nothing is written.
    Stale(String),
}

/// The digest that fences compare: the document, and whether it is protected.
pub fn state_digest(document: &Document, protect: bool) -> Digest {
    let protect = protect.then(|| (Path::new([PROTECT]), Some(Leaf::Bool(true))));
    match protect {
        Some(change) => document.with([change]).digest(),
        None => document.digest(),
    }
}

/// The field that says whose an object is, where that is not the owner that it should have: its environment was renamed. A
/// kind whose marks are fixed for its life has a rule for it among its [`replaces`](crate::desired::resource::Shape::replaces).
pub const OWNER: &str = "owner";
/// The field below it that says which app's an object is, where another app declares it now. A kind with a rule for [`OWNER`]
/// keeps its app for life, and the two are not compared.
pub const OWNER_APP: &str = "app";
/// The field that says whether an object is protected.
pub const PROTECT: &str = "protect";

impl Seen {
    /// What an owner sees of a live object that the plan read as its own, and that may still carry another owner's mark.
    pub fn by(observed: &ObservedResource, owner: &Owner) -> Self {
        let seen = Self::of(observed);
        match &seen.owner {
            // What another owner protects is not seen by us, neither now nor when the change is written.
            Some(other) if other != owner => Self { digest: state_digest(&observed.document, false), ..seen },
            _ => seen,
        }
    }

    /// What a plan remembers of a live object.
    pub fn of(observed: &ObservedResource) -> Self {
        let (owner, app, protect) = match &observed.ownership {
            Ownership::Ours(marks) => (Some(marks.owner.clone()), Some(marks.app.clone()), marks.protect),
            Ownership::Another(owner) => (Some(owner.clone()), None, false),
            Ownership::Unmarked => (None, None, false),
        };
        let digest = state_digest(&observed.document, protect);
        Self { id: observed.id.clone(), owner, app, uid: observed.uid.clone(), digest }
    }
}

impl Change {
    /// On whose behalf it is written: what carries this owner's mark is `Ours` where the change is judged.
    pub fn owner(&self) -> Option<&Owner> {
        let desired = self.desired.as_ref().map(|desired| &desired.marks.owner);
        desired.or_else(|| self.fence.before.as_ref().and_then(|seen| seen.owner.as_ref()))
    }

    /// Whether it may be written over what is found: ours; what the user agreed to take over; and what our project's
    /// environment holds under its earlier name, if that is what the plan saw.
    pub fn may_write_over(&self, found: &Ownership) -> bool {
        let seen = self.fence.before.as_ref().and_then(|seen| seen.owner.as_ref());
        match (found, &self.reason) {
            (Ownership::Ours(_), _) | (_, Reason::Adopted) => true,
            (Ownership::Another(other), Reason::Moved) => {
                seen == Some(other) && self.owner().is_some_and(|ours| ours.project == other.project)
            }
            (Ownership::Another(_) | Ownership::Unmarked, _) => false,
        }
    }

    /// Judges a change by what is live now: under its own name (`live`), and, for a rename, under the name before
    /// (`before`; the same object as `live` where it is no rename).
    ///
    /// This is the only place that decides whether a change is written.
    pub fn judge(&self, live: Option<&ObservedResource>, before: Option<&ObservedResource>) -> Verdict {
        let us = self.desired.as_ref().map(|d| &d.marks);
        let ours = |seen: &Seen| match us {
            Some(us) => seen.owner.as_ref() == Some(&us.owner) && (seen.app.as_ref() == Some(&us.app) || !self.moves_app()),
            None => true,
        };
        let now = live.map(Seen::of);
        let written = now.as_ref().is_some_and(|now| Some(&now.digest) == self.fence.after.as_ref() && ours(now));
        match (self.action, &now, &self.fence.before) {
            (Action::Delete, None, _) => return Verdict::AlreadyDone,
            (Action::Forget, Some(now), Some(seen)) if now.owner.is_none() && now.uid == seen.uid => return Verdict::AlreadyDone,
            (Action::Create | Action::Update | Action::Replace(_), Some(_), _) if written => return Verdict::AlreadyDone,
            _ => {}
        }
        match (before.map(Seen::of), &self.fence.before) {
            (None, None) if live.is_none() => Verdict::Proceed,
            (None, Some(_)) if matches!(self.action, Action::Replace(_)) && live.is_none() => Verdict::Proceed,
            (None, Some(_)) => Verdict::Stale("it is gone since the plan was made".into()),
            (_, None) => Verdict::Stale("something is there since the plan was made".into()),
            (Some(now), Some(seen)) => match stale_reason(&now, seen) {
                None => Verdict::Proceed,
                Some(why) => Verdict::Stale(why + &before.map(|live| self.moved_fields(live)).unwrap_or_default()),
            },
        }
    }

    /// Whether another app declares the object now, and its label is to say so.
    pub fn moves_app(&self) -> bool {
        self.differences.iter().any(|field| is_owner_app(&field.path))
    }

    /// Which fields are not as the plan saw them, for people: what was desired, less the differences, is what it saw.
    fn moved_fields(&self, live: &ObservedResource) -> String {
        let Some(desired) = &self.desired else { return String::new() };
        let old = self.differences.iter().map(|difference| (difference.path.clone(), difference.old.clone()));
        let seen = desired.document.with(old);
        let mut moved = crate::compare::fields(&seen, &live.document);
        moved.retain(|field| !is_mark(&field.path));
        let value = |leaf: &Option<Leaf>| leaf.as_ref().map_or("nothing".to_owned(), Leaf::to_string);
        let named = |field: &FieldChange| format!("{} was {} and is {}", field.path, value(&field.new), value(&field.old));
        let named: Vec<String> = moved.iter().take(NAMED).map(named).collect();
        let more = moved.len().saturating_sub(NAMED);
        match (named.is_empty(), more) {
            (true, _) => String::new(),
            (false, 0) => format!(": {}", named.join(", ")),
            (false, more) => format!(": {}, and {more} more", named.join(", ")),
        }
    }
}

/// Whether a field is no leaf of a document, but a mark that is compared like one.
pub fn is_mark(path: &Path) -> bool {
    let mut segments = path.segments();
    matches!((segments.next(), segments.next()), (Some(OWNER | PROTECT), None)) || is_owner_app(path)
}

/// Whether a field is the app that declares an object.
pub fn is_owner_app(path: &Path) -> bool {
    path.segments().eq([OWNER, OWNER_APP])
}

/// So many fields that moved are named.
const NAMED: usize = 3;

fn stale_reason(now: &Seen, seen: &Seen) -> Option<String> {
    let Seen { id: _, owner, app, uid, digest } = now;
    let owner_text = |owner: &Option<Owner>| owner.as_ref().map_or("nobody".to_owned(), Owner::to_string);
    if *owner != seen.owner {
        return Some(format!("it belonged to {} and belongs to {} now", owner_text(&seen.owner), owner_text(owner)));
    }
    if let (Some(app), Some(before)) = (app, &seen.app)
        && app != before
    {
        return Some(format!("it belonged to the app {before} and belongs to the app {app} now"));
    }
    if *uid != seen.uid {
        return Some("it was made anew since the plan was made".into());
    }
    (*digest != seen.digest).then(|| "it was changed since the plan was made".into())
}
