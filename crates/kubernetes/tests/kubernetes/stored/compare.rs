//! A declared object beside the live one: each declared field is held, or an exception says why not.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::exceptions::{Exception, ORDERED, REVISION, SET_BY_SERVER};
use super::types::{Type, Types};

/// The result of a comparison.
#[derive(Debug, Default, Clone)]
pub struct Compared {
    /// How many objects the files declare.
    pub objects: usize,
    /// Each declared field that the live object does not hold: `Kind name path: declared, live`.
    pub lost: Vec<String>,
    /// The exceptions that were needed.
    pub excepted: BTreeSet<Exception>,
    /// Zero values that the live object does not hold. [`Exception::Zero`] holds only for those that the server drops.
    pub zeros: Vec<Zero>,
}

/// A declared zero value that the live object does not hold.
#[derive(Debug, Clone)]
pub struct Zero {
    /// The object as its file declares it.
    pub object: Value,
    /// The path to the value.
    pub path: Vec<String>,
}

impl Compared {
    /// Fails with what is lost, all of it.
    pub fn nothing_lost(&self) -> Result<(), String> {
        if self.lost.is_empty() { Ok(()) } else { Err(format!("the live objects lack what is declared:\n  {}", self.lost.join("\n  "))) }
    }
}

/// Compares one object.
pub fn object(declared: &Value, live: &Value, types: &Types, out: &mut Compared) {
    let mut declared = declared.clone();
    let map = declared.as_object_mut().expect("an object");
    let name = format!("{} {}", map["kind"].as_str().unwrap_or_default(), map["metadata"]["name"].as_str().unwrap_or_default());
    let mut walk = Walk { types, path: Vec::new(), name, zeros: Vec::new(), out };
    walk.set_aside(map, live);
    walk.value(&declared, Some(live), &types.root());
    let zeros = std::mem::take(&mut walk.zeros);
    out.zeros.extend(zeros.into_iter().map(|path| Zero { object: declared.clone(), path }));
}

struct Walk<'a> {
    types: &'a Types,
    path: Vec<String>,
    name: String,
    zeros: Vec<Vec<String>>,
    out: &'a mut Compared,
}

