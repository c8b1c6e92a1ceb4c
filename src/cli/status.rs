//! `stratos status`

use std::time::Duration;

use owo_colors::{OwoColorize as _, Style};
use serde::Serialize;
use std::fmt::Write as _;
use stratos_engine::deploy::{self, AppStatus, EnvironmentStatus, Policy, StatusTree};
use stratos_engine::desired::name::Name;
use stratos_engine::health::{Health, Status};

use super::error::{Exit, Failure};
use super::output::Format;
use super::session::Session;
use super::{Context, words};

const EXAMPLES: &str = "\
Examples:
  stratos status                     every environment, its apps and their instances
  stratos status --env=dev --watch   again and again, until Ctrl-C
  stratos status --output json       for programs
Ends with exit code 5 when something that should run is not healthy.";

/// How everything is: environment, app, instance, and what is wrong in the platform's own words.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Show it again and again.
    #[arg(short, long)]
    watch: bool,

    /// The time between two looks with --watch, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    #[serde(flatten)]
    tree: &'a StatusTree,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let session = Session::load(&context.global)?;
    loop {
        let tree = deploy::status(&session.request(Policy::default()), &session.connector).await?;
        refuse_unknown_apps(&session, &tree)?;
        if args.watch {
            context.output.clear_screen();
        }
        match context.output.format() {
            Format::Text => context.output.result(&text(&tree)),
            Format::Json => context.output.json(&Document { format: 1, tree: &tree })?,
            Format::Markdown => {
                let text = anstream::adapter::strip_str(&text(&tree)).to_string();
                context.output.result(&format!("~~~~~text\n{}\n~~~~~", text.trim_end()));
            }
        }
        if !args.watch || !context.output.is_open() {
            return Ok(if all_well(&tree) { Exit::Success } else { Exit::Unhealthy });
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(args.every)) => {}
            () = context.output.reader_gone() => return Ok(Exit::Success),
        }
    }
}

/// A name that no app has, as far as everything could be read.
fn refuse_unknown_apps(session: &Session, tree: &StatusTree) -> Result<(), Failure> {
    let is_read = |environment: &EnvironmentStatus| environment.unreachable.is_none() && environment.gaps.is_empty();
    if !tree.environments.iter().all(is_read) {
        return Ok(());
    }
    let is_live = |name: &Name| tree.environments.iter().flat_map(|environment| &environment.apps).any(|app| app.name == *name);
    let unknown = session.apps().iter().find(|name| !session.manifest.apps.contains_key(*name) && !is_live(name));
    unknown.map_or(Ok(()), |name| Err(session.no_such_app(name)))
}

/// Whether everything that is declared could be read and is healthy.
fn all_well(tree: &StatusTree) -> bool {
    let well = |app: &AppStatus| !app.declared || app.is_well();
    let is_well = |environment: &EnvironmentStatus| {
        environment.unreachable.is_none() && environment.gaps.is_empty() && environment.apps.iter().all(well)
    };
    tree.environments.iter().all(is_well)
}

/// The tree, one line for each app and each instance.
pub fn text(tree: &StatusTree) -> String {
    let mut out = String::new();
    for EnvironmentStatus { name, platform, unreachable, gaps, apps } in &tree.environments {
        let _ = writeln!(out, "{} ({platform})", name.bold());
        if let Some(why) = unreachable {
            let _ = writeln!(out, "  {} {}", "could not be read:".red(), words::printable(why));
        } else if apps.is_empty() && gaps.is_empty() {
            let _ = writeln!(out, "  nothing is declared here, and nothing of ours runs here");
        }
        for gap in gaps {
            let _ = writeln!(out, "  {}", words::gap(gap).red());
        }
        let width = apps.iter().map(|app| app.name.len()).max().unwrap_or(0);
        for (i, app) in apps.iter().enumerate() {
            app_lines(&mut out, app, width, i + 1 == apps.len(), gaps.is_empty());
        }
        out.push('\n');
    }
    if tree.environments.is_empty() {
        out.push_str("The manifest has no environments: `stratos add env NAME --platform local` adds one.\n");
    }
    out
}

