//! The stages of a plan between what is desired and what is chosen, for all environments of a request.

use std::collections::BTreeSet;

use futures::future::try_join_all;

use super::images::{self, Unpinned};
use super::live::{find_moved, read, scope, wanted};
use super::select::{self, Connected};
use super::{PlanError, Request, RequestedAction};
use crate::compare::Differences;
use crate::desired::document::Leaf;
use crate::desired::name::Name;
use crate::desired::quantity::Duration;
use crate::desired::resource::{Resource, ResourceId};
use crate::desired::{Desired, Others, owner};
use crate::observe::Observed;
use crate::plan::change::{Action, Change};
use crate::plan::{BasedOn, Chosen, Compared, Coverage, Judged, Plan, Rollout, choose as choose_environment, finish as order};
use crate::platform::{Platform, PlatformError, Preview, Wanted};
use crate::render::secret::{Fingerprint, Salt};

/// How long a roll-out may take where the app does not say: 5 minutes.
pub const ROLLOUT_TIMEOUT: Duration = Duration(5 * 60 * 1000);

/// One environment, compared.
pub struct ComparedEnvironment {
    pub(super) compared: Compared,
    salt: Salt,
    left_out: BTreeSet<Name>,
    degraded: Vec<String>,
    unrefreshed: Unpinned,
    unpinned: Unpinned,
}

/// One environment, chosen.
pub struct ChosenEnvironment {
    pub(super) chosen: Chosen,
    pub(super) observed: Observed,
    salt: Salt,
    left_out: BTreeSet<Name>,
    degraded: Vec<String>,
    unrefreshed: Unpinned,
    /// References in differing resources that no registry gave a digest for.
    pub(super) unpinned: Unpinned,
}

/// Reads all environments at once and compares each.
pub async fn compare(request: &Request<'_>, connected: &[Connected], desired: Vec<Desired>) -> Result<Vec<ComparedEnvironment>, PlanError> {
    let each = connected.iter().zip(desired).map(async |(connected, desired)| {
        let compared = compare_one(request, connected, desired).await;
        compared.map_err(|source| PlanError::Platform { environment: connected.rendered.environment.clone(), source })
    });
    try_join_all(each).await
}

async fn compare_one(request: &Request<'_>, connected: &Connected, desired: Desired) -> Result<ComparedEnvironment, PlatformError> {
    let platform = &*connected.platform;
    let Desired { owner, mut resources, also_moved_from, has_apps, left_out, mut degraded } = desired;
    let mut observed = read(platform, &scope(request, owner), connected.before.as_ref(), &wanted(&resources, &also_moved_from)).await?;
    resources.iter_mut().for_each(|resource| find_moved(resource, &also_moved_from, &observed));
    let salt = observed.salt();
    observed.seal(&mut resources, request.secrets, salt);
    let unrefreshed = match request.refresh_images {
        true => images::refresh(request, &mut resources).await,
        false => Unpinned::new(),
    };
    let mut differences = crate::compare::compare(resources, &observed.resources);
    let unpinned = images::pin_differing(request, &mut differences).await;
    let (notes, conflicts) = preview(platform, &mut differences).await?;
    degraded.extend(std::mem::take(&mut observed.notes).into_iter().chain(notes));
    let compared = Compared { differences, observed, has_apps, conflicts, others: Others::default() };
    Ok(ComparedEnvironment { compared, salt, left_out, degraded, unrefreshed, unpinned })
}

/// Takes the platform's own dry run for what differs, where it has one. Returns what that could not be asked, and where it names others
/// who have set fields.
async fn preview(platform: &dyn Platform, differences: &mut Differences) -> Result<(Vec<String>, BTreeSet<ResourceId>), PlatformError> {
    if differences.differences.is_empty() {
        return Ok(Default::default());
    }
    let Preview { stored, anew, refused, conflicts, needs, notes } = platform.preview(&differences.differences).await?;
    differences.take_stored(stored);
    differences.take_anew(anew);
    differences.take_refused(refused);
    differences.take_needs(needs);
    Ok((notes, conflicts))
}

