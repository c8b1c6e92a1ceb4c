//! What a server answered, or that it did not, as an error that says what to do.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use kube::core::Status;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

/// Why a kind is neither known nor known to be missing.
const UNDISCOVERED: &str = "could not be discovered: its server does not answer the cluster";

/// What the server says, before the name, of a webhook that it could not ask.
const WEBHOOK: &str = "failed calling webhook";

/// A request that failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// What the server answered; None where it did not.
    status: Option<Box<Status>>,
    kind: PlatformErrorKind,
    why: String,
    retry_after: Option<Duration>,
    /// Whether a write may have happened all the same.
    lost: bool,
}

impl Failure {
    /// A request that was never sent.
    pub(crate) fn unsent(error: &dyn std::error::Error) -> Self {
        Self { status: None, kind: PlatformErrorKind::Internal, why: with_causes(error), retry_after: None, lost: false }
    }

    /// An answer that was not understood.
    pub(crate) fn unreadable(error: &dyn std::error::Error) -> Self {
        let why = format!("the server's answer was not understood: {}", with_causes(error));
        Self { status: None, kind: PlatformErrorKind::Internal, why, retry_after: None, lost: true }
    }

    /// A connection that failed.
    pub(crate) fn of(error: &kube::Error) -> Self {
        // What comes over a connection of its own (exec) is answered like everything else.
        if let kube::Error::Api(status) = error {
            let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Self::answered(code, &HeaderMap::new(), *status.clone());
        }
        let why = with_causes(error);
        let refused = why.to_lowercase().contains("certificate");
        let auth = matches!(error, kube::Error::Auth(_));
        let kind = if refused || auth { PlatformErrorKind::Denied } else { PlatformErrorKind::Unreachable };
        Self { status: None, kind, why, retry_after: None, lost: !auth }
    }

    /// Who says who we are does not: nothing was sent.
    pub(crate) fn unknown_to_us(why: String) -> Self {
        Self { status: None, kind: PlatformErrorKind::Denied, why, retry_after: None, lost: false }
    }

    /// Whether the server has a kind cannot be told: nothing was sent about it.
    pub(crate) fn undiscovered(group: &str) -> Self {
        let why = format!("what the group {group} has {UNDISCOVERED}");
        Self { status: None, kind: PlatformErrorKind::Unreachable, why, retry_after: None, lost: false }
    }

    /// No answer came.
    pub(crate) fn no_answer(within: Duration) -> Self {
        let why = format!("no answer within {}s", within.as_secs());
        Self { status: None, kind: PlatformErrorKind::Unreachable, why, retry_after: None, lost: true }
    }

    /// An answer that says no.
    pub(crate) fn answered(code: StatusCode, headers: &HeaderMap, status: Status) -> Self {
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let why = if status.message.is_empty() { code.to_string() } else { status.message.clone() };
        let kind = kind_of(code, &status);
        // The server gave up waiting for its own store: what it had begun may go on. What admission stops has not begun.
        let lost = code.is_server_error() && code != StatusCode::SERVICE_UNAVAILABLE && !why.contains(WEBHOOK);
        Self { status: Some(Box::new(status)), kind, why, retry_after: seconds.map(Duration::from_secs), lost }
    }

