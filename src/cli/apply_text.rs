//! What came of a plan, as text for people. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use owo_colors::OwoColorize as _;
use stratos_engine::apply::{Applied, ChangeReport, ChangeResult, RunVerdict};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::{Health, RolloutState, Status};

use super::progress::{health_words, result_words};
use super::words;

/// Everything that was done and was not, what is not healthy and why, where it is reached, and the sum.
pub fn render(applied: &Applied, verdict: RunVerdict, took: Duration) -> String {
    let mut out = String::new();
    if !applied.changes.is_empty() {
        out.push('\n');
    }
    for (_, title, matches) in SECTIONS {
        let reports: Vec<_> = applied.changes.iter().filter(|report| matches(&report.result)).collect();
        if !reports.is_empty() {
            let _ = writeln!(out, "{}", title.bold());
            reports.into_iter().for_each(|report| change(&mut out, report));
            out.push('\n');
        }
    }
    unhealthy(&mut out, applied);
    for note in &applied.notes {
        let _ = writeln!(out, "{} {}", "note:".cyan(), words::printable(note));
    }
    let endpoints = words::endpoints(applied);
    if !endpoints.is_empty() {
        let _ = writeln!(out, "{}", "Endpoints:".bold());
        let width = endpoints.iter().map(|(of, _)| of.chars().count()).max().unwrap_or(0);
        for (of, endpoint) in endpoints {
            let _ = writeln!(out, "  {of:<width$}  {}", words::printable(endpoint));
        }
        out.push('\n');
    }
    let summary = format!("{} {}.", summary(applied, verdict), words::effort(applied.requests, took));
    let _ = match verdict {
        RunVerdict::Success => writeln!(out, "{}", summary.green().bold()),
        RunVerdict::Stale | RunVerdict::Partial | RunVerdict::Unhealthy => writeln!(out, "{}", summary.red().bold()),
    };
    out
}

type Section = (&'static str, &'static str, fn(&ChangeResult) -> bool);

/// Word, title, and what belongs into it.
const SECTIONS: [Section; 6] = [
    ("done", "Done:", |r| matches!(r, ChangeResult::Done | ChangeResult::AlreadyDone)),
    ("failed", "Failed, and not written:", |r| matches!(r, ChangeResult::Failed { .. })),
    ("unhealthy", "Written, and not healthy:", |r| matches!(r, ChangeResult::Unhealthy { .. })),
    ("stale", "Stale, and not written:", |r| matches!(r, ChangeResult::Stale { .. })),
    ("skipped", "Skipped:", |r| matches!(r, ChangeResult::Skipped { .. })),
    ("unknown", "Unknown (written or not; plan again to see):", |r| matches!(r, ChangeResult::Unknown { .. })),
];

fn change(out: &mut String, report: &ChangeReport) {
    let _ = writeln!(out, "  {:>3} {}  {}", words::sign(report.action), report.id, result_words(report));
    if let ChangeResult::Failed { hint: Some(hint), .. } = &report.result {
        let _ = writeln!(out, "        {} {}", "hint:".cyan(), words::printable(hint));
    }
    if !matches!(report.result, ChangeResult::Done | ChangeResult::AlreadyDone)
        && let Some(health) = &report.health
    {
        instances(out, health);
    }
}

/// What is not healthy although no change of this run says so.
fn unhealthy(out: &mut String, applied: &Applied) {
    let told = |id: &ResourceId| {
        applied.changes.iter().any(|c| c.id == *id && !matches!(c.result, ChangeResult::Done | ChangeResult::AlreadyDone))
    };
    let bad: Vec<_> = applied.health.iter().filter(|r| r.health.settled() != Some(true) && !told(&r.id)).collect();
    if bad.is_empty() {
        return;
    }
    let _ = writeln!(out, "{}", "Not healthy:".bold());
    for resource in bad {
        let _ = writeln!(out, "    {} {}  {}", "!".yellow(), resource.id, health_words(&resource.health));
        if let Some(rollout) = words::rollout(&resource.health.rollout).filter(|_| resource.health.rollout != RolloutState::Running) {
            let _ = writeln!(out, "        {rollout}");
        }
        instances(out, &resource.health);
    }
    out.push('\n');
}

/// Instances that do not work, with the last that they said.
fn instances(out: &mut String, health: &Health) {
    for instance in health.instances.iter().filter(|i| i.status != Status::Healthy) {
        let restarts = match instance.restarts {
            0 => String::new(),
            1 => ", started again once".to_owned(),
            n => format!(", started again {n} times"),
        };
        let message = if instance.message.is_empty() { String::new() } else { format!(": {}", words::printable(&instance.message)) };
        let _ = writeln!(out, "        {} {}{message}{restarts}", instance.name, instance.status);
        for line in &instance.last_log {
            let _ = writeln!(out, "          {} {}", "|".dimmed(), words::printable(line));
        }
    }
}

fn summary(applied: &Applied, verdict: RunVerdict) -> String {
    let counts: Vec<String> = SECTIONS
        .iter()
        .filter_map(|(word, _, matches)| {
            let count = applied.changes.iter().filter(|report| matches(&report.result)).count();
            (count > 0).then(|| format!("{count} {word}"))
        })
        .collect();
    let counts = if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") };
    match verdict {
        RunVerdict::Success => format!("Applied: {counts}."),
        RunVerdict::Unhealthy => format!("Applied, and not healthy: {counts}."),
        RunVerdict::Stale => format!("Refused in part, since things moved: {counts}. Make a new plan."),
        RunVerdict::Partial => format!("Not all applied: {counts}."),
    }
}
