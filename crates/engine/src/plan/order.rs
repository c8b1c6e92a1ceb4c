//! What follows from the changes of an environment for others, what each waits for, and the order of all.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::compare::FieldChange;
use crate::desired::document::Leaf;
use crate::desired::name::Name;
use crate::desired::resource::{Resource, ResourceId};
use crate::observe::Observed;

use super::change::{Action, Change, Reason};
use super::choose::{Choices, write};
use super::{Held, HeldReason};

/// Adds the updates of unchanged resources that refer to something made anew, or to something renamed in place: a platform
/// may have written down the name before. Those that stay unchanged are returned.
pub fn follow(choices: &mut Choices, mut unchanged: Vec<Resource>, observed: &Observed) -> Vec<Resource> {
    let anew: HashSet<ResourceId> = choices
        .changes
        .iter()
        .filter(|change| matches!(change.action, Action::Create | Action::Replace(_)))
        .map(|change| change.id.clone())
        .collect();
    let is_rename =
        |change: &&Change| matches!(change.action, Action::Update) && change.fence.before.as_ref().is_some_and(|seen| seen.id != change.id);
    let renamed: HashSet<ResourceId> = choices.changes.iter().filter(is_rename).map(|change| change.id.clone()).collect();
    let mut causes = Vec::new();
    // Nearly all of them stay, and stay where they are in memory.
    let followers = unchanged.extract_if(.., |resource| {
        let mut fields = Vec::new();
        let mut cause = None;
        for (path, leaf) in resource.document.leaves() {
            let refers_to = |ids: &HashSet<ResourceId>| leaf.text()?.attributes().map(|(of, _)| of).find(|of| ids.contains(of)).cloned();
            cause = cause.or_else(|| refers_to(&renamed));
            if let Some(of) = refers_to(&anew) {
                cause = Some(of);
                fields.push(FieldChange { path: path.clone(), old: Some(leaf.clone()), new: Some(Leaf::Unknown) });
            }
        }
        let Some((of, live)) = cause.zip(observed.resources.get(&resource.id)) else { return false };
        causes.push((of, live, fields));
        true
    });
    let followers: Vec<Resource> = followers.collect();
    for (resource, (of, live, fields)) in followers.into_iter().zip(causes) {
        choices.changes.push(write(resource, Some(live), Action::Update, Reason::Follows(of), fields));
    }
    unchanged
}

/// Holds what would be made beside something that runs and is not made, because somebody else has its name: half an app is none.
pub fn hold_halves(choices: &mut Choices, observed: &Observed) {
    let taken = choices.held.iter().filter(|held| matches!(held.why, HeldReason::NotOurs { .. }));
    let taken: HashMap<Name, ResourceId> = taken.filter_map(|held| Some((held.app.clone()?, held.id.clone()))).collect();
    let runs = |change: &&Change| change.desired.as_ref().is_some_and(|desired| desired.shape.has_health);
    let running: HashSet<Name> = choices.changes.iter().filter(runs).map(|change| change.app.clone()).collect();
    let there: HashSet<&Name> = observed.resources.values().filter_map(|live| Some(&live.ownership.marks()?.app)).collect();
    let half = |change: &mut Change| {
        change.action == Action::Create && taken.contains_key(&change.app) && !running.contains(&change.app) && !there.contains(&change.app)
    };
    let held = choices.changes.extract_if(.., half).filter_map(|change| {
        let why = HeldReason::Follows(taken.get(&change.app)?.clone());
        Some(Held { id: change.id, app: Some(change.app), instead_of: "create".into(), why })
    });
    choices.held.extend(held.collect::<Vec<_>>());
}

/// Holds what needs something that is held and not there.
pub fn hold_dependents(choices: &mut Choices, observed: &Observed) {
    let there = |id: &ResourceId| observed.resources.get(id).is_some_and(|live| live.ownership.marks().is_some());
    let mut blocked: HashSet<ResourceId> = choices.held.iter().map(|held| held.id.clone()).filter(|id| !there(id)).collect();
    loop {
        let needs = |change: &Change| change.desired.as_ref().and_then(|d| d.depends_on.iter().find(|id| blocked.contains(*id)).cloned());
        let Some((at, cause)) = choices.changes.iter().enumerate().find_map(|(at, change)| Some((at, needs(change)?))) else { return };
        let change = choices.changes.remove(at);
        if !there(&change.id) {
            blocked.insert(change.id.clone());
        }
        let instead_of = match change.action {
            Action::Create => "create",
            Action::Replace(_) => "replace",
            _ => "update",
        };
        choices.held.push(Held { id: change.id, app: Some(change.app), instead_of: instead_of.into(), why: HeldReason::Follows(cause) });
    }
}

