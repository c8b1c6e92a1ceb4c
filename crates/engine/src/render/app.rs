//! One app after another: cartridge, own keys, override, templates, types, files, exports.

mod files;
mod native;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::RenderedApp;
use super::cartridge::Cartridge;
use super::cartridge::catalogue::{self, Catalogue};
use super::folder::Folder;
use super::merge;
use super::place::{self, Step, Trail};
use super::sandbox::{Flavour, Vault};
use super::template::{Engine, Renderer, is_template};
use crate::desired::name::Name;
use crate::desired::resource::ResourceId;
use crate::desired::text::{CLOSE, Encoding, OPEN, Segment, Text};
use crate::manifest::Manifest;
use crate::manifest::diagnostic::{Diagnostic, FileId, Report, Sources, Span};
use crate::manifest::schema::{Environment, PlatformKind, Scalar};
use crate::manifest::source::{Node, NodeValue, Table};
use crate::manifest::{check, validate};

/// The template engines of one render.
pub(super) struct Engines {
    text: Engine,
    toml: Engine,
}

impl Engines {
    pub(super) fn new(vault: &Vault) -> Self {
        Self { text: Engine::new(Flavour::Text, vault), toml: Engine::new(Flavour::Toml, vault) }
    }
}

/// The render of one environment.
pub(super) struct Session<'m> {
    manifest: &'m Manifest,
    environment: &'m Name,
    platform: PlatformKind,
    vault: &'m Vault,
    text: Renderer<'m>,
    toml: Renderer<'m>,
    /// What every template of this environment can use.
    base: Arc<[(&'static str, Value)]>,
    /// The manifest's files, and what is read on the way.
    sources: Arc<Sources>,
    problems: Vec<Diagnostic>,
    /// What the apps were typed from, for the checks of all together.
    rendered: Vec<(&'m Name, Cow<'m, Node>)>,
    /// Opened when the first file is needed.
    folder: Option<Result<Rc<Folder>, String>>,
    catalogue: Option<Catalogue>,
    /// By how apps name them; None for what was reported.
    cartridges: HashMap<String, Option<Rc<Cartridge>>>,
    /// Templates by path and, where they are a cartridge's, its reference.
    templates: HashMap<(Option<String>, String), ReadTemplate>,
}

/// A template's text and place; or why it cannot be had.
type ReadTemplate = Result<(FileId, Arc<str>), String>;

/// The names at the top of a template: those of the environment, which all apps share, and the app's own.
#[derive(Debug)]
struct Context {
    base: Arc<[(&'static str, Value)]>,
    own: Vec<(&'static str, Value)>,
}

impl Context {
    fn names(&self) -> impl Iterator<Item = &(&'static str, Value)> {
        self.own.iter().chain(self.base.iter())
    }
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.names().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.names().map(|(name, _)| Value::from(*name)).collect())
    }
}

/// What an app's strings are rendered with.
struct Scope {
    context: Value,
    /// Files that came out of a cartridge's template: their strings are not rendered again, and their `template`s are the
    /// cartridge's.
    rendered_files: HashSet<FileId>,
    cartridge: Option<Filled>,
}

/// A cartridge as one app uses it.
struct Filled {
    cartridge: Rc<Cartridge>,
    reference: String,
    /// The scope's context, and the parameters.
    context: Value,
}

impl<'m> Session<'m> {
    pub(super) fn new(
        manifest: &'m Manifest,
        environment: &'m Name,
        settings: &'m Environment,
        variables: &IndexMap<String, Scalar>,
        engines: &'m Engines,
        vault: &'m Vault,
    ) -> Self {
        let secret = |name: &String| vault.hold(Segment::Secret { name: name.clone(), encoding: Encoding::Plain });
        let base = [
            ("vars", Value::from_pairs(variables.iter().map(|(name, value)| (name.clone(), value.to_template())))),
            ("secrets", Value::from_pairs(manifest.secrets.keys().map(|name| (name.clone(), secret(name))))),
            ("env", Value::from_pairs([("name", environment.as_str()), ("platform", settings.platform.as_str())])),
            ("project", Value::from_pairs([("name", manifest.project.name.as_str())])),
        ];
        let base = Arc::from(base);
        Self {
            manifest,
            environment,
            platform: settings.platform,
            vault,
            text: engines.text.renderer(),
            toml: engines.toml.renderer(),
            base,
            sources: manifest.sources.clone(),
            problems: Vec::new(),
            rendered: Vec::new(),
            folder: None,
            catalogue: None,
            cartridges: HashMap::new(),
            templates: HashMap::new(),
        }
    }

    /// All problems of all apps, each once: apps share templates and cartridges. Where each app is right, whether they go
    /// together. Gives the files that were read.
    pub(super) fn finish(mut self) -> Result<Arc<Sources>, Report> {
        if self.problems.is_empty() {
            let apps = self.rendered.iter().map(|(name, node)| (*name, &**node));
            self.problems = validate::validate_environment(self.environment, apps);
        }
        if self.problems.is_empty() { Ok(self.sources) } else { Err(Report::new(self.sources, self.problems)) }
    }

    /// Renders an app; None where something was reported.
    pub(super) fn app(&mut self, name: &'m Name, node: &'m Node) -> Option<RenderedApp> {
        let problems_before = self.problems.len();
        let Some(own) = node.as_table() else {
            self.problems.push(Diagnostic::new(format!("apps.{name} must be a table"), node.span));
            return None;
        };
        let mut scope = Scope { context: self.context(name, &[]), rendered_files: HashSet::new(), cartridge: None };
        let effective = self.effective(name, node, own, &mut scope)?;
        let rendered = if scope.cartridge.is_some() || has_template(&effective) {
            let mut tree = effective.into_owned();
            self.fill(&mut tree, &Trail::ROOT, &scope);
            Cow::Owned(tree)
        } else {
            effective
        };
        if self.problems.len() > problems_before {
            return None;
        }
        let app = match check::typed_app(&rendered) {
            Ok(app) => app,
            Err(problems) => {
                self.problems.extend(problems);
                return None;
            }
        };
        self.problems.extend(validate::validate_app(name, &app, &rendered, self.manifest));
        if self.problems.len() > problems_before {
            return None;
        }
        let files = self.files(&app, &rendered, &scope);
        let exports = self.exports(name, &scope);
        let native = self.native(name, &app, &rendered, &scope);
        self.rendered.push((name, between(rendered)));
        (self.problems.len() == problems_before).then_some(RenderedApp { app, files, exports, native })
    }

    fn context(&self, app: &Name, more: &[(&'static str, &Value)]) -> Value {
        let app = ("app", Value::from_pairs([("name", app.as_str())]));
        let own = std::iter::once(app).chain(more.iter().map(|(name, value)| (*name, (*value).clone()))).collect();
        Value::from_object(Context { base: self.base.clone(), own })
    }

    /// The app's table with its cartridge below and its override above; none where something was reported that leaves
    /// nothing to go on with.
    fn effective<'n>(&mut self, name: &Name, node: &'n Node, own: &'n Table, scope: &mut Scope) -> Option<Cow<'n, Node>> {
        let over = own.get("override").and_then(|entry| entry.node.as_table()).and_then(|all| all.get(self.environment.as_str()));
        let over = over.and_then(|entry| entry.node.as_table()).cloned();
        if over.is_none() && ["override", "environments", "cartridge", "parameters"].iter().all(|key| !own.contains_key(*key)) {
            return Some(Cow::Borrowed(node));
        }
        let mut over = over.unwrap_or_default();
        let unset = over.shift_remove("unset").map(|entry| entry.node);
        let (unset_of_parameters, unset) = match unset {
            Some(keys) => {
                let (with, without) = merge::split_unset(&keys, &["parameters", "cartridge"]);
                (Some(with), Some(without))
            }
            None => (None, None),
        };
        let mut table = own.clone();
        table.shift_remove("override");
        table.shift_remove("environments");
        // Which cartridge, and with what, is known before anything else: the rest of the app is laid on what it gives.
        let mut head: Table = take_all(&mut table, &["cartridge", "parameters"]);
        self.report(unset_of_parameters.map_or(Ok(()), |keys| merge::unset(&mut head, &keys)));
        merge::merge(&mut head, &take_all(&mut over, &["cartridge", "parameters"]));
        let mut base = self.cartridge_table(name, node, &head, scope)?;
        merge::merge(&mut base, &table);
        self.report(unset.map_or(Ok(()), |keys| merge::unset(&mut base, &keys)));
        merge::merge(&mut base, &over);
        if let Some(cartridge) = head.shift_remove("cartridge") {
            base.insert("cartridge".into(), cartridge);
        }
        Some(Cow::Owned(Node { value: NodeValue::Table(Box::new(base)), span: node.span }))
    }

    /// What the cartridge of an app gives: an empty table where there is none.
    fn cartridge_table(&mut self, name: &Name, node: &Node, head: &Table, scope: &mut Scope) -> Option<Table> {
        let parameters = head.get("parameters");
        let Some(written) = head.get("cartridge") else {
            if let Some(parameters) = parameters {
                let problem = Diagnostic::new("`parameters` are for a cartridge, and this app has none", parameters.key_span);
                self.problems.push(problem.with_help("add cartridge = \"NAME\"; `stratos list cartridges` shows what there is"));
            }
            return Some(Table::new());
        };
        let reference = self.tree(&written.node, &Trail::ROOT.then(Step::Key("cartridge")), scope);
        let Some(reference) = reference.as_str().map(str::to_owned) else {
            self.problems.push(Diagnostic::new("`cartridge` must be a name or a folder", node.span));
            return None;
        };
        let cartridge = self.cartridge(&reference, written.node.span)?;
        let parameters = parameters.map(|entry| self.tree(&entry.node, &Trail::ROOT.then(Step::Key("parameters")), scope));
        if let Some(wrong) = parameters.as_ref().filter(|node| node.as_table().is_none()) {
            self.problems.push(Diagnostic::new("`parameters` must be a table", wrong.span));
            return None;
        }
        let given = parameters.as_ref().and_then(Node::as_table);
        let values = self.or_report(cartridge.parameter_values(given, written.node.span, self.vault))?;
        let context = self.context(name, &[("parameters", &values)]);
        let result = cartridge.app_table(&self.toml, &context, name, Arc::make_mut(&mut self.sources));
        let table = self.or_report(result)?;
        scope.rendered_files.insert(table.span.file);
        scope.cartridge = Some(Filled { cartridge, reference, context });
        match table.value {
            NodeValue::Table(table) => Some(*table),
            _ => None,
        }
    }

    fn cartridge(&mut self, reference: &str, span: Span) -> Option<Rc<Cartridge>> {
        if let Some(known) = self.cartridges.get(reference) {
            return known.clone();
        }
        let read = if catalogue::is_folder(reference) {
            self.folder()
                .map_err(|why| vec![Diagnostic::new(why, None)])
                .and_then(|folder| catalogue::read_folder(&folder, reference, Arc::make_mut(&mut self.sources)))
        } else {
            let catalogue = self.catalogue.get_or_insert_with(Catalogue::embedded);
            catalogue.read(reference, Arc::make_mut(&mut self.sources))
        };
        // What has no place of its own is about the name that was written.
        let placed = |problem: Diagnostic| Diagnostic { span: problem.span.or(Some(span)), ..problem };
        let cartridge = self.or_report(read.map_err(|problems| problems.into_iter().map(placed).collect())).map(Rc::new);
        self.cartridges.insert(reference.to_owned(), cartridge.clone());
        cartridge
    }

    fn folder(&mut self) -> Result<Rc<Folder>, String> {
        let manifest = self.manifest;
        self.folder.get_or_insert_with(|| Folder::open(&manifest.folder).map(Rc::new)).clone()
    }

    fn report(&mut self, result: Result<(), Vec<Diagnostic>>) {
        self.or_report(result);
    }

    fn or_report<T>(&mut self, result: Result<T, Vec<Diagnostic>>) -> Option<T> {
        result.map_err(|problems| self.problems.extend(problems)).ok()
    }

    /// The same tree with the templates in its strings filled in. `at` is where in the app it is.
    fn tree(&mut self, node: &Node, at: &Trail, scope: &Scope) -> Node {
        let mut node = node.clone();
        self.fill(&mut node, at, scope);
        node
    }

    /// Fills in the templates in the strings of a tree.
    fn fill(&mut self, node: &mut Node, at: &Trail, scope: &Scope) {
        match &mut node.value {
            NodeValue::String(_) if scope.rendered_files.contains(&node.span.file) => self.check_held(node, at),
            NodeValue::String(text) if is_template(text) => match self.text.value(text, &scope.context) {
                Ok(value) => {
                    node.value = value;
                    place_all(node, node.span);
                    self.check_held(node, at);
                }
                Err(error) => {
                    let problem = error.into_diagnostic(|range| place::inside(&self.sources, node.span, text, range), None);
                    self.problems.push(problem);
                }
            },
            NodeValue::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.fill(item, &at.then(Step::Index(index)), scope);
                }
            }
            NodeValue::Table(table) => {
                for (key, entry) in table.iter_mut() {
                    self.fill(&mut entry.node, &at.then(Step::Key(key)), scope);
                }
            }
            NodeValue::String(_) | NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Bool(_) => {}
        }
    }

    /// Reports secrets where no secret can be, and placeholders that are not whole.
    fn check_held(&mut self, node: &Node, at: &Trail) {
        match &node.value {
            NodeValue::String(text) if text.contains([OPEN, CLOSE]) => {
                let whole = self.held(text, node.span).is_some();
                if whole && !at.may_hold_secret() {
                    let message = format!("`{at}` cannot hold a secret");
                    let help = "secrets can be in `command`, in the values of `env` and in the content of `files`";
                    self.problems.push(Diagnostic::new(message, node.span).with_help(help));
                }
            }
            NodeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.check_held(item, &at.then(Step::Index(index)));
                }
            }
            NodeValue::Table(table) => {
                for (key, entry) in table.iter() {
                    self.check_held(&entry.node, &at.then(Step::Key(key)));
                }
            }
            NodeValue::String(_) | NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Bool(_) => {}
        }
    }

    /// Rendered text in pieces. Reports a damaged placeholder, and one that no template of ours has made.
    fn held(&mut self, rendered: &str, span: Span) -> Option<Text> {
        let text = Text::from_rendered(rendered);
        let genuine = |segment: &Segment| match segment {
            Segment::Literal(_) => true,
            Segment::Secret { name, .. } => self.manifest.secrets.contains_key(name),
            Segment::Attribute { .. } => false,
        };
        match text {
            Some(text) if text.segments().iter().all(genuine) => Some(text),
            _ => {
                let help = "a secret can be put between other text with `~`, and encoded with urlencode, b64encode or tojson";
                self.problems.push(Diagnostic::new("a secret's placeholder was cut or changed here", span).with_help(help));
                None
            }
        }
    }

    fn exports(&mut self, name: &Name, scope: &Scope) -> IndexMap<String, Text> {
        let Some(filled) = &scope.cartridge else { return IndexMap::new() };
        let resource = ResourceId::new(self.environment, "app", name);
        let attribute = |name: &str| self.vault.hold(Segment::Attribute { of: Box::new(resource.clone()), name: name.into() });
        let parameters = filled.context.get_attr("parameters").unwrap_or_default();
        let (host, port) = (attribute("host"), attribute("port"));
        let context = self.context(name, &[("parameters", &parameters), ("host", &host), ("port", &port)]);
        let values = self.or_report(filled.cartridge.export_values(&self.text, &context)).unwrap_or_default();
        for (text, span) in values.values() {
            if let Some(unknown) = text.secrets().find(|secret| !self.manifest.secrets.contains_key(*secret)) {
                self.problems.push(Diagnostic::new(format!("there is no secret `{unknown}` in [secrets]"), *span));
            }
        }
        values.into_iter().map(|(name, (text, _))| (name, text)).collect()
    }
}

