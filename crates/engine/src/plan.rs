//! Stage 6: differences become a plan. Pure: all choices are made here, and none when it is carried out.

pub mod change;
mod choose;
mod order;
pub mod policy;
mod prune;
mod succeed;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::Differences;
use crate::desired::Others;
use crate::desired::name::Name;
use crate::desired::quantity::Duration;
use crate::desired::resource::{Resource, ResourceId};
use crate::health::RolloutState;
use crate::manifest::schema::{Environment, Project};
use crate::observe::Observed;
use crate::plan::policy::Policy;
use crate::platform::Gap;
use crate::platform::ObservedResource;
use crate::render::secret::{Fingerprint, SecretSource};
use change::{Change, Reason};

/// Everything that will be done, why, and what was left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The version of this format: 1.
    pub format: u32,
    /// What it was made from.
    pub based_on: BasedOn,
    /// What will be done. Each change comes after what it waits for.
    pub changes: Vec<Change>,
    /// What was not planned, and why.
    #[serde(default)]
    pub held: Vec<Held>,
    /// What was read, and what was not looked at.
    pub coverage: Coverage,
    /// Roll-outs that are running or have failed.
    #[serde(default)]
    pub rollouts: Vec<Rollout>,
    /// Everything declared that has health: it is judged by `apply`, also where nothing changes.
    #[serde(default)]
    pub judged: Vec<Judged>,
}

/// A declared resource whose health is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// Which.
    pub id: ResourceId,
    /// Its app.
    pub app: Name,
    /// How long it may take to get healthy.
    pub timeout: Duration,
    /// An object that depends on this one cannot be written before this one is healthy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub precedes_writes: bool,
}

/// What a plan was made from: everything that is needed to carry it out, but for the values of secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BasedOn {
    /// The project.
    pub project: Project,
    /// The manifest's commit, where it is in a repository.
    #[serde(default)]
    pub revision: Option<String>,
    /// The environments in scope, in the order in which they are applied.
    pub environments: IndexMap<Name, Environment>,
    /// Where the values of the secrets come from.
    #[serde(default)]
    pub secrets: IndexMap<String, SecretSource>,
    /// The fingerprint of each text that holds secrets and is in a change: it must still be the same on apply.
    #[serde(default)]
    pub fingerprints: Vec<Fingerprint>,
    /// Everything of ours is to be removed.
    #[serde(default)]
    pub destroy: bool,
    /// Only these apps were planned; all where it is empty.
    #[serde(default)]
    pub apps: Vec<Name>,
    /// What environments were called before: what they held then was planned as theirs.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub renamed: IndexMap<Name, Name>,
}

/// Something that was not planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// Which resource.
    pub id: ResourceId,
    /// The app that it belongs to, where it is ours.
    #[serde(default)]
    pub app: Option<Name>,
    /// What would have been done: `create`, `update`, `replace`, `delete`.
    pub instead_of: String,
    /// Why it is not.
    pub why: HeldReason,
}

/// Why something was not planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldReason {
    /// The name is taken by something that is not ours.
    NotOurs {
        /// Whose it is, where it says so.
        #[serde(default)]
        owner: Option<String>,
    },
    /// It is protected.
    Protected,
    /// What is there could not be read; for a deletion: anything in its environment could not, which may still need it.
    Unreadable {
        /// Why not.
        why: String,
    },
    /// More would be deleted than is allowed without `--allow-delete`.
    OverDeletionBudget {
        /// How many deletions there are.
        deletions: usize,
        /// How many are allowed.
        allowed: usize,
    },
    /// It would empty the environment.
    LastApp,
    /// It holds data, which only `--delete-data` removes.
    HoldsData,
    /// The platform would refuse it, as its dry run says.
    Refused {
        /// What it said.
        why: String,
    },
    /// Another app, which is not planned, declares it now.
    DeclaredBy {
        /// Which app.
        app: Name,
    },
    /// It is not known what the apps that are not planned declare: it may be one of theirs.
    OthersUnknown {
        /// Why not.
        why: String,
    },
    /// Somebody else has set fields of it to other values.
    Conflict {
        /// Who, and which fields.
        why: String,
    },
    /// It waits for something that is held.
    Follows(ResourceId),
    /// It is marked for the environment's earlier name, its mark cannot be changed, and it holds data.
    NotTakenOver {
        /// Whose it stays.
        owner: String,
    },
    /// The platform cannot rename it, and its data does not move by itself.
    NotRenamed {
        /// What it is called now; made anew, and empty.
        to: ResourceId,
    },
}

