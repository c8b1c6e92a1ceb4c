//! `configs` and `secrets`: contents that a service finds at a path.

use stratos_engine::desired::text::{Encoding, Segment, Text};

use super::at::{At, Check, On};
use super::interpolate::Values;
use super::yaml::Value;

/// The most that a config or a secret may hold. In a swarm both must hold something.
const LARGEST: usize = 500 * 1024;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Config,
    Secret,
}

impl Kind {
    /// The section, and the field of a service.
    pub fn section(self) -> &'static str {
        match self {
            Self::Config => "configs",
            Self::Secret => "secrets",
        }
    }
}

/// What a config or a secret is.
pub(super) enum Source {
    /// Ours, with this content.
    Content(Text),
    /// Somebody else's, of this live name.
    External(String),
}

/// One use of a config or a secret.
pub(super) struct Use<'y> {
    pub source: String,
    /// Where it is used.
    pub at: At<'y>,
    /// Where a container finds it: an absolute path.
    pub target: String,
    pub uid: Option<String>,
    pub gid: Option<String>,
    pub mode: Option<u32>,
}

/// What a service uses.
pub(super) fn uses<'y>(service: &At<'y>, kind: Kind, check: &Check<'_, '_>) -> Vec<Use<'y>> {
    let mut out: Vec<Use<'y>> = Vec::new();
    for item in service.get(kind.section()).filter(|at| check.list(at)).iter().flat_map(At::items) {
        let Some(found) = one_use(&item, kind, check) else { continue };
        if out.iter().any(|other| other.target == found.target) {
            check.report(format!("`{}`: something is at {} already", item.path, found.target), &item);
            continue;
        }
        out.push(found);
    }
    out
}

fn one_use<'y>(item: &At<'y>, kind: Kind, check: &Check<'_, '_>) -> Option<Use<'y>> {
    let placed = |target: &str| match kind {
        _ if target.starts_with('/') => target.to_owned(),
        Kind::Config => format!("/{target}"),
        Kind::Secret => format!("/run/secrets/{target}"),
    };
    if !item.is_table() {
        let source = check.plain(item)?;
        return Some(Use { at: item.clone(), target: placed(&source), source, uid: None, gid: None, mode: None });
    }
    check.known(item, &["source", "target", "uid", "gid", "mode"]);
    let Some(source) = item.get("source").and_then(|at| check.plain(&at)) else {
        check.report(format!("`{}` has no `source`", item.path), item);
        return None;
    };
    let target = item.get("target").and_then(|at| check.plain(&at));
    let owner = |key| item.get(key).and_then(|at| check.plain(&at)).filter(|owner| owner != "0" && !owner.is_empty());
    let mode = item.get("mode").and_then(|at| mode(&at, check));
    Some(Use { at: item.clone(), target: placed(target.as_deref().unwrap_or(&source)), source, uid: owner("uid"), gid: owner("gid"), mode })
}

/// Permissions. A number without a leading zero is decimal, as YAML has it; text is octal.
pub(super) fn mode(at: &At<'_>, check: &Check<'_, '_>) -> Option<u32> {
    let text = check.plain(at)?;
    let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0')).filter(|rest| !rest.is_empty());
    let mode = match (octal, &at.yaml.value) {
        (Some(octal), _) => u32::from_str_radix(octal, 8),
        (None, Value::Number(_)) => text.parse(),
        (None, _) => u32::from_str_radix(&text, 8),
    };
    let mode = mode.ok().filter(|mode| *mode <= 0o7777);
    if mode.is_none() {
        check.report(format!("`{}` must be permissions in octal, such as 0440; found {text:?}", at.path), at);
    }
    mode
}

