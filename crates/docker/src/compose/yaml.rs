//! YAML as a tree in which every key and value knows where it stands.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Yaml {
    pub value: Value,
    /// Of an alias, and of what a merge brought, where it is used.
    pub place: Place,
}

/// A range of bytes of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the project's files.
    pub file: usize,
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(Key, Yaml)>),
}

/// A key and its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub name: String,
    pub place: Place,
}

/// Two values are the same wherever they stand.
impl PartialEq for Yaml {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Why a text is no YAML, and where.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub message: String,
    pub place: Place,
}

/// Reads one document. An empty one is null. `file` is what places in it will name.
pub(super) fn parse(text: &str, file: usize) -> Result<Yaml, SyntaxError> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        reject_unsupported_tags: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_documents: 1, max_nodes: 50_000, max_depth: 64 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000 },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options) {
        Ok(tree) => Ok(resolve(tree, text, file)),
        Err(error) => {
            let at = error.location();
            let place = at.map_or(Place { file, ..Place::default() }, |location| error_place(location, text, file));
            Err(SyntaxError { message: message(&error.without_snippet().to_string()), place })
        }
    }
}

/// The reader's words without the place, which is told apart, and without its advice to programmers.
fn message(error: &str) -> String {
    let error = error.rsplit_once(" at line ").filter(|(_, place)| place.contains("column")).map_or(error, |(message, _)| message);
    error.split(", set DuplicateKeyPolicy").next().unwrap_or(error).to_owned()
}

/// What serde gives, before places are taken from it.
#[derive(Debug)]
enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

fn resolve(tree: Spanned<Tree>, text: &str, file: usize) -> Yaml {
    let value = match tree.value {
        Tree::Null => Value::Null,
        Tree::Bool(value) => Value::Bool(value),
        // `1.50` stays what it is: who wants it as text (an environment variable) wants it as it is written.
        Tree::Number(read) => {
            let Place { start, end, .. } = place(tree.defined, file);
            Value::Number(text.get(start..end).map(str::trim).filter(|written| !written.is_empty()).map_or(read, str::to_owned))
        }
        Tree::Text(text) => Value::Text(text),
        Tree::List(items) => Value::List(items.into_iter().map(|item| resolve(item, text, file)).collect()),
        Tree::Map(entries) => {
            let entry = |(key, value): (Spanned<String>, Spanned<Tree>)| {
                (Key { place: place(key.referenced, file), name: key.value }, resolve(value, text, file))
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Yaml { value, place: place(tree.referenced, file) }
}

/// Not every error knows its bytes, but each its line.
fn error_place(location: Location, text: &str, file: usize) -> Place {
    if location.span().byte_offset().is_some() {
        return place(location, file);
    }
    let line = usize::try_from(location.line()).unwrap_or_default().saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    Place { file, start: start.min(text.len()), end: start.min(text.len()) }
}

fn place(location: Location, file: usize) -> Place {
    let span = location.span();
    let start = span.byte_offset().unwrap_or_default() as usize;
    Place { file, start, end: start + span.byte_len().unwrap_or_default() as usize }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TreeVisitor;
        impl<'de> Visitor<'de> for TreeVisitor {
            type Value = Tree;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }
            fn visit_none<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
                Tree::deserialize(deserializer)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Number(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Number(value.to_string()))
            }
            fn visit_i128<E>(self, value: i128) -> Result<Tree, E> {
                Ok(Tree::Number(value.to_string()))
            }
            fn visit_u128<E>(self, value: u128) -> Result<Tree, E> {
                Ok(Tree::Number(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Number(value.to_string()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Tree::Map(map))
            }
        }
        deserializer.deserialize_any(TreeVisitor)
    }
}

impl Yaml {
    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a table",
        }
    }

    /// The value under a key, where it is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Yaml> {
        self.entries().iter().find(|(found, _)| found.name == key).map(|(_, value)| value)
    }

    /// The keys and values, where it is a table; nothing elsewhere.
    pub fn entries(&self) -> &[(Key, Yaml)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items, where it is a list; nothing elsewhere.
    pub fn items(&self) -> &[Yaml] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text, where it is text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar as text, as it is written; nothing where it is none, or null.
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        fn one(yaml: &Yaml, text: &str, path: &str, out: &mut String) {
            let at = |place: &Place| text[..place.start].matches('\n').count() + 1;
            match &yaml.value {
                Value::Map(entries) => entries.iter().for_each(|(key, value)| {
                    out.push_str(&format!("{path}{}@{} ", key.name, at(&key.place)));
                    one(value, text, &format!("{path}{}.", key.name), out);
                }),
                Value::List(items) => items.iter().for_each(|item| one(item, text, path, out)),
                value => out.push_str(&format!("{value:?}@{}\n", at(&yaml.place))),
            }
        }
        let mut out = String::new();
        one(&parse(text, 0).unwrap(), text, "", &mut out);
        out
    }

    #[test]
    fn nothing_is_null() {
        assert_eq!(parse("", 0).unwrap().value, Value::Null);
        assert_eq!(parse("# only a comment\n", 0).unwrap().value, Value::Null);
    }

    #[test]
    fn scalars_are_what_they_look_like_and_numbers_stay_as_they_are_written() {
        let shown = show("a: yes\nb: true\nc: 1.50\nd: 0755\ne: \"1\"\nf: 1_000\ng: ~\nh: 22:22\ni: 1e3\n");
        assert_eq!(
            shown,
            "a@1 Text(\"yes\")@1\nb@2 Bool(true)@2\nc@3 Number(\"1.50\")@3\nd@4 Text(\"0755\")@4\ne@5 Text(\"1\")@5\nf@6 Text(\"1_000\")@6\n\
             g@7 Null@7\nh@8 Text(\"22:22\")@8\ni@9 Number(\"1e3\")@9\n"
        );
    }

    #[test]
    fn anchors_and_merges_are_expanded_and_stand_where_they_are_used() {
        let shown = show("x: &x\n  a: 1\n  b: 2\ny:\n  <<: *x\n  b: 3\nz: *x\n");
        assert_eq!(
            shown,
            "x@1 x.a@2 Number(\"1\")@2\nx.b@3 Number(\"2\")@3\ny@4 y.b@6 Number(\"3\")@6\ny.a@5 Number(\"1\")@5\n\
             z@7 z.a@7 Number(\"1\")@7\nz.b@7 Number(\"2\")@7\n"
        );
    }

    #[test]
    fn what_is_no_yaml_has_a_place() {
        let error = |text| {
            let error = parse(text, 0).unwrap_err();
            (error.message, error.place.start)
        };
        assert_eq!(error("a: 1\na: 2\n"), ("duplicate mapping key: a".to_owned(), 5));
        assert!(error("a: !reset null\n").0.contains("reset"), "{:?}", error("a: !reset null\n"));
        // A list that is not closed: at least its line, or what follows it.
        let (message, start) = error("fine: 1\na: [1\n");
        assert!(start >= 8, "{message}, at {start}");
        assert!(parse("a: 1\n---\nb: 2\n", 0).is_err());
    }

    /// Ten levels of ten aliases each are ten thousand million values.
    #[test]
    fn aliases_of_aliases_end() {
        let mut text = "a0: &a0 x\n".to_owned();
        for level in 1..11 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert!(parse(&text, 0).is_err());
    }
}
