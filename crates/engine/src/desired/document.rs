//! A resource's body in normal form: leaves sorted by path, compared by one merge pass.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::image::Image;
use super::path::Path;
use super::quantity::{Bytes, Cpu, Duration};
use super::shared::shared;
use super::text::Text;
use crate::render::secret::Fingerprint;

/// A resource's body: what is declared, or what is live, in the one normal form of its platform.
///
/// The normal form has no nulls, no empty tables and no defaults that a server filled in; what has no order is sorted
/// (by key, or by content); quantities are canonical; and no leaf holds an identifier that a server made. Two documents
/// mean the same exactly when they are equal. A clone is the same allocation until one of the two is changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "std::collections::BTreeMap<Path, Leaf>", into = "std::collections::BTreeMap<Path, Leaf>")]
pub struct Document {
    leaves: Arc<[(Path, Leaf)]>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leaf {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Another number, as JSON writes it.
    Number(Arc<str>),
    /// Text that is known.
    Text(Arc<str>),
    /// Thousandths of a core.
    Cpu(Cpu),
    /// A number of bytes.
    Bytes(Bytes),
    /// A length of time.
    Duration(Duration),
    /// An image: what was asked for, and the digest it is pinned to, where one is known.
    Image(Box<Image>),
    /// Text that holds a secret. The value is nowhere but in the resolver; `text` says what to ask it for, and is
    /// absent on live documents.
    Secret {
        /// What the text is made of; live documents do not know it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<Arc<Text>>,
        /// The keyed fingerprint of the value; none while it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
    },
    /// Text that holds attributes of other resources (and no secret).
    Ref(Arc<Text>),
    /// In a plan's new value: known after apply. In a live document: an identifier of something that is not there (any more).
    Unknown,
    /// Not ours to say, and never compared: replicas under an autoscaler, a port that the platform invents.
    ServerChosen,
}

impl Leaf {
    /// The leaf for a text: plain, secret or referring to others.
    pub fn from_text(text: &Text) -> Self {
        match text.as_literal() {
            Some(literal) => Self::Text(literal.into()),
            None if text.has_secret() => Self::Secret { text: Some(Arc::new(text.clone())), fingerprint: None },
            None => Self::Ref(Arc::new(text.clone())),
        }
    }

    /// The leaf for text that comes again and again. It stays in memory for a while when nobody has it any more, so it must not be one
    /// that may turn out to hold a secret.
    pub fn shared(text: &str) -> Self {
        Self::Text(shared(text))
    }

    /// The leaf for an image's name, as [`Image::parse`] reads it.
    pub fn image(written: &str) -> Self {
        Self::Image(Box::new(Image::parse(written)))
    }

    /// The pieces of a secret or referring leaf.
    pub fn text(&self) -> Option<&Arc<Text>> {
        match self {
            Self::Secret { text, .. } => text.as_ref(),
            Self::Ref(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a live value `self` is what the leaf `desired` asks for.
    ///
    /// A secret without a fingerprint is not verified, and taken for unchanged (`coverage` says so). An image without
    /// a digest asks for its tag alone.
    pub fn satisfies(&self, desired: &Leaf) -> bool {
        match (self, desired) {
            (_, Self::ServerChosen) => true,
            (Self::Secret { fingerprint: live, .. }, Self::Secret { fingerprint: wanted, .. }) => match (live, wanted) {
                (Some(live), Some(wanted)) => live == wanted,
                (_, None) => true,
                (None, Some(_)) => false,
            },
            (Self::Image(live), Self::Image(wanted)) => {
                live.has_the_name_of(wanted) && (wanted.digest.is_none() || live.digest == wanted.digest)
            }
            (live, wanted) => live == wanted,
        }
    }
}

/// For people, without quotes; a secret shows that it is one and nothing else.
impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(value) => f.write_str(value),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Cpu(value) => write!(f, "{value}"),
            Self::Bytes(value) => write!(f, "{value}"),
            Self::Duration(value) => write!(f, "{value}"),
            Self::Image(value) => write!(f, "{value}"),
            Self::Secret { .. } => f.write_str("(secret)"),
            Self::Ref(text) => write!(f, "{text}"),
            Self::Unknown => f.write_str("(known after apply)"),
            Self::ServerChosen => f.write_str("(chosen by the platform)"),
        }
    }
}

impl Document {
    /// The leaves, sorted by path.
    pub fn leaves(&self) -> &[(Path, Leaf)] {
        &self.leaves
    }

