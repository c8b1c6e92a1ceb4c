//! A plan as text for people. Pure: the same plan gives the same text.

use std::fmt::Write as _;
use std::time::Duration;

use owo_colors::{OwoColorize as _, Style};
use similar::{ChangeTag, TextDiff};
use stratos_engine::plan::Plan;
use stratos_engine::plan::change::{Action, Change};

use super::rows::Fields;
use super::words;

/// Columns up to which values are aligned; a longer name pushes its own value aside and no other.
const WIDEST_NAME: usize = 40;
/// Lines of a new text that are shown: the rest is in the manifest's own files.
const NEW_TEXT_LINES: usize = 12;

/// The whole plan: one block per change grouped by environment, then what is held, and the sum. `took` is the time that
/// planning took, where it is worth a word.
pub fn render(plan: &Plan, took: Option<Duration>) -> String {
    let mut out = String::new();
    let fields = Fields::of(plan);
    for (environment, changes) in words::by_environment(plan) {
        let _ = writeln!(out, "{} ({})\n", environment.bold(), words::environment_heading(plan, environment));
        for change in changes {
            block(&mut out, change, &fields);
            out.push('\n');
        }
    }
    rest(&mut out, plan);
    let _ = writeln!(out, "{}", words::plan_summary(plan, took).bold());
    out
}

/// What is no change: held things, roll-outs, and what was not looked at.
fn rest(out: &mut String, plan: &Plan) {
    let (refused, held): (Vec<_>, Vec<_>) = plan.held.iter().partition(|held| held.is_refused());
    let sections =
        [(refused, "Refused by the platform, and not done:", Style::new().red()), (held, "Held, and not done:", Style::new().yellow())];
    for (held, title, style) in sections.into_iter().filter(|(held, ..)| !held.is_empty()) {
        let _ = writeln!(out, "{}", title.bold());
        for held in held {
            let _ = writeln!(out, "  {} {} {}: {}", "!".style(style), held.instead_of, held.id, words::held_reason(held));
        }
        out.push('\n');
    }
    let rollouts: Vec<_> = plan.rollouts.iter().filter_map(|r| Some((&r.id, words::rollout(&r.state)?))).collect();
    if !rollouts.is_empty() {
        let _ = writeln!(out, "{}", "Roll-outs:".bold());
        for (id, state) in rollouts {
            let _ = writeln!(out, "  {} {id}: {state}", "!".yellow());
        }
        out.push('\n');
    }
    let notes = words::coverage_notes(&plan.coverage);
    if !notes.is_empty() {
        let _ = writeln!(out, "{}", "Notes:".bold());
        for note in notes {
            let _ = writeln!(out, "  {note}");
        }
        out.push('\n');
    }
}

fn color(action: Action) -> Style {
    match action {
        Action::Create => Style::new().green(),
        Action::Update | Action::Restart => Style::new().yellow(),
        Action::Replace(_) => Style::new().magenta(),
        Action::Delete | Action::Forget => Style::new().red(),
    }
}

/// One change: what and why, its fields, and what it waits for.
fn block<'a>(out: &mut String, change: &'a Change, fields: &Fields<'a>) {
    let style = color(change.action);
    let id = words::short(&change.id, &change.id.environment);
    let (sign, intent) = (words::sign(change.action), words::intent(change));
    let _ = writeln!(out, "  {:>3} {}  {}: {}", sign.style(style), id.bold(), intent.style(style), words::reason(change));
    let rows = fields.rows(change);
    let one_line = rows.iter().filter(|row| row.lines.is_none());
    let width = one_line.map(|row| row.name.chars().count()).filter(|width| *width <= WIDEST_NAME).max().unwrap_or(0);
    for row in &rows {
        match row.lines {
            Some((old, new)) => text_field(out, &row.name, old, new),
            None => {
                let _ = writeln!(out, "        {:<width$}  {}", row.name, row.values);
            }
        }
    }
    if !change.waits_for.is_empty() {
        let ids: Vec<_> = change.waits_for.iter().map(|id| words::short(id, &change.id.environment)).collect();
        let _ = writeln!(out, "        {} {}", "waits for".dimmed(), ids.join(", ").dimmed());
    }
}

/// Text of several lines: a unified diff, or the first lines of what is new.
fn text_field(out: &mut String, name: &str, old: &str, new: &str) {
    let (removed, added) = (Style::new().red(), Style::new().green());
    let _ = writeln!(out, "        {name}");
    if old.is_empty() {
        let count = new.lines().count();
        for line in new.lines().take(NEW_TEXT_LINES) {
            let _ = writeln!(out, "          {}", format_args!("+{}", words::printable(line)).style(added));
        }
        if count > NEW_TEXT_LINES {
            let _ = writeln!(out, "          {}", format_args!("… and {} more lines", count - NEW_TEXT_LINES).dimmed());
        }
        return;
    }
    let diff = TextDiff::from_lines(old, new);
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        let _ = writeln!(out, "          {}", hunk.header().cyan());
        for line in hunk.iter_changes() {
            let (sign, style) = match line.tag() {
                ChangeTag::Delete => ('-', removed),
                ChangeTag::Insert => ('+', added),
                ChangeTag::Equal => (' ', Style::new()),
            };
            let text = words::printable(line.value().trim_end_matches(['\n', '\r'])).into_owned();
            let _ = writeln!(out, "          {}", format_args!("{sign}{text}").style(style));
        }
    }
}
