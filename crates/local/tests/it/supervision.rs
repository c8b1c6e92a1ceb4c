//! What ends is started again, and what should have ended has.

use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use stratos_engine::health::Status;
use stratos_engine::plan::change::Action;
use stratos_engine::platform::{LogOptions, Outcome, Platform};
use stratos_test_platforms::eventually_async;

use crate::bench::{Bench, PROGRAM, change, kill, requested, runs, serving, volume, workload};

#[tokio::test]
async fn a_killed_supervisor_leaves_nothing_running_and_an_apply_brings_it_all_back() {
    let bench = Bench::new();
    // The shell is a parent between the supervisor and the server: what only a direct child would notice is not enough.
    let command = format!("{PROGRAM} serve healthy & wait");
    let body = serving("healthy", json!({ "command": ["sh", "-c", command], "volumes": { "data": { "path": "/data" } } }));
    let desired = bench.resources("web", body);
    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    let port = bench.port("web").await;
    let place = bench.get("web", "/env/STRATOS_VOLUME_DATA").await;
    std::fs::write(format!("{place}/kept"), "still here").unwrap();
    let before = bench.processes();
    bench.kill_supervisor().await;

    // What is there is still known, and that it does not run is a difference.
    assert!(bench.live(&volume("web", "data")).await.is_some());
    assert_eq!(bench.health(&workload("web")).await.status, Status::Failed);
    let differences = bench.plan(desired.clone()).await.differences;
    let stratos_engine::compare::Difference::Differs { fields, .. } = &differences[0] else { panic!("{differences:?}") };
    assert_eq!(fields.iter().map(|f| f.path.to_string()).collect::<Vec<_>>(), ["stopped"]);

    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    bench.assert_nothing_to_do(desired).await;
    assert_eq!(bench.port("web").await, port, "others find it where it was");
    assert_eq!(std::fs::read_to_string(format!("{place}/kept")).unwrap(), "still here");
    let after = bench.processes();
    assert_eq!(after.len(), before.len(), "nothing runs twice");
    assert!(before.iter().all(|old| !after.contains(old)), "and nothing of before runs at all");
}

#[tokio::test]
async fn a_supervisor_that_is_told_to_end_ends_everything_in_order() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", serving("healthy", json!({ "replicas": 2 })))).await;
    bench.healthy(&workload("web")).await;
    let supervisor = nix::unistd::Pid::from_raw(bench.supervisor().unwrap());
    nix::sys::signal::kill(supervisor, nix::sys::signal::Signal::SIGTERM).unwrap();
    eventually_async("everything to end", async || bench.processes().is_empty() && bench.guard().is_none()).await;
    assert!(!bench.state().join("socket").exists() && bench.state().join("state.json").exists());
    assert!(bench.live(&workload("web")).await.is_some(), "what should run is still known");
}

#[tokio::test]
async fn a_supervisor_whose_folder_has_gone_ends_with_all_that_it_runs() {
    // Removed; moved away; and removed and begun anew, by a supervisor that is not to be disturbed.
    for how in ["removed", "moved", "anew"] {
        let bench = Bench::new();
        bench.deploy(bench.resources("web", serving("healthy", json!({ "replicas": 2 })))).await;
        bench.healthy(&workload("web")).await;
        let before = bench.processes();
        assert_eq!(before.len(), 3);
        let gone = || !before.iter().any(|process| runs(*process));
        match how {
            "moved" => std::fs::rename(bench.state(), bench.folder.path().join("elsewhere")).unwrap(),
            _ => std::fs::remove_dir_all(bench.state()).unwrap(),
        }
        if how == "anew" {
            let desired = bench.resources("web", serving("healthy", json!({})));
            bench.deploy(desired.clone()).await;
            eventually_async("the old ones to end", async || gone()).await;
            bench.healthy(&workload("web")).await;
            bench.assert_nothing_to_do(desired).await;
        } else {
            eventually_async("everything to end", async || gone()).await;
        }
    }
}

#[tokio::test]
async fn a_deletion_that_nobody_waits_for_any_more_does_not_keep_a_supervisor_from_ending() {
    let bench = Bench::new();
    let let_go = bench.folder.path().join("let-go");
    let stubborn = format!("trap '' TERM; while [ ! -e {} ]; do sleep 0.05; done", let_go.display());
    bench.deploy(bench.resources("web", json!({ "command": ["sh", "-c", stubborn] }))).await;
    bench.healthy(&workload("web")).await;
    let delete = change(&bench.plan(vec![]).await.differences[0]);
    tokio::select! {
        outcome = bench.apply(&delete) => panic!("{outcome:?}"),
        () = async { while bench.live(&workload("web")).await.is_some() {} } => {}
    }
    let retired = async {
        bench.platform.retire(&bench.owner).await.unwrap();
    };
    let lets_go = async { std::fs::write(&let_go, "").unwrap() };
    tokio::time::timeout(Duration::from_secs(8), async { tokio::join!(retired, lets_go) }).await.expect("it ends");
    assert!(!bench.state().join("socket").exists());
}

