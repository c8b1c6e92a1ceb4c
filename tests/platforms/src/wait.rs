//! Waiting for servers, which say nothing when they are done.

use std::time::{Duration, Instant};

/// Looks until what is looked for is there, and returns it. A look that fails says what was there instead.
///
/// # Panics
/// When it is not there within the time.
#[expect(clippy::disallowed_methods, reason = "this is the condition with a deadline, for tests that have no runtime")]
pub fn eventually<T>(limit: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => assert!(Instant::now() < deadline, "not within {limit:?}: {instead}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