    /// There is no such object.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == 404
    }

    /// There is one of that name already.
    pub(crate) fn is_there_already(&self) -> bool {
        self.code() == 409 && self.reason() == "AlreadyExists"
    }

    /// Another write came first, or another manager owns a field.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == 409 && !self.is_there_already()
    }

    /// A page of a list, or a place in a watch, that the server has forgotten.
    pub(crate) fn is_expired(&self) -> bool {
        self.code() == 410
    }

    /// The server does not know who we are.
    pub(crate) fn is_unauthenticated(&self) -> bool {
        self.code() == 401
    }

    /// Something that the request would pass (an admission webhook) cannot tell a dry run from the real one.
    pub(crate) fn has_no_dry_run(&self) -> bool {
        self.code() == 400 && self.why.contains("does not support dry run")
    }

    /// We lack the right: what admission forbids to everybody is refused with the same status.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.is_denied() && self.why.contains(" cannot ")
    }

    /// We may not.
    pub(crate) fn is_denied(&self) -> bool {
        self.kind == PlatformErrorKind::Denied
    }

    /// The server has too much to do; nothing has happened.
    pub(crate) fn is_busy(&self) -> bool {
        self.code() == 429
    }

    /// Whether a write may have happened although no answer says so.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// When to come back.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after.or_else(|| self.is_busy().then_some(Duration::from_secs(1)))
    }

    /// What the server says, in its own words.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// The causes that the server lists: `(reason, message, field)`.
    pub(crate) fn causes(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let causes = self.status.iter().filter_map(|status| status.details.as_ref()).flat_map(|details| &details.causes);
        causes.map(|cause| (cause.reason.as_str(), cause.message.as_str(), cause.field.as_str()))
    }

    /// The server's word for what is wrong: `AlreadyExists`, `Forbidden`, `Invalid`.
    pub(crate) fn reason(&self) -> &str {
        self.status.as_ref().map_or("", |status| status.reason.as_str())
    }

    fn code(&self) -> u16 {
        self.status.as_ref().map_or(0, |status| status.code)
    }

    /// The error that people read.
    pub(crate) fn error(&self, attempted: impl Into<String>) -> PlatformError {
        let error = PlatformError { retry_after: self.retry_after(), ..PlatformError::new(self.kind, attempted, self.why.clone()) };
        match self.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    fn hint(&self) -> Option<String> {
        let why = self.why.to_lowercase();
        if why.contains("invalid peer certificate") {
            return Some(
                "the server's certificate is not one that we trust: name its authority with `ca` in the environment's options, or use a kubeconfig"
                    .to_owned(),
            );
        }
        if why.contains(UNDISCOVERED) {
            return Some("`kubectl get apiservice` says why; who installed it must mend or remove it".to_owned());
        }
        match (self.kind, self.code()) {
            (_, 401) => Some("the server does not know who we are: is the token or the certificate still valid?".to_owned()),
            (_, 403) if why.contains("because it is being terminated") => {
                Some("the namespace is being deleted: wait until it is gone (`kubectl get namespace`), then apply again".to_owned())
            }
            (_, 403) if why.contains("exceeded quota") => Some("the namespace's ResourceQuota is used up".to_owned()),
            (_, 403) if why.contains("cannot ") => Some(match missing_right(&self.why) {
                Some(rule) => format!("a role must allow it: {rule} (whole roles are in docs/kubernetes.md, \"Rights\")"),
                None => "whole roles are in docs/kubernetes.md, \"Rights\"".to_owned(),
            }),
            (_, 500) if why.contains(WEBHOOK) => {
                let name = quoted_after(&self.why, WEBHOOK).unwrap_or("it");
                Some(format!(
                    "nothing was written: the cluster asks the admission webhook {name}, which does not answer; its owner must mend it, \
                     or remove its configuration (`kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`)"
                ))
            }
            (PlatformErrorKind::Unreachable, _) => Some("does `kubectl cluster-info` reach the cluster the same way?".to_owned()),
            _ => None,
        }
    }
}

/// The rule of a Role that is missing, read out of the server's sentence: `User "x" cannot patch resource "deployments" in API
/// group "apps" in the namespace "shop"`.
fn missing_right(why: &str) -> Option<String> {
    let (_, after) = why.split_once(" cannot ")?;
    let (verb, after) = after.split_once(" resource ")?;
    let (resource, group) = (quoted_after(after, "")?, quoted_after(after, "in API group")?);
    let scope = if after.contains("at the cluster scope") { "in a ClusterRole: " } else { "" };
    Some(format!("{scope}{{apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [\"{verb}\"]}}"))
}

/// What stands in quotation marks right after these words.
fn quoted_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(words)?;
    Some(after.trim_start().strip_prefix('"')?.split_once('"')?.0)
}

fn kind_of(code: StatusCode, status: &Status) -> PlatformErrorKind {
    match code.as_u16() {
        // These are no matter of rights.
        403 if ["because it is being terminated", "exceeded quota"].iter().any(|words| status.message.contains(words)) => {
            PlatformErrorKind::Rejected
        }
        401 | 403 => PlatformErrorKind::Denied,
        409 if status.reason == "AlreadyExists" => PlatformErrorKind::Rejected,
        409 => PlatformErrorKind::Conflict,
        429 => PlatformErrorKind::Throttled,
        408 | 502 | 503 | 504 => PlatformErrorKind::Unreachable,
        // What the server's store answers while it elects, or starts.
        500 if status.message.contains("etcdserver") || status.message.contains("connection refused") => PlatformErrorKind::Unreachable,
        500 if status.message.contains(WEBHOOK) && status.message.contains("deadline exceeded") => PlatformErrorKind::Unreachable,
        500..=599 => PlatformErrorKind::Internal,
        _ => PlatformErrorKind::Rejected,
    }
}

/// The whole chain: hyper's own text names none of its causes.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_such_sentence_has_no_rule() {
        assert_eq!(missing_right(""), None);
        assert_eq!(missing_right("the user cannot do this"), None);
    }

    #[test]
    fn the_missing_rule_is_read_out_of_the_sentence() {
        let why = r#"deployments.apps "web" is forbidden: User "ann" cannot patch resource "deployments/scale" in API group "apps" in the namespace "shop""#;
        assert_eq!(missing_right(why).unwrap(), r#"{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}"#);
        let why = r#"namespaces is forbidden: User "ann" cannot create resource "namespaces" in API group "" at the cluster scope"#;
        assert_eq!(missing_right(why).unwrap(), r#"in a ClusterRole: {apiGroups: [""], resources: ["namespaces"], verbs: ["create"]}"#);
    }
}
