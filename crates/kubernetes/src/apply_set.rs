//! The record of where an environment has objects: kinds and namespaces (the parent of an ApplySet, KEP-3659).
//!
//! It says where to look, never what is there; and which Jobs have been made that go by themselves (`ttlSecondsAfterFinished`), so that
//! none is made again with each plan. It is widened before the first write of a kind, and narrowed when a run ends that
//! deleted something. Where it is lost, everything is looked through, and it is written anew before the next write.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::try_join_all;
use http::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::owner::Owner;
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use tokio::sync::Mutex;

use crate::connection::{Connection, Content};
use crate::discovery::Discovery;
use crate::failure::Failure;
use crate::kind::GroupKind;
use crate::object::live::{Live, MANAGER};
use crate::read::listed;
use crate::{lists, marks, names};

const ID: &str = "applyset.kubernetes.io/id";
const TOOLING: &str = "applyset.kubernetes.io/tooling";
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
/// Jobs that were made and go by themselves when they have run.
const RAN: &str = "stratos/ran";
/// So many of them are remembered, the latest: each has its line in an annotation, and annotations have a limit of 256 KiB.
const REMEMBERED: usize = 500;
/// What we call ourselves in it.
const TOOL: &str = "stratos/v1";

/// Kinds, and namespaces beside the environment's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) kinds: BTreeSet<GroupKind>,
    pub(crate) namespaces: BTreeSet<String>,
    /// Jobs that were made and go by themselves, the latest last.
    pub(crate) ran: Vec<Ran>,
}

/// A Job that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    /// Its id, as annotations list it.
    pub(crate) id: String,
    /// The digest of its document without digests of images, which the plan of a Job that is gone does not know.
    pub(crate) digest: String,
}

impl Ran {
    /// A Job by what was, or is, wanted of it. None for what does not go by itself.
    pub(crate) fn of(id: &ResourceId, document: &Document) -> Option<Self> {
        document.get(&Path::new(["spec", "ttlSecondsAfterFinished"])).filter(|_| &*id.kind == "Job.batch")?;
        let mut document = document.clone();
        for (_, leaf) in document.leaves_mut() {
            if let Leaf::Image(image) = leaf {
                image.digest = None;
            }
        }
        Some(Self { id: listed([id]), digest: document.digest().to_string() })
    }
}

impl Places {
    fn add(&mut self, other: &Self) {
        self.kinds.extend(other.kinds.iter().cloned());
        self.namespaces.extend(other.namespaces.iter().cloned());
        for ran in &other.ran {
            self.ran.retain(|known| known.id != ran.id);
            self.ran.push(ran.clone());
        }
        self.ran.drain(..self.ran.len().saturating_sub(REMEMBERED));
    }
}

/// The record of one environment.
pub(crate) struct ApplySet {
    namespace: String,
    name: String,
    owner: Owner,
    /// As we know that it is written. None before it was read.
    written: Mutex<Option<Places>>,
}

impl ApplySet {
    pub(crate) fn new(namespace: &str, owner: &Owner) -> Self {
        let name = format!("stratos-{}", names::hash(&owner.to_string()));
        Self { namespace: namespace.to_owned(), name, owner: owner.clone(), written: Mutex::default() }
    }

