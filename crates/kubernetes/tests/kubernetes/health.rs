//! How resources are, on a real kubelet.

use stratos_engine::health::{Health, RolloutState, Status};
use stratos_engine::platform::Platform as _;

use crate::support::{Place, id};

const DEPLOYMENT: &str = "Deployment.apps";

/// A Deployment `web`: its template's labels are not those of the portable model.
fn deployment(container: &str, more: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web, namespace: NAMESPACE}}, spec: {{replicas: 1, {more}
          selector: {{matchLabels: {{run: web}}}}, template: {{metadata: {{labels: {{run: web}}}},
          spec: {{terminationGracePeriodSeconds: 0, containers: [{{name: web, {container}}}]}}}}}}}}"
    )
}

fn is_healthy(health: &Health) -> bool {
    health.settled() == Some(true)
}

fn is_failed(health: &Health) -> bool {
    health.settled() == Some(false)
}

#[tokio::test]
async fn nothing_is_there() {
    let place = Place::new("h-nothing", "");
    let ids = [id(DEPLOYMENT, "web"), id("Service", "web"), id("Gadget.example.com", "web")];
    let health = place.platform.health(&ids).await.unwrap();
    assert!(health.iter().all(|health| health.status == Status::Missing), "{health:#?}");
    assert!(place.platform.health(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_rolling_update_is_healthy_when_the_last_old_pod_is_gone() {
    let place = Place::new("h-rolling", "");
    let probe = "readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}";
    place.apply(&deployment(&format!("image: 'IMAGE:1', {probe}"), ""));
    let health = place.until(DEPLOYMENT, "web", is_healthy).await;
    assert_eq!((health.instances.len(), health.message.as_str()), (1, ""));
    let before = health.instances[0].name.clone();
    place.apply(&deployment(&format!("image: 'IMAGE:2', {probe}"), ""));
    assert_eq!(place.health(DEPLOYMENT, "web").await.rollout, RolloutState::Running, "the update is seen at once");
    let health = place.until(DEPLOYMENT, "web", is_healthy).await;
    assert_eq!(health.instances.len(), 1);
    assert_ne!(health.instances[0].name, before);
    // What settled costs a request for the Deployment and one for its pods.
    let sent = place.platform.requests();
    assert_eq!(place.health(DEPLOYMENT, "web").await, health);
    assert_eq!(place.platform.requests() - sent, 2);
}

#[tokio::test]
async fn an_image_that_is_not_there_ends_with_the_deadline_and_says_so() {
    let place = Place::new("h-image", "");
    place.apply(&deployment("image: 'IMAGE:1'", "progressDeadlineSeconds: 10,"));
    place.until(DEPLOYMENT, "web", is_healthy).await;
    place.apply(&deployment("image: 'IMAGE:nosuch'", "progressDeadlineSeconds: 10,"));
    let waiting = place.until(DEPLOYMENT, "web", |health| health.message.contains("cannot be pulled")).await;
    assert!(waiting.settled().is_none() || is_failed(&waiting), "{waiting:#?}");
    let failed = place.until(DEPLOYMENT, "web", is_failed).await;
    let RolloutState::Paused { why } = &failed.rollout else { panic!("{failed:#?}") };
    assert!(why.contains("web:nosuch cannot be pulled") && why.contains("not found"), "{why}");
    assert!(why.contains("one of the version before still serves"), "{why}");
    // Going back is no failure, although the controller has not taken its last word back yet.
    place.apply(&deployment("image: 'IMAGE:1'", "progressDeadlineSeconds: 10,"));
    place
        .until(DEPLOYMENT, "web", |health| {
            assert!(!is_failed(health), "{health:#?}");
            is_healthy(health)
        })
        .await;
}

#[tokio::test]
async fn a_crash_loop_is_a_failure_with_its_last_lines() {
    let place = Place::new("h-crash", "");
    place.apply(&deployment("image: 'IMAGE:crash'", "minReadySeconds: 5,"));
    let health = place
        .until(DEPLOYMENT, "web", |health| {
            assert!(!is_healthy(health), "{health:#?}");
            is_failed(health)
        })
        .await;
    assert!(health.message.contains("the container web ended with exit code 3"), "{}", health.message);
    let [instance] = health.instances.as_slice() else { panic!("{health:#?}") };
    assert_eq!(instance.last_log, ["cannot open the database: connection refused"]);
    assert!(instance.restarts > 0);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_failure() {
    let place = Place::new("h-program", "");
    place.apply(&deployment("image: 'IMAGE:1', command: [/nosuch]", ""));
    let health = place.until(DEPLOYMENT, "web", is_failed).await;
    assert!(
        health.message.contains("the program of the container web cannot be started") && health.message.contains("/nosuch"),
        "{}",
        health.message
    );
}

#[tokio::test]
async fn too_much_memory_is_named() {
    let place = Place::new("h-memory", "");
    let eats = "command: [busybox, sh, -c, 'x=x; while true; do x=$x$x; done']";
    place.apply(&deployment(&format!("image: 'IMAGE:1', {eats}, resources: {{limits: {{memory: 16Mi}}}}"), ""));
    let health = place.until(DEPLOYMENT, "web", is_failed).await;
    assert!(health.message.contains("OOMKilled") && health.message.contains("resources.memory"), "{}", health.message);
}

#[tokio::test]
async fn what_finds_no_node_says_so() {
    let place = Place::new("h-node", "");
    place.apply(&deployment("image: 'IMAGE:1', resources: {requests: {cpu: 1000}}", ""));
    let health = place.until(DEPLOYMENT, "web", |health| health.message.contains("no node takes it")).await;
    assert!(health.message.contains("Insufficient cpu"), "{}", health.message);
    assert_eq!(health.settled(), None);
}

#[tokio::test]
async fn a_quota_that_is_used_up_says_so() {
    let place = Place::new("h-quota", "");
    place.apply("{apiVersion: v1, kind: ResourceQuota, metadata: {name: none, namespace: NAMESPACE}, spec: {hard: {pods: 0}}}");
    place.kubectl(&["wait", "--for=jsonpath={.status.hard.pods}=0", "resourcequota/none", "--timeout=60s"]);
    place.apply(&deployment("image: 'IMAGE:1'", ""));
    let health = place.until(DEPLOYMENT, "web", |health| health.message.contains("exceeded quota")).await;
    assert_eq!(health.rollout, RolloutState::Running);
    place.apply(
        "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: set, namespace: NAMESPACE}, spec: {serviceName: set, selector: {matchLabels: {run: set}},
          template: {metadata: {labels: {run: set}}, spec: {containers: [{name: set, image: 'IMAGE:1'}]}}}}",
    );
    place.until("StatefulSet.apps", "set", |health| health.message.contains("exceeded quota")).await;
}

#[tokio::test]
async fn what_the_namespace_forbids_says_so() {
    let place = Place::new("h-security", "pod-security.kubernetes.io/enforce: restricted");
    place.apply(&deployment("image: 'IMAGE:1'", ""));
    let health = place.until(DEPLOYMENT, "web", |health| health.message.contains("violates PodSecurity")).await;
    assert!(health.message.contains("runAsNonRoot"), "{}", health.message);
}

#[tokio::test]
async fn an_image_that_runs_as_root_where_it_may_not_comes_with_what_helps() {
    let place = Place::new("h-root", "");
    place.apply(&deployment("image: 'IMAGE:1', securityContext: {runAsNonRoot: true, runAsUser: 0}", ""));
    let health = place.until(DEPLOYMENT, "web", |health| health.message.contains("CreateContainerConfigError")).await;
    assert!(health.message.contains("platform.kubernetes.run_as_user"), "{}", health.message);
}

#[tokio::test]
async fn a_probe_that_fails_and_a_secret_that_is_missing_are_in_the_events() {
    let place = Place::new("h-events", "");
    place.apply(&deployment("image: 'IMAGE:sick', readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}", ""));
    // The first probe may come before anything listens.
    let health =
        place.until(DEPLOYMENT, "web", |health| health.message.contains("Readiness probe failed") && health.message.contains("404")).await;
    assert_eq!(health.instances[0].last_log, ["version sick listens on 8080"]);
    place.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: mount, namespace: NAMESPACE}, spec: {containers: [{name: c, image: 'IMAGE:1',
          volumeMounts: [{name: s, mountPath: /s}]}], volumes: [{name: s, secret: {secretName: nosuch}}]}}",
    );
    place.until("Pod", "mount", |health| health.message.contains("secret \"nosuch\" not found")).await;
}

