//! Names of projects, apps, environments, ports and volumes; and how the name of a live object is made from them.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::shared::shared;

/// A name as the manifest allows it: `[a-z][a-z0-9-]*`, at most 40 characters, not ending in a hyphen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid name: names start with a lower-case letter, hold only a-z, 0-9 and '-', do not end in '-' and have at most {max} characters", max = Name::MAX)]
pub struct InvalidName(pub String);

impl Name {
    /// The longest name, in characters (all of them ASCII).
    pub const MAX: usize = 40;

    /// The name, if it is a valid one.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let valid = bytes.len() <= Self::MAX
            && bytes.first().is_some_and(u8::is_ascii_lowercase)
            && bytes.last() != Some(&b'-')
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        if valid { Ok(Self(shared(text))) } else { Err(InvalidName(text.into())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
impl std::str::FromStr for Name {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}
impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
impl JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A name: lower-case letters, digits and '-', starting with a letter, at most 40 characters.",
            "type": "string",
            "pattern": "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
        })
    }
}

/// The name of a live object: `<project>-<app>[-<part>]`.
///
/// A name longer than the platform's limit keeps its start and ends in a hash of the whole, so that it stays unique and
/// stays the same. What this returns for a given input is frozen: a live object is found again by it.
///
/// `limit` is in characters and at least 16.
pub fn live_name(project: &str, app: &str, part: Option<&str>, limit: usize) -> String {
    let mut name = format!("{project}-{app}");
    if let Some(part) = part {
        name.push('-');
        name.push_str(part);
    }
    if name.len() <= limit {
        return name;
    }
    let hash = blake3::hash(name.as_bytes()).to_hex();
    let keep = limit.saturating_sub(9);
    format!("{}-{}", name[..keep].trim_end_matches('-'), &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "web", "web-2", "a23456789-123456789-123456789-123456789x"] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Web", "2web", "web_2", "web-", "-web", "wéb", "a23456789-123456789-123456789-123456789xy"] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    /// Live objects are found by these names: a change here orphans them all.
    #[test]
    fn live_names_are_frozen() {
        assert_eq!(live_name("shop", "web", None, 63), "shop-web");
        assert_eq!(live_name("shop", "web", Some("data"), 63), "shop-web-data");
        let long = "a".repeat(40);
        assert_eq!(live_name(&long, &long, Some("data"), 63), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-aaaaaaaaaaaaa-96b569b1");
        assert_eq!(live_name("shop", "a-very-long-name", None, 16), "shop-a-bcae60b1");
    }
}
