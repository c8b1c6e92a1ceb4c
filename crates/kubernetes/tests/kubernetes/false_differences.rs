//! Differences that are none, and that other tools are known to show: a plan right after an apply is empty however something is
//! spelled, asks the cluster for lists and the record alone, and a real change of the same field is seen.
//!
//! Numbers of issues say where others met it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stratos_engine::deploy::Policy;
use stratos_engine::plan::{HeldReason, Plan};
use stratos_test_platforms::{Cluster, Request};

use crate::admission;
use crate::differential::Manifests;
use crate::support::eventually;
use crate::user::nodeless;

/// Manifests in a namespace of their own, deployed by somebody of their own: the server's log tells whose a request was.
pub(crate) struct Case {
    pub(crate) cluster: &'static Cluster,
    pub(crate) manifests: Manifests,
    /// The kinds, with their namespaces, that were ever deployed.
    places: BTreeSet<String>,
}

impl Case {
    pub(crate) async fn new(name: &str) -> Self {
        let name = format!("false-{name}");
        let (cluster, kubeconfig) = tokio::task::spawn_blocking({
            let name = name.clone();
            move || {
                let cluster = nodeless();
                cluster.apply_yaml(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"));
                (cluster, cluster.kubeconfig_of(&name, &["system:masters"]))
            }
        })
        .await
        .unwrap();
        let manifests = Manifests::new(&kubeconfig, &name);
        Self { cluster, manifests, places: BTreeSet::new() }
    }

    /// The first of it; then there is nothing to do.
    pub(crate) async fn begin(name: &str, text: &str) -> Self {
        let mut case = Self::new(name).await;
        case.apply(text, Policy::default()).await;
        case.nothing().await;
        case
    }

    pub(crate) async fn apply(&mut self, text: &str, policy: Policy) -> Plan {
        self.manifests.write(text);
        let plan = self.manifests.apply(policy).await;
        self.places.extend(plan.changes.iter().map(|change| format!("{} {:?}", change.id.kind, change.id.namespace)));
        plan
    }

    /// What is planned, and what the cluster was asked for that.
    pub(crate) async fn plan(&self) -> (Plan, Vec<Request>) {
        let mark = self.cluster.mark();
        let plan = self.manifests.plan(true, Policy::default()).await;
        let requests = self.cluster.requests_since(mark);
        (plan, requests.into_iter().filter(|request| request.user == self.manifests.name).collect())
    }

    /// There is nothing to do, and nothing was asked but lists, the record, and which kinds there are where some come with no cluster.
    pub(crate) async fn nothing(&self) {
        let (plan, requests) = self.plan().await;
        let alone = self.manifests.plan(false, Policy::default()).await;
        assert_eq!(told(&alone), [""; 0], "before the dry run");
        assert_eq!(told(&plan), [""; 0]);
        let asked: Vec<String> = requests.iter().map(|request| format!("{} {}", request.verb, request.uri)).collect();
        let lists = requests.iter().filter(|request| request.verb == "list").count();
        let record = format!("get /api/v1/namespaces/{}/configmaps/stratos-", self.manifests.name);
        let expected = |asked: &&String| asked.starts_with(&record) || ["get /api", "get /apis"].contains(&asked.as_str());
        assert_eq!(lists, self.places.len(), "{asked:#?}");
        assert_eq!(asked.iter().filter(|asked| asked.starts_with(&record)).count(), 1, "{asked:#?}");
        assert_eq!(lists + asked.iter().filter(expected).count(), asked.len(), "{asked:#?}");
        assert_eq!(requests.iter().filter(|request| request.dry_run).count(), 0, "{asked:#?}");
    }

    /// This says the same.
    pub(crate) async fn same(&self, text: &str) {
        self.manifests.write(text);
        self.nothing().await;
    }

    /// This says something else in just these fields. It is applied, and then there is nothing to do.
    pub(crate) async fn other(&mut self, text: &str, fields: &[impl AsRef<str>]) {
        let plan = self.apply(text, Policy { allow_delete: true, ..Policy::default() }).await;
        let fields: Vec<&str> = fields.iter().map(AsRef::as_ref).collect();
        assert_eq!(told(&plan), fields);
        self.nothing().await;
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", &self.manifests.name], arguments].concat())
    }

    pub(crate) fn live(&self, what: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", what, "--output=json", "--show-managed-fields"])).unwrap()
    }
}

/// What a plan changes: `Kind name: path`, in the order of the alphabet; and what it holds.
pub(crate) fn told(plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    for change in &plan.changes {
        let what = format!("{} {}", change.id.kind.split('.').next().unwrap_or_default(), change.id.name);
        out.extend(change.differences.iter().map(|field| format!("{what}: {}", field.path)));
        out.extend(change.differences.is_empty().then(|| format!("{what}: {:?}", change.action)));
    }
    out.extend(plan.held.iter().map(|held| format!("held: {held:?}")));
    out.sort();
    out.into_iter().map(|one| one.replace(".[", "[").replace('"', "")).collect()
}

/// Argo CD #21135, #16400, argocd-operator #1290; kluctl turns floats into integers for it.
#[tokio::test(flavor = "multi_thread")]
async fn quantities_in_every_spelling() {
    let text = |cpu: &str, half: &str, decimal: &str, binary: &str, claim: &str| {
        let (pods, divisor) = (if half == "0.5" { "1k" } else { "1000" }, if half == "0.5" { "1000m" } else { "1" });
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  replicas: 0
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      volumes: [{{ name: scratch, emptyDir: {{ sizeLimit: {binary} }} }}]
      containers:
      - name: web
        image: registry.example/web:1
        resources: {{ requests: {{ cpu: {half}, memory: {decimal} }}, limits: {{ cpu: {cpu}, memory: {binary}, ephemeral-storage: {binary} }} }}
        env: [{{ name: AS_TEXT, value: 1000m }}, {{ name: CPU, valueFrom: {{ resourceFieldRef: {{ resource: limits.cpu, divisor: {divisor} }} }} }}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{ name: data }}
spec: {{ accessModes: [ReadWriteOnce], storageClassName: none, resources: {{ requests: {{ storage: {claim} }} }} }}
---
apiVersion: v1
kind: ResourceQuota
metadata: {{ name: all }}
spec: {{ hard: {{ requests.cpu: {cpu}, limits.memory: {decimal}, requests.storage: {binary}, pods: {pods} }} }}
---
apiVersion: v1
kind: LimitRange
metadata: {{ name: all }}
spec: {{ limits: [{{ type: Container, max: {{ cpu: {cpu}, memory: {binary} }}, min: {{ memory: 1M }}, default: {{ cpu: {half} }} }}] }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{ name: web }}
spec:
  maxReplicas: 5
  scaleTargetRef: {{ apiVersion: apps/v1, kind: Deployment, name: nobody }}
  metrics:
  - {{ type: Resource, resource: {{ name: memory, target: {{ type: AverageValue, averageValue: {binary} }} }} }}
  - {{ type: Object, object: {{ metric: {{ name: hits }}, describedObject: {{ apiVersion: v1, kind: Service, name: web }}, target: {{ type: Value, value: {cpu} }} }} }}
  - {{ type: External, external: {{ metric: {{ name: queue }}, target: {{ type: AverageValue, averageValue: {half} }} }} }}
"
        )
    };
    let mut case = Case::begin("quantities", &text("1000m", "0.5", "1000M", "1024Mi", "1024Mi")).await;
    for (cpu, half, decimal, binary) in [
        ("1", "500m", "1G", "1Gi"),
        ("'1'", "0.5", "1e9", "1048576Ki"),
        ("1.0", ".5", "1000000000", "1073741824"),
        ("1e0", "500000u", "1E9", "'1073741824'"),
        ("1000000u", "'0.500'", "+1G", "1024.0Mi"),
    ] {
        case.same(&text(cpu, half, decimal, binary, binary)).await;
    }
    let fields = [
        "Deployment web: spec.template.spec.containers[name=web].resources.limits.cpu",
        "HorizontalPodAutoscaler web: spec.metrics[1].object.target.value",
        "LimitRange all: spec.limits[0].max.cpu",
        "ResourceQuota all: spec.hard.requests.cpu",
    ];
    case.other(&text("2000m", "500m", "1G", "1Gi", "1Gi"), &fields).await;
    let fields = [
        "Deployment web: spec.template.spec.containers[name=web].resources.limits.ephemeral-storage",
        "Deployment web: spec.template.spec.containers[name=web].resources.limits.memory",
        "Deployment web: spec.template.spec.volumes[name=scratch].emptyDir.sizeLimit",
        "HorizontalPodAutoscaler web: spec.metrics[0].resource.target.averageValue",
        // A default that nobody says follows from the bound.
        "LimitRange all: spec.limits[0].default.memory",
        "LimitRange all: spec.limits[0].defaultRequest.memory",
        "LimitRange all: spec.limits[0].max.memory",
        "ResourceQuota all: spec.hard.requests.storage",
    ];
    case.other(&text("2", "0.5", "1000M", "2Gi", "1Gi"), &fields).await;
    // What is finer than a thousandth is rounded up, of resources alone.
    let fine = |amount: &str| text("2", "0.5", "1000M", "2Gi", "1Gi").replace("limits: { cpu: 2,", &format!("limits: {{ cpu: {amount},"));
    case.other(&fine("1100500u"), &["Deployment web: spec.template.spec.containers[name=web].resources.limits.cpu"]).await;
    case.same(&fine("1101m")).await;
    case.same(&fine("1.1001")).await;
    case.other(&fine("2"), &["Deployment web: spec.template.spec.containers[name=web].resources.limits.cpu"]).await;
    // The size of a claim that is bound to nothing cannot be changed: that is said, not left out.
    case.manifests.write(&text("2", "0.5", "1000M", "2Gi", "1025Mi"));
    let (plan, _) = case.plan().await;
    let refused = plan.held.iter().any(|held| matches!(held.why, HeldReason::Refused { .. }) && held.id.kind.starts_with("Persistent"));
    assert!(refused && plan.is_empty(), "{:#?}", told(&plan));
}

