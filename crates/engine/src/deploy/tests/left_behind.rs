//! What is left behind where no history tells of it: places that can be looked through.

use super::*;

const OTHER: &str = "[environments.other]\nplatform = \"local\"";
const WEB: &str = "[apps.web]\nimage = \"web:1\"\n";

/// A world in which `dev` holds something.
async fn with_dev() -> (World, Bench) {
    let world = World::new();
    let bench = Bench { connector: MemoryConnector::new(world.clone()), ..Bench::new() };
    bench.apply(&bench.plan(&manifest(DEV, WEB), |r| r).await.unwrap()).await;
    (world, bench)
}

#[tokio::test(start_paused = true)]
async fn a_place_that_can_be_looked_through_is_not_left_behind_without_a_history() {
    let (_, bench) = with_dev().await;
    let removed = manifest(OTHER, WEB);
    let elsewhere = manifest("[environments.dev]\nplatform = \"local\"\nurl = \"there\"", WEB);
    for manifest in [&removed, &elsewhere] {
        let refused = bench.plan(manifest, |r| r).await.unwrap_err();
        assert_eq!(refused.to_string(), "environment dev was on local before, and 1 of our resources are still there");
        let agreed = Policy { abandon: true, ..Policy::default() };
        bench.plan(manifest, |r| Request { policy: agreed, ..r }).await.unwrap();
    }
    // Who asks about one environment is not told about others.
    let only = BTreeSet::from([Name::new("other").unwrap()]);
    bench.plan(&removed, |r| Request { environments: only, ..r }).await.unwrap();
    // What is there is another project's.
    let another = Manifest::parse(&text(OTHER, WEB).replace("\"shop\"", "\"bookshop\"")).unwrap();
    bench.plan(&another, |r| r).await.unwrap();

    let destroy = Policy { destroy: true, allow_delete: true, ..Policy::default() };
    let dev = manifest(DEV, WEB);
    bench.apply(&bench.plan(&dev, |r| Request { policy: destroy, ..r }).await.unwrap()).await;
    bench.plan(&removed, |r| r).await.unwrap();
}

/// What cannot be read is not taken for nothing.
#[tokio::test(start_paused = true)]
async fn a_place_of_which_a_part_cannot_be_read_is_not_taken_for_empty() {
    let (world, bench) = with_dev().await;
    let removed = manifest(OTHER, WEB);
    world.hide("dev", Some("service"), None, "this account may not list services");
    let refused = bench.plan(&removed, |r| r).await.unwrap_err();
    let told = "environment dev: looking for what shop/dev left on local: this account may not list services";
    assert_eq!(refused.to_string(), told);
    world.reveal();
    world.hide("dev", Some("volume"), None, "this account may not list volumes");
    let refused = bench.plan(&removed, |r| r).await.unwrap_err();
    assert!(matches!(refused, PlanError::Abandoned { resources: 1, .. }), "{refused}");
}
