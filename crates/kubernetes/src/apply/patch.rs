//! Making and changing objects.

use http::Method;
use serde_json::json;
use stratos_engine::desired::document::Document;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use super::body::content;
use super::{Answer, Call, Found};
use crate::connection;
use crate::entry::{self, Stays};
use crate::failure::Failure;
use crate::marks;
use crate::object::cleared::Cleared;
use crate::object::live::{Live, MANAGER, Managed, RESTARTER, Writer};

/// What a server-side apply is sent as. JSON is YAML.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const JSON: &str = "application/json";

impl Call<'_> {
    /// Makes it, if nothing has its name.
    pub(super) async fn create(&self, found: &Found) -> Result<Answer, Answer> {
        self.prepare(found).await?;
        let object = self.object(found, &self.change.id.name, None)?;
        self.make(found, object).await
    }

    /// Makes an object by server-side apply. That alone would write into what somebody made a moment ago; with a version in it, it
    /// makes what is not there and is refused where something of another version is. No object ever has this one: it is that of an
    /// empty store. (`POST` would be refused, too, and leave all that the server filled in as managed by us.)
    pub(super) async fn make(&self, found: &Found, mut object: serde_json::Value) -> Result<Answer, Answer> {
        object["metadata"]["resourceVersion"] = json!("1");
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let path = format!("{}?fieldManager={MANAGER}&force=false&fieldValidation=Strict", found.path(&name));
        match self.send(found, &path, &object, false).await {
            Ok(answer) => {
                self.tell(&answer.warnings);
                self.done(found, &answer.body).await
            }
            Err(failure) => Err(self.without_secrets(self.unwritten(&failure))),
        }
    }

    /// What the server wants people to know about what it took.
    fn tell(&self, warnings: &[String]) {
        warnings.iter().for_each(|warning| tracing::warn!("{}: the cluster warns: {warning}", self.attempted));
    }

    /// Changes it by server-side apply, over the version that was just read, and whose document is `before`.
    pub(super) async fn update(&self, found: &Found, live: &Live, before: &Document) -> Result<Answer, Answer> {
        self.prepare(found).await?;
        self.hand_replicas_over(found, live).await?;
        let cleared = Cleared::new(&self.desired()?.document, before, live);
        let adopted = self.change.reason == stratos_engine::plan::change::Reason::Adopted;
        let takes_all = adopted || self.platform.config.force_conflicts;
        if let (false, Some(failure)) = (takes_all, cleared.conflict(live)) {
            return Err(self.not_applied(&failure));
        }
        let (moved, owned);
        let mut live = live;
        if live.must_be_taken_over() || cleared.must_be_owned(live) {
            // Entries of two versions never become one.
            if entry::outdated(live, &found.resource).is_some() {
                moved = self.move_entry(found, live).await?;
                live = &moved;
            }
            owned = self.own(found, live, &cleared).await?;
            live = &owned;
        }
        let mut object = self.object(found, &live.meta.name, Some(live))?;
        // It is written over this very version: nobody else comes in between.
        let mut force = takes_all || !live.has_other_writers();
        let mut is_outdated = entry::outdated(live, &found.resource).is_some();
        loop {
            let path = format!("{}?fieldManager={MANAGER}&force={force}&fieldValidation=Strict", found.path(&live.meta.name));
            match self.send(found, &path, &object, is_outdated).await {
                Ok(answer) => {
                    self.tell(&answer.warnings);
                    let answer = if is_outdated { self.again(found, &mut object, answer).await } else { answer };
                    let answer = self.without_orphans(found, live, &mut object, answer).await?;
                    return self.done(found, &answer.body).await;
                }
                Err(failure) if !force && is_by_hand(&failure) => force = true,
                Err(failure) if failure.is_of_an_entry() && is_outdated => {
                    is_outdated = false;
                    let moved = self.move_entry(found, live).await.map_err(|answer| self.because(&failure, answer))?;
                    object["metadata"]["resourceVersion"] = json!(moved.meta.resource_version);
                }
                Err(failure) => return Err(self.without_secrets(self.not_applied(&failure))),
            }
        }
    }

    /// Sends the object once more. Our entry was of another version: the server has translated the object to that version and back, which may
    /// bring lists into another order (`metrics` of a HorizontalPodAutoscaler). Nothing is forced, and the first write stands by itself.
    async fn again(&self, found: &Found, object: &mut serde_json::Value, first: connection::Answer) -> connection::Answer {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            // A controller may have written its status in between.
            metadata.remove("resourceVersion");
        }
        let path = found.path(object["metadata"]["name"].as_str().unwrap_or_default());
        let path = format!("{path}?fieldManager={MANAGER}&force=false&fieldValidation=Strict");
        self.send(found, &path, object, false).await.unwrap_or(first)
    }

    /// Removes parts that were ours and that no manager holds after the first write: they are made ours again, and the object is sent once
    /// more. A controller may write the object in between: it is read and looked at again then.
    async fn without_orphans(
        &self,
        found: &Found,
        before: &Live,
        object: &mut serde_json::Value,
        first: connection::Answer,
    ) -> Result<connection::Answer, Answer> {
        let mut after = Live::parse(&first.body).map_err(|error| self.unread(&Failure::unreadable(&error)))?;
        let path = found.path(&after.meta.name);
        let mut attempts = super::ATTEMPTS;
        loop {
            let orphans = Cleared::left_to_nobody(before, &after);
            if orphans.is_empty() {
                return Ok(first);
            }
            attempts -= 1;
            match self.own(found, &after, &orphans).await {
                Ok(_) => break,
                Err(Answer::Outrun(_)) if attempts > 0 => {
                    let body = self.platform.connection.get(&path).await.map_err(|failure| self.unread(&failure))?;
                    after = Live::parse(&body).map_err(|error| self.unread(&Failure::unreadable(&error)))?;
                }
                // The first write is done. To read again would find it as it should be, and these parts would stay.
                Err(Answer::Outrun(error)) => return Err(Answer::Failed(error)),
                Err(answer) => return Err(answer),
            }
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            // A controller may have written its status in between.
            metadata.remove("resourceVersion");
        }
        let path = format!("{path}?fieldManager={MANAGER}&force=false&fieldValidation=Strict");
        self.send(found, &path, object, false).await.map_err(|failure| self.without_secrets(self.not_applied(&failure)))
    }

    /// Moves our entry among the managers of fields to the version that is written.
    async fn move_entry(&self, found: &Found, live: &Live) -> Result<Live, Answer> {
        let path = found.path(&live.meta.name);
        entry::move_to(&self.platform.connection, &found.resource, &path, live).await.map_err(|stays| match stays {
            Stays::Failed(failure) => self.unwritten(&failure),
            Stays::Blocked(why) => self.rejected(why),
        })
    }

    /// The server's words before what keeps us from doing what would help.
    fn because(&self, failure: &Failure, answer: Answer) -> Answer {
        match answer {
            Answer::Failed(error) => Answer::Failed(PlatformError { why: format!("{}: {}", failure.why(), error.why), ..error }),
            other => other,
        }
    }

    fn not_applied(&self, failure: &Failure) -> Answer {
        conflict(failure, &self.attempted).map_or_else(|| self.unwritten(failure), Answer::Failed)
    }

    /// Makes everything that is ours to say, and the fields that go, managed by our apply: it cannot remove anything else. This writes
    /// `metadata.managedFields` alone, and over the version that was read.
    async fn own(&self, found: &Found, live: &Live, cleared: &Cleared) -> Result<Live, Answer> {
        let managed_fields = cleared.owned(live.taken_over(&found.resource.api_version));
        let patch = json!([
            { "op": "test", "path": "/metadata/uid", "value": live.meta.uid },
            { "op": "replace", "path": "/metadata/managedFields", "value": managed_fields },
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
        "{} wants other values there: leave these fields out, or take them over with `--force-conflicts` (each time: `force_conflicts = true` in the environment's options)",
        managers.join(" and ")
    );
    (!managers.is_empty()).then(|| PlatformError { kind: PlatformErrorKind::Rejected, ..failure.error(attempted).with_hint(hint) })
}

/// Whether fields conflict, with what people wrote by hand alone.
pub(crate) fn is_by_hand(failure: &Failure) -> bool {
    let managers = managers(failure);
    let by_hand = |manager: &String| {
        let written = |operation: &str| Managed { manager: manager.clone(), operation: operation.to_owned(), ..Managed::default() };
        manager.starts_with("kubectl-") || written("Update").writer() == Writer::ByHand
    };
    !managers.is_empty() && managers.iter().all(by_hand)
}