    /// What its members are labelled with: `applyset-<base64 of the SHA-256 of name.namespace.kind.group>-v1`.
    pub(crate) fn id(&self) -> String {
        let digest = Sha256::digest(format!("{}.{}.ConfigMap.", self.name, self.namespace).as_bytes());
        format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(digest))
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps/{}", crate::query::segment(&self.namespace), self.name)
    }

    /// What is written down. None where there is no record.
    pub(crate) async fn read(&self, connection: &Connection) -> Result<Option<Places>, Failure> {
        let Some(body) = connection.find(&self.path()).await? else { return Ok(None) };
        let live = Live::parse(&body).map_err(|error| Failure::unreadable(&error))?;
        let list = |key: &str| {
            let text = live.meta.annotations.get(key).map(String::as_str).unwrap_or_default();
            text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let kinds = list(KINDS).iter().map(|kind| GroupKind::parse(kind)).collect();
        let ran = |line: &String| line.split_once('=').map(|(id, digest)| Ran { id: id.to_owned(), digest: digest.to_owned() });
        Ok(Some(Places { kinds, namespaces: list(NAMESPACES).into_iter().collect(), ran: list(RAN).iter().filter_map(ran).collect() }))
    }

    /// Writes these places down beside those that are there, if they are not. In a new namespace there are none.
    pub(crate) async fn widen(&self, connection: &Connection, discovery: &Discovery, is_new: bool, places: &Places) -> Result<(), Failure> {
        let mut written = self.written.lock().await;
        let there = match written.take() {
            Some(known) => Some(known),
            None => self.read(connection).await?,
        };
        let mut known = match &there {
            Some(known) => known.clone(),
            // It may be lost. With these places alone in a new one, nobody would look for what is in the others.
            None if !is_new => self.recover(connection, discovery).await?,
            None => Places::default(),
        };
        known.add(places);
        if there.as_ref() != Some(&known) {
            self.write(connection, &known).await?;
        }
        *written = Some(known);
        Ok(())
    }

    /// The kinds of which there is something of ours in the namespace, as far as they may be looked at. A kind that cannot be read is
    /// among them where there is anything of ours: something of it may be, too. Where all that is ours cannot be read, it is as if nothing
    /// were there.
    async fn recover(&self, connection: &Connection, discovery: &Discovery) -> Result<Places, Failure> {
        let selector = &marks::selector(&self.owner);
        let kinds = discovery.listable().await?.resources.into_iter();
        let kinds = kinds.map(|resource| (GroupKind::of(&resource.api_version, &resource.kind), resource));
        let all = kinds.filter(|(kind, _)| !kind.follows_others()).map(|(kind, resource)| async move {
            let is_member = |live: Live| live.meta.labels.contains_key(marks::APP) && !live.has_controller();
            match lists::read(connection, &resource, Some(&self.namespace), selector, is_member).await {
                Ok(members) => Ok((kind, Some(members.contains(&true)))),
                Err(failure) if failure.is_denied() || failure.is_not_found() => Ok((kind, Some(false))),
                Err(failure) if failure.is_of_its_kind() => Ok((kind, None)),
                Err(failure) => Err(failure),
            }
        });
        let kinds: Vec<(GroupKind, Option<bool>)> = try_join_all(all).await?;
        if kinds.iter().all(|(_, is_there)| *is_there != Some(true)) {
            return Ok(Places::default());
        }
        let may_be_there = kinds.into_iter().filter(|(_, is_there)| *is_there != Some(false));
        Ok(Places { kinds: may_be_there.map(|(kind, _)| kind).collect(), ..Places::default() })
    }

    /// Writes just these places down; removes the record where there are none.
    pub(crate) async fn narrow(&self, connection: &Connection, places: &Places) -> Result<(), Failure> {
        let mut written = self.written.lock().await;
        if places.kinds.is_empty() && places.ran.is_empty() {
            match connection.send(Method::DELETE, &self.path(), "application/json", None).await {
                Err(failure) if !failure.is_not_found() => return Err(failure),
                _ => {}
            }
            *written = None;
        } else {
            self.write(connection, places).await?;
            *written = Some(places.clone());
        }
        Ok(())
    }

    async fn write(&self, connection: &Connection, places: &Places) -> Result<(), Failure> {
        let mut labels = marks::labels_of_owner(&self.owner);
        labels.insert(ID.to_owned(), self.id());
        let kinds: Vec<String> = places.kinds.iter().map(GroupKind::to_string).collect();
        let namespaces: Vec<&str> = places.namespaces.iter().map(String::as_str).collect();
        let ran: Vec<String> = places.ran.iter().map(|Ran { id, digest }| format!("{id}={digest}")).collect();
        let mut object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": self.name, "namespace": self.namespace, "labels": labels,
                "annotations": { TOOLING: TOOL, KINDS: kinds.join(","), NAMESPACES: namespaces.join(",") },
            },
        });
        if !ran.is_empty() {
            object["metadata"]["annotations"][RAN] = ran.join(",").into();
        }
        let content = Content::of("application/apply-patch+yaml", &object);
        let path = format!("{}?fieldManager={MANAGER}&force=true", self.path());
        connection.send(Method::PATCH, &path, "application/json", Some(&content)).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratos_engine::desired::name::Name;

    /// Members are found by other tools by this id.
    #[test]
    fn the_id_is_that_of_the_specification() {
        let owner = Owner { project: "k3v9q2xw".into(), environment: Name::new("dev").unwrap() };
        let set = ApplySet::new("shop-dev", &owner);
        let digest = Sha256::digest(format!("{}.shop-dev.ConfigMap.", set.name).as_bytes());
        assert_eq!(set.id(), format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(digest)));
        // At most what a label's value may be.
        assert!(set.id().len() <= 63);
    }
}
