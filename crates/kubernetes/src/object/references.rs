//! Fields of pods that name another object.

/// The kind of object that a field names, where it names one. `names` leads to the field, without places in lists.
pub(crate) fn kind(names: &[&str]) -> Option<&'static str> {
    match names {
        [.., "configMap" | "configMapRef" | "configMapKeyRef", "name"] => Some("ConfigMap"),
        [.., "secret", "secretName"] | [.., "secret" | "secretRef" | "secretKeyRef" | "imagePullSecrets", "name"] => Some("Secret"),
        [.., "persistentVolumeClaim", "claimName"] => Some("PersistentVolumeClaim"),
        [.., "spec", "serviceAccountName"] => Some("ServiceAccount"),
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
}
