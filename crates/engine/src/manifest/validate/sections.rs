//! `[project]`, `[variables]`, `[environments]`, `[secrets]` and `[[moved]]`.

use std::collections::HashMap;

use super::{IDENTIFIER, Known, Section, graph, is_identifier};
use crate::desired::quantity::Bytes;
use crate::manifest::diagnostic::{Diagnostic, Span};
use crate::manifest::source::{Entry, Node, NodeValue};
use crate::manifest::suggest;

pub(super) fn validate(root: &Node, known: &Known<'_>, problems: &mut Vec<Diagnostic>) {
    if root.get("project").is_none() {
        let help = "`stratos init` writes it; by hand: `[project]`, and below it `name = \"…\"`";
        let top = Span { end: root.span.start, ..root.span };
        problems.push(Diagnostic::new("`[project]` is missing", top).with_help(help));
    }
    root.get("project").and_then(|project| project.get("max_file_size")).into_iter().for_each(|node| max_file_size(node, problems));
    for section in [Section::Variables, Section::Secrets] {
        for (name, entry) in root.get(section.key()).into_iter().flat_map(Node::entries).filter(|(name, _)| !is_identifier(name)) {
            let message = format!("{name:?} is not a valid name of a {}: it must be {IDENTIFIER}", section.singular());
            problems.push(Diagnostic::new(message, entry.key_span));
        }
    }
    for (name, entry) in root.get("variables").into_iter().flat_map(Node::entries) {
        variable(name, entry, problems);
    }
    for (name, entry) in root.get("secrets").into_iter().flat_map(Node::entries) {
        secret(name, entry, problems);
    }
    environments(root, known, problems);
    for section in [Section::Environments, Section::Secrets] {
        root.get(section.key()).into_iter().for_each(|node| without_templates(node, problems));
    }
    let all = root.get("moved").and_then(Node::as_array).unwrap_or_default();
    for moved in all {
        self::moved(root, moved, all, known, problems);
    }
    moved_together(all, problems);
}

/// A limit below any file would refuse all, and one without an end would bound nothing.
fn max_file_size(node: &Node, problems: &mut Vec<Diagnostic>) {
    let size = match &node.value {
        NodeValue::String(text) => text.parse::<Bytes>().ok(),
        NodeValue::Integer(bytes) => u64::try_from(*bytes).ok().map(Bytes),
        _ => None,
    };
    // A value that is no size is told by its type.
    if size.is_some_and(|size| !(1 << 10..=1 << 30).contains(&size.0)) {
        problems.push(Diagnostic::new("`max_file_size` must be between 1KiB and 1GiB", node.span));
    }
}

/// A template outside an app would be taken as it stands, which nobody means.
fn without_templates(node: &Node, problems: &mut Vec<Diagnostic>) {
    match &node.value {
        NodeValue::String(_) if node.is_template() => {
            let problem = Diagnostic::new("a template cannot stand here", node.span);
            problems.push(problem.with_help("templates are filled in inside apps alone"));
        }
        NodeValue::Array(items) => items.iter().for_each(|item| without_templates(item, problems)),
        NodeValue::Table(table) => table.values().for_each(|entry| without_templates(&entry.node, problems)),
        _ => {}
    }
}

/// A declared variable's default has the declared type.
fn variable(name: &str, entry: &Entry, problems: &mut Vec<Diagnostic>) {
    if let (Some(wanted), Some(default)) = (entry.node.get("type").and_then(Node::as_str), entry.node.get("default")) {
        require_type(name, wanted, default, problems);
    }
}

fn require_type(name: &str, wanted: &str, value: &Node, problems: &mut Vec<Diagnostic>) {
    let found = type_of(value);
    let fits = wanted == found || (wanted == "number" && found == "integer") || found.is_empty();
    if !fits && ["string", "integer", "number", "boolean"].contains(&wanted) {
        problems.push(Diagnostic::new(format!("the variable `{name}` is declared as {wanted}, and this is {found}"), value.span));
    }
}

