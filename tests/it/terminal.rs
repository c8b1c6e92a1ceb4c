//! What the program does on a terminal and nowhere else: it asks, it moves lines, it is stopped by keys.

use std::time::{Duration, Instant};

use crate::support::terminal::Terminal;
use crate::support::{Place, eventually};

/// An app that is ready once there is a file `ready` in the project, and says what is in the file `say`.
const MANIFEST: &str = r#"
[project]
name = "shop"
[environments.dev]
platform = "local"
[apps.web]
command = ["sh", "-c", "echo started; while :; do if [ -e say ]; then cat say; rm say; fi; sleep 0.05; done"]
health = { command = ["test", "-e", "ready"], interval = "100ms" }
"#;

/// A second app that waits for the first.
const SECOND: &str = r#"
[apps.worker]
command = ["sleep", "1000"]
depends_on = ["web"]
"#;

fn ready() -> Place {
    let place = Place::with(MANIFEST);
    place.write("ready", "");
    place
}

#[test]
fn apply_asks_and_does_what_it_is_told() {
    let place = ready();
    let terminal = Terminal::run(&place, &["apply"], &[]);
    terminal.shows("Apply this plan? (y/N)");
    terminal.types("no\r");
    let ended = terminal.ended().code(1);
    assert!(ended.screen.contains("not confirmed; nothing was changed"), "{}", ended.screen);
    assert!(!place.state().join("local").exists(), "a question starts nothing");

    let terminal = Terminal::run(&place, &["apply"], &[]);
    terminal.shows("Apply this plan? (y/N)");
    terminal.interrupts();
    assert!(terminal.ended().code(130).cursor);
    assert!(!place.state().join("local").exists());

    let terminal = Terminal::run(&place, &["apply"], &[]);
    terminal.shows("+ workload/shop-web  create: it is not there yet");
    terminal.shows("Apply this plan? (y/N)");
    terminal.types("yes\r");
    terminal.ended().code(0);
    assert!(place.run(&["plan"]).code(0).out.contains("No changes."));
}

#[test]
fn ctrl_c_once_stops_cleanly_and_says_what_was_started() {
    let place = Place::with(&format!("{MANIFEST}{SECOND}"));
    let terminal = Terminal::run(&place, &["apply", "--yes"], &[]);
    terminal.shows("dev/workload/shop-web: waiting");
    terminal.interrupts();
    let ended = terminal.ended().code(130);
    assert!(ended.screen.contains("stopping: what has begun is finished, nothing new is started"), "{}", ended.screen);
    let report = ended.screen.rsplit("press Ctrl-C again").next().unwrap();
    assert!(report.contains("+ dev/workload/shop-web") && report.contains("dev/workload/shop-worker"), "{report}");
    assert!(ended.cursor);

    // What was written is whole, and what was not begun is not there at all.
    let plan = place.run(&["plan"]).code(0).out;
    assert!(!plan.contains("workload/shop-web ") && plan.contains("+ workload/shop-worker  create"), "{plan}");
    place.write("ready", "");
    place.run(&["apply", "--yes"]).code(0);
}

#[test]
fn ctrl_c_twice_ends_it_at_once() {
    // What is being deleted does not want to go before it is let go.
    let stubborn = r#"command = ["sh", "-c", "trap '' TERM; while [ ! -e let-go ]; do sleep 0.05; done"]"#;
    let place = Place::with(&format!("[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n[apps.web]\n{stubborn}\n"));
    place.run(&["apply", "--yes"]).code(0);
    let terminal = Terminal::run(&place, &["destroy", "--yes"], &[]);
    terminal.shows("dev/workload/shop-web: deleting");
    terminal.interrupts();
    terminal.shows("press Ctrl-C again to stop at once");
    let begun = Instant::now();
    terminal.interrupts();
    let ended = terminal.ended().code(130);
    assert!(ended.screen.contains("stopped at once"), "{}", ended.screen);
    assert!(begun.elapsed() < Duration::from_secs(5), "the deletion alone takes ten");
    assert!(ended.cursor);
    place.write("let-go", "");
}

