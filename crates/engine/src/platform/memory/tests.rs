//! What the in-memory platform itself must do, and that the suite fails on one that does not.

use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;

use super::subject::MemorySubject;
use super::{Call, Effect, Fault, Key, Quirks, When, World, read};
use crate::apply::{Applied, RunVerdict};
use crate::deploy::PlanError;
use crate::desired::document::Leaf;
use crate::desired::name::Name;
use crate::desired::owner::Owner;
use crate::desired::resource::ResourceId;
use crate::platform::contract::stage::{Stage, told};
use crate::platform::contract::{Subject, fields, plans, secrets};
use crate::platform::{Field, PlatformErrorKind};

/// What a case comes to on a platform that neglects some duties.
async fn passes(quirks: Quirks, case: impl AsyncFnOnce(&MemorySubject)) -> bool {
    let subject = MemorySubject::with_quirks(quirks);
    let case = case(&subject);
    // The name of the thread's test is printed with the panic that is wanted here; only the result matters.
    std::panic::AssertUnwindSafe(case).catch_unwind().await.is_ok()
}

/// Each part of the normal form matters: without it the law of the empty plan does not hold.
#[tokio::test(start_paused = true)]
async fn the_suite_fails_without_the_normal_form() {
    let whole = Quirks::default();
    assert!(passes(whole, plans::empty_plan_after_apply).await);
    for quirks in [
        Quirks { drops_defaults: false, ..whole },
        Quirks { sorts: false, ..whole },
        Quirks { reads_quantities: false, ..whole },
        Quirks { follows_references: false, ..whole },
    ] {
        assert!(!passes(quirks, plans::empty_plan_after_apply).await, "{quirks:?}");
    }
}

/// The table of fields tells which field it is.
#[tokio::test(start_paused = true)]
async fn the_table_of_fields_fails_where_the_field_is_used() {
    let careless = Quirks { follows_references: false, ..Quirks::default() };
    assert!(!passes(careless, async |s| fields::one_field(s, Field::Bind).await).await);
    assert!(passes(careless, async |s| fields::one_field(s, Field::Env).await).await);
}

#[tokio::test(start_paused = true)]
async fn secret_values_are_compared_where_the_server_returns_them() {
    let open = Quirks { returns_secrets: true, ..Quirks::default() };
    assert!(passes(open, secrets::a_secret_edited_by_hand_is_repaired).await);
}

