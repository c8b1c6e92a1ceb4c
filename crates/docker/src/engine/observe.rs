//! What is there: a list of containers, of volumes and of networks, one inspection of each container of ours, and the log of each
//! proxy.

use std::collections::BTreeSet;

use stratos_engine::desired::owner::Ownership;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::{Gap, ObservedResource, PlatformError, Scope, Sink, Wanted};

use super::translate::{CONTAINER, VOLUME};
use super::{DockerPlatform, live, project_network, volume};
use crate::app_network::NETWORK;

/// Reports what is ours and in scope, and what has a wanted id.
pub(crate) async fn observe(platform: &DockerPlatform, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
    let of_kind = |kind: &str| wanted.keys().filter(|id| &*id.kind == kind).map(|id| id.name.to_string()).collect::<BTreeSet<_>>();
    let (containers, volumes) = (of_kind(CONTAINER.kind), of_kind(VOLUME.kind));
    let in_scope =
        |ownership: &Ownership| ownership.marks().is_some_and(|marks| scope.apps.as_ref().is_none_or(|apps| apps.contains(&marks.app)));
    let read_containers = async {
        let listed = live::list(platform, None).await?;
        let networks = project_network::observed(platform, &listed).await;
        Ok((live::read(platform, &listed, &containers, &|_, ownership| in_scope(ownership)).await, networks))
    };
    let (apps, found) = futures::join!(read_containers, volume::read(platform, &volumes));
    let (apps, networks) = apps?;
    for (name, app) in apps {
        let id = ResourceId::new(&platform.config.environment, CONTAINER.kind, &name);
        match app {
            Ok(app) => sink.add(app.observed(id.clone(), platform.rollout(&id))),
            Err(error) => sink.gaps.push(gap(platform, CONTAINER.kind, Some(name), &error)),
        }
    }
    match networks {
        Ok(networks) => {
            sink.add(networks.into_iter().filter(|network| wanted.contains_key(&network.id) || in_scope(&network.ownership)));
        }
        Err(error) => sink.gaps.push(gap(platform, NETWORK.kind, None, &error)),
    }
    match found {
        Ok(found) => {
            let reported = found.into_iter().filter(|(name, found)| volumes.contains(name) || in_scope(&found.ownership));
            sink.add(reported.map(|(name, found)| -> ObservedResource { found.observed(volume::id(platform, &name)) }));
        }
        Err(error) => sink.gaps.push(gap(platform, VOLUME.kind, None, &error)),
    }
    Ok(())
}

fn gap(platform: &DockerPlatform, kind: &str, name: Option<String>, error: &PlatformError) -> Gap {
    Gap { environment: platform.config.environment.clone(), kind: Some(kind.to_owned()), name, why: error.to_string() }
}
