//! What breaks while we work.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use stratos_engine::apply::RunVerdict;
use stratos_engine::platform::contract::stage::told;

use crate::proxy::Proxy;
use crate::support::eventually;
use crate::user::{User, Way, agreed, client, failures, nodeless, refusal, said, web};

/// So many apps without instances.
pub fn apps(count: usize) -> String {
    (0..count).map(|n| format!("[apps.a{n}]\nimage = \"registry.example/web:1\"\nreplicas = 0\nports.http = 8080\n\n")).collect()
}

/// A server's own answer.
fn answer(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = serde_json::json!({ "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": message });
    (code, [(header::CONTENT_TYPE, "application/json")], status.to_string()).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_the_server_has_forgotten_is_begun_anew() {
    let cluster = nodeless();
    let mut user = User::new(cluster, "faults-gone");
    user.apps = apps(4);
    user.converge().await;
    let proxy = Proxy::new(client(cluster.kubeconfig()).await).await;
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let forgotten = std::sync::Arc::new(AtomicUsize::default());
    let counted = forgotten.clone();
    // Real pages of one object each; the second one of each list is forgotten once.
    proxy.fault(move |_: &Method, uri: &mut Uri| {
        let small = uri.to_string().replace("limit=500", "limit=1");
        let first = small.contains("&continue=") && {
            let times = told.entry(uri.path().to_owned()).or_default();
            *times += 1;
            *times == 1
        };
        *uri = small.parse().unwrap();
        first.then(|| {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(StatusCode::GONE, "Expired", "The provided continue parameter is too old")
        })
    });
    user.through(Way::Url(proxy.url())).nothing().await;
    assert!(forgotten.load(Ordering::SeqCst) >= 3, "lists of Deployments, Services, ServiceAccounts");
    let pages = proxy.take_seen().iter().filter(|request| request.contains("/deployments?") && request.contains("continue=")).count();
    assert_eq!(pages, 4, "one forgotten, three that were read");
    user.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_again_when_it_said_and_never_by_more_than_32_at_once() {
    let cluster = nodeless();
    let mut user = User::new(cluster, "faults-busy");
    user.apps = apps(20);
    let proxy = Proxy::new(client(cluster.kubeconfig()).await).await;
    let through = user.through(Way::Url(proxy.url()));
    // Each address is busy so many times, and tells whoever comes back before the time that it said.
    let busy = |times: usize| {
        let mut told: BTreeMap<String, (usize, Option<Instant>)> = BTreeMap::new();
        move |method: &Method, uri: &mut Uri| {
            let (count, last) = told.entry(format!("{method} {}", uri.path())).or_default();
            // Several writes at once may have one address: a collection's.
            let early = method != Method::POST && last.is_some_and(|last| last.elapsed() < Duration::from_millis(900)) && *count <= times;
            *count += 1;
            *last = Some(Instant::now());
            if early {
                return Some(answer(StatusCode::IM_A_TEAPOT, "Early", "it came back before its time"));
            }
            (*count <= times).then(|| {
                let mut answer = answer(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "the server is busy");
                answer.headers_mut().insert(header::RETRY_AFTER, "1".parse().unwrap());
                answer
            })
        }
    };
    proxy.fault(busy(2));
    let plan = through.plan().await;
    assert_eq!(plan.changes.len(), 60);
    proxy.fault(busy(1));
    let applied = through.apply(&plan).await;
    assert_eq!(applied.verdict(), RunVerdict::Success, "{}", told(&plan, &applied));
    proxy.fault(|_: &Method, _: &mut Uri| None);
    through.nothing().await;
    assert!((9..=32).contains(&proxy.most()), "{} at once", proxy.most());
    user.destroy().await;
}

/// A webhook for Deployments of a namespace.
fn webhook(user: &User<'_>, url: &str) {
    user.cluster.apply_yaml(&format!(
        "{{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {{name: {name}}}, webhooks: [{{
          name: gate.{name}.example.com, failurePolicy: Fail, timeoutSeconds: 1, sideEffects: None, admissionReviewVersions: [v1],
          clientConfig: {{url: '{url}'}}, namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}},
          rules: [{{apiGroups: [apps], apiVersions: ['*'], operations: [CREATE, UPDATE], resources: [deployments]}}]}}]}}",
        name = user.namespace,
    ));
}

