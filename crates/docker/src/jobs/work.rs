//! What a job runs, with all values filled in. They may be secret: it is never printed.

use std::time::Duration;

use stratos_engine::desired::document::DocumentBuilder;
use stratos_engine::platform::jobs::JobRequest;
use stratos_engine::platform::{ApplyContext, PlatformError, PlatformErrorKind, TranslatedApp};
use zeroize::Zeroizing;

use super::record::Record;
use crate::config::EnvironmentConfig;
use crate::container::resources::Amount;
use crate::container::{self, Container, resources};

/// A job, ready to be started.
pub(super) struct Work {
    pub record: Record,
    pub image: String,
    pub container: Container,
    pub limits: Amount,
    pub files: Vec<File>,
    pub timeout: Duration,
}

/// A file that the job finds.
pub(super) struct File {
    pub path: String,
    pub content: Zeroizing<String>,
    pub mode: u32,
}

impl Work {
    pub(super) fn of(config: &EnvironmentConfig, job: &JobRequest<'_>, context: &ApplyContext<'_>) -> Result<Self, PlatformError> {
        let record = Record::of(config, job.app.name, job.key);
        let refused = |why: String| PlatformError::new(PlatformErrorKind::Rejected, format!("preparing the job {}", record.name), why);
        let mut app = job.app.app.clone();
        app.command = (!job.command.is_empty()).then(|| job.command.to_vec());
        // It is not asked whether it is healthy: it ends.
        app.health = None;
        let app = TranslatedApp { app: &app, ..*job.app };
        let mut document = DocumentBuilder::default();
        container::app::write(&app, &mut document);
        let document = document.build();
        let container = Container::read(&document, &container::whole(context)).map_err(refused)?;
        let (limits, _) = resources::read(&document).map_err(refused)?;
        let Some(image) = container.image.as_ref().map(ToString::to_string) else {
            return Err(refused("the app has no image".to_owned()).with_hint("a job runs in the image of its app"));
        };
        let file = |(path, file): (&String, &stratos_engine::platform::FileContent)| {
            let content = context.resolve(&file.content).map_err(|error| refused(format!("{path}: {error}")))?;
            Ok(File { path: path.clone(), content, mode: file.mode })
        };
        let files = job.app.files.iter().map(file).collect::<Result<_, PlatformError>>()?;
        Ok(Self { record, image, container, limits, files, timeout: job.timeout })
    }
}
