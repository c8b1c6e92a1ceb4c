//! Paths with what follows the question mark.

use std::fmt::Write as _;

/// A path that parameters are added to, encoded.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    text: String,
    begun: bool,
}

impl Query {
    pub(crate) fn of(path: impl Into<String>) -> Self {
        Self { text: path.into(), begun: false }
    }

    /// Adds a parameter.
    #[must_use]
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.with_encoded(name, &encode(value))
    }

    /// Adds a parameter whose value is encoded already.
    #[must_use]
    pub(crate) fn with_encoded(mut self, name: &str, value: &str) -> Self {
        let between = if self.begun { '&' } else { '?' };
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{between}{name}={value}");
        self.begun = true;
        self
    }

    /// The path with its parameters.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// A segment of a path. RBAC takes any name that is one (`system:node`, `100%`); a colon means nothing special there.
pub(crate) fn segment(text: &str) -> String {
    encode(text).replace("%3A", ":")
}

/// All but what RFC 3986 calls unreserved becomes `%XX`.
fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_paths_are_encoded() {
        for (name, encoded) in
            [("system:node", "system:node"), ("a b", "a%20b"), ("100%", "100%25"), ("a/b?c#d", "a%2Fb%3Fc%23d"), ("ü", "%C3%BC")]
        {
            assert_eq!(segment(name), encoded);
        }
    }

    #[test]
    fn parameters_are_encoded() {
        assert_eq!(Query::of("/api/v1/pods").as_str(), "/api/v1/pods");
        let query = Query::of("/x").with("command", "a b&c=ü").with_encoded("labelSelector", "a%3Db");
        assert_eq!(query.as_str(), "/x?command=a%20b%26c%3D%C3%BC&labelSelector=a%3Db");
    }
}
