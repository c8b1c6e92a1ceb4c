//! Deleting objects, and waiting until they are gone.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use stratos_engine::platform::PlatformErrorKind;
use tokio::time::Instant;

use super::body::content;
use super::{Answer, Call, Found};
use crate::object::live::Live;
use crate::query::{Query, segment};
use crate::retire;

/// What an object may take to go: its pods get 30 s to end where they do not say more, one after another in a StatefulSet.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// The time limit of the first request for a kind.
const PATIENCE_TO_WAKE: Duration = Duration::from_secs(5);
/// Between two looks at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
const JSON: &str = "application/json";
const DEFINITION: &str = "CustomResourceDefinition.apiextensions.k8s.io";

/// An object as kubectl takes it: `widgets.example.com/w1 --namespace=shop`.
fn kubectl_name(found: &Found, live: &Live) -> String {
    let Found { kind, resource, namespace, live: _ } = found;
    let group = if kind.group.is_empty() { String::new() } else { format!(".{}", kind.group) };
    let within = if resource.namespaced { format!(" --namespace={namespace}") } else { String::new() };
    format!("{}{group}/{}{within}", resource.plural, live.meta.name)
}

/// The path that lists the first object of the kind that a definition's specification defines.
fn instances(specification: &Value) -> Option<String> {
    let versions = specification["versions"].as_array()?;
    let version = versions.iter().find(|version| version["served"] == true)?["name"].as_str()?;
    let (group, plural) = (specification["group"].as_str()?, specification["names"]["plural"].as_str()?);
    let path = format!("/apis/{}/{}/{}", segment(group), segment(version), segment(plural));
    Some(Query::of(path).with("limit", "1").as_str().to_owned())
}

/// The message of a definition's condition `Terminating`: why the API server has not deleted it yet.
fn terminating(status: &Value) -> Option<&str> {
    let conditions = status["conditions"].as_array()?;
    let terminating = conditions.iter().find(|condition| condition["type"] == "Terminating" && condition["status"] == "True")?;
    terminating["message"].as_str().filter(|message| !message.is_empty())
}

impl Call<'_> {
    /// Deletes it with what depends on it, if it is what was just read; and waits until it is gone.
    pub(super) async fn remove(&self, found: &Found, live: &Live) -> Result<(), Answer> {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground",
            "preconditions": { "uid": live.meta.uid, "resourceVersion": live.meta.resource_version },
        });
        self.wake(found, live).await;
        let path = found.path(&live.meta.name);
        match self.platform.connection.send(Method::DELETE, &path, JSON, Some(&content(JSON, &options))).await {
            Ok(_) => self.platform.lease.has_deleted(),
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => return Err(self.unwritten(&failure)),
        }
        self.wait_until_gone(found, live).await
    }

    /// Makes the API server open the storage of a kind whose definition is going to be deleted, which it does for the first request of
    /// that kind. Otherwise its own finalizer is the first, finds the storage "(re)initializing", and may then look at the definition
    /// again only after up to five minutes (seen in 1.34). The request has no effect where the user may not list the kind, and with several API
    /// servers only the one that answers opens its storage.
    async fn wake(&self, found: &Found, live: &Live) {
        if found.kind.to_string() != DEFINITION {
            return;
        }
        if let Some(path) = instances(&live.body["spec"]) {
            // The definition is deleted whether this request succeeds or not.
            tokio::select! {
                _ = self.platform.connection.get(&path) => {}
                () = tokio::time::sleep(PATIENCE_TO_WAKE) => {}
                () = self.context.given_up.cancelled() => {}
            }
        }
    }

    /// Waits until an object that is being deleted is gone.
    pub(super) async fn wait_until_gone(&self, found: &Found, live: &Live) -> Result<(), Answer> {
        let deadline = Instant::now() + self.platform.patience;
        let mut pause = PAUSE.0;
        loop {
            let is_over = Instant::now() >= deadline || self.context.given_up.is_cancelled();
            match self.get(found, &live.meta.name).await {
                Ok(there) => match there.filter(|there| there.meta.uid == live.meta.uid) {
                    None => return Ok(()),
                    Some(there) if is_over => return Err(self.stays(found, &there)),
                    Some(_) => {}
                },
                // It was taken, and goes on by itself: a server that restarts tells later.
                Err(Answer::Failed(error)) if error.kind.is_transient() && !is_over => {}
                Err(Answer::Failed(error)) if error.kind.is_transient() => return Err(Answer::Lost(error)),
                Err(answer) => return Err(answer),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.context.given_up.cancelled() => {}
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// An object that is still there: what its deletion waits for, and what to do about that.
    fn stays(&self, found: &Found, live: &Live) -> Answer {
        let waits_for: Vec<&str> = live.meta.finalizers.iter().map(String::as_str).collect();
        let kind = found.kind.to_string();
        let conditions = match kind.as_str() {
            "Namespace" => retire::conditions(live),
            DEFINITION => terminating(&live.body["status"]).map(str::to_owned),
            _ => None,
        };
        let why = match (waits_for.as_slice(), conditions) {
            (_, Some(conditions)) => format!("it is being deleted, and its conditions say: {conditions}"),
            ([], None) => "it is being deleted, and is still there".to_owned(),
            (names, None) => format!("it is being deleted, and waits for its finalizers: {}", names.join(", ")),
        };
        let object = kubectl_name(found, live);
        let hint = match waits_for.as_slice() {
            [] => format!("`kubectl describe {object}` shows what it waits for"),
            ["foregroundDeletion"] => "what depends on it does not end: `kubectl get pods` shows which pods are terminating".to_owned(),
            ["kubernetes.io/pvc-protection", ..] => format!("a pod still uses this claim: `kubectl describe {object}` names it"),
            ["customresourcecleanup.apiextensions.k8s.io", ..] => {
                format!(
                    "`kubectl get {} --all-namespaces` shows the objects of its kind that are still there, and their finalizers",
                    live.meta.name
                )
            }
            _ => format!(
                "a finalizer is removed by the controller that put it there: start that one, and run this again. If it is gone for good, \
                 `kubectl patch {object} --type=merge --patch='{{\"metadata\":{{\"finalizers\":null}}}}'` gives up what it would have cleaned up"
            ),
        };
        Answer::Failed(self.error(PlatformErrorKind::Internal, &why).with_hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_asked_for_an_object_in_a_version_that_it_serves() {
        let of = |versions: Value| instances(&json!({ "group": "example.com", "names": { "plural": "nets" }, "versions": versions }));
        let served = |name: &str, served: bool| json!({ "name": name, "served": served });
        assert_eq!(of(json!([served("v1", false), served("v2", true)])).as_deref(), Some("/apis/example.com/v2/nets?limit=1"));
        assert_eq!(of(json!([served("v1", false)])), None);
        assert_eq!(instances(&Value::Null), None);
    }

    #[test]
    fn the_reason_of_a_deletion_that_waits_is_the_condition_s_message() {
        let status = |of: Value| json!({ "conditions": [{ "type": "Established", "status": "True", "message": "accepted" }, of] });
        let initializing = json!({ "type": "Terminating", "status": "True", "message": "could not list instances" });
        assert_eq!(terminating(&status(initializing)), Some("could not list instances"));
        assert_eq!(terminating(&status(json!({ "type": "Terminating", "status": "False", "message": "done" }))), None);
        assert_eq!(terminating(&status(json!({ "type": "Terminating", "status": "True" }))), None);
        assert_eq!(terminating(&Value::Null), None);
    }
}
