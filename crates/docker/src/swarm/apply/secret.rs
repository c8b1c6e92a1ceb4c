//! Secrets: each content is a generation of its own, since content can be neither changed nor read.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::models::{Secret, SecretSpec};
use bollard::query_parameters::UpdateSecretOptions;
use stratos_engine::desired::document::Leaf;
use stratos_engine::desired::path::Path;
use stratos_engine::plan::change::Action;

use super::{Answer, Call};
use crate::container::whole;
use crate::labels;
use crate::swarm::live::{self, Asked, FINGERPRINT, Generations};
use crate::swarm::names::{generation, split_generation};
use crate::swarm::spec::Known;

/// Carries out the change of a secret.
pub(super) async fn apply(call: &Call<'_>) -> Result<Answer, Answer> {
    let name = &*call.change.id.name;
    let asked = Asked::Named(vec![name.to_owned()]);
    let listed = live::secrets(&call.platform.connection, &asked).await.map_err(|error| call.unread(&error))?;
    let generations = Generations::of(name, &listed, call.us());
    let present = generations.present();
    let networks = Default::default();
    let known = Known { environment: &call.change.id.environment, networks: &networks, secrets: None };
    let seen = present.map(|secret| live::observed_secret(name, secret, &known, call.us()));
    call.judge(seen.as_ref())?;
    match (call.change.action, present) {
        (Action::Delete, _) => Ok(call.delete_all(generations.ours()).await),
        (Action::Forget, Some(_)) => {
            let mut answer = Answer::AlreadyDone(BTreeMap::new());
            for secret in generations.ours() {
                let mut labels = live::secret_labels(secret).clone();
                labels.retain(|name, _| name == FINGERPRINT || !name.starts_with(labels::PREFIX));
                answer = call.label(secret, labels).await?;
                if !matches!(answer, Answer::Done(_)) {
                    return Ok(answer);
                }
            }
            Ok(answer)
        }
        // Only its marks: it is adopted, and its content is what is wanted.
        (Action::Update, Some(secret)) => {
            let mut labels = labels::of(&call.marks(call.desired()?));
            labels.extend(live::secret_labels(secret).get_key_value(FINGERPRINT).map(|(name, value)| (name.clone(), value.clone())));
            call.label(secret, labels).await
        }
        (Action::Create | Action::Update | Action::Replace(_), _) => {
            // Numbers are never used again, also not those of somebody else's.
            let of_name = listed.iter().map(|secret| split_generation(live::secret_name(secret))).filter(|(of, _)| *of == name);
            call.create_generation(of_name.map(|(_, number)| number).max().unwrap_or(0) + 1).await
        }
        (Action::Forget | Action::Restart, _) => Err(call.rejected("there is nothing to do this to")),
    }
}

impl Call<'_> {
    async fn create_generation(&self, number: u64) -> Result<Answer, Answer> {
        let desired = self.desired()?;
        let leaf = desired.document.get(&Path::new(["content"])).ok_or_else(|| self.rejected("it has no content"))?;
        let content = whole(self.context)(leaf).map_err(|why| self.rejected(why))?;
        let mut labels = labels::of(&self.marks(desired));
        if let Leaf::Secret { fingerprint: Some(fingerprint), .. } = leaf {
            labels.insert(FINGERPRINT.to_owned(), fingerprint.to_string());
        }
        let name = generation(&desired.id.name, number);
        let data = Some(STANDARD.encode(content));
        let spec = SecretSpec { name: Some(name.clone()), labels: Some(labels), data, driver: None, templating: None };
        match self.platform.connection.docker.create_secret(spec).await {
            Ok(made) => Ok(Answer::Done(live::attributes(Some(&made.id), &name))),
            Err(error) => Ok(self.unwritten(&error)),
        }
    }

    async fn label(&self, secret: &Secret, labels: std::collections::HashMap<String, String>) -> Result<Answer, Answer> {
        let id = secret.id.as_deref().unwrap_or_default();
        let spec = SecretSpec { labels: Some(labels), ..secret.spec.clone().unwrap_or_default() };
        let options = UpdateSecretOptions { version: self.version(secret.version.as_ref())? };
        match self.platform.connection.docker.update_secret(id, spec, options).await {
            Ok(()) => Ok(Answer::Done(live::attributes(Some(id), live::secret_name(secret)))),
            Err(error) => Ok(self.unwritten(&error)),
        }
    }

    /// The present one last: killed in between, there is still something to delete.
    async fn delete_all(&self, generations: &[&Secret]) -> Answer {
        for secret in generations {
            let deleted = self.platform.connection.docker.delete_secret(secret.id.as_deref().unwrap_or_default()).await;
            match self.deleted(deleted) {
                Answer::Done(_) => {}
                other => return other,
            }
        }
        Answer::Done(BTreeMap::new())
    }
}
