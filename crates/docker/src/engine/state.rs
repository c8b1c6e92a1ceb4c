//! How one container is, in the engine's own words.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};
use tokio::time::Instant;

/// What has no health check works when it has been running for so long.
const STEADY: Duration = Duration::from_millis(1500);

/// A container that has just started may get well although its first checks failed: for so long it is only not ready yet.
const YOUNG: Duration = Duration::from_secs(10);

/// So many starts are remembered; then all are forgotten, and what has just started is watched anew.
const REMEMBERED: usize = 4096;

/// After so many starts it is not worth waiting on: each wait is twice the one before.
const CRASHES: i64 = 2;

/// How a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It was made and never started: whoever made it did not come to its end.
    NeverStarted,
    /// It does not run, and the engine will not start it by itself.
    Stopped(String),
    /// It is not ready yet.
    Waiting(String),
    /// It serves.
    Ready,
    /// It does not work.
    Failed(String),
}

impl State {
    /// Why it does not serve; nothing where it does.
    pub fn why(&self) -> &str {
        match self {
            Self::NeverStarted => "it was never started",
            Self::Ready => "",
            Self::Stopped(why) | Self::Waiting(why) | Self::Failed(why) => why,
        }
    }
}

/// What was seen of the starts of containers.
#[derive(Default)]
pub(crate) struct Watch(Mutex<HashMap<String, Seen>>);

/// One start of a container.
#[derive(Clone, Copy)]
struct Seen {
    /// Since when it has been seen to run, by our own clock: the engine's may be another.
    since: Instant,
    /// What came of its health check when it was run from here.
    check: Check,
}

/// What came of a health check that was run beside the engine's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// It has not passed yet.
    Open,
    /// It passed.
    Passed,
    /// It did not end in its time: the engine ends such a one, and it cannot be ended from here. It is not run again.
    Hangs,
}

impl Watch {
    /// What was seen of this start of a container.
    fn seen(&self, inspected: &ContainerInspectResponse) -> Seen {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        *known.entry(start(inspected)).or_insert_with(|| Seen { since: Instant::now(), check: Check::Open })
    }

    /// Whether its health check is worth running from here: the engine has not come to a result yet, and we have neither.
    pub fn is_open(&self, inspected: &ContainerInspectResponse) -> bool {
        let state = inspected.state.as_ref();
        let is_starting = state.and_then(|state| state.health.as_ref()?.status) == Some(HealthStatusEnum::STARTING);
        let runs = state.and_then(|state| state.status) == Some(ContainerStateStatusEnum::RUNNING);
        runs && is_starting && self.seen(inspected).check == Check::Open
    }

    /// Remembers what came of a health check that was run from here.
    pub fn checked(&self, inspected: &ContainerInspectResponse, check: Check) {
        let seen = Seen { check, ..self.seen(inspected) };
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(start(inspected), seen);
    }

    /// Judges an inspected container.
    pub fn judge(&self, inspected: &ContainerInspectResponse) -> State {
        let Some(state) = &inspected.state else { return State::Waiting("the engine does not say how it is".to_owned()) };
        let restarts = inspected.restart_count.unwrap_or_default();
        let ended = || ended(inspected);
        match state.status {
            Some(ContainerStateStatusEnum::CREATED) => match state.error.as_deref() {
                Some(error) if !error.is_empty() => State::Stopped(error.to_owned()),
                _ => State::NeverStarted,
            },
            Some(ContainerStateStatusEnum::RUNNING) => self.running(inspected, restarts),
            Some(ContainerStateStatusEnum::RESTARTING) if restarts >= CRASHES => State::Failed(ended()),
            Some(ContainerStateStatusEnum::RESTARTING) => State::Waiting(ended()),
            Some(ContainerStateStatusEnum::PAUSED) => State::Stopped("it is paused".to_owned()),
            _ => State::Stopped(ended()),
        }
    }

    fn running(&self, inspected: &ContainerInspectResponse, restarts: i64) -> State {
        let health = inspected.state.as_ref().and_then(|state| state.health.as_ref());
        let last = || health.and_then(|health| health.log.as_ref()).and_then(|log| log.last()).and_then(|last| last.output.clone());
        let said = |what: &str| match last().map(|output| first_line(&output)).filter(|line| !line.is_empty()) {
            Some(line) => format!("{what}: {line}"),
            None => what.to_owned(),
        };
        match health.and_then(|health| health.status) {
            Some(HealthStatusEnum::HEALTHY) => State::Ready,
            Some(HealthStatusEnum::UNHEALTHY) if self.has_run_for(inspected, YOUNG) => State::Failed(said("its health check fails")),
            Some(HealthStatusEnum::UNHEALTHY) => State::Waiting(said("its health check fails")),
            Some(HealthStatusEnum::STARTING) if restarts >= CRASHES => State::Failed(ended(inspected)),
            Some(HealthStatusEnum::STARTING) if self.seen(inspected).check == Check::Passed => State::Ready,
            Some(HealthStatusEnum::STARTING) => State::Waiting(said("its health check has not passed yet")),
            _ if self.has_run_for(inspected, STEADY) => State::Ready,
            _ if restarts >= CRASHES => State::Failed(ended(inspected)),
            _ => State::Waiting("it has just started".to_owned()),
        }
    }

