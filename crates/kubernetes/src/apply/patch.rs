//! Making and changing objects.

use http::Method;
use serde_json::json;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use super::body::content;
use super::{Answer, Call, Found};
use crate::failure::Failure;
use crate::marks;
use crate::object::live::{Live, MANAGER, Managed, RESTARTER, Writer};

/// What a server-side apply is sent as. JSON is YAML.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const JSON: &str = "application/json";

impl Call<'_> {
    /// Makes it, if nothing has its name: an apply would write over what somebody made a moment ago. Then it is applied, since
    /// what is made is managed with everything that the server filled in.
    pub(super) async fn create(&self, found: &Found) -> Result<Answer, Answer> {
        self.prepare(found).await?;
        let object = self.object(found, &self.change.id.name, None)?;
        let path = format!("{}?fieldManager={MANAGER}&fieldValidation=Strict", found.resource.collection(Some(&found.namespace)));
        let sent = self.platform.connection.send(Method::POST, &path, JSON, Some(&content(JSON, &object))).await;
        match sent {
            Ok(answer) => {
                let live = Live::parse(&answer.body).map_err(|error| Answer::Lost(Failure::unreadable(&error).error(&self.attempted)))?;
                self.finish(found, &live).await
            }
            Err(failure) => Err(self.without_secrets(self.unwritten(&failure))),
        }
    }

    /// Says which fields of what was made are ours. Controllers write to it already: only its identity must be the same.
    pub(super) async fn finish(&self, found: &Found, live: &Live) -> Result<Answer, Answer> {
        let mut object = self.object(found, &live.meta.name, Some(live))?;
        object["metadata"].as_object_mut().map(|metadata| metadata.remove("resourceVersion"));
        if let Some(number) = live.meta.annotations.get(marks::GENERATION) {
            object["metadata"]["annotations"][marks::GENERATION] = json!(number);
        }
        let path = format!("{}?fieldManager={MANAGER}&force=true&fieldValidation=Strict", found.path(&live.meta.name));
        match self.platform.connection.send(Method::PATCH, &path, JSON, Some(&content(APPLY, &object))).await {
            Ok(answer) => self.done(found, &answer.body).await,
            Err(failure) => Err(self.without_secrets(self.unwritten(&failure))),
        }
    }

    /// Changes it by server-side apply, over the version that was just read.
    pub(super) async fn update(&self, found: &Found, live: &Live) -> Result<Answer, Answer> {
        self.prepare(found).await?;
        self.hand_replicas_over(found, live).await?;
        let taken_over;
        let removes = self.change.differences.iter().any(|difference| difference.new.is_none()) || self.removes_notes(found, live)?;
        let live = if live.must_be_taken_over(removes) {
            taken_over = self.take_over(found, live).await?;
            &taken_over
        } else {
            live
        };
        let object = self.object(found, &live.meta.name, Some(live))?;
        let adopted = self.change.reason == stratos_engine::plan::change::Reason::Adopted;
        // It is written over this very version: nobody else comes in between.
        let mut force = adopted || self.platform.config.force_conflicts || !live.has_other_writers();
        loop {
            let path = format!("{}?fieldManager={MANAGER}&force={force}&fieldValidation=Strict", found.path(&live.meta.name));
            match self.platform.connection.send(Method::PATCH, &path, JSON, Some(&content(APPLY, &object))).await {
                Ok(answer) => return self.done(found, &answer.body).await,
                Err(failure) if !force && is_by_hand(&failure) => force = true,
                Err(failure) => return Err(self.without_secrets(self.not_applied(&failure))),
            }
        }
    }

    /// Whether one of our own annotations goes.
    fn removes_notes(&self, found: &Found, live: &Live) -> Result<bool, Answer> {
        let object = self.object(found, &live.meta.name, None)?;
        let ours = live.meta.annotations.keys().filter(|key| marks::is_ours(key));
        Ok(ours.into_iter().any(|key| object["metadata"]["annotations"].get(key).is_none()))
    }

    fn not_applied(&self, failure: &Failure) -> Answer {
        conflict(failure, &self.attempted).map_or_else(|| self.unwritten(failure), Answer::Failed)
    }

    /// Makes everything that is ours to say managed by our apply: what others hold, it cannot remove.
    async fn take_over(&self, found: &Found, live: &Live) -> Result<Live, Answer> {
        let patch = json!([
            { "op": "test", "path": "/metadata/uid", "value": live.meta.uid },
            { "op": "replace", "path": "/metadata/managedFields", "value": live.taken_over(&found.resource.api_version) },
            { "op": "replace", "path": "/metadata/resourceVersion", "value": live.meta.resource_version },
        ]);
        let path = format!("{}?fieldManager={MANAGER}", found.path(&live.meta.name));
        let sent = self.platform.connection.send(Method::PATCH, &path, JSON, Some(&content(JSON_PATCH, &patch))).await;
        let answer = sent.map_err(|failure| self.unwritten(&failure))?;
        Live::parse(&answer.body).map_err(|error| self.unread(&Failure::unreadable(&error)))
    }

    /// Takes our marks away, and leaves everything else as it is.
    pub(super) async fn forget(&self, found: &Found, live: &Live) -> Result<Answer, Answer> {
        let none = |map: &marks::Map| map.keys().filter(|key| marks::is_ours(key)).map(|key| (key.clone(), json!(null))).collect();
        let labels: serde_json::Map<_, _> = none(&live.meta.labels);
        let annotations: serde_json::Map<_, _> = none(&live.meta.annotations);
        let patch = json!({ "metadata": {
            "resourceVersion": live.meta.resource_version, "uid": live.meta.uid, "labels": labels, "annotations": annotations,
        } });
        self.merge(found, live, MANAGER, &patch).await
    }

    /// Starts the instances anew, as `kubectl rollout restart` does.
    pub(super) async fn restart(&self, found: &Found, live: &Live) -> Result<Answer, Answer> {
        let now = jiff::Timestamp::now().to_string();
        let patch = json!({
            "metadata": { "resourceVersion": live.meta.resource_version, "uid": live.meta.uid },
            "spec": { "template": { "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": now } } } },
        });
        self.merge(found, live, RESTARTER, &patch).await
    }

    async fn merge(&self, found: &Found, live: &Live, manager: &str, patch: &serde_json::Value) -> Result<Answer, Answer> {
        let path = format!("{}?fieldManager={manager}", found.path(&live.meta.name));
        match self.platform.connection.send(Method::PATCH, &path, JSON, Some(&content(MERGE, patch))).await {
            Ok(answer) => self.done(found, &answer.body).await,
            Err(failure) => Err(self.unwritten(&failure)),
        }
    }
}

