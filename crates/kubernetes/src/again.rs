//! Repeats a request that failed for a moment, where it is not the cluster as a whole that does not answer.

use std::time::Duration;

use crate::failure::Failure;

/// So often it is sent.
const ATTEMPTS: u32 = 5;
/// The first wait; each one is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(100);

/// The answer of a request, which is repeated while another answer may come.
pub(crate) async fn again<T, F: Future<Output = Result<T, Failure>>>(request: impl Fn() -> F) -> Result<T, Failure> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match request().await {
            Err(failure) if failure.may_pass() => tokio::time::sleep(pause).await,
            answer => return answer,
        }
        pause *= 2;
    }
    request().await
}
