//! The same files deployed with `docker stack deploy`, a client that is not ours: the services that it makes, read by our
//! `observe`, are what we would make, but for what is listed here.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use stratos_docker::config::SwarmOptions;
use stratos_docker::endpoint::Endpoint;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::manifest::Manifest;
use stratos_engine::platform::{ObservedResource, Scope, Sink, Wanted};
use stratos_test_platforms::{eventually_async, shared_swarm_of_two};

use super::support::{Engine, folder, translated};

/// What that client passes over with a warning, and we do.
const IGNORED_THERE: [&str; 1] = ["volumes /scratch type"];

/// Leaves as text, with what is not the same by intention taken out or made the same.
fn normal(document: &Document, stack: Option<(&str, &str)>) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (path, leaf) in document.leaves() {
        let mut path: Vec<String> = path.segments().map(str::to_owned).collect();
        // That client marks with labels on everything what belongs to a stack; ours are not in documents.
        if path.last().is_some_and(|last| last.starts_with("com.docker.stack.")) {
            continue;
        }
        let mut value = match leaf {
            // It asks the registry for the digest; with us that is the plan's part.
            Leaf::Image(image) => image.reference.to_string(),
            // Contents have other names: with us the hash of the content is in it.
            Leaf::Ref(_) | Leaf::Unknown if path[0] == "files" => "(a config or a secret)".to_owned(),
            leaf => leaf.to_string(),
        };
        if let Some((theirs, ours)) = stack {
            // `stack_name` there, `prefix-app-name` here.
            let renamed = |text: &str| text.replace(&format!("{theirs}_"), &format!("{ours}-"));
            if matches!(path[0].as_str(), "networks" | "volumes") {
                path[1] = renamed(&path[1]);
                value = renamed(&value);
            }
            // It leaves the folder of secrets to the engine.
            if path[0] == "files" && !path[1].starts_with('/') {
                path[1] = format!("/run/secrets/{}", path[1]);
            }
        }
        out.insert(path.join(" "), value);
    }
    out
}

/// A live document with the values that are hidden because nobody knows which of another's are secret.
fn openly(live: &ObservedResource) -> Document {
    let mut document = live.document.clone();
    for (path, leaf) in document.leaves_mut() {
        if let Some((_, value)) = live.secret_values.iter().find(|(at, _)| at == path) {
            *leaf = Leaf::Text(value.as_str().into());
        }
    }
    document
}

async fn same_as_stack_deploy(case: &str) {
    let engines = shared_swarm_of_two();
    let original = folder("files").join(case);
    let manifest = Manifest::load(&original).unwrap();
    // A copy, with the values of secrets where that client looks for them.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&original).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    std::fs::write(copy.path().join("password.txt"), "hunter2").unwrap();
    let stack = format!("theirs-{case}");
    let deployed = Command::new("docker")
        .args([
            "--host",
            &engines.url(0),
            "stack",
            "deploy",
            "--resolve-image",
            "never",
            "--detach=true",
            "--compose-file",
            "compose.yml",
            &stack,
        ])
        .env("REGISTRY", "registry.example.com")
        .env("TZ", "Europe/Vienna")
        .env("PORT", "18070")
        .current_dir(copy.path())
        .output()
        .unwrap();
    assert!(deployed.status.success(), "{case}: {}", String::from_utf8_lossy(&deployed.stderr));

    let (environment, settings) = manifest.environments.first().unwrap();
    let swarm = Engine { endpoint: Endpoint::Unix(engines.socket(0)), options: SwarmOptions::default(), proxy_image: None };
    let platform = swarm.platform(&manifest.project, environment, settings);
    let desired = translated(&manifest).unwrap();
    let ours: Vec<_> = desired.resources.iter().filter(|resource| &*resource.id.kind == "service").collect();
    let prefix = format!("{}-stack", manifest.project.name);
    let theirs = |id: &ResourceId| ResourceId::new(environment, "service", &id.name.replace(&format!("{prefix}-"), &format!("{stack}_")));
    let wanted: Wanted<'_> = ours.iter().map(|resource| (theirs(&resource.id), None)).collect();
    let mut sink = Sink::default();
    let scope = Scope { owner: desired.owner.clone(), apps: Some(BTreeSet::new()) };
    platform.observe(&scope, &wanted, &mut sink).await.unwrap();
    let mut differing = Vec::new();
    for resource in &ours {
        let live = sink.resources.get(&theirs(&resource.id)).unwrap_or_else(|| panic!("{} is not there", resource.id));
        let (mine, other) = (normal(&resource.document, None), normal(&openly(live), Some((&stack, &prefix))));
        let paths: BTreeSet<&String> = mine.keys().chain(other.keys()).collect();
        let differs = paths.into_iter().filter(|path| mine.get(*path) != other.get(*path));
        let differs = differs.filter(|path| !IGNORED_THERE.contains(&path.as_str()));
        differing.extend(differs.map(|path| format!("{}: {path}: {:?} here, {:?} there", resource.id, mine.get(path), other.get(path))));
    }
    remove(&stack).await;
    assert!(differing.is_empty(), "{case}:\n{}", differing.join("\n"));
}

/// That client does not wait for the instances that still hold a network.
async fn remove(stack: &str) {
    eventually_async("the removal of a stack", async || {
        let removed = shared_swarm_of_two().try_docker(0, &["stack", "rm", stack]);
        if removed.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&removed.stderr).into_owned()) }
    })
    .await;
}

macro_rules! cases {
    ($($name:ident $folder:literal),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            same_as_stack_deploy($folder).await;
        })*
    };
}

// Those whose files that client can read: it knows no `include`, no `extends`, no inline content and no long `depends_on`.
cases! {
    blog "blog",
    cron_worker "cron-worker",
    global_agent "global-agent",
    log_store "log-store",
    two_services "two-services",
}
