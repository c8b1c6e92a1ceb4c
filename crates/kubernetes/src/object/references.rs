//! Fields that name another object.

/// The kind of object that a field of a pod names, where it names one. `names` leads to the field, without places in lists.
pub(crate) fn kind(names: &[&str]) -> Option<&'static str> {
    match names {
        [.., "configMap" | "configMapRef" | "configMapKeyRef", "name"] => Some("ConfigMap"),
        [.., "secret", "secretName"] | [.., "secret" | "secretRef" | "secretKeyRef" | "imagePullSecrets", "name"] => Some("Secret"),
        [.., "persistentVolumeClaim", "claimName"] => Some("PersistentVolumeClaim"),
        [.., "spec", "serviceAccountName"] => Some("ServiceAccount"),
        _ => None,
    }
}

/// The same for any field of the kinds that come with every cluster.
pub(crate) fn any(names: &[&str]) -> Option<&'static str> {
    if let Some(kind) = kind(names) {
        return Some(kind);
    }
    match names {
        [.., "spec", "serviceAccount"] => Some("ServiceAccount"),
        [.., "spec", "priorityClassName"] => Some("PriorityClass.scheduling.k8s.io"),
        [.., "spec", "runtimeClassName"] => Some("RuntimeClass.node.k8s.io"),
        [.., "spec", "storageClassName"] => Some("StorageClass.storage.k8s.io"),
        [.., "spec", "ingressClassName"] => Some("IngressClass.networking.k8s.io"),
        [.., "spec", "volumeName"] => Some("PersistentVolume"),
        ["spec", "serviceName"] | [.., "backend" | "defaultBackend", "service", "name"] => Some("Service"),
        [.., "tls", "secretName"] => Some("Secret"),
        [.., "spec", "volumeAttributesClassName"] => Some("VolumeAttributesClass.storage.k8s.io"),
        [.., "spec", "resourceClaims", "resourceClaimName"] => Some("ResourceClaim.resource.k8s.io"),
        [.., "spec", "resourceClaims", "resourceClaimTemplateName"] => Some("ResourceClaimTemplate.resource.k8s.io"),
        [.., "deviceClassName"] => Some("DeviceClass.resource.k8s.io"),
        [.., "projected", "sources", "clusterTrustBundle", "name"] => Some("ClusterTrustBundle.certificates.k8s.io"),
        ["spec", "priorityLevelConfiguration", "name"] => Some("PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io"),
        ["spec", "policyName"] => Some("ValidatingAdmissionPolicy.admissionregistration.k8s.io"),
        ["provisioner"] => Some("CSIDriver.storage.k8s.io"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_name_something_are_known() {
        assert_eq!(kind(&[]), None);
        assert_eq!(kind(&["metadata", "name"]), None);
        assert_eq!(kind(&["spec", "volumes", "configMap", "name"]), Some("ConfigMap"));
        assert_eq!(kind(&["spec", "volumes", "secret", "secretName"]), Some("Secret"));
        assert_eq!(kind(&["spec", "volumes", "projected", "sources", "secret", "name"]), Some("Secret"));
        assert_eq!(kind(&["spec", "containers", "env", "valueFrom", "secretKeyRef", "name"]), Some("Secret"));
    }

    #[test]
    fn fields_of_other_kinds_are_known_too() {
        assert_eq!(any(&["spec", "template", "spec", "priorityClassName"]), Some("PriorityClass.scheduling.k8s.io"));
        assert_eq!(any(&["spec", "volumeClaimTemplates", "spec", "storageClassName"]), Some("StorageClass.storage.k8s.io"));
        assert_eq!(any(&["spec", "rules", "http", "paths", "backend", "service", "name"]), Some("Service"));
        assert_eq!(any(&["spec", "tls", "secretName"]), Some("Secret"));
        assert_eq!(any(&["spec", "volumes", "secret", "secretName"]), Some("Secret"));
        assert_eq!(any(&["metadata", "name"]), None);
    }
}
