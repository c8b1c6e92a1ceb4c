//! Charts: `tests/charts/shop/` is a chart as people write them. The real `helm` renders it; what that cannot be brought to do
//! (hang, print without an end) a script does under its name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stratos_engine::deploy::{Connector as _, Policy};
use stratos_engine::desired::{Desired, desired};
use stratos_engine::manifest::diagnostic::Report;
use stratos_engine::plan::HeldReason;
use stratos_engine::platform::contract::stage::brief;
use stratos_engine::render::{VariableInputs, native, render};
use stratos_kubernetes::Helm;

use crate::manifests::{Live, cluster};
use crate::proxy::Proxy;
use crate::support;
use crate::user::client;

type Files = Vec<(String, String)>;

/// The chart, as files under a folder.
fn chart(at: &str) -> Files {
    fn read(folder: &Path, at: &str, out: &mut Files) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let at = format!("{at}/{}", entry.file_name().to_string_lossy());
            match entry.file_type().unwrap().is_dir() {
                true => read(&entry.path(), &at, out),
                false => out.push((at, std::fs::read_to_string(entry.path()).unwrap())),
            }
        }
    }
    let mut out = Files::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/shop"), at, &mut out);
    out.sort();
    out
}

fn with(mut files: Files, more: &[(&str, &str)]) -> Files {
    files.extend(more.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    files
}

/// The `helm` in a folder, and nothing else of the environment.
fn helm_in(folder: &Path) -> Helm {
    let folder: OsString = folder.into();
    Helm::new(move |name| (name == "PATH").then(|| folder.clone()))
}

fn helm() -> Helm {
    helm_in(stratos_test_platforms::helm().parent().unwrap())
}

/// A project with the chart in `charts/shop`, away from any cluster. `part` is what `platform.kubernetes` says.
fn live(name: &str, part: &str, more: &[(&str, &str)]) -> Live {
    away(Live::new(name, &with(chart("charts/shop"), more), &format!("platform.kubernetes = {part}\n")))
}

fn away(live: Live) -> Live {
    Live { helm: helm(), url: Some("http://127.0.0.1:1".to_owned()), ..live }
}

/// The same in front of the cluster.
async fn there(live: Live) -> Live {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    Live { url: None, ..live }
}

/// What the app becomes, without a cluster.
async fn made(live: &Live) -> Result<Desired, Report> {
    let (name, environment) = live.manifest.environments.first().unwrap();
    let platform = live.connector().connect(&live.manifest.project, name, environment).await.unwrap();
    let mut rendered = render(&live.manifest, name, &VariableInputs::default())?;
    native::load(&mut rendered, &live.manifest, &|part| platform.native_files(part))?;
    native::generate(&mut rendered, &*platform, &Default::default()).await?;
    desired(&mut rendered, &live.manifest, &*platform, &Default::default())
}

async fn refused(part: &str, more: &[(&str, &str)]) -> String {
    refused_by(&live("refused", part, more)).await
}

async fn refused_by(live: &Live) -> String {
    match made(live).await {
        Ok(desired) => panic!("it is accepted: {:?}", ids(&desired)),
        Err(report) => report.to_string(),
    }
}

fn ids(desired: &Desired) -> Vec<String> {
    desired.resources.iter().map(|resource| resource.id.to_string()).collect()
}

async fn leaf(live: &Live, id: &str, path: &[&str]) -> String {
    let desired = made(live).await.unwrap_or_else(|report| panic!("{report}"));
    let resource = desired.resources.iter().find(|resource| resource.id.to_string() == id).unwrap_or_else(|| panic!("{:?}", ids(&desired)));
    let path = stratos_engine::desired::path::Path::new(path.iter().copied());
    resource.document.get(&path).map_or_else(|| "(none)".to_owned(), ToString::to_string)
}

const WEB: &str = "test/Deployment.apps/web";
const IMAGE: [&str; 6] = ["spec", "template", "spec", "containers", "[name=shop]", "image"];
const PLAIN: &str = "{ helm = { chart = \"charts/shop\" } }";
const GIVEN: &str =
    "{ helm = { chart = \"charts/shop\", values = [\"values.yaml.j2\"], set = { replicas = 3 } }, patches = [\"patch.yaml\"] }";
const VALUES: (&str, &str) = ("values.yaml.j2", "replicas: 5\ngreeting: hi\npassword: {{ secrets.db }}\n");
const PATCH: (&str, &str) = ("patch.yaml", "{ kind: Service, metadata: { name: web }, spec: { sessionAffinity: ClientIP } }");

/// One after the other: a cluster has one definition of a kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_planned_applied_and_destroyed_like_manifests() {
    let _alone = support::alone("charts").await;
    there_and_back().await;
    what_a_chart_wants_to_keep_is_held().await;
}

