//! Registries that want to know who asks.

use stratos_engine::deploy::Registry as _;
use tempfile::tempdir;

use crate::support::docker_registry::DockerRegistry;
use crate::support::stub::{Stub, answer};
use crate::support::token_server::{IDENTITY, TokenServer};
use crate::support::{PASSWORD, anonymous, client, configuration, logged_in};

#[tokio::test]
async fn a_password_is_shown_to_the_registry_that_it_is_for() {
    let registry = DockerRegistry::with_password();
    let digest = registry.push("shop/web", "1", "x").await;
    let (address, folder) = (registry.address(), tempdir().unwrap());
    let image = format!("{address}/shop/web:1");
    assert_eq!(client(&logged_in(folder.path(), address, PASSWORD)).digest(&image).await, Ok(digest));

    let why = anonymous().digest(&image).await.unwrap_err().to_string();
    assert_eq!(why, format!("{address} has no such image, or shows it only after `docker login {address}`"));
    let why = client(&logged_in(folder.path(), "other.example.com", PASSWORD)).digest(&image).await.unwrap_err().to_string();
    assert!(why.ends_with(&format!("`docker login {address}`")), "{why}");
}

#[tokio::test]
async fn a_wrong_password_is_shown_once_and_never_printed() {
    let stub = Stub::answering(|_| answer(401, &[("www-authenticate", "Basic realm=\"x\"")], "")).await;
    let (address, folder) = (stub.address(), tempdir().unwrap());
    let client = client(&logged_in(folder.path(), address, "swordfish"));
    let why = client.digest(&format!("{address}/a:1")).await.unwrap_err();
    assert_eq!(why.to_string(), format!("{address} does not take the credentials of the Docker configuration: `docker login {address}`"));
    assert_eq!(stub.asked().len(), 2, "without a password, and with it");
    assert_eq!(client.digest(&format!("{address}/b:1")).await, Err(why), "the same cause");
    assert_eq!(stub.asked(), [""; 0], "an account may be locked after some tries");
    assert!(!format!("{client:?}").contains("swordfish"));
}

#[tokio::test]
async fn a_token_is_fetched_with_a_password_or_an_identity_token_or_nothing() {
    let server = TokenServer::start().await;
    let mut registry = DockerRegistry::with_tokens(server.realm(), server.certificate());
    registry.use_token(server.token("public/web"));
    let public = registry.push("public/web", "1", "public").await;
    registry.use_token(server.token("shop/web"));
    let private = registry.push("shop/web", "1", "private").await;
    let (address, folder) = (registry.address(), tempdir().unwrap());
    let [open, closed] = ["public/web", "shop/web"].map(|name| format!("{address}/{name}:1"));

    let nobody = anonymous();
    assert_eq!(nobody.digest(&open).await, Ok(public));
    let why = nobody.digest(&closed).await.unwrap_err().to_string();
    assert_eq!(why, format!("{address} has no such image, or shows it only after `docker login {address}`"));

    assert_eq!(client(&logged_in(folder.path(), address, PASSWORD)).digest(&closed).await, Ok(private.clone()));
    let wrong = client(&logged_in(folder.path(), address, "swordfish")).digest(&closed).await.unwrap_err().to_string();
    assert_eq!(wrong, format!("{address} does not take the credentials of the Docker configuration: `docker login {address}`"));

    let identity = format!(r#"{{"auths": {{"{address}": {{"auth": "YWRhOg==", "identitytoken": "{IDENTITY}"}}}}}}"#);
    assert_eq!(client(&configuration(folder.path(), &identity)).digest(&closed).await, Ok(private));
}

/// A token is put into a header: what does not fit there is refused, and nothing panics.
#[tokio::test]
async fn what_a_token_server_sends_is_not_trusted() {
    let wrong = ["", "{}", "[]", r#"{"token": 1}"#, r#"{"token": "a\nb"}"#, r#"{"token": "ü"}"#];
    for body in wrong {
        let stub = Stub::answering(move |request| match (request.uri().path(), request.headers().get("host")) {
            ("/token", _) => answer(200, &[], body),
            (_, Some(host)) => {
                let challenge = format!("Bearer realm=\"http://{}/token\"", host.to_str().unwrap());
                answer(401, &[("www-authenticate", &challenge)], "")
            }
            _ => answer(500, &[], ""),
        })
        .await;
        let address = stub.address();
        let why = anonymous().digest(&format!("{address}/web:1")).await.unwrap_err().to_string();
        assert_eq!(why, format!("the token server of {address} sent no token"), "{body}");
    }
}

#[tokio::test]
async fn what_is_no_challenge_is_refused() {
    for challenge in ["", "Bearer", "Negotiate", "Bearer realm=\"nowhere\"", "Bearer realm=\"ftp://example.com\""] {
        let stub = Stub::answering(move |_| answer(401, &[("www-authenticate", challenge)], "")).await;
        let why = anonymous().digest(&format!("{}/web:1", stub.address())).await.unwrap_err().to_string();
        assert!(why.starts_with(&format!("{} wants a login of a kind", stub.address())) || why.contains("token server"), "{why}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_takes_no_password_along() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let told = digest.clone();
    let other = Stub::answering(move |request| match request.headers().contains_key("authorization") {
        false => answer(200, &[("docker-content-digest", &told)], ""),
        true => answer(500, &[], ""),
    })
    .await;
    let place = format!("http://{}/elsewhere", other.address());
    let registry = Stub::answering(move |request| match request.headers().contains_key("authorization") {
        true => answer(307, &[("location", &place)], ""),
        false => answer(401, &[("www-authenticate", "Basic realm=\"x\"")], ""),
    })
    .await;
    let folder = tempdir().unwrap();
    let client = client(&logged_in(folder.path(), registry.address(), PASSWORD));
    assert_eq!(client.digest(&format!("{}/web:1", registry.address())).await, Ok(digest));
    assert_eq!(other.asked(), ["HEAD /elsewhere"]);
}
