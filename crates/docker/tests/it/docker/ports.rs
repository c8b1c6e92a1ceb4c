//! Published ports that go from one app to another.

use stratos_engine::plan::HeldReason;
use stratos_engine::platform::contract::stage::{Stage, told};
use stratos_engine::platform::contract::{Body, Subject, run};

use super::behaviour::published;
use super::load::ask;
use super::subject::DockerSubject;

/// Two apps, `web` and `shop`, which answer `1` and `2`.
async fn two(subject: &DockerSubject) -> (Stage<'_, DockerSubject>, u16, u16) {
    let (one, two) = (subject.free_port(), subject.free_port());
    let mut stage = Stage::new(subject);
    stage.app("web", Body::Web(1), &[published(one)]).app("shop", Body::Web(2), &[published(two)]);
    stage.converge().await;
    assert_eq!((ask(one).await, ask(two).await), (Ok("1".into()), Ok("2".into())));
    (stage, one, two)
}

#[test]
fn two_apps_exchange_their_ports_in_one_apply() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, one, two) = two(subject).await;
        stage.apps["web"][1] = published(two);
        stage.apps["shop"][1] = published(one);
        stage.converge().await;
        assert_eq!((ask(one).await, ask(two).await), (Ok("2".into()), Ok("1".into())));
    });
}

#[test]
fn a_port_goes_from_an_app_that_is_removed_to_a_new_one_in_one_apply() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, one, two) = two(subject).await;
        stage.remove("web").app("another", Body::Web(1), &[published(one)]);
        stage.converge().await;
        assert_eq!((ask(one).await, ask(two).await), (Ok("1".into()), Ok("2".into())));
    });
}

#[test]
fn a_port_that_its_holder_keeps_is_an_error_that_names_the_holder() {
    run::<DockerSubject>(async |subject| {
        let (mut stage, one, two) = two(subject).await;
        stage.add("web", &["protect = true"]);
        stage.converge().await;
        stage.remove("web");
        stage.apps["shop"][1] = published(one);
        let plan = stage.plan().await;
        assert!(plan.held.iter().any(|held| held.why == HeldReason::Protected), "{:?}", plan.held);
        let told = told(&plan, &stage.apply(&plan).await);
        assert!(told.contains(&format!("{one}")) && told.contains(&format!("{} has it", subject.live("web"))), "{told}");
        assert_eq!((ask(one).await, ask(two).await), (Ok("1".into()), Ok("2".into())), "each serves as before");
    });
}
