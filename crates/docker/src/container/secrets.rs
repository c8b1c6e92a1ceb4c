//! Secrets in what the engine gives back: which texts hold one is recorded in a label.
//!
//! The label holds paths and fingerprints, never a value. A value comes back with the object (whoever may use the engine's
//! API can read a container's environment), is compared by the engine of Stratos, and is dropped.

use std::collections::{BTreeMap, HashMap};

use stratos_engine::desired::document::{Document, DocumentBuilder, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::render::secret::Fingerprint;
use zeroize::Zeroizing;

use crate::labels;

/// The fields that people write secrets into.
const MAY_BE_SECRET: [&str; 4] = ["environment", "command", "entrypoint", "labels"];

/// The label's name.
pub(crate) const LABEL: &str = "stratos.secrets";

/// The label of a document; None where nothing in it is secret.
pub(crate) fn label(document: &Document) -> Option<(String, String)> {
    let secret = |(path, leaf): &(Path, Leaf)| match leaf {
        Leaf::Secret { fingerprint, .. } => Some((path.clone(), fingerprint.clone())),
        _ => None,
    };
    let secrets: BTreeMap<Path, Option<Fingerprint>> = document.leaves().iter().filter_map(secret).collect();
    if secrets.is_empty() {
        return None;
    }
    Some((LABEL.to_owned(), serde_json::to_string(&secrets).unwrap_or_default()))
}

/// The document of what was read, with what is or may be secret hidden; and the values that were hidden.
///
/// What our label names is secret. Where the label is damaged, and on what Stratos did not write, nobody knows: all that may
/// hold a secret is hidden.
pub(crate) fn hide(read: DocumentBuilder, labels: &HashMap<String, String>) -> (Document, Vec<(Path, Zeroizing<String>)>) {
    let mut document = read.build();
    let known: Option<BTreeMap<Path, Option<Fingerprint>>> = match labels.get(LABEL) {
        Some(label) => serde_json::from_str(label).ok(),
        None => labels::owner(labels).map(|_| BTreeMap::new()),
    };
    let mut values = Vec::new();
    for (path, leaf) in document.leaves_mut() {
        let fingerprint = match &known {
            Some(secrets) => secrets.get(path).cloned(),
            None => MAY_BE_SECRET.iter().any(|field| path.matches(field)).then_some(None),
        };
        let (Some(fingerprint), Leaf::Text(value)) = (fingerprint, &*leaf) else { continue };
        values.push((path.clone(), Zeroizing::new(value.to_string())));
        *leaf = Leaf::Secret { text: None, fingerprint };
    }
    (document, values)
}
