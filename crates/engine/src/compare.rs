//! Stage 5: what should be and what is, compared. Pure: no async, no I/O, no clock.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desired::document::{Document, Leaf};
use crate::desired::name::Name;
use crate::desired::owner::{Marks, Owner};
use crate::desired::path::Path;
use crate::desired::resource::{Replacement, Resource, ResourceId};
use crate::plan::change::{OWNER, OWNER_APP, PROTECT};
use crate::platform::ObservedResource;

/// One field that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// Where it is.
    #[schemars(with = "String")]
    pub path: Path,
    /// What is live; none where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Leaf>,
    /// What should be; none where nothing should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Leaf>,
}

/// A resource that is not what it should be. What is as it should be is no difference.
#[derive(Debug, Clone)]
pub enum Difference {
    /// It should be there and is not.
    Missing(Resource),
    /// It is there, and is ours, and these fields are not as they should be.
    Differs {
        /// What should be.
        desired: Resource,
        /// What is.
        observed: ObservedResource,
        /// The fields, sorted by path.
        fields: Vec<FieldChange>,
        /// The platform refuses to change them in place: how it is made anew instead.
        anew: Option<Replacement>,
    },
    /// The platform would refuse what it should be. It is there, and is ours, or is not there yet.
    Refused {
        /// What should be.
        desired: Resource,
        /// Whether it is there.
        is_there: bool,
        /// What the platform said.
        why: String,
    },
    /// It is there under the name that it should have, and is not ours.
    Taken {
        /// What should be.
        desired: Resource,
        /// What is.
        observed: ObservedResource,
    },
    /// It is there, and is ours, and nothing declares it.
    Undeclared(ObservedResource),
}

/// All differences, and what there is none in.
#[derive(Debug, Default)]
pub struct Differences {
    /// In the order of the resources' ids.
    pub differences: Vec<Difference>,
    /// Declared resources that are as they should be.
    pub unchanged: Vec<Resource>,
    /// What is renamed in place.
    renamed: Renamed,
}

/// Compares what should be with what is.
///
/// A declared resource that was renamed (`moved_from`) is compared with what is live under its name before, unless
/// something is live under its name now. What refers to a thing that keeps its identity under another name is no different
/// for it.
pub fn compare(mut desired: Vec<Resource>, observed: &BTreeMap<ResourceId, Box<ObservedResource>>) -> Differences {
    let renamed: Renamed = desired.iter().filter_map(|resource| renamed(resource, live(resource, observed)?)).collect();
    let declared: HashSet<&ResourceId> = desired.iter().filter_map(|resource| Some(&live(resource, observed)?.id)).collect();
    let mut found = Vec::new();
    // What is as it should be, nearly everything, stays where it is in memory.
    let differing = desired.extract_if(.., |resource| {
        let Some(how) = compare_one(resource, live(resource, observed), &renamed) else { return false };
        found.push(how);
        true
    });
    let differing: Vec<Resource> = differing.collect();
    let mut differences: Vec<Difference> = differing.into_iter().zip(found).map(|(resource, found)| found.of(resource)).collect();
    let undeclared = observed.values().filter(|o| !declared.contains(&o.id) && o.ownership.marks().is_some());
    differences.extend(undeclared.map(|live| Difference::Undeclared((**live).clone())));
    differences.sort_by(|a, b| a.id().cmp(b.id()));
    Differences { differences, unchanged: desired, renamed }
}

/// How a declared resource is not what it should be.
enum Found<'a> {
    Nothing,
    Another(&'a ObservedResource),
    Fields(&'a ObservedResource, Vec<FieldChange>),
}

impl Found<'_> {
    fn of(self, desired: Resource) -> Difference {
        match self {
            Self::Nothing => Difference::Missing(desired),
            Self::Another(observed) => Difference::Taken { desired, observed: observed.clone() },
            Self::Fields(observed, fields) => Difference::Differs { desired, observed: observed.clone(), fields, anew: None },
        }
    }
}

/// Compares one resource. None where it is as it should be.
fn compare_one<'a>(desired: &Resource, observed: Option<&'a ObservedResource>, renamed: &Renamed) -> Option<Found<'a>> {
    let Some(observed) = observed else { return Some(Found::Nothing) };
    let Some(marks) = observed.ownership.marks() else { return Some(Found::Another(observed)) };
    let mut fields = fields(&desired.document, &with_names(&observed.document, renamed));
    add_moved_secrets(&mut fields, desired, observed);
    if !observed.is_over {
        add_marks(&mut fields, marks, &desired.marks);
        add_app(&mut fields, marks, desired, observed);
    }
    (!fields.is_empty() || observed.id != desired.id).then_some(Found::Fields(observed, fields))
}

