//! The manifest is the measure: the platform holds each portable field that an app declares. A client that is not ours reads it
//! ([`Subject::read`]), so that a field which is lost on its way to the platform is seen, although a plan is empty afterwards.

use serde_json::{Value, json};

use super::stage::{Stage, note};
use super::{Body, Subject};
use crate::platform::{Field, Support};

/// A field of the app `web`: its line in the manifest, and the value in the form of [`Subject::read`].
struct Row {
    field: Field,
    line: String,
    value: Value,
}

fn row(field: Field, line: impl Into<String>, value: Value) -> Row {
    Row { field, line: line.into(), value }
}

/// An app with each field that the platform honours is created, and then changed in each of them.
pub async fn another_client_reads_what_is_declared<S: Subject>(subject: &S) {
    // A platform may reserve as much CPU as an app is limited to: a subject keeps some free for a case that asks for this.
    subject.support(Field::ResourcesCpu);
    for rows in [first(subject), second(subject)] {
        let mut stage = Stage::new(subject);
        // The volume of an instance that goes.
        stage.policy.delete_data = true;
        stage.web("cache", 1);
        stage.app::<&str>("web", Body::Web(1), &[]);
        let rows: Vec<Row> = rows.into_iter().filter(|row| is_honoured(subject, row.field)).collect();
        // A line may stand in two rows, one for each of its fields. The port `http` comes first: the app listens on `$PORT`.
        let mut lines: Vec<&str> = rows.iter().map(|row| row.line.as_str()).collect();
        lines.sort_unstable();
        lines.dedup();
        stage.add("web", &lines);
        stage.converge().await;
        let mut read = 0;
        for Row { field, value, .. } in &rows {
            match subject.read("web", *field).await {
                Ok(live) => {
                    assert!(holds(&live, value), "{field} is declared as {value}, and another client reads {live}");
                    read += 1;
                }
                Err(why) => note::<S>(format!("{field}: no other client reads it: {why}")),
            }
        }
        assert!(read * 2 > rows.len(), "another client reads {read} of {} fields", rows.len());
    }
}

fn is_honoured<S: Subject>(subject: &S, field: Field) -> bool {
    matches!(subject.support(field), Support::Full | Support::Adapted(_))
}

fn http<S: Subject>(subject: &S) -> Row {
    if !is_honoured(subject, Field::PortsPublish) {
        return row(Field::Ports, "ports.http = 8080", json!([8080]));
    }
    let port = subject.free_port();
    row(Field::PortsPublish, format!("ports.http = {{ port = 8080, publish = {port} }}"), json!([port]))
}

const HEALTH: &str = "health = { http = \"/healthz\", port = \"http\", interval = \"1s\", retries = 30 }";
const VOLUME: &str = "volumes.data = { path = \"/var/lib/web\" }";

fn first<S: Subject>(subject: &S) -> Vec<Row> {
    const ENV: &str = "env = { PLAIN = \"one\", EMPTY = \"\", SPECIAL = \"a=b; \\\"c\\\" 'd' {e} ü\", LINES = \"one\\ntwo\\n\" }";
    const FILES: &str = "files.\"/etc/web/app.conf\" = { content = \"one\\n  two: {}\\n\", mode = \"0440\" }";
    vec![
        http(subject),
        row(Field::HealthHttp, HEALTH, json!("/healthz")),
        row(Field::Replicas, "replicas = 2", json!(2)),
        row(Field::Ports, "ports.metrics = 9090", json!([9090])),
        row(Field::Env, ENV, json!({ "PLAIN": "one", "EMPTY": "", "SPECIAL": "a=b; \"c\" 'd' {e} ü", "LINES": "one\ntwo\n" })),
        row(Field::Files, FILES, json!({ "/etc/web/app.conf": "one\n  two: {}\n" })),
        row(Field::FilesMode, FILES, json!({ "/etc/web/app.conf": "0440" })),
        row(Field::ResourcesCpuLimit, "resources.cpu_limit = \"300m\"", json!(300)),
        row(Field::ResourcesMemory, "resources.memory = \"512MiB\"", json!(512 << 20)),
        row(Field::Volumes, VOLUME, json!(["/var/lib/web"])),
        row(Field::RolloutMaxSurge, "rollout.max_surge = 2", json!(2)),
    ]
}

/// Another value of each field; a variable and a file are gone.
fn second<S: Subject>(subject: &S) -> Vec<Row> {
    const FILES: &str = "files.\"/etc/web/other.conf\" = { content = \"three\", mode = \"0444\" }";
    vec![
        http(subject),
        row(Field::HealthHttp, HEALTH, json!("/healthz")),
        row(Field::Replicas, "replicas = 1", json!(1)),
        row(Field::Ports, "ports.metrics = 9091", json!([9091])),
        row(Field::Env, "env = { PLAIN = \"\", SPECIAL = \"1000m\" }", json!({ "PLAIN": "", "SPECIAL": "1000m", "EMPTY": null })),
        row(Field::Files, FILES, json!({ "/etc/web/other.conf": "three", "/etc/web/app.conf": null })),
        row(Field::FilesMode, FILES, json!({ "/etc/web/other.conf": "0444" })),
        row(Field::ResourcesCpuLimit, "resources.cpu_limit = \"200m\"", json!(200)),
        row(Field::ResourcesMemory, "resources.memory = \"768MiB\"", json!(768 << 20)),
        row(Field::Volumes, VOLUME, json!(["/var/lib/web"])),
        row(Field::RolloutMaxSurge, "rollout.max_surge = 1", json!(1)),
    ]
}

/// Whether the live value is the declared one: a map may hold more, as may a list; null is absent.
fn holds(live: &Value, declared: &Value) -> bool {
    match (live, declared) {
        (_, Value::Null) => live.is_null(),
        (Value::Object(live), Value::Object(declared)) => {
            declared.iter().all(|(key, value)| holds(live.get(key).unwrap_or(&Value::Null), value))
        }
        (Value::Array(live), Value::Array(declared)) => declared.iter().all(|value| live.contains(value)),
        _ => live == declared,
    }
}
