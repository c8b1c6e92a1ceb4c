//! What an app's `platform.kubernetes` says about the pods of its portable part.

use serde_json::Value;
use stratos_engine::manifest::schema::{App, PlatformKind};
use stratos_engine::platform::TranslatedApp;

/// How much a pod may do: the pod security standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodSecurity {
    /// No root, no privileges, no capabilities.
    Restricted,
    /// As the image and the runtime say: root where the image is made so.
    Baseline,
    /// Nothing is said about it at all.
    Privileged,
}

/// Keys of `platform.kubernetes` that are about the app's own pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PodSettings {
    /// `pod_security`.
    pub(crate) security: PodSecurity,
    /// `run_as_user`: for images whose user is root or has no number.
    pub(crate) run_as_user: Option<i64>,
    /// `run_as_group`, which volumes belong to as well.
    pub(crate) run_as_group: Option<i64>,
}

impl PodSettings {
    /// Of an app. What is wrong with them is said where the native part is read.
    pub(crate) fn of(app: &App) -> Self {
        let part = app.platform.get(&PlatformKind::Kubernetes);
        let key = |name: &str| part.and_then(|part| part.get(name));
        let security = match key("pod_security").and_then(Value::as_str) {
            Some("baseline") => PodSecurity::Baseline,
            Some("privileged") => PodSecurity::Privileged,
            _ => PodSecurity::Restricted,
        };
        Self {
            security,
            run_as_user: key("run_as_user").and_then(Value::as_i64),
            run_as_group: key("run_as_group").and_then(Value::as_i64),
        }
    }
}

/// The Service at which other apps reach this one: its own, or the one among its manifests that `service` names.
pub(crate) fn service(app: &TranslatedApp<'_>) -> String {
    let part = app.app.platform.get(&PlatformKind::Kubernetes).filter(|_| app.app.image.is_none());
    let named = part.and_then(|part| part.get("service")).and_then(Value::as_str);
    named.map_or_else(|| app.name.to_string(), str::to_owned)
}
