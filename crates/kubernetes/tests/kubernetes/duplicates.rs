//! Elements that a list has twice: the server refuses them in an apply, and so do we before that, with their place.

use std::io::Write as _;

use stratos_engine::deploy::Policy;

use crate::manifests::{Live, cluster};

/// Lists of a pod, by what the server says of them.
const LISTS: [(&str, &str); 10] = [
    ("containers: [{ name: one, image: a }, { name: one, image: b }]", ".spec.containers: duplicate entries for key [name=\"one\"]"),
    ("containers: [{ name: one, env: [{ name: A, value: b }, { name: A, value: c }] }]", "env: duplicate entries for key [name=\"A\"]"),
    (
        "containers: [{ name: one, ports: [{ containerPort: 53, hostPort: 1 }, { containerPort: 53, hostPort: 2 }] }]",
        "ports: duplicate entries for key [containerPort=53,protocol=\"TCP\"]",
    ),
    (
        "containers: [{ name: one, volumeMounts: [{ mountPath: /a, name: x }, { mountPath: /a, name: z }] }]",
        "volumeMounts: duplicate entries for key [mountPath=\"/a\"]",
    ),
    (
        "containers: [{ name: one, volumeDevices: [{ devicePath: /a, name: x }, { devicePath: /a, name: z }] }]",
        "volumeDevices: duplicate entries for key [devicePath=\"/a\"]",
    ),
    ("containers: [{ name: one, resources: { claims: [{ name: x }, { name: x }] } }]", "claims: duplicate entries for key [name=\"x\"]"),
    ("volumes: [{ name: v, emptyDir: {} }, { name: v, configMap: { name: c } }]", ".spec.volumes: duplicate entries for key [name=\"v\"]"),
    ("imagePullSecrets: [{ name: a }, { name: a }]", ".spec.imagePullSecrets: duplicate entries for key [name=\"a\"]"),
    (
        "hostAliases: [{ ip: 10.0.0.1, hostnames: [a] }, { ip: 10.0.0.1, hostnames: [b] }]",
        ".spec.hostAliases: duplicate entries for key [ip=\"10.0.0.1\"]",
    ),
    (
        "topologySpreadConstraints: [{ topologyKey: z, whenUnsatisfiable: ScheduleAnyway, maxSkew: 1 }, { topologyKey: z, whenUnsatisfiable: ScheduleAnyway, maxSkew: 2 }]",
        "duplicate entries for key [topologyKey=\"z\",whenUnsatisfiable=\"ScheduleAnyway\"]",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_is_there_twice_is_said_at_its_place_before() {
    tokio::task::spawn_blocking(cluster).await.unwrap();
    for (spec, said) in LISTS {
        let pod = format!("apiVersion: v1\nkind: Pod\nmetadata: {{ name: twice }}\nspec: {{ {spec} }}\n");
        let live = Live::new("twice", &[("k8s/pod.yaml".to_owned(), pod.clone())], "platform.kubernetes.manifests = \"k8s/*\"\n");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(pod.as_bytes()).unwrap();
        let path = file.path().display().to_string();
        // In a namespace that is there.
        let apply = ["apply", "--server-side", "--dry-run=server", "--validate=false", "--namespace=default", "--filename", &path];
        let refused = live.kubectl(&apply).await.unwrap_err();
        assert!(refused.contains(said), "{spec}: {refused}");
        let ours = live.plan(Policy::default()).await.unwrap_err().to_string();
        assert!(ours.contains("k8s/pod.yaml:4:") && ours.contains("duplicate element ["), "{spec}: {ours}");
    }
}
