//! What the swarm holds: list requests, and how their answers are read.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bollard::errors::Error;
use bollard::models::{Config, Secret, Service, ServiceUpdateStatus, ServiceUpdateStatusStateEnum};
use bollard::query_parameters::{ListConfigsOptions, ListSecretsOptions};
use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::owner::{Owner, Ownership};
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::RolloutState;
use stratos_engine::platform::ObservedResource;
use stratos_engine::render::secret::Fingerprint;

use super::names::split_generation;
use super::spec::{self, Known};
use super::translate::{CONFIG, SECRET, SERVICE};
use super::wire;
use crate::app_network::NETWORK;
use crate::connection::Connection;
use crate::labels;

/// The fingerprint of a secret's content.
pub(crate) const FINGERPRINT: &str = "stratos.fingerprint";
/// The services that a service's app comes after, so that they are deleted after it: names, with a comma between them.
pub(crate) const NEEDS: &str = "stratos.needs";

/// What a list request asks for.
pub(crate) enum Asked {
    /// Everything that carries an owner's mark.
    Of(Owner),
    /// What has one of these names, or one that begins with it: whoever asks looks closer.
    Named(Vec<String>),
    /// Everything.
    All,
}

impl Asked {
    fn filters(&self) -> HashMap<String, Vec<String>> {
        match self {
            Self::Of(owner) => labels::filter(owner),
            Self::Named(names) => [("name".to_owned(), names.clone())].into(),
            Self::All => HashMap::new(),
        }
    }
}

/// Lists services.
pub(crate) async fn services(connection: &Connection, asked: &Asked) -> Result<Vec<Service>, Error> {
    wire::services(connection, &asked.filters()).await
}

/// Lists configs, with their content.
pub(crate) async fn configs(connection: &Connection, asked: &Asked) -> Result<Vec<Config>, Error> {
    connection.docker.list_configs(Some(ListConfigsOptions { filters: Some(asked.filters()) })).await
}

/// Lists secrets: all generations.
pub(crate) async fn secrets(connection: &Connection, asked: &Asked) -> Result<Vec<Secret>, Error> {
    connection.docker.list_secrets(Some(ListSecretsOptions { filters: Some(asked.filters()) })).await
}

/// The live name of a service.
pub(crate) fn service_name(service: &Service) -> &str {
    service.spec.as_ref().and_then(|spec| spec.name.as_deref()).unwrap_or_default()
}

/// The live name of a config.
pub(crate) fn config_name(config: &Config) -> &str {
    config.spec.as_ref().and_then(|spec| spec.name.as_deref()).unwrap_or_default()
}

/// The live name of a secret, with its generation.
pub(crate) fn secret_name(secret: &Secret) -> &str {
    secret.spec.as_ref().and_then(|spec| spec.name.as_deref()).unwrap_or_default()
}

static NO_LABELS: std::sync::LazyLock<HashMap<String, String>> = std::sync::LazyLock::new(HashMap::new);

/// A service's labels.
pub(crate) fn service_labels(service: &Service) -> &HashMap<String, String> {
    service.spec.as_ref().and_then(|spec| spec.labels.as_ref()).unwrap_or(&NO_LABELS)
}

/// A config's labels.
pub(crate) fn config_labels(config: &Config) -> &HashMap<String, String> {
    config.spec.as_ref().and_then(|spec| spec.labels.as_ref()).unwrap_or(&NO_LABELS)
}

/// A secret's labels.
pub(crate) fn secret_labels(secret: &Secret) -> &HashMap<String, String> {
    secret.spec.as_ref().and_then(|spec| spec.labels.as_ref()).unwrap_or(&NO_LABELS)
}

/// The generations of one secret: ours, where there are any; else those of whoever has its name.
pub(crate) struct Generations<'a> {
    all: Vec<&'a Secret>,
    ours: bool,
}

impl<'a> Generations<'a> {
    /// Of the secret with this name.
    pub(crate) fn of(name: &str, listed: &'a [Secret], owner: &Owner) -> Self {
        let of_name = || listed.iter().filter(|secret| split_generation(secret_name(secret)).0 == name);
        let ours = |secret: &&Secret| matches!(labels::ownership(secret_labels(secret), owner), Ownership::Ours(_));
        let mut all: Vec<&Secret> = of_name().filter(ours).collect();
        let is_ours = !all.is_empty();
        if !is_ours {
            all = of_name().collect();
        }
        all.sort_by_key(|secret| split_generation(secret_name(secret)).1);
        Self { all, ours: is_ours }
    }

    /// The present one: the last that was made.
    pub(crate) fn present(&self) -> Option<&'a Secret> {
        self.all.last().copied()
    }

    /// All of ours, oldest first.
    pub(crate) fn ours(&self) -> &[&'a Secret] {
        if self.ours { &self.all } else { &[] }
    }
}

