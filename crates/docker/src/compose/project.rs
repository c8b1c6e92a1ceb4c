//! The compose files of an app as one project: files laid on files, `include`, `extends`, interpolation.
//!
//! Paths in a file are relative to the folder of the first file of the list that it is in, as compose has it. Whatever is read
//! is read by the engine and inside the folder of the manifest or the cartridge; here a path is only a name, and a file that is
//! not there yet is asked for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use stratos_engine::manifest::diagnostic::{Diagnostic, Span};
use stratos_engine::manifest::source::NodeValue;
use stratos_engine::render::native::{Native, NativeFile};

use super::interpolate::{Values, interpolate};
use super::merge::{assignments, canonical, merge};
use super::yaml::{self, Key, Place, Value, Yaml};

/// The sections of a project that are tables of named things.
pub(super) const SECTIONS: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];

/// How deep `include` and `extends` may go.
const MAX_DEPTH: usize = 16;

/// How often files are read, one of them many times: services of two files that extend each other would multiply.
const MAX_READS: usize = 500;

/// What is loaded, and what is wrong with it.
pub(super) struct Project<'a> {
    /// `services`, `networks`, `volumes`, `configs` and `secrets`, each a table.
    pub root: Yaml,
    pub files: Files<'a>,
}

/// The files of a project and what was found in them.
pub(super) struct Files<'a> {
    part: &'a Native,
    /// What places name by their index.
    read: RefCell<Vec<&'a NativeFile>>,
    /// What was asked for.
    wanted: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<Diagnostic>>,
}

impl<'a> Files<'a> {
    /// A file, where it can be had. Where it cannot, why.
    pub fn get(&self, path: &str) -> Result<(usize, &'a NativeFile), String> {
        self.wanted.borrow_mut().insert(path.to_owned());
        let file = self.part.file(path).map_err(str::to_owned)?;
        let mut read = self.read.borrow_mut();
        let index = read.iter().position(|known| known.path == file.path).unwrap_or_else(|| {
            read.push(file);
            read.len() - 1
        });
        Ok((index, file))
    }

    /// The same; why it cannot be had is reported at a place.
    pub fn require(&self, path: &str, place: Place) -> Option<(usize, &'a NativeFile)> {
        self.get(path).map_err(|why| self.report(why, place)).ok()
    }

    /// Where something stands, for a diagnostic.
    pub fn span(&self, place: Place) -> Span {
        let file = self.read.borrow().get(place.file).copied();
        file.map_or(self.part.node.span, |file| file.span(place.start..place.end))
    }

    /// Reports what is wrong somewhere.
    pub fn report(&self, message: impl Into<String>, place: Place) {
        let problem = Diagnostic::new(message, self.span(place));
        self.problems.borrow_mut().push(problem);
    }

    /// The same, with what to do.
    pub fn report_with_help(&self, message: impl Into<String>, help: impl Into<String>, place: Place) {
        let problem = Diagnostic::new(message, self.span(place)).with_help(help);
        self.problems.borrow_mut().push(problem);
    }

    /// The paths that were asked for.
    pub fn wanted(self) -> Vec<String> {
        self.wanted.into_inner().into_iter().collect()
    }

    /// Everything that is wrong.
    pub fn problems(&self) -> Vec<Diagnostic> {
        self.problems.borrow().clone()
    }

    pub fn add(&self, problem: Diagnostic) {
        self.problems.borrow_mut().push(problem);
    }
}

/// Loads the compose files that a part names, as far as they are there.
pub(super) fn load<'a>(part: &'a Native, values: Values<'a>) -> Project<'a> {
    let files = Files { part, read: RefCell::default(), wanted: RefCell::default(), problems: RefCell::default() };
    let loader = Loader { files: &files, values, left: Cell::new(MAX_READS) };
    let paths = loader.named();
    let folder = paths.first().map_or("", |path| folder_of(path)).to_owned();
    let root = loader.together(&paths, &folder, None, MAX_DEPTH);
    Project { root, files }
}

