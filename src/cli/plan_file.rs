//! Saved plans: what was shown is what is applied.

use std::io::Write as _;
use std::path::Path;

use stratos_engine::plan::Plan;

use super::error::Failure;

/// The format that this build writes, and the only one that it reads.
const FORMAT: u64 = 1;

/// Writes a plan for `stratos apply FILE`. Only its owner may read it: it holds no secret, but everything else.
pub fn write(plan: &Plan, path: &Path) -> Result<(), Failure> {
    let failed = |what: &dyn std::fmt::Display| Failure::new(format!("saving the plan to {}: {what}", path.display()));
    let text = serde_json::to_string_pretty(plan).map_err(|error| failed(&error))?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| failed(&error))?;
    // The mode above is for a new file; one that was there keeps its own unless it is set.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(|error| failed(&error))?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(|error| failed(&error))
}

/// Reads a saved plan. The format is looked at before anything else, so that a newer plan is refused as one.
pub fn read(path: &Path) -> Result<Plan, Failure> {
    let failed = |what: &dyn std::fmt::Display| Failure::new(format!("reading the plan {}: {what}", path.display()));
    let hint = "a plan is written by `stratos plan --out FILE`; names of apps go behind `--app`";
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error).with_hint(hint))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| failed(&error).with_hint(hint))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(FORMAT) => {}
        Some(other) => {
            return Err(failed(&format_args!("its format is {other}, and this build reads format {FORMAT}"))
                .with_hint("apply it with the version of stratos that made it, or make a new plan"));
        }
        None => return Err(failed(&"it is no saved plan: it has no `format`").with_hint(hint)),
    }
    serde_json::from_value(value).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_format_is_refused_before_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        for (text, says) in [("{\"format\": 2}", "its format is 2"), ("{}", "no saved plan"), ("nonsense", "reading the plan")] {
            std::fs::write(&path, text).unwrap();
            let failure = read(&path).unwrap_err();
            assert!(failure.message.contains(says), "{}", failure.message);
        }
    }
}
