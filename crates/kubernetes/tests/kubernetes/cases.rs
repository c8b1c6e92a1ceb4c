//! Situations that users have reported: see `tests/cases/README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use serde::Deserialize;
use stratos_engine::deploy::Policy;
use stratos_engine::plan::{HeldReason, Plan};
use stratos_engine::platform::contract::stage::brief;

use crate::manifests::{Live, cluster};
use crate::support;

const APP: &str = "platform.kubernetes.manifests = \"k8s/*\"\n";

/// How a step ends that is not applied as a whole.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expected {
    /// Words of the error in place of a plan.
    error: Option<String>,
    /// The objects that are blocked, with words of the reason.
    blocked: BTreeMap<String, String>,
    /// The fields that the server holds otherwise than they are written, as `Service web spec.clusterIP`, with its reason.
    otherwise: BTreeMap<String, String>,
}

/// The files of a case: their number, the rest of their name, and their text.
fn files(folder: &Path, namespace: &str) -> Vec<(u32, String, String)> {
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let (number, rest) = name.split_once('.')?;
        let text = std::fs::read_to_string(&path).unwrap().replace("${namespace}", namespace);
        Some((number.parse().ok()?, rest.to_owned(), text))
    };
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter_map(read).collect();
    files.sort();
    files
}

async fn run(folder: PathBuf) -> Result<(), String> {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let live = |files: &[(String, String)]| Live::new(&name, files, APP);
    let namespace = format!("m-{name}-{}", std::process::id());
    let mut expected: BTreeMap<u32, Expected> = match std::fs::read_to_string(folder.join("expected.yaml")) {
        Ok(text) => serde_saphyr::from_str(&text).unwrap(),
        Err(_) => BTreeMap::new(),
    };
    let mut last = None;
    for (number, rest, text) in files(&folder, &namespace) {
        if number == 0 {
            made_by_helm(&namespace, text).await;
            continue;
        }
        let is_template = rest.ends_with(".j2");
        let step = live(&[(format!("k8s/all.{rest}"), text)]);
        assert_eq!(step.namespace, namespace);
        let ends = expected.remove(&number).unwrap_or_default();
        let plan = applied(&step, &ends, is_template).await;
        let plan = step.cleared(plan.map_err(|why| format!("== {name}, step {number}\n{why}"))).await?;
        last = plan.map(|plan| (step, plan)).or(last);
    }
    assert!(expected.is_empty(), "{name}: steps that are expected and not there");
    match last {
        Some((step, plan)) => step.destroyed(&plan).await.map_err(|why| format!("== {name}, destroyed\n{why}")),
        None => Ok(()),
    }
}

/// `kubectl create` in the name of Helm.
async fn made_by_helm(namespace: &str, text: String) {
    let namespace = namespace.to_owned();
    let make = move || {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        cluster().kubectl(&["create", "namespace", &namespace]);
        let path = file.path().display().to_string();
        cluster().kubectl(&["create", "--namespace", &namespace, "--field-manager=helm", "--filename", &path]);
    };
    tokio::task::spawn_blocking(make).await.unwrap();
}

/// Applies a step. None where there is no plan, as expected.
async fn applied(step: &Live, expected: &Expected, is_template: bool) -> Result<Option<Plan>, String> {
    let agreed = Policy { adopt: true, delete_data: true, allow_delete: true, ..Policy::default() };
    if let Some(words) = &expected.error {
        return match step.plan(agreed).await {
            Err(error) if error.to_string().contains(words) => Ok(None),
            Err(error) => Err(format!("the error has not the words {words:?}: {error}")),
            Ok(plan) => Err(format!("it is planned: {:#?}", brief(&plan))),
        };
    }
    let (plan, _) = step.apply(agreed).await?;
    let again = step.plan(agreed).await.map_err(|error| error.to_string())?;
    if !again.is_empty() {
        return Err(format!("something is left to do: {:#?}", brief(&again)));
    }
    let mut blocked: BTreeMap<&str, &str> = expected.blocked.iter().map(|(name, words)| (&**name, &**words)).collect();
    for held in &again.held {
        let HeldReason::Refused { why } = &held.why else { return Err(format!("{} is held: {:?}", held.id, held.why)) };
        match blocked.remove(&*held.id.name) {
            Some(words) if why.contains(words) => {}
            _ => return Err(format!("{} is blocked: {why}", held.id)),
        }
    }
    if !blocked.is_empty() {
        return Err(format!("not blocked: {blocked:?}"));
    }
    // kubectl reads no templates.
    if expected.blocked.is_empty() && !is_template {
        let mut compared = step.compared().await;
        let mut otherwise: Vec<&String> = expected.otherwise.keys().collect();
        compared.lost.retain(|lost| {
            let known = otherwise.iter().position(|field| lost.starts_with(&format!("{field}: ")));
            known.map(|known| otherwise.remove(known)).is_none()
        });
        compared.nothing_lost()?;
        if !otherwise.is_empty() {
            return Err(format!("as they are written: {otherwise:?}"));
        }
    }
    Ok(Some(plan))
}

#[tokio::test(flavor = "multi_thread")]
async fn situations_that_users_have_reported() {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    let _alone = support::alone("cases").await;
    let only = std::env::var("STRATOS_TEST_MANIFESTS").unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<_> = entries.filter(|path| path.is_dir() && path.to_string_lossy().contains(&only)).collect();
    assert!(!only.is_empty() || folders.len() >= 43, "{} cases", folders.len());
    let results: Vec<_> = futures::stream::iter(folders).map(run).buffer_unordered(6).collect().await;
    let failed: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} cases:\n{}", failed.len(), failed.join("\n"));
}
