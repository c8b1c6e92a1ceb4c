//! Single values: what a value of an object is as a leaf.

use serde_json::{Number, Value};
use stratos_engine::desired::document::Leaf;

use super::quantity;
use crate::types::Type;

/// A number.
pub(crate) fn number(number: &Number) -> Leaf {
    match number.as_i64() {
        Some(number) => Leaf::Integer(number),
        None => Leaf::Number(number.to_string().into()),
    }
}

/// A value that is none of those that have parts.
pub(crate) fn scalar(of: Type, value: &Value) -> Option<Leaf> {
    Some(match (of, value) {
        (_, Value::Null | Value::Array(_) | Value::Object(_)) => return None,
        (_, Value::Bool(value)) => Leaf::Bool(*value),
        (Type::Quantity, Value::Number(number)) => Leaf::shared(&quantity::canonical(&number.to_string())),
        (Type::Quantity, Value::String(text)) => Leaf::shared(&quantity::canonical(text)),
        (Type::Amount, Value::Number(number)) => Leaf::shared(&quantity::canonical_amount(&number.to_string())),
        (Type::Amount, Value::String(text)) => Leaf::shared(&quantity::canonical_amount(text)),
        (Type::Image, Value::String(text)) => Leaf::image(text),
        (Type::Float, Value::Number(written)) => number(&float(written).unwrap_or_else(|| written.clone())),
        (_, Value::Number(written)) => number(written),
        (_, Value::String(text)) => Leaf::shared(text),
    })
}

/// A number of the type float64 as the server writes it: 1.0 is 1. None where it is written so already, or by other rules.
fn float(written: &Number) -> Option<Number> {
    // The largest whole number up to which all are floats.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    let value = written.as_f64().filter(|value| value.fract() == 0.0 && value.abs() < WHOLE)?;
    format!("{value:.0}").parse::<i64>().ok().map(Number::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_by_their_types() {
        let text = |text: &str| Some(Leaf::Text(text.into()));
        for value in [json!("1000m"), json!(1), json!(1.0)] {
            assert_eq!((scalar(Type::Amount, &value), scalar(Type::Quantity, &value)), (text("1"), text("1")));
        }
        assert_eq!((scalar(Type::Amount, &json!("1n")), scalar(Type::Quantity, &json!("1n"))), (text("1m"), text("1n")));
        for of in [Type::Unknown, Type::Json, Type::Plain, Type::Text] {
            assert_eq!(scalar(of, &json!("1000m")), text("1000m"));
            assert_eq!(scalar(of, &json!(3)), Some(Leaf::Integer(3)));
            assert_eq!(scalar(of, &json!(1.0)), Some(Leaf::Number("1.0".into())));
        }
        assert_eq!(scalar(Type::Float, &json!(1.0)), Some(Leaf::Integer(1)));
        assert_eq!(scalar(Type::Float, &json!(-0.0)), Some(Leaf::Integer(0)));
        assert_eq!(scalar(Type::Float, &json!(0.25)), Some(Leaf::Number("0.25".into())));
        assert_eq!(scalar(Type::Image, &json!("web:1")), Some(Leaf::image("web:1")));
        assert_eq!(scalar(Type::Unknown, &json!({})), None);
    }
}