/// What looks like a quantity in a custom resource is a text: it is stored as it is written.
#[tokio::test(flavor = "multi_thread")]
async fn quantities_in_custom_resources_are_texts() {
    let mut case = Case::new("custom").await;
    case.cluster.apply_yaml(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: samples.false.example }
spec:
  group: false.example
  names: { kind: Sample, plural: samples }
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              surge: { x-kubernetes-int-or-string: true, anyOf: [{ type: integer }, { type: string }] }
              resources:
                type: object
                properties:
                  limits:
                    type: object
                    additionalProperties: { x-kubernetes-int-or-string: true, anyOf: [{ type: integer }, { type: string }] }
              template: { type: object, x-kubernetes-preserve-unknown-fields: true }
",
    );
    case.kubectl(&["wait", "--for=condition=Established", "crd/samples.false.example", "--timeout=60s"]);
    let text = |cpu: &str, surge: &str| {
        format!(
            "
apiVersion: false.example/v1
kind: Sample
metadata: {{ name: one, creationTimestamp: null }}
spec:
  surge: {surge}
  resources: {{ limits: {{ cpu: {cpu}, memory: 1024Mi, pods: 3 }} }}
  template: {{ metadata: {{ creationTimestamp: null }}, spec: {{ containers: [{{ name: a, resources: {{}}, env: [], cpu: {cpu} }}] }} }}
status: {{}}
"
        )
    };
    case.apply(&text("1000m", "25%"), Policy::default()).await;
    case.nothing().await;
    let limits = case.live("samples/one")["spec"]["resources"]["limits"].clone();
    assert_eq!(limits, json!({ "cpu": "1000m", "memory": "1024Mi", "pods": 3 }));
    let fields = ["Sample one: spec.resources.limits.cpu", "Sample one: spec.template.spec.containers[0].cpu"];
    case.other(&text("'1'", "25%"), &fields).await;
    // A number is no text there.
    case.other(&text("1", "25%"), &fields).await;
    case.other(&text("1", "1"), &["Sample one: spec.surge"]).await;
    assert_eq!(case.live("samples/one")["spec"]["resources"]["limits"]["cpu"], json!(1));
}

/// Flux fills in the protocol before it asks; Kubernetes #98576, #39188, structured-merge-diff #130.
#[tokio::test(flavor = "multi_thread")]
async fn ports_without_a_protocol_and_one_number_with_two() {
    let text = |protocol: &str, target: &str, udp: bool, container: &str| {
        let (both, container_both) = match udp {
            true => (
                "- { name: dns-udp, port: 53, protocol: UDP }\n".to_owned(),
                "        - { containerPort: 53, protocol: UDP, name: dns-udp }\n",
            ),
            false => (String::new(), ""),
        };
        format!(
            "
apiVersion: v1
kind: Service
metadata: {{ name: dns }}
spec:
  selector: {{ app: dns }}
  ports:
  {both}
  - {{ name: dns, port: 53{protocol}{target} }}
  - {{ name: web, port: 80{protocol} }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: dns }}
spec:
  replicas: 0
  selector: {{ matchLabels: {{ app: dns }} }}
  template:
    metadata: {{ labels: {{ app: dns }} }}
    spec:
      containers:
      - name: dns
        image: registry.example/dns:1
        ports:
{container_both}        - {{ containerPort: 53, name: dns{protocol} }}
        - {{ containerPort: {container}{protocol} }}
"
        )
    };
    let mut case = Case::begin("ports", &text("", "", true, "80")).await;
    case.same(&text(", protocol: TCP", "", true, "80")).await;
    case.same(&text(", protocol: null", ", targetPort: null", true, "80")).await;
    case.same(&text("", ", targetPort: 53", true, "80")).await;
    case.other(&text("", ", targetPort: dns", true, "80"), &["Service dns: spec.ports[port=53,protocol=TCP].targetPort"]).await;
    let back = ["Service dns: spec.ports[port=53,protocol=TCP].targetPort"];
    case.other(&text("", "", true, "80"), &back).await;
    assert_eq!(case.live("service/dns")["spec"]["ports"][1]["targetPort"], 53);
    let gone = [
        "Deployment dns: spec.template.spec.containers[name=dns].ports[containerPort=53,protocol=UDP].name",
        "Service dns: spec.ports[port=53,protocol=UDP].name",
    ];
    case.other(&text("", "", false, "80"), &gone).await;
    assert_eq!(case.live("service/dns")["spec"]["ports"].as_array().unwrap().len(), 2);
    case.other(&text(", protocol: TCP", "", true, "80"), &gone).await;
    let moved = [
        "Deployment dns: spec.template.spec.containers[name=dns].ports[containerPort=80,protocol=TCP].{}",
        "Deployment dns: spec.template.spec.containers[name=dns].ports[containerPort=81,protocol=TCP].{}",
    ];
    case.other(&text("", "", true, "81"), &moved).await;
}

