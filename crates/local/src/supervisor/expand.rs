//! `$(NAME)` in commands and in environment variables.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

/// How deep variables may refer to variables. Deeper than anybody writes; a circle ends here.
const DEPTH: usize = 16;

type Variables = BTreeMap<String, Zeroizing<String>>;

/// Replaces `$(NAME)` by the variable's value. `$$(NAME)` stands for `$(NAME)` itself, and what is no variable stays as
/// it is written.
pub(crate) fn expand(text: &str, variables: &Variables) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    expand_into(&mut out, text, variables, DEPTH);
    out
}

/// Makes the environment of a process: variables may refer to each other, and one that refers to itself means the value
/// that it would have had.
pub(crate) fn environment(inherited: &Variables, own: &Variables) -> Variables {
    let mut all = inherited.clone();
    all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut out = inherited.clone();
    for (name, value) in own {
        let mut expanded = Zeroizing::new(String::new());
        if value.contains(&format!("$({name})")) {
            let mut others = all.clone();
            match inherited.get(name) {
                Some(before) => others.insert(name.clone(), before.clone()),
                None => others.remove(name),
            };
            expand_into(&mut expanded, value, &others, 0);
        } else {
            expand_into(&mut expanded, value, &all, 0);
        }
        out.insert(name.clone(), expanded);
    }
    out
}

fn expand_into(out: &mut String, text: &str, variables: &Variables, depth: usize) {
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$(") {
            out.push_str("$(");
            rest = after;
            continue;
        }
        let reference = rest.strip_prefix("$(").and_then(|after| after.split_once(')'));
        match reference.and_then(|(name, after)| Some((variables.get(name)?, after))) {
            Some((value, after)) => {
                // At the last level a value is taken as it is.
                if depth < DEPTH {
                    expand_into(out, value, variables, depth + 1)
                } else {
                    out.push_str(value)
                }
                rest = after;
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
}

/// The text that [`expand`] makes into this one.
pub(crate) fn escape(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.replace("$(", "$$("))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Zeroizing::new((*value).to_owned()))).collect()
    }
    fn expanded(text: &str) -> String {
        expand(text, &variables(&[("PORT", "8080"), ("RAW", "$(PORT)")])).to_string()
    }

    #[test]
    fn variables_are_replaced_and_their_values_are_not_read_again() {
        assert_eq!(expanded("nothing to do"), "nothing to do");
        assert_eq!(expanded("--port=$(PORT), $(RAW)"), "--port=8080, $(PORT)");
    }

    #[test]
    fn what_is_no_variable_stays() {
        for text in ["$(MISSING)", "$PORT", "$", "100$", "$(PORT", "a$$b", "$()"] {
            assert_eq!(expanded(text), text);
        }
        assert_eq!(expanded("$$(PORT)"), "$(PORT)");
    }

    #[test]
    fn variables_may_refer_to_each_other_and_to_what_they_were() {
        let own = [("URL", "http://h:$(PORT)/"), ("PORT", "80"), ("PATH", "/app:$(PATH)"), ("TEXT", "$$(PORT)")];
        let out = environment(&variables(&[("PATH", "/bin"), ("HOME", "/root")]), &variables(&own));
        let wanted = [("HOME", "/root"), ("PATH", "/app:/bin"), ("PORT", "80"), ("TEXT", "$(PORT)"), ("URL", "http://h:80/")];
        assert_eq!(out, variables(&wanted));
    }

    #[test]
    fn a_circle_ends() {
        let out = environment(&Variables::new(), &variables(&[("A", "<$(B)>"), ("B", "$(A)"), ("SELF", "$(SELF)")]));
        assert!(out["A"].ends_with('>'));
        assert_eq!(out["SELF"].as_str(), "$(SELF)");
    }

    #[test]
    fn an_escaped_value_comes_out_as_it_was() {
        for value in ["$(PORT)", "$$(PORT)", "p$$$(w", "plain"] {
            assert_eq!(expanded(&escape(value)), value);
        }
    }
}
