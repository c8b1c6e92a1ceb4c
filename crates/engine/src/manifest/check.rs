//! A tree is checked against the schema that its types generate, and typed.
//!
//! Serde alone would stop at the first mistake and could not point at it. So the tree is walked against the schema: every
//! mistake is found in one run, at its place. Serde types only what has passed, and has nothing left to say.

mod rules;

use std::fmt;

use super::diagnostic::{Diagnostic, Span};
use super::schema::App;
use super::source::{Node, NodeValue, Table};
use super::suggest;
use rules::{Parsed, RULES, Rule, RuleId, Scalar, TableRule};

use crate::desired::text::OPEN;

/// Checks a manifest as it is written. Inside an app a template may stand wherever a scalar is asked for.
pub fn check_manifest(root: &Node) -> Vec<Diagnostic> {
    check(RULES.manifest, root, Mode { templates: false, complete: true })
}

/// Checks an app as it is written: templates may stand wherever a scalar is asked for, and what a cartridge may bring
/// may be missing.
pub fn check_app(node: &Node) -> Vec<Diagnostic> {
    check(RULES.app, node, Mode { templates: true, complete: has_no_cartridge(node) })
}

fn has_no_cartridge(app: &Node) -> bool {
    !app.as_table().is_some_and(|app| app.contains_key("cartridge"))
}

/// Types an app whose templates are rendered. Reports everything that is wrong, at the places where it was written.
pub fn typed_app(node: &Node) -> Result<App, Vec<Diagnostic>> {
    let problems = check(RULES.app, node, Mode { templates: false, complete: true });
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(node.to_json()).map_err(|error| vec![Diagnostic::new(error.to_string(), node.span)])
}

fn check(rule: RuleId, node: &Node, mode: Mode) -> Vec<Diagnostic> {
    let mut walk = Walk { problems: Vec::new() };
    walk.check(rule, node, &Place { parent: None, step: Step::Root, span: node.span }, mode);
    walk.problems
}

/// More problems than these are not looked for, so that a hostile file does not cost time. A report shows fewer.
const ENOUGH: usize = 1000;

/// How strictly a part of the tree is checked.
#[derive(Clone, Copy)]
struct Mode {
    /// Templates may stand for scalars.
    templates: bool,
    /// Required keys must be there: not so where something else is merged in, a cartridge below or an override above.
    complete: bool,
}

/// Where the walk is, for messages: a list on the stack, so that nothing is allocated while all is well.
struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
    /// Where the key stands, or the item.
    span: Span,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// The file, or an app: paths in messages start here, since the place says which app it is.
    Root,
    Key(&'a str),
    Item(usize),
}

/// `health.port`, `command[2]`.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent = self.parent.filter(|parent| !matches!(parent.step, Step::Root));
        if let (Some(parent), false) = (parent, matches!(self.step, Step::Root)) {
            write!(f, "{parent}")?;
            if matches!(self.step, Step::Key(_)) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) => f.write_str(key),
            Step::Key(key) => write!(f, "{key:?}"),
            Step::Item(index) => write!(f, "[{}]", index + 1),
        }
    }
}

impl Place<'_> {
    /// The subject of a sentence.
    fn subject(&self) -> String {
        if matches!(self.step, Step::Root) { "this".into() } else { format!("`{self}`") }
    }

    /// ` in …`, or nothing at the top.
    fn within(&self) -> String {
        if matches!(self.step, Step::Root) { String::new() } else { format!(" in `{self}`") }
    }
}

struct Walk {
    problems: Vec<Diagnostic>,
}

impl Walk {
    fn check(&mut self, id: RuleId, node: &Node, place: &Place<'_>, mode: Mode) {
        if self.problems.len() >= ENOUGH {
            return;
        }
        if id == RULES.app && !matches!(place.step, Step::Root) {
            let root = Place { parent: None, step: Step::Root, span: place.span };
            return self.rule(id, node, &root, Mode { templates: true, complete: has_no_cartridge(node) });
        }
        let complete = mode.complete && id != RULES.overrides;
        self.rule(id, node, place, Mode { complete, ..mode });
    }

