//! What is wrong with a manifest or a template, and where. Text only: how it looks on a terminal is for `cli` to say.

use std::fmt;
use std::sync::Arc;

/// A file that was read: an index into [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A range of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// The files that a manifest was read from: name (relative to the manifest's folder) and text.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<(Arc<str>, Arc<str>)>,
}

impl Sources {
    /// Adds a file.
    pub fn add(&mut self, name: &str, text: &str) -> FileId {
        self.files.push((name.into(), text.into()));
        FileId((self.files.len() - 1) as u32)
    }

    /// The name of a file.
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("?", |(name, _)| name)
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |(_, text)| text)
    }

    /// The line and the column (both from 1, the column in characters) of a span's start.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let text = self.text(span.file);
        let before = &text[..text.floor_char_boundary((span.start as usize).min(text.len()))];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// Where; none where there is no text to point at.
    pub span: Option<Span>,
    /// A few words at the place itself; may be empty.
    pub label: String,
    /// Other places that belong to it, each with a few words: where something was first given.
    pub related: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic at a place.
    pub fn new(message: impl Into<String>, span: impl Into<Option<Span>>) -> Self {
        Self { message: message.into(), span: span.into(), label: String::new(), related: Vec::new(), help: None }
    }

    /// With a few words at the place itself.
    #[must_use]
    pub fn labelled(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// With another place that belongs to it.
    #[must_use]
    pub fn related_to(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// With what to do.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Everything that is wrong, with the files that it is about. As text: `stratos.toml:12:5: message`, one a line, each followed
/// by its related places, indented.
#[derive(Debug, Clone)]
pub struct Report {
    /// The files.
    pub sources: Arc<Sources>,
    /// At least one.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// How many problems a report shows. Nobody reads more, and a hostile file could cause one with each byte.
    pub const MOST: usize = 100;

    /// A report of these problems in the order in which they stand in the files, each once.
    pub fn new(sources: Arc<Sources>, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
        diagnostics.dedup();
        if let Some(more) = diagnostics.len().checked_sub(Self::MOST).filter(|more| *more > 0) {
            diagnostics.truncate(Self::MOST);
            diagnostics.push(Diagnostic::new(format!("and {more} more problems"), None));
        }
        Self { sources, diagnostics }
    }
}

impl Report {
    /// Its diagnostics as those of a report about these files. Files that are not among them are added: two environments
    /// read the same files in another order, or other files.
    pub(crate) fn among(self, sources: &mut Sources) -> Vec<Diagnostic> {
        let own = self.sources;
        let mut moved = |span: Span| {
            let (name, text) = (own.name(span.file), own.text(span.file));
            let known = sources.files.iter().position(|(other, content)| **other == *name && **content == *text);
            let file = known.map_or_else(|| sources.add(name, text), |known| FileId(known as u32));
            Span { file, ..span }
        };
        let place = |diagnostic: Diagnostic| Diagnostic {
            span: diagnostic.span.map(&mut moved),
            related: diagnostic.related.into_iter().map(|(span, label)| (moved(span), label)).collect(),
            ..diagnostic
        };
        self.diagnostics.into_iter().map(place).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.diagnostics.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            let Diagnostic { message, span, label: _, related, help } = diagnostic;
            let place = |f: &mut fmt::Formatter<'_>, span: Span| {
                let (line, column) = self.sources.position(span);
                write!(f, "{}:{line}:{column}: ", self.sources.name(span.file))
            };
            if let Some(span) = span {
                place(f, *span)?;
            }
            f.write_str(message)?;
            if let Some(help) = help {
                write!(f, " ({help})")?;
            }
            for (span, label) in related {
                f.write_str("\n    ")?;
                place(f, *span)?;
                f.write_str(label)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