/// What is live of a declared resource: under its name now, or under the one before.
fn live<'a>(resource: &Resource, observed: &'a BTreeMap<ResourceId, Box<ObservedResource>>) -> Option<&'a ObservedResource> {
    let before = || resource.moved_from.as_ref().and_then(|id| observed.get(id)).filter(|before| before.ownership.marks().is_some());
    observed.get(&resource.id).or_else(before).map(|live| &**live)
}

/// Names before, and names now, of what is renamed in place.
type Renamed = HashMap<ResourceId, ResourceId>;

fn renamed(desired: &Resource, live: &ObservedResource) -> Option<(ResourceId, ResourceId)> {
    let in_place = || {
        let fields = fields(&desired.document, &live.document);
        !fields.iter().any(|field| desired.shape.replaces.iter().any(|(pattern, _)| field.path.matches(pattern)))
    };
    (desired.shape.renames && live.id != desired.id && in_place()).then(|| (live.id.clone(), desired.id.clone()))
}

/// A live document in which references have the names that what they refer to will have.
fn with_names<'a>(document: &'a Document, renamed: &Renamed) -> Cow<'a, Document> {
    let concerned = |leaf: &Leaf| leaf.text().is_some_and(|text| text.attributes().any(|(of, _)| renamed.contains_key(of)));
    if renamed.is_empty() || !document.leaves().iter().any(|(_, leaf)| concerned(leaf)) {
        return Cow::Borrowed(document);
    }
    let mut document = document.clone();
    for (_, leaf) in document.leaves_mut() {
        if let Leaf::Ref(text) = leaf {
            *text = Arc::new(text.with_ids(|id| {
                if let Some(now) = renamed.get(id) {
                    *id = now.clone();
                }
            }));
        }
    }
    Cow::Owned(document)
}

impl Differences {
    /// Takes what a platform would really store of what differs, as its dry run says. What then differs no more is unchanged.
    pub fn take_stored(&mut self, mut stored: BTreeMap<ResourceId, Document>) {
        for difference in std::mem::take(&mut self.differences) {
            match difference {
                Difference::Differs { mut desired, observed, .. } if stored.contains_key(&desired.id) => {
                    let document = stored.remove(&desired.id).unwrap_or_default();
                    desired.document = with_secrets_of(document, &desired.document);
                    match compare_one(&desired, Some(&observed), &self.renamed) {
                        Some(found) => self.differences.push(found.of(desired)),
                        None => self.unchanged.push(desired),
                    }
                }
                other => self.differences.push(other),
            }
        }
    }

    /// Takes what a platform would not change in place, as its dry run says.
    pub fn take_anew(&mut self, mut replacements: BTreeMap<ResourceId, Replacement>) {
        for difference in &mut self.differences {
            if let Difference::Differs { desired, anew, .. } = difference {
                *anew = replacements.remove(&desired.id);
            }
        }
    }

    /// Takes what a platform would refuse, as its dry run says.
    pub fn take_refused(&mut self, mut refused: BTreeMap<ResourceId, String>) {
        for difference in &mut self.differences {
            let (desired, is_there) = match difference {
                Difference::Differs { desired, .. } => (desired, true),
                Difference::Missing(desired) => (desired, false),
                _ => continue,
            };
            if let Some(why) = refused.remove(&desired.id) {
                *difference = Difference::Refused { desired: desired.clone(), is_there, why };
            }
        }
    }

    /// Takes the order of resources that the platform has found. A resource that the other one itself needs stays before it.
    pub fn take_needs(&mut self, mut needs: BTreeMap<ResourceId, ResourceId>) {
        let needed: HashMap<ResourceId, Vec<ResourceId>> = self
            .differences
            .iter()
            .filter_map(|difference| Some((difference.id().clone(), difference.desired()?.depends_on.clone())))
            .collect();
        for difference in &mut self.differences {
            let (Difference::Differs { desired, .. } | Difference::Missing(desired)) = difference else { continue };
            let Some(other) = needs.remove(&desired.id) else { continue };
            let is_before = needed.get(&other).is_some_and(|needed| needed.contains(&desired.id));
            if !is_before && !desired.depends_on.contains(&other) {
                desired.depends_on.push(other);
                desired.depends_on.sort();
            }
        }
    }
}

/// A stored document in which secrets say again what they are made of: it is written from that, and no stored one knows it.
fn with_secrets_of(mut stored: Document, declared: &Document) -> Document {
    for (path, leaf) in stored.leaves_mut() {
        if let (Leaf::Secret { text: None, .. }, Some(secret @ Leaf::Secret { .. })) = (&*leaf, declared.get(path)) {
            *leaf = secret.clone();
        }
    }
    stored
}

