//! Golden plans: each folder of `tests/plans` is a case, and adding a test is adding a folder.
//!
//! - `stratos.toml`: what should be.
//! - `world.json`: what is there, as the in-memory platform keeps it (its format is described in `platform/memory/world.rs`);
//!   or `before.toml`: a manifest that was applied before; or both, in this order.
//! - `request`: what the user asked for, as options of `stratos plan`.
//! - `secrets.toml`: the values that are available, and those that were when `before.toml` was applied.
//! - `plan.txt`: the plan that the user reads, and `plan.md` where it is there. `STRATOS_BLESS=1` writes them anew.
//!
//! A plan that can be carried out is, and the plan after it has no changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use stratos::cli::{plan_markdown, plan_text};
use stratos_engine::apply::{ApplyOptions, Quiet, RunVerdict};
use stratos_engine::deploy::{self, Policy, Request};
use stratos_engine::desired::name::Name;
use stratos_engine::manifest::Manifest;
use stratos_engine::plan::Plan;
use stratos_engine::platform::memory::{MemoryConnector, World};
use stratos_engine::render::VariableInputs;
use stratos_engine::render::secret::{SecretError, Secrets};

/// Every file that means something in a case.
const KNOWN: &[&str] = &["stratos.toml", "world.json", "before.toml", "request", "secrets.toml", "plan.txt", "plan.md"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

/// The cases, sorted by name.
fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// Values of secrets, as `secrets.toml` has them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Values {
    before: BTreeMap<String, String>,
    now: BTreeMap<String, String>,
}

impl Values {
    fn of(case: &Path) -> Self {
        read(case, "secrets.toml").map(|text| toml::from_str(&text).unwrap()).unwrap_or_default()
    }
}

fn read(case: &Path, file: &str) -> Option<String> {
    let path = case.join(file);
    path.exists().then(|| fs::read_to_string(path).unwrap())
}

/// What was asked for on the command line.
#[derive(Default)]
struct Asked {
    environments: Vec<Name>,
    apps: Vec<Name>,
    policy: Policy,
}

impl Asked {
    fn of(case: &Path) -> Self {
        let mut asked = Self::default();
        for word in read(case, "request").unwrap_or_default().split_whitespace() {
            let policy = &mut asked.policy;
            match word.split_once('=') {
                Some(("--env", name)) => asked.environments.push(Name::new(name).unwrap()),
                Some(("--app", name)) => asked.apps.push(Name::new(name).unwrap()),
                None if word == "--adopt" => policy.adopt = true,
                None if word == "--allow-delete" => policy.allow_delete = true,
                None if word == "--delete-data" => policy.delete_data = true,
                None if word == "--destroy" => policy.destroy = true,
                _ => panic!("{}: a request has no {word}", case.display()),
            }
        }
        asked
    }
}

/// The secrets of a manifest, with the values that are available.
fn secrets(manifest: &Manifest, values: &BTreeMap<String, String>) -> Secrets {
    let undeclared = values.keys().find(|name| !manifest.secrets.contains_key(*name));
    assert_eq!(undeclared, None, "secrets.toml has a value for something that is no secret of the manifest");
    Secrets::new(manifest.secrets.keys().map(|name| {
        let missing = || SecretError { name: name.clone(), why: "its value is not here".into() };
        (name.clone(), values.get(name).map(|value| value.clone().into()).ok_or_else(missing))
    }))
}

