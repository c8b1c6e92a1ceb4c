//! The minijinja environment that all templates run in: no files, no network, bounded, and careful with what is held back.
//!
//! What is *held back* is a secret's value, or an address that a platform has yet to give. In a template it is an opaque
//! object that renders as a placeholder, so the value itself is never in a template's reach. Whatever would work on the
//! placeholder's text as if it were the value is refused: every filter, test and function that a template can call is
//! registered here, and each one is wrapped in a guard. A filter that is not in the lists below does not exist.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Rest, ValueKind, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, filters, functions, tests};

use super::secret::urlencode;
use crate::desired::text::{CLOSE, Encoding, OPEN, Segment, Text};

/// Steps of one render: what a template of some ten thousand lines needs, and about a tenth of a second.
pub(super) const FUEL: u64 = 1_000_000;
/// The most that one template may write: the size that platforms allow for a configuration file.
pub(super) const MAX_OUTPUT: usize = 1024 * 1024;
/// How deep macros may call each other.
const MAX_RECURSION: usize = 100;
/// How deep the guard looks into nested lists and tables; deeper ones are refused.
const MAX_DEPTH: usize = 32;

/// A value that a template may place, but not look at.
pub(super) struct Held {
    segment: Segment,
    /// Set where the template engine asks for something that cannot answer with an error: a truth value, an order.
    misused: Arc<AtomicBool>,
}

/// As its placeholder: there is no value here that could be shown.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&placeholder(&self.segment))
    }
}

impl Object for Held {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, _key: &Value) -> Option<Value> {
        Some(Value::from(Error::new(ErrorKind::InvalidOperation, format!("{} has no parts", self.what()))))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Result<Value, Error> {
        Err(self.refusal(&format!("method {method}")))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.misused.store(true, Ordering::Relaxed);
        true
    }

    fn custom_cmp(self: &Arc<Self>, _other: &DynObject) -> Option<std::cmp::Ordering> {
        self.misused.store(true, Ordering::Relaxed);
        None
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&placeholder(&self.segment))
    }
}

impl Held {
    fn what(&self) -> &'static str {
        match self.segment {
            Segment::Attribute { .. } => "an address that is known after apply",
            Segment::Secret { .. } | Segment::Literal(_) => "a secret",
        }
    }

    /// What the refusal of a filter, a test or a function says.
    fn refusal(&self, user: &str) -> Error {
        let allowed = match self.segment {
            Segment::Attribute { .. } => "it can only be put into text",
            Segment::Secret { .. } | Segment::Literal(_) => "only urlencode, b64encode and tojson can",
        };
        Error::new(ErrorKind::InvalidOperation, format!("the {user} cannot be used on {}: {allowed}", self.what()))
    }
}

fn placeholder(segment: &Segment) -> String {
    Text::from_iter([segment.clone()]).to_rendered()
}

/// Makes held values, and learns of those that were used as if they were known.
#[derive(Debug, Clone, Default)]
pub(super) struct Vault {
    misused: Arc<AtomicBool>,
}

impl Vault {
    /// A value that renders as this piece's placeholder.
    pub(super) fn hold(&self, segment: Segment) -> Value {
        Value::from_object(Held { segment, misused: self.misused.clone() })
    }

    /// Whether a held value was compared or asked for its truth since the last call.
    pub(super) fn take_misuse(&self) -> bool {
        self.misused.swap(false, Ordering::Relaxed)
    }
}

/// What a template is for decides how held values are written into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Text that is used as it comes out.
    Text,
    /// TOML that is parsed again: placeholders are written so that they survive in a TOML string.
    Toml,
}

