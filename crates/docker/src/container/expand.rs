//! `$(NAME)` in commands and in environment variables.
//!
//! Nothing replaces it when a container starts, so it is done before: with the app's own variables, as far as they are known
//! here. A variable that the image brings is not known, and stays as it is written.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use stratos_engine::desired::text::{Segment, Text};

/// Linux takes no argument and no variable that is longer: a text that would get longer is not expanded any further.
const LONGEST: usize = 128 * 1024;

/// The variables with what they refer to filled in. One that refers to itself, also by way of others, stays as it is there.
pub(crate) fn environment(variables: &IndexMap<String, Text>) -> BTreeMap<String, Text> {
    let mut known = Known { written: variables, expanded: BTreeMap::new(), open: Vec::new() };
    variables.keys().for_each(|name| drop(known.value(name)));
    known.expanded
}

/// A text with variables filled in that are expanded already.
pub(crate) fn expand(text: &Text, variables: &BTreeMap<String, Text>) -> Text {
    replace(text, &mut |name| variables.get(name).cloned())
}

struct Known<'a> {
    written: &'a IndexMap<String, Text>,
    expanded: BTreeMap<String, Text>,
    /// Being expanded now: who refers to one of them closes a circle.
    open: Vec<String>,
}

impl Known<'_> {
    fn value(&mut self, name: &str) -> Option<Text> {
        if let Some(done) = self.expanded.get(name) {
            return Some(done.clone());
        }
        if self.open.iter().any(|open| open == name) {
            return None;
        }
        let written = self.written.get(name)?;
        self.open.push(name.to_owned());
        let text = replace(written, &mut |other| self.value(other));
        self.open.pop();
        self.expanded.insert(name.to_owned(), text.clone());
        Some(text)
    }
}

fn length(text: &Text) -> usize {
    text.segments().iter().map(|segment| if let Segment::Literal(literal) = segment { literal.len() } else { 1 }).sum()
}

/// Replaces `$(NAME)` where the user wrote it, never within a secret's value. `$$(NAME)` stands for `$(NAME)` itself.
fn replace(text: &Text, value: &mut dyn FnMut(&str) -> Option<Text>) -> Text {
    let mut out: Vec<Segment> = Vec::new();
    let mut total = 0;
    for segment in text.segments() {
        let Segment::Literal(literal) = segment else {
            out.push(segment.clone());
            continue;
        };
        let mut rest = literal.as_str();
        while let Some(at) = rest.find('$') {
            out.push(Segment::Literal(rest[..at].to_owned()));
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("$$(") {
                out.push(Segment::Literal("$(".to_owned()));
                rest = after;
                continue;
            }
            let reference = rest.strip_prefix("$(").and_then(|after| after.split_once(')'));
            let found = reference.and_then(|(name, after)| Some((value(name)?, after)));
            match found.filter(|(value, _)| total + length(value) <= LONGEST) {
                Some((value, after)) => {
                    total += length(&value);
                    out.extend(value.segments().iter().cloned());
                    rest = after;
                }
                None => {
                    out.push(Segment::Literal("$".to_owned()));
                    rest = &rest[1..];
                }
            }
        }
        out.push(Segment::Literal(rest.to_owned()));
    }
    out.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use stratos_engine::desired::text::Encoding;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> IndexMap<String, Text> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Text::literal(*value))).collect()
    }

    fn expanded(pairs: &[(&str, &str)], name: &str) -> String {
        environment(&variables(pairs))[name].to_string()
    }

    #[test]
    fn what_is_no_variable_stays() {
        for text in ["nothing to do", "$(MISSING)", "$PORT", "$", "100$", "$(PORT", "a$$b", "$()"] {
            assert_eq!(expand(&Text::literal(text), &environment(&variables(&[("PORT", "80")]))), Text::literal(text));
        }
    }

    #[test]
    fn variables_refer_to_each_other_in_any_order() {
        let pairs = [("URL", "http://h:$(PORT)/$(X)"), ("PORT", "80"), ("TEXT", "$$(PORT)"), ("X", "$(TEXT)")];
        assert_eq!(expanded(&pairs, "URL"), "http://h:80/$(PORT)");
        assert_eq!(expanded(&pairs, "TEXT"), "$(PORT)");
    }

    #[test]
    fn a_circle_and_growth_without_end_end() {
        assert_eq!(expanded(&[("PATH", "/app:$(PATH)")], "PATH"), "/app:$(PATH)");
        assert!(!expanded(&[("A", "<$(B)>"), ("B", "$(A)")], "A").is_empty());
        let doubled: Vec<(String, String)> = (0..40).map(|n| (format!("V{n}"), format!("$(V{0})$(V{0})", n + 1))).collect();
        let mut doubled: Vec<(&str, &str)> = doubled.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        doubled.push(("V40", "0123456789"));
        assert!(expanded(&doubled, "V0").len() <= 2 * LONGEST + 16);
    }

    #[test]
    fn a_secret_is_carried_along_and_not_looked_into() {
        let secret = Segment::Secret { name: "db".into(), encoding: Encoding::Plain };
        let mut all = variables(&[("URL", "pg://$(PASSWORD)@db")]);
        all.insert("PASSWORD".into(), [secret.clone()].into_iter().collect());
        let wanted: Text = [Segment::Literal("pg://".into()), secret, Segment::Literal("@db".into())].into_iter().collect();
        assert_eq!(environment(&all)["URL"], wanted);
    }
}
