//! Manifests of the shapes that public projects publish: `tests/public/<name>/` holds what installs an operator, a controller or
//! their definitions, under names of our own and with schemas cut to one field of each shape. Each set is applied, compared with
//! its files, planned empty, changed in a few fields, and destroyed without a trace.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use serde_json::Value;
use stratos_engine::deploy::Policy;
use stratos_engine::plan::Plan;
use stratos_test_platforms::Cluster;

use crate::apart::Apart;
use crate::manifests::Live;
use crate::stored::Reader;

/// The sets. `${namespace}` in their files is the environment's, which one of them declares as well.
const SETS: [&str; 9] = ["balancer", "databases", "gateways", "ingress", "monitoring", "rollouts", "serverless", "storage", "vaults"];
/// It brings an API server that does not answer, for which no other set's namespace is removed.
const WITH_A_SERVER: &str = "metrics";

/// A changed field of `changes.yaml`.
#[derive(serde::Deserialize)]
struct Edit {
    /// The object, as in `Deployment edge-controller`.
    object: String,
    /// The names of members and the positions of elements that lead to the field.
    at: Vec<Value>,
    /// Its new value; without one it is removed.
    to: Option<Value>,
    /// The path that the plan names.
    planned: String,
}

struct Set {
    name: &'static str,
    folder: PathBuf,
}

impl Set {
    fn new(name: &'static str) -> Self {
        Self { name, folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/public").join(name) }
    }

    /// The set in an environment, from these files.
    fn live(&self, cluster: &'static Cluster, files: &[(String, String)]) -> Live {
        let live = Live::new(&format!("public-{}", self.name), files, "platform.kubernetes.manifests = \"k8s/*\"\n");
        let live = Live { cluster, ..live };
        assert_eq!(live.namespace, self.namespace());
        live
    }

    /// The namespace that [`Live::new`] gives an environment.
    fn namespace(&self) -> String {
        format!("m-public-{}-{}", self.name, std::process::id())
    }

    fn text(&self, file: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.join(file)).ok()?;
        Some(text.replace("${namespace}", &self.namespace()))
    }

    fn files(&self) -> Vec<(String, String)> {
        ["crds.yaml", "install.yaml"].into_iter().filter_map(|file| Some((format!("k8s/{file}"), self.text(file)?))).collect()
    }

    fn edits(&self) -> Vec<Edit> {
        serde_saphyr::from_str(&self.text("changes.yaml").expect("changes")).unwrap()
    }
}

/// The objects, edited, as files; and the lines that the plan has to have.
fn edited(objects: Vec<Value>, edits: &[Edit]) -> (Vec<(String, String)>, Vec<String>) {
    let mut objects = objects;
    let mut planned: Vec<String> = Vec::new();
    for edit in edits {
        let of = |object: &&mut Value| edit.object == name(object);
        let object = objects.iter_mut().find(of).unwrap_or_else(|| panic!("no {}", edit.object));
        let (last, first) = edit.at.split_last().expect("a path");
        let parent = first.iter().fold(object, |value, segment| match segment.as_u64() {
            Some(index) => &mut value[index as usize],
            None => &mut value[segment.as_str().expect("a name")],
        });
        match (&edit.to, last.as_u64()) {
            (Some(to), None) => parent[last.as_str().expect("a name")] = to.clone(),
            (Some(to), Some(index)) => parent[index as usize] = to.clone(),
            (None, None) => drop(parent.as_object_mut().expect("a table").remove(last.as_str().expect("a name"))),
            (None, Some(index)) => drop(parent.as_array_mut().expect("a list").remove(index as usize)),
        }
        planned.push(format!("Update {}: {}", edit.object, edit.planned));
    }
    planned.sort();
    let text: Vec<String> = objects.iter().map(Value::to_string).collect();
    (vec![("k8s/all.yaml".to_owned(), text.join("\n---\n"))], planned)
}