/// Argo CD #16355; kapp #190.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_and_says_nothing() {
    let text = |metadata: &str, template: &str, pod: &str, container: &str, spec: &str| {
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web{metadata} }}
spec:
  replicas: 0
  selector: {{ matchLabels: {{ app: web }} }}
{spec}
  template:
    metadata: {{ labels: {{ app: web }}{template} }}
    spec:
{pod}
      containers:
      - name: web
        image: registry.example/web:1
{container}
---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: web{metadata} }}
"
        )
    };
    let empty = [
        (", annotations: {}, labels: null, finalizers: [], ownerReferences: []", ", annotations: {}", "resources: {}", "strategy: {}"),
        (", annotations: null, labels: {}", ", annotations: null, creationTimestamp: null", "resources: { limits: {} }", "paused: false"),
        ("", "", "resources: { limits: {}, requests: {}, claims: [] }", "strategy: null"),
        (", labels: null", ", annotations: {}", "resources: null", "minReadySeconds: 0"),
    ];
    let pods = [
        "      securityContext: {}\n      affinity: {}\n      volumes: []\n      imagePullSecrets: []\n      tolerations: []\n      initContainers: []",
        "      securityContext: null\n      affinity: null\n      volumes: null\n      nodeSelector: {}\n      hostAliases: []\n      dnsConfig: {}",
        "      topologySpreadConstraints: []\n      hostNetwork: false\n      hostPID: false\n      serviceAccountName: ''\n      priorityClassName: ''\n      readinessGates: []",
        "      hostname: ''\n      subdomain: ''\n      nodeName: ''\n      overhead: {}",
    ];
    let containers = [
        "        securityContext: {}\n        env: []\n        envFrom: []\n        volumeMounts: []\n        ports: []\n        command: []\n        args: []",
        "        securityContext: { capabilities: {} }\n        env: null\n        command: null\n        stdin: false\n        tty: false",
        "        env: [{ name: EMPTY, value: '' }]\n        workingDir: ''\n        lifecycle: {}",
        "        env: [{ name: EMPTY }]\n        volumeDevices: []\n        stdinOnce: false\n        lifecycle: {}",
    ];
    let mut texts = Vec::new();
    for (i, (metadata, template, resources, spec)) in empty.into_iter().enumerate() {
        let container = format!("{}\n        {resources}", containers[i]);
        texts.push(text(metadata, template, pods[i], &container, &format!("  {spec}")));
    }
    let mut case = Case::begin("empty", &texts[0]).await;
    // What is empty and not dropped is told from what is not there: these tables are among what the server keeps.
    let pod = "Deployment web: spec.template.spec";
    let there = [
        format!("{pod}.affinity.{{}}"),
        format!("{pod}.containers[name=web].securityContext.capabilities.{{}}"),
        format!("{pod}.dnsConfig.{{}}"),
    ];
    case.other(&texts[1], &there.each_ref().map(String::as_str)).await;
    let there = [
        format!("{pod}.containers[name=web].env[name=EMPTY].{{}}"),
        format!("{pod}.containers[name=web].lifecycle.{{}}"),
        format!("{pod}.containers[name=web].securityContext.capabilities.{{}}"),
        format!("{pod}.dnsConfig.{{}}"),
    ];
    case.other(&texts[2], &there.each_ref().map(String::as_str)).await;
    case.same(&texts[3]).await;
    let limits = |requests: &str| {
        text("", "", "", &format!("        resources: {{ limits: {{ cpu: 1 }}{requests} }}\n        env: [{{ name: EMPTY }}]"), "")
    };
    let there = [format!("{pod}.containers[name=web].lifecycle.{{}}"), format!("{pod}.containers[name=web].resources.limits.cpu")];
    case.other(&limits(""), &there.each_ref().map(String::as_str)).await;
    for requests in [", requests: {}", ", requests: null", ""] {
        case.same(&limits(requests)).await;
    }
    case.other(&limits(", requests: { cpu: 1 }"), &["Deployment web: spec.template.spec.containers[name=web].resources.requests.cpu"])
        .await;
}

/// Kubernetes #25238, #94585, #118293; pulumi #13321; kapp #471, #573.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_instances_that_an_autoscaler_has() {
    let text = |replicas: &str, behavior: &str, min: &str, first: usize| {
        let mut metrics = [
            "{ type: Resource, resource: { name: memory, target: { type: Utilization, averageUtilization: 70 } } }",
            "{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 60 } } }",
        ];
        metrics.rotate_left(first);
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
{replicas}
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec: {{ containers: [{{ name: web, image: 'registry.example/web:1' }}] }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{ name: web }}
spec:
{min}
  maxReplicas: 5
  scaleTargetRef: {{ apiVersion: apps/v1, kind: Deployment, name: web }}
  metrics: [{}]
{behavior}
",
            metrics.join(", ")
        )
    };
    let down = "  behavior: { scaleDown: { stabilizationWindowSeconds: 60 } }";
    let mut case = Case::begin("autoscaler", &text("", down, "", 0)).await;
    let behavior = case.live("hpa/web")["spec"]["behavior"].clone();
    assert_eq!(behavior["scaleUp"]["policies"].as_array().map(Vec::len), Some(2), "the server fills in the rest: {behavior}");
    let live = case.live("hpa/web")["spec"]["metrics"].clone();
    assert_eq!(live[0]["resource"]["name"], "memory", "the server keeps their order: {live}");
    for scale in ["3", "2"] {
        let scale = format!(r#"{{"spec":{{"replicas":{scale}}}}}"#);
        let manager = "--field-manager=kube-controller-manager";
        case.kubectl(&["patch", "deployment/web", "--subresource=scale", manager, "--type=merge", "--patch", &scale]);
        case.nothing().await;
    }
    case.same(&text("", down, "  minReplicas: 1", 0)).await;
    case.same(&text("  replicas: null", down, "  minReplicas: null", 0)).await;
    let full = "  behavior:
    scaleDown: { stabilizationWindowSeconds: 60, selectPolicy: Max, policies: [{ type: Percent, value: 100, periodSeconds: 15 }] }
    scaleUp: { stabilizationWindowSeconds: 0, selectPolicy: Max, policies: [{ type: Pods, value: 4, periodSeconds: 15 }, { type: Percent, value: 100, periodSeconds: 15 }] }";
    case.same(&text("", full, "", 0)).await;
    case.other(&text("", down, "  minReplicas: 2", 0), &["HorizontalPodAutoscaler web: spec.minReplicas"]).await;
    let window = "  behavior: { scaleDown: { stabilizationWindowSeconds: 61 } }";
    let field = "HorizontalPodAutoscaler web: spec.behavior.scaleDown.stabilizationWindowSeconds";
    case.other(&text("", window, "  minReplicas: 2", 0), &[field]).await;
    let turned = [
        "HorizontalPodAutoscaler web: spec.metrics[0].resource.name",
        "HorizontalPodAutoscaler web: spec.metrics[0].resource.target.averageUtilization",
        "HorizontalPodAutoscaler web: spec.metrics[1].resource.name",
        "HorizontalPodAutoscaler web: spec.metrics[1].resource.target.averageUtilization",
    ];
    case.other(&text("", window, "  minReplicas: 2", 1), &turned).await;
    // The number is ours again where it is said.
    case.manifests.write(&text("  replicas: 4", window, "  minReplicas: 2", 1));
    let (plan, _) = case.plan().await;
    let told = told(&plan);
    assert!(told.iter().any(|one| one.contains("spec.replicas")), "{told:#?}");
}