/// The present generation of each secret.
pub(crate) fn present_generations(listed: &[Secret], owner: &Owner) -> BTreeMap<String, u64> {
    let names: std::collections::BTreeSet<&str> = listed.iter().map(|secret| split_generation(secret_name(secret)).0).collect();
    let present = |name: &str| Generations::of(name, listed, owner).present().map(|secret| split_generation(secret_name(secret)).1);
    names.into_iter().filter_map(|name| Some((name.to_owned(), present(name)?))).collect()
}

/// A service as the engine of Stratos sees it.
pub(crate) fn observed_service(service: &Service, known: &Known<'_>, owner: &Owner) -> ObservedResource {
    let id = |kind: &str, name: &str| ResourceId::new(known.environment, kind, name);
    let spec = service.spec.clone().unwrap_or_default();
    let read = spec::read(&spec, known);
    let attached = spec.task_template.as_ref().and_then(|task| task.networks.clone());
    let inside = spec.task_template.and_then(|task| task.container_spec).unwrap_or_default();
    let configs = inside.configs.iter().flatten().filter_map(|config| Some(id(CONFIG.kind, config.config_name.as_deref()?)));
    let secrets =
        inside.secrets.iter().flatten().filter_map(|secret| Some(id(SECRET.kind, split_generation(secret.secret_name.as_deref()?).0)));
    let networks = attached.iter().flatten().filter_map(|network| known.networks.get(network.target.as_deref()?));
    let networks: Vec<ResourceId> = networks.map(|name| id(NETWORK.kind, name)).collect();
    let needs = service_labels(service).get(NEEDS).map(String::as_str).unwrap_or_default();
    let needs = needs.split(',').filter(|name| !name.is_empty()).map(|name| id(SERVICE.kind, name));
    ObservedResource {
        uid: service.id.clone(),
        secret_values: read.secret_values,
        has_health: true,
        depends_on: configs.chain(secrets).chain(networks).chain(needs).collect(),
        rollout: rollout(service.update_status.as_ref()),
        ..ObservedResource::new(id(SERVICE.kind, service_name(service)), labels::ownership(service_labels(service), owner), read.document)
    }
}

/// A config as the engine of Stratos sees it.
pub(crate) fn observed_config(config: &Config, known: &Known<'_>, owner: &Owner) -> ObservedResource {
    let mut out = DocumentBuilder::default();
    let data = config.spec.as_ref().and_then(|spec| spec.data.as_deref()).unwrap_or_default();
    // The engine writes either alphabet.
    let data = STANDARD.decode(data).or_else(|_| URL_SAFE.decode(data)).unwrap_or_default();
    match String::from_utf8(data) {
        Ok(text) => out.text(["content"], &text),
        Err(error) => out.text(["content"], &format!("({} bytes that are no text)", error.as_bytes().len())),
    };
    let name = config_name(config);
    let id = ResourceId::new(known.environment, CONFIG.kind, name);
    ObservedResource {
        uid: config.id.clone(),
        attributes: attributes(config.id.as_deref(), name),
        ..ObservedResource::new(id, labels::ownership(config_labels(config), owner), out.build())
    }
}

/// A secret as the engine of Stratos sees it: its present generation.
pub(crate) fn observed_secret(name: &str, present: &Secret, known: &Known<'_>, owner: &Owner) -> ObservedResource {
    let mut out = DocumentBuilder::default();
    let fingerprint: Option<Fingerprint> = secret_labels(present).get(FINGERPRINT).and_then(|text| text.parse().ok());
    if fingerprint.is_some() {
        out.put(["content"], Leaf::Secret { text: None, fingerprint });
    }
    let id = ResourceId::new(known.environment, SECRET.kind, name);
    ObservedResource {
        uid: present.id.clone(),
        attributes: attributes(present.id.as_deref(), secret_name(present)),
        ..ObservedResource::new(id, labels::ownership(secret_labels(present), owner), out.build())
    }
}

/// What a service needs to refer to a config or a secret.
pub(crate) fn attributes(id: Option<&str>, name: &str) -> BTreeMap<String, String> {
    let id = id.unwrap_or_default();
    [("id".to_owned(), id.to_owned()), ("name".to_owned(), name.to_owned())].into()
}

/// The state of a service's last roll-out. A creation, and a change of labels alone, have none.
pub(crate) fn rollout(status: Option<&ServiceUpdateStatus>) -> RolloutState {
    use ServiceUpdateStatusStateEnum as State;
    let Some(status) = status else { return RolloutState::Done };
    let why = || status.message.clone().unwrap_or_default();
    match status.state.unwrap_or(State::EMPTY) {
        State::EMPTY | State::COMPLETED => RolloutState::Done,
        State::UPDATING => RolloutState::Running,
        State::PAUSED => RolloutState::Paused { why: why() },
        State::ROLLBACK_STARTED | State::ROLLBACK_COMPLETED => RolloutState::RolledBack { why: why() },
        State::ROLLBACK_PAUSED => RolloutState::Paused { why: format!("the way back failed too: {}", why()) },
    }
}