/// Holds the deletion of what is still needed by something that stays because it is held.
pub fn hold_needed(choices: &mut Choices, observed: &Observed) {
    let mut next = 0;
    while let Some(user) = choices.held.get(next).map(|held| held.id.clone()) {
        next += 1;
        let Some(live) = observed.resources.get(&user).filter(|live| live.ownership.marks().is_some()) else { continue };
        let needed = |change: &mut Change| change.action == Action::Delete && live.depends_on.contains(&change.id);
        let held = choices.changes.extract_if(.., needed).map(|change| Held {
            id: change.id,
            app: Some(change.app),
            instead_of: "delete".into(),
            why: HeldReason::Follows(user.clone()),
        });
        choices.held.extend(held);
    }
}

/// Fills in what each change waits for: what it needs, where that changes or has health; and a deletion waits for
/// everything that still needs what it deletes.
pub fn wait(choices: &mut Choices, unchanged: &[Resource], observed: &Observed) {
    let changing: HashSet<ResourceId> = choices.changes.iter().map(|change| change.id.clone()).collect();
    let gates: HashSet<&ResourceId> = unchanged.iter().filter(|r| r.shape.has_health).map(|r| &r.id).collect();
    let mut needed_by: HashMap<ResourceId, Vec<ResourceId>> = HashMap::new();
    for change in &choices.changes {
        let before = change.fence.before.as_ref().map_or(&change.id, |seen| &seen.id);
        let Some(live) = observed.resources.get(before) else { continue };
        let serving = live.deleted_before.iter().filter(|_| change.action == Action::Delete);
        for needed in live.depends_on.iter().chain(serving) {
            needed_by.entry(needed.clone()).or_default().push(change.id.clone());
        }
    }
    let comes_first = |change: &Change| change.desired.as_ref().is_some_and(|desired| desired.shape.comes_first);
    let first: Vec<ResourceId> = choices.changes.iter().filter(|change| comes_first(change)).map(|change| change.id.clone()).collect();
    for change in &mut choices.changes {
        if comes_first(change) {
            change.waits_for.clear();
        } else if let Some(desired) = &change.desired {
            let needs = desired.depends_on.iter().filter(|id| changing.contains(*id) || gates.contains(*id));
            let first = first.iter().filter(|id| id.environment == change.id.environment);
            change.waits_for.extend(needs.chain(first).cloned());
        } else if change.action == Action::Delete {
            change.waits_for.extend(needed_by.remove(&change.id).unwrap_or_default());
        }
        change.waits_for.retain(|id| *id != change.id);
        change.waits_for.sort();
        change.waits_for.dedup();
    }
}

/// Sorts changes so that each comes after what it waits for; among equals by environment, deletions last, then by id.
pub fn sort(changes: Vec<Change>, environments: &[Name]) -> Vec<Change> {
    let place = |change: &Change| {
        let environment = environments.iter().position(|name| *name == change.id.environment).unwrap_or(usize::MAX);
        (environment, change.action == Action::Delete, change.id.clone())
    };
    let index: HashMap<ResourceId, usize> = changes.iter().enumerate().map(|(i, change)| (change.id.clone(), i)).collect();
    let mut waiting: Vec<usize> = Vec::with_capacity(changes.len());
    let mut then: Vec<Vec<usize>> = vec![Vec::new(); changes.len()];
    for (i, change) in changes.iter().enumerate() {
        let before: Vec<usize> = change.waits_for.iter().filter_map(|id| index.get(id).copied()).collect();
        waiting.push(before.len());
        before.into_iter().for_each(|b| then[b].push(i));
    }
    let mut ready: BTreeSet<_> = (0..changes.len()).filter(|i| waiting[*i] == 0).map(|i| (place(&changes[i]), i)).collect();
    let mut slots: Vec<Option<Change>> = changes.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(slots.len());
    while let Some((_, i)) = ready.pop_first() {
        out.extend(slots[i].take());
        for &next in &then[i] {
            waiting[next] -= 1;
            if let (0, Some(change)) = (waiting[next], &slots[next]) {
                ready.insert((place(change), next));
            }
        }
    }
    // A circle among live objects (the manifest's own are refused before): what is left waits for itself. Its
    // members keep their order, and wait for nothing that would come later.
    for mut change in slots.into_iter().flatten() {
        change.waits_for.retain(|id| out.iter().any(|done: &Change| done.id == *id));
        out.push(change);
    }
    out
}
