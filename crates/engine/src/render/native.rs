//! Native parts: `platform.<kind>` of an app, and the files that it names.
//!
//! What a part means is for its platform to say. Here it is rendered like the rest of the app, and its files are read: inside
//! the folder of the manifest or the cartridge alone, those called `*.j2` as templates. Files name further files, so the
//! platform is asked again until it names nothing new (`docs/design/native.md`). Then it may have files made by a program of
//! this machine (a chart that is rendered).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt as _;
use globset::GlobBuilder;
use minijinja::Value;

use super::Rendered;
use super::folder::{Folder, checked_text};
use super::sandbox::{Flavour, Vault, to_text};
use super::template::Engine;
use crate::desired::name::Name;
use crate::desired::quantity::Bytes;
use crate::desired::text::Text;
use crate::manifest::Manifest;
use crate::manifest::diagnostic::{Diagnostic, FileId, Report, Sources, Span};
use crate::manifest::include::matching;
use crate::manifest::source::{Node, NodeValue, Table};
use crate::platform::Platform;

/// The most files that one part may name.
const MAX_FILES: usize = 256;
/// The largest file where the project says nothing: ten times the largest set of definitions that people publish.
const MAX_FILE_SIZE: Bytes = Bytes(32 << 20);
/// So many times the largest file all files of a part may have together.
const TOGETHER: u64 = 4;
/// How many apps have files made at once. Each runs a program, which may run on several cores.
const AT_ONCE: usize = 4;

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
    generated: Vec<NativeFile>,
    generated_again: Vec<NativeFile>,
}

/// What a program of this machine made of a part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generated {
    /// What people know each file by, and its text. A secret in it is its placeholder.
    pub files: Vec<(String, String)>,
    /// The same, made a second time, where that gave something else.
    pub again: Vec<(String, String)>,
}

