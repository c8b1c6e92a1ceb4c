//! Templates: strings of the manifest, files, and the `app.toml.j2` of cartridges.
//!
//! A string without `{{`, `{%` and `{#` never gets here. One that is exactly one `{{ expression }}` keeps the type of
//! its value; any other becomes text. Simple strings (text and expressions) are taken apart here, so that each distinct
//! expression is compiled once, however many apps use it; the rest is left to minijinja as a whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use indexmap::IndexMap;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Expression, Value};

use super::sandbox::{self, FUEL, Flavour, Held, MAX_OUTPUT, Vault};
use crate::desired::text::{CLOSE, OPEN, Text};
use crate::manifest::diagnostic::{Diagnostic, FileId, Span};
use crate::manifest::source::{Entry, Node, NodeValue};
use crate::manifest::suggest;

/// How deep a list or table that an expression gives may be nested.
const MAX_DEPTH: usize = 32;

/// Whether a string is a template at all.
pub(super) fn is_template(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        rest = &rest[at + 1..];
        if rest.starts_with(['{', '%', '#']) {
            return true;
        }
    }
    false
}

/// What is wrong with a template, and where in it (bytes).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateError {
    pub message: String,
    pub help: Option<String>,
    pub range: Option<Range<usize>>,
}

impl TemplateError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, range: None }
    }

    /// The same with its place. `place` says where a range of the template stands; `whole` is the file that is pointed at
    /// from its first byte where there is no range.
    pub(super) fn into_diagnostic(self, place: impl Fn(Range<usize>) -> Span, whole: Option<FileId>) -> Diagnostic {
        let start = whole.map(|file| Span { file, start: 0, end: 0 });
        let span = match (self.range, start) {
            (None, Some(start)) => start,
            (range, _) => place(range.unwrap_or_default()),
        };
        Diagnostic { help: self.help, ..Diagnostic::new(self.message, span) }
    }
}

/// The compiled environment of one render. Make one and use it for every app.
pub(super) struct Engine {
    environment: Environment<'static>,
    vault: Vault,
    flavour: Flavour,
}

impl Engine {
    pub(super) fn new(flavour: Flavour, vault: &Vault) -> Self {
        Self { environment: sandbox::environment(flavour, vault), vault: vault.clone(), flavour }
    }

    /// Something to render with. It remembers the expressions that it has compiled.
    pub(super) fn renderer(&self) -> Renderer<'_> {
        Renderer { engine: self, expressions: RefCell::default(), most: MAX_OUTPUT }
    }
}

type Compiled<'e> = Option<Rc<Expression<'e, 'static>>>;

/// Renders templates, remembering what was compiled.
pub(super) struct Renderer<'e> {
    engine: &'e Engine,
    /// By source; `None` for what is no expression.
    expressions: RefCell<HashMap<String, Compiled<'e>>>,
    /// So many bytes one template may give.
    most: usize,
}

/// A piece of a simple template.
enum Piece<'s, 'e> {
    Literal(&'s str),
    /// The expression, and where its source begins in the template.
    Expression(Rc<Expression<'e, 'static>>, Range<usize>),
}

impl<'e> Renderer<'e> {
    /// The same, for templates that may give so many bytes.
    pub(super) fn writing(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The value of a string of the manifest: typed where it is exactly one expression, text otherwise.
    pub(super) fn value(&self, source: &str, context: &Value) -> Result<NodeValue, TemplateError> {
        let Some(pieces) = self.pieces(source) else { return self.text(source, context).map(NodeValue::String) };
        if let [Piece::Expression(expression, range)] = pieces.as_slice() {
            let value = self.evaluate(expression, source, range, context)?;
            return to_node_value(&value, MAX_DEPTH)
                .map_err(|message| TemplateError { range: Some(range.clone()), ..TemplateError::new(message) });
        }
        let mut out = String::new();
        for piece in pieces {
            match piece {
                Piece::Literal(literal) => out.push_str(literal),
                Piece::Expression(expression, range) => {
                    let value = self.evaluate(&expression, source, &range, context)?;
                    let text = sandbox::to_text(&value)
                        .map_err(|e| TemplateError { range: Some(range.clone()), ..explain(&e, source, context) })?;
                    out.push_str(&text);
                }
            }
            if out.len() > MAX_OUTPUT {
                return Err(too_large(MAX_OUTPUT));
            }
        }
        Ok(NodeValue::String(out))
    }

    /// A template as text, whatever it consists of.
    pub(super) fn text(&self, source: &str, context: &Value) -> Result<String, TemplateError> {
        let failed = |error: &Error| match innermost(error).kind() {
            ErrorKind::WriteFailure => too_large(self.most),
            _ => explain(error, source, context),
        };
        let template = self.engine.environment.template_from_str(source).map_err(|e| failed(&e))?;
        let mut out = Limited(Vec::new(), self.most);
        template.render_captured_to(context.clone(), &mut out).map_err(|e| failed(&e))?;
        self.check_misuse(None)?;
        String::from_utf8(out.0).map_err(|_| TemplateError::new("the template wrote bytes that are not text"))
    }

    fn evaluate(
        &self,
        expression: &Expression<'_, '_>,
        source: &str,
        range: &Range<usize>,
        context: &Value,
    ) -> Result<Value, TemplateError> {
        let inner = &source[range.clone()];
        let value = expression.eval(context.clone()).map_err(|error| {
            let explained = explain(&error, inner, context);
            let range = explained.range.map(|r| range.start + r.start..range.start + r.end).unwrap_or(range.clone());
            TemplateError { range: Some(range), ..explained }
        })?;
        self.check_misuse(Some(range))?;
        if value.is_undefined() {
            let trimmed = inner.trim();
            let start = range.start + (inner.len() - inner.trim_start().len());
            return Err(TemplateError { range: Some(start..start + trimmed.len()), ..undefined(trimmed, context) });
        }
        Ok(value)
    }

    fn check_misuse(&self, range: Option<&Range<usize>>) -> Result<(), TemplateError> {
        if self.engine.vault.take_misuse() {
            let message = "what is not known before apply (a secret, an address) cannot be compared or decided upon";
            return Err(TemplateError { range: range.cloned(), ..TemplateError::new(message) });
        }
        Ok(())
    }

    /// Takes a simple template apart. None where it has statements, comments or white space control, or is wrong:
    /// minijinja then reads it as a whole, and says what is wrong.
    fn pieces<'s>(&self, source: &'s str) -> Option<Vec<Piece<'s, 'e>>> {
        if self.engine.flavour != Flavour::Text || source.contains("{%") || source.contains("{#") {
            return None;
        }
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(open) = source[at..].find("{{").map(|found| at + found) {
            if open > at {
                pieces.push(Piece::Literal(&source[at..open]));
            }
            let (expression, range) = self.expression_at(source, open + 2)?;
            at = range.end + 2;
            pieces.push(Piece::Expression(expression, range));
        }
        if at < source.len() {
            pieces.push(Piece::Literal(&source[at..]));
        }
        Some(pieces)
    }