    /// The leaves, for stages that fill in what was not known (fingerprints, digests). Paths stay as they are. What is shared
    /// is copied: ask for them where something is to be filled in.
    pub fn leaves_mut(&mut self) -> impl Iterator<Item = (&Path, &mut Leaf)> {
        Arc::make_mut(&mut self.leaves).iter_mut().map(|(path, leaf)| (&*path, leaf))
    }

    /// The leaf at a path.
    pub fn get(&self, path: &Path) -> Option<&Leaf> {
        self.leaves.binary_search_by(|(p, _)| p.cmp(path)).ok().map(|i| &self.leaves[i].1)
    }

    /// This document; or the other one, where both are equal. What is unchanged is then in memory once, and found equal at once.
    pub fn shared_with(self, other: &Self) -> Self {
        if self == *other { other.clone() } else { self }
    }

    /// Whether both are the same allocation, and so equal.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.leaves, &other.leaves)
    }

    /// Whether it has no leaf.
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// The same document with these leaves changed: `Some` sets, `None` removes.
    pub fn with(&self, changes: impl IntoIterator<Item = (Path, Option<Leaf>)>) -> Self {
        let mut leaves: std::collections::BTreeMap<Path, Leaf> = self.leaves.iter().cloned().collect();
        for (path, leaf) in changes {
            match leaf {
                Some(leaf) => leaves.insert(path, leaf),
                None => leaves.remove(&path),
            };
        }
        leaves.into()
    }

    /// A digest of the normal form. What is not compared is not in it: leaves that the server chooses, an image's
    /// digest (the tag is what was asked for), and what a secret's text is made of (its fingerprint is in it). Nor is what
    /// a reference refers to: when that is made anew in the same run, the reference dangles for a moment.
    pub fn digest(&self) -> Digest {
        let mut hash = blake3::Hasher::new();
        let mut part = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for (path, leaf) in &*self.leaves {
            let (tag, value) = match leaf {
                Leaf::ServerChosen => continue,
                Leaf::Bool(value) => ("bool", value.to_string()),
                Leaf::Integer(value) => ("integer", value.to_string()),
                Leaf::Number(value) => ("number", value.to_string()),
                Leaf::Text(value) => {
                    path.segments().for_each(|s| part(s.as_bytes()));
                    part(b"text");
                    part(value.as_bytes());
                    continue;
                }
                Leaf::Cpu(value) => ("cpu", value.0.to_string()),
                Leaf::Bytes(value) => ("bytes", value.0.to_string()),
                Leaf::Duration(value) => ("duration", value.0.to_string()),
                Leaf::Image(value) => ("image", value.reference.to_string()),
                Leaf::Secret { fingerprint, .. } => ("secret", fingerprint.as_ref().map(|f| f.to_string()).unwrap_or_default()),
                Leaf::Ref(_) | Leaf::Unknown => ("ref", String::new()),
            };
            path.segments().for_each(|s| part(s.as_bytes()));
            part(tag.as_bytes());
            part(value.as_bytes());
        }
        Digest(hash.finalize().to_hex()[..32].into())
    }
}

impl From<std::collections::BTreeMap<Path, Leaf>> for Document {
    fn from(leaves: std::collections::BTreeMap<Path, Leaf>) -> Self {
        Self { leaves: leaves.into_iter().collect() }
    }
}
impl From<Document> for std::collections::BTreeMap<Path, Leaf> {
    fn from(document: Document) -> Self {
        document.leaves.iter().cloned().collect()
    }
}
/// A later leaf at the same path replaces an earlier one.
impl FromIterator<(Path, Leaf)> for Document {
    fn from_iter<I: IntoIterator<Item = (Path, Leaf)>>(leaves: I) -> Self {
        let mut leaves: Vec<_> = leaves.into_iter().collect();
        leaves.sort_by(|a, b| a.0.cmp(&b.0));
        leaves.reverse();
        leaves.dedup_by(|a, b| a.0 == b.0);
        leaves.reverse();
        Self { leaves: leaves.into() }
    }
}

impl JsonSchema for Document {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Document".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let leaf = generator.subschema_for::<Leaf>();
        schemars::json_schema!({
            "description": "A resource's body: JSON pointers to leaves.",
            "type": "object",
            "additionalProperties": leaf
        })
    }
}

/// A digest of a document's normal form: 32 hexadecimal digits of BLAKE3.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Digest(String);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Collects leaves for a document.
#[derive(Debug, Default)]
pub struct DocumentBuilder {
    leaves: Vec<(Path, Leaf)>,
}

