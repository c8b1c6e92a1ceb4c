//! Networks that others have made: a further one of a container, a second one of the same name.

use bollard::models::NetworkCreateRequest;
use stratos_engine::deploy::RequestedAction;
use stratos_engine::platform::contract::run;
use stratos_engine::platform::contract::stage::Stage;

use super::behaviour::ids;
use super::subject::{DockerSubject, engine, engines};

#[test]
fn a_network_that_was_added_by_hand_is_kept_by_a_restart_and_removed_by_an_apply_that_says_so() {
    run::<DockerSubject>(async |subject| {
        let stage = Stage::with_web(subject);
        stage.converge().await;
        let further = format!("{}-monitoring", subject.prefix);
        engines().docker(0, &["network", "create", &further]);
        let first = ids(subject, "web").await.remove(0).1;
        engines().docker(0, &["network", "connect", "--alias", "scraped", &further, &first]);
        let networks = |id: &str| engines().docker(0, &["inspect", "--format", "{{json .NetworkSettings.Networks}}", id]);
        // A restart changes nothing.
        let plan = stage.plan_request("web", RequestedAction::Restart).await;
        stage.apply_well(&plan).await;
        let second = ids(subject, "web").await.remove(0).1;
        assert_ne!(first, second);
        let kept = networks(&second);
        assert!(kept.contains(&further) && kept.contains("scraped") && kept.contains(&format!("{}-dev", subject.prefix)), "{kept}");
        // An apply makes what the manifest says, and says that before.
        let plan = stage.plan().await;
        let [change] = plan.changes.as_slice() else { panic!("{:?}", plan.changes) };
        let removed = change.differences.iter().any(|d| d.path.to_string().contains(&further) && d.old.is_some() && d.new.is_none());
        assert!(removed && change.restarts, "{change:?}");
        stage.apply_well(&plan).await;
        stage.expect_nothing().await;
        assert!(!networks(&ids(subject, "web").await.remove(0).1).contains(&further));
        assert!(!engines().docker(0, &["network", "inspect", &further]).is_empty(), "it is not ours to remove");
    });
}

/// Two who apply at once may both make the environment's network; one of them is killed before it has removed its own.
#[test]
fn a_second_network_of_the_same_name_that_nobody_removes_is_removed() {
    run::<DockerSubject>(async |subject| {
        let mut stage = Stage::with_web(subject);
        stage.converge().await;
        let name = format!("{}-dev", subject.prefix);
        let labels = engines().docker(0, &["network", "inspect", "--format", "{{json .Labels}}", &name]);
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            labels: serde_json::from_str(&labels).unwrap(),
            ..NetworkCreateRequest::default()
        };
        engine().create_network(request).await.unwrap();
        let there = || engines().docker(0, &["network", "ls", "--quiet", "--filter", &format!("name={name}")]).lines().count();
        assert_eq!(there(), 2);
        stage.web("other", 1);
        stage.converge().await;
        assert_eq!(there(), 1);
    });
}
