//! Files of variables (`env_file`): `NAME=value` a line.

use super::interpolate::{Values, interpolate};
use super::yaml::Place;

/// A variable of a file. Without a value it is taken from where interpolation takes them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub name: String,
    pub value: Option<String>,
    pub place: Place,
}

/// Reads a file. `raw` takes values as they stand: no quotes, no interpolation.
pub(super) fn parse(text: &str, file: usize, raw: bool, values: &Values<'_>) -> Result<Vec<Line>, Vec<(String, Place)>> {
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let place = Place { file, start, end: start + line.trim_end().len() };
        start += line.len();
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name.trim_end(), Some(value.trim_start())));
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ':') {
            // What it says is not shown: it may be a piece of a secret.
            problems.push(("this line is not NAME=value".to_owned(), place));
            continue;
        }
        let value = match value {
            Some(value) if raw => Ok(Some(value.to_owned())),
            Some(value) => unquoted(value, values).map(Some),
            None => Ok(None),
        };
        match value {
            Ok(value) => lines.push(Line { name: name.to_owned(), value, place }),
            Err(why) => problems.push((why, place)),
        }
    }
    if problems.is_empty() { Ok(lines) } else { Err(problems) }
}

/// In single quotes nothing is replaced; in double ones and without any, names are. A ` #` ends a value without quotes.
fn unquoted(value: &str, values: &Values<'_>) -> Result<String, String> {
    if let Some(inner) = value.strip_prefix('\'') {
        return inner.split_once('\'').map(|(inner, _)| inner.to_owned()).ok_or_else(|| "a quote (') is not closed on its line".to_owned());
    }
    let Some(inner) = value.strip_prefix('"') else {
        let value = value.split(" #").next().unwrap_or(value).trim_end();
        return interpolate(value, values);
    };
    let mut out = String::new();
    let mut chars = inner.chars();
    loop {
        match chars.next() {
            Some('"') => return interpolate(&out, values),
            Some('\\') => match chars.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('$') => out.push_str("$$"),
                Some(other @ ('"' | '\\')) => out.push(other),
                Some(other) => out.extend(['\\', other]),
                None => break,
            },
            Some(other) => out.push(other),
            None => break,
        }
    }
    Err("a quote (\") is not closed on its line".to_owned())
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use stratos_engine::desired::text::Text;

    use super::*;

    fn read(text: &str, raw: bool) -> Result<Vec<(String, Option<String>)>, Vec<String>> {
        let env: IndexMap<_, _> = [("A".to_owned(), Text::literal("a"))].into_iter().collect();
        let read = parse(text, 0, raw, &Values { env: &env, others: &Default::default() });
        let lines = read.map(|lines| lines.into_iter().map(|line| (line.name, line.value)).collect());
        lines.map_err(|problems| problems.into_iter().map(|(why, place)| format!("{}: {why}", place.start)).collect())
    }

    #[test]
    fn lines_are_variables() {
        let text = "# comment\n\nX=1 # rest\nexport Y = \"a b\\n$A\"\nZ='$A'\nEMPTY=\nFROM\nURL=http://h/#x\r\n";
        let expected =
            [("X", Some("1")), ("Y", Some("a b\na")), ("Z", Some("$A")), ("EMPTY", Some("")), ("FROM", None), ("URL", Some("http://h/#x"))];
        let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name.to_owned(), value.map(str::to_owned))).collect();
        assert_eq!(read(text, false), Ok(expected));
        assert_eq!(read("X=\"$A\"\n", true), Ok(vec![("X".to_owned(), Some("\"$A\"".to_owned()))]));
    }

    #[test]
    fn what_is_no_variable_is_reported_with_its_place() {
        let problems = read("OK=1\na b=1\nX='1\n", false).unwrap_err();
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[0], "5: this line is not NAME=value");
    }
}
