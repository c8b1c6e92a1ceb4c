//! Jobs on a real cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use indexmap::IndexMap;
use serde_json::json;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::{Marks, Owner};
use stratos_engine::desired::text::{Encoding, Segment, Text};
use stratos_engine::manifest::schema::App;
use stratos_engine::platform::jobs::{JobEnd, JobEvent, JobRequest, run_to_end};
use stratos_engine::platform::{ApplyContext, FileContent, Platform as _, PlatformError, PlatformErrorKind, TranslatedApp};
use stratos_engine::render::secret::{Attributes, Secrets};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::support::{LIMIT, Place, dev, eventually};

/// What a test runs.
struct Job<'a> {
    key: &'a str,
    script: &'a str,
    image: &'a str,
    timeout: Duration,
    plain: bool,
}

fn job<'a>(key: &'a str, script: &'a str) -> Job<'a> {
    Job { key, script, image: "web:1", timeout: LIMIT, plain: false }
}

/// How it ended, whether it was found, and its lines.
type Ran = (JobEnd, bool, Vec<String>);

/// Runs it, and stops listening (`Ok(None)`) or cancels at the line `stop` where one is given.
async fn run(place: &Place<'_>, job: Job<'_>, stop: Option<&str>, cancel: bool) -> Result<Option<Ran>, PlatformError> {
    let name = |text| Name::new(text).unwrap();
    let (project, web, environment) = (name("shop"), name("web"), dev());
    let owner = Owner { project: "k3v9q2xw".into(), environment: environment.clone() };
    let marks = Marks { owner, app: web.clone(), protect: false, revision: None, specification: None };
    let image = format!("{}/{}", place.cluster.registry(), job.image);
    let app: App = serde_json::from_value(json!({
        "image": image, "command": ["false"], "platform": { "kubernetes": { "run_as_user": 1000 } },
        "health": { "http": "/healthz", "port": "http" }, "ports": { "http": 8080 },
    }))
    .unwrap();
    let secret = Segment::Secret { name: "token".to_owned(), encoding: Encoding::Plain };
    let mut env = IndexMap::from([("GREETING".to_owned(), Text::literal("hello"))]);
    let mut files = IndexMap::new();
    if !job.plain {
        env.insert("TOKEN".to_owned(), std::iter::once(secret.clone()).collect());
        let file = |content| FileContent { content, mode: 0o444 };
        files.insert("/etc/job/settings".to_owned(), file(Text::literal("from a file\n")));
        files.insert("/etc/job/secret".to_owned(), file([Segment::Literal("s=".into()), secret].into_iter().collect()));
    }
    let moved = BTreeMap::new();
    let app = TranslatedApp {
        project: &project,
        name: &web,
        environment: &environment,
        marks: &marks,
        app: &app,
        env: &env,
        files: &files,
        native: None,
        moved_from: &moved,
    };
    let command = ["sh", "-c", job.script].map(Text::literal);
    let request = JobRequest { key: job.key, app: &app, command: &command, timeout: job.timeout };
    let secrets = Secrets::new([("token".to_owned(), Ok(Zeroizing::new("hunter2".to_owned())))]);
    let attributes = Attributes::new();
    let context = ApplyContext {
        secrets: &secrets,
        attributes: &attributes,
        revision: None,
        given_up: &stratos_engine::platform::CancellationToken::new(),
    };
    let jobs = place.platform.jobs().expect("jobs");
    let (mut found_there, mut lines) = (false, Vec::new());
    if stop.is_some() && !cancel {
        let mut events = jobs.run(&request, &context).await?;
        while let Some(event) = tokio::time::timeout(LIMIT, events.next()).await.expect("an event in time") {
            if matches!(event?, JobEvent::Line(line) if Some(line.line.as_str()) == stop) {
                return Ok(None);
            }
        }
        panic!("the line {stop:?} did not come");
    }
    let token = CancellationToken::new();
    let end = run_to_end(jobs, &request, &context, &token, |event| match event {
        JobEvent::Started { found, .. } => found_there = *found,
        JobEvent::Line(line) => {
            lines.push(line.line.clone());
            if stop == Some(&line.line) {
                token.cancel();
            }
        }
        JobEvent::Ended(_) => {}
    });
    let end = tokio::time::timeout(LIMIT, end).await.expect("an end in time")?;
    Ok(Some((end, found_there, lines)))
}

async fn to_the_end(place: &Place<'_>, job: Job<'_>) -> Ran {
    run(place, job, None, false).await.unwrap().unwrap()
}

async fn remove(place: &Place<'_>, key: &str) -> Result<(), PlatformError> {
    place.platform.jobs().unwrap().remove(&Name::new("web").unwrap(), key).await
}

/// What is there of jobs, and of what was made for them.
fn left(place: &Place) -> String {
    place.kubectl(&["get", "jobs,secrets,configmaps,pods", "--selector=stratos/job", "--output=name"])
}

