//! Stage 2: the manifest with its variables, templates and cartridges filled in, for one environment at a time.
//!
//! For each app: a cartridge's table, the app's own keys on it, the environment's override on that, then the templates in
//! its strings, then its types, then its files. It touches files only, and only inside the manifest's folder. Whatever is
//! wrong with any app is reported at once, each thing at its place.
//!
//! What a template can use: `vars.*`, `secrets.*`, `env.name`, `env.platform`, `project.name`, `app.name`; in the files of
//! a cartridge also `parameters.*`, and in its exports `host` and `port`. Keys are never templates. Templates cannot
//! include, import or extend other templates. A secret's value is never in a template's reach: `render/sandbox.rs` says how.

mod app;
pub mod cartridge;
mod folder;
mod merge;
pub mod native;
mod place;
mod sandbox;
pub mod secret;
mod template;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::desired::name::Name;
use crate::desired::text::{OPEN, Text};
use crate::manifest::Manifest;
use crate::manifest::diagnostic::{Diagnostic, Report, Sources};
use crate::manifest::schema::{App, Environment};
use crate::manifest::suggest;
use crate::platform::FileContent;
use native::Native;

/// Values of variables from outside the manifest, from the weakest to the strongest. Text is read as the variable's type.
///
/// The whole order, strongest first: `--var`, `STRATOS_VAR_*`, `--var-file`, the environment's `variables`, the default.
#[derive(Debug, Clone, Default)]
pub struct VariableInputs {
    /// From `--var-file`s, the later ones stronger: name and TOML value as text.
    pub files: Vec<(String, String)>,
    /// From `STRATOS_VAR_<NAME>`; the name in lower case.
    pub environment: Vec<(String, String)>,
    /// From `--var name=value`.
    pub arguments: Vec<(String, String)>,
}

/// One environment's apps, typed and effective.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Which environment.
    pub environment: Name,
    /// Its settings.
    pub settings: Environment,
    /// The apps that go there, in the order in which they are written.
    pub apps: IndexMap<Name, Box<RenderedApp>>,
    /// The manifest's files, and those that were read on the way.
    pub sources: Arc<Sources>,
}

/// An app with its cartridge, its override and its templates applied.
#[derive(Debug, Clone)]
pub struct RenderedApp {
    /// The app.
    pub app: App,
    /// Its files by the path at which the app finds them.
    pub files: IndexMap<String, FileContent>,
    /// What its cartridge exports to apps that bind it: variable (without prefix) to text. The app's own address in it
    /// is `Segment::Attribute` of the pseudo resource `<environment>/app/<name>`, attributes `host` and `port`.
    pub exports: IndexMap<String, Text>,
    /// Its part for this environment's platform, where it has one.
    pub native: Option<Native>,
}

/// Renders one environment.
pub fn render(manifest: &Manifest, environment: &Name, inputs: &VariableInputs) -> Result<Rendered, Report> {
    let report = |diagnostics| Report::new(manifest.sources.clone(), diagnostics);
    let Some(settings) = manifest.environments.get(environment) else {
        let names: Vec<&str> = manifest.environments.keys().map(|name| &**name).collect();
        let help = suggest::help(environment, names, "there are").unwrap_or_else(|| "declare it in [environments]".into());
        return Err(report(vec![Diagnostic::new(format!("there is no environment `{environment}`"), None).with_help(help)]));
    };
    let variables = values::resolve(manifest, environment, inputs).map_err(report)?;
    let vault = sandbox::Vault::default();
    let engines = app::Engines::new(&vault);
    let mut session = app::Session::new(manifest, environment, settings, &variables, &engines, &vault);
    let mut apps = IndexMap::with_capacity(manifest.apps.len());
    for (name, node) in manifest.apps_of(environment) {
        if let Some(rendered) = session.app(name, node) {
            apps.insert(name.clone(), Box::new(rendered));
        }
    }
    let sources = session.finish()?;
    Ok(Rendered { environment: environment.clone(), settings: settings.clone(), apps, sources })
}

impl Rendered {
    /// The names of the secrets that are used here: those whose values are needed to apply it. Those in files of native parts
    /// are known once [`native::load`] has read them.
    pub fn secrets_used(&self) -> BTreeSet<String> {
        self.apps.values().flat_map(|app| app.secrets_used()).collect()
    }

    /// For people: the apps as JSON, with secrets and addresses as the expressions that they came from.
    pub fn to_json(&self) -> Value {
        self.apps.iter().map(|(name, app)| (name.to_string(), app.to_json())).collect::<serde_json::Map<_, _>>().into()
    }
}

impl RenderedApp {
    /// Whether the portable part of the app runs something. Where it does not, its native part does.
    pub fn runs_itself(&self) -> bool {
        self.native.is_none() || self.app.image.is_some() || self.app.command.is_some()
    }

    /// The names of the secrets that it uses, as [`Rendered::secrets_used`] has them.
    pub fn secrets_used(&self) -> BTreeSet<String> {
        let own = self.texts().flat_map(Text::secrets).map(str::to_owned);
        own.chain(self.native.iter().flat_map(Native::secrets_used)).collect()
    }

    /// All texts of the portable part that can hold a secret.
    fn texts(&self) -> impl Iterator<Item = &Text> {
        let command = self.app.command.iter().flatten();
        let files = self.files.values().map(|file| &file.content);
        command.chain(self.app.env.values()).chain(files).chain(self.exports.values())
    }

    /// For people: see [`Rendered::to_json`].
    pub fn to_json(&self) -> Value {
        let mut app = readable(serde_json::to_value(&self.app).unwrap_or_else(|error| json!({ "error": error.to_string() })));
        if let Some(app) = app.as_object_mut() {
            let file = |file: &FileContent| json!({ "content": file.content.to_string(), "mode": format!("{:04o}", file.mode) });
            if !self.files.is_empty() {
                app.insert("files".into(), self.files.iter().map(|(path, content)| (path.clone(), file(content))).collect());
            }
            if !self.exports.is_empty() {
                let exports = self.exports.iter().map(|(name, text)| (name.clone(), text.to_string().into()));
                app.insert("exports".into(), Value::Object(exports.collect()));
            }
        }
        app
    }
}

/// Placeholders in strings become the expressions that they came from.
fn readable(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains(OPEN) => Text::from_rendered(&text).map_or(Value::Null, |text| text.to_string().into()),
        Value::Array(items) => items.into_iter().map(readable).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, readable(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests;
