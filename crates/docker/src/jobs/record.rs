//! What a job is called, and whose it is.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use stratos_engine::desired::name::{Name, live_name};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use crate::config::EnvironmentConfig;
use crate::labels;

/// The key of a job.
const JOB: &str = "stratos.job";
/// The app that it is of. Not the label of an app's own objects: a job is none of those that a plan looks at.
const JOB_APP: &str = "stratos.job.app";

/// The longest name that everything of the engine may have.
const NAME_LIMIT: usize = 54;

/// A job's live name and its labels.
pub(super) struct Record {
    pub name: String,
    pub labels: HashMap<String, String>,
}

impl Record {
    pub(super) fn of(config: &EnvironmentConfig, app: &Name, key: &str) -> Self {
        let hash: String = Sha256::digest(key.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let name = live_name(&config.prefix, app, Some(&format!("job-{hash}")), NAME_LIMIT);
        let mut labels = labels::of_owner(&config.owner);
        labels.extend([(JOB.to_owned(), key.to_owned()), (JOB_APP.to_owned(), app.to_string())]);
        Self { name, labels }
    }

    /// Whether what has the job's name is this job.
    pub(super) fn check(&self, labels: Option<&HashMap<String, String>>, what: &str) -> Result<(), PlatformError> {
        if self.labels.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value)) {
            return Ok(());
        }
        let attempted = format!("looking for the job {}", self.name);
        let why = format!("there is a {what} of that name that is not this job");
        Err(PlatformError::new(PlatformErrorKind::Rejected, attempted, why).with_hint(format!("rename or remove the {what} {}", self.name)))
    }

    /// Filters for a list of what was made for it.
    pub(super) fn filters(&self) -> HashMap<String, Vec<String>> {
        [("label".to_owned(), self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect())].into()
    }
}