async fn there_and_back() {
    let mut live = there(live("chart", GIVEN, &[VALUES, PATCH])).await;
    let (plan, _) = live.apply(Policy::default()).await.unwrap();
    let kinds: Vec<String> = plan.changes.iter().map(|change| format!("{}/{}", change.id.kind, change.id.name)).collect();
    let mut sorted = kinds.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            "ConfigMap/web-cache",
            "CustomResourceDefinition.apiextensions.k8s.io/gadgets.storefront.example.com",
            "Deployment.apps/web",
            "Gadget.storefront.example.com/web",
            "Secret/web-login",
            "Service/web",
        ],
        "no notes, and no test"
    );
    assert!(!serde_json::to_string(&plan).unwrap().contains("s3cr3t"), "the value is in the plan");

    // Nothing to do, and nothing tried for it. The dry run of a change is seen by the same proxy.
    let proxy = Proxy::new(client(cluster().kubeconfig()).await).await;
    live.url = Some(proxy.url());
    live.unchanged("right after an apply").await.unwrap();
    let seen = proxy.take_seen();
    assert!(!seen.is_empty() && seen.iter().all(|request| request.starts_with("GET ")), "{seen:#?}");
    // One list of each kind in use, and one look for the record of them.
    assert!(seen.len() <= kinds.len() + 3, "{seen:#?}");

    let get = async |what: &str, path: &str| live.kubectl(&["get", what, &format!("--output=jsonpath={path}")]).await.unwrap();
    assert_eq!(get("deployment/web", "{.spec.replicas} {.metadata.labels.app\\.kubernetes\\.io/part-of}").await, "3 front");
    assert_eq!(get("service/web", "{.spec.sessionAffinity}").await, "ClientIP");
    assert_eq!(get("gadgets.storefront.example.com/web", "{.spec.greeting}").await, "hi");
    assert_eq!(get("secret/web-login", "{.data.password} {.data.user}").await, "czNjcjN0LW9mLXRoZS1kYXRhYmFzZQ== c2hvcA==");
    assert_eq!(get("secret/web-login", "{.data.url}").await, "ZGI6Ly9zaG9wOnMzY3IzdC1vZi10aGUtZGF0YWJhc2VAZGI=");

    // Another value is one change.
    std::fs::write(live.folder.path().join("values.yaml.j2"), VALUES.1.replace("hi", "good day")).unwrap();
    let changes = live.changes().await.unwrap();
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert!(changes[0].contains("Gadget.storefront.example.com/web") && changes[0].contains("good day"), "{changes:#?}");
    assert!(proxy.take_seen().iter().any(|request| request.contains("dryRun")));
    live.apply(Policy::default()).await.unwrap();
    live.unchanged("after another value").await.unwrap();

    let destroy = Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() };
    live.apply(destroy).await.unwrap();
    let deadline = Instant::now() + support::LIMIT;
    loop {
        let left = live.left(&plan).await.unwrap();
        if left.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "this is left: {left}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn what_a_chart_wants_to_keep_is_held() {
    let live = there(live("keep", "{ helm = { chart = \"charts/shop\", set = { keep = true } } }", &[])).await;
    live.apply(Policy::default()).await.unwrap();
    live.unchanged("right after an apply").await.unwrap();
    let policy = Policy { destroy: true, allow_delete: true, delete_data: true, ..Policy::default() };
    let plan = live.plan(policy).await.unwrap();
    let held: Vec<&str> = plan.held.iter().filter(|held| matches!(held.why, HeldReason::Protected)).map(|held| &*held.id.name).collect();
    assert_eq!(held, ["web-login"], "{:#?}", brief(&plan));
    live.kubectl(&["delete", "namespace", &live.namespace, "--wait=false"]).await.unwrap();
    live.kubectl(&["delete", "crd", "gadgets.storefront.example.com"]).await.unwrap();
}

