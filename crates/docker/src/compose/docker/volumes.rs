//! `volumes` of a project: each is a resource of its own, which outlives containers.

use stratos_engine::desired::document::{Document, DocumentBuilder};

use crate::compose::at::{At, Check};
use crate::compose::service::texts;

/// What a volume of the project is. It says its own name: a volume of an app's portable part does not.
pub(super) fn document(live: &str, at: Option<&At<'_>>, check: &Check<'_, '_>) -> Document {
    let mut out = DocumentBuilder::default();
    out.text(["name"], live);
    if let Some(volume) = at.filter(|volume| check.table(volume)) {
        check.known(volume, &["driver", "driver_opts", "external", "labels", "name"]);
        if let Some(driver) = volume.get("driver").and_then(|at| check.plain(&at)).filter(|driver| driver != "local") {
            out.text(["driver"], &driver);
        }
        for key in ["driver_opts", "labels"] {
            volume.get(key).into_iter().for_each(|at| texts(&at, &[key], check, &mut out));
        }
    }
    out.build()
}
