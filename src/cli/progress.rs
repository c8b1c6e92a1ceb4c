//! What is going on while a plan is carried out: moving lines on a terminal, plain lines elsewhere, nothing with `--quiet`.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use owo_colors::OwoColorize as _;
use stratos_engine::apply::{ChangeReport, ChangeResult, Event, Progress};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::{Health, Status};
use stratos_engine::plan::change::Action;

use super::output::Output;
use super::words;

/// Shows events as they come.
pub struct Reporter<'a> {
    output: &'a Output,
    lines: MultiProgress,
    /// Whether lines move.
    moves: bool,
    /// What is going on, by resource.
    running: Mutex<HashMap<ResourceId, Running>>,
}

struct Running {
    bar: ProgressBar,
    since: Instant,
    action: Option<Action>,
    /// What was said last, so that nothing is said twice in a row.
    said: String,
}

impl<'a> Reporter<'a> {
    /// A reporter for where the output goes.
    pub fn new(output: &'a Output) -> Self {
        let moves = output.shows_progress();
        Self { output, lines: MultiProgress::new(), moves, running: Mutex::default() }
    }

    /// Something that can say a line without tearing the moving ones apart.
    pub fn teller(&self) -> impl Fn(&str) + Send + Sync + use<> {
        let (lines, moves, quiet) = (self.lines.clone(), self.moves, self.output.quiet());
        move |text: &str| {
            if moves {
                // Nobody is left to be told when the terminal is gone.
                let _ = lines.println(text);
            } else if !quiet {
                super::output::Output::new(Default::default(), Default::default(), quiet).note(text);
            }
        }
    }

    /// Takes the moving lines away before the report.
    pub fn finish(&self) {
        let _ = self.lines.clear();
    }

    /// Whether something was said of it, and what is done to it, where anything is.
    fn known(&self, id: &ResourceId) -> Option<Option<Action>> {
        self.running.lock().unwrap_or_else(|e| e.into_inner()).get(id).map(|running| running.action)
    }

    /// How something is that is waited for. What becomes of a change, its result says a moment later; what did not change and
    /// is well already is not worth a line.
    fn health(&self, id: &ResourceId, health: &Health) {
        match (health.settled(), self.known(id)) {
            (Some(_), Some(Some(_))) | (Some(true), None) => {}
            (Some(_), _) => self.say(id, None, health_words(health)),
            (None, _) => self.say(id, None, format!("waiting: {}", health_words(health))),
        }
    }

    fn say(&self, id: &ResourceId, action: Option<Action>, text: String) {
        let mut running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        let entry = running.entry(id.clone()).or_insert_with(|| Running {
            bar: if self.moves { self.lines.add(spinner(id, self.output.colors_errors())) } else { ProgressBar::hidden() },
            since: Instant::now(),
            action: None,
            said: String::new(),
        });
        entry.action = action.or(entry.action);
        if entry.said == text {
            return;
        }
        if self.moves {
            entry.bar.set_message(text.clone());
        } else {
            self.output.note(&format!("{id}: {text}"));
        }
        entry.said = text;
    }

    fn end(&self, report: &ChangeReport) {
        let mut running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        let ended = running.remove(&report.id);
        let took = ended.as_ref().map(|running| running.since.elapsed()).filter(|took| *took >= Duration::from_millis(100));
        if let Some(ended) = ended {
            ended.bar.finish_and_clear();
            self.lines.remove(&ended.bar);
        }
        let took = took.map_or_else(String::new, |took| format!(" ({})", words::duration(took)));
        let line = format!("{}: {}{took}", report.id, result_words(report));
        if self.moves {
            // Moving lines go past the output, which takes styles out where nobody wants them.
            let plain = (!self.output.colors_errors()).then(|| anstream::adapter::strip_str(&line).to_string());
            let _ = self.lines.println(plain.unwrap_or(line));
        } else {
            self.output.note(&line);
        }
    }
}

impl Progress for Reporter<'_> {
    fn event(&self, event: Event<'_>) {
        if self.output.quiet() {
            return;
        }
        match event {
            Event::Started { id, action } => self.say(id, Some(action), words::doing(action).to_owned()),
            Event::Waiting { id, health } => self.health(id, health),
            Event::Retrying { id, error, after } => {
                let why = words::printable(&error.why).into_owned();
                self.say(id, None, format!("again in {}: {why}", words::duration(after)));
            }
            Event::Finished { report } => self.end(report),
        }
    }
}

fn spinner(id: &ResourceId, colors: bool) -> ProgressBar {
    // The template is a constant: should it be wrong, the bar looks plain and a test fails.
    let template = if colors { TEMPLATE } else { PLAIN_TEMPLATE };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style).with_prefix(id.to_string());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

const TEMPLATE: &str = "  {spinner} {prefix}: {wide_msg} {elapsed:.dim}";
const PLAIN_TEMPLATE: &str = "  {spinner} {prefix}: {wide_msg} {elapsed}";

/// How a resource is, in a few words: the platform's own where it has some.
pub fn health_words(health: &Health) -> String {
    let instances = health.instances.len();
    if !health.message.is_empty() {
        return format!("{}: {}", health.status, words::printable(&health.message));
    }
    match instances {
        0 => health.status.to_string(),
        all => format!("{} ({} of {all})", health.status, health.instances.iter().filter(|i| i.status == Status::Healthy).count()),
    }
}

/// What came of a change, in a few words.
pub fn result_words(report: &ChangeReport) -> String {
    let action = words::done(report.action);
    match &report.result {
        ChangeResult::Done => match &report.health {
            Some(health) => format!("{action}, {}", health_words(health)).green().to_string(),
            None => action.green().to_string(),
        },
        ChangeResult::AlreadyDone => format!("{action} already").green().to_string(),
        ChangeResult::Failed { why, .. } => format!("{} {}", "failed:".red(), words::printable(why)),
        ChangeResult::Unhealthy { why } => format!("{action}, and {} {}", "not healthy:".red(), words::printable(why)),
        ChangeResult::Stale { why } => format!("{} {}", "stale:".red(), words::printable(why)),
        ChangeResult::Skipped { why } => format!("{} {}", "skipped:".yellow(), words::printable(why)),
        ChangeResult::Unknown { why } => format!("{} {}", "unknown:".red(), words::printable(why)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_of_moving_lines_is_understood() {
        for template in [super::TEMPLATE, super::PLAIN_TEMPLATE] {
            assert!(indicatif::ProgressStyle::with_template(template).is_ok());
        }
    }
}
