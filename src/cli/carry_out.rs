//! Shows a plan, asks, carries it out and reports: what apply, deploy, destroy, restart and forget have in common.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use stratos_engine::apply::{Applied, ApplyOptions, RunVerdict};
use stratos_engine::deploy;
use stratos_engine::desired::quantity::Duration;
use stratos_engine::plan::Plan;
use stratos_engine::render::secret::Secrets;
use tokio_util::sync::CancellationToken;

use super::error::{Exit, Failure};
use super::output::Format;
use super::progress::Reporter;
use super::{Context, apply_text, ask, plan_text, signals, words};
use crate::connect::Connect;

/// How a plan is carried out.
#[derive(Debug, clap::Args)]
pub struct How {
    /// Do not ask. Needed where nobody can be asked.
    #[arg(short, long)]
    pub yes: bool,

    /// Stop waiting after this time, such as `90s` or `10m`.
    #[arg(long, value_name = "TIME")]
    timeout: Option<Duration>,

    /// Do not wait until everything is healthy.
    #[arg(long)]
    no_wait: bool,

    /// Start nothing new after the first failure.
    #[arg(long)]
    fail_fast: bool,

    /// At most this many changes at once in each environment.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
}

/// What a plan is carried out with, and whether the user wants to be asked about it.
pub struct Run<'a> {
    /// What is done.
    pub plan: &'a Plan,
    /// The values that it needs.
    pub secrets: &'a Secrets,
    /// The platforms that it is done on.
    pub connector: &'a Connect,
    /// How it is done.
    pub how: &'a How,
    /// What to ask before; None where the user has said enough.
    pub question: Option<&'a str>,
}

/// The result as JSON.
#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    verdict: &'static str,
    exit_code: u8,
    planned: words::Counts,
    held: &'a [stratos_engine::plan::Held],
    applied: &'a Applied,
}

/// Shows the plan, asks, carries out exactly that plan, and reports. Also an empty plan is carried out: the health of what
/// is there is judged all the same.
pub async fn carry_out(run: Run<'_>, planned_in: Option<std::time::Duration>, context: &Context) -> Result<Exit, Failure> {
    let Run { plan, secrets, connector, how, question } = run;
    let output = &context.output;
    let question = question.filter(|_| !plan.changes.is_empty() && !how.yes);
    let text = plan_text::render(plan, planned_in);
    match question {
        // Nobody agrees to what was not shown, whatever was said about quiet and the format of the result.
        Some(question) => {
            output.error(&text);
            ask::confirm(output, question)?;
        }
        None if output.format() == Format::Text => output.note(&text),
        None => {}
    }
    let cancel = CancellationToken::new();
    let options = ApplyOptions {
        concurrency: usize::from(how.concurrency),
        no_wait: how.no_wait,
        fail_fast: how.fail_fast,
        timeout: how.timeout,
        cancel: cancel.clone(),
        holder: holder(),
    };
    let reporter = Reporter::new(output);
    let watch = signals::cancel_on_signal(cancel.clone(), Arc::new(reporter.teller()))?;
    let begun = Instant::now();
    let applied = deploy::apply(plan, secrets, connector, &options, &reporter).await;
    drop(watch);
    reporter.finish();
    let mut applied = applied?;
    let mut verdict = applied.verdict();
    if plan.is_blind() {
        applied.notes.extend(plan.coverage.gaps.iter().map(words::gap));
        // Nobody knows whether it is as asked for.
        if verdict == RunVerdict::Success {
            verdict = RunVerdict::Partial;
        }
    }
    if plan.refused() > 0 && verdict == RunVerdict::Success {
        verdict = RunVerdict::Refused;
    }
    let exit = exit(verdict, cancel.is_cancelled());
    let counts = words::Counts::of(plan);
    match output.format() {
        Format::Text => {
            let text = apply_text::render(&applied, counts, verdict, begun.elapsed());
            // The empty line in front is for what was said before.
            output.result(if output.quiet() { text.trim_start_matches('\n') } else { &text });
        }
        Format::Json => {
            let (verdict, exit_code, held) = (word(verdict), exit as u8, plan.held.as_slice());
            output.json(&Document { format: 1, verdict, exit_code, planned: counts, held, applied: &applied })?;
        }
        Format::Markdown => output.result(&markdown(&applied, counts, verdict, begun.elapsed())),
    }
    Ok(exit)
}

fn exit(verdict: RunVerdict, is_cancelled: bool) -> Exit {
    match verdict {
        RunVerdict::Success => Exit::Success,
        _ if is_cancelled => Exit::Interrupted,
        RunVerdict::Stale => Exit::Stale,
        RunVerdict::Partial => Exit::Partial,
        RunVerdict::Unhealthy => Exit::Unhealthy,
        RunVerdict::Refused => Exit::Refused,
    }
}

fn word(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Success => "success",
        RunVerdict::Stale => "stale",
        RunVerdict::Partial => "partial",
        RunVerdict::Unhealthy => "unhealthy",
        RunVerdict::Refused => "refused",
    }
}

/// The report in a code block: its text is made of lines, and Markdown must not read them.
fn markdown(applied: &Applied, counts: words::Counts, verdict: RunVerdict, took: std::time::Duration) -> String {
    let text = apply_text::render(applied, counts, verdict, took);
    let plain = anstream::adapter::strip_str(&text).to_string();
    format!("### Stratos apply: {}\n\n~~~~~text\n{}\n~~~~~\n", word(verdict), plain.trim())
}

/// Who we are, for whoever finds the environment locked.
fn holder() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "someone".into());
    let machine = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "somewhere".into());
    format!("{user}@{machine}, process {}", std::process::id())
}