    /// The expression that starts here and ends before a `}}`. A `}}` inside a string or a table is passed over: what
    /// stands before it does not compile. Nothing after the right one compiles either, for its braces do not match.
    fn expression_at(&self, source: &str, start: usize) -> Option<(Rc<Expression<'e, 'static>>, Range<usize>)> {
        /// Enough for tables in tables, and not enough to make a long malformed string slow.
        const TRIES: usize = 8;
        if source[start..].starts_with(['-', '+']) {
            return None;
        }
        for (found, _) in source[start..].match_indices("}}").take(TRIES) {
            let inner = &source[start..start + found];
            if inner.ends_with(['-', '+']) {
                return None;
            }
            if let Some(expression) = self.compiled(inner) {
                return Some((expression, start..start + found));
            }
        }
        None
    }

    fn compiled(&self, source: &str) -> Compiled<'e> {
        if let Some(known) = self.expressions.borrow().get(source) {
            return known.clone();
        }
        let compiled = self.engine.environment.compile_expression_owned(source.to_owned()).ok().map(Rc::new);
        self.expressions.borrow_mut().insert(source.to_owned(), compiled.clone());
        compiled
    }
}

/// Collects output up to the limit.
struct Limited(Vec<u8>, usize);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > self.1 {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_large(most: usize) -> TemplateError {
    TemplateError::new(format!("the template writes more than {} KiB", most / 1024))
}

/// The value of an expression as the manifest knows values.
fn to_node_value(value: &Value, depth: usize) -> Result<NodeValue, String> {
    // What an expression gives has no place of its own: whoever asked fills in the place of the expression.
    let nowhere = Span { file: FileId(0), start: 0, end: 0 };
    let node = |value: &Value| -> Result<Node, String> {
        let depth = depth.checked_sub(1).ok_or_else(|| format!("lists and tables may be nested at most {MAX_DEPTH} deep"))?;
        Ok(Node { value: to_node_value(value, depth)?, span: nowhere })
    };
    match value.kind() {
        ValueKind::Bool => Ok(NodeValue::Bool(value.is_true())),
        ValueKind::Number if value.is_integer() => {
            value.as_i64().map(NodeValue::Integer).ok_or_else(|| "this number does not fit in 64 bits".into())
        }
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) if number.is_finite() => Ok(NodeValue::Float(number)),
            _ => Err("this is not a finite number".into()),
        },
        ValueKind::String => match value.as_str() {
            Some(text) if text.len() > MAX_OUTPUT => Err(too_large(MAX_OUTPUT).message),
            text => Ok(NodeValue::String(text.unwrap_or_default().to_owned())),
        },
        ValueKind::Plain if value.downcast_object_ref::<Held>().is_some() => Ok(NodeValue::String(value.to_string())),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|e| e.to_string())?;
            Ok(NodeValue::Array(items.map(|item| node(&item)).collect::<Result<_, _>>()?))
        }
        ValueKind::Map => {
            let mut table = IndexMap::new();
            for key in value.try_iter().map_err(|e| e.to_string())? {
                let item = value.get_item(&key).map_err(|e| e.to_string())?;
                let key = key.as_str().ok_or("the keys of a table must be text")?.to_owned();
                table.insert(key, Entry { key_span: nowhere, node: node(&item)? });
            }
            Ok(NodeValue::Table(Box::new(table)))
        }
        ValueKind::None => Err("the expression gives none, which is no value that the manifest knows".into()),
        _ => Err("the expression gives something that is no value, such as a function".into()),
    }
}

