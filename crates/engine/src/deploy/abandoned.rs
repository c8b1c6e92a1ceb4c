//! An environment that was removed from the manifest, or moved to another platform, url or namespace, while it still holds
//! what is ours: nobody would look there any more. Nor would anybody recognise it when the project's name or id changes.
//!
//! There is no state file that would remember it. The manifest's own history does: its last committed version, and the version
//! before (which a pipeline that runs after the commit needs). A `[[moved]]` remembers a name, and needs no history.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::Deserialize;

use super::{Connector, PlanError, Request};
use crate::desired::name::Name;
use crate::desired::owner::Owner;
use crate::desired::{owner, owner_in};
use crate::manifest::schema::{Environment, Project};
use crate::observe::observe;
use crate::platform::{PlatformError, Scope};

/// What is read of an earlier manifest: it need not be valid otherwise.
#[derive(Deserialize)]
struct Earlier {
    #[serde(default)]
    project: Option<Project>,
    #[serde(default)]
    environments: IndexMap<Name, Environment>,
}

/// Refuses to plan while an environment's earlier place holds anything of ours, unless the user agreed.
pub async fn refuse(request: &Request<'_>, connector: &dyn Connector) -> Result<(), PlanError> {
    if request.policy.abandon {
        return Ok(());
    }
    refuse_renamed(request, connector).await?;
    let Some(history) = request.history else { return Ok(()) };
    let mut seen = BTreeSet::new();
    for text in history.earlier_manifests() {
        let Ok(earlier) = toml::from_str::<Earlier>(&text) else { continue };
        let project = earlier.project.unwrap_or_else(|| request.manifest.project.clone());
        for (name, environment) in earlier.environments {
            let now = name_now(request, &name);
            let settings = request.manifest.environments.get(&now);
            let ours = owner_in(&project, &name);
            let stayed = ours == owner(request.manifest, &name) && settings.is_some_and(|now| place(now) == place(&environment));
            if is_in_scope(request, &now) && !stayed && seen.insert((ours.clone(), place(&environment))) {
                refuse_one(connector, &project, ours, &environment).await?;
            }
        }
    }
    Ok(())
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

/// How many resources of an owner are at a place. None where it holds nothing, as far as all of it could be read.
async fn held(connector: &dyn Connector, project: &Project, owner: Owner, environment: &Environment) -> Result<Option<usize>, PlanError> {
    let name = owner.environment.clone();
    let failed = |source| PlanError::Platform { environment: name.clone(), source };
    if !connector.reaches(environment.platform) {
        return Ok(None);
    }
    let gone =
        |error: PlatformError| failed(error.with_hint("the manifest does not name this place any more; --abandon leaves what is there"));
    let platform = connector.connect(project, &name, environment).await.map_err(gone)?;
    let observed = observe(&*platform, &Scope { owner, apps: None }, &BTreeSet::new()).await.map_err(failed)?;
    let resources = observed.resources.values().filter(|live| live.ownership.marks().is_some()).count();
    Ok((resources > 0 || !observed.gaps.is_empty()).then_some(resources))
}
