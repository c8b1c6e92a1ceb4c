//! What runs in a service's containers: the fields that a service of a swarm and a container of an engine share.

use std::collections::BTreeMap;

use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::quantity::Duration;
use stratos_engine::desired::text::Text;

use super::at::{At, Check, On};
use super::dotenv;
use super::interpolate::Values;
use super::words;
use super::yaml::Value;
use crate::labels;

/// What a container has to end where nothing is said.
const STOP_GRACE_PERIOD: Duration = Duration(10_000);

/// Writes everything but ports, mounts, files, networks and `deploy`.
pub(super) fn write(service: &At<'_>, check: &Check<'_, '_>, values: &Values<'_>, out: &mut DocumentBuilder) {
    image(service, check, out);
    for key in ["entrypoint", "command"] {
        service.get(key).into_iter().for_each(|at| words(key, &at, check, out));
    }
    for (name, leaf) in environment(service, check, values) {
        out.put(["environment", name.as_str()], leaf);
    }
    service.get("healthcheck").into_iter().for_each(|at| healthcheck(&at, check, out));
    service.get("labels").into_iter().for_each(|at| texts(&at, &["labels"], check, out));
    service.get("sysctls").into_iter().for_each(|at| texts(&at, &["sysctls"], check, out));
    for key in ["hostname", "user", "working_dir", "stop_signal"] {
        let Some(at) = service.get(key) else { continue };
        match check.plain(&at).filter(|text| !text.is_empty()) {
            Some(text) if text.contains("{{") && check.on == On::Engine => {
                check.unsupported("placeholders", "only a swarm fills in what is between {{ and }}", &at);
            }
            Some(text) => drop(out.text([key], &text)),
            None => {}
        }
    }
    let grace = service.get("stop_grace_period").and_then(|at| check.duration(&at));
    if let Some(grace) = grace.filter(|grace| *grace != STOP_GRACE_PERIOD) {
        out.put(["stop_grace_period"], Leaf::Duration(grace));
    }
    for key in ["init", "read_only", "tty", "stdin_open"] {
        if service.get(key).and_then(|at| check.flag(&at)) == Some(true) {
            out.put([key], Leaf::Bool(true));
        }
    }
    for key in ["cap_add", "cap_drop", "group_add", "extra_hosts", "dns_opt"] {
        for member in service.get(key).map(|at| check.plains(&at)).unwrap_or_default() {
            let member = if key.starts_with("cap_") { capability(&member) } else { member };
            out.put([key, member.as_str()], Leaf::Bool(true));
        }
    }
    for key in ["dns", "dns_search"] {
        let servers = service.get(key).map(|at| check.plains(&at)).unwrap_or_default();
        out.list(&[key], &servers.into_iter().map(Text::literal).collect::<Vec<_>>());
    }
    service.get("ulimits").into_iter().for_each(|at| ulimits(&at, check, out));
    service.get("logging").into_iter().for_each(|at| logging(&at, check, out));
}

