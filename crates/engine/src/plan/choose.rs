//! One difference becomes one change, or is held.

use crate::compare::{Difference, FieldChange};
use crate::desired::Others;
use crate::desired::owner::Ownership;
use crate::desired::resource::{ReplaceOrder, Replacement, Resource};
use crate::platform::{Gap, ObservedResource};

use super::change::{Action, Change, Fence, Reason, Seen, is_owner_app, state_digest};
use super::policy::Policy;
use super::{Held, HeldReason};

/// What was chosen for an environment, before budgets and order.
#[derive(Debug, Default)]
pub struct Choices {
    /// What will be done.
    pub changes: Vec<Change>,
    /// What will not.
    pub held: Vec<Held>,
}

impl Choices {
    /// Chooses for one difference.
    pub fn add(&mut self, difference: Difference, gaps: &[Gap], others: &Others, policy: &Policy) {
        match difference {
            Difference::Differs { desired, fields, .. } if moves_app(&fields) && others.unknown.is_some() => {
                let why = others.unknown.clone().unwrap_or_default();
                self.hold(&desired, "update", HeldReason::OthersUnknown { why });
            }
            Difference::Missing(desired) => self.missing(desired, gaps),
            Difference::Refused { desired, is_there, why } => {
                self.hold(&desired, if is_there { "update" } else { "create" }, HeldReason::Refused { why });
            }
            Difference::Taken { desired, observed } => self.taken(desired, &observed, policy),
            Difference::Differs { desired, observed, fields, anew } if desired.id == observed.id => {
                self.differs(desired, &observed, fields, anew, policy);
            }
            Difference::Differs { desired, observed, fields, anew } => self.moved(desired, &observed, fields, anew, policy),
            Difference::Undeclared(observed) => self.undeclared(&observed, others, policy),
        }
    }

    fn hold(&mut self, resource: &Resource, instead_of: &str, why: HeldReason) {
        let app = Some(resource.marks.app.clone());
        self.held.push(Held { id: resource.id.clone(), app, instead_of: instead_of.into(), why });
    }

    fn missing(&mut self, desired: Resource, gaps: &[Gap]) {
        match gaps.iter().find(|gap| gap.contains(&desired.id)) {
            Some(gap) => self.hold(&desired, "create", HeldReason::Unreadable { why: gap.why.clone() }),
            None => self.changes.push(write(desired, None, Action::Create, Reason::NotFound, vec![])),
        }
    }

    fn taken(&mut self, desired: Resource, observed: &ObservedResource, policy: &Policy) {
        let owner = match &observed.ownership {
            Ownership::Another(owner) => Some(owner.to_string()),
            Ownership::Unmarked | Ownership::Ours(_) => None,
        };
        if !policy.adopt {
            return self.hold(&desired, "create", HeldReason::NotOurs { owner });
        }
        let mut fields = crate::compare::fields(&desired.document, &observed.document);
        fields.retain(|field| !observed.said_openly.contains(&field.path));
        let replacement = replacement(&desired, observed, &fields, None);
        if replacement.is_some_and(|replacement| replacement.loses_data) && !policy.delete_data {
            return self.hold(&desired, "replace", HeldReason::HoldsData);
        }
        let action = replacement.map_or(Action::Update, Action::Replace);
        self.changes.push(write(desired, Some(observed), action, Reason::Adopted, fields));
    }

    fn differs(
        &mut self,
        desired: Resource,
        observed: &ObservedResource,
        fields: Vec<FieldChange>,
        anew: Option<Replacement>,
        policy: &Policy,
    ) {
        let live = observed.ownership.marks();
        let before = live.map(|marks| &marks.owner).filter(|owner| **owner != desired.marks.owner);
        let reason = if before.is_some() || moves_app(&fields) { Reason::Moved } else { Reason::Differs };
        let Some(replacement) = replacement(&desired, observed, &fields, anew) else {
            return self.changes.push(write(desired, Some(observed), Action::Update, reason, fields));
        };
        if observed.ownership.marks().is_some_and(|marks| marks.protect) {
            self.hold(&desired, "replace", HeldReason::Protected);
        } else if replacement.loses_data && !policy.delete_data {
            let why = match before {
                Some(owner) => HeldReason::NotTakenOver { owner: owner.to_string() },
                None => HeldReason::HoldsData,
            };
            self.hold(&desired, "replace", why);
        } else {
            self.changes.push(write(desired, Some(observed), Action::Replace(replacement), reason, fields));
        }
    }

