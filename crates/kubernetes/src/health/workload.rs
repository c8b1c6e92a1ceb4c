//! What runs pods: its own verdict, with what its pods say.

use futures::future;
use serde::Deserialize;
use stratos_engine::health::{Health, Instance, RolloutState, Status};

use super::conclude::{Evidence, conclude};
use super::events::{self, Kinds};
use super::object::{Object, holds, said};
use super::pod::{self, Seen};
use super::verdict::Verdict;
use super::{Reader, judge, last_log, words};
use crate::kind::GroupKind;
use crate::pages;
use crate::pods::{Pod, Selector};
use crate::query::Query;

/// The label by which pods of the portable model name their workload.
pub(super) const INSTANCE: &str = "app.kubernetes.io/instance";
/// The events of so many pods are read: the others say the same.
const EXPLAINED: usize = 2;

/// Something that runs pods.
pub(super) struct Workload<'a> {
    kind: &'a GroupKind,
    pub(super) namespace: &'a str,
    object: &'a Object,
    pub(super) selector: Selector,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    selector: Selector,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Revision {
    update_revision: String,
}

/// The ReplicaSet of a Deployment's newest version.
struct Newest {
    name: String,
    uid: String,
    failure: Option<String>,
}

impl<'a> Workload<'a> {
    /// None for what runs no pods.
    pub(super) fn of(kind: &'a GroupKind, namespace: &'a str, object: &'a Object) -> Option<Self> {
        let selector = match (kind.group.as_str(), kind.kind.as_str()) {
            ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch", "Job") => object.spec::<Spec>().selector,
            ("", "Pod") => Selector::default(),
            _ => return None,
        };
        Some(Self { kind, namespace, object, selector })
    }

    /// Its namespace and name.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.object.metadata.name)
    }

    pub(super) fn name(&self) -> &str {
        &self.object.metadata.name
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.kind == kind
    }

    /// Whether a pod can be one of its pods: selected, and made by it or by a ReplicaSet that may be its own.
    pub(super) fn may_have(&self, pod: &Pod) -> bool {
        if !self.selector.selects(&pod.metadata.labels) {
            return false;
        }
        pod.metadata.controller().is_some_and(|owner| match self.is("Deployment") {
            true => owner.kind == "ReplicaSet" && owner.name.strip_prefix(self.name()).is_some_and(|rest| rest.starts_with('-')),
            false => owner.uid == self.object.metadata.uid,
        })
    }

    pub(super) async fn health(&self, reader: &Reader<'_>, pods: Vec<Pod>) -> Health {
        if self.is("Pod") {
            return self.single(reader).await;
        }
        let mut verdict = judge(self.kind, self.object);
        let is_job = self.is("Job");
        let pods: Vec<Pod> = pods.into_iter().filter(|pod| is_job || is_there(pod)).collect();
        let works = verdict.status == Status::Healthy;
        let newest = if self.is("Deployment") && !works { self.newest(reader).await } else { None };
        if let (RolloutState::Paused { why }, Some(newest)) = (&verdict.rollout, &newest)
            && is_of_another(why, &newest.name)
        {
            // The version that was given up is not the one that is wanted now: the controller has not said anything about it.
            verdict = Verdict::running("the roll-out has begun");
        }
        let (current, old): (Vec<Pod>, Vec<Pod>) = pods.into_iter().partition(|pod| self.is_current(pod, newest.as_ref(), works));
        let mut seen: Vec<Seen> = current.iter().map(|pod| pod::look(pod, reader.watched)).collect();
        let mut refused = newest.as_ref().and_then(|newest| newest.failure.clone());
        if !works {
            self.explain(reader, &current, &mut seen).await;
            refused = refused.or_else(|| self.stuck_on(&old, reader));
            if refused.is_none() && current.iter().all(Pod::has_ended) {
                let of = newest.as_ref().map_or(&self.object.metadata.uid, |newest| &newest.uid);
                refused = events::about(reader, self.namespace, of, Kinds::Warnings).await.into_iter().next();
            }
        }
        let evidence = Evidence {
            current: current.iter().map(|pod| pod.metadata.name.as_str()).zip(&seen).collect(),
            old_that_serve: old.iter().filter(|pod| pod.is_ready()).count(),
            refused,
            pods_decide: !is_job,
        };
        let verdict = conclude(verdict, &evidence);
        let instances = instances(reader, &current, &seen).await;
        // Those of the version before still serve, and are shown until they are gone.
        let before = old.iter().map(|pod| instance(pod, &pod::look(pod, reader.watched), vec![]));
        let mut instances: Vec<Instance> = instances.into_iter().chain(before).collect();
        instances.sort_by(|a, b| a.name.cmp(&b.name));
        Health { instances, ..verdict.into_health() }
    }

    /// A pod of its own.
    async fn single(&self, reader: &Reader<'_>) -> Health {
        let pod = Pod { metadata: self.object.metadata.clone(), spec: self.object.spec(), status: self.object.status() };
        let mut seen = vec![pod::look(&pod, reader.watched)];
        let pods = [pod];
        self.explain(reader, &pods, &mut seen).await;
        let instances = instances(reader, &pods, &seen).await;
        let verdict = match &seen[0] {
            Seen { status: Status::Healthy, .. } => Verdict::healthy(),
            Seen { status: Status::Failed, message, .. } => Verdict::failed(message),
            Seen { message, .. } => Verdict::progressing(message),
        };
        Health { instances, ..verdict.into_health() }
    }

    /// The ReplicaSet of the newest version, where it can be read.
    async fn newest(&self, reader: &Reader<'_>) -> Option<Newest> {
        let path = format!("/apis/apps/v1/namespaces/{}/replicasets", crate::query::segment(self.namespace));
        let query = Query::of(path).with("labelSelector", &self.selector.text());
        let sets = pages::all::<Object>(reader.connection, &query).await;
        let sets = sets.inspect_err(|failure| tracing::debug!(why = failure.why(), "replica sets were not listed")).ok()?;
        let ours = sets.iter().filter(|set| set.metadata.controller().is_some_and(|owner| owner.uid == self.object.metadata.uid));
        let revision = |set: &&Object| -> i64 {
            let text = set.metadata.annotations.get("deployment.kubernetes.io/revision");
            text.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        let newest = ours.max_by_key(revision)?;
        let failure = holds(&newest.conditions(), "ReplicaFailure").map(|failure| words::cause(&said(failure)));
        Some(Newest { name: newest.metadata.name.clone(), uid: newest.metadata.uid.clone(), failure })
    }

    /// Whether a pod is of the newest version. In a workload that works all of them are.
    fn is_current(&self, pod: &Pod, newest: Option<&Newest>, works: bool) -> bool {
        let label = |name: &str| pod.metadata.labels.get(name);
        match self.kind.kind.as_str() {
            _ if works => true,
            "Deployment" => newest.is_none_or(|newest| pod.metadata.controller().is_some_and(|owner| owner.uid == newest.uid)),
            "StatefulSet" => {
                let wanted = self.object.status::<Revision>().update_revision;
                wanted.is_empty() || label("controller-revision-hash").is_none_or(|is| *is == wanted)
            }
            "DaemonSet" => {
                let wanted = self.object.metadata.annotations.get("deprecated.daemonset.template.generation");
                wanted.zip(label("pod-template-generation")).is_none_or(|(wanted, is)| wanted == is)
            }
            _ => true,
        }
    }

    /// A StatefulSet renews no pod before the others are ready, also where one of the version before never will be.
    fn stuck_on(&self, old: &[Pod], reader: &Reader<'_>) -> Option<String> {
        let broken = old.iter().filter(|_| self.is("StatefulSet")).find(|pod| pod::look(pod, reader.watched).status == Status::Failed)?;
        let name = &broken.metadata.name;
        Some(format!(
            "{name}, of the version before, does not work, and a StatefulSet waits for it: `kubectl delete pod {name}` lets it go on"
        ))
    }

    /// Lets events say what pods do not say themselves.
    async fn explain(&self, reader: &Reader<'_>, pods: &[Pod], seen: &mut [Seen]) {
        let vague = pods.iter().zip(seen).filter(|(_, seen)| seen.is_vague).take(EXPLAINED);
        future::join_all(vague.map(|(pod, seen)| async move {
            let events = events::about(reader, self.namespace, &pod.metadata.uid, Kinds::Warnings).await;
            if let Some(event) = events.first() {
                seen.message = format!("{}: {event}", seen.message);
            }
        }))
        .await;
    }
}

