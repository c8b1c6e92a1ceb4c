//! What a swarm and a plain engine make of a project in the same way.

use std::cell::RefCell;
use std::collections::BTreeMap;

use stratos_engine::desired::document::Document;
use stratos_engine::desired::name::live_name;
use stratos_engine::desired::owner::Marks;
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::resource::{Resource, ResourceId, Shape};
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::platform::{NativeResources, TranslatedApp};
use stratos_engine::render::native::Native;

use super::at::{At, Check, On};
use super::interpolate::Values;
use super::networks::{self, Declared};
use super::project::{Project, SECTIONS, load};
use super::yaml::{Place, Value, Yaml};
use crate::app_network;
use crate::config::EnvironmentConfig;

/// For a whole roll-out, where the app does not say.
const ROLLOUT_TIMEOUT: Duration = Duration(300_000);

/// Live names are host names.
const NAME_LIMIT: usize = 63;

/// A project that becomes resources.
pub(super) struct Translation<'t, 'c, 'a> {
    pub config: &'t EnvironmentConfig,
    pub app: &'t TranslatedApp<'t>,
    pub values: Values<'t>,
    pub part: &'t Native,
    pub check: &'t Check<'c, 'a>,
    root: &'t Yaml,
    /// The service that other apps reach under the app's name.
    pub main: Option<String>,
    /// By key.
    pub networks: BTreeMap<String, Declared>,
    /// By id: one config may be many services'.
    pub made: BTreeMap<ResourceId, Resource>,
}

/// The resources of an app's compose files. `service` makes those of one service.
///
/// # Errors
/// Everything that is wrong with them, at its place.
pub(super) fn translate(
    on: On,
    config: &EnvironmentConfig,
    app: &TranslatedApp<'_>,
    part: &Native,
    service: impl Fn(&mut Translation<'_, '_, '_>, &str, &At<'_>),
) -> Result<NativeResources, Vec<Diagnostic>> {
    let values = Values { env: app.env, others: &part.values };
    let Project { root, files } = load(part, values);
    super::check_part(part, &files);
    let problems = files.problems();
    if !problems.is_empty() {
        return Err(problems);
    }
    let check = Check { on, files: &files, allowed: &app.app.allow_degraded, degraded: RefCell::default() };
    let (main, networks, made) = (None, BTreeMap::new(), BTreeMap::new());
    let mut all = Translation { config, app, values, part, check: &check, root: &root, main, networks, made };
    all.begin();
    for (name, at) in all.section("services").entries() {
        if check.table(&at) {
            service(&mut all, name, &at);
        }
    }
    let made = all.made;
    let problems = files.problems();
    if problems.is_empty() {
        Ok(NativeResources { resources: made.into_values().collect(), degraded: check.degraded.into_inner().into_iter().collect() })
    } else {
        Err(problems)
    }
}

