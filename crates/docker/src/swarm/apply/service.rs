//! Services.

use std::collections::{BTreeMap, HashMap};

use bollard::errors::Error;
use bollard::models::{Service, ServiceSpec};
use bollard::query_parameters::UpdateServiceOptions;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::resource::{ReplaceOrder, Replacement, Resource};
use stratos_engine::plan::change::Action;
use stratos_engine::platform::ObservedResource;

use super::{Answer, Call};
use crate::container::{secrets, whole};
use crate::failure::is_not_found;
use crate::labels;
use crate::swarm::live::{self, NEEDS};
use crate::swarm::spec::{self, Beside, Known};
use crate::swarm::translate::SERVICE;
use crate::swarm::{names, network, wire};

/// Carries out the change of a service.
pub(super) async fn apply(call: &Call<'_>) -> Result<Answer, Answer> {
    let mut live = inspect(call).await?;
    let seen = match &live {
        Some(service) => Some(observe(call, service).await?),
        None => None,
    };
    if let Err(answer) = call.judge(seen.as_ref()) {
        return Err(call.checked(answer, seen.as_ref()));
    }
    match call.change.action {
        Action::Delete => return Ok(call.delete_service(live.as_ref()).await),
        Action::Restart => return call.rewrite(live, restart).await,
        Action::Forget => return call.rewrite(live, forget).await,
        Action::Replace(Replacement { order: ReplaceOrder::DeleteFirst, .. }) if live.is_some() => {
            // Two requests: killed between them nothing is there, and the fence lets the next run go on.
            match call.delete_service(live.as_ref()).await {
                Answer::Done(_) => live = None,
                other => return Err(other),
            }
        }
        Action::Create | Action::Update | Action::Replace(_) => {}
    }
    call.write(live).await
}

