//! Plain scalars as kubectl and Helm read them: YAML 1.1 as Go's reader has it, and not YAML 1.2. `0755` is 493, `yes` is true, `1_000`
//! is 1000; `22:22` and `2026-01-01` are text.
//!
//! The rules are those of `resolve` in `sigs.k8s.io/yaml/goyaml.v2`, which both programs use. Names of fields become text by the rules of
//! `convertToJSONableObject` in `sigs.k8s.io/yaml`.

use std::ops::Range;

use serde_json::{Number, Value};

/// Why a scalar cannot be sent.
pub(super) type Unsayable = String;

/// The value of a scalar that `read` was made of, which stands at `at`. A scalar that is quoted, in a block, or has a tag is what was
/// read.
pub(super) fn value(text: &str, at: Range<usize>, read: Value) -> Result<Value, Unsayable> {
    match plain(text, at, &read) {
        Some(plain) => resolved(plain),
        None => Ok(read),
    }
}

/// The text of a scalar if it is plain and has no tag.
fn plain<'t>(text: &'t str, at: Range<usize>, read: &Value) -> Option<&'t str> {
    let written = text.get(at.clone())?;
    let begins_otherwise = written.is_empty() || written.starts_with(['"', '\'', '*', '&', '!']);
    if begins_otherwise || written.contains(['\n', '\r']) || read.as_str().is_some_and(|read| read != written) {
        return None;
    }
    let before = text.get(..at.start)?;
    // The text of a block ends with a line end, but for the last one of a file.
    let is_block = at.end == text.len() && ends_with_block_header(before);
    (!is_block && !ends_with_tag(before)).then_some(written)
}

/// Whether a line ends with a tag, after which there may be an anchor.
fn ends_with_tag(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let words = line.split_whitespace().rev().map(|word| word.trim_start_matches(['[', '{', '(', ',']));
    words.skip_while(|word| word.starts_with('&')).take(1).any(|word| word.starts_with('!'))
}

/// Whether the text ends with a block's header, so that the block's first line is next: `key: |-`.
fn ends_with_block_header(before: &str) -> bool {
    let Some((lines, indent)) = before.rsplit_once('\n') else { return false };
    let line = lines.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let line = line.split(" #").next().unwrap_or_default().trim_end();
    let header = line.trim_end_matches(|c: char| c.is_ascii_digit() || "+-".contains(c));
    indent.trim().is_empty() && header.ends_with(['|', '>'])
}

fn resolved(plain: &str) -> Result<Value, Unsayable> {
    Ok(match plain {
        "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        _ if is_non_finite(plain) => return Err(format!("{plain} is no number that JSON has")),
        _ => match (integer(plain), float(plain)) {
            (Some(whole), _) => whole,
            (None, Some(value)) => number(value).unwrap_or_else(|| plain.into()),
            (None, None) => plain.into(),
        },
    })
}

fn is_non_finite(plain: &str) -> bool {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    [".inf", ".Inf", ".INF"].contains(&unsigned) || [".nan", ".NaN", ".NAN"].contains(&plain)
}

