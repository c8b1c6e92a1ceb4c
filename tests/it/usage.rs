//! What the program makes of its command line, before any command does anything.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Place, process};

#[test]
fn no_arguments_show_the_help() {
    let run = Place::new().run(&[]);
    assert_eq!(run.code, Some(64));
    assert!(run.err.contains("Usage: stratos") && run.err.contains("stratos init"), "{}", run.err);
}

#[test]
fn mistakes_have_an_exit_code_of_their_own_and_a_suggestion() {
    let place = Place::new();
    let run = place.run(&["aply"]).code(64);
    assert!(run.err.contains("'apply'"), "{}", run.err);
    let run = place.run(&["plan", "--detailed-exit"]).code(64);
    assert!(run.err.contains("--detailed-exitcode"), "{}", run.err);
    let run = place.run(&["plan", "--env=Dev"]).code(64);
    assert!(run.err.contains("is not a valid name"), "{}", run.err);
    place.run(&["plan", "--var", "x"]).code(64);
    place.run(&["apply", "plan.json", "--adopt"]).code(64);
}

#[test]
fn help_and_version_are_successes() {
    let place = Place::new();
    assert!(place.run(&["--help"]).code(0).out.contains("Exit codes:"));
    assert_eq!(place.run(&["--version"]).code(0).out, format!("stratos {}\n", env!("CARGO_PKG_VERSION")));
    assert!(place.run(&["add", "env", "--help"]).code(0).out.contains("--platform"));
}

#[test]
fn a_folder_without_a_manifest_says_what_to_do() {
    let place = Place::new();
    for command in [&["plan"][..], &["apply"], &["status"], &["validate"], &["deploy", "redis"], &["add", "app", "redis"]] {
        let run = place.run(command).code(1);
        assert!(run.err.contains("there is no stratos.toml in ROOT/shop"), "{}", run.err);
        assert!(run.err.contains("hint: `stratos init` writes one"), "{}", run.err);
    }
}

#[test]
fn the_manifest_of_a_folder_above_is_found() {
    let place = Place::with("[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n");
    place.write("deep/down/file", "");
    let run = place.run(&["-C", "deep/down", "validate"]).code(0);
    assert!(run.out.contains("is valid"), "{}", run.out);
    let run = place.run(&["-C", "nowhere", "validate"]).code(1);
    assert!(run.err.contains("going to the folder nowhere"), "{}", run.err);
}

#[test]
fn an_environment_that_is_not_there_is_named_with_those_that_are() {
    let place = Place::with("[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n");
    let run = place.run(&["plan", "--env=prod"]).code(1);
    assert!(run.err.contains("no environment \"prod\"") && run.err.contains("dev"), "{}", run.err);
}

/// Colours come when they are asked for, and never by themselves where no terminal is.
#[test]
fn colours_are_written_on_request_alone() {
    let place = Place::new();
    assert!(!place.run(&["validate"]).err.contains('\x1b'));
    assert!(place.run(&["validate", "--color", "always"]).err.contains('\x1b'));
}

