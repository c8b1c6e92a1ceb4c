//! Logs, from a real kubelet.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use stratos_engine::platform::{LogLine, LogOptions, Platform as _, PlatformError};
use stratos_test_platforms::{Cluster, Part};

use crate::support::{LIMIT, Place, id};

async fn open(place: &Place, kind: &str, name: &str, options: &LogOptions) -> BoxStream<'static, Result<LogLine, PlatformError>> {
    let logs = place.platform.logs().expect("logs");
    logs.logs(&id(kind, name), options).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn all(place: &Place, kind: &str, name: &str, options: &LogOptions) -> Vec<(String, String)> {
    let lines = open(place, kind, name, options).await;
    lines.map(|line| line.unwrap_or_else(|error| panic!("{error}"))).map(|line| (line.instance, line.line)).collect().await
}

/// The next lines that are followed.
async fn next(lines: &mut BoxStream<'static, Result<LogLine, PlatformError>>, count: usize) -> Vec<String> {
    let mut out = Vec::new();
    while out.len() < count {
        let line = tokio::time::timeout(LIMIT, lines.next()).await.unwrap_or_else(|_| panic!("no more lines than {out:?}"));
        out.push(line.expect("it goes on").unwrap_or_else(|error| panic!("{error}")).line);
    }
    out
}

fn pod(name: &str, script: &str, more: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: NAMESPACE}}, spec: {{terminationGracePeriodSeconds: 0, {more}
          containers: [{{name: c, image: 'IMAGE:1', command: [sh, -c, '{script}']}}]}}}}"
    )
}

/// The API server is away while lines are written.
#[tokio::test]
async fn a_stream_that_breaks_is_read_on_from_where_it_broke() {
    // It ends with the process.
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    let place = Place::of(cluster, "l-break", "");
    place.apply(&pod("count", "n=0; while true; do n=$((n+1)); echo line $n; sleep 0.1; done", ""));
    place.kubectl(&["wait", "--for=condition=Ready", "pod/count", "--timeout=60s"]);
    let mut lines = open(&place, "Pod", "count", &LogOptions { follow: true, ..LogOptions::default() }).await;
    let mut seen = next(&mut lines, 20).await;
    cluster.kill(Part::ApiServer);
    // What was on its way still comes, and then nothing.
    while let Ok(Some(line)) = tokio::time::timeout(Duration::from_secs(2), lines.next()).await {
        seen.push(line.unwrap_or_else(|error| panic!("{error}")).line);
    }
    cluster.revive(Part::ApiServer);
    let last = seen.len() + 50;
    while seen.len() < last {
        seen.extend(next(&mut lines, 1).await);
    }
    let expected: Vec<String> = (1..=last).map(|n| format!("line {n}")).collect();
    assert_eq!(seen, expected);
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
