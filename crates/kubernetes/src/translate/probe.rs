//! Health checks become probes.

use serde_json::{Value, json};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::quantity::Duration;
use stratos_engine::manifest::schema::{App, HealthCheck, Probe};

use super::seconds;

const INTERVAL: Duration = Duration(10_000);
const TIMEOUT: Duration = Duration(2_000);
const RETRIES: u32 = 3;

/// The probes of a container: fields beside its image.
pub(crate) fn probes(app: &App) -> Vec<(&'static str, Value)> {
    let mut out = Vec::new();
    let (ready, live) = (app.health.as_ref().and_then(HealthCheck::ready), app.health.as_ref().and_then(HealthCheck::live));
    if let Some(probe) = ready {
        out.push(("readinessProbe", timed(app, probe)));
    }
    if let Some(probe) = live {
        out.push(("livenessProbe", timed(app, probe)));
        if let Some(start_period) = probe.start_period.filter(|time| time.0 > 0) {
            // Until it has passed once, the liveness probe rests.
            let mut startup = handler(app, probe);
            startup["periodSeconds"] = json!(1);
            startup["timeoutSeconds"] = json!(seconds(probe.timeout.unwrap_or(TIMEOUT)));
            startup["failureThreshold"] = json!(seconds(start_period) + u64::from(probe.retries.unwrap_or(RETRIES)));
            out.push(("startupProbe", startup));
        }
    }
    out
}

fn timed(app: &App, probe: &Probe) -> Value {
    let mut out = handler(app, probe);
    out["periodSeconds"] = json!(seconds(probe.interval.unwrap_or(INTERVAL)));
    out["timeoutSeconds"] = json!(seconds(probe.timeout.unwrap_or(TIMEOUT)));
    out["failureThreshold"] = json!(probe.retries.unwrap_or(RETRIES));
    out
}

fn handler(app: &App, probe: &Probe) -> Value {
    let port = |name: Option<&Name>| {
        let named = name.and_then(|name| app.ports.get(name));
        named.or_else(|| app.ports.values().next()).map(|port| port.port)
    };
    if let Some(path) = &probe.http {
        json!({ "httpGet": { "path": path, "port": port(probe.port.as_ref()) } })
    } else if let Some(name) = &probe.tcp {
        json!({ "tcpSocket": { "port": port(Some(name)) } })
    } else {
        json!({ "exec": { "command": probe.command.as_deref().unwrap_or_default() } })
    }
}
