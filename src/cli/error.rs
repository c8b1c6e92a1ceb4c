//! Errors become text with hints, and exit codes.

use std::process::ExitCode;

use serde_json::{Value, json};
use stratos_engine::apply::ApplyError;
use stratos_engine::deploy::PlanError;
use stratos_engine::desired::name::InvalidName;
use stratos_engine::manifest::diagnostic::{Diagnostic, Report};
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use super::diagnostic;
use super::output::{Format, Output};

/// How a run ended. The numbers are documented in `stratos --help` and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Success = 0,
    /// An error.
    Error = 1,
    /// `plan --detailed-exitcode`: there are changes.
    Changes = 2,
    /// What is live moved since the plan was made; nothing else failed.
    Stale = 3,
    /// Some of it is done, and some is not.
    Partial = 4,
    /// Everything is written, and something is not healthy.
    Unhealthy = 5,
    /// The platform would refuse something that is declared, as its dry run says; everything else is planned, or done.
    Refused = 6,
    /// The command line was not understood (`EX_USAGE` of sysexits.h): 2 has a meaning of its own.
    Usage = 64,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// What was attempted, and why it failed.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Everything that is wrong with a manifest, where that is the failure; `message` is then not shown.
    pub reports: Vec<Report>,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, reports: Vec::new(), exit: Exit::Error }
    }

    /// The command line was not understood.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message) }
    }

    /// The user stopped it.
    pub fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, ..Self::new("interrupted; nothing was changed") }
    }

    /// The same failure with what to do next.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Tells the user.
    pub fn print(&self, output: &Output) {
        use owo_colors::OwoColorize as _;
        if output.format() == Format::Json {
            return output.error(&self.to_json().to_string());
        }
        if !self.reports.is_empty() {
            return output.error(&diagnostic::render(&self.reports, output.colors_errors()));
        }
        let mut text = format!("{} {}", "error:".red().bold(), self.message.replace('\n', "\n  "));
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n  {} {}", "hint:".cyan(), hint.replace('\n', "\n        ")));
        }
        output.error(&text);
    }

    /// For programs: one line on standard error, with every problem of a manifest at its place.
    fn to_json(&self) -> Value {
        let problem = |report: &Report, diagnostic: &Diagnostic| {
            let place = diagnostic.span.map(|span| (report.sources.name(span.file).to_owned(), report.sources.position(span)));
            let (file, position) = place.unzip();
            let (line, column) = position.unzip();
            json!({ "message": diagnostic.message, "help": diagnostic.help, "file": file, "line": line, "column": column })
        };
        let problems = self.reports.iter().flat_map(|report| report.diagnostics.iter().map(move |d| problem(report, d)));
        json!({
            "format": 1,
            "error": { "message": self.message, "hint": self.hint, "exit_code": self.exit as u8, "problems": problems.collect::<Vec<_>>() }
        })
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self { message: report.to_string(), reports: vec![report], ..Self::new("") }
    }
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let message = error.to_string();
        match error {
            PlanError::Manifest(report) => report.into(),
            PlanError::Platform { source, .. } => Self { hint: platform_hint(&source), ..Self::new(message) },
            PlanError::Older { .. } => {
                Self::new(message).with_hint("update your checkout; or, if going back is what you want, add `--allow-older`")
            }
            PlanError::Abandoned { environment, .. } => Self::new(message).with_hint(format!(
                "put it back as it was and `stratos destroy --env={environment}` (its volumes go with `--delete-data`); or leave it running \
                 there with `--abandon`"
            )),
            PlanError::NotRenamed { environment, before, .. } => Self::new(message).with_hint(format!(
                "call it {before} again; or, to make it anew, call it {before} again and `stratos destroy --env={before}` first, \
                 which says what data goes with it; or leave it running there with `--abandon`, and let {environment} begin empty"
            )),
            PlanError::Selection(_) => Self::new(message),
        }
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let message = error.to_string();
        match error {
            ApplyError::Secret { .. } => Self::new(message)
                .with_hint("make its value available (see [secrets] in stratos.toml) and apply again; nothing was changed"),
            ApplyError::SecretMoved { .. } => {
                Self { exit: Exit::Stale, ..Self::new(message) }.with_hint("make a new plan; nothing was changed")
            }
            ApplyError::Platform { source, .. } => Self { hint: platform_hint(&source), ..Self::new(message) },
        }
    }
}

impl From<PlatformError> for Failure {
    fn from(error: PlatformError) -> Self {
        Self { hint: platform_hint(&error), ..Self::new(error.to_string()) }
    }
}

/// The platform's own hint, or what its kind of failure suggests.
fn platform_hint(error: &PlatformError) -> Option<String> {
    let by_kind = match error.kind {
        PlatformErrorKind::Unreachable => "check the environment's `url`, and that the platform is running",
        PlatformErrorKind::Throttled => "wait a moment and try again, or lower `--concurrency`",
        PlatformErrorKind::Conflict | PlatformErrorKind::Locked => {
            "somebody else is changing this environment: try again when they are done"
        }
        PlatformErrorKind::Denied => "check your credentials and what they allow",
        PlatformErrorKind::Rejected | PlatformErrorKind::Internal => return error.hint.clone(),
    };
    Some(error.hint.clone().unwrap_or_else(|| by_kind.to_owned()))
}