/// Refuses a name that no app has.
pub fn refuse_unknown_apps(request: &Request<'_>, compared: &[ComparedEnvironment]) -> Result<(), PlanError> {
    select::refuse_unknown_apps(request, compared.iter().map(|c| &c.compared.observed))
}

/// Refuses a manifest that is an ancestor of what is live, unless the user agreed.
pub fn refuse_older(request: &Request<'_>, compared: &[ComparedEnvironment]) -> Result<(), PlanError> {
    let Some(history) = request.history else { return Ok(()) };
    let Some(ours) = history.revision() else { return Ok(()) };
    if request.policy.allow_older || request.policy.destroy {
        return Ok(());
    }
    let live = compared.iter().flat_map(|c| c.compared.observed.resources.values());
    let mut known = BTreeSet::new();
    for (resource, revision) in live.filter_map(|r| Some((r, r.ownership.marks()?.revision.as_ref()?))) {
        if known.insert(revision) && history.is_older_than(revision) == Some(true) {
            return Err(PlanError::Older { ours, live: revision.clone(), id: resource.id.clone() });
        }
    }
    Ok(())
}

/// Chooses for each environment.
pub fn choose(request: &Request<'_>, compared: Vec<ComparedEnvironment>) -> Vec<ChosenEnvironment> {
    let each = compared.into_iter().map(|ComparedEnvironment { compared, salt, left_out, degraded, unrefreshed, unpinned }| {
        let (chosen, observed) = choose_environment(compared, &request.policy);
        ChosenEnvironment { chosen, observed, salt, left_out, degraded, unrefreshed, unpinned }
    });
    each.collect()
}

/// Makes the plan of what was chosen.
pub fn finish(request: &Request<'_>, connected: &[Connected], chosen: Vec<ChosenEnvironment>, unpinned: Unpinned) -> Plan {
    let names: Vec<Name> = connected.iter().map(|c| c.rendered.environment.clone()).collect();
    let mut plan = empty_plan(request, connected);
    let mut changes = Vec::new();
    let mut fingerprints = BTreeSet::new();
    let mut unverified = BTreeSet::new();
    let mut unrefreshed = Unpinned::new();
    for mut environment in chosen {
        unverified.extend(environment.chosen.unchanged.iter().flat_map(|resource| unavailable(request, resource)));
        for resource in environment.chosen.changes.iter_mut().filter_map(|change| change.desired.as_mut()) {
            unverified.extend(unavailable(request, resource));
            seal(request, resource, environment.salt, &mut fingerprints);
            resource.marks.revision.clone_from(&plan.based_on.revision);
        }
        let Chosen { changes: chosen, held, unchanged } = environment.chosen;
        plan.judged.extend(judged(&chosen, &unchanged));
        plan.coverage.unchanged += unchanged.len();
        plan.coverage.left_out.extend(environment.left_out);
        plan.coverage.degraded.extend(environment.degraded);
        unrefreshed.extend(environment.unrefreshed);
        add_observed(&mut plan, environment.observed);
        plan.held.extend(held);
        changes.extend(chosen);
    }
    plan.coverage.degraded.extend(images::notes(unpinned, unrefreshed));
    plan.held.sort_by(|a, b| a.id.cmp(&b.id));
    plan.changes = order(changes, &names);
    plan.based_on.fingerprints = fingerprints.into_iter().collect();
    plan.coverage.unverified_secrets = unverified.into_iter().collect();
    plan.coverage.requests = connected.iter().map(|c| c.platform.requests()).sum();
    plan
}

fn empty_plan(request: &Request<'_>, connected: &[Connected]) -> Plan {
    let environments = connected.iter().map(|c| (c.rendered.environment.clone(), c.rendered.settings.clone()));
    Plan {
        format: 1,
        based_on: BasedOn {
            project: request.manifest.project.clone(),
            revision: request.history.and_then(|history| history.revision()),
            environments: environments.collect(),
            secrets: request.manifest.secrets.clone(),
            fingerprints: vec![],
            destroy: request.policy.destroy,
            apps: request.apps.iter().cloned().collect(),
            renamed: connected.iter().filter_map(|c| Some((c.rendered.environment.clone(), c.before.clone()?))).collect(),
        },
        changes: vec![],
        held: vec![],
        coverage: Coverage::default(),
        rollouts: vec![],
        judged: vec![],
    }
}

