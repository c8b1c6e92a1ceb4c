//! The definitions of kinds that change in a plan, and what needs them.

use std::collections::HashMap;

use serde_json::Value;
use stratos_engine::compare::{Difference, FieldChange};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::resource::{Resource, ResourceId};

use crate::kind::GroupKind;
use crate::object::write;

const KIND: &str = "CustomResourceDefinition.apiextensions.k8s.io";

/// A definition that is made or changed.
struct Definition {
    id: ResourceId,
    /// The versions that it serves then: `example.com/v1`.
    versions: Vec<String>,
}

/// By the kind that is defined.
#[derive(Default)]
pub(crate) struct Definitions(HashMap<GroupKind, Definition>);

impl Definitions {
    /// The definitions among these differences whose kind is another one afterwards.
    pub(crate) fn of(differences: &[Difference]) -> Self {
        let changing = differences.iter().filter(|difference| is_definition(difference)).filter_map(|difference| match difference {
            Difference::Missing(desired) => Some(desired),
            Difference::Differs { desired, fields, .. } => changes_kind(fields).then_some(desired),
            // One that is somebody else's is there, and stays as it is where nobody agrees.
            Difference::Taken { .. } | Difference::Refused { .. } | Difference::Undeclared(_) => None,
        });
        Self(changing.filter_map(read).collect())
    }

    /// Forgets a definition that is not changed: what the cluster refuses.
    pub(crate) fn forget(&mut self, id: &ResourceId) {
        self.0.retain(|_, definition| definition.id != *id);
    }

    /// Forgets one whose kind stays as it is, by what the cluster would store of it.
    pub(crate) fn forget_unless_changed(&mut self, id: &ResourceId, stored: &Document, live: &Document) {
        if !changes_kind(&stratos_engine::compare::fields(stored, live)) {
            self.forget(id);
        }
    }

    /// The definition of a kind.
    pub(crate) fn id(&self, kind: &GroupKind) -> Option<&ResourceId> {
        Some(&self.0.get(kind)?.id)
    }

    /// Whether a definition brings this kind in this version.
    pub(crate) fn bring(&self, kind: &GroupKind, api_version: &str) -> bool {
        self.0.get(kind).is_some_and(|definition| definition.versions.iter().any(|version| version == api_version))
    }
}

/// Whether a difference is about a definition.
pub(crate) fn is_definition(difference: &Difference) -> bool {
    &*difference.id().kind == KIND
}

fn changes_kind(fields: &[FieldChange]) -> bool {
    fields.iter().any(|field| field.path.segments().next() == Some("spec"))
}

fn read(desired: &Resource) -> Option<(GroupKind, Definition)> {
    let whole = |leaf: &Leaf| match leaf {
        Leaf::Text(text) => Ok(text.to_string()),
        other => Err(format!("{other} is no text")),
    };
    let object = write::object(&desired.document, false, &whole).ok()?;
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (group, kind) = (text("/spec/group")?, text("/spec/names/kind")?);
    let versions = object.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    let served = versions.filter(|version| version.get("served") == Some(&Value::Bool(true)));
    let names = served.filter_map(|version| Some(format!("{group}/{}", version.get("name")?.as_str()?)));
    let definition = Definition { id: desired.id.clone(), versions: names.collect() };
    Some((GroupKind { kind: kind.to_owned(), group: group.to_owned() }, definition))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stratos_engine::desired::name::Name;
    use stratos_engine::desired::owner::{Marks, Owner};

    use super::*;
    use crate::object::desired::{Identity, document};
    use crate::shape;

    fn missing(object: &Value) -> Difference {
        let dev = Name::new("dev").unwrap();
        let owner = Owner { project: "p".into(), environment: dev.clone() };
        let identity = Identity::of(object).unwrap();
        let kind = identity.group_kind();
        Difference::Missing(Resource {
            id: ResourceId::new(&dev, &kind.to_string(), &identity.name),
            marks: Marks { owner, app: dev, protect: false, revision: None, specification: None },
            document: document(&identity, object).unwrap(),
            depends_on: vec![],
            rollout_timeout: None,
            moved_from: None,
            shape: shape::of(&kind),
        })
    }

    #[test]
    fn nothing_is_defined_where_nothing_changes() {
        assert_eq!(Definitions::of(&[]).id(&GroupKind::parse("Net.example.com")), None);
    }

    #[test]
    fn a_definition_brings_the_versions_that_it_serves() {
        let definition = missing(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "nets.example.com" },
            "spec": { "group": "example.com", "names": { "kind": "Net", "plural": "nets" }, "scope": "Namespaced", "versions": [
                { "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } },
                { "name": "v1alpha1", "served": false, "storage": false, "schema": { "openAPIV3Schema": { "type": "object" } } },
            ] },
        }));
        let mut definitions = Definitions::of(&[definition]);
        let net = GroupKind::parse("Net.example.com");
        assert!(definitions.bring(&net, "example.com/v1"));
        assert!(!definitions.bring(&net, "example.com/v1alpha1"), "it is not served");
        assert!(!definitions.bring(&GroupKind::parse("Net.example.org"), "example.org/v1"));
        let id = definitions.id(&net).unwrap().clone();
        assert_eq!(&*id.name, "nets.example.com");
        definitions.forget(&id);
        assert!(!definitions.bring(&net, "example.com/v1"));
    }
}
