//! An object as the server returns it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map as Object, Value};
use stratos_engine::desired::document::Document;
use stratos_engine::desired::owner::{Owner, Ownership};

use super::fields::{FieldSet, Step};
use crate::marks::{self, Map};

/// The name that we write under, in `metadata.managedFields`.
pub(crate) const MANAGER: &str = "stratos";
/// The name that restarts are written under: what it sets is no part of any document.
pub(crate) const RESTARTER: &str = "stratos-restart";

/// An object.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) meta: Meta,
    /// The whole object, but for `metadata.managedFields`.
    pub(crate) body: Value,
}

/// `metadata`.
#[derive(Debug, Default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) deletion_timestamp: Option<String>,
    pub(crate) finalizers: Vec<String>,
    pub(crate) labels: Map,
    pub(crate) annotations: Map,
    pub(crate) managed_fields: Vec<Managed>,
}

/// What one manager has written in one way.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Managed {
    pub(crate) manager: String,
    /// `Apply` or `Update`.
    pub(crate) operation: String,
    pub(crate) api_version: String,
    pub(crate) time: Option<String>,
    /// `scale`, `status`; empty for the object itself.
    pub(crate) subresource: String,
    #[serde(rename = "fieldsV1")]
    pub(crate) fields: FieldSet,
}

/// Who wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// We did, by server-side apply.
    Us,
    /// A person did, with a tool that edits single objects. What is ours is set right again.
    ByHand,
    /// A controller, another tool, or we ourselves beside the document: it is left alone.
    Another,
}

/// Tools with which people change single objects. What they leave in an object of ours is a change by hand.
const BY_HAND: [&str; 7] = ["kubectl", "before-first-apply", "k9s", "rancher", "node-fetch", "Mozilla", "oc"];
/// Tools with which people make whole objects from files. When an object is adopted, what they wrote is taken over like a change by hand;
/// in an object that we have applied they are another manager. Controllers that do the same (Flux, Argo CD) are no part of this: they would
/// write it again.
const BY_FILE: [&str; 8] = ["helm", "Helm", "Terraform", "HashiCorp", "terraform-provider", "pulumi", "kapp", "werf"];
/// The uses of kubectl that write what stands in a file: its labels and annotations are no notes of people.
const KUBECTL_BY_FILE: [&str; 4] = ["kubectl-client-side-apply", "kubectl-create", "kubectl-replace", "before-first-apply"];
/// `kubectl apply` as it is without `--server-side`, and where it notes what it has applied.
const CLIENT_SIDE: &str = "kubectl-client-side-apply";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Uses of these tools that are no changes: a restart, a number of instances that an autoscaler has as well.
const NOT_BY_HAND: [&str; 3] = ["kubectl-rollout", "kubectl-label", "kubectl-annotate"];

