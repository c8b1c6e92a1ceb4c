//! What the documentation says is there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Place;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and every page of `docs`.
fn pages() -> Vec<PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                out.push(path);
            }
        }
    }
    let mut out = vec![root().join("README.md")];
    walk(&root().join("docs"), &mut out);
    out
}

/// The targets of a page's links: `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// The anchors that a page's headings make, as GitHub and its like write them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{} links to {link}, which is not there", page.display());
            if let Some(anchor) = anchor {
                let anchors = anchors(&fs::read_to_string(&target).unwrap());
                assert!(anchors.iter().any(|a| a == anchor), "{} links to {link}, which is no heading", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links were found");
}

#[test]
fn every_command_has_its_section() {
    let help = Place::new().run(&["--help"]).code(0).out;
    let list = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    // A command stands two spaces in; its sentence may go on further to the right.
    let commands: Vec<&str> =
        list.lines().filter_map(|line| line.strip_prefix("  ")?.split([' ', '\n']).next()).filter(|c| !c.is_empty()).collect();
    assert!(commands.len() >= 19, "{commands:?}");
    let text = fs::read_to_string(root().join("docs/commands.md")).unwrap();
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    for command in &commands {
        assert!(sections.contains(command), "docs/commands.md has no section on {command}");
    }
    let strangers = sections.iter().filter(|section| **section != "What every command takes" && !commands.contains(section));
    assert_eq!(strangers.count(), 0, "docs/commands.md has a section on a command that is not there");
}

/// Every exit code and environment variable of the help is explained, and none that is not there.
#[test]
fn codes_and_variables_are_those_of_the_help() {
    let help = Place::new().run(&["--help"]).code(0).out;
    let text = fs::read_to_string(root().join("docs/commands.md")).unwrap();
    let between = |from: &str, to: &str| help.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap().to_owned();
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let codes: Vec<String> = between("Exit codes:\n", "\n\n").lines().filter_map(first).collect();
    let variables = between("Environment variables:\n", "\0");
    let variables: Vec<String> = variables.lines().filter(|line| !line.starts_with("   ")).filter_map(first).collect();
    assert!(codes.len() >= 8 && variables.len() >= 4, "{codes:?} {variables:?}");
    for code in codes {
        assert!(text.contains(&format!("| {code} |")), "docs/commands.md does not explain exit code {code}");
    }
    for variable in variables {
        assert!(text.contains(&format!("| `{variable}` |")), "docs/commands.md does not explain {variable}");
    }
}

/// The README shows what its first command prints. What it leaves out is marked, and times are not compared.
#[test]
fn the_transcript_shows_the_plan_of_the_example() {
    let place = Place::with(&fs::read_to_string(root().join("examples/hello/stratos.toml")).unwrap());
    let plan = place.run(&["plan"]).code(0).out;
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let transcript = readme.split("```\n").find(|block| block.starts_with("dev (local)")).unwrap();
    let mut printed = plan.lines();
    let mut shown = 0;
    for line in transcript.lines().filter(|line| !matches!(line.trim(), "" | "…")) {
        let line = line.split(" 0 requests in").next().unwrap();
        assert!(printed.any(|printed| printed.starts_with(line)), "the README shows what is not printed (there):\n{line}\n\n{plan}");
        shown += 1;
        if line.starts_with("Plan:") {
            break;
        }
    }
    assert!(shown >= 8, "the README shows {shown} lines of the plan");
}
