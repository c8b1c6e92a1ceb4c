//! A chart among the keys of a part: `platform.kubernetes.helm`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::text::OPEN;
use stratos_engine::manifest::diagnostic::{Diagnostic, Span};
use stratos_engine::manifest::source::{Node, NodeValue};
use stratos_engine::render::native::Native;

use super::part::{Named, named, unknown};
use super::stand_in::StandIns;

const KEYS: [&str; 9] = ["chart", "repo", "version", "values", "set", "release", "hooks", "kube_version", "api_versions"];
/// Where charts are that are not in the repository.
const REMOTE: [&str; 3] = ["oci://", "https://", "http://"];
/// The longest name of a release (`chart.MaxReleaseNameLen` of Helm).
const LONGEST_RELEASE: usize = 53;

/// A chart, and what it is rendered with.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// Where it is named.
    pub(super) at: Span,
    pub(super) from: From,
    /// Paths and patterns of files with values, the last one first to be asked.
    pub(super) values: Vec<Named>,
    /// Values of the manifest itself, which count more than those of files.
    pub(super) set: Value,
    /// None where it is called like the app.
    pub(super) release: Option<String>,
    /// None where it may have none.
    pub(super) hooks: Option<Hooks>,
    /// The cluster's version, where it is not what `helm` takes by default.
    pub(super) kube_version: Option<String>,
    /// Versions of APIs that the cluster has beside its own.
    pub(super) api_versions: Vec<String>,
}

/// Where a chart is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// A folder or an archive in the folder of the manifest or the cartridge.
    Folder(String),
    /// A registry, or a repository of charts.
    Remote { chart: String, repo: Option<String>, version: String },
}

/// What becomes of a chart's hooks, which are not run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hooks {
    /// Nothing.
    Skip,
    /// They are objects like others.
    Apply,
}