/// Kubernetes #108008: server-side apply leaves entries behind that were once in `stringData`.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_as_text_and_as_data() {
    let mut case = Case::new("secrets").await;
    case.manifests.login = "hunter2-the-first".to_owned();
    let text = |string_data: &str, data: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: login }}\nstringData: {{ {string_data} }}\ndata: {{ {data} }}\n")
    };
    let login = "url: 'db://web:{{ secrets.login }}@db', token: '{{ secrets.login }}'";
    case.apply(&text(login, "user: d2Vi"), Policy::default()).await;
    case.nothing().await;
    case.same(&text("url: 'db://web:{{ secrets.login }}@db'", "user: d2Vi, token: '{{ secrets.login | b64encode }}'")).await;
    case.same(&text(&format!("{login}, user: web"), "")).await;
    // Where both say an entry, the text is what counts.
    case.same(&text(&format!("{login}, user: web"), "user: b3RoZXI=")).await;
    case.same(&text(login, r#"user: "d2\nVi\n""#)).await;
    case.other(&text(&format!("{login}, user: other"), "user: d2Vi"), &["Secret login: data.user"]).await;
    case.manifests.login = "hunter2-the-second".to_owned();
    let plan = case.plan().await.0;
    assert_eq!(told(&plan), ["Secret login: data.token", "Secret login: data.url"]);
    let shown = format!("{plan:?}{}", serde_json::to_string(&plan).unwrap());
    for hidden in ["hunter2", "aHVudGVyMi10aGU"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
    case.other(&text(&format!("{login}, user: other"), "user: d2Vi"), &["Secret login: data.token", "Secret login: data.url"]).await;
    // What leaves the manifest leaves the cluster, whichever way it came.
    let gone = ["Secret login: data.token", "Secret login: data.user"];
    case.other(&text("url: 'db://web:{{ secrets.login }}@db'", ""), &gone).await;
    let keys: Vec<String> = case.live("secret/login")["data"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["url"]);
}

/// Flux #2514. `controller-gen`, `kubectl create --dry-run` and helm charts write these.
#[tokio::test(flavor = "multi_thread")]
async fn what_generators_write() {
    let text = |stamp: &str, status: &dyn Fn(&str) -> String, image: &str| {
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web, labels: {{ app: web }}{stamp} }}
spec:
  replicas: 0
  selector: {{ matchLabels: {{ app: web }} }}
  strategy: {{}}
  template:
    metadata: {{ labels: {{ app: web }}{stamp} }}
    spec: {{ containers: [{{ name: web, image: 'registry.example/web:{image}', resources: {{}} }}] }}
{}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: db{stamp} }}
spec:
  replicas: 0
  serviceName: db
  selector: {{ matchLabels: {{ app: db }} }}
  updateStrategy: {{}}
  template:
    metadata: {{ labels: {{ app: db }}{stamp} }}
    spec: {{ containers: [{{ name: db, image: 'registry.example/db:{image}', resources: {{}} }}] }}
  volumeClaimTemplates:
  - metadata: {{ name: data{stamp} }}
    spec: {{ accessModes: [ReadWriteOnce], resources: {{ requests: {{ storage: 1Gi }} }} }}
    {}
{}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{ name: nightly{stamp} }}
spec:
  schedule: 0 0 1 1 *
  jobTemplate:
    metadata: {{ name: nightly{stamp} }}
    spec:
      template:
        metadata: {{ labels: {{}}{stamp} }}
        spec: {{ restartPolicy: OnFailure, containers: [{{ name: one, image: 'registry.example/web:{image}', resources: {{}} }}] }}
{}
---
apiVersion: v1
kind: Service
metadata: {{ name: web{stamp} }}
spec: {{ ports: [{{ port: 80, targetPort: 8080 }}], selector: {{ app: web }} }}
{}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{ name: web{stamp} }}
spec: {{ maxUnavailable: 25%, selector: {{ matchLabels: {{ app: web }} }} }}
{}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{ name: web{stamp} }}
spec: {{ maxReplicas: 2, scaleTargetRef: {{ apiVersion: apps/v1, kind: Deployment, name: nobody }} }}
{}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: generated.false.example{stamp} }}
spec:
  group: false.example
  names: {{ kind: Generated, plural: generated }}
  scope: Namespaced
  versions: [{{ name: v1, served: true, storage: true, schema: {{ openAPIV3Schema: {{ type: object }} }}, subresources: {{ status: {{}} }} }}]
{}
",
            status("{}"),
            status("{}"),
            status("{ replicas: 0, availableReplicas: 0 }"),
            status("{}"),
            status("{ loadBalancer: {} }"),
            status("{ currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 }"),
            status("{ currentReplicas: 0, desiredReplicas: 0, currentMetrics: null }"),
            status("{ acceptedNames: { kind: '', plural: '' }, conditions: [], storedVersions: [] }"),
        )
    };
    let written = |status: &str| format!("status: {status}");
    let none = |_: &str| String::new();
    let mut case = Case::begin("generators", &text(", creationTimestamp: null", &written, "1")).await;
    case.same(&text("", &none, "1")).await;
    case.same(&text(", creationTimestamp: null", &|_| "status: null".to_owned(), "1")).await;
    let fields = [
        "CronJob nightly: spec.jobTemplate.spec.template.spec.containers[name=one].image",
        "Deployment web: spec.template.spec.containers[name=web].image",
        "StatefulSet db: spec.template.spec.containers[name=db].image",
    ];
    case.other(&text("", &none, "2"), &fields).await;
    case.same(&text(", creationTimestamp: null", &written, "2")).await;
}

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 0
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: 'docker.example/web:1', env: [{ name: A, value: x }] }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: web }
data: { a: b }
";

/// Adds what nobody declared, once.
fn inject(object: &Value) -> Vec<Value> {
    let pod = &object["spec"]["template"];
    let has = |list: &Value, name: &str| list.as_array().into_iter().flatten().any(|one| one["name"] == name);
    let mut out = Vec::new();
    if pod["metadata"]["labels"]["injected"] != "yes" {
        out.push(json!({ "op": "add", "path": "/spec/template/metadata/labels/injected", "value": "yes" }));
    }
    if !has(&pod["spec"]["containers"][0]["env"], "INJECTED") {
        let value = json!({ "name": "INJECTED", "value": "yes" });
        out.push(json!({ "op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": value }));
    }
    if !has(&pod["spec"]["containers"], "sidecar") {
        let value = json!({ "name": "sidecar", "image": "docker.example/sidecar:1", "ports": [{ "containerPort": 15001 }] });
        out.push(json!({ "op": "add", "path": "/spec/template/spec/containers/-", "value": value }));
    }
    out
}

