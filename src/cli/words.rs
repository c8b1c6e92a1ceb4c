//! The words that plans and reports share, so that text and markdown say the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use stratos_engine::apply::Applied;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::resource::{ReplaceOrder, Replacement, ResourceId};
use stratos_engine::health::RolloutState;
use stratos_engine::plan::change::{Action, Change, Reason, Seen};
use stratos_engine::plan::{Coverage, Held, HeldReason, Plan};
use stratos_engine::platform::Gap;

/// The sign of an action: what a diff would show.
pub fn sign(action: Action) -> &'static str {
    match action {
        Action::Create => "+",
        Action::Update => "~",
        Action::Replace(Replacement { order: ReplaceOrder::DeleteFirst, .. }) => "-/+",
        Action::Replace(Replacement { order: ReplaceOrder::CreateFirst, .. }) => "+/-",
        Action::Delete => "-",
        Action::Forget => "x",
        Action::Restart => "^",
    }
}

/// What will be done, and what it costs whoever is served.
pub fn intent(change: &Change) -> String {
    let restarts = if change.restarts { ", restarts it" } else { "" };
    match change.action {
        Action::Create => "create".into(),
        Action::Update => format!("update in place{restarts}"),
        Action::Replace(replacement) => format!("replace ({})", replacement_words(replacement)),
        Action::Delete if change.loses_data => "delete, its data is LOST".into(),
        Action::Delete => "delete".into(),
        Action::Forget => "forget: it keeps running and is not ours any more".into(),
        Action::Restart => "restart".into(),
    }
}

fn replacement_words(replacement: Replacement) -> String {
    let Replacement { order, downtime, loses_data } = replacement;
    let order = match order {
        ReplaceOrder::CreateFirst => "the new one first",
        ReplaceOrder::DeleteFirst => "the old one goes first",
    };
    let downtime = if downtime { ", with downtime" } else { "" };
    let data = if loses_data { ", its data is LOST" } else { "" };
    format!("{order}{downtime}{data}")
}

/// What is being done, for progress.
pub fn doing(action: Action) -> &'static str {
    match action {
        Action::Create => "creating",
        Action::Update => "updating",
        Action::Replace(_) => "replacing",
        Action::Delete => "deleting",
        Action::Forget => "forgetting",
        Action::Restart => "restarting",
    }
}

/// What was done.
pub fn done(action: Action) -> &'static str {
    match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Replace(_) => "replaced",
        Action::Delete => "deleted",
        Action::Forget => "forgotten",
        Action::Restart => "restarted",
    }
}

/// Why a change is planned. Empty where the intent says it already.
pub fn reason(change: &Change) -> String {
    let from = change.fence.before.as_ref();
    match &change.reason {
        Reason::NotFound => "it is not there yet".into(),
        Reason::Differs => match change.differences.len() {
            1 => "1 field differs".into(),
            n => format!("{n} fields differ"),
        },
        Reason::Moved => match from {
            Some(Seen { app: Some(app), .. }) if change.moves_app() => {
                format!("it was the app {app}'s, and {} declares it now", change.app)
            }
            Some(seen) if seen.id != change.id => format!("renamed from {}", short(&seen.id, &change.id.environment)),
            Some(Seen { owner: Some(owner), .. }) if owner.environment != change.id.environment => {
                format!("it was in environment {}, which was renamed", owner.environment)
            }
            _ => not_renamed(change),
        },
        Reason::Adopted => match from.and_then(|seen| seen.owner.as_ref()) {
            Some(owner) => format!("taken over from {owner} (--adopt)"),
            None => "taken over: it is not ours so far (--adopt)".into(),
        },
        Reason::NoLongerDeclared => "no longer declared".into(),
        Reason::Succeeds { before, user, path: _ } => {
            let environment = &change.id.environment;
            format!("takes the place of {} in {}", short(before, environment), short(user, environment))
        }
        Reason::SucceededBy(id) => format!("{} takes its place", short(id, &change.id.environment)),
        Reason::Follows(id) => format!("follows the change of {}", short(id, &change.id.environment)),
        Reason::Requested => "asked for".into(),
    }
}

/// Why there is a change of something that was renamed where the platform cannot rename it.
fn not_renamed(change: &Change) -> String {
    match change.desired.as_ref().and_then(|desired| desired.moved_from.as_deref()) {
        Some(old) => format!("takes the place of {}, which cannot be renamed here", short(old, &change.id.environment)),
        None => "cannot be renamed here: what has the new name takes its place".into(),
    }
}

