//! Deletions that are more than the user may have meant are held.

use super::change::{Action, Reason};
use super::choose::Choices;
use super::policy::Policy;
use super::{Held, HeldReason};

/// This many deletions are always allowed, however little there is.
const ALWAYS: usize = 3;
/// And this part of what is ours in the environment: 30 %.
const PART: (usize, usize) = (3, 10);

/// Holds the deletions of one environment that are over the budget, or would empty it.
///
/// `ours` counts the live resources that were read; `has_apps` says whether the manifest declares any app there.
pub fn limit(choices: &mut Choices, ours: usize, has_apps: bool, policy: &Policy) {
    if policy.allow_delete || policy.destroy {
        return;
    }
    let pruned = |change: &super::change::Change| change.action == Action::Delete && change.reason == Reason::NoLongerDeclared;
    let deletions = choices.changes.iter().filter(|change| pruned(change)).count();
    let allowed = ALWAYS.max(ours * PART.0 / PART.1);
    let why = if deletions > allowed {
        HeldReason::OverDeletionBudget { deletions, allowed }
    } else if deletions > 0 && !has_apps {
        HeldReason::LastApp
    } else {
        return;
    };
    let (held, kept) = std::mem::take(&mut choices.changes).into_iter().partition(pruned);
    choices.changes = kept;
    let held: Vec<super::change::Change> = held;
    choices.held.extend(held.into_iter().map(|change| Held {
        id: change.id,
        app: Some(change.app),
        instead_of: "delete".into(),
        why: why.clone(),
    }));
}
