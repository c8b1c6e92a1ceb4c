//! An object that should be, as text or as a value, becomes a document in normal form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::text::{CLOSE, Encoding, OPEN, Segment, Text};

use super::{inner, leaf, lists, segment};
use crate::kind::GroupKind;

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
    let kind = identity.group_kind();
    let secret = identity.api_version == "v1" && identity.kind == "Secret";
    let mut writer = Writer { known: leaf::is_known(&kind.group), secret, live: false, out: vec![] };
    let mut at = Vec::new();
    let mut names = Vec::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" | "status" => continue,
            "metadata" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if ["labels", "annotations", "finalizers", "ownerReferences"].contains(&key.as_str()) {
                        writer.enter(&mut at, &mut names, "metadata", |writer, at, names| writer.field(at, names, key, value))?;
                    }
                }
            }
            "stringData" if writer.secret => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    writer.enter(&mut at, &mut names, "data", |writer, at, _| writer.secret_text(at, key, value, false))?;
                }
            }
            "data" if writer.secret => {
                // Where both say an entry, the server takes the text.
                let said = |key: &String| object.get("stringData").and_then(|texts| texts.get(key)).is_some_and(|text| !text.is_null());
                for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| !said(key)) {
                    writer.enter(&mut at, &mut names, "data", |writer, at, _| writer.secret_text(at, key, value, true))?;
                }
            }
            _ => writer.field(&mut at, &mut names, key, value)?,
        }
    }
    writer.out.push((Path::new(["apiVersion"]), Leaf::shared(&identity.api_version)));
    Ok(writer.out.into_iter().collect())
}

/// The leaves of a live value at a path, in the form that [`document`] writes.
pub(crate) fn leaves(known: bool, at: &mut At, names: &mut At, value: &Value) -> Vec<(Path, Leaf)> {
    let mut writer = Writer { known, secret: false, live: true, out: vec![] };
    // Only what people write can be wrong.
    let _ = writer.value(at, names, value);
    writer.out
}

struct Writer {
    /// The types of its fields are known.
    known: bool,
    secret: bool,
    /// What the server returns: nothing in it is a placeholder.
    live: bool,
    out: Vec<(Path, Leaf)>,
}

/// Maps from text to text, which the server drops when they are empty.
pub(crate) const MAPS: [&str; 13] = [
    "labels",
    "annotations",
    "limits",
    "requests",
    "nodeSelector",
    "matchLabels",
    "data",
    "binaryData",
    "selector",
    "parameters",
    "hard",
    "volumeAttributes",
    "overhead",
];

/// The segments that lead somewhere.
pub(crate) type At = Vec<String>;

impl Writer {
    fn enter(
        &mut self,
        at: &mut At,
        names: &mut At,
        field: &str,
        inside: impl FnOnce(&mut Self, &mut At, &mut At) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        at.push(field.to_owned());
        names.push(field.to_owned());
        let done = inside(self, at, names);
        at.pop();
        names.pop();
        done
    }

    fn field(&mut self, at: &mut At, names: &mut At, key: &str, value: &Value) -> Result<(), Wrong> {
        if !self.live && (key.contains(OPEN) || key.contains(CLOSE)) {
            return Err(Wrong { at: at.clone(), why: "a secret cannot be the name of a field".to_owned() });
        }
        self.enter(at, names, key, |writer, at, names| writer.value(at, names, value))
    }

    fn put(&mut self, at: &[String], leaf: Leaf) {
        self.out.push((Path::new(at.iter().map(String::as_str)), leaf));
    }