/// Why something is held, and how to allow it.
pub fn held_reason(held: &Held) -> String {
    match &held.why {
        HeldReason::NotOurs { owner: Some(owner) } => format!("the name is taken by something of {owner}; `--adopt` takes it over"),
        HeldReason::NotOurs { owner: None } => "the name is taken by something that is not ours; `--adopt` takes it over".into(),
        HeldReason::Protected => "it is protected; apply it with `protect = false` first".into(),
        HeldReason::Unreadable { why } if held.instead_of == "delete" => {
            format!("a part of its environment could not be read, and nothing is deleted there meanwhile: {}", printable(why))
        }
        HeldReason::Unreadable { why } => format!("what is there could not be read: {}", printable(why)),
        HeldReason::OverDeletionBudget { deletions, allowed } => {
            format!("{deletions} deletions are more than the {allowed} that pass unasked; `--allow-delete` allows them")
        }
        HeldReason::LastApp => "it is the last app of its environment; `--allow-delete` allows it".into(),
        HeldReason::HoldsData => "it holds data; `--delete-data` deletes it".into(),
        HeldReason::Conflict { why } => printable(why).into_owned(),
        HeldReason::Refused { why } => format!("the platform would refuse it: {}", printable(why)),
        HeldReason::DeclaredBy { app } => {
            format!("the app {app} declares it now: `--app {app}`, or a run for all apps, makes it that app's")
        }
        HeldReason::OthersUnknown { why } => {
            format!("it is not known what the apps declare that `--app` leaves out, and it may be theirs: {}", printable(why))
        }
        HeldReason::Follows(id) => format!("it waits for {}, which is held", short(id, &held.id.environment)),
        HeldReason::NotTakenOver { owner } => format!(
            "it belongs to {owner}, and its owner cannot be changed here: it stays as it is, and its data in it, for as long as \
             the `[[moved]]` entry stands; `--delete-data` makes it anew and empty"
        ),
        HeldReason::NotRenamed { to } => {
            let to = short(to, &held.id.environment);
            format!("it cannot be renamed here: {to} is made anew and empty, and the data stays in this one; `--delete-data` deletes it")
        }
    }
}

/// How a roll-out stands. None where there is nothing to say.
pub fn rollout(state: &RolloutState) -> Option<String> {
    match state {
        RolloutState::Done => None,
        RolloutState::Running => Some("a roll-out is running".into()),
        RolloutState::RolledBack { why } => Some(format!("the last roll-out failed and was rolled back: {}", printable(why))),
        RolloutState::Paused { why } => Some(format!("the last roll-out failed and was left as it is: {}", printable(why))),
    }
}

/// What could not be read, and why.
pub fn gap(gap: &Gap) -> String {
    let what = match (&gap.kind, &gap.name) {
        (Some(kind), Some(name)) => format!("{}/{kind}/{name}", gap.environment),
        (Some(kind), None) => format!("every {kind} of {}", gap.environment),
        (None, _) => format!("the environment {}", gap.environment),
    };
    format!("not read: {what}: {}", printable(&gap.why))
}

/// What a plan's reader should know about what was not looked at: sentences.
pub fn coverage_notes(coverage: &Coverage) -> Vec<String> {
    let Coverage { unchanged: _, observed: _, requests: _, gaps, unverified_secrets, left_out, degraded } = coverage;
    let mut notes = Vec::new();
    notes.extend(gaps.iter().map(gap));
    if !unverified_secrets.is_empty() {
        let names = unverified_secrets.join(", ");
        notes.push(format!("these secrets have no value here, so what holds them was not verified, and apply will refuse: {names}"));
    }
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(Name::as_str).collect();
        notes.push(format!("left out by `--app`, although a planned app depends on them: {}", names.join(", ")));
    }
    notes.extend(degraded.iter().map(|sentence| printable(sentence).into_owned()));
    notes
}

/// How many changes of each kind a plan has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub create: usize,
    pub update: usize,
    pub replace: usize,
    pub delete: usize,
    pub restart: usize,
    pub forget: usize,
    /// Held since the platform would refuse it.
    pub refused: usize,
    /// Held for another reason.
    pub held: usize,
}

impl Counts {
    /// Counts a plan's changes.
    pub fn of(plan: &Plan) -> Self {
        let refused = plan.refused();
        let mut counts = Self { refused, held: plan.held.len() - refused, ..Self::default() };
        for change in &plan.changes {
            *match change.action {
                Action::Create => &mut counts.create,
                Action::Update => &mut counts.update,
                Action::Replace(_) => &mut counts.replace,
                Action::Delete => &mut counts.delete,
                Action::Restart => &mut counts.restart,
                Action::Forget => &mut counts.forget,
            } += 1;
        }
        counts
    }
}

