//! Tables on tables: what a cartridge gives, what the app says, what one environment says instead.
//!
//! Tables merge by key, everything else replaces. Keys that exclude each other (a probe's `http` and `tcp`) replace each
//! other too: who writes one of them means that one. Every value keeps the place where it was written.

use indexmap::map::Entry as MapEntry;

use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::source::{Entry, Node, NodeValue, Table};
use crate::manifest::suggest;

/// Tables in which only one of some things can be: where (a `*` is one key), and for each thing its key, followed by the
/// keys that are only about it.
const EXCLUSIVE: [(&[&str], &[&[&str]]); 4] = [
    (&["health"], PROBES),
    (&["health", "ready"], PROBES),
    (&["health", "live"], PROBES),
    (&["files", "*"], &[&["template"], &["content"], &["secret"]]),
];
const PROBES: &[&[&str]] = &[&["http", "port"], &["tcp"], &["command"]];

/// Values that are short for a table: where, and the key that the value is then under. `ports.http = 80` and
/// `ports.http.publish = 8080` go together.
const SHORT: [(&[&str], &str); 1] = [(&["ports", "*"], "port")];

/// Lays `over` on `base`.
pub(super) fn merge(base: &mut Table, over: &Table) {
    merge_at(base, over, &mut Vec::new());
}

fn merge_at<'a>(base: &mut Table, over: &'a Table, path: &mut Vec<&'a str>) {
    for (_, things) in EXCLUSIVE.iter().filter(|(pattern, _)| matches(pattern, path)) {
        let meant = |keys: &&&[&str]| keys.first().is_some_and(|key| over.contains_key(*key));
        if things.iter().any(|keys| meant(&keys)) {
            let others: Vec<&str> = things.iter().filter(|keys| !meant(keys)).flat_map(|keys| keys.iter().copied()).collect();
            base.retain(|key, _| !others.contains(&key.as_str()));
        }
    }
    for (key, entry) in over {
        path.push(key);
        match base.entry(key.clone()) {
            MapEntry::Occupied(mut below) => {
                let below = below.get_mut();
                if entry.node.as_table().is_some() {
                    written_out(below, path);
                }
                match (&mut below.node.value, &entry.node.value) {
                    (NodeValue::Table(below), NodeValue::Table(above)) => merge_at(below, above, path),
                    _ => *below = entry.clone(),
                }
            }
            MapEntry::Vacant(free) => {
                free.insert(entry.clone());
            }
        }
        path.pop();
    }
}

fn matches(pattern: &[&str], path: &[&str]) -> bool {
    pattern.len() == path.len() && pattern.iter().zip(path).all(|(wanted, part)| *wanted == "*" || wanted == part)
}

/// Turns a value that is short for a table into that table.
fn written_out(entry: &mut Entry, path: &[&str]) {
    let scalar = !matches!(entry.node.value, NodeValue::Table(_) | NodeValue::Array(_));
    if let Some((_, key)) = SHORT.iter().find(|(pattern, _)| scalar && matches(pattern, path)) {
        let inner = Entry { key_span: entry.key_span, node: entry.node.clone() };
        entry.node.value = NodeValue::Table(Box::new(Table::from_iter([((*key).to_owned(), inner)])));
    }
}

