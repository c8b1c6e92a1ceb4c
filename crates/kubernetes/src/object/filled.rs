//! What the server fills in, and what it leaves out, in kinds that come with every cluster.
//!
//! Source: the defaulting functions and the types (`omitempty`) of `k8s.io/kubernetes` (1.34).

use std::collections::BTreeMap;

use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;

/// The object that a field is in: some defaults follow from what is said beside.
pub(crate) struct Around<'a> {
    /// The kind, without its group.
    pub(crate) kind: &'a str,
    /// What is there and ours to say.
    pub(crate) live: &'a BTreeMap<Path, Leaf>,
    /// What is wanted.
    pub(crate) desired: &'a Document,
}

/// Whether a field that nobody writes gets just this value: to remove it changes nothing.
pub(crate) fn is_filled_in(path: &Path, leaf: &Leaf, around: &Around<'_>) -> bool {
    let segments: Vec<&str> = path.segments().collect();
    let names = named(path);
    let is_plain = match leaf {
        Leaf::Text(text) => text_is_filled_in(&names, text),
        Leaf::Integer(number) => number_is_filled_in(&names, *number),
        Leaf::Bool(value) => flag_is_filled_in(&names, *value),
        _ => false,
    };
    is_plain || around.fills_in(&segments, &names, leaf) || around.fills_list_in(&segments)
}

/// The names that a path has, without places in lists.
pub(crate) fn named(path: &Path) -> Vec<&str> {
    path.segments().filter(|segment| !segment.starts_with('[')).collect()
}

