//! Kubernetes itself: its parts work together, can be taken away, and leave nothing behind.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stratos_test_platforms::{Cluster, Part, eventually};

fn holds(found: String, wanted: &str) -> Result<String, String> {
    if found.contains(wanted) { Ok(found) } else { Err(format!("no {wanted:?} in: {found}")) }
}

fn deployment(cluster: &Cluster, name: &str, image: &str, more: &str) {
    let registry = cluster.registry();
    cluster.apply_yaml(&format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: {name} }}
spec:
  selector: {{ matchLabels: {{ app: {name} }} }}
  template:
    metadata: {{ labels: {{ app: {name} }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: {registry}/{image}
          securityContext: {{ runAsUser: 1000, runAsNonRoot: true }}
{more}"
    ));
}

fn waiting_for(cluster: &Cluster, app: &str) -> String {
    let reason = "--output=jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}";
    cluster.kubectl(&["get", "pods", "--selector", &format!("app={app}"), reason])
}

fn page(address: &str) -> Result<String, String> {
    let answer = || {
        let mut stream = TcpStream::connect_timeout(&address.parse().map_err(std::io::Error::other)?, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    answer().map_err(|error| error.to_string())
}

#[test]
fn a_deployment_answers_under_all_names_of_its_service() {
    let cluster = Cluster::shared();
    deployment(cluster, "page", "web:2", "          readinessProbe: { httpGet: { path: /healthz, port: 8080 }, periodSeconds: 1 }\n");
    cluster.apply_yaml(
        "{apiVersion: v1, kind: Service, metadata: {name: page}, spec: {type: NodePort, selector: {app: page}, \
         ports: [{port: 80, targetPort: 8080}]}}",
    );
    cluster.kubectl(&["rollout", "status", "deployment/page", "--timeout=60s"]);
    let service = |field: &str| cluster.kubectl(&["get", "service", "page", &format!("--output=jsonpath={{.spec.{field}}}")]);
    for address in [
        format!("{}:{}", cluster.node_address(), service("ports[0].nodePort")),
        format!("{}:{}", service("clusterIP"), service("ports[0].port")),
    ] {
        let answer = eventually("an answer", || page(&address));
        assert!(answer.ends_with("\r\n\r\n2"), "{address}: {answer}");
    }
    for name in ["page", "page.default.svc", "page.default.svc.cluster.local"] {
        let url = format!("http://{name}/");
        assert_eq!(cluster.kubectl(&["exec", "deployment/page", "--", "wget", "-q", "-O", "-", &url]), "2", "{name}");
    }
    let unknown = cluster.try_kubectl(&["exec", "deployment/page", "--", "wget", "-O", "-", "http://page.nowhere.svc/"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("bad address"), "{unknown:?}");
    assert_eq!(cluster.kubectl(&["logs", "deployment/page"]), "version 2 listens on 8080");
}

#[test]
fn pods_of_a_headless_service_have_names() {
    let cluster = Cluster::shared();
    let registry = cluster.registry();
    cluster.apply_yaml(&format!(
        "
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: peers }}
spec:
  serviceName: peers
  selector: {{ matchLabels: {{ app: peers }} }}
  template:
    metadata: {{ labels: {{ app: peers }} }}
    spec: {{ containers: [{{ name: main, image: {registry}/web:1 }}] }}
---
apiVersion: v1
kind: Service
metadata: {{ name: peers }}
spec: {{ clusterIP: None, selector: {{ app: peers }}, ports: [{{ port: 8080 }}] }}
"
    ));
    cluster.kubectl(&["rollout", "status", "statefulset/peers", "--timeout=60s"]);
    eventually("an answer under its name", || {
        let answer = cluster.try_kubectl(&["exec", "peers-0", "--", "wget", "-q", "-O", "-", "http://peers-0.peers:8080/"]);
        if answer.stdout == b"1" { Ok(()) } else { Err(format!("{answer:?}")) }
    });
}

#[test]
fn what_cannot_run_says_why() {
    let cluster = Cluster::shared();
    deployment(cluster, "missing", "web:9", "");
    deployment(cluster, "crashing", "web:crash", "");
    eventually("the cause", || holds(waiting_for(cluster, "missing"), "ImagePullBackOff"));
    eventually("the cause", || holds(waiting_for(cluster, "crashing"), "CrashLoopBackOff"));
    let said = cluster.kubectl(&["logs", "deployment/crashing"]);
    assert_eq!(said, "cannot open the database: connection refused");
    cluster.kubectl(&["delete", "deployment", "missing", "crashing"]);
}

#[test]
fn a_claim_is_bound_and_its_volume_goes_with_it() {
    let cluster = Cluster::shared();
    cluster.apply_yaml(
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, \
         spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}",
    );
    let volume = "          volumeMounts: [{ name: data, mountPath: /data }]\n      \
                  volumes: [{ name: data, persistentVolumeClaim: { claimName: data } }]\n";
    deployment(cluster, "writer", "web:1", volume);
    cluster.kubectl(&["rollout", "status", "deployment/writer", "--timeout=60s"]);
    cluster.kubectl(&["exec", "deployment/writer", "--", "sh", "-c", "echo kept > /data/file"]);
    // Another pod finds what the first has written.
    cluster.kubectl(&["delete", "pod", "--selector=app=writer"]);
    cluster.kubectl(&["rollout", "status", "deployment/writer", "--timeout=60s"]);
    assert_eq!(cluster.kubectl(&["exec", "deployment/writer", "--", "cat", "/data/file"]), "kept");
    let name = cluster.kubectl(&["get", "pvc", "data", "--output=jsonpath={.spec.volumeName}"]);
    let path = cluster.kubectl(&["get", "pv", &name, "--output=jsonpath={.spec.hostPath.path}"]);
    cluster.kubectl(&["delete", "deployment/writer", "pvc/data"]);
    cluster.kubectl(&["wait", "--for=delete", &format!("pv/{name}"), "--timeout=60s"]);
    assert!(!Path::new(&path).exists(), "{path} is left");
}

