//! What is known of the kinds that come with every cluster: data for the comparison and the plan.
//!
//! Fields that cannot be changed are those that the validation of `k8s.io/kubernetes` (1.34) refuses in an update. Those that are not
//! here are found by the dry run, where there is one.

use stratos_engine::desired::resource::{ReplaceOrder, Replacement, Shape};

use crate::kind::GroupKind;

/// Nothing serves in between.
pub(crate) const ANEW: Replacement = Replacement { order: ReplaceOrder::DeleteFirst, downtime: true, loses_data: false };
/// Nothing runs in it.
const AT_REST: Replacement = Replacement { order: ReplaceOrder::DeleteFirst, downtime: false, loses_data: false };
/// The new one beside the old one.
const BESIDE: Replacement = Replacement { order: ReplaceOrder::CreateFirst, downtime: false, loses_data: false };
/// What is stored in it goes with it.
pub(crate) const LOSES_DATA: Replacement = Replacement { order: ReplaceOrder::DeleteFirst, downtime: true, loses_data: true };

const WORKLOAD: Shape = Shape { restarts: &["spec.template"], has_health: true, ..Shape::UNKNOWN };

/// A Secret that is made of an app: each content is a generation of its own.
pub(crate) static GENERATIONS: Shape = Shape { kind: "Secret", replaces: &[("data", BESIDE)], ..Shape::UNKNOWN };

/// The environment's own namespace, where a manifest declares it: it is never deleted with what is in it.
pub(crate) static OWN_NAMESPACE: Shape = Shape { kind: "Namespace", comes_first: true, ..Shape::UNKNOWN };

/// A kind that does not come with a cluster: nothing is known but that it may have health.
static CUSTOM: Shape = Shape { kind: "", has_health: true, ..Shape::UNKNOWN };

static KINDS: [Shape; 33] = [
    Shape { kind: "Deployment.apps", replaces: &[("spec.selector", ANEW)], ..WORKLOAD },
    Shape {
        kind: "StatefulSet.apps",
        replaces: &[
            ("spec.selector", ANEW),
            ("spec.serviceName", ANEW),
            ("spec.volumeClaimTemplates", ANEW),
            ("spec.podManagementPolicy", ANEW),
        ],
        ..WORKLOAD
    },
    Shape { kind: "DaemonSet.apps", replaces: &[("spec.selector", ANEW)], ..WORKLOAD },
    Shape { kind: "ReplicaSet.apps", replaces: &[("spec.selector", ANEW)], ..WORKLOAD },
    Shape {
        kind: "Job.batch",
        replaces: &[("spec.template", ANEW), ("spec.selector", ANEW), ("spec.completionMode", ANEW), ("spec.podFailurePolicy", ANEW)],
        restarts: &[],
        has_health: true,
        ..Shape::UNKNOWN
    },
    Shape { kind: "CronJob.batch", ..Shape::UNKNOWN },
    Shape { kind: "Pod", replaces: &[("spec", ANEW)], has_health: true, ..Shape::UNKNOWN },
    Shape { kind: "Service", replaces: &[("spec.clusterIP", ANEW), ("spec.clusterIPs", ANEW)], ..Shape::UNKNOWN },
    Shape { kind: "ConfigMap", ..Shape::UNKNOWN },
    Shape { kind: "Secret", replaces: &[("type", AT_REST)], ..Shape::UNKNOWN },
    Shape { kind: "ServiceAccount", ..Shape::UNKNOWN },
    Shape {
        kind: "PersistentVolumeClaim",
        replaces: &[
            ("spec.accessModes", LOSES_DATA),
            ("spec.storageClassName", LOSES_DATA),
            ("spec.volumeMode", LOSES_DATA),
            ("spec.selector", LOSES_DATA),
            ("spec.volumeName", LOSES_DATA),
            ("spec.dataSource", LOSES_DATA),
            ("spec.dataSourceRef", LOSES_DATA),
        ],
        holds_data: true,
        ..Shape::UNKNOWN
    },
    Shape { kind: "PersistentVolume", holds_data: true, ..Shape::UNKNOWN },
    // Everything in it goes with it.
    Shape { kind: "Namespace", holds_data: true, ..Shape::UNKNOWN },
    Shape { kind: "ResourceQuota", ..Shape::UNKNOWN },
    Shape { kind: "LimitRange", ..Shape::UNKNOWN },
    Shape { kind: "PodDisruptionBudget.policy", ..Shape::UNKNOWN },
    Shape { kind: "HorizontalPodAutoscaler.autoscaling", ..Shape::UNKNOWN },
    Shape { kind: "Ingress.networking.k8s.io", ..Shape::UNKNOWN },
    Shape { kind: "IngressClass.networking.k8s.io", replaces: &[("spec.controller", AT_REST)], ..Shape::UNKNOWN },
    Shape { kind: "NetworkPolicy.networking.k8s.io", ..Shape::UNKNOWN },
    Shape { kind: "Role.rbac.authorization.k8s.io", ..Shape::UNKNOWN },
    Shape { kind: "RoleBinding.rbac.authorization.k8s.io", replaces: &[("roleRef", AT_REST)], ..Shape::UNKNOWN },
    Shape { kind: "ClusterRole.rbac.authorization.k8s.io", ..Shape::UNKNOWN },
    Shape { kind: "ClusterRoleBinding.rbac.authorization.k8s.io", replaces: &[("roleRef", AT_REST)], ..Shape::UNKNOWN },
    Shape {
        kind: "StorageClass.storage.k8s.io",
        replaces: &[("provisioner", AT_REST), ("parameters", AT_REST), ("reclaimPolicy", AT_REST), ("volumeBindingMode", AT_REST)],
        ..Shape::UNKNOWN
    },
    Shape { kind: "PriorityClass.scheduling.k8s.io", replaces: &[("value", AT_REST), ("preemptionPolicy", AT_REST)], ..Shape::UNKNOWN },
    Shape { kind: "RuntimeClass.node.k8s.io", replaces: &[("handler", AT_REST)], ..Shape::UNKNOWN },
    // All objects of its kind go with it: what cannot change in place is refused, and never a replacement.
    Shape {
        kind: "CustomResourceDefinition.apiextensions.k8s.io",
        holds_data: true,
        has_health: true,
        precedes_writes: true,
        ..Shape::UNKNOWN
    },
    Shape { kind: "ValidatingWebhookConfiguration.admissionregistration.k8s.io", ..Shape::UNKNOWN },
    Shape { kind: "MutatingWebhookConfiguration.admissionregistration.k8s.io", ..Shape::UNKNOWN },
    Shape { kind: "APIService.apiregistration.k8s.io", ..Shape::UNKNOWN },
    Shape { kind: "EndpointSlice.discovery.k8s.io", replaces: &[("addressType", AT_REST)], ..Shape::UNKNOWN },
];

