//! The files of an app: written in the manifest, rendered from a template, or a secret's value.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Filled, ReadTemplate, Scope, Session};
use crate::desired::text::{Encoding, Segment, Text};
use crate::manifest::diagnostic::{Diagnostic, Span};
use crate::manifest::schema::{App, File};
use crate::manifest::source::Node;
use crate::manifest::suggest;
use crate::platform::FileContent;
use crate::render::cartridge::native_platform;

/// The permissions of a file for which none are written: read by all.
const DEFAULT_MODE: u32 = 0o444;

impl Session<'_> {
    /// The files of an app. `rendered` is what the app was typed from: it knows the places.
    pub(super) fn files(&mut self, app: &App, rendered: &Node, scope: &Scope) -> IndexMap<String, FileContent> {
        let mut files = IndexMap::with_capacity(app.files.len());
        for (path, file) in &app.files {
            let field = |key: &str| rendered.at(["files", path.as_str(), key]).map(|node| node.span);
            let whole = rendered.at(["files", path.as_str()]).map_or(rendered.span, |node| node.span);
            let content = self.content(path, file, &field, whole, scope);
            let mode =
                file.mode.as_deref().map_or(Some(DEFAULT_MODE), |mode| u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777));
            if mode.is_none() {
                let problem = Diagnostic::new("`mode` must be permissions in octal, such as \"0444\"", field("mode").unwrap_or(whole));
                self.problems.push(problem);
            }
            if let (Some(content), Some(mode)) = (content, mode) {
                files.insert(path.clone(), FileContent { content, mode });
            }
        }
        files
    }

    fn content(&mut self, path: &str, file: &File, field: &dyn Fn(&str) -> Option<Span>, whole: Span, scope: &Scope) -> Option<Text> {
        match (&file.template, &file.content, &file.secret) {
            (None, Some(content), None) => Some(content.clone()),
            (None, None, Some(secret)) => {
                if self.manifest.secrets.contains_key(secret) {
                    return Some(Text::from_iter([Segment::Secret { name: secret.clone(), encoding: Encoding::Plain }]));
                }
                let names: Vec<&str> = self.manifest.secrets.keys().map(String::as_str).collect();
                let problem = Diagnostic::new(format!("there is no secret `{secret}` in [secrets]"), field("secret").unwrap_or(whole));
                self.problems.push(Diagnostic { help: suggest::help(secret, names, "there are"), ..problem });
                None
            }
            (Some(template), None, None) => self.file_template(template, field("template").unwrap_or(whole), scope),
            _ => {
                let message = format!("the file `{path}` must have exactly one of `template`, `content` and `secret`");
                self.problems.push(Diagnostic::new(message, whole));
                None
            }
        }
    }

    /// Renders a template of the manifest's folder, or of the cartridge where the cartridge names it.
    fn file_template(&mut self, path: &str, span: Span, scope: &Scope) -> Option<Text> {
        let filled = scope.cartridge.as_ref().filter(|_| scope.rendered_files.contains(&span.file));
        let context = filled.map_or(&scope.context, |filled| &filled.context);
        let key = (filled.map(|filled| filled.reference.clone()), path.to_owned());
        if !self.templates.contains_key(&key) {
            let read = self.read_template(path, filled);
            self.templates.insert(key.clone(), read);
        }
        let (file, source) = match &self.templates[&key] {
            Ok((file, source)) => (*file, source.clone()),
            Err(why) => {
                self.problems.push(Diagnostic::new(format!("the template {why}"), span));
                return None;
            }
        };
        match self.text.text(&source, context) {
            Ok(text) => self.held(&text, Span { file, start: 0, end: 0 }),
            Err(error) => {
                let place = |range: std::ops::Range<usize>| Span { file, start: range.start as u32, end: range.end as u32 };
                self.problems.push(error.into_diagnostic(place, Some(file)));
                None
            }
        }
    }

    fn read_template(&mut self, path: &str, filled: Option<&Filled>) -> ReadTemplate {
        let (label, text) = match filled {
            Some(Filled { cartridge, .. }) => {
                if let Some(platform) = native_platform(path) {
                    return Err(format!(
                        "`{path}` is for {platform} alone: `platform.{platform}` can name it, a file of the app cannot be made of it"
                    ));
                }
                let found = cartridge.files.get(path.trim_start_matches("./"));
                let text = found.ok_or_else(|| format!("`{path}` is not in the folder of the cartridge {}", cartridge.name))?;
                (cartridge.shown(path), text.clone())
            }
            None => (path.to_owned(), self.folder()?.read(path)?),
        };
        Ok((Arc::make_mut(&mut self.sources).add(&label, &text), text.into()))
    }
}
