//! What an environment really holds, in the scope of a request.

use std::collections::{BTreeMap, BTreeSet};

use super::Request;
use crate::desired::name::Name;
use crate::desired::owner::{Owner, Ownership};
use crate::desired::resource::{Resource, ResourceId};
use crate::observe::{Observed, observe};
use crate::platform::{Platform, PlatformError, Scope, Wanted};

/// What is read whoever it belongs to: what is declared, under its names now and before, and what it needs here.
pub fn wanted<'a>(resources: &'a [Resource], also_moved_from: &BTreeMap<ResourceId, ResourceId>) -> Wanted<'a> {
    let mut ids: BTreeSet<ResourceId> = also_moved_from.values().cloned().collect();
    for resource in resources {
        ids.extend(resource.moved_from.as_deref().cloned());
        ids.extend(resource.depends_on.iter().filter(|id| id.environment == resource.id.environment).cloned());
    }
    // What is declared last: it is wanted with its document, also where another one needs it.
    let declared = resources.iter().map(|resource| (resource.id.clone(), Some(&resource.document)));
    ids.into_iter().map(|id| (id, None)).chain(declared).collect()
}

/// Decides which of two names before a resource has, by what is live: the later one where that is there.
pub fn find_moved(resource: &mut Resource, also_moved_from: &BTreeMap<ResourceId, ResourceId>, observed: &Observed) {
    let is_ours = |id: &&ResourceId| observed.resources.get(*id).is_some_and(|live| live.ownership.marks().is_some());
    if let Some(half) = also_moved_from.get(&resource.id).filter(is_ours) {
        resource.moved_from = Some(Box::new(half.clone()));
    }
}

/// What an environment holds in a scope; also what it held under the name `before`, as if it were there under its own.
pub async fn read(platform: &dyn Platform, scope: &Scope, before: Option<&Name>, wanted: &Wanted<'_>) -> Result<Observed, PlatformError> {
    let mut observed = observe(platform, scope, wanted).await?;
    if let Some(before) = before {
        let owner = Owner { environment: before.clone(), ..scope.owner.clone() };
        // Beside what is wanted of it, as it is read again when it is applied.
        let was = Ownership::Another(owner.clone());
        let is_its = |id: &ResourceId| observed.resources.get(id).is_some_and(|live| live.ownership == was);
        let wanted: Wanted<'_> = wanted.iter().filter(|(id, _)| is_its(id)).map(|(id, document)| (id.clone(), *document)).collect();
        let mut earlier = observe(platform, &Scope { owner, ..scope.clone() }, &wanted).await?;
        earlier.resources.retain(|_, live| live.ownership.marks().is_some());
        observed.take_over(earlier, before, &scope.owner.environment);
    }
    keep_scope(&mut observed, scope, wanted);
    Ok(observed)
}

pub fn scope(request: &Request<'_>, owner: Owner) -> Scope {
    let before = |name: &Name| {
        let moved = request.manifest.moved.iter().filter(move |m| m.to == format!("apps.{name}"));
        moved.filter_map(|m| Name::new(m.from.strip_prefix("apps.")?).ok()).collect::<Vec<_>>()
    };
    let apps = request.apps.iter().flat_map(|name| [vec![name.clone()], before(name)].concat()).collect();
    Scope { owner, apps: (!request.apps.is_empty()).then_some(apps) }
}

/// Forgets what is ours and out of scope, however it came in (as something needed): it must not be pruned. A resource that is declared
/// in the scope stays, whichever app's label is on it.
fn keep_scope(observed: &mut Observed, scope: &Scope, wanted: &Wanted<'_>) {
    let Some(apps) = &scope.apps else { return };
    let is_declared = |id: &ResourceId| wanted.get(id).is_some_and(Option::is_some);
    observed.resources.retain(|id, live| is_declared(id) || live.ownership.marks().is_none_or(|marks| apps.contains(&marks.app)));
}
