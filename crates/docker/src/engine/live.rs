//! The live containers of an app, read: one list of all containers, and one inspection of each of ours.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{ContainerInspectResponse, ContainerSummary};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use futures::StreamExt;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::owner::Ownership;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::health::RolloutState;
use stratos_engine::platform::{ObservedResource, PlatformError};
use zeroize::Zeroizing;

use super::proxy::Proxy;
use super::record::{INSTANCE, PROXY, RECORD, RESOURCE, ROLE, Record};
use super::state::State;
use super::{DockerPlatform, names, ports, probe, read};
use crate::failure::{failure, is_not_found};
use crate::labels;

/// So many inspections are under way at once.
const AT_ONCE: usize = 16;

/// A container of an app.
#[derive(Clone)]
pub(crate) struct Member {
    /// The engine's id.
    pub id: String,
    /// Its name, without the engine's slash.
    pub name: String,
    /// Which of the instances it is, from 1.
    pub number: u32,
    /// Whose it is.
    pub ownership: Ownership,
    /// What it was made from. Of what is not ours it says the image alone: the rest is nobody's business here.
    pub document: Document,
    /// The values of its secrets.
    pub secret_values: Vec<(Path, Zeroizing<String>)>,
    /// What it needs.
    pub needs: Vec<ResourceId>,
    /// How it is.
    pub state: State,
    /// As the engine describes it.
    pub inspected: ContainerInspectResponse,
}

/// What is live of an app.
#[derive(Default)]
pub(crate) struct App {
    /// Its containers, sorted by number and name. Others' are there only where none of ours is.
    pub members: Vec<Member>,
    /// What has its published ports.
    pub proxy: Option<Proxy>,
}

/// A container in the engine's list.
pub(crate) struct Listed {
    id: String,
    name: String,
    labels: HashMap<String, String>,
    /// The names of the networks that it is on.
    pub networks: BTreeSet<String>,
}

/// All that is live, by the name of the resource; where something could not be read, the reason.
pub(crate) type Apps = BTreeMap<String, Result<App, PlatformError>>;

/// All containers of the engine, also those that do not run.
pub(crate) async fn list(platform: &DockerPlatform, filters: Option<HashMap<String, Vec<String>>>) -> Result<Vec<Listed>, PlatformError> {
    let options = ListContainersOptions { all: true, filters, ..ListContainersOptions::default() };
    let listed = platform.connection.docker.list_containers(Some(options)).await;
    let listed = listed.map_err(|error| failure(format!("listing the containers of {}", platform.connection.endpoint), &error))?;
    Ok(listed.into_iter().filter_map(Listed::new).collect())
}

impl Listed {
    fn new(summary: ContainerSummary) -> Option<Self> {
        let name = summary.names.unwrap_or_default().into_iter().find(|name| name.matches('/').count() == 1)?;
        let networks = summary.network_settings.and_then(|settings| settings.networks).unwrap_or_default().into_keys().collect();
        Some(Self { id: summary.id?, name: names::plain(&name).to_owned(), labels: summary.labels.unwrap_or_default(), networks })
    }

    /// Whose it is. What was forgotten is nobody's.
    pub fn ownership(&self, platform: &DockerPlatform) -> Ownership {
        if self.is_forgotten() {
            return Ownership::Unmarked;
        }
        labels::ownership(&self.labels, &platform.config.owner)
    }

    /// Whether it was forgotten.
    pub fn is_forgotten(&self) -> bool {
        names::is_forgotten(&self.name)
    }

    /// The name of the resource that it is a part of: by its labels where it is ours, else by its own name.
    fn resource<'a>(&'a self, platform: &DockerPlatform, wanted: &'a BTreeSet<String>) -> Option<&'a str> {
        if self.ownership(platform).marks().is_some() {
            return self.labels.get(RESOURCE).map(String::as_str);
        }
        wanted.iter().map(String::as_str).find(|live| names::is_in_the_way(live, &self.name))
    }
}

