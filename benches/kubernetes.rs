//! A plan beside `kubectl diff`, and beside the list requests that it is made of: 100, 1,000 and 10,000 objects that have not
//! changed, in one real cluster, in one run.
//!
//! `cargo bench --bench kubernetes` prints a table and ends with an error where a gate does not hold (docs/performance.md). The
//! objects are those of portable apps: a Deployment, a Service, a ConfigMap and a ServiceAccount of each. Nothing runs: there are
//! no replicas and no node. Requests are counted at the server, each program's in the same way. It is measured once the cluster's
//! controllers have done what follows from the new objects: that takes a processor of its own for some time.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_macros,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use stratos_test_platforms::{Cluster, eventually_within};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Paths of the kinds that an app is made of.
const KINDS: [(&str, &str); 4] =
    [("/apis/apps/v1", "deployments"), ("/api/v1", "services"), ("/api/v1", "configmaps"), ("/api/v1", "serviceaccounts")];
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// The largest size for which kubectl is waited for: it asks for each object by itself.
const LARGEST_OF_KUBECTL: usize = 1_000;
/// As the program asks for.
const PAGE: usize = 500;
/// The best of so many rounds counts, in which a plan and its list requests take turns.
const ROUNDS: usize = 7;
/// A cluster is at rest that writes nothing for so long, and must be so in the end.
const AT_REST: Duration = Duration::from_secs(3);
const AT_REST_WITHIN: Duration = Duration::from_secs(600);
/// Runs the rest of the arguments and prints its processor's time in ms and its peak memory in KiB.
const MEASURE: &str = "--measure";
/// Sends the list requests of a namespace, and drops what is answered.
const LISTS: &str = "--lists";
/// Only what these words name is run: `100`, `1000`, `10000`, `no-kubectl`; `--bench` is cargo's.
const NO_KUBECTL: &str = "no-kubectl";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [MEASURE, ..] => return measure(&arguments[1..]),
        [LISTS, kubeconfig, namespace] => return lists(Path::new(kubeconfig), namespace),
        _ => {}
    }
    let chosen: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let cluster = Cluster::start_api_only();
    println!("| objects | what | time | processor | requests | dry runs | peak memory |\n|---:|---|---:|---:|---:|---:|---:|");
    let mut broken = Vec::new();
    for size in SIZES.into_iter().filter(|size| chosen.is_empty() || chosen.contains(size)) {
        let bench = Bench::new(&cluster, size);
        broken.extend(bench.run(!words.contains(&NO_KUBECTL)));
    }
    assert!(broken.is_empty(), "gates that do not hold: {}", broken.join("; "));
}

struct Bench<'a> {
    cluster: &'a Cluster,
    size: usize,
    folder: tempfile::TempDir,
}

#[derive(Debug, Clone, Copy)]
struct Figures {
    milliseconds: f64,
    /// Of a processor's time.
    busy: f64,
    requests: usize,
    dry_runs: usize,
    /// KiB.
    peak: u64,
}

