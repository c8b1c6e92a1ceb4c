//! Cartridges: apps that somebody has already described. A cartridge is a folder with `cartridge.toml` (what it is, and
//! its parameters) and `app.toml.j2` (a template of the app), and whatever files that template refers to.

pub mod catalogue;
pub(super) mod fill;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desired::name::Name;
use crate::manifest::diagnostic::{Diagnostic, FileId, Sources, Span};
use crate::manifest::schema::{PlatformKind, Scalar, ValueType};
use crate::manifest::source::{self, Table};
use crate::manifest::suggest;

/// The file that says what a cartridge is.
pub(super) const DESCRIPTION: &str = "cartridge.toml";
/// The file that is a template of the app.
pub(super) const APP: &str = "app.toml.j2";

/// `cartridge.toml`: what a cartridge is, what it can be given, and what it tells the apps that bind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CartridgeFile {
    /// What it is called: the name of its folder.
    pub name: Name,
    /// The version of the cartridge itself, not of what it runs.
    pub version: String,
    /// One sentence that says what it runs.
    pub description: String,
    /// What an app can give it in `parameters`. Templates see them as `{{ parameters.NAME }}`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub parameters: IndexMap<String, Parameter>,
    /// Environment variables for apps that bind one made of it, besides `HOST` and `PORT`: name (without the prefix) to a
    /// template, which may use `host`, `port`, `parameters`, `secrets`, `vars`, `env`, `project` and `app`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub exports: IndexMap<String, String>,
}

/// A parameter of a cartridge. Without a default it must be given. Text may be a secret: `"{{ secrets.NAME }}"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What its value is.
    pub r#type: ValueType,
    /// Its value unless another is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Scalar>,
    /// What it is for.
    pub description: String,
    /// The only values that it can have; any where this is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Scalar>,
}

/// A cartridge, read and checked.
#[derive(Debug, Clone)]
pub struct Cartridge {
    /// What it is called.
    pub name: Name,
    /// The version of the cartridge itself.
    pub version: String,
    /// What it runs.
    pub description: String,
    /// What it can be given.
    pub parameters: IndexMap<String, Parameter>,
    /// What it tells the apps that bind it: variable (without prefix) to template.
    pub exports: IndexMap<String, String>,
    /// All its files, by their path in its folder.
    pub files: BTreeMap<String, String>,
    /// Where the templates of the exports stand.
    export_spans: IndexMap<String, Span>,
    /// What its files are called in messages: its folder, or its name in the catalogue.
    label: String,
}

impl Cartridge {
    /// Checks the files of a folder. `label` is what the folder is called in messages.
    pub(super) fn read(files: BTreeMap<String, String>, label: &str, sources: &mut Sources) -> Result<Self, Vec<Diagnostic>> {
        let missing = |file: &str| {
            let help = format!("a cartridge is a folder with {DESCRIPTION} and {APP}");
            vec![Diagnostic::new(format!("the cartridge {label} has no {file}"), None).with_help(help)]
        };
        let text = files.get(DESCRIPTION).ok_or_else(|| missing(DESCRIPTION))?;
        let file = sources.add(&format!("{label}/{DESCRIPTION}"), text);
        let (read, export_spans) = CartridgeFile::parse(text, file)?;
        if !files.contains_key(APP) {
            return Err(missing(APP));
        }
        let CartridgeFile { name, version, description, parameters, exports } = read;
        Ok(Self { name, version, description, parameters, exports, files, export_spans, label: label.to_owned() })
    }

    /// What a file of it is called in messages.
    pub(super) fn shown(&self, path: &str) -> String {
        format!("{}/{}", self.label, path.trim_start_matches("./"))
    }

    /// Files that are for one platform alone, in a folder called like it: what `platform.<kind>` of the cartridge's app names.
    pub fn native(&self) -> BTreeMap<PlatformKind, Vec<&str>> {
        let mut native: BTreeMap<PlatformKind, Vec<&str>> = BTreeMap::new();
        for path in self.files.keys() {
            if let Some(platform) = native_platform(path) {
                native.entry(platform).or_default().push(path);
            }
        }
        native
    }
}

/// The platform that a file of a cartridge is for, where it is for one alone.
pub(super) fn native_platform(path: &str) -> Option<PlatformKind> {
    let (folder, _) = path.split_once('/')?;
    PlatformKind::ALL.into_iter().find(|platform| platform.as_str() == folder)
}