/// The word of `type` for a value; empty where no word fits, which the schema reports.
fn type_of(value: &Node) -> &'static str {
    match value.value {
        NodeValue::String(_) => "string",
        NodeValue::Integer(_) => "integer",
        NodeValue::Float(_) => "number",
        NodeValue::Bool(_) => "boolean",
        NodeValue::Array(_) | NodeValue::Table(_) => "",
    }
}

fn secret(name: &str, entry: &Entry, problems: &mut Vec<Diagnostic>) {
    if let Some(variable) = entry.node.get("env").filter(|node| node.as_str().is_some_and(|text| !is_identifier(text))) {
        let message = format!("the secret `{name}` is read from an environment variable whose name must be {IDENTIFIER}");
        problems.push(Diagnostic::new(message, variable.span));
    }
    if let Some(file) = entry.node.get("file").filter(|node| node.as_str() == Some("")) {
        problems.push(Diagnostic::new(format!("the secret `{name}` names no file"), file.span));
    }
}

fn environments(root: &Node, known: &Known<'_>, problems: &mut Vec<Diagnostic>) {
    let environments: Vec<(&str, &Entry)> = root.get("environments").into_iter().flat_map(Node::entries).collect();
    let mut after = Vec::new();
    for (_, entry) in &environments {
        let names = entry.node.get("after").and_then(Node::as_array).unwrap_or_default();
        let names: Vec<(&str, Span)> = names.iter().filter_map(|name| Some((name.as_str()?, name.span))).collect();
        for (name, span) in &names {
            known.require(Section::Environments, name, *span, problems);
        }
        after.push(names);
        for (name, value) in entry.node.get("variables").into_iter().flat_map(Node::entries) {
            environment_variable(root, name, value, known, problems);
        }
    }
    let names: Vec<&str> = environments.iter().map(|(name, _)| *name).collect();
    for (cycle, span) in graph::cycles(&names, &after) {
        problems.push(Diagnostic::new(format!("environments wait for each other: {cycle}"), span));
    }
}

/// An environment's value of a variable that is declared, of the type that it is declared with.
fn environment_variable(root: &Node, name: &str, value: &Entry, known: &Known<'_>, problems: &mut Vec<Diagnostic>) {
    known.require(Section::Variables, name, value.key_span, problems);
    if let Some(declared) = root.get("variables").and_then(|variables| variables.get(name)) {
        let wanted = declared.get("type").and_then(Node::as_str).unwrap_or_else(|| type_of(declared));
        require_type(name, wanted, &value.node, problems);
    }
}

/// What a `[[moved]]` speaks of.
#[derive(PartialEq, Eq)]
enum Address<'a> {
    Environment(&'a str),
    App(&'a str),
    Volume { app: &'a str, volume: &'a str },
}

impl<'a> Address<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        match parts.as_slice() {
            ["environments", name] if !name.is_empty() => Some(Self::Environment(name)),
            ["apps", name] if !name.is_empty() => Some(Self::App(name)),
            ["apps", app, "volumes", volume] if !app.is_empty() && !volume.is_empty() => Some(Self::Volume { app, volume }),
            _ => None,
        }
    }

    /// Whether the manifest has it; none where only rendering tells, because a cartridge may bring it.
    fn exists(&self, root: &Node) -> Option<bool> {
        match self {
            Self::Environment(name) => Some(root.at(["environments", name]).is_some()),
            Self::App(name) => Some(root.at(["apps", name]).is_some()),
            Self::Volume { app, volume } => {
                let app = root.at(["apps", app])?;
                let volumes = |node: &Node| node.at(["volumes", volume]).is_some();
                let overridden = || app.get("override").into_iter().flat_map(Node::entries).any(|(_, entry)| volumes(&entry.node));
                if volumes(app) || overridden() { Some(true) } else { app.get("cartridge").is_none().then_some(false) }
            }
        }
    }
}

