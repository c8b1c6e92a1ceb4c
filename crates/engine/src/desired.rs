//! Stage 3: what was rendered becomes resources that should exist, in each platform's own terms.

pub mod binding;
pub mod document;
mod image;
pub mod name;
#[cfg(test)]
mod native_tests;
pub mod owner;
pub mod path;
pub mod quantity;
pub mod resource;
mod shared;
pub mod text;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use indexmap::IndexMap;

use crate::manifest::Manifest;
use crate::manifest::diagnostic::{Diagnostic, Report};
use crate::manifest::schema::{App, Moved, Project};
use crate::platform::{Field, MovedFrom, Platform, Support, TranslatedApp};
use crate::render::{Rendered, RenderedApp};
use name::Name;
use owner::{Marks, Owner};
use resource::{Resource, ResourceId};
use text::Text;

/// Everything that should exist in one environment.
#[derive(Debug)]
pub struct Desired {
    /// Which environment, of which project.
    pub owner: Owner,
    /// The resources, in the order of their ids.
    pub resources: Vec<Resource>,
    /// Where a rename has two steps (an app's, and one of a volume of it), the live names of before besides `moved_from`: one
    /// step may have been applied alone.
    pub also_moved_from: BTreeMap<ResourceId, ResourceId>,
    /// Whether the manifest declares any app here, also outside of the selection.
    pub has_apps: bool,
    /// Apps outside of the selection that a selected one depends on.
    pub left_out: BTreeSet<Name>,
    /// Fields that the platform leaves out: sentences.
    pub degraded: Vec<String>,
}

/// Resources that apps outside of a request (`--app`) declare: none of them is deleted, whosever label is on it.
#[derive(Debug, Default)]
pub struct Others {
    /// By resource, under its name now and before: the app that declares it.
    pub declared: BTreeMap<ResourceId, Name>,
    /// Why it is not known what all of them declare, where that is so.
    pub unknown: Option<String>,
}

/// The owner of an environment's resources.
pub fn owner(manifest: &Manifest, environment: &Name) -> Owner {
    owner_in(&manifest.project, environment)
}

/// The owner of the resources of a project's environment: the project's id, or its name where it has none.
pub fn owner_in(project: &Project, environment: &Name) -> Owner {
    Owner::new(project.id.as_deref().unwrap_or(&project.name), environment.clone())
}

/// Translates the selected apps (all where the selection is empty) for a platform. Where all are, each rendered app is dropped when
/// it is translated: thousands of them would fill memory beside what they become.
///
/// # Errors
/// Everything that is wrong with them on this platform, at its place.
pub fn desired(
    rendered: &mut Rendered,
    manifest: &Manifest,
    platform: &dyn Platform,
    selection: &BTreeSet<Name>,
) -> Result<Desired, Report> {
    let owner = owner(manifest, &rendered.environment);
    let mut problems = Vec::new();
    let mut out = Desired::nothing(&owner, !rendered.apps.is_empty());
    let mut between = Between::of(rendered, manifest, &owner, platform);
    let apps = std::mem::take(&mut rendered.apps);
    let selected = |name: &Name| selection.is_empty() || selection.contains(name);
    for (name, app) in apps {
        if selected(&name) {
            let context = AppContext::new(&name, &app, &rendered.environment, manifest, &owner);
            problems.extend(context.unsupported(platform, &mut out.degraded));
            match between.environments.remove(&name) {
                None => problems.extend(context.add_to(&mut out, &app.app.env, platform)),
                Some(Ok(env)) => problems.extend(context.add_to(&mut out, &env, platform)),
                Some(Err(found)) => problems.extend(found),
            }
        }
        if !selection.is_empty() {
            rendered.apps.insert(name, app);
        }
    }
    problems.extend(taken_twice(&out.resources, manifest));
    if !problems.is_empty() {
        return Err(Report::new(rendered.sources.clone(), problems));
    }
    out.left_out = add_dependencies(&mut out.resources, &between.dependencies);
    out.resources.sort_by(|a, b| a.id.cmp(&b.id));
    out.resources.shrink_to_fit();
    Ok(out)
}

impl Desired {
    fn nothing(owner: &Owner, has_apps: bool) -> Self {
        Self {
            owner: owner.clone(),
            resources: Vec::new(),
            also_moved_from: BTreeMap::new(),
            has_apps,
            left_out: BTreeSet::new(),
            degraded: Vec::new(),
        }
    }
}

