//! Objects before and after a change, made of numbers: what they mean is in one row of numbers, how that is spelled in another.

use base64::Engine as _;
use serde_json::{Value, json};

/// An object before and after.
#[derive(Clone)]
pub struct Pair {
    pub kind: &'static str,
    /// No other pair has it.
    pub name: String,
    /// Where its group and version are served.
    pub root: &'static str,
    pub plural: &'static str,
    pub before: Value,
    pub after: Value,
}

type Body = fn(&mut Maker) -> Value;

const KINDS: [(&str, &str, &str, &str, Body); 17] = [
    ("Deployment", "apps/v1", "/apis/apps/v1", "deployments", deployment),
    ("StatefulSet", "apps/v1", "/apis/apps/v1", "statefulsets", stateful_set),
    ("Service", "v1", "/api/v1", "services", service),
    ("ConfigMap", "v1", "/api/v1", "configmaps", config_map),
    ("Secret", "v1", "/api/v1", "secrets", secret),
    ("Ingress", "networking.k8s.io/v1", "/apis/networking.k8s.io/v1", "ingresses", ingress),
    ("NetworkPolicy", "networking.k8s.io/v1", "/apis/networking.k8s.io/v1", "networkpolicies", network_policy),
    ("HorizontalPodAutoscaler", "autoscaling/v2", "/apis/autoscaling/v2", "horizontalpodautoscalers", autoscaler),
    ("Role", "rbac.authorization.k8s.io/v1", "/apis/rbac.authorization.k8s.io/v1", "roles", role),
    ("CronJob", "batch/v1", "/apis/batch/v1", "cronjobs", cron_job),
    ("PersistentVolumeClaim", "v1", "/api/v1", "persistentvolumeclaims", volume_claim),
    ("Job", "batch/v1", "/apis/batch/v1", "jobs", job),
    ("DaemonSet", "apps/v1", "/apis/apps/v1", "daemonsets", daemon_set),
    ("RoleBinding", "rbac.authorization.k8s.io/v1", "/apis/rbac.authorization.k8s.io/v1", "rolebindings", role_binding),
    ("LimitRange", "v1", "/api/v1", "limitranges", limit_range),
    ("Gadget", "differential.example/v1", "/apis/differential.example/v1", "gadgets", gadget),
    ("Deployment", "apps/v1", "/apis/apps/v1", "deployments", deployment),
];

/// The pair of a number: its kind goes round, and every other one means the same before and after.
pub fn pair(seed: u64, index: usize) -> Pair {
    let (kind, version, root, plural, body) = KINDS[index % KINDS.len()];
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (index as u64).wrapping_mul(0xd1b5_4a32_d192_ed03) ^ 1);
    let mut genes: Vec<u64> = (0..96).map(|_| random.next()).collect();
    let name = format!("{}-{index}", kind.to_lowercase());
    let mut make = |genes: &[u64], used: &mut usize| {
        let mut maker = Maker { genes: genes.to_vec(), at: 0, spelling: Random(random.next()), name: name.clone() };
        let mut object = body(&mut maker);
        *used = maker.at;
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"] = maker.metadata(&name);
        *used = maker.at.max(*used);
        object
    };
    let mut used = 0;
    let before = make(&genes, &mut used);
    if index / KINDS.len() % 2 == 1 {
        let mut pick = Random(seed ^ index as u64 ^ 0x5555);
        for _ in 0..=pick.below(2) {
            let gene = pick.below(used);
            genes[gene] = pick.next();
        }
    }
    let after = make(&genes, &mut used);
    Pair { kind, name, root, plural, before, after }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

struct Maker {
    genes: Vec<u64>,
    at: usize,
    spelling: Random,
    name: String,
}

impl Maker {
    /// One of some meanings.
    fn meaning(&mut self, limit: usize) -> usize {
        self.at += 1;
        (self.genes[self.at - 1] % limit as u64) as usize
    }

    fn one_of(&mut self, values: Value) -> Value {
        let at = self.meaning(values.as_array().unwrap().len());
        values[at].clone()
    }

    fn spelled(&mut self, values: Value) -> Value {
        let at = self.spelling.below(values.as_array().unwrap().len());
        values[at].clone()
    }

    fn flip(&mut self) -> bool {
        self.spelling.below(2) == 0
    }

