use bollard::models::{
    ContainerStatus, HealthConfig, ObjectVersion, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated, TaskSpec, TaskSpecContainerSpec,
    TaskState, TaskStatus,
};

use super::*;

fn task_spec(image: &str) -> TaskSpec {
    let health_check = Some(HealthConfig { test: Some(vec!["CMD".into(), "true".into()]), ..Default::default() });
    let inside = TaskSpecContainerSpec { image: Some(image.into()), health_check, ..Default::default() };
    TaskSpec { container_spec: Some(inside), ..Default::default() }
}

fn service(image: &str, replicas: i64) -> Service {
    let mode = ServiceSpecMode { replicated: Some(ServiceSpecModeReplicated { replicas: Some(replicas) }), ..Default::default() };
    let spec = ServiceSpec { name: Some("web".into()), mode: Some(mode), task_template: Some(task_spec(image)), ..Default::default() };
    Service { spec: Some(spec), ..Default::default() }
}

fn task(slot: i64, version: u64, image: &str, wanted: TaskState, state: TaskState, err: &str) -> Task {
    let code = if state == TaskState::FAILED { Some(3) } else { None };
    let status = TaskStatus {
        state: Some(state),
        err: Some(err.into()),
        container_status: Some(ContainerStatus { exit_code: code, ..Default::default() }),
        ..Default::default()
    };
    Task {
        id: Some(format!("{slot}-{version}")),
        slot: Some(slot),
        version: Some(ObjectVersion { index: Some(version) }),
        spec: Some(task_spec(image)),
        desired_state: Some(wanted),
        status: Some(status),
        ..Default::default()
    }
}

fn crashed(version: u64) -> Task {
    task(1, version, "web:1", TaskState::SHUTDOWN, TaskState::FAILED, "task: non-zero exit (3)")
}

fn verdict(service: &Service, tasks: &[Task]) -> (Status, String) {
    instances::judge(service, tasks, &Watched::default()).verdict(&RolloutState::Done)
}

#[test]
fn nothing_wanted_is_healthy_and_nothing_there_is_on_its_way() {
    assert_eq!(verdict(&service("web:1", 0), &[]).0, Status::Healthy);
    assert_eq!(verdict(&service("web:1", 1), &[]).0, Status::Progressing);
}

#[test]
fn what_runs_counts_and_what_is_of_the_old_version_does_not() {
    let running = |slot, image| task(slot, 1, image, TaskState::RUNNING, TaskState::RUNNING, "");
    assert_eq!(verdict(&service("web:1", 2), &[running(1, "web:1"), running(2, "web:1")]), (Status::Healthy, String::new()));
    let (status, message) = verdict(&service("web:1", 2), &[running(1, "web:1"), running(2, "web:0")]);
    assert_eq!((status, message.as_str()), (Status::Degraded, "1 of 2 run; web.2: the new instance is not there yet"));
}

#[test]
fn a_crash_loop_is_a_failure_at_the_third_crash_and_says_why() {
    let next = |version| task(1, version, "web:1", TaskState::READY, TaskState::READY, "");
    assert_eq!(verdict(&service("web:1", 1), &[crashed(1), crashed(2), next(3)]).0, Status::Progressing);
    let (status, message) = verdict(&service("web:1", 1), &[crashed(1), crashed(2), crashed(3), next(4)]);
    assert_eq!(status, Status::Failed);
    assert_eq!(message, "0 of 1 run; web.1: it was started 3 times, and: task: non-zero exit (3)");
}

#[test]
fn an_image_that_is_not_there_is_a_failure_at_the_second_attempt() {
    let rejected = |version| task(1, version, "web:1", TaskState::SHUTDOWN, TaskState::REJECTED, "No such image: web:1");
    let next = task(1, 9, "web:1", TaskState::READY, TaskState::READY, "");
    let (status, message) = verdict(&service("web:1", 1), &[rejected(1), rejected(2), next]);
    assert_eq!(status, Status::Failed);
    assert!(message.contains("No such image"), "{message}");
}

/// Right after an environment was destroyed the new network may get the addresses of the old one, which a node still has.
#[test]
fn a_node_that_has_not_caught_up_is_no_failure() {
    for why in [
        "Pool overlaps with other one on this address space",
        "cannot create a swarm scoped network when swarm is not active",
        "error while removing network: unknown network shop-dev id hxns6j40y19e",
    ] {
        let rejected = |version| task(1, version, "web:1", TaskState::SHUTDOWN, TaskState::REJECTED, why);
        let next = task(1, 9, "web:1", TaskState::READY, TaskState::READY, "");
        let (status, message) = verdict(&service("web:1", 1), &[rejected(1), rejected(2), rejected(3), next]);
        assert_eq!(status, Status::Progressing);
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn what_finds_no_node_says_so_and_is_waited_for() {
    let err = "no suitable node (insufficient resources on 1 node)";
    let (status, message) = verdict(&service("web:1", 1), &[task(1, 1, "web:1", TaskState::RUNNING, TaskState::PENDING, err)]);
    assert_eq!(status, Status::Progressing);
    assert!(message.contains(err), "{message}");
}

/// It was asked to end, for the sake of the new version, and that is no cause of anything.
#[test]
fn an_old_instance_that_ended_well_is_not_the_cause_of_a_failure() {
    let old = task(1, 5, "web:0", TaskState::SHUTDOWN, TaskState::COMPLETE, "");
    let service = service("web:1", 1);
    let watched = Watched::default();
    let tasks = [crashed(1), old];
    let cause = instances::judge(&service, &tasks, &watched).cause;
    assert_eq!(cause.as_deref(), Some("task: non-zero exit (3)"));
}

#[test]
fn a_slot_that_is_to_be_empty_is_no_instance() {
    let left = task(2, 1, "web:1", TaskState::SHUTDOWN, TaskState::SHUTDOWN, "");
    let running = task(1, 1, "web:1", TaskState::RUNNING, TaskState::RUNNING, "");
    let tasks = [left, running];
    let watched = Watched::default();
    let service = service("web:1", 1);
    let judged = instances::judge(&service, &tasks, &watched);
    assert_eq!(judged.instances.len(), 1);
    assert_eq!(judged.verdict(&RolloutState::Done).0, Status::Healthy);
}

/// Without a health check an instance that has only just started proves nothing.
#[tokio::test(start_paused = true)]
async fn an_instance_without_a_check_counts_once_it_has_stayed() {
    let bare = |mut task: Task| {
        task.spec.as_mut().unwrap().container_spec.as_mut().unwrap().health_check = None;
        task
    };
    let mut service = service("web:1", 1);
    service.spec.as_mut().unwrap().task_template.as_mut().unwrap().container_spec.as_mut().unwrap().health_check = None;
    let tasks = [bare(task(1, 1, "web:1", TaskState::RUNNING, TaskState::RUNNING, ""))];
    let watched = Watched::default();
    let now = |watched: &Watched| instances::judge(&service, &tasks, watched).verdict(&RolloutState::Done).0;
    assert_eq!(now(&watched), Status::Progressing);
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    assert_eq!(now(&watched), Status::Healthy);
}
