//! The pod of an app: one container, as little allowed to it as the app says that it needs.

use serde_json::{Value, json};
use stratos_engine::desired::quantity::Cpu;
use stratos_engine::desired::text::Text;

use super::files::{Files, argument};
use super::service::protocol;
use super::{Maker, probe, storage};
use crate::settings::{PodSecurity, PodSettings};

/// The template of a workload's pods.
pub(crate) fn template(maker: &Maker<'_>, files: &Files<'_>) -> Value {
    json!({ "metadata": { "labels": maker.labels() }, "spec": spec(maker, files) })
}

fn spec(maker: &Maker<'_>, files: &Files<'_>) -> Value {
    let settings = PodSettings::of(maker.app.app);
    let (mut volumes, mut mounts) = files.volumes(maker);
    let (shared, own) = storage::volumes(maker);
    volumes.extend(shared);
    mounts.extend(own);
    let mut spec = json!({
        "serviceAccountName": &**maker.app.name,
        // Variables for each Service of the namespace would change what a program sees when somebody else makes one.
        "enableServiceLinks": false,
        "automountServiceAccountToken": false,
        "containers": [container(maker, files, settings, mounts)],
        "volumes": volumes,
    });
    if let Some(context) = pod_security(settings) {
        spec["securityContext"] = context;
    }
    if maker.replicas() > 1 {
        spec["topologySpreadConstraints"] = json!([{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": maker.selector() },
        }]);
    }
    spec
}

fn container(maker: &Maker<'_>, files: &Files<'_>, settings: PodSettings, mounts: Vec<Value>) -> Value {
    let app = maker.app.app;
    let mut out = json!({
        "name": &**maker.app.name,
        "image": app.image,
        "env": variables(maker, files),
        "volumeMounts": mounts,
    });
    if let Some(command) = &app.command {
        // The image's entry point is replaced, as on all platforms.
        out["command"] = command.iter().enumerate().map(|(index, word)| Value::String(word_of(index, word))).collect();
    }
    if !app.ports.is_empty() {
        out["ports"] = app.ports.values().map(|port| json!({ "containerPort": port.port, "protocol": protocol(port) })).collect();
    }
    for (name, probe) in probe::probes(app) {
        out[name] = probe;
    }
    let resources = app.resources.clone().unwrap_or_default();
    let memory = resources.memory.map(|memory| memory.0.to_string());
    // A limit alone would be a request of as much, by the server's default.
    let kept_free = resources.cpu.or(resources.cpu_limit.map(|_| Cpu(0))).map(|cpu| cpu.to_string());
    out["resources"] = json!({
        "requests": { "cpu": kept_free, "memory": memory },
        "limits": { "cpu": resources.cpu_limit.map(|cpu| cpu.to_string()), "memory": memory },
    });
    if let Some(context) = container_security(settings) {
        out["securityContext"] = context;
    }
    out
}

/// `$(NAME)` is filled in by the kubelet.
fn word_of(index: usize, word: &Text) -> String {
    if word.has_secret() { format!("$({})", argument(index)) } else { word.to_rendered() }
}

/// The app's variables, and those that tell it its ports, which are stronger; in the order of the alphabet, since none needs
/// another one.
fn variables(maker: &Maker<'_>, files: &Files<'_>) -> Vec<Value> {
    let mut values: std::collections::BTreeMap<String, Value> = std::collections::BTreeMap::new();
    for (name, value) in maker.app.env.iter().filter(|(name, _)| !files.variables.contains_key(*name)) {
        // Only commands are filled in: a value is what it says.
        let literal = value.to_rendered().replace("$(", "$$(");
        values.insert(name.clone(), json!({ "name": name, "value": literal }));
    }
    for name in files.variables.keys() {
        let reference = json!({ "secretKeyRef": { "name": Files::secret_name(maker), "key": name } });
        values.insert(name.clone(), json!({ "name": name, "valueFrom": reference }));
    }
    for (index, (name, port)) in maker.app.app.ports.iter().enumerate() {
        let mut set = |name: String| values.insert(name.clone(), json!({ "name": name, "value": port.port.to_string() }));
        if index == 0 {
            set("PORT".to_owned());
        }
        set(format!("PORT_{}", name.to_uppercase().replace('-', "_")));
    }
    values.into_values().collect()
}

/// What the standard `restricted` asks of a pod.
fn pod_security(settings: PodSettings) -> Option<Value> {
    let PodSettings { security, run_as_user, run_as_group } = settings;
    let user = json!({ "runAsUser": run_as_user, "runAsGroup": run_as_group, "fsGroup": run_as_group.or(run_as_user) });
    match security {
        PodSecurity::Restricted => {
            let mut out = user;
            out["runAsNonRoot"] = json!(true);
            out["seccompProfile"] = json!({ "type": "RuntimeDefault" });
            Some(out)
        }
        PodSecurity::Baseline | PodSecurity::Privileged => (run_as_user.is_some() || run_as_group.is_some()).then_some(user),
    }
}

/// What it asks of a container.
fn container_security(settings: PodSettings) -> Option<Value> {
    match settings.security {
        PodSecurity::Restricted => Some(json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } })),
        PodSecurity::Baseline | PodSecurity::Privileged => None,
    }
}
