//! With `--app`: what the other apps of the manifest declare. An object may have moved from one app's files to another's, and still
//! carry the first one's label.

use std::collections::BTreeSet;

use super::read::ComparedEnvironment;
use super::select::{self, Connected};
use super::{PlanError, Request};
use crate::compare::Difference;
use crate::desired::name::Name;
use crate::desired::{Others, made_twice, others};
use crate::manifest::diagnostic::Report;
use crate::plan::change::is_owner_app;
use crate::render::{Rendered, native};

/// Finds out what the other apps declare, where something would be deleted, or would be taken from an app: most requests need no
/// look at them.
///
/// # Errors
/// Where a selected app and another one would make the same object.
pub async fn find(request: &Request<'_>, connected: &mut [Connected], compared: &mut [ComparedEnvironment]) -> Result<(), PlanError> {
    if request.apps.is_empty() {
        return Ok(());
    }
    let mut problems = Vec::new();
    for (connected, compared) in connected.iter_mut().zip(compared) {
        let compared = &mut compared.compared;
        if !compared.differences.differences.iter().any(concerns_others) {
            continue;
        }
        compared.others = declared(request, connected).await;
        for difference in &compared.differences.differences {
            let Difference::Differs { desired, .. } = difference else { continue };
            if let Some(other) = compared.others.declared.get(&desired.id) {
                problems.push(made_twice(&desired.id, [other, &desired.marks.app], request.manifest));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Report::new(request.manifest.sources.clone(), problems).into()) }
}

fn concerns_others(difference: &Difference) -> bool {
    match difference {
        Difference::Undeclared(_) => true,
        Difference::Differs { fields, .. } => fields.iter().any(|field| is_owner_app(&field.path)),
        Difference::Missing(_) | Difference::Refused { .. } | Difference::Taken { .. } => false,
    }
}

/// Mistakes of the other apps are no error of this request: what they declare is not known then.
async fn declared(request: &Request<'_>, connected: &mut Connected) -> Others {
    let unknown =
        |report: &Report| Others { unknown: report.diagnostics.first().map(|problem| problem.message.clone()), ..Others::default() };
    // For a request to destroy, the apps were never rendered.
    if request.policy.destroy {
        match rendered(request, connected) {
            Ok(rendered) => connected.rendered = rendered,
            Err(report) => return unknown(&report),
        }
    }
    let not_selected: BTreeSet<Name> = connected.rendered.apps.keys().filter(|name| !request.apps.contains(*name)).cloned().collect();
    let made = match not_selected.is_empty() {
        true => Ok(()),
        false => native::generate(&mut connected.rendered, &*connected.platform, &not_selected).await,
    };
    match made {
        Ok(()) => others(&connected.rendered, request.manifest, &*connected.platform, &request.apps),
        Err(report) => unknown(&report),
    }
}

fn rendered(request: &Request<'_>, connected: &Connected) -> Result<Rendered, Report> {
    let mut rendered = select::render_one(request, &connected.rendered.environment)?;
    native::load(&mut rendered, request.manifest, &|part| connected.platform.native_files(part))?;
    Ok(rendered)
}
