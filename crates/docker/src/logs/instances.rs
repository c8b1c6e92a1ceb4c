//! Who writes logs: the slots of a service, or the containers of a plain engine.

use std::collections::{BTreeMap, HashMap};

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, Task, TaskState};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNodesOptions, ListTasksOptionsBuilder, LogsOptionsBuilder};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::PlatformError;

use crate::connection::Connection;
use crate::engine::{DockerPlatform, names, record};
use crate::failure::failure;
use crate::labels;

/// Whose logs are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// The tasks of a service, by its live name.
    Service(String),
    /// The containers that these filters of the engine's list find.
    Containers(HashMap<String, Vec<String>>),
}

/// Who a user takes for one: a slot of a service, with all tasks that it has had; a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub name: String,
    /// Oldest first.
    pub parts: Vec<Part>,
}

/// A task or a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub id: String,
    pub runs: bool,
    /// The container, and the node that it is on where there are nodes.
    pub container: String,
    pub node: Option<String>,
}

impl Of {
    /// The instances of an app on a plain engine, without what else belongs to it.
    pub(crate) fn containers_of(platform: &DockerPlatform, id: &ResourceId) -> Self {
        let mut filters = labels::filter(&platform.config.owner);
        let more = [format!("{}={}", record::RESOURCE, id.name), record::INSTANCE.to_owned()];
        filters.entry("label".to_owned()).or_default().extend(more);
        Self::Containers(filters)
    }

    /// Those that have written anything, in the order of their names.
    pub(crate) async fn instances(&self, connection: &Connection) -> Result<Vec<Instance>, PlatformError> {
        match self {
            Self::Service(name) => tasks(connection, name).await,
            Self::Containers(filters) => containers(connection, filters).await,
        }
    }

    /// What a part wrote, with times.
    pub(super) fn open(
        &self,
        connection: &Connection,
        part: &str,
        follow: bool,
        tail: Option<usize>,
        since: Option<i32>,
    ) -> BoxStream<'static, Result<LogOutput, Error>> {
        let tail = tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string());
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).follow(follow).tail(&tail);
        let options = options.since(since.unwrap_or_default()).build();
        match self {
            Self::Service(_) => connection.docker.task_logs(part, Some(options)).boxed(),
            Self::Containers(_) => connection.docker.logs(part, Some(options)).boxed(),
        }
    }
}

async fn tasks(connection: &Connection, service: &str) -> Result<Vec<Instance>, PlatformError> {
    let attempted = || format!("listing the tasks of the service {service}");
    let filters = HashMap::from([("service".to_owned(), vec![service.to_owned()])]);
    let options = ListTasksOptionsBuilder::new().filters(&filters).build();
    let mut tasks = connection.docker.list_tasks(Some(options)).await.map_err(|error| failure(attempted(), &error))?;
    tasks.sort_by(|a, b| a.created_at.cmp(&b.created_at));
    // A task of a global service has no slot: it is called after its node.
    let nodes = match tasks.iter().any(|task| task.slot.unwrap_or_default() == 0) {
        true => node_names(connection).await?,
        false => HashMap::new(),
    };
    let mut instances: BTreeMap<(i64, String), Instance> = BTreeMap::new();
    for task in tasks {
        let Some(part) = part(&task) else { continue };
        let slot = task.slot.unwrap_or_default();
        let node = task.node_id.unwrap_or_default();
        let suffix = if slot > 0 { slot.to_string() } else { nodes.get(&node).cloned().unwrap_or(node) };
        let name = format!("{service}.{suffix}");
        let instance = instances.entry((slot, name.clone())).or_insert_with(|| Instance { name, parts: Vec::new() });
        instance.parts.push(part);
    }
    Ok(instances.into_values().collect())
}

/// None for a task that has no container: it has written nothing.
fn part(task: &Task) -> Option<Part> {
    let status = task.status.as_ref()?;
    let container = status.container_status.as_ref()?.container_id.clone().filter(|id| !id.is_empty())?;
    let runs = matches!(status.state, Some(TaskState::STARTING | TaskState::RUNNING));
    Some(Part { id: task.id.clone()?, runs, container, node: task.node_id.clone() })
}

/// The names of a swarm's nodes, by id.
pub(crate) async fn node_names(connection: &Connection) -> Result<HashMap<String, String>, PlatformError> {
    let nodes = connection.docker.list_nodes(None::<ListNodesOptions>).await;
    let nodes = nodes.map_err(|error| failure("listing the nodes of the swarm", &error))?;
    let name = |node: bollard::models::Node| Some((node.id?, node.description?.hostname?));
    Ok(nodes.into_iter().filter_map(name).collect())
}

async fn containers(connection: &Connection, filters: &HashMap<String, Vec<String>>) -> Result<Vec<Instance>, PlatformError> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(filters).build();
    let mut found = connection.docker.list_containers(Some(options)).await.map_err(|error| failure("listing containers", &error))?;
    found.sort_by_key(|container| container.created);
    let mut instances: BTreeMap<String, Instance> = BTreeMap::new();
    for container in found {
        let Some((name, part)) = named(container) else { continue };
        instances.entry(name.clone()).or_insert_with(|| Instance { name, parts: Vec::new() }).parts.push(part);
    }
    Ok(instances.into_values().collect())
}

fn named(container: ContainerSummary) -> Option<(String, Part)> {
    let id = container.id?;
    // Links give a container more names, which have a slash within.
    let all = container.names.unwrap_or_default();
    let name = all.iter().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'))?.to_owned();
    if names::is_forgotten(&name) {
        return None;
    }
    let runs = matches!(
        container.state,
        Some(ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::RESTARTING | ContainerSummaryStateEnum::PAUSED)
    );
    Some((name, Part { id: id.clone(), runs, container: id, node: None }))
}