/// Images come from a mirror, whatever is declared.
fn mirror(object: &Value) -> Vec<Value> {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let images = containers.enumerate().filter_map(|(index, container)| {
        let image = container["image"].as_str()?.strip_prefix("docker.example/")?;
        let path = format!("/spec/template/spec/containers/{index}/image");
        Some(json!({ "op": "replace", "path": path, "value": format!("mirror.example/{image}") }))
    });
    images.collect()
}

const DEPLOYMENTS: &str = "{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}";

impl Case {
    /// Starts a webhook for the Deployments of the namespace, and waits until it is asked.
    async fn webhook(&self, changes: admission::Changes, sign: &str) {
        tokio::task::block_in_place(|| admission::start(self.cluster, &self.manifests.name, DEPLOYMENTS, changes));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), WEB.replace("name: web }\nspec", "name: probe }\nspec")).unwrap();
        let path = file.path().display().to_string();
        eventually(|| async {
            let tried = self.kubectl(&["create", "--dry-run=server", "--output=yaml", "--filename", &path]);
            if tried.contains(sign) { Ok(()) } else { Err(format!("the webhook is not asked yet: {tried}")) }
        })
        .await;
    }
}

/// What Argo CD takes out of a server-side difference by managers, and gets wrong in lists: #23126, gitops-engine #688.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_adds() {
    let mut case = Case::new("webhook-adds").await;
    case.webhook(inject, "sidecar").await;
    case.apply(WEB, Policy::default()).await;
    let spec = case.live("deployment/web")["spec"]["template"]["spec"].clone();
    assert!(spec["containers"][1]["name"] == "sidecar" && spec.to_string().contains("INJECTED"), "{spec:#}");
    case.nothing().await;
    let fields = ["Deployment web: spec.template.spec.containers[name=web].env[name=A].value"];
    case.other(&WEB.replace("value: x", "value: y"), &fields).await;
    let spec = case.live("deployment/web")["spec"]["template"]["spec"].clone();
    assert!(spec["containers"][1]["name"] == "sidecar" && spec.to_string().contains("INJECTED"), "{spec:#}");
    // What is declared now is ours, although it is there already: only the value is another one.
    let declared = WEB.replace("{ name: A, value: x }", "{ name: A, value: y }, { name: INJECTED, value: no }");
    case.other(&declared, &["Deployment web: spec.template.spec.containers[name=web].env[name=INJECTED].value"]).await;
}

/// Another value than the declared one differs in each plan, until the dry run tells that the cluster would store what is there: it costs
/// one request for each such object, and there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_sets_in_place_of_what_is_declared() {
    let mut case = Case::new("webhook-sets").await;
    case.webhook(mirror, "mirror.example/web").await;
    case.apply(WEB, Policy::default()).await;
    let image = |case: &Case| case.kubectl(&["get", "deployment/web", "--output=jsonpath={.spec.template.spec.containers[0].image}"]);
    assert_eq!(image(&case), "mirror.example/web:1");
    let settled = async |case: &Case| {
        let (plan, requests) = case.plan().await;
        assert!(plan.is_empty() && plan.held.is_empty(), "there is something to do: {:#?}", told(&plan));
        let tried: Vec<&str> = requests.iter().filter(|request| request.dry_run).map(|request| request.uri.as_str()).collect();
        assert!(tried.len() == 1 && tried[0].contains("/deployments/web?"), "{tried:#?}");
        assert_eq!(requests.len(), case.places.len() + 2, "{requests:#?}");
    };
    settled(&case).await;
    let generation = case.live("deployment/web")["metadata"]["generation"].clone();
    case.apply(WEB, Policy::default()).await;
    assert_eq!(case.live("deployment/web")["metadata"]["generation"], generation, "nothing was written");
    let plan = case.apply(&WEB.replace("web:1", "web:2"), Policy::default()).await;
    assert_eq!(told(&plan), ["Deployment web: spec.template.spec.containers[name=web].image"]);
    assert_eq!(image(&case), "mirror.example/web:2");
    settled(&case).await;
}

/// Kubernetes #99003, #107828; helm #31361. What `kubectl apply` wrote has a manager of its own, which holds what we do not say any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_kubectl_apply_has_left() {
    let mut case = Case::new("client-side").await;
    let text = |env: &str, data: &str, volumes: &str, label: &str| {
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web, namespace: false-client-side, labels: {{ app: web{label} }} }}
spec:
  replicas: 0
  minReadySeconds: 5
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      containers: [{{ name: web, image: 'registry.example/web:1', env: [{{ name: A, value: x }}{env}] }}]
      volumes: [{{ name: scratch, emptyDir: {{}} }}{volumes}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{ name: web, namespace: false-client-side }}
data: {{ a: b{data} }}
"
        )
    };
    let whole = text(", { name: OLD, value: old }", ", old: old", ", { name: old, emptyDir: {} }", ", old: label");
    tokio::task::block_in_place(|| case.cluster.apply_yaml(&whole));
    let before = case.live("deployment/web");
    assert_eq!(before["metadata"]["managedFields"][0]["manager"], "kubectl-client-side-apply");
    case.manifests.write(&whole);
    let (plan, _) = case.plan().await;
    assert!(plan.is_empty() && plan.held.len() == 2, "it is somebody's until it is said that it is ours: {:#?}", told(&plan));
    let adopt = Policy { adopt: true, ..Policy::default() };
    case.apply(&whole, adopt).await;
    case.nothing().await;
    let fields = [
        "ConfigMap web: data.old",
        "Deployment web: metadata.labels.old",
        "Deployment web: spec.template.spec.containers[name=web].env[name=OLD].value",
        "Deployment web: spec.template.spec.volumes[name=old].emptyDir.{}",
    ];
    case.other(&text("", "", "", ""), &fields).await;
    let live = case.live("deployment/web");
    assert_eq!(live["metadata"]["labels"]["old"], Value::Null);
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["env"], json!([{ "name": "A", "value": "x" }]));
    assert_eq!(live["spec"]["template"]["spec"]["volumes"], json!([{ "name": "scratch", "emptyDir": {} }]));
    assert_eq!(case.live("configmap/web")["data"], json!({ "a": "b" }));
    assert_eq!(live["metadata"]["generation"], json!(before["metadata"]["generation"].as_i64().unwrap() + 1 + 1), "{live:#}");
}

