//! Native parts: `platform.<kind>` of an app, and the files that it names.
//!
//! What a part means is for its platform to say. Here it is rendered like the rest of the app, and its files are read: inside
//! the folder of the manifest or the cartridge alone, those called `*.j2` as templates. Files name further files, so the
//! platform is asked again until it names nothing new (`docs/design/native.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use globset::GlobBuilder;
use minijinja::Value;

use super::Rendered;
use super::folder::Folder;
use super::sandbox::{Flavour, Vault, to_text};
use super::template::Engine;
use crate::desired::text::Text;
use crate::manifest::Manifest;
use crate::manifest::diagnostic::{Diagnostic, FileId, Report, Sources, Span};
use crate::manifest::include::matching;
use crate::manifest::source::{Node, Table};
use crate::platform::Platform;

/// The most files that one part may name.
const MAX_FILES: usize = 256;

/// An app's part for the platform of its environment.
#[derive(Debug, Clone)]
pub struct Native {
    /// The part as it is written, with its templates filled in; a secret in it is its placeholder, which
    /// [`Text::from_rendered`] reads.
    pub node: Node,
    /// The manifest's variables and the parameters of the app's cartridge, for what a file of the platform's own format
    /// interpolates by itself.
    pub values: BTreeMap<String, Text>,
    /// The names of the manifest's secrets.
    pub secrets: BTreeSet<String>,
    origin: Origin,
    context: Value,
    /// By the path or pattern that the platform asked for.
    files: BTreeMap<String, Result<Vec<NativeFile>, String>>,
}

/// A file that a native part names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeFile {
    /// Its path in the folder of the manifest or the cartridge, with `/`.
    pub path: String,
    /// Its text. Of a template what it gave; a secret in it is its placeholder, which [`Text::from_rendered`] reads.
    pub text: Arc<str>,
    id: FileId,
}

impl NativeFile {
    /// The place of a range of bytes of the text.
    pub fn span(&self, range: Range<usize>) -> Span {
        // People see a secret as its expression, which is not as long as its placeholder.
        let shown = |offset: usize| {
            let before = self.text.get(..offset).unwrap_or(&self.text);
            Text::from_rendered(before).map_or(before.len(), |text| text.to_string().len()) as u32
        };
        Span { file: self.id, start: shown(range.start), end: shown(range.end.max(range.start)) }
    }
}

/// The folder that a part's files are in.
#[derive(Clone)]
pub(super) enum Origin {
    /// The manifest's.
    Folder(PathBuf),
    /// A cartridge's: its files by path, and what it is called in messages.
    Cartridge(Arc<BTreeMap<String, String>>, String),
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.fmt(f),
            Self::Cartridge(_, label) => label.fmt(f),
        }
    }
}

impl Native {
    /// A part whose files are not read yet.
    pub(super) fn new(node: Node, values: BTreeMap<String, Text>, secrets: BTreeSet<String>, origin: Origin, context: Value) -> Self {
        Self { node, values, secrets, origin, context, files: BTreeMap::new() }
    }

    /// The keys of the part.
    pub fn table(&self) -> Option<&Table> {
        self.node.as_table()
    }

    /// A file that was asked for; why it cannot be had, where that is so.
    ///
    /// # Errors
    /// A sentence's end: "`a.yml` cannot be read: there is no such file".
    pub fn file(&self, path: &str) -> Result<&NativeFile, &str> {
        self.files(path)?.first().ok_or("it was not asked for")
    }

    /// The files of a pattern that was asked for, sorted; at least one.
    ///
    /// # Errors
    /// As [`Native::file`].
    pub fn files(&self, pattern: &str) -> Result<&[NativeFile], &str> {
        match self.files.get(pattern) {
            Some(Ok(files)) => Ok(files),
            Some(Err(why)) => Err(why),
            None => Err("it was not asked for"),
        }
    }

    /// The files that were read.
    pub fn all_files(&self) -> impl Iterator<Item = &NativeFile> {
        self.files.values().flatten().flatten()
    }

