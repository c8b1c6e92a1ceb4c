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
