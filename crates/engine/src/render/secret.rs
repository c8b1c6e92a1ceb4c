//! Secret values: who may see them, and the fingerprints that everyone else sees instead.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::desired::resource::ResourceId;
use crate::desired::text::{Encoding, Segment, Text};

/// Random bytes that make fingerprints of one environment useless for another, and for tables made beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Salt(pub [u8; 16]);

impl Salt {
    /// A new one, from the operating system's randomness.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

/// What stands for a secret's value everywhere: Argon2id of the value with the environment's salt, so that nobody who
/// sees it can test guesses cheaply. It carries its salt, so that a second machine finds the same one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    salt: Salt,
    /// 128 bits of the keyed hash.
    hash: [u8; 16],
}

impl Fingerprint {
    fn new(salt: Salt, hash: [u8; 16]) -> Self {
        Self(Arc::new(Parts { salt, hash }))
    }

    /// The environment's salt.
    pub fn salt(&self) -> Salt {
        self.0.salt
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut out = [0; 16];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(out)
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a2id:{}:{}", hex(&self.0.salt.0), hex(&self.0.hash))
    }
}
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl std::str::FromStr for Fingerprint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (salt, hash) = text.strip_prefix("a2id:")?.split_once(':')?;
            Some(Self::new(Salt(unhex(salt)?), unhex(hash)?))
        };
        parse().ok_or_else(|| format!("{text:?} is not a fingerprint (a2id:<salt>:<hash>)"))
    }
}
impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
impl JsonSchema for Fingerprint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fingerprint".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "description": "Argon2id of a secret, with its salt: a2id:<salt>:<hash>.", "type": "string" })
    }
}

/// Where a secret's value comes from. Exactly one key is written. Encrypted sources come later, as further variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretSource {
    /// The value of this environment variable.
    Env(String),
    /// The content of this file, without its last line end; a path relative to the manifest's folder.
    File(String),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {path}"),
        }
    }
}

/// A secret's value cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret {name:?} is not available: {why}")]
pub struct SecretError {
    /// The key in `[secrets]`.
    pub name: String,
    /// What went wrong, and where it was looked for.
    pub why: String,
}

/// Attributes that platforms gave to resources, by resource and name.
pub type Attributes = BTreeMap<ResourceId, BTreeMap<String, String>>;

/// Why a text could not be made whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A secret in it is not available.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// An attribute in it is not known.
    #[error("{of} has no attribute {name:?} yet")]
    Attribute {
        /// Whose attribute.
        of: ResourceId,
        /// Its name.
        name: String,
    },
}

/// The values of the secrets, in memory that is wiped when it is given back. Not `Debug`, not `Serialize`: values leave
/// through [`Secrets::resolve`] alone.
#[derive(Default)]
pub struct Secrets {
    values: BTreeMap<String, Result<Zeroizing<String>, SecretError>>,
    /// One derived key for each distinct value and salt; the map's key is a digest, so that no value lies about twice.
    derived: Mutex<DerivedKeys>,
    derivations: AtomicUsize,
}

/// By salt and digest of the value.
type DerivedKeys = HashMap<(Salt, blake3::Hash), Zeroizing<[u8; 32]>>;

/// 19 MiB, two passes, one lane: the first recommendation of the OWASP password storage cheat sheet for Argon2id.
const ARGON2: (u32, u32, u32) = (19 * 1024, 2, 1);

impl Secrets {
    /// These values, as the command line or the server read them from their sources.
    pub fn new(values: impl IntoIterator<Item = (String, Result<Zeroizing<String>, SecretError>)>) -> Self {
        Self { values: values.into_iter().collect(), ..Self::default() }
    }

    fn value(&self, name: &str) -> Result<&Zeroizing<String>, SecretError> {
        match self.values.get(name) {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(error.clone()),
            None => Err(SecretError { name: name.into(), why: "it is not declared in [secrets]".into() }),
        }
    }

