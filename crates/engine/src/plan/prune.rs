//! Deletions that are more than the user may have meant, or that were decided without seeing everything, are held.

use super::change::{Action, Change, Reason};
use super::choose::Choices;
use super::policy::Policy;
use super::{Held, HeldReason};
use crate::platform::Gap;

/// This many deletions are always allowed, however little there is.
const ALWAYS: usize = 3;
/// And this part of what is ours in the environment: 30 %.
const PART: (usize, usize) = (3, 10);

/// Holds every deletion in an environment of which a part could not be read, whatever the user agreed to: what could not be
/// read may need what would be deleted, or may be the declared thing that it was taken to be no longer.
pub fn hold_unread(choices: &mut Choices, gaps: &[Gap]) {
    let Some(first) = gaps.first() else { return };
    hold(
        choices,
        |change| change.action == Action::Delete,
        |change| {
            let gap = gaps.iter().find(|gap| gap.contains(&change.id)).unwrap_or(first);
            HeldReason::Unreadable { why: gap.why.clone() }
        },
    );
}

/// Holds the deletions of one environment that are over the budget, or would empty it.
///
/// `ours` counts the live resources that were read; `has_apps` says whether the manifest declares any app there.
pub fn limit(choices: &mut Choices, ours: usize, has_apps: bool, policy: &Policy) {
    if policy.allow_delete || policy.destroy {
        return;
    }
    let pruned = |change: &Change| change.action == Action::Delete && change.reason == Reason::NoLongerDeclared;
    let deletions = choices.changes.iter().filter(|change| pruned(change)).count();
    let allowed = ALWAYS.max(ours * PART.0 / PART.1);
    let why = if deletions > allowed {
        HeldReason::OverDeletionBudget { deletions, allowed }
    } else if deletions > 0 && !has_apps {
        HeldReason::LastApp
    } else {
        return;
    };
    hold(choices, pruned, |_| why.clone());
}

fn hold(choices: &mut Choices, which: impl Fn(&Change) -> bool, why: impl Fn(&Change) -> HeldReason) {
    let held = choices.changes.extract_if(.., |change| which(change)).map(|change| {
        let why = why(&change);
        Held { id: change.id, app: Some(change.app), instead_of: "delete".into(), why }
    });
    choices.held.extend(held);
}