struct Loader<'f, 'a> {
    files: &'f Files<'a>,
    values: Values<'a>,
    /// How many files may still be read.
    left: Cell<usize>,
}

impl Loader<'_, '_> {
    /// The paths in `compose`: one, or a list.
    fn named(&self) -> Vec<String> {
        let node = &self.files.part.node;
        let Some(compose) = node.get("compose") else {
            let problem = Diagnostic::new("`compose` is missing: it names the compose file, or several", node.span);
            self.files.add(problem.with_help("such as compose = \"compose.yml\""));
            return Vec::new();
        };
        let items = match &compose.value {
            NodeValue::Array(items) => items.iter().collect(),
            _ => vec![compose],
        };
        if items.is_empty() {
            self.files.add(Diagnostic::new("`compose` names no file", compose.span));
        }
        let mut paths = Vec::new();
        for item in items {
            let found =
                item.as_str().ok_or_else(|| "`compose` must be a path, or a list of paths".to_owned()).and_then(|path| joined("", path));
            match found {
                Ok(path) => {
                    if let Err(why) = self.files.get(&path) {
                        self.files.add(Diagnostic::new(format!("the compose file {why}"), item.span));
                    }
                    paths.push(path);
                }
                Err(why) => self.files.add(Diagnostic::new(why, item.span)),
            }
        }
        paths
    }

    /// Files laid on each other. `named_at` is where they are named, where that is in a file of the project.
    fn together(&self, paths: &[String], folder: &str, named_at: Option<Place>, depth: usize) -> Yaml {
        let mut whole =
            Yaml { value: Value::Map(SECTIONS.iter().map(|section| (key(section), empty())).collect()), place: Place::default() };
        for path in paths {
            let found = match named_at {
                Some(place) => self.files.require(path, place),
                None => self.files.get(path).ok(),
            };
            if let Some((index, file)) = found
                && let Some(yaml) = self.file(index, &file.text, folder, depth)
            {
                merge(&mut whole, yaml);
            }
        }
        whole
    }

    /// One file: its sections, with what it includes below them.
    fn file(&self, index: usize, text: &str, folder: &str, depth: usize) -> Option<Yaml> {
        let Some(left) = self.left.get().checked_sub(1) else {
            self.files.report("files name each other too often, or in a circle", Place { file: index, ..Place::default() });
            return None;
        };
        self.left.set(left);
        let mut yaml = match yaml::parse(text, index) {
            Ok(yaml) => yaml,
            Err(error) => {
                self.files.report(format!("this is no YAML: {}", error.message), error.place);
                return None;
            }
        };
        let place = yaml.place;
        self.interpolate(&mut yaml);
        let Value::Map(entries) = yaml.value else {
            self.files.report(format!("a compose file is a table with `services`; found {}", yaml.kind()), place);
            return None;
        };
        let mut sections: Vec<(Key, Yaml)> = Vec::new();
        let mut included = Vec::new();
        for (key, value) in entries {
            match key.name.as_str() {
                "include" => included = self.included(value, folder, depth),
                name if SECTIONS.contains(&name) => match value.value {
                    Value::Map(_) => sections.push((key, value)),
                    Value::Null => {}
                    _ => self.files.report(format!("`{name}` must be a table, found {}", value.kind()), value.place),
                },
                // The version says nothing any more, and the name of a project is the app's.
                "version" | "name" => {}
                name if name.starts_with("x-") => {}
                name => {
                    let help = stratos_engine::manifest::suggest::help(name, SECTIONS.into_iter().chain(["include"]), "there are");
                    let problem = Diagnostic::new(format!("a compose file has no key `{name}`"), self.files.span(key.place));
                    self.files.add(Diagnostic { help, ..problem });
                }
            }
        }
        let mut own = Yaml { value: Value::Map(sections), place };
        self.canonical(&mut own, folder);
        self.extend(&mut own, folder, depth);
        for other in included {
            self.add(&mut own, other);
        }
        Some(own)
    }

