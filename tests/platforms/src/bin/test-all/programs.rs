//! The test programs of the workspace, as Cargo builds them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// One test program.
pub struct Program {
    /// The package and the target: `stratos-docker it`.
    pub name: String,
    pub executable: PathBuf,
    /// The package's folder, in which Cargo would run it.
    pub folder: PathBuf,
}

/// The programs whose tests need servers. Each line runs beside the others, its programs one after another.
///
/// It is one line: on two processors two lines at once take all of both, and what a test waits for (a pod that starts, a definition that
/// the API server serves) then comes later than its platform's own time limits.
const LANES: [&[&str]; 1] = [&[
    "stratos-docker it",
    "stratos-test-platforms cluster",
    "stratos-test-platforms engines",
    "stratos engines",
    "stratos-kubernetes kubernetes",
]];

/// Tests that mostly wait for a server: more of them run at once than there are processors.
const THREADS: [(&str, &str); 2] = [("stratos-docker it", "8"), ("stratos-kubernetes kubernetes", "8")];

/// A program that takes as long as all others that need no server: it begins first.
const LONGEST: &str = "stratos-local contract";

impl Program {
    /// How many of its tests run at once, where that is not the same for all programs.
    pub fn threads(&self) -> Option<&'static str> {
        THREADS.iter().find(|(name, _)| *name == self.name).map(|(_, threads)| *threads)
    }

    pub fn needs_servers(&self) -> bool {
        LANES.iter().any(|lane| lane.contains(&self.name.as_str()))
    }
}

/// Sorts programs into their lanes.
///
/// # Panics
/// When the workspace has no program of a name in [`LANES`]: its tests would be left out.
pub fn lanes(mut programs: Vec<Program>) -> Vec<Vec<Program>> {
    let mut take = |name: &&str| {
        let at = programs.iter().position(|program| program.name == *name);
        programs.remove(at.unwrap_or_else(|| panic!("the workspace has no test program {name:?}")))
    };
    LANES.iter().map(|lane| lane.iter().map(&mut take).collect()).collect()
}

/// Builds every test program. None where Cargo fails, which says why.
pub fn build() -> Option<Vec<Program>> {
    let mut cargo = cargo(&["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    let output = cargo.stderr(Stdio::inherit()).output().unwrap_or_else(|error| panic!("cargo: {error}"));
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs: Vec<Program> = messages.filter_map(|message| program(&message)).collect();
    programs.sort_by(|a, b| (a.name != LONGEST, &a.name).cmp(&(b.name != LONGEST, &b.name)));
    Some(programs)
}

/// The test program that a message of Cargo is about.
fn program(message: &Value) -> Option<Program> {
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let folder = PathBuf::from(message["manifest_path"].as_str()?).parent()?.to_owned();
    let package = package_name(message["package_id"].as_str()?);
    let target = message["target"]["name"].as_str()?;
    let kind = message["target"]["kind"][0].as_str()?;
    let name = if kind == "test" { format!("{package} {target}") } else { format!("{package} ({kind})") };
    Some(Program { name, executable: message["executable"].as_str()?.into(), folder })
}

/// `path+file:///…/tests/platforms#stratos-test-platforms@0.1.0`, or `path+file:///…/stratos#0.1.0` where both names are equal.
fn package_name(id: &str) -> &str {
    let (place, name) = id.split_once('#').unwrap_or((id, ""));
    match name.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
}

/// Runs the examples in the documentation. True where all of them pass.
pub fn documentation() -> bool {
    let status = cargo(&["test", "--workspace", "--doc", "--quiet"]).status();
    status.unwrap_or_else(|error| panic!("cargo: {error}")).success()
}

fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).stdin(Stdio::null());
    command
}
