//! How the apps of an environment are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::live::{read, scope};
use super::select::{self, Connected};
use super::{AppStatus, Connector, EnvironmentStatus, Request};
use crate::desired::name::Name;
use crate::desired::resource::ResourceId;
use crate::desired::{desired, owner};
use crate::health::Status;
use crate::manifest::diagnostic::Report;
use crate::platform::{Gap, Platform, PlatformError, Wanted};
use crate::render::native;

/// How one environment is.
pub async fn of_environment(request: &Request<'_>, name: &Name, connector: &dyn Connector) -> EnvironmentStatus {
    let settings = &request.manifest.environments[name];
    let mut status = EnvironmentStatus { name: name.clone(), platform: settings.platform, unreachable: None, gaps: vec![], apps: vec![] };
    match apps(request, name, connector).await {
        Ok((apps, gaps)) => (status.apps, status.gaps) = (apps, gaps),
        Err(error) => status.unreachable = Some(error.to_string()),
    }
    status
}

async fn apps(request: &Request<'_>, name: &Name, connector: &dyn Connector) -> Result<(Vec<AppStatus>, Vec<Gap>), PlatformError> {
    let platform = connector.connect(&request.manifest.project, name, &request.manifest.environments[name]).await?;
    let scope = scope(request, owner(request.manifest, name));
    let before = select::before(request, connector, name);
    let observed = read(&*platform, &scope, before.as_ref(), &Wanted::new()).await?;
    let in_scope = |app: &Name| request.apps.is_empty() || request.apps.contains(app);
    let declared = request.manifest.apps_of(name).map(|(app, _)| app).filter(|app| in_scope(app));
    let mut apps: BTreeMap<Name, AppStatus> = declared.map(|app| (app.clone(), AppStatus::new(app.clone(), true))).collect();
    let ours = || observed.resources.values().filter_map(|live| Some((live, &live.ownership.marks()?.app)));
    for (_, app) in ours().filter(|(live, _)| !live.has_health) {
        apps.entry(app.clone()).or_insert_with(|| AppStatus::new(app.clone(), false)).without_health += 1;
    }
    let (ids, of): (Vec<_>, Vec<_>) = ours().filter(|(live, _)| live.has_health).map(|(live, app)| (live.id.clone(), app)).unzip();
    let health = if ids.is_empty() { vec![] } else { platform.health(&ids).await? };
    for ((id, app), health) in ids.into_iter().zip(of).zip(health) {
        apps.entry(app.clone()).or_insert_with(|| AppStatus::new(app.clone(), false)).health.push((id, health));
    }
    if observed.gaps.is_empty() && apps.values().any(AppStatus::is_missing) {
        add_ended(request, name, platform, &mut apps).await?;
    }
    Ok((apps.into_values().collect(), observed.gaps))
}

/// Adds what is declared of apps that nothing is live of, and whose health is another than missing: a Job that has run and was removed.
/// Only the platform knows, so that it is asked about what the manifest declares.
async fn add_ended(
    request: &Request<'_>,
    name: &Name,
    platform: Arc<dyn Platform>,
    apps: &mut BTreeMap<Name, AppStatus>,
) -> Result<(), PlatformError> {
    let missing: BTreeSet<Name> = apps.values().filter(|app| app.is_missing()).map(|app| app.name.clone()).collect();
    // A manifest that is wrong is for `validate` and `plan` to tell.
    let Ok((declared, with_objects)) = declared(request, name, platform.clone(), &missing).await else { return Ok(()) };
    // An app all of whose templates give nothing here is not missing.
    apps.retain(|app, status| !status.is_missing() || with_objects.contains(app));
    let (ids, of): (Vec<_>, Vec<_>) = declared.into_iter().unzip();
    let health = if ids.is_empty() { vec![] } else { platform.health(&ids).await? };
    for ((id, app), health) in ids.into_iter().zip(of).zip(health).filter(|(_, health)| health.status != Status::Missing) {
        apps.entry(app).and_modify(|status| status.health.push((id, health)));
    }
    Ok(())
}

/// The declared resources of these apps that have health, each with its app; and those of the apps that declare anything.
async fn declared(
    request: &Request<'_>,
    name: &Name,
    platform: Arc<dyn Platform>,
    apps: &BTreeSet<Name>,
) -> Result<(Vec<(ResourceId, Name)>, BTreeSet<Name>), Report> {
    let mut connected = Connected { rendered: select::render_one(request, name)?, platform, before: None };
    native::load(&mut connected.rendered, request.manifest, &|part| connected.platform.native_files(part))?;
    native::generate(&mut connected.rendered, &*connected.platform, apps).await?;
    let desired = desired(&mut connected.rendered, request.manifest, &*connected.platform, apps)?;
    let with_objects = desired.resources.iter().map(|resource| resource.marks.app.clone()).collect();
    let with_health = desired.resources.into_iter().filter(|resource| resource.shape.has_health);
    Ok((with_health.map(|resource| (resource.id, resource.marks.app)).collect(), with_objects))
}