impl Chart {
    /// Of the key `helm`. None where something is wrong with it.
    pub(super) fn read(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<Self> {
        let before = problems.len();
        if node.as_table().is_none() {
            let problem = Diagnostic::new("`helm` must be a table", node.span);
            problems.push(problem.with_help("helm = { chart = \"charts/web\", values = [\"values.yaml\"] }"));
            return None;
        }
        for (key, entry) in node.entries().filter(|(key, _)| !KEYS.contains(key)) {
            let problem = unknown("`helm`", key, entry, &KEYS);
            problems.push(match key {
                "namespace" => problem.with_help("objects without a namespace go into the environment's own: [environments.…] namespace"),
                "name" => problem.with_help("release = \"…\""),
                _ => problem,
            });
        }
        let from = from(node, problems);
        let values = node.get("values").map(|node| values(node, problems)).unwrap_or_default();
        let set = node.get("set").map_or_else(|| Value::Object(Map::new()), value);
        if let (Some(node), false) = (node.get("set"), set.is_object()) {
            problems.push(Diagnostic::new("`set` must be a table of values", node.span).with_help("set.image.tag = \"1.2\""));
        }
        let release = text(node, "release", "a name", problems);
        if let Some((name, span)) = release.filter(|(name, _)| name.len() > LONGEST_RELEASE || Name::new(name).is_err()) {
            let message = format!("{name:?} is no name of a release: small letters, digits and `-`, no more than {LONGEST_RELEASE}");
            problems.push(Diagnostic::new(message, span));
        }
        let hooks = text(node, "hooks", "\"skip\" or \"apply\"", problems).and_then(|(written, span)| match written {
            "skip" => Some(Hooks::Skip),
            "apply" => Some(Hooks::Apply),
            _ => {
                problems.push(Diagnostic::new("`hooks` must be \"skip\" or \"apply\"", span));
                None
            }
        });
        let kube_version = text(node, "kube_version", "a version, such as \"1.34\"", problems).map(|(version, _)| version.to_owned());
        let api_versions = node.get("api_versions").map(|node| list(node, problems)).unwrap_or_default();
        let release = release.map(|(name, _)| name.to_owned());
        (problems.len() == before).then_some(from)?.map(|from| Self {
            at: node.get("chart").map_or(node.span, |chart| chart.span),
            from,
            values,
            set,
            release,
            hooks,
            kube_version,
            api_versions,
        })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        match &self.from {
            From::Folder(chart) | From::Remote { chart, .. } => chart,
        }
    }

    /// What stands for the secrets of its values while it is rendered.
    pub(super) fn stand_ins(&self, part: &Native) -> StandIns {
        let mut given = BTreeSet::new();
        for file in self.values.iter().flat_map(|values| part.files(&values.pattern).unwrap_or_default()) {
            StandIns::find(&file.text, &mut given);
        }
        strings(&self.set, &mut |text| StandIns::find(text, &mut given));
        StandIns::new(given)
    }
}

fn from(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<From> {
    let Some((chart, span)) = text(node, "chart", "a path or a name", problems) else {
        if node.get("chart").is_none() {
            let problem = Diagnostic::new("`helm` has no `chart`", node.span);
            problems.push(problem.with_help("chart = \"charts/web\""));
        }
        return None;
    };
    let repo = text(node, "repo", "an address", problems);
    let version = text(node, "version", "text", problems);
    let is_remote = REMOTE.iter().any(|scheme| chart.starts_with(scheme));
    if let Some((repo, span)) = repo {
        let problem = match (is_remote, repo.split_once("://")) {
            (true, _) => Some("`chart` says by itself where it is: `repo` has no meaning"),
            (false, Some(("https" | "http", _))) => None,
            (false, Some(("oci", _))) => Some("a registry is named in `chart`: chart = \"oci://registry.example.com/charts/web\""),
            (false, _) => Some("`repo` must be the address of a repository of charts: \"https://…\""),
        };
        problems.extend(problem.map(|why| Diagnostic::new(why, span)));
    }
    if !is_remote && repo.is_none() {
        if let Some((_, span)) = version {
            problems.push(Diagnostic::new("`version` has no meaning: the chart is the one in the repository", span).with_help("remove it"));
        }
        return Some(From::Folder(chart.to_owned()));
    }
    if chart.starts_with('-') {
        problems.push(Diagnostic::new("this is no name of a chart", span));
    }
    let Some((version, at)) = version else {
        problems
            .push(Diagnostic::new("`version` is missing: each plan would take the newest chart", span).with_help("version = \"1.2.3\""));
        return None;
    };
    if !is_exact(version) {
        let problem = Diagnostic::new(format!("{version:?} is no exact version: a plan and the next one could take different charts"), at);
        problems.push(problem.with_help("version = \"1.2.3\""));
    }
    Some(From::Remote { chart: chart.to_owned(), repo: repo.map(|(repo, _)| repo.to_owned()), version: version.to_owned() })
}

/// Whether it is one version: three numbers, and what may stand behind them.
fn is_exact(version: &str) -> bool {
    let numbers = version.strip_prefix('v').unwrap_or(version).split(['-', '+']).next().unwrap_or_default();
    let known = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    numbers.split('.').count() == 3 && numbers.split('.').all(is_number) && version.chars().all(known)
}

/// A value that must be text, and where it stands.
fn text<'n>(node: &'n Node, key: &str, what: &str, problems: &mut Vec<Diagnostic>) -> Option<(&'n str, Span)> {
    let node = node.get(key)?;
    let text = node.as_str().filter(|text| !text.is_empty() && !text.contains(OPEN));
    if text.is_none() {
        problems.push(Diagnostic::new(format!("`{key}` must be {what}"), node.span));
    }
    text.map(|text| (text, node.span))
}

fn values(node: &Node, problems: &mut Vec<Diagnostic>) -> Vec<Named> {
    if node.as_table().is_some() {
        let problem = Diagnostic::new("`values` names files", node.span);
        problems.push(problem.with_help("values of the manifest itself are under `set`: set.image.tag = \"1.2\""));
        return Vec::new();
    }
    named("values", node, problems)
}

fn list(node: &Node, problems: &mut Vec<Diagnostic>) -> Vec<String> {
    let texts = match &node.value {
        NodeValue::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>(),
        _ => None,
    };
    texts.unwrap_or_else(|| {
        let problem = Diagnostic::new("`api_versions` must be a list of texts", node.span);
        problems.push(problem.with_help("api_versions = [\"monitoring.coreos.com/v1\"]"));
        Vec::new()
    })
}

/// A part of the manifest as JSON.
fn value(node: &Node) -> Value {
    match &node.value {
        NodeValue::String(text) => text.as_str().into(),
        NodeValue::Integer(number) => (*number).into(),
        NodeValue::Float(number) => (*number).into(),
        NodeValue::Bool(truth) => (*truth).into(),
        NodeValue::Array(items) => items.iter().map(value).collect(),
        NodeValue::Table(_) => node.entries().map(|(key, entry)| (key.to_owned(), value(&entry.node))).collect(),
    }
}

fn strings(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, visit)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
