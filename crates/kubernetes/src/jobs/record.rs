//! What a job is called, and whose it is.

use sha2::{Digest as _, Sha256};
use stratos_engine::desired::name::Name;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use crate::config::EnvironmentConfig;
use crate::marks::{self, Map};
use crate::pods::Meta;

/// Label: which job, as its name says it. An annotation of the same name holds the key, which may be any text.
const JOB: &str = "stratos/job";
/// Label: the app that it is of. Not the label of an app's own objects: a job is none of those that a plan looks at.
const JOB_APP: &str = "stratos/job-app";
/// Annotation: why it was given up before it ran.
pub(super) const GIVEN_UP: &str = "stratos/job-given-up";

/// The name of a job must fit into a label of its pods, which are named after it.
const NAME_LIMIT: usize = 57;

/// A job's live name and its labels.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) labels: Map,
    pub(super) annotations: Map,
}

/// The name of an app's job, and of everything that is made for it.
pub(crate) fn name(config: &EnvironmentConfig, app: &Name, key: &str) -> String {
    let owner = &config.owner;
    // Several environments may share a namespace.
    let words = [&*owner.project, &owner.environment, app, key].join("\0");
    let hash: String = Sha256::digest(words.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let ending = format!("-job-{hash}");
    let app: String = app.chars().take(NAME_LIMIT - ending.len()).collect();
    format!("{}{ending}", app.trim_end_matches('-'))
}

impl Record {
    pub(super) fn of(config: &EnvironmentConfig, app: &Name, key: &str) -> Self {
        let name = name(config, app, key);
        let mut labels = marks::labels_of_owner(&config.owner);
        labels.extend([(JOB.to_owned(), name.clone()), (JOB_APP.to_owned(), app.to_string())]);
        let annotations = [(JOB.to_owned(), key.to_owned())].into();
        Self { namespace: config.namespace.clone(), name, labels, annotations }
    }

    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.collection("/apis/batch/v1", "jobs"), self.name)
    }

    pub(super) fn collection(&self, version: &str, plural: &str) -> String {
        format!("{version}/namespaces/{}/{plural}", crate::query::segment(&self.namespace))
    }

    /// Whether what has the job's name is this job.
    pub(super) fn check(&self, live: &Meta) -> Result<(), PlatformError> {
        let has = |wanted: &Map, is: &Map| wanted.iter().all(|(key, value)| is.get(key) == Some(value));
        if has(&self.labels, &live.labels) && has(&self.annotations, &live.annotations) {
            return Ok(());
        }
        let why = "there is a Job of that name that is not this job";
        let error = PlatformError::new(PlatformErrorKind::Rejected, format!("looking for the job {}", self.name), why);
        Err(error.with_hint(format!("rename or remove the Job {} in the namespace {}", self.name, self.namespace)))
    }
}

#[cfg(test)]
mod tests {
    use stratos_engine::desired::owner::Owner;

    use super::*;

    fn config(project: &str) -> EnvironmentConfig {
        let environment = Name::new("dev").unwrap();
        EnvironmentConfig {
            owner: Owner { project: project.into(), environment: environment.clone() },
            environment,
            namespace: "shop".into(),
            create_namespace: true,
            force_conflicts: false,
            watch: 0,
        }
    }

    #[test]
    fn a_key_has_one_name_and_fits() {
        let web = Name::new("web").unwrap();
        let one = name(&config("p"), &web, "migrate 1");
        assert_eq!(one, name(&config("p"), &web, "migrate 1"));
        assert!(one.starts_with("web-job-"), "{one}");
        for other in [name(&config("q"), &web, "migrate 1"), name(&config("p"), &web, "migrate 2")] {
            assert_ne!(one, other);
        }
        let long = Name::new(&"x".repeat(40)).unwrap();
        assert!(name(&config("p"), &long, "k").len() <= NAME_LIMIT);
    }

    #[test]
    fn only_what_carries_its_marks_is_it() {
        let record = Record::of(&config("p"), &Name::new("web").unwrap(), "any text: ü");
        assert!(record.check(&Meta::default()).is_err());
        let ours = Meta { labels: record.labels.clone(), annotations: record.annotations.clone(), ..Meta::default() };
        assert!(record.check(&ours).is_ok());
        let other = Meta { annotations: Map::new(), ..ours };
        assert!(record.check(&other).is_err());
    }
}