#[tokio::test]
async fn values_come_from_the_chart_then_from_files_in_their_order_then_from_the_manifest() {
    let files = [("a.yaml", "replicas: 5\nimage: a:1\n"), ("b/1.yaml", "image: b:1\n"), ("b/2.yaml", "image: b:2\n")];
    let replicas = ["spec", "replicas"];
    for (part, expected) in [
        ("", ["2", "registry.example/shop:1"]),
        ("values = \"a.yaml\"", ["5", "a:1"]),
        ("values = [\"a.yaml\", \"b/*.yaml\"]", ["5", "b:2"]),
        ("values = [\"b/1.yaml\", \"a.yaml\"], set = { replicas = 1 }", ["1", "a:1"]),
    ] {
        let live = live("values", &format!("{{ helm = {{ chart = \"./charts/shop/\", {part} }} }}"), &files);
        let found = [leaf(&live, WEB, &replicas).await, leaf(&live, WEB, &IMAGE).await];
        assert_eq!(found, expected, "{part}");
    }
    let named = live("values", "{ helm = { chart = \"charts/shop\", release = \"front\" } }", &[]);
    assert!(ids(&made(&named).await.unwrap()).contains(&"test/Deployment.apps/front".to_owned()));
    // A subchart that is switched off makes nothing.
    let small = live("values", "{ helm = { chart = \"charts/shop\", set = { cache.enabled = false } } }", &[]);
    assert!(!ids(&made(&small).await.unwrap()).contains(&"test/ConfigMap/web-cache".to_owned()));
}

#[tokio::test]
async fn what_is_made_anew_each_time_is_refused_until_a_patch_or_a_value_sets_it() {
    let random = "helm = { chart = \"charts/shop\", set = { random = true } }";
    let said = refused(&format!("{{ {random} }}"), &[]).await;
    assert!(said.contains("charts/shop/templates/secret.yaml (rendered):") && said.contains("Secret web-session, `data.key`"), "{said}");
    assert!(said.contains("each time the chart is rendered") && said.contains("patch"), "{said}");
    let patch = ("patch.yaml", "{ kind: Secret, metadata: { name: web-session }, data: { key: b3Blbg== } }");
    let patched = live("steady", &format!("{{ {random}, patches = \"patch.yaml\" }}"), &[patch]);
    assert_eq!(leaf(&patched, "test/Secret/web-session", &["data", "key"]).await, "\"open\"");
}

/// A checksum of a secret would be that of the word in its place, and never change.
#[tokio::test]
async fn what_a_chart_computes_of_a_secret_is_refused() {
    let part = "helm = { chart = \"charts/shop\", values = \"values.yaml.j2\", set = { checksum = true } }";
    let values = ("values.yaml.j2", "password: '{{ secrets.db }}'\n");
    let said = refused(&format!("{{ {part} }}"), &[values]).await;
    assert!(said.contains("Deployment web, ") && said.contains("checksum/login") && said.contains("computed from a secret"), "{said}");
    let patch =
        "{ kind: Deployment, metadata: { name: web }, spec: { template: { metadata: { annotations: { checksum/login: null } } } } }";
    let live = live("computed", &format!("{{ {part}, patches = \"patch.yaml\" }}"), &[values, ("patch.yaml", patch)]);
    assert_eq!(leaf(&live, "test/Secret/web-login", &["data", "url"]).await, "(secret)");
    // Elsewhere than in a Secret there is no place for one.
    let part = "{ helm = { chart = \"charts/shop\", set = { greeting = \"{{ secrets.db }}\" } } }";
    let said = refused(part, &[]).await;
    assert!(said.contains("Gadget web, `spec.greeting`") && said.contains("secret"), "{said}");
}

#[tokio::test]
async fn hooks_are_refused_left_out_or_objects_like_others() {
    let part = |hooks: &str| format!("{{ helm = {{ chart = \"charts/shop\", set = {{ hook = true }}{hooks} }} }}");
    let said = refused(&part(""), &[]).await;
    assert!(said.contains("charts/shop/templates/migrate.yaml (rendered):8:"), "{said}");
    assert!(said.contains("Job web-migrate is a hook of its chart (pre-install,pre-upgrade)"), "{said}");
    assert!(said.contains("hooks = \"skip\"") && said.contains("hooks = \"apply\""), "{said}");
    let job = "test/Job.batch/web-migrate".to_owned();
    let skipped = live("hooks", &part(", hooks = \"skip\""), &[]);
    assert!(!ids(&made(&skipped).await.unwrap()).contains(&job));
    let applied = live("hooks", &part(", hooks = \"apply\""), &[]);
    assert!(ids(&made(&applied).await.unwrap()).contains(&job));
}