/// A file, or everything in a folder, as a program would read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bundle {
    /// Its content.
    File(Vec<u8>),
    /// The content of each file, by its path in the folder, with `/`.
    Folder(BTreeMap<String, Vec<u8>>),
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
        Self { node, values, secrets, origin, context, files: BTreeMap::new(), generated: Vec::new(), generated_again: Vec::new() }
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

    /// The files that a program made of the part.
    pub fn generated(&self) -> &[NativeFile] {
        &self.generated
    }

    /// The same files, made a second time; none where they were the same.
    pub fn generated_again(&self) -> &[NativeFile] {
        &self.generated_again
    }

    /// A file or a folder in the folder of the manifest or the cartridge. Templates in it are not filled in.
    ///
    /// # Errors
    /// A sentence: why it cannot be had.
    pub fn bundle(&self, path: &str) -> Result<Bundle, String> {
        self.origin.bundle(path)
    }

    /// The files that were read.
    pub fn all_files(&self) -> impl Iterator<Item = &NativeFile> {
        self.files.values().flatten().flatten()
    }

    /// The names of the secrets in the part and in its files, as far as they are read. A secret that a format means by a name of
    /// its own is not among them: it is in the resources that the platform makes of the part.
    pub fn secrets_used(&self) -> BTreeSet<String> {
        let mut texts: Vec<&str> = self.all_files().map(|file| &*file.text).collect();
        strings(&self.node, &mut texts);
        let texts = texts.into_iter().filter_map(Text::from_rendered);
        texts.flat_map(|text| text.secrets().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Reads what is not there yet. Whether there was anything.
    fn read(&mut self, wanted: Vec<String>, limit: Bytes, sources: &mut Sources, problems: &mut Vec<Diagnostic>) -> bool {
        let before = self.files.len();
        for pattern in wanted {
            if self.files.contains_key(&pattern) {
                continue;
            }
            let found = match self.files.len() >= MAX_FILES {
                true => Err(format!("`{pattern}` is one too many: an app may name {MAX_FILES} files")),
                false => self.origin.read(&pattern, limit, self.size()),
            };
            let found = found.map(|files| files.into_iter().map(|(path, text)| self.one(path, text, limit, sources, problems)).collect());
            self.files.insert(pattern, found);
        }
        self.files.len() > before && before <= MAX_FILES
    }

    /// How many bytes of files were read.
    fn size(&self) -> u64 {
        self.all_files().map(|file| file.text.len() as u64).sum()
    }

    fn one(&self, path: String, text: String, limit: Bytes, sources: &mut Sources, problems: &mut Vec<Diagnostic>) -> NativeFile {
        let shown = self.origin.shown(&path);
        if !path.ends_with(".j2") {
            let id = sources.add(&shown, &text);
            return NativeFile { path, text: text.into(), id };
        }
        let vault = Vault::default();
        let engine = Engine::new(Flavour::Text, &vault);
        match engine.renderer().writing(limit.0 as usize).text(&text, &self.context) {
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
    /// The files of a path or a pattern: path and text. At least one. Each has at most `limit` bytes; `size` were read before.
    fn read(&self, pattern: &str, limit: Bytes, size: u64) -> Result<Vec<(String, String)>, String> {
        let is_pattern = pattern.contains(['*', '?', '[', '{']);
        let files: Vec<(String, String)> = match self {
            Self::Folder(root) => {
                let folder = Folder::open(root)?;
                let paths = match is_pattern {
                    true => matching(root, pattern)?.into_iter().map(|path| path.to_string_lossy().into_owned()).collect(),
                    false => vec![pattern.trim_start_matches("./").to_owned()],
                };
                let mut together = size;
                let mut file = |path: String| {
                    let text = folder.read_up_to(&path, limit.0)?;
                    together += text.len() as u64;
                    let most = Bytes(limit.0.saturating_mul(TOGETHER));
                    match together <= most.0 {
                        true => Ok((path, text)),
                        false => Err(format!(
                            "`{path}` is too much: the files of an app have at most {most} together (four times `max_file_size` of `[project]`)"
                        )),
                    }
                };
                paths.into_iter().map(&mut file).collect::<Result<_, String>>()?
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

    fn bundle(&self, path: &str) -> Result<Bundle, String> {
        let path = path.trim_start_matches("./").trim_end_matches('/');
        match self {
            Self::Folder(root) => Folder::open(root)?.bundle(path),
            Self::Cartridge(files, label) => {
                let inside = |(name, text): (&String, &String)| {
                    Some((name.strip_prefix(path)?.strip_prefix('/')?.to_owned(), text.clone().into_bytes()))
                };
                let found: BTreeMap<_, _> = files.iter().filter_map(inside).collect();
                match files.get(path) {
                    Some(text) => Ok(Bundle::File(text.clone().into_bytes())),
                    None if found.is_empty() => Err(format!("`{path}` is not in the folder of the cartridge {label}")),
                    None => Ok(Bundle::Folder(found)),
                }
            }
        }
    }

    fn shown(&self, path: &str) -> String {
        match self {
            Self::Folder(_) => path.to_owned(),
            Self::Cartridge(_, label) => format!("{label}/{path}"),
        }
    }
}

/// All strings of a part. Its keys are no templates.
fn strings<'n>(node: &'n Node, out: &mut Vec<&'n str>) {
    match &node.value {
        NodeValue::String(text) => out.push(text),
        NodeValue::Array(items) => items.iter().for_each(|item| strings(item, out)),
        NodeValue::Table(_) => node.entries().for_each(|(_, entry)| strings(&entry.node, out)),
        NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Bool(_) => {}
    }
}

/// A value of a template, where it has a form as text.
pub(super) fn as_text(value: &Value) -> Option<Text> {
    Text::from_rendered(&to_text(value).ok()?)
}

/// Reads the files of all native parts. `names` is [`Platform::native_files`].
///
/// # Errors
/// Where a template among them is wrong. A file that is not there is an error only to who needs it.
pub fn load(rendered: &mut Rendered, manifest: &Manifest, names: &dyn Fn(&Native) -> Vec<String>) -> Result<(), Report> {
    let mut problems = Vec::new();
    let sources = Arc::make_mut(&mut rendered.sources);
    let limit = manifest.project.max_file_size.unwrap_or(MAX_FILE_SIZE);
    for app in rendered.apps.values_mut() {
        let Some(native) = &mut app.native else { continue };
        while native.read(names(native), limit, sources, &mut problems) {}
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

/// Has programs of this machine make files of the native parts of these apps (of all where there are none), whose own files have
/// been read.
///
/// # Errors
/// Everything that is wrong with them.
pub async fn generate(rendered: &mut Rendered, platform: &dyn Platform, apps: &BTreeSet<Name>) -> Result<(), Report> {
    let parts = rendered.apps.iter().filter(|(name, _)| apps.is_empty() || apps.contains(*name));
    let parts = parts.filter_map(|(name, app)| Some((name.clone(), app.native.clone()?)));
    let asked = parts.map(async |(name, part)| (platform.generate(&name, &part).await, name));
    let made: Vec<_> = futures::stream::iter(asked.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await;
    let mut problems = Vec::new();
    let sources = Arc::make_mut(&mut rendered.sources);
    for (made, name) in made {
        let Some(native) = rendered.apps.get_mut(&name).and_then(|app| app.native.as_mut()) else { continue };
        match made {
            Ok(Generated { files, again }) => {
                let mut file = |(path, text): (String, String)| {
                    let readable = Text::from_rendered(&text).map_or_else(|| text.clone(), |text| text.to_string());
                    NativeFile { id: sources.add(&path, &readable), path, text: text.into() }
                };
                native.generated = files.into_iter().map(&mut file).collect();
                native.generated_again = again.into_iter().map(file).collect();
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Report::new(rendered.sources.clone(), problems)) }
}

/// Text that a program printed, where it may be a file's: UTF-8, and without the characters that mark placeholders.
///
/// # Errors
/// The end of a sentence that begins with what was printed: "is not UTF-8".
pub fn printed(bytes: Vec<u8>) -> Result<String, String> {
    checked_text(bytes)
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::render::{VariableInputs, render};

    const MANIFEST: &str = "[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"swarm\"\n[variables]\ntag = \"2\"\n\
        [secrets]\ndb = { env = \"DB\" }\n[apps.web.platform]\nswarm = { first = \"{{ vars.first }}\" }\nlocal = { other = true }\n";

    /// A part names a file, and each line of a file that ends in a name of one names another.
    fn names(part: &Native) -> Vec<String> {
        let first = part.node.get("first").and_then(Node::as_str).map(str::to_owned);
        let further = part.all_files().flat_map(|file| file.text.lines()).filter_map(|line| line.strip_prefix("see "));
        first.into_iter().chain(further.map(str::to_owned)).collect()
    }

    fn loaded(first: &str, files: &[(&str, &str)]) -> Result<(Rendered, tempfile::TempDir), Report> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stratos.toml"), MANIFEST.replace("tag =", &format!("first = \"{first}\"\ntag ="))).unwrap();
        for (name, text) in files {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let manifest = Manifest::load(folder.path())?;
        let mut rendered = render(&manifest, manifest.environments.first().unwrap().0, &VariableInputs::default())?;
        load(&mut rendered, &manifest, &names)?;
        Ok((rendered, folder))
    }

    fn native(rendered: &Rendered) -> &Native {
        rendered.apps.values().next().unwrap().native.as_ref().unwrap()
    }

    #[test]
    fn files_that_name_files_are_read_until_there_are_no_more() {
        let files = [("a", "see b\nsee c/*.yml"), ("b", "see a\nsee missing"), ("c/2.yml", "two"), ("c/1.yml", "one"), ("c/no.txt", "")];
        let (rendered, _folder) = loaded("a", &files).unwrap();
        let native = native(&rendered);
        assert_eq!(&*native.file("b").unwrap().text, "see a\nsee missing");
        let globbed: Vec<&str> = native.files("c/*.yml").unwrap().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(globbed, ["c/1.yml", "c/2.yml"]);
        assert_eq!(native.file("missing"), Err("`missing` cannot be read: there is no such file"));
        assert_eq!(native.file("never"), Err("it was not asked for"));
        assert!(native.node.get("other").is_none(), "the part of another platform");
        assert_eq!(native.values["tag"], Text::literal("2"));
    }

    #[test]
    fn a_template_is_rendered_and_its_secrets_are_shown_as_expressions() {
        let (rendered, _folder) = loaded("a.j2", &[("a.j2", "password: {{ secrets.db }}\ntag: {{ vars.tag }}\n")]).unwrap();
        let file = native(&rendered).file("a.j2").unwrap();
        let text = Text::from_rendered(&file.text).unwrap();
        assert_eq!(text.secrets().collect::<Vec<_>>(), ["db"]);
        let at = file.text.find("tag").unwrap();
        let shown = file.span(at..at + 3);
        assert_eq!(rendered.sources.name(shown.file), "a.j2 (rendered)");
        assert_eq!(&rendered.sources.text(shown.file)[shown.start as usize..shown.end as usize], "tag");
        assert_eq!(rendered.sources.position(shown), (2, 1));
    }

    /// In a file that is a template, and in a value that stands deep in the part itself.
    #[test]
    fn the_secrets_of_native_parts_are_in_use() {
        let (rendered, _folder) = loaded("a.j2", &[("a.j2", "password: {{ secrets.db }}\n")]).unwrap();
        assert_eq!(rendered.secrets_used(), BTreeSet::from(["db".to_owned()]));
        let text = MANIFEST
            .replace("swarm = { first", "swarm = { deep = [{ x = \"p={{ secrets.db }}\" }], first")
            .replace("tag =", "first = \"a\"\ntag =");
        let manifest = Manifest::parse(&text).unwrap();
        let rendered = render(&manifest, manifest.environments.first().unwrap().0, &VariableInputs::default()).unwrap();
        assert_eq!(rendered.secrets_used(), BTreeSet::from(["db".to_owned()]));
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said_in_the_template() {
        let error = loaded("a.j2", &[("a.j2", "x\n{{ vars.nope }}\n")]).unwrap_err().to_string();
        assert!(error.starts_with("a.j2:2:"), "{error}");
    }

    #[test]
    fn nothing_outside_is_read() {
        let (rendered, _folder) = loaded("../outside", &[]).unwrap();
        assert!(native(&rendered).file("../outside").unwrap_err().contains("must be relative"));
        let (rendered, folder) = loaded("link", &[]).unwrap();
        assert!(native(&rendered).file("link").is_err());
        drop((rendered, folder));
        let (rendered, _folder) = loaded("/etc/passwd", &[]).unwrap();
        assert!(native(&rendered).file("/etc/passwd").is_err());
    }

    /// A file of a size under a limit: what is said of it.
    #[test]
    fn files_have_the_size_that_the_project_allows() {
        let of = |limit: &str, files: &[(&str, usize)]| {
            let folder = tempfile::tempdir().unwrap();
            let manifest = MANIFEST.replace("name = \"shop\"\n", &format!("name = \"shop\"\n{limit}\n"));
            std::fs::write(folder.path().join("stratos.toml"), manifest.replace("tag =", "first = \"*.yml\"\ntag =")).unwrap();
            files.iter().for_each(|(name, size)| std::fs::write(folder.path().join(name), "x".repeat(*size)).unwrap());
            let manifest = Manifest::load(folder.path()).map_err(|report| report.to_string())?;
            let mut rendered = render(&manifest, manifest.environments.first().unwrap().0, &VariableInputs::default()).unwrap();
            load(&mut rendered, &manifest, &names).unwrap();
            native(&rendered).files("*.yml").map(<[NativeFile]>::len).map_err(str::to_owned)
        };
        let (mib, small) = (1 << 20, "max_file_size = \"1KiB\"");
        assert_eq!(of("", &[("a.yml", 3 * mib), ("b.yml", 32 * mib)]), Ok(2));
        for (limit, files, why) in [
            ("", &[("a.yml", 32 * mib + 1)][..], "`a.yml` is larger than 32MiB: `max_file_size` of `[project]` allows larger ones"),
            (small, &[("a.yml", 1025)], "`a.yml` is larger than 1KiB"),
            (small, &[("a.yml", 1024), ("b.yml", 1024), ("c.yml", 1024), ("d.yml", 1024), ("e.yml", 1)], "at most 4KiB together"),
            ("max_file_size = \"1023B\"", &[], "`max_file_size` must be between 1KiB and 1GiB"),
            ("max_file_size = \"2GiB\"", &[], "`max_file_size` must be between 1KiB and 1GiB"),
            ("max_file_size = \"much\"", &[], "a size such as"),
        ] {
            let said = of(limit, files).unwrap_err();
            assert!(said.contains(why), "{limit}: {said}");
        }
    }

    #[test]
    fn a_template_may_give_as_much_as_a_file_may_have() {
        let (rendered, _folder) = loaded("a.j2", &[("a.j2", "{% for i in range(3000) %}{{ 'x' * 1024 }}{% endfor %}")]).unwrap();
        assert_eq!(native(&rendered).file("a.j2").unwrap().text.len(), 3000 * 1024);
        let error = loaded("a.j2", &[("a.j2", "{% for i in range(40000) %}{{ 'x' * 1024 }}{% endfor %}")]).unwrap_err().to_string();
        assert!(error.contains("writes more than 32768 KiB"), "{error}");
    }

    /// A file that names a new one for ever.
    #[test]
    fn there_is_an_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stratos.toml"), MANIFEST.replace("tag =", "first = \"a\"\ntag =")).unwrap();
        let manifest = Manifest::load(folder.path()).unwrap();
        let mut rendered = render(&manifest, manifest.environments.first().unwrap().0, &VariableInputs::default()).unwrap();
        let count = std::cell::Cell::new(0);
        let endless = |_: &Native| {
            count.set(count.get() + 1);
            vec![format!("file-{}", count.get().min(10 * MAX_FILES))]
        };
        load(&mut rendered, &manifest, &endless).unwrap();
        assert!(count.get() > MAX_FILES);
        assert!(native(&rendered).file(&format!("file-{}", MAX_FILES + 1)).unwrap_err().contains("one too many"));
    }

    #[test]
    fn an_app_without_anything_for_its_platform_is_refused() {
        let text = "[project]\nname = \"a\"\n[environments.dev]\nplatform = \"local\"\n[apps.web.platform]\nswarm = { x = 1 }\n";
        let manifest = Manifest::parse(text).unwrap();
        let error = render(&manifest, manifest.environments.first().unwrap().0, &VariableInputs::default()).unwrap_err().to_string();
        assert!(error.contains("the app `web` says nothing that could run on local, where dev is"), "{error}");
    }
}
