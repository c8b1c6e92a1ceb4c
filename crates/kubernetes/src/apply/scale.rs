//! Leaving the number of instances to an autoscaler.

use http::Method;
use serde_json::{Value, json};
use stratos_engine::desired::path::Path;

use super::body::content;
use super::patch::APPLY;
use super::{Answer, Call, Found};
use crate::object::fields::FieldSet;
use crate::object::live::Live;

/// Who holds the number between us and the autoscaler.
const KEEPER: &str = "stratos-replicas";

impl Call<'_> {
    /// Where `replicas` is not ours any more and an autoscaler is there: a field that nobody holds goes back to its default, one
    /// instance, before the autoscaler has written it. Somebody else holds it until then.
    pub(super) async fn hand_replicas_over(&self, found: &Found, live: &Live) -> Result<(), Answer> {
        let holds = |fields: &FieldSet| fields.below("spec").is_some_and(|spec| spec.below("replicas").is_some());
        if live.meta.managed_fields.iter().any(|managed| managed.manager == KEEPER && holds(&managed.fields)) {
            return Ok(());
        }
        let held = holds(&live.ours());
        let wanted = self.desired()?.document.get(&Path::new(["spec", "replicas"])).is_some();
        let Some(replicas) = live.body.pointer("/spec/replicas").filter(|_| held && !wanted) else { return Ok(()) };
        if !self.has_autoscaler(found, live).await? {
            return Ok(());
        }
        let object = json!({
            "apiVersion": found.resource.api_version, "kind": found.resource.kind,
            "metadata": { "name": live.meta.name, "namespace": found.namespace, "uid": live.meta.uid },
            "spec": { "replicas": replicas },
        });
        let path = format!("{}?fieldManager={KEEPER}&force=true", found.path(&live.meta.name));
        let sent = self.platform.connection.send(Method::PATCH, &path, "application/json", Some(&content(APPLY, &object))).await;
        // The version that was read is not the present one any more: everything is looked at again.
        Err(match sent {
            Ok(_) => {
                Answer::Outrun(self.error(stratos_engine::platform::PlatformErrorKind::Conflict, "its number of instances was handed over"))
            }
            Err(failure) => self.unwritten(&failure),
        })
    }

    async fn has_autoscaler(&self, found: &Found, live: &Live) -> Result<bool, Answer> {
        let path = format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers", crate::query::segment(&found.namespace));
        let body = self.platform.connection.find(&path).await.map_err(|failure| self.unread(&failure))?;
        let list: Value = body.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        let scales = |item: &Value| {
            let target = item.pointer("/spec/scaleTargetRef");
            let is = |key: &str, value: &str| target.and_then(|target| target.get(key)).and_then(Value::as_str) == Some(value);
            is("kind", &found.resource.kind) && is("name", &live.meta.name)
        };
        Ok(list.get("items").and_then(Value::as_array).is_some_and(|items| items.iter().any(scales)))
    }
}
