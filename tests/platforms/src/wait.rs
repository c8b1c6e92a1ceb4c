//! Waiting for servers and processes, which say nothing when they are done.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The shortest and the longest pause between two looks. In between, it is a quarter of the time that has passed.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(160));

/// A look, and the thing that it finds.
pub trait Look {
    /// The thing that is looked for.
    type Found;

    /// The thing that is looked for, or words for what is there instead.
    ///
    /// # Errors
    /// When it is not there yet.
    fn found(self) -> Result<Self::Found, String>;
}

impl Look for bool {
    type Found = ();

    fn found(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "it is not so".to_owned())
    }
}

impl<T> Look for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| "it is not there".to_owned())
    }
}

impl<T, E: Display> Look for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|instead| instead.to_string())
    }
}

/// How long to wait until the next look at something that was first looked at then.
#[track_caller]
fn pause(limit: Duration, what: &str, began: Instant, instead: &str) -> Duration {
    let passed = began.elapsed();
    assert!(passed < limit, "not within {limit:?}: {what}: {instead}");
    (passed / 4).clamp(PAUSES.0, PAUSES.1)
}

/// Looks until what is looked for is there, and returns it.
///
/// # Panics
/// When it is not there after [`PATIENCE`].
#[track_caller]
pub fn eventually<L: Look>(what: &str, look: impl FnMut() -> L) -> L::Found {
    eventually_within(PATIENCE, what, look)
}

/// The same, for something that may take another time.
///
/// # Panics
/// When it is not there after `limit`.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "this is the condition with a deadline, for tests that have no runtime")]
pub fn eventually_within<L: Look>(limit: Duration, what: &str, mut look: impl FnMut() -> L) -> L::Found {
    let began = Instant::now();
    loop {
        match look().found() {
            Ok(found) => return found,
            Err(instead) => std::thread::sleep(pause(limit, what, began, &instead)),
        }
    }
}

/// The same, for a look that waits for answers.
///
/// # Panics
/// When it is not there after [`PATIENCE`].
pub async fn eventually_async<F>(what: &str, mut look: impl FnMut() -> F) -> <F::Output as Look>::Found
where
    F: Future<Output: Look>,
{
    let began = Instant::now();
    loop {
        match look().await.found() {
            Ok(found) => return found,
            Err(instead) => tokio::time::sleep(pause(PATIENCE, what, began, &instead)).await,
        }
    }
}