    /// Whether a secret's value is available.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_ok()
    }

    /// Why a secret's value is not available; None where it is.
    pub fn missing(&self, name: &str) -> Option<SecretError> {
        self.value(name).err()
    }

    /// The text with its secrets and attributes filled in. For `Platform::apply` only.
    pub fn resolve(&self, text: &Text, attributes: &Attributes) -> Result<Zeroizing<String>, ResolveError> {
        let mut out = Zeroizing::new(String::new());
        for segment in text.segments() {
            match segment {
                Segment::Literal(literal) => out.push_str(literal),
                Segment::Secret { name, encoding } => out.push_str(&encode(self.value(name)?, *encoding)),
                Segment::Attribute { of, name } => {
                    let value = attributes.get(of).and_then(|a| a.get(name));
                    out.push_str(value.ok_or_else(|| ResolveError::Attribute { of: (**of).clone(), name: name.clone() })?);
                }
            }
        }
        Ok(out)
    }

    /// The fingerprint of a text that holds secrets. Attributes count by name, since their values may not be known yet.
    ///
    /// The slow derivation happens once for each distinct secret value; what is around the value is hashed with the
    /// derived key.
    pub fn fingerprint(&self, text: &Text, salt: Salt) -> Result<Fingerprint, SecretError> {
        let mut key = *blake3::hash(b"stratos fingerprint 1").as_bytes();
        for segment in text.segments() {
            let mut hash = blake3::Hasher::new_keyed(&key);
            match segment {
                Segment::Literal(literal) => hash.update(b"l").update(literal.as_bytes()),
                Segment::Secret { name, encoding } => {
                    hash.update(b"s").update(&[*encoding as u8]).update(&*self.derive(self.value(name)?, salt))
                }
                Segment::Attribute { of, name } => hash.update(b"a").update(format!("{of}.{name}").as_bytes()),
            };
            key = *hash.finalize().as_bytes();
        }
        let mut hash = [0; 16];
        hash.copy_from_slice(&key[..16]);
        Ok(Fingerprint::new(salt, hash))
    }

    fn derive(&self, value: &str, salt: Salt) -> Zeroizing<[u8; 32]> {
        let entry = (salt, blake3::keyed_hash(blake3::hash(&salt.0).as_bytes(), value.as_bytes()));
        let mut derived = self.derived.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(key) = derived.get(&entry) {
            return key.clone();
        }
        self.derivations.fetch_add(1, Ordering::Relaxed);
        let mut key = Zeroizing::new([0; 32]);
        let (memory, passes, lanes) = ARGON2;
        let argon2 = argon2::Params::new(memory, passes, lanes, Some(32))
            .map(|params| argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params));
        argon2
            .and_then(|argon2| argon2.hash_password_into(value.as_bytes(), &salt.0, &mut *key))
            .expect("constant parameters, a 16-byte salt and a 32-byte key are within Argon2's limits");
        derived.insert(entry, key.clone());
        key
    }

    /// How many slow derivations there were. A plan that finds nothing to do should need none where the platform
    /// returns the values, and at most one for each distinct value elsewhere.
    pub fn derivations(&self) -> usize {
        self.derivations.load(Ordering::Relaxed)
    }
}

fn encode(value: &str, encoding: Encoding) -> Zeroizing<String> {
    Zeroizing::new(match encoding {
        Encoding::Plain => value.to_owned(),
        Encoding::Urlencode => urlencode(value),
        Encoding::B64encode => base64::engine::general_purpose::STANDARD.encode(value),
        Encoding::Tojson => serde_json::Value::from(value).to_string(),
    })
}

/// Percent-encodes what RFC 3986 does not call unreserved.
pub(super) fn urlencode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[(&str, &str)]) -> Secrets {
        Secrets::new(values.iter().map(|(name, value)| (name.to_string(), Ok(Zeroizing::new(value.to_string())))))
    }

    fn text(encoding: Encoding) -> Text {
        [Segment::Literal("postgres://shop:".into()), Segment::Secret { name: "db".into(), encoding }, Segment::Literal("@db".into())]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_value_is_put_into_the_text_encoded() {
        let secrets = secrets(&[("db", "p@ss \"word\"/ü")]);
        let resolve = |encoding| secrets.resolve(&text(encoding), &Attributes::new()).unwrap().to_string();
        assert_eq!(resolve(Encoding::Plain), "postgres://shop:p@ss \"word\"/ü@db");
        assert_eq!(resolve(Encoding::Urlencode), "postgres://shop:p%40ss%20%22word%22%2F%C3%BC@db");
        assert_eq!(resolve(Encoding::B64encode), "postgres://shop:cEBzcyAid29yZCIvw7w=@db");
        assert_eq!(resolve(Encoding::Tojson), r#"postgres://shop:"p@ss \"word\"/ü"@db"#);
    }

    #[test]
    fn fingerprints_differ_by_value_salt_and_surroundings_and_agree_otherwise() {
        let (a, b) = (Salt([1; 16]), Salt([2; 16]));
        let one = secrets(&[("db", "one")]);
        let same = secrets(&[("db", "one")]).fingerprint(&text(Encoding::Plain), a).unwrap();
        let base = one.fingerprint(&text(Encoding::Plain), a).unwrap();
        assert_eq!(base, same);
        assert_ne!(base, secrets(&[("db", "two")]).fingerprint(&text(Encoding::Plain), a).unwrap());
        assert_ne!(base, one.fingerprint(&text(Encoding::Plain), b).unwrap());
        assert_ne!(base, one.fingerprint(&text(Encoding::Urlencode), a).unwrap());
        assert_eq!(base.to_string().parse::<Fingerprint>().unwrap(), base);
    }

    #[test]
    fn each_distinct_value_is_derived_once() {
        let secrets = secrets(&[("db", "one"), ("other", "one"), ("third", "three")]);
        for name in ["db", "other", "third", "db"] {
            let text = Text::from_iter([Segment::Secret { name: name.into(), encoding: Encoding::Plain }]);
            secrets.fingerprint(&text, Salt([1; 16])).unwrap();
        }
        assert_eq!(secrets.derivations(), 2);
    }

    #[test]
    fn a_missing_value_names_the_secret() {
        let error = secrets(&[]).resolve(&text(Encoding::Plain), &Attributes::new()).unwrap_err();
        assert_eq!(error.to_string(), "the secret \"db\" is not available: it is not declared in [secrets]");
    }
}
