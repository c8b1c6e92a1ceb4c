//! What is sent: the object of a change, with its marks and its secrets.

use serde_json::{Value, json};
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::resource::Resource as Desired;
use stratos_engine::desired::text::Segment;
use zeroize::Zeroizing;

use super::{Answer, Call, Found};
use crate::connection::Content;
use crate::kind::Resource;
use crate::marks;
use crate::object::live::Live;
use crate::object::write;
use crate::platform::KubernetesPlatform;
use crate::read::listed;

impl Call<'_> {
    /// The object of the change, under a name. Over a live object it holds the version and the identity that were just read.
    pub(super) fn object(&self, found: &Found, name: &str, over: Option<&Live>) -> Result<Value, Answer> {
        let desired = self.desired()?;
        let is_secret = found.kind.group.is_empty() && found.kind.kind == "Secret";
        let whole = |leaf: &Leaf| match (leaf, leaf.text()) {
            (Leaf::Text(text), _) => Ok(text.to_string()),
            (_, Some(text)) => self.context.resolve(text).map(|value| value.to_string()).map_err(|error| error.to_string()),
            (other, None) => Err(format!("{other} is no text")),
        };
        let object = write::object(&desired.document, is_secret, &whole).map_err(|why| self.rejected(why))?;
        let mut object = marked(self.platform, desired, &found.resource, &found.namespace, self.context.revision, object);
        object["metadata"]["name"] = json!(name);
        if let Some(live) = over {
            object["metadata"]["resourceVersion"] = json!(live.meta.resource_version);
            object["metadata"]["uid"] = json!(live.meta.uid);
        }
        Ok(object)
    }

    /// A text that the server sent, without the secrets that it was sent.
    pub(super) fn without_secrets(&self, answer: Answer) -> Answer {
        let hide = |mut error: stratos_engine::platform::PlatformError| {
            for value in self.secret_values() {
                error.why = error.why.replace(value.as_str(), "(secret)");
            }
            error
        };
        match answer {
            Answer::Failed(error) => Answer::Failed(hide(error)),
            Answer::Lost(error) => Answer::Lost(hide(error)),
            Answer::Outrun(error) => Answer::Outrun(hide(error)),
            other @ (Answer::Done(_) | Answer::AlreadyDone(_) | Answer::Stale(_)) => other,
        }
    }

    /// The values that were sent, as they are and as they are encoded; none so short that it could be in any sentence.
    fn secret_values(&self) -> Vec<Zeroizing<String>> {
        use base64::Engine as _;
        let leaves = self.change.desired.iter().flat_map(|desired| desired.document.leaves());
        let secrets = leaves.filter_map(|(_, leaf)| matches!(leaf, Leaf::Secret { .. }).then(|| leaf.text()).flatten());
        let values = secrets.filter_map(|text| self.context.resolve(text).ok());
        let forms = values.flat_map(|value| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_bytes());
            [value, Zeroizing::new(encoded)]
        });
        forms.filter(|value| value.len() > 3).collect()
    }
}

/// The object of a document with its kind, its namespace and our marks: what an apply sends, and a dry run of it.
pub(crate) fn marked(
    platform: &KubernetesPlatform,
    desired: &Desired,
    resource: &Resource,
    namespace: &str,
    revision: Option<&str>,
    mut object: Value,
) -> Value {
    object["kind"] = json!(resource.kind);
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = json!({});
    }
    metadata["name"] = json!(&*desired.id.name);
    if resource.namespaced {
        metadata["namespace"] = json!(namespace);
    }
    let mut labels = marks::labels(&desired.marks);
    labels.insert(marks::APPLY_SET.to_owned(), platform.apply_set(&desired.marks.owner).id());
    for (map, entries) in [("labels", labels), ("annotations", annotations(desired, revision))] {
        if !metadata[map].is_object() {
            metadata[map] = json!({});
        }
        for (key, value) in entries {
            metadata[map][key] = json!(value);
        }
    }
    object
}

/// The annotations that are ours.
fn annotations(desired: &Desired, revision: Option<&str>) -> marks::Map {
    let marks = stratos_engine::desired::owner::Marks {
        revision: revision.map(str::to_owned).or_else(|| desired.marks.revision.clone()),
        specification: Some(desired.document.digest().to_string()),
        ..desired.marks.clone()
    };
    let mut out = marks::annotations(&marks);
    let here = desired.depends_on.iter().filter(|id| id.environment == desired.id.environment);
    let needs = listed(here);
    if !needs.is_empty() {
        out.insert(marks::NEEDS.to_owned(), needs);
    }
    let mut refers: Vec<_> = desired
        .document
        .leaves()
        .iter()
        .filter_map(|(_, leaf)| match leaf {
            Leaf::Ref(text) => match text.segments() {
                [Segment::Attribute { of, .. }] => Some(&**of),
                _ => None,
            },
            _ => None,
        })
        .collect();
    refers.sort();
    refers.dedup();
    if !refers.is_empty() {
        out.insert(marks::REFERS.to_owned(), listed(refers));
    }
    let fingerprints: serde_json::Map<String, Value> = desired
        .document
        .leaves()
        .iter()
        .filter_map(|(path, leaf)| match leaf {
            Leaf::Secret { fingerprint: Some(fingerprint), .. } => Some((path.segments().nth(1)?.to_owned(), json!(fingerprint))),
            _ => None,
        })
        .collect();
    if !fingerprints.is_empty() {
        out.insert(marks::FINGERPRINTS.to_owned(), Value::Object(fingerprints).to_string());
    }
    out
}

/// An object as it is sent.
pub(super) fn content(kind: &'static str, object: &Value) -> Content {
    Content::of(kind, object)
}
