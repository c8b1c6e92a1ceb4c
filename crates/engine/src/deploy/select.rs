//! What a request is about: its environments in order, rendered and connected.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::{join_all, try_join_all};

use super::{Connector, PlanError, Request};
use crate::desired::name::Name;
use crate::desired::{Desired, desired as translate};
use crate::manifest::diagnostic::{Diagnostic, Report, Sources};
use crate::observe::Observed;
use crate::platform::Platform;
use crate::render::{Rendered, native, render as render_environment};

/// An environment that was rendered and connected.
pub struct Connected {
    /// What was rendered.
    pub rendered: Rendered,
    /// The platform.
    pub platform: Arc<dyn Platform>,
    /// What the environment was called before, where what it held then is at the same place.
    pub before: Option<Name>,
}

/// The environments in scope: each after those that it names in `after`, otherwise in the manifest's order.
pub fn environments(request: &Request<'_>) -> Result<Vec<Name>, PlanError> {
    let declared = &request.manifest.environments;
    if let Some(unknown) = request.environments.iter().find(|name| !declared.contains_key(*name)) {
        let known = list(declared.keys().map(Name::as_str).collect());
        return Err(PlanError::Selection(format!("there is no environment {unknown:?} in the manifest; it has: {known}")));
    }
    let mut out: Vec<Name> = Vec::new();
    let mut left: Vec<&Name> =
        declared.keys().filter(|name| request.environments.is_empty() || request.environments.contains(*name)).collect();
    while !left.is_empty() {
        let free = |name: &&Name| declared[*name].after.iter().all(|before| !left.contains(&before));
        let Some(at) = left.iter().position(free) else {
            let names = list(left.iter().map(|name| name.as_str()).collect());
            return Err(PlanError::Selection(format!("environments wait for each other in a circle: {names}")));
        };
        out.push(left.remove(at).clone());
    }
    Ok(out)
}

fn list(names: Vec<&str>) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Refuses a name that no app has: it is neither declared, nor a name before, nor live. A misspelt name would look like an
/// app of which nothing is to be done. What is to be destroyed may be gone already.
pub fn refuse_unknown_apps<'a>(request: &Request<'_>, observed: impl Iterator<Item = &'a Observed>) -> Result<(), PlanError> {
    let manifest = request.manifest;
    let is_before = |name: &Name| manifest.moved.iter().any(|moved| moved.from == format!("apps.{name}"));
    let mut unknown: Vec<&Name> = request.apps.iter().filter(|name| !manifest.apps.contains_key(*name) && !is_before(name)).collect();
    if unknown.is_empty() || request.policy.destroy {
        return Ok(());
    }
    for observed in observed {
        let live: BTreeSet<&Name> = observed.resources.values().filter_map(|live| Some(&live.ownership.marks()?.app)).collect();
        // It may be in what could not be read.
        unknown.retain(|name| observed.gaps.is_empty() && !live.contains(name));
    }
    let Some(name) = unknown.first() else { return Ok(()) };
    let known = list(manifest.apps.keys().map(Name::as_str).collect());
    Err(PlanError::Selection(format!("the manifest has no app {:?}, and nothing of that name runs; it has: {known}", name.as_str())))
}

/// Renders each environment; whatever is wrong in any of them is reported at once.
pub fn render(request: &Request<'_>, names: &[Name]) -> Result<Vec<Rendered>, PlanError> {
    let each = names.iter().map(|name| match request.policy.destroy {
        true => Ok(empty(request, name)),
        false => render_one(request, name),
    });
    let rendered = collect(&names.iter().collect::<Vec<_>>(), each.collect())?;
    // A plan keeps the settings that it is made under: an apply of it, saved or not, does as was agreed to.
    let agreed = |rendered: Rendered| match request.policy.force_conflicts {
        true => Rendered { settings: rendered.settings.with_force_conflicts(), ..rendered },
        false => rendered,
    };
    Ok(rendered.into_iter().map(agreed).collect())
}

/// Renders one environment as the manifest declares it.
pub fn render_one(request: &Request<'_>, name: &Name) -> Result<Rendered, Report> {
    render_environment(request.manifest, name, request.variables)
}

