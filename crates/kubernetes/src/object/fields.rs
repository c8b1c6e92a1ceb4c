//! Who manages which fields: the sets in `metadata.managedFields` (FieldsV1).
//!
//! Source of the format: `sigs.k8s.io/structured-merge-diff`, package `fieldpath`: `f:name` a field, `k:{…}` the element of a
//! list with these keys, `v:…` the element of a set, `i:n` a place, `.` the thing itself.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A set of fields, as a tree.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FieldSet {
    /// The thing itself is in the set, beside what is in it.
    pub(crate) itself: bool,
    /// Parts of it. None at all: the thing with everything in it.
    pub(crate) parts: Vec<(Step, FieldSet)>,
}

/// One step down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Field(String),
    Keys(Map<String, Value>),
    Member(Value),
    Place(usize),
    /// What a later version of the format may have.
    Other(String),
}

impl FieldSet {
    /// What is in one of two sets.
    pub(crate) fn add(&mut self, other: Self) {
        self.itself |= other.itself;
        for (step, set) in other.parts {
            match self.parts.iter_mut().find(|(known, _)| *known == step) {
                Some((_, known)) => known.add(set),
                None => self.parts.push((step, set)),
            }
        }
    }

    /// What is in it and not in another one.
    pub(crate) fn less(&self, other: &Self) -> Self {
        let left = |(step, set): &(Step, Self)| match other.parts.iter().find(|(theirs, _)| theirs == step) {
            None => Some((step.clone(), set.clone())),
            Some((_, theirs)) => {
                let left = set.less(theirs);
                (!left.parts.is_empty()).then(|| (step.clone(), left))
            }
        };
        Self { itself: self.itself && !other.itself, parts: self.parts.iter().filter_map(left).collect() }
    }

    /// The same set without one of the fields at its top.
    pub(crate) fn without(mut self, field: &str) -> Self {
        self.parts.retain(|(step, _)| !matches!(step, Step::Field(name) if name == field));
        self
    }

    /// What it has below a field.
    pub(crate) fn below(&self, field: &str) -> Option<&Self> {
        self.parts.iter().find_map(|(step, set)| matches!(step, Step::Field(name) if name == field).then_some(set))
    }

    /// Whether elements of lists are in it, by what they say.
    pub(crate) fn has_elements(&self) -> bool {
        let is_element = |step: &Step| matches!(step, Step::Keys(_) | Step::Member(_));
        self.parts.iter().any(|(step, set)| is_element(step) || set.has_elements())
    }

    /// Whether the segments of a path lead to something in it, or into something that is in it as a whole.
    pub(crate) fn covers(&self, segments: &[&str]) -> bool {
        let Some((first, rest)) = segments.split_first() else { return true };
        if self.parts.is_empty() {
            return true;
        }
        let element = super::segment::parse(first);
        let leads = |step: &Step| match (step, &element) {
            (Step::Field(name), None) => *name == *super::segment::name(first),
            (Step::Keys(keys), Some(super::segment::Element::With(pairs))) => pairs.iter().all(|(key, value)| keys.get(key) == Some(value)),
            (Step::Place(place), Some(super::segment::Element::At(index))) => place == index,
            (Step::Member(member), Some(super::segment::Element::Is(value))) => member == value,
            _ => false,
        };
        self.parts.iter().any(|(step, set)| leads(step) && set.covers(rest))
    }

    /// The set as the API writes it.
    pub(crate) fn to_value(&self) -> Value {
        let mut out = Map::new();
        if self.itself && !self.parts.is_empty() {
            out.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (step, set) in &self.parts {
            out.insert(step.to_text(), set.to_value());
        }
        Value::Object(out)
    }
}

impl Step {
    /// Whether it is a step to this element of a list, by what the element says.
    pub(crate) fn leads_to(&self, element: &Value) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().all(|(key, value)| element.get(key) == Some(value)),
            Self::Member(member) => element == member,
            Self::Field(_) | Self::Place(_) | Self::Other(_) => false,
        }
    }

    fn parse(text: &str) -> Self {
        let parsed = match text.split_once(':') {
            Some(("f", name)) => Some(Self::Field(name.to_owned())),
            Some(("k", keys)) => serde_json::from_str(keys).ok().map(Self::Keys),
            Some(("v", value)) => serde_json::from_str(value).ok().map(Self::Member),
            Some(("i", place)) => place.parse().ok().map(Self::Place),
            _ => None,
        };
        parsed.unwrap_or_else(|| Self::Other(text.to_owned()))
    }

    fn to_text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Keys(keys) => format!("k:{}", Value::Object(keys.clone())),
            Self::Member(value) => format!("v:{value}"),
            Self::Place(place) => format!("i:{place}"),
            Self::Other(text) => text.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for FieldSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sets;
        impl<'de> Visitor<'de> for Sets {
            type Value = FieldSet;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a set of fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldSet, A::Error> {
                let mut out = FieldSet::default();
                while let Some(Key(step)) = map.next_key()? {
                    match step {
                        Some(step) => out.parts.push((step, map.next_value()?)),
                        None => {
                            map.next_value::<IgnoredAny>()?;
                            out.itself = true;
                        }
                    }
                }
                Ok(out)
            }
        }
        deserializer.deserialize_map(Sets)
    }
}

/// A step as it is written; None where it is `.`.
struct Key(Option<Step>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step")
            }
            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                Ok(Key((text != ".").then(|| Step::parse(text))))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: Value) -> FieldSet {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn nothing_is_an_empty_set() {
        assert_eq!(set(json!({})), FieldSet::default());
    }

    #[test]
    fn sets_survive_the_round_trip() {
        let text = json!({
            "f:spec": { "f:replicas": {}, "f:template": { ".": {}, "f:containers": { "k:{\"name\":\"web\"}": { ".": {}, "f:image": {} } } } },
            "f:metadata": { "f:finalizers": { "v:\"a\"": {} }, "f:list": { "i:3": {} }, "x:new": {} }
        });
        assert_eq!(set(text.clone()).to_value(), text);
    }

    #[test]
    fn paths_lead_to_what_is_in_it() {
        let set = set(json!({ "f:spec": { "f:list": {}, "f:ports": { "k:{\"port\":80}": { ".": {}, "f:name": {} } } } }));
        assert!(set.covers(&[]) && set.covers(&["spec", "list", "[0001]", "x"]) && set.covers(&["spec", "ports", "[port=80]", "name"]));
        assert!(!set.covers(&["spec", "other"]) && !set.covers(&["spec", "ports", "[port=81]", "name"]) && !set.covers(&["status"]));
    }

    #[test]
    fn what_is_in_either_is_in_both_together() {
        let mut one = set(json!({ "f:a": { "f:b": {} } }));
        one.add(set(json!({ "f:a": { ".": {}, "f:c": {} }, "f:d": {} })));
        assert_eq!(one.to_value(), json!({ "f:a": { ".": {}, "f:b": {}, "f:c": {} }, "f:d": {} }));
        assert_eq!(
            one.less(&set(json!({ "f:a": { "f:b": {} }, "f:x": {} }))).to_value(),
            json!({ "f:a": { ".": {}, "f:c": {} }, "f:d": {} })
        );
        assert_eq!(one.less(&one), FieldSet::default());
        assert_eq!(one.without("a").to_value(), json!({ "f:d": {} }));
    }
}
