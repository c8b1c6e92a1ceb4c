//! One call that writes. The only caller of [`Platform::apply`].

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::plan::change::{Action, Change};
use crate::platform::{ApplyContext, Outcome, Platform, PlatformError, PlatformErrorKind};
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
    /// Cancelled when the run is given up: nothing is repeated any more, and the platform waits for nothing more.
    pub given_up: CancellationToken,
    /// Cancelled when the time for last words is over: nothing is waited for at all.
    pub cut_off: CancellationToken,
}

impl Write<'_> {
    /// Writes, and repeats what failed for a moment or whose answer was lost: the fence sees what has happened already.
    pub async fn run(self, retrying: impl Fn(&Change, &PlatformError, Duration)) -> Vec<Outcome> {
        let context =
            ApplyContext { secrets: self.secrets, attributes: &self.attributes, revision: self.revision, given_up: &self.given_up };
        let mut outcomes: Vec<Option<Outcome>> = self.batch.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..self.batch.len()).collect();
        let mut lost = vec![false; self.batch.len()];
        let mut retry = Retry::default();
        while !left.is_empty() {
            let batch: Vec<&Change> = left.iter().map(|i| self.batch[*i]).collect();
            // What came of the attempt before says nothing about one that does not answer.
            left.iter().for_each(|i| outcomes[*i] = None);
            let answers = tokio::select! {
                answers = self.platform.apply(&batch, &context) => answers,
                () = self.cut_off.cancelled() => break,
            };
            let mut again: Option<PlatformError> = None;
            let mut repeated = Vec::new();
            for (i, outcome) in left.iter().copied().zip(answers) {
                if let Some(error) = repeatable(self.batch[i], &outcome) {
                    again = Some(error.clone());
                    repeated.push(i);
                }
                lost[i] |= matches!(outcome, Outcome::Unknown(_));
                // An attempt that wrote nothing says nothing about an earlier one whose answer was lost.
                outcomes[i] = Some(match outcome {
                    Outcome::Failed(error) if lost[i] && error.kind.is_transient() => Outcome::Unknown(error),
                    outcome => outcome,
                });
            }
            let Some(error) = again else { break };
            let tell = |error: &PlatformError, wait| repeated.iter().for_each(|i| retrying(self.batch[*i], error, wait));
            let goes_on = tokio::select! {
                biased;
                () = self.given_up.cancelled() => false,
                waited = retry.after(error, tell) => waited.is_ok(),
            };
            if !goes_on {
                break;
            }
            left = repeated;
        }
        let unanswered = || {
            let why = "it was still under way when the run was given up, and the platform had not said what came of it";
            PlatformError::new(PlatformErrorKind::Internal, "applying", why)
        };
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Outcome::Unknown(unanswered()))).collect()
    }
}

/// Why a change is worth another attempt, where it is safe: what was not written, or what its fence recognizes as written.
/// A restart leaves nothing that a fence could recognize.
fn repeatable<'a>(change: &Change, outcome: &'a Outcome) -> Option<&'a PlatformError> {
    match outcome {
        Outcome::Failed(error) if error.kind.is_transient() => Some(error),
        Outcome::Unknown(error) if error.kind.is_transient() && change.action != Action::Restart => Some(error),
        _ => None,
    }
}