/// A dry run knows no secret and no mark: what it says of a resource takes nothing away from what is declared.
#[tokio::test(start_paused = true)]
async fn the_suite_passes_with_a_dry_run() {
    let previews = Quirks { most_replicas: Some(1000), ..Quirks::default() };
    assert!(passes(previews, plans::empty_plan_after_apply).await);
    assert!(passes(previews, plans::protection_outlives_the_entry).await);
    assert!(passes(previews, secrets::a_rotated_secret_is_seen).await);
    let open = Quirks { returns_secrets: true, ..previews };
    assert!(passes(open, secrets::a_secret_edited_by_hand_is_repaired).await);
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

/// The server is as awkward as the module says.
#[tokio::test(start_paused = true)]
async fn the_server_rewrites_what_it_is_sent() {
    let subject = MemorySubject::fresh().await;
    let mut stage = Stage::with_web(&subject);
    stage.add("web", &["resources = { cpu = \"1000m\", memory = \"1024MiB\" }", "env = { A = \"1\", B = \"2\" }"]);
    stage.converge().await;
    let world: serde_json::Value = serde_json::from_str(&subject.world.to_json()).unwrap();
    let service = &world["places"]["dev"]["service/shop-web"];
    assert_eq!(service["spec"]["limits"]["cpu"], "1");
    assert_eq!(service["spec"]["limits"]["memory"], "1Gi");
    assert_eq!(service["spec"]["env"][0]["name"], "B");
    assert_eq!(service["spec"]["replicas"], 1);
    assert_eq!(service["spec"]["update"]["timeout"], "5m");
    assert!(service["spec"]["image"].as_str().unwrap().starts_with("shop/web:1@sha256:"));
    assert!(service["spec"]["ports"][0]["node"].as_u64().unwrap() >= 30_000);
    assert_eq!(service["marks"]["owner"], "k3v9q2xw/dev");
}

/// One list for each kind, and one more request for the names that no list held.
#[tokio::test(start_paused = true)]
async fn reading_takes_as_many_requests_as_there_are_kinds() {
    let subject = MemorySubject::fresh().await;
    let mut stage = Stage::new(&subject);
    for app in ["one", "two", "three", "four"] {
        stage.web(app, 1);
    }
    assert_eq!(stage.plan().await.coverage.requests, 5);
    stage.converge().await;
    assert_eq!(stage.plan().await.coverage.requests, 4);
}

#[tokio::test(start_paused = true)]
async fn a_world_is_written_and_read() {
    let world = World::from_json(
        r#"{
          "taken_ports": [22],
          "places": { "dev": {
            "service/shop-web": {
              "marks": { "owner": "k3v9q2xw/dev", "app": "web" },
              "spec": { "image": "shop/web:1", "ports": [{ "name": "http", "target": 8080 }] }
            },
            "volume/theirs": { "spec": {} }
          } }
        }"#,
    )
    .unwrap();
    // What was left out is filled in, so that what a user would write for it is what is there.
    let subject = MemorySubject::of(world);
    let stage = Stage::with_web(&subject);
    stage.expect_nothing().await;
    let json = subject.world.to_json();
    assert_eq!(World::from_json(&json).unwrap().to_json(), json.replace("\"version\": 1", "\"version\": 2"));
    let error = World::from_json(r#"{ "places": { "dev": { "service/x": { "spec": { "imag": 1 } } } } }"#).err().unwrap();
    assert_eq!(
        error,
        "dev: service/x: this is no service: unknown field `imag`, expected one of `image`, `args`, `replicas`, `ports`, `env`, `files`, `mounts`, `ready`, `live`, `limits`, `update`"
    );
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_the_server_form_is_seen() {
    let subject = MemorySubject::fresh().await;
    let stage = Stage::with_web(&subject);
    stage.converge().await;
    subject.world.edit("dev", &key("service/shop-web"), "/replicas", 7.into()).unwrap();
    assert!(!stage.plan().await.is_empty());
    stage.converge().await;
    let error = subject.world.edit("dev", &key("service/shop-web"), "/replicas", "many".into()).unwrap_err();
    assert!(error.starts_with("this is no service"), "{error}");
}

/// Plans and applies a web app while something goes wrong; what went wrong is over afterwards.
async fn applied_with(fault: Fault) -> (Applied, Duration, Vec<String>) {
    let subject = MemorySubject::fresh().await;
    let stage = Stage::with_web(&subject);
    let plan = stage.plan().await;
    subject.world.fault(fault);
    let began = Instant::now();
    let applied = stage.apply(&plan).await;
    let took = began.elapsed();
    assert!(!applied.changes.is_empty(), "{}", told(&plan, &applied));
    stage.converge().await;
    (applied, took, subject.world.journal())
}

fn at_the_first_write(when: When, effect: Effect) -> Fault {
    Fault { call: Some(Call::Apply), index: 0, when, effect }
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_moment_is_repeated_and_written_once() {
    for effect in [Effect::Unreachable, Effect::Conflict, Effect::Throttled(Duration::from_secs(1))] {
        for when in [When::Before, When::After] {
            let (applied, _, journal) = applied_with(at_the_first_write(when, effect)).await;
            assert_eq!(applied.verdict(), RunVerdict::Success, "{effect:?} {when:?}");
            assert_eq!(journal, ["create dev service/shop-web"], "{effect:?} {when:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_says_how_long_to_wait() {
    let fault = at_the_first_write(When::Before, Effect::Throttled(Duration::from_secs(20)));
    let (_, took, _) = applied_with(fault).await;
    assert!(took >= Duration::from_secs(20), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_slow_is_waited_for() {
    let (applied, took, _) = applied_with(at_the_first_write(When::Before, Effect::Delay(Duration::from_secs(9)))).await;
    assert_eq!(applied.verdict(), RunVerdict::Success);
    assert!(took >= Duration::from_secs(9), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_is_not_repeated() {
    let (applied, _, journal) = applied_with(at_the_first_write(When::Before, Effect::Denied)).await;
    assert_eq!(applied.verdict(), RunVerdict::Partial);
    assert_eq!(journal, ["create dev service/shop-web"]);
}

#[tokio::test(start_paused = true)]
async fn health_that_cannot_be_asked_for_a_moment_is_asked_again() {
    let fault = Fault { call: Some(Call::Health), index: 0, when: When::Before, effect: Effect::Unreachable };
    let (applied, _, _) = applied_with(fault).await;
    assert_eq!(applied.verdict(), RunVerdict::Success);
}

/// No network: an error that names the environment, after a bounded number of attempts.
#[tokio::test(start_paused = true)]
async fn a_missing_network_is_an_error() {
    let subject = MemorySubject::fresh().await;
    let stage = Stage::with_web(&subject);
    for _ in 0..50 {
        subject.world.fault(Fault { call: Some(Call::Observe), index: 0, when: When::Before, effect: Effect::Unreachable });
    }
    let began = Instant::now();
    match stage.try_plan().await {
        Err(PlanError::Platform { environment, source }) => {
            assert_eq!((&*environment, source.kind), ("dev", PlatformErrorKind::Unreachable));
        }
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(120));
    subject.world.clear_faults();
    stage.converge().await;
}

/// A whole kind that may not be listed: what could be of that kind is held, the rest goes on.
#[tokio::test(start_paused = true)]
async fn a_kind_that_cannot_be_listed_is_held() {
    let subject = MemorySubject::fresh().await;
    let mut stage = Stage::with_web(&subject);
    stage.add("web", &["files.\"/etc/app.conf\" = { content = \"one\" }"]);
    stage.converge().await;
    subject.world.hide("dev", Some("config"), None, "no permission to list configs");
    let plan = stage.expect_no_changes().await;
    assert_eq!(plan.coverage.gaps[0].why, "no permission to list configs");
    assert_eq!(plan.held.len(), 1);
}

/// A text that holds a secret and an address has no reference that could dangle, and a fingerprint that knows the address by
/// name alone: that the address has moved is told apart.
#[tokio::test(start_paused = true)]
async fn an_address_beside_a_secret_that_has_moved_is_told() {
    let with_address = |address: &str| {
        let fingerprint = "a2id:00000000000000000000000000000001:00000000000000000000000000000002";
        let value = serde_json::json!({ "fingerprint": fingerprint, "with": { "service/shop-db#address": address } });
        let marks = |app: &str| serde_json::json!({ "owner": "k3v9q2xw/dev", "app": app });
        let db = serde_json::json!({
            "marks": marks("db"), "spec": { "image": "db:1" }, "attributes": { "id": "s1", "address": "10.0.0.7" }
        });
        let spec = serde_json::json!({ "image": "web:1", "env": [{ "name": "URL", "value": value }] });
        let web = serde_json::json!({ "marks": marks("web"), "spec": spec });
        serde_json::json!({ "places": { "dev": { "service/shop-db": db, "service/shop-web": web } } }).to_string()
    };
    for (address, moved) in [("10.0.0.7", 0), ("10.0.0.9", 1)] {
        let world = World::from_json(&with_address(address)).unwrap();
        let environment = Name::new("dev").unwrap();
        let owner = Owner { project: "k3v9q2xw".into(), environment: environment.clone() };
        let id = ResourceId::new(&environment, "service", "shop-web");
        let state = world.lock();
        let object = state.object("dev", &key("service/shop-web")).unwrap();
        let seen = read::observed(&state, "dev", id, object, &owner);
        assert_eq!(seen.secrets_moved.len(), moved);
        assert!(matches!(&seen.document.leaves()[0].1, Leaf::Secret { fingerprint: Some(_), .. }));
    }
}
