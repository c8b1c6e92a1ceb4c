//! Values that the server fills in where a field is not written, and values that it leaves out.
//!
//! The table of types has the values that are always filled in. Those that follow from a field beside are here, by type, after the
//! defaulting functions of `k8s.io/kubernetes` (1.34).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;

use super::desired::{At, leaves};
use super::leaf;
use super::segment::{self, EMPTY_OBJECT};
use crate::types::{Field, Type};

/// The object that a field is in: some defaults follow from what is said beside.
pub(crate) struct Around<'a> {
    /// The kind, without its group.
    pub(crate) kind: &'a str,
    /// The type of the object.
    pub(crate) of: Type,
    /// What is there and ours to say.
    pub(crate) live: &'a BTreeMap<Path, Leaf>,
    /// What is wanted.
    pub(crate) desired: &'a Document,
}

impl Around<'_> {
    /// Whether a field that nobody writes gets just this value: to remove it changes nothing.
    pub(crate) fn is_filled_in(&self, path: &Path, leaf: &Leaf) -> bool {
        let segments: Vec<&str> = path.segments().collect();
        self.is_filled(&segments, leaf) || self.is_list_filled_in(&segments)
    }

    fn is_filled(&self, segments: &[&str], leaf: &Leaf) -> bool {
        let (field, is_empty) = match segments {
            [field @ .., EMPTY_OBJECT] => (field, true),
            field => (field, false),
        };
        let Some((name, parent)) = field.split_last().filter(|(name, _)| !name.starts_with('[')) else { return false };
        let within = self.of.along(parent.iter().copied());
        if let Some(follows) = self.follows(within, parent, name, leaf) {
            return follows;
        }
        let is = |default: &Value| {
            if is_empty { default.is_object() } else { leaf::scalar(within.field(name), default).as_ref() == Some(leaf) }
        };
        self.default(field).as_ref().is_some_and(is) && self.is_there(parent)
    }

    /// The default that the table has for a field.
    fn default(&self, field: &[&str]) -> Option<Value> {
        let (name, parent) = field.split_last()?;
        let about = self.of.along(parent.iter().copied()).about(name)?;
        about.default().or_else(|| self.of.filled_in(&named(field)))
    }

    /// Whether there will be something at a path: it is wanted, or filled in itself.
    fn is_there(&self, segments: &[&str]) -> bool {
        let Some((last, parent)) = segments.split_last() else { return true };
        let is_filled = || !last.starts_with('[') && self.default(segments).is_some_and(|value| value.is_object());
        self.says(segments) || is_filled() && self.is_there(parent)
    }

    /// Whether a value follows from something beside. None where it depends on nothing but where it is.
    fn follows(&self, within: Type, parent: &[&str], name: &str, leaf: &Leaf) -> Option<bool> {
        let beside = |field: &str| {
            let path = Path::new(parent.iter().copied().chain([field]));
            self.live.get(&path).or_else(|| self.desired.get(&path)).map(plain)
        };
        let is = |text: &str| matches!(leaf, Leaf::Text(found) if **found == *text);
        Some(match (within.name().unwrap_or_default(), name) {
            ("core/v1.Container" | "core/v1.EphemeralContainer", "imagePullPolicy") => {
                beside("image").is_some_and(|image| is(pull_policy(&image)))
            }
            ("core/v1.ImageVolumeSource", "pullPolicy") => beside("reference").is_some_and(|image| is(pull_policy(&image))),
            ("core/v1.ServicePort", "targetPort") => {
                let port = |number: &i64| parent.last().is_some_and(|port| port.starts_with(&format!("[port={number},")));
                matches!(leaf, Leaf::Integer(number) if port(number))
            }
            ("core/v1.ServiceSpec", "internalTrafficPolicy") => {
                is("Cluster") && self.wants(&["spec", "type"]).is_none_or(|of| of != "ExternalName")
            }
            ("core/v1.ServiceSpec", "externalTrafficPolicy") => is("Cluster"),
            ("core/v1.ServiceSpec", "allocateLoadBalancerNodePorts") => *leaf == Leaf::Bool(true),
            ("core/v1.ClientIPConfig", "timeoutSeconds") => {
                let is_asked = self.says(parent) || self.wants(&["spec", "sessionAffinity"]).is_some_and(|of| of == "ClientIP");
                *leaf == Leaf::Integer(10800) && is_asked
            }
            // A volume of no kind is written as one.
            ("core/v1.Volume", "emptyDir") => false,
            ("rbac/v1.Subject", "apiGroup") => {
                is(RBAC) && self.wants_at(parent, "kind").is_some_and(|kind| kind == "User" || kind == "Group")
            }
            // One value follows from another that goes with it: what the server filled in itself stays.
            ("apps/v1.RollingUpdateStatefulSetStrategy", "partition") => {
                *leaf == Leaf::Integer(0) && self.loses(&["spec", "updateStrategy", "type"])
            }
            ("batch/v1.JobSpec", _) if parent != ["spec"] => false,
            ("batch/v1.JobSpec", "completions") => *leaf == Leaf::Integer(1) && self.loses(&["spec", "parallelism"]),
            ("batch/v1.JobSpec", "backoffLimit") => *leaf == Leaf::Integer(6) && self.wants(&["spec", "backoffLimitPerIndex"]).is_none(),
            ("batch/v1.JobSpec", "podReplacementPolicy") => {
                is(if self.says(&["spec", "podFailurePolicy"]) { "Failed" } else { "TerminatingOrFailed" })
            }
            ("apiextensions/v1.CustomResourceDefinitionNames", "singular") => is(&beside("kind").unwrap_or_default().to_lowercase()),
            ("apiextensions/v1.CustomResourceDefinitionNames", "listKind") => is(&format!("{}List", beside("kind").unwrap_or_default())),
            ("apiextensions/v1.CustomResourceConversion", "strategy") => is("None") && !self.says(parent),
            ("core/v1.LimitRangeItem", _) => return None,
            ("", _) => match (self.kind, parent) {
                // Nobody can give it another value.
                ("Namespace", ["metadata", "labels"]) => name == "kubernetes.io/metadata.name",
                ("LimitRange", ["spec", "limits", limit, bound]) => self.bound(limit, bound, name).is_some_and(|amount| amount == *leaf),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// A bound of a limit that nobody writes: it follows from another one (`SetDefaults_LimitRangeItem`).
    fn bound(&self, limit: &str, bound: &str, resource: &str) -> Option<Leaf> {
        let written = |bound: &str| self.desired.get(&Path::new(["spec", "limits", limit, bound, resource])).cloned();
        if self.wants(&["spec", "limits", limit, "type"]).is_none_or(|of| of != "Container") {
            return None;
        }
        let default = || written("default").or_else(|| written("max"));
        match bound {
            "default" => default(),
            "defaultRequest" => default().or_else(|| written("min")),
            _ => None,
        }
    }

    /// Whether a leaf is of a list that is filled in as a whole where nothing of it is said.
    fn is_list_filled_in(&self, segments: &[&str]) -> bool {
        let lists = (1..segments.len()).filter(|length| segments[*length].starts_with('[')).map(|length| segments.split_at(length).0);
        lists.into_iter().any(|list| {
            let Some(filled) = self.list(list).filter(|_| !self.says(list)) else { return false };
            let mut at: At = list.iter().map(|segment| (*segment).to_owned()).collect();
            let mut filled = leaves(self.of.along(list.iter().copied()), &mut at, &filled);
            filled.sort_by(|(one, _), (other, _)| one.cmp(other));
            let there = self.live.iter().filter(|(path, _)| is_within(path, list));
            there.eq(filled.iter().map(|(path, leaf)| (path, leaf))) && self.is_there(&list[..list.len() - 1])
        })
    }

    /// The value that a list is filled in with.
    fn list(&self, list: &[&str]) -> Option<Value> {
        match (self.kind, list) {
            ("NetworkPolicy", ["spec", "policyTypes"]) if self.says(&["spec", "egress"]) => Some(json!(["Ingress", "Egress"])),
            ("Namespace", ["spec", "finalizers"]) => Some(json!(["kubernetes"])),
            _ => self.default(list).filter(Value::is_array),
        }
    }

    /// A value that is wanted.
    fn wants(&self, segments: &[&str]) -> Option<String> {
        self.desired.get(&Path::new(segments.iter().copied())).map(plain)
    }

    fn wants_at(&self, parent: &[&str], field: &str) -> Option<String> {
        self.desired.get(&Path::new(parent.iter().copied().chain([field]))).map(plain)
    }

    /// Whether a value goes that was ours to say.
    fn loses(&self, segments: &[&str]) -> bool {
        self.live.contains_key(&Path::new(segments.iter().copied())) && self.wants(segments).is_none()
    }

    /// Whether anything is wanted at or below a path.
    fn says(&self, segments: &[&str]) -> bool {
        self.desired.leaves().iter().any(|(path, _)| is_within(path, segments))
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// Whether a path is that of these segments, or below it.
fn is_within(path: &Path, segments: &[&str]) -> bool {
    let mut path = path.segments();
    segments.iter().all(|segment| path.next() == Some(segment))
}

/// The names that a path has, without places in lists.
fn named<'a>(segments: &[&'a str]) -> Vec<&'a str> {
    segments.iter().copied().filter(|segment| !segment.starts_with('[')).collect()
}

fn plain(leaf: &Leaf) -> String {
    match leaf {
        Leaf::Text(text) => text.to_string(),
        Leaf::Integer(number) => number.to_string(),
        other => format!("{other}"),
    }
}

/// What an image without a policy has: one whose name does not say which version it is may be another one tomorrow.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    match name.rsplit('/').next().and_then(|name| name.split_once(':')) {
        Some((_, "latest")) => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

/// Whether the server keeps no such value in an object of this type: none is just as good.
pub(crate) fn is_left_out(of: Type, segments: &[&str], leaf: &Leaf) -> bool {
    let about = |(name, parent): (&&str, &[&str])| of.along(parent.iter().copied()).about(&segment::name(name));
    is_zero(leaf) && segments.split_last().and_then(about).is_some_and(|field: &Field| field.is_dropped)
}

/// Whether a leaf says no more than none does: false, zero, an empty text.
pub(crate) fn is_zero(leaf: &Leaf) -> bool {
    match leaf {
        Leaf::Bool(value) => !value,
        Leaf::Integer(number) => *number == 0,
        Leaf::Text(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
