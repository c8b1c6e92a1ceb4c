//! A command that is written as one text, in words: as a shell would take it apart, without running anything.

use stratos_engine::desired::text::{CLOSE, OPEN};

/// The words.
///
/// # Errors
/// Where a quote is not closed.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        match next {
            // A secret's placeholder holds quotes of its own.
            OPEN => {
                let word = word.get_or_insert_default();
                word.push(OPEN);
                word.extend(chars.by_ref().take_while(|c| *c != CLOSE));
                word.push(CLOSE);
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(inner) => word.push(inner),
                        None => return Err("a quote (') is not closed".to_owned()),
                    }
                }
            }
            '"' => quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().extend(chars.next()),
            white if white.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    let mut held = false;
    loop {
        match chars.next() {
            Some(mark @ (OPEN | CLOSE)) => {
                held = mark == OPEN;
                word.push(mark);
            }
            Some(inner) if held => word.push(inner),
            Some('"') => return Ok(()),
            Some('\\') => match chars.next() {
                Some(inner @ ('"' | '\\' | '$' | '`')) => word.push(inner),
                Some(inner) => word.extend(['\\', inner]),
                None => return Err("a quote (\") is not closed".to_owned()),
            },
            Some(inner) => word.push(inner),
            None => return Err("a quote (\") is not closed".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_a_shell_takes() {
        for (text, expected) in [
            ("", vec![]),
            ("  ", vec![]),
            ("a  b\tc\n", vec!["a", "b", "c"]),
            (r#"sh -c "echo 'x y' \"z\"""#, vec!["sh", "-c", r#"echo 'x y' "z""#]),
            (r"a\ b 'c\d' ''", vec!["a b", r"c\d", ""]),
            (r#"--x="1 2"3"#, vec!["--x=1 23"]),
            (r#""\n""#, vec![r"\n"]),
        ] {
            assert_eq!(split(text).unwrap(), expected, "{text}");
        }
        for text in ["'a", "\"a", "\"a\\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_placeholder_stays_whole() {
        let held = "\u{FDD0}{\"a b\"}\u{FDD1}";
        assert_eq!(split(&format!("x {held} \"p={held} q\"")).unwrap(), ["x".to_owned(), held.to_owned(), format!("p={held} q")]);
    }
}
