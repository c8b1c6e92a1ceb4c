//! What is there: one list for each kind and namespace in use, all at once, while the record of them is read; and one request for
//! each thing that is wanted and not among what is ours.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures::StreamExt as _;
use futures::stream;
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::owner::{Marks, Ownership};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::resource::ResourceId;
use stratos_engine::platform::{Gap, ObservedResource, PlatformError, Scope, Sink, Wanted};

use crate::again::again;
use crate::apply_set::{Places, Ran};
use crate::failure::Failure;
use crate::kind::{GroupKind, Resource};
use crate::lists;
use crate::marks;
use crate::names;
use crate::object::live::Live;
use crate::object::project::{NAME, Reference};
use crate::operators;
use crate::platform::KubernetesPlatform;
use crate::read::{Present, Read, Reader, generation, settle};
use crate::release::Release;

/// So many requests are asked for at once; the connection has a limit of its own.
const AT_ONCE: usize = 32;

/// A kind in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    kind: GroupKind,
    resource: Resource,
    /// None where the kind has no namespaces.
    namespace: Option<String>,
}

/// Reports what is ours and in scope, and what has a wanted id.
pub(crate) async fn observe(
    platform: &KubernetesPlatform,
    scope: &Scope,
    wanted: &Wanted<'_>,
    sink: &mut Sink,
) -> Result<(), PlatformError> {
    let mut reading = Reading {
        platform,
        scope,
        wanted,
        found: BTreeMap::new(),
        references: BTreeMap::new(),
        present: Present::new(),
        read_as: BTreeSet::new(),
        alone: Vec::new(),
        gaps: Vec::new(),
        notes: Vec::new(),
        failed: Vec::new(),
    };
    let record = platform.apply_set(&scope.owner);
    let mut places = reading.places(&Places::default()).await?;
    let (recorded, listed) = futures::join!(record.read(&platform.connection), reading.list(&places));
    // Where the record may not be read, everything is held.
    let denied = matches!(&recorded, Err(failure) if failure.is_denied());
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err(failure) if failure.is_denied() => {
            let why = failure.error(format!("reading which kinds {} has", scope.owner)).to_string();
            reading.gaps.push(Gap { environment: platform.config.environment.clone(), kind: None, name: None, why });
            None
        }
        Err(failure) => return Err(failure.error(format!("reading which kinds {} has", scope.owner))),
    };
    listed?;
    if let Some(known) = &recorded {
        let mut more = reading.places(known).await?;
        more.retain(|place| !places.contains(place));
        reading.list(&more).await?;
        places.append(&mut more);
    }
    if !places.is_empty() && reading.failed.len() >= places.len() {
        return Err(reading.failed.swap_remove(0));
    }
    let lost = recorded.is_none() && !denied;
    // Where nothing is wanted there is nothing by which to tell whether there ever was a record.
    if lost && (wanted.is_empty() || reading.found.values().any(|live| live.ownership.marks().is_some())) {
        // The record was lost: what is not wanted may be of any kind.
        let everywhere = reading.everywhere(&places).await?;
        reading.list(&everywhere).await?;
    }
    reading.get_wanted().await?;
    reading.add_over(recorded.map(|recorded| recorded.ran).unwrap_or_default());
    platform.know_ours_alone(reading.alone.drain(..));
    for (id, references) in std::mem::take(&mut reading.references) {
        if let Some(live) = reading.found.get_mut(&id) {
            settle(live, references, &reading.present);
        }
    }
    operators::serve(&mut reading.found);
    let in_scope = |live: &ObservedResource| {
        let app_in_scope = |app| scope.apps.as_ref().is_none_or(|apps| apps.contains(app));
        wanted.contains_key(&live.id) || live.ownership.marks().is_some_and(|marks| app_in_scope(&marks.app))
    };
    reading.found.retain(|_, live| in_scope(live));
    sink.gaps.append(&mut reading.gaps);
    sink.notes.append(&mut reading.notes);
    sink.resources.append(&mut reading.found);
    Ok(())
}

/// An object of a list.
struct Listed {
    name: String,
    /// The number of a generation.
    number: Option<u64>,
    /// It is not as it should be, and nobody else writes to it.
    alone: bool,
    read: Read,
}

