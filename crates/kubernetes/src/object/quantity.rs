//! Quantities (`500m`, `1Gi`, `1e3`): one text for each value.
//!
//! Source of the syntax: `k8s.io/apimachinery/pkg/api/resource`, the documentation of `Quantity`.

/// Billionths: the smallest part that the API keeps.
const SCALE: i128 = 1_000_000_000;
/// Below this a number is written in decimal, whatever it is a multiple of: 2048 pods are not 2Ki.
const BINARY_FROM: i128 = 1 << 20;
const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
const DECIMAL: [(&str, u32); 6] = [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3)];

/// The one text for the value that a quantity has. What is no quantity stays as it is: the server refuses it.
pub(crate) fn canonical(written: &str) -> String {
    billionths(written).map_or_else(|| written.to_owned(), text)
}

/// The same for an amount of a resource, which the server rounds up to thousandths (`SetDefaults_ResourceList`).
pub(crate) fn canonical_amount(written: &str) -> String {
    const THOUSANDTH: i128 = SCALE / 1000;
    let rounded = |value: i128| value.checked_add(THOUSANDTH - 1).map(|value| value.div_euclid(THOUSANDTH) * THOUSANDTH);
    billionths(written).and_then(rounded).map_or_else(|| written.to_owned(), text)
}

/// The value in billionths. None where it is no quantity.
fn billionths(written: &str) -> Option<i128> {
    let (negative, rest) = match written.as_bytes().first()? {
        b'-' => (true, &written[1..]),
        b'+' => (false, &written[1..]),
        _ => (false, written),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || whole.len() > 27 || fraction.len() > 27 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let below = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let value = multiplied(digits, suffix)?;
    // What is finer than a billionth is rounded up, as the server does.
    let value = value.checked_add(below - 1)?.div_euclid(below);
    Some(if negative { -value } else { value })
}

/// Digits with a suffix, in billionths, before they are divided for the point.
fn multiplied(digits: i128, suffix: &str) -> Option<i128> {
    if let Some((_, bits)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return digits.checked_mul(SCALE)?.checked_mul(1 << bits);
    }
    let exponent = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        _ => match DECIMAL.iter().find(|(name, _)| *name == suffix) {
            Some((_, tens)) => i32::try_from(*tens).ok()?,
            None => suffix.strip_prefix(['e', 'E'])?.parse().ok()?,
        },
    };
    let power = 10i128.checked_pow(u32::try_from(exponent + 9).ok()?)?;
    digits.checked_mul(power)
}

fn text(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let value = value.abs();
    let whole = value / SCALE;
    if value % SCALE != 0 {
        let (unit, name) = [(1_000_000, "m"), (1_000, "u"), (1, "n")].into_iter().find(|(unit, _)| value % unit == 0).unwrap_or((1, "n"));
        return format!("{sign}{}{name}", value / unit);
    }
    let binary = BINARY.iter().find(|(_, bits)| whole >= BINARY_FROM && whole % (1 << bits) == 0);
    if let Some((name, bits)) = binary {
        return format!("{sign}{}{name}", whole >> bits);
    }
    let decimal = DECIMAL.iter().find(|(_, tens)| whole != 0 && whole % 10i128.pow(*tens) == 0);
    match decimal {
        Some((name, tens)) => format!("{sign}{}{name}", whole / 10i128.pow(*tens)),
        None => format!("{sign}{whole}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_no_quantity_is_changed() {
        for text in ["", "x", "1.2.3", "1Q", "-", ".", "1e", "1 Gi", "{{ x }}", "9999999999999999999999999999E"] {
            assert_eq!(canonical(text), text);
        }
    }

    #[test]
    fn one_value_has_one_text() {
        let same: [&[&str]; 8] = [
            &["1", "1000m", "1.0", "1e0", "1000000u", "+1"],
            &["500m", "0.5", ".5", "500000u"],
            &["1G", "1000M", "1e9", "1000000000"],
            &["1Gi", "1024Mi", "1048576Ki", "1073741824"],
            &["0", "0m", "0Gi", "0.0"],
            &["1500m", "1.5"],
            &["100n", "0.0000001"],
            &["-2", "-2000m"],
        ];
        for texts in same {
            for text in texts {
                assert_eq!(canonical(text), canonical(texts[0]), "{text}");
            }
        }
        let all: std::collections::BTreeSet<String> = same.iter().map(|texts| canonical(texts[0])).collect();
        assert_eq!(all.len(), same.len());
        assert_eq!(canonical("2048"), "2048");
        assert_eq!((canonical("100500u").as_str(), canonical_amount("100500u").as_str()), ("100500u", "101m"));
        assert_eq!(
            (canonical_amount("1n").as_str(), canonical_amount("0.5").as_str(), canonical_amount("x").as_str()),
            ("1m", "500m", "x")
        );
        assert_eq!(canonical("1.5Gi"), "1536Mi");
    }
}
