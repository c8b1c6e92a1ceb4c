//! What a specification holds that no document can say.

use bollard::models::ServiceSpec;
use serde_json::Value;
use stratos_engine::desired::document::{DocumentBuilder, Leaf};

/// Writes what is left of a specification below `other`, without what means nothing: null, false, zero, empty.
pub(crate) fn write(spec: &ServiceSpec, out: &mut DocumentBuilder) {
    // A specification is plain data: it always has a JSON form.
    let value = serde_json::to_value(spec).unwrap_or_default();
    leaves(&value, &mut vec!["other".to_owned()], out);
}

fn leaves(value: &Value, path: &mut Vec<String>, out: &mut DocumentBuilder) {
    let mut put = |leaf: Leaf| {
        out.put(path.iter().map(String::as_str), leaf);
    };
    match value {
        Value::Null | Value::Bool(false) => {}
        Value::Bool(true) => put(Leaf::Bool(true)),
        Value::Number(number) => match number.as_i64() {
            Some(0) => {}
            Some(number) => put(Leaf::Integer(number)),
            None => put(Leaf::Text(number.to_string().into())),
        },
        // The only isolation on Linux, which every service has.
        Value::String(text) if text.is_empty() || (text == "default" && path.last().is_some_and(|last| last == "Isolation")) => {}
        Value::String(text) => put(Leaf::Text(text.as_str().into())),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(format!("[{index:04}]"));
                leaves(item, path, out);
                path.pop();
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                path.push(name.clone());
                leaves(field, path, out);
                path.pop();
            }
        }
    }
}