    fn interpolate(&self, yaml: &mut Yaml) {
        match &mut yaml.value {
            Value::Text(text) => match interpolate(text, &self.values) {
                Ok(whole) => *text = whole,
                Err(why) => self.files.report(why, yaml.place),
            },
            Value::List(items) => items.iter_mut().for_each(|item| self.interpolate(item)),
            Value::Map(entries) => {
                // Extensions are looked at where they are used: a merge has brought them there.
                entries.iter_mut().filter(|(key, _)| !key.name.starts_with("x-")).for_each(|(_, value)| self.interpolate(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// One form for all services; paths from the root on.
    fn canonical(&self, own: &mut Yaml, folder: &str) {
        for (section, table) in entries_mut(own) {
            let section = section.name.clone();
            for (_, thing) in entries_mut(table) {
                match section.as_str() {
                    "services" => {
                        canonical(thing);
                        self.env_files(thing, folder);
                    }
                    "configs" | "secrets" => {
                        self.rooted(field_mut(thing, "file"), folder);
                        field_mut(thing, "labels").into_iter().for_each(assignments);
                    }
                    _ => field_mut(thing, "labels").into_iter().for_each(assignments),
                }
            }
        }
    }

    fn env_files(&self, service: &mut Yaml, folder: &str) {
        let Some(Yaml { value: Value::List(items), .. }) = field_mut(service, "env_file") else { return };
        for item in items {
            match item.value {
                Value::Map(_) => self.rooted(field_mut(item, "path"), folder),
                _ => self.rooted(Some(item), folder),
            }
        }
    }

    /// Makes a path one from the root on, and asks for the file.
    fn rooted(&self, path: Option<&mut Yaml>, folder: &str) {
        let Some(path) = path else { return };
        let Value::Text(text) = &mut path.value else { return };
        match joined(folder, text) {
            Ok(whole) => {
                // Whether it is needed is known where it is used.
                let _ = self.files.get(&whole);
                *text = whole;
            }
            Err(why) => self.files.report(why, path.place),
        }
    }

    /// What `include` brings.
    fn included(&self, include: Yaml, folder: &str, depth: usize) -> Vec<Yaml> {
        let mut out = Vec::new();
        for item in include.items() {
            if depth == 0 {
                self.files.report("files include each other too deep, or in a circle", item.place);
                break;
            }
            let (path, directory) = (item.get("path").unwrap_or(item), item.get("project_directory"));
            for (unknown, _) in item.entries().iter().filter(|(key, _)| !["path", "project_directory"].contains(&key.name.as_str())) {
                self.files.report(format!("`include.{}` is not supported", unknown.name), unknown.place);
            }
            let listed = if path.items().is_empty() { std::slice::from_ref(path) } else { path.items() };
            let mut paths = Vec::new();
            for one in listed {
                match one.as_text().ok_or_else(|| "`include` must name files".to_owned()).and_then(|text| joined(folder, text)) {
                    Ok(path) => paths.push(path),
                    Err(why) => self.files.report(why, one.place),
                }
            }
            let inner = match directory.and_then(Yaml::as_text).map(|text| joined(folder, text)) {
                Some(Ok(directory)) => directory,
                Some(Err(why)) => {
                    self.files.report(why, item.place);
                    continue;
                }
                None => paths.first().map_or("", |path| folder_of(path)).to_owned(),
            };
            out.push(self.together(&paths, &inner, Some(item.place), depth - 1));
        }
        if !matches!(include.value, Value::List(_)) {
            self.files.report(format!("`include` must be a list, found {}", include.kind()), include.place);
        }
        out
    }

    /// Adds what a file includes. Nothing of it is replaced: that would hide what somebody wrote.
    fn add(&self, own: &mut Yaml, other: Yaml) {
        let Value::Map(sections) = other.value else { return };
        for (section, table) in sections {
            let Value::Map(things) = table.value else { continue };
            let Value::Map(all) = &mut own.value else { return };
            let at = all.iter().position(|(known, _)| known.name == section.name);
            let at = at.unwrap_or_else(|| {
                all.push((section.clone(), empty()));
                all.len() - 1
            });
            let Value::Map(present) = &mut all[at].1.value else { continue };
            for (name, thing) in things {
                match present.iter().find(|(known, _)| known.name == name.name) {
                    Some((_, known)) if known.value == thing.value => {}
                    Some((known, _)) => {
                        let what = section.name.trim_end_matches('s');
                        let problem = Diagnostic::new(format!("the {what} `{}` is given twice", name.name), self.files.span(known.place));
                        self.files.add(problem.related_to(self.files.span(name.place), "an included file gives it here"));
                    }
                    None => present.push((name, thing)),
                }
            }
        }
    }

    /// Lays each service on the one that it extends.
    fn extend(&self, own: &mut Yaml, folder: &str, depth: usize) {
        let Some(services) = field_mut(own, "services") else { return };
        let names: Vec<String> = services.entries().iter().map(|(key, _)| key.name.clone()).collect();
        let before = services.clone();
        for name in names {
            let Some(service) = field_mut(services, &name) else { continue };
            if let Some(whole) = self.extended(service, &before, folder, depth) {
                *service = whole;
            }
        }
    }

    /// The service with what it extends below it; None where it extends nothing.
    fn extended(&self, service: &Yaml, siblings: &Yaml, folder: &str, depth: usize) -> Option<Yaml> {
        let extends = service.get("extends")?;
        let mut own = service.clone();
        if let Value::Map(fields) = &mut own.value {
            fields.retain(|(key, _)| key.name != "extends");
        }
        let name = extends.get("service").unwrap_or(extends);
        let Some(name) = name.as_text() else {
            self.files.report("`extends` must name a `service`", extends.place);
            return Some(own);
        };
        if depth == 0 {
            self.files.report("services extend each other too deep, or in a circle", extends.place);
            return Some(own);
        }
        let base = match extends.get("file").and_then(Yaml::as_text) {
            None => siblings.get(name).map(|base| self.extended(base, siblings, folder, depth - 1).unwrap_or_else(|| base.clone())),
            Some(file) => match joined(folder, file) {
                Err(why) => {
                    self.files.report(why, extends.place);
                    return Some(own);
                }
                Ok(path) => {
                    let (index, file) = self.files.require(&path, extends.place)?;
                    self.file(index, &file.text, folder_of(&path), depth - 1)?.get("services").and_then(|all| all.get(name)).cloned()
                }
            },
        };
        let Some(mut base) = base else {
            self.files.report(format!("there is no service `{name}` to extend"), extends.place);
            return Some(own);
        };
        merge(&mut base, own);
        Some(base)
    }
}

fn key(name: &str) -> Key {
    Key { name: name.to_owned(), place: Place::default() }
}

fn empty() -> Yaml {
    Yaml { value: Value::Map(Vec::new()), place: Place::default() }
}

fn entries_mut(yaml: &mut Yaml) -> &mut [(Key, Yaml)] {
    match &mut yaml.value {
        Value::Map(entries) => entries,
        _ => &mut [],
    }
}

fn field_mut<'y>(yaml: &'y mut Yaml, name: &str) -> Option<&'y mut Yaml> {
    entries_mut(yaml).iter_mut().find(|(key, _)| key.name == name).map(|(_, value)| value)
}

/// The folder of a path; nothing for one at the root.
fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A path as it is written in a file of a folder, from the root on.
fn joined(folder: &str, path: &str) -> Result<String, String> {
    let outside = || format!("`{path}` leads out of the folder that the app's files are in");
    if path.starts_with(['/', '~']) {
        return Err(outside());
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or_else(outside)?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside() {
        assert_eq!(joined("", "./a.yml"), Ok("a.yml".to_owned()));
        assert_eq!(joined("deploy/x", "../a//b/./c"), Ok("deploy/a/b/c".to_owned()));
        for path in ["../../a", "/etc/passwd", "~/x", "a/../../.."] {
            assert!(joined("deploy", path).is_err(), "{path}");
        }
    }
}
