//! Registries that do not answer, or not as they should: a plan goes on, and says why.

use std::pin::pin;
use std::time::Duration;

use stratos_engine::deploy::Registry as _;
use tempfile::tempdir;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::stub::{Stub, answer};
use crate::support::{anonymous, client, configuration};

/// The clock is the test's: it goes on when everything waits.
#[tokio::test(start_paused = true)]
async fn a_registry_that_is_silent_holds_up_fifty_images_no_longer_than_one() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let (client, begun) = (anonymous(), Instant::now());
    let names: Vec<String> = (0..50).map(|i| format!("{address}/web-{i}:1")).collect();
    let answers = futures::future::join_all(names.iter().map(|name| client.digest(name))).await;
    let why = format!("{address} did not answer within 5 s");
    assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|error| error.to_string() == why)), "{answers:?}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());

    let mut connections = 0;
    while futures::poll!(pin!(silent.accept())).is_ready() {
        connections += 1;
    }
    assert!((2..=8).contains(&connections), "{connections} questions were asked at a time");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_told_at_once() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let why = anonymous().digest(&format!("{closed}/web:1")).await.unwrap_err().to_string();
    assert_eq!(why, format!("{closed} cannot be reached: Connection refused (os error 111)"));
}

#[tokio::test]
async fn a_rate_limit_ends_the_questions() {
    let stub = Stub::answering(|_| answer(429, &[("retry-after", "37")], "secret-of-the-server")).await;
    let (client, address) = (anonymous(), stub.address());
    let why = client.digest(&format!("{address}/a:1")).await.unwrap_err();
    assert_eq!(why.to_string(), format!("{address} takes no more questions for now (429 Too Many Requests); ask again in 37 s"));
    assert_eq!(client.digest(&format!("{address}/b:1")).await, Err(why));
    assert_eq!(stub.asked(), ["HEAD /v2/a/manifests/1"]);
}

#[tokio::test]
async fn a_server_error_ends_the_questions() {
    let stub = Stub::answering(|_| answer(503, &[], "")).await;
    let (client, address) = (anonymous(), stub.address());
    for image in ["a", "b"] {
        let why = client.digest(&format!("{address}/{image}:1")).await.unwrap_err().to_string();
        assert_eq!(why, format!("{address} answered 503 Service Unavailable"));
    }
    assert_eq!(stub.asked().len(), 1);
}

/// A page that asks for a login in a browser is answered with 200, too.
#[tokio::test]
async fn what_is_no_manifest_has_no_digest() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let kinds: [(&str, &str, &str); 3] =
        [("text/html", "", "no manifest"), ("text/html", &digest, "no manifest"), ("", "sha256:../..", "a digest that is none")];
    for (content_type, told, expected) in kinds {
        let (content_type, told) = (content_type.to_owned(), told.to_owned());
        let stub = Stub::answering(move |_| {
            let headers = [("content-type", content_type.as_str()), ("docker-content-digest", told.as_str())];
            answer(200, &headers.into_iter().filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>(), "<html>")
        })
        .await;
        let why = anonymous().digest(&format!("{}/web:1", stub.address())).await.unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
}

#[tokio::test]
async fn a_manifest_without_end_is_not_read_to_its_end() {
    let endless = "x".repeat(5 << 20);
    let stub = Stub::answering(move |request| {
        let body = if request.method() == "GET" { endless.as_str() } else { "" };
        answer(200, &[("content-type", "application/vnd.oci.image.manifest.v1+json")], body)
    })
    .await;
    let why = anonymous().digest(&format!("{}/web:1", stub.address())).await.unwrap_err().to_string();
    assert_eq!(why, format!("{} sent a manifest of more than 4194304 bytes", stub.address()));
}

#[tokio::test]
async fn what_is_no_name_is_not_asked_for() {
    let why = anonymous().digest("127.0.0.1:1/Web").await.unwrap_err().to_string();
    assert!(why.starts_with("this is no image's name"), "{why}");
}

/// Credentials that cannot be read are no reason not to ask for what everybody may read.
#[tokio::test]
async fn broken_credentials_matter_only_where_some_are_wanted() {
    let folder = tempdir().unwrap();
    let broken = configuration(folder.path(), "{\"auths\": \"hunter2\"}");
    let digest = format!("sha256:{}", "0".repeat(64));
    let open = Stub::answering(move |_| answer(200, &[("docker-content-digest", &digest)], "")).await;
    assert!(client(&broken).digest(&format!("{}/web:1", open.address())).await.is_ok());

    let closed = Stub::answering(|_| answer(401, &[("www-authenticate", "Basic realm=\"x\"")], "")).await;
    let why = client(&broken).digest(&format!("{}/web:1", closed.address())).await.unwrap_err().to_string();
    assert!(why.contains("config.json are not understood: no Docker configuration at line 1"), "{why}");
    assert!(!why.contains("hunter2"), "{why}");
}
