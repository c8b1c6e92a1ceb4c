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

use super::subject::{SwarmSubject, swarm};
use crate::login::{Login, apply_through};

fn connect(subject: &SwarmSubject, login: Option<Login>) -> Arc<SwarmPlatform> {
    let environment = Name::new("dev").unwrap();
    let config = EnvironmentConfig {
        owner: Owner::new(&subject.prefix, environment.clone()),
        environment,
        prefix: Name::new(&subject.prefix).unwrap(),
        endpoint: Endpoint::Unix(subject.proxy.socket()),
        credentials: login.map(|login| Arc::new(login) as Arc<dyn ImageCredentials>),
        swarm: subject.options,
        docker: DockerOptions::default(),
    };
    Arc::new(SwarmPlatform::connect(config).unwrap())
}

/// An app of a private registry that no node has the image of: whichever it is that starts an instance has to pull it.
fn private_app(subject: &SwarmSubject) -> (Stage<'_, SwarmSubject>, PrivateRegistry, String) {
    let registry = PrivateRegistry::start(swarm());
    let web = format!("{}/web:1", swarm().registry());
    let image = registry.push(swarm(), 0, &web, &format!("{}/web:1", subject.prefix));
    let mut stage = Stage::with_web(subject);
    stage.apps["web"][0] = format!("image = \"{image}\"");
    (stage, registry, image)
}

/// Carries out what is to be done, as somebody who is logged in.
async fn converge(stage: &Stage<'_, SwarmSubject>, registry: &PrivateRegistry) {
    let plan = stage.plan().await;
    let login = Login { registry: registry.address().to_owned(), password: PASSWORD.to_owned() };
    let applied = apply_through(stage, &plan, connect(stage.subject, Some(login))).await;
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
    stage.expect_nothing().await;
}

#[test]
fn a_new_service_of_a_private_image_gets_the_users_credentials() {
    run::<SwarmSubject>(async |subject| {
        let (stage, registry, _) = private_app(subject);
        converge(&stage, &registry).await;
    });
}

#[test]
fn a_private_image_runs_nowhere_without_credentials_until_an_update_brings_them() {
    run::<SwarmSubject>(async |subject| {
        let (mut stage, registry, image) = private_app(subject);
        stage.add("web", &["rollout.timeout = \"10s\""]);
        let plan = stage.plan().await;
        let applied = apply_through(&stage, &plan, connect(subject, None)).await;
        let told = told(&plan, &applied);
        assert_ne!(applied.verdict(), RunVerdict::Success, "{told}");
        assert!(told.contains("No such image") && told.contains(&image), "{told}");
        stage.apps["web"].retain(|line| !line.starts_with("rollout."));
        stage.add("web", &["env.MODE = \"known\""]);
        converge(&stage, &registry).await;
    });
}
