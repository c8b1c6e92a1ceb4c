//! Reads what is asked about: few requests for many.

use std::collections::{BTreeMap, HashMap};

use futures::future::try_join_all;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::PlatformError;

use super::Reader;
use super::object::Object;
use super::workload::{INSTANCE, Workload};
use crate::config::EnvironmentConfig;
use crate::failure::Failure;
use crate::kind::{GroupKind, Resource};
use crate::marks;
use crate::pages;
use crate::pods::{self, Pod};
use crate::query::Query;

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Asked {
    pub(super) kind: GroupKind,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Asked {
    pub(super) fn of(id: &ResourceId, config: &EnvironmentConfig) -> Self {
        Self { kind: GroupKind::parse(&id.kind), namespace: pods::namespace(id, config).to_owned(), name: id.name.to_string() }
    }

    fn attempted(&self) -> String {
        format!("asking how {} {} is", self.kind.kind, self.name)
    }
}

/// What came of asking.
#[derive(Debug, Clone)]
pub(super) enum Found {
    Is(Box<Object>),
    NotThere(String),
    Unreadable(String),
}

/// The objects, in the order asked.
pub(super) async fn objects(reader: &Reader<'_>, asked: &[Asked]) -> Result<Vec<Found>, PlatformError> {
    let mut groups: BTreeMap<(&GroupKind, &str), Vec<&Asked>> = BTreeMap::new();
    for asked in asked {
        groups.entry((&asked.kind, &asked.namespace)).or_default().push(asked);
    }
    // The connection limits how many requests are under way at once.
    let found: Vec<HashMap<&Asked, Found>> = try_join_all(groups.into_values().map(|group| group_of(reader, group))).await?;
    let found: HashMap<&Asked, Found> = found.into_iter().flatten().collect();
    let of = |asked: &Asked| found.get(asked).cloned().unwrap_or_else(|| Found::NotThere(String::new()));
    Ok(asked.iter().map(of).collect())
}

/// The objects of one kind and namespace.
async fn group_of<'a>(reader: &Reader<'_>, group: Vec<&'a Asked>) -> Result<HashMap<&'a Asked, Found>, PlatformError> {
    let Some(first) = group.first().copied() else { return Ok(HashMap::new()) };
    let resource = match reader.discovery.find(&first.kind, None).await {
        Ok(Some(resource)) => resource,
        Ok(None) => {
            let why = format!("the cluster has no kind {}", first.kind);
            return Ok(group.into_iter().map(|asked| (asked, Found::NotThere(why.clone()))).collect());
        }
        Err(failure) => return Err(failure.error(first.attempted())),
    };
    let mut listed = if group.len() > 1 { list_of(reader, &resource, first).await? } else { HashMap::new() };
    let mut out = HashMap::new();
    let mut missed = Vec::new();
    for asked in group {
        match listed.remove(&asked.name) {
            Some(object) => drop(out.insert(asked, Found::Is(Box::new(object)))),
            None => missed.push(asked),
        }
    }
    let missed = missed.into_iter().map(|asked| get(reader, &resource, asked));
    let missed: Vec<(&Asked, Found)> = try_join_all(missed).await?;
    out.extend(missed);
    Ok(out)
}

/// Everything of ours of one kind and namespace, by name. Who may read single objects may not always list them.
async fn list_of(reader: &Reader<'_>, resource: &Resource, of: &Asked) -> Result<HashMap<String, Object>, PlatformError> {
    let selector = marks::selector(&reader.config.owner);
    let query = Query::of(resource.collection(Some(&of.namespace))).with_encoded("labelSelector", &selector);
    match pages::all::<Object>(reader.connection, &query).await {
        Ok(objects) => Ok(objects.into_iter().map(|object| (object.metadata.name.clone(), object)).collect()),
        Err(failure) if failure.is_denied() => Ok(HashMap::new()),
        Err(failure) => Err(failure.error(of.attempted())),
    }
}

async fn get<'a>(reader: &Reader<'_>, resource: &Resource, asked: &'a Asked) -> Result<(&'a Asked, Found), PlatformError> {
    let found = match reader.connection.find(&resource.object(Some(&asked.namespace), &asked.name)).await {
        Ok(Some(body)) => match serde_json::from_slice(&body) {
            Ok(object) => Found::Is(Box::new(object)),
            Err(error) => Found::Unreadable(format!("the cluster's answer was not understood: {error}")),
        },
        Ok(None) => Found::NotThere(format!("there is no {} {} in the namespace {}", asked.kind.kind, asked.name, asked.namespace)),
        Err(failure) if failure.is_denied() => Found::Unreadable(failure.error(asked.attempted()).to_string()),
        Err(failure) => return Err(failure.error(asked.attempted())),
    };
    Ok((asked, found))
}

/// The pods of each workload. Those that carry the label of the portable model are read together.
pub(super) async fn pods(reader: &Reader<'_>, workloads: &[Option<Workload<'_>>]) -> Result<Vec<Vec<Pod>>, PlatformError> {
    let mut together: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for (i, workload) in workloads.iter().enumerate() {
        let Some(workload) = workload else { continue };
        if let Some(instance) = workload.selector.match_labels.get(INSTANCE) {
            together.entry(workload.namespace).or_default().push((instance, i));
        }
    }
    together.retain(|_, workloads| workloads.len() > 1);
    let mut requests: Vec<(String, &str, Vec<usize>)> = Vec::new();
    for (namespace, members) in &together {
        // The address of a request has its limits.
        for some in members.chunks(50) {
            let names: Vec<&str> = some.iter().map(|(name, _)| *name).collect();
            requests.push((format!("{INSTANCE} in ({})", names.join(",")), namespace, some.iter().map(|(_, i)| *i).collect()));
        }
    }
    let shared: Vec<usize> = requests.iter().flat_map(|(_, _, members)| members.clone()).collect();
    for (i, workload) in workloads.iter().enumerate() {
        let Some(workload) = workload.as_ref().filter(|_| !shared.contains(&i)) else { continue };
        if !workload.selector.is_empty() {
            requests.push((workload.selector.text(), workload.namespace, vec![i]));
        }
    }
    let read = try_join_all(requests.into_iter().map(|(selector, namespace, members)| pods_of(reader, selector, namespace, members))).await;
    let mut out = vec![Vec::new(); workloads.len()];
    for (pods, members) in read.map_err(|failure| failure.error("listing the pods of workloads"))? {
        for i in members {
            let Some(workload) = &workloads[i] else { continue };
            out[i].extend(pods.iter().filter(|pod| workload.may_have(pod)).cloned());
            out[i].sort_by(|a: &Pod, b: &Pod| a.metadata.name.cmp(&b.metadata.name));
        }
    }
    Ok(out)
}

async fn pods_of(reader: &Reader<'_>, selector: String, namespace: &str, of: Vec<usize>) -> Result<(Vec<Pod>, Vec<usize>), Failure> {
    match pods::selected(reader.connection, namespace, &selector).await {
        Ok(pods) => Ok((pods, of)),
        // The workload itself says enough.
        Err(failure) if failure.is_denied() => Ok((vec![], of)),
        Err(failure) => Err(failure),
    }
}