/// The resources that apps outside of a selection declare.
pub fn others(rendered: &Rendered, manifest: &Manifest, platform: &dyn Platform, selection: &BTreeSet<Name>) -> Others {
    let owner = owner(manifest, &rendered.environment);
    let contexts = contexts(rendered, manifest, &owner);
    let mut others = Others::default();
    for (name, context) in contexts.iter().filter(|(name, _)| !selection.contains(**name)) {
        let mut out = Desired::nothing(&owner, true);
        let mut problems = Vec::new();
        match binding::environment(name, &contexts, platform) {
            Ok(env) => problems.extend(context.add_to(&mut out, &env, platform)),
            Err(found) => problems.extend(found),
        }
        if let Some(problem) = problems.first() {
            others.unknown.get_or_insert_with(|| format!("the app {name}: {}", problem.message));
        }
        let ids = out.resources.into_iter().flat_map(|resource| [Some(resource.id), resource.moved_from.map(|before| *before)]);
        let ids = ids.flatten().chain(out.also_moved_from.into_values());
        others.declared.extend(ids.map(|id| (id, (*name).clone())));
    }
    others
}

/// What is between the apps of an environment. Most apps have nothing of it.
struct Between {
    /// The environment variables of those that are bound to others; or what is wrong with that.
    environments: HashMap<Name, Result<IndexMap<String, Text>, Vec<Diagnostic>>>,
    /// The apps that must be healthy before an app.
    dependencies: HashMap<Name, Vec<Name>>,
}

impl Between {
    fn of(rendered: &Rendered, manifest: &Manifest, owner: &Owner, platform: &dyn Platform) -> Self {
        let contexts = contexts(rendered, manifest, owner);
        let bound = contexts.iter().filter(|(_, context)| !context.rendered.app.bind.is_empty());
        let environments = bound.map(|(name, _)| ((*name).clone(), binding::environment(name, &contexts, platform)));
        let needs = rendered.apps.iter().map(|(name, app)| (name.clone(), dependencies(&app.app).cloned().collect()));
        Self { environments: environments.collect(), dependencies: needs.filter(|(_, needs): &(_, Vec<_>)| !needs.is_empty()).collect() }
    }
}

fn contexts<'a>(rendered: &'a Rendered, manifest: &'a Manifest, owner: &Owner) -> IndexMap<&'a Name, AppContext<'a>> {
    let context = |name, app| AppContext::new(name, app, &rendered.environment, manifest, owner);
    rendered.apps.iter().map(|(name, app)| (name, context(name, app))).collect()
}

/// Checks the native parts of the apps, whose files have been read, without a plan: what a platform makes of them is pure.
///
/// # Errors
/// Everything that is wrong with them, at its place.
pub fn check_native(rendered: &Rendered, manifest: &Manifest, platform: &dyn Platform) -> Result<(), Report> {
    let owner = owner(manifest, &rendered.environment);
    let contexts = contexts(rendered, manifest, &owner);
    let mut problems = Vec::new();
    for (name, context) in &contexts {
        let Some(part) = &context.rendered.native else { continue };
        match binding::environment(name, &contexts, platform) {
            Ok(env) => problems.extend(platform.native(&context.translated(&env), part).err().into_iter().flatten()),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Report::new(rendered.sources.clone(), problems)) }
}

/// One app of the environment with everything that `translate` asks for.
pub(crate) struct AppContext<'a> {
    project: &'a Name,
    name: &'a Name,
    environment: &'a Name,
    /// What kind of platform the environment is on, for messages.
    platform: &'static str,
    marks: Marks,
    pub(crate) rendered: &'a RenderedApp,
    moved_from: BTreeMap<Option<Name>, MovedFrom>,
    /// The volumes that are renamed besides their app: what they were called when the app has been renamed already.
    half_moved_from: BTreeMap<Option<Name>, MovedFrom>,
    node: Option<&'a crate::manifest::source::Node>,
}

