//! Keyed lists whose order means something. How lists are matched is said by [`crate::types`].

use crate::types::Type;

/// Types whose order in a keyed list means something. The names of packages are without their versions.
const ORDERED: [(&str, &str); 6] = [
    // Containers start one after another, and the first one is the one that kubectl means.
    ("core", "Container"),
    // A variable may be made of earlier ones.
    ("core", "EnvVar"),
    // The first line of a file of hosts that has a name is the one that counts.
    ("core", "HostAlias"),
    // The API server shows the messages of rules in their order.
    ("apiextensions", "ValidationRule"),
    // Webhooks of one configuration are called one after another, each with the object as the ones before it have left it.
    ("admissionregistration", "MutatingWebhook"),
    // A variable of a policy may use earlier ones alone.
    ("admissionregistration", "Variable"),
];

/// Whether the order of a keyed list means something.
pub(crate) fn is_ordered(list: Type) -> bool {
    let is_ordered = |package: &str, name: &str| ORDERED.contains(&(package.split('/').next().unwrap_or(package), name));
    list.keys().is_some()
        && list.item().name().and_then(|name| name.split_once('.')).is_some_and(|(package, name)| is_ordered(package, name))
}

/// The same of a list of a custom resource, where it can only be told by its name.
pub(crate) fn is_called_ordered(list: &str) -> bool {
    ["containers", "initContainers", "env"].contains(&list)
}
