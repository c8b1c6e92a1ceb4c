//! Deletions that are more than the user may have meant, or that were decided without seeing everything, are held.

use std::collections::BTreeMap;

use super::change::{Action, Change, Reason};
use super::choose::Choices;
use super::policy::Policy;
use super::{Held, HeldReason};
use crate::desired::name::Name;
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
/// `ours` has the app of each live resource that was read; `has_apps` says whether the manifest declares any app there. An app
/// that goes as a whole is one deletion, of however many resources a platform makes it; what goes of the others is counted by
/// the resource.
pub fn limit(choices: &mut Choices, ours: &[Name], has_apps: bool, policy: &Policy) {
    if policy.allow_delete || policy.destroy {
        return;
    }
    let pruned = |change: &Change| change.action == Action::Delete && change.reason == Reason::NoLongerDeclared;
    let there = count(ours.iter());
    let going = count(choices.changes.iter().filter(|change| pruned(change)).map(|change| &change.app));
    let (whole, part): (Vec<_>, Vec<_>) = going.iter().partition(|(app, going)| there.get(*app).is_none_or(|there| there == *going));
    let resources_left: usize =
        there.iter().filter(|(app, _)| !whole.iter().any(|(gone, _)| **gone == **app)).map(|(_, count)| count).sum();
    let over = |deletions: usize, of: usize| {
        let allowed = ALWAYS.max(of * PART.0 / PART.1);
        (deletions > allowed).then_some(HeldReason::OverDeletionBudget { deletions, allowed })
    };
    let of_parts = || over(part.iter().map(|(_, count)| **count).sum(), resources_left);
    let last = || (!going.is_empty() && !has_apps).then_some(HeldReason::LastApp);
    if let Some(why) = over(whole.len(), there.len()).or_else(of_parts).or_else(last) {
        hold(choices, pruned, |_| why.clone());
    }
}

fn count<'a>(apps: impl Iterator<Item = &'a Name>) -> BTreeMap<&'a Name, usize> {
    let mut out = BTreeMap::new();
    apps.for_each(|app| *out.entry(app).or_default() += 1);
    out
}

fn hold(choices: &mut Choices, which: impl Fn(&Change) -> bool, why: impl Fn(&Change) -> HeldReason) {
    let held = choices.changes.extract_if(.., |change| which(change)).map(|change| {
        let why = why(&change);
        Held { id: change.id, app: Some(change.app), instead_of: "delete".into(), why }
    });
    choices.held.extend(held);
}
