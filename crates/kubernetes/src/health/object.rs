//! An object of any kind, as far as it is judged.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::pods::{Condition, Meta};

/// An object: its kind's own parts are read by who judges that kind.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    pub(super) metadata: Meta,
    spec: Value,
    status: Value,
}

/// What many kinds say in the same way.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Usual {
    observed_generation: Option<i64>,
    conditions: Vec<Condition>,
}

impl Object {
    /// Its `spec`. What has another shape than expected is empty: health is a matter of the kind, and not of its form.
    pub(super) fn spec<T: DeserializeOwned + Default>(&self) -> T {
        T::deserialize(&self.spec).unwrap_or_default()
    }

    /// Its `status`, in the same way.
    pub(super) fn status<T: DeserializeOwned + Default>(&self) -> T {
        T::deserialize(&self.status).unwrap_or_default()
    }

    /// Its conditions, where it has some.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        self.status::<Usual>().conditions
    }

    /// Whether its controller has seen what it is now. One that does not say so has seen it.
    pub(super) fn is_observed(&self) -> bool {
        self.status::<Usual>().observed_generation.zip(self.metadata.generation).is_none_or(|(seen, is)| seen >= is)
    }

    /// Whether its controller has ever looked at it.
    pub(super) fn was_looked_at(&self) -> bool {
        self.status::<Usual>().observed_generation.is_some()
    }
}

/// The condition of this type.
pub(super) fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// The condition of this type, if it holds.
pub(super) fn holds<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    condition(conditions, kind).filter(|condition| condition.status == "True")
}

/// What a condition says: its message, or its reason.
pub(super) fn said(condition: &Condition) -> String {
    let text = if condition.message.is_empty() { &condition.reason } else { &condition.message };
    text.trim().trim_end_matches('.').to_owned()
}