fn moved(root: &Node, entry: &Node, all: &[Node], known: &Known<'_>, problems: &mut Vec<Diagnostic>) {
    let mut address = |key: &str| {
        let node = entry.get(key)?;
        let text = node.as_str()?;
        let parsed = Address::parse(text);
        if parsed.is_none() {
            let message = format!("`{key}` must be `apps.NAME`, `apps.NAME.volumes.NAME` or `environments.NAME`; found {text:?}");
            problems.push(Diagnostic::new(message, node.span));
        }
        Some((parsed?, text, node.span))
    };
    let (from, to) = (address("from"), address("to"));
    let (Some((from, old, from_span)), Some((to, new, to_span))) = (from, to) else { return };
    match (&from, &to) {
        (Address::Volume { app: a, .. }, Address::Volume { app: b, .. }) if a != b && app_before(all, b) != Some(*a) => {
            let help = "give both under the app's name; a rename of the app itself is another entry";
            problems.push(Diagnostic::new("a volume cannot move to another app", to_span).with_help(help));
        }
        (Address::Environment(_), Address::Environment(_)) | (Address::App(_), Address::App(_)) => {}
        (Address::Volume { .. }, Address::Volume { .. }) => {}
        _ => problems.push(Diagnostic::new(format!("`{old}` and `{new}` are not of one kind"), to_span)),
    }
    if from.exists(root) == Some(true) {
        let message = format!("`{old}` is still in the manifest, so it has not moved");
        problems.push(Diagnostic::new(message, from_span).with_help("rename it, or remove this entry"));
    }
    match to {
        Address::Environment(name) => known.require(Section::Environments, name, to_span, problems),
        Address::App(name) | Address::Volume { app: name, .. } if !known.has(Section::Apps, name) => {
            known.require(Section::Apps, name, to_span, problems);
        }
        Address::Volume { app, volume } if to.exists(root) == Some(false) => {
            let volumes = root.at(["apps", app, "volumes"]).into_iter().flat_map(Node::entries).map(|(name, _)| name);
            let help = suggest::help(volume, volumes.collect::<Vec<_>>(), "its volumes");
            let problem = Diagnostic::new(format!("the app `{app}` has no volume `{volume}`"), to_span);
            problems.push(Diagnostic { help, ..problem });
        }
        Address::App(_) | Address::Volume { .. } => {}
    }
}

/// What several entries say together. A live object has one name before: where entries would give it two, one of them would
/// be passed over in silence, and what is live under that name be removed.
fn moved_together(all: &[Node], problems: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<(&str, &str), Span> = HashMap::new();
    for key in ["from", "to"] {
        for node in all.iter().filter_map(|entry| entry.get(key)) {
            let Some(text) = node.as_str() else { continue };
            let Some(first) = seen.insert((key, text), node.span) else { continue };
            let problem =
                Diagnostic::new(format!("two entries move {key} `{text}`"), node.span).related_to(first, "it is first named here");
            problems.push(problem.with_help("keep the one whose `from` is what is live now"));
        }
    }
    let mut origins: HashMap<(&str, &str), Span> = HashMap::new();
    for (from, to) in all.iter().filter_map(|entry| entry.get("from").zip(entry.get("to"))) {
        let (from_text, to_text) = (from.as_str().unwrap_or_default(), to.as_str().unwrap_or_default());
        let Some(Address::Volume { app, volume }) = Address::parse(from_text) else { continue };
        let Some(Address::Volume { app: now, .. }) = Address::parse(to_text) else { continue };
        // Written under the app's name now or before: with the app's own entry it is the same volume.
        let origin = if app == now { app_before(all, app).unwrap_or(app) } else { app };
        let Some(first) = origins.insert((origin, volume), from.span).filter(|_| seen_once(all, from)) else { continue };
        let message = format!("two entries move the volume `{volume}`, under the names that its app has now and had before");
        problems.push(Diagnostic::new(message, from.span).related_to(first, "it is first named here").with_help("keep one of them"));
    }
}

/// What the entries say that an app was called before.
fn app_before<'a>(all: &'a [Node], app: &str) -> Option<&'a str> {
    let names = |key: &str, entry: &'a Node| entry.get(key)?.as_str()?.strip_prefix("apps.");
    all.iter().find(|entry| names("to", entry) == Some(app)).and_then(|entry| names("from", entry))
}

/// Whether no other entry has the very same `from`, which is reported already.
fn seen_once(all: &[Node], from: &Node) -> bool {
    all.iter().filter(|entry| entry.get("from").and_then(Node::as_str) == from.as_str()).count() == 1
}