/// The environments with no apps: for requests that are about what is live alone.
pub fn unrendered(request: &Request<'_>, names: &[Name]) -> Vec<Rendered> {
    names.iter().map(|name| empty(request, name)).collect()
}

fn empty(request: &Request<'_>, name: &Name) -> Rendered {
    let settings = request.manifest.environments[name].clone();
    Rendered { environment: name.clone(), settings, apps: Default::default(), sources: request.manifest.sources.clone() }
}

/// Connects to all environments at once.
pub async fn connect(request: &Request<'_>, rendered: Vec<Rendered>, connector: &dyn Connector) -> Result<Vec<Connected>, PlanError> {
    let each = rendered.into_iter().map(async |rendered| {
        let platform = connector.connect(&request.manifest.project, &rendered.environment, &rendered.settings).await;
        let before = before(request, connector, &rendered.environment);
        match platform {
            Ok(platform) => Ok(Connected { rendered, platform, before }),
            Err(source) => Err(PlanError::Platform { environment: rendered.environment, source }),
        }
    });
    try_join_all(each).await
}

/// What an environment was called before, where what it held then is at the same place.
pub fn before(request: &Request<'_>, connector: &dyn Connector, name: &Name) -> Option<Name> {
    let settings = request.manifest.environments.get(name)?;
    request.manifest.environment_before(name).filter(|_| !connector.place_follows_name(settings))
}

/// Reads the files that native parts name, and has programs make what they make of them; whatever is wrong in any of them is reported
/// at once.
pub async fn native(request: &Request<'_>, connected: &mut [Connected]) -> Result<(), PlanError> {
    let names: Vec<Name> = connected.iter().map(|c| c.rendered.environment.clone()).collect();
    let names: Vec<&Name> = names.iter().collect();
    let each = connected.iter_mut().map(|c| native::load(&mut c.rendered, request.manifest, &|part| c.platform.native_files(part)));
    collect::<()>(&names, each.collect())?;
    let each = connected.iter_mut().map(|c| native::generate(&mut c.rendered, &*c.platform, &request.apps));
    collect(&names, join_all(each).await).map(drop::<Vec<()>>)
}

/// Translates each environment; whatever is wrong in any of them is reported at once. What was rendered is gone then.
pub fn desired(request: &Request<'_>, connected: &mut [Connected]) -> Result<Vec<Desired>, PlanError> {
    let each = connected.iter_mut().map(|c| translate(&mut c.rendered, request.manifest, &*c.platform, &request.apps)).collect();
    let names: Vec<&Name> = connected.iter().map(|c| &c.rendered.environment).collect();
    collect(&names, each)
}

/// The results of all environments; or what is wrong, each thing once, however many environments it is seen in. Those are
/// named where they are not all.
fn collect<T>(names: &[&Name], results: Vec<Result<T, Report>>) -> Result<Vec<T>, PlanError> {
    let mut out = Vec::with_capacity(results.len());
    let mut sources = Sources::default();
    let mut problems: Vec<(Diagnostic, Vec<&str>)> = Vec::new();
    for (name, result) in names.iter().zip(results) {
        let report = match result {
            Ok(value) => {
                out.push(value);
                continue;
            }
            Err(report) => report,
        };
        // Each environment renders files of its own.
        for mut problem in report.diagnostics {
            problem.span = problem.span.map(|span| sources.adopt(&report.sources, span));
            for (span, _) in &mut problem.related {
                *span = sources.adopt(&report.sources, *span);
            }
            match problems.iter_mut().find(|(known, _)| *known == problem) {
                Some((_, environments)) => environments.push(name),
                None => problems.push((problem, vec![name])),
            }
        }
    }
    if problems.is_empty() {
        return Ok(out);
    }
    let told = problems.into_iter().map(|(problem, environments)| match environments.len() < names.len() {
        true => Diagnostic { message: format!("in {}: {}", environments.join(", "), problem.message), ..problem },
        false => problem,
    });
    Err(PlanError::Manifest(Report::new(Arc::new(sources), told.collect())))
}