/// The marks that are compared like fields: whose it is, and whether it is protected.
fn add_marks(fields: &mut Vec<FieldChange>, live: &Marks, wanted: &Marks) {
    if live.owner != wanted.owner {
        let text = |owner: &Owner| Some(Leaf::Text(owner.to_string().into()));
        fields.push(FieldChange { path: Path::new([OWNER]), old: text(&live.owner), new: text(&wanted.owner) });
    }
    if live.protect != wanted.protect {
        let (old, new) = (Some(Leaf::Bool(live.protect)), Some(Leaf::Bool(wanted.protect)));
        fields.push(FieldChange { path: Path::new([PROTECT]), old, new });
    }
}

/// The app that declares an object, where the label of another one is on it: the object moved from that app's manifests to this
/// one's. A rename writes the label anyway. A kind whose labels are fixed for life keeps the one that it has.
fn add_app(fields: &mut Vec<FieldChange>, live: &Marks, desired: &Resource, observed: &ObservedResource) {
    let path = Path::new([OWNER, OWNER_APP]);
    let is_fixed = || desired.shape.replaces.iter().any(|(pattern, _)| path.matches(pattern));
    if live.app == desired.marks.app || observed.id != desired.id || is_fixed() {
        return;
    }
    let text = |app: &Name| Some(Leaf::Text(app.as_str().into()));
    fields.push(FieldChange { path, old: text(&live.app), new: text(&desired.marks.app) });
}

/// Secrets whose live value was compared and is another, although their recorded fingerprints agree.
fn add_moved_secrets(fields: &mut Vec<FieldChange>, desired: &Resource, observed: &ObservedResource) {
    for path in &observed.secrets_moved {
        if let Err(at) = fields.binary_search_by(|f| f.path.cmp(path)) {
            let value = |document: &Document| document.get(path).cloned();
            fields.insert(at, FieldChange { path: path.clone(), old: value(&observed.document), new: value(&desired.document) });
        }
    }
}

impl Difference {
    /// Which resource it is about.
    pub fn id(&self) -> &ResourceId {
        match self {
            Self::Missing(desired) | Self::Differs { desired, .. } | Self::Refused { desired, .. } | Self::Taken { desired, .. } => {
                &desired.id
            }
            Self::Undeclared(observed) => &observed.id,
        }
    }

    /// The desired resource, where there is one.
    pub fn desired(&self) -> Option<&Resource> {
        match self {
            Self::Missing(desired) | Self::Differs { desired, .. } | Self::Refused { desired, .. } | Self::Taken { desired, .. } => {
                Some(desired)
            }
            Self::Undeclared(_) => None,
        }
    }
}

