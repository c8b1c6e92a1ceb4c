//! TOML as a tree in which every key and value knows where it stands.

use indexmap::IndexMap;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, FileId, Span};
use crate::desired::text::{CLOSE, OPEN};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: NodeValue,
    /// Where it stands.
    pub span: Span,
}

/// A value. Dates are text.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A list.
    Array(Vec<Node>),
    /// A table, in the order in which it is written. It is behind a pointer: most values are none, and a manifest has many.
    Table(Box<Table>),
}

/// A table, in the order in which it is written.
pub type Table = IndexMap<String, Entry>;

/// A value under a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub node: Node,
}

/// The largest file, in bytes: 10,000 large apps fit, and places in it fit in a [`Span`].
pub const MAX_BYTES: usize = 16 << 20;

/// How deep tables and lists may be nested. Manifests need ten levels; more than this would only exhaust the stack.
pub const MAX_DEPTH: usize = 40;

/// Reads TOML. Everything that is wrong with it is reported, each at its place.
pub fn parse(text: &str, file: FileId) -> Result<Node, Vec<Diagnostic>> {
    if text.len() > MAX_BYTES {
        return Err(vec![Diagnostic::new(format!("the file is larger than {} MiB", MAX_BYTES >> 20), Span { file, start: 0, end: 0 })]);
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut problems = Vec::new();
    let root = Node { span: span(file, tree.span()), value: NodeValue::Table(table(tree.into_inner(), file, 0, &mut problems)) };
    if !errors.is_empty() {
        // Where the syntax is wrong, values are what the parser made of it: nothing can be said about them.
        return Err(errors.iter().map(|error| syntax_error(error, text, file)).collect());
    }
    if problems.is_empty() { Ok(root) } else { Err(problems) }
}

fn syntax_error(error: &toml::de::Error, text: &str, file: FileId) -> Diagnostic {
    let range = error.span();
    let written = range.clone().and_then(|range| text.get(range)).filter(|written| !written.is_empty());
    let message = match (error.message(), written) {
        ("duplicate key", Some(key)) => format!("`{}` is given twice", key.escape_debug()),
        (message, _) => match range.as_ref().and_then(|range| bare_word(text.get(range.start..)?)) {
            // The parser guesses from the first letter what was meant: a number, a date, `nan`.
            Some("") if message.starts_with("string values must be quoted") => "the value is missing".to_owned(),
            Some(word) if message.starts_with("string values must be quoted") || message.starts_with("invalid ") => {
                let start = range.map_or(0, |range| range.start);
                let shown = span(file, start..start + word.len());
                return Diagnostic::new(format!("`{word}` is no value: text stands in quotes"), shown)
                    .with_help(format!("write \"{word}\""));
            }
            _ => message.to_owned(),
        },
    };
    Diagnostic::new(message, range.map(|range| span(file, range)))
}

/// The word without quotes at the start of text, where there is one; empty where the line ends.
fn bare_word(text: &str) -> Option<&str> {
    let end = text.find(|c: char| c.is_whitespace() || ",]}#\"'=[{".contains(c)).unwrap_or(text.len());
    let word = &text[..end];
    let at_end = text[end..].trim_start_matches([' ', '\t']).starts_with(['\r', '\n', '#']) || text[end..].trim().is_empty();
    match word.chars().next() {
        None => at_end.then_some(""),
        Some(first) if first.is_alphabetic() && at_end => Some(word),
        Some(_) => None,
    }
}

fn span(file: FileId, range: std::ops::Range<usize>) -> Span {
    Span { file, start: range.start as u32, end: range.end as u32 }
}

fn table(read: DeTable<'_>, file: FileId, depth: usize, problems: &mut Vec<Diagnostic>) -> Box<Table> {
    let entry = |(key, value): (toml::Spanned<std::borrow::Cow<'_, str>>, _)| {
        let key_span = span(file, key.span());
        (key.into_inner().into_owned(), Entry { key_span, node: node(value, file, depth + 1, problems) })
    };
    Box::new(read.into_iter().map(entry).collect())
}

fn node(read: toml::Spanned<DeValue<'_>>, file: FileId, depth: usize, problems: &mut Vec<Diagnostic>) -> Node {
    let span = span(file, read.span());
    if depth > MAX_DEPTH {
        problems.push(Diagnostic::new(format!("nested deeper than {MAX_DEPTH} levels"), span));
        return Node { value: NodeValue::Bool(false), span };
    }
    let value = match read.into_inner() {
        DeValue::String(text) => {
            if text.contains([OPEN, CLOSE]) {
                problems.push(Diagnostic::new("text must not hold the Unicode noncharacters U+FDD0 and U+FDD1", span));
            }
            NodeValue::String(text.into_owned())
        }
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => NodeValue::Integer(number),
            Err(_) => {
                problems.push(Diagnostic::new("this number does not fit in 64 bits", span));
                NodeValue::Integer(0)
            }
        },
        DeValue::Float(number) => {
            let number = number.as_str().parse().unwrap_or(f64::NAN);
            if !f64::is_finite(number) {
                problems.push(Diagnostic::new("a number must be finite and fit in 64 bits", span));
            }
            NodeValue::Float(number)
        }
        DeValue::Boolean(value) => NodeValue::Bool(value),
        DeValue::Datetime(date) => NodeValue::String(date.to_string()),
        DeValue::Array(items) => NodeValue::Array(items.into_iter().map(|item| node(item, file, depth + 1, problems)).collect()),
        DeValue::Table(read) => NodeValue::Table(table(read, file, depth, problems)),
    };
    Node { value, span }
}

