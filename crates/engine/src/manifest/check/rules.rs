//! The JSON Schema of the types, compiled into what a walk over a tree can ask quickly.
//!
//! Only what `schemars` generates from our own types is understood; anything else panics on first use, which is in every test.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{LazyLock, OnceLock};

use indexmap::IndexMap;
use regex::Regex;
use serde_json::{Map, Value};

use crate::desired::name::Name;
use crate::desired::quantity::{Bytes, Cpu, Duration};
use crate::manifest::schema::ManifestFile;

/// The rules of `stratos.toml`.
pub static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::compile(schemars::schema_for!(ManifestFile).as_value()));

/// Rules, which refer to each other by index since an app's override holds an app's keys.
pub struct Rules {
    rules: Vec<Rule>,
    /// The rule of the whole file.
    pub manifest: RuleId,
    /// The rule of an app.
    pub app: RuleId,
    /// The rule of an app's override.
    pub overrides: RuleId,
}

/// A rule's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(usize);

/// What a value must be.
pub enum Rule {
    /// Anything.
    Any,
    /// Text that may hold secrets; other scalars are written out.
    Text,
    /// A name, or a quantity.
    Parsed(Parsed),
    /// One of these words.
    Words(Vec<String>),
    /// A scalar of these types.
    Scalar(Scalar),
    /// A list of these.
    List(RuleId),
    /// A table.
    Table(TableRule),
    /// A table with exactly one of these keys.
    OneKey(IndexMap<String, RuleId>),
    /// One of these.
    AnyOf(Vec<RuleId>),
}

/// Text that is read by a type of ours, whose own message says what is wrong.
pub struct Parsed {
    /// Reads it.
    pub parse: fn(&str) -> Result<(), String>,
    /// Whether a number may stand for it.
    pub number: bool,
    /// What it is, in words.
    pub expected: &'static str,
}

/// A scalar.
#[derive(Default)]
pub struct Scalar {
    /// Text is allowed.
    pub string: bool,
    /// Whole numbers are allowed.
    pub integer: bool,
    /// Numbers are allowed, whole ones too.
    pub number: bool,
    /// Booleans are allowed.
    pub boolean: bool,
    /// The smallest number.
    pub min: Option<i64>,
    /// The largest number.
    pub max: Option<i64>,
    /// What text must match, and what that is in words.
    pub pattern: Option<Pattern>,
}

/// A regular expression, compiled on first use: most runs need few of them.
pub struct Pattern {
    source: String,
    compiled: OnceLock<Regex>,
    /// What it means.
    pub expected: String,
}

impl Pattern {
    /// Whether text matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.compiled
            .get_or_init(|| Regex::new(&self.source).expect("patterns of our own types are valid, a test compiles all"))
            .is_match(text)
    }
}

/// A table.
#[derive(Default)]
pub struct TableRule {
    /// Its keys, in the order of the documentation.
    pub properties: IndexMap<String, RuleId>,
    /// Keys that must be there.
    pub required: Vec<String>,
    /// Whether other keys are names.
    pub names: bool,
    /// What stands under other keys; none where there are no others.
    pub others: Option<RuleId>,
}

impl Rules {
    /// The rule of this index.
    pub fn get(&self, id: RuleId) -> &Rule {
        &self.rules[id.0]
    }

    fn compile(schema: &Value) -> Self {
        let definitions = schema.get("$defs").and_then(Value::as_object).expect("the manifest's schema has definitions");
        let mut compiler = Compiler { definitions, known: HashMap::new(), rules: Vec::new() };
        let manifest = compiler.compile(schema);
        let app = compiler.definition("App");
        let overrides = compiler.definition("Override");
        let rules = compiler.rules.into_iter().map(|rule| rule.expect("each index was given to one rule")).collect();
        Self { rules, manifest, app, overrides }
    }
}

/// The schema of what may be anything.
static ANYTHING: Value = Value::Bool(true);

struct Compiler<'a> {
    definitions: &'a Map<String, Value>,
    known: HashMap<&'a str, RuleId>,
    rules: Vec<Option<Rule>>,
}

impl<'a> Compiler<'a> {
    fn reserve(&mut self) -> RuleId {
        self.rules.push(None);
        RuleId(self.rules.len() - 1)
    }

    /// The rule of a definition. Its index is given before it is compiled, because it may refer to itself.
    fn definition(&mut self, name: &'a str) -> RuleId {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let id = self.reserve();
        self.known.insert(name, id);
        let rule = match name {
            "Text" => Rule::Text,
            "Name" => Rule::Parsed(Parsed { parse: reads_as::<Name>, number: false, expected: "text" }),
            "Cpu" => Rule::Parsed(Parsed { parse: reads_as::<Cpu>, number: true, expected: "a CPU quantity such as \"500m\"" }),
            "Bytes" => Rule::Parsed(Parsed { parse: reads_as::<Bytes>, number: true, expected: "a size such as \"256MiB\"" }),
            "Duration" => Rule::Parsed(Parsed { parse: reads_as::<Duration>, number: false, expected: "a duration such as \"30s\"" }),
            _ => self.rule(&self.definitions[name]),
        };
        self.rules[id.0] = Some(rule);
        id
    }