/// The environment. `vault` is what filters make new held values with.
pub(super) fn environment(flavour: Flavour, vault: &Vault) -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_debug(true);
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(MAX_RECURSION);
    // A line that holds a block tag alone leaves nothing behind, and a file keeps its last line end.
    // The delimiters are the usual ones, which `build` cannot refuse.
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build().unwrap_or_default());
    // Not "not found": `include … ignore missing` would pass over that in silence.
    env.set_loader(|_| Err::<Option<String>, _>(invalid("templates cannot include, import or extend other templates")));
    env.set_formatter(move |out, state, value| write_value(out, state.auto_escape(), value, flavour));
    add_filters(&mut env);
    add_encodings(&mut env, vault);
    add_tests(&mut env);
    add_guarded_function(&mut env, "range", Value::from_function(functions::range));
    add_guarded_function(&mut env, "dict", Value::from_function(functions::dict));
    add_guarded_function(&mut env, "namespace", Value::from_function(functions::namespace));
    if flavour == Flavour::Toml {
        env.add_filter("toml", toml_literal);
    }
    env
}

/// Writes a value into text. Booleans are written as configuration files write them; lists and tables have no one form.
pub(super) fn write_value(out: &mut Output, escape: &AutoEscape, value: &Value, flavour: Flavour) -> Result<(), Error> {
    if !matches!(escape, AutoEscape::None) {
        return Err(invalid("{% autoescape %} is not available: use the filters e, tojson or urlencode"));
    }
    let text = to_text(value)?;
    let text = if flavour == Flavour::Toml { protect(&text)? } else { text };
    fmt::Write::write_str(out, &text).map_err(Error::from)
}

/// A value as text, where it has such a form.
pub(super) fn to_text(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => Err(invalid("none cannot be put into text")),
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.into()),
        ValueKind::Number | ValueKind::String => Ok(value.to_string()),
        ValueKind::Plain if value.downcast_object_ref::<Held>().is_some() => Ok(value.to_string()),
        ValueKind::Seq | ValueKind::Iterable => Err(invalid("a list cannot be put into text: use the filters join or tojson")),
        ValueKind::Map => Err(invalid("a table cannot be put into text: name one of its keys, or use the filter tojson")),
        _ => Err(invalid("this is not a value that can be put into text")),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// The first held value among these, however deep it is.
fn find_held(values: &[Value]) -> Result<Option<Arc<Held>>, Error> {
    fn search(value: &Value, depth: usize) -> Result<Option<Arc<Held>>, Error> {
        if let Some(text) = value.as_str() {
            return Ok(text.contains([OPEN, CLOSE]).then(|| Arc::new(held_in_text(text))));
        }
        let Some(object) = value.as_object() else { return Ok(None) };
        if let Some(held) = object.downcast::<Held>() {
            return Ok(Some(held));
        }
        let pairs = match object.repr() {
            ObjectRepr::Plain => return Ok(None),
            _ if depth == 0 => return Err(invalid(format!("lists and tables may be nested at most {MAX_DEPTH} deep"))),
            ObjectRepr::Map => object.try_iter_pairs(),
            ObjectRepr::Seq | ObjectRepr::Iterable => {
                for item in object.try_iter().into_iter().flatten() {
                    if let Some(held) = search(&item, depth - 1)? {
                        return Ok(Some(held));
                    }
                }
                return Ok(None);
            }
            _ => return Ok(None),
        };
        for (key, item) in pairs.into_iter().flatten() {
            if let Some(held) = search(&key, depth - 1)?.or(search(&item, depth - 1)?) {
                return Ok(Some(held));
            }
        }
        Ok(None)
    }
    for value in values {
        if let Some(held) = search(value, MAX_DEPTH)? {
            return Ok(Some(held));
        }
    }
    Ok(None)
}

/// What a refusal is to say of text that holds a placeholder.
fn held_in_text(text: &str) -> Held {
    let segments = Text::from_rendered(text).map(|text| text.segments().to_vec()).unwrap_or_default();
    let held = segments.into_iter().find(|segment| !matches!(segment, Segment::Literal(_)));
    let damaged = Segment::Secret { name: String::new(), encoding: Encoding::Plain };
    Held { segment: held.unwrap_or(damaged), misused: Arc::default() }
}