impl Node {
    /// The table, where it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            NodeValue::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The value under a key, where it is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_table().and_then(|table| table.get(key)).map(|entry| &entry.node)
    }

    /// The keys and values, where it is a table; nothing elsewhere.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.as_table().into_iter().flatten().map(|(key, entry)| (key.as_str(), entry))
    }

    /// The items, where it is a list.
    pub fn as_array(&self) -> Option<&[Node]> {
        match &self.value {
            NodeValue::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The whole number, where it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match &self.value {
            NodeValue::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether it is text that holds a template: its value is known only after rendering.
    pub fn is_template(&self) -> bool {
        self.as_str().is_some_and(|text| ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)))
    }

    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            NodeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value under these keys; items of arrays by their index.
    pub fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Node> {
        path.into_iter().try_fold(self, |node, key| match &node.value {
            NodeValue::Table(table) => table.get(key).map(|entry| &entry.node),
            NodeValue::Array(items) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The same value without its places, for serde.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            NodeValue::String(text) => text.as_str().into(),
            NodeValue::Integer(number) => (*number).into(),
            NodeValue::Float(number) => (*number).into(),
            NodeValue::Bool(value) => (*value).into(),
            NodeValue::Array(items) => items.iter().map(Node::to_json).collect(),
            NodeValue::Table(table) => table.iter().map(|(key, entry)| (key.clone(), entry.node.to_json())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_where_they_stand() {
        let text = "[apps.web]\nimage = \"nginx\"\nreplicas = 0x10\n";
        let root = parse(text, FileId(0)).unwrap();
        let image = root.at(["apps", "web", "image"]).unwrap();
        assert_eq!(&text[image.span.start as usize..image.span.end as usize], "\"nginx\"");
        assert_eq!(root.at(["apps", "web", "replicas"]).unwrap().value, NodeValue::Integer(16));
    }

    #[test]
    fn numbers_are_read_as_toml_writes_them() {
        let root = parse("a = 1_000\nb = 0o17\nc = -0x0\nd = 1_0.5e1\n", FileId(0));
        assert!(root.is_err(), "a signed hexadecimal number is not TOML");
        let root = parse("a = 1_000\nb = 0o17\nc = 0b1_1\nd = 1_0.5e1\ne = -7", FileId(0)).unwrap();
        let values: Vec<_> = root.as_table().unwrap().values().map(|entry| entry.node.to_json().to_string()).collect();
        assert_eq!(values, ["1000", "15", "3", "105.0", "-7"]);
    }

    #[test]
    fn what_is_hostile_is_refused() {
        let deep = format!("a = {}1{}", "[".repeat(60), "]".repeat(60));
        assert!(parse(&deep, FileId(0)).unwrap_err()[0].message.contains("nested deeper"));
        let key = vec!["a"; 79].join(".");
        let deeper = format!("{}1{}", format!("{{{key}=").repeat(78).strip_prefix('{').unwrap(), "}".repeat(77));
        assert!(parse(&deeper, FileId(0)).unwrap_err()[0].message.contains("nested deeper"));
        assert!(parse(&"#".repeat(MAX_BYTES + 1), FileId(0)).unwrap_err()[0].message.contains("larger than"));
        assert!(parse("a = inf", FileId(0)).is_err());
        assert!(parse("a = 1e999", FileId(0)).is_err());
    }

    #[test]
    fn several_syntax_errors_are_reported_at_once() {
        assert!(parse("a = \nb = 1\nc = [1,\n", FileId(0)).unwrap_err().len() > 1);
    }
}
