//! An object that should be, as text or as a value, becomes a document in normal form.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::text::{CLOSE, Encoding, OPEN, Segment, Text};

use super::{leaf, lists, segment};
use crate::kind::GroupKind;
use crate::types::{Field, Type};

/// What is wrong with an object: where, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// The fields that lead there.
    pub(crate) at: Vec<String>,
    pub(crate) why: String,
}

/// What it was before it is a document: `apiVersion`, kind, name and namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
}

impl Identity {
    /// Of an object as it is written.
    pub(crate) fn of(object: &Value) -> Result<Self, Wrong> {
        let text = |path: &[&str]| {
            let value = path.iter().try_fold(object, |value, key| value.get(key));
            value.and_then(Value::as_str).filter(|text| !text.is_empty() && !text.contains(OPEN)).map(str::to_owned)
        };
        let required = |path: &[&str]| {
            let missing =
                || Wrong { at: path.iter().map(|key| (*key).to_owned()).collect(), why: format!("`{}` is missing", path.join(".")) };
            text(path).ok_or_else(missing)
        };
        Ok(Self {
            api_version: required(&["apiVersion"])?,
            kind: required(&["kind"])?,
            name: required(&["metadata", "name"])?,
            namespace: text(&["metadata", "namespace"]),
        })
    }

    pub(crate) fn group_kind(&self) -> GroupKind {
        GroupKind::of(&self.api_version, &self.kind)
    }
}

/// The document of an object. Texts may hold placeholders of secrets and attributes ([`Text::from_rendered`]).
pub(crate) fn document(identity: &Identity, object: &Value) -> Result<Document, Wrong> {
    let of = Type::of(&identity.api_version, &identity.kind);
    let secret = identity.api_version == "v1" && identity.kind == "Secret";
    let mut writer = Writer { live: false, out: vec![] };
    let mut at = Vec::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" | "status" => continue,
            "metadata" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if ["labels", "annotations", "finalizers", "ownerReferences"].contains(&key.as_str()) {
                        writer.enter(&mut at, "metadata", |writer, at| writer.field(at, of.field("metadata"), key, value))?;
                    }
                }
            }
            "stringData" if secret => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    writer.enter(&mut at, "data", |writer, at| writer.secret_text(at, key, value, false))?;
                }
            }
            "data" if secret => {
                // Where both say an entry, the server takes the text.
                let said = |key: &String| object.get("stringData").and_then(|texts| texts.get(key)).is_some_and(|text| !text.is_null());
                for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| !said(key)) {
                    writer.enter(&mut at, "data", |writer, at| writer.secret_text(at, key, value, true))?;
                }
            }
            _ => writer.field(&mut at, of, key, value)?,
        }
    }
    writer.out.push((Path::new(["apiVersion"]), Leaf::shared(&identity.api_version)));
    Ok(writer.out.into_iter().collect())
}

/// The leaves of a live value of a type at a path, in the form that [`document`] writes.
pub(crate) fn leaves(of: Type, at: &mut At, value: &Value) -> Vec<(Path, Leaf)> {
    let mut writer = Writer { live: true, out: vec![] };
    // Only what people write can be wrong.
    let _ = writer.value(at, of, value);
    writer.out
}

struct Writer {
    /// What the server returns: nothing in it is a placeholder.
    live: bool,
    out: Vec<(Path, Leaf)>,
}

/// The segments that lead somewhere.
pub(crate) type At = Vec<String>;

impl Writer {
    fn enter(
        &mut self,
        at: &mut At,
        segment: impl Into<String>,
        inside: impl FnOnce(&mut Self, &mut At) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        at.push(segment.into());
        let done = inside(self, at);
        at.pop();
        done
    }