    fn rule(&mut self, id: RuleId, node: &Node, place: &Place<'_>, mode: Mode) {
        let rule = RULES.get(id);
        if mode.templates && node.is_template() && takes_scalars(rule) {
            return;
        }
        match (rule, &node.value) {
            (Rule::Any, _) | (Rule::Text, NodeValue::String(_) | NodeValue::Integer(_) | NodeValue::Float(_) | NodeValue::Bool(_)) => {}
            (Rule::Parsed(parsed), value) if parsed.allows(value) => self.parsed(parsed, node, place),
            (Rule::Words(words), NodeValue::String(text)) => self.word(words, text, node, place),
            (Rule::Scalar(scalar), _) if scalar.allows(&node.value) => self.scalar(scalar, node, place),
            (Rule::List(items), NodeValue::Array(nodes)) => {
                for (index, node) in nodes.iter().enumerate() {
                    self.check(*items, node, &Place { parent: Some(place), step: Step::Item(index), span: node.span }, mode);
                }
            }
            (Rule::Table(rule), NodeValue::Table(table)) => self.table(rule, table, place, mode),
            (Rule::OneKey(keys), NodeValue::Table(table)) => {
                let known: Vec<_> = keys.keys().map(|key| format!("`{key}`")).collect();
                match table.iter().next() {
                    Some((key, entry)) if table.len() == 1 && keys.contains_key(key) => {
                        let place = Place { parent: Some(place), step: Step::Key(key), span: entry.key_span };
                        self.check(keys[key], &entry.node, &place, mode);
                    }
                    _ => self.problem(place.span, format!("{} must have exactly one key: {}", place.subject(), known.join(" or "))),
                }
            }
            (Rule::AnyOf(choices), value) => match closest(choices, value) {
                Some(choice) => self.check(choice, node, place, mode),
                None => self.wrong_type(rule, node, place, mode),
            },
            _ => self.wrong_type(rule, node, place, mode),
        }
    }

    fn problem(&mut self, span: Span, message: String) {
        self.problems.push(Diagnostic::new(message, span));
    }

    fn wrong_type(&mut self, rule: &Rule, node: &Node, place: &Place<'_>, mode: Mode) {
        let message = format!("{} must be {}, found {}", place.subject(), expected(rule), found(&node.value));
        let hint = (mode.templates && node.is_template()).then(|| "a template can stand only where a single value is asked for".to_owned());
        self.problems.push(Diagnostic { help: hint, ..Diagnostic::new(message, node.span) });
    }

    fn parsed(&mut self, parsed: &Parsed, node: &Node, place: &Place<'_>) {
        let written;
        let text = match &node.value {
            NodeValue::String(text) => text.as_str(),
            _ => {
                written = node.to_json().to_string();
                &written
            }
        };
        if text.contains(OPEN) {
            return self.secret_misplaced(node, place);
        }
        if let Err(message) = (parsed.parse)(text) {
            self.problem(node.span, format!("{}: {message}", place.subject()));
        }
    }

    fn word(&mut self, words: &[String], text: &str, node: &Node, place: &Place<'_>) {
        if !words.iter().any(|word| word == text) {
            let message = format!("{} must be one of {}; found {text:?}", place.subject(), words.join(", "));
            let help = suggest::closest(text, words.iter().map(String::as_str)).map(|word| format!("did you mean {word:?}?"));
            self.problems.push(Diagnostic { help, ..Diagnostic::new(message, node.span) });
        }
    }

