//! TLS: who is trusted, and who is let in.

use std::path::Path;

use indexmap::IndexMap;
use stratos_docker::endpoint::Surroundings;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use super::places::{Authority, PLAIN, TLS, ask, options, place};

async fn ask_tls(ca: &Path, client: Option<(&Path, &Path)>) -> Result<String, PlatformError> {
    let url = format!("https://{}/", place().engines.address(TLS));
    let mut written = options(&[("ca", ca)]);
    if let Some((certificate, key)) = client {
        written.extend(options(&[("cert", certificate), ("key", key)]));
    }
    ask(Some(&url), &written, &Surroundings::default()).await
}

#[tokio::test]
async fn certificates_of_the_engines_authority_are_let_in() {
    let file = |name| place().certificates.file(name);
    let name = ask_tls(&file("ca.pem"), Some((&file("cert.pem"), &file("key.pem")))).await.unwrap();
    assert_eq!(name, "node1");
}

#[tokio::test]
async fn certificates_are_found_where_docker_looks_for_them() {
    let folder = place().certificates.file("");
    let address = place().engines.address(TLS);
    let named = Surroundings { certificates: Some(folder.clone()), tls: true, ..Surroundings::default() };
    assert_eq!(ask(Some(&format!("tcp://{address}")), &IndexMap::new(), &named).await.unwrap(), "node1", "DOCKER_CERT_PATH");
    let at_home = Surroundings { configuration: Some(folder), ..Surroundings::default() };
    assert_eq!(ask(Some(&format!("tcp://{address}:2376")), &IndexMap::new(), &at_home).await.unwrap(), "node1", "~/.docker");
}

#[tokio::test]
async fn an_engine_of_another_authority_is_not_trusted() {
    let (stranger, file) = (Authority::new(), |name| place().certificates.file(name));
    let error = ask_tls(&stranger.file("ca.pem"), Some((&file("cert.pem"), &file("key.pem")))).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Denied, "{error}");
    assert!(error.why.contains("invalid peer certificate: UnknownIssuer"), "{error}");
    assert!(error.hint.unwrap().contains("`ca` names the authority"));
    // Nor is it by the authorities of the system.
    let url = format!("https://{}/", place().engines.address(TLS));
    let error = ask(Some(&url), &IndexMap::new(), &Surroundings::default()).await.unwrap_err();
    assert_eq!(
        error.kind,
        if error.attempted.contains("authorities of this system") { PlatformErrorKind::Rejected } else { PlatformErrorKind::Denied }
    );
}

#[tokio::test]
async fn without_a_certificate_of_ours_nobody_is_let_in() {
    let error = ask_tls(&place().certificates.file("ca.pem"), None).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Denied, "{error}");
    assert!(error.hint.as_deref().unwrap().contains("`cert` and `key`"), "{error}: {:?}", error.hint);
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_let_in() {
    let stranger = Authority::new();
    let client = (stranger.file("cert.pem"), stranger.file("key.pem"));
    let error = ask_tls(&place().certificates.file("ca.pem"), Some((&client.0, &client.1))).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Denied, "{error}");
    assert!(error.hint.as_deref().unwrap().contains("`cert` and `key`"), "{error}: {:?}", error.hint);
}

#[tokio::test]
async fn a_key_that_does_not_go_with_its_certificate_is_named() {
    let file = |name| place().certificates.file(name);
    let error = ask_tls(&file("ca.pem"), Some((&file("cert.pem"), &file("server-key.pem")))).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Rejected);
    assert!(error.attempted.contains("server-key.pem") && error.why.contains("cert.pem"), "{error}");
    let error = ask_tls(&file("ca.pem"), Some((&file("key.pem"), &file("key.pem")))).await.unwrap_err();
    assert!(error.why.contains("there is no certificate in it"), "{error}");
}

#[tokio::test]
async fn tls_to_an_engine_without_is_explained() {
    let url = format!("https://{}:2375/", place().engines.address(PLAIN));
    let written = options(&[("ca", &place().certificates.file("ca.pem"))]);
    let error = ask(Some(&url), &written, &Surroundings::default()).await.unwrap_err();
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("speaks no TLS")), "{error}: {:?}", error.hint);
}