#[tokio::test]
async fn what_helm_says_is_told_with_the_places_of_the_repository() {
    let broken = "{ helm = { chart = \"charts/shop\", set = { broken = true } } }";
    let said = refused(broken, &[]).await;
    assert!(said.contains("stratos.toml:9:42: the chart `charts/shop` cannot be rendered: charts/shop/templates/found.yaml:8:"), "{said}");
    assert!(said.contains(".Values.image.missing.name") && !said.contains("Use --debug") && !said.contains("/tmp/"), "{said}");
    for (part, more, expected) in [
        (PLAIN, &[("charts/shop/templates/bad.yaml", "a: b\n c: d\n")][..], "YAML parse error on charts/shop/templates/bad.yaml"),
        (PLAIN, &[("charts/shop/templates/bad.yaml", "{{ if }}")], "charts/shop/templates/bad.yaml:1"),
        (
            PLAIN,
            &[("charts/shop/templates/bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, lables: {} }\n")],
            "charts/shop/templates/bad.yaml (rendered):5:22: ConfigMap a: `metadata` has no field `lables`",
        ),
        (PLAIN, &[("charts/shop/values.schema.json", "{\"required\": [\"owner\"]}")], "owner"),
        (
            PLAIN,
            &[(
                "charts/shop/Chart.yaml",
                "apiVersion: v2\nname: s\nversion: 1.0.0\ndependencies: [{ name: queue, version: 1.0.0, repository: 'https://charts.example' }]\n",
            )],
            "(`helm dependency build charts/shop` fetches them: they belong into the repository)",
        ),
        (
            "{ helm = { chart = \"charts/none\" } }",
            &[],
            "the chart `charts/none` cannot be read: `charts/none` cannot be read: there is no such file",
        ),
        ("{ helm = { chart = \"../shop\" } }", &[], "must be relative"),
        ("{ helm = { chart = \"charts\" } }", &[], "the chart `charts` cannot be read: it has no `Chart.yaml`"),
        ("{ helm = { chart = \"charts/shop\", values = \"no.yaml\" } }", &[], "`no.yaml` cannot be read: there is no such file"),
        ("{ helm = { chart = \"charts/shop\", kube_version = \"x\" } }", &[], "invalid kube version"),
        (
            "{ helm = { chart = \"empty\" } }",
            &[("empty/Chart.yaml", "apiVersion: v2\nname: empty\nversion: 1.0.0\n")],
            "the chart `empty` makes nothing with these values",
        ),
    ] {
        let said = refused(part, more).await;
        assert!(said.contains(expected), "{part}\ngives {said}\nand not {expected}");
    }
}

#[tokio::test]
async fn without_helm_it_is_said_what_to_do() {
    let nothing = tempfile::tempdir().unwrap();
    for helm in [Helm::default(), helm_in(nothing.path())] {
        let said = refused_by(&Live { helm, ..live("none", PLAIN, &[]) }).await;
        assert!(
            said.contains("stratos.toml:9:42: the chart `charts/shop` cannot be rendered: there is no program `helm` on PATH"),
            "{said}"
        );
        assert!(said.contains("install Helm") && said.contains("`helm template web charts/shop`"), "{said}");
    }
}

/// A script called `helm`.
fn fake(folder: &Path, script: &str) -> Helm {
    let path = folder.join("helm");
    std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    helm_in(folder)
}

async fn refused_with(script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let helm = fake(folder.path(), script).with_patience(support::LIMIT);
    refused_by(&Live { helm, ..live("fake", PLAIN, &[]) }).await
}

#[tokio::test]
async fn a_helm_that_does_not_end_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    // The program itself, and no child of it, is what hangs.
    let helm = fake(folder.path(), &format!("echo $$ >> {}; exec /bin/sleep 600", pid.display())).with_patience(Duration::from_secs(2));
    let said = refused_by(&Live { helm, ..live("hangs", PLAIN, &[]) }).await;
    assert!(said.contains("cannot be rendered: `helm` did not end within 2s"), "{said}");
    let pids = std::fs::read_to_string(pid).unwrap();
    support::eventually(|| async {
        // One that is dead and not yet waited for has no command line.
        let alive = |pid: &&str| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
        let alive: Vec<&str> = pids.lines().filter(alive).collect();
        if alive.is_empty() { Ok(()) } else { Err(format!("still there: {alive:?}")) }
    })
    .await;
}

