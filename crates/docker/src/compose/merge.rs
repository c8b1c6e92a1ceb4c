//! One form for what compose lets people write in several, and files laid on files.
//!
//! Tables merge by key, lists are appended, everything else is replaced; a command and a probe's test are replaced as a whole.

use super::yaml::{Key, Value, Yaml};

/// Lists that replace the one below instead of being appended to it.
const REPLACED: [&str; 3] = ["command", "entrypoint", "test"];

/// Fields of a service that are a table, or a list of `NAME=value`.
const ASSIGNMENTS: [&str; 4] = ["environment", "labels", "sysctls", "annotations"];
/// Fields of a service that are a table, or a list of its keys.
const NAMES: [&str; 2] = ["networks", "depends_on"];
/// Fields of a service that are a list, or the one item of it.
const LISTS: [&str; 6] = ["env_file", "tmpfs", "dns", "dns_search", "dns_opt", "profiles"];

/// Brings a service into the form that is merged and translated.
pub(super) fn canonical(service: &mut Yaml) {
    let Value::Map(fields) = &mut service.value else { return };
    for (key, value) in fields {
        match key.name.as_str() {
            name if ASSIGNMENTS.contains(&name) => assignments(value),
            name if NAMES.contains(&name) => names(value),
            name if LISTS.contains(&name) => list(value),
            "extra_hosts" => hosts(value),
            "deploy" | "build" => {
                let Value::Map(inner) = &mut value.value else { continue };
                inner.iter_mut().filter(|(key, _)| key.name == "labels").for_each(|(_, labels)| assignments(labels));
            }
            _ => {}
        }
    }
}

/// `[A=1, B]` as `{ A: 1, B: null }`.
pub(super) fn assignments(yaml: &mut Yaml) {
    let Value::List(items) = &yaml.value else { return };
    let mut entries: Vec<(Key, Yaml)> = Vec::with_capacity(items.len());
    for item in items {
        // What is no scalar stays a list, and is refused as one.
        let Some(text) = item.scalar() else { return };
        let (name, value) =
            text.split_once('=').map_or((text.as_str(), Value::Null), |(name, value)| (name, Value::Text(value.to_owned())));
        entries.retain(|(known, _)| known.name != name);
        entries.push((Key { name: name.to_owned(), place: item.place }, Yaml { value, place: item.place }));
    }
    yaml.value = Value::Map(entries);
}

fn names(yaml: &mut Yaml) {
    let Value::List(items) = &yaml.value else { return };
    let entry = |item: &Yaml| {
        let key = Key { name: item.as_text()?.to_owned(), place: item.place };
        Some((key, Yaml { value: Value::Null, place: item.place }))
    };
    if let Some(entries) = items.iter().map(entry).collect() {
        yaml.value = Value::Map(entries);
    }
}

fn list(yaml: &mut Yaml) {
    if !matches!(yaml.value, Value::List(_) | Value::Null) {
        let item = yaml.clone();
        yaml.value = Value::List(vec![item]);
    }
}

/// `{ db: 10.0.0.1 }` and `[db=10.0.0.1]` as `[db:10.0.0.1]`.
fn hosts(yaml: &mut Yaml) {
    let line = |place, name: &str, address: &str| Yaml { value: Value::Text(format!("{name}:{address}")), place };
    let lines: Option<Vec<Yaml>> = match &yaml.value {
        Value::Map(entries) => entries.iter().map(|(key, value)| Some(line(value.place, &key.name, &value.scalar()?))).collect(),
        Value::List(items) => {
            let item = |item: &Yaml| {
                let text = item.as_text()?;
                let (name, address) = text.split_once('=').or_else(|| text.split_once(':'))?;
                Some(line(item.place, name, address))
            };
            items.iter().map(item).collect()
        }
        _ => None,
    };
    if let Some(lines) = lines {
        yaml.value = Value::List(lines);
    }
}

/// Lays `over` on `base`.
pub(super) fn merge(base: &mut Yaml, over: Yaml) {
    match (&mut base.value, over.value) {
        (_, Value::Null) => {}
        (Value::Map(below), Value::Map(above)) => {
            base.place = over.place;
            for (key, value) in above {
                match below.iter_mut().find(|(known, _)| known.name == key.name) {
                    Some((known, below)) if REPLACED.contains(&key.name.as_str()) => {
                        *known = key;
                        *below = value;
                    }
                    Some((known, below)) => {
                        *known = key;
                        merge(below, value);
                    }
                    None => below.push((key, value)),
                }
            }
        }
        (Value::List(below), Value::List(above)) => {
            for item in above {
                below.retain(|known| known.value != item.value);
                below.push(item);
            }
        }
        (_, value) => *base = Yaml { value, place: over.place },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::yaml::parse;

    fn json(yaml: &Yaml) -> serde_json::Value {
        match &yaml.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(text) | Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(json).collect(),
            Value::Map(entries) => entries.iter().map(|(key, value)| (key.name.clone(), json(value))).collect(),
        }
    }

    fn service(text: &str) -> Yaml {
        let mut yaml = parse(text, 0).unwrap();
        canonical(&mut yaml);
        yaml
    }

    #[test]
    fn nothing_on_nothing_is_nothing() {
        let mut base = service("{}");
        merge(&mut base, service("{}"));
        assert_eq!(json(&base), serde_json::json!({}));
    }

    #[test]
    fn the_ways_to_write_one_thing_are_one() {
        let long = service(
            "environment: { A: 1, B: }\nlabels: { x: y }\nnetworks: { n: }\ndepends_on: { d: }\nenv_file: [f]\nextra_hosts: ['h:1.2.3.4']\n",
        );
        let short = service(
            "environment: [A=0, A=1, B]\nlabels: [x=y]\nnetworks: [n]\ndepends_on: [d]\nenv_file: f\nextra_hosts: { h: 1.2.3.4 }\n",
        );
        assert_eq!(json(&long), json(&short));
        assert_eq!(json(&service("extra_hosts: ['h=::1']")), serde_json::json!({ "extra_hosts": ["h:::1"] }));
    }

    #[test]
    fn tables_merge_lists_grow_and_commands_are_replaced() {
        let mut base =
            service("environment: [A=1, B=2]\nports: ['80:80']\ncommand: [a, b]\nimage: x\nhealthcheck: { test: [CMD, a], retries: 3 }");
        merge(
            &mut base,
            service("environment: { B: 3 }\nports: ['80:80', '81:81']\ncommand: [c]\nimage: y\nhealthcheck: { test: [CMD, b] }\nuser:"),
        );
        let expected = serde_json::json!({
            "environment": { "A": "1", "B": "3" }, "ports": ["80:80", "81:81"], "command": ["c"], "image": "y",
            "healthcheck": { "test": ["CMD", "b"], "retries": "3" }, "user": null
        });
        assert_eq!(json(&base), expected);
    }
}
