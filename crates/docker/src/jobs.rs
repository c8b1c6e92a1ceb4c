//! Jobs: commands that run to their end, once (`docs/design/jobs.md`).
//!
//! The job's key makes its live name, so that the engine's own refusal of a second object of one name keeps it from running twice.
//! What has ended stays until it is removed.

mod engine;
mod record;
mod swarm;
mod work;

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use stratos_engine::desired::name::Name;
use stratos_engine::platform::jobs::{JobEnd, JobEvent, JobEvents, JobRequest};
use stratos_engine::platform::{ApplyContext, Jobs, LogLine, PlatformError, PlatformErrorKind};
use tokio::sync::mpsc;

use crate::beside::beside;
use crate::connection::Connection;
use crate::engine::DockerPlatform;
use crate::swarm::SwarmPlatform;

#[async_trait]
impl Jobs for DockerPlatform {
    async fn run(&self, job: &JobRequest<'_>, context: &ApplyContext<'_>) -> Result<JobEvents, PlatformError> {
        engine::run(self, job, context).await
    }

    async fn remove(&self, app: &Name, key: &str) -> Result<(), PlatformError> {
        engine::remove(self, app, key).await
    }
}

#[async_trait]
impl Jobs for SwarmPlatform {
    async fn run(&self, job: &JobRequest<'_>, context: &ApplyContext<'_>) -> Result<JobEvents, PlatformError> {
        swarm::run(self, job, context).await
    }

    async fn remove(&self, app: &Name, key: &str) -> Result<(), PlatformError> {
        swarm::remove(self, app, key).await
    }
}

/// How often it is looked whether a job has ended.
const LOOK: Duration = Duration::from_millis(300);

type Lines = BoxStream<'static, Result<LogLine, PlatformError>>;

/// Takes what happens to a job.
struct Teller(mpsc::Sender<Result<JobEvent, PlatformError>>);

impl Teller {
    /// Nobody who does not listen needs to be told.
    async fn tell(&self, event: JobEvent) {
        let _ = self.0.send(Ok(event)).await;
    }
}

/// The events of a job, which are found out while somebody listens.
fn events<F>(follow: impl FnOnce(Teller) -> F) -> JobEvents
where
    F: Future<Output = Result<JobEnd, PlatformError>> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(16);
    let followed = follow(Teller(sender.clone()));
    let work = async move {
        let end = followed.await;
        let _ = sender.send(end.map(JobEvent::Ended)).await;
    };
    beside(Box::pin(stream::poll_fn(move |cx| receiver.poll_recv(cx))), work)
}

/// Tells the lines of a job until it has ended, and then those that were not told yet: all of them stand in `all`.
async fn tell_lines(
    teller: &Teller,
    mut following: Lines,
    ended: impl Future<Output = Result<JobEnd, PlatformError>>,
    all: impl FnOnce() -> Lines,
) -> Result<JobEnd, PlatformError> {
    let mut told = 0;
    let mut goes_on = true;
    let mut ended = std::pin::pin!(ended);
    let end = loop {
        tokio::select! {
            line = following.next(), if goes_on => match line {
                Some(line) => {
                    teller.tell(JobEvent::Line(line?)).await;
                    told += 1;
                }
                None => goes_on = false,
            },
            end = &mut ended => break end?,
        }
    };
    drop(following);
    let mut rest = all().skip(told);
    while let Some(line) = rest.next().await {
        teller.tell(JobEvent::Line(line?)).await;
    }
    Ok(end)
}

/// How much of its time a job has left, by the engine's own clock: it began then, and not when we found it.
async fn time_left(connection: &Connection, began: Option<&str>, timeout: Duration) -> Result<Duration, PlatformError> {
    let now = connection.info().await?.system_time;
    let times = began.zip(now).and_then(|(began, now)| Some((began.parse().ok()?, now.parse().ok()?)));
    let Some((began, now)): Option<(jiff::Timestamp, jiff::Timestamp)> = times else {
        let attempted = "asking when a job began";
        return Err(PlatformError::new(PlatformErrorKind::Internal, attempted, "the engine's answer is no time"));
    };
    let passed = Duration::try_from(now.duration_since(began)).unwrap_or_default();
    Ok(timeout.saturating_sub(passed))
}