    fn compile(&mut self, schema: &'a Value) -> RuleId {
        if let Some(name) = reference(schema) {
            return self.definition(name);
        }
        if let Some([only]) = schema.get("anyOf").map(alternatives).as_deref() {
            return self.compile(only);
        }
        let id = self.reserve();
        self.rules[id.0] = Some(self.rule(schema));
        id
    }

    fn rule(&mut self, schema: &'a Value) -> Rule {
        let Some(object) = schema.as_object() else { return Rule::Any };
        if let Some(words) = words(object) {
            return Rule::Words(words);
        }
        if let Some(choices) = object.get("oneOf").or_else(|| object.get("anyOf")) {
            return self.choice(alternatives(choices));
        }
        let types: Vec<&str> = match object.get("type") {
            None => return Rule::Any,
            Some(Value::String(one)) => vec![one],
            Some(many) => many.as_array().into_iter().flatten().filter_map(Value::as_str).filter(|word| *word != "null").collect(),
        };
        match types.as_slice() {
            ["object"] => self.table(object),
            ["array"] => Rule::List(self.compile(object.get("items").unwrap_or(&ANYTHING))),
            scalars => Rule::Scalar(scalar(scalars, object)),
        }
    }

    fn choice(&mut self, choices: Vec<&'a Value>) -> Rule {
        let keys: Option<IndexMap<String, RuleId>> = choices.iter().map(|choice| self.only_key(choice)).collect();
        match keys {
            Some(keys) => Rule::OneKey(keys),
            None => Rule::AnyOf(choices.into_iter().map(|choice| self.compile(choice)).collect()),
        }
    }

    /// The key and its rule, where a table has exactly this one key: how serde writes a variant with a value.
    fn only_key(&mut self, schema: &'a Value) -> Option<(String, RuleId)> {
        let properties = schema.get("properties")?.as_object()?;
        let required = schema.get("required")?.as_array()?;
        let (key, value) = properties.iter().next()?;
        (properties.len() == 1 && required.len() == 1).then(|| (key.clone(), self.compile(value)))
    }

    fn table(&mut self, object: &'a Map<String, Value>) -> Rule {
        let properties = object.get("properties").and_then(Value::as_object).into_iter().flatten();
        let properties = properties.map(|(key, schema)| (key.clone(), self.compile(schema))).collect();
        let required = object.get("required").and_then(Value::as_array).into_iter().flatten();
        let required = required.filter_map(Value::as_str).map(str::to_owned).collect();
        let by_name = object.get("patternProperties").and_then(Value::as_object).and_then(|patterns| patterns.values().next());
        let others = match (by_name, object.get("additionalProperties")) {
            (Some(schema), _) | (None, Some(schema @ (Value::Object(_) | Value::Bool(true)))) => Some(self.compile(schema)),
            (None, Some(_)) => None,
            (None, None) => Some(self.compile(&ANYTHING)),
        };
        Rule::Table(TableRule { properties, required, names: by_name.is_some(), others })
    }
}

fn reads_as<T: FromStr<Err: ToString>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|error| error.to_string())
}

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix("#/$defs/"))
}

/// The alternatives but for null, which TOML does not have.
fn alternatives(choices: &Value) -> Vec<&Value> {
    let is_null = |choice: &&Value| choice.get("type").and_then(Value::as_str) == Some("null");
    choices.as_array().into_iter().flatten().filter(|choice| !is_null(choice)).collect()
}

/// The words of an enumeration, which is a list of constants or, where no variant is described, `enum`.
fn words(object: &Map<String, Value>) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match (object.get("oneOf"), object.get("enum")) {
        (Some(choices), _) => choices.as_array()?.iter().map(|choice| choice.get("const").and_then(text)).collect(),
        (None, Some(words)) => words.as_array()?.iter().map(text).collect(),
        (None, None) => None,
    }
}

fn scalar(types: &[&str], object: &Map<String, Value>) -> Scalar {
    let mut scalar = Scalar::default();
    for word in types {
        match *word {
            "string" => scalar.string = true,
            "integer" => scalar.integer = true,
            "number" => (scalar.integer, scalar.number) = (true, true),
            "boolean" => scalar.boolean = true,
            other => panic!("the manifest's types use the schema type {other:?}, which check does not know"),
        }
    }
    let limit = |key: &str| object.get(key).and_then(Value::as_i64);
    let (min, max) = match object.get("format").and_then(Value::as_str) {
        Some("uint16") => (Some(0), Some(u16::MAX.into())),
        Some("uint32") => (Some(0), Some(u32::MAX.into())),
        _ => (None, None),
    };
    scalar.min = limit("minimum").or(min);
    scalar.max = limit("maximum").or(max);
    scalar.pattern = object.get("pattern").and_then(Value::as_str).map(|source| {
        let words = object.get("x-expected").or_else(|| object.get("description")).and_then(Value::as_str);
        Pattern { source: source.to_owned(), compiled: OnceLock::new(), expected: words.unwrap_or(source).to_owned() }
    });
    scalar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_the_types_compiles_with_all_its_patterns() {
        let mut patterns = 0;
        for rule in &RULES.rules {
            if let Rule::Scalar(Scalar { pattern: Some(pattern), .. }) = rule {
                pattern.is_match("");
                assert!(!pattern.expected.contains('^'), "{} has no words", pattern.source);
                patterns += 1;
            }
        }
        assert!(patterns >= 5);
        assert!(matches!(RULES.get(RULES.app), Rule::Table(_)));
    }
}
