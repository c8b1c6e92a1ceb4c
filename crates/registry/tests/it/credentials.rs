//! Where credentials come from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use stratos_registry::Credentials;
use stratos_registry::credentials::Login;
use tempfile::{TempDir, tempdir};

/// A credential helper: it knows two servers, and writes down what it is asked.
const HELPER: &str = r#"#!/bin/sh
read -r server
echo "$1 $server" >> "$(dirname "$0")/asked"
case "$server" in
  https://index.docker.io/v1/) echo '{"ServerURL": "x", "Username": "<token>", "Secret": "hub-token"}' ;;
  registry.example.com) echo '{"ServerURL": "x", "Username": "ada", "Secret": "hunter2"}' ;;
  broken.example.com) echo 'the secret is hunter2'; exit 3 ;;
  odd.example.com) echo '["hunter2"]' ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"#;

struct Place {
    folder: TempDir,
    credentials: Credentials,
}

impl Place {
    /// Configuration files with these texts, the strongest first, and a helper `docker-credential-test`.
    fn new(files: &[&str]) -> Self {
        let folder = tempdir().unwrap();
        let path = |i: usize| folder.path().join(format!("{i}.json"));
        for (i, text) in files.iter().enumerate() {
            fs::write(path(i), text).unwrap();
        }
        let helper = folder.path().join("docker-credential-test");
        fs::write(&helper, HELPER).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        let paths = std::iter::once(folder.path().join("not-there.json")).chain((0..files.len()).map(path)).collect();
        let credentials = Credentials::new(paths, vec!["/not-there".into(), folder.path().to_owned()]);
        Self { folder, credentials }
    }

    async fn of(&self, image: &str) -> Option<(String, String)> {
        self.credentials.for_image(image).await.unwrap().map(|credential| match credential.login {
            Login::Password { username, password } => (username, password.to_string()),
            Login::IdentityToken(token) => ("<token>".to_owned(), token.to_string()),
        })
    }

    async fn error(&self, image: &str) -> String {
        let error = self.credentials.for_image(image).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        error.to_string()
    }

    fn asked(&self) -> Vec<String> {
        let lines = fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default();
        lines.lines().map(str::to_owned).collect()
    }
}

fn pair(username: &str, secret: &str) -> Option<(String, String)> {
    Some((username.to_owned(), secret.to_owned()))
}