impl Around<'_> {
    fn fills_in(&self, segments: &[&str], names: &[&str], leaf: &Leaf) -> bool {
        let beside = |field: &str| {
            let path = Path::new(segments[..segments.len() - 1].iter().copied().chain([field]));
            self.live.get(&path).map(plain)
        };
        let is = |text: &str| matches!(leaf, Leaf::Text(found) if **found == *text);
        match (segments, names) {
            (_, [.., "containers" | "initContainers", "imagePullPolicy"]) => beside("image").is_some_and(|image| is(pull_policy(&image))),
            (_, [.., "volumes", "image", "pullPolicy"]) => beside("reference").is_some_and(|image| is(pull_policy(&image))),
            (["spec", "ports", port, "targetPort"], _) => {
                matches!(leaf, Leaf::Integer(number) if port.starts_with(&format!("[port={number},")))
            }
            (["spec", "internalTrafficPolicy"], _) => is("Cluster") && self.wants(&["spec", "type"]).is_none_or(|of| of != "ExternalName"),
            // One value follows from another that goes with it: what the server filled in itself stays.
            (["spec", "updateStrategy", "rollingUpdate", "partition"], _) => {
                *leaf == Leaf::Integer(0) && self.loses(&["spec", "updateStrategy", "type"])
            }
            (["spec", "completions"], _) => *leaf == Leaf::Integer(1) && self.loses(&["spec", "parallelism"]),
            (["spec", "backoffLimit"], _) => *leaf == Leaf::Integer(6) && self.wants(&["spec", "backoffLimitPerIndex"]).is_none(),
            (["spec", "podReplacementPolicy"], _) => {
                is(if self.says(&["spec", "podFailurePolicy"]) { "Failed" } else { "TerminatingOrFailed" })
            }
            (["spec", "behavior", rules @ ("scaleUp" | "scaleDown"), field], _) if self.says(&["spec", "behavior"]) => match *field {
                "selectPolicy" => is("Max"),
                "stabilizationWindowSeconds" => *rules == "scaleUp" && *leaf == Leaf::Integer(0),
                _ => false,
            },
            (["spec", "names", field @ ("singular" | "listKind")], _) => {
                let kind = beside("kind").unwrap_or_default();
                is(&if *field == "singular" { kind.to_lowercase() } else { format!("{kind}List") })
            }
            // Nobody can give it another value.
            (["metadata", "labels", "kubernetes.io/metadata.name"], _) => self.kind == "Namespace",
            _ => false,
        }
    }

    /// Lists that are filled in as a whole where nothing of them is said.
    fn fills_list_in(&self, segments: &[&str]) -> bool {
        let Some((length, filled)) = self.list(segments) else { return false };
        let list = &segments[..length];
        let is_within = |path: &Path| path.segments().zip(list).filter(|(one, other)| one == *other).count() == length;
        let said = |(path, leaf): (&Path, &Leaf)| {
            let rest: Vec<&str> = path.segments().skip(length).collect();
            format!("{}={}", rest.join("."), plain(leaf))
        };
        let there: Vec<String> = self.live.iter().filter(|(path, _)| is_within(path)).map(said).collect();
        !self.says(list) && there.len() == filled.len() && filled.iter().all(|one| there.iter().any(|other| other == one))
    }

    /// How long the path of such a list is, and what it is filled with.
    fn list(&self, segments: &[&str]) -> Option<(usize, &'static [&'static str])> {
        Some(match (self.kind, segments) {
            ("NetworkPolicy", ["spec", "policyTypes", ..]) if self.says(&["spec", "egress"]) => (2, &["[0000]=Ingress", "[0001]=Egress"]),
            ("NetworkPolicy", ["spec", "policyTypes", ..]) => (2, &["[0000]=Ingress"]),
            ("CSIDriver", ["spec", "volumeLifecycleModes", ..]) => (2, &["[0000]=Persistent"]),
            ("HorizontalPodAutoscaler", ["spec", "metrics", ..]) => (
                2,
                &[
                    "[0000].type=Resource",
                    "[0000].resource.name=cpu",
                    "[0000].resource.target.type=Utilization",
                    "[0000].resource.target.averageUtilization=80",
                ],
            ),
            (_, ["spec", "behavior", "scaleDown", "policies", ..]) if self.says(&["spec", "behavior"]) => {
                (4, &["[0000].type=Percent", "[0000].value=100", "[0000].periodSeconds=15"])
            }
            (_, ["spec", "behavior", "scaleUp", "policies", ..]) if self.says(&["spec", "behavior"]) => (
                4,
                &[
                    "[0000].type=Pods",
                    "[0000].value=4",
                    "[0000].periodSeconds=15",
                    "[0001].type=Percent",
                    "[0001].value=100",
                    "[0001].periodSeconds=15",
                ],
            ),
            _ => return None,
        })
    }

    /// A value that is wanted.
    fn wants(&self, segments: &[&str]) -> Option<String> {
        self.desired.get(&Path::new(segments.iter().copied())).map(plain)
    }

    /// Whether a value goes that was ours to say.
    fn loses(&self, segments: &[&str]) -> bool {
        self.live.contains_key(&Path::new(segments.iter().copied())) && self.wants(segments).is_none()
    }

    /// Whether anything is wanted at or below a path.
    fn says(&self, segments: &[&str]) -> bool {
        let is_within = |path: &Path| path.segments().zip(segments).filter(|(one, other)| one == *other).count() == segments.len();
        self.desired.leaves().iter().any(|(path, _)| is_within(path))
    }
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

fn number_is_filled_in(names: &[&str], number: i64) -> bool {
    match names {
        ["spec", field] => matches!(
            (*field, number),
            ("replicas" | "minReplicas" | "failedJobsHistoryLimit" | "parallelism", 1)
                | ("revisionHistoryLimit", 10)
                | ("progressDeadlineSeconds", 600)
                | ("successfulJobsHistoryLimit", 3)
                | ("terminationGracePeriodSeconds", 30)
        ),
        ["spec", "updateStrategy", "rollingUpdate", field] => matches!((*field, number), ("maxUnavailable", 1) | ("maxSurge", 0)),
        ["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"] => number == 10800,
        ["webhooks", "timeoutSeconds"] => number == 10,
        [.., "clientConfig", "service", "port"] => number == 443,
        [.., "spec", "terminationGracePeriodSeconds"] => number == 30,
        [.., "livenessProbe" | "readinessProbe" | "startupProbe", field] => {
            matches!((*field, number), ("periodSeconds", 10) | ("timeoutSeconds" | "successThreshold", 1) | ("failureThreshold", 3))
        }
        [.., "volumes", "configMap" | "secret" | "projected" | "downwardAPI", "defaultMode"] => number == 420,
        _ => false,
    }
}