    fn scalar(&mut self, scalar: &Scalar, node: &Node, place: &Place<'_>) {
        let out_of_range = |number: f64| {
            let (min, max) = (scalar.min.map(|limit| limit as f64), scalar.max.map(|limit| limit as f64));
            min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max)
        };
        match &node.value {
            NodeValue::String(text) if text.contains(OPEN) => self.secret_misplaced(node, place),
            NodeValue::String(text) => {
                if let Some(pattern) = scalar.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
                    self.problem(node.span, format!("{} must be {}; found {text:?}", place.subject(), pattern.expected));
                }
            }
            NodeValue::Integer(number) if out_of_range(*number as f64) => self.range(scalar, number, node, place),
            NodeValue::Float(number) if out_of_range(*number) => self.range(scalar, number, node, place),
            _ => {}
        }
    }

    fn range(&mut self, scalar: &Scalar, number: &dyn fmt::Display, node: &Node, place: &Place<'_>) {
        let limits = match (scalar.min, scalar.max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, max) => format!("at most {}", max.unwrap_or(i64::MAX)),
        };
        self.problem(node.span, format!("{} must be {limits}, found {number}", place.subject()));
    }

    fn secret_misplaced(&mut self, node: &Node, place: &Place<'_>) {
        let message = format!("{} cannot hold a secret or another app's address", place.subject());
        let help = "they may stand in `command`, `env`, the content of files and parameters of cartridges";
        self.problems.push(Diagnostic::new(message, node.span).with_help(help));
    }

    fn table(&mut self, rule: &TableRule, table: &Table, place: &Place<'_>, mode: Mode) {
        for (key, entry) in table {
            let inner = Place { parent: Some(place), step: Step::Key(key), span: entry.key_span };
            match (rule.properties.get(key), rule.others) {
                (Some(rule), _) => self.check(*rule, &entry.node, &inner, mode),
                (None, Some(others)) => {
                    if let (true, Err(error)) = (rule.names, crate::desired::name::Name::new(key)) {
                        self.problem(entry.key_span, error.to_string());
                    }
                    self.check(others, &entry.node, &inner, mode);
                }
                (None, None) => {
                    let help = suggest::help(key, rule.properties.keys().map(String::as_str), "known keys");
                    let message = format!("unknown key {}{}", inner.quoted(), place.within());
                    self.problems.push(Diagnostic { help, ..Diagnostic::new(message, entry.key_span) });
                }
            }
        }
        for key in rule.required.iter().filter(|key| mode.complete && !table.contains_key(*key)) {
            self.problem(place.span, format!("`{key}` is missing{}", place.within()));
        }
    }
}

impl Place<'_> {
    fn quoted(&self) -> String {
        match self.step {
            Step::Key(key) => format!("`{}`", key.escape_debug()),
            Step::Root | Step::Item(_) => self.subject(),
        }
    }
}

impl Parsed {
    fn allows(&self, value: &NodeValue) -> bool {
        match value {
            NodeValue::String(_) => true,
            NodeValue::Integer(_) | NodeValue::Float(_) => self.number,
            NodeValue::Bool(_) | NodeValue::Array(_) | NodeValue::Table(_) => false,
        }
    }
}

impl Scalar {
    fn allows(&self, value: &NodeValue) -> bool {
        match value {
            NodeValue::String(_) => self.string,
            NodeValue::Integer(_) => self.integer,
            NodeValue::Float(_) => self.number,
            NodeValue::Bool(_) => self.boolean,
            NodeValue::Array(_) | NodeValue::Table(_) => false,
        }
    }
}

fn takes_scalars(rule: &Rule) -> bool {
    match rule {
        Rule::Any | Rule::Text | Rule::Parsed(_) | Rule::Words(_) | Rule::Scalar(_) => true,
        Rule::List(_) | Rule::Table(_) | Rule::OneKey(_) => false,
        Rule::AnyOf(choices) => choices.iter().any(|choice| takes_scalars(RULES.get(*choice))),
    }
}

/// The alternative that a value was probably meant to be: of its type, and, of several tables, the one that knows the most
/// of its keys. None where no alternative has its type.
fn closest(choices: &[RuleId], value: &NodeValue) -> Option<RuleId> {
    let fits = |id: &&RuleId| match (RULES.get(**id), value) {
        (Rule::Any, _) => true,
        (Rule::Text, value) => !matches!(value, NodeValue::Array(_) | NodeValue::Table(_)),
        (Rule::Parsed(parsed), value) => parsed.allows(value),
        (Rule::Words(_), value) => matches!(value, NodeValue::String(_)),
        (Rule::Scalar(scalar), value) => scalar.allows(value),
        (Rule::List(_), value) => matches!(value, NodeValue::Array(_)),
        (Rule::Table(_) | Rule::OneKey(_), value) => matches!(value, NodeValue::Table(_)),
        (Rule::AnyOf(choices), value) => closest(choices, value).is_some(),
    };
    let unknown = |id: &&RuleId| match (RULES.get(**id), value) {
        (Rule::Table(rule), NodeValue::Table(table)) if rule.others.is_none() => {
            table.keys().filter(|key| !rule.properties.contains_key(*key)).count()
        }
        _ => 0,
    };
    choices.iter().filter(fits).min_by_key(unknown).copied()
}

