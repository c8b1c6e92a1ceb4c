//! One app: its names refer to something, and its values go together.

use std::collections::HashMap;

use super::{IDENTIFIER, Known, Section, dotted, is_identifier};
use crate::desired::quantity::Duration;
use crate::manifest::diagnostic::{Diagnostic, Span};
use crate::manifest::schema::{NOT_BUILT_YET, PlatformKind};
use crate::manifest::source::{Entry, Node};
use crate::manifest::suggest;
use crate::platform::support::Field;

/// What `allow_degraded` calls the parts of native parts: `compose.build`.
const NATIVE: [&str; 1] = ["compose"];

/// Checks an app as it is written, and its overrides.
pub(super) fn validate_written(name: &str, entry: &Entry, known: &Known<'_>, problems: &mut Vec<Diagnostic>) {
    let node = &entry.node;
    let parts = if node.get("cartridge").is_some() { Parts::Some } else { Parts::All };
    let mut check = AppCheck { name, node, whole: node, known, rendered: false, parts, problems };
    check.all();
    check.placement();
    check.something_runs(entry.key_span);
    for (environment, entry) in node.get("override").into_iter().flat_map(Node::entries) {
        known.require(Section::Environments, environment, entry.key_span, problems);
        let mut check = AppCheck { name, node: &entry.node, whole: node, known, rendered: false, parts: Parts::Some, problems };
        check.all();
        check.unset();
    }
}

/// Checks an app after rendering.
pub(super) fn validate_rendered(name: &str, node: &Node, known: &Known<'_>, problems: &mut Vec<Diagnostic>) {
    let mut check = AppCheck { name, node, whole: node, known, rendered: true, parts: Parts::All, problems };
    check.all();
    check.something_runs(node.span);
}

/// How much of the app a node is.
#[derive(Clone, Copy, PartialEq)]
enum Parts {
    /// All of it: what is missing here is missing.
    All,
    /// Some of it: a cartridge comes below it, or it is an override.
    Some,
}

struct AppCheck<'a> {
    name: &'a str,
    node: &'a Node,
    /// The app that `node` is, or is an override of.
    whole: &'a Node,
    known: &'a Known<'a>,
    rendered: bool,
    parts: Parts,
    problems: &'a mut Vec<Diagnostic>,
}

impl<'a> AppCheck<'a> {
    fn all(&mut self) {
        self.not_built_yet();
        self.dependencies();
        self.degraded();
        self.ports();
        self.env();
        self.files();
        self.health();
        self.volumes();
        self.rollout();
        self.native();
        if let (Some(replicas), Some(_)) = (self.node.get("replicas"), self.node.get("autoscale")) {
            self.problem("`replicas` and `autoscale` exclude each other", replicas.span);
        }
    }

    fn problem(&mut self, message: impl Into<String>, span: Span) {
        self.problems.push(Diagnostic::new(message, span));
    }

    /// Text, unless it is a template that is not rendered yet.
    fn text(&self, node: &'a Node) -> Option<&'a str> {
        node.as_str().filter(|_| self.rendered || !node.is_template())
    }

    fn table(&self, key: &str) -> impl Iterator<Item = (&'a str, &'a Entry)> + use<'a> {
        self.node.get(key).into_iter().flat_map(Node::entries)
    }

