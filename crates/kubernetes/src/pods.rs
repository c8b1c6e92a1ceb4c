//! The pods of a resource.

mod pod;
mod selector;

use serde::Deserialize;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::{PlatformError, PlatformErrorKind};

use crate::config::EnvironmentConfig;
use crate::connection::Connection;
use crate::discovery::Discovery;
use crate::failure::Failure;
use crate::kind::GroupKind;
use crate::pages;
use crate::query::Query;
pub(crate) use pod::{Condition, ContainerStatus, Meta, Pod, Terminated};
pub(crate) use selector::Selector;

/// The namespace of a resource.
pub(crate) fn namespace<'a>(id: &'a ResourceId, config: &'a EnvironmentConfig) -> &'a str {
    id.namespace.as_deref().unwrap_or(&config.namespace)
}

/// Where pods are found.
#[derive(Debug, Clone)]
pub(crate) enum Pods {
    /// One of this name.
    Named { namespace: String, name: String },
    /// Those that a selector selects.
    Selected { namespace: String, selector: Selector },
    /// Those of jobs that a schedule has started.
    OfSchedule { namespace: String, uid: String },
}

/// What is read of a resource to find its pods.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Workload {
    metadata: Meta,
    spec: WorkloadSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WorkloadSpec {
    // A Service's is a map of labels, a workload's has fields.
    selector: serde_json::Value,
}

impl Pods {
    /// Where the pods of a resource are.
    ///
    /// # Errors
    /// Where it is not there, has no pods by its kind, or could not be read.
    pub(crate) async fn of(
        connection: &Connection,
        discovery: &Discovery,
        config: &EnvironmentConfig,
        id: &ResourceId,
    ) -> Result<Self, PlatformError> {
        let attempted = || format!("looking for the pods of {id}");
        let refused = |why: String| PlatformError::new(PlatformErrorKind::Rejected, attempted(), why);
        let (kind, namespace) = (GroupKind::parse(&id.kind), namespace(id, config).to_owned());
        if kind == GroupKind::of("v1", "Pod") {
            return Ok(Self::Named { namespace, name: id.name.to_string() });
        }
        let resource = discovery.find(&kind, None).await.map_err(|failure| failure.error(attempted()))?;
        let resource = resource.ok_or_else(|| refused(format!("the cluster has no kind {kind}")))?;
        let found = connection.find(&resource.object(Some(&namespace), &id.name)).await.map_err(|failure| failure.error(attempted()))?;
        let body = found.ok_or_else(|| refused("it is not there".to_owned()))?;
        let workload: Workload = serde_json::from_slice(&body).unwrap_or_default();
        if kind == GroupKind::of("batch/v1", "CronJob") {
            return Ok(Self::OfSchedule { namespace, uid: workload.metadata.uid });
        }
        let selector = workload.spec.selector;
        let selector = if kind == GroupKind::of("v1", "Service") {
            serde_json::from_value(selector).map(Selector::of_labels).unwrap_or_default()
        } else {
            serde_json::from_value(selector).unwrap_or_default()
        };
        if selector.is_empty() {
            return Err(refused(format!("a {} has no pods", kind.kind)));
        }
        Ok(Self::Selected { namespace, selector })
    }

    pub(crate) fn namespace(&self) -> &str {
        match self {
            Self::Named { namespace, .. } | Self::Selected { namespace, .. } | Self::OfSchedule { namespace, .. } => namespace,
        }
    }

    /// The pods that are there now, oldest first.
    pub(crate) async fn read(&self, connection: &Connection) -> Result<Vec<Pod>, Failure> {
        let mut pods: Vec<Pod> = match self {
            Self::Named { namespace, name } => {
                let body = connection.find(&format!("{}/{}", collection(namespace), crate::query::segment(name))).await?;
                body.map(|body| serde_json::from_slice(&body).map_err(|error| Failure::unsent(&error))).transpose()?.into_iter().collect()
            }
            Self::Selected { namespace, selector } => selected(connection, namespace, &selector.text()).await?,
            Self::OfSchedule { namespace, uid } => {
                let jobs: Vec<Workload> =
                    pages::all(connection, &Query::of(format!("/apis/batch/v1/namespaces/{}/jobs", crate::query::segment(namespace))))
                        .await?;
                let ours = jobs.iter().filter(|job| job.metadata.controller().is_some_and(|owner| owner.uid == *uid));
                let names: Vec<&str> = ours.map(|job| job.metadata.name.as_str()).collect();
                match names.is_empty() {
                    true => vec![],
                    false => selected(connection, namespace, &format!("batch.kubernetes.io/job-name in ({})", names.join(","))).await?,
                }
            }
        };
        pods.sort_by(|a, b| (&a.metadata.creation_timestamp, &a.metadata.name).cmp(&(&b.metadata.creation_timestamp, &b.metadata.name)));
        Ok(pods)
    }
}

/// The path of a namespace's pods.
pub(crate) fn collection(namespace: &str) -> String {
    format!("/api/v1/namespaces/{}/pods", crate::query::segment(namespace))
}

/// The pods that have these labels.
pub(crate) async fn selected(connection: &Connection, namespace: &str, selector: &str) -> Result<Vec<Pod>, Failure> {
    pages::all(connection, &Query::of(collection(namespace)).with("labelSelector", selector)).await
}