fn add_observed(plan: &mut Plan, observed: Observed) {
    let ours = observed.resources.values().filter(|live| live.ownership.marks().is_some());
    for live in ours {
        plan.coverage.observed += 1;
        if live.rollout != crate::health::RolloutState::Done {
            plan.rollouts.push(Rollout { id: live.id.clone(), state: live.rollout.clone() });
        }
    }
    plan.coverage.gaps.extend(observed.gaps);
}

/// The secrets of a resource whose values are not available.
fn unavailable(request: &Request<'_>, resource: &Resource) -> Vec<String> {
    let texts = resource.document.leaves().iter().filter_map(|(_, leaf)| leaf.text());
    texts.flat_map(|text| text.secrets()).filter(|name| !request.secrets.has(name)).map(str::to_owned).collect()
}

/// Gives each secret of a resource that is written its fingerprint, where its value is available.
fn seal(request: &Request<'_>, resource: &mut Resource, salt: Salt, fingerprints: &mut BTreeSet<Fingerprint>) {
    for (_, leaf) in resource.document.leaves_mut() {
        if let Leaf::Secret { text: Some(text), fingerprint } = leaf {
            *fingerprint = fingerprint.take().or_else(|| request.secrets.fingerprint(text, salt).ok());
            fingerprints.extend(fingerprint.clone());
        }
    }
}

fn judged(changes: &[Change], unchanged: &[Resource]) -> Vec<Judged> {
    let resources = unchanged.iter().chain(changes.iter().filter_map(|change| change.desired.as_ref()));
    let healthy = resources.filter(|resource| resource.shape.has_health).map(|resource| Judged {
        id: resource.id.clone(),
        app: resource.marks.app.clone(),
        timeout: resource.rollout_timeout.unwrap_or(ROLLOUT_TIMEOUT),
        precedes_writes: resource.shape.precedes_writes,
    });
    let mut out: Vec<Judged> = healthy.collect();
    out.sort_by(|a, b| a.id.cmp(&b.id));
    out
}

/// Reads what is live and in scope, in all environments at once.
pub async fn observe_all(request: &Request<'_>, connected: &[Connected]) -> Result<Vec<Observed>, PlanError> {
    let each = connected.iter().map(async |connected| {
        let scope = scope(request, owner(request.manifest, &connected.rendered.environment));
        let observed = read(&*connected.platform, &scope, connected.before.as_ref(), &Wanted::new()).await;
        observed.map_err(|source| PlanError::Platform { environment: connected.rendered.environment.clone(), source })
    });
    try_join_all(each).await
}

/// The plan of what a user asked for beside the manifest.
pub fn requested(request: &Request<'_>, action: RequestedAction, connected: &[Connected], observed: Vec<Observed>) -> Plan {
    let names: Vec<Name> = connected.iter().map(|c| c.rendered.environment.clone()).collect();
    let mut plan = empty_plan(request, connected);
    let mut changes = Vec::new();
    for observed in observed {
        for live in observed.resources.values() {
            let action = match action {
                RequestedAction::Restart if live.has_health => Action::Restart,
                RequestedAction::Restart => continue,
                RequestedAction::Forget => Action::Forget,
            };
            let Some(change) = crate::plan::request(live, action) else { continue };
            if action == Action::Restart {
                let (id, app) = (change.id.clone(), change.app.clone());
                plan.judged.push(Judged { id, app, timeout: ROLLOUT_TIMEOUT, precedes_writes: false });
            }
            changes.push(change);
        }
        add_observed(&mut plan, observed);
    }
    plan.changes = order(changes, &names);
    plan.coverage.requests = connected.iter().map(|c| c.platform.requests()).sum();
    plan
}
