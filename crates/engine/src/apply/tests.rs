//! What an apply reports when things go wrong around it: answers that do not come, an end that is asked for, an order that
//! leads through an environment with nothing in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use super::{Applied, ApplyOptions, ChangeResult, Quiet, RunVerdict};
use crate::deploy::{self, Connector, Policy, Request, RequestedAction};
use crate::desired::name::Name;
use crate::desired::owner::Owner;
use crate::desired::quantity;
use crate::desired::resource::{Resource, ResourceId};
use crate::health::{Health, Status};
use crate::manifest::Manifest;
use crate::manifest::schema::{Environment, Project};
use crate::plan::Plan;
use crate::plan::change::Change;
use crate::platform::contract::Subject;
use crate::platform::contract::stage::{Recorder, Stage, told};
use crate::platform::memory::{Call, Effect, Fault, MemoryConnector, MemorySubject, When, World};
use crate::platform::{
    Address, ApplyContext, Field, Lease, Outcome, Platform, PlatformError, PlatformErrorKind, Scope, Sink, Support, TranslatedApp, Wanted,
};
use crate::render::VariableInputs;

/// How a platform breaks its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breach {
    /// It forgets the last answer about health.
    ForgetsHealth,
    /// A write never returns.
    NeverAnswers,
    /// The first write returns, and no other.
    AnswersOnce,
    /// A write waits for what does not come, and says so when the run is given up.
    WaitsUntilGivenUp,
}

/// A platform that breaks its word, and is good otherwise.
struct Unreliable {
    good: Arc<dyn Platform>,
    breach: Breach,
    writes: AtomicUsize,
}

struct ConnectUnreliable(Arc<dyn Connector>, Breach);

#[async_trait]
impl Connector for ConnectUnreliable {
    async fn connect(&self, project: &Project, name: &Name, environment: &Environment) -> Result<Arc<dyn Platform>, PlatformError> {
        let good = self.0.connect(project, name, environment).await?;
        Ok(Arc::new(Unreliable { good, breach: self.1, writes: AtomicUsize::new(0) }))
    }
}

#[async_trait]
impl Platform for Unreliable {
    fn support(&self, field: Field) -> Support {
        self.good.support(field)
    }
    fn translate(&self, app: &TranslatedApp<'_>) -> Vec<Resource> {
        self.good.translate(app)
    }
    fn address(&self, app: &TranslatedApp<'_>, port: &Name) -> Address {
        self.good.address(app, port)
    }
    async fn observe(&self, scope: &Scope, wanted: &Wanted<'_>, sink: &mut Sink) -> Result<(), PlatformError> {
        self.good.observe(scope, wanted, sink).await
    }
    async fn apply(&self, batch: &[&Change], context: &ApplyContext<'_>) -> Vec<Outcome> {
        let before = self.writes.fetch_add(1, Ordering::Relaxed);
        match self.breach {
            Breach::NeverAnswers => std::future::pending().await,
            Breach::AnswersOnce if before > 0 => std::future::pending().await,
            Breach::WaitsUntilGivenUp => {
                context.given_up.cancelled().await;
                let why = "it is being deleted, and waits for its finalizers: example.com/x";
                vec![Outcome::Failed(PlatformError::new(PlatformErrorKind::Internal, "deleting it", why))]
            }
            Breach::AnswersOnce | Breach::ForgetsHealth => self.good.apply(batch, context).await,
        }
    }
    async fn health(&self, ids: &[ResourceId]) -> Result<Vec<Health>, PlatformError> {
        let mut health = self.good.health(ids).await?;
        if self.breach == Breach::ForgetsHealth {
            health.pop();
        }
        Ok(health)
    }
    async fn lease(&self, owner: &Owner, holder: &str) -> Result<Lease, PlatformError> {
        self.good.lease(owner, holder).await
    }
    fn requests(&self) -> u64 {
        self.good.requests()
    }
}

/// Longer than anything here may take; time is paused, so nobody waits for it.
const FOREVER: Duration = Duration::from_secs(3600);

