//! A container that somebody has connected to a further network.

use stratos_engine::deploy::RequestedAction;
use stratos_engine::platform::contract::run;
use stratos_engine::platform::contract::stage::Stage;

use super::behaviour::ids;
use super::subject::{DockerSubject, engines};

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