/// Flags, and tables with nothing in them.
fn flag_is_filled_in(names: &[&str], value: bool) -> bool {
    match names {
        ["spec", "suspend" | "manualSelector"] => !value,
        ["spec", "podInfoOnMount" | "storageCapacity" | "requiresRepublish" | "seLinuxMount"] => !value,
        ["spec", "allocateLoadBalancerNodePorts" | "attachRequired" | "enableServiceLinks"] => value,
        [.., "template" | "jobTemplate" | "volumeClaimTemplate", "metadata", "{}"] => true,
        [.., "containers" | "initContainers", "resources", "{}"] => true,
        ["spec", "securityContext", "{}"] | [.., "template", "spec", "securityContext", "{}"] => true,
        ["webhooks", "namespaceSelector" | "objectSelector", "{}"] => true,
        ["spec", "matchConstraints", "namespaceSelector" | "objectSelector", "{}"] => true,
        _ => false,
    }
}

fn text_is_filled_in(names: &[&str], text: &str) -> bool {
    match names {
        [.., "containers" | "initContainers", "terminationMessagePath"] => text == "/dev/termination-log",
        [.., "containers" | "initContainers", "terminationMessagePolicy"] => text == "File",
        ["spec", "dnsPolicy"] | [.., "template", "spec", "dnsPolicy"] => text == "ClusterFirst",
        ["spec", "schedulerName"] | [.., "template", "spec", "schedulerName"] => text == "default-scheduler",
        ["spec", "restartPolicy"] | ["spec", "template", "spec", "restartPolicy"] => text == "Always",
        [.., "httpGet", "scheme"] => text == "HTTP",
        [.., "httpGet", "path"] => text == "/",
        [.., "ephemeral", "volumeClaimTemplate", "spec", "volumeMode"] => text == "Filesystem",
        ["spec", "strategy" | "updateStrategy", "type"] => text == "RollingUpdate",
        ["spec", "strategy", "rollingUpdate", "maxSurge" | "maxUnavailable"] => text == "25%",
        ["spec", "podManagementPolicy"] => text == "OrderedReady",
        ["spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted" | "whenScaled"] => text == "Retain",
        ["spec", "completionMode"] => text == "NonIndexed",
        ["spec", "concurrencyPolicy"] => text == "Allow",
        ["spec", "type"] => text == "ClusterIP",
        ["spec", "sessionAffinity"] => text == "None",
        ["spec", "externalTrafficPolicy"] => text == "Cluster",
        ["spec", "volumeMode"] => text == "Filesystem",
        ["spec", "persistentVolumeReclaimPolicy"] => text == "Retain",
        ["spec", "parameters", "scope"] => text == "Cluster",
        ["spec", "fsGroupPolicy"] => text == "ReadWriteOnceWithFSType",
        ["spec", "conversion", "strategy"] => text == "None",
        // Of a Namespace.
        ["spec", "finalizers"] => text == "kubernetes",
        ["webhooks" | "spec", "failurePolicy"] => text == "Fail",
        ["webhooks", "matchPolicy"] | ["spec", "matchConstraints", "matchPolicy"] => text == "Equivalent",
        ["webhooks", "reinvocationPolicy"] => text == "Never",
        ["type"] => text == "Opaque",
        ["reclaimPolicy"] => text == "Delete",
        ["volumeBindingMode"] => text == "Immediate",
        ["preemptionPolicy"] => text == "PreemptLowerPriority",
        _ => false,
    }
}

/// Whether the server keeps no such value: none is just as good.
pub(crate) fn is_left_out(names: &[&str], leaf: &Leaf) -> bool {
    match leaf {
        Leaf::Bool(false) => matches!(
            names,
            [.., "spec", "hostNetwork" | "hostPID" | "hostIPC" | "paused" | "publishNotReadyAddresses"]
                | [.., "containers" | "initContainers", "stdin" | "stdinOnce" | "tty"]
                | [.., "volumeMounts", "readOnly"]
                | [.., "volumes", "persistentVolumeClaim" | "nfs" | "iscsi", "readOnly"]
                | ["spec", "preserveUnknownFields"]
                | ["globalDefault"]
        ),
        Leaf::Integer(0) => matches!(
            names,
            ["spec", "minReadySeconds" | "healthCheckNodePort"]
                | ["spec", "ports", "nodePort"]
                | [.., "containers" | "initContainers", "ports", "hostPort"]
                | [.., "livenessProbe" | "readinessProbe" | "startupProbe", "initialDelaySeconds"]
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
