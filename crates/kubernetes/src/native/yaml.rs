//! YAML and JSON as trees in which every key and value knows where it stands.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};
use stratos_engine::desired::text::{CLOSE, OPEN};

use super::scalar;
use crate::object::segment::{self, Element};

/// A value, and the bytes that it stands at. What an alias or a merge brought stands where it is used.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) at: Range<usize>,
    pub(super) node: Node,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Scalar(Value),
    List(Vec<Tree>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Range<usize>,
    pub(super) value: Tree,
}

/// Why a text is no YAML, and where.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) at: Range<usize>,
}

/// Reads all documents of a text that have something in them. JSON is YAML.
///
/// The budget is for the largest sets of definitions that people publish, ten times over.
pub(super) fn documents(text: &str) -> Result<Vec<Tree>, SyntaxError> {
    read(text, DuplicateKeyPolicy::Error)
}

/// The same of what a chart printed: Helm takes the last of two equal keys, and published charts have some.
pub(super) fn lenient(text: &str) -> Result<Vec<Tree>, SyntaxError> {
    read(text, DuplicateKeyPolicy::LastWins)
}

fn read(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Vec<Tree>, SyntaxError> {
    let objects = json_objects(text);
    if objects.len() < 2 {
        return read_yaml(text, duplicate_keys);
    }
    let mut out = Vec::new();
    for object in objects {
        let shifted = |at: Range<usize>| at.start + object.start..at.end + object.start;
        let trees = read_yaml(&text[object.clone()], duplicate_keys);
        let mut trees = trees.map_err(|error| SyntaxError { at: shifted(error.at), ..error })?;
        trees.iter_mut().for_each(|tree| tree.shift(object.start));
        out.extend(trees);
    }
    Ok(out)
}

/// Where the objects of JSON are that stand one after another, as programs print them, which YAML does not know; nothing where it is not
/// just that.
fn json_objects(text: &str) -> Vec<Range<usize>> {
    if !text.trim_start().starts_with('{') {
        return Vec::new();
    }
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut out = Vec::new();
    let mut start = 0;
    while let Some(object) = objects.next() {
        if object.is_err() {
            return Vec::new();
        }
        out.push(start..objects.byte_offset());
        start = objects.byte_offset();
    }
    out
}

fn read_yaml(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Vec<Tree>, SyntaxError> {
    let options = serde_saphyr::options! {
        // Plain scalars are read anew (`scalar`): here they are text, or what they are in every version of YAML.
        strict_booleans: true,
        underscored_numbers_as_strings: true,
        leading_zero_numbers_as_strings: true,
        duplicate_keys: duplicate_keys,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_documents: 10_000, max_nodes: 2_000_000, max_events: 4_000_000, max_depth: 100 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000 },
    };
    let (masked, hidden) = masked(text);
    match serde_saphyr::from_multiple_with_options::<Spanned<Raw>>(&masked, options) {
        Ok(documents) => {
            let places = Places { text: &masked, hidden, strict: matches!(duplicate_keys, DuplicateKeyPolicy::Error) };
            documents.into_iter().map(|document| places.tree(document)).collect()
        }
        Err(error) => {
            let at = error.location().map_or(0..0, |location| error_place(location, text));
            Err(SyntaxError { message: message(&error.without_snippet().to_string()), at })
        }
    }
}

/// The reader's words without the place, which is told apart, and without its advice to programmers.
fn message(error: &str) -> String {
    let error = error.rsplit_once(" at line ").filter(|(_, place)| place.contains("column")).map_or(error, |(message, _)| message);
    error.split(", set DuplicateKeyPolicy").next().unwrap_or(error).to_owned()
}

/// What serde gives, before places are taken from it.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

/// The text with other placeholders of the same length, and those that were there: they hold quotes, and may stand within quotes.
fn masked(text: &str) -> (Cow<'_, str>, Vec<&str>) {
    if !text.contains(OPEN) {
        return (text.into(), Vec::new());
    }
    let (mut out, mut hidden, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    while let Some((before, after)) = rest.split_once(OPEN) {
        // One that is damaged is found when the text is read.
        let Some((placeholder, after)) = after.split_once(CLOSE) else { break };
        out.push_str(before);
        out.extend([OPEN.to_string(), format!("{:_<1$}", hidden.len(), placeholder.len()), CLOSE.to_string()]);
        hidden.push(placeholder);
        rest = after;
    }
    out.push_str(rest);
    (out.into(), hidden)
}

/// A text of what was masked, as it was.
fn unmasked(text: String, hidden: &[&str]) -> String {
    if hidden.is_empty() || !text.contains(OPEN) {
        return text;
    }
    let mut parts = text.split(OPEN);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push(OPEN);
        let number = part.split('_').next().and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| hidden.get(number)).zip(part.find(CLOSE)) {
            Some((placeholder, end)) => out.extend([placeholder, &part[end..]]),
            None => out.push_str(part),
        }
    }
    out
}