impl<'a> AppContext<'a> {
    fn new(name: &'a Name, rendered: &'a RenderedApp, environment: &'a Name, manifest: &'a Manifest, owner: &Owner) -> Self {
        let (moved_from, half_moved_from) = moved_from(name, &rendered.app, &manifest.moved);
        Self {
            project: &manifest.project.name,
            name,
            environment,
            platform: manifest.environments.get(environment).map_or("this platform", |settings| settings.platform.as_str()),
            marks: Marks { owner: owner.clone(), app: name.clone(), protect: rendered.app.protect, revision: None, specification: None },
            rendered,
            moved_from,
            half_moved_from,
            node: manifest.apps.get(name),
        }
    }

    /// Translates the app, with these environment variables. Returns what is wrong.
    fn add_to(&self, out: &mut Desired, env: &IndexMap<String, Text>, platform: &dyn Platform) -> Vec<Diagnostic> {
        let mut problems = self.without_container();
        let translated = self.translated(env);
        if self.rendered.runs_itself() {
            problems.extend(platform.check(&self.rendered.app).into_iter().map(|why| self.diagnostic(None, why)));
            out.resources.extend(platform.translate(&translated));
            if !self.half_moved_from.is_empty() {
                let half_moved = TranslatedApp { moved_from: &self.half_moved_from, ..self.translated(env) };
                let resources = platform.translate(&half_moved).into_iter();
                out.also_moved_from.extend(resources.filter_map(|resource| Some((resource.id, *resource.moved_from?))));
            }
        }
        if let Some(part) = &self.rendered.native {
            match platform.native(&translated, part) {
                Ok(native) => {
                    out.resources.extend(native.resources);
                    out.degraded.extend(native.degraded.into_iter().map(|what| format!("{}/{}: {what}", self.environment, self.name)));
                }
                Err(found) => problems.extend(found),
            }
        }
        problems
    }

    pub(crate) fn translated<'b>(&'b self, env: &'b IndexMap<String, Text>) -> TranslatedApp<'b> {
        TranslatedApp {
            project: self.project,
            name: self.name,
            environment: self.environment,
            marks: &self.marks,
            app: &self.rendered.app,
            env,
            files: &self.rendered.files,
            native: self.rendered.native.as_ref(),
            moved_from: &self.moved_from,
        }
    }

    /// A diagnostic at a key of the app; where it is not written there, at the cartridge that brings it, or at the app itself.
    pub(crate) fn diagnostic(&self, key: Option<&str>, message: impl Into<String>) -> Diagnostic {
        let inner = |key: &str| self.node?.at(key.split('.'));
        let at = key.and_then(|key| inner(key).or_else(|| inner("cartridge"))).or(self.node);
        Diagnostic::new(message, at.map(|node| node.span))
    }

    /// Fields that are about a container of the app, where it has none but those of its native part.
    fn without_container(&self) -> Vec<Diagnostic> {
        const STILL: [Field; 6] = [Field::Ports, Field::Env, Field::Bind, Field::DependsOn, Field::RolloutTimeout, Field::Protect];
        if self.rendered.runs_itself() {
            return Vec::new();
        }
        let used = Field::ALL.iter().filter(|field| !STILL.contains(field) && field.is_used_by(&self.rendered.app));
        let problem = |field: &Field| {
            let message = format!("`{field}` is about a container of the app itself, and {} has none: no `image`, no `command`", self.name);
            self.diagnostic(Some(field.as_str()), message).with_help(format!("say it in the files of `platform.{}`", self.platform))
        };
        used.map(problem).collect()
    }

    fn unsupported(&self, platform: &dyn Platform, degraded: &mut Vec<String>) -> Vec<Diagnostic> {
        let app = &self.rendered.app;
        let mut problems = Vec::new();
        for field in Field::ALL.iter().copied().filter(|field| field.is_used_by(app)) {
            let here = format!("{}/{}: {field}", self.environment, self.name);
            match platform.support(field) {
                Support::Full | Support::Adapted(_) => {}
                Support::Ignored(why) => degraded.push(format!("{here} is ignored: {why}")),
                Support::Unsupported(why) if app.allow_degraded.iter().any(|allowed| allowed == field.as_str()) => {
                    degraded.push(format!("{here} is left out, as allow_degraded says: {why}"));
                }
                Support::Unsupported(why) => problems.push(
                    self.diagnostic(Some(field.as_str()), format!("{}: {field} cannot be honoured on {}: {why}", self.name, self.platform))
                        .with_help(format!("remove it, or accept that with allow_degraded = [\"{field}\"]")),
                ),
            }
        }
        problems
    }
}

