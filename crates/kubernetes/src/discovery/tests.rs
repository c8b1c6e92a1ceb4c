use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::answering::Server;

/// What a server of today answers: its own kinds, a group of a definition in two versions, and one whose server is away.
fn aggregated(path: &str) -> Option<&'static str> {
    Some(match path {
        "/api" => {
            r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[{"metadata":{},"versions":[
            {"version":"v1","freshness":"Current","resources":[
              {"resource":"bindings","responseKind":{"group":"","version":"","kind":"Binding"},"scope":"Namespaced","verbs":["create"]},
              {"resource":"configmaps","responseKind":{"group":"","version":"","kind":"ConfigMap"},"scope":"Namespaced",
               "verbs":["create","delete","get","list"]},
              {"resource":"nodes","responseKind":{"group":"","version":"","kind":"Node"},"scope":"Cluster","verbs":["delete","list"]}]}]}]}"#
        }
        "/apis" => {
            r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[
            {"metadata":{"name":"example.com","creationTimestamp":null},"versions":[
              {"version":"v1","freshness":"Current","resources":[
                {"resource":"widgets","responseKind":{"group":"example.com","version":"v1","kind":"Widget"},"scope":"Namespaced",
                 "verbs":["delete","list"],"subresources":[{"subresource":"status","verbs":["get"]}]},
                {"resource":"empty","responseKind":null,"scope":"Namespaced","verbs":null},
                {"resource":"plants","responseKind":{"group":"example.com","version":"v1","kind":"Plant"},"scope":"Cluster","verbs":["list"]}]},
              {"version":"v1beta1","freshness":"Current","resources":[
                {"resource":"widgets","responseKind":{"group":"example.com","version":"v1beta1","kind":"Widget"},"scope":"Namespaced",
                 "verbs":["delete","list"]}]}]},
            {"metadata":{"name":"broken.example.com"},"versions":[{"version":"v1","freshness":"Current","resources":[{"resource":7}]}]},
            {"metadata":{"name":"metrics.k8s.io"},"versions":[{"version":"v1beta1","freshness":"Stale"}]}]}"#
        }
        _ => return None,
    })
}

/// The same before Kubernetes 1.26.
fn listed(path: &str) -> Option<&'static str> {
    Some(match path {
        "/api" => r#"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#,
        "/apis" => {
            r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[
            {"name":"example.com","versions":[{"groupVersion":"example.com/v1beta1","version":"v1beta1"},
              {"groupVersion":"example.com/v1","version":"v1"}],"preferredVersion":{"groupVersion":"example.com/v1","version":"v1"}},
            {"name":"metrics.k8s.io","versions":[{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}]}]}"#
        }
        "/api/v1" => {
            r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[
            {"name":"configmaps","singularName":"","namespaced":true,"kind":"ConfigMap","verbs":["create","delete","get","list"]},
            {"name":"nodes","singularName":"","namespaced":false,"kind":"Node","verbs":["delete","list"]}]}"#
        }
        "/apis/example.com/v1" => {
            r#"{"kind":"APIResourceList","groupVersion":"example.com/v1","resources":[
            {"name":"widgets","namespaced":true,"kind":"Widget","verbs":["delete","list"]},
            {"name":"widgets/status","namespaced":true,"kind":"Widget","verbs":["get"]},
            {"name":"plants","namespaced":false,"kind":"Plant","verbs":["list"]}]}"#
        }
        "/apis/example.com/v1beta1" => {
            r#"{"kind":"APIResourceList","groupVersion":"example.com/v1beta1","resources":[
            {"name":"widgets","namespaced":true,"kind":"Widget","verbs":["delete","list"]}]}"#
        }
        _ => return None,
    })
}

/// A server that answers so; what it does not have is away.
async fn server(answers: fn(&str) -> Option<&'static str>) -> (Server, Discovery) {
    let server = Server::start(move |head| {
        let path = head.split(' ').nth(1).unwrap();
        answers(path).map_or((503, "service unavailable".to_owned()), |body| (200, body.to_owned()))
    })
    .await;
    let discovery = Discovery::new(server.connection());
    (server, discovery)
}

fn widget(api_version: &str) -> Resource {
    Resource { api_version: api_version.into(), kind: "Widget".into(), plural: "widgets".into(), namespaced: true }
}

async fn find(discovery: &Discovery, kind: &str, api_version: Option<&str>) -> Result<Option<Resource>, Failure> {
    discovery.find(&GroupKind::parse(kind), api_version).await
}

