//! A platform whose dry run says that it would store something else than it is sent.

use super::*;
use crate::plan::change::{Action, Change};
use crate::platform::memory::{Quirks, World};

/// The server stores three replicas at most, and says so.
fn bench() -> Bench {
    let quirks = Quirks { most_replicas: Some(3), ..Quirks::default() };
    Bench { connector: MemoryConnector::new(World::with_quirks(quirks)), ..Bench::new() }
}

fn differences(change: &Change) -> Vec<String> {
    let leaf = |leaf: &Option<Leaf>| leaf.as_ref().map_or("-".to_owned(), Leaf::to_string);
    change.differences.iter().map(|field| format!("{}: {} to {}", field.path, leaf(&field.old), leaf(&field.new))).collect()
}

#[tokio::test(start_paused = true)]
async fn what_would_be_stored_is_planned_and_nothing_is_left_to_do_afterwards() {
    let bench = bench();
    bench.apply(&bench.plan(&web("1", 2), |r| r).await.unwrap()).await;
    let plan = bench.plan(&web("1", 9), |r| r).await.unwrap();
    assert_eq!(plan.changes.iter().map(differences).collect::<Vec<_>>(), [["replicas: 2 to 3"]]);
    bench.apply(&plan).await;
    let again = bench.plan(&web("1", 9), |r| r).await.unwrap();
    assert!(again.is_empty() && again.coverage.unchanged == 1, "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_changed_in_place_is_made_anew() {
    let quirks = Quirks { immutable: Some("replicas"), ..Quirks::default() };
    let bench = Bench { connector: MemoryConnector::new(World::with_quirks(quirks)), ..Bench::new() };
    bench.apply(&bench.plan(&web("1", 2), |r| r).await.unwrap()).await;
    let plan = bench.plan(&web("2", 2), |r| r).await.unwrap();
    assert!(matches!(plan.changes[..], [Change { action: Action::Update, .. }]), "{plan:?}");
    let plan = bench.plan(&web("1", 3), |r| r).await.unwrap();
    let [Change { action: Action::Replace(how), loses_data: false, .. }] = &plan.changes[..] else { panic!("{plan:?}") };
    assert!(how.downtime);
    assert_eq!(plan.changes.iter().map(differences).collect::<Vec<_>>(), [["replicas: 2 to 3"]]);
    bench.apply(&plan).await;
    assert!(bench.plan(&web("1", 3), |r| r).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_marks_are_compared_beside_what_would_be_stored() {
    let bench = bench();
    let app = |more: &str| format!("[apps.web]\nimage = \"web:1\"\nreplicas = 9\n{more}");
    let environment = |name: &str| format!("[environments.{name}]\nplatform = \"local\"\nurl = \"here\"");
    let moved = "[[moved]]\nfrom = \"environments.live\"\nto = \"environments.prod\"\n";
    bench.apply(&bench.plan(&manifest(&environment("live"), &app("")), |r| r).await.unwrap()).await;
    let now = manifest(&environment("prod"), &app(&format!("protect = true\n{moved}")));
    let plan = bench.plan(&now, |r| r).await.unwrap();
    let fields = ["owner: \"shop/live\" to \"shop/prod\"", "protect: false to true"];
    assert_eq!(plan.changes.iter().map(differences).collect::<Vec<_>>(), [fields]);
    bench.apply(&plan).await;
    assert!(bench.plan(&now, |r| r).await.unwrap().is_empty());
}