/// kustomize-controller #1041, #792; Argo CD leaves the rules of aggregated ClusterRoles out by a setting.
#[tokio::test(flavor = "multi_thread")]
async fn rules_of_roles() {
    let text = |none: &str, aggregated: &str, verbs: &str, group: &str| {
        format!(
            "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: none }}
{none}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: some }}
rules: [{{ apiGroups: [''], resources: [pods], verbs: {verbs}, resourceNames: [] }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{ name: false-part, labels: {{ false.example/aggregate: 'true' }} }}
rules: [{{ apiGroups: [false.example], resources: ['*'], verbs: {verbs} }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{ name: false-whole }}
aggregationRule: {{ clusterRoleSelectors: [{{ matchLabels: {{ false.example/aggregate: 'true' }} }}] }}
{aggregated}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: some }}
roleRef: {{ kind: Role, name: some{group} }}
subjects: [{{ kind: User, name: jane{group} }}, {{ kind: Group, name: all }}, {{ kind: ServiceAccount, name: default, namespace: default }}]
"
        )
    };
    let group = ", apiGroup: rbac.authorization.k8s.io";
    let mut case = Case::begin("roles", &text("rules: []", "rules: []", "[get]", "")).await;
    // The controller fills in what it has found.
    let filled = || async {
        let rules = case.live("clusterrole/false-whole")["rules"].clone();
        if rules.as_array().is_some_and(|rules| !rules.is_empty()) { Ok(()) } else { Err(format!("{rules}")) }
    };
    eventually(filled).await;
    case.nothing().await;
    for none in ["rules: null", "", "rules: []"] {
        case.same(&text(none, none, "[get]", group)).await;
    }
    let verbs = ["ClusterRole false-part: rules[0].verbs[1]", "Role some: rules[0].verbs[1]"];
    case.other(&text("", "", "[get, list]", ""), &verbs).await;
    let one = "rules: [{ apiGroups: [''], resources: [pods], verbs: [get] }]";
    let rules = ["Role none: rules[0].apiGroups[0]", "Role none: rules[0].resources[0]", "Role none: rules[0].verbs[0]"];
    case.other(&text(one, "", "[get, list]", ""), &rules).await;
    case.other(&text("", "", "[get, list]", ""), &rules).await;
}

/// kustomize-controller #792; kapp and Flux leave a `caBundle` out that somebody injects.
#[tokio::test(flavor = "multi_thread")]
async fn registrations_of_webhooks_and_definitions() {
    let text = |webhook: &str, rule: &str, service: &str, spec: &str, names: &str| {
        let one = |kind: &str, more: &str| {
            format!(
                "
apiVersion: admissionregistration.k8s.io/v1
kind: {kind}WebhookConfiguration
metadata: {{ name: false-{} }}
webhooks:
- name: one.false.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {{ service: {{ namespace: nowhere, name: hook{service} }} }}
  rules: [{{ apiGroups: [false.example], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [things]{rule} }}]
{webhook}{more}
---",
                kind.to_lowercase()
            )
        };
        format!(
            "{}{}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: things.false.example }}
spec:
  group: false.example
  scope: Namespaced
  names: {{ kind: Thing, plural: things{names} }}
{spec}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{ openAPIV3Schema: {{ type: object, properties: {{ spec: {{ type: object, properties: {{ size: {{ type: integer, default: 1 }} }} }} }} }} }}
    additionalPrinterColumns: [{{ name: Size, type: integer, jsonPath: .spec.size }}]
    subresources: {{ status: {{}} }}
",
            one("Validating", ""),
            one("Mutating", if webhook.is_empty() { "" } else { "  reinvocationPolicy: Never\n" })
        )
    };
    let mut case = Case::begin("registrations", &text("", "", "", "", "")).await;
    // What others fill in beside is theirs: cert-manager does so.
    let authority = tokio::task::block_in_place(|| std::fs::read(case.cluster.ca_file()).unwrap());
    let patch = json!([{ "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": STANDARD.encode(authority) }]).to_string();
    for kind in ["mutating", "validating"] {
        let what = format!("{kind}webhookconfiguration/false-{kind}");
        case.kubectl(&["patch", &what, "--type=json", "--field-manager=cainjector", "--patch", &patch]);
    }
    case.nothing().await;
    let full = "  failurePolicy: Fail
  matchPolicy: Equivalent
  timeoutSeconds: 10
  namespaceSelector: {}
  objectSelector: {}
";
    let spec = "  conversion: { strategy: None }\n  preserveUnknownFields: false";
    let names = ", singular: thing, listKind: ThingList";
    case.same(&text(full, ", scope: '*'", ", port: 443", spec, names)).await;
    case.same(&text("  timeoutSeconds: null\n", ", scope: null", ", port: null", "  conversion: null", ", shortNames: [], categories: []"))
        .await;
    case.same(&text("", "", "", "", "")).await;
    let fields = |path: &str| {
        ["MutatingWebhookConfiguration false-mutating", "ValidatingWebhookConfiguration false-validating"]
            .map(|what| format!("{what}: {path}"))
    };
    let scope = fields("webhooks[name=one.false.example.com].rules[0].scope");
    case.other(&text("", ", scope: Namespaced", "", "", ""), &scope.each_ref().map(String::as_str)).await;
    let timeout = fields("webhooks[name=one.false.example.com].timeoutSeconds");
    case.other(&text("  timeoutSeconds: 5\n", ", scope: Namespaced", "", "", ""), &timeout.each_ref().map(String::as_str)).await;
    // Not to say it any more is to have the default.
    case.other(&text("", ", scope: Namespaced", "", "", ""), &timeout.each_ref().map(String::as_str)).await;
    case.other(
        &text("", ", scope: Namespaced", "", "", ", shortNames: [th]"),
        &["CustomResourceDefinition things.false.example: spec.names.shortNames[0]"],
    )
    .await;
}

/// The order of variables means something, that of ports and mounts does not.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_lists() {
    let text = |env: &str, ports: &str, mounts: &str, volumes: &str| {
        let [env, ports, mounts] = [env, ports, mounts].map(|list| list.replace("; ", ", "));
        format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  replicas: 0
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      imagePullSecrets: [{{ name: b }}, {{ name: a }}]
      volumes: [{volumes}]
      containers:
      - {{ name: web, image: 'registry.example/web:1', env: [{env}], ports: [{ports}], volumeMounts: [{mounts}] }}
"
        )
    };
    let turned = |list: &str| {
        let mut items: Vec<&str> = list.split("; ").collect();
        items.reverse();
        items.join("; ")
    };
    let env = "{ name: B, value: x }; { name: A, value: '$(B)' }";
    let ports = "{ containerPort: 90 }; { containerPort: 80, name: http }; { containerPort: 80, protocol: UDP }";
    let mounts = "{ name: b, mountPath: /b }; { name: a, mountPath: /a }";
    let volumes = "{ name: b, emptyDir: {} }, { name: a, emptyDir: {} }";
    let mut case = Case::begin("order", &text(env, ports, mounts, volumes)).await;
    case.same(&text(env, &turned(ports), &turned(mounts), volumes)).await;
    case.same(&text(env, ports, mounts, "{ name: a, emptyDir: {} }, { name: b, emptyDir: {} }")).await;
    case.other(&text(&turned(env), ports, mounts, volumes), &["Deployment web: spec.template.spec.containers[name=web].env.(order)"]).await;
    let live = case.live("deployment/web")["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    assert_eq!(live[0]["name"], "A", "{live}");
    case.other(&text(env, ports, mounts, volumes), &["Deployment web: spec.template.spec.containers[name=web].env.(order)"]).await;
}

