//! A probe becomes a command that the engine runs inside the container.

use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::name::Name;
use stratos_engine::desired::quantity::Duration;
use stratos_engine::manifest::schema::{App, Probe};

/// What a probe has where the manifest says nothing. The engine's own defaults are longer.
const INTERVAL: Duration = Duration(10_000);
const TIMEOUT: Duration = Duration(2_000);
const RETRIES: u32 = 3;

/// Writes `healthcheck`, where the app has a probe.
pub(crate) fn write(app: &App, out: &mut DocumentBuilder) {
    let Some(probe) = app.health.as_ref().and_then(|health| health.ready()) else { return };
    let Some(test) = test(app, probe) else { return };
    super::leaves::list(out, &["healthcheck", "test"], &test);
    let Probe { interval, timeout, retries, start_period, http: _, tcp: _, command: _, port: _ } = probe;
    // The engine takes nothing for "as the image says", so these are always said.
    out.put(["healthcheck", "interval"], Leaf::Duration(interval.unwrap_or(INTERVAL)));
    out.put(["healthcheck", "timeout"], Leaf::Duration(timeout.unwrap_or(TIMEOUT)));
    out.integer(["healthcheck", "retries"], retries.unwrap_or(RETRIES));
    if let Some(time) = start_period.filter(|time| time.0 > 0) {
        out.put(["healthcheck", "start_period"], Leaf::Duration(time));
    }
}

fn test(app: &App, probe: &Probe) -> Option<Vec<String>> {
    let number = |name: Option<&Name>| match name {
        Some(name) => app.ports.get(name).map(|port| port.port),
        None => app.ports.values().next().map(|port| port.port),
    };
    if let Some(command) = &probe.command {
        return Some([vec!["CMD".to_owned()], command.clone()].concat());
    }
    let shell = match (&probe.http, &probe.tcp) {
        (Some(path), _) => http(number(probe.port.as_ref())?, path),
        (None, Some(port)) => tcp(number(Some(port))?),
        (None, None) => return None,
    };
    Some(vec!["CMD-SHELL".to_owned(), shell])
}

/// Whichever of the two the image has. The time limit is the engine's: not every `wget` has one.
fn http(port: u16, path: &str) -> String {
    let url = quoted(&format!("http://127.0.0.1:{port}{path}"));
    format!("if command -v wget >/dev/null; then wget -q -O /dev/null {url}; else curl -fsS -o /dev/null {url}; fi || exit 1")
}

/// Not every `nc` has `-z`, and not every image has `bash`. The last form waits for the other side to end the connection.
fn tcp(port: u16) -> String {
    format!(
        "nc -z 127.0.0.1 {port} 2>/dev/null || bash -c '</dev/tcp/127.0.0.1/{port}' 2>/dev/null || \
         nc -w 1 127.0.0.1 {port} </dev/null >/dev/null || exit 1"
    )
}

/// One word for a shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_end_the_quotes() {
        let script = http(80, "/a'; touch /tmp/x; '");
        assert!(script.contains(r"'http://127.0.0.1:80/a'\''; touch /tmp/x; '\'''"), "{script}");
    }
}