impl CartridgeFile {
    /// Reads and checks `cartridge.toml`. Also gives the places of the exports.
    fn parse(text: &str, file: FileId) -> Result<(Self, IndexMap<String, Span>), Vec<Diagnostic>> {
        let root = source::parse(text, file)?;
        let root = root.as_table().cloned().unwrap_or_default();
        let mut problems = Vec::new();
        unknown_keys(&root, &["name", "version", "description", "parameters", "exports"], "a cartridge", &mut problems);
        let inner = |key: &str| root.get(key).and_then(|entry| entry.node.as_table()).into_iter().flatten();
        for (name, entry) in inner("parameters") {
            if !is_word(name, char::is_ascii_lowercase) {
                let help = "use lower-case letters, digits and '_', so that templates can say parameters.NAME";
                problems.push(Diagnostic::new(format!("`{name}` is not a name for a parameter"), entry.key_span).with_help(help));
            }
            if let Some(parameter) = entry.node.as_table() {
                unknown_keys(parameter, &["type", "default", "description", "choices"], "a parameter", &mut problems);
            }
        }
        for (name, entry) in inner("exports") {
            if !is_word(name, char::is_ascii_uppercase) {
                let help = "use capital letters, digits and '_', as in URL";
                problems
                    .push(Diagnostic::new(format!("`{name}` is not a name for an environment variable"), entry.key_span).with_help(help));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let read: Self = toml_edit::de::from_str(text).map_err(|error| {
            let span = error.span().map(|range| Span { file, start: range.start as u32, end: range.end as u32 });
            vec![Diagnostic::new(error.message().to_owned(), span)]
        })?;
        for (name, parameter) in &read.parameters {
            let span = inner("parameters").find(|(known, _)| *known == name).map(|(_, entry)| entry.key_span);
            problems.extend(parameter.problems(name).into_iter().map(|problem| Diagnostic::new(problem, span)));
        }
        let spans = inner("exports").map(|(name, entry)| (name.clone(), entry.node.span)).collect();
        if problems.is_empty() { Ok((read, spans)) } else { Err(problems) }
    }
}

impl Parameter {
    /// What its default and its choices have wrong.
    fn problems(&self, name: &str) -> Vec<String> {
        let expected = self.r#type.expected();
        let mistyped = self.default.iter().chain(&self.choices).filter(|value| value.of_type(self.r#type).is_none());
        let mut problems: Vec<String> = mistyped.map(|value| format!("the parameter `{name}` is {expected}, and {value} is not")).collect();
        if let Some(default) = self.default.as_ref().filter(|default| !self.choices.is_empty() && !self.choices.contains(default)) {
            problems.push(format!("the default of the parameter `{name}`, {default}, is none of its choices"));
        }
        problems
    }
}

fn unknown_keys(table: &Table, known: &[&str], whose: &str, problems: &mut Vec<Diagnostic>) {
    for (key, entry) in table.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
        let problem = Diagnostic::new(format!("{whose} has no key `{key}`"), entry.key_span);
        problems.push(match suggest::help(key, known.iter().copied(), "there are") {
            Some(help) => problem.with_help(help),
            None => problem,
        });
    }
}

fn is_word(name: &str, letter: impl Fn(&char) -> bool) -> bool {
    name.starts_with(|c: char| letter(&c)) && name.chars().all(|c| letter(&c) || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::manifest::diagnostic::Report;

    fn read(description: &str) -> Result<Cartridge, String> {
        let files = [(DESCRIPTION, description), (APP, "image = 'x'"), ("kubernetes/policy.yaml.j2", "x")];
        let mut sources = Sources::default();
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        Cartridge::read(files, "mine", &mut sources).map_err(|diagnostics| Report { sources: sources.into(), diagnostics }.to_string())
    }

    const HEAD: &str = "name = 'mine'\nversion = '1'\ndescription = 'Mine.'\n";

    #[test]
    fn the_smallest_cartridge() {
        let cartridge = read(HEAD).unwrap();
        assert_eq!(cartridge.description, "Mine.");
        assert_eq!(cartridge.native(), BTreeMap::from([(PlatformKind::Kubernetes, vec!["kubernetes/policy.yaml.j2"])]));
    }

    #[test]
    fn misspelt_keys_are_reported_together_with_what_was_meant() {
        let error =
            read(&format!("{HEAD}expots = {{}}\n[parameters.a]\ntyp = 'string'\ndescription = 'A.'\n[exports]\nurl = 'x'\n")).unwrap_err();
        assert_eq!(
            error,
            "mine/cartridge.toml:4:1: a cartridge has no key `expots` (did you mean `exports`?)\n\
             mine/cartridge.toml:6:1: a parameter has no key `typ` (did you mean `type`?)\n\
             mine/cartridge.toml:9:1: `url` is not a name for an environment variable (use capital letters, digits and '_', as in URL)"
        );
    }

    #[test]
    fn what_serde_and_the_rules_of_parameters_refuse_has_a_place() {
        let error = read("name = 'mine'\nversion = 1\ndescription = 'x'").unwrap_err();
        assert!(error.starts_with("mine/cartridge.toml:2:11: invalid type: integer"), "{error}");
        let error = read(&format!("{HEAD}[parameters.a]\ntype = 'integer'\ndefault = 'x'\ndescription = 'A.'\nchoices = [1]")).unwrap_err();
        assert!(error.contains("mine/cartridge.toml:4:13: the parameter `a` is a whole number, and x is not"), "{error}");
        assert!(error.contains("is none of its choices"), "{error}");
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = Cartridge::read(BTreeMap::new(), "./mine", &mut Sources::default()).unwrap_err();
        assert_eq!(error[0].message, "the cartridge ./mine has no cartridge.toml");
    }

    /// The keys that `parse` knows are the keys that the type has.
    #[test]
    fn the_known_keys_are_those_of_the_types() {
        let schema = serde_json::to_value(schemars::schema_for!(CartridgeFile)).unwrap();
        let keys = |at: &str| schema.pointer(at).unwrap().as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(keys("/properties"), ["name", "version", "description", "parameters", "exports"].map(String::from).into());
        assert_eq!(keys("/$defs/Parameter/properties"), ["type", "default", "description", "choices"].map(String::from).into());
    }
}
