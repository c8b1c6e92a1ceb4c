//! Tells what happens to a job until it has ended.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use serde_json::json;
use stratos_engine::health::Status;
use stratos_engine::platform::jobs::{JobEnd, JobEvent, JobEvents};
use stratos_engine::platform::{LogLine, PlatformError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::record::{GIVEN_UP, Record};
use super::{Live, find, patch};
use crate::connection::Connection;
use crate::health;
use crate::logs::ContainerLog;
use crate::pods::{self, Pod};

/// How often it is looked whether a job has begun, or ended.
const LOOK: Duration = Duration::from_millis(500);
/// A job whose container cannot be started for so long is given up: a run that nobody expects any more must not begin later.
const GIVE_UP: Duration = Duration::from_secs(20);
/// How long a cluster may be away.
const AWAY: Duration = Duration::from_secs(120);

/// The events of a job, which are found out while somebody listens.
pub(super) fn events(connection: Connection, record: Record, container: String, found: bool) -> JobEvents {
    let (sender, receiver) = mpsc::channel(16);
    let follower = Follower { connection, record, container, sender: sender.clone(), away: None, trouble: None };
    let work = async move {
        let end = follower.follow(found).await;
        let _ = sender.send(end.map(JobEvent::Ended)).await;
    };
    let told = stream::unfold(receiver, |mut told| async move { Some((told.recv().await?, told)) });
    stream::select(told, stream::once(work).filter_map(|()| futures::future::ready(None))).boxed()
}

struct Follower {
    connection: Connection,
    record: Record,
    container: String,
    sender: mpsc::Sender<Result<JobEvent, PlatformError>>,
    /// Since when nothing answers.
    away: Option<Instant>,
    /// What keeps it from running, and since when.
    trouble: Option<(String, Instant)>,
}

/// What a look finds.
struct Seen {
    live: Live,
    pod: Option<Pod>,
}

impl Follower {
    async fn follow(mut self, found: bool) -> Result<JobEnd, PlatformError> {
        self.tell(JobEvent::Started { instance: self.record.name.clone(), found }).await;
        let mut log: Option<ContainerLog> = None;
        let mut lines = stream::empty().boxed();
        let mut goes_on = false;
        let end = loop {
            let Some(seen) = self.look().await? else {
                break JobEnd::Failed { why: "its Job was removed while it ran".to_owned() };
            };
            let started = seen.pod.as_ref().filter(|pod| has_started(pod, &self.container));
            if let Some(pod) = started {
                let log = log.get_or_insert_with(|| self.log_of(&pod.metadata.name));
                if !goes_on && pod.container(&self.container).is_some_and(|status| status.state.running.is_some()) {
                    (lines, goes_on) = (log.follow(), true);
                }
            }
            if let Some(end) = seen.live.end(seen.pod.as_ref(), &self.container) {
                break if log.is_none() { self.why_it_never_ran(end) } else { end };
            }
            // The pod of one whose time is over goes before the Job says so.
            if log.is_none()
                && !seen.live.is_ending()
                && let Some(why) = self.never_starts(&seen).await
            {
                break self.give_up(&seen.live, why).await?;
            }
            // Lines until the next look.
            let next = tokio::time::sleep(LOOK);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    line = lines.next(), if goes_on => match line {
                        Some(Ok(line)) => self.tell_line(line).await,
                        // It ended, or broke: the rest is read when it has ended, or it is followed again.
                        Some(Err(_)) | None => goes_on = false,
                    },
                    () = &mut next => break,
                }
            }
        };
        drop(lines);
        if let Some(log) = log {
            let mut rest = log.rest();
            while let Some(line) = rest.next().await {
                self.tell_line(line?).await;
            }
        }
        Ok(end)
    }

    fn log_of(&self, pod: &str) -> ContainerLog {
        ContainerLog::of(&self.connection, &self.record.namespace, pod, &self.container, &self.record.name)
    }

    /// The Job and its pod. None where it is gone. A server that restarts is back in a moment.
    async fn look(&mut self) -> Result<Option<Seen>, PlatformError> {
        loop {
            match self.read().await {
                Ok(seen) => {
                    self.away = None;
                    return Ok(seen);
                }
                Err(error) if error.kind.is_transient() && self.away.get_or_insert_with(Instant::now).elapsed() < AWAY => {
                    tracing::debug!(%error, "a job was not read");
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read(&self) -> Result<Option<Seen>, PlatformError> {
        let Some(live) = find(&self.connection, &self.record).await? else { return Ok(None) };
        let selector = format!("batch.kubernetes.io/job-name={}", self.record.name);
        let found = pods::selected(&self.connection, &self.record.namespace, &selector).await;
        let found = found.map_err(|failure| failure.error(format!("looking for the pod of the job {}", self.record.name)))?;
        let pod = found.into_iter().find(|pod| pod.metadata.controller().is_some_and(|owner| owner.uid == live.metadata.uid));
        Ok(Some(Seen { live, pod }))
    }

    /// Why it will not begin, once that has been so for a while.
    async fn never_starts(&mut self, seen: &Seen) -> Option<String> {
        let (status, why) = match &seen.pod {
            Some(pod) => match health::trouble(pod) {
                Some((status, why)) => (status, Some(why)),
                None => (Status::Progressing, None),
            },
            // Nothing made a pod of it: a quota, or a rule of the namespace.
            None => {
                let warnings = health::warnings(&self.connection, &self.record.namespace, &seen.live.metadata.uid).await;
                (Status::Progressing, warnings.into_iter().next())
            }
        };
        let Some(why) = why else {
            self.trouble = None;
            return None;
        };
        let since = self.trouble.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        self.trouble = Some((why.clone(), since));
        (status == Status::Failed || since.elapsed() >= GIVE_UP).then_some(why)
    }

    /// Writes down that it never ran, and keeps it from running: whoever asks later hears the same.
    async fn give_up(&self, live: &Live, why: String) -> Result<JobEnd, PlatformError> {
        let stop = json!({ "metadata": { "annotations": { GIVEN_UP: why } }, "spec": { "suspend": true } });
        let stopped = patch(&self.connection, &self.record, live, &stop).await;
        stopped.map_err(|failure| failure.error(format!("giving up the job {}", self.record.name)))?;
        Ok(JobEnd::Failed { why })
    }

    /// Time that was over before it ever ran has a reason.
    fn why_it_never_ran(&self, end: JobEnd) -> JobEnd {
        match (end, &self.trouble) {
            (JobEnd::TimedOut, Some((why, _))) => JobEnd::Failed { why: why.clone() },
            (end, _) => end,
        }
    }

    async fn tell(&self, event: JobEvent) {
        // Nobody who does not listen needs to be told.
        let _ = self.sender.send(Ok(event)).await;
    }

    async fn tell_line(&self, line: LogLine) {
        self.tell(JobEvent::Line(line)).await;
    }
}

fn has_started(pod: &Pod, container: &str) -> bool {
    pod.container(container).is_some_and(|status| status.state.running.is_some() || status.state.terminated.is_some())
}
