//! Which container a command runs in.

use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use crate::logs::{Part, parts_of};
use crate::pods::Pod;

/// A container that runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) instance: String,
}

/// The one that is asked for, by the name that logs show or by its pod's; or the first that runs, rather in a pod that is ready.
pub(super) fn choose(pods: &[Pod], wanted: Option<&str>) -> Result<Target, PlatformError> {
    let mut pods: Vec<&Pod> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    pods.sort_by_key(|pod| !pod.is_ready());
    let all: Vec<(&Pod, Part)> = pods.iter().flat_map(|pod| parts_of(pod).into_iter().map(|part| (*pod, part))).collect();
    let running: Vec<&(&Pod, Part)> = all.iter().filter(|(_, part)| part.runs).collect();
    let is_wanted = |pod: &Pod, part: &Part| wanted.is_none_or(|wanted| wanted == part.instance || wanted == pod.metadata.name);
    let candidates: Vec<&(&Pod, Part)> = running.iter().copied().filter(|(pod, part)| is_wanted(pod, part)).collect();
    if let Some((pod, part)) = first(&candidates) {
        let (pod, container, instance) = (pod.metadata.name.clone(), part.container.clone(), part.instance.clone());
        return Ok(Target { pod, container, instance });
    }
    let there_is = |wanted: &str| all.iter().any(|(pod, part)| wanted == part.instance || wanted == pod.metadata.name);
    let why = match wanted {
        Some(wanted) if there_is(wanted) => format!("{wanted} does not run"),
        Some(wanted) => format!("there is no instance {wanted:?}"),
        None => "none of its instances runs".to_owned(),
    };
    let names: Vec<&str> = running.iter().map(|(_, part)| part.instance.as_str()).collect();
    let hint = match names.as_slice() {
        [] => "`stratos status` shows why".to_owned(),
        there => format!("there runs: {}", there.join(", ")),
    };
    Err(PlatformError::new(PlatformErrorKind::Rejected, "finding an instance to run a command in", why).with_hint(hint))
}

/// Of several containers of a pod the first in its specification: `kubectl` takes that one too.
fn first<'a>(candidates: &[&'a (&'a Pod, Part)]) -> Option<&'a (&'a Pod, Part)> {
    let place = |(pod, part): &(&Pod, Part)| pod.spec.containers.iter().position(|container| container.name == part.container);
    let one = candidates.first()?;
    let of_pod = candidates.iter().copied().filter(|candidate| candidate.0.metadata.name == one.0.metadata.name);
    of_pod.min_by_key(|candidate| place(candidate).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: bool, containers: &[(&str, bool)]) -> Pod {
        let statuses: Vec<_> = containers
            .iter()
            .map(|(name, runs)| json!({ "name": name, "state": if *runs { json!({ "running": {} }) } else { json!({}) } }))
            .collect();
        let specs: Vec<_> = containers.iter().rev().map(|(name, _)| json!({ "name": name })).collect();
        let ready = json!([{ "type": "Ready", "status": if ready { "True" } else { "False" } }]);
        serde_json::from_value(json!({
            "metadata": { "name": name, "uid": name }, "spec": { "containers": specs },
            "status": { "conditions": ready, "containerStatuses": statuses },
        }))
        .unwrap()
    }

    fn chosen(pods: &[Pod], wanted: Option<&str>) -> String {
        choose(pods, wanted).map_or_else(|error| format!("{} ({})", error.why, error.hint.unwrap_or_default()), |target| target.instance)
    }

    #[test]
    fn nothing_runs() {
        assert_eq!(chosen(&[], None), "none of its instances runs (`stratos status` shows why)");
        assert_eq!(chosen(&[pod("a", false, &[("web", false)])], Some("a")), "a does not run (`stratos status` shows why)");
    }

    #[test]
    fn one_that_is_ready_is_taken_and_the_first_of_its_containers() {
        let pods = [pod("a", false, &[("web", true)]), pod("b", true, &[("proxy", true), ("web", true)])];
        assert_eq!(chosen(&pods, None), "b/web");
        assert_eq!(chosen(&pods, Some("b")), "b/web");
        assert_eq!(chosen(&pods, Some("b/proxy")), "b/proxy");
        assert_eq!(chosen(&pods, Some("a")), "a");
        assert_eq!(chosen(&pods, Some("c")), "there is no instance \"c\" (there runs: b/proxy, b/web, a)");
    }
}