impl Walk<'_> {
    /// The parts of an object that the API itself treats apart.
    fn set_aside(&mut self, declared: &mut Map<String, Value>, live: &Value) {
        if declared.remove("status").is_some() {
            self.except(Exception::Status);
        }
        if declared["kind"] == "Secret" && declared["apiVersion"] == "v1" {
            self.string_data(declared.remove("stringData"), &live["data"]);
        }
        if declared["kind"] == "ClusterRole" && declared.contains_key("aggregationRule") && declared.remove("rules").is_some() {
            self.except(Exception::Aggregated);
        }
        let is_deployment = declared["kind"] == "Deployment";
        let Some(metadata) = declared.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        for field in SET_BY_SERVER {
            if metadata.remove(field).is_some() {
                self.except(Exception::SetByServer);
            }
        }
        let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
        if is_deployment && annotations.and_then(|annotations| annotations.remove(REVISION)).is_some() {
            self.except(Exception::Revision);
        }
        if live["metadata"]["namespace"].is_null() && metadata.remove("namespace").is_some() {
            self.except(Exception::NoNamespace);
        }
    }

    fn string_data(&mut self, declared: Option<Value>, live: &Value) {
        for (key, text) in declared.iter().filter_map(Value::as_object).flatten() {
            let encoded = Value::from(STANDARD.encode(text.as_str().unwrap_or_default()));
            self.except(Exception::StringData);
            self.within(&format!("stringData.{key}"), |walk| walk.value(&encoded, live.get(key), &Type::Bytes));
        }
    }

    fn value(&mut self, declared: &Value, live: Option<&Value>, of: &Type<'_>) {
        let typed = !matches!(of, Type::Free);
        // A list that Go has as nil is stored as null, in a field without `omitempty`.
        let live = live.filter(|live| !typed || !live.is_null());
        match (declared, live, of) {
            (Value::Null, ..) => self.except(Exception::Null),
            (_, None, _) if is_zero(declared, of) => self.zeros.push(self.path.clone()),
            (Value::Object(declared), Some(Value::Object(live)), _) => self.members(declared, live, of),
            (Value::Array(declared), Some(Value::Array(live)), _) => self.elements(declared, live, of),
            (_, Some(live), _) => self.scalar(declared, live, of),
            (_, None, _) => self.lost(declared, None),
        }
    }

    fn members(&mut self, declared: &Map<String, Value>, live: &Map<String, Value>, of: &Type<'_>) {
        for (key, value) in declared {
            let found = live.get(key);
            self.within(key, |walk| match of {
                Type::Struct { name, fields } => {
                    if key == "status" && name.ends_with(".PersistentVolumeClaim") {
                        return walk.except(Exception::Status);
                    }
                    if is_image(name, key) && is_pinned(value, found) {
                        return walk.except(Exception::Pinned);
                    }
                    walk.value(value, found, &walk.types.resolve(&fields[key]));
                }
                // A map drops no key, whatever its value.
                Type::Map(_) if found.is_none() => walk.lost(value, None),
                Type::Map(of) => walk.value(value, found, &walk.types.resolve(of)),
                _ => walk.value(value, found, &Type::Free),
            });
        }
    }

    fn elements(&mut self, declared: &[Value], live: &[Value], of: &Type<'_>) {
        // `null` as an element declares no element.
        let some: Vec<Value> = declared.iter().filter(|element| !element.is_null()).cloned().collect();
        let declared = if matches!(of, Type::Free) { declared } else { &some };
        match of {
            Type::List { of, keys } if !keys.is_empty() => {
                let mut last = None;
                for (index, value) in declared.iter().enumerate() {
                    let same = |other: &Value| keys.iter().all(|key| value[key].is_null() || value[key] == other[key]);
                    let found = live.iter().position(same);
                    let of = self.types.resolve(of);
                    self.within(&index.to_string(), |walk| {
                        let Some(found) = found else { return walk.lost(value, None) };
                        // Elements of others may stand between those that are declared.
                        if last.is_some_and(|last| found <= last) {
                            if is_ordered(&of) { walk.out_of_order(value) } else { walk.except(Exception::Order) }
                        }
                        walk.value(value, Some(&live[found]), &of);
                    });
                    last = found.or(last);
                }
            }
            Type::Set => {
                for (index, value) in declared.iter().enumerate().filter(|(_, value)| !live.contains(value)) {
                    self.within(&index.to_string(), |walk| walk.lost(value, None));
                }
            }
            _ if declared.len() != live.len() => {
                self.lost(&Value::from(declared.to_vec()), Some(&Value::from(live.to_vec())));
            }
            _ => {
                for (index, (value, live)) in declared.iter().zip(live).enumerate() {
                    self.within(&index.to_string(), |walk| match of {
                        Type::List { of, .. } => walk.value(value, Some(live), &walk.types.resolve(of)),
                        // A list of schemas where one schema could stand, too.
                        Type::Struct { .. } => walk.value(value, Some(live), of),
                        _ => walk.value(value, Some(live), &Type::Free),
                    });
                }
            }
        }
    }

    fn scalar(&mut self, declared: &Value, live: &Value, of: &Type<'_>) {
        if declared == live {
            return;
        }
        let same = |read: fn(&Value) -> Option<String>| read(declared).is_some() && read(declared) == read(live);
        let exception = match of {
            Type::Quantity if is_same_quantity(declared, live) => Exception::Quantity,
            Type::Quantity if is_rounded_up(declared, live) => Exception::RoundedUp,
            Type::Time if same(instant) => Exception::Time,
            Type::Bytes if same(bytes) => Exception::Bytes,
            _ if declared.is_number() && live.is_number() && declared.as_f64() == live.as_f64() => Exception::Number,
            _ => return self.lost(declared, Some(live)),
        };
        self.except(exception);
    }

    fn within(&mut self, segment: &str, walk: impl FnOnce(&mut Self)) {
        self.path.push(segment.to_owned());
        walk(self);
        self.path.pop();
    }

    fn except(&mut self, exception: Exception) {
        self.out.excepted.insert(exception);
    }

    fn lost(&mut self, declared: &Value, live: Option<&Value>) {
        let live = live.map_or("nothing".to_owned(), Value::to_string);
        self.out.lost.push(format!("{} {}: declared {declared}, live {live}", self.name, self.path.join(".")));
    }

    fn out_of_order(&mut self, declared: &Value) {
        self.out.lost.push(format!("{} {}: {declared} has another place", self.name, self.path.join(".")));
    }
}

/// Whether a built-in type may leave a value out when it is stored. A struct is never left out, however empty it is.
fn is_zero(value: &Value, of: &Type<'_>) -> bool {
    match value {
        _ if matches!(of, Type::Free) => false,
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && matches!(of, Type::Map(_)),
    }
}

fn is_ordered(of: &Type<'_>) -> bool {
    matches!(of, Type::Struct { name, .. } if ORDERED.iter().any(|ordered| name.ends_with(ordered)))
}

fn is_image(name: &str, field: &str) -> bool {
    field == "image" && name.ends_with("Container") || name.ends_with(".ImageVolumeSource") && field == "reference"
}

fn is_pinned(declared: &Value, live: Option<&Value>) -> bool {
    let (Some(declared), Some(live)) = (declared.as_str(), live.and_then(Value::as_str)) else { return false };
    live.strip_prefix(declared).is_some_and(|rest| rest.starts_with("@sha256:"))
}

fn is_same_quantity(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (quantity(one), quantity(other)) else { return false };
    (one - other).abs() <= one.abs() * 1e-12
}

fn is_rounded_up(declared: &Value, live: &Value) -> bool {
    let [declared, live] = [declared, live].map(|value| quantity(value).map(|number| number * 1e3));
    declared.map(f64::ceil) == live && live.is_some()
}

/// The value of a quantity, as exact as a float is.
fn quantity(value: &Value) -> Option<f64> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let suffixed = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)));
    let (number, factor) = suffixed.unwrap_or((&text, &1.0));
    Some(number.parse::<f64>().ok()? * factor)
}

fn instant(value: &Value) -> Option<String> {
    Some(value.as_str()?.parse::<jiff::Timestamp>().ok()?.to_string())
}

fn bytes(value: &Value) -> Option<String> {
    let text: String = value.as_str()?.split_whitespace().collect();
    STANDARD.decode(text).ok().map(|bytes| format!("{bytes:?}"))
}
