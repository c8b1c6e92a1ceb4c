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
    /// A table, in the order in which it is written.
    Table(Table),
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

/// Reads TOML. Everything that is wrong with it is reported, each at its place.
pub fn parse(text: &str, file: FileId) -> Result<Node, Vec<Diagnostic>> {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Diagnostic> =
        errors.iter().map(|error| Diagnostic::new(error.message(), error.span().map(|range| span(file, range)))).collect();
    let root = Node { span: span(file, tree.span()), value: NodeValue::Table(table(tree.into_inner(), file, &mut problems)) };
    if problems.is_empty() { Ok(root) } else { Err(problems) }
}

fn span(file: FileId, range: std::ops::Range<usize>) -> Span {
    Span { file, start: range.start as u32, end: range.end as u32 }
}

fn table(read: DeTable<'_>, file: FileId, problems: &mut Vec<Diagnostic>) -> Table {
    let entry = |(key, value): (toml::Spanned<std::borrow::Cow<'_, str>>, _)| {
        let key_span = span(file, key.span());
        (key.into_inner().into_owned(), Entry { key_span, node: node(value, file, problems) })
    };
    read.into_iter().map(entry).collect()
}

fn node(read: toml::Spanned<DeValue<'_>>, file: FileId, problems: &mut Vec<Diagnostic>) -> Node {
    let span = span(file, read.span());
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
        DeValue::Float(number) => NodeValue::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => NodeValue::Bool(value),
        DeValue::Datetime(date) => NodeValue::String(date.to_string()),
        DeValue::Array(items) => NodeValue::Array(items.into_iter().map(|item| node(item, file, problems)).collect()),
        DeValue::Table(read) => NodeValue::Table(table(read, file, problems)),
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
    fn several_syntax_errors_are_reported_at_once() {
        assert!(parse("a = \nb = 1\nc = [1,\n", FileId(0)).unwrap_err().len() > 1);
    }
}