async fn inspect(call: &Call<'_>) -> Result<Option<Service>, Answer> {
    match wire::service(&call.platform.connection, &call.change.id.name).await {
        // The engine also finds what has this as an id, or as the beginning of one.
        Ok(service) => Ok(Some(service).filter(|service| live::service_name(service) == &*call.change.id.name)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(call.unread(&error)),
    }
}

/// The live service as the plan saw it. Which generation of a secret is the present one is not in a digest.
async fn observe(call: &Call<'_>, service: &Service) -> Result<ObservedResource, Answer> {
    let task = service.spec.as_ref().and_then(|spec| spec.task_template.as_ref());
    let attached = task.and_then(|task| task.networks.as_ref()).into_iter().flatten();
    let ids: Vec<&str> = attached.filter_map(|network| network.target.as_deref()).collect();
    let networks = call.platform.networks.with_ids(&call.platform.connection, &ids).await.map_err(|error| call.unread(&error))?;
    let networks = network::names(&networks);
    let known = Known { environment: &call.change.id.environment, networks: &networks, secrets: None };
    Ok(live::observed_service(service, &known, call.us()))
}

/// The same specification, its instances started anew.
fn restart(spec: &mut ServiceSpec) {
    let task = spec.task_template.get_or_insert_default();
    task.force_update = Some(task.force_update.unwrap_or(0) + 1);
}

/// The same specification without marks. What hides secrets stays: whoever adopts it later does not see them either.
fn forget(spec: &mut ServiceSpec) {
    let labels = spec.labels.get_or_insert_default();
    labels.retain(|name, _| name == secrets::LABEL || !name.starts_with(labels::PREFIX));
}

impl Call<'_> {
    /// What is already there is what was wanted, as far as documents tell. A secret that somebody overwrote since is another
    /// value under the same fingerprint.
    fn checked(&self, answer: Answer, live: Option<&ObservedResource>) -> Answer {
        let (Answer::AlreadyDone(_), Some(live), Some(desired)) = (&answer, live, &self.change.desired) else { return answer };
        let resolve = whole(self.context);
        let differs = |path, value: &str| match desired.document.get(path) {
            Some(leaf @ Leaf::Secret { .. }) => resolve(leaf).is_ok_and(|wanted| wanted != value),
            _ => false,
        };
        match live.secret_values.iter().find(|(path, value)| differs(path, value)) {
            Some((path, _)) => Answer::Stale(format!("{path} was overwritten since")),
            None => answer,
        }
    }

    fn own_network(&self) -> String {
        names::network(&self.platform.config.prefix, &self.change.id.environment)
    }

    async fn delete_service(&self, live: Option<&Service>) -> Answer {
        let Some(id) = live.and_then(|service| service.id.as_deref()) else { return Answer::AlreadyDone(BTreeMap::new()) };
        self.deleted(self.platform.connection.docker.delete_service(id).await)
    }

    async fn rewrite(&self, live: Option<Service>, edit: fn(&mut ServiceSpec)) -> Result<Answer, Answer> {
        let Some(mut live) = live else { return Err(self.rejected("it is not there")) };
        let mut spec = live.spec.take().unwrap_or_default();
        edit(&mut spec);
        self.update(&live, spec).await
    }

    async fn write(&self, live: Option<Service>) -> Result<Answer, Answer> {
        let desired = self.desired()?;
        let own = self.own_network();
        if spec::networks::names(&desired.document).contains(&own) {
            let ensured = self.platform.networks.ensure(&self.platform.connection, &own, &desired.marks.owner).await;
            ensured.map_err(Answer::Failed)?;
        }
        let spec = self.spec(desired, live.as_ref())?;
        match live {
            Some(live) => self.update(&live, spec).await,
            None => self.create(spec).await,
        }
    }

    fn spec(&self, desired: &Resource, live: Option<&Service>) -> Result<ServiceSpec, Answer> {
        let mut marks = labels::of(&self.marks(desired));
        let needs = desired.depends_on.iter().filter(|id| &*id.kind == SERVICE.kind && id.environment == desired.id.environment);
        let needs: Vec<&str> = needs.map(|id| &*id.name).collect();
        if !needs.is_empty() {
            marks.insert(NEEDS.to_owned(), needs.join(","));
        }
        let task = live.and_then(|live| live.spec.as_ref()).and_then(|spec| spec.task_template.as_ref());
        let beside = Beside {
            name: &desired.id.name,
            marks,
            file_names: &self.file_names(&desired.document),
            force_update: task.and_then(|task| task.force_update),
        };
        let resolve = whole(self.context);
        spec::write(&desired.document, beside, &resolve).map_err(|why| self.rejected(why))
    }

    /// The live names of the configs and secrets that a document refers to, by id.
    fn file_names(&self, document: &Document) -> HashMap<String, String> {
        let files = document.leaves().iter().filter(|(path, _)| path.matches("files"));
        let texts = files.filter_map(|(_, leaf)| leaf.text());
        let attributes = texts.flat_map(|text| text.attributes()).filter_map(|(of, _)| self.context.attributes.get(of));
        attributes.filter_map(|attributes| Some((attributes.get("id")?.clone(), attributes.get("name")?.clone()))).collect()
    }

    async fn credentials(&self, spec: &ServiceSpec) -> Result<Option<bollard::auth::DockerCredentials>, Answer> {
        let inside = spec.task_template.as_ref().and_then(|task| task.container_spec.as_ref());
        let image = inside.and_then(|inside| inside.image.as_deref());
        match (&self.platform.config.credentials, image) {
            (Some(credentials), Some(image)) => credentials.for_image(image).await.map_err(Answer::Failed),
            _ => Ok(None),
        }
    }

    async fn create(&self, spec: ServiceSpec) -> Result<Answer, Answer> {
        let credentials = self.credentials(&spec).await?;
        match self.platform.connection.docker.create_service(spec, credentials).await {
            Ok(_) => Ok(Answer::Done(BTreeMap::new())),
            Err(error) => Ok(self.explained(&error).await),
        }
    }

    async fn update(&self, live: &Service, spec: ServiceSpec) -> Result<Answer, Answer> {
        let credentials = self.credentials(&spec).await?;
        let options = UpdateServiceOptions { version: self.version(live.version.as_ref())?, ..UpdateServiceOptions::default() };
        let id = live.id.as_deref().unwrap_or(&self.change.id.name);
        match self.platform.connection.docker.update_service(id, spec, options, credentials).await {
            Ok(_) => Ok(Answer::Done(BTreeMap::new())),
            Err(error) => Ok(self.explained(&error).await),
        }
    }

    /// A refusal, with what to do about those that the engine explains badly.
    async fn explained(&self, error: &Error) -> Answer {
        match self.unwritten(error) {
            Answer::Failed(error) if error.why == format!("network {} not found", self.own_network()) => {
                let network = self.own_network();
                match self.platform.networks.make_anew(&self.platform.connection, &network, self.us()).await {
                    Ok(()) => Answer::Outrun(error),
                    Err(error) => Answer::Failed(error),
                }
            }
            Answer::Failed(error) if error.why.contains("is already in use by service") => {
                Answer::Failed(error.with_hint("choose another port, or remove what has it"))
            }
            other => other,
        }
    }
}
