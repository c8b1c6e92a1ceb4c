//! A value of the project with its path, and how it is read: what is not as it should be is reported at its place.

use std::cell::RefCell;
use std::collections::BTreeSet;

use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::quantity::{Bytes, Cpu, Duration};
use stratos_engine::desired::text::{OPEN, Text};
use stratos_engine::manifest::suggest;

use super::project::Files;
use super::yaml::{Place, Value, Yaml};

/// What compose files are translated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// Services of a swarm.
    Swarm,
    /// Containers of one plain engine.
    Engine,
}

/// What all of a translation shares.
pub(super) struct Check<'c, 'a> {
    pub on: On,
    pub files: &'c Files<'a>,
    /// `allow_degraded` of the app.
    pub allowed: &'c [String],
    /// What is left out, as that says.
    pub degraded: RefCell<BTreeSet<String>>,
}

/// A value, its path for messages, and where it stands.
#[derive(Clone)]
pub(super) struct At<'y> {
    pub yaml: &'y Yaml,
    pub path: String,
}

impl<'y> At<'y> {
    pub fn place(&self) -> Place {
        self.yaml.place
    }

    /// The value under a key. Null is as good as nothing.
    pub fn get(&self, key: &str) -> Option<At<'y>> {
        let yaml = self.yaml.get(key).filter(|yaml| yaml.value != Value::Null)?;
        Some(At { yaml, path: format!("{}.{key}", self.path) })
    }

    /// The keys and values of a table.
    pub fn entries(&self) -> impl Iterator<Item = (&'y str, At<'y>)> {
        let path = self.path.clone();
        self.yaml.entries().iter().map(move |(key, yaml)| (key.name.as_str(), At { yaml, path: format!("{path}.{}", key.name) }))
    }

    /// The items of a list.
    pub fn items(&self) -> impl Iterator<Item = At<'y>> {
        let path = self.path.clone();
        self.yaml.items().iter().enumerate().map(move |(index, yaml)| At { yaml, path: format!("{path}[{}]", index + 1) })
    }

    pub fn is_table(&self) -> bool {
        matches!(self.yaml.value, Value::Map(_))
    }

    pub fn is_null(&self) -> bool {
        self.yaml.value == Value::Null
    }
}

impl Check<'_, '_> {
    pub fn report(&self, message: impl Into<String>, at: &At<'_>) {
        self.files.report(message, at.place());
    }

    fn expected(&self, what: &str, at: &At<'_>) {
        self.report(format!("`{}` must be {what}, found {}", at.path, at.yaml.kind()), at);
    }

    /// Something that cannot be done: an error, unless the app accepts that it is left out. `feature` is its name for that.
    pub fn unsupported(&self, feature: &str, why: &str, at: &At<'_>) {
        let feature = format!("compose.{feature}");
        if self.allowed.contains(&feature) {
            let what = format!("{} is left out, as allow_degraded says: {why}", at.path);
            self.degraded.borrow_mut().insert(what);
            return;
        }
        let help = format!("remove it, or accept that it is left out with allow_degraded = [\"{feature}\"]");
        self.files.report_with_help(format!("`{}` is not supported: {why}", at.path), help, at.place());
    }

    /// One of two texts: what is so in a swarm, and what on a plain engine.
    pub fn either<'w>(&self, swarm: &'w str, engine: &'w str) -> &'w str {
        match self.on {
            On::Swarm => swarm,
            On::Engine => engine,
        }
    }

    /// Reports what is no key of a table. `x-…` is everybody's own.
    pub fn known(&self, at: &At<'_>, known: &[&str]) {
        for (key, _) in at.yaml.entries().iter().filter(|(key, _)| !key.name.starts_with("x-") && !known.contains(&key.name.as_str())) {
            let message = format!("`{}` has no key `{}`", at.path, key.name);
            match suggest::closest(&key.name, known.iter().copied()) {
                Some(near) => self.files.report_with_help(message, format!("did you mean `{near}`?"), key.place),
                None => self.files.report(message, key.place),
            }
        }
    }

    /// Whether it is a table; reported where it is not.
    pub fn table(&self, at: &At<'_>) -> bool {
        if !at.is_table() {
            self.expected("a table", at);
        }
        at.is_table()
    }

