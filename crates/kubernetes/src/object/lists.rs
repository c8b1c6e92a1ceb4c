//! How lists are matched: by the keys of their elements where the API merges them so, else by their places.
//!
//! A table for the kinds that come with every cluster, from the `x-kubernetes-list-map-keys` of their OpenAPI schemas
//! (Kubernetes 1.34). Of other kinds nothing is assumed: their elements have places, and which live element is meant by which the
//! server says itself ([`super::arrange`]).

use crate::types::Type;

/// The keys of the elements of a list, in alphabetical order. `path` has the names that lead to the list, without the places in
/// lists on the way: `spec`, `template`, `spec`, `containers`.
pub(crate) fn keys(path: &[&str]) -> Option<&'static [&'static str]> {
    let (list, before) = path.split_last()?;
    let within = before.last().copied().unwrap_or_default();
    match *list {
        "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "resourceClaims" | "schedulingGates" | "claims"
            if ["spec", "resources"].contains(&within) =>
        {
            Some(&["name"])
        }
        "env" if is_container(within) => Some(&["name"]),
        "volumeMounts" if is_container(within) => Some(&["mountPath"]),
        "volumeDevices" if is_container(within) => Some(&["devicePath"]),
        "ports" if is_container(within) => Some(&["containerPort", "protocol"]),
        // Of a Service; a NetworkPolicy has its ports in lists of their own.
        "ports" if before == ["spec"] => Some(&["port", "protocol"]),
        "imagePullSecrets" if within == "spec" => Some(&["name"]),
        "secrets" if before.is_empty() => Some(&["name"]),
        "hostAliases" if within == "spec" => Some(&["ip"]),
        "topologySpreadConstraints" if within == "spec" => Some(&["topologyKey", "whenUnsatisfiable"]),
        "webhooks" if before.is_empty() => Some(&["name"]),
        "matchConditions" => Some(&["name"]),
        "ownerReferences" => Some(&["uid"]),
        _ => None,
    }
}

fn is_container(name: &str) -> bool {
    ["containers", "initContainers", "ephemeralContainers"].contains(&name)
}

/// Whether the order of a keyed list means something: containers start, variables are filled in, and rules are tried one after another.
pub(crate) fn is_ordered(list: Type) -> bool {
    list.keys().is_some()
        && list.item().name().is_some_and(|name| ["apiextensions/v1.ValidationRule", "core/v1.Container", "core/v1.EnvVar"].contains(&name))
}

/// The same of a list of a custom resource, where it can only be told by its name.
pub(crate) fn is_called_ordered(list: &str) -> bool {
    ["containers", "initContainers", "env"].contains(&list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_told_apart_by_where_they_are() {
        assert_eq!(keys(&[]), None);
        assert_eq!(keys(&["spec", "template", "spec", "containers"]), Some(&["name"][..]));
        assert_eq!(keys(&["spec", "template", "spec", "containers", "ports"]), Some(&["containerPort", "protocol"][..]));
        assert_eq!(keys(&["spec", "ports"]), Some(&["port", "protocol"][..]));
        assert_eq!(keys(&["spec", "ingress", "ports"]), None);
        assert_eq!(keys(&["spec", "template", "spec", "tolerations"]), None);
    }
}
