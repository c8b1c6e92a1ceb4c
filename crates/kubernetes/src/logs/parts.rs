//! Which containers have something to say.

use super::Which;
use crate::pods::{ContainerStatus, Pod};

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Which pod: another one of the same name has another uid.
    uid: String,
    pub(super) pod: String,
    pub(crate) container: String,
    /// What readers know it by: the pod's name, with the container's where there are several.
    pub(crate) instance: String,
    pub(crate) runs: bool,
    /// It ran before, and was started again.
    pub(super) restarts: u32,
    has_run: bool,
}

impl Part {
    /// A container that is known to have a log.
    pub(super) fn only(pod: &str, container: &str, instance: &str) -> Self {
        Self {
            uid: String::new(),
            pod: pod.to_owned(),
            container: container.to_owned(),
            instance: instance.to_owned(),
            runs: true,
            restarts: 0,
            has_run: true,
        }
    }

    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.uid, self.container)
    }

    /// Whether there is such a log.
    pub(super) fn has_log(&self, which: Which) -> bool {
        match which {
            Which::Latest | Which::Following => self.has_run,
            // That it ended is not in its status for a moment, between two runs.
            Which::Previous => self.restarts > 0,
        }
    }
}

/// The containers of pods: all that run the app, and those before them that failed.
pub(crate) fn of(pods: &[Pod]) -> Vec<Part> {
    pods.iter().flat_map(of_pod).collect()
}

/// The containers of one pod.
pub(crate) fn of_pod(pod: &Pod) -> Vec<Part> {
    let failed = |status: &&ContainerStatus| {
        let ended = status.state.terminated.as_ref().or(status.last_state.terminated.as_ref());
        ended.is_some_and(|ended| ended.exit_code != 0)
    };
    let several = pod.spec.containers.len() > 1;
    let before = pod.status.init_container_statuses.iter().filter(failed).map(|status| part(pod, status, true));
    before.chain(pod.status.container_statuses.iter().map(|status| part(pod, status, several))).collect()
}

fn part(pod: &Pod, status: &ContainerStatus, named: bool) -> Part {
    let name = &pod.metadata.name;
    let runs = status.state.running.is_some();
    let ended_before = status.last_state.terminated.is_some();
    Part {
        uid: pod.metadata.uid.clone(),
        pod: name.clone(),
        container: status.name.clone(),
        instance: if named { format!("{name}/{}", status.name) } else { name.clone() },
        runs,
        restarts: status.restart_count,
        has_run: runs || status.state.terminated.is_some() || ended_before,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containers_are_named_where_there_are_several_and_init_containers_where_they_failed() {
        assert!(of(&[]).is_empty());
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "web-1", "uid": "u" },
            "spec": { "containers": [{ "name": "web" }, { "name": "proxy" }] },
            "status": {
                "initContainerStatuses": [
                    { "name": "good", "state": { "terminated": { "exitCode": 0 } } },
                    { "name": "bad", "state": { "waiting": {} }, "lastState": { "terminated": { "exitCode": 1 } } },
                ],
                "containerStatuses": [{ "name": "web", "state": { "running": {} } }, { "name": "proxy", "state": { "waiting": {} } }],
            },
        }))
        .unwrap();
        let parts = of(&[pod]);
        let names: Vec<(&str, bool, bool)> =
            parts.iter().map(|part| (part.instance.as_str(), part.runs, part.has_log(Which::Latest))).collect();
        assert_eq!(names, [("web-1/bad", false, true), ("web-1/web", true, true), ("web-1/proxy", false, false)]);
        let one: Pod = serde_json::from_value(json!({
            "metadata": { "name": "web-1" }, "spec": { "containers": [{ "name": "web" }] },
            "status": { "containerStatuses": [{ "name": "web" }] },
        }))
        .unwrap();
        assert_eq!(of(&[one])[0].instance, "web-1");
    }
}