/// What is not there is missing only where all of it was read.
fn app_lines(out: &mut String, app: &AppStatus, width: usize, last: bool, all_read: bool) {
    let (branch, stem) = if last { ("└─", "   ") } else { ("├─", "│  ") };
    let undeclared = if app.declared { "" } else { "  (not declared any more)" };
    if app.health.is_empty() {
        let status = match app.is_missing() {
            false => Status::Healthy,
            true if all_read => Status::Missing,
            true => Status::Unknown,
        };
        let there = match app.without_health {
            0 => String::new(),
            1 => "  1 object, which has no health of its own".to_owned(),
            count => format!("  {count} objects, which have no health of their own"),
        };
        let _ = writeln!(out, "{branch} {:<width$}  {}{there}{undeclared}", app.name, status.style(color(status)));
    }
    for (i, (_, health)) in app.health.iter().enumerate() {
        let (branch, name) = if i == 0 { (branch, app.name.as_str()) } else { (stem, "") };
        let _ = writeln!(out, "{branch} {name:<width$}  {}{undeclared}", summary(health));
        if let Some(rollout) = words::rollout(&health.rollout) {
            let _ = writeln!(out, "{stem}   {rollout}");
        }
        let widest = health.instances.iter().map(|i| i.name.chars().count()).max().unwrap_or(0);
        for (j, instance) in health.instances.iter().enumerate() {
            let branch = if j + 1 == health.instances.len() { "└─" } else { "├─" };
            let message = if instance.message.is_empty() { String::new() } else { format!("  {}", words::printable(&instance.message)) };
            let restarts = if instance.restarts == 0 { String::new() } else { format!("  restarts: {}", instance.restarts) };
            let status = instance.status.style(color(instance.status)).to_string();
            let _ = writeln!(out, "{stem}{branch} {:<widest$}  {status}{message}{restarts}", instance.name);
            for line in &instance.last_log {
                let _ = writeln!(out, "{stem}     {} {}", "|".dimmed(), words::printable(line));
            }
        }
    }
}

/// `healthy  2 of 2  http://127.0.0.1:8080  message`.
fn summary(health: &Health) -> String {
    let healthy = health.instances.iter().filter(|i| i.status == Status::Healthy).count();
    let mut parts = vec![health.status.style(color(health.status)).to_string()];
    if !health.instances.is_empty() {
        parts.push(format!("{healthy} of {}", health.instances.len()));
    }
    parts.extend(health.endpoints.iter().map(|endpoint| words::printable(endpoint).into_owned()));
    if !health.message.is_empty() && (health.status != Status::Healthy || health.instances.is_empty()) {
        parts.push(words::printable(&health.message).into_owned());
    }
    parts.join("  ")
}

fn color(status: Status) -> Style {
    match status {
        Status::Healthy => Style::new().green(),
        Status::Progressing | Status::Degraded | Status::Unknown => Style::new().yellow(),
        Status::Missing | Status::Failed => Style::new().red(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An app's line, by which of its objects are there and whether they have health.
    #[test]
    fn an_app_without_health_is_not_missing() {
        let healthy = || Health { status: Status::Healthy, ..Health::missing("") };
        let failed = || Health { status: Status::Failed, ..Health::missing("it ended with 1") };
        let ended = || Health { status: Status::Healthy, ..Health::missing("it has run") };
        let cases = [
            (vec![], 0, true, "web  missing", false),
            (vec![], 1, true, "web  healthy  1 object, which has no health of its own", true),
            (vec![], 7, true, "web  healthy  7 objects, which have no health of their own", true),
            (vec![], 7, false, "web  healthy  7 objects, which have no health of their own  (not declared any more)", true),
            (vec![healthy()], 7, true, "web  healthy", true),
            (vec![ended()], 0, true, "web  healthy  it has run", true),
            (vec![failed()], 7, true, "web  failed  it ended with 1", false),
        ];
        for (health, without_health, declared, line, is_well) in cases {
            let health = health.into_iter().map(|health| ("dev/Thing/web".parse().unwrap(), health)).collect();
            let app = AppStatus { name: "web".parse().unwrap(), declared, health, without_health };
            let platform = stratos_engine::manifest::schema::PlatformKind::Kubernetes;
            let environment =
                EnvironmentStatus { name: "dev".parse().unwrap(), platform, unreachable: None, gaps: vec![], apps: vec![app] };
            let tree = StatusTree { environments: vec![environment] };
            assert_eq!(anstream::adapter::strip_str(&text(&tree)).to_string(), format!("dev (kubernetes)\n└─ {line}\n\n"));
            assert_eq!(all_well(&tree), is_well, "{line}");
        }
    }

    /// What could not be read is told, and what is not seen because of it is not called missing.
    #[test]
    fn a_gap_is_not_an_absence() {
        let environment = |gaps: serde_json::Value| {
            let app = AppStatus { name: "web".parse().unwrap(), declared: true, health: vec![], without_health: 0 };
            let gaps = serde_json::from_value(gaps).unwrap();
            let platform = stratos_engine::manifest::schema::PlatformKind::Local;
            let environment = EnvironmentStatus { name: "dev".parse().unwrap(), platform, unreachable: None, gaps, apps: vec![app] };
            let tree = StatusTree { environments: vec![environment] };
            assert!(!all_well(&tree));
            anstream::adapter::strip_str(&text(&tree)).to_string()
        };
        assert_eq!(environment(serde_json::json!([])), "dev (local)\n└─ web  missing\n\n");
        let gap = serde_json::json!([{ "environment": "dev", "kind": "workload", "why": "forbidden" }]);
        assert_eq!(environment(gap), "dev (local)\n  not read: every workload of dev: forbidden\n└─ web  unknown\n\n");
    }
}