/// What was read, and what was not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Declared resources that are as they should be.
    pub unchanged: usize,
    /// Live resources of ours that were read.
    pub observed: usize,
    /// Requests sent to the platforms.
    pub requests: u64,
    /// What could not be read.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Secrets whose values were not available: resources that hold them are not verified.
    #[serde(default)]
    pub unverified_secrets: Vec<String>,
    /// Apps that were left out by `--app` although a planned one depends on them.
    #[serde(default)]
    pub left_out: Vec<Name>,
    /// What falls short of a whole plan: fields that a platform leaves out or does in its own way, what was not pinned, changes
    /// that the platform could not be asked about before they are made. Sentences.
    #[serde(default)]
    pub degraded: Vec<String>,
}

/// A roll-out that is running or has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rollout {
    /// Of which resource.
    pub id: ResourceId,
    /// How it stands.
    pub state: RolloutState,
}

impl Held {
    /// Whether the platform would refuse it.
    pub fn is_refused(&self) -> bool {
        matches!(self.why, HeldReason::Refused { .. })
    }
}

impl Plan {
    /// Whether carrying it out would change nothing. What is held is no change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many changes the platform would refuse, by its dry run: each is a mistake of the manifest, and no success.
    pub fn refused(&self) -> usize {
        self.held.iter().filter(|held| held.is_refused()).count()
    }

    /// Whether something that was asked for is not in it because what is there could not be read. Carried out, it is no
    /// success. What could not be read and concerns nothing declared is only told: the manifest is fulfilled without it.
    pub fn is_blind(&self) -> bool {
        let unread = |held: &Held| matches!(held.why, HeldReason::Unreadable { .. } | HeldReason::OthersUnknown { .. });
        let asked_of_what_is_live = self.based_on.destroy || self.changes.iter().any(|change| change.reason == Reason::Requested);
        self.held.iter().any(unread) || (asked_of_what_is_live && !self.coverage.gaps.is_empty())
    }
}

/// What was compared in one environment.
pub struct Compared {
    /// The result of the comparison.
    pub differences: Differences,
    /// What the environment really holds.
    pub observed: Observed,
    /// Whether the manifest declares any app there.
    pub has_apps: bool,
    /// Resources that the platform would refuse because somebody else has set fields of them.
    pub conflicts: BTreeSet<ResourceId>,
    /// The resources that apps outside of this plan declare.
    pub others: Others,
}

/// What was chosen in one environment.
#[derive(Debug, Default)]
pub struct Chosen {
    /// What will be done, each with what it waits for, in no order yet.
    pub changes: Vec<Change>,
    /// What will not be done.
    pub held: Vec<Held>,
    /// Declared resources that stay as they are.
    pub unchanged: Vec<Resource>,
}

/// Chooses what is done in one environment. Pure.
pub fn choose(compared: Compared, policy: &Policy) -> (Chosen, Observed) {
    let Compared { differences: Differences { differences, unchanged, .. }, observed, has_apps, conflicts, others } = compared;
    let mut choices = choose::Choices::default();
    for difference in differences {
        choices.add(difference, &observed.gaps, &others, policy);
    }
    for held in choices.held.iter_mut().filter(|held| conflicts.contains(&held.id)) {
        if let HeldReason::Refused { why } = &mut held.why {
            held.why = HeldReason::Conflict { why: std::mem::take(why) };
        }
    }
    let ours: Vec<Name> = observed.resources.values().filter_map(|live| Some(live.ownership.marks()?.app.clone())).collect();
    succeed::find(&mut choices, &observed);
    prune::hold_unread(&mut choices, &observed.gaps);
    prune::limit(&mut choices, &ours, has_apps, policy);
    order::hold_halves(&mut choices, &observed);
    order::hold_dependents(&mut choices, &observed);
    order::hold_needed(&mut choices, &observed);
    let unchanged = order::follow(&mut choices, unchanged, &observed);
    order::wait(&mut choices, &unchanged, &observed);
    (Chosen { changes: choices.changes, held: choices.held, unchanged }, observed)
}

/// Puts the changes of all environments in order, and fills in what each leaves. To be called when their documents are final.
pub fn finish(mut changes: Vec<Change>, environments: &[Name]) -> Vec<Change> {
    changes.iter_mut().for_each(choose::seal);
    order::sort(changes, environments)
}

/// A change that the user asked for beside the manifest; None for what is not ours.
pub fn request(observed: &ObservedResource, action: change::Action) -> Option<Change> {
    choose::request(observed, action, Reason::Requested)
}
