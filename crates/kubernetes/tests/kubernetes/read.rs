//! The portable fields of an app as kubectl reads them.

use serde_json::{Value, json};
use stratos_engine::platform::Field;
use stratos_test_platforms::Cluster;

fn kubectl(namespace: &str, arguments: &[&str]) -> Value {
    let printed = Cluster::shared().kubectl(&[&["--namespace", namespace, "--output=json"], arguments].concat());
    serde_json::from_str(&printed).unwrap()
}

/// A field, in the form of [`Subject::read`](stratos_engine::platform::contract::Subject::read).
pub fn field(namespace: &str, app: &str, field: Field) -> Result<Value, String> {
    let selector = format!("--selector=stratos/app={app}");
    let workloads = kubectl(namespace, &["get", "deployments,statefulsets", &selector]);
    let workload = workloads["items"].get(0).ok_or("there is no workload")?;
    let spec = &workload["spec"]["template"]["spec"];
    let container = &spec["containers"][0];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    Ok(match field {
        Field::Replicas => workload["spec"]["replicas"].clone(),
        Field::Ports => list(&container["ports"]).iter().map(|port| port["containerPort"].clone()).collect(),
        Field::PortsPublish => {
            let services = kubectl(namespace, &["get", "services", &selector]);
            let ports = list(&services["items"]).into_iter().flat_map(|service| list(&service["spec"]["ports"]));
            ports.map(|port| port["port"].clone()).collect()
        }
        // The server stores no empty value.
        Field::Env => list(&container["env"])
            .iter()
            .map(|variable| (text(&variable["name"]), variable.get("value").cloned().unwrap_or_else(|| json!(""))))
            .collect(),
        Field::Files => files(namespace, spec, container).into_iter().map(|(path, content, _)| (path, json!(content))).collect(),
        Field::FilesMode => {
            files(namespace, spec, container).into_iter().map(|(path, _, mode)| (path, json!(format!("{mode:04o}")))).collect()
        }
        Field::HealthHttp => container["readinessProbe"]["httpGet"]["path"].clone(),
        Field::ResourcesCpuLimit => cpu(&text(&container["resources"]["limits"]["cpu"])),
        Field::ResourcesMemory => memory(&text(&container["resources"]["limits"]["memory"])),
        Field::Volumes => list(&container["volumeMounts"]).iter().map(|mount| mount["mountPath"].clone()).collect(),
        Field::RolloutMaxSurge if workload["kind"] == "Deployment" => workload["spec"]["strategy"]["rollingUpdate"]["maxSurge"].clone(),
        _ => return Err(format!("a {} does not have it in these terms", text(&workload["kind"]))),
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The files that are mounted one by one from ConfigMaps: path, content and mode.
fn files(namespace: &str, spec: &Value, container: &Value) -> Vec<(String, String, u64)> {
    let volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
    let one = |mount: &Value| {
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"])?;
        let sources = volume["projected"]["sources"].as_array().cloned().unwrap_or_else(|| vec![volume.clone()]);
        let key = mount["subPath"].as_str()?;
        sources.iter().find_map(|source| {
            let map = &source["configMap"];
            let item = map["items"].as_array()?.iter().find(|item| item["path"] == key)?.clone();
            let name = map["name"].as_str()?;
            let found = kubectl(namespace, &["get", "configmap", name]);
            let default = volume["projected"]["defaultMode"].as_u64().or(map["defaultMode"].as_u64()).unwrap_or(0o644);
            Some((text(&mount["mountPath"]), text(&found["data"][text(&item["key"])]), item["mode"].as_u64().unwrap_or(default)))
        })
    };
    container["volumeMounts"].as_array().into_iter().flatten().filter_map(one).collect()
}

/// In thousandths.
fn cpu(text: &str) -> Value {
    match text.strip_suffix('m') {
        Some(number) => json!(number.parse::<u64>().ok()),
        None => json!(text.parse::<u64>().ok().map(|cpus| cpus * 1000)),
    }
}

fn memory(text: &str) -> Value {
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30)];
    let bytes = units.iter().find_map(|(unit, bits)| Some(text.strip_suffix(unit)?.parse::<u64>().ok()? << bits));
    json!(bytes.or_else(|| text.parse().ok()))
}
