//! The conformance suite: what every platform guarantees, checked through the main path alone.
//!
//! A platform implements [`Subject`] (an environment of it that a test may do anything to) and adds one line:
//!
//! ```text
//! stratos_engine::contract_suite!(memory: MemorySubject);
//! ```
//!
//! Each case is its own `#[test]`. A case plans and applies manifests as a user would, and ends with the law that matters
//! most: plan again, and there is nothing to do. What a platform cannot be made to do (a value that nobody can edit by
//! hand) it says with a reason, and the case prints that instead of passing it over in silence.

#![allow(clippy::disallowed_macros, reason = "a test suite speaks through the test's output, and is in no program")]

pub mod crash;
pub mod fields;
pub mod health;
pub mod live;
pub mod ownership;
pub mod plans;
pub mod secrets;
pub mod stage;
mod suite;

use std::sync::Arc;

use async_trait::async_trait;

use super::{Field, Support};
use crate::deploy::Connector;
use crate::desired::document::Leaf;
use crate::desired::path::Path;
use crate::desired::resource::ResourceId;
use crate::plan::Plan;

/// One environment of a platform, made for one test.
#[async_trait]
pub trait Subject: Send + Sync + Sized + 'static {
    /// The platform's word, for what is printed.
    const NAME: &'static str;

    /// Whether applies are killed after each of their calls too, and not only before each and after the last: see `crash`.
    const KILLED_AFTER_EACH_CALL: bool = false;

    /// What the case runs on. A platform without a clock of its own takes one whose time is paused.
    fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
    }

    /// An environment with nothing in it.
    async fn fresh() -> Self;

    /// Ends what [`Subject::fresh`] began, also after a case that failed.
    async fn clean_up(&self) {}

    /// The project's id. Subjects that share one server each have their own.
    fn project(&self) -> String {
        "k3v9q2xw".to_owned()
    }

    /// How long a roll-out that does not work is waited for: longer than one that works takes here on a busy machine.
    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(4)
    }

    /// The lines of `[environments.dev]`: `platform = "…"`, and what it takes to reach this very environment.
    fn environment(&self) -> Vec<String>;

    /// A new connection each time that it is called, as another process would make it.
    fn connector(&self) -> Arc<dyn Connector>;

    /// What the platform makes of a field.
    fn support(&self, field: Field) -> Support;

    /// The lines of an app that behaves like this here: `image = "…"`, `command = […]`. It has a port `http`, which is
    /// declared beside the body.
    fn body(&self, body: Body) -> Vec<String>;

    /// A port that can be published now.
    fn free_port(&self) -> u16;

    /// Lets another program have a port that is published.
    async fn take_port(&self, port: u16) -> Edited;

    /// Changes one leaf of a live object by hand, as an administrator would, past Stratos. None removes it.
    async fn edit(&self, id: &ResourceId, path: &Path, leaf: Option<&Leaf>) -> Edited;

    /// Makes an object that is not ours and has this id.
    async fn make_foreign(&self, id: &ResourceId) -> Edited;

    /// Makes an object unreadable until [`Subject::reveal`].
    async fn hide(&self, id: &ResourceId) -> Edited;

    /// Makes everything readable again.
    async fn reveal(&self);

    /// Cuts the platform off, so that nothing can be asked of it, until [`Subject::reconnect`].
    async fn cut_off(&self) -> Edited {
        Edited::NotPossible("there is no network between this platform and us".into())
    }

    /// Makes the platform reachable again.
    async fn reconnect(&self) {}

    /// Applies a plan in a process that is killed at its call number `call` (from 0), before or after the call takes
    /// effect; and waits until nothing of that process is left, its lease included.
    async fn apply_and_crash(&self, plan: &Plan, secrets: &stage::KnownValues, call: usize, when: When) -> Crash;

    /// Everything that someone who may look at the platform, but may not read secrets, can see of it.
    async fn dump(&self) -> String;

    /// A field of an app as another client than ours reads it (`kubectl`, `docker inspect`, `/proc`). The error says why none
    /// reads it here.
    ///
    /// | fields | value |
    /// |---|---|
    /// | `replicas`, `rollout.max_surge` | number |
    /// | `ports`, `ports.publish` | list of numbers |
    /// | `env` | map from name to text |
    /// | `files`, `files.mode` | map from path to content, and from path to four octal digits |
    /// | `health.http` | the path |
    /// | `resources.cpu_limit`, `resources.memory` | thousandths of a CPU; bytes |
    /// | `volumes` | list of the paths in the app |
    async fn read(&self, app: &str, field: Field) -> Result<serde_json::Value, String>;

    /// What can be seen of one object, for telling whether it was touched; None where there is none.
    async fn state(&self, id: &ResourceId) -> Option<String>;
}

/// How an app behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// It works, answers `GET /healthz` with 200 on its port `http`, and listens there. Versions differ in the image
    /// where the platform has images, and in the command elsewhere.
    Web(u32),
    /// The same; versions differ in the command alone.
    WebByCommand(u32),
    /// It runs, and `GET /healthz` fails.
    NeverHealthy,
    /// It ends right after each start.
    CrashLoop,
    /// Its image or its program does not exist.
    Missing,
    /// It never starts, and the platform never gives up: no room, a stuck dependency. None where that cannot be made.
    NeverSettles,
}

/// Whether a subject could do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// It did.
    Done,
    /// It cannot be done on this platform, because of this.
    NotPossible(String),
}

/// When a process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before its call has an effect.
    Before,
    /// After its call has had its effect, before it hears of it.
    After,
}

/// What came of a run that was to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// It was killed at the call.
    Crashed,
    /// It made fewer calls, and ended by itself.
    Finished,
}

/// Runs one case against a fresh environment. For [`contract_suite!`](crate::contract_suite).
///
/// # Panics
/// When the case fails, or the runtime cannot be made.
pub fn run<S: Subject>(case: impl AsyncFnOnce(&S)) {
    let runtime = S::runtime().unwrap_or_else(|error| panic!("no runtime for {}: {error}", S::NAME));
    runtime.block_on(async {
        let subject = S::fresh().await;
        let guarded = std::panic::AssertUnwindSafe(case(&subject));
        let result = futures::FutureExt::catch_unwind(guarded).await;
        subject.clean_up().await;
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}
