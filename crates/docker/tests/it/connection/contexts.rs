//! Contexts that the real Docker command line made.

use std::path::Path;
use std::process::Command;

use indexmap::IndexMap;
use stratos_docker::endpoint::{Origin, Surroundings};

use super::places::{TLS, ask, options, place, resolve};

fn docker(configuration: &Path, arguments: &[&str]) {
    let output = Command::new("docker")
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .arg("--config")
        .arg(configuration)
        .args(arguments)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_context_is_found_by_its_name_and_as_the_current_one() {
    let configuration = tempfile::tempdir().unwrap();
    let file = |name| place().certificates.file(name).display().to_string();
    let host =
        format!("host=tcp://{}:2376,ca={},cert={},key={}", place().engines.address(TLS), file("ca.pem"), file("cert.pem"), file("key.pem"));
    docker(configuration.path(), &["context", "create", "far", "--docker", &host]);
    docker(configuration.path(), &["context", "create", "near", "--docker", &format!("host={}", place().engines.url(0))]);
    let surroundings = Surroundings { configuration: Some(configuration.path().to_owned()), ..Surroundings::default() };
    let named = |name: &str| options(&[("context", Path::new(name))]);
    assert_eq!(ask(None, &named("far"), &surroundings).await.unwrap(), "node1");
    assert_eq!(ask(None, &named("near"), &surroundings).await.unwrap(), "node0");
    let chosen = Surroundings { context: Some("near".into()), ..surroundings.clone() };
    assert_eq!(ask(None, &IndexMap::new(), &chosen).await.unwrap(), "node0", "DOCKER_CONTEXT");
    assert_eq!(resolve(None, &IndexMap::new(), &surroundings).unwrap().origin, Origin::Default, "none was chosen yet");
    docker(configuration.path(), &["context", "use", "far"]);
    assert_eq!(ask(None, &IndexMap::new(), &surroundings).await.unwrap(), "node1", "the current one");
    let error = ask(None, &named("fra"), &surroundings).await.unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("there are: far, near"), "{error}");
}