#[tokio::test]
async fn other_kinds_are_judged_too() {
    let place = Place::new("h-kinds", "");
    place.apply(
        "{apiVersion: v1, kind: List, items: [
          {apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data, namespace: NAMESPACE}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}},
          {apiVersion: v1, kind: Service, metadata: {name: out, namespace: NAMESPACE}, spec: {type: LoadBalancer, selector: {run: x}, ports: [{port: 80}]}},
          {apiVersion: batch/v1, kind: Job, metadata: {name: good, namespace: NAMESPACE}, spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'IMAGE:1', command: ['true']}]}}}},
          {apiVersion: batch/v1, kind: Job, metadata: {name: bad, namespace: NAMESPACE}, spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'IMAGE:1', command: [sh, -c, echo no; exit 4]}]}}}},
          {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: set, namespace: NAMESPACE}, spec: {serviceName: set, replicas: 2, selector: {matchLabels: {run: set}},
            template: {metadata: {labels: {run: set}}, spec: {containers: [{name: set, image: 'IMAGE:1'}]}}}},
          {apiVersion: apps/v1, kind: DaemonSet, metadata: {name: daemon, namespace: NAMESPACE}, spec: {selector: {matchLabels: {run: daemon}},
            template: {metadata: {labels: {run: daemon}}, spec: {containers: [{name: daemon, image: 'IMAGE:crash'}]}}}},
        ]}",
    );
    place.until("Job.batch", "good", is_healthy).await;
    let bad = place.until("Job.batch", "bad", is_failed).await;
    assert!(
        bad.message.contains("the container c ended with exit code 4") && bad.message.contains("BackoffLimitExceeded"),
        "{}",
        bad.message
    );
    assert_eq!(bad.instances[0].last_log, ["no"]);
    let set = place.until("StatefulSet.apps", "set", is_healthy).await;
    let names: Vec<&str> = set.instances.iter().map(|instance| instance.name.as_str()).collect();
    assert_eq!(names, ["set-0", "set-1"]);
    let daemon = place.until("DaemonSet.apps", "daemon", is_failed).await;
    assert!(daemon.message.contains("exit code 3"), "{}", daemon.message);
    let claim = place
        .until("PersistentVolumeClaim", "data", |health| health.status == Status::Healthy || health.message.contains("no volume"))
        .await;
    assert_ne!(claim.status, Status::Failed);
    assert_eq!(place.health("Service", "out").await.status, Status::Progressing);
    assert_eq!(place.health("ConfigMap", "kube-root-ca.crt").await.status, Status::Healthy);
    // Many at once, in the order asked.
    let ids = [id("Job.batch", "bad"), id("Pod", "set-1"), id("Job.batch", "good"), id("Pod", "nosuch")];
    let found: Vec<Status> = place.platform.health(&ids).await.unwrap().iter().map(|health| health.status).collect();
    assert_eq!(found, [Status::Failed, Status::Healthy, Status::Healthy, Status::Missing]);
}

