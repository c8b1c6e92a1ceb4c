//! What apps of one environment are to each other: who waits for whom, and who publishes what.

use std::collections::{HashMap, HashSet};

use super::dotted;
use crate::manifest::diagnostic::{Diagnostic, Span};
use crate::manifest::goes_to;
use crate::manifest::source::{Entry, Node};

/// The keys of an app that say what it is to others.
pub(super) const KEYS: [&str; 3] = ["bind", "depends_on", "ports"];
/// More cycles than these are not reported: they are mostly the same one, seen from elsewhere.
const MOST_CYCLES: usize = 10;

/// An app in an environment, with its override there if that is not merged yet.
struct Member<'a> {
    name: &'a str,
    node: &'a Node,
    overrides: Option<&'a Node>,
}

/// A port on an environment's edge.
struct Published<'a> {
    app: &'a str,
    span: Span,
}

impl<'a> Member<'a> {
    /// Whether the override removes this, or a table around it.
    fn is_unset(&self, path: &[&str]) -> bool {
        let unset = self.overrides.and_then(|node| node.get("unset")).and_then(Node::as_array).unwrap_or_default();
        unset.iter().filter_map(Node::as_str).filter_map(dotted).any(|unset| path.iter().take(unset.len()).eq(&unset))
    }

    /// The entries of a table of the app, the override's over the app's own.
    fn merged(&self, table: &str) -> Vec<(&'a str, &'a Entry)> {
        let over = self.overrides.and_then(|node| node.get(table)).into_iter().flat_map(Node::entries);
        let mut merged: Vec<_> = over.collect();
        let own = self.node.get(table).into_iter().flat_map(Node::entries);
        let kept = own.filter(|(key, _)| !self.is_unset(&[table, key]));
        merged.extend(kept);
        merged
    }

    /// The apps that it waits for.
    fn dependencies(&self) -> Vec<(&'a str, Span)> {
        let mut found: Vec<_> = self.merged("bind").into_iter().map(|(name, entry)| (name, entry.key_span)).collect();
        let own = self.node.get("depends_on").filter(|_| !self.is_unset(&["depends_on"]));
        let list = self.overrides.and_then(|node| node.get("depends_on")).or(own);
        let list = list.and_then(Node::as_array).unwrap_or_default();
        found.extend(list.iter().filter(|item| !item.is_template()).filter_map(|item| Some((item.as_str()?, item.span))));
        found
    }

    /// The ports that it publishes: number, protocol and place.
    fn published(&self) -> Vec<(i64, &'a str, Span)> {
        let mut seen = HashSet::new();
        let first = |key: &'a str, what: &str| {
            let find = |node: &'a Node| node.at(["ports", key, what]);
            let own = || find(self.node).filter(|_| !self.is_unset(&["ports", key, what]));
            self.overrides.and_then(find).or_else(own)
        };
        let names = self.merged("ports").into_iter().map(|(name, _)| name).filter(|name| seen.insert(*name));
        let ports = names.filter_map(|name| {
            let publish = first(name, "publish")?;
            Some((publish.as_integer()?, first(name, "protocol").and_then(Node::as_str).unwrap_or("tcp"), publish.span))
        });
        ports.collect()
    }
}

/// Checks each environment of a manifest as it is written.
pub(super) fn validate_written(root: &Node, problems: &mut Vec<Diagnostic>) {
    let apps: Vec<(&str, &Entry)> = root.get("apps").into_iter().flat_map(Node::entries).collect();
    let mut environments: Vec<(&str, bool)> = Vec::new();
    for (name, entry) in root.get("environments").into_iter().flat_map(Node::entries) {
        let opt_in = entry.node.get("opt_in").is_some_and(|node| node.value == crate::manifest::source::NodeValue::Bool(true));
        environments.push((name, opt_in));
    }
    let known: HashSet<&str> = apps.iter().map(|(name, _)| *name).collect();
    let mut reported = HashSet::new();
    if environments.is_empty() {
        let members: Vec<_> = apps.iter().map(|(name, entry)| Member { name, node: &entry.node, overrides: None }).collect();
        validate(None, &members, &known, &mut reported, problems);
    }
    for (environment, opt_in) in environments {
        let here = apps.iter().filter(|(_, entry)| goes_to(&entry.node, environment, opt_in));
        let members: Vec<_> =
            here.map(|(name, entry)| Member { name, node: &entry.node, overrides: entry.node.at(["override", environment]) }).collect();
        validate(Some(environment), &members, &known, &mut reported, problems);
    }
}

/// Checks an environment's apps after rendering.
pub(super) fn validate_rendered<'a>(environment: &str, apps: impl Iterator<Item = (&'a str, &'a Node)>) -> Vec<Diagnostic> {
    let members: Vec<_> = apps.map(|(name, node)| Member { name, node, overrides: None }).collect();
    let mut problems = Vec::new();
    // Apps that do not exist at all were reported by `validate_app`; here all that counts is who is in the environment.
    let known = members.iter().flat_map(Member::dependencies).map(|(name, _)| name).collect();
    validate(Some(environment), &members, &known, &mut HashSet::new(), &mut problems);
    problems
}

