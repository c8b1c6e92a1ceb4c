//! `$NAME`, `${NAME:-default}` and the like in the values of a compose file.
//!
//! Names are looked for in the app's `env` with the variables of its bindings, in the parameters of its cartridge, and in the
//! manifest's variables (`${TAG}` is also found as `tag`); never in the environment of the process. One that is nowhere is an
//! error, where compose would put nothing.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use stratos_engine::desired::text::{CLOSE, OPEN, Text};

/// What names stand for.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    /// The app's `env`.
    pub env: &'a IndexMap<String, Text>,
    /// The manifest's variables and the cartridge's parameters.
    pub others: &'a BTreeMap<String, Text>,
}

impl Values<'_> {
    /// What a name stands for, in the form that [`Text::from_rendered`] reads.
    pub fn get(&self, name: &str) -> Option<String> {
        let found = self.env.get(name).or_else(|| self.others.get(name)).or_else(|| self.others.get(&name.to_lowercase()));
        found.map(Text::to_rendered)
    }
}

/// How deep defaults may stand in defaults.
const MAX_DEPTH: usize = 16;

/// The text with its names replaced.
///
/// # Errors
/// What is wrong, as a sentence.
pub(super) fn interpolate(text: &str, values: &Values<'_>) -> Result<String, String> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    let mut reader = Reader { rest: text, values };
    reader.until_end(MAX_DEPTH, false)
}

struct Reader<'a> {
    rest: &'a str,
    values: &'a Values<'a>,
}

impl<'a> Reader<'a> {
    /// Reads to the end, or, inside of braces, to the brace that closes them, which stays.
    fn until_end(&mut self, depth: usize, braces: bool) -> Result<String, String> {
        let mut out = String::new();
        while let Some(next) = self.rest.chars().next() {
            match next {
                OPEN => {
                    // A secret's placeholder, whatever stands in it.
                    let end = self.rest.find(CLOSE).map_or(self.rest.len(), |at| at + CLOSE.len_utf8());
                    out.push_str(self.take(end));
                }
                '}' if braces => break,
                '$' => {
                    self.take(1);
                    out.push_str(&self.reference(depth)?);
                }
                other => out.push_str(self.take(other.len_utf8())),
            }
        }
        Ok(out)
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn name(&mut self) -> Option<&'a str> {
        let starts = self.rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        starts.then(|| self.take(end))
    }

    /// What follows a `$`.
    fn reference(&mut self, depth: usize) -> Result<String, String> {
        if self.rest.starts_with('$') {
            return Ok(self.take(1).to_owned());
        }
        if !self.rest.starts_with('{') {
            let name = self.name().ok_or("a `$` that stands for itself is written `$$`")?;
            return self.values.get(name).ok_or_else(|| missing(name));
        }
        self.take(1);
        if depth == 0 {
            return Err("defaults stand too deep in defaults".to_owned());
        }
        let name = self.name().ok_or("`${` wants the name of a variable; a `$` that stands for itself is written `$$`")?;
        let operators = [":-", ":?", ":+", "-", "?", "+"];
        let operator = operators.into_iter().find(|operator| self.rest.starts_with(operator));
        let word = match operator {
            Some(operator) => {
                self.take(operator.len());
                // What is not used may name what is not there.
                let before = self.rest;
                self.until_end(depth - 1, true).or_else(|why| {
                    self.rest = before;
                    self.skip()?;
                    Err::<String, String>(why)
                })
            }
            None => Ok(String::new()),
        };
        if !self.rest.starts_with('}') {
            return Err(format!("`${{{name}` is not closed, or has what is not known here: `{}`", self.rest.chars().next().unwrap_or(' ')));
        }
        self.take(1);
        let value = self.values.get(name);
        let given = value.clone().filter(|value| !value.is_empty());
        match operator {
            None => value.ok_or_else(|| missing(name)),
            Some(":-") => given.map_or(word, Ok),
            Some("-") => value.map_or(word, Ok),
            Some(":+") => given.map_or(Ok(String::new()), |_| word),
            Some("+") => value.map_or(Ok(String::new()), |_| word),
            Some(":?") => given.map_or_else(|| Err(required(name, word)), Ok),
            Some(_) => value.map_or_else(|| Err(required(name, word)), Ok),
        }
    }

    /// Goes to the brace that closes the one that is open.
    fn skip(&mut self) -> Result<(), String> {
        let (mut open, mut before) = (0usize, ' ');
        let end = self.rest.find(|c| {
            match c {
                '{' if before == '$' => open += 1,
                '}' if open == 0 => return true,
                '}' => open -= 1,
                _ => {}
            }
            before = c;
            false
        });
        self.take(end.ok_or("a brace is not closed")?);
        Ok(())
    }
}

fn missing(name: &str) -> String {
    let lower = name.to_lowercase();
    format!(
        "nothing says what ${{{name}}} is: give the app `env.{name}`, or the manifest a variable `{lower}`; or write ${{{name}:-default}}"
    )
}

fn required(name: &str, word: Result<String, String>) -> String {
    match word {
        Ok(word) if !word.is_empty() => format!("${{{name}}} must be given: {word}"),
        _ => missing(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<String, String> {
        let env =
            [("A", "a"), ("EMPTY", ""), ("Mixed", "m")].map(|(name, value)| (name.to_owned(), Text::literal(value))).into_iter().collect();
        let others = [("tag", "1.4"), ("A", "other")].map(|(name, value)| (name.to_owned(), Text::literal(value))).into();
        interpolate(text, &Values { env: &env, others: &others })
    }

    #[test]
    fn every_form() {
        for (text, expected) in [
            ("nothing to do", "nothing to do"),
            ("$A-${A}", "a-a"),
            ("web:${TAG}", "web:1.4"),
            ("${tag}", "1.4"),
            ("$$A $${A} 1$$", "$A ${A} 1$"),
            ("${NO:-x}", "x"),
            ("${NO-x}", "x"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY-x}", ""),
            ("${EMPTY}", ""),
            ("${A:-$NO}", "a"),
            ("${NO:-${NEITHER:-${A}}}", "a"),
            ("${A:+set}", "set"),
            ("${NO:+set}", ""),
            ("${EMPTY:+set}", ""),
            ("${EMPTY+set}", "set"),
            ("${A:?must}", "a"),
            ("${NO:-}", ""),
            ("{}}", "{}}"),
        ] {
            assert_eq!(with(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_broken_is_an_error() {
        for (text, expected) in [
            ("$NO", "nothing says what ${NO} is"),
            ("${NO}", "or the manifest a variable `no`"),
            ("${NO:?say which}", "${NO} must be given: say which"),
            ("${EMPTY:?say which}", "${EMPTY} must be given"),
            ("100$", "`$$`"),
            ("$1", "`$$`"),
            ("${A", "not closed"),
            ("${A!x}", "not known here: `!`"),
            ("${NO:-$NEITHER}", "${NEITHER}"),
        ] {
            let error = with(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let deep = "${NO:-".repeat(40) + &"}".repeat(40);
        assert!(with(&deep).is_err());
    }
}
