//! How workloads are: one request for all of them.

use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::{Health, Status};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use crate::platform::LocalPlatform;
use crate::protocol::{HealthReply, Request};
use crate::state::State;

/// One answer for each id.
pub(crate) async fn health(platform: &LocalPlatform, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError> {
    let attempted = format!("reading the health of environment {}", platform.config.environment);
    if let Some(stream) = platform.client.connect().await? {
        let answer = platform.client.call::<HealthReply>(stream, Request::Health(ids.to_vec()), &attempted).await;
        return answer.map_err(|e| e.into_platform_error(&attempted));
    }
    let folder = &platform.client.folder;
    let state = State::read(folder).map_err(|e| PlatformError::new(PlatformErrorKind::Internal, attempted, e.to_string()))?;
    let one = |id: &ResourceId| match state.objects.iter().find(|object| object.id == *id && object.exists(folder)) {
        None => Health::missing(format!("there is no {} {}", id.kind, id.name)),
        Some(volume) if volume.is_volume() => Health { status: Status::Healthy, ..Health::missing("") },
        Some(_) => Health {
            status: Status::Failed,
            ..Health::missing("it does not run: its supervisor has ended, perhaps with the machine; apply again to start it")
        },
    };
    Ok(ids.iter().map(one).collect())
}