/// Whether a manager is one of these tools: `kubectl`, `kubectl-edit`. A controller that is called after a tool (`helm-controller`) is none.
fn is_one_of(manager: &str, tools: &[&str]) -> bool {
    !manager.ends_with("-controller")
        && tools.iter().any(|tool| manager.strip_prefix(tool).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

impl Managed {
    /// The entry with these fields.
    fn entry(&self, fields: &FieldSet) -> Value {
        let Self { manager, operation, api_version, time, subresource, fields: _ } = self;
        let mut entry = serde_json::json!({
            "manager": manager, "operation": operation, "apiVersion": api_version, "fieldsType": "FieldsV1", "fieldsV1": fields.to_value(),
        });
        if let Some(time) = time {
            entry["time"] = Value::from(time.as_str());
        }
        if !subresource.is_empty() {
            entry["subresource"] = Value::from(subresource.as_str());
        }
        entry
    }

    /// Who wrote it, in an object that we have applied.
    pub(crate) fn writer(&self) -> Writer {
        match (self.manager.as_str(), self.operation.as_str()) {
            _ if !self.subresource.is_empty() => Writer::Another,
            (MANAGER, "Apply") => Writer::Us,
            (name, _) if is_one_of(name, &BY_HAND) && !NOT_BY_HAND.contains(&name) => Writer::ByHand,
            _ => Writer::Another,
        }
    }

    /// Whether its labels and annotations stood in a file: left to it, one that leaves the manifest would stay for ever. In an object that we
    /// have applied only `kubectl apply` is such a tool: what others write there are notes.
    fn is_by_file(&self, adopting: bool) -> bool {
        let applies = self.manager == "kubectl" && self.operation == "Apply";
        let by_file = || is_one_of(&self.manager, &BY_FILE) || KUBECTL_BY_FILE.contains(&self.manager.as_str()) || applies;
        self.manager == CLIENT_SIDE || adopting && by_file()
    }
}

impl Live {
    /// Reads one object.
    pub(crate) fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(bytes)
    }

    /// Whose it is. Controllers copy labels to what they make (a Service's to its EndpointSlices): what one of them made, and we never
    /// wrote, is not ours.
    pub(crate) fn ownership(&self, us: &Owner) -> Ownership {
        let ours = |managed: &Managed| managed.manager == MANAGER;
        if self.has_controller() && !self.meta.managed_fields.iter().any(ours) {
            return Ownership::Unmarked;
        }
        marks::ownership(&self.meta.labels, &self.meta.annotations, us)
    }

    /// What our server-side apply manages.
    pub(crate) fn applied(&self) -> FieldSet {
        let mut out = FieldSet::default();
        for managed in self.meta.managed_fields.iter().filter(|managed| managed.writer() == Writer::Us) {
            out.add(managed.fields.clone());
        }
        out
    }

    /// The version of the kind that our server-side apply was made in.
    pub(crate) fn applied_version(&self) -> Option<&str> {
        self.meta.managed_fields.iter().find(|managed| managed.writer() == Writer::Us).map(|managed| &*managed.api_version)
    }

    /// Whether a document is just what we wrote last, and nobody has changed a field of it since. A change by another would have taken the
    /// field over.
    pub(crate) fn is_as_written(&self, document: &Document) -> bool {
        let written = self.meta.annotations.get(marks::SPECIFICATION);
        written.is_some_and(|written| *written == document.digest().to_string()) && !self.must_be_taken_over()
    }

    /// It is being deleted, and is there only until its finalizers are done.
    pub(crate) fn is_going(&self) -> bool {
        self.meta.deletion_timestamp.is_some()
    }

    /// A controller made it, and deletes it with what it belongs to.
    pub(crate) fn has_controller(&self) -> bool {
        let owners = self.body.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| owner.get("controller") == Some(&Value::Bool(true)))
    }

    /// Others than us and people hold fields that are no status: an apply over them may be a conflict.
    pub(crate) fn has_other_writers(&self) -> bool {
        let holds = |managed: &Managed| managed.subresource != "status" && !managed.fields.clone().without("status").parts.is_empty();
        self.meta.managed_fields.iter().any(|managed| managed.writer() == Writer::Another && holds(managed))
    }

    /// We have applied nothing of it: to write it is to adopt it.
    fn is_foreign(&self) -> bool {
        !self.meta.managed_fields.iter().any(|managed| managed.writer() == Writer::Us)
    }

    /// Who wrote something of it. In what is to be adopted, a tool that makes whole objects counts as a hand.
    pub(crate) fn writer(&self, managed: &Managed) -> Writer {
        let is_tool = managed.subresource.is_empty() && is_one_of(&managed.manager, &BY_FILE);
        if is_tool && self.is_foreign() { Writer::ByHand } else { managed.writer() }
    }

    /// Paths of one version of the API mean nothing in another one: entries of different versions are never merged.
    fn is_of_this_version(&self, managed: &Managed) -> bool {
        let version = self.body.get("apiVersion").and_then(Value::as_str);
        let is_same = |version: &str| managed.api_version.is_empty() || managed.api_version == version;
        let ours = self.meta.managed_fields.iter().find(|managed| managed.writer() == Writer::Us);
        version.is_none_or(|version| is_same(version) && ours.is_none_or(|ours| ours.api_version == version))
    }

    /// The fields of another manager's entry that are ours to say: everything written by hand, but for labels and annotations, where
    /// tools and people leave notes; and of these our own marks, whoever wrote them.
    fn ours_to_say(&self, managed: &Managed) -> FieldSet {
        let writer = self.writer(managed);
        if writer == Writer::Us || !managed.subresource.is_empty() || !self.is_of_this_version(managed) {
            return FieldSet::default();
        }
        let mut out = if writer == Writer::ByHand { managed.fields.clone().without("metadata") } else { FieldSet::default() };
        let declared = managed.is_by_file(self.is_foreign());
        for map in ["labels", "annotations"] {
            let notes = managed.fields.below("metadata").and_then(|metadata| metadata.below(map));
            let is_said = |step: &Step| matches!(step, Step::Field(name) if marks::is_ours(name) || declared && name != LAST_APPLIED);
            let parts: Vec<_> = notes.iter().flat_map(|notes| &notes.parts).filter(|(step, _)| is_said(step)).cloned().collect();
            if !parts.is_empty() {
                let within = |field: &str, set: FieldSet| FieldSet { itself: false, parts: vec![(Step::Field(field.to_owned()), set)] };
                out.add(within("metadata", within(map, FieldSet { itself: false, parts })));
            }
        }
        out
    }

    /// The Helm release that owns it, by Helm's own marks: its name and namespace.
    pub(crate) fn helm_release(&self) -> Option<(&str, &str)> {
        let annotation = |name: &str| self.meta.annotations.get(name).map(String::as_str);
        let is_helms = self.meta.labels.get("app.kubernetes.io/managed-by").is_some_and(|tool| tool == "Helm");
        let release = annotation("meta.helm.sh/release-name").filter(|_| is_helms)?;
        Some((release, annotation("meta.helm.sh/release-namespace").or(self.meta.namespace.as_deref()).unwrap_or_default()))
    }

    /// The fields that are ours to say, whoever changed them.
    pub(crate) fn ours(&self) -> Cow<'_, FieldSet> {
        let mut out: Cow<'_, FieldSet> = Cow::default();
        for managed in &self.meta.managed_fields {
            let more = match managed.writer() {
                Writer::Us => Cow::Borrowed(&managed.fields),
                _ => Cow::Owned(self.ours_to_say(managed)),
            };
            if out.parts.is_empty() && !out.itself {
                out = more;
            } else if !more.parts.is_empty() || more.itself {
                out.to_mut().add(more.into_owned());
            }
        }
        out
    }

    /// Whether others than our server-side apply hold fields that are ours to say: they could not be removed.
    pub(crate) fn must_be_taken_over(&self) -> bool {
        let others = self.meta.managed_fields.iter().filter(|managed| managed.writer() != Writer::Us);
        others.into_iter().any(|managed| !self.ours_to_say(managed).parts.is_empty())
    }

    /// `metadata.managedFields` in which everything that is ours to say is managed by our server-side apply.
    pub(crate) fn taken_over(&self, api_version: &str) -> Value {
        let ours = self.ours();
        let own = Managed {
            manager: MANAGER.to_owned(),
            operation: "Apply".to_owned(),
            api_version: api_version.to_owned(),
            ..Managed::default()
        };
        let mut out = vec![own.entry(&ours)];
        for managed in &self.meta.managed_fields {
            if managed.writer() == Writer::Us {
                continue;
            }
            let kept = managed.fields.less(&self.ours_to_say(managed));
            if !kept.parts.is_empty() {
                out.push(managed.entry(&kept));
            }
        }
        Value::Array(out)
    }

    /// `metadata.managedFields` in which the entry of our server-side apply alone names another version. Right only where the paths of fields
    /// mean the same in both.
    pub(crate) fn with_applied_version(&self, api_version: &str) -> Value {
        let entry = |managed: &Managed| match managed.writer() {
            Writer::Us => Managed { api_version: api_version.to_owned(), ..managed.clone() }.entry(&managed.fields),
            _ => managed.entry(&managed.fields),
        };
        self.meta.managed_fields.iter().map(entry).collect()
    }
}