/// Reads those of these containers that are part of a resource that `keep` takes: ours, and what has a wanted name.
pub(crate) async fn read(
    platform: &DockerPlatform,
    listed: &[Listed],
    wanted: &BTreeSet<String>,
    keep: &(dyn Fn(&str, &Ownership) -> bool + Send + Sync),
) -> Apps {
    let mut inspections = Vec::new();
    for one in listed {
        let ownership = one.ownership(platform);
        let Some(resource) = one.resource(platform, wanted) else { continue };
        if wanted.contains(resource) || keep(resource, &ownership) {
            inspections.push(part(platform, resource.to_owned(), one, ownership));
        }
    }
    let parts: Vec<_> = futures::stream::iter(inspections).buffer_unordered(AT_ONCE).collect().await;
    let mut apps = Apps::new();
    for (resource, part) in parts.into_iter().flatten() {
        let app = apps.entry(resource).or_insert_with(|| Ok(App::default()));
        match (app.as_mut(), part) {
            (Ok(app), Ok(Part::Member(member))) => app.members.push(*member),
            (Ok(app), Ok(Part::Proxy(proxy))) => app.keep(*proxy),
            (Ok(_), Err(error)) => *app = Err(error),
            (Err(_), _) => {}
        }
    }
    for app in apps.values_mut().flatten() {
        app.settle();
    }
    apps
}

enum Part {
    Member(Box<Member>),
    Proxy(Box<Proxy>),
}

/// Inspects a container; None where it is gone meanwhile.
async fn part(
    platform: &DockerPlatform,
    resource: String,
    listed: &Listed,
    ownership: Ownership,
) -> Option<(String, Result<Part, PlatformError>)> {
    let part = match inspect(platform, &listed.id).await {
        Ok(None) => return None,
        Err(error) => Err(error),
        Ok(Some(inspected)) if listed.labels.get(ROLE).is_some_and(|role| role == PROXY) => {
            Proxy::read(platform, inspected, &ownership).await.map(|proxy| Part::Proxy(Box::new(proxy)))
        }
        Ok(Some(inspected)) => Ok(Part::Member(Box::new(member(platform, listed, ownership, inspected)))),
    };
    Some((resource, part))
}

/// What is live of one app under these names, by name.
pub(crate) async fn read_only(platform: &DockerPlatform, wanted: BTreeSet<String>) -> Result<BTreeMap<String, App>, PlatformError> {
    let listed = list(platform, None).await?;
    let apps = read(platform, &listed, &wanted, &|_, _| false).await;
    apps.into_iter().map(|(name, app)| Ok((name, app?))).collect()
}