#[test]
fn colours_are_for_terminals_whose_user_wants_them() {
    let place = ready();
    let on = |arguments: &[&str], variables: &[(&str, &str)]| Terminal::run(&place, arguments, variables).ended().code(0).has_styles();
    assert!(on(&["plan"], &[]));
    assert!(!on(&["plan"], &[("NO_COLOR", "1")]));
    assert!(!on(&["plan", "--color", "never"], &[]));
    assert!(!on(&["plan"], &[("TERM", "dumb")]));
    assert!(!place.run(&["plan"]).code(0).out.contains('\x1b'));
    assert!(place.run(&["plan", "--color", "always"]).code(0).out.contains('\x1b'));
    // Nor do moving lines bring any, nor a question.
    assert!(!on(&["apply", "--yes"], &[("NO_COLOR", "1")]));
    assert!(on(&["restart", "web"], &[]));
    assert!(!on(&["restart", "web", "--color", "never"], &[]));
    let terminal = Terminal::run(&place, &["destroy"], &[("NO_COLOR", "1")]);
    terminal.shows("(y/N)");
    terminal.types("y\r");
    assert!(!terminal.ended().code(0).has_styles());
}

#[test]
fn init_asks_and_writes_what_it_was_told() {
    let place = Place::new();
    let terminal = Terminal::run(&place, &["init"], &[]);
    terminal.shows("What is the project called? (shop)");
    terminal.types("Bazaar!\r");
    terminal.until("an objection", |screen| screen.contains("Bazaar!") && screen.lines().count() > 2);
    terminal.types(&"\x7f".repeat("Bazaar!".len()));
    terminal.types("bazaar\r");
    terminal.shows("Start with a demo web server? (Y/n)");
    terminal.types("n\r");
    terminal.ended().code(0);
    let manifest = place.read("stratos.toml");
    assert!(manifest.contains("name = \"bazaar\"") && !manifest.contains("[apps.hello]"), "{manifest}");

    let place = Place::new();
    let terminal = Terminal::run(&place, &["init"], &[]);
    terminal.shows("What is the project called?");
    terminal.interrupts();
    terminal.ended().code(130);
    assert!(!place.folder().join("stratos.toml").exists());
}

#[test]
fn progress_shows_and_goes() {
    let place = Place::with(MANIFEST);
    let terminal = Terminal::run(&place, &["apply", "--yes"], &[]);
    terminal.shows("dev/workload/shop-web: waiting");
    let shown = |screen: &str| screen.matches("dev/workload/shop-web: waiting").count();
    assert_eq!(shown(&terminal.screen()), 1, "the line moves, it is not written again");
    place.write("ready", "");
    let ended = terminal.ended().code(0);
    assert_eq!(shown(&ended.screen), 0, "{}", ended.screen);
    assert!(ended.screen.contains("dev/workload/shop-web: created, healthy"), "{}", ended.screen);
    assert!(ended.cursor);
}

#[test]
fn a_watched_status_is_updated_in_place_until_ctrl_c() {
    let place = Place::with(MANIFEST);
    place.run(&["apply", "--yes", "--no-wait"]).code(0);
    let terminal = Terminal::run(&place, &["status", "--watch", "--every", "1"], &[]);
    terminal.shows("web  progressing");
    place.write("ready", "");
    terminal.shows("web  healthy  1 of 1");
    let screen = terminal.screen();
    assert_eq!(screen.matches("dev (local)").count(), 1, "{screen}");
    assert!(!screen.contains("progressing"), "{screen}");
    terminal.interrupts();
    assert!(terminal.ended().code(130).cursor);
}

#[test]
fn followed_logs_show_what_is_written_after_they_began() {
    let place = ready();
    place.run(&["apply", "--yes"]).code(0);
    let terminal = Terminal::run(&place, &["logs", "web", "--follow"], &[]);
    terminal.shows("| started");
    place.write("unsaid", "it goes on\n");
    std::fs::rename(place.folder().join("unsaid"), place.folder().join("say")).unwrap();
    terminal.shows("| it goes on");
    eventually("it is said once", || (!place.folder().join("say").exists()).then_some(()));
    terminal.interrupts();
    terminal.ended().code(130);
}
