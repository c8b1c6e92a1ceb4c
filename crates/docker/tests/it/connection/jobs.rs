//! Jobs on a real engine: as containers of the platform `docker`, and as services of the platform `swarm`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use indexmap::IndexMap;
use sha2::Digest as _;
use stratos_docker::DockerPlatform;
use stratos_docker::config::EnvironmentConfig;
use stratos_docker::endpoint::Endpoint;
use stratos_docker::swarm::SwarmPlatform;
use stratos_engine::desired::name::Name;
use stratos_engine::desired::owner::{Marks, Owner};
use stratos_engine::desired::text::{Encoding, Segment, Text};
use stratos_engine::manifest::schema::App;
use stratos_engine::platform::jobs::{JobEnd, JobEvent, JobRequest, run_to_end};
use stratos_engine::platform::{ApplyContext, FileContent, Platform, PlatformError, PlatformErrorKind, TranslatedApp};
use stratos_engine::render::secret::{Attributes, Secrets};
use stratos_test_platforms::shared_swarm_of_two;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

const LONG: Duration = Duration::from_secs(60);

/// An environment of one of the platforms. It takes away what a failed test left there.
struct Place {
    platform: Box<dyn Platform>,
    prefix: Name,
    is_swarm: bool,
}

impl Place {
    fn new(is_swarm: bool, test: &str) -> Self {
        let prefix = Name::new(&format!("{}-{test}", if is_swarm { "s" } else { "d" })).unwrap();
        let config = EnvironmentConfig {
            environment: Name::new("dev").unwrap(),
            owner: Owner::new(&prefix.to_string(), Name::new("dev").unwrap()),
            prefix: prefix.clone(),
            endpoint: Endpoint::Unix(shared_swarm_of_two().socket(0)),
            credentials: None,
            swarm: Default::default(),
            docker: Default::default(),
        };
        let platform: Box<dyn Platform> = match is_swarm {
            true => Box::new(SwarmPlatform::connect(config).unwrap()),
            false => Box::new(DockerPlatform::connect(config).unwrap()),
        };
        Self { platform, prefix, is_swarm }
    }

    fn both(test: &str) -> [Self; 2] {
        [false, true].map(|is_swarm| Self::new(is_swarm, test))
    }

    /// The live name of a job of the app `web`.
    fn name(&self, key: &str) -> String {
        let hash: String = sha2::Sha256::digest(key).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-web-job-{hash}", self.prefix)
    }

    /// The ids of all that is there of jobs.
    fn left(&self) -> Vec<String> {
        let owner = format!("label=stratos.project={}", self.prefix);
        let lists: &[&[&str]] = match self.is_swarm {
            false => &[&["ps", "--all"]],
            true => &[&["service", "ls"], &["secret", "ls"], &["config", "ls"]],
        };
        let list = |list: &&[&str]| {
            shared_swarm_of_two().docker(0, &[list, &["--quiet", "--filter", &owner, "--filter", "label=stratos.job"][..]].concat())
        };
        lists.iter().flat_map(|words| list(words).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let list: &[&str] = if self.is_swarm { &["service"] } else { &["container"] };
        for id in shared_swarm_of_two()
            .docker(0, &[list, &["ls", "--quiet", "--filter", &format!("label=stratos.project={}", self.prefix)]].concat())
            .lines()
        {
            shared_swarm_of_two().try_docker(0, &[list, &["rm", id]].concat());
            shared_swarm_of_two().try_docker(0, &["rm", "--force", id]);
        }
        shared_swarm_of_two().try_docker(0, &["network", "rm", &format!("{}-dev", self.prefix)]);
    }
}

/// What a test runs.
struct Job<'a> {
    key: &'a str,
    script: &'a str,
    image: Option<&'a str>,
    timeout: Duration,
}

fn job<'a>(key: &'a str, script: &'a str) -> Job<'a> {
    Job { key, script, image: None, timeout: LONG }
}

/// How it ended, whether it was found, and its lines.
type Ran = (JobEnd, bool, Vec<String>);

