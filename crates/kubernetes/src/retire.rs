//! What the environment itself needed goes when nothing of anybody is left in it.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
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
    if !ours {
        return Ok(());
    }
    if live.is_going() {
        return match conditions(&live) {
            Some(_) => Err(stays(&attempted, "it is being deleted".to_owned(), &live)),
            None => wait_until_gone(platform, &path, &live.meta.uid, &attempted).await,
        };
    }
    match content(platform, owner).await.map_err(failed)? {
        Held::Nothing => {}
        Held::Ours => return Ok(()),
        Held::Other(why) => return Err(stays(&attempted, format!("it stays: {why}"), &live)),
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
        let there = there.and_then(|body| Live::parse(&body).ok()).filter(|live| live.meta.uid == uid);
        let Some(live) = there else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(stays(attempted, format!("it is still being deleted after {}s", PATIENCE.as_secs()), &live));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A namespace that stays, with what its conditions say.
fn stays(attempted: &str, why: String, live: &Live) -> PlatformError {
    let why = match conditions(live) {
        Some(conditions) => format!("{why}, and its conditions say: {conditions}"),
        None => why,
    };
    let hint = format!("remove what is in the way; then `stratos destroy` once more, or `kubectl delete namespace {}`", live.meta.name);
    PlatformError::new(PlatformErrorKind::Internal, attempted, why).with_hint(hint)
}

/// The messages of a namespace's conditions about what is in the way of its deletion.
pub(crate) fn conditions(live: &Live) -> Option<String> {
    let conditions = live.body.get("status").and_then(|status| status.get("conditions")).and_then(Value::as_array)?;
    let true_ones = conditions.iter().filter(|condition| condition.get("status").is_some_and(|status| status == "True"));
    let words: Vec<&str> = true_ones.filter_map(|condition| condition.get("message").and_then(Value::as_str)).collect();
    (!words.is_empty()).then(|| words.join("; "))
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
    #[serde(default)]
    labels: Option<marks::Map>,
}

/// The content of the namespace.
enum Held {
    Nothing,
    /// An app of ours, which `--app` has left out.
    Ours,
    /// Something else, or it cannot be told: a sentence.
    Other(String),
}

async fn content(platform: &KubernetesPlatform, owner: &Owner) -> Result<Held, Failure> {
    let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let namespace = Some(platform.config.namespace.as_str());
    let listable = platform.discovery.listable().await?;
    // What cannot be looked at may be there.
    if !listable.undiscovered.is_empty() {
        let groups = listable.undiscovered.join(", ");
        return Ok(Held::Other(format!("whether it is empty cannot be told, since these APIs of the cluster do not answer: {groups}")));
    }
    let mut other = None;
    for resource in listable.resources {
        let path = format!("{}?limit=20", resource.collection(namespace));
        let body = match platform.connection.send(Method::GET, &path, metadata, None).await {
            Ok(answer) => answer.body,
            Err(failure) if failure.is_not_found() => continue,
            // Something may be there of a kind that cannot be seen.
            Err(failure) if failure.is_denied() || failure.is_of_its_kind() => {
                let cannot = if failure.is_denied() { "may not" } else { "cannot" };
                let why = format!("whether it is empty cannot be told, since its {} {cannot} be listed", resource.plural);
                other.get_or_insert(why);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let names: Names = serde_json::from_slice(&body).map_err(|error| Failure::unreadable(&error))?;
        let nobodys = |name: &str| NOBODYS.iter().any(|(plural, known)| *plural == resource.plural && name.starts_with(known));
        for Item { metadata: ItemName { name, labels } } in names.items.into_iter().flatten().filter(|item| !nobodys(&item.metadata.name)) {
            if marks::ownership(&labels.unwrap_or_default(), &marks::Map::new(), owner).marks().is_some() {
                return Ok(Held::Ours);
            }
            other.get_or_insert_with(|| format!("it holds {}/{name}, which is not ours", resource.plural));
        }
    }
    Ok(other.map_or(Held::Nothing, Held::Other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of a namespace's conditions: they are reported where it stays.
    #[test]
    fn a_namespace_that_stays_says_what_its_conditions_say() {
        let namespace = |conditions: Value| {
            let body =
                json!({ "metadata": { "name": "shop", "uid": "1" }, "status": { "phase": "Terminating", "conditions": conditions } });
            Live::parse(&serde_json::to_vec(&body).unwrap()).unwrap()
        };
        let condition =
            |status: &str, message: &str| json!({ "type": "NamespaceDeletionDiscoveryFailure", "status": status, "message": message });
        for (conditions, expected) in [
            (json!(null), "removing the namespace shop: it is being deleted"),
            (json!([]), "removing the namespace shop: it is being deleted"),
            (json!([condition("False", "All resources successfully discovered")]), "removing the namespace shop: it is being deleted"),
            (
                json!([condition("True", "Discovery failed for x/v1"), condition("False", "fine"), condition("True", "Some are left")]),
                "removing the namespace shop: it is being deleted, and its conditions say: Discovery failed for x/v1; Some are left",
            ),
        ] {
            let error = stays("removing the namespace shop", "it is being deleted".to_owned(), &namespace(conditions));
            assert_eq!(error.to_string(), expected);
            assert!(error.hint.is_some_and(|hint| hint.contains("kubectl delete namespace shop")));
        }
    }
}