    /// A field of something of this type.
    fn field(&mut self, at: &mut At, within: Type, key: &str, value: &Value) -> Result<(), Wrong> {
        if !self.live && (key.contains(OPEN) || key.contains(CLOSE)) {
            return Err(Wrong { at: at.clone(), why: "a secret cannot be the name of a field".to_owned() });
        }
        let about = within.about(key);
        // A template has no status, although the server writes one.
        if about.is_some_and(|field| field.of == Type::Status || is_nothing(field, value)) || is_chosen(within, key, value) {
            return Ok(());
        }
        let of = about.map_or_else(|| within.field(key), |field| field.of);
        self.enter(at, segment::field(key), |writer, at| writer.value(at, of, value))
    }

    fn put(&mut self, at: &[String], leaf: Leaf) {
        self.out.push((Path::new(at.iter().map(String::as_str)), leaf));
    }

    /// Says that something is there which has nothing in it.
    fn put_empty(&mut self, at: &mut At, segment: &str) {
        at.push(segment.to_owned());
        self.put(at, Leaf::Bool(true));
        at.pop();
    }

    fn value(&mut self, at: &mut At, of: Type, value: &Value) -> Result<(), Wrong> {
        match value {
            Value::Null => Ok(()),
            Value::Object(map) => self.object(at, of, map),
            Value::Array(list) => self.list(at, of, list),
            Value::String(text) if !self.live && text.contains(OPEN) => {
                let damaged = || Wrong { at: at.clone(), why: "a secret in it was cut or changed".to_owned() };
                let text = Text::from_rendered(text).ok_or_else(damaged)?;
                if text.has_secret() {
                    let why = "a secret can be in the `data` or `stringData` of a Secret alone: everyone who may look at the cluster can read this field";
                    return Err(Wrong { at: at.clone(), why: why.to_owned() });
                }
                self.put(at, Leaf::from_text(&text));
                Ok(())
            }
            scalar => {
                if let Some(leaf) = leaf::scalar(of, scalar) {
                    self.put(at, leaf);
                }
                Ok(())
            }
        }
    }

    fn object(&mut self, at: &mut At, of: Type, map: &Map<String, Value>) -> Result<(), Wrong> {
        let before = self.out.len();
        for (key, value) in map {
            self.field(at, of, key, value)?;
        }
        // An object all of whose fields are dropped is there all the same: `emptyDir: { medium: "" }`. An empty map is not.
        if self.out.len() == before && (map.is_empty() || !self.live) && !of.is_map() {
            self.put_empty(at, segment::EMPTY_OBJECT);
        }
        Ok(())
    }

    fn list(&mut self, at: &mut At, of: Type, list: &[Value]) -> Result<(), Wrong> {
        if list.is_empty() {
            // The API makes no difference between an empty list and none where it knows the type.
            if !of.is_known() {
                self.put_empty(at, segment::EMPTY_LIST);
            }
            return Ok(());
        }
        let (keys, item_of) = (of.keys(), of.item());
        let mut order = Vec::new();
        // An element that is nothing is not written, and so has no place.
        let live = self.live;
        for (index, item) in list.iter().filter(|item| live || !item.is_null()).enumerate() {
            let whole = keys.and_then(|keys| Some((keys, with_keys(item.as_object()?, item_of, keys))));
            let keyed = whole.as_ref().and_then(|(keys, map)| Some((segment::element(map, keys)?, map, *keys)));
            let name = match keyed {
                Some((name, map, keys)) => {
                    self.enter(at, &*name, |writer, at| writer.element(at, item_of, map, keys))?;
                    name
                }
                None => {
                    let name = segment::place(index);
                    self.enter(at, &*name, |writer, at| writer.value(at, item_of, item))?;
                    name
                }
            };
            order.push(name);
        }
        if lists::is_ordered(of) && !order.is_sorted() {
            at.push(segment::ORDER.to_owned());
            self.put(at, Leaf::Text(order.join(" ").into()));
            at.pop();
        }
        Ok(())
    }

