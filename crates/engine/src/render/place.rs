//! Where in a file a part of a string stands.

use std::fmt;
use std::ops::Range;

use crate::desired::path::Path;
use crate::manifest::diagnostic::{Sources, Span};

/// The place of a range of a TOML string's value. Where the string is written with escapes, the whole of it: what stands
/// where is then not known, and a place that is too large is better than a wrong one.
pub(super) fn inside(sources: &Sources, whole: Span, value: &str, range: Range<usize>) -> Span {
    let written = sources.text(whole.file).get(whole.start as usize..whole.end as usize).unwrap_or_default();
    let opening = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| written.starts_with(quote));
    let Some(quote) = opening else { return whole };
    let mut start = quote.len();
    if quote.len() == 3 {
        // A line end directly after the opening quotes is not part of the value.
        let rest = &written[start..];
        start += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    let inner = written.get(start..written.len().saturating_sub(quote.len()));
    if inner != Some(value) || range.start > range.end || range.end > value.len() {
        return whole;
    }
    let at = |offset: usize| whole.start + (start + offset) as u32;
    Span { file: whole.file, start: at(range.start), end: at(range.end) }
}

/// Fields of an app that may hold a secret: those whose type is `Text`. A `*` is one key or index.
const SECRET_FIELDS: [&str; 4] = ["command.*", "env.*", "files.*.content", "jobs.*.command.*"];

/// One step of a path in an app.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// A path in an app: a step, and what is before it. Made on the way down, for nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trail<'a> {
    last: Option<(&'a Trail<'a>, Step<'a>)>,
}

impl<'a> Trail<'a> {
    /// The app itself.
    pub(super) const ROOT: Trail<'static> = Trail { last: None };

    /// One step further.
    pub(super) fn then(&'a self, step: Step<'a>) -> Trail<'a> {
        Trail { last: Some((self, step)) }
    }

    /// The steps, outermost first.
    fn steps(&self) -> Vec<Step<'a>> {
        let (mut steps, mut at) = (Vec::new(), self.last);
        while let Some((before, step)) = at {
            steps.push(step);
            at = before.last;
        }
        steps.reverse();
        steps
    }

    /// Whether the field here may hold a secret. Parameters and native parts may: where they end up is looked at there.
    pub(super) fn may_hold_secret(&self) -> bool {
        let steps = self.steps();
        let matches = |wanted: &str, step: &Step| wanted == "*" || matches!(step, Step::Key(key) if *key == wanted);
        steps.first().is_some_and(|first| matches("parameters", first) || matches("platform", first))
            || SECRET_FIELDS.iter().any(|pattern| {
                pattern.split('.').count() == steps.len() && pattern.split('.').zip(&steps).all(|(wanted, step)| matches(wanted, step))
            })
    }
}

/// As one writes it in TOML.
impl fmt::Display for Trail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |step: &Step| match step {
            Step::Key(key) => (*key).to_owned(),
            Step::Index(index) => format!("[{index}]"),
        };
        let parts: Vec<String> = self.steps().iter().map(part).collect();
        fmt::Display::fmt(&Path::new(parts.iter().map(String::as_str)), f)
    }
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::manifest::diagnostic::FileId;
    use crate::manifest::source::parse;

    fn found(text: &str, needle: &str) -> String {
        let mut sources = Sources::default();
        let file = sources.add("stratos.toml", text);
        let root = parse(text, file).unwrap();
        let node = root.at(["a"]).unwrap();
        let value = node.as_str().unwrap();
        let start = value.find(needle).unwrap();
        let span = inside(&sources, node.span, value, start..start + needle.len());
        text[span.start as usize..span.end as usize].to_owned()
    }

    #[test]
    fn a_range_is_found_in_every_kind_of_string() {
        for text in
            ["a = \"xé {{ y }}\"", "a = 'xé {{ y }}'", "a = \"\"\"\nxé {{ y }}\n\"\"\"", "a = '''xé {{ y }}'''", "a = '''\r\nxé {{ y }}'''"]
        {
            assert_eq!(found(text, "{{ y }}"), "{{ y }}", "{text}");
        }
    }

    #[test]
    fn a_string_with_escapes_is_pointed_at_as_a_whole() {
        assert_eq!(found(r#"a = "\t{{ y }}""#, "{{ y }}"), r#""\t{{ y }}""#);
    }

    #[test]
    fn a_range_outside_is_the_whole() {
        let span = Span { file: FileId(9), start: 0, end: 5 };
        assert_eq!(inside(&Sources::default(), span, "x", 0..1), span);
    }

    /// The fields that may hold a secret are those that the schema types as `Text`.
    #[test]
    fn secret_fields_are_the_text_fields_of_the_schema() {
        let schema = serde_json::to_value(schemars::schema_for!(crate::manifest::schema::App)).unwrap();
        let mut found = Vec::new();
        collect(&schema, &schema, &mut Vec::new(), &mut found);
        // An override is merged into these very fields.
        found.retain(|field| !field.starts_with("override."));
        found.sort();
        found.dedup();
        assert_eq!(found, SECRET_FIELDS);
    }

    fn collect(root: &serde_json::Value, at: &serde_json::Value, path: &mut Vec<String>, found: &mut Vec<String>) {
        if let Some(name) = at["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
            if name == "Text" {
                found.push(path.join("."));
            } else {
                collect(root, &root["$defs"][name], path, found);
            }
        }
        for (key, inner) in at["properties"].as_object().into_iter().flatten() {
            path.push(key.clone());
            collect(root, inner, path, found);
            path.pop();
        }
        for any in ["additionalProperties", "items"]
            .iter()
            .map(|key| &at[*key])
            .chain(at["patternProperties"].as_object().into_iter().flat_map(|p| p.values()))
        {
            if any.is_object() {
                path.push("*".into());
                collect(root, any, path, found);
                path.pop();
            }
        }
        for choice in ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| at[*key].as_array()).flatten() {
            collect(root, choice, path, found);
        }
    }
}
