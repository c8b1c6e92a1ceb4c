//! The pod of an app, for a job.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::resource::Resource;
use stratos_engine::desired::text::Segment;
use stratos_engine::platform::jobs::JobRequest;
use stratos_engine::platform::{ApplyContext, PlatformError, PlatformErrorKind, TranslatedApp};
use zeroize::Zeroizing;

use super::{JobPod, Values, name};
use crate::config::EnvironmentConfig;
use crate::object::write;
use crate::translate;

/// What an app's job runs: the app's own pod with another command, and its files and secrets under the job's name.
///
/// # Errors
/// Where a secret or an attribute of another resource is not known.
pub(crate) fn pod(config: &EnvironmentConfig, job: &JobRequest<'_>, context: &ApplyContext<'_>) -> Result<JobPod, PlatformError> {
    let live_name = name(config, job.app.name, job.key);
    let refused = |why: String| PlatformError::new(PlatformErrorKind::Rejected, format!("preparing the job {live_name}"), why);
    let mut app = job.app.app.clone();
    app.command = (!job.command.is_empty()).then(|| job.command.to_vec());
    // Nobody asks whether it is healthy: it ends.
    app.health = None;
    let app = TranslatedApp { app: &app, ..*job.app };
    let whole = |leaf: &Leaf| whole(leaf, &live_name, context);
    let (mut pod_template, mut secret, mut config_maps) = (Value::Null, None, Vec::new());
    for resource in translate::translate(config, &app) {
        let is_secret = &*resource.id.kind == "Secret";
        let object = |resource: &Resource| write::object(&resource.document, is_secret, &whole).map_err(refused);
        match &*resource.id.kind {
            "Deployment.apps" | "StatefulSet.apps" => pod_template = object(&resource)?["spec"]["template"].take(),
            "Secret" => secret = Some((live_name.clone(), values(&object(&resource)?))),
            "ConfigMap" => {
                let mut map = object(&resource)?;
                map["apiVersion"] = "v1".into();
                map["kind"] = "ConfigMap".into();
                map["metadata"]["name"] = live_name.clone().into();
                config_maps.push(map);
            }
            _ => {}
        }
    }
    Ok(JobPod { pod_template, secret, config_maps })
}

/// A text with its secrets and references. The app's own Secret and ConfigMap are the job's here.
fn whole(leaf: &Leaf, live_name: &str, context: &ApplyContext<'_>) -> Result<String, String> {
    if let Leaf::Text(text) = leaf {
        return Ok(text.to_string());
    }
    let Some(text) = leaf.text() else { return Err(format!("{leaf} is no text")) };
    match text.segments() {
        [Segment::Attribute { of, .. }] if matches!(&*of.kind, "Secret" | "ConfigMap") => Ok(live_name.to_owned()),
        _ => context.resolve(text).map(|value| value.to_string()).map_err(|error| error.to_string()),
    }
}

fn values(secret: &Value) -> Values {
    let data = secret["data"].as_object().into_iter().flatten();
    data.filter_map(|(key, value)| Some((key.clone(), Zeroizing::new(STANDARD.decode(value.as_str()?).ok()?)))).collect()
}