#[tokio::test]
async fn what_helm_prints_has_a_size_and_is_text() {
    let said = refused_with("while :; do printf '%01000000d' 0; done").await;
    assert!(said.contains("it is more than 32 MiB of text"), "{said}");
    let said = refused_with("printf 'a: \\xff'").await;
    assert!(said.contains("what it makes is not UTF-8"), "{said}");
    let said = refused_with("printf 'a: \\xef\\xb7\\x90'").await;
    assert!(said.contains("noncharacters"), "{said}");
    let said = refused_with("for i in {1..5000}; do echo Error: line $i >&2; done; exit 3").await;
    assert!(said.contains("line 1\n") && said.len() < 3000, "{}", said.len());
    let said = refused_with("exit 3").await;
    assert!(said.contains("`helm` failed (exit status: 3)"), "{said}");
}

/// Of the user's environment nothing is handed over; and nothing is an option that the manifest says.
#[tokio::test]
async fn helm_sees_a_folder_of_its_own_and_no_cluster() {
    let said = refused_with("echo \"arguments: $*\" >&2; export -p >&2; ls \"$HOME\" >&2; exit 1").await;
    let variables: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.split("declare -x ").nth(1)?.split_once('=')).collect();
    let mut names: Vec<&str> = variables.keys().copied().filter(|name| !["OLDPWD", "PWD", "SHLVL", "_"].contains(name)).collect();
    names.sort_unstable();
    let ours = ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_PLUGINS", "HOME", "KUBECONFIG", "TMPDIR"];
    assert_eq!(names, ours, "{said}");
    // The folder's own path is left out of what is told.
    let is_inside = |value: &str| value.starts_with("\"no-") || value.contains("/stratos-helm-");
    assert!(ours.iter().all(|name| is_inside(variables[name])), "{said}");
    let begins = format!("arguments: template --include-crds --skip-tests --namespace=m-fake-{} --values=", std::process::id());
    assert!(said.contains(&begins) && said.contains("-- web chart"), "{said}");
}

/// A repository of charts on this machine. `helm` fetches from it, and gets exactly the version that is named.
#[tokio::test]
async fn a_chart_comes_from_a_repository() {
    let served = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(stratos_test_platforms::helm());
        let output = command.args(arguments).current_dir(served.path()).env("HOME", served.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/shop");
    for version in ["1.2.3", "1.3.0"] {
        run(&["package", &format!("--version={version}"), chart.to_str().unwrap()]);
    }
    run(&["repo", "index", "."]);
    let folder: PathBuf = served.path().to_owned();
    let answer = move |uri: axum::http::Uri| {
        let path = folder.join(uri.path().trim_start_matches('/'));
        async move { std::fs::read(path).map_err(|_| axum::http::StatusCode::NOT_FOUND) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    let part = |version: &str| {
        format!("{{ helm = {{ chart = \"storefront\", repo = \"{url}\", version = \"{version}\", set = {{ image = \"shop:2\" }} }} }}")
    };
    let live = |part: &str| away(Live::new("repo", &[], &format!("platform.kubernetes = {part}\n")));
    assert_eq!(leaf(&live(&part("1.2.3")), WEB, &IMAGE).await, "shop:2");
    let said = refused_by(&live(&part("9.9.9"))).await;
    assert!(said.contains("the chart `storefront` 9.9.9 cannot be fetched: ") && said.contains(&url), "{said}");
    // An archive in the repository itself is as good as a folder.
    let files = [("charts/shop.tgz", served.path().join("storefront-1.2.3.tgz"))];
    let packed = live("{ helm = { chart = \"charts/shop.tgz\" } }");
    for (path, from) in files {
        std::fs::create_dir_all(packed.folder.path().join("charts")).unwrap();
        std::fs::copy(from, packed.folder.path().join(path)).unwrap();
    }
    assert_eq!(leaf(&packed, WEB, &IMAGE).await, "registry.example/shop:1");
    server.abort();
}

#[tokio::test]
async fn a_chart_is_in_a_cartridge() {
    let cartridge = "name = \"front\"\nversion = \"0.1.0\"\ndescription = \"A shop.\"\n\
        [parameters.image]\ntype = \"string\"\ndescription = \"What runs.\"\n";
    let app = "platform.kubernetes.helm = { chart = \"kubernetes/chart\", set = { image = {{ parameters.image | toml }} } }\n";
    let more = [("cartridges/front/cartridge.toml", cartridge), ("cartridges/front/app.toml.j2", app)];
    let files = with(chart("cartridges/front/kubernetes/chart"), &more);
    let live = away(Live::new("cartridge", &files, "cartridge = \"./cartridges/front\"\nparameters.image = \"shop:7\"\n"));
    assert_eq!(leaf(&live, WEB, &IMAGE).await, "shop:7");
}
