//! The keys of `platform.kubernetes`.

use std::collections::BTreeMap;

use serde_json::Value;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::manifest::diagnostic::{Diagnostic, Span};
use stratos_engine::manifest::source::{Entry, Node, NodeValue};
use stratos_engine::manifest::suggest;
use stratos_engine::platform::TranslatedApp;
use stratos_engine::render::native::Native;

use super::chart::Chart;
use crate::settings;

const KEYS: [&str; 7] = ["manifests", "helm", "patches", "service", "pod_security", "run_as_user", "run_as_group"];
/// Keys that are about the pods of the app's portable part.
const OF_PODS: [&str; 3] = ["pod_security", "run_as_user", "run_as_group"];
const STANDARDS: [&str; 3] = ["restricted", "baseline", "privileged"];

/// A part, as far as it is right.
pub(super) struct Part<'a> {
    node: &'a Node,
    /// Paths and patterns of files with objects.
    pub(super) manifests: Vec<Named>,
    /// A chart that makes objects.
    pub(super) chart: Option<Chart>,
    /// Those of files with patches.
    pub(super) patches: Vec<PatchFile>,
}

/// A path or a pattern, and where it is named.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) pattern: String,
    pub(super) span: Span,
}

/// A file with patches, and what they are laid on.
#[derive(Debug, Clone)]
pub(super) struct PatchFile {
    pub(super) file: Named,
    /// None where each patch names its object.
    pub(super) target: Option<Target>,
}

/// Objects that are meant without being named in the patch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: String,
    /// None where objects of that kind are meant in any group.
    pub(super) group: Option<String>,
    /// None where all objects of the kind are meant.
    pub(super) name: Option<String>,
    /// None where that does not matter.
    pub(super) namespace: Option<String>,
}

impl<'a> Part<'a> {
    pub(super) fn read(part: &'a Native, problems: &mut Vec<Diagnostic>) -> Self {
        let node = &part.node;
        for (key, entry) in node.entries().filter(|(key, _)| !KEYS.contains(key)) {
            let problem = Diagnostic::new(format!("`platform.kubernetes` has no key `{key}`"), entry.key_span);
            problems.push(Diagnostic { help: suggest::help(key, KEYS, "there are"), ..problem });
        }
        let manifests = node.get("manifests").map(|node| named("manifests", node, problems)).unwrap_or_default();
        let patches = match node.get("patches") {
            Some(Node { value: NodeValue::Array(items), .. }) => items.iter().filter_map(|item| patch_file(item, problems)).collect(),
            Some(single) => patch_file(single, problems).into_iter().collect(),
            None => Vec::new(),
        };
        let chart = node.get("helm").and_then(|node| Chart::read(node, problems));
        Self { node, manifests, chart, patches }
    }

    /// Whether anything is to bring objects.
    pub(super) fn has_objects(&self) -> bool {
        !self.manifests.is_empty() || self.node.get("helm").is_some()
    }

    /// Everything that has to be read.
    pub(super) fn files(&self) -> Vec<String> {
        let patches = self.patches.iter().map(|patch| &patch.file);
        let values = self.chart.iter().flat_map(|chart| &chart.values);
        self.manifests.iter().chain(values).chain(patches).map(|named| named.pattern.clone()).collect()
    }

    /// What can be wrong with keys that name no files.
    pub(super) fn check(&self, app: &TranslatedApp<'_>, problems: &mut Vec<Diagnostic>) {
        let mut report =
            |message: &str, span: Span, help: Option<String>| problems.push(Diagnostic { help, ..Diagnostic::new(message, span) });
        if app.app.image.is_none() {
            for (key, entry) in self.node.entries().filter(|(key, _)| OF_PODS.contains(key)) {
                let help = Some("say it in the manifests, at the pods".to_owned());
                report(&format!("`{key}` is about the pods of the app itself, and it has none: no `image`"), entry.key_span, help);
            }
        }
        let security = self.node.get("pod_security");
        if let Some(node) = security.filter(|node| !node.as_str().is_some_and(|written| STANDARDS.contains(&written))) {
            let help = node.as_str().and_then(|written| suggest::closest(written, STANDARDS)).map(|near| format!("did you mean `{near}`?"));
            report("`pod_security` must be \"restricted\", \"baseline\" or \"privileged\"", node.span, help);
        }
        let restricted = security.is_none_or(|node| node.as_str() == Some("restricted"));
        for key in ["run_as_user", "run_as_group"] {
            let Some(node) = self.node.get(key) else { continue };
            let number = node.as_integer().filter(|number| (0..=i64::from(u32::MAX >> 1)).contains(number));
            match number {
                None => report(&format!("`{key}` must be a whole number: the id, not the name"), node.span, None),
                Some(0) if key == "run_as_user" && restricted => {
                    let help = Some("another user, or pod_security = \"baseline\"".to_owned());
                    report("0 is root, which `pod_security = \"restricted\"` does not let run", node.span, help);
                }
                Some(_) => {}
            }
        }
        if let Some(node) = self.node.get("service") {
            if app.app.image.is_some() {
                report("`service` has no meaning: other apps reach the app's own pods, which its `image` says", node.span, None);
            } else if node.as_str().is_none_or(str::is_empty) {
                report("`service` must be the name of a Service", node.span, None);
            }
        }
    }

