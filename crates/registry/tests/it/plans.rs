//! A plan with a real registry: what is pinned, and when a tag is looked at again.

use std::collections::BTreeSet;

use stratos_engine::apply::{ApplyOptions, Quiet, RunVerdict};
use stratos_engine::deploy::{Policy, Request, apply, plan};
use stratos_engine::desired::document::Leaf;
use stratos_engine::manifest::Manifest;
use stratos_engine::plan::Plan;
use stratos_engine::platform::memory::{MemoryConnector, World};
use stratos_engine::render::VariableInputs;
use stratos_engine::render::secret::Secrets;

use crate::support::anonymous;
use crate::support::docker_registry::DockerRegistry;
use crate::support::stub::{Stub, answer};

struct Shop {
    connector: MemoryConnector,
    image: String,
}

impl Shop {
    fn new(registry: &str) -> Self {
        Self { connector: MemoryConnector::new(World::new()), image: format!("{registry}/shop/web") }
    }

    /// A plan of a command of its own: a client remembers what it was told.
    async fn plan(&self, tag: &str, replicas: u32, refresh_images: bool) -> Plan {
        let manifest = format!(
            "[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n\
             [apps.web]\nimage = \"{}:{tag}\"\nreplicas = {replicas}\n",
            self.image
        );
        let request = Request {
            manifest: &Manifest::parse(&manifest).unwrap(),
            variables: &VariableInputs::default(),
            secrets: &Secrets::default(),
            history: None,
            registry: Some(&anonymous()),
            refresh_images,
            environments: BTreeSet::new(),
            apps: BTreeSet::new(),
            policy: Policy::default(),
        };
        plan(&request, &self.connector).await.unwrap()
    }

    async fn apply(&self, plan: &Plan) {
        let applied = apply(plan, &Secrets::default(), &self.connector, &ApplyOptions::default(), &Quiet).await.unwrap();
        assert_eq!(applied.verdict(), RunVerdict::Success, "{applied:?}");
    }
}

/// The images that a plan writes.
fn images(plan: &Plan) -> Vec<String> {
    let leaves = plan.changes.iter().filter_map(|change| change.desired.as_ref()).flat_map(|desired| desired.document.leaves());
    leaves.filter_map(|(_, leaf)| if let Leaf::Image(image) = leaf { Some(image.to_string()) } else { None }).collect()
}

#[tokio::test]
async fn a_tag_that_moves_is_seen_when_it_is_looked_at_again() {
    let registry = DockerRegistry::open();
    let shop = Shop::new(registry.address());
    let image = &shop.image;
    let first = registry.push("shop/web", "1", "first").await;

    let created = shop.plan("1", 1, false).await;
    assert_eq!(images(&created), [format!("{image}:1@{first}")]);
    assert_eq!(created.coverage.degraded, [""; 0]);
    shop.apply(&created).await;
    assert!(shop.plan("1", 1, true).await.is_empty());

    let moved = registry.push("shop/web", "1", "second").await;
    assert!(shop.plan("1", 1, false).await.is_empty(), "a tag that is live is not asked for");
    assert_eq!(images(&shop.plan("1", 2, false).await), [format!("{image}:1@{first}")], "another change leaves the image as it is");
    let refreshed = shop.plan("1", 1, true).await;
    assert_eq!(images(&refreshed), [format!("{image}:1@{moved}")]);
    shop.apply(&refreshed).await;
    assert!(shop.plan("1", 1, true).await.is_empty());

    let next = registry.push("shop/web", "2", "third").await;
    let updated = shop.plan("2", 1, false).await;
    assert_eq!(images(&updated), [format!("{image}:2@{next}")]);
    shop.apply(&updated).await;
    assert!(shop.plan("2", 1, true).await.is_empty());
}

#[tokio::test]
async fn a_plan_goes_on_without_the_registry_and_says_so() {
    let registry = DockerRegistry::open();
    let address = registry.address().to_owned();
    let shop = Shop::new(&address);
    let image = &shop.image;
    let first = registry.push("shop/web", "1", "first").await;
    let missing = shop.plan("2", 1, false).await;
    assert_eq!(images(&missing), [format!("{image}:2")]);
    assert_eq!(missing.coverage.degraded, [format!("image {image}:2: not pinned: {address} has no such image or tag")]);
    shop.apply(&shop.plan("1", 1, false).await).await;
    drop(registry);

    let kept = shop.plan("1", 2, true).await;
    assert_eq!(images(&kept), [format!("{image}:1@{first}")]);
    let refused = format!("{address} cannot be reached: Connection refused (os error 111)");
    assert_eq!(kept.coverage.degraded, [format!("image {image}:1: not refreshed: {refused}")]);
    assert_eq!(shop.plan("1", 1, false).await.coverage.degraded, [""; 0], "what is not asked is not missed");
    let next = shop.plan("3", 1, true).await;
    assert_eq!(next.coverage.degraded, [format!("image {image}:3: not pinned: {refused}")]);
}

#[tokio::test]
async fn nothing_is_asked_for_what_stays_as_it_is() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let stub = Stub::answering(move |_| answer(200, &[("docker-content-digest", &digest)], "")).await;
    let shop = Shop::new(stub.address());
    shop.apply(&shop.plan("1", 1, false).await).await;
    assert_eq!(stub.asked(), ["HEAD /v2/shop/web/manifests/1"]);
    shop.plan("1", 1, false).await;
    shop.plan("1", 2, false).await;
    assert_eq!(stub.asked(), [""; 0]);
}
