//! Logs, from a real kubelet.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use stratos_engine::platform::{LogLine, LogOptions, Platform as _, PlatformError};

use crate::support::{LIMIT, Place, id};

pub async fn open(place: &Place<'_>, kind: &str, name: &str, options: &LogOptions) -> BoxStream<'static, Result<LogLine, PlatformError>> {
    let logs = place.platform.logs().expect("logs");
    logs.logs(&id(kind, name), options).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn all(place: &Place<'_>, kind: &str, name: &str, options: &LogOptions) -> Vec<(String, String)> {
    let lines = open(place, kind, name, options).await;
    lines.map(|line| line.unwrap_or_else(|error| panic!("{error}"))).map(|line| (line.instance, line.line)).collect().await
}

/// The next lines that are followed.
pub async fn next(lines: &mut BoxStream<'static, Result<LogLine, PlatformError>>, count: usize) -> Vec<String> {
    let mut out = Vec::new();
    while out.len() < count {
        let line = tokio::time::timeout(LIMIT, lines.next()).await.unwrap_or_else(|_| panic!("no more lines than {out:?}"));
        out.push(line.expect("it goes on").unwrap_or_else(|error| panic!("{error}")).line);
    }
    out
}

pub fn pod(name: &str, script: &str, more: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: NAMESPACE}}, spec: {{terminationGracePeriodSeconds: 0, {more}
          containers: [{{name: c, image: 'IMAGE:1', command: [sh, -c, '{script}']}}]}}}}"
    )
}

#[tokio::test]
async fn lines_of_several_containers_are_in_order_and_can_be_cut() {
    let place = Place::new("l-order", "");
    place.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: two, namespace: NAMESPACE}, spec: {restartPolicy: Never, containers: [
          {name: a, image: 'IMAGE:1', command: [sh, -c, 'echo a1; echo a2; printf last']},
          {name: c, image: 'IMAGE:1', command: [sh, -c, 'echo out; echo err >&2']},
          {name: b, image: 'IMAGE:1', command: [sh, -c, 'printf \"b1\\r\\n\\377junk\\n\"']}]}}",
    );
    place.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/two", "--timeout=60s"]);
    let lines = all(&place, "Pod", "two", &LogOptions::default()).await;
    let of = |instance: &str| lines.iter().filter(|(of, _)| of == instance).map(|(_, line)| line.as_str()).collect::<Vec<_>>();
    assert_eq!((of("two/a"), of("two/b")), (vec!["a1", "a2", "last"], vec!["b1", "\u{fffd}junk"]));
    // The two come through two pipes.
    let mut both = of("two/c");
    both.sort_unstable();
    assert_eq!(both, ["err", "out"]);
    let tail = LogOptions { tail: Some(1), ..LogOptions::default() };
    assert_eq!(all(&place, "Pod", "two", &tail).await.len(), 3);
    // What has ended is followed to its end and waits for more: nothing comes twice.
    let mut followed = open(&place, "Pod", "two", &LogOptions { follow: true, ..tail }).await;
    next(&mut followed, 3).await;
    assert!(tokio::time::timeout(Duration::from_secs(3), followed.next()).await.is_err());
}

#[tokio::test]
async fn what_is_followed_goes_on_over_restarts_without_a_line_twice_or_lost() {
    let place = Place::new("l-follow", "");
    // It counts on over restarts, on a volume, and ends after each three lines. It begins when somebody reads.
    let script = "[ -e /v/go ] || echo ready; until [ -e /v/go ]; do sleep 0.1; done; \
        n=$(cat /v/n 2> /dev/null || echo 0); for i in 1 2 3; do n=$((n+1)); echo line $n; echo $n > /v/n; sleep 0.3; done; exit 1";
    place.apply(
        &pod("count", script, "volumes: [{name: v, emptyDir: {}}],")
            .replace("command:", "volumeMounts: [{name: v, mountPath: /v}], command:"),
    );
    place.kubectl(&["wait", "--for=jsonpath={.status.containerStatuses[0].started}=true", "pod/count", "--timeout=60s"]);
    let mut lines = open(&place, "Pod", "count", &LogOptions { follow: true, ..LogOptions::default() }).await;
    assert_eq!(next(&mut lines, 1).await, ["ready"]);
    place.kubectl(&["exec", "count", "--", "sh", "-c", "echo > /v/go"]);
    let mut seen = Vec::new();
    // Three runs: the back-off between them is 10 seconds.
    while seen.len() < 9 {
        seen.extend(next(&mut lines, 1).await);
    }
    let expected: Vec<String> = (1..=9).map(|n| format!("line {n}")).collect();
    assert_eq!(seen, expected);
    let previous = all(&place, "Pod", "count", &LogOptions { previous: true, ..LogOptions::default() }).await;
    assert_eq!(previous.len(), 3, "{previous:?}");
}

#[tokio::test]
async fn pods_that_start_later_are_followed_too() {
    let place = Place::new("l-later", "");
    place.apply(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: NAMESPACE}, spec: {replicas: 1, selector: {matchLabels: {run: web}},
          template: {metadata: {labels: {run: web}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: web, image: 'IMAGE:1'}]}}}}",
    );
    place.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let mut lines = open(&place, "Deployment.apps", "web", &LogOptions { follow: true, tail: Some(0), previous: false }).await;
    place.kubectl(&["set", "image", "deployment/web", &format!("web={}/web:2", place.cluster.registry())]);
    assert_eq!(next(&mut lines, 1).await, ["version 2 listens on 8080"]);
    place.kubectl(&["scale", "deployment/web", "--replicas=2"]);
    assert_eq!(next(&mut lines, 1).await, ["version 2 listens on 8080"]);
}

#[tokio::test]
async fn what_has_no_logs_says_so() {
    let place = Place::new("l-none", "");
    let logs = place.platform.logs().unwrap();
    let options = LogOptions::default();
    let error = logs.logs(&id("ConfigMap", "kube-root-ca.crt"), &options).await.err().expect("an error");
    assert_eq!(error.why, "a ConfigMap has no pods");
    let error = logs.logs(&id("Deployment.apps", "web"), &options).await.err().expect("an error");
    assert_eq!(error.why, "it is not there");
    let both = LogOptions { follow: true, previous: true, tail: None };
    assert!(logs.logs(&id("Pod", "x"), &both).await.is_err());
    assert!(all(&place, "Pod", "nosuch", &options).await.is_empty());
}