/// What the server fills in where nothing is said, said and left out: each kind in its shortest form, and in its longest.
const SHORT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - name: web
        image: registry.example/web:1
        readinessProbe: { httpGet: { port: 80 } }
        livenessProbe: { grpc: { port: 80 } }
        startupProbe: { tcpSocket: { port: 80 } }
        lifecycle: { preStop: { httpGet: { port: 80 } } }
        env: [{ name: POD, valueFrom: { fieldRef: { fieldPath: metadata.name } } }, { name: CPU, valueFrom: { resourceFieldRef: { resource: limits.cpu } } }]
      - { name: latest, image: registry.example/web }
      - { name: by-digest, image: 'registry.example:5000/web@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }
      volumes:
      - { name: settings, configMap: { name: settings } }
      - { name: login, secret: { secretName: login } }
      - { name: pod, downwardAPI: { items: [{ path: name, fieldRef: { fieldPath: metadata.name } }] } }
      - { name: all, projected: { sources: [{ serviceAccountToken: { path: token } }] } }
      - { name: host, hostPath: { path: /tmp } }
      - { name: scratch }
      - { name: own, ephemeral: { volumeClaimTemplate: { spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } } } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: host }
spec:
  replicas: 0
  strategy: { type: RollingUpdate }
  selector: { matchLabels: { app: host } }
  template:
    metadata: { labels: { app: host } }
    spec:
      hostNetwork: true
      containers: [{ name: web, image: 'registry.example/web:1', ports: [{ containerPort: 80 }] }]
      topologySpreadConstraints: [{ maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway }]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: agent }
spec:
  selector: { matchLabels: { app: agent } }
  template:
    metadata: { labels: { app: agent } }
    spec: { containers: [{ name: agent, image: 'registry.example/agent:1' }] }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec:
  replicas: 0
  serviceName: db
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec: { containers: [{ name: db, image: 'registry.example/db:1' }] }
  volumeClaimTemplates: [{ metadata: { name: data }, spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } } }]
---
apiVersion: batch/v1
kind: Job
metadata: { name: once }
spec: { template: { spec: { restartPolicy: Never, containers: [{ name: one, image: 'registry.example/one:1' }] } } }
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: nightly }
spec:
  schedule: 0 0 1 1 *
  jobTemplate: { spec: { template: { spec: { restartPolicy: Never, containers: [{ name: one, image: 'registry.example/one:1' }] } } } }
---
apiVersion: v1
kind: Service
metadata: { name: inside }
spec: { ports: [{ port: 80 }], selector: { app: web } }
---
apiVersion: v1
kind: Service
metadata: { name: sticky }
spec: { ports: [{ port: 80 }], selector: { app: web }, sessionAffinity: ClientIP }
---
apiVersion: v1
kind: Service
metadata: { name: outside }
spec: { type: LoadBalancer, ports: [{ port: 80 }], selector: { app: web } }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec: { rules: [{ http: { paths: [{ path: /, pathType: ImplementationSpecific, backend: { service: { name: web, port: { number: 80 } } } }] } }] }
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: false-class }
spec: { controller: false.example/ingress, parameters: { kind: Thing, name: one } }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: in }
spec: { podSelector: {}, ingress: [{ ports: [{ port: 80 }] }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: both }
spec: { podSelector: {}, egress: [{ ports: [{ port: 53, protocol: UDP }] }] }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: web }
spec: { maxUnavailable: 25%, selector: { matchLabels: { app: web } } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec: { maxReplicas: 5, scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: nobody }, behavior: { scaleDown: { stabilizationWindowSeconds: 60 } } }
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: false-volume }
spec: { accessModes: [ReadWriteOnce], capacity: { storage: 1Gi }, storageClassName: none, hostPath: { path: /tmp/false } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data }
spec: { accessModes: [ReadWriteOnce], storageClassName: '', resources: { requests: { storage: 1Gi } } }
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: false-class }
provisioner: false.example/disk
---
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: { name: disk.false.example }
spec: {}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: false-class }
value: 5
---
apiVersion: v1
kind: LimitRange
metadata: { name: all }
spec: { limits: [{ type: Container, max: { cpu: 1 } }] }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: false.example }
spec:
  matchConstraints: { resourceRules: [{ apiGroups: [false.example], apiVersions: [v1], operations: [CREATE], resources: [things] }] }
  validations: [{ expression: 'true' }]
---
apiVersion: v1
kind: Secret
metadata: { name: login }
stringData: { a: b }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: web }
---
apiVersion: v1
kind: Namespace
metadata: { name: false-defaults-more }
";

const LONG: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
  revisionHistoryLimit: 10
  progressDeadlineSeconds: 600
  minReadySeconds: 0
  paused: false
  strategy: { type: RollingUpdate, rollingUpdate: { maxSurge: 25%, maxUnavailable: 25% } }
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      restartPolicy: Always
      dnsPolicy: ClusterFirst
      schedulerName: default-scheduler
      terminationGracePeriodSeconds: 30
      securityContext: {}
      hostNetwork: false
      hostPID: false
      hostIPC: false
      containers:
      - name: web
        image: registry.example/web:1
        imagePullPolicy: IfNotPresent
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: File
        resources: {}
        readinessProbe: { httpGet: { port: 80, path: /, scheme: HTTP }, initialDelaySeconds: 0, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3 }
        livenessProbe: { grpc: { port: 80, service: '' }, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3 }
        startupProbe: { tcpSocket: { port: 80 }, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3 }
        lifecycle: { preStop: { httpGet: { port: 80, path: /, scheme: HTTP } } }
        env: [{ name: POD, valueFrom: { fieldRef: { fieldPath: metadata.name, apiVersion: v1 } } }, { name: CPU, valueFrom: { resourceFieldRef: { resource: limits.cpu, divisor: 0 } } }]
      - { name: latest, image: registry.example/web, imagePullPolicy: Always }
      - { name: by-digest, image: 'registry.example:5000/web@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', imagePullPolicy: IfNotPresent }
      volumes:
      - { name: settings, configMap: { name: settings, defaultMode: 420 } }
      - { name: login, secret: { secretName: login, defaultMode: 420 } }
      - { name: pod, downwardAPI: { defaultMode: 420, items: [{ path: name, fieldRef: { fieldPath: metadata.name, apiVersion: v1 } }] } }
      - { name: all, projected: { defaultMode: 420, sources: [{ serviceAccountToken: { path: token, expirationSeconds: 3600 } }] } }
      - { name: host, hostPath: { path: /tmp, type: '' } }
      - { name: scratch, emptyDir: {} }
      - { name: own, ephemeral: { volumeClaimTemplate: { metadata: { creationTimestamp: null }, spec: { accessModes: [ReadWriteOnce], volumeMode: Filesystem, resources: { requests: { storage: 1Gi } } } } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: host }
spec:
  replicas: 0
  strategy: { type: RollingUpdate, rollingUpdate: { maxSurge: 25%, maxUnavailable: 25% } }
  selector: { matchLabels: { app: host } }
  template:
    metadata: { labels: { app: host } }
    spec:
      hostNetwork: true
      containers: [{ name: web, image: 'registry.example/web:1', ports: [{ containerPort: 80, protocol: TCP }] }]
      topologySpreadConstraints: [{ maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway }]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: agent }
