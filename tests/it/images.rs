//! What the program asks image registries.

use std::net::TcpListener;

use crate::support::Place;

/// A platform that runs no images has nothing to ask for: neither a registry nor a credential helper.
#[test]
fn nothing_is_asked_for_an_environment_without_images() {
    let registry = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    registry.set_nonblocking(true).unwrap();
    let address = registry.local_addr().unwrap();
    let place = Place::with(&format!(
        "[project]\nname = \"shop\"\n[environments.dev]\nplatform = \"local\"\n\
         [apps.web]\nimage = \"{address}/shop/web:1\"\ncommand = [\"stratos\", \"hello\", \"--port\", \"$(PORT_HTTP)\"]\nports.http = 8080\n"
    ));
    // It would be an error to read it.
    place.write("docker/config.json", "no configuration");
    let run = |arguments: &[&str]| {
        let output = place.stratos(arguments).env("DOCKER_CONFIG", place.folder().join("docker")).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert!(!said.contains("not pinned") && !said.contains("not refreshed"), "{said}");
    };
    run(&["plan", "--refresh-images"]);
    run(&["apply", "--yes", "--refresh-images"]);
    run(&["plan", "--refresh-images", "--output", "json"]);
    run(&["destroy", "--yes"]);
    let nobody = registry.accept().map(|(_, from)| from).map_err(|error| error.kind());
    assert_eq!(nobody, Err(std::io::ErrorKind::WouldBlock), "the registry was asked");
}

#[test]
fn an_insecure_registry_is_a_host() {
    let place = Place::with("[project]\nname = \"shop\"\n");
    let output = place.stratos(&["plan"]).env("STRATOS_INSECURE_REGISTRIES", "registry:5000, http://other").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("STRATOS_INSECURE_REGISTRIES: \"http://other\" is no registry: write its host and port alone"), "{said}");
}