/// Whether a pod counts: one that is being ended, or that ended and was replaced, does not.
fn is_there(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !pod.has_ended()
}

/// Whether what is said of a ReplicaSet that was given up is about another one.
fn is_of_another(why: &str, newest: &str) -> bool {
    why.contains("ReplicaSet \"") && !why.contains(&format!("\"{newest}\""))
}

async fn instances(reader: &Reader<'_>, pods: &[Pod], seen: &[Seen]) -> Vec<Instance> {
    let each = pods.iter().zip(seen).map(|(pod, seen)| async move {
        let lines = match &seen.log {
            Some(log) if seen.status != Status::Healthy => last_log::read(reader, pod, log).await,
            _ => vec![],
        };
        instance(pod, seen, lines)
    });
    future::join_all(each).await
}

fn instance(pod: &Pod, seen: &Seen, last_log: Vec<String>) -> Instance {
    Instance { name: pod.metadata.name.clone(), status: seen.status, message: seen.message.clone(), restarts: pod.restarts(), last_log }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_runs_no_pods_is_no_workload() {
        assert!(Workload::of(&GroupKind::parse("Service"), "shop", &Object::default()).is_none());
    }

    #[test]
    fn pods_are_those_that_it_selects_and_made() {
        let kind = GroupKind::parse("Deployment.apps");
        let object: Object =
            serde_json::from_value(json!({ "metadata": { "name": "web" }, "spec": { "selector": { "matchLabels": { "app": "web" } } } }))
                .unwrap();
        let workload = Workload::of(&kind, "shop", &object).unwrap();
        let pod = |app: &str, kind: &str, owner: &str| {
            let owner = json!({ "kind": kind, "name": owner, "controller": true });
            serde_json::from_value::<Pod>(json!({ "metadata": { "labels": { "app": app }, "ownerReferences": [owner] } })).unwrap()
        };
        assert!(workload.may_have(&pod("web", "ReplicaSet", "web-7d9")));
        assert!(!workload.may_have(&pod("db", "ReplicaSet", "web-7d9")));
        assert!(!workload.may_have(&pod("web", "Job", "web-7d9")));
        assert!(!workload.may_have(&pod("web", "ReplicaSet", "other-7d9")));
    }

    #[test]
    fn a_deadline_of_another_version_is_no_news() {
        assert!(is_of_another("ReplicaSet \"web-1\" has timed out progressing", "web-2"));
        assert!(!is_of_another("ReplicaSet \"web-2\" has timed out progressing", "web-2"));
        assert!(!is_of_another("Deployment \"web\" has timed out progressing", "web-2"));
    }
}
