//! Images of a private registry: the engine pulls them with the user's credentials.

use std::sync::Arc;

use stratos_docker::DockerPlatform;
use stratos_docker::config::{EnvironmentConfig, ImageCredentials};
use stratos_engine::apply::RunVerdict;
use stratos_engine::platform::contract::run;
use stratos_engine::platform::contract::stage::{Stage, told};
use stratos_test_platforms::{PASSWORD, PrivateRegistry};

use super::subject::{DockerSubject, engines, web};
use crate::login::{Login, apply_through};

fn connect(subject: &DockerSubject, login: Option<Login>) -> Arc<DockerPlatform> {
    let credentials = login.map(|login| Arc::new(login) as Arc<dyn ImageCredentials>);
    Arc::new(DockerPlatform::connect(EnvironmentConfig { credentials, ..subject.configuration() }).unwrap())
}

#[test]
fn an_image_of_a_private_registry_is_pulled_with_the_users_credentials_and_with_no_others() {
    run::<DockerSubject>(async |subject| {
        let registry = PrivateRegistry::start(engines());
        let image = registry.push(engines(), 0, &web("1"), &format!("{}/web:1", subject.prefix));
        let login = |password: &str| Some(Login { registry: registry.address().to_owned(), password: password.to_owned() });
        let mut stage = Stage::with_web(subject);
        stage.apps["web"][0] = format!("image = \"{image}\"");
        let plan = stage.plan().await;
        for (refused, words) in [(None, "no basic auth credentials"), (login("wrong"), "unauthorized")] {
            let applied = apply_through(&stage, &plan, connect(subject, refused)).await;
            let told = told(&plan, &applied);
            assert!(told.contains(words) && told.contains(&format!("pulling the image {image}")), "{told}");
            assert!(told.contains("docker login") && !told.contains("wrong"), "{told}");
            assert!(subject.of(&subject.live("web")).await.is_empty());
        }
        let applied = apply_through(&stage, &plan, connect(subject, login(PASSWORD))).await;
        assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
        stage.expect_nothing().await;
    });
}
