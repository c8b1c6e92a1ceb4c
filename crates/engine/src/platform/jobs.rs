//! Running a command to its end, once: apart, so that the contract for a deployment stays small. See `docs/design/jobs.md`.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use super::{ApplyContext, LogLine, PlatformError, TranslatedApp};
use crate::desired::name::Name;
use crate::desired::text::Text;

/// Runs jobs. An implementer guarantees:
///
/// 1. **Once.** While a job of a key is there, running or ended, `run` with that key starts no other one, whichever
///    process asks.
/// 2. **The end stays.** An ended job is there until [`remove`](Jobs::remove), so that a caller who died before writing
///    down how it ended can ask again.
/// 3. **Only ours.** What has the job's live name and not its owner's mark is neither taken for it nor removed.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Starts a job, or finds it as it is, and tells what happens to it until it has ended.
    ///
    /// Dropping the stream lets go of the job, which goes on.
    async fn run(&self, job: &JobRequest<'_>, context: &ApplyContext<'_>) -> Result<JobEvents, PlatformError>;

    /// Removes a job with everything that was made for it; one that runs is stopped. That there is none is a success.
    async fn remove(&self, app: &Name, key: &str) -> Result<(), PlatformError>;
}

/// What happens in the order in which it happens: at last [`JobEvent::Ended`], or an error.
pub type JobEvents = BoxStream<'static, Result<JobEvent, PlatformError>>;

/// What is run.
pub struct JobRequest<'a> {
    /// Which piece of work this is. The same key is the same work: what it depends on (the revision, the schedule's time)
    /// is part of it. Any text.
    pub key: &'a str,
    /// The app whose image, environment variables and files it has.
    pub app: &'a TranslatedApp<'a>,
    /// The program and its arguments, instead of the app's own. The image's own where it is empty.
    pub command: &'a [Text],
    /// It is stopped when it has run for this long, counted from its start, also when it is found again.
    pub timeout: Duration,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEvent {
    /// It was started, or found.
    Started {
        /// The platform's name for what runs it.
        instance: String,
        /// It was there already: running or ended.
        found: bool,
    },
    /// It wrote a line. Of a job that was found these are all its lines, from the first on.
    Line(LogLine),
    /// It ended, and all its lines are told.
    Ended(JobEnd),
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Its program ended with this exit code.
    Exited(i64),
    /// It was stopped because its time was over.
    TimedOut,
    /// It never ran, or the platform ended it.
    Failed {
        /// What the platform says about it.
        why: String,
    },
    /// The caller asked to stop; it is removed.
    Cancelled,
}

impl JobEnd {
    /// Whether it did what it should.
    pub fn is_success(&self) -> bool {
        *self == Self::Exited(0)
    }
}

/// Runs a job to its end, and tells on the way. When it is cancelled, the job is stopped and removed.
///
/// The job that ended is still there: write down how, then [`Jobs::remove`] it. A crash between the two repeats nothing.
///
/// # Errors
/// Where the platform fails. The job may then still run; the same call with the same key finds it.
pub async fn run_to_end(
    jobs: &dyn Jobs,
    job: &JobRequest<'_>,
    context: &ApplyContext<'_>,
    cancel: &CancellationToken,
    mut tell: impl FnMut(&JobEvent),
) -> Result<JobEnd, PlatformError> {
    let work = async {
        let mut events = jobs.run(job, context).await?;
        while let Some(event) = events.next().await {
            let event = event?;
            tell(&event);
            if let JobEvent::Ended(end) = event {
                return Ok(end);
            }
        }
        let attempted = format!("running a job of {}", job.app.name);
        Err(PlatformError::new(super::PlatformErrorKind::Internal, attempted, "the platform did not tell how it ended"))
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        end = work => return end,
    }
    jobs.remove(job.app.name, job.key).await?;
    Ok(JobEnd::Cancelled)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use futures::stream;
    use indexmap::IndexMap;

    use super::*;
    use crate::desired::owner::{Marks, Owner};
    use crate::manifest::schema::App;

    /// Says what it was told to say, and remembers what was removed.
    struct Scripted {
        events: Vec<JobEvent>,
        goes_on: bool,
        removed: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Jobs for Scripted {
        async fn run(&self, _: &JobRequest<'_>, _: &ApplyContext<'_>) -> Result<JobEvents, PlatformError> {
            let events = stream::iter(self.events.clone().into_iter().map(Ok));
            Ok(if self.goes_on { events.chain(stream::pending()).boxed() } else { events.boxed() })
        }

        async fn remove(&self, app: &Name, key: &str) -> Result<(), PlatformError> {
            self.removed.lock().unwrap().push(format!("{app} {key}"));
            Ok(())
        }
    }

    /// Runs the job `migrate` of the app `web`; it is cancelled at its first line where that is asked for.
    async fn run(jobs: &Scripted, cancel_at_line: bool) -> (Result<JobEnd, PlatformError>, usize) {
        let name = Name::new("web").unwrap();
        let owner = Owner { project: "p".into(), environment: name.clone() };
        let marks = Marks { owner, app: name.clone(), protect: false, revision: None, specification: None };
        let (app, env, files, moved) = (App::default(), IndexMap::new(), IndexMap::new(), BTreeMap::new());
        let app = TranslatedApp {
            project: &name,
            name: &name,
            environment: &name,
            marks: &marks,
            app: &app,
            env: &env,
            files: &files,
            native: None,
            moved_from: &moved,
        };
        let job = JobRequest { key: "migrate", app: &app, command: &[], timeout: Duration::from_secs(1) };
        let (secrets, attributes) = Default::default();
        let context = ApplyContext { secrets: &secrets, attributes: &attributes, revision: None, given_up: &CancellationToken::new() };
        let cancel = CancellationToken::new();
        let mut told = 0;
        let end = run_to_end(jobs, &job, &context, &cancel, |event| {
            told += 1;
            if cancel_at_line && matches!(event, JobEvent::Line(_)) {
                cancel.cancel();
            }
        });
        let end = end.await;
        (end, told)
    }

    fn line() -> JobEvent {
        JobEvent::Line(LogLine { instance: "web-1".into(), line: "done".into() })
    }

    #[tokio::test]
    async fn an_end_is_told_and_leaves_the_job_there() {
        let jobs = Scripted { events: vec![line(), JobEvent::Ended(JobEnd::Exited(3))], goes_on: false, removed: Mutex::default() };
        let (end, told) = run(&jobs, false).await;
        assert_eq!((end.unwrap(), told), (JobEnd::Exited(3), 2));
        assert!(jobs.removed.lock().unwrap().is_empty(), "whoever wrote the end down removes it");
    }

    #[tokio::test]
    async fn a_cancelled_job_is_removed() {
        let jobs = Scripted { events: vec![line()], goes_on: true, removed: Mutex::default() };
        let (end, _) = run(&jobs, true).await;
        assert_eq!(end.unwrap(), JobEnd::Cancelled);
        assert_eq!(*jobs.removed.lock().unwrap(), ["web migrate"]);
    }

    #[tokio::test]
    async fn a_platform_that_tells_no_end_is_an_error() {
        let jobs = Scripted { events: vec![line()], goes_on: false, removed: Mutex::default() };
        assert!(run(&jobs, false).await.0.is_err());
    }
}
