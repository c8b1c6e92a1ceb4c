//! How the engine grows: manifests of 100, 1,000 and 10,000 resources, unchanged, on the platform in memory.
//!
//! `cargo bench --package stratos-engine --features contract --bench scale` prints a table. Each size runs in a process of its own, so that its peak memory is its own;
//! where valgrind is installed instructions are counted too, which no load of the machine changes. What is
//! compared are ratios within one run: ten times the resources should cost ten times as much.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_macros,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Instant;

use stratos_engine::apply::{ApplyOptions, Quiet, RunVerdict};
use stratos_engine::compare::{Differences, compare};
use stratos_engine::deploy::{self, Connector, Policy, Request};
use stratos_engine::desired::desired;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::manifest::Manifest;
use stratos_engine::observe::observe;
use stratos_engine::platform::memory::{MemoryConnector, World};
use stratos_engine::platform::{ObservedResource, Scope};
use stratos_engine::render::secret::Secrets;
use stratos_engine::render::{VariableInputs, render};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [100, 1_000, 10_000];
fn manifest_text(apps: usize) -> String {
    let mut text = String::from("[project]\nname = \"bench\"\n[variables]\ntag = \"1.4.2\"\n[environments.dev]\nplatform = \"local\"\n");
    for i in 0..apps {
        text += &format!(
            "[apps.app-{i}]\nimage = \"registry.example.com/app-{i}:{{{{ vars.tag }}}}\"\nreplicas = 3\n\
             ports.http = 8080\nenv = {{ LOG_LEVEL = \"info\", NAME = \"app-{i}\", MODE = \"{{{{ env.name }}}}\" }}\n\
             resources = {{ cpu = \"500m\", memory = \"256MiB\" }}\nhealth = {{ http = \"/healthz\" }}\n"
        );
    }
    text
}

/// So many runs are made of what is measured.
const RUNS: usize = 5;

