//! One call that writes. The only caller of [`Platform::apply`].

use std::sync::Arc;
use std::time::Duration;

use crate::plan::change::Change;
use crate::platform::{ApplyContext, Outcome, Platform, PlatformError};
use crate::render::secret::{Attributes, Secrets};
use crate::retry::Retry;

/// What one call needs; it lives as long as the call.
pub struct Write<'a> {
    /// The platform.
    pub platform: Arc<dyn Platform>,
    /// The changes that the call carries.
    pub batch: Vec<&'a Change>,
    /// The values of secrets.
    pub secrets: &'a Secrets,
    /// The attributes that the changes refer to.
    pub attributes: Attributes,
    /// The manifest's revision.
    pub revision: Option<&'a str>,
}

impl Write<'_> {
    /// Writes, and repeats what failed for a moment or whose answer was lost: the fence sees what has happened already.
    pub async fn run(self, retrying: impl Fn(&Change, &PlatformError, Duration)) -> Vec<Outcome> {
        let context = ApplyContext { secrets: self.secrets, attributes: &self.attributes, revision: self.revision };
        let mut outcomes: Vec<Option<Outcome>> = self.batch.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..self.batch.len()).collect();
        let mut retry = Retry::default();
        while !left.is_empty() {
            let batch: Vec<&Change> = left.iter().map(|i| self.batch[*i]).collect();
            let mut again: Option<PlatformError> = None;
            let mut repeated = Vec::new();
            for (i, outcome) in left.iter().copied().zip(self.platform.apply(&batch, &context).await) {
                match &outcome {
                    Outcome::Failed(error) | Outcome::Unknown(error) if error.kind.is_transient() => {
                        again = Some(error.clone());
                        repeated.push(i);
                    }
                    _ => {}
                }
                outcomes[i] = Some(outcome);
            }
            let Some(error) = again else { break };
            let tell = |error: &PlatformError, wait| repeated.iter().for_each(|i| retrying(self.batch[*i], error, wait));
            if retry.after(error, tell).await.is_err() {
                break;
            }
            left = repeated;
        }
        let unanswered =
            || PlatformError::new(crate::platform::PlatformErrorKind::Internal, "applying", "the platform gave no answer for this change");
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Outcome::Unknown(unanswered()))).collect()
    }
}