    /// Reads what is not there yet. Whether there was anything.
    fn read(&mut self, wanted: Vec<String>, sources: &mut Sources, problems: &mut Vec<Diagnostic>) -> bool {
        let before = self.files.len();
        for pattern in wanted {
            if self.files.contains_key(&pattern) {
                continue;
            }
            let found = match self.files.len() >= MAX_FILES {
                true => Err(format!("`{pattern}` is one too many: an app may name {MAX_FILES} files")),
                false => self.origin.read(&pattern),
            };
            let found = found.map(|files| files.into_iter().map(|(path, text)| self.one(path, text, sources, problems)).collect());
            self.files.insert(pattern, found);
        }
        self.files.len() > before
    }

    fn one(&self, path: String, text: String, sources: &mut Sources, problems: &mut Vec<Diagnostic>) -> NativeFile {
        let shown = self.origin.shown(&path);
        if !path.ends_with(".j2") {
            let id = sources.add(&shown, &text);
            return NativeFile { path, text: text.into(), id };
        }
        let vault = Vault::default();
        let engine = Engine::new(Flavour::Text, &vault);
        match engine.renderer().text(&text, &self.context) {
            Ok(rendered) => {
                let readable = Text::from_rendered(&rendered).map_or_else(|| rendered.clone(), |text| text.to_string());
                let id = sources.add(&format!("{shown} (rendered)"), &readable);
                NativeFile { path, text: rendered.into(), id }
            }
            Err(error) => {
                let id = sources.add(&shown, &text);
                let place = |range: Range<usize>| Span { file: id, start: range.start as u32, end: range.end as u32 };
                problems.push(error.into_diagnostic(place, Some(id)));
                NativeFile { path, text: "".into(), id }
            }
        }
    }
}

impl Origin {
    /// The files of a path or a pattern: path and text. At least one.
    fn read(&self, pattern: &str) -> Result<Vec<(String, String)>, String> {
        let is_pattern = pattern.contains(['*', '?', '[', '{']);
        let files: Vec<(String, String)> = match self {
            Self::Folder(root) => {
                let folder = Folder::open(root)?;
                let paths = match is_pattern {
                    true => matching(root, pattern)?.into_iter().map(|path| path.to_string_lossy().into_owned()).collect(),
                    false => vec![pattern.trim_start_matches("./").to_owned()],
                };
                paths.into_iter().map(|path| Ok((path.clone(), folder.read(&path)?))).collect::<Result<_, String>>()?
            }
            Self::Cartridge(files, label) => {
                let glob = GlobBuilder::new(pattern.trim_start_matches("./")).literal_separator(true).build();
                let glob = glob.map_err(|error| error.kind().to_string())?.compile_matcher();
                let found: Vec<_> = files.iter().filter(|(path, _)| glob.is_match(path)).map(|(p, t)| (p.clone(), t.clone())).collect();
                if found.is_empty() && !is_pattern {
                    return Err(format!("`{pattern}` is not in the folder of the cartridge {label}"));
                }
                found
            }
        };
        if files.is_empty() { Err(format!("no file matches `{pattern}`")) } else { Ok(files) }
    }

    fn shown(&self, path: &str) -> String {
        match self {
            Self::Folder(_) => path.to_owned(),
            Self::Cartridge(_, label) => format!("{label}/{path}"),
        }
    }
}

/// A value of a template, where it has a form as text.
pub(super) fn as_text(value: &Value) -> Option<Text> {
    Text::from_rendered(&to_text(value).ok()?)
}

/// Reads the files of all native parts, each named by what the platform finds in the part and in the files that it names.
///
/// # Errors
/// Where a template among them is wrong. A file that is not there is an error only to who needs it.
pub fn load(rendered: &mut Rendered, manifest: &Manifest, platform: &dyn Platform) -> Result<(), Report> {
    let mut problems = Vec::new();
    let sources = Arc::make_mut(&mut rendered.sources);
    for app in rendered.apps.values_mut() {
        let Some(native) = &mut app.native else { continue };
        while native.read(platform.native_files(native), sources, &mut problems) {}
        for file in native.all_files() {
            let unknown = Text::from_rendered(&file.text).map(|text| {
                text.secrets()
                    .find(|name| !manifest.secrets.contains_key(*name))
                    .map(|name| format!("there is no secret `{name}` in [secrets]"))
            });
            match unknown {
                Some(None) => {}
                Some(Some(message)) => problems.push(Diagnostic::new(message, file.span(0..0))),
                None => problems.push(Diagnostic::new("a secret's placeholder was cut or changed in this template", file.span(0..0))),
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Report::new(rendered.sources.clone(), problems)) }
}