#[tokio::test]
async fn what_docker_login_writes_is_read() {
    // `ada:hunter2`, `ada:a:b` without padding, and `ada:x` followed by zeros.
    let place = Place::new(&[r#"{
        "auths": {
            "https://index.docker.io/v1/": {"auth": "YWRhOmh1bnRlcjI="},
            "registry.example.com:5000": {"auth": "YWRhOmE6Yg"},
            "https://zeros.example.com/v2/": {"auth": "YWRhOngAAA=="},
            "plain.example.com": {"username": "ada", "password": "hunter2"},
            "token.example.com": {"auth": "YWRhOg==", "identitytoken": "t"},
            "empty.example.com": {},
            "podman.example.com/shop": {"auth": "YWRhOmh1bnRlcjI="}
        },
        "HttpHeaders": {"User-Agent": "x"}, "currentContext": "x"
    }"#]);
    assert_eq!(place.of("nginx").await, pair("ada", "hunter2"));
    assert_eq!(place.of("docker.io/shop/web:1").await, pair("ada", "hunter2"));
    assert_eq!(place.of("registry.example.com:5000/web").await, pair("ada", "a:b"));
    assert_eq!(place.of("zeros.example.com/web").await, pair("ada", "x"));
    assert_eq!(place.of("plain.example.com/web").await, pair("ada", "hunter2"));
    assert_eq!(place.of("token.example.com/web").await, pair("<token>", "t"));
    for without in ["empty.example.com/web", "registry.example.com/web", "podman.example.com/shop/web", "quay.io/web"] {
        assert_eq!(place.of(without).await, None, "{without}");
    }
    let found = place.credentials.for_image("nginx").await.unwrap().unwrap();
    assert_eq!(found.server, "https://index.docker.io/v1/");
    assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
}

#[tokio::test]
async fn the_first_file_that_knows_a_registry_is_taken() {
    let place = Place::new(&[
        r#"{"auths": {"a.example.com": {"auth": "YWRhOjE="}}}"#,
        r#"{"auths": {"a.example.com": {"auth": "YWRhOjI="}, "b.example.com": {"auth": "YWRhOjI="}}}"#,
    ]);
    assert_eq!(place.of("a.example.com/web").await, pair("ada", "1"));
    assert_eq!(place.of("b.example.com/web").await, pair("ada", "2"));
}

#[tokio::test]
async fn a_credential_helper_is_asked_by_docker_s_protocol() {
    let place = Place::new(&[r#"{"credsStore": "test", "auths": {"registry.example.com": {}}}"#]);
    assert_eq!(place.of("registry.example.com/web").await, pair("ada", "hunter2"));
    assert_eq!(place.of("nginx").await, pair("<token>", "hub-token"));
    assert_eq!(place.of("quay.io/web").await, None);
    assert_eq!(place.asked(), ["get registry.example.com", "get https://index.docker.io/v1/", "get quay.io"]);
}

#[tokio::test]
async fn a_helper_for_one_registry_is_stronger_than_the_file_and_the_file_than_that_for_all() {
    let place = Place::new(&[r#"{
        "credHelpers": {"registry.example.com": "test", "off.example.com": ""},
        "credsStore": "test",
        "auths": {"registry.example.com": {"auth": "YWRhOjE="}, "inline.example.com": {"auth": "YWRhOjE="}}
    }"#]);
    assert_eq!(place.of("registry.example.com/web").await, pair("ada", "hunter2"));
    assert_eq!(place.of("inline.example.com/web").await, pair("ada", "1"));
    assert_eq!(place.of("off.example.com/web").await, None);
    assert_eq!(place.asked(), ["get registry.example.com"]);
}

#[tokio::test]
async fn what_goes_wrong_is_said_without_what_was_read() {
    let place = Place::new(&[r#"{"credsStore": "test"}"#]);
    let broken = place.error("broken.example.com/web").await;
    assert_eq!(
        broken,
        "docker-credential-test was asked for the credentials of broken.example.com: it failed (exit status: 3); \
         `echo broken.example.com | docker-credential-test get` shows why"
    );
    assert!(place.error("odd.example.com/web").await.contains("its answer is not understood"));
    for (configuration, expected) in [
        (r#"{"credsStore": "missing"}"#, "there is no such program in PATH"),
        (r#"{"credsStore": "../test"}"#, "there is no such program in PATH"),
        (r#"{"auths": {"x.example.com": "hunter2"}}"#, "0.json are not understood: no Docker configuration at line 1"),
        ("hunter2", "0.json are not understood"),
        (r#"{"auths": {"x.example.com": {"auth": "hunter2!"}}}"#, "the entry for x.example.com in "),
        (r#"{"auths": {"x.example.com": {"auth": "YWRh"}}}"#, "the entry for x.example.com in "),
    ] {
        let error = Place::new(&[configuration]).error("x.example.com/web").await;
        assert!(error.contains(expected), "{configuration}: {error}");
    }
    let folder = tempdir().unwrap();
    let unreadable = Credentials::new(vec![folder.path().to_owned()], vec![]);
    let error = unreadable.for_image("web").await.unwrap_err().to_string();
    assert!(error.starts_with("reading the credentials in /"), "{error}");
    assert!(place.error("Web").await.starts_with("this is no image's name"));
}

#[tokio::test]
async fn no_file_is_no_error() {
    let credentials = Credentials::new(vec![Path::new("/not-there/config.json").to_owned()], vec![]);
    assert_eq!(credentials.for_image("web").await, Ok(None));
}
