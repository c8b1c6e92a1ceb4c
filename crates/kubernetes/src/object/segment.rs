//! Segments of paths that are no names of fields.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Stands for an object that is there and has nothing in it.
pub(crate) const EMPTY_OBJECT: &str = "{}";
/// Stands for a list that is there and has nothing in it.
pub(crate) const EMPTY_LIST: &str = "[]";
/// The order of the elements of a keyed list, where it means something and is not that of the alphabet.
pub(crate) const ORDER: &str = "(order)";

/// Begins a name that would be read as something else.
const ESCAPE: char = '\\';
/// Stands between the segments of a path.
const SEPARATOR: char = '\u{1f}';

/// The segment of a field, or of a key of a map. Names that look like another segment are escaped: `\[0]`, `\{}`.
pub(crate) fn field(name: &str) -> Cow<'_, str> {
    let is_special = name.starts_with(['[', ESCAPE]) || [EMPTY_OBJECT, ORDER].contains(&name) || name.contains(SEPARATOR);
    if !is_special {
        return Cow::Borrowed(name);
    }
    let mut out = String::from(ESCAPE);
    for c in name.chars() {
        match c {
            ESCAPE => out.push_str("\\\\"),
            SEPARATOR => out.push_str("\\u"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The name that a segment of a field stands for.
pub(crate) fn name(segment: &str) -> Cow<'_, str> {
    let Some(escaped) = segment.strip_prefix(ESCAPE) else { return Cow::Borrowed(segment) };
    let mut out = String::new();
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            ESCAPE if chars.next() == Some('u') => SEPARATOR,
            c => c,
        });
    }
    Cow::Owned(out)
}

/// A place that is larger is none: a field of such a name.
pub(crate) const MOST_PLACES: usize = 1 << 16;

/// The element of a list at a place: `[0003]`, which sorts as a number does.
pub(crate) fn place(index: usize) -> String {
    format!("[{index:04}]")
}

/// The element of a keyed list: `[containerPort=80,protocol=TCP]`. None where a key has no value that can be one.
pub(crate) fn element(element: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    let mut out = String::from("[");
    for key in keys {
        if !is_plain(key) {
            return None;
        }
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(key);
        out.push('=');
        out.push_str(&scalar(element.get(*key)?)?);
    }
    out.push(']');
    Some(out)
}

/// The member of a set: `[=red]`. None where it is no single value.
pub(crate) fn member(value: &Value) -> Option<String> {
    Some(format!("[={}]", scalar(value)?))
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if is_plain(text) => Some(text.into()),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text that is read back as itself without quotes.
fn is_plain(text: &str) -> bool {
    let special = |c: char| c == ',' || c == '"' || c == '=' || c.is_control();
    !text.is_empty() && !text.contains(special) && serde_json::from_str::<Value>(text).is_err()
}

/// What a segment says about a list's element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Element {
    /// The one at this place.
    At(usize),
    /// The one with these values of its keys.
    With(Vec<(String, Value)>),
    /// The one that is this value.
    Is(Value),
}

/// Reads a segment. None where it is the name of a field.
pub(crate) fn parse(segment: &str) -> Option<Element> {
    let inner = segment.strip_prefix('[')?.strip_suffix(']')?;
    if let Ok(index) = inner.parse() {
        return Some(Element::At(index));
    }
    if let Some(value) = inner.strip_prefix('=') {
        return Some(Element::Is(read(value)));
    }
    let mut pairs = Vec::new();
    let mut rest = inner;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let end = if after.starts_with('"') { quoted_end(after)? } else { after.find(',').unwrap_or(after.len()) };
        let (value, after) = after.split_at(end);
        pairs.push((key.to_owned(), read(value)));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    (!pairs.is_empty()).then_some(Element::With(pairs))
}

fn read(scalar: &str) -> Value {
    serde_json::from_str(scalar).unwrap_or_else(|_| Value::String(scalar.to_owned()))
}

/// Where a JSON string at the beginning of a text ends.
fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The element of a list that a segment means.
pub(crate) fn find<'a>(list: &'a [Value], element: &Element) -> Option<&'a Value> {
    match element {
        Element::At(index) => list.get(*index),
        Element::With(pairs) => list.iter().find(|item| pairs.iter().all(|(key, value)| item.get(key) == Some(value))),
        Element::Is(value) => list.iter().find(|item| *item == value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_is_no_element() {
        for name in ["", "name", EMPTY_LIST, EMPTY_OBJECT, ORDER, "[", "[x]"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_looks_like_another_segment_is_escaped() {
        assert_eq!((field("name"), field("")), ("name".into(), "".into()));
        for text in ["[0]", "[0000]", "[]", "[", "[x]", "[a=b]", "[=x]", "{}", "(order)", "\\", "\\[0]", "\\u", "a\u{1f}b\\", "[\u{1f}"] {
            let segment = field(text);
            assert!(segment.starts_with('\\') && !segment.contains('\u{1f}') && parse(&segment).is_none(), "{text}");
            assert_eq!(name(&segment), text);
        }
    }

    #[test]
    fn elements_are_read_back() {
        let cases = [
            (json!({ "name": "web" }), vec!["name"], "[name=web]"),
            (json!({ "name": "8080" }), vec!["name"], "[name=\"8080\"]"),
            (json!({ "name": "a,b=\"c\\" }), vec!["name"], r#"[name="a,b=\"c\\"]"#),
            (json!({ "containerPort": 80, "protocol": "TCP" }), vec!["containerPort", "protocol"], "[containerPort=80,protocol=TCP]"),
            (json!({ "mountPath": "/etc/web.d/[x]" }), vec!["mountPath"], "[mountPath=/etc/web.d/[x]]"),
        ];
        for (value, keys, text) in cases {
            let written = element(value.as_object().unwrap(), &keys).unwrap();
            assert_eq!(written, text);
            let expected = keys.iter().map(|key| ((*key).to_owned(), value[*key].clone())).collect();
            assert_eq!(parse(&written), Some(Element::With(expected)));
            assert_eq!(find(&[json!({}), value.clone()], &parse(&written).unwrap()), Some(&value));
        }
        for (value, text) in [(json!("red"), "[=red]"), (json!(3), "[=3]"), (json!("3"), "[=\"3\"]"), (json!("a=b]"), "[=\"a=b]\"]")] {
            assert_eq!(member(&value).as_deref(), Some(text));
            assert_eq!(find(&[json!("x"), value.clone()], &parse(text).unwrap()), Some(&value));
        }
        assert_eq!(member(&json!({})), None);
        assert_eq!(parse(&place(3)), Some(Element::At(3)));
        assert_eq!(element(json!({}).as_object().unwrap(), &["name"]), None);
    }
}