/// One container; None where it is gone.
pub(crate) async fn inspect(platform: &DockerPlatform, id: &str) -> Result<Option<ContainerInspectResponse>, PlatformError> {
    match platform.connection.docker.inspect_container(id, None::<InspectContainerOptions>).await {
        Ok(inspected) => Ok(Some(inspected)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(failure(format!("reading container {}", &id[..id.len().min(12)]), &error)),
    }
}

fn member(platform: &DockerPlatform, listed: &Listed, ownership: Ownership, inspected: ContainerInspectResponse) -> Member {
    let is_made_by_us = labels::ownership(&listed.labels, &platform.config.owner).marks().is_some();
    let number = match listed.labels.get(INSTANCE).and_then(|number| number.parse().ok()) {
        Some(number) if is_made_by_us => number,
        _ => listed.name.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(1),
    };
    // Labels that somebody damaged remember nothing: what is read then differs, and the container is made anew.
    let record: Record = listed.labels.get(RECORD).and_then(|record| serde_json::from_str(record).ok()).unwrap_or_default();
    let (document, secret_values) = if is_made_by_us { read::document(&inspected, &record, number) } else { foreign(&inspected) };
    Member {
        id: listed.id.clone(),
        name: names::plain(inspected.name.as_deref().unwrap_or(&listed.name)).to_owned(),
        number,
        ownership,
        document,
        secret_values,
        needs: record.needs.clone(),
        state: platform.watch.judge(&inspected),
        inspected,
    }
}

fn foreign(inspected: &ContainerInspectResponse) -> (Document, Vec<(Path, Zeroizing<String>)>) {
    let image = inspected.config.as_ref().and_then(|config| config.image.as_deref());
    let leaf = image.map(|image| (Path::new(["image"]), Leaf::image(image)));
    (leaf.into_iter().collect(), Vec::new())
}

impl App {
    /// Of two proxies, one of which takes the other's place, the one that has its name counts.
    fn keep(&mut self, proxy: Proxy) {
        match &mut self.proxy {
            Some(known) => known.keep(proxy),
            None => self.proxy = Some(proxy),
        }
    }

    /// Others' containers are in the way only where there are none of ours.
    fn settle(&mut self) {
        self.members.sort_by(|a, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        let is_ours = |ownership: &Ownership| ownership.marks().is_some();
        if self.members.iter().any(|member| is_ours(&member.ownership))
            || self.proxy.as_ref().is_some_and(|proxy| is_ours(&proxy.ownership))
        {
            self.members.retain(|member| is_ours(&member.ownership));
        }
    }

    /// Looks whether health checks pass that the engine has no result of yet.
    pub async fn probe(&mut self, platform: &DockerPlatform) {
        let mut looks = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            looks.push(async { member.state = probe::judge(platform, &member.inspected).await });
        }
        futures::future::join_all(looks).await;
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.proxy.is_none()
    }

    /// As the engine of Stratos sees it.
    pub fn observed(&self, id: ResourceId, rollout: RolloutState) -> Option<ObservedResource> {
        let ownership =
            self.members.iter().map(|member| &member.ownership).chain(self.proxy.iter().map(|proxy| &proxy.ownership)).next()?;
        let first = self.members.first();
        let ours = ownership.marks().is_some();
        let mut leaves: Vec<(Path, Option<Leaf>)> = Vec::new();
        let mut set = |path: &[&str], leaf: Leaf| leaves.push((Path::new(path.iter().copied()), Some(leaf)));
        if ours {
            let numbers: BTreeSet<u32> = self.members.iter().map(|member| member.number).collect();
            if numbers.len() != 1 {
                set(&["deploy", "replicas"], Leaf::Integer(i64::try_from(numbers.len()).unwrap_or(i64::MAX)));
            }
            let stopped = self.members.iter().filter(|member| matches!(member.state, State::Stopped(_))).count();
            if stopped > 0 {
                set(&["deploy", "stopped"], Leaf::Integer(i64::try_from(stopped).unwrap_or(i64::MAX)));
            }
            if self.is_unfinished(id.name.as_ref()) {
                set(&["deploy", "unfinished"], Leaf::Bool(true));
            }
            let hosts: BTreeSet<&str> = self.members.iter().map(|member| member.host()).collect();
            let published = self.proxy.iter().flat_map(|proxy| proxy.published(&hosts)).collect();
            leaves.extend(ports::leaves(published).into_iter().map(|(path, leaf)| (path, Some(leaf))));
        }
        let document = first.map(|member| member.document.clone()).unwrap_or_default().with(leaves);
        let mut needs: Vec<ResourceId> = self.members.iter().flat_map(|member| member.needs.clone()).collect();
        needs.sort();
        needs.dedup();
        let foreign = first.filter(|member| !ours && !names::is_forgotten(&member.name));
        Some(ObservedResource {
            // Ours are exchanged with each roll-out; of what is not ours, it tells one from another.
            uid: foreign.map(|member| member.id.clone()),
            secret_values: self.shown_values(),
            has_health: true,
            depends_on: needs,
            rollout,
            ..ObservedResource::new(id, ownership.clone(), document)
        })
    }

    /// The values to compare. Where a roll-out is not finished, the document says so already.
    fn shown_values(&self) -> Vec<(Path, Zeroizing<String>)> {
        self.members.first().map(|member| member.secret_values.clone()).unwrap_or_default()
    }

    /// Whether something is left of a roll-out that came to no end: containers that differ, that are not alone in their place,
    /// or that were never started.
    fn is_unfinished(&self, live: &str) -> bool {
        let Some(first) = self.members.first() else { return false };
        let protect = |member: &Member| member.ownership.marks().is_some_and(|marks| marks.protect);
        let odd = |(at, member): (usize, &Member)| {
            member.state == State::NeverStarted
                || member.document != first.document
                || member.secret_values != first.secret_values
                || protect(member) != protect(first)
                || member.name != names::instance(live, member.number)
                || usize::try_from(member.number) != Ok(at + 1)
        };
        self.members.iter().enumerate().any(odd) || self.proxy.as_ref().is_some_and(Proxy::has_leftovers)
    }
}

impl Member {
    /// The name by which the proxy reaches it: the start of its id, which the engine makes a name in each network.
    pub fn host(&self) -> &str {
        &self.id[..self.id.len().min(12)]
    }
}
