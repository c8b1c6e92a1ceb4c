//! Patches: what is changed in objects before they become documents.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::render::native::{Native, NativeFile};

use super::duplicates::{self, Duplicate, Types};
use super::part::{Part, Target};
use super::yaml::{Node, Tree};
use super::{check, merge, sentence, yaml};
use crate::config::EnvironmentConfig;
use crate::kind::GroupKind;
use crate::object::desired::Wrong;
use crate::types::Type;

/// The patches of a part, and what came of them.
#[derive(Default)]
pub(crate) struct Patches<'a> {
    patches: Vec<Patch<'a>>,
    /// By the kind without its group, and the name where one is meant: indexes into `patches`.
    by_target: HashMap<(String, Option<String>), Vec<usize>>,
    /// The patches that were laid on an object, where there are any.
    laid: RefCell<BTreeMap<ResourceId, Vec<usize>>>,
    problems: RefCell<Vec<Diagnostic>>,
}

struct Patch<'a> {
    file: &'a NativeFile,
    tree: Tree,
    value: Value,
    target: Target,
    /// Something was found that it is about.
    used: Cell<bool>,
}

impl<'a> Patches<'a> {
    /// Of an app's part.
    pub(crate) fn of(part: Option<&'a Native>, config: &EnvironmentConfig) -> Self {
        let Some(part) = part else { return Self::default() };
        // What is wrong with them is said where the part is translated.
        Self::read(part, &Part::read(part, &mut Vec::new()), config, &mut Vec::new())
    }

    pub(super) fn read(part: &'a Native, keys: &Part<'_>, config: &EnvironmentConfig, problems: &mut Vec<Diagnostic>) -> Self {
        let mut out = Self::default();
        for patch in &keys.patches {
            let files = match part.files(&patch.file.pattern) {
                Ok(files) => files,
                Err(why) => {
                    problems.push(Diagnostic::new(format!("`{}` cannot be read: {why}", patch.file.pattern), patch.file.span));
                    continue;
                }
            };
            for file in files {
                match yaml::documents(&file.text) {
                    // A template may give no patch here.
                    Ok(documents) if documents.is_empty() && file.path.ends_with(".j2") => {}
                    Ok(documents) if documents.is_empty() => {
                        problems.push(Diagnostic::new(format!("`{}` has no patch in it", file.path), file.span(0..0)));
                    }
                    Ok(documents) => documents.into_iter().for_each(|tree| out.add(file, tree, patch.target.as_ref(), config, problems)),
                    Err(error) => problems.push(Diagnostic::new(error.message, file.span(error.at))),
                }
            }
        }
        out
    }

    fn add(
        &mut self,
        file: &'a NativeFile,
        tree: Tree,
        target: Option<&Target>,
        config: &EnvironmentConfig,
        problems: &mut Vec<Diagnostic>,
    ) {
        if !matches!(tree.node, Node::Map(_)) {
            let message = format!("a patch is a part of an object, and this is {}", tree.kind());
            return problems.push(Diagnostic::new(message, file.span(tree.start())).with_help("JSON patches (RFC 6902) are not supported"));
        }
        let mut wrong = Vec::new();
        check::metadata(&tree, &mut wrong);
        problems.extend(
            wrong.into_iter().map(|problem| Diagnostic { help: problem.help, ..Diagnostic::new(problem.why, file.span(problem.at)) }),
        );
        let target = match target.cloned().map_or_else(|| named(&tree), Ok) {
            Ok(target) => target,
            Err(why) => {
                let problem = Diagnostic::new(why, file.span(tree.start()));
                return problems.push(problem.with_help("or give it a target: { file = \"…\", target = { kind = \"…\", name = \"…\" } }"));
            }
        };
        // The environment's own namespace is not in ids.
        let namespace = target.namespace.clone().map(|namespace| if namespace == config.namespace { String::new() } else { namespace });
        let target = Target { namespace, ..target };
        self.by_target.entry((target.kind.clone(), target.name.clone())).or_default().push(self.patches.len());
        self.patches.push(Patch { file, value: tree.value(), tree, target, used: Cell::new(false) });
    }

    /// An object with its patches. Where one cannot be laid on it, that is noted, and the object stays as it was.
    pub(crate) fn apply(&self, id: &ResourceId, object: Value) -> Value {
        let kind = GroupKind::parse(&id.kind);
        let mut found: Vec<usize> = Vec::new();
        for name in [Some(id.name.to_string()), None] {
            found.extend(self.by_target.get(&(kind.kind.clone(), name)).into_iter().flatten());
        }
        found.sort_unstable();
        let mut object = object;
        for index in found {
            let patch = &self.patches[index];
            let Target { kind: _, group, name: _, namespace } = &patch.target;
            let same_group = group.as_ref().is_none_or(|group| *group == kind.group);
            let same_namespace = namespace.as_ref().is_none_or(|namespace| namespace == id.namespace.as_deref().unwrap_or_default());
            if !same_group || !same_namespace {
                continue;
            }
            let of = Type::of_object(&object);
            if !patch.used.replace(true) && of.is_known() {
                self.problems.borrow_mut().extend(patch.duplicates(of));
            }
            let mut patched = object.clone();
            let done = merge::merge(&mut patched, &patch.value, of).and_then(|()| unchanged(&object, &patched));
            match done {
                Ok(()) => {
                    object = patched;
                    self.laid.borrow_mut().entry(id.clone()).or_default().push(index);
                }
                Err(wrong) => self.problems.borrow_mut().push(patch.diagnostic(&wrong)),
            }
        }
        object
    }

