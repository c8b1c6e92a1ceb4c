//! A project becomes containers, networks and volumes of one plain engine.
//!
//! A service is what an app is there: containers that take each other's place, behind a proxy where they publish TCP ports.

mod deploy;
mod host;
mod volumes;

use std::collections::BTreeMap;

use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::platform::{NativeResources, TranslatedApp};
use stratos_engine::render::native::Native;

use super::at::{At, On};
use super::files::{Kind, Source};
use super::translation::{Translation, translate};
use super::{files, mounts, networks, ports, service, unsupported};
use crate::app_network::NETWORK;
use crate::config::EnvironmentConfig;
use crate::engine::ports as publication;
use crate::engine::translate::{CONTAINER, FILE_MODE, PROJECT_VOLUME, live, network};

/// The resources of an app's compose files.
///
/// # Errors
/// Everything that is wrong with them, at its place.
pub(crate) fn resources(config: &EnvironmentConfig, app: &TranslatedApp<'_>, part: &Native) -> Result<NativeResources, Vec<Diagnostic>> {
    translate(On::Engine, config, app, part, |all, name, at| Services { all }.service(name, at))
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
        host::write(at, check, &mut document);
        let mut needs = Vec::new();
        self.volumes(at, &mut document, &mut needs);
        for kind in [Kind::Config, Kind::Secret] {
            self.files(at, kind, &mut document);
        }
        self.ports(at, &mut document);
        self.networks(name, at, &mut document, &mut needs);
        deploy::write(at, check, &mut document);
        let document = deploy::with_order(at, document.build());
        self.one_of_a_port(at, &document);
        needs.extend(self.all.depends_on(at, &CONTAINER));
        self.all.add_service(name, document, needs, &CONTAINER);
    }

    fn volumes(&mut self, service: &At<'_>, document: &mut DocumentBuilder, needs: &mut Vec<ResourceId>) {
        let section = self.all.section("volumes");
        let used = mounts::write(service, &section, &|volume| self.all.live_volume(volume), self.all.check, document);
        for key in used {
            let at = section.get(&key);
            if self.all.is_external(at.as_ref()) {
                continue;
            }
            let live = self.all.live_volume(&key);
            let body = volumes::document(&live, at.as_ref(), self.all.check);
            self.all.add(&live, &body, &PROJECT_VOLUME, needs);
        }
    }

    /// Configs and secrets are files in the container: an engine has no objects for them.
    fn files(&mut self, service: &At<'_>, kind: Kind, document: &mut DocumentBuilder) {
        let check = self.all.check;
        let section = self.all.section(kind.section());
        for used in files::uses(service, kind, check) {
            let content = match files::source(&used.source, &section, kind, &self.all.part.secrets, check, &self.all.values, &used.at) {
                None => continue,
                Some(Source::External(_)) => {
                    let help = "declare it in the manifest's [secrets], or give a config its `file` or `content`";
                    let message = format!("`{}`: a plain engine keeps no {}, so none can be external", used.at.path, kind.section());
                    check.files.report_with_help(message, help, used.at.place());
                    continue;
                }
                Some(Source::Content(content)) => content,
            };
            if let Some(at) = service.get("read_only").filter(|at| check.flag(at) == Some(true)) {
                let why = format!("`{}`: a container with a read-only file system cannot get {}", at.path, kind.section());
                check.report(why, &used.at);
            }
            let path = |key| ["files", used.target.as_str(), key];
            document.put(path("content"), Leaf::from_text(&content));
            if let Some(mode) = used.mode.filter(|mode| *mode != FILE_MODE) {
                document.text(path("mode"), &format!("{mode:04o}"));
            }
            for (key, ids) in [("uid", &used.uid), ("gid", &used.gid)] {
                match ids.as_deref().map(|number| (number, number.parse::<u32>().is_ok())) {
                    Some((number, true)) => drop(document.text(path(key), number)),
                    Some((_, false)) => check.report(format!("`{}.{key}` must be a number", used.at.path), &used.at),
                    None => {}
                }
            }
        }
    }

    /// TCP goes through the proxy, so that a release loses no request. What a proxy cannot do, or what has no port yet that it
    /// could have, the containers bind themselves.
    fn ports(&mut self, service: &At<'_>, document: &mut DocumentBuilder) {
        let mut proxied = Vec::new();
        let mut bound: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for port in ports::read(service, self.all.check) {
            match (port.protocol.as_str(), port.published) {
                ("tcp", Some(published)) => {
                    proxied.push(publication::Published { target: port.target, port: published, address: port.address, leads: true });
                }
                (protocol, published) => {
                    let all = bound.entry(format!("{}/{protocol}", port.target)).or_default();
                    all.push(publication::bound(port.address.as_deref(), published));
                }
            }
        }
        for (path, leaf) in publication::leaves(proxied) {
            document.put(path.segments(), leaf);
        }
        for (port, mut all) in bound {
            all.sort();
            document.text(["ports", port.as_str(), "bound"], &all.join(", "));
        }
    }

    /// Only one container can have a port of the machine.
    fn one_of_a_port(&self, service: &At<'_>, document: &Document) {
        let several = document.get(&Path::new(["deploy", "replicas"])).is_some();
        if let Some(at) = service.get("ports").filter(|_| several && publication::binds(document)) {
            let message =
                format!("`{}`: one container alone can have a port of the machine that is not TCP; the service has several", at.path);
            self.all.check.report(message, &at);
        }
    }

    fn networks(&mut self, name: &str, service: &At<'_>, document: &mut DocumentBuilder, needs: &mut Vec<ResourceId>) {
        let check = self.all.check;
        let main = self.all.is_main(name);
        if let Some(at) = service.get("network_mode") {
            return self.network_mode(service, &at, main, document);
        }
        let mut attach = |network: &str, aliases: &[&str]| {
            for alias in aliases {
                document.put(["networks", network, "aliases", alias], Leaf::Bool(true));
            }
            if aliases.is_empty() {
                document.put(["networks", network, "attached"], Leaf::Bool(true));
            }
        };
        let mut on_default = false;
        for networks::Attachment { network: key, aliases, options: _ } in
            networks::attachments(service, &self.all.section("networks"), check)
        {
            on_default |= key == networks::DEFAULT;
            let Some(declared) = self.all.networks.get(&key) else { continue };
            let (live, body) = (declared.name.clone(), declared.document.clone());
            attach(&live, &aliases.iter().map(String::as_str).chain([name]).collect::<Vec<_>>());
            if let Some(body) = body {
                self.all.add(&live, &body, &NETWORK, needs);
            }
        }
        // The environment's network: where other apps find this one, and where this one finds what it is bound to.
        let environment = network(self.all.config);
        if main {
            attach(&environment, &[self.all.app.name.as_str(), &live(self.all.config, self.all.app.name, None)]);
        } else if on_default && !self.all.app.app.bind.is_empty() {
            attach(&environment, &[]);
        }
    }

    /// `host` or `none`, which the engine has as networks.
    fn network_mode(&self, service: &At<'_>, at: &At<'_>, main: bool, document: &mut DocumentBuilder) {
        let check = self.all.check;
        let Some(mode) = check.plain(at) else { return };
        if !["host", "none"].contains(&mode.as_str()) {
            return check.unsupported("network_mode", "there are host and none; services reach each other by name, on `networks`", at);
        }
        document.put(["networks", mode.as_str(), "attached"], Leaf::Bool(true));
        for key in ["networks", "ports", "hostname"] {
            if let Some(other) = service.get(key) {
                check.report(format!("`{}` has no meaning with `network_mode: {mode}`", other.path), &other);
            }
        }
        if main {
            let help = "name another service with `service`, or leave `network_mode` out";
            check.files.report_with_help(format!("`{}`: other apps cannot reach this service by name", at.path), help, at.place());
        }
    }
}
