//! The difference that is made here, against the one that the server makes: thousands of pairs of objects, each before and
//! after a change that may be none.
//!
//! The truth is what the server itself would store: the object before is applied by hand in a namespace beside, and a dry run of
//! the object after says whether it would be another one. What differs only in how it is spelled is no other one.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::StreamExt as _;
use serde_json::Value;
use stratos_engine::compare::Difference;
use stratos_engine::deploy::Policy;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::resource::{Resource, ResourceId};
use stratos_engine::health::Health;
use stratos_engine::manifest::diagnostic::Diagnostic;
use stratos_engine::manifest::schema::App;
use stratos_engine::plan::Plan;
use stratos_engine::plan::change::Change;
use stratos_engine::platform::{
    Address, ApplyContext, Field, Lease, NativeResources, Outcome, Platform, PlatformError, Preview, Scope, Sink, Support, TranslatedApp,
    Wanted,
};
use stratos_engine::render::native::Native;
use stratos_kubernetes::KubernetesPlatform;
use stratos_test_platforms::Cluster;

use crate::case::Manifests;
use crate::generate::{self, Pair};
use crate::stored::Reader;
use crate::subject::ask;
use crate::support::{Place, client};

/// So many pairs, unless `STRATOS_TEST_PAIRS` says otherwise. `STRATOS_TEST_SEED` makes others.
const PAIRS: usize = 2000;
/// So many of them are in one environment.
const TOGETHER: usize = 63;
/// So many environments are worked on at once.
const AT_ONCE: usize = 32;

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: gadgets.differential.example }
spec:
  group: differential.example
  names: { kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList }
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: { type: string }
              mode: { type: string, default: fast }
              note: { type: string, nullable: true }
              options: { type: object, additionalProperties: { type: string } }
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: { name: { type: string }, count: { type: integer }, limits: { type: object, additionalProperties: { type: string } } }
              steps:
                type: array
                x-kubernetes-list-type: atomic
                items: { type: object, properties: { run: { type: string }, times: { type: integer } } }
              tags: { type: array, x-kubernetes-list-type: set, items: { type: string } }
";

/// The platform without the server's dry run.
pub struct WithoutPreview(pub KubernetesPlatform);

