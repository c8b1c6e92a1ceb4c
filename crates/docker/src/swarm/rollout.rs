//! `rollout` in the words of a swarm: how instances are exchanged, and what happens when that fails.

use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::quantity::Duration;
use stratos_engine::manifest::schema::{OnFailure, Rollout, Strategy};

/// What the engine takes where nothing is said: such values are in no document.
pub(crate) mod defaults {
    use stratos_engine::desired::quantity::Duration;

    /// So many instances are exchanged at once. 0 is all of them.
    pub(crate) const PARALLELISM: i64 = 1;
    /// How long a new instance is watched.
    pub(crate) const MONITOR: Duration = Duration(5_000);
    /// Which comes first, the end of the old instance or the start of the new one.
    pub(crate) const ORDER: &str = "stop-first";
    /// What happens when it fails.
    pub(crate) const FAILURE_ACTION: &str = "pause";
}

/// An instance is watched for this part of a roll-out's time.
const PART: u64 = 10;

/// Writes `deploy.update` and `deploy.rollback`.
///
/// A port of the host can be had once: with `start-first` the new instance waits for a node without the old one, and the
/// roll-out never ends. So apps that publish there stop first.
pub(crate) fn write(rollout: Option<&Rollout>, takes_host_ports: bool, watch: Duration, out: &mut DocumentBuilder) {
    let rollout = rollout.cloned().unwrap_or_default();
    let away = rollout.max_unavailable.unwrap_or(0);
    let surge = rollout.max_surge.unwrap_or(if away > 0 { 0 } else { 1 });
    let (starts_first, parallelism) = match rollout.strategy {
        Some(Strategy::Recreate) => (false, 0),
        _ if surge == 0 || takes_host_ports => (false, i64::from(away.max(1))),
        _ => (true, i64::from(surge)),
    };
    let watched = rollout.timeout.map_or(watch, |timeout| Duration((timeout.0 / PART).clamp(1, watch.0)));
    for which in ["update", "rollback"] {
        if starts_first {
            out.text(["deploy", which, "order"], "start-first");
        }
        if parallelism != defaults::PARALLELISM {
            out.integer(["deploy", which, "parallelism"], parallelism);
        }
        if watched != defaults::MONITOR {
            out.put(["deploy", which, "monitor"], Leaf::Duration(watched));
        }
    }
    if rollout.on_failure != Some(OnFailure::Pause) {
        out.text(["deploy", "update", "failure_action"], "rollback");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rollout: Rollout, takes_host_ports: bool) -> Vec<String> {
        let mut out = DocumentBuilder::default();
        write(Some(&rollout), takes_host_ports, defaults::MONITOR, &mut out);
        let update = |(path, leaf): &(stratos_engine::desired::path::Path, Leaf)| {
            path.to_string().strip_prefix("deploy.update.").map(|field| format!("{field} = {leaf}"))
        };
        out.build().leaves().iter().filter_map(update).collect()
    }

    const ROLLBACK: &str = "failure_action = \"rollback\"";
    const START_FIRST: &str = "order = \"start-first\"";

    #[test]
    fn new_instances_come_first_unless_there_is_no_room_for_them() {
        assert_eq!(written(Rollout::default(), false), [ROLLBACK, START_FIRST]);
        let surge = |max_surge| Rollout { max_surge: Some(max_surge), ..Rollout::default() };
        assert_eq!(written(surge(3), false), [ROLLBACK, START_FIRST, "parallelism = 3"]);
        assert_eq!(written(surge(0), false), [ROLLBACK]);
        let away = Rollout { max_unavailable: Some(2), ..Rollout::default() };
        assert_eq!(written(away, false), [ROLLBACK, "parallelism = 2"]);
        let recreate = Rollout { strategy: Some(Strategy::Recreate), ..Rollout::default() };
        assert_eq!(written(recreate, false), [ROLLBACK, "parallelism = 0"]);
    }

    /// The new instance would wait for the port for ever.
    #[test]
    fn a_port_of_the_host_is_let_go_first_whatever_is_asked_for() {
        assert_eq!(written(Rollout { max_surge: Some(3), ..Rollout::default() }, true), [ROLLBACK]);
    }

    #[test]
    fn a_pause_is_the_engines_default_and_a_short_time_is_watched_shortly() {
        let rollout =
            Rollout { on_failure: Some(OnFailure::Pause), max_surge: Some(0), timeout: Some(Duration(4_000)), ..Rollout::default() };
        assert_eq!(written(rollout, false), ["monitor = 400ms"]);
        let long =
            Rollout { on_failure: Some(OnFailure::Pause), max_surge: Some(0), timeout: Some(Duration(600_000)), ..Rollout::default() };
        assert!(written(long, false).is_empty());
    }
}