/// Reading a part of the output and going away is no failure, and no panic.
#[test]
fn a_closed_pipe_is_no_panic() {
    let mut child = process(&["schema", "manifest"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = process(&["schema", "manifest"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("writing to standard output"));
}

/// Parsing does nothing else: no runtime, no files. The limit is generous, since debug builds and busy machines are slow; the
/// real figure is in docs/performance.md.
#[test]
fn starting_is_fast() {
    let place = Place::new();
    let fastest = (0..5).map(|_| {
        let begun = Instant::now();
        place.run(&["--version"]).code(0);
        begun.elapsed()
    });
    let fastest = fastest.min().unwrap();
    assert!(fastest < Duration::from_millis(250), "{fastest:?}");
}

/// Whoever leaves out what is wanted is told what there is.
#[test]
fn missing_words_are_listed() {
    let place = Place::new();
    assert!(place.run(&["list"]).code(64).err.contains("envs|apps|cartridges"));
    assert!(place.run(&["schema"]).code(64).err.contains("manifest|cartridge|plan"));
}

#[test]
fn a_file_that_is_no_plan_says_what_writes_one() {
    let place = Place::new();
    place.write("other.json", "{}");
    for command in [["show", "nowhere"], ["show", "other.json"], ["apply", "nowhere"]] {
        let run = place.run(&command).code(1);
        assert!(run.err.contains("hint: a plan is written by `stratos plan --out FILE`"), "{}", run.err);
    }
}

/// A problem on the command line is in no file, and alone: nobody counts it.
#[test]
fn a_single_problem_outside_of_files_is_not_counted() {
    let place = Place::with("[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n");
    let run = place.run(&["plan", "--var", "x=1"]).code(1);
    assert!(run.err.contains("there is no variable `x`") && !run.err.contains("1 problem"), "{}", run.err);
    let run = place.run(&["plan", "--var-file", "nowhere.toml"]).code(1);
    assert!(run.err.contains("--var-file: reading nowhere.toml"), "{}", run.err);
}

/// An app that nobody has is told apart from one that does not run.
#[test]
fn logs_of_an_app_that_is_not_there_name_those_that_are() {
    let manifest = "[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n[apps.web]\ncommand = [\"web\"]\n";
    let place = Place::with(&format!("{manifest}[environments.far]\nplatform = \"mesos\"\n"));
    let run = place.run(&["logs", "wbe"]).code(1);
    assert!(run.err.contains("the manifest has no app \"wbe\"") && run.err.contains("hint: it has: web"), "{}", run.err);
    assert!(run.err.contains("far could not be read: connecting: this build does not have the platform mesos yet"), "{}", run.err);
    let run = place.run(&["logs", "web", "--env=dev"]).code(1);
    assert!(run.err.contains("nothing of the app \"web\" runs here"), "{}", run.err);
}

/// The hint of a refusal must work for the command as it was written, with all its options.
#[test]
fn where_nobody_can_be_asked_the_hint_is_to_say_yes() {
    let manifest = "[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n[apps.web]\ncommand = [\"web\"]\n";
    let run = Place::with(manifest).run(&["apply", "--env=dev", "--output=json"]).code(64);
    assert!(run.err.contains("the same command with `--yes` does it without a question"), "{}", run.err);
    assert!(run.err.contains("workload/shop-web") && run.out.is_empty(), "what is asked about is shown: {}", run.err);
}

/// A program that asked for JSON gets its failures as JSON, each problem at its place.
#[test]
fn failures_are_json_where_json_was_asked_for() {
    let place = Place::with("[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"swram\"\n");
    let run = place.run(&["plan", "--output", "json"]).code(1);
    let told: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!(told["format"], 1);
    assert_eq!(told["error"]["exit_code"], 1);
    let problem = &told["error"]["problems"][0];
    assert_eq!((problem["file"].as_str(), problem["line"].as_u64(), problem["column"].as_u64()), (Some("stratos.toml"), Some(4), Some(12)));
    assert!(problem["help"].as_str().unwrap().contains("swarm"), "{problem}");
    assert_eq!(run.out, "");
}

/// `help COMMAND` is what `COMMAND --help` prints, also for a command of two words.
#[test]
fn help_is_a_command_too() {
    let place = Place::new();
    for (words, flagged) in
        [(&["help"][..], &["--help"][..]), (&["help", "plan"], &["plan", "--help"]), (&["help", "add", "app"], &["add", "app", "--help"])]
    {
        assert_eq!(place.run(words).code(0).out, place.run(flagged).code(0).out, "{words:?}");
    }
    let misspelt = place.run(&["help", "plna"]).code(64);
    assert!(misspelt.err.contains("has no command `plna`") && misspelt.err.contains("plan"), "{}", misspelt.err);
    assert!(place.run(&["help", "plan", "more"]).code(64).err.contains("has no commands of its own"));
}

/// What is agreed to belongs to the plan: a saved one is applied as it is.
#[test]
fn a_saved_plan_takes_no_agreement_beside_it() {
    let place = Place::new();
    for option in ["--all", "--allow-delete", "--delete-data", "--adopt", "--allow-older", "--abandon", "--refresh-images"] {
        let run = place.run(&["apply", "plan.json", option]).code(64);
        assert!(run.err.contains("cannot be used with"), "{option}: {}", run.err);
    }
}