/// Three workloads with the labels of the portable model: as many requests as for one.
#[tokio::test]
async fn many_workloads_are_asked_about_at_once() {
    let place = Place::new("h-many", "");
    let ours = "stratos/project: k3v9q2xw, stratos/environment: dev, stratos/app";
    for name in ["a", "b", "c"] {
        let labels = format!("app.kubernetes.io/name: {name}, app.kubernetes.io/instance: {name}");
        place.apply(&format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: NAMESPACE, labels: {{{ours}: {name}}}}}, spec: {{
              selector: {{matchLabels: {{{labels}}}}}, template: {{metadata: {{labels: {{{labels}}}}}, spec: {{containers: [{{name: c, image: 'IMAGE:1'}}]}}}}}}}}"
        ));
    }
    place.apply(&format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: b-published, namespace: NAMESPACE, labels: {{{ours}: b}}}},
          spec: {{type: NodePort, selector: {{app.kubernetes.io/instance: b}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}}}"
    ));
    for name in ["a", "b", "c"] {
        place.until(DEPLOYMENT, name, is_healthy).await;
    }
    let ids = ["c", "a", "b"].map(|name| id(DEPLOYMENT, name));
    let sent = place.platform.requests();
    let health = place.platform.health(&ids).await.unwrap();
    assert_eq!(place.platform.requests() - sent, 2);
    let names: Vec<char> = health.iter().map(|health| health.instances[0].name.chars().next().unwrap()).collect();
    assert_eq!(names, ['c', 'a', 'b']);
    assert!(health[0].endpoints.is_empty() && health[1].endpoints.is_empty());
    let port = place.kubectl(&["get", "service", "b-published", "--output=jsonpath={.spec.ports[0].nodePort}"]);
    assert_eq!(health[2].endpoints, [format!("http://{}:{port}", place.cluster.node_address())]);
}

