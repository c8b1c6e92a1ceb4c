//! Unix sockets and plain TCP.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use indexmap::IndexMap;
use stratos_docker::endpoint::Surroundings;
use stratos_engine::platform::PlatformErrorKind;

use super::places::{PLAIN, TLS, ask, place};

/// Set in a process of its own, which is not root: the socket that it asks.
const SOCKET: &str = "STRATOS_TEST_SOCKET";

#[tokio::test]
async fn a_socket_leads_to_its_engine() {
    let none = IndexMap::new();
    for engine in [PLAIN, TLS] {
        let url = place().engines.url(engine);
        assert_eq!(ask(Some(&url), &none, &Surroundings::default()).await.unwrap(), format!("node{engine}"));
        let surroundings = Surroundings { host: Some(url), ..Surroundings::default() };
        assert_eq!(ask(None, &none, &surroundings).await.unwrap(), format!("node{engine}"), "DOCKER_HOST");
    }
}

#[tokio::test]
async fn plain_tcp_leads_to_its_engine() {
    let address = place().engines.address(PLAIN);
    for url in [format!("tcp://{address}"), format!("tcp://{address}:2375"), format!("http://{address}/")] {
        assert_eq!(ask(Some(&url), &IndexMap::new(), &Surroundings::default()).await.unwrap(), "node0", "{url}");
    }
}

#[tokio::test]
async fn plain_words_to_an_engine_with_tls_are_explained() {
    let url = format!("http://{}:2376", place().engines.address(TLS));
    let error = ask(Some(&url), &IndexMap::new(), &Surroundings::default()).await.unwrap_err();
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("https://host:port/")), "{error}: {:?}", error.hint);
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named() {
    let error = ask(Some("unix:///nowhere/docker.sock"), &IndexMap::new(), &Surroundings::default()).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Unreachable);
    assert_eq!(error.attempted, "connecting to the Docker engine at unix:///nowhere/docker.sock");
    assert!(error.why.contains("/nowhere/docker.sock"), "{error}");
    assert!(error.hint.unwrap().contains("is the engine running"));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named() {
    let url = format!("tcp://{}:9", place().engines.address(PLAIN));
    let error = ask(Some(&url), &IndexMap::new(), &Surroundings::default()).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Unreachable);
    assert!(error.to_string().contains("efused"), "{error}");
}

/// Root may use every socket: the test starts itself as nobody.
#[tokio::test]
async fn a_socket_that_we_may_not_use_is_explained() {
    if let Ok(socket) = std::env::var(SOCKET) {
        let error = ask(Some(&socket), &IndexMap::new(), &Surroundings::default()).await.unwrap_err();
        assert_eq!(error.kind, PlatformErrorKind::Denied, "{error}");
        assert!(error.why.to_lowercase().contains("permission denied"), "{error}");
        assert!(error.hint.unwrap().contains("group `docker`"));
        return;
    }
    // Nobody may read the target folder: a copy of this program, and a link to the socket, stand where everyone may look.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(folder.path().join("docker.sock")).unwrap();
    std::fs::set_permissions(folder.path().join("docker.sock"), std::fs::Permissions::from_mode(0o660)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--exact", "connection::sockets::a_socket_that_we_may_not_use_is_explained"])
        .env(SOCKET, format!("unix://{}", folder.path().join("docker.sock").display()))
        .output()
        .unwrap();
    drop(listener);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
