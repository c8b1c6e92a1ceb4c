//! Variables: what a user declared, and the value that wins.
//!
//! Strongest first: `--var`, `STRATOS_VAR_*`, `--var-file`, the environment's `variables`, the default. Text from outside
//! is read as the declared type. A name that is not declared is an error where it was written for this project (`--var`,
//! `--var-file`); an unknown `STRATOS_VAR_*` is passed over, since a shell may hold those of other projects.

use indexmap::IndexMap;
use minijinja::Value;

use super::VariableInputs;
use crate::desired::name::Name;
use crate::manifest::Manifest;
use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::schema::{Scalar, ValueType, Variable};
use crate::manifest::suggest;

impl Variable {
    /// What its value must be.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Declared(declaration) => declaration.r#type,
            Self::Plain(scalar) => scalar.value_type(),
        }
    }

    /// Its value unless another is given.
    pub fn default(&self) -> Option<&Scalar> {
        match self {
            Self::Declared(declaration) => declaration.default.as_ref(),
            Self::Plain(scalar) => Some(scalar),
        }
    }
}

impl Scalar {
    /// The type of a value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Bool(_) => ValueType::Boolean,
            Self::Integer(_) => ValueType::Integer,
            Self::Float(_) => ValueType::Number,
            Self::String(_) => ValueType::String,
        }
    }

    /// The value, if it is of this type. A whole number is a number too.
    pub(super) fn of_type(&self, wanted: ValueType) -> Option<Scalar> {
        match (self, wanted) {
            (Self::Integer(number), ValueType::Number) => Some(Self::Float(*number as f64)),
            (value, wanted) if value.value_type() == wanted => Some(value.clone()),
            _ => None,
        }
    }

    pub(super) fn to_template(&self) -> Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::String(value) => value.as_str().into(),
        }
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::String(value) => f.write_str(value),
        }
    }
}

impl ValueType {
    /// In words, as the object of "expected".
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::String => "text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
        }
    }

    /// Reads text as this type.
    fn read(self, text: &str) -> Option<Scalar> {
        match self {
            Self::String => Some(Scalar::String(text.to_owned())),
            Self::Integer => text.trim().parse().ok().map(Scalar::Integer),
            Self::Number => text.trim().parse().ok().filter(|number: &f64| number.is_finite()).map(Scalar::Float),
            Self::Boolean => text.trim().parse().ok().map(Scalar::Bool),
        }
    }
}

/// The values of all variables in this environment; or all that is wrong with them.
pub(super) fn resolve(
    manifest: &Manifest,
    environment: &Name,
    inputs: &VariableInputs,
) -> Result<IndexMap<String, Scalar>, Vec<Diagnostic>> {
    let mut given = Given { manifest, values: IndexMap::new(), problems: Vec::new() };
    let settings = manifest.environments.get(environment);
    for (name, value) in settings.iter().flat_map(|settings| &settings.variables) {
        let read = |wanted| value.of_type(wanted);
        given.take(&format!("[environments.{environment}.variables] {name}"), name, &value.to_string(), read, Unknown::Refused);
    }
    let outside = [
        ("--var-file: ", &inputs.files, Unknown::Refused),
        ("STRATOS_VAR_", &inputs.environment, Unknown::PassedOver),
        ("--var ", &inputs.arguments, Unknown::Refused),
    ];
    for (origin, values, unknown) in outside {
        for (name, text) in values {
            let shown = if origin.ends_with('_') { name.to_uppercase() } else { name.clone() };
            given.take(&format!("{origin}{shown}"), name, text, |wanted| wanted.read(text), unknown);
        }
    }
    given.with_defaults(environment)
}

/// What happens to a name that is not declared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Refused,
    PassedOver,
}

/// The values that were given so far; a later one replaces an earlier one.
struct Given<'m> {
    manifest: &'m Manifest,
    /// None where a value was given and is wrong: something was said about it, and it is not missing.
    values: IndexMap<&'m str, Option<Scalar>>,
    problems: Vec<Diagnostic>,
}

impl<'m> Given<'m> {
    fn take(&mut self, source: &str, name: &str, shown: &str, read: impl Fn(ValueType) -> Option<Scalar>, unknown: Unknown) {
        let Some((name, variable)) = find(self.manifest, name) else {
            if unknown == Unknown::Refused {
                let names: Vec<&str> = self.manifest.variables.keys().map(String::as_str).collect();
                self.problems.push(not_declared(source, name, &names));
            }
            return;
        };
        let value = read(variable.value_type());
        if value.is_none() {
            self.problems.push(Diagnostic::new(format!("{source}={shown}: expected {}", variable.value_type().expected()), None));
        }
        self.values.insert(name, value);
    }

    fn with_defaults(mut self, environment: &Name) -> Result<IndexMap<String, Scalar>, Vec<Diagnostic>> {
        let mut resolved = IndexMap::new();
        for (name, variable) in &self.manifest.variables {
            let wanted = variable.value_type();
            match (self.values.swap_remove(name.as_str()), variable.default()) {
                (Some(value), _) => resolved.extend(value.map(|value| (name.clone(), value))),
                (None, Some(default)) => match default.of_type(wanted) {
                    Some(value) => drop(resolved.insert(name.clone(), value)),
                    None => {
                        let message = format!("the default of the variable `{name}` is {default}: expected {}", wanted.expected());
                        self.problems.push(Diagnostic::new(message, None));
                    }
                },
                (None, None) => {
                    let shouted = name.to_uppercase().replace('-', "_");
                    let help = format!(
                        "give it with --var {name}=…, STRATOS_VAR_{shouted}, --var-file, [environments.{environment}.variables] or a default"
                    );
                    self.problems
                        .push(Diagnostic::new(format!("the variable `{name}` has no value in {environment}"), None).with_help(help));
                }
            }
        }
        if self.problems.is_empty() { Ok(resolved) } else { Err(self.problems) }
    }
}

/// The variable of this name; the environment's spelling (lower case, `_` for `-`) finds it too.
fn find<'m>(manifest: &'m Manifest, name: &str) -> Option<(&'m str, &'m Variable)> {
    let exact = manifest.variables.get_key_value(name);
    let folded = || manifest.variables.iter().find(|(known, _)| known.to_lowercase().replace('-', "_") == name);
    exact.or_else(folded).map(|(name, variable)| (name.as_str(), variable))
}

fn not_declared(source: &str, name: &str, names: &[&str]) -> Diagnostic {
    let help = suggest::help(name, names.iter().copied(), "there are").unwrap_or_else(|| "declare it in [variables]".into());
    Diagnostic::new(format!("{source}: there is no variable `{name}` in [variables]"), None).with_help(help)
}
