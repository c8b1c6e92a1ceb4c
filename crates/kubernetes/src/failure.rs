//! What a server answered, or that it did not, as an error that says what to do.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use kube::core::Status;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use crate::kind::GroupKind;

/// Why a kind is neither known nor known to be missing.
const UNDISCOVERED: &str = "could not be discovered: its server does not answer the cluster";

/// What the server says, before the name, of a webhook that it could not ask.
const WEBHOOK: &str = "failed calling webhook";

/// The server's words where it cannot translate the objects of a kind between two versions, since the webhook of the kind's definition
/// does not do it. The status is 429 for lists, 500 for reads and writes.
const CONVERSION: &str = "conversion webhook for ";

/// The server's words about a list whose cache is not filled yet.
const INITIALIZING: &str = "storage is (re)initializing";

/// The server's words about an object that does not fit the schema of its kind, whatever is live.
const TYPED_PATCH: &str = "failed to create typed patch object";

/// Answers with a status of the server's own trouble (5xx, 429) that are refusals all the same: they are made of the request, before
/// anything is stored. The texts are those of `structured-merge-diff`, of `k8s.io/apiserver` (`managedfields`, `admission`, the decoding of
/// objects) and of etcd 3.6. `tests/kubernetes/bad_objects.rs` has most of them from a real server.
const REFUSALS: [&str; 18] = [
    // The object does not fit the schema of its kind, in the version that is written or in one that a field manager's entry names.
    TYPED_PATCH,
    "field not declared in schema",
    "expected numeric",
    "expected string, got",
    "expected boolean, got",
    "expected list, got",
    "expected map, got",
    "duplicate entries for key",
    "failed to convert new object",
    "failed to create manager for existing fields",
    "failed to convert merged object to last applied version",
    "request to convert CR to an invalid group/version",
    // Admission.
    "denied the request",
    "denied request",
    WEBHOOK,
    // An address or a port is taken.
    "failed to allocate",
    // The store takes no object that large.
    "request is too large",
    "trying to send message larger than max",
];

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
        let why = if status.message.is_empty() { code.to_string() } else { without_comparisons(&status.message) };
        let kind = kind_of(code, &status);
        // The server gave up waiting for its own store: what it had begun may go on. A refused request has not begun.
        let lost = code.is_server_error() && code != StatusCode::SERVICE_UNAVAILABLE && !is_refusal(&status.message);
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

    /// The object breaks a rule of its kind.
    pub(crate) fn is_invalid(&self) -> bool {
        self.code() == 422
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

    /// We lack the right: what admission forbids to everybody is refused with the same status, in words of its own.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.is_denied() && self.why.contains("User \"") && self.why.contains("\" cannot ")
    }

    /// The objects of one kind cannot be read: their conversion fails, their cache is not filled, or the server that has them does not
    /// answer.
    pub(crate) fn is_of_its_kind(&self) -> bool {
        [CONVERSION, INITIALIZING, UNDISCOVERED].iter().any(|words| self.why.contains(words))
    }

    /// It says nothing about what was asked for: the cluster does not answer, or has too much to do.
    pub(crate) fn is_of_the_cluster(&self) -> bool {
        !self.is_of_its_kind() && (self.status.is_none() || self.is_busy())
    }

    /// The same request may work in a moment, and it is not the cluster as a whole.
    pub(crate) fn may_pass(&self) -> bool {
        self.kind.is_transient() && !self.is_of_the_cluster() && !self.is_of_its_kind()
    }

    /// The object itself does not fit the schema of its kind: nothing that is live matters for that.
    pub(crate) fn is_of_the_schema(&self) -> bool {
        self.why.contains(TYPED_PATCH)
    }

    /// The object may be right, and cannot be said in a version that a field manager's entry names.
    pub(crate) fn is_of_an_entry(&self) -> bool {
        self.code() == 500 && !self.kind.is_transient() && !self.is_of_the_schema() && !self.why.contains(WEBHOOK)
    }

    /// The server does not serve the kind at this place, in this version: no object was looked for.
    pub(crate) fn is_unserved(&self) -> bool {
        self.is_not_found() && ["could not find the requested resource", "page not found"].iter().any(|words| self.why.contains(words))
    }

    /// The objects of a kind cannot be converted from this version.
    pub(crate) fn is_unconverted_from(&self, api_version: &str) -> bool {
        self.why.contains(&format!("{CONVERSION}{api_version},"))
    }

    /// We may not.
    pub(crate) fn is_denied(&self) -> bool {
        self.kind == PlatformErrorKind::Denied
    }

    /// The server has too much to do; nothing has happened.
    pub(crate) fn is_busy(&self) -> bool {
        self.code() == 429 && self.kind == PlatformErrorKind::Throttled
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
        if why.contains("for bound claims") {
            return Some(
                "if its size is to change: a claim can grow once it has a volume, which it gets when a pod uses it, or at once, as its class says".to_owned(),
            );
        }
        if why.contains("port is already allocated") {
            return Some("another Service has this port: once that has gone or gives it up, apply again".to_owned());
        }
        if why.contains("failed to create typed live object") {
            return Some(
                "what is stored does not fit the definition of its kind any more: change the definition back, or delete the object (`kubectl \
                 delete`) and apply again"
                    .to_owned(),
            );
        }
        if why.contains(UNDISCOVERED) {
            return Some("`kubectl get apiservice` says why; who installed it must mend or remove it".to_owned());
        }
        if self.why.contains(CONVERSION) {
            let kind = unconverted(&self.why).unwrap_or_else(|| "this kind".to_owned());
            return Some(format!(
                "objects of {kind} can be neither read nor written until the webhook answers that converts them between versions: it is named by \
                 `spec.conversion` of the kind's CustomResourceDefinition; who installed it must mend it"
            ));
        }
        match (self.kind, self.code()) {
            (_, 401) => Some("the server does not know who we are: is the token or the certificate still valid?".to_owned()),
            (_, 403) if why.contains("because it is being terminated") => {
                Some("the namespace is being deleted: wait until it is gone (`kubectl get namespace`), then apply again".to_owned())
            }
            (_, 403) if why.contains("exceeded quota") => Some("the namespace's ResourceQuota is used up".to_owned()),
            (_, 403) if self.is_unauthorized() => Some(match missing_right(&self.why) {
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

/// The kind in the sentence of a conversion that failed: `conversion webhook for g/v1, Kind=Hook failed: …`.
fn unconverted(why: &str) -> Option<String> {
    let (api_version, after) = why.split_once(CONVERSION)?.1.split_once(", Kind=")?;
    let kind = after.split_once(" failed")?.0;
    Some(GroupKind::of(api_version, kind).to_string())
}

/// Whether the server refuses the request itself, whatever its status code says.
fn is_refusal(message: &str) -> bool {
    REFUSALS.iter().any(|words| message.contains(words))
}

fn kind_of(code: StatusCode, status: &Status) -> PlatformErrorKind {
    match code.as_u16() {
        // Asking again does not help before somebody has mended the webhook.
        429 | 500 if status.message.contains(CONVERSION) => PlatformErrorKind::Internal,
        // These are no matter of rights.
        403 if ["because it is being terminated", "exceeded quota"].iter().any(|words| status.message.contains(words)) => {
            PlatformErrorKind::Rejected
        }
        401 | 403 => PlatformErrorKind::Denied,
        409 if status.reason == "AlreadyExists" => PlatformErrorKind::Rejected,
        409 => PlatformErrorKind::Conflict,
        429 | 500 | 502..=599 if is_refusal(&status.message) && !status.message.contains(WEBHOOK) => PlatformErrorKind::Rejected,
        429 => PlatformErrorKind::Throttled,
        408 | 502 | 503 | 504 => PlatformErrorKind::Unreachable,
        // What the server's store answers while it elects, or starts.
        500 if status.message.contains("etcdserver") || status.message.contains("connection refused") => PlatformErrorKind::Unreachable,
        500 if status.message.contains(WEBHOOK) && status.message.contains("deadline exceeded") => PlatformErrorKind::Unreachable,
        500..=599 => PlatformErrorKind::Internal,
        _ => PlatformErrorKind::Rejected,
    }
}

/// A message without the comparisons of Go values that some refusals have appended: each begins with a line such as `@@ -6,7 +6,7 @@`, or,
/// before 1.34, with an indented one such as `core.PersistentVolumeClaimSpec{`.
fn without_comparisons(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut is_within = false;
    for (at, line) in message.split('\n').enumerate() {
        let is_indented = line.starts_with([' ', '\u{a0}']);
        let begins = line.starts_with("@@") || is_indented && line.ends_with('{');
        is_within = begins || is_within && (is_indented || line.starts_with(['+', '-', '}']));
        if !is_within {
            // The next refusal follows the comparison on a line of its own: `, spec.b: Forbidden`.
            if at > 0 && !line.is_empty() && !line.starts_with([',', ']']) {
                out.push('\n');
            }
            out.push_str(line);
        }
    }
    out
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

    fn answered(code: u16, reason: &str, message: &str) -> Failure {
        let status = Status { code, reason: reason.to_owned(), message: message.to_owned(), ..Status::default() };
        Failure::answered(StatusCode::from_u16(code).unwrap(), &HeaderMap::new(), status)
    }

    /// Answers of Kubernetes 1.34.4, most of which `tests/kubernetes/bad_objects.rs` asks a real server for: status, reason, message; what kind
    /// of failure it is, and whether the object may have been written all the same.
    #[test]
    fn what_the_server_answers_is_certain_or_lost() {
        use PlatformErrorKind::{Conflict, Denied, Internal, Rejected, Throttled, Unreachable};
        let typed = "failed to create typed patch object (/w; apps/v1, Kind=Deployment): ";
        let table = [
            (500, "", format!("{typed}.spec.minReadySecs: field not declared in schema"), Rejected, false),
            (500, "", format!("{typed}.spec.minReadySeconds: expected numeric (int or float), got string"), Rejected, false),
            (500, "", format!("{typed}.spec.template: duplicate entries for key [name=\"A\"]"), Rejected, false),
            (
                500,
                "",
                "failed to convert new object (/w; apps/v1, Kind=Deployment) to proper version: quantities must match".into(),
                Rejected,
                false,
            ),
            (500, "", ".spec.tint: field not declared in schema".into(), Rejected, false),
            (500, "", "request to convert CR to an invalid group/version: example.com/v1alpha1".into(), Rejected, false),
            (500, "", "etcdserver: request is too large".into(), Rejected, false),
            (500, "", "etcdserver: request timed out".into(), Unreachable, true),
            (500, "", "etcdserver: leader changed".into(), Unreachable, true),
            (500, "InternalError", "Internal error occurred: this request caused apiserver to panic".into(), Internal, true),
            (500, "InternalError", "Internal error occurred: failed calling webhook \"a.b.c\": no endpoints".into(), Internal, false),
            (500, "InternalError", "Internal error occurred: failed to allocate a nodePort: range is full".into(), Rejected, false),
            (500, "", "admission webhook \"a.b.c\" denied the request: no".into(), Rejected, false),
            (503, "", "admission webhook \"a.b.c\" denied the request: not now".into(), Rejected, false),
            (403, "Forbidden", "admission webhook \"a.b.c\" denied the request: pods cannot be so".into(), Denied, false),
            (422, "Invalid", "Deployment.apps \"w\" is invalid: spec.x: Invalid value".into(), Rejected, false),
            (400, "BadRequest", "invalid object type: apps/v1beta1, Kind=Deployment".into(), Rejected, false),
            (404, "NotFound", "namespaces \"nope\" not found".into(), Rejected, false),
            (409, "Conflict", "the object has been modified".into(), Conflict, false),
            (409, "AlreadyExists", "configmaps \"a\" already exists".into(), Rejected, false),
            (413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728".into(), Rejected, false),
            (429, "TooManyRequests", "the server is busy".into(), Throttled, false),
            (429, "TooManyRequests", "storage is (re)initializing".into(), Throttled, false),
            (429, "TooManyRequests", "storage is (re)initializing: conversion webhook for a/v1, Kind=B failed: no".into(), Internal, false),
            (500, "", "conversion webhook for a/v1, Kind=B failed: Post: connection refused".into(), Internal, true),
            (503, "ServiceUnavailable", "the server is currently unable to handle the request".into(), Unreachable, false),
            (504, "Timeout", "request did not complete within the allotted timeout".into(), Unreachable, true),
        ];
        for (code, reason, message, kind, lost) in table {
            let failure = answered(code, reason, &message);
            assert_eq!((failure.kind, failure.is_lost()), (kind, lost), "{code} {reason}: {message}");
        }
    }

    #[test]
    fn comparisons_of_go_values_are_left_out_of_messages() {
        for (message, expected) in [
            ("spec: Forbidden: no", "spec: Forbidden: no"),
            ("two\nlines", "two\nlines"),
            ("spec: Forbidden: no\n@@ -6,7 +6,7 @@\n   \"a\": {\n-   \"b\": 1\n+   \"b\": 2\n  },\n", "spec: Forbidden: no"),
            ("spec: no\n  core.Spec{\n  \t... // 2 fields\n- \ta: 1,\n+ \ta: 2,\n  }\n", "spec: no"),
            ("spec: no\n\u{a0}\u{a0}core.Spec{\n-\u{a0}\ta: 1,\n\u{a0}\u{a0}}\n", "spec: no"),
            ("[spec.a: no\n@@ -1 +1 @@\n-1\n+2\n, spec.b: no]", "[spec.a: no, spec.b: no]"),
        ] {
            assert_eq!(answered(422, "Invalid", message).why(), expected);
        }
    }

    #[test]
    fn a_failure_is_of_the_cluster_of_a_kind_or_of_an_object() {
        let kind = answered(429, "TooManyRequests", "storage is (re)initializing: conversion webhook for a.b/v1, Kind=C failed: no");
        assert!(kind.is_of_its_kind() && !kind.is_of_the_cluster() && !kind.is_busy() && !kind.may_pass());
        assert!(kind.is_unconverted_from("a.b/v1") && !kind.is_unconverted_from("a.b/v1alpha1"));
        assert!(kind.error("x").hint.unwrap().contains("objects of C.a.b can be neither read nor written"));
        let busy = answered(429, "TooManyRequests", "the server is busy");
        assert!(busy.is_of_the_cluster() && busy.is_busy() && !busy.may_pass());
        let silent = Failure::no_answer(Duration::from_secs(1));
        assert!(silent.is_of_the_cluster() && !silent.may_pass());
        let passing = answered(503, "ServiceUnavailable", "the server is currently unable to handle the request");
        assert!(!passing.is_of_the_cluster() && passing.may_pass());
        assert!(Failure::undiscovered("a.b").is_of_its_kind());
        let object = answered(500, "", "failed to create typed patch object (/w): .x: field not declared in schema");
        assert!(object.is_of_the_schema() && !object.is_of_an_entry() && !object.is_of_its_kind());
        assert!(answered(500, "", ".x: field not declared in schema").is_of_an_entry());
        assert!(answered(404, "NotFound", "the server could not find the requested resource").is_unserved());
        assert!(!answered(404, "NotFound", "nets.example.com \"a\" not found").is_unserved());
    }

    /// A webhook may say anything.
    #[test]
    fn a_right_that_is_missing_is_told_from_what_admission_forbids() {
        let missing = r#"deployments.apps "web" is forbidden: User "ann" cannot patch resource "deployments" in API group "apps""#;
        assert!(answered(403, "Forbidden", missing).is_unauthorized());
        assert!(!answered(403, "Forbidden", "admission webhook \"a.b.c\" denied the request: you cannot do that").is_unauthorized());
    }

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