/// Removes what the dotted keys of an `unset` name. What is not there is an error: it is a misspelling, or has gone.
pub(super) fn unset(table: &mut Table, keys: &Node) -> Result<(), Vec<Diagnostic>> {
    let NodeValue::Array(keys) = &keys.value else {
        return Err(vec![Diagnostic::new("`unset` must be a list of dotted keys", keys.span).with_help("such as [\"env.LOG_LEVEL\"]")]);
    };
    let mut problems = Vec::new();
    for key in keys {
        let Some(text) = key.as_str() else {
            problems.push(Diagnostic::new("`unset` must be a list of dotted keys", key.span));
            continue;
        };
        let path = match dotted(text) {
            Ok(path) => path,
            Err(why) => {
                problems.push(Diagnostic::new(format!("`{text}` is not a dotted key: {why}"), key.span));
                continue;
            }
        };
        if !remove(table, &path) {
            let problem = Diagnostic::new(format!("there is no `{text}` to unset"), key.span);
            problems.push(match nearest_sibling(table, &path) {
                Some(found) => problem.with_help(format!("did you mean `{found}`?")),
                None => problem,
            });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// The parts of a dotted key; parts may be quoted.
pub(super) fn dotted(text: &str) -> Result<Vec<String>, String> {
    let keys = toml_edit::Key::parse(text).map_err(|e| e.message().to_owned())?;
    Ok(keys.iter().map(|key| key.get().to_owned()).collect())
}

/// The keys of an `unset` that begin with one of these, and the others.
pub(super) fn split_unset(keys: &Node, firsts: &[&str]) -> (Node, Node) {
    let NodeValue::Array(items) = &keys.value else { return (Node { value: NodeValue::Array(Vec::new()), span: keys.span }, keys.clone()) };
    let first = |node: &Node| node.as_str().and_then(|text| dotted(text).ok()).and_then(|path| path.into_iter().next());
    let (with, without) = items.iter().cloned().partition(|item| first(item).is_some_and(|first| firsts.contains(&first.as_str())));
    let list = |items| Node { value: NodeValue::Array(items), span: keys.span };
    (list(with), list(without))
}

fn remove(table: &mut Table, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => table.shift_remove(last).is_some(),
        [first, rest @ ..] => match table.get_mut(first) {
            Some(Entry { node: Node { value: NodeValue::Table(inner), .. }, .. }) => remove(inner, rest),
            _ => false,
        },
    }
}

/// The same dotted key with one part spelt as it is in the table.
fn nearest_sibling(table: &Table, path: &[String]) -> Option<String> {
    let (first, rest) = path.split_first()?;
    match table.get(first) {
        Some(entry) => Some(format!("{first}.{}", nearest_sibling(entry.node.as_table()?, rest)?)),
        None => {
            let found = suggest::closest(first, table.keys().map(String::as_str))?;
            Some(std::iter::once(found).chain(rest.iter().map(String::as_str)).collect::<Vec<_>>().join("."))
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::manifest::diagnostic::FileId;
    use crate::manifest::source::parse;

    fn table(text: &str) -> Table {
        match parse(text, FileId(0)).unwrap().value {
            NodeValue::Table(table) => *table,
            other => panic!("{other:?}"),
        }
    }

    fn json(table: Table) -> serde_json::Value {
        Node { value: NodeValue::Table(Box::new(table)), span: crate::manifest::diagnostic::Span { file: FileId(0), start: 0, end: 0 } }
            .to_json()
    }

    fn merged(base: &str, over: &str) -> serde_json::Value {
        let mut base = table(base);
        merge(&mut base, &table(over));
        json(base)
    }

    #[test]
    fn nothing_on_nothing_is_nothing() {
        assert_eq!(merged("", ""), serde_json::json!({}));
    }

    #[test]
    fn tables_merge_by_key_and_lists_replace() {
        let merged = merged("a = 1\nl = [1, 2]\nt = { x = 1, y = 2 }", "l = [3]\nt = { y = 3, z = 4 }");
        assert_eq!(merged, serde_json::json!({ "a": 1, "l": [3], "t": { "x": 1, "y": 3, "z": 4 } }));
    }

    #[test]
    fn keys_that_exclude_each_other_replace_each_other() {
        let merged = merged(
            "health = { http = '/', port = 'http', interval = '1s' }\nfiles.'/x' = { content = 'a', mode = '0400' }",
            "health.tcp = 'db'\nfiles.'/x'.template = 't'",
        );
        assert_eq!(
            merged,
            serde_json::json!({ "health": { "interval": "1s", "tcp": "db" }, "files": { "/x": { "mode": "0400", "template": "t" } } })
        );
    }

    #[test]
    fn a_port_that_is_written_short_merges_like_one_that_is_written_out() {
        assert_eq!(
            merged("ports.http = 80", "ports.http.publish = 8080"),
            serde_json::json!({ "ports": { "http": { "port": 80, "publish": 8080 } } })
        );
        assert_eq!(merged("ports.http = { port = 80, publish = 8080 }", "ports.http = 81"), serde_json::json!({ "ports": { "http": 81 } }));
    }

    #[test]
    fn unset_removes_quoted_keys_too_and_refuses_what_is_not_there() {
        let mut base = table("env = { A = '1', LOG_LEVEL = 'x' }\nfiles.'/etc/a.conf'.content = 'a'");
        unset(&mut base, table("u = ['env.A', 'files.\"/etc/a.conf\"']").get("u").map(|e| &e.node).unwrap()).unwrap();
        assert_eq!(json(base.clone()), serde_json::json!({ "env": { "LOG_LEVEL": "x" }, "files": {} }));
        let problems = unset(&mut base, table("u = ['env.LOG_LEVLE', 'x y', 3]").get("u").map(|e| &e.node).unwrap()).unwrap_err();
        let texts: Vec<_> = problems.iter().map(|p| (p.message.as_str(), p.help.as_deref())).collect();
        assert_eq!(texts[0], ("there is no `env.LOG_LEVLE` to unset", Some("did you mean `env.LOG_LEVEL`?")));
        assert!(texts[1].0.starts_with("`x y` is not a dotted key"), "{texts:?}");
        assert_eq!(texts.len(), 3);
    }
}