impl<'t> Translation<'t, '_, '_> {
    /// A section of the project. One that is not there is empty.
    pub fn section(&self, name: &str) -> At<'t> {
        static EMPTY: Yaml = Yaml { value: Value::Map(Vec::new()), place: Place { file: 0, start: 0, end: 0 } };
        At { yaml: self.root.get(name).unwrap_or(&EMPTY), path: name.to_owned() }
    }

    /// What is about the project as a whole.
    fn begin(&mut self) {
        let services = self.section("services");
        for (key, _) in SECTIONS.iter().flat_map(|section| self.root.get(section).map(Yaml::entries).unwrap_or_default()) {
            if key.name.is_empty() || !key.name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                let message = format!("`{}` is not a name: it may hold letters, digits, '.', '_' and '-'", key.name);
                self.check.files.report(message, key.place);
            }
        }
        if services.yaml.entries().is_empty() {
            self.check.files.add(Diagnostic::new("the compose files have no service", self.part.node.span));
        }
        let own = |key: &str, document: &Document| app_network::name(&self.config.prefix, self.app.name, key, document);
        self.networks = networks::declared(&self.section("networks"), &own, self.check);
        self.main = super::main_service(self.app, self.part, &services, self.check.files);
    }

    /// Whether other apps reach this service under the app's name.
    pub fn is_main(&self, service: &str) -> bool {
        self.main.as_deref() == Some(service)
    }

    /// The live name of a service or a volume of the project.
    pub fn live(&self, key: &str) -> String {
        live_name(&self.config.prefix, self.app.name, Some(key), NAME_LIMIT)
    }

    /// The id of a live object.
    pub fn id(&self, shape: &Shape, live: &str) -> ResourceId {
        ResourceId::new(&self.config.environment, shape.kind, live)
    }

    /// The live name of a volume of the project.
    pub fn live_volume(&self, key: &str) -> String {
        let volume = self.section("volumes").get(key);
        let name = volume.as_ref().and_then(|at| at.get("name")).and_then(|at| at.yaml.scalar());
        name.unwrap_or_else(|| if self.is_external(volume.as_ref()) { key.to_owned() } else { self.live(key) })
    }

    /// Whether something of the project is somebody else's.
    pub fn is_external(&self, at: Option<&At<'_>>) -> bool {
        at.and_then(|at| at.get("external")).is_some_and(|at| at.yaml.scalar().as_deref() == Some("true"))
    }

    /// A resource of the app.
    pub fn resource(&self, id: ResourceId, document: Document, shape: &'static Shape) -> Resource {
        // What a protected app uses is kept because it is used.
        let marks = Marks { protect: self.app.marks.protect && shape.has_health, ..self.app.marks.clone() };
        Resource { id, marks, document, depends_on: Vec::new(), rollout_timeout: None, moved_from: None, shape }
    }

    /// Adds the resource of a service.
    pub fn add_service(&mut self, name: &str, document: Document, depends_on: Vec<ResourceId>, shape: &'static Shape) {
        let id = self.id(shape, &self.live(name));
        let timeout = self.app.app.rollout.as_ref().and_then(|rollout| rollout.timeout).unwrap_or(ROLLOUT_TIMEOUT);
        let resource = Resource { depends_on, rollout_timeout: Some(timeout), ..self.resource(id.clone(), document, shape) };
        self.made.insert(id, resource);
    }

    /// Adds something that services use, which several may do.
    pub fn add(&mut self, live: &str, document: &Document, shape: &'static Shape, needs: &mut Vec<ResourceId>) {
        let id = self.id(shape, live);
        let resource = self.resource(id.clone(), document.clone(), shape);
        self.made.insert(id.clone(), resource);
        needs.push(id);
    }

    /// The services, of a shape, that a service comes after.
    pub fn depends_on(&self, service: &At<'_>, shape: &Shape) -> Vec<ResourceId> {
        let services = self.section("services");
        let mut out = Vec::new();
        let Some(table) = service.get("depends_on").filter(|at| self.check.table(at)) else { return out };
        for (name, at) in table.entries() {
            self.check.known(&at, &["condition", "required", "restart"]);
            let condition = at.get("condition");
            let words = ["service_started", "service_healthy", "service_completed_successfully"];
            let word = condition.as_ref().and_then(|at| self.check.one_of(at, &words));
            if let (Some("service_completed_successfully"), Some(condition)) = (word, &condition) {
                self.check.unsupported("depends_on.condition", "services run for ever here; this build does not have jobs yet", condition);
                continue;
            }
            if let Some(restart) = at.get("restart").filter(|at| self.check.flag(at) == Some(true)) {
                self.check.unsupported("depends_on.restart", "a service is not started anew because another one is", &restart);
            }
            let optional = at.get("required").is_some_and(|at| self.check.flag(&at) == Some(false));
            if services.get(name).is_some() {
                out.push(self.id(shape, &self.live(name)));
            } else if !optional {
                self.check.report(format!("there is no service `{name}` to depend on"), &at);
            }
        }
        out
    }
}
