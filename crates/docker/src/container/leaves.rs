//! Leaves in normal form: what is empty is left out, a set is one path for each member, times are canonical.

use std::collections::BTreeSet;

use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::quantity::Duration;

/// Nanoseconds in a millisecond: the engine counts the former, documents the latter.
const NANOS: i64 = 1_000_000;

/// Text, where there is some.
pub(crate) fn text(out: &mut DocumentBuilder, path: &[&str], value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        out.text(path.iter().copied(), value);
    }
}

/// A switch that is on.
pub(crate) fn flag(out: &mut DocumentBuilder, path: &[&str], on: bool) {
    if on {
        out.put(path.iter().copied(), Leaf::Bool(true));
    }
}

/// A number that is not the default.
pub(crate) fn integer(out: &mut DocumentBuilder, path: &[&str], value: Option<i64>, default: i64) {
    if let Some(value) = value.filter(|value| *value != default) {
        out.integer(path.iter().copied(), value);
    }
}

/// A time of the engine's that is not the default. One that is no whole number of milliseconds stays visible as text.
pub(crate) fn nanoseconds(out: &mut DocumentBuilder, path: &[&str], value: Option<i64>, default: Duration) {
    let Some(value) = value else { return };
    let leaf = match u64::try_from(value / NANOS) {
        Ok(milliseconds) if value % NANOS == 0 => Leaf::Duration(Duration(milliseconds)),
        _ => Leaf::Text(format!("{value}ns").into()),
    };
    if leaf != Leaf::Duration(default) {
        out.put(path.iter().copied(), leaf);
    }
}

/// A list whose order counts.
pub(crate) fn list(out: &mut DocumentBuilder, path: &[&str], values: &[String]) {
    for (index, value) in values.iter().enumerate() {
        let index = format!("[{index:04}]");
        out.text(path.iter().copied().chain([index.as_str()]), value);
    }
}

/// A list whose order does not count.
pub(crate) fn set<'a>(out: &mut DocumentBuilder, path: &[&str], members: impl IntoIterator<Item = &'a String>) {
    for member in members {
        out.put(path.iter().copied().chain([member.as_str()]), Leaf::Bool(true));
    }
}

/// The time that a leaf holds, as the engine counts it.
pub(crate) fn to_nanoseconds(path: &Path, leaf: &Leaf) -> Result<i64, String> {
    let time = match leaf {
        Leaf::Duration(Duration(milliseconds)) => i64::try_from(*milliseconds).ok().and_then(|ms| ms.checked_mul(NANOS)),
        _ => None,
    };
    time.ok_or_else(|| format!("{path}: {leaf} is no time that the engine takes"))
}

/// The number that a leaf holds.
pub(crate) fn to_integer<T: TryFrom<i64>>(path: &Path, leaf: &Leaf) -> Result<T, String> {
    let number = match leaf {
        Leaf::Integer(number) => T::try_from(*number).ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("{path}: {leaf} is out of range"))
}

/// Whether a switch is on.
pub(crate) fn to_flag(path: &Path, leaf: &Leaf) -> Result<bool, String> {
    match leaf {
        Leaf::Bool(on) => Ok(*on),
        other => Err(format!("{path}: {other} is neither true nor false")),
    }
}

/// The word that a leaf holds, as one that the engine knows.
pub(crate) fn to_word<T: std::str::FromStr>(path: &Path, leaf: &Leaf) -> Result<T, String> {
    let word = match leaf {
        Leaf::Text(text) => text.parse().ok(),
        _ => None,
    };
    word.ok_or_else(|| format!("{path}: {leaf} is not a word that the engine knows"))
}

/// Adds a member of a set, or takes it away.
pub(crate) fn member(members: &mut BTreeSet<String>, path: &Path, member: &str, leaf: &Leaf) -> Result<(), String> {
    if to_flag(path, leaf)? {
        members.insert(member.to_owned());
    }
    Ok(())
}
