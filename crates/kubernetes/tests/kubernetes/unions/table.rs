//! The unions: their members, and objects that have them.

use serde_json::{Map, Value, json};

/// A union: its members, and the object that has them at so many named places.
pub struct Union {
    name: &'static str,
    members: Vec<(&'static str, Value)>,
    object: fn(&str, &[(String, Value)]) -> Value,
}

impl Union {
    /// An object for each member, with a place for each other one. At each place there is the member before, or the one after.
    pub fn objects(&self, prefix: &str, after: bool) -> impl Iterator<Item = Value> {
        self.members.iter().flat_map(move |(from, before)| {
            let others = self.members.iter().filter(move |(to, _)| to != from);
            let places = others.map(|(to, member)| ((*to).to_owned(), if after { member.clone() } else { before.clone() }));
            let places: Vec<(String, Value)> = places.collect();
            let name = |place: &str| format!("{prefix}{}-{from}{place}", self.name);
            let first = (self.object)(&name(""), &places);
            // A union without room for many places gives `many`: there is one object for each place then.
            match first["many"].is_null() {
                true => vec![first],
                false => {
                    places.iter().map(|place| (self.object)(&name(&format!("-to-{}", place.0)), std::slice::from_ref(place))).collect()
                }
            }
        })
    }
}

fn with(base: Value, more: &Value) -> Value {
    let mut out = base;
    for (key, value) in more.as_object().into_iter().flatten() {
        out[key] = value.clone();
    }
    out
}

/// An object for one place alone.
fn one(places: &[(String, Value)], object: impl Fn(&Value) -> Value) -> Value {
    match places {
        [(_, member)] => object(member),
        _ => json!({ "many": true }),
    }
}

fn workload(kind: &str, name: &str, spec: &Value, pod: &Value) -> Value {
    let container = json!([{ "name": "web", "image": "registry.example/web:1" }]);
    let pod = with(json!({ "containers": container }), pod);
    let base = json!({
        "selector": { "matchLabels": { "app": name } },
        "template": { "metadata": { "labels": { "app": name } }, "spec": pod },
    });
    let base = if kind == "DaemonSet" { base } else { with(base, &json!({ "replicas": 0 })) };
    let base = if kind == "StatefulSet" { with(base, &json!({ "serviceName": "web" })) } else { base };
    json!({ "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name }, "spec": with(base, spec) })
}

fn pod(name: &str, pod: &Value) -> Value {
    workload("Deployment", name, &json!({}), pod)
}

fn containers(name: &str, places: &[(String, Value)], container: impl Fn(&Value) -> Value) -> Value {
    let one = |(place, member): &(String, Value)| with(json!({ "name": place, "image": "registry.example/web:1" }), &container(member));
    pod(name, &json!({ "containers": places.iter().map(one).collect::<Vec<_>>() }))
}

/// A field, unless its value is empty.
fn field(name: &str, value: &Value) -> Value {
    if value.as_object().is_some_and(Map::is_empty) { json!({}) } else { json!({ name: value }) }
}

fn handlers() -> Vec<(&'static str, Value)> {
    vec![
        ("none", json!({})),
        ("exec", json!({ "exec": { "command": ["true"] } })),
        ("http", json!({ "httpGet": { "port": 80 } })),
        ("http-written", json!({ "httpGet": { "port": 80, "path": "/", "scheme": "HTTP" } })),
        ("tcp", json!({ "tcpSocket": { "port": 80 } })),
    ]
}

fn volumes() -> Vec<(&'static str, Value)> {
    let claim = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    let items = json!([{ "path": "a", "fieldRef": { "fieldPath": "metadata.name" } }]);
    vec![
        ("none", json!({})),
        ("empty", json!({ "emptyDir": {} })),
        ("host", json!({ "hostPath": { "path": "/a" } })),
        ("gce", json!({ "gcePersistentDisk": { "pdName": "a" } })),
        ("aws", json!({ "awsElasticBlockStore": { "volumeID": "a" } })),
        ("git", json!({ "gitRepo": { "repository": "a" } })),
        ("secret", json!({ "secret": { "secretName": "a" } })),
        ("secret-written", json!({ "secret": { "secretName": "a", "defaultMode": 420 } })),
        ("nfs", json!({ "nfs": { "server": "a", "path": "/a" } })),
        ("iscsi", json!({ "iscsi": { "targetPortal": "192.0.2.1:3260", "iqn": "iqn.2001-04.com.example:a", "lun": 1 } })),
        ("glusterfs", json!({ "glusterfs": { "endpoints": "a", "path": "a" } })),
        ("claim", json!({ "persistentVolumeClaim": { "claimName": "a" } })),
        ("rbd", json!({ "rbd": { "monitors": ["a"], "image": "a" } })),
        ("flex", json!({ "flexVolume": { "driver": "a/a" } })),
        ("cinder", json!({ "cinder": { "volumeID": "a" } })),
        ("cephfs", json!({ "cephfs": { "monitors": ["a"] } })),
        ("flocker", json!({ "flocker": { "datasetName": "a" } })),
        ("downward", json!({ "downwardAPI": { "items": items } })),
        ("fc", json!({ "fc": { "targetWWNs": ["a"], "lun": 1 } })),
        ("azure-file", json!({ "azureFile": { "secretName": "a", "shareName": "a" } })),
        ("config", json!({ "configMap": { "name": "a" } })),
        ("vsphere", json!({ "vsphereVolume": { "volumePath": "a" } })),
        ("quobyte", json!({ "quobyte": { "registry": "a:1", "volume": "a" } })),
        ("azure-disk", json!({ "azureDisk": { "diskName": "a", "diskURI": "https://a.blob.core.windows.net/a/a.vhd" } })),
        ("photon", json!({ "photonPersistentDisk": { "pdID": "a" } })),
        ("projected", json!({ "projected": { "sources": [{ "configMap": { "name": "a" } }] } })),
        ("portworx", json!({ "portworxVolume": { "volumeID": "a" } })),
        ("scale", json!({ "scaleIO": { "gateway": "a", "system": "a", "secretRef": { "name": "a" }, "volumeName": "a" } })),
        ("storageos", json!({ "storageos": { "volumeName": "a" } })),
        ("csi", json!({ "csi": { "driver": "a" } })),
        ("ephemeral", json!({ "ephemeral": { "volumeClaimTemplate": { "spec": claim } } })),
    ]
}

fn variables() -> Vec<(&'static str, Value)> {
    let from = |source: &str, value: Value| json!({ "valueFrom": { source: value } });
    vec![
        ("none", json!({})),
        ("value", json!({ "value": "a" })),
        ("config", from("configMapKeyRef", json!({ "name": "a", "key": "a" }))),
        ("secret", from("secretKeyRef", json!({ "name": "a", "key": "a" }))),
        ("field", from("fieldRef", json!({ "fieldPath": "metadata.name" }))),
        ("resource", from("resourceFieldRef", json!({ "resource": "limits.cpu" }))),
    ]
}

fn strategies(other: &'static str, parameters: &Value) -> Vec<(&'static str, Value)> {
    vec![
        ("none", json!({})),
        ("rolling", json!({ "type": "RollingUpdate" })),
        ("written", json!({ "type": "RollingUpdate", "rollingUpdate": parameters })),
        ("parameters", json!({ "rollingUpdate": parameters })),
        ("other", json!({ "type": other })),
    ]
}

fn metrics() -> Vec<(&'static str, Value)> {
    let target = |of: &str| match of {
        "Utilization" => json!({ "type": of, "averageUtilization": 50 }),
        "AverageValue" => json!({ "type": of, "averageValue": "10" }),
        _ => json!({ "type": of, "value": "10" }),
    };
    let resource = |of: &str| json!({ "type": "Resource", "resource": { "name": "cpu", "target": target(of) } });
    let described = json!({ "apiVersion": "v1", "kind": "Service", "name": "a" });
    let object =
        |of: &str| json!({ "type": "Object", "object": { "metric": { "name": "a" }, "describedObject": described, "target": target(of) } });
    let external = |of: &str| json!({ "type": "External", "external": { "metric": { "name": "a" }, "target": target(of) } });
    vec![
        ("none", json!({})),
        ("resource", resource("Utilization")),
        ("resource-average", resource("AverageValue")),
        (
            "container",
            json!({ "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "a", "target": target("Utilization") } }),
        ),
        ("pods", json!({ "type": "Pods", "pods": { "metric": { "name": "a" }, "target": target("AverageValue") } })),
        ("object", object("Value")),
        ("object-average", object("AverageValue")),
        ("external", external("Value")),
        ("external-average", external("AverageValue")),
    ]
}

fn profiles() -> Vec<(&'static str, Value)> {
    vec![
        ("none", json!({})),
        ("runtime", json!({ "type": "RuntimeDefault" })),
        ("unconfined", json!({ "type": "Unconfined" })),
        ("localhost", json!({ "type": "Localhost", "localhostProfile": "a" })),
    ]
}

/// Unions of pods.
pub fn of_pods() -> Vec<Union> {
    vec![
        Union {
            name: "probe",
            members: [handlers(), vec![("grpc", json!({ "grpc": { "port": 80 } }))]].concat(),
            object: |name, places| {
                containers(name, places, |member| {
                    let probes = ["readinessProbe", "livenessProbe", "startupProbe"].map(|probe| field(probe, member));
                    probes.iter().fold(json!({}), with)
                })
            },
        },
        Union {
            name: "lifecycle",
            members: [handlers(), vec![("sleep", json!({ "sleep": { "seconds": 1 } }))]].concat(),
            object: |name, places| {
                containers(name, places, |member| field("lifecycle", &with(field("preStop", member), &field("postStart", member))))
            },
        },
        Union {
            name: "volume",
            members: volumes(),
            object: |name, places| {
                let volumes = places.iter().map(|(place, member)| with(json!({ "name": place }), member));
                pod(name, &json!({ "volumes": volumes.collect::<Vec<_>>() }))
            },
        },
        Union {
            name: "projection",
            members: vec![
                ("config", json!({ "configMap": { "name": "a" } })),
                ("secret", json!({ "secret": { "name": "a" } })),
                ("downward", json!({ "downwardAPI": { "items": [{ "path": "a", "fieldRef": { "fieldPath": "metadata.name" } }] } })),
                ("token", json!({ "serviceAccountToken": { "path": "a" } })),
            ],
            object: |name, places| {
                let volumes = places.iter().map(|(place, member)| json!({ "name": place, "projected": { "sources": [member] } }));
                pod(name, &json!({ "volumes": volumes.collect::<Vec<_>>() }))
            },
        },
        Union {
            name: "env",
            members: variables(),
            object: |name, places| {
                let env: Vec<Value> = places.iter().map(|(place, member)| with(json!({ "name": place }), member)).collect();
                containers(name, &[("web".to_owned(), json!({}))], |_| json!({ "env": env }))
            },
        },
        Union {
            name: "env-from",
            members: vec![("config", json!({ "configMapRef": { "name": "a" } })), ("secret", json!({ "secretRef": { "name": "a" } }))],
            object: |name, places| containers(name, places, |member| json!({ "envFrom": [member] })),
        },
        Union {
            name: "seccomp",
            members: profiles(),
            object: |name, places| containers(name, places, |member| field("securityContext", &field("seccompProfile", member))),
        },
        Union {
            name: "apparmor",
            members: profiles(),
            object: |name, places| containers(name, places, |member| field("securityContext", &field("appArmorProfile", member))),
        },
        Union {
            name: "account",
            members: vec![
                ("none", json!({})),
                ("a", json!({ "serviceAccountName": "a" })),
                ("b", json!({ "serviceAccountName": "b" })),
                ("old-c", json!({ "serviceAccount": "c" })),
                ("old-d", json!({ "serviceAccount": "d" })),
                ("both", json!({ "serviceAccountName": "e", "serviceAccount": "e" })),
            ],
            object: |name, places| one(places, |member| pod(name, member)),
        },
    ]
}

/// Unions of other objects of a namespace.
pub fn of_objects() -> Vec<Union> {
    vec![
        Union {
            name: "deployment",
            members: strategies("Recreate", &json!({ "maxSurge": "25%", "maxUnavailable": "25%" })),
            object: |name, places| one(places, |member| workload("Deployment", name, &field("strategy", member), &json!({}))),
        },
        Union {
            name: "daemon-set",
            members: strategies("OnDelete", &json!({ "maxSurge": 0, "maxUnavailable": 1 })),
            object: |name, places| {
                let nowhere = json!({ "nodeSelector": { "no.such/node": "a" } });
                one(places, |member| workload("DaemonSet", name, &field("updateStrategy", member), &nowhere))
            },
        },
        Union {
            name: "stateful-set",
            members: strategies("OnDelete", &json!({ "partition": 0 })),
            object: |name, places| one(places, |member| workload("StatefulSet", name, &field("updateStrategy", member), &json!({}))),
        },
        Union {
            name: "ingress-default",
            members: backends(),
            object: |name, places| {
                one(places, |member| {
                    let spec = json!({ "defaultBackend": member });
                    json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": name }, "spec": spec })
                })
            },
        },
        Union {
            name: "ingress-rule",
            members: backends(),
            object: |name, places| {
                let path =
                    |(place, member): &(String, Value)| json!({ "path": format!("/{place}"), "pathType": "Prefix", "backend": member });
                let paths: Vec<Value> = places.iter().map(path).collect();
                let spec = json!({ "rules": [{ "host": "a.example", "http": { "paths": paths } }] });
                json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": name }, "spec": spec })
            },
        },
        Union {
            name: "metric",
            members: metrics(),
            object: |name, places| {
                one(places, |member| {
                    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
                    let list = if *member == json!({}) { json!({}) } else { json!({ "metrics": [member] }) };
                    let spec = with(json!({ "maxReplicas": 3, "scaleTargetRef": target }), &list);
                    json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": name }, "spec": spec })
                })
            },
        },
        Union {
            name: "budget",
            members: vec![
                ("none", json!({})),
                ("available", json!({ "minAvailable": 1 })),
                ("unavailable", json!({ "maxUnavailable": "10%" })),
            ],
            object: |name, places| {
                one(places, |member| {
                    let spec = with(json!({ "selector": { "matchLabels": { "app": name } } }), member);
                    json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": name }, "spec": spec })
                })
            },
        },
        Union {
            name: "affinity",
            members: vec![
                ("none", json!({})),
                ("written-none", json!({ "sessionAffinity": "None" })),
                ("client", json!({ "sessionAffinity": "ClientIP" })),
                (
                    "client-written",
                    json!({ "sessionAffinity": "ClientIP", "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 10800 } } }),
                ),
            ],
            object: |name, places| one(places, |member| service(name, member)),
        },
        Union {
            name: "service",
            members: vec![
                ("none", json!({})),
                ("cluster", json!({ "type": "ClusterIP" })),
                ("node", json!({ "type": "NodePort" })),
                ("balancer", json!({ "type": "LoadBalancer" })),
                ("local", json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local" })),
                ("external", json!({ "type": "ExternalName", "externalName": "a.example" })),
            ],
            object: |name, places| one(places, |member| service(name, member)),
        },
    ]
}

fn service(name: &str, spec: &Value) -> Value {
    let spec = with(json!({ "ports": [{ "port": 80 }] }), spec);
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": spec })
}

fn backends() -> Vec<(&'static str, Value)> {
    vec![
        ("number", json!({ "service": { "name": "a", "port": { "number": 80 } } })),
        ("name", json!({ "service": { "name": "a", "port": { "name": "http" } } })),
        ("resource", json!({ "resource": { "apiGroup": "a.example", "kind": "A", "name": "a" } })),
    ]
}

fn clients() -> Vec<(&'static str, Value)> {
    vec![
        ("url", json!({ "url": "https://nobody.example/a" })),
        ("service", json!({ "service": { "namespace": "default", "name": "nobody" } })),
        ("service-written", json!({ "service": { "namespace": "default", "name": "nobody", "port": 443 } })),
    ]
}

/// Unions of objects that have no namespace.
pub fn of_the_cluster() -> Vec<Union> {
    let limits = vec![
        ("reject", json!({ "type": "Reject" })),
        ("queue", json!({ "type": "Queue", "queuing": { "queues": 32 } })),
        ("queue-written", json!({ "type": "Queue", "queuing": { "queues": 64, "handSize": 8, "queueLengthLimit": 50 } })),
    ];
    vec![
        Union {
            name: "limit",
            members: limits,
            object: |name, places| {
                one(places, |member| {
                    let spec = json!({ "type": "Limited", "limited": { "nominalConcurrencyShares": 1, "limitResponse": member } });
                    json!({
                        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
                        "metadata": { "name": name }, "spec": spec,
                    })
                })
            },
        },
        Union {
            name: "subject",
            members: vec![
                ("user", json!({ "kind": "User", "user": { "name": "nobody" } })),
                ("group", json!({ "kind": "Group", "group": { "name": "nobody" } })),
                ("account", json!({ "kind": "ServiceAccount", "serviceAccount": { "name": "nobody", "namespace": "nowhere" } })),
            ],
            object: |name, places| {
                one(places, |member| {
                    let paths = json!([{ "verbs": ["get"], "nonResourceURLs": ["/nowhere"] }]);
                    let rules = json!([{ "subjects": [member], "nonResourceRules": paths }]);
                    json!({
                        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": { "name": name },
                        "spec": { "priorityLevelConfiguration": { "name": "catch-all" }, "rules": rules },
                    })
                })
            },
        },
        Union {
            name: "hook",
            members: clients(),
            object: |name, places| {
                let hook = |(place, member): &(String, Value)| {
                    let rules = json!([{ "apiGroups": ["unions.example"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothing"] }]);
                    json!({
                        "name": format!("{place}.unions.example"), "clientConfig": member, "rules": rules, "failurePolicy": "Ignore",
                        "sideEffects": "None", "admissionReviewVersions": ["v1"],
                    })
                };
                let hooks: Vec<Value> = places.iter().map(hook).collect();
                json!({
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
                    "metadata": { "name": name }, "webhooks": hooks,
                })
            },
        },
        Union {
            name: "conversion",
            members: {
                let webhook = |client: &Value| json!({ "strategy": "Webhook", "webhook": { "conversionReviewVersions": ["v1"], "clientConfig": client } });
                let clients = clients();
                vec![
                    ("none", json!({})),
                    ("written-none", json!({ "strategy": "None" })),
                    ("url", webhook(&clients[0].1)),
                    ("service", webhook(&clients[1].1)),
                ]
            },
            object: |name, places| {
                one(places, |member| {
                    let schema = json!({ "openAPIV3Schema": { "type": "object" } });
                    let version = json!({ "name": "v1", "served": true, "storage": true, "schema": schema });
                    let spec = json!({
                        "group": "unions.example", "names": { "kind": "U".to_owned() + &name.replace('-', ""), "plural": name },
                        "scope": "Namespaced", "versions": [version],
                    });
                    json!({
                        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                        "metadata": { "name": format!("{name}.unions.example") }, "spec": with(spec, &field("conversion", member)),
                    })
                })
            },
        },
    ]
}

/// The sources of a PersistentVolume.
pub fn persistent_volumes(prefix: &str, shift: usize) -> Vec<Value> {
    let own =
        |name: &str| ["secret", "config", "claim", "none", "empty", "git", "downward", "projected", "csi", "ephemeral"].contains(&name);
    let mut sources: Vec<Value> =
        volumes().into_iter().filter(|(name, _)| !own(name) && !name.ends_with("-written")).map(|(_, source)| source).collect();
    sources.push(json!({ "csi": { "driver": "a", "volumeHandle": "a" } }));
    sources.push(json!({ "local": { "path": "/a" } }));
    for source in &mut sources {
        if let Some(scale) = source.get_mut("scaleIO") {
            scale["secretRef"]["namespace"] = json!("default");
        }
    }
    let term = json!({ "matchExpressions": [{ "key": "a", "operator": "Exists" }] });
    let one = |place: usize| {
        let spec = json!({
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            // No claim of another test gets it.
            "storageClassName": "unions-volumes",
            "nodeAffinity": { "required": { "nodeSelectorTerms": [term] } },
        });
        let spec = with(spec, &sources[(place + shift) % sources.len()]);
        json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": format!("{prefix}pv-{place}") }, "spec": spec })
    };
    (0..sources.len()).map(one).collect()
}
