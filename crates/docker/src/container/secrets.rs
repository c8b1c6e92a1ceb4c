//! Secrets in what the engine gives back: which texts hold one is recorded in a label.
//!
//! The label holds paths and fingerprints, never a value. A value comes back with the object (whoever may use the engine's
//! API can read a container's environment), is compared by the engine of Stratos, and is dropped.

use std::collections::BTreeMap;

use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::render::secret::Fingerprint;
use zeroize::Zeroizing;

/// The label's name.
pub(crate) const LABEL: &str = "stratos.secrets";

/// The label of a document; None where nothing in it is secret.
pub(crate) fn label(document: &Document) -> Option<(String, String)> {
    let secret = |(path, leaf): &(Path, Leaf)| match leaf {
        Leaf::Secret { fingerprint, .. } => Some((path.clone(), *fingerprint)),
        _ => None,
    };
    let secrets: BTreeMap<Path, Option<Fingerprint>> = document.leaves().iter().filter_map(secret).collect();
    if secrets.is_empty() {
        return None;
    }
    Some((LABEL.to_owned(), serde_json::to_string(&secrets).unwrap_or_default()))
}

/// The document of what was read, with what the label names hidden; and the values that were hidden.
pub(crate) fn hide(read: DocumentBuilder, label: Option<&str>) -> (Document, Vec<(Path, Zeroizing<String>)>) {
    let mut document = read.build();
    // A label that somebody damaged names nothing: the values then differ as plain text, in a plan that says so. They would
    // be shown there, so all of what may hold secrets is hidden instead.
    let Some(label) = label else { return (document, Vec::new()) };
    let secrets: Option<BTreeMap<Path, Option<Fingerprint>>> = serde_json::from_str(label).ok();
    let mut values = Vec::new();
    for (path, leaf) in document.leaves_mut() {
        let fingerprint = match &secrets {
            Some(secrets) => secrets.get(path).copied(),
            None => ["environment", "command", "entrypoint", "labels"].iter().any(|field| path.matches(field)).then_some(None),
        };
        let (Some(fingerprint), Leaf::Text(value)) = (fingerprint, &*leaf) else { continue };
        values.push((path.clone(), Zeroizing::new(value.to_string())));
        *leaf = Leaf::Secret { text: None, fingerprint };
    }
    (document, values)
}