#[tokio::test]
async fn a_supervisor_may_have_many_files_open_and_its_programs_as_many_as_before() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let soft = hard.min(5000) - 1;
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    let bench = Bench::new();
    let says = "ulimit -Sn; exec sleep 1000";
    bench.deploy(bench.resources("web", json!({ "command": ["sh", "-c", says] }))).await;
    bench.healthy(&workload("web")).await;
    let logs = bench.platform.logs().unwrap();
    let options = LogOptions { follow: false, tail: None, previous: false };
    let lines: Vec<_> = logs.logs(&workload("web"), &options).await.unwrap().collect().await;
    assert_eq!(lines[0].as_ref().unwrap().line, soft.to_string());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", bench.supervisor().unwrap())).unwrap();
    let open = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    assert_eq!(open.split_whitespace().next(), Some(hard.to_string().as_str()));
}

#[tokio::test]
async fn what_outlived_a_supervisor_all_the_same_ends_before_it_is_started_again() {
    let bench = Bench::new();
    let command = format!("{PROGRAM} serve healthy & wait");
    let desired = bench.resources("web", serving("healthy", json!({ "command": ["sh", "-c", command] })));
    bench.deploy(desired.clone()).await;
    bench.healthy(&workload("web")).await;
    let before = bench.processes();
    // Without its guard, nobody is left to end what the shell started.
    kill(bench.guard().unwrap());
    kill(bench.supervisor().unwrap());
    eventually_async("all but the server to end", async || bench.processes().len() == 1).await;
    bench.deploy(desired).await;
    bench.healthy(&workload("web")).await;
    let after = bench.processes();
    assert!(before.iter().all(|old| !after.contains(old)), "{before:?} {after:?}");
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_a_gap_and_nothing_is_begun_anew_over_it() {
    let bench = Bench::new();
    let desired = bench.resources("web", serving("healthy", json!({})));
    let create = change(&bench.plan(desired.clone()).await.differences[0]);
    bench.deploy(desired).await;
    bench.kill_supervisor().await;
    std::fs::write(bench.state().join("state.json"), "{ \"format\": 1, ").unwrap();
    let sink = bench.observe(&[&workload("web")]).await;
    assert!(sink.resources.is_empty());
    assert!(sink.gaps[0].contains(&workload("web")) && sink.gaps[0].why.contains("state.json"), "{:?}", sink.gaps);
    let Outcome::Failed(error) = bench.apply(&create).await else { panic!("it cannot be known what is there") };
    assert!(error.to_string().contains("state.json"), "{error}");
}

#[tokio::test]
async fn what_crashes_is_started_again() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", serving("healthy", json!({})))).await;
    bench.healthy(&workload("web")).await;
    let server = bench.processes().into_iter().find(|id| Some(*id) != bench.supervisor()).unwrap();
    kill(server);
    eventually_async("another process", async || bench.processes().iter().any(|id| Some(*id) != bench.supervisor() && *id != server)).await;
    let health = bench.healthy(&workload("web")).await;
    assert_eq!(health.instances[0].restarts, 1);
}

#[tokio::test]
async fn a_crash_loop_fails_soon_and_says_why() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", serving("crash", json!({})))).await;
    let (good, health) = bench.settled(&workload("web")).await;
    assert!(!good);
    assert_eq!(health.status, Status::Failed);
    assert!(health.message.contains("exited with status 1, 4 times in a row; last output: boom"), "{}", health.message);
    assert!(health.instances[0].last_log.iter().any(|line| line.starts_with("boom")));
    // The second look is no better than the first.
    assert!(!bench.settled(&workload("web")).await.0);
}

#[tokio::test]
async fn a_command_that_is_not_there_fails_at_once() {
    let bench = Bench::new();
    bench.deploy(bench.resources("web", serving("", json!({ "command": ["no-such-program"] })))).await;
    let (good, health) = bench.settled(&workload("web")).await;
    assert!(!good && health.message.contains("the command \"no-such-program\" is not in PATH"), "{health:?}");
}

