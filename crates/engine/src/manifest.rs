//! Stage 1: text becomes a manifest. Whatever is wrong with it is reported at once, each at its place.
//!
//! [`Manifest::load`] is the way: files are read into one tree ([`mod@include`]), the tree is checked against the schema of its
//! types ([`check`]), and what the schema cannot say is checked by hand ([`validate`]).

pub mod check;
pub mod diagnostic;
pub mod edit;
pub mod include;
pub mod json_schema;
pub mod schema;
pub mod source;
pub mod suggest;
pub mod validate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::DeserializeOwned;

use crate::desired::name::Name;
use crate::render::secret::SecretSource;
use diagnostic::{Diagnostic, Report, Sources};
use include::Tree;
use schema::{Environment, Moved, Project, Variable};
use source::{Node, NodeValue, Table};

/// What a user wrote: checked as far as it can be before its templates are rendered.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// `[project]`.
    pub project: Project,
    /// `[variables]`.
    pub variables: IndexMap<String, Variable>,
    /// `[environments]`, in the order in which they are written.
    pub environments: IndexMap<Name, Environment>,
    /// `[secrets]`.
    pub secrets: IndexMap<String, SecretSource>,
    /// `[apps]`: as written, since any string in them may be a template.
    pub apps: IndexMap<Name, Node>,
    /// `[[moved]]`.
    pub moved: Vec<Moved>,
    /// The folder that relative paths in it are relative to.
    pub folder: PathBuf,
    /// The files that it was read from.
    pub sources: Arc<Sources>,
}

impl Manifest {
    /// Reads a manifest and what it includes.
    ///
    /// The path is a file, or a folder with a `stratos.toml`.
    pub fn load(path: &Path) -> Result<Self, Report> {
        match Tree::of_path(path) {
            Ok((tree, folder)) => Self::from_tree(tree, folder),
            Err(problem) => Err(Report::new(Arc::default(), vec![problem])),
        }
    }

    /// Reads a manifest from text. It must not include anything; paths in it are relative to the current folder.
    pub fn parse(text: &str) -> Result<Self, Report> {
        Self::from_tree(Tree::of_text(text), PathBuf::from("."))
    }

    /// The apps that go to an environment, in the order in which they are written.
    ///
    /// An app goes where its list `environments` says; without that list it goes everywhere but to environments with
    /// `opt_in = true`. The list is read as it is written: it says where templates are rendered, so it holds none.
    pub fn apps_of(&self, environment: &str) -> impl Iterator<Item = (&Name, &Node)> {
        let opt_in = self.environments.get(environment).is_some_and(|settings| settings.opt_in);
        self.apps.iter().filter(move |(_, app)| goes_to(app, environment, opt_in))
    }

    /// What an environment was called before, where a `[[moved]]` says so.
    pub fn environment_before(&self, environment: &Name) -> Option<Name> {
        let moved = self.moved.iter().find(|moved| moved.to.strip_prefix("environments.") == Some(environment))?;
        Name::new(moved.from.strip_prefix("environments.")?).ok()
    }

    fn from_tree(tree: Tree, folder: PathBuf) -> Result<Self, Report> {
        let Tree { root, sources, mut problems, incomplete } = tree;
        let sources = Arc::new(sources);
        if !incomplete {
            problems.extend(check::check_manifest(&root));
            problems.extend(validate::validate_tree(&root));
        }
        if !problems.is_empty() {
            return Err(Report::new(sources, problems));
        }
        let mut sections = match root.value {
            NodeValue::Table(sections) => *sections,
            _ => Table::new(),
        };
        let apps = match sections.shift_remove("apps").map(|entry| entry.node.value) {
            Some(NodeValue::Table(apps)) => {
                apps.into_iter().filter_map(|(name, entry)| Some((Name::new(&name).ok()?, entry.node))).collect()
            }
            _ => IndexMap::new(),
        };
        let typed = Self {
            project: section(&mut sections, "project", &mut problems),
            variables: section(&mut sections, "variables", &mut problems),
            environments: section(&mut sections, "environments", &mut problems),
            secrets: section(&mut sections, "secrets", &mut problems),
            apps,
            moved: section(&mut sections, "moved", &mut problems),
            folder,
            sources: sources.clone(),
        };
        if problems.is_empty() { Ok(typed) } else { Err(Report::new(sources, problems)) }
    }
}

/// Types a section. The check before leaves serde nothing to refuse; should it, that is reported and not lost.
fn section<T: DeserializeOwned + Default>(sections: &mut Table, key: &str, problems: &mut Vec<Diagnostic>) -> T {
    let Some(entry) = sections.shift_remove(key) else { return T::default() };
    serde_json::from_value(entry.node.to_json()).unwrap_or_else(|error| {
        problems.push(Diagnostic::new(format!("`{key}`: {error}"), entry.key_span));
        T::default()
    })
}

/// See [`Manifest::apps_of`].
fn goes_to(app: &Node, environment: &str, opt_in: bool) -> bool {
    match app.get("environments").and_then(Node::as_array) {
        Some(list) => list.iter().any(|item| item.as_str() == Some(environment)),
        None => !opt_in,
    }
}
