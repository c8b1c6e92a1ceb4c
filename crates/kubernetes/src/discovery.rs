//! Where the API has each kind: known for what comes with every cluster, asked for otherwise.

mod answer;
mod built_in;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use http::Method;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::kind::{GroupKind, Resource};
use answer::{Catalogue, Groups};

/// Asks for everything in one document; a server that has none answers in the old form.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
/// So many groups are asked for at once, where each is asked for by itself.
const AT_ONCE: usize = 16;

/// A definition is established before its kind is among those that the server tells of: so long it is waited for, and looked for in
/// between.
const LAGS: Duration = Duration::from_secs(10);
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// Whether the objects of a kind are in namespaces. None of a kind that not every cluster has.
pub(crate) fn is_namespaced(kind: &GroupKind) -> Option<bool> {
    built_in::find(kind, None).map(|resource| resource.namespaced)
}

/// What a cluster serves. It is asked at most once, and once more for a kind that it did not have then.
pub(crate) struct Discovery {
    connection: Connection,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    catalogue: Option<Arc<Catalogue>>,
    /// Whether the cluster was asked again since the last [`Discovery::defined`].
    again: bool,
    /// Groups of which a definition was applied, and until when their kinds may be missing.
    defined: HashMap<String, Instant>,
}

/// The kinds that a namespace may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listable {
    /// Each kind once, in the version that the server prefers.
    pub(crate) resources: Vec<Resource>,
    /// Groups whose kinds are not known: their servers do not answer.
    pub(crate) undiscovered: Vec<String>,
}

impl Discovery {
    /// Asks nothing yet.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, known: Mutex::default() }
    }

    /// Where a kind is, in this version; in the one that the server prefers where none is asked for. None where the cluster has
    /// no such kind. A definition may have been made since the cluster was asked, so it is asked once more; later ones are seen
    /// after [`Discovery::defined`].
    ///
    /// # Errors
    /// Where the cluster could not be asked, or the server that the kind's group is on does not answer it.
    pub(crate) async fn find(&self, kind: &GroupKind, api_version: Option<&str>) -> Result<Option<Resource>, Failure> {
        if let Some(resource) = built_in::find(kind, api_version) {
            return Ok(Some(resource));
        }
        let mut known = self.known.lock().await;
        let (mut catalogue, old) = self.catalogue(&mut known).await?;
        if old && !known.again && catalogue.find(kind, api_version).is_none() {
            known.again = true;
            catalogue = self.ask(&mut known).await?;
        }
        let lags = known.defined.get(&kind.group).copied();
        while catalogue.find(kind, api_version).is_none() && lags.is_some_and(|until| Instant::now() < until) {
            tokio::time::sleep(LOOK).await;
            catalogue = self.ask(&mut known).await?;
        }
        match catalogue.find(kind, api_version) {
            Some(resource) => Ok(Some(resource.clone())),
            None if catalogue.is_undiscovered(&kind.group) => Err(Failure::undiscovered(&kind.group)),
            None => Ok(None),
        }
    }

    /// The same for reading: where the cluster does not serve this version, in the one that it prefers. An object is the same object in
    /// each version of its kind.
    ///
    /// # Errors
    /// As [`Discovery::find`].
    pub(crate) async fn find_any(&self, kind: &GroupKind, api_version: Option<&str>) -> Result<Option<Resource>, Failure> {
        match self.find(kind, api_version).await? {
            None if api_version.is_some() => self.find(kind, None).await,
            found => Ok(found),
        }
    }

    /// The versions of a kind that the cluster serves, as far as it was asked.
    pub(crate) async fn versions(&self, kind: &GroupKind) -> Vec<String> {
        let known = self.known.lock().await;
        known.catalogue.iter().flat_map(|catalogue| catalogue.versions(kind)).map(str::to_owned).collect()
    }

    /// Whether a definition of this group was applied a moment ago: servers may still go by the one before.
    pub(crate) async fn is_settling(&self, group: &str) -> bool {
        self.known.lock().await.defined.get(group).is_some_and(|until| Instant::now() < *until)
    }

    /// All kinds that are in namespaces and can be listed and deleted.
    ///
    /// # Errors
    /// Where the cluster could not be asked.
    pub(crate) async fn listable(&self) -> Result<Listable, Failure> {
        let (catalogue, _) = self.catalogue(&mut *self.known.lock().await).await?;
        Ok(catalogue.listable())
    }

    /// The cluster has other kinds now: a definition of this group was applied.
    pub(crate) async fn defined(&self, group: &str) {
        let mut known = self.known.lock().await;
        known.catalogue = None;
        known.again = false;
        known.defined.insert(group.to_owned(), Instant::now() + LAGS);
    }

    /// What the cluster answered, and whether that was before.
    async fn catalogue(&self, known: &mut Known) -> Result<(Arc<Catalogue>, bool), Failure> {
        match &known.catalogue {
            Some(catalogue) => Ok((Arc::clone(catalogue), true)),
            None => Ok((self.ask(known).await?, false)),
        }
    }

    async fn ask(&self, known: &mut Known) -> Result<Arc<Catalogue>, Failure> {
        let root = |path: &'static str| async move { Ok::<_, Failure>(self.connection.send(Method::GET, path, ACCEPT, None).await?.body) };
        let (own, others) = tokio::try_join!(root("/api"), root("/apis"))?;
        let mut catalogue = Catalogue::default();
        for body in [own, others] {
            match answer::read(&body).map_err(|error| Failure::unsent(&error))? {
                Groups::Aggregated(found) => catalogue.extend(found),
                Groups::Listed(versions) => self.each(versions, &mut catalogue).await?,
            }
        }
        let catalogue = Arc::new(catalogue);
        known.catalogue = Some(Arc::clone(&catalogue));
        Ok(catalogue)
    }

    /// Asks for each version of each group by itself: before Kubernetes 1.26 there is no other way. A group whose server does not
    /// answer is no reason to know nothing of the others.
    async fn each(&self, api_versions: Vec<String>, catalogue: &mut Catalogue) -> Result<(), Failure> {
        let asked = futures::stream::iter(api_versions).map(|api_version| async move {
            let root = if api_version.contains('/') { "/apis" } else { "/api" };
            let answer = self.connection.get(&format!("{root}/{api_version}")).await;
            (api_version, answer)
        });
        let answers: Vec<_> = asked.buffered(AT_ONCE).collect().await;
        for (api_version, answer) in answers {
            match answer {
                Ok(body) => catalogue.add(&api_version, &body),
                Err(failure) if failure.is_not_found() => {}
                // It is not this group alone.
                Err(failure) if failure.is_denied() || failure.is_busy() => return Err(failure),
                Err(_) => catalogue.is_missing(&api_version),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
