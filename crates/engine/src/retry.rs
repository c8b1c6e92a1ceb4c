//! Repeating what is safe to repeat: full-jitter exponential back-off, bounded, `Retry-After` honoured.

use std::time::Duration;

use crate::platform::PlatformError;

/// How often a call is repeated after a transient failure.
const ATTEMPTS: u32 = 6;
/// The first wait is up to this long.
const BASE: Duration = Duration::from_millis(100);
/// No wait is longer, also when the platform asks for it: the caller's deadline is the better judge.
const LONGEST: Duration = Duration::from_secs(30);

/// Counts the failures of one call.
#[derive(Debug, Default)]
pub struct Retry {
    failures: u32,
}

impl Retry {
    /// Waits before the next attempt; returns the error where there is none, because it is not transient or because
    /// there were enough. `waiting` is told before the wait.
    pub async fn after(&mut self, error: PlatformError, waiting: impl FnOnce(&PlatformError, Duration)) -> Result<(), PlatformError> {
        self.failures += 1;
        if !error.kind.is_transient() || self.failures >= ATTEMPTS {
            return Err(error);
        }
        let wait = error.retry_after.unwrap_or_else(|| jitter(self.failures)).min(LONGEST);
        waiting(&error, wait);
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Between nothing and the full back-off, so that many clients do not come back at once.
fn jitter(failures: u32) -> Duration {
    let most = BASE.saturating_mul(1 << failures.min(10)).min(LONGEST);
    most.mul_f64(rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::PlatformErrorKind;

    fn error(kind: PlatformErrorKind) -> PlatformError {
        PlatformError::new(kind, "listing", "no")
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_transient_is_not_repeated() {
        let mut retry = Retry::default();
        assert!(retry.after(error(PlatformErrorKind::Rejected), |_, _| {}).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_in_the_end_and_never_waits_longer_than_the_bound() {
        let mut retry = Retry::default();
        let mut waits = Vec::new();
        while retry.after(error(PlatformErrorKind::Unreachable), |_, wait| waits.push(wait)).await.is_ok() {}
        assert_eq!(waits.len() as u32, ATTEMPTS - 1);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
    }

    #[tokio::test(start_paused = true)]
    async fn the_platform_says_how_long() {
        let throttled = PlatformError { retry_after: Some(Duration::from_secs(7)), ..error(PlatformErrorKind::Throttled) };
        let mut waited = None;
        Retry::default().after(throttled, |_, wait| waited = Some(wait)).await.unwrap();
        assert_eq!(waited, Some(Duration::from_secs(7)));
    }
}
