//! CPU, memory and durations: the units that people write, kept in one canonical number.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a quantity was not understood; its text says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{written:?} is not {expected}")]
pub struct InvalidQuantity {
    written: String,
    expected: &'static str,
}

/// CPU time in thousandths of a core: `"500m"`, `"1.5"`, `2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(pub u64);

/// A number of bytes: `"256MiB"`, `"1GiB"`, `"500MB"`, `1048576`. Kubernetes' short forms (`Mi`, `Gi`) are read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A length of time in milliseconds: `"500ms"`, `"5s"`, `"1m30s"`, `"2h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub u64);

const BYTE_UNITS: [(&str, u64); 17] = [
    ("", 1),
    ("B", 1),
    ("k", 1_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("M", 1_000_000),
    ("MB", 1_000_000),
    ("G", 1_000_000_000),
    ("GB", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("Ki", 1 << 10),
    ("KiB", 1 << 10),
    ("Mi", 1 << 20),
    ("MiB", 1 << 20),
    ("Gi", 1 << 30),
    ("GiB", 1 << 30),
];

/// Longest first, so that `ms` is not read as `m` followed by `s`.
const TIME_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A decimal number times a factor, exact: `1.5` × 1000. None when it is no number, or does not come out whole.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || !(whole.bytes().chain(fraction.bytes())).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut value = whole.parse::<u128>().ok()?.checked_mul(u128::from(factor))?;
    if !fraction.is_empty() {
        let scale = 10u128.pow(fraction.len() as u32);
        let part = fraction.parse::<u128>().ok()? * u128::from(factor);
        if part % scale != 0 {
            return None;
        }
        value += part / scale;
    }
    u64::try_from(value).ok()
}

fn split_unit(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(at)
}

impl FromStr for Cpu {
    type Err = InvalidQuantity;
    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let parsed = match written.strip_suffix('m') {
            Some(milli) => scaled(milli, 1),
            None => scaled(written, 1000),
        };
        parsed.map(Cpu).ok_or_else(|| InvalidQuantity { written: written.into(), expected: "a CPU quantity such as \"500m\" or \"1.5\"" })
    }
}

impl FromStr for Bytes {
    type Err = InvalidQuantity;
    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let (number, unit) = split_unit(written);
        BYTE_UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim())
            .and_then(|(_, factor)| scaled(number, *factor))
            .map(Bytes)
            .ok_or_else(|| InvalidQuantity { written: written.into(), expected: "a size such as \"256MiB\" or \"1GiB\"" })
    }
}

impl FromStr for Duration {
    type Err = InvalidQuantity;
    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidQuantity { written: written.into(), expected: "a duration such as \"500ms\", \"10s\" or \"1m30s\"" };
        let mut total = 0u64;
        let mut rest = written;
        while !rest.is_empty() {
            let (number, after) = split_unit(rest);
            let (unit, factor) = TIME_UNITS.iter().find(|(unit, _)| after.starts_with(unit)).ok_or_else(invalid)?;
            total = scaled(number, *factor).and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
            rest = &after[unit.len()..];
        }
        if written.is_empty() { Err(invalid()) } else { Ok(Duration(total)) }
    }
}

impl Duration {
    /// For the timers of the standard library.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)]
                .into_iter()
                .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
                .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

/// Reads a quantity that was written as text or as a plain number.
struct Written(String);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Written(text)),
            serde_json::Value::Number(number) => Ok(Written(number.to_string())),
            other => Err(D::Error::custom(format!("expected text or a number, found {other}"))),
        }
    }
}

macro_rules! quantity {
    ($name:ident, $schema:tt) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Written::deserialize(deserializer)?.0.parse().map_err(D::Error::custom)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

quantity!(Cpu, {
    "description": "CPU: thousandths of a core (\"500m\") or cores (\"1.5\", 2).",
    "anyOf": [{ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?m?$" }, { "type": "number", "minimum": 0 }]
});
quantity!(Bytes, {
    "description": "A size: \"256MiB\", \"1GiB\", \"500MB\", or a number of bytes.",
    "anyOf": [{ "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|kB?|KB|MB?|GB?|TB?|KiB?|MiB?|GiB?)?$" }, { "type": "integer", "minimum": 0 }]
});
quantity!(Duration, {
    "description": "A length of time: \"500ms\", \"10s\", \"1m30s\", \"2h\".",
    "type": "string",
    "pattern": "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$"
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_spellings_are_one_quantity() {
        assert_eq!("1.5".parse::<Cpu>(), "1500m".parse::<Cpu>());
        assert_eq!("1GiB".parse::<Bytes>(), "1024Mi".parse::<Bytes>());
        assert_eq!("90s".parse::<Duration>(), "1m30s".parse::<Duration>());
        assert_eq!("0.5s".parse::<Duration>(), "500ms".parse::<Duration>());
    }

    #[test]
    fn display_reads_back_as_the_same_quantity() {
        for text in ["1", "250m", "1500m"] {
            assert_eq!(text.parse::<Cpu>().unwrap().to_string(), text);
        }
        for text in ["1GiB", "500MB", "1KiB", "17B"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        for text in ["1m30s", "500ms", "2h", "0s"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "m", "-1", "1.0001m", "1e3", "99999999999999999999"] {
            assert!(text.parse::<Cpu>().is_err(), "{text}");
        }
        for text in ["", "MiB", "1 XB", "1.5B"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        for text in ["", "5", "s", "5s3", "5x"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }
}