/// The fields in which a live document does not satisfy a declared one: one merge pass over two sorted lists.
pub fn fields(desired: &Document, observed: &Document) -> Vec<FieldChange> {
    if desired.is(observed) {
        return Vec::new();
    }
    let (mut wanted, mut live) = (desired.leaves().iter().peekable(), observed.leaves().iter().peekable());
    let mut out = Vec::new();
    loop {
        let order = match (wanted.peek(), live.peek()) {
            (None, None) => return out,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((w, _)), Some((l, _))) => w.cmp(l),
        };
        let new = order.is_le().then(|| wanted.next()).flatten();
        let old = order.is_ge().then(|| live.next()).flatten();
        let changed = match (old, new) {
            (Some((_, old)), Some((_, new))) => !old.satisfies(new),
            (None, Some((_, new))) => *new != Leaf::ServerChosen,
            (Some(_), None) => true,
            (None, None) => false,
        };
        if let (true, Some((path, _))) = (changed, new.or(old)) {
            let value = |side: Option<&(Path, Leaf)>| side.map(|(_, leaf)| leaf.clone());
            out.push(FieldChange { path: path.clone(), old: value(old), new: value(new) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document() -> impl Strategy<Value = Document> {
        let path = prop::collection::vec("[a-c]{1,2}", 1..4);
        let leaf = prop_oneof![
            any::<bool>().prop_map(Leaf::Bool),
            (0i64..3).prop_map(Leaf::Integer),
            "[xy]{0,2}".prop_map(|text| Leaf::Text(text.into())),
        ];
        prop::collection::vec((path, leaf), 0..12)
            .prop_map(|leaves| leaves.into_iter().map(|(path, leaf)| (Path::new(path.iter().map(String::as_str)), leaf)).collect())
    }

    #[test]
    fn nothing_is_no_different_from_nothing() {
        let out = compare(vec![], &BTreeMap::new());
        assert!(out.differences.is_empty() && out.unchanged.is_empty());
    }

    #[test]
    fn what_a_platform_would_refuse_is_no_difference_any_more_but_held() {
        use crate::desired::name::Name;
        use crate::desired::owner::{Marks, Ownership};
        use crate::desired::resource::Shape;
        let dev = Name::new("dev").unwrap();
        let owner = Owner { project: "p".into(), environment: dev.clone() };
        let marks = Marks { owner, app: dev.clone(), protect: false, revision: None, specification: None };
        let resource = |name: &str, value: i64| Resource {
            id: ResourceId::new(&dev, "thing", name),
            marks: marks.clone(),
            document: [(Path::new(["a"]), Leaf::Integer(value))].into_iter().collect(),
            depends_on: vec![],
            rollout_timeout: None,
            moved_from: None,
            shape: &Shape::UNKNOWN,
        };
        let live = |name: &str| {
            let Resource { id, document, .. } = resource(name, 1);
            (id.clone(), Box::new(ObservedResource::new(id, Ownership::Ours(marks.clone()), document)))
        };
        let id = |name: &str| ResourceId::new(&dev, "thing", name);
        let desired = vec![resource("new", 1), resource("one", 2), resource("two", 2)];
        let mut out = compare(desired, &[live("one"), live("two")].into());
        out.take_refused([(id("new"), "unknown".to_owned()), (id("one"), "no".to_owned())].into());
        let refused = |at: usize| match &out.differences[at] {
            Difference::Refused { is_there, why, .. } => (*is_there, why.as_str()),
            other => panic!("{other:?}"),
        };
        assert_eq!([refused(0), refused(1)], [(false, "unknown"), (true, "no")]);
        assert!(matches!(out.differences[2], Difference::Differs { .. }));
    }

    #[test]
    fn what_comes_after_another_change_needs_it_unless_that_needs_it_already() {
        use crate::desired::name::Name;
        use crate::desired::owner::Marks;
        use crate::desired::resource::Shape;
        let dev = Name::new("dev").unwrap();
        let owner = Owner { project: "p".into(), environment: dev.clone() };
        let id = |name: &str| ResourceId::new(&dev, "thing", name);
        let resource = |name: &str, depends_on: &[&str]| Resource {
            id: id(name),
            marks: Marks { owner: owner.clone(), app: dev.clone(), protect: false, revision: None, specification: None },
            document: Document::default(),
            depends_on: depends_on.iter().map(|name| id(name)).collect(),
            rollout_timeout: None,
            moved_from: None,
            shape: &Shape::UNKNOWN,
        };
        let mut out = compare(vec![resource("a", &["c"]), resource("b", &[]), resource("c", &[])], &BTreeMap::new());
        out.take_needs([(id("a"), id("b")), (id("b"), id("c")), (id("c"), id("a"))].into());
        let needs = |at: usize| &out.differences[at].desired().unwrap().depends_on;
        assert_eq!([needs(0), needs(1), needs(2)], [&vec![id("b"), id("c")], &vec![id("c")], &vec![]]);
    }

    #[test]
    fn what_the_server_chooses_is_no_difference_either_way() {
        let chosen: Document = [(Path::new(["replicas"]), Leaf::ServerChosen)].into_iter().collect();
        let live: Document = [(Path::new(["replicas"]), Leaf::Integer(7))].into_iter().collect();
        assert_eq!(fields(&chosen, &live), vec![]);
        assert_eq!(fields(&chosen, &Document::default()), vec![]);
    }

    proptest! {
        #[test]
        fn a_document_does_not_differ_from_itself(a in document()) {
            prop_assert_eq!(fields(&a, &a), vec![]);
        }

        #[test]
        fn the_difference_applied_to_what_is_gives_what_should_be(desired in document(), live in document()) {
            let changes = fields(&desired, &live);
            let applied = live.with(changes.into_iter().map(|change| (change.path, change.new)));
            prop_assert_eq!(&applied, &desired);
            prop_assert_eq!(applied.digest(), desired.digest());
        }

        #[test]
        fn differences_are_sorted_and_name_each_path_once(desired in document(), live in document()) {
            let paths: Vec<Path> = fields(&desired, &live).into_iter().map(|change| change.path).collect();
            prop_assert!(paths.is_sorted_by(|a, b| a < b));
        }

        #[test]
        fn documents_are_equal_exactly_when_their_digests_are(a in document(), b in document()) {
            prop_assert_eq!(a == b, a.digest() == b.digest());
        }
    }
}