impl Meta {
    /// Takes what is known by this name.
    fn take(&mut self, key: &str, value: &Value) -> serde_json::Result<()> {
        match key {
            "name" => self.name = String::deserialize(value)?,
            "namespace" => self.namespace = Option::deserialize(value)?,
            "uid" => self.uid = String::deserialize(value)?,
            "resourceVersion" => self.resource_version = String::deserialize(value)?,
            "deletionTimestamp" => self.deletion_timestamp = Option::deserialize(value)?,
            "finalizers" => self.finalizers = Vec::deserialize(value)?,
            "labels" => self.labels = Map::deserialize(value)?,
            "annotations" => self.annotations = Map::deserialize(value)?,
            _ => {}
        }
        Ok(())
    }
}

/// In one pass: `managedFields` is the larger half of most objects, and never becomes a value.
impl<'de> Deserialize<'de> for Live {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Live;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Live, A::Error> {
                let (mut meta, mut body) = (Meta::default(), Object::new());
                while let Some(key) = map.next_key::<String>()? {
                    let value = match key.as_str() {
                        "metadata" => {
                            let Metadata(read, rest) = map.next_value()?;
                            meta = read;
                            Value::Object(rest)
                        }
                        _ => map.next_value()?,
                    };
                    body.insert(key, value);
                }
                Ok(Live { meta, body: Value::Object(body) })
            }
        }
        deserializer.deserialize_map(Whole)
    }
}