/// Plans and applies beside a webhook that does not answer, at creation and at an update.
async fn goes_through_after(mut user: User<'_>, url: &str, why: &str) {
    let name = format!("gate.{}.example.com", user.namespace);
    webhook(&user, url);
    let plan = user.plan().await;
    // The server learns of a webhook a moment after it is written.
    let failed = eventually(|| async {
        let plan = user.plan().await;
        let failed = failures(&user.apply(&plan).await);
        if failed.is_empty() {
            user.kubectl(&["delete", "deployment", "web", "--ignore-not-found"]);
            return Err("the webhook is not asked yet".to_owned());
        }
        Ok(failed)
    })
    .await;
    let [(what, sentence, hint)] = &failed[..] else { panic!("{failed:#?}") };
    assert!(what.contains("Deployment.apps/web") && sentence.contains(&name) && sentence.contains(why), "{failed:#?}");
    assert!(hint.contains(&name) && hint.contains("does not answer"), "{hint}");
    assert_eq!(user.names("deployments"), [""; 0]);
    assert!(!plan.is_empty());
    user.kubectl(&["delete", "validatingwebhookconfiguration", &user.namespace]);
    eventually(|| async {
        let plan = user.plan().await;
        let applied = user.apply(&plan).await;
        if applied.verdict() == RunVerdict::Success { Ok(()) } else { Err(told(&plan, &applied)) }
    })
    .await;
    user.nothing().await;

    // It is asked in a dry run as well: the plan says so.
    webhook(&user, url);
    let before = user.live("deployment/web")["metadata"]["resourceVersion"].clone();
    user.apps = web("2", "");
    let error = eventually(|| async {
        match user.try_plan().await {
            Ok(plan) if plan.held.is_empty() => Err("the webhook is not asked yet".to_owned()),
            Ok(plan) => Ok(said(&plan)),
            Err(error) => Ok(format!("{error:?}")),
        }
    })
    .await;
    assert!(error.contains(&name) && error.contains("does not answer"), "{error}");
    assert_eq!(user.live("deployment/web")["metadata"]["resourceVersion"], before);
    user.kubectl(&["delete", "validatingwebhookconfiguration", &user.namespace]);
    eventually(|| async {
        let plan = user.try_plan().await.map_err(|error| error.to_string())?;
        if plan.held.is_empty() { Ok(()) } else { Err(said(&plan)) }
    })
    .await;
    user.converge().await;
    user.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_down_is_named() {
    goes_through_after(User::new(nodeless(), "faults-webhook-down"), "https://127.0.0.1:1/", "connection refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_never_answers_is_named() {
    let cluster = nodeless();
    // Connections are made, and nobody takes them.
    let silent = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let host = cluster.url().replace(".10:6443", ".1").trim_end_matches('/').to_owned();
    let url = format!("{host}:{}/", silent.local_addr().unwrap().port());
    goes_through_after(User::new(cluster, "faults-webhook-slow"), &url, "deadline exceeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_being_deleted_is_said_and_waited_out() {
    let user = User::new(nodeless(), "faults-terminating");
    user.cluster.apply_yaml(&format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: stays, namespace: {}, finalizers: [example.com/never]}}}}",
        user.namespace
    ));
    user.kubectl(&["delete", "namespace", &user.namespace, "--wait=false"]);
    let plan = user.plan().await;
    assert!(!plan.is_empty());
    let error = refusal(user.try_apply(&plan).await);
    assert!(error.to_string().contains("because it is being terminated"), "{error}");
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("the namespace is being deleted")), "{error:?}");
    user.kubectl(&["patch", "configmap", "stays", "--type=merge", "--patch", r#"{"metadata":{"finalizers":null}}"#]);
    user.kubectl(&["wait", "--for=delete", &format!("namespace/{}", user.namespace), "--timeout=120s"]);
    // It is made anew, and is ours then.
    user.converge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_finalizer_keeps_is_reported_with_its_name_in_time() {
    let mut user = User::new(nodeless(), "faults-finalizer");
    user.converge().await;
    user.kubectl(&["patch", "deployment", "web", "--type=merge", "--patch", r#"{"metadata":{"finalizers":["example.com/never"]}}"#]);
    user.nothing().await;
    user.patience = Duration::from_secs(2);
    let destroyer = User { policy: agreed(), ..user.through(user.way.clone()) };
    let plan = destroyer.plan().await;
    let began = Instant::now();
    let failed = failures(&destroyer.apply(&plan).await);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let [(what, why, hint)] = &failed[..] else { panic!("{failed:#?}") };
    assert!(what.contains("Deployment.apps/web") && why.contains("example.com/never") && hint.contains("controller"), "{failed:#?}");
    user.kubectl(&["patch", "deployment", "web", "--type=merge", "--patch", r#"{"metadata":{"finalizers":null}}"#]);
    user.kubectl(&["wait", "--for=delete", "deployment/web", "--timeout=60s"]);
    user.destroy().await;
}