/// What is known of a kind.
pub(crate) fn of(kind: &GroupKind) -> &'static Shape {
    let text = kind.to_string();
    let known = KINDS.iter().find(|shape| shape.kind == text);
    known.unwrap_or(if crate::types::is_built_in(kind) { &Shape::UNKNOWN } else { &CUSTOM })
}

/// The order in which kinds are made; deletion is in reverse. What others need comes first, what judges others last.
pub(crate) fn rank(kind: &GroupKind) -> u8 {
    match kind.to_string().as_str() {
        "CustomResourceDefinition.apiextensions.k8s.io" | "Namespace" => 0,
        "CSIDriver.storage.k8s.io" => 0,
        "PriorityClass.scheduling.k8s.io"
        | "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io"
        | "DeviceClass.resource.k8s.io"
        | "ClusterTrustBundle.certificates.k8s.io"
        | "VolumeAttributesClass.storage.k8s.io"
        | "StorageClass.storage.k8s.io"
        | "IngressClass.networking.k8s.io"
        | "RuntimeClass.node.k8s.io"
        | "ClusterRole.rbac.authorization.k8s.io" => 1,
        "ClusterRoleBinding.rbac.authorization.k8s.io" | "ResourceQuota" | "LimitRange" => 2,
        "ServiceAccount" | "Role.rbac.authorization.k8s.io" => 3,
        "RoleBinding.rbac.authorization.k8s.io" | "ConfigMap" | "Secret" | "PersistentVolume" => 4,
        "PersistentVolumeClaim"
        | "Service"
        | "ResourceClaim.resource.k8s.io"
        | "ResourceClaimTemplate.resource.k8s.io"
        | "ValidatingAdmissionPolicy.admissionregistration.k8s.io" => 5,
        "ValidatingWebhookConfiguration.admissionregistration.k8s.io"
        | "MutatingWebhookConfiguration.admissionregistration.k8s.io"
        | "APIService.apiregistration.k8s.io" => 9,
        _ => 7,
    }
}
