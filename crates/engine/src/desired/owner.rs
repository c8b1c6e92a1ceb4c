//! Whose a live object is: the marks that Stratos leaves on it.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::Name;
use super::shared::shared;

/// Who owns a live object: one environment of one project. Fixed for the object's life, unless the environment is renamed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Owner {
    /// The project's `id`, or its name where it has none.
    pub project: Arc<str>,
    /// The environment's name.
    pub environment: Name,
}

impl Owner {
    /// An environment of a project.
    pub fn new(project: &str, environment: Name) -> Self {
        Self { project: shared(project), environment }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.environment)
    }
}

/// What Stratos writes on a live object beside its document.
///
/// `owner` is fixed but for the rename of an environment, and `app` but for an object that moves from one app's manifests to
/// another's; both and `protect` are compared like fields. `revision` and `specification` are written only together with another
/// change, are never compared, and never cause one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Marks {
    /// Whose it is.
    pub owner: Owner,
    /// The app it belongs to.
    pub app: Name,
    /// Held against deletion and replacement, also when the app has left the manifest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
    /// The commit of the manifest that wrote it last, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The digest of the document that was written last: says that a specification moved, never that it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub specification: Option<String>,
}

/// Whether a live object is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// It carries this owner's mark.
    Ours(Marks),
    /// It carries another Stratos owner's mark.
    Another(Owner),
    /// It carries no mark of Stratos.
    Unmarked,
}

impl Ownership {
    /// The marks, where it is ours.
    pub fn marks(&self) -> Option<&Marks> {
        match self {
            Self::Ours(marks) => Some(marks),
            Self::Another(_) | Self::Unmarked => None,
        }
    }
}
