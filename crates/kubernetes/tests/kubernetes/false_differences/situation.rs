//! Carries out the steps of a folder of `tests/false_differences`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use stratos_engine::deploy::Policy;
use stratos_engine::desired::name::Name;
use stratos_engine::plan::Plan;

use crate::case::{Case, Refused, changed, short, unwritten};
use crate::live;
use crate::support::eventually;

/// A step as it is written. Exactly one of the first six is there.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Step {
    apply: Option<String>,
    same: Option<String>,
    plan: Option<String>,
    kubectl: Option<Vec<String>>,
    live: Option<String>,
    becomes: Option<String>,
    with: BTreeMap<String, Value>,
    changes: Option<String>,
    blocked: BTreeMap<String, Words>,
    refused: Option<Words>,
    fails: BTreeMap<String, Words>,
    policy: BTreeSet<Permission>,
    only: BTreeSet<String>,
    environment: Option<String>,
    login: Option<String>,
    requests: Option<Uncounted>,
    not_live: BTreeMap<String, String>,
    holds: Value,
    prints: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum Permission {
    Adopt,
    NoAdopt,
    DeleteData,
    Destroy,
    ForceConflicts,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Uncounted {
    Uncounted,
}

impl Words {
    fn are_in(&self, text: &str) -> bool {
        match self {
            Self::One(word) => text.contains(word),
            Self::Several(words) => words.iter().all(|word| text.contains(word)),
        }
    }
}

/// A situation under way.
struct Situation {
    case: Case,
    folder: PathBuf,
    /// The folder's files with their `${names}` filled in, for kubectl.
    filled: tempfile::TempDir,
    /// The administrator's kubeconfig, with the namespace.
    kubeconfig: PathBuf,
    /// Values of names that each file may use: of the situation, and of the steps until now.
    names: BTreeMap<String, String>,
    /// Whether objects are there before the first step.
    adopts: bool,
}

/// Runs the situation of a folder.
pub async fn run(folder: &Path) {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let mut situation = Situation::begin(folder, Case::new(&name).await).await;
    for (number, step) in situation.steps().into_iter().enumerate() {
        let at = format!("{name}, step {}", number + 1);
        situation.case.at.clone_from(&at);
        situation.step(&step, &at).await;
    }
}

impl Situation {
    async fn begin(folder: &Path, case: Case) -> Self {
        let filled = tempfile::tempdir().unwrap();
        let kubeconfig = filled.path().join("kubeconfig");
        let mut config = kube::config::Kubeconfig::read_from(case.cluster.kubeconfig()).unwrap();
        for context in config.contexts.iter_mut().filter_map(|context| context.context.as_mut()) {
            context.namespace = Some(case.id().to_owned());
        }
        std::fs::write(&kubeconfig, serde_json::to_string(&config).unwrap()).unwrap();
        let names = BTreeMap::from([("id".to_owned(), case.id().to_owned())]);
        let mut situation = Self { case, folder: folder.to_owned(), filled, kubeconfig, names, adopts: false };
        situation.find_authority();
        for file in situation.files("0-by-kubectl-") {
            situation.adopts = true;
            situation.give_to_kubectl(&file);
        }
        situation
    }

    /// `${ca}` costs a request, which most situations do not need.
    fn find_authority(&mut self) {
        let steps = std::fs::read_to_string(self.folder.join("steps.yaml")).unwrap_or_default();
        if steps.contains("${ca}") {
            let authority = tokio::task::block_in_place(|| std::fs::read(self.case.cluster.ca_file()).unwrap());
            self.names.insert("ca".to_owned(), STANDARD.encode(authority));
        }
    }

    /// The names of the files that begin with this, in their order.
    fn files(&self, beginning: &str) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap_or_else(|error| panic!("{}: {error}", self.folder.display()));
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(beginning)).collect();
        names.sort();
        names
    }

    /// `0-by-kubectl-create-field-manager-helm.yaml`: the command and the manager are in the name.
    fn give_to_kubectl(&mut self, file: &str) {
        let words = file.trim_start_matches("0-by-kubectl-").trim_end_matches(".yaml");
        let (command, manager) = words.split_once("-field-manager-").unwrap_or((words, ""));
        let path = self.fill(file);
        let (filename, manager) = (format!("--filename={}", path.display()), format!("--field-manager={manager}"));
        let mut arguments = vec![command, &*filename, "--output=name"];
        if words != command {
            arguments.push(&manager);
        }
        let printed = tokio::task::block_in_place(|| self.case.kubectl(&arguments));
        printed.lines().for_each(|object| self.case.made(object.to_owned()));
    }

    /// The steps that are written, or one for each numbered file.
    fn steps(&self) -> Vec<Step> {
        let path = self.folder.join("steps.yaml");
        if !path.exists() {
            let number = |file: &String| file.split('.').next().and_then(|number| number.parse::<u32>().ok());
            let numbered: BTreeMap<u32, String> = self.files("").into_iter().filter_map(|file| Some((number(&file)?, file))).collect();
            return numbered.into_values().map(|file| Step { apply: Some(file), ..Step::default() }).collect();
        }
        let text = fill(&std::fs::read_to_string(path).unwrap(), &self.names);
        let steps: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", self.folder.display()));
        serde_json::from_value(steps).unwrap_or_else(|error| panic!("{}: {error}", self.folder.display()))
    }

    async fn step(&mut self, step: &Step, at: &str) {
        self.set(step);
        match step {
            Step { apply: Some(file), .. } => self.apply(step, file, at).await,
            Step { same: Some(file), .. } => {
                let files = self.write(file, step);
                self.holds(step, &files, at).await;
            }
            Step { plan: Some(file), .. } => {
                self.write(file, step);
                self.plan(step, at).await;
            }
            Step { kubectl: Some(arguments), .. } => self.kubectl(arguments, step.prints.as_deref(), at),
            Step { live: Some(object), holds, .. } => {
                let live = tokio::task::block_in_place(|| self.case.live(object));
                assert_eq!(unheld(holds, Some(&live), String::new()), [""; 0], "{at}: {live:#}");
            }
            Step { becomes: Some(object), holds, .. } => {
                let look = || async {
                    let live = tokio::task::block_in_place(|| self.case.live(object));
                    let unheld = unheld(holds, Some(&live), String::new());
                    if unheld.is_empty() { Ok(()) } else { Err(format!("{at}: {unheld:?}")) }
                };
                eventually(look).await;
            }
            _ => panic!("{at}: one of apply, same, plan, kubectl, live, becomes"),
        }
    }

    fn set(&mut self, step: &Step) {
        let manifests = &mut self.case.manifests;
        manifests.only = step.only.iter().map(|name| Name::new(name).unwrap()).collect();
        if let Some(environment) = &step.environment {
            manifests.environment.clone_from(environment);
        }
        if let Some(login) = &step.login {
            manifests.login.clone_from(login);
        }
    }

    fn policy(&self, step: &Step) -> Policy {
        let has = |permission| step.policy.contains(&permission);
        Policy {
            adopt: has(Permission::Adopt) || self.adopts && !has(Permission::NoAdopt),
            allow_delete: true,
            delete_data: has(Permission::DeleteData),
            destroy: has(Permission::Destroy),
            force_conflicts: has(Permission::ForceConflicts),
            ..Policy::default()
        }
    }

    /// Declares what the file or folder of a step does. The files with manifests that kubectl can read are returned.
    fn write(&mut self, file: &str, step: &Step) -> Vec<PathBuf> {
        let path = self.folder.join(file);
        let texts: Vec<(String, String)> = match path.is_dir() {
            true => relative_files(&path).into_iter().map(|name| (name.clone(), read(&path.join(name)))).collect(),
            false => vec![(path.file_name().unwrap().to_string_lossy().into_owned(), read(&path))],
        };
        for (name, value) in &step.with {
            assert!(texts.iter().any(|(_, text)| text.contains(&format!("${{{name}}}"))), "{file} has no ${{{name}}}");
            self.names.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        let mut files: Vec<(String, String)> = texts.into_iter().map(|(name, text)| (name, fill(&text, &self.names))).collect();
        let compared = files.iter().filter_map(|(name, text)| self.readable(name, text)).collect();
        let is_apps = |name: &str| name == "apps.toml" || name.ends_with(".toml") && !path.is_dir();
        match files.iter().position(|(name, _)| is_apps(name)) {
            Some(apps) => {
                let (_, apps) = files.remove(apps);
                self.case.manifests.write_apps(&apps, &files);
            }
            None => self.case.manifests.write_files(&files),
        }
        compared
    }

    /// A file as kubectl reads it, if it is one of manifests.
    fn readable(&self, name: &str, text: &str) -> Option<PathBuf> {
        let login = &self.case.manifests.login;
        let text = text.replace("{{ secrets.login }}", login).replace("{{ secrets.login | b64encode }}", &STANDARD.encode(login));
        let is_template = name.ends_with(".j2") && (text.contains("{{") || text.contains("{%"));
        let is_yaml = name.trim_end_matches(".j2").ends_with(".yaml");
        (is_yaml && !is_template).then(|| self.keep(name.trim_end_matches(".j2"), &text))
    }

    /// A file of the folder for kubectl.
    fn fill(&self, file: &str) -> PathBuf {
        self.keep(file, &fill(&read(&self.folder.join(file)), &self.names))
    }

    fn keep(&self, name: &str, text: &str) -> PathBuf {
        let path = self.filled.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn apply(&mut self, step: &Step, file: &str, at: &str) {
        let files = self.write(file, step);
        let Some(plan) = self.plan(step, at).await else { return };
        let applied = self.case.manifests.carry_out(&plan).await;
        self.case.remember(&plan);
        let failed = unwritten(&applied);
        for line in &failed {
            let expected = step.fails.iter().any(|(object, words)| line.starts_with(&format!("{object}: ")) && words.are_in(line));
            assert!(expected, "{at}: {failed:#?}");
        }
        assert_eq!(failed.len(), step.fails.len(), "{at}: {failed:#?}");
        if failed.is_empty() && !step.policy.contains(&Permission::Destroy) {
            self.holds(step, &files, at).await;
        }
    }

    /// Plans, and compares the plan with the expected one. None where no plan is expected.
    async fn plan(&self, step: &Step, at: &str) -> Option<Plan> {
        let plan = match (self.case.manifests.try_plan(true, self.policy(step)).await, &step.refused) {
            (Ok(plan), None) => plan,
            (Err(Refused(why)), Some(words)) if words.are_in(&why) => return None,
            (Err(Refused(why)), _) => panic!("{at}: no plan: {why}"),
            (Ok(plan), Some(_)) => panic!("{at}: there is a plan: {:#?}", changed(&plan)),
        };
        if let Some(changes) = &step.changes {
            let expected: BTreeSet<String> = changes.lines().map(|line| line.trim().to_owned()).collect();
            assert_eq!(changed(&plan).into_iter().collect::<BTreeSet<_>>(), expected, "{at}");
        }
        blocks(&plan, &step.blocked, at);
        Some(plan)
    }

    /// There is nothing to do but what is blocked, and the live objects hold what the files declare.
    async fn holds(&self, step: &Step, files: &[PathBuf], at: &str) {
        if step.blocked.is_empty() && step.requests.is_none() && step.only.is_empty() {
            self.case.nothing().await;
        } else {
            let plan = self.case.manifests.plan(true, Policy::default()).await;
            assert_eq!(changed(&plan), [""; 0], "{at}: there is something to do");
            blocks(&plan, &step.blocked, at);
        }
        let differs = |file: &PathBuf| live::differences(self.case.cluster, &self.kubeconfig, file);
        let lines: Vec<String> = tokio::task::block_in_place(|| files.iter().flat_map(differs).collect());
        let is_known = |line: &&String| {
            let known = step.not_live.keys().chain(step.blocked.keys());
            known.into_iter().any(|object| line.starts_with(&format!("{object}: ")))
        };
        let unknown: Vec<&String> = lines.iter().filter(|line| !is_known(line)).collect();
        assert!(unknown.is_empty(), "{at}: the file declares, and the live object does not hold: {unknown:#?}");
        let stale = step.not_live.keys().find(|object| !lines.iter().any(|line| line.starts_with(&format!("{object}: "))));
        assert_eq!(stale, None, "{at}: it holds what the file declares");
    }

    fn kubectl(&self, arguments: &[String], prints: Option<&str>, at: &str) {
        let files = self.files("");
        let argument = |argument: &String| match files.contains(argument) {
            true => self.fill(argument).display().to_string(),
            false => argument.clone(),
        };
        let arguments: Vec<String> = arguments.iter().map(argument).collect();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let printed = tokio::task::block_in_place(|| self.case.kubectl(&words));
        if let Some(expected) = prints {
            assert_eq!(printed, expected, "{at}");
        }
    }
}

/// The plan blocks just these objects, for these reasons.
fn blocks(plan: &Plan, expected: &BTreeMap<String, Words>, at: &str) {
    let held = plan.held.iter().map(|held| (format!("{} {}", short(&held.id.kind), held.id.name), format!("{:?}", held.why)));
    let held: BTreeMap<String, String> = held.collect();
    let as_expected =
        held.len() == expected.len() && held.iter().all(|(object, why)| expected.get(object).is_some_and(|words| words.are_in(why)));
    assert!(as_expected, "{at}: blocked are {held:#?}");
}

/// A text with its `${names}` filled in.
fn fill(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').expect("a name between ${ and }");
        out += names.get(name).unwrap_or_else(|| panic!("`${{{name}}}` has no value"));
        out += rest;
    }
    out
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder.
fn relative_files(folder: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.file_type().unwrap().is_dir() {
            true => out.extend(relative_files(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}"))),
            false => out.push(name),
        }
    }
    out
}

/// Everything of `holds` that a live object does not hold: maps by their keys, lists by index and length, null is absent.
fn unheld(holds: &Value, live: Option<&Value>, path: String) -> Vec<String> {
    match (holds, live) {
        (Value::Object(map), Some(Value::Object(live))) => {
            map.iter().flat_map(|(key, value)| unheld(value, live.get(key), format!("{path}.{key}"))).collect()
        }
        (Value::Array(list), Some(Value::Array(live))) if list.len() == live.len() => {
            let elements = list.iter().zip(live).enumerate();
            elements.flat_map(|(number, (value, live))| unheld(value, Some(live), format!("{path}[{number}]"))).collect()
        }
        (Value::Null, None) => Vec::new(),
        (holds, live) if Some(holds) == live => Vec::new(),
        (holds, live) => vec![format!("{path}: {holds} is expected, and there is {live:?}")],
    }
}