/// The managers that hold fields with other values: `conflict with "kubectl-edit" using apps/v1`.
pub(crate) fn managers(failure: &Failure) -> Vec<String> {
    let conflicts = failure.causes().filter(|(reason, _, _)| *reason == "FieldManagerConflict");
    let named = conflicts.filter_map(|(_, message, _)| Some(message.split_once('"')?.1.split_once('"')?.0.to_owned()));
    let mut managers: Vec<String> = named.collect();
    managers.sort();
    managers.dedup();
    managers
}

/// What there is to say when others hold fields with other values. The server's sentence names each manager and each field.
pub(crate) fn conflict(failure: &Failure, attempted: &str) -> Option<PlatformError> {
    // What made it is managed apart from what was applied: that is nobody else.
    let managers: Vec<String> = managers(failure).into_iter().filter(|manager| manager != MANAGER).collect();
    let hint = format!(
        "{} wants other values there: leave these fields out, or set `force_conflicts = true` in the environment's options to take them over",
        managers.join(" and ")
    );
    (!managers.is_empty()).then(|| PlatformError { kind: PlatformErrorKind::Rejected, ..failure.error(attempted).with_hint(hint) })
}

/// Whether fields conflict, with what people wrote by hand alone.
pub(crate) fn is_by_hand(failure: &Failure) -> bool {
    let managers = managers(failure);
    let by_hand = |manager: &String| {
        let written = |operation: &str| Managed { manager: manager.clone(), operation: operation.to_owned(), ..Managed::default() };
        // What made it is managed apart from what was applied, also where both were ours.
        manager == MANAGER || manager.starts_with("kubectl-") || written("Update").writer() == Writer::ByHand
    };
    !managers.is_empty() && managers.iter().all(by_hand)
}