/// `strconv.ParseInt` and `ParseUint` with base 0, which take the base from the prefix.
fn integer(plain: &str) -> Option<Value> {
    let text = without_underscores(plain);
    let (negative, signed) = (text.starts_with('-'), text.starts_with(['+', '-']));
    let digits = &text[usize::from(signed)..];
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let size = i128::from_str_radix(digits, radix).ok()?;
    let number = if negative { -size } else { size };
    // Only a number without a sign may be larger than the largest signed one.
    let unsigned = || u64::try_from(number).ok().filter(|_| !signed).map(Value::from);
    i64::try_from(number).ok().map(Value::from).or_else(unsigned)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`. One that is too large for a double is text.
fn float(plain: &str) -> Option<f64> {
    let text = without_underscores(plain);
    let are_digits = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_float = !(whole.is_empty() && fraction.is_empty())
        && are_digits(whole)
        && are_digits(fraction)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && are_digits(exponent));
    is_float.then(|| text.parse().ok()).flatten().filter(|value: &f64| value.is_finite())
}

/// Underscores are no part of a number that begins with its digits; after another beginning the text is no number.
fn without_underscores(plain: &str) -> String {
    if plain.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c)) { plain.replace('_', "") } else { plain.to_owned() }
}

/// A number without a fraction is an integer however it is written, as in what kubectl sends: `1e3` is 1000.
pub(super) fn number(value: f64) -> Option<Value> {
    /// Beyond this a double has no units.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

/// A field's name, which stands at `at`: `on` is `true`, `0755` is `493`.
pub(super) fn name(text: &str, at: Range<usize>, read: Value) -> Result<String, Unsayable> {
    let Some(plain) = plain(text, at, &read) else {
        return match read {
            Value::String(name) => Ok(name),
            Value::Null => Err(NOTHING.to_owned()),
            other => Ok(other.to_string()),
        };
    };
    match (resolved(plain), integer(plain), float(plain)) {
        (_, Some(whole), _) if whole.is_i64() => Ok(whole.to_string()),
        (_, Some(_), _) => Err(format!("{plain} is too large a number for a field's name: put it in quotes")),
        (_, None, Some(value)) => Ok(float_name(value as f32)),
        (Ok(Value::Bool(name)), ..) => Ok(name.to_string()),
        (Ok(Value::Null), ..) => Err(NOTHING.to_owned()),
        (Err(_), ..) => Ok(plain.trim_start_matches('+').to_lowercase()),
        _ => Ok(plain.to_owned()),
    }
}

const NOTHING: &str = "a field's name cannot be nothing: put it in quotes";

/// `strconv.FormatFloat(value, 'g', -1, 32)`.
fn float_name(value: f32) -> String {
    let digits = format!("{value:e}");
    match digits.split_once('e').and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?))) {
        Some((digits, exponent)) if !(-4..6).contains(&exponent) && value != 0.0 => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ if value.is_infinite() => if value > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scalars with what `kubectl label --local --output=json` of version 1.34 makes of them as values and as names of fields.
    const KUBECTL: &str = include_str!("scalar/kubectl.txt");

    fn value_of(plain: &str) -> Option<Value> {
        value(plain, 0..plain.len(), plain.into()).ok()
    }

    #[test]
    fn plain_scalars_are_what_kubectl_makes_of_them() {
        for line in KUBECTL.lines().filter(|line| !line.starts_with('#')) {
            let [scalar, as_value, as_name] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let (ours, theirs) = (value_of(scalar), serde_json::from_str::<Value>(as_value).ok());
            // A large number is printed with the digits that a double has, and read back as a whole one.
            let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64);
            assert!(ours == theirs || number(&ours).is_some() && number(&ours) == number(&theirs), "{scalar}: {ours:?} and not {theirs:?}");
            let name = name(scalar, 0..scalar.len(), scalar.into()).unwrap_or_else(|_| "error".to_owned());
            assert_eq!(name, as_name, "{scalar} as a name");
        }
    }

    /// More digits than a double has are kept where kubectl rounds.
    #[test]
    fn large_whole_numbers_are_exact() {
        for whole in ["9223372036854775808", "18446744073709551615"] {
            assert_eq!(value_of(whole).unwrap().to_string(), whole);
        }
        assert_eq!(value_of("01777777777777777777777"), Some(u64::MAX.into()));
    }

    #[test]
    fn quotes_tags_and_blocks_say_that_a_scalar_is_text() {
        let texts = [
            "a: \"0755\"",
            "a: '0755'",
            "a: !!str 0755",
            "a: !!str &x 0755",
            "a: &x !!str 0755",
            "a: [!!str 0755]",
            "a: !<tag:yaml.org,2002:str> 0755",
            "a: |-\n  0755",
            "a: >- # note\n  0755\n",
            "a: |-\n\n  0755",
            "a:\n- !!str 0755",
        ];
        for text in texts {
            let document = super::super::yaml::documents(text).unwrap().remove(0).value();
            assert!(document["a"] == "0755" || document["a"][0] == "0755" || document["a"] == "\n0755", "{text:?}: {document}");
        }
        for text in [
            "a: 0755",
            "a: &x 0755",
            "a: # !!str\n  0755",
            "b: &x 0755\na: *x",
            "b: &x { a: 0755 }\n<<: *x",
            "\u{feff}a: 0755",
            "ü: |\n  x\na: 0755",
        ] {
            let document = super::super::yaml::documents(text).unwrap().remove(0).value();
            assert_eq!(document["a"], 493, "{text:?}");
        }
    }
}
