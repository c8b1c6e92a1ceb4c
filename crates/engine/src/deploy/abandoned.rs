//! An environment that was removed from the manifest, or moved to another platform, url or namespace, while it still holds
//! what is ours: nobody would look there any more. Nor would anybody recognise it when the project's name or id changes.
//!
//! There is no state file that would remember it. Two others do: the manifest's own history (its last committed version, and
//! the version before, which a pipeline that runs after the commit needs), and the places that can be looked through without
//! being told what to look for ([`Connector::left_behind`]). A `[[moved]]` remembers a name, and needs neither.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Deserialize;

use super::{Connector, PlanError, Request};
use crate::desired::name::Name;
use crate::desired::owner::Owner;
use crate::desired::{owner, owner_in};
use crate::manifest::schema::{Environment, Project};
use crate::observe::observe;
use crate::platform::{PlatformError, PlatformErrorKind, Scope, Wanted};

/// What is read of an earlier manifest: it need not be valid otherwise.
#[derive(Deserialize)]
struct Earlier {
    #[serde(default)]
    project: Option<Project>,
    #[serde(default)]
    environments: IndexMap<Name, Environment>,
}

/// An environment that may have been left behind: as it was called, and where it was.
struct Suspect {
    project: Project,
    name: Name,
    settings: Environment,
}

/// Refuses to plan while an environment's earlier place holds anything of ours, unless the user agreed.
pub async fn refuse(request: &Request<'_>, connector: &dyn Connector) -> Result<(), PlanError> {
    if request.policy.abandon {
        return Ok(());
    }
    refuse_renamed(request, connector).await?;
    let mut suspects = of_history(request);
    let found = connector.left_behind(request.manifest).await.into_iter();
    suspects.extend(found.map(|(name, settings)| Suspect { project: request.manifest.project.clone(), name, settings }));
    let mut seen = BTreeSet::new();
    for Suspect { project, name, settings } in suspects {
        let owner = owner_in(&project, &name);
        if is_in_scope(request, &name_now(request, &name)) && seen.insert((owner.clone(), place(&settings))) {
            refuse_one(connector, &project, owner, &settings).await?;
        }
    }
    Ok(())
}

/// The environments of earlier manifests that are no longer at their place, or were another owner's.
fn of_history(request: &Request<'_>) -> Vec<Suspect> {
    let manifest = request.manifest;
    let mut suspects = Vec::new();
    for text in request.history.iter().flat_map(|history| history.earlier_manifests()) {
        let Ok(earlier) = toml::from_str::<Earlier>(&text) else { continue };
        let project = earlier.project.unwrap_or_else(|| manifest.project.clone());
        for (name, settings) in earlier.environments {
            let now = manifest.environments.get(&name_now(request, &name));
            let stayed = owner_in(&project, &name) == owner(manifest, &name) && now.is_some_and(|now| place(now) == place(&settings));
            if !stayed {
                suspects.push(Suspect { project: project.clone(), name, settings });
            }
        }
    }
    suspects
}

/// Refuses where an environment was renamed, its name is its place, and something is at the place of its earlier name.
async fn refuse_renamed(request: &Request<'_>, connector: &dyn Connector) -> Result<(), PlanError> {
    let manifest = request.manifest;
    let follows_name = |settings: &Environment| connector.place_follows_name(settings);
    for (name, settings) in manifest.environments.iter().filter(|(name, settings)| is_in_scope(request, name) && follows_name(settings)) {
        let Some(before) = manifest.environment_before(name) else { continue };
        if let Some(resources) = held(connector, &manifest.project, owner(manifest, &before), settings).await? {
            let place = settings.platform.to_string();
            return Err(PlanError::NotRenamed { environment: name.clone(), before, place, resources });
        }
    }
    Ok(())
}

fn is_in_scope(request: &Request<'_>, name: &Name) -> bool {
    request.environments.is_empty() || request.environments.contains(name)
}

/// What an environment of an earlier manifest is called in this one.
fn name_now(request: &Request<'_>, name: &Name) -> Name {
    let declared = &request.manifest.environments;
    let renamed = declared.keys().find(|now| request.manifest.environment_before(now).as_ref() == Some(name));
    renamed.filter(|_| !declared.contains_key(name)).unwrap_or(name).clone()
}

/// Where an environment is.
fn place(environment: &Environment) -> (String, Option<String>, Option<String>) {
    (environment.platform.to_string(), environment.url.clone(), environment.namespace.clone())
}

async fn refuse_one(connector: &dyn Connector, project: &Project, owner: Owner, environment: &Environment) -> Result<(), PlanError> {
    let name = owner.environment.clone();
    match held(connector, project, owner, environment).await? {
        Some(resources) => Err(PlanError::Abandoned { environment: name, place: environment.platform.to_string(), resources }),
        None => Ok(()),
    }
}

/// How many resources of an owner are at a place. None where it holds nothing, and all of it could be read.
async fn held(connector: &dyn Connector, project: &Project, owner: Owner, environment: &Environment) -> Result<Option<usize>, PlanError> {
    if !connector.reaches(environment.platform) {
        return Ok(None);
    }
    let name = owner.environment.clone();
    let failed = |error: PlatformError| PlanError::Platform {
        environment: name.clone(),
        source: error.with_hint("the manifest does not name this place any more; --abandon leaves what is there"),
    };
    let platform = connector.connect(project, &name, environment).await.map_err(failed)?;
    let attempted = format!("looking for what {owner} left on {}", environment.platform);
    let observed = observe(&*platform, &Scope { owner, apps: None }, &Wanted::new()).await.map_err(failed)?;
    let resources = observed.resources.values().filter(|live| live.ownership.marks().is_some()).count();
    match observed.gaps.first() {
        Some(gap) if resources == 0 => Err(failed(PlatformError::new(PlatformErrorKind::Internal, attempted, gap.why.clone()))),
        _ => Ok((resources > 0).then_some(resources)),
    }
}