#[async_trait]
impl Platform for WithoutPreview {
    fn support(&self, field: Field) -> Support {
        self.0.support(field)
    }
    fn check(&self, app: &App) -> Vec<String> {
        self.0.check(app)
    }
    fn translate(&self, app: &TranslatedApp<'_>) -> Vec<Resource> {
        self.0.translate(app)
    }
    fn native_files(&self, part: &Native) -> Vec<String> {
        self.0.native_files(part)
    }
    fn native(&self, app: &TranslatedApp<'_>, part: &Native) -> Result<NativeResources, Vec<Diagnostic>> {
        self.0.native(app, part)
    }
    fn address(&self, app: &TranslatedApp<'_>, port: &Name) -> Address {
        self.0.address(app, port)
    }
    async fn observe(&self, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
        self.0.observe(scope, wanted, sink).await
    }
    async fn preview(&self, _: &[Difference]) -> Result<Preview, PlatformError> {
        Ok(Preview::default())
    }
    async fn apply(&self, batch: &[&Change], context: &ApplyContext<'_>) -> Vec<Outcome> {
        self.0.apply(batch, context).await
    }
    async fn health(&self, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError> {
        self.0.health(ids).await
    }
    async fn lease(&self, owner: &Owner, holder: &str) -> Result<Lease, PlatformError> {
        self.0.lease(owner, holder).await
    }
    fn requests(&self) -> u64 {
        self.0.requests()
    }
}

/// What differs, by name, and how.
fn changed(plan: &Plan) -> BTreeMap<String, String> {
    let changes = plan.changes.iter().map(|change| (change.id.name.to_string(), format!("{:?}", change.differences)));
    let held = plan.held.iter().map(|held| (held.id.name.to_string(), format!("{held:?}")));
    changes.chain(held).collect()
}

/// What the server would make of a pair.
enum Truth {
    Same,
    /// Or it refuses, as something else cannot be stored there.
    Other(String),
}

async fn truth(admin: &kube::Client, namespace: &str, pair: &Pair) -> Truth {
    let path = format!("{}/namespaces/{namespace}/{}/{}", pair.root, pair.plural, pair.name);
    let write = format!("{path}?fieldManager=stratos&force=true");
    let kind = "application/apply-patch+yaml";
    ask(admin, "PATCH", &write, Some((kind, &generate::plain(&pair.before)))).await.unwrap_or_else(|why| panic!("{why}: {}", pair.before));
    // Controllers write there as well: what they do in between is no part of it.
    for _ in 0..50 {
        let live = ask(admin, "GET", &path, None).await.unwrap().unwrap();
        let dry = ask(admin, "PATCH", &format!("{write}&dryRun=All"), Some((kind, &generate::plain(&pair.after)))).await;
        let now = ask(admin, "GET", &path, None).await.unwrap().unwrap();
        if live["metadata"]["resourceVersion"] != now["metadata"]["resourceVersion"] {
            continue;
        }
        let (live, dry) = match dry {
            Ok(dry) => (generate::stored(live), generate::stored(dry.unwrap())),
            Err(why) => return Truth::Other(why),
        };
        return if live == dry { Truth::Same } else { Truth::Other(format!("{live}\n      {dry}")) };
    }
    panic!("{path} is written all the time");
}

#[derive(Default)]
struct Counts {
    pairs: usize,
    same: usize,
    false_unchanged: Vec<String>,
    false_changed: Vec<String>,
    false_previewed: Vec<String>,
    /// Declared fields that the live objects do not hold.
    lost: Vec<String>,
}

/// Objects as one text of documents.
fn text<'b>(objects: impl Iterator<Item = &'b Value>) -> String {
    objects.map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// Each declared field that the live objects do not hold.
async fn lost(cluster: &'static Cluster, namespace: &str, text: String) -> Vec<String> {
    let namespace = namespace.to_owned();
    tokio::task::spawn_blocking(move || Reader::new(cluster, &namespace).compare_text(&text).lost).await.unwrap()
}

async fn compare(cluster: &'static Cluster, pairs: Vec<Pair>) -> Vec<(&'static str, Counts)> {
    let (declared, beside) = (Place::without_pods(cluster, "differ", ""), Place::without_pods(cluster, "beside", ""));
    let manifests = Manifests::new(cluster.kubeconfig(), &declared.namespace);
    let admin = client(cluster.kubeconfig()).await;
    manifests.write(&text(pairs.iter().map(|pair| &pair.before)));
    manifests.apply(Policy::default()).await;
    let lost = lost(cluster, &declared.namespace, text(pairs.iter().map(|pair| &pair.before))).await;
    manifests.write(&text(pairs.iter().map(|pair| &pair.after)));
    let agreed = Policy { allow_delete: true, delete_data: true, ..Policy::default() };
    let local = changed(&manifests.plan(false, agreed).await);
    let previewed = changed(&manifests.plan(true, agreed).await);
    let mut out = vec![("all", Counts { lost, ..Counts::default() })];
    for pair in pairs {
        let told = |of: &str| format!("{of}\n    before {}\n    after  {}", pair.before, pair.after);
        let mut counts = Counts { pairs: 1, ..Counts::default() };
        match truth(&admin, &beside.namespace, &pair).await {
            Truth::Same => {
                counts.same = 1;
                counts.false_changed.extend(local.get(&pair.name).map(|of| told(of)));
                counts.false_previewed.extend(previewed.get(&pair.name).map(|of| told(of)));
            }
            Truth::Other(how) if !local.contains_key(&pair.name) || !previewed.contains_key(&pair.name) => {
                counts.false_unchanged.push(told(&how));
            }
            Truth::Other(_) => {}
        }
        out.push((pair.kind, counts));
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_macros, reason = "a test reports to whoever runs it, not to the program's user")]
async fn what_the_server_would_store_differs_just_where_the_difference_is_made_here() {
    let number = |name: &str, otherwise| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (count, seed) = (number("STRATOS_TEST_PAIRS", PAIRS), number("STRATOS_TEST_SEED", 1));
    let cluster = tokio::task::spawn_blocking(Cluster::shared_api_only).await.unwrap();
    cluster.apply_yaml(DEFINITION);
    cluster.established("gadgets.differential.example");
    let pairs: Vec<Pair> = (0..count).map(|index| generate::pair(seed as u64, index)).collect();
    let batches: Vec<Vec<Pair>> = pairs.chunks(TOGETHER).map(<[Pair]>::to_vec).collect();
    let compared = batches.into_iter().map(|pairs| compare(cluster, pairs));
    let compared: Vec<_> = futures::stream::iter(compared).buffer_unordered(AT_ONCE).collect().await;
    let mut kinds: BTreeMap<&str, Counts> = BTreeMap::new();
    for (kind, one) in compared.into_iter().flatten() {
        for name in BTreeSet::from([kind, "all"]) {
            let all = kinds.entry(name).or_default();
            all.pairs += one.pairs;
            all.same += one.same;
            all.false_unchanged.extend(one.false_unchanged.iter().cloned());
            all.false_changed.extend(one.false_changed.iter().cloned());
            all.false_previewed.extend(one.false_previewed.iter().cloned());
            all.lost.extend(one.lost.iter().cloned());
        }
    }
    println!("kind                     pairs  the same  false unchanged  false changed  after the dry run");
    for (kind, counts) in &kinds {
        let Counts { pairs, same, false_unchanged, false_changed, false_previewed, lost: _ } = counts;
        let (unchanged, changed, previewed) = (false_unchanged.len(), false_changed.len(), false_previewed.len());
        println!("{kind:24} {pairs:5}  {same:8}  {unchanged:15}  {changed:13}  {previewed:17}");
    }
    let all = &kinds["all"];
    for (what, found) in [
        ("false unchanged", &all.false_unchanged),
        ("false changed", &all.false_changed),
        ("after the dry run", &all.false_previewed),
        ("not live", &all.lost),
    ] {
        found.iter().take(number("STRATOS_TEST_SHOWN", 12)).for_each(|one| println!("{what}: {one}"));
    }
    assert!(
        all.same * 5 > all.pairs && all.same * 5 < all.pairs * 4,
        "the generator makes too many of one sort: {} of {}",
        all.same,
        all.pairs
    );
    assert_eq!(all.false_unchanged.len(), 0);
    assert_eq!(all.lost.len(), 0);
    // A default in a definition's schema is not known here: the dry run tells that it stays.
    let custom = &kinds["Gadget"];
    assert!((all.false_changed.len() - custom.false_changed.len()) * 100 <= all.same, "{} of {}", all.false_changed.len(), all.same);
    assert_eq!(all.false_previewed.len(), 0);
}