/// What a rule asks for, in words: `text, a number or a table`.
fn expected(rule: &Rule) -> String {
    let mut types: Vec<&str> = Vec::new();
    expected_types(rule, &mut types);
    if types.contains(&"a number") {
        types.retain(|words| *words != "a whole number");
    }
    match types.as_slice() {
        [] => "something else".to_owned(),
        ["a boolean"] => "true or false".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn expected_types(rule: &Rule, expected: &mut Vec<&'static str>) {
    let mut add = |words: &'static str| {
        if !expected.contains(&words) {
            expected.push(words);
        }
    };
    match rule {
        Rule::Any => add("anything"),
        Rule::Text | Rule::Words(_) => add("text"),
        Rule::Parsed(parsed) => add(parsed.expected),
        Rule::Scalar(scalar) => {
            let number = if scalar.number { "a number" } else { "a whole number" };
            let words = [(scalar.string, "text"), (scalar.integer, number), (scalar.boolean, "a boolean")];
            words.into_iter().filter(|(allowed, _)| *allowed).for_each(|(_, words)| add(words));
        }
        Rule::List(_) => add("a list"),
        Rule::Table(_) | Rule::OneKey(_) => add("a table"),
        Rule::AnyOf(choices) => choices.iter().for_each(|choice| expected_types(RULES.get(*choice), expected)),
    }
}

fn found(value: &NodeValue) -> String {
    match value {
        NodeValue::String(_) => "text".into(),
        NodeValue::Integer(number) => format!("the number {number}"),
        NodeValue::Float(number) => format!("the number {number}"),
        NodeValue::Bool(value) => value.to_string(),
        NodeValue::Array(_) => "a list".into(),
        NodeValue::Table(_) => "a table".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::manifest::diagnostic::FileId;
    use crate::manifest::schema::NOT_BUILT_YET;
    use crate::manifest::source;

    fn app(text: &str) -> Node {
        source::parse(text, FileId(0)).unwrap()
    }

    fn messages(problems: &[Diagnostic]) -> Vec<String> {
        problems.iter().map(|p| format!("{}{}", p.message, p.help.as_ref().map_or(String::new(), |h| format!(" ({h})")))).collect()
    }

    #[test]
    fn nothing_to_say() {
        let node = app("image = \"nginx\"\nports.http = 8080\n");
        assert_eq!(check_app(&node), []);
        let typed = typed_app(&node).unwrap();
        assert_eq!(typed.ports["http"].port, 8080);
    }

    #[test]
    fn templates_stand_for_scalars_until_they_are_rendered() {
        let text =
            "replicas = \"{{ vars.n }}\"\nports.http = \"{{ vars.port }}\"\nhealth = { http = \"{{ x }}\", interval = \"{{ y }}\" }\n";
        let node = app(text);
        assert_eq!(check_app(&node), []);
        assert_eq!(messages(&typed_app(&node).unwrap_err())[0], "`replicas` must be a whole number, found text");
        let list = app("ports = \"{{ vars.ports }}\"");
        let expected = "`ports` must be a table, found text (a template can stand only where a single value is asked for)";
        assert_eq!(messages(&check_app(&list)), [expected]);
    }

    #[test]
    fn all_mistakes_are_found_at_once() {
        let node = app("replcas = 3\nreplicas = -1\ncommand = [1, { a = 1 }]\nhealth = { htp = \"/\", port = \"http\" }\n");
        let expected = [
            "unknown key `replcas` (did you mean `replicas`?)",
            "`replicas` must be from 0 to 10000, found -1",
            "`command[2]` must be text, found a table",
            "unknown key `htp` in `health` (did you mean `http`?)",
        ];
        assert_eq!(messages(&check_app(&node)), expected);
    }

    #[test]
    fn a_secret_stands_only_where_it_is_kept_apart() {
        let secret = "\u{FDD0}{\"secret\":{\"name\":\"db\",\"encoding\":\"plain\"}}\u{FDD1}";
        let mut node = app("image = \"x\"\nenv.DB = \"x\"\n");
        let NodeValue::Table(table) = &mut node.value else { panic!() };
        table["image"].node.value = NodeValue::String(secret.into());
        let problems = typed_app(&node).unwrap_err();
        assert_eq!(problems[0].message, "`image` cannot hold a secret or another app's address");
    }

    #[test]
    fn quantities_that_do_not_fit_are_refused_where_they_stand() {
        let node = app("image = \"x\"\nrollout.timeout = \"99999999999999999999s\"\n");
        let problems = typed_app(&node).unwrap_err();
        assert!(problems[0].message.starts_with("`rollout.timeout`: \"99999999999999999999s\" is not a duration"), "{problems:?}");
        assert!(problems[0].span.unwrap().start > 20);
    }

    /// Marks each key of each rule that a tree uses.
    fn cover(id: RuleId, node: &Node, used: &mut HashSet<(RuleId, String)>) {
        match (RULES.get(id), &node.value) {
            (Rule::Table(rule), NodeValue::Table(table)) => {
                for (key, entry) in table.iter() {
                    let known = rule.properties.get(key);
                    used.extend(known.map(|_| (id, key.clone())));
                    known.copied().or(rule.others).into_iter().for_each(|inner| cover(inner, &entry.node, used));
                }
            }
            (Rule::OneKey(keys), NodeValue::Table(table)) => {
                used.extend(table.keys().filter(|key| keys.contains_key(*key)).map(|key| (id, key.clone())));
            }
            (Rule::List(items), NodeValue::Array(nodes)) => nodes.iter().for_each(|node| cover(*items, node, used)),
            (Rule::AnyOf(choices), value) => closest(choices, value).into_iter().for_each(|choice| cover(choice, node, used)),
            _ => {}
        }
    }

    /// All keys of all rules, but for those below an override (they are an app's) and below what is not built yet.
    fn all_keys(id: RuleId, seen: &mut HashSet<RuleId>, keys: &mut HashSet<(RuleId, String)>) {
        if !seen.insert(id) {
            return;
        }
        match RULES.get(id) {
            Rule::Table(rule) => {
                for (key, inner) in rule.properties.iter().filter(|(key, _)| id != RULES.overrides || *key == "unset") {
                    if !NOT_BUILT_YET.contains(&key.as_str()) {
                        keys.insert((id, key.clone()));
                        all_keys(*inner, seen, keys);
                    }
                }
                rule.others.into_iter().for_each(|others| all_keys(others, seen, keys));
            }
            Rule::OneKey(inner) => keys.extend(inner.keys().map(|key| (id, key.clone()))),
            Rule::List(items) => all_keys(*items, seen, keys),
            Rule::AnyOf(choices) => choices.iter().for_each(|choice| all_keys(*choice, seen, keys)),
            Rule::Any | Rule::Text | Rule::Parsed(_) | Rule::Words(_) | Rule::Scalar(_) => {}
        }
    }

    #[test]
    fn the_example_shows_every_key() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stratos.toml.example");
        if let Err(report) = crate::manifest::Manifest::load(&path) {
            panic!("{report}");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let (mut used, mut keys) = (HashSet::new(), HashSet::new());
        cover(RULES.manifest, &app(&text), &mut used);
        all_keys(RULES.manifest, &mut HashSet::new(), &mut keys);
        assert!(keys.len() > 60);
        let missing: Vec<_> = keys.difference(&used).map(|(_, key)| key).collect();
        assert!(missing.is_empty(), "{missing:?} are not shown");
        for key in NOT_BUILT_YET {
            assert!(text.lines().any(|line| line.starts_with('#') && line.contains(key)), "{key} is not shown, as a comment");
        }
    }
}