    /// What the server fills in, as it does, or left out.
    fn default(&mut self, map: &mut Value, key: &str, value: Value) {
        match self.spelling.below(3) {
            0 => map[key] = value,
            1 => map[key] = Value::Null,
            _ => {}
        }
    }

    /// What the server fills in, where null would mean to it that there is none.
    fn default_or_left_out(&mut self, map: &mut Value, key: &str, value: Value) {
        if self.flip() {
            map[key] = value;
        }
    }

    /// A default or something else.
    fn maybe(&mut self, map: &mut Value, key: &str, default: Value, other: Value) {
        if self.meaning(4) == 0 { map[key] = other } else { self.default(map, key, default) }
    }

    /// Nothing, spelled in some way.
    fn nothing(&mut self, map: &mut Value, key: &str, empty: Value) {
        self.default(map, key, empty);
    }

    fn shuffle(&mut self, list: &mut [Value]) {
        for at in (1..list.len()).rev() {
            let other = self.spelling.below(at + 1);
            list.swap(at, other);
        }
    }

    fn cpu(&mut self) -> Value {
        let values = [json!(["1", "1000m", 1, "1.0", "1e0"]), json!(["500m", "0.5", 0.5, "500000u", ".5"]), json!(["2", 2, "2000m"])];
        let at = self.meaning(3);
        self.spelled(values[at].clone())
    }

    fn memory(&mut self) -> Value {
        let values = [
            json!(["1G", "1000M", "1e9", "1000000000"]),
            json!(["1Gi", "1024Mi", "1048576Ki", 1073741824]),
            json!(["1500M", "1.5G"]),
            json!(["1e3", "1k", 1000]),
        ];
        let at = self.meaning(4);
        self.spelled(values[at].clone())
    }

    fn metadata(&mut self, name: &str) -> Value {
        let mut out = json!({ "name": name });
        match self.meaning(3) {
            0 => self.nothing(&mut out, "labels", json!({})),
            1 => out["labels"] = json!({ "app": "a", "empty": "" }),
            _ => out["labels"] = json!({ "app": "b" }),
        }
        match self.meaning(3) {
            0 => self.nothing(&mut out, "annotations", json!({})),
            _ => out["annotations"] = json!({ "note/x": "1000m", "note/y": "" }),
        }
        if self.flip() {
            out["creationTimestamp"] = Value::Null;
        }
        out
    }

    fn labels(&self) -> Value {
        json!({ "name": self.name })
    }
}

