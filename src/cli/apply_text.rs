//! What came of a plan, as text for people. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use owo_colors::OwoColorize as _;
use stratos_engine::apply::{Applied, ChangeReport, ChangeResult, ResourceHealth, RunVerdict};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::{Health, RolloutState, Status};

use super::progress::{health_words, result_words};
use super::words;

/// Everything that was done and was not, what is not healthy and why, where it is reached, and the sum. `planned` has
/// what the plan held back: whoever reads only this should know that there is something.
pub fn render(applied: &Applied, planned: words::Counts, verdict: RunVerdict, took: Duration) -> String {
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
    if !applied.notes.is_empty() {
        out.push('\n');
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
    let summary = format!("{} {}.", summary(applied, planned, verdict), words::effort(applied.requests, took));
    let _ = match verdict {
        RunVerdict::Success => writeln!(out, "{}", summary.green().bold()),
        RunVerdict::Stale | RunVerdict::Partial | RunVerdict::Unhealthy | RunVerdict::Refused => writeln!(out, "{}", summary.red().bold()),
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
fn bad(applied: &Applied) -> Vec<&ResourceHealth> {
    let told = |id: &ResourceId| {
        applied.changes.iter().any(|c| c.id == *id && !matches!(c.result, ChangeResult::Done | ChangeResult::AlreadyDone))
    };
    applied.health.iter().filter(|r| r.health.settled() != Some(true) && !told(&r.id)).collect()
}

fn unhealthy(out: &mut String, applied: &Applied) {
    let bad = bad(applied);
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

fn summary(applied: &Applied, planned: words::Counts, verdict: RunVerdict) -> String {
    let counts: Vec<String> = SECTIONS
        .iter()
        .filter_map(|(word, _, matches)| {
            let count = applied.changes.iter().filter(|report| matches(&report.result)).count();
            (count > 0).then(|| format!("{count} {word}"))
        })
        .collect();
    let mut beside = planned.not_done();
    match bad(applied).len() {
        0 => {}
        count => _ = write!(beside, ", {count} not healthy besides"),
    }
    let counts = if counts.is_empty() { format!("nothing to do{beside}") } else { format!("{}{beside}", counts.join(", ")) };
    match verdict {
        RunVerdict::Success => format!("Applied: {counts}."),
        RunVerdict::Unhealthy => format!("Applied, and not healthy: {counts}."),
        RunVerdict::Stale => {
            let any = applied.changes.iter().any(|report| matches!(report.result, ChangeResult::Done | ChangeResult::AlreadyDone));
            let refused = if any { "Refused in part" } else { "Refused" };
            format!("{refused}, since things moved: {counts}. Make a new plan.")
        }
        RunVerdict::Partial | RunVerdict::Refused => format!("Not all applied: {counts}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratos_engine::desired::name::Name;
    use stratos_engine::health::Instance;
    use stratos_engine::plan::change::Action;

    fn health(status: Status, message: &str) -> Health {
        Health { status, ..Health::missing(message) }
    }

    fn report(id: &str, action: Action, result: ChangeResult, health: Option<Health>) -> ChangeReport {
        ChangeReport { id: id.parse().unwrap(), app: Name::new("web").unwrap(), action, result, health }
    }

    #[test]
    fn every_result_has_its_place_and_its_words() {
        let why = |text: &str| text.to_owned();
        let log = vec!["starting".to_owned(), "panic: \x1b[31mno database".to_owned()];
        let instance =
            Instance { name: "web-1".into(), status: Status::Failed, message: "ended with 1".into(), restarts: 3, last_log: log };
        let broken = Health { instances: vec![instance], ..health(Status::Failed, "0 of 1 instances work") };
        let well = Health { endpoints: vec!["http://127.0.0.1:8080".into()], ..health(Status::Healthy, "") };
        let paused = Health { rollout: RolloutState::Paused { why: "too slow".into() }, ..health(Status::Degraded, "1 of 2 work") };
        let of = |id: &str, health| ResourceHealth { id: id.parse().unwrap(), app: Name::new("web").unwrap(), health };
        let applied = Applied {
            changes: vec![
                report("dev/workload/a", Action::Create, ChangeResult::Done, Some(well.clone())),
                report("dev/workload/b", Action::Update, ChangeResult::AlreadyDone, None),
                report("dev/workload/c", Action::Update, ChangeResult::Unhealthy { why: why("it crashes") }, Some(broken)),
                report("dev/workload/d", Action::Delete, ChangeResult::Failed { why: why("denied"), hint: Some(why("ask")) }, None),
                report("dev/workload/e", Action::Update, ChangeResult::Stale { why: why("it was changed") }, None),
                report("dev/workload/f", Action::Create, ChangeResult::Skipped { why: why("it waits for c") }, None),
                report("dev/workload/g", Action::Restart, ChangeResult::Unknown { why: why("the answer was lost") }, None),
            ],
            health: vec![of("dev/workload/a", well), of("dev/workload/h", paused)],
            requests: 9,
            notes: vec![why("the platform keeps no lease")],
        };
        let text = render(&applied, words::Counts { held: 2, ..Default::default() }, applied.verdict(), Duration::from_millis(1500));
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string());
    }

    #[test]
    fn nothing_to_do_is_one_line() {
        let applied = Applied { requests: 1, ..Applied::default() };
        let text = render(&applied, words::Counts::default(), applied.verdict(), Duration::from_millis(5));
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "Applied: nothing to do. 1 request in 5 ms.\n");
    }
}
