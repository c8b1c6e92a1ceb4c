//! Generations of secrets that nothing uses any more are removed at the end of a run.
//!
//! They are no resources: a plan right after an apply would otherwise still have them to delete.

use std::collections::BTreeSet;

use bollard::errors::Error;
use bollard::models::{Secret, Service, ServiceUpdateStatusStateEnum};
use stratos_engine::desired::owner::Owner;

use super::live::{self, Asked, Generations};
use super::names::split_generation;
use crate::connection::Connection;

/// Removes those of ours that are not the present one, and that no service refers to, nor would after a rollback.
pub(crate) async fn clean_up(connection: &Connection, owner: &Owner) -> Result<(), Error> {
    let asked = Asked::Of(owner.clone());
    let secrets = live::secrets(connection, &asked).await?;
    let old = superseded(&secrets, owner);
    if old.is_empty() {
        return Ok(());
    }
    let services = live::services(connection, &asked).await?;
    // An update that is not over may go back to what was before, which the list does not show.
    if services.iter().any(is_unsettled) {
        return Ok(());
    }
    let used: BTreeSet<&str> = services.iter().flat_map(used_by).collect();
    for secret in old {
        let id = secret.id.as_deref().unwrap_or_default();
        // What somebody else's service uses cannot be deleted, and the swarm says so.
        if !used.contains(id)
            && let Err(error) = connection.docker.delete_secret(id).await
        {
            tracing::debug!(secret = live::secret_name(secret), %error, "an old generation of a secret stays");
        }
    }
    Ok(())
}

fn superseded<'a>(secrets: &'a [Secret], owner: &Owner) -> Vec<&'a Secret> {
    let names: BTreeSet<&str> = secrets.iter().map(|secret| split_generation(live::secret_name(secret)).0).collect();
    let older = |name: &str| {
        let generations = Generations::of(name, secrets, owner);
        let ours = generations.ours();
        ours[..ours.len().saturating_sub(1)].to_vec()
    };
    names.into_iter().flat_map(older).collect()
}

/// Whether an update of the service is going on, or was stopped half way: it may still be taken back.
fn is_unsettled(service: &Service) -> bool {
    use ServiceUpdateStatusStateEnum as State;
    let state = service.update_status.as_ref().and_then(|status| status.state);
    matches!(state, Some(State::UPDATING | State::PAUSED | State::ROLLBACK_STARTED | State::ROLLBACK_PAUSED))
}

fn used_by(service: &Service) -> impl Iterator<Item = &str> {
    let task = service.spec.as_ref().and_then(|spec| spec.task_template.as_ref());
    let secrets = task.and_then(|task| task.container_spec.as_ref()).and_then(|inside| inside.secrets.as_ref());
    secrets.into_iter().flatten().filter_map(|secret| secret.secret_id.as_deref())
}