/// What a template error says to the author. Never minijinja's own debug text: that shows values.
fn explain(error: &Error, source: &str, context: &Value) -> TemplateError {
    let error = innermost(error);
    let range = error.range().filter(|r| r.start <= r.end && r.end <= source.len() && source.is_char_boundary(r.start));
    let detail = readable(error.detail().unwrap_or_default());
    let explained = match error.kind() {
        ErrorKind::UndefinedError => {
            let at_range = || range.clone().and_then(|r| source.get(r)).unwrap_or_default().to_owned();
            undefined(&detail.split('`').nth(1).map_or_else(at_range, str::to_owned), context)
        }
        ErrorKind::SyntaxError => TemplateError::new(format!("the template is not valid: {detail}")),
        ErrorKind::OutOfFuel => TemplateError::new(format!("the template does not end within {FUEL} steps")),
        ErrorKind::WriteFailure => too_large(MAX_OUTPUT),
        ErrorKind::UnknownFilter => unknown("filter", &detail, FILTERS),
        ErrorKind::UnknownTest => unknown("test", &detail, &[]),
        ErrorKind::UnknownFunction => unknown("function", &detail, &["range", "dict", "namespace"]),
        ErrorKind::InvalidOperation if detail.starts_with("tried to use + operator") => {
            TemplateError { help: Some("text is joined with `~`".into()), ..TemplateError::new(detail) }
        }
        ErrorKind::InvalidOperation if !detail.is_empty() => TemplateError::new(detail),
        kind if detail.is_empty() => TemplateError::new(kind.to_string()),
        kind => TemplateError::new(format!("{kind}: {detail}")),
    };
    TemplateError { range, ..explained }
}

/// The filters that are worth suggesting.
const FILTERS: &[&str] = &[
    "b64encode",
    "capitalize",
    "default",
    "first",
    "float",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "round",
    "sort",
    "split",
    "string",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
];

/// minijinja wraps an error in one for each block and macro around it; the innermost is where it happened.
fn innermost(error: &Error) -> &Error {
    let mut found = error;
    let mut next = std::error::Error::source(error);
    while let Some(inner) = next {
        if let Some(inner) = inner.downcast_ref::<Error>().filter(|e| e.range().is_some()) {
            found = inner;
        }
        next = inner.source();
    }
    found
}

/// Text for people: placeholders as the expressions that they came from.
fn readable(text: &str) -> String {
    if !text.contains([OPEN, CLOSE]) {
        return text.to_owned();
    }
    Text::from_rendered(text).map_or_else(|| text.replace([OPEN, CLOSE], ""), |text| text.to_string())
}

fn unknown(what: &str, detail: &str, known: &[&str]) -> TemplateError {
    // "filter NAME is unknown", "test NAME is unknown", "NAME is unknown"
    let name = detail.trim_end_matches(" is unknown").rsplit(' ').next().unwrap_or_default();
    TemplateError {
        help: suggest::closest(name, known.iter().copied()).map(|found| format!("did you mean `{found}`?")),
        ..TemplateError::new(format!("there is no {what} `{name}`"))
    }
}

/// What is said of a name that stands for nothing. `expression` is `name` or `table.name`.
fn undefined(expression: &str, context: &Value) -> TemplateError {
    let keys = |table: &Value| -> Vec<String> {
        table.try_iter().into_iter().flatten().filter_map(|key| key.as_str().map(str::to_owned)).collect()
    };
    let help = |name: &str, prefix: &str, keys: Vec<String>| match suggest::closest(name, keys.iter().map(String::as_str)) {
        Some(found) => Some(format!("did you mean `{prefix}{found}`?")),
        None if keys.is_empty() => None,
        None => Some(format!("there are: {}", keys.iter().map(|key| format!("{prefix}{key}")).collect::<Vec<_>>().join(", "))),
    };
    match expression.split_once('.') {
        Some((table, name)) if !name.contains(['.', '[', '(', ' ']) => {
            let known = context.get_attr(table).ok().filter(|value| value.kind() == ValueKind::Map);
            let message = match table {
                "vars" => format!("there is no variable `{name}` in [variables]"),
                "secrets" => format!("there is no secret `{name}` in [secrets]"),
                "parameters" => format!("the cartridge has no parameter `{name}`"),
                _ => format!("`{expression}` is not defined"),
            };
            let help = known.and_then(|known| help(name, &format!("{table}."), keys(&known)));
            TemplateError { help, ..TemplateError::new(message) }
        }
        _ if expression.is_empty() => TemplateError::new("the template uses a name that is not defined"),
        _ => TemplateError { help: help(expression, "", keys(context)), ..TemplateError::new(format!("`{expression}` is not defined")) },
    }
}
