//! What a plan takes from outside of the manifest and the platform: the registry, the history, and the selection.

mod left_behind;
mod previews;
mod secrets;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Connector, History, PlanError, Policy, Registry, Request, Unanswered, apply, plan};
use crate::apply::{ApplyOptions, Quiet, RunVerdict};
use crate::desired::document::{Image, Leaf};
use crate::desired::name::Name;
use crate::desired::owner::Owner;
use crate::manifest::Manifest;
use crate::manifest::schema::{Environment, PlatformKind, Project};
use crate::plan::Plan;
use crate::plan::change::{Action, Reason};
use crate::platform::memory::{Call, Effect, Fault, MemoryConnector, When, World};
use crate::platform::{Field, Platform, PlatformError, PlatformErrorKind, Support};
use crate::render::VariableInputs;
use crate::render::secret::Secrets;

/// A registry in which every tag has this digest, and which remembers what it was asked.
struct Tags {
    digest: &'static str,
    asked: Mutex<Vec<String>>,
}

impl Tags {
    fn new(digest: &'static str) -> Self {
        Self { digest, asked: Mutex::default() }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Registry for Tags {
    async fn digest(&self, reference: &str) -> Result<String, Unanswered> {
        self.asked.lock().unwrap().push(reference.to_owned());
        Ok(self.digest.to_owned())
    }
}

/// A registry that does not answer.
struct Down;

#[async_trait]
impl Registry for Down {
    async fn digest(&self, _: &str) -> Result<String, Unanswered> {
        Err(Unanswered("docker.io cannot be reached".into()))
    }
}

/// A history in which the manifest was this before.
struct Before(String);

impl History for Before {
    fn revision(&self) -> Option<String> {
        None
    }
    fn is_older_than(&self, _: &str) -> Option<bool> {
        None
    }
    fn earlier_manifests(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// Reaches no environment: whatever is written there is refused, or the build lacks its platform.
struct Nowhere {
    reaches: bool,
}

#[async_trait]
impl Connector for Nowhere {
    fn reaches(&self, _: PlatformKind) -> bool {
        self.reaches
    }

    async fn connect(&self, _: &Project, _: &Name, _: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        Err(PlatformError::new(PlatformErrorKind::Rejected, "connecting", "there is no such context"))
    }
}

struct Bench {
    connector: MemoryConnector,
    secrets: Secrets,
    variables: VariableInputs,
}

impl Bench {
    fn new() -> Self {
        Self { connector: MemoryConnector::new(World::new()), secrets: Secrets::default(), variables: VariableInputs::default() }
    }

    fn request<'a>(&'a self, manifest: &'a Manifest) -> Request<'a> {
        Request {
            manifest,
            variables: &self.variables,
            secrets: &self.secrets,
            history: None,
            registry: None,
            refresh_images: false,
            environments: BTreeSet::new(),
            apps: BTreeSet::new(),
            policy: Policy::default(),
        }
    }

    async fn plan<'a>(&'a self, manifest: &'a Manifest, more: impl FnOnce(Request<'a>) -> Request<'a>) -> Result<Plan, PlanError> {
        plan(&more(self.request(manifest)), &self.connector).await
    }

    async fn apply(&self, plan: &Plan) {
        let applied = apply(plan, &self.secrets, &self.connector, &ApplyOptions::default(), &Quiet).await.unwrap();
        assert_eq!(applied.verdict(), RunVerdict::Success, "{applied:?}");
    }
}

fn manifest(environment: &str, apps: &str) -> Manifest {
    Manifest::parse(&text(environment, apps)).unwrap()
}

fn text(environment: &str, apps: &str) -> String {
    format!("[project]\nname = \"shop\"\n{environment}\n{apps}")
}

const DEV: &str = "[environments.dev]\nplatform = \"local\"";

fn web(tag: &str, replicas: u32) -> Manifest {
    manifest(DEV, &format!("[apps.web]\nimage = \"web:{tag}\"\nreplicas = {replicas}\n"))
}

fn images(plan: &Plan) -> Vec<Image> {
    let leaves = plan.changes.iter().filter_map(|change| change.desired.as_ref()).flat_map(|desired| desired.document.leaves());
    leaves.filter_map(|(_, leaf)| if let Leaf::Image(image) = leaf { Some((**image).clone()) } else { None }).collect()
}

#[tokio::test(start_paused = true)]
async fn a_registry_is_asked_for_what_is_new_and_for_nothing_else() {
    let bench = Bench::new();
    let tags = Tags::new("sha256:aa");
    let (one, scaled, two) = (web("1", 1), web("1", 2), web("2", 2));

    let created = bench.plan(&one, |r| Request { registry: Some(&tags), ..r }).await.unwrap();
    assert_eq!(images(&created), [Image::parse("web:1@sha256:aa")]);
    assert_eq!(tags.asked(), ["web:1"]);
    bench.apply(&created).await;

    assert!(bench.plan(&one, |r| Request { registry: Some(&tags), ..r }).await.unwrap().is_empty());
    assert_eq!(tags.asked(), [""; 0], "a tag that is live is not asked for");

    let moved = Tags::new("sha256:bb");
    let scale = bench.plan(&scaled, |r| Request { registry: Some(&moved), ..r }).await.unwrap();
    assert_eq!(images(&scale), [Image::parse("web:1@sha256:aa")], "the live digest is kept while the tag is the same");
    assert_eq!(moved.asked(), [""; 0]);
    bench.apply(&scale).await;

    let refreshed = bench.plan(&scaled, |r| Request { registry: Some(&moved), refresh_images: true, ..r }).await.unwrap();
    assert_eq!(images(&refreshed), [Image::parse("web:1@sha256:bb")], "--refresh-images sees that the tag moved");
    bench.apply(&refreshed).await;

    let next = bench.plan(&two, |r| Request { registry: Some(&tags), ..r }).await.unwrap();
    assert_eq!(images(&next), [Image::parse("web:2@sha256:aa")]);
    bench.apply(&next).await;
    assert!(bench.plan(&two, |r| Request { registry: Some(&tags), refresh_images: true, ..r }).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_does_not_answer_holds_nothing_up_and_is_named_once() {
    let bench = Bench::new();
    let many: String = ["a", "b", "c", "d"].iter().map(|app| format!("[apps.{app}]\nimage = \"{app}:1\"\n")).collect();
    let plan = bench.plan(&manifest(DEV, &many), |r| Request { registry: Some(&Down), refresh_images: true, ..r }).await.unwrap();
    assert_eq!(plan.coverage.degraded, ["images a:1, b:1 and 2 more: not pinned: docker.io cannot be reached"]);
    assert!(images(&plan).iter().all(|image| image.digest.is_none()), "{plan:?}");

    let (one, tags) = (web("1", 1), Tags::new("sha256:aa"));
    let pinned = bench.plan(&one, |r| Request { registry: Some(&tags), ..r }).await.unwrap();
    assert_eq!(pinned.coverage.degraded, [""; 0]);
    bench.apply(&pinned).await;
    let kept = bench.plan(&one, |r| Request { registry: Some(&Down), refresh_images: true, ..r }).await.unwrap();
    assert!(kept.is_empty(), "{kept:?}");
    assert_eq!(kept.coverage.degraded, ["image web:1: not refreshed: docker.io cannot be reached"]);
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_holds_something_is_not_left_behind_unseen() {
    let bench = Bench::new();
    let (here, there) = (format!("{DEV}\nurl = \"here\""), format!("{DEV}\nurl = \"there\""));
    let app = "[apps.web]\nimage = \"web:1\"\n";
    let before = Before(text(&here, app));
    let moved = manifest(&there, app);
    let renamed = Manifest::parse(&text(&here, app).replace("name = \"shop\"", "name = \"shop\"\nid = \"k3v9q2xw\"")).unwrap();
    let gone = manifest("[environments.other]\nplatform = \"local\"", app);

    // Nothing is there yet.
    bench.plan(&moved, |r| Request { history: Some(&before), ..r }).await.unwrap();

    let stayed = manifest(&here, app);
    let created = bench.plan(&stayed, |r| r).await.unwrap();
    bench.apply(&created).await;
    for manifest in [&moved, &gone, &renamed] {
        let refused = bench.plan(manifest, |r| Request { history: Some(&before), ..r }).await.unwrap_err();
        assert!(matches!(&refused, PlanError::Abandoned { environment, .. } if environment.as_str() == "dev"), "{refused}");
        let agreed = Policy { abandon: true, ..Policy::default() };
        bench.plan(manifest, |r| Request { history: Some(&before), policy: agreed, ..r }).await.unwrap();
    }
    assert!(bench.plan(&stayed, |r| Request { history: Some(&before), ..r }).await.unwrap().is_empty());
}

/// What an environment holds, with the name of the environment and without what else a write moves.
fn owners(world: &World, place: &str, keys: &[&str]) -> Vec<String> {
    let read = |key: &&str| -> serde_json::Value {
        serde_json::from_str(&world.describe(place, &key.parse().unwrap()).unwrap_or_else(|| panic!("{key} is gone"))).unwrap()
    };
    keys.iter().map(read).map(|object| format!("{} {}", object["uid"], object["marks"]["owner"])).collect()
}

#[tokio::test(start_paused = true)]
async fn a_renamed_environment_goes_on_with_what_it_holds() {
    let world = World::new();
    let bench = Bench { connector: MemoryConnector::new(world.clone()), ..Bench::new() };
    let apps = "[apps.cache]\nimage = \"cache:1\"\nports.tcp = 1\nprotect = true\n[apps.web]\nimage = \"web:1\"\nbind.cache = {}\n\
                volumes.data = { path = \"/data\" }\n";
    let environment = |name: &str| format!("[environments.{name}]\nplatform = \"local\"\nurl = \"here\"");
    let moved = "[[moved]]\nfrom = \"environments.live\"\nto = \"environments.prod\"\n";
    let before = text(&environment("live"), apps);
    let now = manifest(&environment("prod"), &format!("{apps}{moved}"));
    bench.apply(&bench.plan(&Manifest::parse(&before).unwrap(), |r| r).await.unwrap()).await;
    let keys = ["service/shop-cache", "service/shop-web", "volume/shop-web-data"];
    let was = owners(&world, "here", &keys);

    // The manifest's history is no reason to refuse: what it held is not left behind.
    let history = Before(before.clone());
    let plan = bench.plan(&now, |r| Request { history: Some(&history), ..r }).await.unwrap();
    let done: Vec<_> = plan.changes.iter().map(|change| (change.action, &change.reason, change.differences.len())).collect();
    assert_eq!(done, [(Action::Update, &Reason::Moved, 1); 3], "only whose it is differs: {plan:?}");
    assert!(plan.held.is_empty(), "{:?}", plan.held);

    // Nobody writes to it meanwhile, under either name.
    let owner = |environment| Owner { project: "shop".into(), environment: Name::new(environment).unwrap() };
    let old = Manifest::parse(&before).unwrap();
    for (name, manifest) in [("live", &old), ("prod", &now)] {
        let settings = manifest.environments.values().next().unwrap();
        let platform = bench.connector.connect(&manifest.project, &Name::new(name).unwrap(), settings).await.unwrap();
        let _lease = platform.lease(&owner(name), "another").await.unwrap();
        let refused = apply(&plan, &bench.secrets, &bench.connector, &ApplyOptions::default(), &Quiet).await.unwrap_err();
        assert!(refused.to_string().contains("another"), "{refused}");
    }

    bench.apply(&plan).await;
    let is = owners(&world, "here", &keys);
    assert_eq!(is, was.iter().map(|line| line.replace("shop/live", "shop/prod")).collect::<Vec<_>>(), "the same objects, of another owner");
    bench.apply(&plan).await; // Carried out twice, it is done once.
    let after = manifest(&environment("prod"), apps);
    for manifest in [&now, &after] {
        let plan = bench.plan(manifest, |r| Request { history: Some(&history), ..r }).await;
        // Without the entry, the history alone says that there was another environment: nothing of it is left.
        assert!(plan.unwrap().is_empty());
    }
}

/// Killed at any write, and run again: the end is the same.
#[tokio::test(start_paused = true)]
async fn the_rename_of_an_environment_may_be_interrupted_anywhere() {
    let apps = "[apps.cache]\nimage = \"cache:1\"\nprotect = true\n[apps.web]\nimage = \"web:1\"\nvolumes.data = { path = \"/data\" }\n";
    let environment = |name: &str| format!("[environments.{name}]\nplatform = \"local\"\nurl = \"here\"");
    let before = manifest(&environment("live"), apps);
    let moved = "[[moved]]\nfrom = \"environments.live\"\nto = \"environments.prod\"\n";
    let now = manifest(&environment("prod"), &format!("{apps}{moved}"));
    let keys = ["service/shop-cache", "service/shop-web", "volume/shop-web-data"];
    for (when, at) in [When::Before, When::After].into_iter().flat_map(|when| (0..keys.len()).map(move |at| (when, at))) {
        let world = World::new();
        let bench = Bench { connector: MemoryConnector::new(world.clone()), ..Bench::new() };
        bench.apply(&bench.plan(&before, |r| r).await.unwrap()).await;
        let was = owners(&world, "here", &keys);
        let plan = bench.plan(&now, |r| r).await.unwrap();
        world.fault(Fault { call: Some(Call::Apply), index: at, when, effect: Effect::Crash });
        let options = ApplyOptions::default();
        tokio::select! {
            applied = apply(&plan, &bench.secrets, &bench.connector, &options, &Quiet) => panic!("it was not killed: {applied:?}"),
            () = world.crashed().notified() => {}
        }
        // Its lease ends by itself; time is paused.
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        bench.apply(&bench.plan(&now, |r| r).await.unwrap()).await;
        let is = owners(&world, "here", &keys);
        assert_eq!(is, was.iter().map(|line| line.replace("shop/live", "shop/prod")).collect::<Vec<_>>(), "killed {when:?} write {at}");
        assert!(bench.plan(&now, |r| r).await.unwrap().is_empty());
    }
}

/// Where a name is a place, what is at the earlier one would be left behind.
#[tokio::test(start_paused = true)]
async fn an_environment_whose_name_is_its_place_is_not_renamed_over_what_it_holds() {
    let bench = Bench::new();
    let app = "[apps.web]\nimage = \"web:1\"\n";
    let moved = "[[moved]]\nfrom = \"environments.dev\"\nto = \"environments.test\"\n";
    let (before, now) = (manifest(DEV, app), manifest("[environments.test]\nplatform = \"local\"", &format!("{app}{moved}")));
    assert!(!bench.plan(&now, |r| r).await.unwrap().is_empty(), "nothing is there yet");
    bench.apply(&bench.plan(&before, |r| r).await.unwrap()).await;
    let refused = bench.plan(&now, |r| r).await.unwrap_err();
    assert!(matches!(&refused, PlanError::NotRenamed { before, resources: 1, .. } if before.as_str() == "dev"), "{refused}");
    let agreed = Policy { abandon: true, ..Policy::default() };
    let anew = bench.plan(&now, |r| Request { policy: agreed, ..r }).await.unwrap();
    assert!(matches!(anew.changes.as_slice(), [change] if change.action == Action::Create), "{anew:?}");
}

/// An app and a volume of it are renamed: in one step, or the app first; however the volume's entry is written.
#[tokio::test(start_paused = true)]
async fn a_volume_is_found_through_the_renames_of_its_app_and_of_itself() {
    let app = |name: &str, volume: &str| format!("[apps.{name}]\nimage = \"db:1\"\nvolumes.{volume} = {{ path = \"/data\" }}\n");
    let moved = |from: &str, to: &str| format!("[[moved]]\nfrom = \"apps.{from}\"\nto = \"apps.{to}\"\n");
    let of_app = moved("store", "db");
    let before = manifest(DEV, &app("store", "data"));
    let half = manifest(DEV, &format!("{}{of_app}", app("db", "data")));
    for volume_is_from in ["db.volumes.data", "store.volumes.data"] {
        let both = manifest(DEV, &format!("{}{of_app}{}", app("db", "files"), moved(volume_is_from, "db.volumes.files")));
        for steps in [vec![&before, &both], vec![&before, &half, &both], vec![&both]] {
            let world = World::new();
            let bench = Bench { connector: MemoryConnector::new(world.clone()), ..Bench::new() };
            let mut was = None;
            for step in &steps {
                let plan = bench.plan(step, |r| r).await.unwrap();
                assert!(plan.held.is_empty(), "no data stays behind: {plan:?}");
                bench.apply(&plan).await;
                was = was.or_else(|| world.describe("dev", &"volume/shop-store-data".parse().unwrap()));
                assert!(bench.plan(step, |r| r).await.unwrap().is_empty());
            }
            let is = world.describe("dev", &"volume/shop-db-files".parse().unwrap()).expect("it is there under its new name");
            let uid = |object: &str| serde_json::from_str::<serde_json::Value>(object).unwrap()["uid"].clone();
            assert!(was.is_none_or(|was| uid(&was) == uid(&is)), "it is the same volume");
        }
    }
}

/// A place that cannot be looked at may hold something; only a platform that this build never had holds nothing of it.
#[tokio::test(start_paused = true)]
async fn a_place_that_cannot_be_looked_at_is_not_left_behind_unseen() {
    let bench = Bench::new();
    let emptied = manifest("", "");
    let before = Before(text(DEV, ""));
    let request = bench.request(&emptied);
    let request = Request { history: Some(&before), ..request };
    let error = plan(&request, &Nowhere { reaches: true }).await.unwrap_err();
    assert!(matches!(&error, PlanError::Platform { environment, .. } if environment.as_str() == "dev"), "{error}");
    let error = plan(&request, &Nowhere { reaches: false }).await;
    assert!(!matches!(error, Err(PlanError::Platform { .. })), "{error:?}");
}

/// A cartridge's field that a platform does not have is one mistake, at the line that names the cartridge.
#[tokio::test(start_paused = true)]
async fn a_mistake_is_told_once_with_the_environments_that_it_is_in() {
    let world = World::new();
    world.set_support(Field::HealthTcp, Support::Unsupported("nobody knocks at ports"));
    let bench = Bench { connector: MemoryConnector::new(world), ..Bench::new() };
    let environments = "[environments.dev]\nplatform = \"local\"\n[environments.test]\nplatform = \"local\"\n";
    let cache = "[apps.cache]\ncartridge = \"redis\"\nparameters.password = \"{{ secrets.cache_password }}\"\n";
    let secrets = "[secrets]\ncache_password = { env = \"CACHE_PASSWORD\" }\n";
    let told = async |apps: &str| match bench.plan(&manifest(environments, &format!("{apps}{secrets}")), |r| r).await {
        Err(PlanError::Manifest(report)) => report.to_string(),
        other => panic!("{other:?}"),
    };
    let line = |text: &str, wanted: &str| text.lines().position(|line| line.starts_with(wanted)).unwrap() + 1;
    let at = line(&text(environments, cache), "cartridge");
    let everywhere = told(cache).await;
    assert_eq!(everywhere.lines().count(), 1, "{everywhere}");
    assert!(everywhere.starts_with(&format!("stratos.toml:{at}:13: cache: health.tcp cannot be honoured on local")), "{everywhere}");
    let in_one = told(&format!("{cache}environments = [\"test\"]\n")).await;
    assert!(in_one.starts_with(&format!("stratos.toml:{at}:13: in test: cache: health.tcp")), "{in_one}");
}

/// The app that it is bound to is read for its address. It is ours, and out of scope: not for this plan to delete.
#[tokio::test(start_paused = true)]
async fn what_is_read_for_an_app_beside_it_is_not_pruned() {
    let bench = Bench::new();
    let both = manifest(DEV, "[apps.cache]\nimage = \"cache:1\"\nports.tcp = 6379\n[apps.web]\nimage = \"web:1\"\nbind.cache = {}\n");
    let created = bench.plan(&both, |r| r).await.unwrap();
    bench.apply(&created).await;
    let web_alone = bench.plan(&both, |r| Request { apps: BTreeSet::from([Name::new("web").unwrap()]), ..r }).await.unwrap();
    assert!(web_alone.is_empty() && web_alone.held.is_empty(), "{web_alone:?}");
    assert_eq!(web_alone.coverage.left_out, [Name::new("cache").unwrap()]);
    assert!(bench.plan(&both, |r| r).await.unwrap().is_empty());
}

/// A misspelt name is no app of which nothing is to be done; one that is still live, was renamed or is to be destroyed is known.
#[tokio::test(start_paused = true)]
async fn an_app_that_is_neither_declared_nor_live_is_refused() {
    let bench = Bench::new();
    let both = manifest(DEV, "[apps.cache]\nimage = \"cache:1\"\n[apps.web]\nimage = \"web:1\"\n");
    let moved = "[[moved]]\nfrom = \"apps.store\"\nto = \"apps.web\"\n";
    let web = manifest(DEV, &format!("[apps.web]\nimage = \"web:1\"\n{moved}"));
    let only = |name: &str| BTreeSet::from([Name::new(name).unwrap()]);
    bench.apply(&bench.plan(&both, |r| r).await.unwrap()).await;

    let refused = bench.plan(&web, |r| Request { apps: only("wbe"), ..r }).await.unwrap_err();
    assert_eq!(refused.to_string(), "the manifest has no app \"wbe\", and nothing of that name runs; it has: web");
    let live = bench.plan(&web, |r| Request { apps: only("cache"), ..r }).await.unwrap();
    assert!(matches!(live.changes.as_slice(), [change] if change.action == Action::Delete), "{live:?}");
    bench.plan(&web, |r| Request { apps: only("store"), ..r }).await.unwrap();
    let gone = Policy { destroy: true, ..Policy::default() };
    assert!(bench.plan(&web, |r| Request { apps: only("wbe"), policy: gone, ..r }).await.unwrap().is_empty());
}

/// A server plans on whatever thread is free.
#[test]
fn a_plan_can_be_made_on_any_thread() {
    fn sent<T: Send>(_: T) {}
    let (bench, manifest) = (Bench::new(), manifest(DEV, ""));
    sent(plan(&bench.request(&manifest), &bench.connector));
}

/// The plan says so: who carries it out does what was agreed to. Other platforms know nothing of it.
#[tokio::test(start_paused = true)]
async fn a_plan_keeps_that_fields_are_taken_over() {
    let bench = Bench::new();
    let environments = "[environments.dev]\nplatform = \"local\"\n[environments.k8s]\nplatform = \"kubernetes\"\noptions.context = \"k\"";
    let manifest = manifest(environments, "[apps.web]\nimage = \"web:1\"\n");
    let options = |plan: Plan| {
        let each = plan.based_on.environments.into_iter();
        each.map(|(name, settings)| (name.to_string(), settings.options.into_keys().collect::<Vec<_>>())).collect::<Vec<_>>()
    };
    let of = |k8s: &[&str]| vec![("dev".to_owned(), vec![]), ("k8s".to_owned(), k8s.iter().map(|key| (*key).to_owned()).collect())];
    assert_eq!(options(bench.plan(&manifest, |r| r).await.unwrap()), of(&["context"]));
    let agreed = Policy { force_conflicts: true, ..Policy::default() };
    assert_eq!(options(bench.plan(&manifest, |r| Request { policy: agreed, ..r }).await.unwrap()), of(&["context", "force_conflicts"]));
}

/// What could not be read may be the app that was asked for.
#[tokio::test(start_paused = true)]
async fn an_app_that_could_be_in_a_gap_is_not_refused() {
    let world = World::new();
    let bench = Bench { connector: MemoryConnector::new(world.clone()), ..Bench::new() };
    let web = web("1", 1);
    let only = || BTreeSet::from([Name::new("store").unwrap()]);
    bench.plan(&web, |r| Request { apps: only(), ..r }).await.unwrap_err();
    world.hide("dev", Some("service"), None, "this account may not list services");
    let plan = bench.plan(&web, |r| Request { apps: only(), ..r }).await.unwrap();
    assert!(plan.is_empty() && plan.coverage.gaps.len() == 1, "{plan:?}");
}

/// A history that knows one thing: whether our revision is older than what is live.
struct At(&'static str, Option<bool>);

impl History for At {
    fn revision(&self) -> Option<String> {
        Some(self.0.to_owned())
    }
    fn is_older_than(&self, _: &str) -> Option<bool> {
        self.1
    }
}

/// Only what is known to be older is refused; a history that was cut off holds nobody up, and destroying needs no new manifest.
#[tokio::test(start_paused = true)]
async fn what_is_known_to_be_older_is_refused_and_nothing_else() {
    let bench = Bench::new();
    let web = manifest(DEV, "[apps.web]\nimage = \"web:1\"\n");
    let newer = At("r2", Some(false));
    bench.apply(&bench.plan(&web, |r| Request { history: Some(&newer), ..r }).await.unwrap()).await;
    let (older, unknown) = (At("r1", Some(true)), At("r1", None));
    let refused = bench.plan(&web, |r| Request { history: Some(&older), ..r }).await.unwrap_err();
    assert!(matches!(&refused, PlanError::Older { live, .. } if live == "r2"), "{refused}");
    bench.plan(&web, |r| Request { history: Some(&unknown), ..r }).await.unwrap();
    let destroy = Policy { destroy: true, ..Policy::default() };
    let plan = bench.plan(&web, |r| Request { history: Some(&older), policy: destroy, ..r }).await.unwrap();
    assert_eq!(plan.changes.len(), 1);
}
