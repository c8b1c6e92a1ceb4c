//! What a cartridge becomes in one app: its parameters are checked, and its template becomes the app's first table.

use indexmap::IndexMap;
use minijinja::Value;

use super::{APP, Cartridge, Parameter};
use crate::desired::text::{OPEN, Segment, Text};
use crate::manifest::diagnostic::{Diagnostic, Sources, Span};
use crate::manifest::schema::{Scalar, ValueType};
use crate::manifest::source::{self, Node, NodeValue, Table};
use crate::manifest::suggest;
use crate::render::sandbox::{Vault, unprotect};
use crate::render::template::{Renderer, TemplateError};

/// Keys of an app that say what the cartridge is for, and where; only the app itself can say that.
const NOT_ITS_OWN: [&str; 4] = ["cartridge", "parameters", "environments", "override"];

impl Cartridge {
    /// The values of the parameters, for templates. `written` are those of the app, rendered; `reference` is where the
    /// app names the cartridge.
    pub(in crate::render) fn parameter_values(
        &self,
        written: Option<&Table>,
        reference: Span,
        vault: &Vault,
    ) -> Result<Value, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut values: IndexMap<&str, Value> = IndexMap::new();
        for (name, entry) in written.into_iter().flatten() {
            match self.parameters.get_key_value(name.as_str()) {
                None => {
                    let known: Vec<&str> = self.parameters.keys().map(String::as_str).collect();
                    let help = suggest::help(name, known, "there are").unwrap_or_else(|| "it has none".into());
                    let message = format!("the cartridge {} has no parameter `{name}`", self.name);
                    problems.push(Diagnostic::new(message, entry.key_span).with_help(help));
                }
                Some((name, parameter)) => match parameter.value(name, &entry.node, vault) {
                    Ok(value) => drop(values.insert(name, value)),
                    Err(message) => problems.push(Diagnostic::new(message, entry.node.span)),
                },
            }
        }
        for (name, parameter) in &self.parameters {
            let was_written = written.is_some_and(|written| written.contains_key(name));
            match &parameter.default {
                _ if was_written => {}
                Some(default) => {
                    let default = default.of_type(parameter.r#type).unwrap_or_else(|| default.clone());
                    values.insert(name, default.to_template());
                }
                None => {
                    let message = format!("the cartridge {} needs the parameter `{name}`: {}", self.name, parameter.description);
                    let help = format!("add parameters.{name} = … ({})", parameter.r#type.expected());
                    problems.push(Diagnostic::new(message, reference).with_help(help));
                }
            }
        }
        if problems.is_empty() { Ok(Value::from_pairs(values)) } else { Err(problems) }
    }

    /// The app's table as the cartridge gives it. `context` has the parameters in it; `for_app` is for messages.
    ///
    /// Errors of the template point into the template; what is wrong with the TOML that it wrote points into that text,
    /// which is added to the sources.
    pub(in crate::render) fn app_table(
        &self,
        renderer: &Renderer,
        context: &Value,
        for_app: &str,
        sources: &mut Sources,
    ) -> Result<Node, Vec<Diagnostic>> {
        let template = self.files.get(APP).map(String::as_str).unwrap_or_default();
        let text = renderer.text(template, context).map_err(|error| {
            let file = sources.add(&self.shown(APP), template);
            vec![error.into_diagnostic(|range| Span { file, start: range.start as u32, end: range.end as u32 }, Some(file))]
        })?;
        let file = sources.add(&format!("{} as rendered for apps.{for_app}", self.shown(APP)), &text);
        let mut node = source::parse(&text, file)?;
        let mut problems = Vec::new();
        for key in NOT_ITS_OWN {
            if let Some(entry) = node.as_table().and_then(|table| table.get(key)) {
                problems.push(Diagnostic::new(format!("a cartridge cannot set `{key}`: that is for the app that uses it"), entry.key_span));
            }
        }
        unprotect_all(&mut node);
        if problems.is_empty() { Ok(node) } else { Err(problems) }
    }

    /// What an app made of this tells those that bind it. `context` has `host`, `port` and the parameters in it.
    pub(in crate::render) fn export_values(
        &self,
        renderer: &Renderer,
        context: &Value,
    ) -> Result<IndexMap<String, (Text, Span)>, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut exports = IndexMap::new();
        for (name, template) in &self.exports {
            let Some(span) = self.export_spans.get(name).copied() else { continue };
            let failed = |error: TemplateError| error.into_diagnostic(|_| span, None);
            match renderer.value(template, context).map_err(failed).and_then(|value| as_text(&value, span)) {
                Ok(text) => drop(exports.insert(name.clone(), (text, span))),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(exports) } else { Err(problems) }
    }
}

/// An exported value as text. A list or a table is no environment variable.
fn as_text(value: &NodeValue, span: Span) -> Result<Text, Diagnostic> {
    let text = match value {
        NodeValue::String(text) => text.clone(),
        NodeValue::Integer(number) => number.to_string(),
        NodeValue::Float(number) => number.to_string(),
        NodeValue::Bool(value) => value.to_string(),
        NodeValue::Array(_) | NodeValue::Table(_) => return Err(Diagnostic::new("an export must be text, not a list or a table", span)),
    };
    Text::from_rendered(&text).ok_or_else(|| Diagnostic::new("a placeholder was cut or changed", span))
}

impl Parameter {
    /// A value that was written, for templates; or what is wrong with it.
    fn value(&self, name: &str, written: &Node, vault: &Vault) -> Result<Value, String> {
        let scalar = match &written.value {
            NodeValue::String(text) if text.contains(OPEN) && self.r#type == ValueType::String => return held(name, self, text, vault),
            NodeValue::String(text) => Scalar::String(text.clone()),
            NodeValue::Integer(number) => Scalar::Integer(*number),
            NodeValue::Float(number) => Scalar::Float(*number),
            NodeValue::Bool(value) => Scalar::Bool(*value),
            NodeValue::Array(_) | NodeValue::Table(_) => return Err(format!("the parameter `{name}` must be {}", self.r#type.expected())),
        };
        let value = scalar.of_type(self.r#type).ok_or_else(|| format!("the parameter `{name}` must be {}", self.r#type.expected()))?;
        let allowed = self.choices.is_empty() || self.choices.iter().any(|choice| choice.of_type(self.r#type).as_ref() == Some(&value));
        if !allowed {
            let choices = self.choices.iter().map(Scalar::to_string).collect::<Vec<_>>().join(", ");
            return Err(format!("the parameter `{name}` must be one of: {choices}"));
        }
        Ok(value.to_template())
    }
}

/// Text with a secret in it. A secret alone stays one, so that it can be encoded; with other text it is text.
fn held(name: &str, parameter: &Parameter, text: &str, vault: &Vault) -> Result<Value, String> {
    if !parameter.choices.is_empty() {
        return Err(format!("the parameter `{name}` cannot be a secret: it has choices"));
    }
    let parsed = Text::from_rendered(text).ok_or("a secret's placeholder was cut or changed")?;
    Ok(match parsed.segments() {
        [secret @ Segment::Secret { .. }] => vault.hold(secret.clone()),
        _ => text.into(),
    })
}

fn unprotect_all(node: &mut Node) {
    match &mut node.value {
        NodeValue::String(text) => {
            if let Some(restored) = unprotect(text) {
                *text = restored;
            }
        }
        NodeValue::Array(items) => items.iter_mut().for_each(unprotect_all),
        NodeValue::Table(table) => table.values_mut().for_each(|entry| unprotect_all(&mut entry.node)),
        NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Bool(_) => {}
    }
}