/// Makes a tree of the nodes that were read of a text: values get their places, and plain scalars their values.
struct Places<'t> {
    text: &'t str,
    hidden: Vec<&'t str>,
    /// A field is there once.
    strict: bool,
}

impl Places<'_> {
    fn tree(&self, raw: Spanned<Raw>) -> Result<Tree, SyntaxError> {
        let at = range(raw.referenced);
        let node = match raw.value {
            Raw::Scalar(read) => match scalar::value(self.text, range(raw.defined), read) {
                Ok(Value::String(text)) => Node::Scalar(Value::String(unmasked(text, &self.hidden))),
                Ok(value) => Node::Scalar(value),
                Err(message) => return Err(SyntaxError { message, at }),
            },
            Raw::List(items) => Node::List(items.into_iter().map(|item| self.tree(item)).collect::<Result<_, _>>()?),
            Raw::Map(entries) => {
                let entries = entries.into_iter().map(|(key, value)| self.entry(key, value)).collect::<Result<Vec<_>, _>>()?;
                Node::Map(if self.strict { one_of_each(entries)? } else { last_of_each(entries) })
            }
        };
        Ok(Tree { at, node })
    }

    fn entry(&self, key: Spanned<Raw>, value: Spanned<Raw>) -> Result<Entry, SyntaxError> {
        let key_at = range(key.referenced);
        let name = match key.value {
            Raw::Scalar(read) => scalar::name(self.text, range(key.defined), read),
            Raw::List(_) | Raw::Map(_) => Err("a field's name cannot be a list or a table".to_owned()),
        };
        match name {
            Ok(name) => Ok(Entry { key: unmasked(name, &self.hidden), key_at, value: self.tree(value)? }),
            Err(message) => Err(SyntaxError { message, at: key_at }),
        }
    }
}

/// Names that are written differently may be the same: `on` and `true`.
fn one_of_each(entries: Vec<Entry>) -> Result<Vec<Entry>, SyntaxError> {
    let mut seen = HashSet::with_capacity(entries.len());
    match entries.iter().find(|entry| !seen.insert(entry.key.as_str())) {
        Some(second) => Err(SyntaxError { message: format!("duplicate mapping key: {}", second.key), at: second.key_at.clone() }),
        None => Ok(entries),
    }
}

/// Where there are two of a key, which only a chart may have, the last one.
fn last_of_each(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut seen = HashSet::with_capacity(entries.len());
    let last: Vec<bool> = entries.iter().rev().map(|entry| seen.insert(entry.key.clone())).collect();
    let mut last = last.into_iter().rev();
    entries.retain(|_| last.next() == Some(true));
    entries
}

fn range(location: Location) -> Range<usize> {
    let span = location.span();
    let start = span.byte_offset().unwrap_or_default() as usize;
    start..start + span.byte_len().unwrap_or_default() as usize
}