async fn plan(manifest: &Manifest, secrets: &Secrets, asked: &Asked, world: &World) -> Plan {
    let variables = VariableInputs::default();
    let request = Request {
        manifest,
        variables: &variables,
        secrets,
        history: None,
        registry: None,
        refresh_images: false,
        environments: asked.environments.iter().cloned().collect(),
        apps: asked.apps.iter().cloned().collect(),
        policy: asked.policy,
    };
    deploy::plan(&request, &MemoryConnector::new(world.clone())).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn apply(plan: &Plan, secrets: &Secrets, world: &World) -> Option<RunVerdict> {
    let connector = MemoryConnector::new(world.clone());
    let applied = deploy::apply(plan, secrets, &connector, &ApplyOptions::default(), &Quiet).await;
    applied.ok().map(|applied| applied.verdict())
}

/// The world of a case, before anything is planned.
async fn world(case: &Path, values: &Values) -> World {
    let world = match read(case, "world.json") {
        Some(json) => World::from_json(&json).unwrap_or_else(|error| panic!("{}: {error}", case.display())),
        None => World::new(),
    };
    let before = case.join("before.toml");
    if before.exists() {
        let manifest = Manifest::load(&before).unwrap_or_else(|report| panic!("{report}"));
        let secrets = secrets(&manifest, &values.before);
        let plan = plan(&manifest, &secrets, &Asked::default(), &world).await;
        assert_eq!(apply(&plan, &secrets, &world).await, Some(RunVerdict::Success), "{}: before.toml", case.display());
    }
    world
}

/// Compares with a file, or writes it where that was asked for.
fn compare(path: &Path, actual: &str, differing: &mut Vec<String>) {
    if std::env::var_os("STRATOS_BLESS").is_some() {
        fs::write(path, actual).unwrap();
    } else if fs::read_to_string(path).unwrap_or_default() != actual {
        differing.push(format!("{}:\n{actual}", path.display()));
    }
}

/// Time stands still, and moves only when everything waits for it.
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(test);
}

#[test]
fn each_plan_is_as_it_was_read_and_found_good() {
    run(async {
        let mut differing = Vec::new();
        for case in cases() {
            let (values, asked) = (Values::of(&case), Asked::of(&case));
            let manifest = Manifest::load(&case.join("stratos.toml")).unwrap_or_else(|report| panic!("{report}"));
            let world = world(&case, &values).await;
            let plan = plan(&manifest, &secrets(&manifest, &values.now), &asked, &world).await;
            let text = anstream::adapter::strip_str(&plan_text::render(&plan, None)).to_string();
            compare(&case.join("plan.txt"), &text, &mut differing);
            if case.join("plan.md").exists() {
                compare(&case.join("plan.md"), &plan_markdown::render(&plan, None), &mut differing);
            }
        }
        assert!(differing.is_empty(), "these plans differ (STRATOS_BLESS=1 writes them):\n{}", differing.join("\n"));
    });
}

#[test]
fn a_plan_that_was_carried_out_leaves_nothing_to_do() {
    run(async {
        let mut refused = Vec::new();
        for case in cases() {
            let (values, asked) = (Values::of(&case), Asked::of(&case));
            let manifest = Manifest::load(&case.join("stratos.toml")).unwrap_or_else(|report| panic!("{report}"));
            let world = world(&case, &values).await;
            let secrets = secrets(&manifest, &values.now);
            let first = plan(&manifest, &secrets, &asked, &world).await;
            if apply(&first, &secrets, &world).await == Some(RunVerdict::Success) {
                let second = plan(&manifest, &secrets, &asked, &world).await;
                assert_eq!(second.changes, [], "{}", case.display());
                assert_eq!(second.held, first.held, "{}: what is held stays held", case.display());
            } else {
                refused.push(case.file_name().unwrap().to_owned());
            }
        }
        assert_eq!(refused, ["secret-not-available"], "every other plan can be carried out");
    });
}

#[test]
fn each_file_belongs_to_a_case() {
    let cases = cases();
    assert!(cases.len() >= 20);
    for case in cases {
        assert!(case.is_dir(), "{} is no case", case.display());
        for entry in fs::read_dir(&case).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(KNOWN.contains(&&*name), "{}/{name} means nothing here", case.display());
        }
        let there = |file: &str| case.join(file).exists();
        assert!(there("stratos.toml") && there("plan.txt"), "{} is not complete", case.display());
        assert!(there("world.json") || there("before.toml"), "{} does not say what is there", case.display());
    }
}