/// `2 to create, 1 to update, 0 to replace, 0 to delete, 1 held`.
impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { create, update, replace, delete, restart, forget, refused: _, held: _ } = self;
        let asked = restart + forget > 0;
        if !asked || create + update + replace + delete > 0 {
            write!(f, "{create} to create, {update} to update, {replace} to replace, {delete} to delete")?;
            if asked {
                f.write_str(", ")?;
            }
        }
        match (restart, forget) {
            (0, 0) => {}
            (restart, 0) => write!(f, "{restart} to restart")?,
            (0, forget) => write!(f, "{forget} to forget")?,
            (restart, forget) => write!(f, "{restart} to restart, {forget} to forget")?,
        }
        f.write_str(&self.not_done())
    }
}

impl Counts {
    /// The changes that are not done, for a sum: `, 1 refused by the platform, 2 held`.
    pub fn not_done(&self) -> String {
        let counted = |count: usize, word: &str| if count > 0 { format!(", {count} {word}") } else { String::new() };
        counted(self.refused, "refused by the platform") + &counted(self.held, "held")
    }
}

/// The last line of a plan.
pub fn plan_summary(plan: &Plan, took: Option<Duration>) -> String {
    let effort = took.map_or_else(String::new, |took| format!(" {}.", effort(plan.coverage.requests, took)));
    let verified = if plan.coverage.unverified_secrets.is_empty() { "" } else { ", as far as that was verified" };
    let unchanged = match plan.coverage.unchanged {
        0 => String::new(),
        1 => format!(" 1 resource is as it should be{verified}."),
        n => format!(" {n} resources are as they should be{verified}."),
    };
    let counts = Counts::of(plan);
    match plan.changes.is_empty() {
        true => format!("No changes{}.{unchanged}{effort}", counts.not_done()),
        false => format!("Plan: {counts}.{effort}"),
    }
}

/// `3 requests in 12 ms`.
pub fn effort(requests: u64, took: Duration) -> String {
    let requests = if requests == 1 { "1 request".to_owned() } else { format!("{requests} requests") };
    format!("{requests} in {}", duration(took))
}

/// A length of time for people: `12 ms`, `3.4 s`, `2 min 5 s`.
pub fn duration(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{:.1} s", took.as_secs_f64()),
        _ => format!("{} min {} s", took.as_secs() / 60, took.as_secs() % 60),
    }
}

/// An id without the environment that its reader knows already.
pub fn short<'a>(id: &'a ResourceId, environment: &Name) -> Cow<'a, str> {
    if id.environment != *environment {
        return Cow::Owned(id.to_string());
    }
    match &id.namespace {
        Some(namespace) => Cow::Owned(format!("{}/{namespace}/{}", id.kind, id.name)),
        None => Cow::Owned(format!("{}/{}", id.kind, id.name)),
    }
}

/// An environment as the heading of its changes: its platform, and which environments of the plan come before it.
pub fn environment_heading(plan: &Plan, name: &Name) -> String {
    let Some(settings) = plan.based_on.environments.get(name) else { return "?".into() };
    let before: Vec<&str> = settings.after.iter().filter(|name| plan.based_on.environments.contains_key(*name)).map(Name::as_str).collect();
    match before.as_slice() {
        [] => settings.platform.to_string(),
        before => format!("{}, after {}", settings.platform, before.join(", ")),
    }
}

/// The environments of a plan's changes in the order of the plan, each with its changes in their order.
pub fn by_environment(plan: &Plan) -> Vec<(&Name, Vec<&Change>)> {
    let mut groups: BTreeMap<usize, (&Name, Vec<&Change>)> = BTreeMap::new();
    for change in &plan.changes {
        let position = plan.based_on.environments.get_index_of(&change.id.environment).unwrap_or(usize::MAX);
        groups.entry(position).or_insert_with(|| (&change.id.environment, Vec::new())).1.push(change);
    }
    groups.into_values().collect()
}

/// The endpoints of everything that has some, each once.
pub fn endpoints(applied: &Applied) -> Vec<(String, &str)> {
    let mut out: Vec<(String, &str)> = Vec::new();
    for resource in &applied.health {
        for endpoint in &resource.health.endpoints {
            let of = format!("{}/{}", resource.id.environment, resource.app);
            if !out.iter().any(|(seen, address)| *seen == of && address == endpoint) {
                out.push((of, endpoint));
            }
        }
    }
    out
}

/// Text from elsewhere without what could move the cursor or change colours.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() && c != '\t') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_for_people() {
        for (millis, text) in [(0, "0 ms"), (999, "999 ms"), (1_000, "1.0 s"), (59_900, "59.9 s"), (125_000, "2 min 5 s")] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\tc"), "a\\u{1b}[31mb\tc");
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }
}
