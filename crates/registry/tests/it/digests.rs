//! What a tag stands for.

use std::process::Command;

use stratos_engine::deploy::Registry as _;

use crate::support::anonymous;
use crate::support::docker_registry::{DockerRegistry, INDEX, MANIFEST};
use crate::support::stub::{Stub, answer};

/// What `curl` is told for the same tag.
fn curl(url: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--noproxy", "*", "--head", "--header", &format!("Accept: {INDEX}, {MANIFEST}"), url]);
    let output = command.output().expect("this test needs the program curl");
    let headers = String::from_utf8(output.stdout).unwrap();
    let digest = headers.lines().find_map(|line| line.to_lowercase().strip_prefix("docker-content-digest: ").map(str::to_owned));
    digest.unwrap_or_else(|| panic!("{headers}{}", String::from_utf8_lossy(&output.stderr))).trim().to_owned()
}

#[tokio::test]
async fn a_tag_has_the_digest_of_its_manifest_and_follows_it() {
    let registry = DockerRegistry::open();
    let first = registry.push("shop/web", "1", "first").await;
    let image = format!("{}/shop/web:1", registry.address());
    assert_eq!(anonymous().digest(&image).await, Ok(first.clone()));
    assert_eq!(curl(&registry.url("shop/web/manifests/1")), first);

    let second = registry.push("shop/web", "1", "second").await;
    assert_ne!(first, second);
    assert_eq!(anonymous().digest(&image).await, Ok(second));
}

#[tokio::test]
async fn an_image_of_several_architectures_has_the_digest_of_its_index() {
    let registry = DockerRegistry::open();
    let (index, manifests) = registry.push_index("shop/web", "2").await;
    let told = anonymous().digest(&format!("{}/shop/web:2", registry.address())).await.unwrap();
    assert_eq!(told, index);
    assert!(!manifests.contains(&told));
    assert_eq!(curl(&registry.url("shop/web/manifests/2")), told);
}

#[tokio::test]
async fn no_tag_is_the_tag_latest() {
    let registry = DockerRegistry::open();
    let latest = registry.push("web", "latest", "x").await;
    assert_eq!(anonymous().digest(&format!("{}/web", registry.address())).await, Ok(latest));
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_a_registry_that_is_not() {
    let registry = DockerRegistry::open();
    let there = registry.push("shop/web", "1", "x").await;
    let (client, address) = (anonymous(), registry.address());
    for missing in ["shop/web:2", "shop/none:1"] {
        let why = client.digest(&format!("{address}/{missing}")).await.unwrap_err().to_string();
        assert_eq!(why, format!("{address} has no such image or tag"));
    }
    assert_eq!(client.digest(&format!("{address}/shop/web:1")).await, Ok(there), "the registry is asked for other images");
}

#[tokio::test]
async fn a_tag_is_asked_for_once_however_it_is_written() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let stub = Stub::answering(move |_| answer(200, &[("content-type", INDEX), ("docker-content-digest", &digest)], "")).await;
    let client = anonymous();
    let names = [format!("{}/web", stub.address()), format!("{}/web:latest", stub.address())];
    let asked = names.iter().cycle().take(20).map(|name| client.digest(name));
    assert!(futures::future::join_all(asked).await.iter().all(Result::is_ok));
    assert_eq!(stub.asked(), ["HEAD /v2/web/manifests/latest"]);
}

/// The header is optional by the specification: the digest is that of what `GET` sends.
#[tokio::test]
async fn a_registry_that_tells_no_digest_is_asked_for_the_manifest() {
    let stub = Stub::answering(|_| answer(200, &[("content-type", &format!("{MANIFEST}; charset=utf-8"))], "{}")).await;
    let told = anonymous().digest(&format!("{}/web:1", stub.address())).await.unwrap();
    assert_eq!(told, "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert_eq!(stub.asked(), ["HEAD /v2/web/manifests/1", "GET /v2/web/manifests/1"]);
}