impl DocumentBuilder {
    /// Adds a leaf. An empty value has no place in the normal form: leave it out.
    pub fn put<'a>(&mut self, path: impl IntoIterator<Item = &'a str>, leaf: Leaf) -> &mut Self {
        self.leaves.push((Path::new(path), leaf));
        self
    }

    /// Adds plain text.
    pub fn text<'a>(&mut self, path: impl IntoIterator<Item = &'a str>, text: &str) -> &mut Self {
        self.put(path, Leaf::Text(text.into()))
    }

    /// Adds a whole number.
    pub fn integer<'a>(&mut self, path: impl IntoIterator<Item = &'a str>, value: impl Into<i64>) -> &mut Self {
        self.put(path, Leaf::Integer(value.into()))
    }

    /// Adds an ordered list of texts, one leaf for each: `command[0]`, `command[1]`.
    pub fn list(&mut self, path: &[&str], texts: &[Text]) -> &mut Self {
        for (index, text) in texts.iter().enumerate() {
            let index = format!("[{index:04}]");
            self.put(path.iter().copied().chain([index.as_str()]), Leaf::from_text(text));
        }
        self
    }

    /// The document.
    pub fn build(self) -> Document {
        self.leaves.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(leaves: &[(&[&str], Leaf)]) -> Document {
        leaves.iter().map(|(path, leaf)| (Path::new(path.iter().copied()), leaf.clone())).collect()
    }

    #[test]
    fn nothing_is_equal_to_nothing() {
        assert!(Document::default().is_empty());
        assert_eq!(Document::default().digest(), Document::default().digest());
    }

    #[test]
    fn the_order_in_which_leaves_are_put_does_not_matter_and_the_last_one_wins() {
        let a = document(&[(&["b"], Leaf::Integer(1)), (&["a"], Leaf::Bool(true)), (&["b"], Leaf::Integer(2))]);
        let b = document(&[(&["a"], Leaf::Bool(true)), (&["b"], Leaf::Integer(2))]);
        assert_eq!(a, b);
        assert_eq!(a.digest(), b.digest());
        assert_eq!(a.get(&Path::new(["b"])), Some(&Leaf::Integer(2)));
    }

    #[test]
    fn equal_documents_can_be_one_and_a_change_of_one_is_none_of_the_other() {
        let one = document(&[(&["a"], Leaf::Integer(1))]);
        let mut same = document(&[(&["a"], Leaf::Integer(1))]).shared_with(&one);
        assert!(same.is(&one));
        same.leaves_mut().for_each(|(_, leaf)| *leaf = Leaf::Integer(2));
        assert!(!same.is(&one) && one == document(&[(&["a"], Leaf::Integer(1))]));
        assert!(!same.shared_with(&one).is(&one));
    }

    /// Platforms read what is live with a builder, and hide the secrets in it afterwards.
    #[test]
    fn text_that_may_turn_out_to_hold_a_secret_is_not_remembered() {
        let text = || match DocumentBuilder::default().text(["command"], "hunter2").leaves.pop() {
            Some((_, Leaf::Text(text))) => text,
            other => panic!("{other:?}"),
        };
        assert!(!Arc::ptr_eq(&text(), &text()));
        let leaf = || Leaf::from_text(&Text::literal("hunter2"));
        assert!(matches!((leaf(), leaf()), (Leaf::Text(one), Leaf::Text(other)) if !Arc::ptr_eq(&one, &other)));
    }

    /// A document has some twenty leaves, and a plan as many documents as there are resources: what is rare and large is behind
    /// a pointer.
    #[test]
    fn a_leaf_is_no_larger_than_its_text() {
        assert_eq!(size_of::<Leaf>(), size_of::<Arc<str>>() + size_of::<usize>());
    }

    #[test]
    fn the_digest_tells_types_and_places_apart() {
        let digests = [
            document(&[(&["a"], Leaf::Text("1".into()))]),
            document(&[(&["a"], Leaf::Integer(1))]),
            document(&[(&["a", "b"], Leaf::Integer(1))]),
            document(&[(&["ab"], Leaf::Integer(1))]),
            Document::default(),
        ]
        .map(|d| d.digest().to_string());
        let mut unique = digests.to_vec();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), digests.len());
    }

    #[test]
    fn what_the_server_chooses_is_not_in_the_digest() {
        assert_eq!(document(&[(&["port"], Leaf::ServerChosen)]).digest(), Document::default().digest());
    }

    #[test]
    fn a_tag_is_satisfied_by_any_digest_and_a_digest_by_itself_alone() {
        let live = Leaf::image("web:1@sha256:aa");
        assert!(live.satisfies(&Leaf::image("web:1")));
        assert!(!live.satisfies(&Leaf::image("web:1@sha256:bb")));
        assert!(!live.satisfies(&Leaf::image("web:2")));
    }
}