/// Milliseconds of the fastest of several runs.
fn fastest<T>(mut run: impl FnMut() -> T) -> (T, f64) {
    let mut best = f64::INFINITY;
    let mut last = None;
    for _ in 0..RUNS {
        let start = Instant::now();
        last = Some(run());
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    (last.expect("it ran"), best)
}

struct Bench {
    manifest: Manifest,
    variables: VariableInputs,
    secrets: Secrets,
    connector: MemoryConnector,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new(apps: usize) -> Self {
        Self {
            manifest: Manifest::parse(&manifest_text(apps)).expect("a valid manifest"),
            variables: VariableInputs::default(),
            secrets: Secrets::default(),
            connector: MemoryConnector::new(World::new()),
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
        }
    }

    fn plan(&self) -> stratos_engine::plan::Plan {
        let request = Request {
            manifest: &self.manifest,
            variables: &self.variables,
            secrets: &self.secrets,
            history: None,
            registry: None,
            refresh_images: false,
            environments: BTreeSet::new(),
            apps: BTreeSet::new(),
            policy: Policy::default(),
        };
        self.runtime.block_on(deploy::plan(&request, &self.connector)).expect("a plan")
    }

    fn apply(&self) {
        let plan = self.plan();
        let options = ApplyOptions::default();
        let applied = self.runtime.block_on(deploy::apply(&plan, &self.secrets, &self.connector, &options, &Quiet));
        assert_eq!(applied.expect("an apply").verdict(), RunVerdict::Success);
        assert!(self.plan().is_empty(), "a plan right after an apply is empty");
    }
}

/// The two sides of a comparison that finds nothing.
struct Sides {
    desired: Vec<Resource>,
    observed: BTreeMap<ResourceId, Box<ObservedResource>>,
}

impl Sides {
    /// Of what was applied.
    fn of(bench: &Bench) -> Self {
        let (name, settings) = bench.manifest.environments.first().expect("an environment");
        let mut rendered = render(&bench.manifest, name, &bench.variables).expect("it renders");
        bench.runtime.block_on(async {
            let platform = bench.connector.connect(&bench.manifest.project, name, settings).await.expect("a platform");
            let desired = desired(&mut rendered, &bench.manifest, &*platform, &BTreeSet::new()).expect("it translates");
            let scope = Scope { owner: desired.owner, apps: None };
            let observed = observe(&*platform, &scope, &BTreeMap::new()).await.expect("it is read");
            Self { desired: desired.resources, observed: observed.resources }
        })
    }

    fn compare(self) -> Differences {
        let out = compare(self.desired, &self.observed);
        assert!(out.differences.is_empty(), "a comparison right after an apply finds nothing");
        out
    }
}

/// Measures one size, in this process.
fn measure(resources: usize) {
    let text = manifest_text(resources);
    let (_, load) = fastest(|| Manifest::parse(&text).expect("a valid manifest"));
    let bench = Bench::new(resources);
    let dev = Name::new("dev").expect("a valid name");
    let (_, rendered) = fastest(|| render(&bench.manifest, &dev, &bench.variables).expect("it renders"));
    let start = Instant::now();
    bench.apply();
    let apply = start.elapsed().as_secs_f64() * 1e3;
    let before = peak_memory();
    let (plan, planned) = fastest(|| bench.plan());
    let peak = peak_memory();
    let mut sides: Vec<Sides> = (0..RUNS).map(|_| Sides::of(&bench)).collect();
    let (_, compared) = fastest(|| sides.pop().expect("one for each run").compare());
    println!("{resources} {load} {rendered} {planned} {compared} {apply} {} {before} {peak}", plan.coverage.requests);
}

/// So many steps of a user's day, for counting instructions of the last one: a first plan; its apply, with the plan after
/// it; another plan; the reading of both sides of a comparison; the comparison.
fn count(resources: usize, steps: u32) {
    let bench = Bench::new(resources);
    match steps {
        1 => assert!(!bench.plan().is_empty()),
        _ => bench.apply(),
    }
    if steps > 2 {
        assert!(bench.plan().is_empty());
    }
    let sides = (steps > 3).then(|| Sides::of(&bench));
    if steps > 4 {
        sides.map(Sides::compare);
    }
}

/// The peak of this process's memory in KiB, where the system tells.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn own(arguments: &[&str]) -> String {
    let output = Command::new(std::env::current_exe().expect("this program")).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What was counted of one size.
struct Instructions {
    /// A plan that finds nothing.
    plan: u64,
    /// The comparison in it.
    compare: u64,
    /// A first apply.
    apply: u64,
}

/// Counts; None without valgrind.
fn instructions(resources: usize) -> Option<Instructions> {
    let program = std::env::current_exe().ok()?;
    let run = |steps: u32| {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&program).args([
            "count",
            &resources.to_string(),
            &steps.to_string(),
        ]);
        let output = valgrind.output().ok()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find_map(|line| line.split("Collected : ").nth(1).map(str::to_owned))?;
        line.trim().parse::<u64>().ok()
    };
    let (first, applied, again, read, compared) = (run(1)?, run(2)?, run(3)?, run(4)?, run(5)?);
    let plan = again.saturating_sub(applied);
    let apply = applied.saturating_sub(first).saturating_sub(plan);
    Some(Instructions { plan, compare: compared.saturating_sub(read), apply })
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["measure", size] => measure(size.parse().expect("a size")),
        ["count", size, steps] => count(size.parse().expect("a size"), steps.parse().expect("a number of steps")),
        _ => table(),
    }
}

fn table() {
    println!(
        "{:>10} {:>10} {:>10} {:>10} {:>10} {:>12} {:>9} {:>12}",
        "resources", "load ms", "render ms", "plan ms", "compare ms", "first apply", "requests", "peak MiB"
    );
    let mut rows = Vec::new();
    for size in SIZES {
        let line = own(&["measure", &size.to_string()]);
        let row: Vec<f64> = line.split_whitespace().map(|field| field.parse().expect("a number")).collect();
        println!(
            "{:>10} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>12.1} {:>9} {:>12.1}",
            row[0],
            row[1],
            row[2],
            row[3],
            row[4],
            row[5],
            row[6],
            row[8] / 1024.0
        );
        rows.push(row);
    }
    for pair in rows.windows(2) {
        let growth: Vec<String> = [1, 2, 3, 4].iter().map(|i| format!("{:.1}", pair[1][*i] / pair[0][*i])).collect();
        println!(
            "{:>5} times the resources: load, render, plan and compare take {} times as long",
            pair[1][0] / pair[0][0],
            growth.join(", ")
        );
    }
    for size in SIZES {
        match instructions(size) {
            Some(Instructions { plan, compare, apply }) => {
                let [plan, compare, apply] = [plan, compare, apply].map(|count| count as f64 / size as f64 / 1e3);
                println!(
                    "{size} resources: {plan:.1} thousand instructions each in a plan, {compare:.1} of them in the comparison, \
                     {apply:.1} in a first apply"
                );
            }
            None => return println!("instructions are not counted: valgrind is not installed"),
        }
    }
}