    fn list(&self, key: &str) -> &'a [Node] {
        self.node.get(key).and_then(Node::as_array).unwrap_or_default()
    }

    /// The app and its overrides: what may be there once they are merged.
    fn layers(&self) -> impl Iterator<Item = &'a Node> + use<'a> {
        let overrides = self.whole.get("override").into_iter().flat_map(Node::entries).map(|(_, entry)| &entry.node);
        std::iter::once(self.whole).chain(overrides)
    }

    fn not_built_yet(&mut self) {
        for (key, entry) in self.node.entries().filter(|(key, _)| NOT_BUILT_YET.contains(key)) {
            self.problem(format!("`{key}`: this build does not have it yet"), entry.key_span);
        }
    }

    /// Where the app goes. It decides where templates are rendered, so it holds none.
    fn placement(&mut self) {
        for item in self.list("environments") {
            match item.as_str() {
                Some(_) if item.is_template() => {
                    self.problem("`environments` cannot hold templates: they are rendered for each environment", item.span)
                }
                Some(name) => self.known.require(Section::Environments, name, item.span, self.problems),
                None => {}
            }
        }
    }

    fn something_runs(&mut self, span: Span) {
        const RUNS: [&str; 4] = ["image", "command", "cartridge", "platform"];
        // A misspelt key was reported as such, and would be reported twice.
        let names_it = |layer: &Node| layer.entries().any(|(key, _)| suggest::closest(key, RUNS).is_some());
        if self.parts == Parts::All && !self.layers().any(names_it) {
            let message = format!("the app `{}` says nothing that could run", self.name);
            self.problems.push(
                Diagnostic::new(message, span).with_help("give it an `image`, a `command`, a `cartridge` or a native part (`platform`)"),
            );
        }
    }

    fn unset(&mut self) {
        if self.whole.get("cartridge").is_some() {
            return;
        }
        for item in self.list("unset") {
            let Some(written) = self.text(item) else { continue };
            let Some(path) = dotted(written) else {
                self.problem(format!("`unset` names {written:?}, which is no dotted key"), item.span);
                continue;
            };
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if self.whole.at(path.iter().copied()).is_none() {
                let message = format!("`unset` names `{written}`, which the app `{}` does not set", self.name);
                let (last, table) = path.split_last().map_or(("", None), |(last, table)| (*last, self.whole.at(table.iter().copied())));
                let siblings: Vec<&str> =
                    table.into_iter().flat_map(Node::entries).map(|(key, _)| key).filter(|key| *key != "override").collect();
                let help = suggest::help(last, siblings, "there are");
                self.problems.push(Diagnostic { help, ..Diagnostic::new(message, item.span) });
            }
        }
    }

    fn dependencies(&mut self) {
        let bound: Vec<(&str, &Entry)> = self.table("bind").collect();
        let listed = self.list("depends_on").iter().filter_map(|item| Some((self.text(item)?, item.span)));
        let named: Vec<(&str, Span)> = bound.iter().map(|(name, entry)| (*name, entry.key_span)).chain(listed).collect();
        for (name, span) in named {
            self.known.require(Section::Apps, name, span, self.problems);
        }
        let mut prefixes: HashMap<String, Span> = HashMap::new();
        for (name, entry) in bound {
            let given = entry.node.get("prefix").and_then(|node| self.text(node));
            let prefix = given.map_or_else(|| name.to_uppercase().replace('-', "_"), str::to_owned);
            let message = format!("two bindings give their variables the prefix `{prefix}`");
            if let Some(first) = prefixes.insert(prefix, entry.key_span) {
                let problem = Diagnostic::new(message, entry.key_span).related_to(first, "the other binding is here");
                self.problems.push(problem.with_help("give one of them another `prefix`"));
            }
        }
    }

    fn degraded(&mut self) {
        for item in self.list("allow_degraded") {
            let Some(written) = self.text(item) else { continue };
            let fields = || Field::ALL.iter().map(|field| field.as_str());
            // What a native part may leave out is for its platform to say.
            let native = NATIVE.iter().any(|area| written.strip_prefix(area).is_some_and(|rest| rest.starts_with('.')));
            if !native && !fields().any(|field| field == written) {
                let help = match suggest::closest(written, fields()) {
                    Some(field) => format!("did you mean `{field}`?"),
                    None => "`stratos check` lists the fields".to_owned(),
                };
                self.problems
                    .push(Diagnostic::new(format!("`allow_degraded` names `{written}`, which is no field"), item.span).with_help(help));
            }
        }
    }

    fn ports(&mut self) {
        let mut published: HashMap<(i64, &str), Span> = HashMap::new();
        for (_, entry) in self.table("ports") {
            let Some(publish) = entry.node.get("publish") else { continue };
            let Some(number) = publish.as_integer() else { continue };
            let protocol = entry.node.get("protocol").and_then(Node::as_str).unwrap_or("tcp");
            if let Some(first) = published.insert((number, protocol), publish.span) {
                let problem = Diagnostic::new(format!("port {number} is published twice"), publish.span);
                self.problems.push(problem.related_to(first, "it is first published here"));
            }
        }
    }

    fn env(&mut self) {
        for (name, entry) in self.table("env") {
            if !is_identifier(name) {
                self.problem(format!("{name:?} is not a valid name of an environment variable: it must be {IDENTIFIER}"), entry.key_span);
            }
            if name == "PORT" || name.starts_with("PORT_") {
                let help = "they say where the app must listen, which is not the same on each platform; `$(PORT)` uses it";
                let message = format!("`{name}` is set by the platform, as are all variables `PORT` and `PORT_…`");
                self.problems.push(Diagnostic::new(message, entry.key_span).with_help(help));
            }
        }
    }

    fn files(&mut self) {
        let mut paths = Paths::default();
        for (path, entry) in self.table("files") {
            paths.add("file", path, entry.key_span, self.problems);
            let given: Vec<&str> = ["template", "content", "secret"].into_iter().filter(|key| entry.node.get(key).is_some()).collect();
            match given.as_slice() {
                [] if self.parts == Parts::All && entry.node.as_table().is_some_and(|file| file.keys().all(|key| key == "mode")) => {
                    self.problem(format!("the file {path:?} has no content: give `template`, `content` or `secret`"), entry.key_span);
                }
                [_, _, ..] => {
                    self.problem(format!("the file {path:?} has more than one content: `{}`", given.join("`, `")), entry.key_span)
                }
                _ => {}
            }
            if let Some((secret, name)) = entry.node.get("secret").and_then(|node| Some((node, self.text(node)?))) {
                self.known.require(Section::Secrets, name, secret.span, self.problems);
            }
        }
    }

    fn volumes(&mut self) {
        let mut paths = Paths::default();
        for (_, entry) in self.table("volumes") {
            if let Some((path, text)) = entry.node.get("path").and_then(|node| Some((node, self.text(node)?))) {
                paths.add("volume", text, path.span, self.problems);
            }
        }
    }

    fn health(&mut self) {
        let Some(health) = self.node.get("health").filter(|health| health.as_table().is_some()) else { return };
        let split: Vec<&Node> = ["ready", "live"].into_iter().filter_map(|key| health.get(key)).collect();
        let has_any = health.as_table().is_some_and(|table| !table.is_empty());
        match split.as_slice() {
            [] if has_any || self.parts == Parts::All => self.probe(health),
            probes => probes.iter().for_each(|probe| self.probe(probe)),
        }
    }

    fn probe(&mut self, probe: &'a Node) {
        let given: Vec<&str> = ["http", "tcp", "command"].into_iter().filter(|key| probe.get(key).is_some()).collect();
        // A misspelt key was reported as such; it may well be the one that is missing.
        let only_settings = probe.entries().all(|(key, _)| ["port", "interval", "timeout", "retries", "start_period"].contains(&key));
        match given.as_slice() {
            [] if self.parts == Parts::All && only_settings => self.problem("a probe needs one of `http`, `tcp` and `command`", probe.span),
            [_, _, ..] => {
                self.problem(format!("a probe has exactly one of `http`, `tcp` and `command`; found `{}`", given.join("`, `")), probe.span)
            }
            _ => {}
        }
        if let Some(port) = probe.get("port").filter(|_| !given.is_empty() && !given.contains(&"http")) {
            let problem = Diagnostic::new("`port` goes with `http` alone", port.span);
            self.problems.push(problem.with_help("`tcp` itself names the port, and a command needs none"));
        }
        for name in ["port", "tcp"].into_iter().filter_map(|key| probe.get(key)) {
            self.probed_port(name);
        }
        if self.parts == Parts::All && probe.get("http").is_some() && !self.layers().any(|layer| layer.get("ports").is_some()) {
            let problem = Diagnostic::new("an `http` probe needs a port, and the app has none", probe.span);
            self.problems.push(problem.with_help("for example `ports.http = 8080`"));
        }
        for key in ["interval", "timeout"] {
            let Some((node, text)) = probe.get(key).and_then(|node| Some((node, self.text(node)?))) else { continue };
            if text.parse() == Ok(Duration(0)) {
                self.problem(format!("a probe's `{key}` must be longer than nothing"), node.span);
            }
        }
    }

    /// The port exists. In an override, or over a cartridge, only rendering tells.
    fn probed_port(&mut self, name: &'a Node) {
        let Some(written) = self.text(name).filter(|_| self.parts == Parts::All) else { return };
        let ports: Vec<&str> = self.layers().filter_map(|layer| layer.get("ports")).flat_map(Node::entries).map(|(name, _)| name).collect();
        if !ports.contains(&written) {
            let problem = Diagnostic::new(format!("the app `{}` has no port `{written}`", self.name), name.span);
            let help = suggest::help(written, ports, "its ports");
            self.problems.push(Diagnostic { help, ..problem });
        }
    }

    /// Native parts are for platforms that there are, and tables. What is in them is for their platforms to say.
    fn native(&mut self) {
        let kinds = PlatformKind::ALL.map(PlatformKind::as_str);
        for (kind, entry) in self.table("platform") {
            if !kinds.contains(&kind) {
                let help = suggest::help(kind, kinds, "there are");
                let problem = Diagnostic::new(format!("there is no platform `{kind}`"), entry.key_span);
                self.problems.push(Diagnostic { help, ..problem });
            } else if entry.node.as_table().is_none() {
                self.problem(format!("`platform.{kind}` must be a table"), entry.node.span);
            }
        }
    }

    fn rollout(&mut self) {
        let Some(rollout) = self.node.get("rollout") else { return };
        let number = |key: &str| rollout.get(key).map(|node| (node.as_integer(), node.span));
        let (surge, unavailable) = (number("max_surge"), number("max_unavailable"));
        if rollout.get("strategy").and_then(Node::as_str) == Some("recreate") {
            for (key, given) in [("max_surge", surge), ("max_unavailable", unavailable)] {
                if let Some((_, span)) = given {
                    self.problem(format!("`{key}` has no meaning with the strategy `recreate`, which stops all instances first"), span);
                }
            }
            return;
        }
        // Without `max_unavailable` none may be away. In an override, the app's own value counts; rendering tells.
        let none_away = unavailable.map_or(self.parts == Parts::All, |(number, _)| number == Some(0));
        if let (Some((Some(0), span)), true) = (surge, none_away) {
            let problem = Diagnostic::new("with `max_surge` and `max_unavailable` both 0 nothing can ever be exchanged", span);
            self.problems.push(problem.with_help("one of them must be at least 1"));
        }
    }
}

/// Absolute paths that are all different.
#[derive(Default)]
struct Paths {
    seen: HashMap<String, Span>,
}

impl Paths {
    fn add(&mut self, what: &str, path: &str, span: Span, problems: &mut Vec<Diagnostic>) {
        if !path.starts_with('/') {
            // The schema says so of volumes, where the path is a value and not a key.
            if what == "file" {
                problems.push(Diagnostic::new(format!("the path of a {what} must be absolute; found {path:?}"), span));
            }
            return;
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") || parts.is_empty() || path.contains('\0') || (what == "file" && path.ends_with('/')) {
            return problems.push(Diagnostic::new(format!("{path:?} is not a path where a {what} can be"), span));
        }
        if let Some(first) = self.seen.insert(parts.join("/"), span) {
            let problem = Diagnostic::new(format!("two {what}s have the path {path:?}"), span);
            problems.push(problem.related_to(first, "it is first used here"));
        }
    }
}
