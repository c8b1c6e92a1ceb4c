//! Files become objects: documents one after another, lists opened.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;
use stratos_engine::manifest::diagnostic::{Diagnostic, Span};
use stratos_engine::render::native::{Native, NativeFile};

use super::chart::Chart;
use super::part::{Named, Part};
use super::stand_in::StandIns;
use super::yaml::{Node, Tree};
use super::{Seen, check, sentence, yaml};
use crate::object::desired::{Identity, Wrong};

/// Annotations that `kubectl get` prints, and controllers or other tools write: in a manifest they mean nothing.
const LEFT_OVER: [&str; 3] =
    ["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"];

/// The annotation of an object that Helm makes at a time of its own.
const HOOK: &str = "helm.sh/hook";

/// An object of a file.
pub(super) struct Manifest<'a> {
    file: &'a NativeFile,
    tree: Tree,
    pub(super) identity: Identity,
    /// With patches.
    pub(super) object: Value,
    /// A chart made it.
    pub(super) is_of_chart: bool,
}

impl Manifest<'_> {
    /// Where something stands in its file.
    pub(super) fn span(&self, path: &[&str]) -> Span {
        self.place(&path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
    }

    /// Where something stands in its file, as far as it is there.
    pub(super) fn place(&self, path: &[String]) -> Span {
        self.file.span(self.tree.place(path).0)
    }

    /// As it is written.
    pub(super) fn unpatched(&self) -> Value {
        self.tree.value()
    }

    /// Whether its chart says that nothing deletes it.
    pub(super) fn is_kept(&self) -> bool {
        self.is_of_chart && annotation(&self.object, "helm.sh/resource-policy").is_some_and(|policy| policy.trim() == "keep")
    }

    pub(super) fn diagnostic(&self, wrong: &Wrong) -> Diagnostic {
        Diagnostic::new(sentence(&self.identity.kind, &self.identity.name, wrong), self.place(&wrong.at))
    }
}

/// The objects of all files of a part, in the order of the files.
pub(super) fn read<'a>(part: &'a Native, keys: &Part<'_>, problems: &mut Vec<Diagnostic>) -> Vec<Manifest<'a>> {
    let patches: Vec<&NativeFile> = keys.patches.iter().flat_map(|patch| part.files(&patch.file.pattern).unwrap_or_default()).collect();
    // A pattern finds patches that are beside the manifests, too; and two patterns may find one file.
    let mut seen: Seen = patches.into_iter().map(|file| file.path.clone()).collect();
    let mut out = Vec::new();
    for named in &keys.manifests {
        let files = match part.files(&named.pattern) {
            Ok(files) => files,
            Err(why) => {
                problems.push(Diagnostic::new(format!("`{}` cannot be read: {why}", named.pattern), named.span));
                continue;
            }
        };
        for file in files.iter().filter(|file| seen.insert(file.path.clone())) {
            of_file(file, &mut out, problems);
        }
    }
    // Nobody names files for nothing; a template may give nothing here.
    let is_template = |named: &Named| part.files(&named.pattern).iter().any(|files| files.iter().any(|file| file.path.ends_with(".j2")));
    if let (Some(first), true, true, None) = (keys.manifests.first(), out.is_empty(), problems.is_empty(), &keys.chart)
        && !keys.manifests.iter().any(is_template)
    {
        problems.push(Diagnostic::new(format!("`{}` has no object in it, nor has another file of the app", first.pattern), first.span));
    }
    if let Some(chart) = &keys.chart {
        let reader = ChartReader { chart, stand_ins: chart.stand_ins(part) };
        let before = (out.len(), problems.len());
        part.generated().iter().for_each(|file| reader.read(file, &mut out, problems));
        // Values that cannot be had are what is wrong, then.
        let missing = chart.values.iter().filter_map(|values| Some((values, part.files(&values.pattern).err()?)));
        problems.extend(missing.map(|(values, why)| Diagnostic::new(format!("`{}` cannot be read: {why}", values.pattern), values.span)));
        if before == (out.len(), problems.len()) {
            problems.push(Diagnostic::new(format!("the chart `{}` makes nothing with these values", chart.name()), chart.at));
        }
    }
    out
}

/// The objects of the second time that a part's chart was rendered, as far as they are right.
pub(super) fn again<'a>(part: &'a Native, keys: &Part<'_>) -> Vec<Manifest<'a>> {
    let Some(chart) = &keys.chart else { return Vec::new() };
    let reader = ChartReader { chart, stand_ins: chart.stand_ins(part) };
    let mut out = Vec::new();
    part.generated_again().iter().for_each(|file| reader.read(file, &mut out, &mut Vec::new()));
    out
}

/// Reads what a chart made.
struct ChartReader<'c> {
    chart: &'c Chart,
    stand_ins: StandIns,
}

