//! The objects of a job.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::JobPod;
use super::record::Record;

/// Something that belongs to a job. The body may hold secrets.
pub(super) struct Beside {
    pub(super) plural: &'static str,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// The container that does the work.
pub(super) fn first_container(template: &Value) -> Option<String> {
    Some(template["spec"]["containers"].get(0)?["name"].as_str()?.to_owned())
}

/// The Job itself: suspended while something is still to be made for it.
pub(super) fn job(record: &Record, pod: &JobPod, timeout: Duration) -> Value {
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": record.name, "namespace": record.namespace, "labels": record.labels, "annotations": record.annotations },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": seconds.max(1),
            "suspend": pod.secret.is_some() || !pod.config_maps.is_empty(),
            "template": template(&pod.pod_template),
        },
    })
}

/// The app's pod, as one that runs once: nobody asks whether it is healthy, and no Service takes it for one of the app's.
fn template(of_app: &Value) -> Value {
    let mut template = of_app.clone();
    template["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "stratos" });
    template["spec"]["restartPolicy"] = json!("Never");
    if let Some(spec) = template["spec"].as_object_mut() {
        // A migration runs before the app's account is there, and what spreads instances does not concern it.
        for field in ["serviceAccountName", "topologySpreadConstraints"] {
            spec.remove(field);
        }
    }
    for container in template["spec"]["containers"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            container.remove(probe);
        }
    }
    template
}

/// What belongs to it, and goes with it.
pub(super) fn beside(record: &Record, pod: JobPod, uid: &str) -> Vec<Beside> {
    let owner = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": record.name, "uid": uid }]);
    let meta = |name: &Value| json!({ "name": name, "namespace": record.namespace, "labels": record.labels, "ownerReferences": owner });
    let encoded = |object: &Value| Zeroizing::new(object.to_string().into_bytes());
    let mut out = Vec::new();
    if let Some((name, values)) = pod.secret {
        let data: Map<String, Value> = values.iter().map(|(key, value)| (key.clone(), STANDARD.encode(value.as_slice()).into())).collect();
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": meta(&json!(name)), "type": "Opaque", "data": data });
        out.push(Beside { plural: "secrets", body: encoded(&secret) });
    }
    for mut map in pod.config_maps {
        map["metadata"] = meta(&map["metadata"]["name"]);
        out.push(Beside { plural: "configmaps", body: encoded(&map) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let labels = [("stratos/job".to_owned(), "web-job-1".to_owned())].into();
        Record { namespace: "shop".into(), name: "web-job-1".into(), labels, annotations: [].into() }
    }

    fn pod() -> JobPod {
        let pod_template = json!({
            "metadata": { "labels": { "app.kubernetes.io/instance": "web" } },
            "spec": { "restartPolicy": "Always", "containers": [{ "name": "web", "image": "shop:1", "readinessProbe": {} }] },
        });
        JobPod { pod_template, secret: None, config_maps: vec![] }
    }

    #[test]
    fn what_needs_nothing_begins_at_once() {
        let job = job(&record(), &pod(), Duration::from_millis(1500));
        assert_eq!(job["spec"]["suspend"], json!(false));
        assert_eq!(job["spec"]["activeDeadlineSeconds"], json!(2));
        assert_eq!(
            job["spec"]["template"]["spec"],
            json!({ "restartPolicy": "Never", "containers": [{ "name": "web", "image": "shop:1" }] })
        );
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], json!({ "app.kubernetes.io/managed-by": "stratos" }));
        assert!(beside(&record(), pod(), "u").is_empty());
        assert_eq!(first_container(&pod().pod_template).as_deref(), Some("web"));
        assert_eq!(first_container(&json!({})), None);
    }

    #[test]
    fn what_it_needs_belongs_to_it() {
        let secret = Some(("web-job-1".to_owned(), [("KEY".to_owned(), Zeroizing::new(b"value".to_vec()))].into()));
        let with = JobPod {
            secret,
            config_maps: vec![json!({ "kind": "ConfigMap", "metadata": { "name": "files" }, "data": { "a": "b" } })],
            ..pod()
        };
        assert_eq!(job(&record(), &with, Duration::ZERO)["spec"]["suspend"], json!(true));
        let made = beside(&record(), with, "u");
        let bodies: Vec<Value> = made.iter().map(|object| serde_json::from_slice(&object.body).unwrap()).collect();
        assert_eq!(bodies[0]["data"]["KEY"], json!("dmFsdWU="));
        assert_eq!(bodies[1]["data"]["a"], json!("b"));
        for body in bodies {
            assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], json!("u"));
            assert_eq!(body["metadata"]["labels"]["stratos/job"], json!("web-job-1"));
        }
    }
}