    /// Whether this start has lasted so long: as seen from here, or by far by the engine's clock.
    fn has_run_for(&self, inspected: &ContainerInspectResponse, time: Duration) -> bool {
        let long_ago = started_at(inspected).parse::<jiff::Timestamp>().is_ok_and(|started| {
            let ran = jiff::Timestamp::now().duration_since(started);
            ran.as_millis() / 10 >= i128::try_from(time.as_millis()).unwrap_or(i128::MAX)
        });
        long_ago || self.seen(inspected).since.elapsed() >= time
    }
}

fn started_at(inspected: &ContainerInspectResponse) -> &str {
    inspected.state.as_ref().and_then(|state| state.started_at.as_deref()).unwrap_or_default()
}

/// What tells a start of a container from every other.
fn start(inspected: &ContainerInspectResponse) -> String {
    format!("{} {}", inspected.id.as_deref().unwrap_or_default(), started_at(inspected))
}

/// Why it does not run any more.
fn ended(inspected: &ContainerInspectResponse) -> String {
    let Some(state) = &inspected.state else { return "it has ended".to_owned() };
    // While it runs again, the engine has forgotten how it ended.
    let code = state.exit_code.filter(|_| state.status != Some(ContainerStateStatusEnum::RUNNING));
    let mut why = match (state.oom_killed, code) {
        (Some(true), _) => "it took more memory than it may and was killed".to_owned(),
        (_, Some(code)) => format!("it has ended with exit code {code}"),
        (_, None) => "it has ended".to_owned(),
    };
    if let Some(error) = state.error.as_deref().filter(|error| !error.is_empty()) {
        why = format!("{why}: {error}");
    }
    let restarts = inspected.restart_count.unwrap_or_default();
    if restarts > 0 {
        why = format!("{why}, and was started again {restarts} times");
    }
    why
}

fn first_line(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerState, Health, HealthcheckResult};

    use super::*;

    fn container(status: ContainerStateStatusEnum, restarts: i64) -> ContainerInspectResponse {
        let state = ContainerState { status: Some(status), exit_code: Some(3), started_at: Some("1".into()), ..ContainerState::default() };
        ContainerInspectResponse { state: Some(state), restart_count: Some(restarts), ..ContainerInspectResponse::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_health_check_is_ready_when_it_has_run_for_a_moment() {
        let watch = Watch::default();
        let running = container(ContainerStateStatusEnum::RUNNING, 0);
        assert!(matches!(watch.judge(&running), State::Waiting(_)));
        tokio::time::advance(STEADY).await;
        assert_eq!(watch.judge(&running), State::Ready);
        // Another start begins anew.
        let mut again = container(ContainerStateStatusEnum::RUNNING, 1);
        again.state.as_mut().unwrap().started_at = Some("2".into());
        assert!(matches!(watch.judge(&again), State::Waiting(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_loop_is_a_failure_that_names_the_exit_code() {
        let watch = Watch::default();
        assert!(matches!(watch.judge(&container(ContainerStateStatusEnum::RESTARTING, 1)), State::Waiting(_)));
        for (status, code) in [(ContainerStateStatusEnum::RESTARTING, " with exit code 3"), (ContainerStateStatusEnum::RUNNING, "")] {
            let State::Failed(why) = watch.judge(&container(status, 2)) else { panic!("{status}") };
            assert_eq!(why, format!("it has ended{code}, and was started again 2 times"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_check_says_what_it_printed_and_may_still_pass_at_first() {
        let mut sick = container(ContainerStateStatusEnum::RUNNING, 0);
        let log = vec![HealthcheckResult { output: Some("404 Not Found\nmore".into()), ..HealthcheckResult::default() }];
        let health = Health { status: Some(HealthStatusEnum::UNHEALTHY), log: Some(log), ..Health::default() };
        sick.state.as_mut().unwrap().health = Some(health);
        let watch = Watch::default();
        assert_eq!(watch.judge(&sick), State::Waiting("its health check fails: 404 Not Found".into()));
        tokio::time::advance(YOUNG).await;
        assert_eq!(watch.judge(&sick), State::Failed("its health check fails: 404 Not Found".into()));
    }
}
