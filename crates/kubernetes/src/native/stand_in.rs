//! What stands for secrets while a chart is rendered.
//!
//! A chart gets no secret: what it prints goes into documents and plans. It gets a word in its place, and where it prints that word,
//! alone or in base64, the secret goes. A chart may also compute something of it (a checksum, a shortened name, `htpasswd`),
//! which would silently be that of the word. So each chart is rendered twice, with two words of different lengths: what was
//! computed differs, and is refused.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use stratos_engine::desired::text::{CLOSE, OPEN};

/// Not a name of anything in a cluster, and plain text in YAML wherever it stands.
const BEGIN: &str = "StratosSecret";
const END: &str = "End";

/// One of the two times that a chart is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Second,
}

impl Turn {
    fn mark(self) -> &'static str {
        match self {
            Self::First => "A",
            Self::Second => "Bb",
        }
    }
}

/// The placeholders of secrets that a chart is given. It can name no others, whatever it prints.
#[derive(Debug, Clone, Default)]
pub(super) struct StandIns(Vec<String>);

impl StandIns {
    pub(super) fn new(given: BTreeSet<String>) -> Self {
        Self(given.into_iter().collect())
    }

    /// Adds the placeholders of a text.
    pub(super) fn find(text: &str, given: &mut BTreeSet<String>) {
        for part in text.split(OPEN).skip(1) {
            given.extend(part.split_once(CLOSE).map(|(placeholder, _)| format!("{OPEN}{placeholder}{CLOSE}")));
        }
    }

    /// A text with words instead of placeholders.
    pub(super) fn hide(&self, text: &str, turn: Turn) -> String {
        let words = self.0.iter().enumerate();
        words.fold(text.to_owned(), |text, (index, placeholder)| text.replace(placeholder, &word(index, turn)))
    }

    /// The same in all texts of a value.
    pub(super) fn hide_all(&self, value: &Value, turn: Turn) -> Value {
        match value {
            Value::String(text) => self.hide(text, turn).into(),
            Value::Array(items) => items.iter().map(|item| self.hide_all(item, turn)).collect(),
            Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), self.hide_all(value, turn))).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// A text with placeholders instead of words.
    pub(super) fn show(&self, text: &str) -> String {
        if self.0.is_empty() || !text.contains(BEGIN) {
            return text.to_owned();
        }
        let words = self
            .0
            .iter()
            .enumerate()
            .flat_map(|(index, placeholder)| [Turn::First, Turn::Second].map(|turn| (word(index, turn), placeholder)));
        words.fold(text.to_owned(), |text, (word, placeholder)| text.replace(&word, placeholder))
    }

    /// A Secret whose base64 has words in it says that as text. All else in `data` stays.
    pub(super) fn decode(&self, secret: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        let Some(data) = secret.get_mut("data").and_then(Value::as_object_mut) else { return };
        let mut plain = Map::new();
        data.retain(|key, value| {
            let decoded = value.as_str().and_then(|text| STANDARD.decode(text.split_whitespace().collect::<String>()).ok());
            let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
            let shown = text.as_deref().map(|text| self.show(text)).filter(|shown| text.as_ref() != Some(shown));
            shown.map(|shown| plain.insert(key.clone(), shown.into())).is_none()
        });
        if plain.is_empty() {
            return;
        }
        let Some(secret) = secret.as_object_mut() else { return };
        let texts = secret.entry("stringData").or_insert_with(|| Value::Object(Map::new()));
        if let Some(texts) = texts.as_object_mut() {
            // What is there as text counts more than what is there in base64.
            for (key, value) in plain {
                texts.entry(key).or_insert(value);
            }
        }
    }
}

fn word(index: usize, turn: Turn) -> String {
    format!("{BEGIN}{}{index}{END}", turn.mark())
}

#[cfg(test)]
mod unit {
    use stratos_engine::desired::text::{Encoding, Segment, Text};

    use super::*;

    fn secret(name: &str) -> String {
        Text::from_iter([Segment::Secret { name: name.to_owned(), encoding: Encoding::Plain }]).to_rendered()
    }

    fn given(names: &[&str]) -> StandIns {
        let mut given = BTreeSet::new();
        names.iter().for_each(|name| StandIns::find(&format!("a: '{}'", secret(name)), &mut given));
        StandIns::new(given)
    }

    #[test]
    fn texts_without_secrets_stay_as_they_are() {
        let none = given(&[]);
        assert_eq!(none.hide("a: b", Turn::First), "a: b");
        assert_eq!(none.show("StratosSecretA0End"), "StratosSecretA0End");
    }

    #[test]
    fn words_stand_for_secrets_and_differ_from_turn_to_turn() {
        let both = given(&["one", "two"]);
        let text = format!("a: {}-{}", secret("two"), secret("one"));
        let (first, second) = (both.hide(&text, Turn::First), both.hide(&text, Turn::Second));
        assert!(first.is_ascii() && second.is_ascii() && first.len() != second.len(), "{first} {second}");
        assert_eq!((both.show(&first), both.show(&second)), (text.clone(), text));
    }

    #[test]
    fn base64_of_a_word_is_text_and_nothing_else_is_touched() {
        let one = given(&["one"]);
        let encode = |text: &str| STANDARD.encode(text);
        let word = one.hide(&secret("one"), Turn::Second);
        let mut object = serde_json::json!({ "data": { "url": encode(&format!("db://{word}@x")), "open": encode("open"), "no": "%" } });
        one.decode(&mut object);
        let url = format!("db://{}@x", secret("one"));
        assert_eq!(object, serde_json::json!({ "data": { "open": encode("open"), "no": "%" }, "stringData": { "url": url } }));
    }

    #[test]
    fn a_chart_names_no_secret_that_it_is_not_given() {
        assert_eq!(given(&["one"]).show("StratosSecretA1End"), "StratosSecretA1End");
    }
}