#[tokio::test]
async fn what_comes_with_every_cluster_needs_no_request() {
    let (server, discovery) = server(aggregated).await;
    for (kind, api_version, plural) in [
        ("ConfigMap", None, "/api/v1/namespaces/x/configmaps"),
        ("Namespace", None, "/api/v1/namespaces"),
        ("Deployment.apps", Some("apps/v1"), "/apis/apps/v1/namespaces/x/deployments"),
        ("HorizontalPodAutoscaler.autoscaling", None, "/apis/autoscaling/v2/namespaces/x/horizontalpodautoscalers"),
        ("HorizontalPodAutoscaler.autoscaling", Some("autoscaling/v1"), "/apis/autoscaling/v1/namespaces/x/horizontalpodautoscalers"),
        ("CustomResourceDefinition.apiextensions.k8s.io", None, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
    ] {
        let found = find(&discovery, kind, api_version).await.unwrap().unwrap();
        assert_eq!(found.collection(Some("x")), plural);
    }
    assert!(server.asked().is_empty());
}

/// Both forms say the same; the new one in two requests.
#[tokio::test]
async fn other_kinds_are_asked_for_once() {
    for (answers, requests) in [(aggregated as fn(&str) -> Option<&'static str>, 2), (listed, 6)] {
        let (server, discovery) = server(answers).await;
        assert_eq!(find(&discovery, "Widget.example.com", None).await.unwrap(), Some(widget("example.com/v1")));
        assert_eq!(find(&discovery, "Widget.example.com", Some("example.com/v1beta1")).await.unwrap(), Some(widget("example.com/v1beta1")));
        assert!(!find(&discovery, "Plant.example.com", None).await.unwrap().unwrap().namespaced);
        assert_eq!(server.asked().len(), requests, "{:?}", server.paths());
        let listable = discovery.listable().await.unwrap();
        let names: Vec<_> = listable.resources.iter().map(|resource| format!("{}/{}", resource.api_version, resource.plural)).collect();
        assert_eq!(names, ["v1/configmaps", "example.com/v1/widgets"]);
        assert!(listable.undiscovered.contains(&"metrics.k8s.io".to_owned()));
        assert_eq!(server.asked().len(), requests);
    }
}

#[tokio::test]
async fn the_document_with_everything_is_asked_for() {
    let (server, discovery) = server(aggregated).await;
    find(&discovery, "Widget.example.com", None).await.unwrap();
    let asked = server.asked();
    assert!(asked.iter().all(|head| head.contains("g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")), "{asked:?}");
}

#[tokio::test]
async fn an_unknown_kind_is_asked_for_once_more_and_not_again() {
    let (server, discovery) = server(aggregated).await;
    assert_eq!(find(&discovery, "Gadget.example.com", None).await.unwrap(), None);
    assert_eq!(server.asked().len(), 2);
    for _ in 0..3 {
        assert_eq!(find(&discovery, "Gadget.example.com", None).await.unwrap(), None);
        assert_eq!(find(&discovery, "Gizmo.example.com", None).await.unwrap(), None);
    }
    assert_eq!(server.asked().len(), 4);
    discovery.defined("other.example.com").await;
    find(&discovery, "Gadget.example.com", None).await.unwrap();
    assert_eq!(server.asked().len(), 6);
}

/// The definition is established, and the server does not tell of its kind yet.
#[tokio::test]
async fn a_kind_that_was_defined_a_moment_ago_is_waited_for() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |head| {
        let late = head.starts_with("GET /apis ") && asked.fetch_add(1, Ordering::SeqCst) >= 3;
        let empty = r#"{"kind":"APIGroupDiscoveryList","items":[]}"#;
        (200, if late { aggregated("/apis").unwrap() } else { empty }.to_owned())
    })
    .await;
    let discovery = Discovery::new(server.connection());
    assert_eq!(find(&discovery, "Widget.example.com", None).await.unwrap(), None);
    discovery.defined("other.example.com").await;
    assert_eq!(find(&discovery, "Widget.example.com", None).await.unwrap(), None, "of another group nothing is expected");
    discovery.defined("example.com").await;
    assert_eq!(find(&discovery, "Widget.example.com", None).await.unwrap(), Some(widget("example.com/v1")));
}

#[tokio::test]
async fn a_kind_that_was_defined_since_is_found() {
    let defined = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&defined);
    let server = Server::start(move |head| {
        let own = head.starts_with("GET /api ") || !now.load(Ordering::SeqCst);
        let empty = r#"{"kind":"APIGroupDiscoveryList","items":[]}"#;
        (200, if own { empty } else { aggregated("/apis").unwrap() }.to_owned())
    })
    .await;
    let discovery = Discovery::new(server.connection());
    assert_eq!(find(&discovery, "Widget.example.com", None).await.unwrap(), None);
    defined.store(true, Ordering::SeqCst);
    assert_eq!(find(&discovery, "Widget.example.com", None).await.unwrap(), Some(widget("example.com/v1")));
}

/// Silence is not absence.
#[tokio::test]
async fn a_group_whose_server_is_away_is_an_error_and_the_others_are_there() {
    for answers in [aggregated as fn(&str) -> Option<&'static str>, listed] {
        let (_server, discovery) = server(answers).await;
        let failure = find(&discovery, "PodMetrics.metrics.k8s.io", None).await.unwrap_err();
        assert!(failure.why().contains("the group metrics.k8s.io has could not be discovered"), "{}", failure.why());
        assert!(failure.error("x").hint.unwrap().contains("kubectl get apiservice"));
        assert!(find(&discovery, "Widget.example.com", None).await.unwrap().is_some());
    }
    let (_server, discovery) = server(aggregated).await;
    assert!(find(&discovery, "Thing.broken.example.com", None).await.is_err());
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_asked_again_next_time() {
    let (server, discovery) = server(|_| None).await;
    for asked in [1, 2] {
        assert!(find(&discovery, "Widget.example.com", None).await.is_err());
        assert!(server.asked().len() >= asked);
    }
}