    /// Whether it is a list; reported where it is not.
    pub fn list(&self, at: &At<'_>) -> bool {
        let is = matches!(at.yaml.value, Value::List(_));
        if !is {
            self.expected("a list", at);
        }
        is
    }

    /// A scalar as text, which may hold secrets.
    pub fn text(&self, at: &At<'_>) -> Option<Text> {
        let Some(text) = at.yaml.scalar() else {
            self.expected("text", at);
            return None;
        };
        let text = Text::from_rendered(&text);
        if text.is_none() {
            self.report(format!("`{}`: a secret's placeholder was cut or changed", at.path), at);
        }
        text
    }

    /// A scalar as text without secrets.
    pub fn plain(&self, at: &At<'_>) -> Option<String> {
        let text = at.yaml.scalar();
        match text {
            None => self.expected("text", at),
            Some(text) if text.contains(OPEN) => {
                let help = "they can be in `environment`, `command`, `entrypoint`, and the content of configs and secrets";
                self.files.report_with_help(format!("`{}` cannot hold a secret or another app's address", at.path), help, at.place());
            }
            Some(text) => return Some(text),
        }
        None
    }

    /// A list of plain texts.
    pub fn plains(&self, at: &At<'_>) -> Vec<String> {
        if !self.list(at) {
            return Vec::new();
        }
        at.items().filter_map(|item| self.plain(&item)).collect()
    }

    fn parsed<T>(&self, at: &At<'_>, what: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.plain(at)?;
        let parsed = parse(text.trim());
        if parsed.is_none() {
            self.report(format!("`{}` must be {what}, found {text:?}", at.path), at);
        }
        parsed
    }

    pub fn integer(&self, at: &At<'_>, from: i64, to: i64) -> Option<i64> {
        let what = format!("a whole number from {from} to {to}");
        self.parsed(at, &what, |text| text.parse().ok().filter(|number| (from..=to).contains(number)))
    }

    pub fn flag(&self, at: &At<'_>) -> Option<bool> {
        self.parsed(at, "true or false", |text| text.parse().ok())
    }

    pub fn duration(&self, at: &At<'_>) -> Option<Duration> {
        self.parsed(at, "a duration such as \"10s\" or \"1m30s\", in whole milliseconds", |text| text.parse().ok())
    }

    pub fn bytes(&self, at: &At<'_>) -> Option<Bytes> {
        self.parsed(at, "a size such as \"64m\" or \"1gb\"", size)
    }

    pub fn cpus(&self, at: &At<'_>) -> Option<Cpu> {
        self.parsed(at, "a number of cores such as \"0.5\", in thousandths", |text| text.parse().ok())
    }

    pub fn ratio(&self, at: &At<'_>) -> Option<f64> {
        self.parsed(at, "a number from 0 to 1", |text| text.parse().ok().filter(|ratio: &f64| (0.0..=1.0).contains(ratio)))
    }

    pub fn one_of<'w>(&self, at: &At<'_>, words: &[&'w str]) -> Option<&'w str> {
        let what = format!("one of {}", words.join(", "));
        self.parsed(at, &what, |text| words.iter().copied().find(|word| *word == text))
    }

    /// Text as a leaf.
    pub fn leaf(&self, at: &At<'_>) -> Option<Leaf> {
        Some(Leaf::from_text(&self.text(at)?))
    }
}

/// A size as Docker writes it: every unit is a power of 1024, whatever case it is in.
fn size(text: &str) -> Option<Bytes> {
    let text = text.to_ascii_lowercase();
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = unit.trim().trim_end_matches('b').trim_end_matches('i');
    let factor = match unit {
        "" => 1u64,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor as f64;
    (bytes.is_finite() && bytes >= 0.0 && bytes < i64::MAX as f64).then_some(Bytes(bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        for (text, bytes) in
            [("0", 0), ("10b", 10), ("64k", 65_536), ("64KB", 65_536), ("1.5g", 1_610_612_736), ("1GiB", 1 << 30), ("2T", 2 << 40)]
        {
            assert_eq!(size(text), Some(Bytes(bytes)), "{text}");
        }
        for text in ["", "m", "-1", "1x", "1e3", "99999999999999999999g"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
