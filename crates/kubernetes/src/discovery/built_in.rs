//! The kinds that every cluster has had in these versions since Kubernetes 1.25: no request is needed for them.

use crate::kind::{GroupKind, Resource};

/// A version, and its kinds: name, plural, and whether they are in namespaces.
type Version = (&'static str, &'static [(&'static str, &'static str, bool)]);

/// Preferred versions first in each group, as the API has them.
const VERSIONS: [Version; 17] = [
    (
        "v1",
        &[
            ("ConfigMap", "configmaps", true),
            ("Endpoints", "endpoints", true),
            ("Event", "events", true),
            ("LimitRange", "limitranges", true),
            ("Namespace", "namespaces", false),
            ("Node", "nodes", false),
            ("PersistentVolume", "persistentvolumes", false),
            ("PersistentVolumeClaim", "persistentvolumeclaims", true),
            ("Pod", "pods", true),
            ("PodTemplate", "podtemplates", true),
            ("ReplicationController", "replicationcontrollers", true),
            ("ResourceQuota", "resourcequotas", true),
            ("Secret", "secrets", true),
            ("Service", "services", true),
            ("ServiceAccount", "serviceaccounts", true),
        ],
    ),
    (
        "apps/v1",
        &[
            ("ControllerRevision", "controllerrevisions", true),
            ("DaemonSet", "daemonsets", true),
            ("Deployment", "deployments", true),
            ("ReplicaSet", "replicasets", true),
            ("StatefulSet", "statefulsets", true),
        ],
    ),
    ("batch/v1", &[("CronJob", "cronjobs", true), ("Job", "jobs", true)]),
    (
        "networking.k8s.io/v1",
        &[("Ingress", "ingresses", true), ("IngressClass", "ingressclasses", false), ("NetworkPolicy", "networkpolicies", true)],
    ),
    ("policy/v1", &[("PodDisruptionBudget", "poddisruptionbudgets", true)]),
    (
        "rbac.authorization.k8s.io/v1",
        &[
            ("ClusterRole", "clusterroles", false),
            ("ClusterRoleBinding", "clusterrolebindings", false),
            ("Role", "roles", true),
            ("RoleBinding", "rolebindings", true),
        ],
    ),
    ("autoscaling/v2", &[("HorizontalPodAutoscaler", "horizontalpodautoscalers", true)]),
    ("autoscaling/v1", &[("HorizontalPodAutoscaler", "horizontalpodautoscalers", true)]),
    (
        "storage.k8s.io/v1",
        &[
            ("CSIDriver", "csidrivers", false),
            ("CSINode", "csinodes", false),
            ("CSIStorageCapacity", "csistoragecapacities", true),
            ("StorageClass", "storageclasses", false),
            ("VolumeAttachment", "volumeattachments", false),
        ],
    ),
    ("scheduling.k8s.io/v1", &[("PriorityClass", "priorityclasses", false)]),
    ("coordination.k8s.io/v1", &[("Lease", "leases", true)]),
    ("discovery.k8s.io/v1", &[("EndpointSlice", "endpointslices", true)]),
    ("events.k8s.io/v1", &[("Event", "events", true)]),
    (
        "admissionregistration.k8s.io/v1",
        &[
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false),
        ],
    ),
    ("node.k8s.io/v1", &[("RuntimeClass", "runtimeclasses", false)]),
    ("apiextensions.k8s.io/v1", &[("CustomResourceDefinition", "customresourcedefinitions", false)]),
    ("apiregistration.k8s.io/v1", &[("APIService", "apiservices", false)]),
];

/// Where a kind is that every cluster has, in this version or in the preferred one. None where it may be elsewhere.
pub(super) fn find(kind: &GroupKind, api_version: Option<&str>) -> Option<Resource> {
    let versions = VERSIONS.iter().filter(|(version, _)| api_version.is_none_or(|wanted| wanted == *version));
    versions.flat_map(|(version, kinds)| kinds.iter().map(move |kind| (version, kind))).find_map(|(version, (name, plural, namespaced))| {
        let found = || Resource {
            api_version: (*version).to_owned(),
            kind: (*name).to_owned(),
            plural: (*plural).to_owned(),
            namespaced: *namespaced,
        };
        (GroupKind::of(version, name) == *kind).then(found)
    })
}