    fn value(&mut self, at: &mut At, names: &mut At, value: &Value) -> Result<(), Wrong> {
        match value {
            Value::Null => Ok(()),
            Value::Object(map) => self.object(at, names, map),
            Value::Array(list) => self.list(at, names, list),
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
            // In what is known the server drops it; but in maps of the user's own, in lists, and where it says "none".
            Value::String(text) if self.known && text.is_empty() && is_nothing(at, names) => Ok(()),
            scalar => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                if let Some(leaf) = leaf::scalar(self.known, &names, scalar) {
                    self.put(at, leaf);
                }
                Ok(())
            }
        }
    }

    fn object(&mut self, at: &mut At, names: &mut At, map: &Map<String, Value>) -> Result<(), Wrong> {
        let before = self.out.len();
        let limit = (self.known && !self.live).then(|| inner::limit(names, map)).flatten();
        let map = limit.as_ref().unwrap_or(map);
        // What is filled in inside of a list that is replaced as a whole cannot be told from what somebody put there.
        let filled = (self.known && !self.live && !map.is_empty()).then(|| inner::defaults(names, map)).into_iter().flatten();
        for (key, value) in filled.filter(|(key, _)| map.get(*key).is_none_or(Value::is_null)) {
            self.field(at, names, key, &value)?;
        }
        for (key, value) in map {
            // A template has no status, although the server writes one.
            if !(self.known && key == "status" && names.last().is_some_and(|name| name == "volumeClaimTemplates")) {
                self.field(at, names, key, value)?;
            }
        }
        // What `metadata` is made of is known of every kind.
        let dropped = || (self.known || is_metadata(at)) && names.last().is_some_and(|name| MAPS.contains(&name.as_str()));
        // What has nothing in it but what is dropped is there all the same: `emptyDir: { medium: "" }`.
        if self.out.len() == before && (map.is_empty() || !self.live) && !dropped() {
            at.push(segment::EMPTY_OBJECT.to_owned());
            self.put(at, Leaf::Bool(true));
            at.pop();
        }
        Ok(())
    }

    fn list(&mut self, at: &mut At, names: &mut At, list: &[Value]) -> Result<(), Wrong> {
        if list.is_empty() {
            if !self.known && !is_metadata(at) {
                at.push(segment::EMPTY_LIST.to_owned());
                self.put(at, Leaf::Bool(true));
                at.pop();
            }
            return Ok(());
        }
        let keys = lists::keys(&names.iter().map(String::as_str).collect::<Vec<_>>()).filter(|_| self.known);
        let mut order = Vec::new();
        // An element that is nothing is not written, and so has no place.
        let live = self.live;
        for (index, item) in list.iter().filter(|item| live || !item.is_null()).enumerate() {
            let item = match (keys, item) {
                (Some(keys), Value::Object(map)) => std::borrow::Cow::Owned(Value::Object(with_keys(map, keys))),
                _ => std::borrow::Cow::Borrowed(item),
            };
            let keyed = keys.and_then(|keys| segment::element(item.as_object()?, keys));
            let (name, is_keyed) = match keyed {
                Some(name) => (name, true),
                None => (segment::place(index), false),
            };
            at.push(name.clone());
            let done = match (&*item, keys) {
                (Value::Object(map), Some(keys)) if is_keyed => self.element(at, names, map, keys),
                _ => self.value(at, names, &item),
            };
            at.pop();
            done?;
            order.push(name);
        }
        if keys.is_some() && names.last().is_some_and(|name| lists::is_ordered(name)) && !order.is_sorted() {
            at.push(segment::ORDER.to_owned());
            self.put(at, Leaf::Text(order.join(" ").into()));
            at.pop();
        }
        Ok(())
    }

    /// An element of a keyed list. Its keys are in its segment; they are leaves where there is nothing else.
    fn element(&mut self, at: &mut At, names: &mut At, map: &Map<String, Value>, keys: &[&str]) -> Result<(), Wrong> {
        let before = self.out.len();
        for (key, value) in map.iter().filter(|(key, _)| !keys.contains(&key.as_str())) {
            self.field(at, names, key, value)?;
        }
        if self.out.len() == before {
            // A volume that is of no kind is an empty folder.
            let is_volume = names.last().is_some_and(|name| name == "volumes");
            let source = is_volume.then_some("emptyDir").into_iter().chain([segment::EMPTY_OBJECT]).map(str::to_owned);
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

/// Whether a path is in an object's own `metadata`.
pub(crate) fn is_metadata(at: &[String]) -> bool {
    at.first().is_some_and(|first| first == "metadata")
}

/// Whether an empty text in this field is as good as none.
fn is_nothing(at: &[String], names: &[String]) -> bool {
    let within = |place: usize| names.len().checked_sub(place).and_then(|index| names.get(index)).map_or("", String::as_str);
    let in_list = at.last().is_some_and(|segment| segment.starts_with('['));
    !in_list && !MAPS.contains(&within(2)) && !["storageClassName", "volumeAttributesClassName", "loadBalancerClass"].contains(&within(1))
}

/// Below an entry of a Secret whose bytes are no text.
pub(crate) const BASE64: &str = "base64";

/// A list's element with the keys that the server would fill in.
fn with_keys(map: &Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    let mut map = map.clone();
    if keys.contains(&"protocol") && map.get("protocol").is_none_or(Value::is_null) {
        map.insert("protocol".to_owned(), Value::String("TCP".to_owned()));
    }
    map
}

#[cfg(test)]
mod tests;
