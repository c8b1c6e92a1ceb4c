//! What takes the place of what: where content cannot be changed, other content is another object of another name.
//!
//! Nothing has to say so: when a field refers to a new object where it referred to one of the same kind that goes, the one
//! succeeds the other.

use std::collections::HashMap;

use super::change::{Action, Change, Reason};
use super::choose::Choices;
use crate::compare::FieldChange;
use crate::desired::document::Leaf;
use crate::desired::path::Path;
use crate::desired::resource::ResourceId;
use crate::desired::text::Segment;
use crate::observe::Observed;

/// Gives such pairs of a creation and a deletion their reasons, and the creation the fields in which its content differs. A
/// deletion whose place is taken is none that the user has to be asked about.
pub fn find(choices: &mut Choices, observed: &Observed) {
    let of = |action: Action, reason: Reason| {
        let matching = choices.changes.iter().enumerate().filter(move |(_, change)| change.action == action && change.reason == reason);
        matching.map(|(i, change)| (change.id.clone(), i)).collect::<HashMap<ResourceId, usize>>()
    };
    let mut created = of(Action::Create, Reason::NotFound);
    let mut deleted = of(Action::Delete, Reason::NoLongerDeclared);
    let mut found = Vec::new();
    for user in &choices.changes {
        for (path, before, after) in user.differences.iter().filter_map(exchange) {
            if let (Some(new), Some(old)) = (created.get(after).copied(), deleted.get(before).copied()) {
                created.remove(after);
                deleted.remove(before);
                found.push((new, old, user.id.clone(), path.clone()));
            }
        }
    }
    for (created, deleted, user, path) in found {
        let before = choices.changes[deleted].id.clone();
        succeed(&mut choices.changes[created], &before, observed, (user, path));
        choices.changes[deleted].reason = Reason::SucceededBy(choices.changes[created].id.clone());
    }
}

fn succeed(change: &mut Change, before: &ResourceId, observed: &Observed, (user, path): (ResourceId, Path)) {
    let contents = change.desired.as_ref().zip(observed.resources.get(before));
    if let Some((desired, live)) = contents {
        change.differences = crate::compare::fields(&desired.document, &live.document);
    }
    change.reason = Reason::Succeeds { before: before.clone(), user, path };
}

/// A field that refers to another object of the same kind than before, by the same attribute.
fn exchange(field: &FieldChange) -> Option<(&Path, &ResourceId, &ResourceId)> {
    let ((before, by), (after, also_by)) = (referred(field.old.as_ref()?)?, referred(field.new.as_ref()?)?);
    (before.kind == after.kind && before != after && by == also_by).then_some((&field.path, before, after))
}

/// The one object that a leaf is a reference to.
fn referred(leaf: &Leaf) -> Option<(&ResourceId, &str)> {
    match leaf {
        Leaf::Ref(text) => match text.segments() {
            [Segment::Attribute { of, name }] => Some((of, name)),
            _ => None,
        },
        _ => None,
    }
}