fn container(m: &mut Maker, name: &str) -> Value {
    let mut out = json!({ "name": name });
    let images = json!(["nginx:1", "registry.example/web:2", "registry.example:5000/web", "registry.example/web:latest"]);
    out["image"] = m.one_of(images);
    let [usual, unusual] = match out["image"].as_str() {
        Some("nginx:1" | "registry.example/web:2") => ["IfNotPresent", "Always"],
        _ => ["Always", "IfNotPresent"],
    };
    m.maybe(&mut out, "imagePullPolicy", json!(usual), json!(unusual));
    m.default(&mut out, "terminationMessagePath", json!("/dev/termination-log"));
    m.default(&mut out, "terminationMessagePolicy", json!("File"));
    match m.meaning(3) {
        0 => m.nothing(&mut out, "env", json!([])),
        n => {
            let mut env = vec![json!({ "name": "B", "value": "1000m" }), json!({ "name": "A", "value": "x" })];
            let mut of = json!({ "fieldPath": "metadata.name" });
            m.default(&mut of, "apiVersion", json!("v1"));
            env.push(json!({ "name": "POD", "valueFrom": { "fieldRef": of } }));
            let mut empty = json!({ "name": "EMPTY" });
            m.default(&mut empty, "value", json!(""));
            env.push(empty);
            if n == 2 {
                env.swap(0, 1);
            }
            if m.meaning(3) == 0 {
                env.pop();
            }
            out["env"] = json!(env);
        }
    }
    match m.meaning(3) {
        0 => m.nothing(&mut out, "ports", json!([])),
        _ => {
            let mut ports = Vec::new();
            for (number, name) in [(8080, "http"), (9090, "metrics")] {
                let mut port = json!({ "containerPort": number, "name": name });
                m.default(&mut port, "protocol", json!("TCP"));
                ports.push(port);
            }
            if m.meaning(3) == 0 {
                ports.push(json!({ "containerPort": 8080, "protocol": "UDP" }));
            }
            m.shuffle(&mut ports);
            out["ports"] = json!(ports);
        }
    }
    match m.meaning(4) {
        0 => m.nothing(&mut out, "resources", json!({})),
        1 => {
            out["resources"] = json!({});
            m.nothing(&mut out["resources"], "limits", json!({}));
            m.nothing(&mut out["resources"], "requests", json!({}));
        }
        _ => {
            let (cpu, memory) = (m.cpu(), m.memory());
            out["resources"] = json!({ "requests": { "cpu": cpu, "memory": memory } });
            m.nothing(&mut out["resources"], "limits", json!({}));
        }
    }
    match m.meaning(3) {
        0 => {
            let mut get = json!({});
            m.maybe(&mut get, "path", json!("/"), json!("/health"));
            get["port"] = m.one_of(json!([8080, "http"]));
            m.default(&mut get, "scheme", json!("HTTP"));
            let mut probe = json!({ "httpGet": get });
            m.maybe(&mut probe, "periodSeconds", json!(10), json!(5));
            m.default(&mut probe, "timeoutSeconds", json!(1));
            m.default(&mut probe, "failureThreshold", json!(3));
            m.default(&mut probe, "initialDelaySeconds", json!(0));
            out["readinessProbe"] = probe;
        }
        _ => m.default(&mut out, "readinessProbe", Value::Null),
    }
    m.nothing(&mut out, "securityContext", json!({}));
    m.nothing(&mut out, "command", json!([]));
    m.nothing(&mut out, "stdin", json!(false));
    m.nothing(&mut out, "workingDir", json!(""));
    if m.meaning(2) == 0 {
        out["args"] = m.one_of(json!([["a", ""], ["a", "b"], ["b", "a"]]));
    }
    out
}

fn pod(m: &mut Maker, restart: &str) -> Value {
    let mut containers = vec![container(m, "web")];
    if m.meaning(3) == 0 {
        containers.push(json!({ "name": "beside", "image": "nginx:1" }));
    }
    let mut spec = json!({});
    match m.meaning(3) {
        0 => m.nothing(&mut spec, "volumes", json!([])),
        _ => {
            let mut mounts = vec![json!({ "name": "b", "mountPath": "/b" }), json!({ "name": "a", "mountPath": "/a" })];
            m.default(&mut mounts[0], "readOnly", json!(false));
            m.shuffle(&mut mounts);
            containers[0]["volumeMounts"] = json!(mounts);
            let mut of = json!({ "name": "settings" });
            m.maybe(&mut of, "defaultMode", json!(420), json!(256));
            let mut empty = json!({});
            match m.meaning(2) {
                0 => m.nothing(&mut empty, "medium", json!("")),
                _ => empty["sizeLimit"] = m.memory(),
            }
            let mut volumes = vec![json!({ "name": "b", "emptyDir": empty }), json!({ "name": "a", "configMap": of })];
            m.shuffle(&mut volumes);
            spec["volumes"] = json!(volumes);
        }
    }
    spec["containers"] = json!(containers);
    m.default(&mut spec, "restartPolicy", json!(restart));
    if restart == "Never" {
        spec["restartPolicy"] = json!("Never");
    }
    m.default(&mut spec, "dnsPolicy", json!("ClusterFirst"));
    m.default(&mut spec, "schedulerName", json!("default-scheduler"));
    m.maybe(&mut spec, "terminationGracePeriodSeconds", json!(30), json!(5));
    m.nothing(&mut spec, "securityContext", json!({}));
    m.nothing(&mut spec, "hostNetwork", json!(false));
    m.nothing(&mut spec, "imagePullSecrets", json!([]));
    match m.meaning(3) {
        0 => spec["nodeSelector"] = json!({ "disk": "" }),
        _ => m.nothing(&mut spec, "nodeSelector", json!({})),
    }
    match m.meaning(3) {
        0 => spec["tolerations"] = json!([{ "key": "gpu", "operator": "Exists" }]),
        _ => m.nothing(&mut spec, "tolerations", json!([])),
    }
    match m.meaning(4) {
        0 => spec["affinity"] = json!({ "nodeAffinity": {} }),
        _ => m.nothing(&mut spec, "affinity", Value::Null),
    }
    spec
}