/// The one of the ways to write a capability that Docker's own client takes.
fn capability(written: &str) -> String {
    let name = written.to_uppercase();
    if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

fn image(service: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    let Some(at) = service.get("image") else {
        let help = "images are built before, and named here: image = registry/name:tag";
        check.files.report_with_help(format!("`{}` has no `image`", service.path), help, service.place());
        return;
    };
    if let Some(image) = check.plain(&at) {
        match image.is_empty() || image.contains(char::is_whitespace) {
            true => check.report(format!("`{}` must name an image, found {image:?}", at.path), &at),
            false => drop(out.put(["image"], Leaf::image(&image))),
        }
    }
}

/// A command: a list of words, or one text that is taken apart.
fn words(key: &str, at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    let found: Vec<Text> = if matches!(at.yaml.value, Value::List(_)) {
        at.items().filter_map(|item| check.text(&item)).collect()
    } else {
        let Some(text) = check.text(at) else { return };
        match words::split(&text.to_rendered()) {
            Ok(words) => words.iter().filter_map(|word| Text::from_rendered(word)).collect(),
            Err(why) => return check.report(format!("`{}`: {why}", at.path), at),
        }
    };
    if found.is_empty() {
        check.unsupported(key, "an empty list would take the image's own away, which the engine's API cannot say apart from nothing", at);
    }
    out.list(&[key], &found);
}

/// The variables: those of files, and over them those that are written.
fn environment(service: &At<'_>, check: &Check<'_, '_>, values: &Values<'_>) -> BTreeMap<String, Leaf> {
    let mut out = BTreeMap::new();
    for item in service.get("env_file").iter().flat_map(At::items) {
        env_file(&item, check, values, &mut out);
    }
    let Some(table) = service.get("environment").filter(|at| check.table(at)) else { return out };
    for (name, at) in table.entries() {
        if name.is_empty() || name.contains('=') {
            check.report(format!("`{name}` is not the name of a variable"), &at);
            continue;
        }
        let leaf = if at.is_null() { Some(inherited(name, values)) } else { check.leaf(&at) };
        out.extend(leaf.map(|leaf| (name.to_owned(), leaf)));
    }
    out
}

/// A variable without a value is what interpolation knows under its name; one that it does not know is taken away.
fn inherited(name: &str, values: &Values<'_>) -> Leaf {
    let text = values.get(name).and_then(|value| Text::from_rendered(&value));
    text.map_or(Leaf::Bool(false), |text| Leaf::from_text(&text))
}

fn env_file(item: &At<'_>, check: &Check<'_, '_>, values: &Values<'_>, out: &mut BTreeMap<String, Leaf>) {
    if item.is_table() {
        check.known(item, &["path", "required", "format"]);
    }
    let path = if item.is_table() { item.get("path") } else { Some(item.clone()) };
    let Some(path) = path.and_then(|at| check.plain(&at)) else { return };
    let raw = item.get("format").and_then(|at| check.one_of(&at, &["raw"])).is_some();
    let required = item.get("required").and_then(|at| check.flag(&at)).unwrap_or(true);
    let (index, file) = match check.files.get(&path) {
        Ok(found) => found,
        Err(why) if required => return check.report(format!("`{}`: {why}", item.path), item),
        Err(_) => return,
    };
    match dotenv::parse(&file.text, index, raw, values) {
        Ok(lines) => {
            for line in lines {
                let leaf = match line.value.as_deref().map(Text::from_rendered) {
                    None => inherited(&line.name, values),
                    Some(Some(text)) => Leaf::from_text(&text),
                    Some(None) => {
                        check.files.report("a secret's placeholder was cut or changed here", line.place);
                        continue;
                    }
                };
                out.insert(line.name, leaf);
            }
        }
        Err(problems) => problems.into_iter().for_each(|(why, place)| check.files.report(why, place)),
    }
}

fn healthcheck(at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    if !check.table(at) {
        return;
    }
    check.known(at, &["test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"]);
    let test = at.get("test").and_then(|test| test_of(&test, check));
    if at.get("disable").and_then(|at| check.flag(&at)) == Some(true) || test.as_deref() == Some(&["NONE".to_owned()]) {
        out.list(&["healthcheck", "test"], &[Text::literal("NONE")]);
        return;
    }
    out.list(&["healthcheck", "test"], &test.unwrap_or_default().into_iter().map(Text::literal).collect::<Vec<_>>());
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        if let Some(time) = at.get(key).and_then(|at| check.duration(&at)).filter(|time| time.0 > 0) {
            out.put(["healthcheck", key], Leaf::Duration(time));
        }
    }
    if let Some(retries) = at.get("retries").and_then(|at| check.integer(&at, 0, 10_000)).filter(|retries| *retries != 0) {
        out.integer(["healthcheck", "retries"], retries);
    }
}

fn test_of(at: &At<'_>, check: &Check<'_, '_>) -> Option<Vec<String>> {
    if !matches!(at.yaml.value, Value::List(_)) {
        return Some(vec!["CMD-SHELL".to_owned(), check.plain(at)?]);
    }
    let words = check.plains(at);
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["NONE"] | ["CMD", _, ..] | ["CMD-SHELL", _] => Some(words),
        _ => {
            check.report(format!("`{}` must begin with CMD or CMD-SHELL and a command, or be [NONE]", at.path), at);
            None
        }
    }
}

/// A table of plain texts, which people name themselves.
pub(super) fn texts(at: &At<'_>, path: &[&str], check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    if !check.table(at) {
        return;
    }
    for (name, at) in at.entries() {
        if path.last() == Some(&"labels") && name.starts_with(labels::PREFIX) {
            check.report(format!("the label `{name}` is Stratos' own: all that begin with `{}` are", labels::PREFIX), &at);
            continue;
        }
        let text = if at.is_null() { Some(String::new()) } else { check.plain(&at) };
        if let Some(text) = text {
            out.text(path.iter().copied().chain([name]), &text);
        }
    }
}

fn ulimits(at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    if !check.table(at) {
        return;
    }
    for (name, limit) in at.entries() {
        let number = |at: &At<'_>| check.integer(at, -1, i64::MAX);
        let both = if limit.is_table() {
            check.known(&limit, &["soft", "hard"]);
            let (soft, hard) = (limit.get("soft").and_then(|at| number(&at)), limit.get("hard").and_then(|at| number(&at)));
            if soft.is_none() || hard.is_none() {
                check.report(format!("`{}` needs `soft` and `hard`", limit.path), &limit);
            }
            soft.zip(hard)
        } else {
            number(&limit).map(|number| (number, number))
        };
        if let Some((soft, hard)) = both {
            out.integer(["ulimits", name, "soft"], soft).integer(["ulimits", name, "hard"], hard);
        }
    }
}

fn logging(at: &At<'_>, check: &Check<'_, '_>, out: &mut DocumentBuilder) {
    if !check.table(at) {
        return;
    }
    check.known(at, &["driver", "options"]);
    if let Some(driver) = at.get("driver").and_then(|at| check.plain(&at)) {
        out.text(["logging", "driver"], &driver);
    }
    at.get("options").into_iter().for_each(|at| texts(&at, &["logging", "options"], check, out));
}