impl ChartReader<'_> {
    fn read<'a>(&self, file: &'a NativeFile, out: &mut Vec<Manifest<'a>>, problems: &mut Vec<Diagnostic>) {
        let mut found = Vec::new();
        match yaml::lenient(&file.text) {
            // Much of a chart is for other values.
            Ok(documents) => documents.into_iter().for_each(|tree| opened(file, tree, &mut found, problems)),
            Err(error) => problems.push(Diagnostic::new(error.message, file.span(error.at))),
        }
        for mut manifest in found {
            if manifest.identity.api_version == "v1" && manifest.identity.kind == "Secret" {
                self.stand_ins.decode(&mut manifest.object);
            }
            if let (Some(hook), None) = (annotation(&manifest.object, HOOK), self.chart.hooks) {
                let (kind, name) = (&manifest.identity.kind, &manifest.identity.name);
                let message = format!("{kind} {name} is a hook of its chart ({hook}), and hooks are not run here");
                let problem = Diagnostic::new(message, manifest.span(&["metadata", "annotations", HOOK]));
                problems.push(
                    problem
                        .with_help("hooks = \"skip\" leaves the hooks of the chart out, hooks = \"apply\" makes them objects like others"),
                );
                continue;
            }
            manifest.is_of_chart = true;
            out.push(manifest);
        }
    }
}

fn annotation<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object.get("metadata")?.get("annotations")?.get(name)?.as_str()
}

/// The objects of a file: none where a template gives none here, or where a file is empty, which kubectl passes over as well.
fn of_file<'a>(file: &'a NativeFile, out: &mut Vec<Manifest<'a>>, problems: &mut Vec<Diagnostic>) {
    match yaml::documents(&file.text) {
        Ok(documents) => documents.into_iter().for_each(|tree| opened(file, tree, out, problems)),
        Err(error) => problems.push(Diagnostic::new(error.message, file.span(error.at))),
    }
}

/// A document: an object, or a list of them.
fn opened<'a>(file: &'a NativeFile, tree: Tree, out: &mut Vec<Manifest<'a>>, problems: &mut Vec<Diagnostic>) {
    let text = |key: &str| tree.get(key).and_then(Tree::as_str).map(Cow::Borrowed);
    // A list has no name: with one it is an object of a kind that is called like that.
    let is_list = tree.get("items").is_some() && tree.get("metadata").and_then(|metadata| metadata.get("name")).is_none();
    let list_of = text("kind").filter(|_| is_list).and_then(|kind| kind.strip_suffix("List").map(str::to_owned));
    let Some(of) = list_of else { return one(file, tree, out, problems) };
    let api_version = text("apiVersion").map(Cow::into_owned);
    if !matches!(tree.get("items").map(|items| &items.node), Some(Node::List(_) | Node::Scalar(Value::Null))) {
        return problems.push(Diagnostic::new("`items` must be a list", file.span(tree.start())));
    }
    let Node::Map(entries) = tree.node else { return };
    for entry in entries.into_iter().filter(|entry| entry.key == "items") {
        let Node::List(items) = entry.value.node else { continue };
        for mut item in items {
            // In a list of one kind the items do not say it again.
            if let (false, Node::Map(fields)) = (of.is_empty(), &mut item.node) {
                let mut fill = |key: &str, value: &str| {
                    if !fields.iter().any(|field| field.key == key) {
                        let value = Tree { at: entry.key_at.clone(), node: Node::Scalar(value.into()) };
                        fields.push(yaml::Entry { key: key.to_owned(), key_at: entry.key_at.clone(), value });
                    }
                };
                fill("kind", &of);
                api_version.iter().for_each(|version| fill("apiVersion", version));
            }
            opened(file, item, out, problems);
        }
    }
}

fn one<'a>(file: &'a NativeFile, tree: Tree, out: &mut Vec<Manifest<'a>>, problems: &mut Vec<Diagnostic>) {
    let mut report = |at: Range<usize>, message: String, help: Option<&str>| {
        let problem = Diagnostic::new(message, file.span(at));
        problems.push(Diagnostic { help: help.map(str::to_owned), ..problem });
    };
    if !matches!(tree.node, Node::Map(_)) {
        return report(tree.start(), format!("an object is a table, and this is {}", tree.kind()), None);
    }
    let mut object = tree.value();
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !LEFT_OVER.contains(&key.as_str()));
    }
    let metadata = tree.get("metadata");
    if let (None, Some(entry)) = (metadata.and_then(|tree| tree.get("name")), generated(&tree)) {
        let help = Some("write `name`: each plan would make another object");
        return report(entry, "`generateName` is refused: an object is found again by its name".to_owned(), help);
    }
    let identity = match Identity::of(&object) {
        Ok(identity) => identity,
        Err(wrong) => {
            let written = wrong.at.iter().try_fold(&tree, |tree, key| tree.get(key)).filter(|tree| !tree.is_null());
            let why = match written {
                Some(found) => {
                    format!("`{}` must be text that is known before anything is deployed, found {}", wrong.at.join("."), found.kind())
                }
                None => wrong.why,
            };
            return report(tree.place(&wrong.at).0, why, None);
        }
    };
    if identity.api_version.starts_with("kustomize.config.k8s.io/") {
        let help = Some("`kubectl kustomize` writes what it makes as manifests");
        return report(tree.start(), "a Kustomization is no object of a cluster".to_owned(), help);
    }
    let found = check::object(&identity, &tree);
    let wrong = !found.is_empty();
    for problem in found {
        let message = sentence(&identity.kind, &identity.name, &Wrong { at: vec![], why: problem.why });
        report(problem.at, message, problem.help.as_deref());
    }
    if !wrong {
        out.push(Manifest { file, tree, identity, object, is_of_chart: false });
    }
}

fn generated(tree: &Tree) -> Option<Range<usize>> {
    let entry = tree.get("metadata")?.entries().iter().find(|entry| entry.key == "generateName")?;
    Some(entry.key_at.clone())
}