fn template(m: &mut Maker, restart: &str) -> Value {
    let mut metadata = json!({ "labels": m.labels() });
    if m.flip() {
        metadata["creationTimestamp"] = Value::Null;
    }
    m.nothing(&mut metadata, "annotations", json!({}));
    json!({ "metadata": metadata, "spec": pod(m, restart) })
}

fn deployment(m: &mut Maker) -> Value {
    let template = template(m, "Always");
    let mut spec = json!({ "selector": { "matchLabels": m.labels() }, "template": template });
    m.maybe(&mut spec, "replicas", json!(1), json!(2));
    m.maybe(&mut spec, "revisionHistoryLimit", json!(10), json!(0));
    m.default(&mut spec, "progressDeadlineSeconds", json!(600));
    m.nothing(&mut spec, "paused", json!(false));
    m.nothing(&mut spec, "minReadySeconds", json!(0));
    match m.meaning(4) {
        0 => spec["strategy"] = json!({ "type": "Recreate" }),
        1 => spec["strategy"] = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": m.one_of(json!([1, "50%"])) } }),
        _ => m.nothing(&mut spec, "strategy", json!({})),
    }
    let mut out = json!({ "spec": spec });
    m.nothing(&mut out, "status", json!({}));
    out
}

fn stateful_set(m: &mut Maker) -> Value {
    let template = template(m, "Always");
    let mut spec =
        json!({ "selector": { "matchLabels": m.labels() }, "template": template, "serviceName": m.one_of(json!(["web", "web", "other"])) });
    m.maybe(&mut spec, "replicas", json!(1), json!(3));
    m.default(&mut spec, "podManagementPolicy", json!("OrderedReady"));
    match m.meaning(4) {
        0 => spec["updateStrategy"] = json!({ "type": "OnDelete" }),
        1 => {
            spec["updateStrategy"] = json!({ "type": "RollingUpdate", "rollingUpdate": {} });
            match m.meaning(4) {
                0 => spec["updateStrategy"]["rollingUpdate"]["partition"] = json!(1),
                _ => m.default_or_left_out(&mut spec["updateStrategy"]["rollingUpdate"], "partition", json!(0)),
            }
        }
        2 => spec["updateStrategy"] = json!({ "type": "RollingUpdate" }),
        _ => {
            let spelled = json!([{}, { "rollingUpdate": { "partition": 0 } }]);
            let strategy = m.spelled(spelled);
            m.default_or_left_out(&mut spec, "updateStrategy", strategy);
        }
    }
    match m.meaning(3) {
        0 => {
            spec["persistentVolumeClaimRetentionPolicy"] = json!({});
            m.maybe(&mut spec["persistentVolumeClaimRetentionPolicy"], "whenDeleted", json!("Retain"), json!("Delete"));
            m.default(&mut spec["persistentVolumeClaimRetentionPolicy"], "whenScaled", json!("Retain"));
        }
        _ => m.nothing(&mut spec, "persistentVolumeClaimRetentionPolicy", json!({})),
    }
    if m.meaning(2) == 0 {
        let storage = m.memory();
        let mut claim = json!({ "metadata": { "name": "data" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": storage } } } });
        m.default(&mut claim["spec"], "volumeMode", json!("Filesystem"));
        if m.flip() {
            claim["metadata"]["creationTimestamp"] = Value::Null;
        }
        if m.flip() {
            claim["apiVersion"] = json!("v1");
            claim["kind"] = json!("PersistentVolumeClaim");
        }
        spec["volumeClaimTemplates"] = json!([claim]);
    } else {
        m.nothing(&mut spec, "volumeClaimTemplates", json!([]));
    }
    json!({ "spec": spec })
}

fn service(m: &mut Maker) -> Value {
    let mut ports = Vec::new();
    for (number, name) in [(80, "http"), (443, "https")] {
        let mut port = json!({ "port": number, "name": name });
        m.default(&mut port, "protocol", json!("TCP"));
        match m.meaning(3) {
            0 => port["targetPort"] = m.one_of(json!(["http", 8080])),
            _ => m.default(&mut port, "targetPort", json!(number)),
        }
        ports.push(port);
    }
    if m.meaning(3) == 0 {
        ports.push(json!({ "port": 80, "protocol": "UDP", "name": "quic" }));
    }
    m.shuffle(&mut ports);
    let mut spec = json!({ "ports": ports });
    match m.meaning(3) {
        0 => m.nothing(&mut spec, "selector", json!({})),
        _ => spec["selector"] = m.labels(),
    }
    match m.meaning(5) {
        0 => {
            spec["type"] = json!("LoadBalancer");
            spec["allocateLoadBalancerNodePorts"] = json!(false);
            m.maybe(&mut spec, "externalTrafficPolicy", json!("Cluster"), json!("Local"));
        }
        _ => m.default(&mut spec, "type", json!("ClusterIP")),
    }
    match m.meaning(3) {
        0 => {
            spec["sessionAffinity"] = json!("ClientIP");
            let long = m.meaning(2) == 0;
            let mut of = json!({});
            if long {
                of["timeoutSeconds"] = json!(60);
            } else {
                m.default(&mut of, "timeoutSeconds", json!(10800));
            }
            if long || of["timeoutSeconds"].is_number() {
                spec["sessionAffinityConfig"] = json!({ "clientIP": of });
            }
        }
        _ => m.default(&mut spec, "sessionAffinity", json!("None")),
    }
    m.maybe(&mut spec, "publishNotReadyAddresses", json!(false), json!(true));
    m.maybe(&mut spec, "internalTrafficPolicy", json!("Cluster"), json!("Local"));
    m.nothing(&mut spec, "externalIPs", json!([]));
    json!({ "spec": spec })
}

fn config_map(m: &mut Maker) -> Value {
    let mut out = json!({});
    match m.meaning(4) {
        0 => m.nothing(&mut out, "data", json!({})),
        1 => out["data"] = json!({ "a": "", "b": "1000m" }),
        _ => out["data"] = json!({ "a": m.one_of(json!(["x", "y\n", " x"])), "b": "1000m" }),
    }
    match m.meaning(3) {
        0 => out["binaryData"] = json!({ "raw": m.one_of(json!(["/wA=", "/wE="])) }),
        _ => m.nothing(&mut out, "binaryData", json!({})),
    }
    m.maybe(&mut out, "immutable", Value::Null, json!(false));
    out
}

fn secret(m: &mut Maker) -> Value {
    let mut out = json!({});
    for (key, values) in [("a", json!(["x", "longer text"])), ("b", json!(["1000m", ""])), ("c", json!(["y", "z"]))] {
        if m.meaning(3) == 0 {
            continue;
        }
        let text = m.one_of(values);
        if m.flip() {
            out["stringData"][key] = text;
        } else {
            out["data"][key] = json!(encoded(&text));
        }
    }
    m.default(&mut out, "type", json!("Opaque"));
    out
}

fn encoded(text: &Value) -> String {
    base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap())
}

fn ingress(m: &mut Maker) -> Value {
    let backend = json!({ "service": { "name": "web", "port": m.one_of(json!([{ "number": 80 }, { "name": "http" }])) } });
    let mut rule = json!({ "http": { "paths": [{ "path": m.one_of(json!(["/", "/x"])), "pathType": m.one_of(json!(["Prefix", "Exact"])), "backend": backend }] } });
    match m.meaning(2) {
        0 => rule["host"] = m.one_of(json!(["a.example", "b.example"])),
        _ => m.nothing(&mut rule, "host", json!("")),
    }
    let mut spec = json!({ "rules": [rule] });
    match m.meaning(3) {
        0 => spec["tls"] = json!([{ "hosts": ["a.example"], "secretName": "tls" }]),
        _ => m.nothing(&mut spec, "tls", json!([])),
    }
    m.maybe(&mut spec, "ingressClassName", Value::Null, json!("nginx"));
    json!({ "spec": spec })
}

fn network_policy(m: &mut Maker) -> Value {
    let mut port = json!({ "port": m.one_of(json!([80, "http"])) });
    m.maybe(&mut port, "protocol", json!("TCP"), json!("UDP"));
    let selector = if m.meaning(2) == 0 { m.labels() } else { Value::Null };
    let pods = match selector {
        Value::Null => m.spelled(json!([{}, { "matchLabels": {} }])),
        labels => json!({ "matchLabels": labels }),
    };
    let from = m.one_of(json!([[{ "podSelector": {} }], [{ "namespaceSelector": {} }], [{ "ipBlock": { "cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"] } }]]));
    let mut spec = json!({ "podSelector": pods });
    match m.meaning(4) {
        0 => m.nothing(&mut spec, "ingress", json!([])),
        1 => spec["ingress"] = json!([{}]),
        _ => spec["ingress"] = json!([{ "from": from, "ports": [port] }]),
    }
    let egress = match m.meaning(3) {
        0 => {
            spec["egress"] = json!([{ "to": [{ "podSelector": {} }] }]);
            true
        }
        _ => false,
    };
    match m.meaning(4) {
        0 => spec["policyTypes"] = json!([if egress { "Egress" } else { "Ingress" }]),
        _ => m.default(&mut spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) }),
    }
    json!({ "spec": spec })
}