fn guarded(user: String, inner: Value) -> impl Fn(&mut State, Rest<ValueOrKwargs>) -> Result<Value, Error> + Send + Sync + 'static {
    move |state, args| {
        let args = args.into_values();
        match find_held(&args)? {
            Some(held) => Err(held.refusal(&user)),
            None => inner.call(state, &args),
        }
    }
}

fn add_guarded_function(env: &mut Environment<'static>, name: &'static str, inner: Value) {
    env.add_function(name, guarded(format!("function {name}"), inner));
}

/// Left out on purpose: `safe` (nothing is escaped), `pprint` (prints insides), `format` (a width has no bound).
fn add_filters(env: &mut Environment<'static>) {
    macro_rules! add {
        ($($name:literal => $function:ident),* $(,)?) => {
            $( env.add_filter($name, guarded(concat!("filter ", $name).into(), Value::from_function(filters::$function))); )*
        };
    }
    add! {
        "escape" => escape, "e" => escape, "lower" => lower, "upper" => upper, "title" => title, "capitalize" => capitalize,
        "replace" => replace, "length" => length, "count" => length, "dictsort" => dictsort, "items" => items, "reverse" => reverse,
        "trim" => trim, "join" => join, "split" => split, "lines" => lines, "default" => default, "d" => default, "round" => round,
        "abs" => abs, "int" => int, "float" => float, "attr" => attr, "first" => first, "last" => last, "min" => min, "max" => max,
        "sort" => sort, "list" => list, "string" => string, "bool" => bool, "batch" => batch, "slice" => slice, "sum" => sum,
        "indent" => indent, "select" => select, "reject" => reject, "selectattr" => selectattr, "rejectattr" => rejectattr,
        "map" => map, "groupby" => groupby, "unique" => unique, "chain" => chain, "zip" => zip,
    }
}

fn add_tests(env: &mut Environment<'static>) {
    macro_rules! add {
        ($($name:literal => $function:ident),* $(,)?) => {
            $( env.add_test($name, guarded(concat!("test ", $name).into(), Value::from_function(tests::$function))); )*
        };
    }
    // These two look at the name, not at the value.
    env.add_test("defined", tests::is_defined);
    env.add_test("undefined", tests::is_undefined);
    add! {
        "none" => is_none, "boolean" => is_boolean, "odd" => is_odd, "even" => is_even, "divisibleby" => is_divisibleby,
        "number" => is_number, "integer" => is_integer, "float" => is_float, "string" => is_string, "sequence" => is_sequence,
        "iterable" => is_iterable, "mapping" => is_mapping, "startingwith" => is_startingwith, "endingwith" => is_endingwith,
        "lower" => is_lower, "upper" => is_upper, "eq" => is_eq, "equalto" => is_eq, "ne" => is_ne, "lt" => is_lt, "le" => is_le,
        "gt" => is_gt, "ge" => is_ge, "in" => is_in, "true" => is_true, "false" => is_false,
    }
}

/// The three filters that a secret may go through: the encoding is noted in its placeholder and done at apply.
fn add_encodings(env: &mut Environment<'static>, vault: &Vault) {
    let mut add = |name: &'static str, encoding: Encoding, plain: Value| {
        let vault = vault.clone();
        let plain = guarded(format!("filter {name}"), plain);
        env.add_filter(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
            let held = match args.0.as_slice() {
                [only] => only.downcast_object::<Held>(),
                _ => None,
            };
            match held.as_ref().map(|held| &held.segment) {
                Some(Segment::Secret { name, encoding: Encoding::Plain }) => {
                    Ok(vault.hold(Segment::Secret { name: name.clone(), encoding }))
                }
                Some(Segment::Secret { .. }) => {
                    Err(invalid(format!("the filter {name} cannot be used here: a secret can be encoded only once")))
                }
                _ => plain(state, args),
            }
        });
    };
    add("urlencode", Encoding::Urlencode, Value::from_function(|value: &Value| to_text(value).map(|text| urlencode(&text))));
    let b64encode = |value: &Value| to_text(value).map(|text| base64::engine::general_purpose::STANDARD.encode(text));
    add("b64encode", Encoding::B64encode, Value::from_function(b64encode));
    add("tojson", Encoding::Tojson, Value::from_function(filters::tojson));
}

