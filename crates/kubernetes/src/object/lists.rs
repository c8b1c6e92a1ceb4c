//! Keyed lists whose order means something. How lists are matched is said by [`crate::types`].

use crate::types::Type;

/// Whether the order of a keyed list means something: containers start, variables are filled in, and rules are tried one after another.
pub(crate) fn is_ordered(list: Type) -> bool {
    list.keys().is_some()
        && list.item().name().is_some_and(|name| ["apiextensions/v1.ValidationRule", "core/v1.Container", "core/v1.EnvVar"].contains(&name))
}

/// The same of a list of a custom resource, where it can only be told by its name.
pub(crate) fn is_called_ordered(list: &str) -> bool {
    ["containers", "initContainers", "env"].contains(&list)
}