fn autoscaler(m: &mut Maker) -> Value {
    let mut metrics =
        vec![json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 60 } } })];
    if m.meaning(2) == 0 {
        metrics.push(json!({ "type": "Resource", "resource": { "name": "memory", "target": { "type": "AverageValue", "averageValue": m.memory() } } }));
    }
    if m.meaning(3) == 0 {
        metrics.push(json!({ "type": "Object", "object": { "metric": { "name": "hits" }, "target": { "type": "Value", "value": m.cpu() },
            "describedObject": { "apiVersion": "v1", "kind": "Service", "name": "web" } } }));
    }
    let mut spec = json!({ "maxReplicas": m.one_of(json!([5, 9])),
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody" } });
    let usual =
        json!([{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } }]);
    m.maybe(&mut spec, "metrics", usual, json!(metrics));
    m.maybe(&mut spec, "minReplicas", json!(1), json!(2));
    match m.meaning(3) {
        0 => {
            let mut down = json!({ "stabilizationWindowSeconds": m.one_of(json!([0, 60])) });
            m.maybe(&mut down, "selectPolicy", json!("Max"), json!("Min"));
            let percent = |value: usize| json!([{ "type": "Percent", "value": value, "periodSeconds": 15 }]);
            m.maybe(&mut down, "policies", percent(100), percent(50));
            spec["behavior"] = json!({ "scaleDown": down });
            let mut up = json!({});
            m.default(&mut up, "stabilizationWindowSeconds", json!(0));
            let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
            m.default(&mut up, "policies", json!([pods, percent(100)[0]]));
            m.nothing(&mut spec["behavior"], "scaleUp", up);
        }
        _ => m.nothing(&mut spec, "behavior", Value::Null),
    }
    json!({ "spec": spec })
}

