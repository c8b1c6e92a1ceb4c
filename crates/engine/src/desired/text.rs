//! Text that may hold what is not known, or must not be seen, at plan time: secrets and other resources' attributes.

use std::fmt;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::resource::ResourceId;

/// Marks the start and the end of a placeholder in rendered text. Both are Unicode noncharacters, which no file may
/// hold: `manifest::source` refuses them on the way in.
pub const OPEN: char = '\u{FDD0}';
/// See [`OPEN`].
pub const CLOSE: char = '\u{FDD1}';

/// What is done to a secret's value before it is put into the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As it is.
    Plain,
    /// Percent-encoded (`| urlencode`).
    Urlencode,
    /// Base64, standard alphabet with padding (`| b64encode`).
    B64encode,
    /// A JSON string with its quotes (`| tojson`).
    Tojson,
}

/// One piece of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    /// Itself.
    Literal(String),
    /// The value of the secret with this name; known to `Platform::apply` alone.
    Secret {
        /// The key in `[secrets]`.
        name: String,
        /// What is done to the value.
        encoding: Encoding,
    },
    /// An attribute that a platform gives a resource when it makes it: an address, a port.
    Attribute {
        /// Whose attribute.
        of: Box<ResourceId>,
        /// Its name, such as `ports.http`.
        name: String,
    },
}

/// Text in pieces. Neighbouring literals are one piece and none is empty, so that equal texts are equal values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Vec<Segment>);

impl Text {
    /// Text without secrets or attributes.
    pub fn literal(text: impl Into<String>) -> Self {
        [Segment::Literal(text.into())].into_iter().collect()
    }

    /// The pieces, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The whole, when it holds neither secrets nor attributes.
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether a secret is part of it.
    pub fn has_secret(&self) -> bool {
        self.0.iter().any(|s| matches!(s, Segment::Secret { .. }))
    }

    /// The names of the secrets in it.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|s| match s {
            Segment::Secret { name, .. } => Some(name.as_str()),
            Segment::Literal(_) | Segment::Attribute { .. } => None,
        })
    }

    /// The resources whose attributes are part of it.
    pub fn attributes(&self) -> impl Iterator<Item = (&ResourceId, &str)> {
        self.0.iter().filter_map(|s| match s {
            Segment::Attribute { of, name } => Some((&**of, name.as_str())),
            Segment::Literal(_) | Segment::Secret { .. } => None,
        })
    }

    /// The same text with the ids that it refers to changed.
    #[must_use]
    pub fn with_ids(&self, change: impl Fn(&mut ResourceId)) -> Self {
        let mut segments = self.0.clone();
        for segment in &mut segments {
            if let Segment::Attribute { of, .. } = segment {
                change(of);
            }
        }
        Self(segments)
    }

    /// Reads rendered text back: placeholders become pieces. None if a placeholder is damaged, which means that
    /// something cut or changed it.
    pub fn from_rendered(rendered: &str) -> Option<Self> {
        let mut segments = Vec::new();
        let mut rest = rendered;
        while let Some(start) = rest.find(OPEN) {
            let after = &rest[start + OPEN.len_utf8()..];
            let end = after.find(CLOSE)?;
            if rest[..start].contains(CLOSE) {
                return None;
            }
            segments.push(Segment::Literal(rest[..start].to_owned()));
            segments.push(serde_json::from_str(&after[..end]).ok()?);
            rest = &after[end + CLOSE.len_utf8()..];
        }
        if rest.contains(CLOSE) {
            return None;
        }
        segments.push(Segment::Literal(rest.to_owned()));
        Some(segments.into_iter().collect())
    }

    /// The rendered form that [`Text::from_rendered`] reads.
    pub fn to_rendered(&self) -> String {
        let mut out = String::new();
        for segment in &self.0 {
            match segment {
                Segment::Literal(text) => out.push_str(text),
                placeholder => {
                    out.push(OPEN);
                    out.push_str(&serde_json::to_string(placeholder).unwrap_or_default());
                    out.push(CLOSE);
                }
            }
        }
        out
    }
}

impl FromIterator<Segment> for Text {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        let mut out: Vec<Segment> = Vec::new();
        for segment in segments {
            match (segment, out.last_mut()) {
                (Segment::Literal(text), _) if text.is_empty() => {}
                (Segment::Literal(text), Some(Segment::Literal(before))) => before.push_str(&text),
                (segment, _) => out.push(segment),
            }
        }
        out.shrink_to_fit();
        Self(out)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::literal(text)
    }
}

/// For people: secrets and attributes appear as the expressions that they came from.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.0 {
            match segment {
                Segment::Literal(text) => f.write_str(text)?,
                Segment::Secret { name, encoding: Encoding::Plain } => write!(f, "{{{{ secrets.{name} }}}}")?,
                Segment::Secret { name, encoding } => {
                    write!(f, "{{{{ secrets.{name} | {} }}}}", format!("{encoding:?}").to_lowercase())?;
                }
                Segment::Attribute { of, name } => write!(f, "${{{of}.{name}}}")?,
            }
        }
        Ok(())
    }
}

/// The rendered form, where literal text is a plain string.
impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_literal() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_str(&self.to_rendered()),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rendered = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            other @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => other.to_string(),
            other => return Err(D::Error::custom(format!("expected text, found {other}"))),
        };
        Self::from_rendered(&rendered).ok_or_else(|| D::Error::custom("a secret's placeholder was cut or changed"))
    }
}

impl JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Text; numbers and booleans are written out. It may hold {{ secrets.NAME }}.",
            "type": ["string", "number", "boolean"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendered_text_survives_the_round_trip() {
        let secret = Segment::Secret { name: "db".into(), encoding: Encoding::Urlencode };
        let text: Text = [Segment::Literal("postgres://shop:".into()), secret, Segment::Literal("@db".into())].into_iter().collect();
        assert_eq!(Text::from_rendered(&text.to_rendered()), Some(text.clone()));
        assert_eq!(text.to_string(), "postgres://shop:{{ secrets.db | urlencode }}@db");
        assert_eq!(serde_json::from_str::<Text>(&serde_json::to_string(&text).unwrap()).unwrap(), text);
    }

    #[test]
    fn a_damaged_placeholder_is_noticed() {
        let rendered = Text::from_iter([Segment::Secret { name: "db".into(), encoding: Encoding::Plain }]).to_rendered();
        assert_eq!(Text::from_rendered(&rendered.to_uppercase()), None);
        assert_eq!(Text::from_rendered(&rendered[..rendered.len() - 3]), None);
        assert_eq!(Text::from_rendered(&rendered[3..]), None);
        // Also where a whole one follows.
        assert_eq!(Text::from_rendered(&format!("{}{rendered}", &rendered[3..])), None);
    }

    #[test]
    fn equal_texts_are_equal_values() {
        let pieces = Text::from_iter([Segment::Literal("a".into()), Segment::Literal(String::new()), Segment::Literal("b".into())]);
        assert_eq!(pieces, Text::literal("ab"));
    }
}
