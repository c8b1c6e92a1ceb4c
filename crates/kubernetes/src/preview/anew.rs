//! Changes that the server does not make in place: the object is planned to be replaced.

use http::Method;
use serde_json::{Value, json};
use stratos_engine::compare::FieldChange;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::Replacement;

use super::{Answer, Asked};
use crate::apply::APPLY;
use crate::connection::Content;
use crate::failure::Failure;
use crate::kind::GroupKind;
use crate::object::live::MANAGER;
use crate::object::segment;
use crate::shape;
use crate::types::is_built_in;

/// Kinds that are never replaced because a dry run says so: what they hold goes with them.
const KEPT: [&str; 4] = ["PersistentVolumeClaim", "PersistentVolume", "Namespace", "CustomResourceDefinition.apiextensions.k8s.io"];

/// How something is made anew. An operator may delete more with an object that it serves (a database, a bucket): the object is kept
/// until somebody agrees.
pub(super) fn replacement(kind: &GroupKind) -> Replacement {
    if is_built_in(kind) { shape::ANEW } else { shape::LOSES_DATA }
}

/// Whether nothing is wrong but that fields can be set only once, in the words that most kinds have for it.
pub(super) fn is_immutable(failure: &Failure) -> bool {
    let says_so =
        |message: &str| ["immutable", "updates to statefulset spec for fields other than"].iter().any(|words| message.contains(words));
    failure.causes().next().is_some() && failure.causes().all(|(_, message, _)| says_so(message))
}

/// Whether a refusal is about fields that differ, and about no others.
pub(super) fn is_at(failure: &Failure, fields: &[FieldChange]) -> bool {
    let differs = |at: &str| {
        let refused = names(at);
        let meets = |field: &FieldChange| refused.iter().zip(names_of(&field.path)).all(|(one, other)| *one == other);
        !refused.is_empty() && fields.iter().any(meets)
    };
    failure.reason() == "Invalid" && failure.causes().next().is_some() && failure.causes().all(|(_, _, at)| differs(at))
}

/// The fields in a path as the server writes it, without places in lists: `spec.ports[0].port`, `data[a.b]`.
fn names(at: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = at;
    while !rest.is_empty() {
        let (name, after) = match rest.strip_prefix('[') {
            Some(within) => within.split_once(']').unwrap_or((within, "")),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        let is_place = rest.starts_with('[') && name.bytes().all(|byte| byte.is_ascii_digit());
        out.extend((!name.is_empty() && !is_place && name != "<nil>").then_some(name));
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    out
}

/// The same of a path of ours.
fn names_of(path: &Path) -> impl Iterator<Item = &str> {
    let is_field =
        |segment: &&str| !segment.starts_with('[') && ![segment::EMPTY_OBJECT, segment::EMPTY_LIST, segment::ORDER].contains(segment);
    path.segments().filter(is_field)
}

impl Asked<'_> {
    /// A planned replacement, but for what holds data.
    pub(super) fn immutable(&self, failure: &Failure, refused: Answer) -> Answer {
        if KEPT.contains(&&*self.desired.id.kind) { refused } else { Answer::Immutable(failure.why().to_owned()) }
    }

    /// Whether the cluster would take the object as a new one, under a name that nothing has.
    pub(super) async fn may_be_made(&self, object: &Value) -> bool {
        if KEPT.contains(&&*self.desired.id.kind) {
            return false;
        }
        let name = self.spare_name();
        let mut object = object.clone();
        object["metadata"]["name"] = json!(name);
        // Nothing has this version: it is made, or refused.
        object["metadata"]["resourceVersion"] = json!("1");
        let path = format!("{}?fieldManager={MANAGER}&force=false&dryRun=All&fieldValidation=Strict", self.path(&name));
        let content = Content::of(APPLY, &object);
        self.platform.connection.send(Method::PATCH, &path, "application/json", Some(&content)).await.is_ok()
    }

    /// A name as short as the strictest kinds want it (a CronJob's has at most 52 characters).
    fn spare_name(&self) -> String {
        let name = &*self.desired.id.name;
        let start: String = name.chars().take(40).collect();
        let digest = self.desired.document.digest().to_string();
        format!("{}-{}", start.trim_end_matches(['-', '.']), digest.get(..8).unwrap_or("spare"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_in_a_path_of_the_server() {
        for (at, expected) in [
            ("", &[] as &[&str]),
            ("<nil>", &[]),
            ("[]", &[]),
            ("spec", &["spec"]),
            ("spec.ports[0].nodePort", &["spec", "ports", "nodePort"]),
            ("data[a.b]", &["data", "a.b"]),
            ("metadata.annotations[example.com/a].x", &["metadata", "annotations", "example.com/a", "x"]),
            ("spec.a[", &["spec", "a"]),
        ] {
            assert_eq!(names(at), expected, "{at}");
        }
    }

    #[test]
    fn a_path_of_ours_has_the_same_fields() {
        let path = Path::new(["spec", "ports", "[name=http]", "nodePort"]);
        assert_eq!(names_of(&path).collect::<Vec<_>>(), names("spec.ports[0].nodePort"));
        assert_eq!(
            names_of(&Path::new(["spec", "volumes", "[0001]", "emptyDir", "{}"])).collect::<Vec<_>>(),
            ["spec", "volumes", "emptyDir"]
        );
    }
}