    /// Whether there is what other apps reach, where the manifests have to bring it.
    pub(super) fn check_service(&self, app: &TranslatedApp<'_>, objects: &BTreeMap<&ResourceId, &Value>, problems: &mut Vec<Diagnostic>) {
        if app.app.image.is_some() || app.app.ports.is_empty() || !self.has_objects() {
            return;
        }
        let name = settings::service(app);
        let services = || objects.iter().filter(|(id, _)| &*id.kind == "Service" && id.namespace.is_none());
        let span = self.node.get("service").map_or(self.node.span, |node| node.span);
        let Some((_, service)) = services().find(|(id, _)| *id.name == *name) else {
            let names: Vec<&str> = services().map(|(id, _)| &*id.name).collect();
            let message = format!("the app has ports, and its manifests have no Service `{name}` for others to reach them at");
            let help = match names.is_empty() {
                true => "add one".to_owned(),
                false => format!("service = \"…\": one of {}", names.join(", ")),
            };
            return problems.push(Diagnostic::new(message, span).with_help(help));
        };
        let numbers: Vec<u64> = service
            .pointer("/spec/ports")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|port| port.get("port")?.as_u64())
            .collect();
        for (port, wanted) in app.app.ports.iter().filter(|(_, port)| !numbers.contains(&u64::from(port.port))) {
            let has = numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("the port {port} of the app is {}, and the Service `{name}` has no such port", wanted.port);
            problems.push(Diagnostic::new(message, span).with_help(format!("it has: {has}")));
        }
    }
}

pub(super) fn named(key: &str, node: &Node, problems: &mut Vec<Diagnostic>) -> Vec<Named> {
    let one = |node: &Node| node.as_str().filter(|path| !path.is_empty()).map(|path| Named { pattern: path.to_owned(), span: node.span });
    let items = match &node.value {
        NodeValue::Array(items) => items.iter().collect(),
        _ => vec![node],
    };
    if items.is_empty() {
        problems.push(Diagnostic::new(format!("`{key}` names no file"), node.span));
    }
    let mut out = Vec::new();
    for item in items {
        match one(item) {
            Some(named) => out.push(named),
            None => problems.push(Diagnostic::new(format!("`{key}` must be a path or a pattern, or a list of them"), item.span)),
        }
    }
    out
}

fn patch_file(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<PatchFile> {
    if node.as_table().is_none() {
        return named("patches", node, problems).pop().map(|file| PatchFile { file, target: None });
    }
    for (key, entry) in node.entries().filter(|(key, _)| !["file", "target"].contains(key)) {
        problems.push(unknown("a patch", key, entry, &["file", "target"]));
    }
    let target = node.get("target").and_then(|node| target(node, problems));
    match node.get("file") {
        Some(file) => named("file", file, problems).pop().map(|file| PatchFile { file, target }),
        None => {
            problems.push(Diagnostic::new("a patch has no `file`", node.span));
            None
        }
    }
}

fn target(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<Target> {
    const TARGET: [&str; 4] = ["kind", "group", "name", "namespace"];
    for (key, entry) in node.entries().filter(|(key, _)| !TARGET.contains(key)) {
        problems.push(unknown("a target", key, entry, &TARGET));
    }
    for (key, entry) in node.entries().filter(|(key, entry)| TARGET.contains(key) && entry.node.as_str().is_none()) {
        problems.push(Diagnostic::new(format!("`{key}` must be text"), entry.node.span));
    }
    let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
    match text("kind") {
        Some(kind) => Some(Target { kind, group: text("group"), name: text("name"), namespace: text("namespace") }),
        None => {
            problems
                .push(Diagnostic::new("a target has no `kind`", node.span).with_help("target = { kind = \"Deployment\", name = \"web\" }"));
            None
        }
    }
}

pub(super) fn unknown(what: &str, key: &str, entry: &Entry, known: &[&str]) -> Diagnostic {
    let problem = Diagnostic::new(format!("{what} has no key `{key}`"), entry.key_span);
    Diagnostic { help: suggest::help(key, known.iter().copied(), "there are"), ..problem }
}
