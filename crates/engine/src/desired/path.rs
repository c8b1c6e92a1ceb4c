//! The address of one leaf in a [`Document`](super::document::Document).

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock, RwLock};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Stands between two segments. It sorts below every printable character, so that the children of a table
/// follow it directly when paths are sorted as plain text.
const SEPARATOR: char = '\u{1f}';

/// The address of a leaf: segments such as `ports`, `http`, `publish`.
///
/// Paths are interned: the same path is the same allocation, so the common comparison (equal) is one pointer.
/// In JSON a path is a JSON Pointer (RFC 6901); for people it is written as a dotted TOML key.
#[derive(Clone)]
pub struct Path(Arc<str>);

static INTERNED: LazyLock<RwLock<HashSet<Arc<str>>>> = LazyLock::new(Default::default);

impl Path {
    /// The path with these segments.
    pub fn new<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = String::with_capacity(48);
        for (i, segment) in segments.into_iter().enumerate() {
            if i > 0 {
                text.push(SEPARATOR);
            }
            text.push_str(segment);
        }
        Self::intern(&text)
    }

    fn intern(text: &str) -> Self {
        // A poisoned lock only means that another thread panicked between two consistent states.
        if let Some(found) = INTERNED.read().unwrap_or_else(|e| e.into_inner()).get(text) {
            return Self(found.clone());
        }
        let mut interned = INTERNED.write().unwrap_or_else(|e| e.into_inner());
        if let Some(found) = interned.get(text) {
            return Self(found.clone());
        }
        let made: Arc<str> = text.into();
        interned.insert(made.clone());
        Self(made)
    }

    /// The segments, outermost first.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split(SEPARATOR)
    }

    /// The path of a child of this one.
    pub fn child(&self, segment: &str) -> Self {
        Self::intern(&format!("{}{SEPARATOR}{segment}", self.0))
    }

    /// Whether the pattern covers this path: a dotted pattern covers its whole subtree, and `*` stands for
    /// exactly one segment (`ports.*.port`).
    pub fn matches(&self, pattern: &str) -> bool {
        let mut segments = self.segments();
        pattern.split('.').all(|wanted| segments.next().is_some_and(|s| wanted == "*" || wanted == s))
    }
}

/// The place in a list that a segment such as `[0003]` stands for. It is padded so that it sorts as a number does.
fn index(segment: &str) -> Option<u32> {
    segment.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}
impl Eq for Path {}

impl std::hash::Hash for Path {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Path {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { std::cmp::Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.segments().enumerate() {
            let bare = !segment.is_empty() && segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
            if let Some(index) = index(segment) {
                write!(f, "[{index}]")?;
                continue;
            }
            if i > 0 {
                f.write_str(".")?;
            }
            if bare || segment.starts_with('[') { f.write_str(segment)? } else { write!(f, "{segment:?}")? }
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pointer = String::new();
        for segment in self.segments() {
            pointer.push('/');
            pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        }
        serializer.serialize_str(&pointer)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pointer = String::deserialize(deserializer)?;
        let rest = pointer.strip_prefix('/').ok_or_else(|| D::Error::custom(format!("{pointer:?} is not a JSON pointer")))?;
        let segments: Vec<String> = rest.split('/').map(|s| s.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Self::new(segments.iter().map(String::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_path_is_the_same_allocation() {
        let a = Path::new(["env", "LOG_LEVEL"]);
        let b = Path::new(["env"]).child("LOG_LEVEL");
        assert!(Arc::ptr_eq(&a.0, &b.0));
    }

    #[test]
    fn children_sort_directly_after_their_table() {
        let mut paths = [Path::new(["a-b"]), Path::new(["a", "z"]), Path::new(["a"]), Path::new(["a", "b"])];
        paths.sort();
        assert_eq!(paths.map(|p| p.to_string()), ["a", "a.b", "a.z", "a-b"]);
    }

    #[test]
    fn json_pointers_survive_slashes_and_tildes() {
        let path = Path::new(["files", "/etc/~web/app.conf", "content"]);
        let json = serde_json::to_string(&path).unwrap();
        assert_eq!(json, r#""/files/~1etc~1~0web~1app.conf/content""#);
        assert_eq!(serde_json::from_str::<Path>(&json).unwrap(), path);
        assert_eq!(path.to_string(), r#"files."/etc/~web/app.conf".content"#);
        assert_eq!(Path::new(["command", "[0003]"]).to_string(), "command[3]");
    }

    #[test]
    fn a_pattern_covers_its_subtree() {
        let path = Path::new(["ports", "http", "port"]);
        assert!(path.matches("ports") && path.matches("ports.*.port") && path.matches("ports.http"));
        assert!(!path.matches("ports.*.publish") && !path.matches("port") && !path.matches("ports.http.port.x"));
    }
}