fn role(m: &mut Maker) -> Value {
    let mut rule = json!({ "apiGroups": m.one_of(json!([[""], ["apps"], ["", "apps"]])), "resources": ["pods"], "verbs": m.one_of(json!([["get"], ["get", "list"], ["list", "get"]])) });
    m.nothing(&mut rule, "resourceNames", json!([]));
    let mut out = json!({});
    match m.meaning(4) {
        0 => m.nothing(&mut out, "rules", json!([])),
        _ => out["rules"] = json!([rule]),
    }
    out
}

fn cron_job(m: &mut Maker) -> Value {
    let template = template(m, "Never");
    let mut job = json!({ "template": template });
    m.maybe(&mut job, "backoffLimit", Value::Null, json!(3));
    let mut spec = json!({ "schedule": m.one_of(json!(["0 0 1 1 *", "0 0 2 1 *"])), "jobTemplate": { "spec": job } });
    if m.flip() {
        spec["jobTemplate"]["metadata"] = m.spelled(json!([{}, { "creationTimestamp": null }]));
    }
    m.maybe(&mut spec, "concurrencyPolicy", json!("Allow"), json!("Forbid"));
    m.maybe(&mut spec, "suspend", json!(false), json!(true));
    m.default(&mut spec, "successfulJobsHistoryLimit", json!(3));
    m.default(&mut spec, "failedJobsHistoryLimit", json!(1));
    json!({ "spec": spec })
}