/// Runs it, and stops listening (`Ok(None)`) or cancels at the line `stop` where one is given.
async fn run(place: &Place, job: Job<'_>, stop: Option<&str>, cancel: bool) -> Result<Option<Ran>, PlatformError> {
    let image = job.image.map_or_else(|| format!("{}/web:1", shared_swarm_of_two().registry()), str::to_owned);
    let name = |text| Name::new(text).unwrap();
    let (project, web, environment) = (name("shop"), name("web"), name("dev"));
    let owner = Owner::new(&place.prefix.to_string(), environment.clone());
    let marks = Marks { owner, app: web.clone(), protect: false, revision: None, specification: None };
    let app = App { image: Some(image), command: Some(vec![Text::literal("false")]), ..App::default() };
    let secret = Segment::Secret { name: "token".to_owned(), encoding: Encoding::Plain };
    let env = IndexMap::from([("GREETING".to_owned(), Text::literal("hello")), ("TOKEN".to_owned(), std::iter::once(secret).collect())]);
    let content = Text::literal("from a file\n");
    let files = IndexMap::from([("/etc/job/settings".to_owned(), FileContent { content, mode: 0o400 })]);
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
        while let Some(event) = tokio::time::timeout(LONG, events.next()).await.expect("an event in time") {
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
    let end = tokio::time::timeout(LONG, end).await.expect("an end in time")?;
    Ok(Some((end, found_there, lines)))
}

async fn to_the_end(place: &Place, job: Job<'_>) -> Ran {
    run(place, job, None, false).await.unwrap().unwrap()
}

async fn remove(place: &Place, key: &str) -> Result<(), PlatformError> {
    place.platform.jobs().unwrap().remove(&Name::new("web").unwrap(), key).await
}

#[tokio::test]
async fn a_job_has_what_its_app_has_and_runs_once() {
    for place in Place::both("once") {
        let script = "echo $GREETING $TOKEN; cat /etc/job/settings; echo err >&2; cat /proc/sys/kernel/random/uuid; exit 3";
        let (end, found, first) = to_the_end(&place, job("migrate 1", script)).await;
        assert_eq!((end, found), (JobEnd::Exited(3), false), "{first:?}");
        let mut words = first[..first.len().min(4)].to_vec();
        words.retain(|line| line.len() < 36);
        words.sort();
        assert_eq!(words, ["err", "from a file", "hello hunter2"]);
        // Whoever asks again hears the same, down to the random number.
        let (end, found, mut again) = to_the_end(&place, job("migrate 1", script)).await;
        assert_eq!((end, found), (JobEnd::Exited(3), true));
        let mut first = first;
        first.sort();
        again.sort();
        assert_eq!(again, first);
        // Another key is another job.
        assert_eq!(to_the_end(&place, job("migrate 2", "true")).await.0, JobEnd::Exited(0));
        remove(&place, "migrate 1").await.unwrap();
        remove(&place, "migrate 2").await.unwrap();
        remove(&place, "migrate 2").await.unwrap();
        assert_eq!(place.left(), Vec::<String>::new());
        let (_, found, _) = to_the_end(&place, job("migrate 1", "true")).await;
        assert!(!found, "what was removed is forgotten");
        remove(&place, "migrate 1").await.unwrap();
    }
}

#[tokio::test]
async fn a_job_goes_on_without_a_listener_and_is_found_again() {
    for place in Place::both("found") {
        let script = "echo begin; sleep 2; echo end";
        assert_eq!(run(&place, job("long", script), Some("begin"), false).await.unwrap(), None);
        let (end, found, lines) = to_the_end(&place, job("long", script)).await;
        assert_eq!((end, found, lines), (JobEnd::Exited(0), true, vec!["begin".to_owned(), "end".into()]));
        remove(&place, "long").await.unwrap();
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_cancelled_job_is_removed() {
    for place in Place::both("cancel") {
        let (end, ..) =
            run(&place, job("endless", "echo begin; while true; do sleep 0.1; done"), Some("begin"), true).await.unwrap().unwrap();
        assert_eq!(end, JobEnd::Cancelled);
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_job_whose_time_is_over_is_stopped_and_stays_so() {
    for place in Place::both("timeout") {
        let endless =
            || Job { timeout: Duration::from_secs(8), ..job("slow", "trap 'exit 0' TERM; echo begin; while true; do sleep 0.1; done") };
        let began = Instant::now();
        let (end, found, lines) = to_the_end(&place, endless()).await;
        assert_eq!((end, found, lines), (JobEnd::TimedOut, false, vec!["begin".to_owned()]));
        assert!(began.elapsed() >= Duration::from_secs(7), "{:?}", began.elapsed());
        let (end, found, _) = to_the_end(&place, endless()).await;
        assert_eq!((end, found), (JobEnd::TimedOut, true), "it is not started again");
        remove(&place, "slow").await.unwrap();
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named() {
    for place in Place::both("missing") {
        let image = format!("{}/nothing:1", shared_swarm_of_two().registry());
        match run(&place, Job { image: Some(&image), ..job("missing", "true") }, None, false).await {
            Ok(Some((JobEnd::Failed { why }, ..))) => assert!(why.contains("No such image"), "{why}"),
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert!(error.attempted.contains("nothing:1"), "{error}"),
        }
        remove(&place, "missing").await.unwrap();
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_failure_and_no_success() {
    for place in Place::both("program") {
        let broken = job("program", "exec /no/such/program");
        let (end, ..) = to_the_end(&place, broken).await;
        assert!(!end.is_success() && end == JobEnd::Exited(127), "{end:?}");
        remove(&place, "program").await.unwrap();
    }
}

#[tokio::test]
async fn what_has_the_jobs_name_and_is_another_is_left_alone() {
    let place = Place::new(false, "foreign");
    let (name, image) = (place.name("mine"), format!("{}/web:1", shared_swarm_of_two().registry()));
    shared_swarm_of_two().docker(0, &["create", "--name", &name, &image]);
    let error = run(&place, job("mine", "true"), None, false).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Rejected, "{error}");
    assert!(remove(&place, "mine").await.is_err());
    shared_swarm_of_two().docker(0, &["rm", &name]);
    let place = Place::new(true, "foreign");
    let name = place.name("mine");
    shared_swarm_of_two().docker(0, &["service", "create", "--quiet", "--detach", "--name", &name, "--replicas", "0", &image]);
    let error = run(&place, job("mine", "true"), None, false).await.unwrap_err();
    assert_eq!(error.kind, PlatformErrorKind::Rejected, "{error}");
    assert!(remove(&place, "mine").await.is_err());
    shared_swarm_of_two().docker(0, &["service", "rm", &name]);
}

/// Somebody died between making a container and starting it: it has the marks, and none of the files.
#[tokio::test]
async fn a_job_that_was_made_and_not_started_is_started_with_its_files() {
    let place = Place::new(false, "made");
    let image = format!("{}/web:1", shared_swarm_of_two().registry());
    let labels = [
        format!("stratos.project={}", place.prefix),
        "stratos.environment=dev".into(),
        "stratos.job=made".into(),
        "stratos.job.app=web".into(),
    ];
    let name = place.name("made");
    let labels = labels.iter().flat_map(|label| ["--label", label]);
    let words = ["create", "--name", &name].into_iter().chain(labels).chain([image.as_str(), "cat", "/etc/job/settings"]);
    let words: Vec<String> = words.map(str::to_owned).collect();
    shared_swarm_of_two().docker(0, &words);
    let (end, found, lines) = to_the_end(&place, job("made", "true")).await;
    assert_eq!((end, found, lines), (JobEnd::Exited(0), true, vec!["from a file".to_owned()]));
    remove(&place, "made").await.unwrap();
}

/// Somebody died between making the secrets of a service and the service.
#[tokio::test]
async fn secrets_without_their_service_are_made_anew() {
    let place = Place::new(true, "orphan");
    let labels = [
        format!("stratos.project={}", place.prefix),
        "stratos.environment=dev".into(),
        "stratos.job=orphan".into(),
        "stratos.job.app=web".into(),
    ];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old"), "old").unwrap();
    let (name, file) = (format!("{}.0", place.name("orphan")), folder.path().join("old").display().to_string());
    let labels = labels.iter().flat_map(|label| ["--label", label]);
    let words = ["secret", "create"].into_iter().chain(labels).chain([name.as_str(), file.as_str()]);
    let words: Vec<String> = words.map(str::to_owned).collect();
    shared_swarm_of_two().docker(0, &words);
    let (end, _, lines) = to_the_end(&place, job("orphan", "cat /etc/job/settings")).await;
    assert_eq!((end, lines), (JobEnd::Exited(0), vec!["from a file".to_owned()]));
    remove(&place, "orphan").await.unwrap();
    assert_eq!(place.left(), Vec::<String>::new());
}
