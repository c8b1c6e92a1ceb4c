//! Secret values reach processes, and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use stratos_engine::desired::document::Leaf;
use stratos_test_platforms::eventually_async;

use crate::bench::{Bench, PROGRAM, secret, serving, workload};

const VALUE: &str = "hunter2 $(PORT)";

/// All files below a folder that hold a text.
fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let entries: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()).collect();
    let (folders, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| path.is_dir());
    let holds = |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text));
    files.into_iter().filter(holds).chain(folders.iter().flat_map(|folder| files_with(folder, text))).collect()
}

#[tokio::test]
async fn a_value_is_in_the_process_and_in_the_file_that_asked_for_it() {
    let bench = Bench::new();
    let body = serving(
        "healthy",
        json!({
            "env": { "VERSION": "1", "DB": secret("postgres://shop:") },
            "files": { "/etc/key": { "content": secret("") }, "/etc/plain": { "content": "nothing" } },
        }),
    );
    let desired = bench.resources("web", body);
    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    assert_eq!(bench.get("web", "/env/DB").await, format!("postgres://shop:{VALUE}"), "and nothing in the value is expanded");
    assert_eq!(bench.get("web", "/file/etc/key").await, VALUE);

    let found = files_with(&bench.state(), "hunter2");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("files/etc/key"));
    assert_eq!(found[0].metadata().unwrap().permissions().mode() & 0o777, 0o400);

    bench.assert_nothing_to_do(desired).await;
    let live = bench.live(&workload("web")).await.unwrap();
    assert!(!format!("{live:?}").contains("hunter2"));
    let secrets: Vec<&Leaf> = live.document.leaves().iter().map(|(_, l)| l).filter(|l| matches!(l, Leaf::Secret { .. })).collect();
    assert_eq!(secrets.len(), 2);
    assert!(secrets.iter().all(|l| matches!(l, Leaf::Secret { text: None, fingerprint: Some(_) })));
}

#[tokio::test]
async fn a_secret_file_that_was_edited_is_seen_and_mended() {
    let bench = Bench::new();
    let desired = bench.resources("web", serving("healthy", json!({ "files": { "/etc/key": { "content": secret("") } } })));
    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    let file = files_with(&bench.state(), "hunter2").remove(0);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, "another one").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    let live = bench.live(&workload("web")).await.unwrap();
    assert!(!format!("{live:?}").contains("another one"), "what has become of it may be secret too");

    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    bench.assert_nothing_to_do(desired).await;
    assert_eq!(bench.get("web", "/file/etc/key").await, VALUE);
}

/// The supervisor's memory holds values; a core dump would write them to the disk.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_supervisor_leaves_no_core_dump() {
    use std::os::unix::process::ExitStatusExt;

    let bench = Bench::new();
    std::fs::create_dir(bench.state()).unwrap();
    // A program that does dump its core here tells that the test looks at the right thing.
    let dumps = async |script: String| {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", &format!("ulimit -c unlimited && {script}")]).current_dir(bench.folder.path());
        command.spawn().unwrap()
    };
    let mut other = dumps("kill -QUIT $$".into()).await;
    if !other.wait().await.unwrap().core_dumped() {
        // A machine that writes none at all proves nothing either way.
        return;
    }
    let mut supervisor = dumps(format!("exec {PROGRAM} supervise {}", bench.state().display())).await;
    eventually_async("the supervisor", async || bench.state().join("socket").exists()).await;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(bench.supervisor().unwrap()), nix::sys::signal::Signal::SIGQUIT).unwrap();
    let status = supervisor.wait().await.unwrap();
    assert_eq!(status.signal(), Some(3));
    assert!(!status.core_dumped());
}
