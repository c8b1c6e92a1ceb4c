//! What the schema cannot say: whether names refer to something, and whether values go together.
//!
//! The checks read the tree and not the types, so that the same ones run before rendering (where a value that is a
//! template is passed over) and after it, and so that each points at the place that it is about.

mod app;
mod graph;
mod sections;

use super::Manifest;
use super::diagnostic::{Diagnostic, Report, Span};
use super::schema::App;
use super::source::{Node, NodeValue};
use super::suggest;
use crate::desired::name::Name;

/// Checks a manifest as it is written, with the sections of all its files in one tree.
pub(super) fn validate_tree(root: &Node) -> Vec<Diagnostic> {
    let known = Known::Tree(root);
    let mut problems = Vec::new();
    sections::validate(root, &known, &mut problems);
    for (name, entry) in root.get("apps").into_iter().flat_map(Node::entries) {
        app::validate_written(name, entry, &known, &mut problems);
    }
    graph::validate_written(root, &mut problems);
    problems
}

/// Checks an app after rendering: with its cartridge and its override merged, and without templates.
///
/// `node` is what `app` was typed from.
pub fn validate_app(name: &Name, _app: &App, node: &Node, manifest: &Manifest) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    app::validate_rendered(name, node, &Known::Typed(manifest), &mut problems);
    problems
}

/// Checks all apps of an environment together after rendering: dependencies lead to apps of the same environment and not in
/// a circle, and no two apps publish the same port.
pub fn validate_environment<'a>(environment: &str, apps: impl IntoIterator<Item = (&'a Name, &'a Node)>) -> Vec<Diagnostic> {
    graph::validate_rendered(environment, apps.into_iter().map(|(name, node)| (name.as_str(), node)))
}

/// Leaves of an app's tree only what [`validate_environment`] looks at.
pub fn leave_what_is_between(app: &mut Node) {
    if let NodeValue::Table(table) = &mut app.value {
        table.retain(|key, _| graph::KEYS.contains(&key.as_str()));
        table.shrink_to_fit();
    }
}

/// Whether text is an identifier: what a variable of the environment or of a template can be called.
fn is_identifier(text: &str) -> bool {
    let start = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    start && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The parts of a dotted key as TOML writes it: `files."/etc/app.conf"`. None where it is not one.
fn dotted(key: &str) -> Option<Vec<String>> {
    Some(toml_edit::Key::parse(key).ok()?.iter().map(|key| key.get().to_owned()).collect())
}

const IDENTIFIER: &str = "letters, digits and '_', not starting with a digit";

/// The names that a manifest gives, before and after it is typed.
enum Known<'a> {
    Tree(&'a Node),
    Typed(&'a Manifest),
}

/// Where names are given.
#[derive(Clone, Copy)]
enum Section {
    Environments,
    Apps,
    Secrets,
    Variables,
}

impl Section {
    fn key(self) -> &'static str {
        match self {
            Self::Environments => "environments",
            Self::Apps => "apps",
            Self::Secrets => "secrets",
            Self::Variables => "variables",
        }
    }

    fn singular(self) -> &'static str {
        match self {
            Self::Environments => "environment",
            Self::Apps => "app",
            Self::Secrets => "secret",
            Self::Variables => "variable",
        }
    }
}

impl<'a> Known<'a> {
    fn has(&self, section: Section, name: &str) -> bool {
        match self {
            Self::Tree(root) => root.get(section.key()).is_some_and(|table| table.get(name).is_some()),
            Self::Typed(manifest) => match section {
                Section::Environments => manifest.environments.contains_key(name),
                Section::Apps => manifest.apps.contains_key(name),
                Section::Secrets => manifest.secrets.contains_key(name),
                Section::Variables => manifest.variables.contains_key(name),
            },
        }
    }