/// The whole of one cluster's life, since each costs seconds.
#[test]
fn a_cluster_lives_through_kills_and_leaves_nothing_behind() {
    let cluster = Cluster::start();
    deployment(&cluster, "page", "web:1", "");
    cluster.kubectl(&["rollout", "status", "deployment/page", "--timeout=60s"]);

    cluster.kill(Part::ApiServer);
    assert!(!cluster.try_kubectl(&["get", "pods", "--request-timeout=5s"]).status.success());
    cluster.revive(Part::ApiServer);
    assert_eq!(cluster.kubectl(&["get", "deployment", "page", "--output=name"]), "deployment.apps/page");
    cluster.kill(Part::Etcd);
    cluster.revive(Part::Etcd);
    assert_eq!(cluster.kubectl(&["get", "deployment", "page", "--output=name"]), "deployment.apps/page");
    cluster.kill(Part::Kubelet);
    cluster.kubectl(&["wait", "--for=condition=Ready=Unknown", "node/node", "--timeout=60s"]);
    cluster.revive(Part::Kubelet);
    cluster.kubectl(&["wait", "--for=condition=Ready", "node/node", "--timeout=60s"]);
    cluster.kill(Part::Scheduler);
    cluster.kill(Part::ControllerManager);
    cluster.revive(Part::ControllerManager);
    cluster.revive(Part::Scheduler);
    cluster.kubectl(&["scale", "deployment/page", "--replicas=2"]);
    cluster.kubectl(&["rollout", "status", "deployment/page", "--timeout=60s"]);

    let folder = cluster.kubeconfig().ancestors().nth(2).expect("the cluster's folder").to_owned();
    let subnet = cluster.node_address().split('.').nth(2).expect("a subnet").to_owned();
    assert!(traces(&folder, &subnet).len() >= 5, "this finds too little: {:?}", traces(&folder, &subnet));
    drop(cluster);
    assert_eq!(traces(&folder, &subnet), Vec::<String>::new());
}

/// What this machine has of a cluster.
fn traces(folder: &Path, subnet: &str) -> Vec<String> {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let folder_text = folder.display().to_string();
    let name = format!("strk{subnet}");
    let mut traces: Vec<String> = [
        ("process", output("ps", &["-eo", "args"]), folder_text.as_str()),
        ("mount", output("findmnt", &["-rn"]), folder_text.as_str()),
        ("network namespace", output("ip", &["netns"]), name.as_str()),
        ("network interface", output("ip", &["link"]), name.as_str()),
        ("route", output("ip", &["route"]), name.as_str()),
        ("control group", output("find", &["/sys/fs/cgroup", "-name", &name]), name.as_str()),
        // Never there: the rules are in the cluster's network namespace.
        ("firewall rule", output("iptables-save", &[]), "KUBE-"),
    ]
    .into_iter()
    .filter_map(|(kind, found, wanted)| found.lines().find(|line| line.contains(wanted)).map(|line| format!("{kind}: {line}")))
    .collect();
    if folder.exists() {
        traces.push(format!("folder: {folder_text}"));
    }
    traces
}

#[test]
fn an_api_server_alone_knows_users_and_counts_their_requests() {
    let cluster = Cluster::start_api_only();
    assert!(cluster.ca_file().exists());
    let ada = cluster.kubeconfig_of("ada", &["developers"]).display().to_string();
    let as_ada = |arguments: &[&str]| cluster.try_kubectl(&[&["--kubeconfig", ada.as_str()], arguments].concat());

    let refused = as_ada(&["get", "configmaps"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains(r#"User "ada" cannot list resource "configmaps""#), "{refused:?}");
    cluster.kubectl(&["create", "rolebinding", "developers", "--clusterrole=edit", "--group=developers"]);
    // The server learns of the binding a moment later.
    eventually("the right to read", || as_ada(&["get", "configmaps"]).status.success());

    let mark = cluster.mark();
    assert!(as_ada(&["create", "configmap", "settings"]).status.success());
    assert!(as_ada(&["delete", "configmap", "settings", "--dry-run=server"]).status.success());
    assert!(as_ada(&["delete", "configmap", "settings", "--wait=false"]).status.success());
    let requests = cluster.requests_since(mark);
    let hers = |verb: &str| -> Vec<(u64, bool)> {
        let hers = requests.iter().filter(|request| request.verb == verb && request.user == "ada");
        hers.map(|request| (request.status, request.dry_run)).collect()
    };
    assert_eq!(hers("create"), [(201, false)], "{requests:?}");
    assert_eq!(hers("delete"), [(200, true), (200, false)], "{requests:?}");
    assert!(requests.iter().all(|request| request.user == "ada"), "{requests:?}");

    let token = cluster.token_of("default", "default");
    let refused = cluster.try_kubectl(&["auth", "whoami", "--kubeconfig=/dev/null", "--server", &cluster.url(), "--token", &token]);
    assert!(!refused.status.success(), "a server that nobody vouches for is trusted: {refused:?}");
    let authority = cluster.ca_file().display().to_string();
    let who =
        ["auth", "whoami", "--kubeconfig=/dev/null", "--server", &cluster.url(), "--token", &token, "--certificate-authority", &authority];
    assert!(cluster.kubectl(&who).contains("system:serviceaccount:default:default"));
}
