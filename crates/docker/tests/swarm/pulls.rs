//! Images of a private registry: the nodes pull them with the user's credentials.

use std::sync::Arc;

use stratos_docker::SwarmPlatform;
use stratos_docker::config::{DockerOptions, EnvironmentConfig, ImageCredentials};
use stratos_docker::endpoint::Endpoint;
use stratos_engine::apply::RunVerdict;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::Owner;
use stratos_engine::platform::contract::run;
use stratos_engine::platform::contract::stage::{Stage, told};
use stratos_test_platforms::{PASSWORD, PrivateRegistry};

use crate::login::{Login, apply_through};
use crate::subject::{SwarmSubject, swarm};

fn connect(subject: &SwarmSubject, login: Option<Login>) -> Arc<SwarmPlatform> {
    let environment = Name::new("dev").unwrap();
    let config = EnvironmentConfig {
        owner: Owner { project: subject.prefix.clone(), environment: environment.clone() },
        environment,
        prefix: Name::new(&subject.prefix).unwrap(),
        endpoint: Endpoint::Unix(subject.proxy.socket()),
        credentials: login.map(|login| Arc::new(login) as Arc<dyn ImageCredentials>),
        swarm: subject.options,
        docker: DockerOptions::default(),
    };
    Arc::new(SwarmPlatform::connect(config).unwrap())
}

/// No node has the image: whichever it is that starts an instance has to pull it.
#[test]
fn an_image_of_a_private_registry_is_pulled_with_the_users_credentials_and_with_no_others() {
    run::<SwarmSubject>(async |subject| {
        let registry = PrivateRegistry::start(swarm());
        let web = format!("{}/web:1", swarm().registry());
        let image = registry.push(swarm(), 0, &web, &format!("{}/web:1", subject.prefix));
        let mut stage = Stage::with_web(subject);
        stage.apps["web"][0] = format!("image = \"{image}\"");
        stage.add("web", &["rollout.timeout = \"10s\""]);
        let plan = stage.plan().await;
        let applied = apply_through(&stage, &plan, connect(subject, None)).await;
        let report = told(&plan, &applied);
        assert_ne!(applied.verdict(), RunVerdict::Success, "{report}");
        assert!(report.contains("No such image") && report.contains(&image), "{report}");
        // What changes makes the nodes try again, with credentials this time.
        stage.add("web", &["env.MODE = \"known\""]);
        let plan = stage.plan().await;
        let login = Login { registry: registry.address().to_owned(), password: PASSWORD.to_owned() };
        let applied = apply_through(&stage, &plan, connect(subject, Some(login))).await;
        assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
        stage.expect_nothing().await;
    });
}

/// The credentials are sent with the creation, too, and not only with an update.
#[test]
fn a_new_service_of_a_private_image_runs_at_once() {
    run::<SwarmSubject>(async |subject| {
        let registry = PrivateRegistry::start(swarm());
        let web = format!("{}/web:1", swarm().registry());
        let image = registry.push(swarm(), 0, &web, &format!("{}/web:1", subject.prefix));
        let mut stage = Stage::with_web(subject);
        stage.apps["web"][0] = format!("image = \"{image}\"");
        let plan = stage.plan().await;
        let login = Login { registry: registry.address().to_owned(), password: PASSWORD.to_owned() };
        let applied = apply_through(&stage, &plan, connect(subject, Some(login))).await;
        assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
        stage.expect_nothing().await;
    });
}
