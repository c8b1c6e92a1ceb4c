//! An engine behind a real OpenSSH server on this machine, which has keys and settings of its own.
//!
//! The program `ssh` finds its settings in the home of whoever runs it, and nowhere else. So that nothing of that is touched, the
//! tests run in a process that finds another `ssh` first: one that starts the real one with other settings.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use indexmap::IndexMap;
use stratos_docker::connection::Connection;
use stratos_docker::endpoint::Surroundings;
use stratos_engine::platform::PlatformErrorKind;
use stratos_test_platforms::eventually;

use super::places::{ask, place, resolve};

/// In the process of its own: the server's address.
const SERVER: &str = "STRATOS_TEST_SSH";

/// Ends with this value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Keys, a server that leads to an engine, and an `ssh` that knows it (or not).
fn serve(folder: &Path, knows_host: bool, has_key: bool) -> (Server, u16) {
    let path = |name: &str| folder.join(name).display().to_string();
    for key in ["host", "user", "stranger"] {
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // The server insists on this folder.
    std::fs::create_dir_all("/run/sshd").unwrap();
    let settings = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nPasswordAuthentication no\nSetEnv DOCKER_HOST={}\n",
        path("host"),
        path("user.pub"),
        place().engines.url(0)
    );
    std::fs::write(folder.join("sshd_config"), settings).unwrap();
    let server =
        Command::new("/usr/sbin/sshd").args(["-D", "-e", "-f", &path("sshd_config")]).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    let server = Server(server.expect("Debian's package openssh-server is needed"));
    eventually("sshd listens", || std::net::TcpStream::connect(("127.0.0.1", port)));
    let host_key = std::fs::read_to_string(folder.join("host.pub")).unwrap();
    let known = if knows_host { format!("[127.0.0.1]:{port} {host_key}") } else { String::new() };
    std::fs::write(folder.join("known_hosts"), known).unwrap();
    let key = if has_key { "user" } else { "stranger" };
    let settings =
        format!("IdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {}\n", path(key), path("known_hosts"));
    std::fs::write(folder.join("ssh_config"), settings).unwrap();
    let program = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", path("ssh_config"));
    std::fs::create_dir(folder.join("bin")).unwrap();
    std::fs::write(folder.join("bin/ssh"), program).unwrap();
    std::fs::set_permissions(folder.join("bin/ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    (server, port)
}

/// Runs a test of this file in a process that finds the other `ssh`.
fn in_a_process_of_its_own(test: &str, knows_host: bool, has_key: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = serve(folder.path(), knows_host, has_key);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("connection::ssh::{test}")])
        .env(SERVER, format!("ssh://root@127.0.0.1:{port}"))
        .env("PATH", format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn an_engine_behind_ssh_answers() {
    let Ok(server) = std::env::var(SERVER) else { return in_a_process_of_its_own("an_engine_behind_ssh_answers", true, true) };
    let endpoint = resolve(Some(&server), &IndexMap::new(), &Surroundings::default()).unwrap().endpoint;
    let connection = Connection::new(endpoint).unwrap();
    for _ in 0..3 {
        assert_eq!(connection.info().await.unwrap().name.as_deref(), Some("node0"));
    }
}

#[tokio::test]
async fn a_host_that_ssh_does_not_know_is_not_trusted() {
    let Ok(server) = std::env::var(SERVER) else {
        return in_a_process_of_its_own("a_host_that_ssh_does_not_know_is_not_trusted", false, true);
    };
    let error = ask(Some(&server), &IndexMap::new(), &Surroundings::default()).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Denied, "{error}");
    assert!(error.why.contains("Host key verification failed"), "{error}");
    assert!(error.hint.unwrap().contains("connect once by hand"));
}

#[tokio::test]
async fn a_key_that_the_host_does_not_know_is_not_let_in() {
    let Ok(server) = std::env::var(SERVER) else {
        return in_a_process_of_its_own("a_key_that_the_host_does_not_know_is_not_let_in", true, false);
    };
    let error = ask(Some(&server), &IndexMap::new(), &Surroundings::default()).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Denied, "{error}");
    assert!(error.hint.unwrap().contains("`ssh` was not let in"), "{}", error.why);
}