/// Takes these keys out of a table, in this order.
fn take_all(table: &mut Table, keys: &[&str]) -> Table {
    keys.iter().filter_map(|key| table.shift_remove_entry(*key)).collect()
}

/// What the checks of all apps together need of one. What is a copy is large.
fn between(rendered: Cow<'_, Node>) -> Cow<'_, Node> {
    match rendered {
        Cow::Owned(mut tree) => {
            validate::leave_what_is_between(&mut tree);
            Cow::Owned(tree)
        }
        written @ Cow::Borrowed(_) => written,
    }
}

/// Whether any string in the tree is a template. Most apps of a large manifest have few, and many have none.
fn has_template(node: &Node) -> bool {
    match &node.value {
        NodeValue::String(text) => is_template(text),
        NodeValue::Array(items) => items.iter().any(has_template),
        NodeValue::Table(table) => table.values().any(|entry| has_template(&entry.node)),
        NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Bool(_) => false,
    }
}

/// What an expression gave stands where the expression stands.
fn place_all(node: &mut Node, span: Span) {
    node.span = span;
    match &mut node.value {
        NodeValue::Array(items) => items.iter_mut().for_each(|item| place_all(item, span)),
        NodeValue::Table(table) => {
            for entry in table.values_mut() {
                entry.key_span = span;
                place_all(&mut entry.node, span);
            }
        }
        _ => {}
    }
}