/// It makes no pods: most of it cannot be changed, and is made anew.
fn job(m: &mut Maker) -> Value {
    let image = m.one_of(json!(["nginx:1", "nginx:1", "nginx:1", "nginx:2"]));
    let mut pod = json!({ "restartPolicy": "Never", "containers": [{ "name": "one", "image": image }] });
    m.default(&mut pod, "dnsPolicy", json!("ClusterFirst"));
    let mut spec = json!({ "suspend": true, "template": { "spec": pod } });
    match m.meaning(3) {
        0 => spec["parallelism"] = m.one_of(json!([1, 2])),
        1 => {
            spec["completions"] = m.one_of(json!([1, 2]));
            m.default_or_left_out(&mut spec, "parallelism", json!(1));
        }
        _ => {
            m.default_or_left_out(&mut spec, "completions", json!(1));
            if spec["completions"].is_number() {
                m.default_or_left_out(&mut spec, "parallelism", json!(1));
            }
        }
    }
    m.maybe(&mut spec, "backoffLimit", json!(6), json!(3));
    m.default(&mut spec, "completionMode", json!("NonIndexed"));
    m.default(&mut spec, "manualSelector", json!(false));
    match m.meaning(3) {
        0 => {
            let mut pattern = json!({ "type": "Ready" });
            m.default(&mut pattern, "status", json!("True"));
            spec["podFailurePolicy"] = json!({ "rules": [{ "action": "Ignore", "onPodConditions": [pattern] }] });
            m.default(&mut spec, "podReplacementPolicy", json!("Failed"));
        }
        _ => m.maybe(&mut spec, "podReplacementPolicy", json!("TerminatingOrFailed"), json!("Failed")),
    }
    json!({ "spec": spec })
}

fn daemon_set(m: &mut Maker) -> Value {
    let template = template(m, "Always");
    let mut spec = json!({ "selector": { "matchLabels": m.labels() }, "template": template });
    m.maybe(&mut spec, "revisionHistoryLimit", json!(10), json!(3));
    match m.meaning(3) {
        0 => spec["updateStrategy"] = json!({ "type": "OnDelete" }),
        1 => {
            spec["updateStrategy"] = json!({ "type": "RollingUpdate", "rollingUpdate": {} });
            m.maybe(&mut spec["updateStrategy"]["rollingUpdate"], "maxUnavailable", json!(1), json!("50%"));
            m.default(&mut spec["updateStrategy"]["rollingUpdate"], "maxSurge", json!(0));
        }
        _ => m.nothing(&mut spec, "updateStrategy", json!({})),
    }
    json!({ "spec": spec })
}

fn role_binding(m: &mut Maker) -> Value {
    let mut role = json!({ "kind": m.one_of(json!(["Role", "Role", "ClusterRole"])), "name": "some" });
    m.default(&mut role, "apiGroup", json!("rbac.authorization.k8s.io"));
    let mut subjects = vec![];
    for kind in ["User", "Group"] {
        let mut subject = json!({ "kind": kind, "name": m.one_of(json!(["a", "b"])) });
        m.default(&mut subject, "apiGroup", json!("rbac.authorization.k8s.io"));
        subjects.push(subject);
    }
    let mut account = json!({ "kind": "ServiceAccount", "name": m.one_of(json!(["a", "b"])), "namespace": "default" });
    m.default(&mut account, "apiGroup", json!(""));
    subjects.push(account);
    if m.meaning(3) == 0 {
        subjects.pop();
    }
    json!({ "roleRef": role, "subjects": subjects })
}

fn limit_range(m: &mut Maker) -> Value {
    let max = m.memory();
    let mut limit = json!({ "type": "Container", "max": { "memory": max.clone() } });
    match m.meaning(3) {
        0 => limit["default"] = json!({ "memory": "1k" }),
        1 => {
            m.default(&mut limit, "default", json!({ "memory": max }));
            limit["min"] = json!({ "memory": m.one_of(json!(["1", "1k"])) });
        }
        _ => {
            m.default(&mut limit, "default", json!({ "memory": max.clone() }));
            m.default(&mut limit, "defaultRequest", json!({ "memory": max }));
        }
    }
    let mut limits = vec![limit];
    if m.meaning(3) == 0 {
        limits.push(json!({ "type": "Pod", "max": { "memory": "1Ti" } }));
    }
    json!({ "spec": { "limits": limits } })
}

