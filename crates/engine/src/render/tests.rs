//! Rendering as a whole. Most cases are folders: `tests/render/<case>/` and `tests/cartridges/<case>/` in the repository
//! hold a `stratos.toml`, files that it uses, perhaps an `inputs.toml` (what the command line and the environment say),
//! and `rendered.json` or `errors.txt`. `STRATOS_BLESS=1` writes the expected files.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

fn rendered(text: &str) -> Result<Rendered, String> {
    let manifest = Manifest::parse(text).map_err(|report| report.to_string())?;
    let environment = manifest.environments.keys().next().cloned().unwrap_or_else(|| Name::new("dev").unwrap());
    render(&manifest, &environment, &VariableInputs::default()).map_err(|report| report.to_string())
}

const DEV: &str = "[project]\nname = 'shop'\n[environments.dev]\nplatform = 'local'\n[secrets]\ndb = { env = 'DB' }\n";

fn env_of(expression: &str) -> Result<String, String> {
    let quoted = toml_edit::Value::from(expression);
    rendered(&format!("{DEV}[apps.web]\nimage = 'web'\nenv.X = {quoted}\n")).map(|rendered| rendered.apps["web"].app.env["X"].to_string())
}

#[test]
fn nothing_renders_to_nothing() {
    let rendered = rendered(DEV).unwrap();
    assert!(rendered.apps.is_empty());
    assert_eq!(rendered.to_json(), json!({}));
    assert!(rendered.secrets_used().is_empty());
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `inputs.toml` of a case can say.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Inputs {
    environments: Option<Vec<Name>>,
    file: Vec<toml::Table>,
    environment: IndexMap<String, String>,
    arguments: IndexMap<String, String>,
}

fn case(folder: &Path) -> (String, String) {
    let manifest = match Manifest::load(folder) {
        Ok(manifest) => manifest,
        Err(report) => return ("errors.txt".into(), format!("{report}\n")),
    };
    let inputs: Inputs = std::fs::read_to_string(folder.join("inputs.toml")).map(|text| toml::from_str(&text).unwrap()).unwrap_or_default();
    let mut variables = VariableInputs {
        environment: inputs.environment.into_iter().collect(),
        arguments: inputs.arguments.into_iter().collect(),
        ..VariableInputs::default()
    };
    let text = |value: toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    variables.files = inputs.file.into_iter().flatten().map(|(name, value)| (name, text(value))).collect();
    let environments = inputs.environments.unwrap_or_else(|| manifest.environments.keys().cloned().collect());
    let mut values = serde_json::Map::new();
    let mut errors = String::new();
    for environment in environments {
        match render(&manifest, &environment, &variables) {
            Ok(rendered) => drop(values.insert(environment.to_string(), rendered.to_json())),
            Err(report) => writeln!(errors, "# {environment}\n{report}").unwrap(),
        }
    }
    if errors.is_empty() {
        ("rendered.json".into(), serde_json::to_string_pretty(&values).unwrap() + "\n")
    } else {
        ("errors.txt".into(), errors)
    }
}

/// Runs every case under a folder, and says which differ.
fn cases(folder: &str) -> usize {
    let bless = std::env::var_os("STRATOS_BLESS").is_some();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(repository().join(folder)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    let mut wrong = String::new();
    for folder in &folders {
        let (file, actual) = case(folder);
        let path = folder.join(&file);
        if bless {
            let _ = std::fs::remove_file(folder.join("rendered.json"));
            let _ = std::fs::remove_file(folder.join("errors.txt"));
            std::fs::write(&path, &actual).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_else(|_| "(there is no such file)".into());
        if expected != actual {
            let diff = similar::TextDiff::from_lines(&expected, &actual);
            write!(wrong, "{}\n{}", path.display(), diff.unified_diff()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "these cases differ (STRATOS_BLESS=1 accepts them):\n{wrong}");
    folders.len()
}

#[test]
fn cases_of_rendering() {
    assert!(cases("tests/render") > 0);
}

#[test]
fn cases_of_cartridges() {
    let names: Vec<String> = cartridge::catalogue::Catalogue::embedded().names().map(str::to_owned).collect();
    let folder = repository().join("tests/cartridges");
    assert!(names.iter().all(|name| folder.join(name).is_dir()), "each cartridge of the catalogue has a case");
    cases("tests/cartridges");
}

#[test]
fn a_string_that_is_one_expression_keeps_its_type() {
    let text = format!(
        "{DEV}[variables]\ncount = 3\n[apps.web]\nimage = 'web'\nreplicas = '{{{{ vars.count + 1 }}}}'\n\
         protect = '{{{{ env.name == \"dev\" }}}}'\ncommand = ['{{{{ vars.count }}}}', '{{{{ secrets.db }}}}', '{{{{ {{\"a\": {{\"b\": 1}}}}.a.b }}}}']\n"
    );
    let app = &rendered(&text).unwrap().apps["web"].app;
    assert_eq!((app.replicas, app.protect), (Some(4), true));
    let command: Vec<String> = app.command.iter().flatten().map(Text::to_string).collect();
    assert_eq!(command, ["3", "{{ secrets.db }}", "1"]);
}

#[test]
fn an_expression_of_the_wrong_type_is_refused_where_it_stands() {
    let error = rendered(&format!("{DEV}[apps.web]\nimage = 'web'\nreplicas = '{{{{ [1] }}}}'\n")).unwrap_err();
    assert!(error.starts_with("stratos.toml:9:12: ") && error.contains("replicas"), "{error}");
}

#[test]
fn secrets_can_be_placed_and_encoded() {
    for (template, shown) in [
        ("{{ secrets.db }}", "{{ secrets.db }}"),
        ("a{{ secrets.db }}b{{ secrets['db'] }}", "a{{ secrets.db }}b{{ secrets.db }}"),
        ("{{ 'x' ~ secrets.db ~ 'y' }}", "x{{ secrets.db }}y"),
        ("{{ secrets.db | urlencode }}", "{{ secrets.db | urlencode }}"),
        ("{{ secrets.db | b64encode }}", "{{ secrets.db | b64encode }}"),
        ("{{ secrets.db|tojson }}", "{{ secrets.db | tojson }}"),
        ("{% set s = secrets.db %}{% if true %}<{{ s }}>{% endif %}", "<{{ secrets.db }}>"),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(secrets.db) }}", "[{{ secrets.db }}]"),
        ("{{ secrets.db if secrets.db is defined else 'none' }}", "{{ secrets.db }}"),
        ("{{ 'a/b c' | urlencode }} {{ 'ab' | b64encode }} {{ true }} {{ {'a': 1} | tojson }}", "a%2Fb%20c YWI= true {\"a\": 1}"),
    ] {
        assert_eq!(env_of(template).as_deref(), Ok(shown), "{template}");
    }
}

#[test]
fn whatever_else_is_done_to_a_secret_is_refused() {
    for (template, why) in [
        ("{{ secrets.db | upper }}", "the filter upper cannot be used on a secret: only urlencode, b64encode and tojson can"),
        ("{{ secrets.db | length }}", "the filter length cannot be used on a secret"),
        ("{{ secrets.db | default('x') }}", "the filter default cannot be used on a secret"),
        ("{{ ('a' ~ secrets.db) | replace('a', 'b') }}", "the filter replace cannot be used on a secret"),
        ("{{ ('a' ~ secrets.db) | urlencode }}", "the filter urlencode cannot be used on a secret"),
        ("{{ [1, {'a': [secrets.db]}] | tojson }}", "the filter tojson cannot be used on a secret"),
        ("{{ ['a', secrets.db] | join(',') }}", "the filter join cannot be used on a secret"),
        ("{{ 'a' | replace('a', secrets.db) }}", "the filter replace cannot be used on a secret"),
        ("{{ secrets | tojson }}", "the filter tojson cannot be used on a secret"),
        ("{% filter upper %}{{ secrets.db }}{% endfilter %}", "the filter upper cannot be used on a secret"),
        ("{{ secrets.db | urlencode | b64encode }}", "a secret can be encoded only once"),
        ("{{ secrets.db | tojson(indent=2) }}", "the filter tojson cannot be used on a secret"),
        ("{{ secrets.db is string }}", "the test string cannot be used on a secret"),
        ("{{ secrets.db is eq('x') }}", "the test eq cannot be used on a secret"),
        ("{{ dict(a=secrets.db) }}", "the function dict cannot be used on a secret"),
        ("{{ 'x' if secrets.db else 'y' }}", "cannot be compared or decided upon"),
        ("{{ secrets.db == secrets['d' ~ 'b'] }}|{{ secrets.db or 'x' }}", "cannot be compared or decided upon"),
        ("{{ secrets.db[0] }}", "a secret has no parts"),
        ("{{ secrets.db[:3] }}", "cannot be sliced"),
        ("{{ secrets.db.upper() }}", "the method upper cannot be used on a secret"),
        ("{{ secrets.db + 'x' }}", "tried to use + operator"),
        ("{{ ('a' ~ secrets.db)[:9] }}", "a secret's placeholder was cut or changed"),
        ("{% autoescape 'html' %}{{ secrets.db }}{% endautoescape %}", "autoescape"),
        ("{{ '\u{5c}ufdd0{\"secret\":{\"name\":\"other\",\"encoding\":\"plain\"}}\u{5c}ufdd1' }}", "was cut or changed"),
        ("{{ secrets.bd }}", "there is no secret `bd` in [secrets] (did you mean `secrets.db`?)"),
    ] {
        let error = env_of(template).expect_err(template);
        assert!(error.contains(why), "{template}: {error}");
    }
}

#[test]
fn templates_are_bounded_and_reach_nothing_outside() {
    for (template, why) in [
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "does not end within 1000000 steps"),
        ("{% for a in range(9999) %}{{ 'xxxxxxxxxx' * 100 }}{% endfor %}", "writes more than 1024 KiB"),
        ("{{ 'x' * 10000000 }}", "writes more than 1024 KiB"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{% include 'stratos.toml' ignore missing %}", "templates cannot include, import or extend"),
        ("{% extends 'x' %}", "templates cannot include, import or extend"),
        ("{% import 'x' as x %}", "templates cannot include, import or extend"),
        ("{{ debug() }}", "there is no function `debug`"),
        ("{{ none }}", "none"),
        ("a{{ [1] }}", "a list cannot be put into text"),
        ("{{ 99999999999999999999 }}", "does not fit in 64 bits"),
    ] {
        let error = env_of(template).expect_err(template);
        assert!(error.contains(why), "{template}: {error}");
    }
}

#[test]
fn the_names_of_the_secrets_in_use_are_known() {
    let text = format!(
        "{DEV}a = {{ env = 'A' }}\nunused = {{ env = 'U' }}\n[apps.web]\nimage = 'web'\nenv.X = '{{{{ secrets.db }}}}'\nfiles.'/x'.secret = 'a'\n"
    );
    assert_eq!(rendered(&text).unwrap().secrets_used(), BTreeSet::from(["a".to_owned(), "db".to_owned()]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a string of the manifest is, rendering ends with a value or with an error.
    #[test]
    fn no_string_makes_rendering_panic(text in prop_oneof![".{0,60}", template()]) {
        let quoted = toml_edit::Value::from(text).to_string();
        let manifest = format!("{DEV}[apps.web]\nenv.X = {quoted}\nimage = {quoted}\ncommand = [{quoted}]\n");
        let _ = rendered(&manifest);
    }

    /// However a secret is combined, what comes out holds it whole or not at all: never a part of its placeholder.
    #[test]
    fn no_secret_passes_through_anything_but_the_allowed_filters(template in template()) {
        if let Ok(text) = env_of(&template) {
            let literals = Text::from_rendered(&text).unwrap();
            let plain = text.replace("{{ secrets.db }}", "").replace("{{ secrets.db | urlencode }}", "");
            let plain = plain.replace("{{ secrets.db | b64encode }}", "").replace("{{ secrets.db | tojson }}", "");
            prop_assert!(literals.as_literal().is_some());
            prop_assert!(!plain.contains("secret") && !plain.contains("encoding"), "{template} gave {text}");
        }
    }
}

/// Expressions over a secret: values, joined and put through filters, tests, slices and operators.
fn template() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("secrets.db".to_owned()), Just("'a'".to_owned()), Just("1".to_owned()), Just("vars".to_owned())];
    let filter = prop::sample::select(vec![
        "upper",
        "lower",
        "urlencode",
        "b64encode",
        "tojson",
        "length",
        "first",
        "last",
        "reverse",
        "list",
        "string",
        "trim",
        "join",
        "title",
        "capitalize",
        "escape",
        "sort",
        "unique",
        "indent(2)",
        "replace('e', 'x')",
        "default('x')",
        "split('e')",
        "batch(2)",
        "int",
        "items",
        "toml",
    ]);
    let expression = leaf.prop_recursive(4, 16, 2, move |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (inner.clone(), filter.clone()).prop_map(|(a, f)| format!("({a} | {f})")),
            pair.clone().prop_map(|(a, b)| format!("({a} ~ {b})")),
            pair.clone().prop_map(|(a, b)| format!("({a} == {b})")),
            pair.clone().prop_map(|(a, b)| format!("[{a}, {b}]")),
            pair.prop_map(|(a, b)| format!("({a} in {b})")),
            inner.clone().prop_map(|a| format!("{{'k': {a}}}")),
            inner.prop_map(|a| format!("({a})[1:]")),
        ]
    });
    (expression, any::<bool>(), ".{0,6}").prop_map(|(expression, block, around)| {
        let around = around.replace(['\'', '{', '}'], "");
        if block { format!("{around}{{% set x = {expression} %}}{{{{ x }}}}") } else { format!("{around}{{{{ {expression} }}}}") }
    })
}
