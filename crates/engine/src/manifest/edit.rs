//! Edits of the text of `stratos.toml` that keep everything else as the user wrote it: comments, order, blank lines, line ends.
//!
//! Each edit starts from a manifest that is right and ends with one, or is refused. An edit that changes nothing is none.

mod keep;

use std::sync::Arc;

use toml_edit::{DocumentMut, Item, Table, Value};

use super::check::check_manifest;
use super::diagnostic::{Diagnostic, Report, Sources};
use super::include::MANIFEST_FILE;
use super::schema::PlatformKind;
use super::source::{self, Node};
use super::{suggest, validate};
use crate::desired::name::Name;

/// Adds `[environments.NAME]`. `options` are the keys and values of its `options`: `true`, `false` and whole numbers are written
/// as such, everything else as text.
///
/// Adding again what is already there changes nothing; another environment of that name is a mistake.
pub fn add_environment(text: &str, name: &str, platform: &str, fields: &[(Vec<&str>, Value)]) -> Result<String, Report> {
    let kinds = PlatformKind::ALL.map(PlatformKind::as_str);
    if !kinds.contains(&platform) {
        let problem = Diagnostic::new(format!("there is no platform `{platform}`"), None);
        return Err(report(text, vec![Diagnostic { help: suggest::help(platform, kinds, "the platforms are"), ..problem }]));
    }
    let fields: Vec<_> = [(vec!["platform"], Value::from(platform))].into_iter().chain(fields.iter().cloned()).collect();
    add(text, ENVIRONMENT, name, &fields)
}

/// Adds `[apps.NAME]` with these fields in this order: the keys that lead to each (`["ports", "http"]`), and its value.
///
/// Adding again what is already there changes nothing; another app of that name is a mistake.
pub fn add_app(text: &str, name: &str, fields: &[(Vec<&str>, Value)]) -> Result<String, Report> {
    add(text, APP, name, fields)
}

/// Removes an environment. What still refers to it is reported, and nothing is removed.
pub fn remove_environment(text: &str, name: &str) -> Result<String, Report> {
    remove(text, ENVIRONMENT, name)
}

/// Removes an app. What still refers to it is reported, and nothing is removed.
pub fn remove_app(text: &str, name: &str) -> Result<String, Report> {
    remove(text, APP, name)
}

/// A section whose entries are edited: its key, and what one of its entries is called.
#[derive(Clone, Copy)]
struct Section {
    key: &'static str,
    entry: &'static str,
}

const ENVIRONMENT: Section = Section { key: "environments", entry: "environment" };
const APP: Section = Section { key: "apps", entry: "app" };

fn add(text: &str, section: Section, name: &str, fields: &[(Vec<&str>, Value)]) -> Result<String, Report> {
    let root = verify(text).map_err(|problems| report(text, problems))?;
    if let Err(error) = Name::new(name) {
        return Err(report(text, vec![Diagnostic::new(error.to_string(), None)]));
    }
    let table = table_of(fields).ok_or_else(|| report(text, vec![Diagnostic::new("a field is given twice, or has no name", None)]))?;
    if let Some(entry) = root.get(section.key).and_then(Node::as_table).and_then(|entries| entries.get(name)) {
        if same(&entry.node, &table) {
            return Ok(text.to_owned());
        }
        let problem = Diagnostic::new(format!("there is already an {} `{name}`, with other settings", section.entry), entry.key_span);
        return Err(report(text, vec![problem.with_help("change it there, remove it first, or take another name")]));
    }
    let attempt = format!("cannot add the {} `{name}`", section.entry);
    edited(text, &attempt, |document| insert(document, section.key, name, table))
}

fn remove(text: &str, section: Section, name: &str) -> Result<String, Report> {
    let root = verify(text).map_err(|problems| report(text, problems))?;
    let entries = root.get(section.key);
    if entries.and_then(|entries| entries.get(name)).is_none() {
        let names: Vec<&str> = entries.into_iter().flat_map(Node::entries).map(|(name, _)| name).collect();
        let elsewhere = || has_includes(&root).then(|| "it may be in one of the files that this one includes".to_owned());
        let help = suggest::help(name, names, &format!("the {}s are", section.entry)).or_else(elsewhere);
        return Err(report(text, vec![Diagnostic { help, ..Diagnostic::new(format!("there is no {} `{name}`", section.entry), None) }]));
    }
    let attempt = format!("cannot remove the {} `{name}`: what is left would be wrong", section.entry);
    edited(text, &attempt, |document| keep::remove(document, section.key, name))
}