/// `known` are the apps that exist anywhere: others were reported as unknown. `reported` are the places that were spoken of
/// for an environment before, since the same mistake in each of them is one mistake.
fn validate(
    environment: Option<&str>,
    members: &[Member<'_>],
    known: &HashSet<&str>,
    reported: &mut HashSet<(Span, &'static str)>,
    problems: &mut Vec<Diagnostic>,
) {
    let names: Vec<&str> = members.iter().map(|member| member.name).collect();
    let edges: Vec<_> = members.iter().map(Member::dependencies).collect();
    let here: HashSet<&str> = names.iter().copied().collect();
    let place = environment.map_or(String::new(), |name| format!(" environment `{name}`"));
    for (member, edges) in members.iter().zip(&edges) {
        for (name, span) in edges.iter().filter(|(name, _)| known.contains(name) && !here.contains(name)) {
            if reported.insert((*span, "absent")) {
                let message = format!("the app `{}` goes to{place}, and `{name}`, which it needs, does not", member.name);
                problems.push(Diagnostic::new(message, *span).with_help("compare their `environments`"));
            }
        }
    }
    for (cycle, span) in cycles(&names, &edges) {
        if reported.insert((span, "cycle")) {
            let help = "`bind` and `depends_on` start the other app first; one of them must go";
            problems.push(Diagnostic::new(format!("apps wait for each other: {cycle}"), span).with_help(help));
        }
    }
    let mut edge: HashMap<(i64, &str), Published<'_>> = HashMap::new();
    for member in members {
        for (port, protocol, span) in member.published() {
            match edge.get(&(port, protocol)) {
                Some(first) if first.app != member.name && reported.insert((span, "published")) => {
                    let place = environment.map_or(String::new(), |name| format!(" in environment `{name}`"));
                    let message = format!("port {port} is published by `{}` and by `{}`{place}", first.app, member.name);
                    problems.push(Diagnostic::new(message, span).related_to(first.span, "it is first published here"));
                }
                Some(_) => {}
                None => drop(edge.insert((port, protocol), Published { app: member.name, span })),
            }
        }
    }
}

/// The cycles of a graph, each as `a -> b -> a` with the place of its first edge. Edges to unknown names lead nowhere.
///
/// Depth first, on a list of our own: a chain of 10,000 apps must not exhaust the stack.
pub(super) fn cycles(names: &[&str], edges: &[Vec<(&str, Span)>]) -> Vec<(String, Span)> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        OnPath,
        Done,
    }
    let index: HashMap<&str, usize> = names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    let mut state = vec![State::New; names.len()];
    let mut found = Vec::new();
    for start in 0..names.len() {
        if state[start] != State::New {
            continue;
        }
        state[start] = State::OnPath;
        // Each step: a node, and how many of its edges were followed.
        let mut path = vec![(start, 0)];
        while let Some((node, next)) = path.last_mut() {
            let Some((name, _)) = edges[*node].get(*next) else {
                state[*node] = State::Done;
                path.pop();
                continue;
            };
            *next += 1;
            let Some(&target) = index.get(name) else { continue };
            match state[target] {
                State::New => {
                    state[target] = State::OnPath;
                    path.push((target, 0));
                }
                State::OnPath if found.len() < MOST_CYCLES => found.push(cycle(names, edges, &path, target)),
                State::OnPath | State::Done => {}
            }
        }
    }
    found
}

/// Writes out the cycle that the path's last edge closes at `target`, from its first name in the order of the manifest on.
fn cycle(names: &[&str], edges: &[Vec<(&str, Span)>], path: &[(usize, usize)], target: usize) -> (String, Span) {
    let start = path.iter().position(|(node, _)| *node == target).unwrap_or(0);
    let mut cycle = path[start..].to_vec();
    let first = cycle.iter().enumerate().min_by_key(|(_, (node, _))| *node).map_or(0, |(at, _)| at);
    cycle.rotate_left(first);
    let (node, next) = cycle[0];
    let mut text: String = cycle.iter().map(|(node, _)| format!("{} -> ", names[*node])).collect();
    text.push_str(names[node]);
    (text, edges[node][next - 1].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::diagnostic::FileId;

    fn found(graph: &[(&str, &[&str])]) -> Vec<String> {
        let names: Vec<&str> = graph.iter().map(|(name, _)| *name).collect();
        let span = Span { file: FileId(0), start: 0, end: 0 };
        let edges: Vec<Vec<(&str, Span)>> = graph.iter().map(|(_, to)| to.iter().map(|name| (*name, span)).collect()).collect();
        cycles(&names, &edges).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn cycles_are_written_out_whole() {
        assert_eq!(found(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]), [""; 0]);
        assert_eq!(found(&[("a", &["a"])]), ["a -> a"]);
        assert_eq!(found(&[("x", &["c"]), ("a", &["b"]), ("b", &["c"]), ("c", &["a"])]), ["a -> b -> c -> a"]);
        assert_eq!(found(&[("a", &["b", "nobody"]), ("b", &["a"]), ("c", &["d"]), ("d", &["c"])]), ["a -> b -> a", "c -> d -> c"]);
    }

    #[test]
    fn a_long_chain_does_not_exhaust_the_stack() {
        let names: Vec<String> = (0..100_000).map(|i| format!("a{i}")).collect();
        let next: Vec<[&str; 1]> = (0..names.len()).map(|i| [names[(i + 1) % names.len()].as_str()]).collect();
        let graph: Vec<(&str, &[&str])> = names.iter().zip(&next).map(|(name, next)| (name.as_str(), next.as_slice())).collect();
        assert_eq!(found(&graph).len(), 1);
    }
}