async fn apply(stage: &Stage<'_, MemorySubject>, connector: &dyn Connector, plan: &Plan, options: &ApplyOptions) -> Applied {
    let applied = timeout(FOREVER, deploy::apply(plan, &stage.secret_values(), connector, options, &Quiet)).await;
    applied.expect("it ends").unwrap_or_else(|error| panic!("not applied: {error}"))
}

fn every_question_for_health(world: &World, effect: Effect) {
    for _ in 0..200 {
        world.fault(Fault { call: Some(Call::Health), index: 0, when: When::Before, effect });
    }
}

#[tokio::test(start_paused = true)]
async fn health_that_nobody_tells_is_no_success() {
    let subject = MemorySubject::fresh().await;
    let mut stage = Stage::with_web(&subject);
    stage.add("web", &["rollout.timeout = \"5s\""]);
    stage.converge().await;
    let plan = stage.expect_nothing().await;
    every_question_for_health(&subject.world, Effect::Unreachable);
    let applied = apply(&stage, &*subject.connector(), &plan, &ApplyOptions::default()).await;
    assert_eq!(applied.verdict(), RunVerdict::Unhealthy, "{}", told(&plan, &applied));
    assert_eq!(applied.health[0].health.status, Status::Unknown);
    assert!(!applied.health[0].health.message.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_before_health_is_known_is_no_success() {
    let subject = MemorySubject::fresh().await;
    let stage = Stage::with_web(&subject);
    stage.converge().await;
    let plan = stage.expect_nothing().await;
    every_question_for_health(&subject.world, Effect::Delay(Duration::from_secs(20)));
    let options = ApplyOptions { timeout: Some(quantity::Duration(1000)), ..ApplyOptions::default() };
    let applied = apply(&stage, &*subject.connector(), &plan, &options).await;
    assert_eq!(applied.verdict(), RunVerdict::Unhealthy, "{}", told(&plan, &applied));
    assert_eq!(applied.health[0].health.message, "the time given by --timeout is over");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_forgets_an_answer_holds_nobody_up_for_ever() {
    let subject = MemorySubject::fresh().await;
    let mut stage = Stage::with_web(&subject);
    stage.add("web", &["rollout.timeout = \"5s\""]);
    let plan = stage.plan().await;
    let connector = ConnectUnreliable(subject.connector(), Breach::ForgetsHealth);
    let applied = apply(&stage, &connector, &plan, &ApplyOptions::default()).await;
    assert_eq!(applied.verdict(), RunVerdict::Unhealthy, "{}", told(&plan, &applied));
    assert_eq!(applied.changes[0].result, ChangeResult::Unhealthy { why: "not healthy within 5s".into() });
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_returns_is_reported_as_unknown_after_an_interruption() {
    let subject = MemorySubject::fresh().await;
    let stage = Stage::with_web(&subject);
    let plan = stage.plan().await;
    let options = ApplyOptions::default();
    let interrupt = async {
        sleep(Duration::from_secs(1)).await;
        options.cancel.cancel();
    };
    let connector = ConnectUnreliable(subject.connector(), Breach::NeverAnswers);
    let (applied, ()) = tokio::join!(apply(&stage, &connector, &plan, &options), interrupt);
    assert!(matches!(applied.changes[0].result, ChangeResult::Unknown { .. }), "{}", told(&plan, &applied));
    assert_eq!(applied.verdict(), RunVerdict::Partial);
}

/// The attempt before failed for certain; of the one that does not answer, nobody knows.
#[tokio::test(start_paused = true)]
async fn a_write_whose_second_attempt_never_returns_is_unknown_and_not_failed() {
    let subject = MemorySubject::fresh().await;
    let stage = Stage::with_web(&subject);
    let plan = stage.plan().await;
    subject.world.fault(Fault { call: Some(Call::Apply), index: 0, when: When::Before, effect: Effect::Unreachable });
    let options = ApplyOptions::default();
    let interrupt = async {
        // Longer than the pause before the second attempt.
        sleep(Duration::from_secs(60)).await;
        options.cancel.cancel();
    };
    let connector = ConnectUnreliable(subject.connector(), Breach::AnswersOnce);
    let (applied, ()) = tokio::join!(apply(&stage, &connector, &plan, &options), interrupt);
    assert!(matches!(applied.changes[0].result, ChangeResult::Unknown { .. }), "{}", told(&plan, &applied));
}

/// An environment goes with the last of what is in it: not while something is held there, and after a creation that failed only
/// where nothing was there before.
#[tokio::test(start_paused = true)]
async fn an_environment_in_which_something_is_held_is_not_ended() {
    let world = World::new();
    let connector = MemoryConnector::new(world.clone());
    let text = "[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n[apps.web]\nimage = \"web:1\"\n";
    let with_data = format!("{text}volumes.data = {{ path = \"/data\" }}\n");
    let destroy = |delete_data| Policy { destroy: true, allow_delete: true, delete_data, ..Policy::default() };
    for (policy, ended) in [(Policy::default(), 0), (destroy(false), 0), (destroy(true), 1)] {
        let plan = plan_with(&with_data, &connector, policy).await;
        deploy::apply(&plan, &Default::default(), &connector, &ApplyOptions::default(), &Quiet).await.unwrap();
        assert_eq!(world.retired().len(), ended, "{policy:?}");
    }

    let refused = Fault { call: Some(Call::Apply), index: 0, when: When::Before, effect: Effect::Denied };
    world.insert_foreign("dev", "service", "shop-web").unwrap();
    let two = format!("{text}[apps.cache]\nimage = \"cache:1\"\n");
    for (name_is_taken, ended) in [(true, 1), (false, 2)] {
        let text = if name_is_taken { &two } else { &two.replace("apps.web", "apps.other") };
        let plan = plan_with(text, &connector, Policy::default()).await;
        assert_eq!(plan.held.is_empty(), !name_is_taken);
        (0..plan.changes.len()).for_each(|_| world.fault(refused));
        let applied = deploy::apply(&plan, &Default::default(), &connector, &ApplyOptions::default(), &Quiet).await.unwrap();
        assert_eq!(applied.verdict(), RunVerdict::Partial, "{}", told(&plan, &applied));
        assert_eq!(world.retired().len(), ended, "the name is taken: {name_is_taken}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interruption_ends_the_wait_for_another_attempt() {
    let subject = MemorySubject::fresh().await;
    let stage = Stage::with_web(&subject);
    let plan = stage.plan().await;
    let slow = Effect::Throttled(Duration::from_secs(25));
    for _ in 0..10 {
        subject.world.fault(Fault { call: Some(Call::Apply), index: 0, when: When::Before, effect: slow });
    }
    let options = ApplyOptions::default();
    let interrupt = async {
        sleep(Duration::from_secs(1)).await;
        options.cancel.cancel();
    };
    let began = Instant::now();
    let connector = subject.connector();
    let (applied, ()) = tokio::join!(apply(&stage, &*connector, &plan, &options), interrupt);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(matches!(applied.changes[0].result, ChangeResult::Failed { .. }), "{}", told(&plan, &applied));
    assert_eq!(subject.world.journal(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_whose_answer_was_lost_is_not_repeated() {
    let subject = MemorySubject::fresh().await;
    let stage = Stage::with_web(&subject);
    stage.converge().await;
    let plan = stage.plan_request("web", RequestedAction::Restart).await;
    let lost = |when| Fault { call: Some(Call::Apply), index: 0, when, effect: Effect::Unreachable };
    subject.world.fault(lost(When::After));
    let applied = apply(&stage, &*subject.connector(), &plan, &ApplyOptions::default()).await;
    assert!(matches!(applied.changes[0].result, ChangeResult::Unknown { .. }), "{}", told(&plan, &applied));
    assert_eq!(subject.world.journal(), ["create dev service/shop-web", "restart dev service/shop-web"]);
    // One that did not get through is.
    subject.world.fault(lost(When::Before));
    let applied = apply(&stage, &*subject.connector(), &plan, &ApplyOptions::default()).await;
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
}

/// Plans a manifest for several environments of one world.
async fn plan(text: &str, connector: &dyn Connector) -> Plan {
    plan_with(text, connector, Policy::default()).await
}

async fn plan_with(text: &str, connector: &dyn Connector, policy: Policy) -> Plan {
    let manifest = Manifest::parse(text).unwrap_or_else(|report| panic!("{report}"));
    let request = Request {
        manifest: &manifest,
        variables: &VariableInputs::default(),
        secrets: &Default::default(),
        history: None,
        registry: None,
        refresh_images: false,
        environments: BTreeSet::new(),
        apps: BTreeSet::new(),
        policy,
    };
    deploy::plan(&request, connector).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Three environments, each after the one before; nothing is declared in the second.
fn three_in_a_row(image: &str) -> String {
    format!(
        r#"
        [project]
        name = "shop"
        id = "k3v9q2xw"
        [environments.dev]
        platform = "local"
        [environments.staging]
        platform = "local"
        after = ["dev"]
        [environments.prod]
        platform = "local"
        after = ["staging"]
        [apps.web]
        image = "{image}"
        ports.http = 8080
        rollout.timeout = "5s"
        environments = ["dev", "prod"]
        "#
    )
}

#[tokio::test(start_paused = true)]
async fn an_environment_waits_through_one_in_which_nothing_happens() {
    let connector = MemoryConnector::new(World::default());
    let plan = plan(&three_in_a_row("shop/web:1"), &connector).await;
    let recorder = Recorder::default();
    let applied = deploy::apply(&plan, &Default::default(), &connector, &ApplyOptions::default(), &recorder).await.unwrap();
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
    let happened = recorder.0.into_inner().unwrap();
    let place = |line: &str| happened.iter().position(|l| l == line).unwrap_or_else(|| panic!("no {line} in {happened:?}"));
    assert!(place("finish dev/service/shop-web") < place("start prod/service/shop-web"), "{happened:?}");
}

#[tokio::test(start_paused = true)]
async fn an_environment_is_not_begun_after_a_failure_before_the_one_before_it() {
    let connector = MemoryConnector::new(World::default());
    let plan = plan(&three_in_a_row("crash/web:1"), &connector).await;
    for no_wait in [false, true] {
        let options = ApplyOptions { no_wait, ..ApplyOptions::default() };
        let applied = deploy::apply(&plan, &Default::default(), &connector, &options, &Quiet).await.unwrap();
        let results: BTreeMap<&str, &ChangeResult> = applied.changes.iter().map(|c| (&*c.id.environment, &c.result)).collect();
        assert!(matches!(results["prod"], ChangeResult::Skipped { .. }), "no_wait = {no_wait}: {}", told(&plan, &applied));
    }
}

/// Nothing changes in the environment before; it is not well all the same.
#[tokio::test(start_paused = true)]
async fn an_environment_is_not_begun_while_the_one_before_it_is_not_healthy() {
    let environments = "[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n\
                        [environments.prod]\nplatform = \"local\"\nafter = [\"dev\"]\n";
    let web = "[apps.web]\nimage = \"crash/web:1\"\nrollout.timeout = \"5s\"\noverride.prod.image = \"shop/web:1\"\n";
    let connector = MemoryConnector::new(World::default());
    let alone = plan(&format!("{environments}{web}environments = [\"dev\"]\n"), &connector).await;
    deploy::apply(&alone, &Default::default(), &connector, &ApplyOptions::default(), &Quiet).await.unwrap();
    let plan = plan(&format!("{environments}{web}"), &connector).await;
    assert!(plan.changes.iter().all(|change| &*change.id.environment == "prod"), "dev is as it should be: {plan:?}");
    for no_wait in [false, true] {
        let options = ApplyOptions { no_wait, ..ApplyOptions::default() };
        let applied = deploy::apply(&plan, &Default::default(), &connector, &options, &Quiet).await.unwrap();
        let ChangeResult::Skipped { why } = &applied.changes[0].result else { panic!("no_wait = {no_wait}: {}", told(&plan, &applied)) };
        assert!(why.starts_with("dev/service/shop-web is not healthy: "), "no_wait = {no_wait}: {why}");
    }
}

/// An app that depends on an unhealthy one: whether it is written with and without `no_wait`, and how long that takes.
#[tokio::test(start_paused = true)]
async fn no_wait_writes_on_and_a_wait_ends_with_the_roll_out_timeout() {
    let text = |image: &str| {
        format!(
            "[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n[apps.hook]\nimage = \"{image}\"\nports.http = 8080\n\
             rollout.timeout = \"60s\"\n[apps.web]\nimage = \"shop/web:1\"\nports.http = 8080\ndepends_on = [\"hook\"]\n"
        )
    };
    let (web, hook) = ("dev/service/shop-web".parse().unwrap(), "dev/service/shop-hook".parse().unwrap());
    for image in ["crash/hook:1", "fail/hook:1", "wait/hook:1"] {
        for (no_wait, precedes_writes, written) in [(false, false, false), (true, false, true), (true, true, false)] {
            let connector = MemoryConnector::new(World::default());
            let mut plan = plan(&text(image), &connector).await;
            let judged = plan.judged.iter_mut().filter(|judged| judged.id == hook);
            judged.for_each(|judged| judged.precedes_writes = precedes_writes);
            let options = ApplyOptions { no_wait, ..ApplyOptions::default() };
            let began = Instant::now();
            let applied = timeout(FOREVER, deploy::apply(&plan, &Default::default(), &connector, &options, &Quiet)).await.unwrap().unwrap();
            let case = format!(
                "{image}, no_wait: {no_wait}, precedes_writes: {precedes_writes}, {:?}\n{}",
                began.elapsed(),
                told(&plan, &applied)
            );
            let result = &applied.changes.iter().find(|report| report.id == web).unwrap().result;
            match written {
                true => assert!(*result == ChangeResult::Done && began.elapsed() < Duration::from_secs(1), "{case}"),
                false => {
                    let ChangeResult::Skipped { why } = result else { panic!("{case}") };
                    assert!(why.starts_with("dev/service/shop-hook is not healthy: "), "{case}");
                    assert!(began.elapsed() <= Duration::from_secs(63), "{case}");
                }
            }
            assert_eq!(applied.verdict() == RunVerdict::Success, written, "{case}");
        }
    }
}

/// A write that never returns, and one that ends when it hears that the run was given up: `--timeout` ends the run in any case.
#[tokio::test(start_paused = true)]
async fn a_run_ends_with_its_timeout_whatever_the_platform_waits_for() {
    for (breach, within) in [(Breach::NeverAnswers, 11), (Breach::WaitsUntilGivenUp, 2)] {
        let subject = MemorySubject::fresh().await;
        let stage = Stage::with_web(&subject);
        let plan = stage.plan().await;
        let options = ApplyOptions { timeout: Some(quantity::Duration(1000)), ..ApplyOptions::default() };
        let began = Instant::now();
        let applied = apply(&stage, &ConnectUnreliable(subject.connector(), breach), &plan, &options).await;
        assert!(began.elapsed() <= Duration::from_secs(within), "{breach:?}: {:?}", began.elapsed());
        match (&applied.changes[0].result, breach) {
            (ChangeResult::Unknown { why }, Breach::NeverAnswers) => assert!(why.contains("still under way"), "{why}"),
            (ChangeResult::Failed { why, .. }, Breach::WaitsUntilGivenUp) => assert!(why.contains("waits for its finalizers"), "{why}"),
            _ => panic!("{breach:?}: {}", told(&plan, &applied)),
        }
    }
}