/// Edits, puts back what the user wrote, and checks the result.
fn edited(text: &str, attempt: &str, edit: impl FnOnce(&mut DocumentMut) -> bool) -> Result<String, Report> {
    let failed = |why: &str| report(text, vec![Diagnostic::new(format!("{attempt}: {why}"), None)]);
    let mut document: DocumentMut = text.replace("\r\n", "\n").parse().map_err(|error: toml_edit::TomlError| failed(error.message()))?;
    if !edit(&mut document) {
        return Err(failed("the section is written in a way that this cannot edit"));
    }
    let result = keep::as_written(text, &document.to_string());
    match verify(&result) {
        Ok(_) => Ok(result),
        Err(mut problems) => {
            problems.push(Diagnostic::new(attempt, None));
            Err(report(&result, problems))
        }
    }
}

/// Reads and checks a manifest's text. Names are looked up only where nothing is included: an included file may give them.
fn verify(text: &str) -> Result<Node, Vec<Diagnostic>> {
    let mut sources = Sources::default();
    let root = source::parse(text, sources.add(MANIFEST_FILE, ""))?;
    let mut problems = check_manifest(&root);
    if !has_includes(&root) {
        problems.extend(validate::validate_tree(&root));
    }
    if problems.is_empty() { Ok(root) } else { Err(problems) }
}

fn has_includes(root: &Node) -> bool {
    root.get("include").and_then(Node::as_array).is_some_and(|patterns| !patterns.is_empty())
}

fn report(text: &str, problems: Vec<Diagnostic>) -> Report {
    let mut sources = Sources::default();
    sources.add(MANIFEST_FILE, text);
    Report::new(Arc::new(sources), problems)
}

/// A value as it is given on a command line (`--option key=value`): a whole number or a boolean where it looks like one.
pub fn scalar(text: &str) -> Value {
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => match text.parse::<i64>() {
            // "007" and "+1" are names of something, and not numbers.
            Ok(number) if number.to_string() == text => number.into(),
            _ => text.into(),
        },
    }
}

/// A table of fields, with dotted keys. None where a field is given twice.
fn table_of(fields: &[(Vec<&str>, Value)]) -> Option<Table> {
    let mut table = Table::new();
    for (path, value) in fields {
        let (last, parents) = path.split_last()?;
        let mut inner = &mut table;
        for key in parents {
            inner = inner.entry(key).or_insert_with(dotted).as_table_mut()?;
        }
        if inner.insert(last, Item::Value(value.clone())).is_some() {
            return None;
        }
    }
    Some(table)
}

fn dotted() -> Item {
    let mut table = Table::new();
    table.set_dotted(true);
    Item::Table(table)
}

/// Whether an entry says exactly what a new table would say.
fn same(present: &Node, added: &Table) -> bool {
    let mut document = DocumentMut::new();
    document.insert("entry", Item::Table(added.clone()));
    let mut sources = Sources::default();
    let read = source::parse(&document.to_string(), sources.add("", ""));
    read.is_ok_and(|root| root.get("entry").is_some_and(|added| added.to_json() == present.to_json()))
}

/// Adds an entry behind the section's last one. False where the section is no table.
fn insert(document: &mut DocumentMut, section: &str, name: &str, mut table: Table) -> bool {
    let starts_file = document.as_table().is_empty();
    if !starts_file {
        table.decor_mut().set_prefix("\n");
    }
    let fresh = !document.contains_key(section);
    if fresh {
        // A section that was not there comes last, wherever the tables that are there are written.
        table.set_position(Some(keep::last_position(document.as_table()) + 1));
        let mut parent = Table::new();
        parent.set_implicit(true);
        document.insert(section, Item::Table(parent));
    }
    match document.get_mut(section) {
        Some(Item::Table(entries)) => drop(entries.insert(name, Item::Table(table))),
        Some(Item::Value(Value::InlineTable(entries))) => {
            let mut added = Value::InlineTable(table.into_inline_table());
            added.decor_mut().set_prefix(" ");
            // The space before the closing brace belongs to the last entry, whichever that is.
            if let Some((_, last)) = entries.iter_mut().last() {
                let suffix = last.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default().to_owned();
                last.decor_mut().set_suffix("");
                added.decor_mut().set_suffix(suffix);
            }
            entries.insert(name, added);
        }
        _ => return false,
    }
    true
}