/// What stands in the top-level section under a name; None where something was reported.
pub(super) fn source(
    name: &str,
    section: &At<'_>,
    kind: Kind,
    manifest: &std::collections::BTreeSet<String>,
    check: &Check<'_, '_>,
    values: &Values<'_>,
    used: &At<'_>,
) -> Option<Source> {
    let (one, many) = if kind == Kind::Config { ("config", "configs") } else { ("secret", "secrets") };
    let Some(at) = section.get(name).filter(At::is_table) else {
        let help = format!("declare it in the top-level `{many}`");
        check.files.report_with_help(format!("there is no {one} `{name}`"), help, used.place());
        return None;
    };
    check.known(&at, &["file", "content", "environment", "external", "name", "labels", "template_driver", "driver", "driver_opts"]);
    if at.get("external").is_some_and(|external| check.flag(&external) == Some(true)) {
        let live = at.get("name").and_then(|at| check.plain(&at)).unwrap_or_else(|| name.to_owned());
        return Some(Source::External(live));
    }
    for (key, why) in [
        ("name", "its content cannot change, so its live name holds a hash of it, or a number"),
        ("labels", "its labels are Stratos' own"),
        ("template_driver", "a file whose name ends in .j2 is a template"),
        ("driver", "it would not be Stratos that makes it"),
        ("driver_opts", "it would not be Stratos that makes it"),
    ] {
        at.get(key).into_iter().for_each(|at| check.unsupported(&format!("{many}.{key}"), why, &at));
    }
    let content = match kind {
        Kind::Config => config(name, &at, check, values)?,
        Kind::Secret => secret(name, &at, manifest, check, values)?,
    };
    let size = content.as_literal().map_or(1, str::len);
    let least = if check.on == On::Swarm { 1 } else { 0 };
    if size < least || size >= LARGEST {
        let takes = check.either("a swarm takes at least one, and less than", "it can have less than");
        check.report(format!("the {one} `{name}` has {size} bytes: {takes} {LARGEST}"), &at);
        return None;
    }
    Some(Source::Content(content))
}

fn config(name: &str, at: &At<'_>, check: &Check<'_, '_>, values: &Values<'_>) -> Option<Text> {
    let text = written(name, at, check, values)?;
    if text.has_secret() {
        let help = "whoever may use the engine can read a config: make it one of `secrets`";
        check.files.report_with_help(format!("the config `{name}` holds a secret"), help, at.place());
        return None;
    }
    Some(text)
}

/// The manifest's secret of that name; else a text with secrets in it. A value that stands in a file of the repository is no
/// secret, and would be shown in plans.
fn secret(
    name: &str,
    at: &At<'_>,
    manifest: &std::collections::BTreeSet<String>,
    check: &Check<'_, '_>,
    values: &Values<'_>,
) -> Option<Text> {
    let known = [name.to_owned(), name.replace('-', "_")].into_iter().find(|name| manifest.contains(name));
    if let Some(name) = known {
        return Some(Text::from_iter([Segment::Secret { name, encoding: Encoding::Plain }]));
    }
    let help = format!("declare it in the manifest: secrets.{name} = {{ file = … }} or {{ env = … }}; the compose file may stay as it is");
    if at.get("file").is_some_and(|file| !file.yaml.as_text().is_some_and(|path| path.ends_with(".j2"))) {
        check.files.report_with_help(format!("the manifest has no secret `{name}`"), help, at.place());
        return None;
    }
    let text = written(name, at, check, values)?;
    if !text.has_secret() {
        check.files.report_with_help(format!("the value of the secret `{name}` is none: anybody can read it here"), help, at.place());
        return None;
    }
    Some(text)
}

/// `file`, `content` or `environment`.
fn written(name: &str, at: &At<'_>, check: &Check<'_, '_>, values: &Values<'_>) -> Option<Text> {
    let given: Vec<&str> = ["file", "content", "environment"].into_iter().filter(|key| at.get(key).is_some()).collect();
    let [key] = given.as_slice() else {
        check.report(format!("`{name}` must have exactly one of `file`, `content`, `environment` and `external`"), at);
        return None;
    };
    let value = at.get(key)?;
    match *key {
        "content" => check.text(&value),
        "file" => {
            let path = check.plain(&value)?;
            let (_, file) = check.files.get(&path).map_err(|why| check.report(format!("`{}`: {why}", value.path), &value)).ok()?;
            Text::from_rendered(&file.text)
        }
        _ => {
            let variable = check.plain(&value)?;
            let found = values.get(&variable).and_then(|value| Text::from_rendered(&value));
            if found.is_none() {
                let help = format!("give the app `env.{variable}`; the environment of the process is not looked at");
                check.files.report_with_help(format!("nothing says what {variable} is"), help, value.place());
            }
            found
        }
    }
}
