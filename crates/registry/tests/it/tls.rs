//! Registries that are not on this machine are asked over TLS.
//!
//! `0.0.0.0` leads to this machine and is not taken for it.

use std::path::Path;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};
use stratos_engine::deploy::Registry as _;
use stratos_registry::{Client, Credentials};
use tempfile::tempdir;

use crate::support::anonymous;
use crate::support::docker_registry::DockerRegistry;
use crate::support::stub::{Stub, answer};

/// Where the test in a process of its own finds what to ask for and what to expect.
const ASKED: &str = "STRATOS_TEST_TLS_IMAGE";

/// A certificate for 0.0.0.0 that nobody signed, and its key, in files.
fn certificate(folder: &Path) -> [std::path::PathBuf; 2] {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["0.0.0.0".to_owned()]).unwrap().self_signed(&key).unwrap();
    let paths = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    std::fs::write(&paths[0], certificate.pem()).unwrap();
    std::fs::write(&paths[1], key.serialize_pem()).unwrap();
    paths
}

/// Which certificates are trusted is read from the environment, which belongs to a whole process: the test starts itself.
#[tokio::test]
async fn a_certificate_must_be_one_that_the_system_trusts() {
    if let Ok(asked) = std::env::var(ASKED) {
        let (image, digest) = asked.split_once(' ').unwrap();
        assert_eq!(anonymous().digest(image).await, Ok(digest.to_owned()));
        return;
    }
    let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
    let [trusted, key] = certificate(folder.path());
    let [stranger, _] = certificate(other.path());
    let registry = DockerRegistry::over_tls(&trusted, &key);
    let digest = registry.push("web", "1", "x").await;
    let asked = format!("{}/web:1 {digest}", registry.address());
    let (success, said) = trusting(&trusted, &asked);
    assert!(success && said.contains("1 passed"), "{said}");
    let (success, said) = trusting(&stranger, &asked);
    assert!(!success && said.contains("cannot be reached: invalid peer certificate"), "{said}");

    let none = other.path().join("none.pem");
    std::fs::write(&none, "").unwrap();
    let (success, said) = trusting(&none, &asked);
    assert!(
        !success && said.contains("was not asked, since no HTTP client could be made: ") && said.contains("No CA certificates"),
        "{said}"
    );
}

/// The test above, in a process that trusts this certificate: whether it passed, and what it said.
fn trusting(certificate: &Path, asked: &str) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tls::a_certificate_must_be_one_that_the_system_trusts"]);
    let output = command.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", certificate).env(ASKED, asked).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn plain_http_is_spoken_where_the_user_says_so() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let told = digest.clone();
    let stub = Stub::answering(move |_| answer(200, &[("docker-content-digest", &told)], "")).await;
    let registry = stub.address().replace("127.0.0.1", "0.0.0.0");
    let image = format!("{registry}/web:1");
    let why = anonymous().digest(&image).await.unwrap_err().to_string();
    assert_eq!(why, format!("{registry} speaks no TLS; where that is right, name it in STRATOS_INSECURE_REGISTRIES"));
    assert_eq!(stub.asked(), [""; 0]);

    let client = Client::new(Credentials::default(), &format!("other.example.com,{registry}")).unwrap();
    assert_eq!(client.digest(&image).await, Ok(digest));
}
