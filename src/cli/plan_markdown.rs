//! A plan as Markdown that fits a comment on a pull request. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use similar::TextDiff;
use stratos_engine::plan::Plan;
use stratos_engine::plan::change::{Action, Change};

use super::rows::Fields;
use super::words;

/// GitHub refuses comments of more than 65,536 characters; GitLab and Gitea allow more. The rest is for whoever wraps
/// the plan into a larger comment. It is counted in bytes, which are never fewer.
const LIMIT: usize = 60_000;
/// Held things and notes that are listed before they are counted.
const LISTED: usize = 50;

/// The plan with the fields of each change; where that is too long with a line for each change; and where that is too
/// long as well, with as many as fit and the number of the rest.
pub fn render(plan: &Plan, took: Option<Duration>) -> String {
    let whole = page(plan, took, Detail::Fields, usize::MAX);
    if whole.len() <= LIMIT {
        return whole;
    }
    let lines = page(plan, took, Detail::Lines, usize::MAX);
    if lines.len() <= LIMIT {
        return lines;
    }
    // Each halving either fits or is halved again; a page without any change always ends this.
    let mut shown = plan.changes.len() / 2;
    loop {
        let cut = page(plan, took, Detail::Lines, shown);
        if cut.len() <= LIMIT || shown == 0 {
            return cut;
        }
        shown = shown * 3 / 4;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Fields,
    Lines,
}

fn page(plan: &Plan, took: Option<Duration>, detail: Detail, shown: usize) -> String {
    let mut out = format!("### Stratos plan\n\n{}\n\n", words::plan_summary(plan, took));
    let fields = Fields::of(plan);
    let mut left = shown;
    for (environment, changes) in words::by_environment(plan) {
        let take = left.min(changes.len());
        left -= take;
        let heading = words::environment_heading(plan, environment);
        let count = if changes.len() == 1 { "1 change".to_owned() } else { format!("{} changes", changes.len()) };
        let _ = writeln!(out, "<details><summary><b>{environment}</b> ({heading}): {count}</summary>\n");
        let body: String = changes.iter().take(take).map(|change| block(change, detail, &fields)).collect();
        let fence = fence(&body);
        let _ = writeln!(out, "{fence}diff\n{body}{fence}\n");
        if take < changes.len() {
            let _ = writeln!(out, "… and {} more changes here.\n", changes.len() - take);
        }
        let _ = writeln!(out, "</details>\n");
    }
    if detail == Detail::Lines {
        out.push_str("The fields of each change are left out, since they do not fit here: `stratos plan` shows them.\n\n");
    }
    for (is_refused, title) in [(true, "Refused by the platform, and not done"), (false, "Held, and not done")] {
        let held = plan.held.iter().filter(|held| held.is_refused() == is_refused);
        list(&mut out, title, held.map(|h| format!("{} `{}`: {}", h.instead_of, h.id, escape(&words::held_reason(h)))));
    }
    let rollouts = plan.rollouts.iter().filter_map(|r| words::rollout(&r.state).map(|state| format!("`{}`: {}", r.id, escape(&state))));
    list(&mut out, "Roll-outs", rollouts);
    list(&mut out, "Notes", words::coverage_notes(&plan.coverage).iter().map(|note| escape(note)));
    out
}

fn list(out: &mut String, title: &str, entries: impl Iterator<Item = String>) {
    let entries: Vec<String> = entries.collect();
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(out, "**{title}**\n");
    for entry in entries.iter().take(LISTED) {
        let _ = writeln!(out, "- {}", cut(entry, 500));
    }
    if entries.len() > LISTED {
        let _ = writeln!(out, "- … and {} more", entries.len() - LISTED);
    }
    out.push('\n');
}

/// One change as lines of a diff: its first character colours it.
fn block<'a>(change: &'a Change, detail: Detail, fields: &Fields<'a>) -> String {
    let mark = match change.action {
        Action::Create => '+',
        Action::Delete | Action::Forget => '-',
        Action::Update | Action::Replace(_) | Action::Restart => '!',
    };
    let id = words::short(&change.id, &change.id.environment);
    let mut out = format!("{mark} {id}  {}: {}\n", words::intent(change), words::reason(change));
    if detail == Detail::Lines {
        return out;
    }
    for row in fields.rows(change) {
        match row.lines {
            Some((old, new)) => {
                let _ = writeln!(out, "    {}", row.name);
                let diff = TextDiff::from_lines(old, new).unified_diff().context_radius(2).missing_newline_hint(false).to_string();
                for line in diff.lines() {
                    let _ = writeln!(out, "{}", words::printable(line));
                }
            }
            None => {
                let _ = writeln!(out, "    {}: {}", row.name, row.values);
            }
        }
    }
    out
}

/// A fence that the text cannot close.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// Text in which Markdown and HTML mean nothing. Code spans of our own sentences stay.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '*' | '_' | '[' | ']' | '|' | '@' | '#' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
