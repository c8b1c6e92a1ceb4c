//! Networks of apps. They are made and deleted; nothing of them can change, their marks neither.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::errors::Error;
use stratos_engine::plan::change::Action;
use tokio::time::Instant;

use super::{Answer, Call};
use crate::app_network::{self, OVERLAY};
use crate::failure::is_not_found;
use crate::swarm::forgotten;
use crate::swarm::retire::is_in_use;

/// Instances of services that were deleted or moved hold a network until they have ended: 10 s where a service does not say more.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Carries out the change of a network.
pub(super) async fn apply(call: &Call<'_>) -> Result<Answer, Answer> {
    let networks = call.platform.networks.list(&call.platform.connection).await.map_err(|error| call.unread(&error))?;
    let live = networks.iter().find(|network| network.name.as_deref() == Some(&*call.change.id.name));
    let forgotten = forgotten::networks(&call.platform.connection, live.map_or(&[], std::slice::from_ref), &[], call.us()).await;
    let forgotten = forgotten.map_err(|error| call.unread(&error))?;
    let observed = live.map(|network| app_network::observed(network, OVERLAY, &call.change.id.environment, call.us()));
    let is_marked = observed.as_ref().is_some_and(|seen| seen.ownership.marks().is_some());
    let seen = observed.map(|seen| forgotten::seen(seen, &forgotten));
    call.judge(seen.as_ref())?;
    let id = live.and_then(|network| network.id.as_deref());
    match (call.change.action, id) {
        (Action::Delete, None) => Ok(Answer::AlreadyDone(BTreeMap::new())),
        (Action::Delete, Some(id)) => Ok(call.delete_network(id).await),
        (Action::Replace(_), Some(id)) => match call.delete_network(id).await {
            Answer::Done(_) => call.create_network().await,
            other => Err(other),
        },
        (Action::Create | Action::Replace(_), _) => call.create_network().await,
        (Action::Update, None) => call.create_network().await,
        // The services that are forgotten with it make it nobody's; it was, and those on it are taken up again.
        (Action::Forget, Some(_)) => Ok(Answer::Done(BTreeMap::new())),
        (Action::Update, Some(_)) if is_marked => Ok(Answer::Done(BTreeMap::new())),
        (Action::Update, Some(_)) => {
            Err(call
                .rejected("a network's labels are fixed when it is made, and so are the marks in them; delete it, and let it be made anew"))
        }
        (Action::Forget | Action::Restart, _) => Err(call.rejected("there is nothing to do this to")),
    }
}

impl Call<'_> {
    async fn create_network(&self) -> Result<Answer, Answer> {
        let desired = self.desired()?;
        let request =
            app_network::request(&desired.id.name, OVERLAY, &desired.document, &self.marks(desired)).map_err(|why| self.rejected(why))?;
        match self.platform.connection.docker.create_network(request).await {
            Ok(_) => Ok(Answer::Done(BTreeMap::new())),
            Err(error) => Ok(self.unwritten(&error)),
        }
    }

    /// Deletes a network, and waits until it is gone: the swarm forgets it at once, and a machine keeps it, under its name,
    /// for as long as something there is attached to it.
    async fn delete_network(&self, id: &str) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        let connection = &self.platform.connection;
        loop {
            match connection.docker.remove_network(id).await {
                Ok(()) => break,
                Err(error) if is_forgotten(&error) => break,
                Err(error) if is_in_use(&error) && Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                Err(error) => return self.unwritten(&error),
            }
        }
        while Instant::now() < deadline {
            match self.platform.networks.list(connection).await {
                Ok(listed) if listed.iter().all(|network| network.id.as_deref() != Some(id)) => break,
                Ok(_) => tokio::time::sleep(PAUSE).await,
                Err(error) => return self.unwritten(&error),
            }
        }
        Answer::Done(BTreeMap::new())
    }
}

/// Whether the swarm knows the network no more. Of one that a machine still keeps it says so with status 500.
fn is_forgotten(error: &Error) -> bool {
    is_not_found(error) || matches!(error, Error::DockerResponseServerError { message, .. } if message.contains("not found"))
}