impl<'a> Bench<'a> {
    fn new(cluster: &'a Cluster, size: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bench = Self { cluster, size, folder };
        std::fs::write(bench.file("stratos.toml"), bench.manifest()).expect("the manifest is written");
        bench
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn namespace(&self) -> String {
        format!("bench-{}", self.size)
    }

    fn manifest(&self) -> String {
        let mut text = format!(
            "[project]\nname = \"bench\"\nid = \"bench{}\"\n[variables]\ntag = \"1.4.2\"\n\
             [environments.prod]\nplatform = \"kubernetes\"\nnamespace = \"{}\"\noptions = {{ kubeconfig = \"{}\" }}\n",
            self.size,
            self.namespace(),
            self.cluster.kubeconfig().display()
        );
        for i in 0..self.size / KINDS.len() {
            text += &format!(
                "[apps.app-{i}]\nimage = \"registry.example.com/app-{i}:{{{{ vars.tag }}}}\"\nreplicas = 0\nports.http = 8080\n\
                 env = {{ LOG_LEVEL = \"info\", NAME = \"app-{i}\", MODE = \"{{{{ env.name }}}}\" }}\n\
                 resources = {{ cpu = \"500m\", memory = \"256MiB\" }}\nhealth = {{ http = \"/healthz\" }}\n\
                 files.\"/etc/app/app.conf\" = {{ content = \"listen = 8080\\nname = app-{i}\\n\" }}\n"
            );
        }
        text
    }

    /// Prints its part of the table, and returns which gates do not hold.
    fn run(&self, with_kubectl: bool) -> Vec<String> {
        self.show("`stratos apply`, first", &self.stratos(&["apply", "--yes", "--no-wait", "--concurrency", "32"]));
        self.rest();
        let this = std::env::current_exe().expect("a path").display().to_string();
        let kubeconfig = self.cluster.kubeconfig().display().to_string();
        let namespace = self.namespace();
        let rounds: Vec<[Figures; 2]> = (0..ROUNDS)
            .map(|_| {
                [
                    self.stratos(&["plan", "--detailed-exitcode"]),
                    self.figures(&[this.as_str(), LISTS, kubeconfig.as_str(), namespace.as_str()]),
                ]
            })
            .collect();
        let best = |which: usize| {
            let figures = rounds.iter().map(|round| round[which]);
            figures.min_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds)).expect("a round")
        };
        let (plan, raw) = (best(0), best(1));
        self.show("`stratos plan`, nothing to do", &plan);
        self.show("its list requests alone", &raw);
        let kubectl = (with_kubectl && self.size <= LARGEST_OF_KUBECTL).then(|| self.kubectl());
        self.judge(&plan, &raw, kubectl)
    }

    /// Waits until the cluster is at rest: every write has a number of its own, which a list tells.
    fn rest(&self) {
        let path = format!("/api/v1/namespaces/{}/configmaps?limit=1", self.namespace());
        let latest = || {
            let list: serde_json::Value = serde_json::from_str(&self.cluster.kubectl(&["get", "--raw", &path])).expect("JSON");
            list["metadata"]["resourceVersion"].as_str().expect("a version").to_owned()
        };
        let (mut last, mut since) = (latest(), Instant::now());
        eventually_within(AT_REST_WITHIN, "the cluster is at rest", || {
            let now = latest();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if since.elapsed() < AT_REST { Err(format!("the cluster still writes: {last}")) } else { Ok(()) }
        });
    }

    /// `kubectl diff` of the same objects, in each way that people call it: the fastest.
    fn kubectl(&self) -> Figures {
        self.write_objects();
        let file = self.file("objects.json").display().to_string();
        let ways: [&[&str]; 4] = [&[], &["--concurrency=16"], &["--server-side"], &["--server-side", "--concurrency=16"]];
        let program = self.cluster.kubectl_program();
        let program: Vec<&str> = program.iter().map(String::as_str).collect();
        let run = |way: &&[&str]| {
            let figures = self.figures(&[&program[..], &["diff", "--filename", file.as_str()], *way].concat());
            self.show(&format!("`kubectl diff {}`, nothing to do", way.join(" ")).replace(" `", "`"), &figures);
            figures
        };
        ways.iter().map(run).min_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds)).expect("a way")
    }

    /// The objects as a person would have them in files: without what the server adds.
    fn write_objects(&self) {
        let kinds = KINDS.map(|(_, plural)| plural).join(",");
        let listed = self.cluster.kubectl(&["get", &kinds, "--namespace", &self.namespace(), "--selector=stratos/app", "--output=json"]);
        let mut list: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        for object in list["items"].as_array_mut().into_iter().flatten() {
            object.as_object_mut().expect("an object").remove("status");
            let metadata = object["metadata"].as_object_mut().expect("metadata");
            metadata.retain(|key, _| ["name", "namespace", "labels", "annotations"].contains(&key.as_str()));
        }
        assert_eq!(list["items"].as_array().map(Vec::len), Some(self.size));
        std::fs::write(self.file("objects.json"), list.to_string()).expect("the objects are written");
    }

    fn judge(&self, plan: &Figures, raw: &Figures, kubectl: Option<Figures>) -> Vec<String> {
        let mut gates = Vec::new();
        // The pages that the server makes of these lists (a last one may be empty), and the record of kinds in use.
        let needed = raw.requests + 1;
        gates.push((format!("{} requests, of {needed} that are needed", plan.requests), plan.requests == needed));
        gates.push((format!("{} dry runs", plan.dry_runs), plan.dry_runs == 0));
        let ratio = plan.milliseconds / raw.milliseconds;
        gates.push((format!("{ratio:.2} times its list requests (gate at 1,000: 2.0)"), self.size != 1_000 || ratio <= 2.0));
        if let Some(kubectl) = kubectl {
            let times = kubectl.milliseconds / plan.milliseconds;
            gates.push((format!("{times:.0} times as fast as kubectl's best (gate at 1,000: 30)"), self.size != 1_000 || times >= 30.0));
        }
        if self.size == 10_000 {
            gates.push((format!("{} MiB (gate: 64)", plan.peak / 1024), plan.peak <= 64 * 1024));
            gates.push((format!("{:.0} ms (gate: 1,500)", plan.milliseconds), plan.milliseconds <= 1_500.0));
        }
        for (what, holds) in &gates {
            println!("{}: {what}: {}", self.size, if *holds { "holds" } else { "DOES NOT HOLD" });
        }
        gates.into_iter().filter(|(_, holds)| !holds).map(|(what, _)| format!("{}: {what}", self.size)).collect()
    }

    fn show(&self, name: &str, figures: &Figures) {
        let Figures { milliseconds, busy, requests, dry_runs, peak } = figures;
        println!("| {} | {name} | {milliseconds:.0} ms | {busy:.0} ms | {requests} | {dry_runs} | {} MiB |", self.size, peak / 1024);
    }

    fn stratos(&self, arguments: &[&str]) -> Figures {
        let place = self.folder.path().display().to_string();
        self.figures(&[&[env!("CARGO_BIN_EXE_stratos"), "-C", &place, "--quiet"], arguments].concat())
    }

    /// Runs a command below another process of this program, which can tell what it took.
    fn figures(&self, command: &[&str]) -> Figures {
        let mark = self.cluster.mark();
        let begun = Instant::now();
        let output = Command::new(std::env::current_exe().expect("a path"))
            .arg(MEASURE)
            .args(command)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("the benchmark can run itself");
        let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr));
        let numbers: Vec<u64> = said.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        let requests = self.cluster.requests_since(mark);
        let dry_runs = requests.iter().filter(|request| request.dry_run).count();
        Figures { milliseconds, busy: numbers[0] as f64, requests: requests.len(), dry_runs, peak: numbers[1] }
    }
}

