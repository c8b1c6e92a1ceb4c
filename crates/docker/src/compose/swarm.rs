//! A project becomes services, configs, secrets and networks of a swarm.

use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::platform::{NativeResources, TranslatedApp};
use stratos_engine::render::native::Native;

use super::at::{At, On};
use super::files::{Kind, Source};
use super::translation::{Translation, translate};
use super::{deploy, files, mounts, networks, ports, service, unsupported};
use crate::app_network::NETWORK;
use crate::config::EnvironmentConfig;
use crate::swarm::names;
use crate::swarm::spec::{files::octal, networks as attachment, ports as publication};
use crate::swarm::translate::{CONFIG, FILE_MODE, SECRET, SERVICE, reference};

/// The resources of an app's compose files.
///
/// # Errors
/// Everything that is wrong with them, at its place.
pub(crate) fn resources(config: &EnvironmentConfig, app: &TranslatedApp<'_>, part: &Native) -> Result<NativeResources, Vec<Diagnostic>> {
    translate(On::Swarm, config, app, part, |all, name, at| Services { all }.service(name, at))
}

struct Services<'s, 't, 'c, 'a> {
    all: &'s mut Translation<'t, 'c, 'a>,
}

impl Services<'_, '_, '_, '_> {
    fn service(&mut self, name: &str, at: &At<'_>) {
        let check = self.all.check;
        unsupported::fields(at, check);
        let mut document = DocumentBuilder::default();
        service::write(at, check, &self.all.values, &mut document);
        mounts::write(at, &self.all.section("volumes"), &|volume| self.all.live_volume(volume), check, &mut document);
        let mut needs = Vec::new();
        for kind in [Kind::Config, Kind::Secret] {
            self.files(at, kind, &mut document, &mut needs);
        }
        let host_ports = self.ports(at, &mut document);
        self.networks(name, at, &mut document, &mut needs);
        deploy::write(at, host_ports, check, &mut document);
        self.endpoint(at, &mut document);
        needs.extend(self.all.depends_on(at, &SERVICE));
        self.all.add_service(name, document.build(), needs, &SERVICE);
    }

    fn files(&mut self, service: &At<'_>, kind: Kind, document: &mut DocumentBuilder, needs: &mut Vec<ResourceId>) {
        let section = self.all.section(kind.section());
        let shape = if kind == Kind::Config { &CONFIG } else { &SECRET };
        for used in files::uses(service, kind, self.all.check) {
            let source = files::source(&used.source, &section, kind, &self.all.part.secrets, self.all.check, &self.all.values, &used.at);
            let id = match source {
                None => continue,
                Some(Source::External(live)) => self.all.id(shape, &live),
                Some(Source::Content(content)) => {
                    let (prefix, app) = (&self.all.config.prefix, self.all.app.name);
                    let name = match kind {
                        Kind::Config => names::config(prefix, app, &used.source, &content.to_rendered()),
                        Kind::Secret => names::secret(prefix, app, &used.source),
                    };
                    let mut body = DocumentBuilder::default();
                    body.put(["content"], Leaf::from_text(&content));
                    self.all.add(&name, &body.build(), shape, needs);
                    self.all.id(shape, &name)
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
        let options = self.all.config.swarm;
        let ports: Vec<publication::Published> = ports::read(service, self.all.check)
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
            self.all.check.files.report_with_help(message, help, at.place());
        }
        ports.iter().any(|port| port.on_host && port.published.is_some())
    }

    fn endpoint_mode(&self, service: &At<'_>) -> Option<&'static str> {
        let written = service.get("deploy").and_then(|deploy| deploy.get("endpoint_mode"));
        match written {
            Some(at) => self.all.check.one_of(&at, &["vip", "dnsrr"]),
            None => self.all.config.swarm.dns_round_robin.then_some("dnsrr"),
        }
    }

    fn endpoint(&self, service: &At<'_>, document: &mut DocumentBuilder) {
        if self.endpoint_mode(service) == Some("dnsrr") {
            document.text(["deploy", "endpoint_mode"], "dnsrr");
        }
    }

    fn networks(&mut self, name: &str, service: &At<'_>, document: &mut DocumentBuilder, needs: &mut Vec<ResourceId>) {
        let section = self.all.section("networks");
        let mut on_default = false;
        for networks::Attachment { network: key, mut aliases, options } in networks::attachments(service, &section, self.all.check) {
            on_default |= key == networks::DEFAULT;
            let Some(declared) = self.all.networks.get(&key) else { continue };
            let (live, body) = (declared.name.clone(), declared.document.clone());
            aliases.push(name.to_owned());
            attachment::write(&live, aliases.iter().map(String::as_str), document);
            for (option, value) in options {
                document.put(["networks", live.as_str(), "driver_opts", option.as_str()], Leaf::from_text(&value));
            }
            if let Some(body) = body {
                self.all.add(&live, &body, &NETWORK, needs);
            }
        }
        // The environment's network: where other apps find this one, and where this one finds what it is bound to.
        let live = names::service(&self.all.config.prefix, self.all.app.name);
        let main = self.all.is_main(name);
        let reached = [self.all.app.name.as_str(), &live];
        if main || (on_default && !self.all.app.app.bind.is_empty()) {
            let network = names::network(&self.all.config.prefix, self.all.app.environment);
            attachment::write(&network, reached.into_iter().filter(|_| main), document);
        }
    }
}