fn name(object: &Value) -> String {
    format!("{} {}", object["kind"].as_str().unwrap_or_default(), object["metadata"]["name"].as_str().unwrap_or_default())
}

/// A line for each field that a plan changes, and for all that is blocked.
fn lines(plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    for change in &plan.changes {
        let of = format!("{:?} {} {}", change.action, change.id.kind.split('.').next().unwrap_or_default(), change.id.name);
        out.extend(change.differences.iter().map(|difference| format!("{of}: {}", difference.path)));
        out.extend(change.differences.is_empty().then(|| of.clone()));
    }
    out.extend(plan.held.iter().map(|held| format!("blocked: {} {:?}", held.id, held.why)));
    let mut out: Vec<String> = out.into_iter().map(|line| line.replace(".[", "[").replace('"', "")).collect();
    out.sort();
    out
}

async fn reading<T: Send + 'static>(live: &Live, read: impl FnOnce(&Reader<'_>) -> T + Send + 'static) -> T {
    let (cluster, namespace) = (live.cluster, live.namespace.clone());
    tokio::task::spawn_blocking(move || read(&Reader::new(cluster, &namespace))).await.unwrap()
}

/// The files and the live objects say the same, and there is nothing to do.
async fn settled(live: &Live, when: &str) -> Result<usize, String> {
    let folder = live.folder.path().join("k8s");
    let compared = reading(live, move |reader| reader.compare(&folder)).await;
    compared.nothing_lost().map_err(|why| format!("{when}: {why}"))?;
    live.unchanged(when).await?;
    Ok(compared.objects)
}

/// How many objects there were.
async fn install_change_and_destroy(cluster: &'static Cluster, set: &Set) -> Result<usize, String> {
    let live = set.live(cluster, &set.files());
    live.cleared(is_installed_changed_and_destroyed(set, &live).await).await
}

async fn is_installed_changed_and_destroyed(set: &Set, live: &Live) -> Result<usize, String> {
    let (plan, _) = live.apply(Policy::default()).await?;
    let objects = settled(live, "right after an apply").await?;
    let folder = live.folder.path().join("k8s");
    let declared = reading(live, move |reader| reader.declared(&folder)).await;
    let (files, planned) = edited(declared, &set.edits());
    let changed = set.live(live.cluster, &files);
    let found = lines(&changed.plan(Policy::default()).await.map_err(|error| error.to_string())?);
    if found != planned {
        return Err(format!("planned are {found:#?} in place of {planned:#?}"));
    }
    changed.apply(Policy::default()).await?;
    settled(&changed, "after a few changes").await?;
    changed.destroyed(&plan).await?;
    Ok(objects)
}

/// For one set, `STRATOS_TEST_MANIFESTS` names it.
#[tokio::test(flavor = "multi_thread")]
async fn sets_of_public_projects_are_stored_as_their_files_say() {
    let apart = Apart::get().await;
    let only = std::env::var("STRATOS_TEST_MANIFESTS").unwrap_or_default();
    let is_asked_for = |name: &&str| name.contains(&only);
    let run = |name: &'static str| async move {
        install_change_and_destroy(apart.cluster, &Set::new(name)).await.map_err(|why| format!("== {name}\n{why}"))
    };
    let apart_from_the_last = futures::stream::iter(SETS.into_iter().filter(is_asked_for)).map(run).buffer_unordered(4);
    let last = futures::stream::iter(Some(WITH_A_SERVER).filter(is_asked_for)).then(run);
    let results: Vec<_> = apart_from_the_last.chain(last).collect().await;
    let failed: Vec<String> = results.iter().filter_map(|result| result.clone().err()).collect();
    assert!(failed.is_empty(), "{} of {} sets:\n{}", failed.len(), results.len(), failed.join("\n"));
    let objects: usize = results.iter().flatten().sum();
    assert!(!only.is_empty() || objects == 246, "{objects} objects");
}