/// Not every error knows its bytes, but each its line.
fn error_place(location: Location, text: &str) -> Range<usize> {
    if location.span().byte_offset().is_some() {
        return range(location);
    }
    let line = usize::try_from(location.line()).unwrap_or_default().saturating_sub(1);
    let start = text.split_inclusive('\n').take(line).map(str::len).sum::<usize>().min(text.len());
    start..start
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Raw;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Scalar(Value::Null))
            }
            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Scalar(Value::Null))
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
                Raw::deserialize(deserializer)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
                Ok(Raw::Scalar(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
                Ok(Raw::Scalar(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
                Ok(Raw::Scalar(value.into()))
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Raw, E> {
                scalar::number(value).map(Raw::Scalar).ok_or_else(|| E::custom(format!("{value} is no number that JSON has")))
            }
            fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
                Ok(Raw::Scalar(value.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Raw::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Raw::Map(map))
            }
        }
        deserializer.deserialize_any(Values)
    }
}

impl Tree {
    /// Moves all places: the text is a part of another one, which begins there.
    fn shift(&mut self, by: usize) {
        let moved = |at: &mut Range<usize>| *at = at.start + by..at.end + by;
        moved(&mut self.at);
        match &mut self.node {
            Node::Scalar(_) => {}
            Node::List(items) => items.iter_mut().for_each(|item| item.shift(by)),
            Node::Map(entries) => entries.iter_mut().for_each(|entry| {
                moved(&mut entry.key_at);
                entry.value.shift(by);
            }),
        }
    }

    /// The keys and values, where it is a table; nothing elsewhere.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.node {
            Node::Map(entries) => entries,
            Node::Scalar(_) | Node::List(_) => &[],
        }
    }

    /// The items, where it is a list; nothing elsewhere.
    pub(super) fn items(&self) -> &[Tree] {
        match &self.node {
            Node::List(items) => items,
            Node::Scalar(_) | Node::Map(_) => &[],
        }
    }

    /// The value under a key.
    pub(super) fn get(&self, key: &str) -> Option<&Tree> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.node {
            Node::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node, Node::Scalar(Value::Null))
    }

    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.node {
            Node::Map(_) => "a table",
            Node::List(_) => "a list",
            Node::Scalar(Value::Null) => "nothing",
            Node::Scalar(Value::Bool(_)) => "a boolean",
            Node::Scalar(Value::Number(_)) => "a number",
            Node::Scalar(_) => "text",
        }
    }

    /// The value without its places.
    pub(super) fn value(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::List(items) => items.iter().map(Tree::value).collect(),
            Node::Map(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.value())).collect::<Map<_, _>>())
            }
        }
    }

    /// The place of what these segments of a document's path lead to, as far as they do; and how many of them did. `data` of a
    /// Secret may be written as `stringData`.
    pub(super) fn place(&self, segments: &[String]) -> (Range<usize>, usize) {
        let (mut tree, mut at) = (self, self.start());
        for (depth, segment) in segments.iter().enumerate() {
            let found = match segment::parse(segment) {
                Some(element) => tree.element(&element).map(|item| (item.start(), item)),
                None => {
                    let entry = |key: &str| tree.entries().iter().find(|entry| entry.key == key);
                    let inside = |entry: &&Entry| segments.get(depth + 1).is_none_or(|next| entry.value.get(next).is_some());
                    let found = match segment == "data" && depth == 0 {
                        true => entry("stringData").filter(inside).or_else(|| entry("data")),
                        false => entry(segment),
                    };
                    found.map(|entry| (entry.key_at.start..entry.value.start().end.max(entry.key_at.end), &entry.value))
                }
            };
            match found {
                Some((range, inner)) => (tree, at) = (inner, range),
                None => return (at, depth),
            }
        }
        let at = if let Node::Scalar(value) = &tree.node
            && !value.is_null()
        {
            tree.at.clone()
        } else {
            at
        };
        (at, segments.len())
    }

    /// Where it begins: of a table or a list the first key or item, since the whole may be a page long.
    pub(super) fn start(&self) -> Range<usize> {
        match &self.node {
            Node::Map(entries) => entries.first().map_or_else(|| self.at.clone(), |entry| entry.key_at.clone()),
            Node::List(items) => items.first().map_or_else(|| self.at.clone(), Tree::start),
            Node::Scalar(_) => self.at.clone(),
        }
    }

    fn element(&self, element: &Element) -> Option<&Tree> {
        match element {
            Element::At(index) => self.items().get(*index),
            // A key that is not written has its default.
            Element::With(pairs) => {
                let same = |item: &&Tree| pairs.iter().all(|(key, value)| item.get(key).is_none_or(|tree| tree.value() == *value));
                self.items().iter().find(same)
            }
            Element::Is(value) => self.items().iter().find(|item| item.value() == *value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(text: &str) -> Vec<Value> {
        documents(text).unwrap().iter().map(Tree::value).collect()
    }

    #[test]
    fn nothing_is_no_document() {
        for text in ["", "---\n", "# a comment\n---\n---\n", "null\n"] {
            assert!(documents(text).unwrap().is_empty(), "{text:?}");
        }
    }

    #[test]
    fn documents_are_read_one_after_another() {
        assert_eq!(values("a: 1\n---\n# nothing\n---\nb: 2\n...\n"), [json!({ "a": 1 }), json!({ "b": 2 })]);
    }

    #[test]
    fn json_is_read_too() {
        assert_eq!(values("{\n\t\"a\": [1, \"x\\/y\", null],\n\t\"b\": {}\n}\n"), [json!({ "a": [1, "x/y", null], "b": {} })]);
    }

    /// Other programs print objects one after another.
    #[test]
    fn json_objects_may_follow_each_other() {
        let text = "{\"a\": \"\\ud83d\\ude00\"}\n{\"b\":\n {\"c\": 1e1}}{}";
        assert_eq!(values(text), [json!({ "a": "😀" }), json!({ "b": { "c": 10 } }), json!({})]);
        let trees = documents(text).unwrap();
        let c = trees[1].get("b").and_then(|b| b.get("c")).unwrap();
        assert_eq!(&text[c.at.clone()], "1e1");
        assert_eq!(&text[trees[1].entries()[0].key_at.clone()], "\"b\"");
        let wrong = documents("{\"a\": 1}\n{\"b\": 1, \"b\": 2}").unwrap_err();
        assert!(wrong.message.contains("duplicate") && wrong.at.start > 10, "{wrong:?}");
    }

    #[test]
    fn scalars_are_what_they_look_like() {
        let text = "a: yes\nb: true\nc: 1.50\nd: 0755\ne: \"1\"\nf: 1_000\ng: ~\nh: 22:22\ni: 1e3\nj: 0x1f\n80: on\n";
        let expected = json!({
            "a": true, "b": true, "c": 1.5, "d": 493, "e": "1", "f": 1000, "g": null, "h": "22:22", "i": 1000, "j": 31, "80": true,
        });
        assert_eq!(values(text), [expected]);
    }

    /// A placeholder holds quotes, and people write it within quotes of either kind, or of none.
    #[test]
    fn placeholders_are_what_they_were_however_they_are_quoted() {
        let secret = format!("{OPEN}{{\"secret\":{{\"name\":\"db\",\"encoding\":\"plain\"}}}}{CLOSE}");
        let text = format!("a: \"x{secret}y\\n\"\nb: '{secret}{secret}'\nc: z{secret}\n{secret}: |\n  {secret}\n");
        let expected = json!({ "a": format!("x{secret}y\n"), "b": format!("{secret}{secret}"), "c": format!("z{secret}"), &*secret: format!("{secret}\n") });
        assert_eq!(values(&text), [expected]);
        let at = documents(&text).unwrap()[0].get("b").unwrap().at.clone();
        assert_eq!(text[at], format!("'{secret}{secret}'"));
    }

    #[test]
    fn places_are_those_of_keys_and_values() {
        let text = "spec:\n  ports:\n  - port: 80\n    name: web\n  - port: 81\n    targetPort: x\nstringData:\n  k: v\n";
        let tree = &documents(text).unwrap()[0];
        let place = |path: &[&str]| {
            let (at, depth) = tree.place(&path.iter().map(|segment| (*segment).to_owned()).collect::<Vec<_>>());
            (text[at].to_owned(), depth)
        };
        assert_eq!(place(&["spec", "ports", "[port=81,protocol=TCP]", "targetPort"]), ("x".to_owned(), 4));
        assert_eq!(place(&["spec", "ports", "[0001]", "port"]), ("81".to_owned(), 4));
        assert_eq!(place(&["spec", "ports", "[port=99,protocol=TCP]", "targetPort"]).1, 2);
        assert_eq!(place(&["data", "k"]), ("v".to_owned(), 2));
        assert_eq!(place(&["metadata", "name"]), ("spec".to_owned(), 0));
    }

    #[test]
    fn what_is_no_yaml_has_a_place() {
        let error = |text| {
            let error = documents(text).unwrap_err();
            (error.message, error.at.start)
        };
        assert_eq!(error("a: 1\n---\na: 1\na: 2\n"), ("duplicate mapping key: a".to_owned(), 14));
        assert!(error("a: !reset null\n").0.contains("reset"));
        assert!(error("fine: 1\n---\na: [1\n").1 >= 8);
        assert!(error("b: 1\na: .nan\n") == (".nan is no number that JSON has".to_owned(), 8));
        assert_eq!(error("on: 1\ntrue: 2\n"), ("duplicate mapping key: true".to_owned(), 6));
        assert_eq!(error("~: 1\n").1, 0);
        assert_eq!(error("[a]: 1\n").0, "a field's name cannot be a list or a table");
    }

    /// Ten levels of ten aliases each are ten thousand million values.
    #[test]
    fn aliases_of_aliases_end() {
        let mut text = "a0: &a0 x\n".to_owned();
        for level in 1..11 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert!(documents(&text).is_err());
        assert!(documents(&"[".repeat(1000)).is_err());
    }
}
