//! A mutating admission webhook of our own: HTTPS, on the address at which a cluster without nodes reaches this machine.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use stratos_test_platforms::Cluster;

/// What is to be changed of an object that comes, as a JSON Patch.
pub type Changes = fn(&Value) -> Vec<Value>;

/// Serves the webhook for as long as the process lives, and registers it for these resources of the namespace of its name.
pub fn start(cluster: &Cluster, name: &str, rule: &str, changes: Changes) {
    let host = cluster.url().trim_start_matches("https://").replace(".10:6443", ".1").trim_end_matches('/').to_owned();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![host.clone()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let tls = Arc::new(tls.with_single_cert(vec![certificate.der().clone()], key).unwrap());
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, tls) = (stream.unwrap(), tls.clone());
            // Whoever goes away in between is no reason to end.
            std::thread::spawn(move || serve(rustls::StreamOwned::new(rustls::ServerConnection::new(tls).unwrap(), stream), changes));
        }
    });
    cluster.apply_yaml(&format!(
        "{{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {{name: {name}}}, webhooks: [{{
          name: mutate.{name}.example.com, failurePolicy: Fail, timeoutSeconds: 20, sideEffects: None, admissionReviewVersions: [v1],
          clientConfig: {{url: 'https://{host}:{port}/', caBundle: {ca}}},
          namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}, rules: [{rule}]}}]}}",
        ca = STANDARD.encode(certificate.pem()),
    ));
}

/// Answers the one request of a connection.
fn serve(stream: impl std::io::Read + std::io::Write, changes: Changes) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while stream.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let review: Value = serde_json::from_slice(&body)?;
    let patch = Value::Array(changes(&review["request"]["object"])).to_string();
    let answer = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
        "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch),
    } })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    write!(stream.get_mut(), "{head}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len())?;
    stream.get_mut().flush()
}