fn measure(command: &[String]) {
    let status = Command::new(&command[0]).args(&command[1..]).stdout(Stdio::null()).status().expect("the command starts");
    assert!(status.success(), "{status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("its usage");
    println!("{} {}", usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds(), usage.max_rss());
}

/// The requests of a plan, by the client that makes them there: all kinds at once, the pages of each one after another.
fn lists(kubeconfig: &Path, namespace: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        rustls::crypto::aws_lc_rs::default_provider().install_default().expect("the first one");
        let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.expect("a cluster");
        let client = kube::Client::try_from(config).expect("a client");
        let project = namespace.replace('-', "");
        let selector = format!("stratos%2Fproject%3D{project}%2Cstratos%2Fenvironment%3Dprod");
        let (client, selector) = (&client, &selector);
        join_all(KINDS.map(async |(root, plural)| {
            let mut from = String::new();
            loop {
                let path = format!("{root}/namespaces/{namespace}/{plural}?labelSelector={selector}&limit={PAGE}{from}");
                let answer = client.send(http::Request::get(path).body(Body::empty()).expect("a request")).await.expect("an answer");
                assert!(answer.status().is_success(), "{}", answer.status());
                let body = answer.into_body().collect_bytes().await.expect("a body");
                // It stands near the beginning, before the objects.
                let head = String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned();
                let Some((_, place)) = head.split_once("\"continue\":\"") else { break };
                from = format!("&continue={}", place.split('"').next().unwrap_or_default());
            }
        }))
        .await;
    });
}