/// Whoever may read little is told less, and is told that.
#[tokio::test]
async fn what_may_not_be_read_is_left_out() {
    let place = Place::new("h-denied", "");
    place.apply(&deployment("image: 'IMAGE:crash'", ""));
    place.until(DEPLOYMENT, "web", is_failed).await;
    let some = place.as_somebody("reader", "[{apiGroups: [apps, ''], resources: [deployments, pods], verbs: [get, list]}]");
    let little = place.as_somebody("blind", "[{apiGroups: [apps], resources: [deployments], verbs: [get]}]");
    // A right is there a moment after it is given. Between two crashes the pod runs for a moment.
    crate::support::eventually(|| async {
        let health = some.health(&[id(DEPLOYMENT, "web")]).await.map_err(|error| error.to_string())?;
        let [instance] = health[0].instances.as_slice() else { return Err(format!("{health:#?}")) };
        let good = health[0].status == Status::Failed && instance.message.contains("exit code 3") && instance.last_log.is_empty();
        if good { Ok(()) } else { Err(format!("{health:#?}")) }
    })
    .await;
    crate::support::eventually(|| async {
        let health = little.health(&[id(DEPLOYMENT, "web"), id("Service", "web")]).await.map_err(|error| error.to_string())?;
        assert!(health[1].status == Status::Unknown && health[1].message.contains("cannot get resource"), "{health:#?}");
        let good = health[0].status != Status::Unknown && health[0].instances.is_empty();
        if good { Ok(()) } else { Err(format!("{health:#?}")) }
    })
    .await;
    let logs = little.logs().unwrap();
    let error = logs.logs(&id("Pod", "web"), &Default::default()).await.err().expect("an error");
    assert!(error.why.contains("cannot get resource \"pods\""), "{error}");
}

/// A StatefulSet does not renew a pod that never gets ready: somebody must delete it, and it is said.
#[tokio::test]
async fn a_stateful_set_that_waits_for_a_broken_pod_says_so() {
    let place = Place::new("h-stuck", "");
    let set = |tag: &str| {
        format!(
            "{{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: set, namespace: NAMESPACE}}, spec: {{serviceName: set, selector: {{matchLabels: {{run: set}}}},
              template: {{metadata: {{labels: {{run: set}}}}, spec: {{containers: [{{name: set, image: 'IMAGE:{tag}',
              readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}}}]}}}}}}}}"
        )
    };
    place.apply(&set("crash"));
    place.until("StatefulSet.apps", "set", is_failed).await;
    place.apply(&set("1"));
    let health = place.until("StatefulSet.apps", "set", |health| health.message.contains("waits for it") || is_healthy(health)).await;
    if !is_healthy(&health) {
        assert_eq!(health.settled(), None, "what is broken is not the new version: {health:#?}");
        place.kubectl(&["delete", "pod", "set-0", "--wait=false"]);
        place.until("StatefulSet.apps", "set", is_healthy).await;
    }
}
