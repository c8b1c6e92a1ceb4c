//! What comes before the first write of an apply, and after its last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::try_join_all;
use indexmap::IndexMap;
use tokio::time::{Instant, timeout_at};

use super::{Applied, ApplyError, ApplyOptions, ChangeResult, RunVerdict};
use crate::deploy::Connector;
use crate::desired::document::Leaf;
use crate::desired::name::Name;
use crate::desired::owner::Owner;
use crate::desired::owner_in;
use crate::desired::resource::ResourceId;
use crate::observe::observe_only;
use crate::plan::Plan;
use crate::platform::{Lease, Platform};
use crate::render::secret::{Attributes, Secrets};

/// An environment that is being written.
pub struct Environment {
    /// The platform.
    pub platform: Arc<dyn Platform>,
    /// Whose resources are written.
    pub owner: Owner,
    /// They keep other writers out, until they are dropped: one, and one more for the name that the environment had before.
    /// Empty where nothing is written.
    pub leases: Vec<Lease>,
}

/// The environments of a plan, in the order in which they are applied.
pub type Environments = IndexMap<Name, Environment>;

/// Refuses a plan whose secrets are not available, or are not those that it was made with.
pub fn verify_secrets(plan: &Plan, secrets: &Secrets) -> Result<(), ApplyError> {
    if let Some(missing) = plan.coverage.unverified_secrets.iter().find_map(|name| secrets.missing(name)) {
        return Err(ApplyError::Secret { name: missing.name, why: missing.why });
    }
    let desired = plan.changes.iter().filter_map(|change| change.desired.as_ref());
    for (_, leaf) in desired.flat_map(|desired| desired.document.leaves()) {
        let Leaf::Secret { text: Some(text), fingerprint } = leaf else { continue };
        let name = || text.secrets().next().unwrap_or_default().to_owned();
        let Some(planned) = fingerprint else {
            return Err(ApplyError::Secret { name: name(), why: "it was not available when the plan was made".into() });
        };
        match secrets.fingerprint(text, planned.salt()) {
            Ok(now) if now == *planned => {}
            Ok(_) => return Err(ApplyError::SecretMoved { name: name() }),
            Err(error) => return Err(ApplyError::Secret { name: error.name, why: error.why }),
        }
    }
    Ok(())
}

/// Connects to the plan's environments, and takes the lease of each that is written.
pub async fn connect(plan: &Plan, connector: &dyn Connector, options: &ApplyOptions) -> Result<Environments, ApplyError> {
    let project = &plan.based_on.project;
    let each = plan.based_on.environments.iter().map(async |(name, settings)| {
        let failed = |source| ApplyError::Platform { environment: name.clone(), source };
        let platform = connector.connect(project, name, settings).await.map_err(failed)?;
        let owner = owner_in(project, name);
        let written = plan.changes.iter().any(|change| change.id.environment == *name);
        let before = plan.based_on.renamed.get(name).map(|before| owner_in(project, before));
        let mut leases = Vec::new();
        for owner in [Some(&owner), before.as_ref()].into_iter().flatten().filter(|_| written) {
            leases.push(platform.lease(owner, &options.holder).await.map_err(failed)?);
        }
        Ok((name.clone(), Environment { platform, owner, leases }))
    });
    Ok(try_join_all(each).await?.into_iter().collect())
}

/// Reads the attributes of resources that changes refer to and that do not change themselves.
pub async fn attributes(plan: &Plan, environments: &Environments) -> Result<Attributes, ApplyError> {
    let changing: BTreeSet<&ResourceId> = plan.changes.iter().map(|change| &change.id).collect();
    let desired = plan.changes.iter().filter_map(|change| change.desired.as_ref());
    let texts = desired.flat_map(|desired| desired.document.leaves()).filter_map(|(_, leaf)| leaf.text());
    let mut wanted: BTreeMap<&Name, BTreeSet<ResourceId>> = BTreeMap::new();
    for (of, _) in texts.flat_map(|text| text.attributes()).filter(|(of, _)| !changing.contains(of)) {
        wanted.entry(&of.environment).or_default().insert(of.clone());
    }
    let mut out = Attributes::new();
    for (name, ids) in wanted {
        let Some(environment) = environments.get(name) else { continue };
        let observed = observe_only(&*environment.platform, &environment.owner, &ids).await;
        let observed = observed.map_err(|source| ApplyError::Platform { environment: name.clone(), source })?;
        out.extend(observed.attributes());
    }
    Ok(out)
}

/// Ends what the environments themselves needed: when everything of ours is gone from them (the platform looks, since other apps
/// may be left), and where nothing ever came.
///
/// After `end` it is not waited for any more.
pub async fn retire(plan: &Plan, mut applied: Applied, environments: &Environments, end: Option<Instant>) -> Applied {
    let whole = plan.based_on.destroy && plan.held.is_empty() && plan.coverage.gaps.is_empty();
    let gone = whole && applied.verdict() == RunVerdict::Success;
    for (name, environment) in environments {
        if !gone && !stayed_empty(plan, &applied, name) {
            continue;
        }
        let retired = environment.platform.retire(&environment.owner);
        let retired = match end {
            Some(end) => timeout_at(end, retired).await,
            None => Ok(retired.await),
        };
        match retired {
            Ok(Ok(())) => {}
            Ok(Err(error)) => applied.notes.push(match &error.hint {
                Some(hint) => format!("{name}: {error}; {hint}"),
                None => format!("{name}: {error}"),
            }),
            Err(_) => applied.notes.push(format!(
                "{name}: the time given by --timeout was over while what the environment itself needs was removed: `stratos destroy` once more \
                 says what is left"
            )),
        }
    }
    applied.requests = environments.values().map(|environment| environment.platform.requests()).sum();
    applied
}

/// Whether an environment held nothing of ours before, and none of its creations came about.
fn stayed_empty(plan: &Plan, applied: &Applied, name: &Name) -> bool {
    let held_nothing = plan.coverage.observed == 0 && plan.coverage.gaps.is_empty() && plan.held.is_empty();
    let mut here = applied.changes.iter().filter(|report| report.id.environment == *name).peekable();
    let came_to_nothing = |result: &ChangeResult| matches!(result, ChangeResult::Failed { .. } | ChangeResult::Skipped { .. });
    held_nothing && here.peek().is_some() && here.all(|report| came_to_nothing(&report.result))
}