type MovedNames = BTreeMap<Option<Name>, MovedFrom>;

/// What the app and its volumes were called before; and, where the app and a volume are renamed both, what the volume is
/// called if the app's rename was applied alone.
fn moved_from(name: &Name, app: &App, moved: &[Moved]) -> (MovedNames, MovedNames) {
    let (mut before, mut half) = (BTreeMap::new(), BTreeMap::new());
    let from = |to: &str| moved.iter().find(|m| m.to == to).map(|m| m.from.as_str());
    let app_before = from(&format!("apps.{name}")).and_then(|from| Name::new(from.strip_prefix("apps.")?).ok());
    if let Some(app) = &app_before {
        before.insert(None, MovedFrom { app: app.clone(), volume: None });
    }
    for volume in app.volumes.keys() {
        let volume_before = from(&format!("apps.{name}.volumes.{volume}"))
            .and_then(|from| from.split_once(".volumes.").and_then(|(_, volume)| Name::new(volume).ok()));
        let called = |app: &Name, volume: &Name| MovedFrom { app: app.clone(), volume: Some(volume.clone()) };
        let was = match (&app_before, &volume_before) {
            (None, None) => continue,
            (None, Some(volume)) => called(name, volume),
            (Some(app), None) => called(app, volume),
            (Some(app), Some(earlier)) => {
                half.insert(Some(volume.clone()), called(name, earlier));
                called(app, earlier)
            }
        };
        before.insert(Some(volume.clone()), was);
    }
    (before, half)
}

/// Two apps whose live names are the same: `a-b` with a part `c`, and `a` with a part `b-c`.
fn taken_twice(resources: &[Resource], manifest: &Manifest) -> Vec<Diagnostic> {
    let mut seen: HashMap<&ResourceId, &Resource> = HashMap::new();
    let twice = resources.iter().filter_map(|r| seen.insert(&r.id, r).map(|first| (first, r)));
    twice.map(|(first, second)| made_twice(&second.id, [&first.marks.app, &second.marks.app], manifest)).collect()
}

/// A resource that two apps, or both parts of one, would make.
pub fn made_twice(id: &ResourceId, [one, other]: [&Name; 2], manifest: &Manifest) -> Diagnostic {
    let message = match one == other {
        true => format!("the app {one} would make {id} twice: in its portable part and in its native one"),
        false => format!("apps {one} and {other} would both make {id}"),
    };
    Diagnostic::new(message, manifest.apps.get(other).map(|node| node.span)).with_help("rename one of them")
}

/// Adds the dependencies between apps: what has health waits for what has health. Returns those that are not here.
fn add_dependencies(resources: &mut [Resource], dependencies: &HashMap<Name, Vec<Name>>) -> BTreeSet<Name> {
    let needed: HashSet<&Name> = dependencies.values().flatten().collect();
    let mut gates: HashMap<&Name, Vec<ResourceId>> = HashMap::new();
    for resource in resources.iter().filter(|r| r.shape.has_health) {
        if let Some(name) = needed.get(&resource.marks.app) {
            gates.entry(name).or_default().push(resource.id.clone());
        }
    }
    let mut left_out = BTreeSet::new();
    for resource in resources.iter_mut() {
        let referred = resource.document.leaves().iter().filter_map(|(_, leaf)| leaf.text());
        let mut needs: Vec<ResourceId> = referred.flat_map(|text| text.attributes()).map(|(of, _)| of.clone()).collect();
        if resource.shape.has_health
            && let Some(dependencies) = dependencies.get(&resource.marks.app)
        {
            for dependency in dependencies {
                match gates.get(dependency) {
                    Some(ids) => needs.extend(ids.iter().cloned()),
                    None => drop(left_out.insert(dependency.clone())),
                }
            }
        }
        resource.depends_on.extend(needs);
        resource.depends_on.sort();
        resource.depends_on.dedup();
        resource.depends_on.shrink_to_fit();
    }
    left_out
}

/// The apps that must be healthy before this one.
pub fn dependencies(app: &App) -> impl Iterator<Item = &Name> {
    app.bind.keys().chain(&app.depends_on)
}