    /// Whether a patch was laid on an object.
    pub(crate) fn touched(&self, id: &ResourceId) -> bool {
        self.laid.borrow().contains_key(id)
    }

    /// Notes what is wrong with an object that was right before it was patched.
    pub(crate) fn note(&self, id: &ResourceId, wrong: &Wrong) {
        self.problems.borrow_mut().extend(self.place(id, wrong));
    }

    /// Says what is wrong in the patch that brought it; None where the object had it.
    pub(super) fn place(&self, id: &ResourceId, wrong: &Wrong) -> Option<Diagnostic> {
        let laid = self.laid.borrow();
        let brought =
            laid.get(id)?.iter().rev().map(|index| &self.patches[*index]).find(|patch| patch.tree.place(&wrong.at).1 == wrong.at.len());
        brought.map(|patch| patch.diagnostic(&Wrong { at: wrong.at.clone(), why: sentence(&id.kind, &id.name, wrong) }))
    }

    /// What went wrong: patches that could not be laid, and those that are about nothing.
    pub(super) fn problems(&self) -> Vec<Diagnostic> {
        let mut out = self.problems.borrow().clone();
        for patch in self.patches.iter().filter(|patch| !patch.used.get()) {
            let Target { kind, group, name, namespace } = &patch.target;
            let group = group.as_ref().filter(|group| !group.is_empty()).map(|group| format!(".{group}")).unwrap_or_default();
            let name = name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            let within =
                namespace.as_ref().filter(|name| !name.is_empty()).map(|name| format!(" in the namespace {name}")).unwrap_or_default();
            let message = format!("this patch is about nothing: the app has no {kind}{group}{name}{within}");
            out.push(Diagnostic::new(message, patch.file.span(patch.tree.start())));
        }
        out
    }
}

impl Patch<'_> {
    /// Elements that it has twice, which would become one. It is laid on an object of this type.
    fn duplicates(&self, of: Type) -> Vec<Diagnostic> {
        let diagnostic = |duplicate: Duplicate| {
            let first = self.file.span(self.tree.place(&duplicate.first()).0);
            self.diagnostic(&duplicate.wrong()).related_to(first, "first here")
        };
        duplicates::of(&self.value, Types::Of(of)).into_iter().map(diagnostic).collect()
    }

    fn diagnostic(&self, wrong: &Wrong) -> Diagnostic {
        Diagnostic::new(wrong.why.clone(), self.file.span(self.tree.place(&wrong.at).0))
    }
}

/// The object that a patch names.
fn named(tree: &Tree) -> Result<Target, String> {
    let text = |path: &[&str]| path.iter().try_fold(tree, |tree, key| tree.get(key)).and_then(Tree::as_str).map(str::to_owned);
    let required = |path: &[&str]| text(path).ok_or_else(|| format!("a patch names its object, and `{}` is missing", path.join(".")));
    let group = text(&["apiVersion"]).map(|version| crate::kind::split_api_version(&version).0.to_owned());
    Ok(Target {
        kind: required(&["kind"])?,
        group,
        name: Some(required(&["metadata", "name"])?),
        namespace: text(&["metadata", "namespace"]),
    })
}

/// What an object is found by stays what it is.
fn unchanged(before: &Value, after: &Value) -> Result<(), Wrong> {
    let group = |object: &Value| {
        let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        crate::kind::split_api_version(version).0.to_owned()
    };
    if group(before) != group(after) {
        return Err(Wrong { at: vec!["apiVersion".to_owned()], why: "a patch cannot make another kind of an object".to_owned() });
    }
    for (path, why) in [
        (&["kind"][..], "a patch cannot make another kind of an object"),
        (&["metadata", "name"], "a patch cannot rename an object"),
        (&["metadata", "namespace"], "a patch cannot move an object to another namespace"),
        (&["spec", "selector"], "a patch cannot change which pods an object is about"),
    ] {
        let at = |object: &Value| path.iter().try_fold(object, |value, key| value.get(key)).cloned();
        // That it is in the namespace where it is may be said.
        if at(before) != at(after) && !(path[1..] == ["namespace"] && at(before).is_none()) {
            return Err(Wrong { at: path.iter().map(|key| (*key).to_owned()).collect(), why: why.to_owned() });
        }
    }
    Ok(())
}