/// What is known of `metadata`, and all of it but `managedFields`.
struct Metadata(Meta, Object<String, Value>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Part;
        impl<'de> Visitor<'de> for Part {
            type Value = Metadata;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object's metadata")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut out = Metadata(Meta::default(), Object::new());
                while let Some(key) = map.next_key::<String>()? {
                    if key == "managedFields" {
                        out.0.managed_fields = map.next_value()?;
                        continue;
                    }
                    let value = map.next_value()?;
                    out.0.take(&key, &value).map_err(A::Error::custom)?;
                    out.1.insert(key, value);
                }
                Ok(out)
            }
        }
        deserializer.deserialize_map(Part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(managed: Value) -> Live {
        Live::parse(json!({ "metadata": { "name": "web", "managedFields": managed } }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn nobody_manages_what_says_nothing() {
        let live = Live::parse(b"{}").unwrap();
        assert_eq!(*live.ours(), FieldSet::default());
        assert!(!live.must_be_taken_over());
    }

    #[test]
    fn what_a_controller_made_with_our_labels_is_not_ours() {
        let us = Owner { project: "p".into(), environment: stratos_engine::desired::name::Name::new("dev").unwrap() };
        let slice = |controller: bool, manager: &str| {
            let object = json!({ "metadata": {
                "name": "web-x7k2p", "labels": { "stratos/project": "p", "stratos/environment": "dev", "stratos/app": "web" },
                "ownerReferences": [{ "kind": "Service", "name": "web", "controller": controller }],
                "managedFields": [{ "manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsV1": {} }],
            } });
            Live::parse(object.to_string().as_bytes()).unwrap().ownership(&us)
        };
        assert_eq!(slice(true, "kube-controller-manager"), Ownership::Unmarked);
        assert!(matches!(slice(true, "stratos"), Ownership::Ours(_)));
        assert!(matches!(slice(false, "kube-controller-manager"), Ownership::Ours(_)));
    }

    #[test]
    fn hands_are_told_from_controllers() {
        let entry = |manager: &str, operation: &str, subresource: &str| json!({ "manager": manager, "operation": operation, "apiVersion": "v1", "subresource": subresource, "fieldsV1": { "f:spec": {} } });
        let writer = |manager: &str, operation: &str, subresource: &str| {
            live(json!([entry(manager, operation, subresource)])).meta.managed_fields[0].writer()
        };
        assert_eq!(writer("stratos", "Apply", ""), Writer::Us);
        assert_eq!(writer("stratos-restart", "Update", ""), Writer::Another);
        for hand in ["kubectl-edit", "kubectl", "kubectl-client-side-apply", "k9s", "before-first-apply"] {
            assert_eq!(writer(hand, "Update", ""), Writer::ByHand, "{hand}");
        }
        for other in ["kubectl-rollout", "kube-controller-manager", "helm", "octant"] {
            assert_eq!(writer(other, "Update", ""), Writer::Another, "{other}");
        }
        assert_eq!(writer("kubectl-scale", "Update", "scale"), Writer::Another);
    }

    #[test]
    fn labels_of_a_manifest_of_kubectl_apply_are_no_notes() {
        let note = "kubectl.kubernetes.io/last-applied-configuration";
        let entry = |manager: &str| {
            let labels = json!({ "f:labels": { "f:team": {} }, "f:annotations": { format!("f:{note}"): {}, "f:note": {} } });
            live(json!([{ "manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsV1": { "f:metadata": labels } }]))
        };
        let ours = entry("kubectl-client-side-apply").ours().to_value();
        assert_eq!(ours, json!({ "f:metadata": { "f:labels": { "f:team": {} }, "f:annotations": { "f:note": {} } } }));
        assert_eq!(*entry("kubectl-edit").ours(), FieldSet::default());
    }

    #[test]
    fn what_is_taken_over_is_managed_by_us_alone_and_notes_stay_whose_they_are() {
        let live = live(json!([
            { "manager": "stratos", "operation": "Apply", "apiVersion": "v1", "fieldsV1": { "f:data": { "f:a": {} } } },
            { "manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1",
              "fieldsV1": { "f:data": { "f:b": {} }, "f:metadata": { "f:labels": { "f:note": {} } } } },
            { "manager": "controller", "operation": "Update", "apiVersion": "v1", "subresource": "status", "fieldsV1": { "f:status": {} } },
        ]));
        assert!(live.must_be_taken_over());
        let after = live.taken_over("v1");
        let after = Live::parse(json!({ "metadata": { "managedFields": after } }).to_string().as_bytes()).unwrap();
        assert!(!after.must_be_taken_over());
        assert_eq!(after.ours().to_value(), json!({ "f:data": { "f:a": {}, "f:b": {} } }));
        let left: Vec<&str> = after.meta.managed_fields.iter().map(|managed| managed.manager.as_str()).collect();
        assert_eq!(left, ["stratos", "kubectl-edit", "controller"]);
    }
}