fn volume_claim(m: &mut Maker) -> Value {
    let storage = m.memory();
    let mut spec = json!({ "accessModes": m.one_of(json!([["ReadWriteOnce"], ["ReadWriteOnce"], ["ReadWriteMany"]])), "resources": { "requests": { "storage": storage } } });
    m.default(&mut spec, "volumeMode", json!("Filesystem"));
    spec["storageClassName"] = m.one_of(json!(["", "", "slow"]));
    json!({ "spec": spec })
}

fn gadget(m: &mut Maker) -> Value {
    let mut spec = json!({ "size": m.one_of(json!(["1000m", "1"])) });
    m.maybe(&mut spec, "mode", json!("fast"), json!("slow"));
    match m.meaning(4) {
        0 => spec["options"] = json!({}),
        1 => spec["options"] = json!({ "a": "" }),
        _ => {}
    }
    match m.meaning(4) {
        0 => spec["parts"] = json!([]),
        1 => spec["parts"] = json!([{ "name": "a", "count": 1 }, { "name": "b", "limits": { "cpu": m.one_of(json!(["1", "1000m"])) } }]),
        2 => spec["parts"] = json!([{ "name": "b" }, { "name": "a", "count": 2 }]),
        _ => {}
    }
    match m.meaning(3) {
        0 => spec["steps"] = json!([{ "run": "a" }, { "run": "", "times": 0 }]),
        1 => spec["steps"] = json!([{ "run": "b" }, { "run": "a" }]),
        _ => {}
    }
    match m.meaning(3) {
        0 => spec["tags"] = json!(["b", "a"]),
        1 => spec["tags"] = json!(["a"]),
        _ => {}
    }
    json!({ "spec": spec })
}

/// An object as a server takes it that keeps no stale entries of a Secret: `data` alone.
pub fn plain(object: &Value) -> Value {
    let mut out = object.clone();
    with_protocols(&mut out);
    if let Some(Value::Object(texts)) = out.as_object_mut().and_then(|map| map.remove("stringData")) {
        for (key, text) in &texts {
            out["data"][key] = json!(encoded(text));
        }
    }
    out
}

/// A server does not find the element of a list again whose key is null.
fn with_protocols(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if key == "protocol" && value.is_null() {
                    *value = json!("TCP");
                }
                with_protocols(value);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(with_protocols),
        _ => {}
    }
}

/// A stored object, without what moves by itself, and in one spelling.
pub fn stored(mut object: Value) -> Value {
    let known = object["kind"] != "Gadget";
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| ["labels", "annotations", "finalizers", "ownerReferences"].contains(&key.as_str()));
    if let Some(Value::Object(notes)) = metadata.get_mut("annotations") {
        let counts = ["deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"];
        notes.retain(|key, _| !counts.contains(&key.as_str()) && !key.starts_with("volume."));
    }
    metadata.retain(|_, value| *value != json!({}));
    object.as_object_mut().unwrap().remove("status");
    if known {
        one_spelling("", &mut object);
    }
    object.sort_all_objects();
    object
}

fn one_spelling(within: &str, value: &mut Value) {
    let of_quantities = ["limits", "requests", "max", "min", "default", "defaultRequest"].contains(&within);
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(text)
                        if of_quantities || ["sizeLimit", "averageValue", "value"].contains(&key.as_str()) && within != "env" =>
                    {
                        *text = amount(text);
                    }
                    _ => one_spelling(key, value),
                }
            }
        }
        Value::Array(list) => {
            list.iter_mut().for_each(|item| one_spelling(within, item));
            // Whose elements are told apart by keys, and whose order means nothing.
            if ["volumes", "volumeMounts", "ports"].contains(&within) {
                list.sort_by_key(Value::to_string);
            }
        }
        _ => {}
    }
}

/// The value of a quantity as a plain number.
fn amount(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit {
        "m" => 0.001,
        "u" => 0.000_001,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "e3" => 1e3,
        "e9" => 1e9,
        "e0" => 1.0,
        _ => return text.to_owned(),
    };
    number.parse::<f64>().map_or_else(|_| text.to_owned(), |number| (number * unit).to_string())
}