    fn names(&self, section: Section) -> Vec<&'a str> {
        match self {
            Self::Tree(root) => root.get(section.key()).into_iter().flat_map(Node::entries).map(|(name, _)| name).collect(),
            Self::Typed(manifest) => match section {
                Section::Environments => manifest.environments.keys().map(Name::as_str).collect(),
                Section::Apps => manifest.apps.keys().map(Name::as_str).collect(),
                Section::Secrets => manifest.secrets.keys().map(String::as_str).collect(),
                Section::Variables => manifest.variables.keys().map(String::as_str).collect(),
            },
        }
    }

    /// Reports a name that is not given.
    fn require(&self, section: Section, name: &str, span: Span, problems: &mut Vec<Diagnostic>) {
        if self.has(section, name) {
            return;
        }
        let problem = Diagnostic::new(format!("there is no {} `{name}`", section.singular()), span);
        // A suggestion looks at all names. Beyond what a report shows, that would only cost time, the square of the apps' number.
        let help = (problems.len() < Report::MOST).then(|| {
            let all = format!("the manifest has the {}", section.key());
            suggest::help(name, self.names(section), &all).unwrap_or_else(|| format!("it would stand under `[{}]`", section.key()))
        });
        problems.push(Diagnostic { help, ..problem });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::diagnostic::FileId;
    use crate::manifest::{check, source};

    const MANIFEST: &str = "
        [project]
        name = \"shop\"
        [secrets]
        key = { file = \"key\" }
        [environments.dev]
        platform = \"local\"
        [apps.web]
        image = \"web\"
        [apps.cache]
        image = \"redis\"
    ";

    /// What is wrong with an app that a cartridge and templates have been rendered into.
    fn rendered(text: &str) -> Vec<String> {
        let node = source::parse(text, FileId(0)).unwrap();
        let app = check::typed_app(&node).unwrap();
        let problems = validate_app(&Name::new("web").unwrap(), &app, &node, &Manifest::parse(MANIFEST).unwrap());
        problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn a_rendered_app_that_is_right() {
        let text = "image = \"x\"\nports.http = 80\nhealth.http = \"/\"\nbind.cache = {}\nfiles.\"/key\" = { secret = \"key\" }\n";
        assert_eq!(rendered(text), [""; 0]);
    }

    #[test]
    fn after_rendering_braces_are_text_and_nothing_is_left_to_a_cartridge() {
        assert_eq!(rendered("image = \"x\"\ndepends_on = [\"cache\"]\nenv.A = \"{{ not a template }}\"\n"), [""; 0]);
        let text = "cartridge = \"x\"\nhealth = { interval = \"5s\" }\nfiles.\"/a\" = {}\nfiles.\"/b\" = { secret = \"{{ x }}\" }\n";
        let expected = [
            "the file \"/a\" has no content: give `template`, `content` or `secret`",
            "there is no secret `{{ x }}`",
            "a probe needs one of `http`, `tcp` and `command`",
        ];
        assert_eq!(rendered(text), expected);
    }

    #[test]
    fn apps_of_an_environment_are_checked_together() {
        let apps = [
            ("web", "image = \"x\"\nbind.cache = {}\nports.http = { port = 1, publish = 80 }\n"),
            ("cache", "image = \"x\"\ndepends_on = [\"web\"]\nports.http = { port = 2, publish = 80 }\n"),
            ("api", "image = \"x\"\ndepends_on = [\"search\"]\n"),
        ];
        let mut apps: Vec<(Name, Node)> =
            apps.iter().map(|(name, text)| (Name::new(name).unwrap(), source::parse(text, FileId(0)).unwrap())).collect();
        let messages = |apps: &[(Name, Node)]| -> Vec<String> {
            let problems = validate_environment("dev", apps.iter().map(|(name, node)| (name, node)));
            problems.into_iter().map(|problem| problem.message).collect()
        };
        let expected = [
            "the app `api` goes to environment `dev`, and `search`, which it needs, does not",
            "apps wait for each other: web -> cache -> web",
            "port 80 is published by `web` and by `cache` in environment `dev`",
        ];
        assert_eq!(messages(&apps), expected);
        apps.iter_mut().for_each(|(_, app)| leave_what_is_between(app));
        assert!(apps.iter().all(|(_, app)| app.get("image").is_none()));
        assert_eq!(messages(&apps), expected);
    }

    #[test]
    fn an_app_goes_where_it_says_or_everywhere_but_where_asked_for() {
        let text = "
            [project]
            name = \"shop\"
            [environments]
            dev = { platform = \"local\" }
            preview = { platform = \"local\", opt_in = true }
            [apps]
            everywhere = { image = \"x\" }
            named = { image = \"x\", environments = [\"preview\"] }
            nowhere = { image = \"x\", environments = [] }
        ";
        let manifest = Manifest::parse(text).unwrap();
        let of = |environment| manifest.apps_of(environment).map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(of("dev"), ["everywhere"]);
        assert_eq!(of("preview"), ["named"]);
    }
}
