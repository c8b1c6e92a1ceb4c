//! Reads the main file and what it includes into one tree.
//!
//! An included file is either a fragment (it has sections, like the main file) or one app, named after the file. Nothing
//! outside the manifest's folder is read, neither by `..` nor through a symbolic link.

use std::collections::HashSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::diagnostic::{Diagnostic, FileId, Sources, Span};
use super::source::{self, Entry, MAX_BYTES, Node, NodeValue, Table};
use crate::desired::name::Name;

/// The main file's name.
pub const MANIFEST_FILE: &str = "stratos.toml";

/// The keys of a fragment. `environments` counts only where it is a table: an app has a list of that name.
const SECTIONS: [&str; 7] = ["project", "include", "variables", "environments", "secrets", "apps", "moved"];

/// How many files and folders are looked at for one pattern: far more than any project has, and few enough to fail soon.
const MAX_LOOKED_AT: usize = 100_000;

/// How deep folders are walked.
const MAX_FOLDERS: usize = 32;

/// The tree of a manifest and of what it includes.
pub(super) struct Tree {
    /// One table with the sections of all files.
    pub root: Node,
    /// All files, the main file first.
    pub sources: Sources,
    /// What is wrong with files and includes.
    pub problems: Vec<Diagnostic>,
    /// Whether a file is missing from the tree, so that names in it would seem unknown.
    pub incomplete: bool,
}

impl Tree {
    /// The tree of one text. It includes nothing, because it has no folder.
    pub fn of_text(text: &str) -> Self {
        let mut tree = Self::of_main(MANIFEST_FILE, text);
        for (pattern, span) in tree.patterns() {
            tree.problems.push(Diagnostic::new(format!("nothing can be included from {pattern:?}: this manifest is in no folder"), span));
            tree.incomplete = true;
        }
        tree
    }

    /// The tree of a file, or of `stratos.toml` in a folder; and the folder.
    pub fn of_path(path: &Path) -> Result<(Self, PathBuf), Diagnostic> {
        let main = if path.is_dir() { path.join(MANIFEST_FILE) } else { path.to_owned() };
        let folder = main.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let text = read(&main).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Diagnostic::new(format!("there is no manifest at {}", main.display()), None)
                .with_help(format!("`stratos init` writes a {MANIFEST_FILE}; `-C DIR` looks in another folder")),
            _ => Diagnostic::new(format!("cannot read {}: {error}", main.display()), None),
        })?;
        let name = main.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut tree = Self::of_main(&name, &text);
        tree.include(&folder, &main);
        Ok((tree, folder))
    }

    fn of_main(name: &str, text: &str) -> Self {
        let mut sources = Sources::default();
        let file = sources.add(name, text);
        let nothing = Node { value: NodeValue::Table(Box::default()), span: start_of(file) };
        let (root, problems) = match source::parse(text, file) {
            Ok(root) => (root, Vec::new()),
            Err(problems) => (nothing, problems),
        };
        let incomplete = !problems.is_empty();
        Self { root, sources, problems, incomplete }
    }

    fn patterns(&self) -> Vec<(String, Span)> {
        let patterns = self.root.get("include").and_then(Node::as_array).unwrap_or_default();
        patterns.iter().filter_map(|pattern| Some((pattern.as_str()?.to_owned(), pattern.span))).collect()
    }

    fn include(&mut self, folder: &Path, main: &Path) {
        let mut seen: HashSet<PathBuf> = main.file_name().map(PathBuf::from).into_iter().collect();
        let mut bytes = 0;
        for (pattern, span) in self.patterns() {
            match matching(folder, &pattern) {
                Err(why) => self.missing(Diagnostic::new(format!("cannot include {pattern:?}: {why}"), span)),
                Ok(files) if files.is_empty() => {
                    let help = format!("patterns are relative to the folder of {}", self.sources.name(FileId(0)));
                    self.missing(Diagnostic::new(format!("no file matches {pattern:?}"), span).with_help(help));
                }
                Ok(files) => {
                    for file in files {
                        if seen.insert(file.clone()) {
                            self.file(folder, &file, span, &mut bytes);
                        }
                    }
                }
            }
        }
    }

    fn missing(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
        self.incomplete = true;
    }

    fn file(&mut self, folder: &Path, relative: &Path, pattern: Span, bytes: &mut usize) {
        let name = relative.to_string_lossy();
        let text = match inside(folder, relative).and_then(|path| read(&path)) {
            Ok(text) => text,
            Err(error) => return self.missing(Diagnostic::new(format!("cannot read {name}: {error}"), pattern)),
        };
        *bytes += text.len();
        if *bytes > 4 * MAX_BYTES {
            return self.missing(Diagnostic::new(format!("the included files are larger than {} MiB", (4 * MAX_BYTES) >> 20), pattern));
        }
        let file = self.sources.add(&name, &text);
        match source::parse(&text, file) {
            Err(problems) => {
                self.problems.extend(problems);
                self.incomplete = true;
            }
            Ok(node) if is_fragment(&node) => self.fragment(node),
            Ok(node) if node.as_table().is_some_and(Table::is_empty) => {}
            Ok(node) => self.app(&relative.file_stem().unwrap_or_default().to_string_lossy(), node, file),
        }
    }

    fn app(&mut self, name: &str, node: Node, file: FileId) {
        let span = start_of(file);
        if let Err(error) = Name::new(name) {
            let help = "a file without sections is one app, named after the file";
            return self.problems.push(Diagnostic::new(error.to_string(), span).with_help(help));
        }
        let apps = Table::from([(name.to_owned(), Entry { key_span: span, node })]);
        self.section("apps", Entry { key_span: span, node: Node { value: NodeValue::Table(Box::new(apps)), span } });
    }

    fn fragment(&mut self, node: Node) {
        let NodeValue::Table(sections) = node.value else { return };
        for (key, entry) in *sections {
            if matches!(key.as_str(), "project" | "include") {
                let message = format!("`{key}` belongs in {}, not in a file that it includes", self.sources.name(FileId(0)));
                self.problems.push(Diagnostic::new(message, entry.key_span));
            } else {
                self.section(&key, entry);
            }
        }
    }

    /// Adds a section of an included file to the tree. What is given twice is a mistake, and never an override: the order of
    /// files must not matter.
    fn section(&mut self, key: &str, added: Entry) {
        let NodeValue::Table(root) = &mut self.root.value else { return };
        let Some(present) = root.get_mut(key) else {
            root.insert(key.to_owned(), added);
            return;
        };
        match (&mut present.node.value, added.node.value) {
            (NodeValue::Table(present), NodeValue::Table(table)) => {
                for (name, entry) in *table {
                    match present.get(&name) {
                        Some(first) => self.problems.push(twice(key, &name, entry.key_span, first.key_span)),
                        None => drop(present.insert(name, entry)),
                    }
                }
            }
            (NodeValue::Array(present), NodeValue::Array(items)) => present.extend(items),
            _ => self.problems.push(twice(key, key, added.key_span, present.key_span)),
        }
    }
}