/// `{{ value | toml }}`: the value as TOML writes it, quotes included. Text that holds a secret becomes a TOML string
/// that holds it.
fn toml_literal(value: &Value) -> Result<String, Error> {
    fn convert(value: &Value, depth: usize) -> Result<toml_edit::Value, Error> {
        match value.kind() {
            ValueKind::Bool => Ok(value.is_true().into()),
            ValueKind::Number if value.is_integer() => {
                value.as_i64().map(Into::into).ok_or_else(|| invalid("this number does not fit in 64 bits"))
            }
            ValueKind::Number => Ok(f64::try_from(value.clone())?.into()),
            ValueKind::Seq | ValueKind::Iterable if depth > 0 => {
                let items: Result<toml_edit::Array, Error> = value.try_iter()?.map(|item| convert(&item, depth - 1)).collect();
                Ok(items?.into())
            }
            _ => Ok(protect(&to_text(value)?)?.into()),
        }
    }
    convert(value, MAX_DEPTH).map(|value| value.to_string())
}

/// How the special characters of a placeholder are written where TOML will be parsed: as other noncharacters, so that
/// no quote of theirs ends a string.
const PROTECTED: [(char, char); 4] = [(OPEN, '\u{FDD2}'), (CLOSE, '\u{FDD3}'), ('"', '\u{FDD4}'), ('\\', '\u{FDD5}')];

/// Writes the placeholders in a text so that they survive in a TOML string.
fn protect(rendered: &str) -> Result<String, Error> {
    if !rendered.contains([OPEN, CLOSE]) {
        return Ok(rendered.to_owned());
    }
    let text = Text::from_rendered(rendered).ok_or_else(|| invalid("a secret's placeholder was cut or changed"))?;
    let mut out = String::with_capacity(rendered.len());
    for segment in text.segments() {
        match segment {
            Segment::Literal(literal) => out.push_str(literal),
            held => out.extend(placeholder(held).chars().map(|c| PROTECTED.iter().find(|(from, _)| *from == c).map_or(c, |(_, to)| *to))),
        }
    }
    Ok(out)
}

/// Undoes [`protect`] in a string that came out of the TOML.
pub(super) fn unprotect(text: &str) -> Option<String> {
    let is_protected = |c: char| PROTECTED.iter().any(|(_, to)| *to == c);
    text.contains(is_protected)
        .then(|| text.chars().map(|c| PROTECTED.iter().find(|(_, to)| *to == c).map_or(c, |(from, _)| *from)).collect())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn protected_text_survives_toml_and_comes_back() {
        let secret = Segment::Secret { name: "a\"b\\c".into(), encoding: Encoding::Urlencode };
        let text = Text::from_iter([Segment::Literal("x=\"1\" ".into()), secret]).to_rendered();
        let toml = format!("a = {}", toml_literal(&Value::from(text.as_str())).unwrap());
        let parsed: toml::Table = toml.parse().unwrap();
        assert_eq!(unprotect(parsed["a"].as_str().unwrap()), Some(text));
        assert_eq!(unprotect("plain"), None);
    }

    #[test]
    fn held_values_are_found_in_nested_values() {
        let vault = Vault::default();
        let secret = vault.hold(Segment::Secret { name: "db".into(), encoding: Encoding::Plain });
        let nested = Value::from(vec![Value::from_pairs([("a", Value::from(vec![secret.clone()]))])]);
        assert!(find_held(&[Value::from(1), nested]).unwrap().is_some());
        assert!(find_held(&[Value::from(format!("x{secret}"))]).unwrap().is_some());
        assert!(find_held(&[Value::from("x"), Value::from(vec![1, 2])]).unwrap().is_none());
    }
}