    /// What was renamed: in place where the platform can; else made anew, and the old one goes unless it holds data.
    fn moved(
        &mut self,
        desired: Resource,
        observed: &ObservedResource,
        fields: Vec<FieldChange>,
        anew: Option<Replacement>,
        policy: &Policy,
    ) {
        if desired.shape.renames {
            return match replacement(&desired, observed, &fields, anew) {
                None => self.changes.push(write(desired, Some(observed), Action::Update, Reason::Moved, fields)),
                Some(_) => self.differs(desired, observed, fields, anew, policy),
            };
        }
        let to = desired.id.clone();
        let app = desired.marks.app.clone();
        self.changes.push(write(desired, None, Action::Create, Reason::Moved, vec![]));
        let protected = observed.ownership.marks().is_some_and(|marks| marks.protect);
        if protected || (observed.holds_data && !policy.delete_data) {
            let why = if protected { HeldReason::Protected } else { HeldReason::NotRenamed { to } };
            self.held.push(Held { id: observed.id.clone(), app: Some(app), instead_of: "rename".into(), why });
        } else {
            let removal = request(observed, Action::Delete, Reason::Moved);
            self.changes.extend(removal.map(|removal| Change { waits_for: vec![to], ..removal }));
        }
    }

    fn undeclared(&mut self, observed: &ObservedResource, others: &Others, policy: &Policy) {
        let why = match observed.ownership.marks() {
            None => return,
            Some(_) if others.declared.contains_key(&observed.id) => HeldReason::DeclaredBy { app: others.declared[&observed.id].clone() },
            Some(marks) if marks.protect => HeldReason::Protected,
            Some(_) if observed.holds_data && !policy.delete_data => HeldReason::HoldsData,
            Some(_) if others.unknown.is_some() => HeldReason::OthersUnknown { why: others.unknown.clone().unwrap_or_default() },
            Some(_) => {
                let reason = if policy.destroy { Reason::Requested } else { Reason::NoLongerDeclared };
                return self.changes.extend(request(observed, Action::Delete, reason));
            }
        };
        let app = observed.ownership.marks().map(|marks| marks.app.clone());
        self.held.push(Held { id: observed.id.clone(), app, instead_of: "delete".into(), why });
    }
}

/// Whether another app declares the object now.
fn moves_app(fields: &[FieldChange]) -> bool {
    fields.iter().any(|field| is_owner_app(&field.path))
}

/// A change that writes what is desired.
pub fn write(
    desired: Resource,
    observed: Option<&ObservedResource>,
    action: Action,
    reason: Reason,
    differences: Vec<FieldChange>,
) -> Change {
    let differences = match observed {
        Some(_) => differences,
        None => crate::compare::fields(&desired.document, &Default::default()),
    };
    let before = observed.map(|observed| Seen::by(observed, &desired.marks.owner));
    let shape = desired.shape;
    let restarts = match action {
        Action::Create => false,
        Action::Replace(_) => shape.has_health,
        _ => differences.iter().any(|change| shape.restarts.iter().any(|pattern| change.path.matches(pattern))),
    };
    Change {
        id: desired.id.clone(),
        app: desired.marks.app.clone(),
        action,
        reason,
        differences,
        restarts,
        loses_data: matches!(action, Action::Replace(Replacement { loses_data: true, .. })),
        waits_for: vec![],
        fence: Fence { before, after: None },
        desired: Some(desired),
    }
}

/// A change of something that is live and ours, without a desire; None for what is not ours.
pub fn request(observed: &ObservedResource, action: Action, reason: Reason) -> Option<Change> {
    let marks = observed.ownership.marks()?;
    Some(Change {
        id: observed.id.clone(),
        app: marks.app.clone(),
        action,
        reason,
        differences: vec![],
        restarts: action == Action::Restart,
        loses_data: action == Action::Delete && observed.holds_data,
        waits_for: vec![],
        fence: Fence { before: Some(Seen::of(observed)), after: None },
        desired: None,
    })
}

/// How the fields that differ force a replacement, if they do: the strictest of their rules, and of what the platform says.
fn replacement(desired: &Resource, observed: &ObservedResource, fields: &[FieldChange], anew: Option<Replacement>) -> Option<Replacement> {
    let rules = desired.shape.replaces.iter().filter(|(pattern, _)| fields.iter().any(|field| field.path.matches(pattern)));
    let loses_data = desired.shape.holds_data || observed.holds_data;
    rules
        .map(|(_, rule)| *rule)
        .chain(anew)
        .reduce(|a, b| Replacement {
            order: if a.order == ReplaceOrder::DeleteFirst { a.order } else { b.order },
            downtime: a.downtime || b.downtime,
            loses_data: a.loses_data || b.loses_data,
        })
        .map(|rule| Replacement { loses_data: rule.loses_data || loses_data, ..rule })
}

/// Fills in what a change leaves, when its document is final (fingerprints, digests of images).
pub fn seal(change: &mut Change) {
    let Some(desired) = &mut change.desired else { return };
    let after = state_digest(&desired.document, desired.marks.protect);
    desired.marks.specification = Some(after.to_string());
    let same = change
        .fence
        .before
        .as_ref()
        .is_some_and(|before| before.digest == after && before.id == change.id && before.owner.as_ref() == Some(&desired.marks.owner));
    change.fence.after = (!same || moves_app(&change.differences)).then_some(after);
}