#[tokio::test]
async fn a_live_probe_that_fails_starts_it_again() {
    let bench = Bench::new();
    let live = json!({ "ready": { "tcp": "http" }, "live": { "http": "/healthz", "interval": "50ms", "retries": 2 } });
    bench.deploy(bench.resources("web", serving("never-healthy", json!({ "health": live })))).await;
    eventually_async("another start", async || {
        let health = bench.health(&workload("web")).await;
        let is_so = |i: &stratos_engine::health::Instance| i.restarts > 0 && i.message.contains("does not live: GET /healthz answered 503");
        if health.instances.first().is_some_and(is_so) { Ok(()) } else { Err(format!("{health:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_restart_exchanges_what_runs() {
    let bench = Bench::new();
    let desired = bench.resources("web", serving("healthy", json!({ "replicas": 2 })));
    bench.deploy(desired.clone()).await;
    let before = bench.healthy(&workload("web")).await.instances;
    let live = bench.live(&workload("web")).await.unwrap();
    assert!(matches!(bench.apply(&requested(&live, Action::Restart)).await, Outcome::Done { .. }));
    let after = bench.healthy(&workload("web")).await.instances;
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|new| before.iter().all(|old| old.name != new.name)));
    bench.assert_nothing_to_do(desired).await;
}

#[tokio::test]
async fn a_deleted_workload_is_ended_kindly_with_all_that_it_started() {
    let bench = Bench::new();
    let script = "trap 'echo goodbye > \"$STRATOS_VOLUME_DATA/end\"; exit 0' TERM; sleep 1000 & while :; do wait; done";
    let body = json!({ "command": ["sh", "-c", script], "volumes": { "data": { "path": "/data" } } });
    bench.deploy(bench.resources("job", body)).await;
    bench.healthy(&workload("job")).await;
    let live = bench.live(&workload("job")).await.unwrap();
    assert!(matches!(bench.apply(&requested(&live, Action::Delete)).await, Outcome::Done { .. }));
    assert_eq!(bench.processes(), [bench.supervisor().unwrap()], "it is answered when everything is gone");
    let volumes = std::fs::read_dir(bench.state().join("volumes")).unwrap().flatten();
    assert!(volumes.map(|v| v.path().join("0/end")).any(|end| end.is_file()));
}

#[tokio::test]
async fn logs_are_read_followed_and_read_again_when_the_supervisor_is_gone() {
    let bench = Bench::new();
    let script = "echo one; echo two >&2; while [ ! -e \"$STRATOS_VOLUME_DATA/go\" ]; do sleep 0.02; done; echo three; sleep 1000";
    let body = json!({ "command": ["sh", "-c", script], "volumes": { "data": { "path": "/data" } } });
    bench.deploy(bench.resources("job", body)).await;
    bench.healthy(&workload("job")).await;
    let logs = bench.platform.logs().unwrap();
    let followed = logs.logs(&workload("job"), &LogOptions { follow: true, tail: Some(1), previous: false }).await.unwrap();
    let volume = std::fs::read_dir(bench.state().join("volumes")).unwrap().flatten().next().unwrap().path();
    std::fs::write(volume.join("0/go"), "").unwrap();
    let lines: Vec<String> = followed.take(2).map(|line| line.unwrap().line).collect().await;
    assert_eq!(lines, ["two", "three"]);

    let all = async |bench: &Bench| {
        let lines = bench.platform.logs().unwrap().logs(&workload("job"), &LogOptions::default()).await.unwrap();
        lines.map(|line| line.unwrap()).map(|line| format!("{} {}", line.instance, line.line)).collect::<Vec<_>>().await
    };
    let expected = ["shop-job-1 one", "shop-job-1 two", "shop-job-1 three"];
    assert_eq!(all(&bench).await, expected);
    bench.kill_supervisor().await;
    assert_eq!(all(&bench).await, expected);
}

#[tokio::test]
async fn what_a_probe_started_ends_with_it_also_when_its_time_is_over() {
    let bench = Bench::new();
    let probe = json!({ "command": ["sh", "-c", "sleep 1000 & sleep 1000"], "interval": "20ms", "timeout": "50ms" });
    bench.deploy(bench.resources("job", json!({ "command": ["sleep", "1000"], "health": probe }))).await;
    eventually_async("a probe that fails", async || bench.health(&workload("job")).await.message.contains("did not answer within 50 ms"))
        .await;
    let live = bench.live(&workload("job")).await.unwrap();
    assert!(matches!(bench.apply(&requested(&live, Action::Delete)).await, Outcome::Done { .. }));
    eventually_async("the probes' processes to end", async || bench.processes() == [bench.supervisor().unwrap()]).await;
}

#[tokio::test]
async fn a_state_that_cannot_be_written_is_no_success_and_changes_nothing() {
    let bench = Bench::new();
    let one = bench.resources("web", serving("healthy", json!({ "env": { "VERSION": "1" } })));
    bench.deploy(one.clone()).await;
    bench.healthy(&workload("web")).await;
    // As a full disk would: nothing new can be written beside the old state.
    let in_the_way = bench.state().join("state.json.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let body = json!({ "env": { "VERSION": "2" }, "volumes": { "data": { "path": "/data" } } });
    let two = bench.resources("web", serving("healthy", body));
    let plan = bench.plan(two.clone()).await;
    for difference in &plan.differences {
        let Outcome::Failed(error) = bench.apply(&change(difference)).await else { panic!("it was not written down") };
        assert!(error.to_string().contains("state.json") || error.to_string().contains("volume"), "{error}");
    }
    let live = bench.live(&workload("web")).await.unwrap();
    let Outcome::Failed(_) = bench.apply(&requested(&live, Action::Delete)).await else { panic!("it was not written down") };
    bench.assert_nothing_to_do(one).await;
    assert_eq!(bench.get("web", "/").await, "1", "what ran runs on");

    std::fs::remove_dir(&in_the_way).unwrap();
    bench.deploy(two.clone()).await;
    bench.healthy(&workload("web")).await;
    bench.assert_nothing_to_do(two).await;
}
