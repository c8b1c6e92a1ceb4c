//! What the environment itself needed goes when nothing of anybody is left in it.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::json;
use stratos_engine::desired::owner::Owner;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};
use tokio::time::Instant;

use crate::apply_set::Places;
use crate::connection::Content;
use crate::failure::Failure;
use crate::marks;
use crate::object::live::Live;
use crate::platform::KubernetesPlatform;

/// What an empty namespace may take to go: a controller looks through all kinds of the cluster.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What is in every namespace, or goes with what it belongs to.
const NOBODYS: [(&str, &str); 6] = [
    ("serviceaccounts", "default"),
    ("configmaps", "kube-root-ca.crt"),
    ("events", ""),
    ("endpoints", ""),
    ("endpointslices", ""),
    ("leases", "stratos-"),
];

/// Deletes the namespace if we made it and nothing is in it. Everything in a namespace goes with it, so that everything is looked at.
pub(crate) async fn retire(platform: &KubernetesPlatform, owner: &Owner) -> Result<(), PlatformError> {
    let namespace = &platform.config.namespace;
    let attempted = format!("removing the namespace {namespace}");
    let failed = |failure: Failure| failure.error(&attempted);
    let path = format!("/api/v1/namespaces/{}", crate::query::segment(namespace));
    let Some(body) = platform
        .connection
        .find(&path)
        .await
        .or_else(|failure| if failure.is_denied() { Ok(None) } else { Err(failure) })
        .map_err(failed)?
    else {
        return Ok(());
    };
    let live = Live::parse(&body).map_err(|error| failed(Failure::unreadable(&error)))?;
    let ours = marks::labels_of_owner(owner).iter().all(|(key, value)| live.meta.labels.get(key) == Some(value));
    let set = platform.apply_set(owner);
    set.narrow(&platform.connection, &Places::default()).await.map_err(failed)?;
    if !ours || live.is_going() || !is_empty(platform).await.map_err(failed)? {
        return Ok(());
    }
    let options = json!({ "preconditions": { "uid": live.meta.uid } });
    let content = Content { kind: "application/json", bytes: options.to_string().into_bytes() };
    match platform.connection.send(Method::DELETE, &path, "application/json", Some(&content)).await {
        Err(failure) if failure.is_denied() || failure.is_not_found() => Ok(()),
        Err(failure) => Err(failed(failure)),
        Ok(_) => wait_until_gone(platform, &path, &live.meta.uid, &attempted).await,
    }
}

/// Nothing can be made in a namespace that is going, and nothing of its name beside it.
async fn wait_until_gone(platform: &KubernetesPlatform, path: &str, uid: &str, attempted: &str) -> Result<(), PlatformError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let there = platform.connection.find(path).await.map_err(|failure| failure.error(attempted))?;
        let there = there.and_then(|body| Live::parse(&body).ok()).is_some_and(|live| live.meta.uid == uid);
        if !there {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let why = format!("it is still being deleted after {}s", PATIENCE.as_secs());
            let error = PlatformError::new(PlatformErrorKind::Internal, attempted, why);
            return Err(error.with_hint("`kubectl get namespace --output yaml` says what it waits for"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[derive(Deserialize)]
struct Names {
    // An empty list may be `null`.
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemName,
}

#[derive(Deserialize)]
struct ItemName {
    #[serde(default)]
    name: String,
}

async fn is_empty(platform: &KubernetesPlatform) -> Result<bool, Failure> {
    let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let namespace = Some(platform.config.namespace.as_str());
    let listable = platform.discovery.listable().await?;
    // What cannot be looked at may be there.
    if !listable.undiscovered.is_empty() {
        return Ok(false);
    }
    for resource in listable.resources {
        let path = format!("{}?limit=20", resource.collection(namespace));
        let body = match platform.connection.send(Method::GET, &path, metadata, None).await {
            Ok(answer) => answer.body,
            Err(failure) if failure.is_not_found() => continue,
            // What may not be seen may be there.
            Err(failure) if failure.is_denied() => return Ok(false),
            Err(failure) => return Err(failure),
        };
        let names: Names = serde_json::from_slice(&body).map_err(|error| Failure::unreadable(&error))?;
        let nobodys = |name: &str| NOBODYS.iter().any(|(plural, known)| *plural == resource.plural && name.starts_with(known));
        if names.items.iter().flatten().any(|item| !nobodys(&item.metadata.name)) {
            return Ok(false);
        }
    }
    Ok(true)
}