struct Reading<'a> {
    platform: &'a KubernetesPlatform,
    scope: &'a Scope,
    wanted: &'a Wanted<'a>,
    found: BTreeMap<ResourceId, Box<ObservedResource>>,
    /// What it says of objects that may not have been read yet, where it says something.
    references: BTreeMap<ResourceId, Vec<Reference>>,
    present: Present,
    /// The versions that kinds are listed in.
    read_as: BTreeSet<(GroupKind, String)>,
    /// What is not as it should be, and nobody else writes to.
    alone: Vec<ResourceId>,
    gaps: Vec<Gap>,
    notes: Vec<String>,
    /// What could not be listed.
    failed: Vec<PlatformError>,
}

impl Reading<'_> {
    /// Where to look: for what is wanted, and where the record says that something may be.
    async fn places(&mut self, recorded: &Places) -> Result<Vec<Place>, PlatformError> {
        let own = self.platform.config.namespace.clone();
        let mut kinds: BTreeMap<(GroupKind, Option<String>), BTreeSet<String>> = BTreeMap::new();
        // In any version, where nothing says one.
        let mut unversioned: Vec<(GroupKind, String)> = Vec::new();
        for (id, document) in self.wanted {
            let (kind, namespace) = (GroupKind::parse(&id.kind), id.namespace.as_deref().map_or_else(|| own.clone(), str::to_owned));
            match document.and_then(|document| self::version(document)) {
                Some(version) => drop(kinds.entry((kind, Some(version.to_owned()))).or_default().insert(namespace)),
                None => unversioned.push((kind, namespace)),
            }
        }
        for kind in &recorded.kinds {
            let namespaces = [own.clone()].into_iter().chain(recorded.namespaces.iter().cloned());
            unversioned.extend(namespaces.map(|namespace| (kind.clone(), namespace)));
        }
        for (kind, namespace) in unversioned {
            let first = kinds.range((kind.clone(), None)..).next().map(|(key, _)| key).filter(|(other, _)| *other == kind).cloned();
            kinds.entry(first.unwrap_or((kind, None))).or_default().insert(namespace);
        }
        let mut out = Vec::new();
        for ((kind, version), namespaces) in kinds {
            let attempted = || format!("asking which kinds the cluster has, for {kind}");
            let found = match self.platform.discovery.find_any(&kind, version.as_deref()).await {
                Err(failure) if failure.is_of_its_kind() => {
                    self.gap(&kind, None, &failure.error(attempted()));
                    continue;
                }
                found => found.map_err(|failure| failure.error(attempted()))?,
            };
            // A kind that the cluster does not have has no objects.
            let Some(resource) = found else { continue };
            self.read_as.insert((kind.clone(), resource.api_version.clone()));
            let namespaces = if resource.namespaced { namespaces.into_iter().map(Some).collect() } else { vec![None] };
            let places = namespaces.into_iter().map(|namespace| Place { kind: kind.clone(), resource: resource.clone(), namespace });
            out.extend(places.filter(|place| !out.contains(place)).collect::<Vec<_>>());
        }
        Ok(out)
    }

    /// All kinds of the environment's namespace that were not listed.
    async fn everywhere(&mut self, listed: &[Place]) -> Result<Vec<Place>, PlatformError> {
        let all = self.platform.discovery.listable().await;
        let all = all.map_err(|failure| failure.error("asking which kinds the cluster has"))?;
        let namespace = Some(self.platform.config.namespace.clone());
        let place = |resource: Resource| {
            let kind = GroupKind::of(&resource.api_version, &resource.kind);
            Place { kind, resource, namespace: namespace.clone() }
        };
        let missing = all.undiscovered.iter().map(|group| Gap {
            environment: self.platform.config.environment.clone(),
            kind: None,
            name: None,
            why: format!("the record of kinds in use was lost, and the server of the group {group} does not answer"),
        });
        self.gaps.extend(missing);
        let is_asked = |place: &Place| !place.kind.follows_others() && listed.iter().all(|other| other.kind != place.kind);
        Ok(all.resources.into_iter().map(place).filter(is_asked).collect())
    }

    async fn list(&mut self, places: &[Place]) -> Result<(), PlatformError> {
        let selector = marks::selector(&self.scope.owner);
        let (platform, wanted, scope, read_as) = (self.platform, self.wanted, self.scope, &self.read_as.clone());
        let owner = &scope.owner;
        let reader = Reader { config: &platform.config, owner };
        let reader = &reader;
        let selector = &selector;
        let is_elsewhere = |place: &Place, desired: &Document| {
            let version = version(desired).filter(|version| *version != place.resource.api_version);
            version.is_some_and(|version| read_as.contains(&(place.kind.clone(), version.to_owned())))
        };
        let is_elsewhere = &is_elsewhere;
        let list = |place: Place| async move {
            let keep = |live: Live| {
                let id = reader.id(&place.kind, &live);
                let (id, desired) = match wanted.get_key_value(&id) {
                    // What is being deleted is as good as gone: whoever wants it again waits for that.
                    _ if live.is_going() || reader.is_undeclared_namespace(&id, &live) => return None,
                    // It is read where objects of its own version are.
                    Some((_, Some(desired))) if is_elsewhere(&place, desired) => return None,
                    Some((known, desired)) => (known.clone(), *desired),
                    // Operators copy labels to what they make, and delete it themselves.
                    None if live.has_controller() => return None,
                    None => (id, None),
                };
                let read = reader.read(id, &place.kind, &live, desired);
                let differs = desired.is_some_and(|desired| !read.observed.document.is(desired));
                Some(Listed {
                    number: generation(&live).map(|(_, number)| number),
                    alone: differs && !live.has_other_writers(),
                    read,
                    name: live.meta.name,
                })
            };
            let namespace = place.namespace.as_deref();
            let listed = again(|| lists::read(&platform.connection, &place.resource, namespace, selector, &keep)).await;
            (place, listed)
        };
        let mut answers = pin!(stream::iter(places.iter().cloned()).map(list).buffered(AT_ONCE));
        while let Some((place, listed)) = answers.next().await {
            match listed {
                Ok(listed) => self.add(listed.into_iter().flatten()),
                Err(failure) => self.unlisted(&place, &failure)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, listed: impl Iterator<Item = Listed>) {
        let mut newest: BTreeMap<ResourceId, (u64, String)> = BTreeMap::new();
        for Listed { name, number, alone, read } in listed {
            let id = &read.observed.id;
            self.alone.extend(alone.then(|| id.clone()));
            match number {
                None => {
                    if read.observed.attributes.contains_key(NAME) {
                        self.present.insert((id.kind.clone(), name));
                    }
                    self.keep(read);
                }
                Some(number) if newest.get(id).is_none_or(|(known, _)| *known < number) => {
                    newest.insert(id.clone(), (number, name));
                    self.keep(read);
                }
                Some(_) => {}
            }
        }
        self.present.extend(newest.into_iter().map(|(id, (_, name))| (id.kind, name)));
    }

    fn keep(&mut self, Read { observed, references, unkept }: Read) {
        let id = observed.id.clone();
        if !unkept.is_empty() {
            let fields: Vec<String> = unkept.iter().map(Path::to_string).collect();
            self.notes.push(format!(
                "the cluster does not keep {} of {id}: it is of an older version than the field, or the field's feature gate is off",
                fields.join(", ")
            ));
        }
        match references.is_empty() {
            true => drop(self.references.remove(&id)),
            false => drop(self.references.insert(id.clone(), references)),
        }
        self.found.insert(id, observed);
    }

    /// A kind that cannot be listed is a gap of that kind alone. Where the cluster does not answer, everything is asked for again. Of a
    /// kind that has just gone there is nothing.
    fn unlisted(&mut self, place: &Place, failure: &Failure) -> Result<(), PlatformError> {
        if failure.is_not_found() {
            return Ok(());
        }
        let within = place.namespace.as_ref().map(|namespace| format!(" in the namespace {namespace}")).unwrap_or_default();
        let error = failure.error(format!("listing {}{within}", place.resource.plural));
        if error.kind.is_transient() && failure.is_of_the_cluster() {
            return Err(error);
        }
        self.gap(&place.kind, None, &error);
        // That one kind is out of order says nothing of a cluster of which only this kind is wanted.
        self.failed.extend((!failure.is_of_its_kind()).then_some(error));
        Ok(())
    }

    /// Jobs that have run and are gone are as they should be, as long as they should be what they were.
    fn add_over(&mut self, ran: Vec<Ran>) {
        if ran.is_empty() {
            return;
        }
        for (id, document) in self.wanted {
            let Some(document) = document.filter(|_| !self.found.contains_key(id)) else { continue };
            if !Ran::of(id, document).is_some_and(|wanted| ran.contains(&wanted)) {
                continue;
            }
            // Which app it was is not known, and does not count.
            let (owner, app) = (self.scope.owner.clone(), self.scope.owner.environment.clone());
            let marks = Marks { owner, app, protect: false, revision: None, specification: None };
            let over = ObservedResource::new(id.clone(), Ownership::Ours(marks), document.clone());
            self.found.insert(id.clone(), Box::new(ObservedResource { is_over: true, ..over }));
        }
    }

    /// Notes what could not be read, with what helps.
    fn gap(&mut self, kind: &GroupKind, name: Option<&str>, error: &PlatformError) {
        let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let gap = Gap {
            environment: self.platform.config.environment.clone(),
            kind: Some(kind.to_string()),
            name: name.map(str::to_owned),
            why: format!("{error}{hint}"),
        };
        if !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
    }

    /// Asks for what is wanted and does not carry our mark.
    async fn get_wanted(&mut self) -> Result<(), PlatformError> {
        let unreadable = |id: &ResourceId| self.gaps.iter().any(|gap| gap.kind.is_some() && gap.contains(id));
        let missing: Vec<ResourceId> = self
            .wanted
            .keys()
            .filter(|id| !self.found.contains_key(*id) && !id.name.ends_with(names::GENERATIONS) && !unreadable(id))
            .cloned()
            .collect();
        let (platform, wanted) = (self.platform, self.wanted);
        let reader = Reader { config: &platform.config, owner: &self.scope.owner };
        let answers: Vec<_> = stream::iter(missing)
            .map(|id| async move {
                let version = wanted.get(&id).copied().flatten().and_then(version);
                let found = again(|| find(platform, &id, version)).await;
                (id, found)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        for (id, found) in answers {
            match found {
                Ok(Some((_, live))) if live.is_going() || reader.is_undeclared_namespace(&id, &live) => {}
                Ok(Some((kind, live))) => {
                    Release::of(&live).into_iter().for_each(|release| platform.know_release(id.clone(), release));
                    let read = reader.read(id.clone(), &kind, &live, wanted.get(&id).copied().flatten());
                    self.keep(read);
                }
                Ok(None) => {}
                Err(failure) => {
                    let error = failure.error(format!("reading {id}"));
                    if error.kind.is_transient() && failure.is_of_the_cluster() {
                        return Err(error);
                    }
                    self.gap(&GroupKind::parse(&id.kind), Some(&id.name), &error);
                }
            }
        }
        Ok(())
    }
}

/// The version of the API that a document is written in.
pub(crate) fn version(document: &Document) -> Option<&str> {
    match document.get(&Path::new(["apiVersion"])) {
        Some(Leaf::Text(version)) => Some(version),
        _ => None,
    }
}

/// One object by its id. None where it is not there, or its kind is not.
pub(crate) async fn find(
    platform: &KubernetesPlatform,
    id: &ResourceId,
    api_version: Option<&str>,
) -> Result<Option<(GroupKind, Live)>, Failure> {
    let kind = GroupKind::parse(&id.kind);
    let Some(resource) = platform.discovery.find_any(&kind, api_version).await? else { return Ok(None) };
    let namespace = id.namespace.as_deref().unwrap_or(&platform.config.namespace);
    let Some(body) = platform.connection.find(&resource.object(Some(namespace), &id.name)).await? else { return Ok(None) };
    let live = Live::parse(&body).map_err(|error| Failure::unreadable(&error))?;
    Ok(Some((kind, live)))
}
