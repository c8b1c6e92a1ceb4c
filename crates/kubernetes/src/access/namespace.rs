//! The namespace of an environment.

use stratos_engine::desired::name::Name;

use super::{Problem, Settings};

/// The longest name of a namespace: it is a label of DNS.
const LONGEST: usize = 63;

/// The namespace of an environment: the one that is written, else `<project>-<environment>`.
///
/// # Errors
/// What is wrong with it, and at which key.
pub fn namespace(project: &Name, environment: &Name, settings: &Settings<'_>) -> Result<String, Problem> {
    if let Some(written) = settings.namespace {
        let why = reason(written);
        return why.map_or_else(
            || Ok(written.to_owned()),
            |why| Err(Problem::key("namespace", format!("{written:?} is no namespace: {why}"), None)),
        );
    }
    let name = format!("{project}-{environment}");
    match reason(&name) {
        None => Ok(name),
        Some(why) => {
            let help = "write a shorter one: `namespace = \"…\"`".to_owned();
            Err(Problem::key("namespace", format!("the namespace would be {name:?}, which is none: {why}"), Some(help)))
        }
    }
}

/// What is wrong with the namespace as it is written.
pub(super) fn check(written: Option<&str>) -> Option<Problem> {
    let written = written?;
    reason(written).map(|why| Problem::key("namespace", format!("{written:?} is no namespace: {why}"), None))
}

/// Why a name is not one of a namespace (a label as RFC 1123 has it).
fn reason(name: &str) -> Option<String> {
    let is_alphanumeric = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    let inner = bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    if bytes.len() > LONGEST {
        return Some(format!("it has {} characters, and {LONGEST} are allowed", bytes.len()));
    }
    let valid = inner && is_alphanumeric(bytes.first()) && is_alphanumeric(bytes.last());
    (!valid).then(|| "it holds only a-z, 0-9 and '-', and neither starts nor ends with '-'".to_owned())
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    fn of(project: &str, environment: &str, written: Option<&str>) -> Result<String, Problem> {
        let settings = Settings { url: None, namespace: written, options: &IndexMap::new() };
        namespace(&Name::new(project).unwrap(), &Name::new(environment).unwrap(), &settings)
    }

    #[test]
    fn a_namespace_is_written_or_made_of_the_names() {
        assert_eq!(of("shop", "prod", None).as_deref(), Ok("shop-prod"));
        assert_eq!(of("shop", "prod", Some("0-team")).as_deref(), Ok("0-team"));
    }

    #[test]
    fn what_is_no_label_of_dns_is_refused() {
        for wrong in ["", "Shop", "-shop", "shop-", "shop.prod", "a b", &"x".repeat(64)] {
            let problem = of("shop", "prod", Some(wrong)).unwrap_err();
            assert_eq!(problem.at, ["namespace"], "{wrong}");
            assert_eq!(check(Some(wrong)), Some(problem));
        }
        assert_eq!(of("shop", "prod", Some(&"x".repeat(63))).map(|name| name.len()), Ok(63));
        let problem = of(&"p".repeat(40), &"e".repeat(40), None).unwrap_err();
        assert!(problem.message.contains("81 characters") && problem.help.is_some(), "{problem:?}");
    }
}