fn twice(section: &str, name: &str, again: Span, first: Span) -> Diagnostic {
    let what = section.strip_suffix('s').unwrap_or(section);
    Diagnostic::new(format!("the {what} `{name}` is given twice"), again).related_to(first, "it is first given here")
}

fn start_of(file: FileId) -> Span {
    Span { file, start: 0, end: 0 }
}

fn is_fragment(node: &Node) -> bool {
    let section = |key: &str, entry: &Entry| SECTIONS.contains(&key) && (key != "environments" || entry.node.as_table().is_some());
    node.as_table().is_some_and(|table| table.iter().any(|(key, entry)| section(key, entry)))
}

/// Reads a text file that is not too large.
fn read(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    String::from_utf8(bytes)
        .map_err(|error| io::Error::other(format!("it is not UTF-8 text, from byte {} on", error.utf8_error().valid_up_to())))
}

/// The real path of a file, if it is inside the folder with all symbolic links followed.
fn inside(folder: &Path, relative: &Path) -> io::Result<PathBuf> {
    let path = folder.join(relative).canonicalize()?;
    if path.starts_with(folder.canonicalize()?) { Ok(path) } else { Err(io::Error::other("it leads out of the manifest's folder")) }
}

/// The files that match a pattern, relative to the folder, sorted.
pub(crate) fn matching(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    if pattern.contains('\\') {
        return Err("folders are separated by '/'".into());
    }
    let stays = |component: Component<'_>| matches!(component, Component::Normal(_) | Component::CurDir);
    if !Path::new(pattern).components().all(stays) {
        return Err("it leads out of the manifest's folder".into());
    }
    let pattern = pattern.trim_start_matches("./");
    let glob = GlobBuilder::new(pattern).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
    let is_literal = |part: &&str| !part.contains(['*', '?', '[', '{']);
    let start: PathBuf = pattern.split('/').take_while(is_literal).collect();
    if start == Path::new(pattern) {
        return Ok(if folder.join(&start).is_file() { vec![start] } else { Vec::new() });
    }
    let mut found = walk(folder, start, &glob.compile_matcher())?;
    found.sort();
    Ok(found)
}

/// All matching files below a folder. Hidden folders and linked ones are left out.
fn walk(folder: &Path, start: PathBuf, glob: &GlobMatcher) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![start];
    let mut looked_at = 0usize;
    while let Some(relative) = folders.pop() {
        let entries = match folder.join(&relative).read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("cannot read the folder {}: {error}", relative.display())),
        };
        for entry in entries {
            let entry = entry.map_err(|error| format!("cannot read the folder {}: {error}", relative.display()))?;
            looked_at += 1;
            if looked_at > MAX_LOOKED_AT {
                return Err(format!("it looks at more than {MAX_LOOKED_AT} files"));
            }
            let path = relative.join(entry.file_name());
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !hidden && path.components().count() < MAX_FOLDERS {
                folders.push(path);
            } else if !is_folder && glob.is_match(&path) && folder.join(&path).is_file() {
                found.push(path);
            }
        }
    }
    Ok(found)
}
