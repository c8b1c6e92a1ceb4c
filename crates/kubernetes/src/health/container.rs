//! What a container that does not work says of itself, in one sentence.

use stratos_engine::health::Status;

use super::words;
use crate::pods::{ContainerStatus, Terminated};

/// What is the matter with a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Failed where waiting will not help.
    pub(super) status: Status,
    pub(super) message: String,
    /// Whether there are lines of the one that ended, and in which log.
    pub(super) log: Option<Log>,
}

/// Which log of a container tells more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) container: String,
    /// The one before the container that is there now.
    pub(super) previous: bool,
    /// Which container it is, where it has ended and says nothing more.
    pub(super) ended: Option<String>,
}

/// The exit code of what was killed: 128 and the signal's number.
const KILLED: i64 = 137;

/// What keeps a container from working. None for one that runs, is about to, or has ended well.
pub(super) fn trouble(status: &ContainerStatus, is_started_again: bool) -> Option<Trouble> {
    let last = status.last_state.terminated.as_ref();
    if let Some(waiting) = &status.state.waiting {
        return waits(status, &waiting.reason, &waiting.message, last);
    }
    if let Some(ended) = &status.state.terminated {
        let log = Some(Log { container: status.name.clone(), previous: false, ended: Some(ended.container_id.clone()) });
        return match (ended.exit_code == 0, is_started_again) {
            (true, false) => None,
            (_, true) => {
                Some(Trouble { status: Status::Progressing, message: format!("{}; it is started again", end(status, ended)), log })
            }
            (false, false) => Some(Trouble { status: Status::Failed, message: end(status, ended), log }),
        };
    }
    None
}

fn waits(status: &ContainerStatus, reason: &str, message: &str, last: Option<&Terminated>) -> Option<Trouble> {
    let log = last.map(|last| Log { container: status.name.clone(), previous: true, ended: Some(last.container_id.clone()) });
    let name = &status.name;
    let said = words::cause(message);
    let trouble = |status, message| Some(Trouble { status, message, log: log.clone() });
    match reason {
        "" | "ContainerCreating" | "PodInitializing" => None,
        "CrashLoopBackOff" => {
            let end = last.map_or_else(|| format!("the container {name} ends after each start"), |last| end(status, last));
            trouble(Status::Failed, format!("{end}; it was started {} times (CrashLoopBackOff)", status.restart_count + 1))
        }
        "InvalidImageName" => trouble(Status::Failed, format!("{:?} is no name of an image (InvalidImageName)", status.image)),
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            let hint = words::about_pulling(message).map_or_else(String::new, |hint| format!(" ({hint})"));
            trouble(Status::Progressing, format!("the image {} cannot be pulled ({reason}): {said}{hint}", status.image))
        }
        _ => {
            let hint = words::about_starting(message).map_or_else(String::new, |hint| format!(" ({hint})"));
            trouble(Status::Progressing, format!("the container {name} cannot be started ({reason}): {said}{hint}"))
        }
    }
}

/// How a container ended.
pub(super) fn end(status: &ContainerStatus, ended: &Terminated) -> String {
    let name = &status.name;
    let said = words::cause(&ended.message);
    match ended.reason.as_str() {
        "OOMKilled" => format!("the container {name} was killed for using more memory than it may (OOMKilled; `resources.memory`)"),
        "StartError" | "ContainerCannotRun" => format!("the program of the container {name} cannot be started: {said}"),
        _ => {
            let killed = if ended.exit_code == KILLED { ", killed" } else { "" };
            let signal = if ended.signal == 0 { String::new() } else { format!(", signal {}", ended.signal) };
            let said = if said.is_empty() { said } else { format!(": {said}") };
            format!("the container {name} ended with exit code {}{killed}{signal}{said}", ended.exit_code)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn says(state: &Value, last: &Value) -> Option<(Status, String)> {
        let status = json!({ "name": "web", "image": "shop:1", "restartCount": 2, "state": state, "lastState": last });
        trouble(&serde_json::from_value(status).unwrap(), true).map(|trouble| (trouble.status, trouble.message))
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({ "waiting": { "reason": reason, "message": message } })
    }

    #[test]
    fn what_runs_or_is_about_to_is_no_trouble() {
        assert_eq!(says(&json!({ "running": {} }), &json!({})), None);
        assert_eq!(says(&waiting("ContainerCreating", ""), &json!({})), None);
        assert_eq!(says(&json!({}), &json!({})), None);
    }

    #[test]
    fn a_crash_loop_says_what_it_ended_with() {
        let back_off = waiting("CrashLoopBackOff", "back-off 10s restarting failed container");
        let ended = |ended: Value| says(&back_off, &json!({ "terminated": ended })).unwrap();
        for (last, text) in [
            (
                json!({ "exitCode": 3, "reason": "Error" }),
                "the container web ended with exit code 3; it was started 3 times (CrashLoopBackOff)",
            ),
            (
                json!({ "exitCode": 137, "reason": "OOMKilled" }),
                "the container web was killed for using more memory than it may (OOMKilled; `resources.memory`); it was started 3 times (CrashLoopBackOff)",
            ),
            (
                json!({ "exitCode": 128, "reason": "StartError", "message": "failed to create containerd task: exec: \"/nosuch\": not found: unknown" }),
                "the program of the container web cannot be started: exec: \"/nosuch\": not found: unknown; it was started 3 times (CrashLoopBackOff)",
            ),
        ] {
            assert_eq!(ended(last), (Status::Failed, text.to_owned()));
        }
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_waited_for_and_a_name_that_is_none_is_not() {
        let message =
            "Back-off pulling image \"shop:1\": ErrImagePull: rpc error: code = NotFound desc = failed to resolve reference: not found";
        let (status, text) = says(&waiting("ImagePullBackOff", message), &json!({})).unwrap();
        assert_eq!(status, Status::Progressing);
        assert_eq!(text, "the image shop:1 cannot be pulled (ImagePullBackOff): failed to resolve reference: not found");
        assert_eq!(says(&waiting("InvalidImageName", ""), &json!({})).unwrap().0, Status::Failed);
    }

    #[test]
    fn a_known_trap_comes_with_what_helps() {
        let message = "container has runAsNonRoot and image will run as root (pod: \"web\", container: web)";
        let (status, text) = says(&waiting("CreateContainerConfigError", message), &json!({})).unwrap();
        assert_eq!(status, Status::Progressing);
        assert!(text.contains("platform.kubernetes.run_as_user"), "{text}");
    }

    #[test]
    fn what_has_ended_is_a_failure_only_where_it_is_not_started_again() {
        let status: ContainerStatus =
            serde_json::from_value(json!({ "name": "web", "state": { "terminated": { "exitCode": 1 } } })).unwrap();
        assert_eq!(trouble(&status, false).unwrap().status, Status::Failed);
        assert_eq!(trouble(&status, true).unwrap().status, Status::Progressing);
        let well: ContainerStatus = serde_json::from_value(json!({ "name": "web", "state": { "terminated": { "exitCode": 0 } } })).unwrap();
        assert_eq!(trouble(&well, false), None);
    }
}
