//! A project becomes services, configs, secrets and networks of a swarm.

use std::cell::RefCell;
use std::collections::BTreeMap;

use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::name::live_name;
use stratos_engine::desired::owner::Marks;
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::resource::{Resource, ResourceId, Shape};
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::platform::{NativeResources, TranslatedApp};
use stratos_engine::render::native::Native;

use super::at::{At, Check};
use super::files::{Kind, Source};
use super::interpolate::Values;
use super::project::{Project, load};
use super::yaml::Yaml;
use super::{deploy, files, mounts, networks, ports, service, unsupported};
use crate::config::EnvironmentConfig;
use crate::swarm::app_network::{self, NETWORK};
use crate::swarm::names;
use crate::swarm::spec::{files::octal, networks as attachment, ports as publication};
use crate::swarm::translate::{CONFIG, FILE_MODE, SECRET, SERVICE, reference};

/// For a whole roll-out, where the app does not say.
const ROLLOUT_TIMEOUT: Duration = Duration(300_000);

/// Live names are host names.
const NAME_LIMIT: usize = 63;

/// The resources of an app's compose files.
///
/// # Errors
/// Everything that is wrong with them, at its place.
pub(crate) fn resources(config: &EnvironmentConfig, app: &TranslatedApp<'_>, part: &Native) -> Result<NativeResources, Vec<Diagnostic>> {
    let values = Values { env: app.env, others: &part.values };
    let Project { root, files } = load(part, values);
    super::check_part(part, &files);
    let problems = files.problems();
    if !problems.is_empty() {
        return Err(problems);
    }
    let check = Check { files: &files, allowed: &app.app.allow_degraded, degraded: RefCell::default() };
    let mut translation =
        Translation { config, app, part, values, check: &check, root: &root, made: BTreeMap::new(), networks: BTreeMap::new() };
    translation.all();
    let made = translation.made;
    let problems = files.problems();
    if problems.is_empty() {
        Ok(NativeResources { resources: made.into_values().collect(), degraded: check.degraded.into_inner().into_iter().collect() })
    } else {
        Err(problems)
    }
}

struct Translation<'t, 'c, 'a> {
    config: &'t EnvironmentConfig,
    app: &'t TranslatedApp<'t>,
    part: &'t Native,
    values: Values<'t>,
    check: &'t Check<'c, 'a>,
    root: &'t Yaml,
    /// By id: one config may be many services'.
    made: BTreeMap<ResourceId, Resource>,
    /// By key.
    networks: BTreeMap<String, networks::Declared>,
}