    /// An element of a keyed list. Its keys are in its segment; they are leaves where there is nothing else.
    fn element(&mut self, at: &mut At, of: Type, map: &Map<String, Value>, keys: &[&str]) -> Result<(), Wrong> {
        let before = self.out.len();
        for (key, value) in map.iter().filter(|(key, _)| !keys.contains(&key.as_str())) {
            self.field(at, of, key, value)?;
        }
        if self.out.len() == before {
            // A volume that is of no kind is an empty folder.
            let source = of.is("core/v1.Volume").then_some("emptyDir").into_iter().chain([segment::EMPTY_OBJECT]).map(str::to_owned);
            self.put(&at.iter().cloned().chain(source).collect::<At>(), Leaf::Bool(true));
        }
        Ok(())
    }

    /// An entry of a Secret: the text behind it, not its base64.
    fn secret_text(&mut self, at: &mut At, key: &str, value: &Value, encoded: bool) -> Result<(), Wrong> {
        at.push(key.to_owned());
        let done = self.secret_value(at, value, encoded);
        at.pop();
        done
    }

    fn secret_value(&mut self, at: &mut At, value: &Value, encoded: bool) -> Result<(), Wrong> {
        let wrong = |at: &At, why: &str| Wrong { at: at.clone(), why: why.to_owned() };
        let written = match value {
            Value::Null => return Ok(()),
            Value::String(text) => text,
            _ => return Err(wrong(at, "an entry of a Secret is text")),
        };
        let text = Text::from_rendered(written).ok_or_else(|| wrong(at, "a secret in it was cut or changed"))?;
        match (encoded, text.as_literal()) {
            (false, _) => self.put(at, Leaf::from_text(&text)),
            (true, Some(literal)) => {
                let whole: String = literal.split_whitespace().collect();
                let bytes = STANDARD.decode(&whole).map_err(|error| wrong(at, &format!("`data` is base64, and this is none: {error}")))?;
                match String::from_utf8(bytes) {
                    Ok(text) => self.put(at, Leaf::Text(text.into())),
                    Err(_) => {
                        at.push(BASE64.to_owned());
                        self.put(at, Leaf::Text(whole.into()));
                        at.pop();
                    }
                }
            }
            (true, None) => match text.segments() {
                [Segment::Secret { name, encoding: Encoding::B64encode }] => {
                    let plain = Segment::Secret { name: name.clone(), encoding: Encoding::Plain };
                    self.put(at, Leaf::from_text(&Text::from_iter([plain])));
                }
                _ => {
                    return Err(wrong(
                        at,
                        "`data` is base64: write `{{ secrets.name | b64encode }}` and nothing else, or use `stringData`",
                    ));
                }
            },
        }
        Ok(())
    }
}

/// Whether a value is as good as none: an empty text that the server drops, a zero in the place of which it puts something else.
fn is_nothing(field: &Field, value: &Value) -> bool {
    let is_replaced = || field.default().is_some_and(|default| default != *value);
    field.is_dropped && (*value == "" || (*value == 0 || *value == false) && is_replaced())
}

/// Whether a number says that the server is to choose one.
fn is_chosen(within: Type, key: &str, value: &Value) -> bool {
    let chosen = [("core/v1.ServicePort", "nodePort"), ("core/v1.ServiceSpec", "healthCheckNodePort")];
    *value == 0 && chosen.iter().any(|(of, field)| *field == key && within.is(of))
}

/// Below an entry of a Secret whose bytes are no text.
pub(crate) const BASE64: &str = "base64";

/// A list's element with the keys that the server would fill in: an empty text is none.
fn with_keys<'m>(map: &'m Map<String, Value>, of: Type, keys: &[&str]) -> Cow<'m, Map<String, Value>> {
    let mut map = Cow::Borrowed(map);
    for key in keys.iter().filter(|key| map.get(**key).is_none_or(|value| value.is_null() || *value == "")).copied().collect::<Vec<_>>() {
        if let Some(filled) = of.key_default(key) {
            map.to_mut().insert(key.to_owned(), filled);
        }
    }
    map
}

#[cfg(test)]
mod tests;