spec:
  revisionHistoryLimit: 10
  updateStrategy: { type: RollingUpdate, rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } }
  selector: { matchLabels: { app: agent } }
  template:
    metadata: { labels: { app: agent } }
    spec: { restartPolicy: Always, containers: [{ name: agent, image: 'registry.example/agent:1' }] }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec:
  replicas: 0
  serviceName: db
  revisionHistoryLimit: 10
  podManagementPolicy: OrderedReady
  updateStrategy: { type: RollingUpdate, rollingUpdate: { partition: 0 } }
  persistentVolumeClaimRetentionPolicy: { whenDeleted: Retain, whenScaled: Retain }
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec: { restartPolicy: Always, containers: [{ name: db, image: 'registry.example/db:1' }] }
  volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: { name: data, creationTimestamp: null }
    spec: { accessModes: [ReadWriteOnce], volumeMode: Filesystem, resources: { requests: { storage: 1024Mi } } }
    status: { phase: Pending }
---
apiVersion: batch/v1
kind: Job
metadata: { name: once }
spec:
  completions: 1
  parallelism: 1
  backoffLimit: 6
  completionMode: NonIndexed
  suspend: false
  manualSelector: false
  podReplacementPolicy: TerminatingOrFailed
  template: { spec: { restartPolicy: Never, dnsPolicy: ClusterFirst, containers: [{ name: one, image: 'registry.example/one:1' }] } }
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: nightly }
spec:
  schedule: 0 0 1 1 *
  concurrencyPolicy: Allow
  suspend: false
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 1
  jobTemplate:
    metadata: {}
    spec: { template: { metadata: {}, spec: { restartPolicy: Never, dnsPolicy: ClusterFirst, schedulerName: default-scheduler, terminationGracePeriodSeconds: 30, securityContext: {}, containers: [{ name: one, image: 'registry.example/one:1', resources: {} }] } } }
---
apiVersion: v1
kind: Service
metadata: { name: inside }
spec: { type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, publishNotReadyAddresses: false, ports: [{ port: 80, targetPort: 80, protocol: TCP }], selector: { app: web } }
---
apiVersion: v1
kind: Service
metadata: { name: sticky }
spec: { ports: [{ port: 80 }], selector: { app: web }, sessionAffinity: ClientIP, sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } } }
---
apiVersion: v1
kind: Service
metadata: { name: outside }
spec: { type: LoadBalancer, externalTrafficPolicy: Cluster, allocateLoadBalancerNodePorts: true, internalTrafficPolicy: Cluster, ports: [{ port: 80 }], selector: { app: web } }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: web }
spec: { rules: [{ host: '', http: { paths: [{ path: /, pathType: ImplementationSpecific, backend: { service: { name: web, port: { number: 80 } } } }] } }], tls: [] }
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: false-class }
spec: { controller: false.example/ingress, parameters: { kind: Thing, name: one, scope: Cluster } }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: in }
spec: { podSelector: {}, ingress: [{ ports: [{ port: 80, protocol: TCP }] }], policyTypes: [Ingress] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: both }
spec: { podSelector: { matchLabels: {} }, egress: [{ ports: [{ port: 53, protocol: UDP }] }], policyTypes: [Ingress, Egress] }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: web }
spec: { maxUnavailable: 25%, selector: { matchLabels: { app: web } } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec:
  minReplicas: 1
  maxReplicas: 5
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: nobody }
  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 80 } } }]
  behavior:
    scaleDown: { stabilizationWindowSeconds: 60, selectPolicy: Max, policies: [{ type: Percent, value: 100, periodSeconds: 15 }] }
    scaleUp: { stabilizationWindowSeconds: 0, selectPolicy: Max, policies: [{ type: Pods, value: 4, periodSeconds: 15 }, { type: Percent, value: 100, periodSeconds: 15 }] }
---
apiVersion: v1
kind: PersistentVolume
metadata: { name: false-volume }
spec: { accessModes: [ReadWriteOnce], capacity: { storage: 1024Mi }, storageClassName: none, persistentVolumeReclaimPolicy: Retain, volumeMode: Filesystem, hostPath: { path: /tmp/false, type: '' } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data }
spec: { accessModes: [ReadWriteOnce], storageClassName: '', volumeMode: Filesystem, resources: { requests: { storage: 1024Mi } } }
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: false-class }
provisioner: false.example/disk
reclaimPolicy: Delete
volumeBindingMode: Immediate
---
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: { name: disk.false.example }
spec: { attachRequired: true, podInfoOnMount: false, storageCapacity: false, fsGroupPolicy: ReadWriteOnceWithFSType, volumeLifecycleModes: [Persistent], requiresRepublish: false, seLinuxMount: false }
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: false-class }
value: 5
preemptionPolicy: PreemptLowerPriority
globalDefault: false
---
apiVersion: v1
kind: LimitRange
metadata: { name: all }
spec: { limits: [{ type: Container, max: { cpu: 1 }, default: { cpu: 1 }, defaultRequest: { cpu: 1000m } }] }
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: { name: false.example }
spec:
  failurePolicy: Fail
  matchConstraints:
    matchPolicy: Equivalent
    namespaceSelector: {}
    objectSelector: {}
    resourceRules: [{ apiGroups: [false.example], apiVersions: [v1], operations: [CREATE], resources: [things], scope: '*' }]
  validations: [{ expression: 'true' }]
---
apiVersion: v1
kind: Secret
metadata: { name: login }
type: Opaque
data: { a: Yg== }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: web }
imagePullSecrets: []
---
apiVersion: v1
kind: Namespace
metadata: { name: false-defaults-more, labels: { kubernetes.io/metadata.name: false-defaults-more } }
spec: { finalizers: [kubernetes] }
";

/// Both at once would be two objects of one name in the cluster.
fn renamed(text: &str, to: &str) -> String {
    text.replace("name: false-", &format!("name: {to}-")).replace("false.example }\nspec", &format!("{to}.example }}\nspec"))
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_that_are_said_later() {
    let case = Case::begin("defaults", SHORT).await;
    case.same(LONG).await;
    case.same(SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_that_are_said_no_more() {
    let (short, long) = (renamed(SHORT, "more"), renamed(LONG, "more"));
    let mut case = Case::begin("defaults-gone", &long).await;
    case.same(&short).await;
    // The same once more where the shorter form is what was written last, after a real change.
    let other =
        |text: &str| text.replace("registry.example/web:1", "registry.example/web:2").replace("value: 5", "value: 5\ndescription: x");
    let fields = [
        "Deployment host: spec.template.spec.containers[name=web].image",
        "Deployment web: spec.template.spec.containers[name=web].image",
        "PriorityClass more-class: description",
    ];
    case.other(&other(&short), &fields).await;
    case.same(&other(&long)).await;
}

/// `kubectl get --output=yaml` and many charts print one document with everything in it.
#[tokio::test(flavor = "multi_thread")]
async fn objects_in_a_list() {
    let text = |value: &str| {
        format!(
            "
apiVersion: v1
kind: List
metadata: {{ resourceVersion: '' }}
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {{ name: one, creationTimestamp: null }}
  data: {{ a: {value} }}
- apiVersion: v1
  kind: ConfigMapList
  items: [{{ metadata: {{ name: two }}, data: {{ a: b }} }}]
"
        )
    };
    let mut case = Case::begin("list", &text("b")).await;
    let apart = "
{ apiVersion: v1, kind: ConfigMap, metadata: { name: two }, data: { a: b } }
---
{ apiVersion: v1, kind: ConfigMap, metadata: { name: one }, data: { a: b } }
";
    case.same(apart).await;
    case.other(&text("c"), &["ConfigMap one: data.a"]).await;
}