impl<'t> Translation<'t, '_, '_> {
    fn section(&self, name: &str) -> At<'t> {
        static EMPTY: Yaml = Yaml { value: super::yaml::Value::Map(Vec::new()), place: super::yaml::Place { file: 0, start: 0, end: 0 } };
        At { yaml: self.root.get(name).unwrap_or(&EMPTY), path: name.to_owned() }
    }

    fn all(&mut self) {
        let services = self.section("services");
        for section in super::project::SECTIONS {
            for (key, _) in self.root.get(section).map(Yaml::entries).unwrap_or_default() {
                if key.name.is_empty() || !key.name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
                    self.check
                        .files
                        .report(format!("`{}` is not a name: it may hold letters, digits, '.', '_' and '-'", key.name), key.place);
                }
            }
        }
        if services.yaml.entries().is_empty() {
            let problem = Diagnostic::new("the compose files have no service", self.part.node.span);
            self.check.files.add(problem);
        }
        let own = |key: &str, document: &Document| app_network::name(&self.config.prefix, self.app.name, key, document);
        self.networks = networks::declared(&self.section("networks"), &own, self.check);
        let main = super::main_service(self.app, self.part, &services, self.check.files);
        for (name, at) in services.entries() {
            if self.check.table(&at) {
                self.service(name, &at, main.as_deref() == Some(name));
            }
        }
    }

    fn service(&mut self, name: &str, at: &At<'_>, main: bool) {
        unsupported::in_a_swarm(at, self.check);
        let mut document = DocumentBuilder::default();
        service::write(at, self.check, &self.values, &mut document);
        let volumes = self.section("volumes");
        let (app, config) = (self.app, self.config);
        let live = |volume: &str| {
            let given = volumes.get(volume).map(|at| (at.get("name"), at.get("external"))).unwrap_or_default();
            let external = given.1.is_some_and(|at| at.yaml.scalar().as_deref() == Some("true"));
            let given = given.0.and_then(|at| at.yaml.scalar());
            given
                .unwrap_or_else(|| if external { volume.to_owned() } else { live_name(&config.prefix, app.name, Some(volume), NAME_LIMIT) })
        };
        mounts::write(at, &volumes, &live, self.check, &mut document);
        let mut needs = Vec::new();
        for kind in [Kind::Config, Kind::Secret] {
            self.files(at, kind, &mut document, &mut needs);
        }
        let host_ports = self.ports(at, &mut document);
        self.networks(name, at, main, &mut document, &mut needs);
        deploy::write(at, host_ports, self.check, &mut document);
        self.endpoint(at, &mut document);
        needs.extend(self.depends_on(at));
        let id = self.service_id(name);
        let timeout = self.app.app.rollout.as_ref().and_then(|rollout| rollout.timeout).unwrap_or(ROLLOUT_TIMEOUT);
        let resource =
            Resource { depends_on: needs, rollout_timeout: Some(timeout), ..self.resource(id.clone(), document.build(), &SERVICE) };
        self.made.insert(id, resource);
    }

    fn service_id(&self, service: &str) -> ResourceId {
        ResourceId::new(&self.config.environment, SERVICE.kind, &live_name(&self.config.prefix, self.app.name, Some(service), NAME_LIMIT))
    }

    fn resource(&self, id: ResourceId, document: Document, shape: &'static Shape) -> Resource {
        // What a protected app uses is kept because it is used.
        let marks = Marks { protect: self.app.marks.protect && shape.has_health, ..self.app.marks.clone() };
        Resource { id, marks, document, depends_on: Vec::new(), rollout_timeout: None, moved_from: None, shape }
    }

    fn files(&mut self, service: &At<'_>, kind: Kind, document: &mut DocumentBuilder, needs: &mut Vec<ResourceId>) {
        let section = self.section(kind.section());
        let shape = if kind == Kind::Config { &CONFIG } else { &SECRET };
        for used in files::uses(service, kind, self.check) {
            let source = files::source(&used.source, &section, kind, &self.part.secrets, self.check, &self.values, &used.at);
            let id = match source {
                None => continue,
                Some(Source::External(live)) => ResourceId::new(&self.config.environment, shape.kind, &live),
                Some(Source::Content(content)) => {
                    let (prefix, app) = (&self.config.prefix, self.app.name);
                    let name = match kind {
                        Kind::Config => names::config(prefix, app, &used.source, &content.to_rendered()),
                        Kind::Secret => names::secret(prefix, app, &used.source),
                    };
                    let id = ResourceId::new(&self.config.environment, shape.kind, &name);
                    let mut body = DocumentBuilder::default();
                    body.put(["content"], Leaf::from_text(&content));
                    let resource = self.resource(id.clone(), body.build(), shape);
                    self.made.insert(id.clone(), resource);
                    needs.push(id.clone());
                    id
                }
            };
            document.put(["files", used.target.as_str(), shape.kind], reference(id));
            for (key, value) in [("uid", &used.uid), ("gid", &used.gid)] {
                if let Some(value) = value {
                    document.text(["files", used.target.as_str(), key], value);
                }
            }
            if let Some(mode) = used.mode.filter(|mode| *mode != FILE_MODE) {
                document.text(["files", used.target.as_str(), "mode"], &octal(mode));
            }
        }
    }

    /// Writes the published ports. Whether fixed ports of the machines themselves are among them.
    fn ports(&self, service: &At<'_>, document: &mut DocumentBuilder) -> bool {
        let options = self.config.swarm;
        let ports: Vec<publication::Published> = ports::read(service, self.check)
            .into_iter()
            .map(|port| publication::Published {
                target: port.target,
                protocol: port.protocol,
                published: port.published,
                on_host: port.on_host.unwrap_or(options.publish_on_host),
            })
            .collect();
        publication::write(&ports, document);
        let round_robin = self.endpoint_mode(service).is_some_and(|mode| mode == "dnsrr");
        if let Some(at) = service.get("ports").filter(|_| round_robin && ports.iter().any(|port| !port.on_host)) {
            let help = "give the port `mode: host`, or the environment the option publish = \"host\"";
            let message = format!("`{}`: with `endpoint_mode: dnsrr` a port cannot be published on all machines", at.path);
            self.check.files.report_with_help(message, help, at.place());
        }
        ports.iter().any(|port| port.on_host && port.published.is_some())
    }

    fn endpoint_mode(&self, service: &At<'_>) -> Option<&'static str> {
        let written = service.get("deploy").and_then(|deploy| deploy.get("endpoint_mode"));
        match written {
            Some(at) => self.check.one_of(&at, &["vip", "dnsrr"]),
            None => self.config.swarm.dns_round_robin.then_some("dnsrr"),
        }
    }

    fn endpoint(&self, service: &At<'_>, document: &mut DocumentBuilder) {
        if self.endpoint_mode(service) == Some("dnsrr") {
            document.text(["deploy", "endpoint_mode"], "dnsrr");
        }
    }

    fn networks(&mut self, name: &str, service: &At<'_>, main: bool, document: &mut DocumentBuilder, needs: &mut Vec<ResourceId>) {
        let section = self.section("networks");
        let mut on_default = false;
        for networks::Attachment { network: key, mut aliases, options } in networks::attachments(service, &section, self.check) {
            on_default |= key == networks::DEFAULT;
            let Some(declared) = self.networks.get(&key) else { continue };
            aliases.push(name.to_owned());
            attachment::write(&declared.name, aliases.iter().map(String::as_str), document);
            for (option, value) in options {
                document.put(["networks", declared.name.as_str(), "driver_opts", option.as_str()], Leaf::from_text(&value));
            }
            if let Some(body) = &declared.document {
                let id = ResourceId::new(&self.config.environment, NETWORK.kind, &declared.name);
                needs.push(id.clone());
                let resource = self.resource(id.clone(), body.clone(), &NETWORK);
                self.made.insert(id, resource);
            }
        }
        // The environment's network: where other apps find this one, and where this one finds what it is bound to.
        let live = names::service(&self.config.prefix, self.app.name);
        let reached = [self.app.name.as_str(), &live];
        if main || (on_default && !self.app.app.bind.is_empty()) {
            let network = names::network(&self.config.prefix, self.app.environment);
            attachment::write(&network, reached.into_iter().filter(|_| main), document);
        }
    }

    fn depends_on(&self, service: &At<'_>) -> Vec<ResourceId> {
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
                out.push(self.service_id(name));
            } else if !optional {
                self.check.report(format!("there is no service `{name}` to depend on"), &at);
            }
        }
        out
    }
}