async fn nothing_is_left(place: &Place<'_>) {
    eventually(|| async {
        let left = left(place) + &place.kubectl(&["get", "pods", "--output=name"]);
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
}

#[tokio::test]
async fn a_job_has_what_its_app_has_and_runs_once() {
    let place = Place::new("j-once", "pod-security.kubernetes.io/enforce: restricted");
    let script = "echo $GREETING $TOKEN; cat /etc/job/settings /etc/job/secret; echo; cat /proc/sys/kernel/random/uuid; exit 3";
    let (end, found, first) = to_the_end(&place, job("migrate 1", script)).await;
    assert_eq!((end, found), (JobEnd::Exited(3), false), "{first:?}");
    assert_eq!(first[..3], ["hello hunter2", "from a file", "s=hunter2"]);
    assert_eq!(first.len(), 4);
    // Whoever asks again hears the same, down to the random number.
    assert_eq!(to_the_end(&place, job("migrate 1", script)).await, (JobEnd::Exited(3), true, first));
    // Another key is another job; one that needs no secret is not made suspended.
    assert_eq!(to_the_end(&place, Job { plain: true, ..job("migrate 2", "true") }).await.0, JobEnd::Exited(0));
    assert_eq!(left(&place).lines().filter(|line| line.starts_with("job")).count(), 2);
    remove(&place, "migrate 1").await.unwrap();
    remove(&place, "migrate 2").await.unwrap();
    remove(&place, "migrate 2").await.unwrap();
    nothing_is_left(&place).await;
    let (_, found, _) = to_the_end(&place, job("migrate 1", "true")).await;
    assert!(!found, "what was removed is forgotten");
}

#[tokio::test]
async fn a_job_goes_on_without_a_listener_and_is_found_again() {
    let place = Place::new("j-found", "");
    let script = "echo begin; sleep 2; echo end";
    assert_eq!(run(&place, job("long", script), Some("begin"), false).await.unwrap(), None);
    let (end, found, lines) = to_the_end(&place, job("long", script)).await;
    assert_eq!((end, found, lines), (JobEnd::Exited(0), true, vec!["begin".to_owned(), "end".into()]));
}

#[tokio::test]
async fn a_cancelled_job_is_removed() {
    let place = Place::new("j-cancel", "");
    let endless = job("endless", "trap 'exit 0' TERM; echo begin; while true; do sleep 0.1; done");
    let (end, ..) = run(&place, endless, Some("begin"), true).await.unwrap().unwrap();
    assert_eq!(end, JobEnd::Cancelled);
    nothing_is_left(&place).await;
}

#[tokio::test]
async fn a_job_whose_time_is_over_is_stopped_and_stays_so() {
    let place = Place::new("j-timeout", "");
    // Its time is long enough for a busy machine to begin with it.
    let endless =
        || Job { timeout: Duration::from_secs(25), ..job("slow", "trap 'exit 0' TERM; echo begin; while true; do sleep 0.1; done") };
    let (end, found, lines) = to_the_end(&place, endless()).await;
    assert_eq!((end, found, lines), (JobEnd::TimedOut, false, vec!["begin".to_owned()]));
    let (end, found, _) = to_the_end(&place, endless()).await;
    assert_eq!((end, found), (JobEnd::TimedOut, true), "it is not started again");
}

#[tokio::test]
async fn what_can_never_start_is_given_up_for_good() {
    let place = Place::new("j-never", "");
    let missing = || Job { image: "nothing:1", ..job("missing", "true") };
    let (end, ..) = to_the_end(&place, missing()).await;
    assert!(matches!(&end, JobEnd::Failed { why } if why.contains("nothing:1 cannot be pulled")), "{end:?}");
    // Also when the image is there later.
    assert_eq!(to_the_end(&place, missing()).await, (end, true, vec![]));
    let (end, ..) = to_the_end(&place, job("name", "true")).await;
    assert_eq!(end, JobEnd::Exited(0), "another job is none the worse");
    place.apply("{apiVersion: v1, kind: ResourceQuota, metadata: {name: none, namespace: NAMESPACE}, spec: {hard: {pods: 0}}}");
    place.kubectl(&["wait", "--for=jsonpath={.status.hard.pods}=0", "resourcequota/none", "--timeout=60s"]);
    let (end, ..) = to_the_end(&place, job("quota", "true")).await;
    assert!(matches!(&end, JobEnd::Failed { why } if why.contains("exceeded quota")), "{end:?}");
}

#[tokio::test]
async fn a_job_that_was_made_and_not_started_is_started() {
    let place = Place::new("j-made", "");
    let (end, ..) = to_the_end(&place, job("made", "cat /etc/job/settings")).await;
    assert_eq!(end, JobEnd::Exited(0));
    // Somebody died after making it: everything is there but its Secret, and it is suspended.
    let made = place.kubectl(&["get", "jobs", "--selector=stratos/job", "--output=json"]);
    let mut made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let mut half = made["items"][0].take();
    remove(&place, "made").await.unwrap();
    nothing_is_left(&place).await;
    half["spec"]["suspend"] = json!(true);
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        half["metadata"].as_object_mut().unwrap().remove(field);
    }
    half["spec"].as_object_mut().unwrap().remove("selector");
    half["spec"]["template"]["metadata"]["labels"] = json!({});
    half.as_object_mut().unwrap().remove("status");
    place.apply(&half.to_string());
    let (end, found, lines) = to_the_end(&place, job("made", "cat /etc/job/settings")).await;
    assert_eq!((end, found, lines), (JobEnd::Exited(0), true, vec!["from a file".to_owned()]));
}

#[tokio::test]
async fn what_has_the_jobs_name_and_is_another_is_left_alone() {
    let place = Place::new("j-foreign", "");
    to_the_end(&place, job("mine", "true")).await;
    place.kubectl(&["annotate", "jobs", "--selector=stratos/job", "--overwrite", "stratos/job=another"]);
    let error = run(&place, job("mine", "true"), None, false).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Rejected, "{error}");
    assert!(remove(&place, "mine").await.is_err());
}
