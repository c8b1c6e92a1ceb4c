//! The lists of a live object in the order of what is declared, where the server tells their elements apart.
//!
//! A manifest is translated without a cluster: the elements of a list that the table does not know ([`super::lists`]) have places.
//! The server knows the schema, and says it of each element that somebody manages: `k:{"host":"a"}` in a list with keys (`map`),
//! `v:"red"` in a set. In such a list each element that a declared one means comes to the declared place. Where there is none, one
//! that nobody else manages and nobody declares is looked at in its place: it differs in its keys; or nothing (`null`) holds the
//! place. All others come after the last declared place, and are called by their keys. So every reader that goes by place finds
//! what is meant, what is not declared any more cannot hide behind what has moved to its place, and what others put beside it
//! changes nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;
use stratos_engine::desired::text::Segment;

use super::desired::At;
use super::fields::{FieldSet, Step};
use super::live::{Live, Writer};
use super::project::is_name_of;
use super::segment::{self, Element};
use super::{leaf, lists};
use crate::types::Type;

/// The body of a live object in the order of a document.
#[derive(Debug)]
pub(crate) struct Arranged<'a> {
    pub(crate) body: Cow<'a, Value>,
    /// The lists whose elements the server tells apart, by where they are.
    lists: BTreeMap<At, List>,
    /// Of a declared element it cannot be told which one it means, or whether there is one.
    pub(crate) is_unclear: bool,
}

#[derive(Debug)]
struct List {
    keys: Keys,
    /// So many places are declared.
    places: usize,
    /// The places in their live order, where order means something and it is another one.
    order: Option<String>,
}

/// What tells the elements of a list apart: the names of their keys, or nothing but themselves.
type Keys = Vec<Option<String>>;

impl<'a> Arranged<'a> {
    /// Arranges an object by what is declared.
    pub(crate) fn new(live: &'a Live, declared: &Document) -> Self {
        let of = Type::of_object(&live.body);
        let known = of != Type::Custom;
        let body = Cow::Borrowed(&live.body);
        let mut sets = vec![];
        // Of the lists that the table does not know, the kinds of every cluster have but one with an order of no meaning that many
        // write to.
        if !known || !live.meta.finalizers.is_empty() {
            let managed = live.meta.managed_fields.iter().filter(|managed| managed.subresource.is_empty());
            sets.extend(managed.map(|managed| Set { writer: live.writer(managed), fields: &managed.fields }));
        }
        if !sets.iter().any(|set| set.fields.has_elements()) {
            return Self { body, lists: BTreeMap::new(), is_unclear: false };
        }
        // Our own word is the latest about the schema.
        sets.sort_by_key(|set| set.writer != Writer::Us);
        let mut arranger = Arranger { known, lists: BTreeMap::new(), is_unclear: false, at: vec![] };
        let arranged = arranger.value(&live.body, of, &sets, Some(&Declared::of(declared)));
        Self { body: arranged.map_or(body, Cow::Owned), lists: arranger.lists, is_unclear: arranger.is_unclear }
    }

    pub(crate) fn into_owned(self) -> Arranged<'static> {
        Arranged { body: Cow::Owned(self.body.into_owned()), ..self }
    }

    /// The segment of a list's element that is not declared: it has no place.
    pub(crate) fn name(&self, list: &At, index: usize, element: &Value) -> Option<String> {
        self.lists.get(list)?.name(index, element)
    }

    /// What is at a path. Of what has a place, the place alone leads there.
    pub(crate) fn at(&self, segments: &[&str]) -> Option<&Value> {
        let mut at = At::new();
        segments.iter().try_fold(&*self.body, |value, segment| {
            let next = match segment::parse(segment) {
                Some(element @ (Element::With(_) | Element::Is(_))) if !self.lists.is_empty() => {
                    let places = self.lists.get(&at).map_or(0, |list| list.places);
                    segment::find(value.as_array()?.get(places..)?, &element)
                }
                Some(element) => segment::find(value.as_array()?, &element),
                None => value.get(&*segment::name(segment)),
            };
            if !self.lists.is_empty() {
                at.push((*segment).to_owned());
            }
            next
        })
    }

    /// The declared places of elements that have other keys in one document than in the other: what is below them is not of one element.
    pub(crate) fn exchanged(&self, one: &Document, other: &Document) -> Vec<At> {
        let places = self.lists.iter().flat_map(|(at, list)| (0..list.places).map(move |place| (at, segment::place(place), list)));
        let differs = |(at, place, list): &(&At, String, &List)| {
            list.keys.iter().any(|key| {
                let path = Path::new(at.iter().map(String::as_str).chain([place.as_str()]).chain(key.as_deref()));
                one.get(&path).zip(other.get(&path)).is_some_and(|(one, other)| one != other)
            })
        };
        places.filter(differs).map(|(at, place, _)| [at.as_slice(), &[place]].concat()).collect()
    }

    /// The lists in which order means something, and is not the declared one: the places of declared elements as they are.
    pub(crate) fn orders(&self) -> impl Iterator<Item = (&At, &str)> {
        self.lists.iter().filter_map(|(at, list)| Some((at, list.order.as_deref()?)))
    }
}

impl List {
    fn name(&self, index: usize, element: &Value) -> Option<String> {
        if index < self.places {
            return None;
        }
        match self.keys.iter().map(Option::as_deref).collect::<Option<Vec<_>>>() {
            Some(keys) => segment::element(element.as_object()?, &keys),
            None => segment::member(element),
        }
    }
}

/// What one manager manages of a value.
#[derive(Clone, Copy)]
struct Set<'a> {
    writer: Writer,
    fields: &'a FieldSet,
}

impl<'a> Set<'a> {
    /// What is managed of an element.
    fn within(self, item: &Value) -> impl Iterator<Item = Self> {
        self.fields.parts.iter().filter(move |(step, _)| step.leads_to(item)).map(move |(_, fields)| Set { fields, ..self })
    }
}

/// A document as a tree.
#[derive(Default)]
struct Declared<'a> {
    leaf: Option<&'a Leaf>,
    below: BTreeMap<&'a str, Self>,
}

impl<'a> Declared<'a> {
    fn of(document: &'a Document) -> Self {
        let mut out = Self::default();
        for (path, leaf) in document.leaves() {
            path.segments().fold(&mut out, |at, segment| at.below.entry(segment).or_default()).leaf = Some(leaf);
        }
        out
    }

    /// The elements of a list, by their places.
    fn places(&self) -> impl Iterator<Item = (usize, &Self)> {
        self.below.iter().filter_map(|(segment, element)| match segment::parse(segment) {
            Some(Element::At(place)) if place < segment::MOST_PLACES => Some((place, element)),
            _ => None,
        })
    }

    fn says(&self, key: Option<&str>) -> Option<&'a Leaf> {
        key.map_or(Some(self), |key| self.below.get(&*segment::field(key))).and_then(|field| field.leaf)
    }
}

struct Arranger {
    known: bool,
    lists: BTreeMap<At, List>,
    is_unclear: bool,
    at: At,
}

impl Arranger {
    /// The value arranged. None where it is as it should be.
    fn value(&mut self, value: &Value, of: Type, sets: &[Set<'_>], declared: Option<&Declared<'_>>) -> Option<Value> {
        match value {
            Value::Object(map) => self.table(map, of, sets, declared).map(Value::Object),
            Value::Array(list) => self.list(list, of, sets, declared).map(Value::Array),
            _ => None,
        }
    }

    fn table(
        &mut self,
        map: &Map<String, Value>,
        of: Type,
        sets: &[Set<'_>],
        declared: Option<&Declared<'_>>,
    ) -> Option<Map<String, Value>> {
        let mut out = None;
        for (name, value) in map.iter().filter(|(_, value)| has_parts(value)) {
            if self.at.is_empty() && (name == "status" || self.known && name != "metadata") {
                continue;
            }
            let below = sets.iter().filter_map(|set| Some(Set { fields: set.fields.below(name)?, ..*set }));
            let within: Vec<Set<'_>> = below.filter(|set| !set.fields.parts.is_empty()).collect();
            if within.is_empty() {
                continue;
            }
            let segment = segment::field(name);
            self.at.push(segment.to_string());
            let arranged = self.value(value, of.field(name), &within, declared.and_then(|declared| declared.below.get(&*segment)));
            self.at.pop();
            if let Some(value) = arranged {
                out.get_or_insert_with(|| map.clone()).insert(name.clone(), value);
            }
        }
        out
    }

    fn list(&mut self, list: &[Value], of: Type, sets: &[Set<'_>], declared: Option<&Declared<'_>>) -> Option<Vec<Value>> {
        let keys = keys(sets).filter(|_| of.keys().is_none())?;
        let places = declared.and_then(|declared| declared.places().map(|(place, _)| place + 1).max()).unwrap_or(0);
        let placed = self.place(list, of.item(), sets, &keys, declared, places);
        let is_ordered = self.at.last().is_some_and(|name| lists::is_called_ordered(name));
        let known = List { order: is_ordered.then(|| order(&placed.meant)).flatten(), keys, places };
        let placed = placed.all();
        let mut is_left = vec![true; list.len()];
        placed.iter().flatten().for_each(|index| is_left[*index] = false);
        let others = (0..list.len()).filter(|index| is_left[*index]).map(Some);
        let order: Vec<Option<usize>> = placed.into_iter().chain(others).collect();
        let mut has_moved = order.iter().enumerate().any(|(place, from)| *from != Some(place));
        let mut out = Vec::with_capacity(order.len());
        for (place, from) in order.into_iter().enumerate() {
            let item = from.and_then(|from| list.get(from)).unwrap_or(&Value::Null);
            let mut arranged = None;
            if item.as_object().is_some_and(|map| map.values().any(has_parts)) {
                let within: Vec<Set<'_>> = sets.iter().flat_map(|set| set.within(item)).collect();
                self.at.push(known.name(place, item).unwrap_or_else(|| segment::place(place)));
                arranged =
                    self.value(item, of.item(), &within, declared.and_then(|declared| declared.below.get(segment::place(place).as_str())));
                self.at.pop();
            }
            has_moved |= arranged.is_some();
            out.push(arranged.unwrap_or_else(|| item.clone()));
        }
        self.lists.insert(self.at.clone(), known);
        has_moved.then_some(out)
    }

    /// Which element comes to each declared place.
    fn place(&mut self, list: &[Value], of: Type, sets: &[Set<'_>], keys: &Keys, declared: Option<&Declared<'_>>, places: usize) -> Placed {
        let mut out = Placed { meant: vec![None; places], instead: vec![None; places] };
        let said = |element: &Declared<'_>| keys.iter().map(|key| element.says(key.as_deref()).cloned()).collect::<Vec<_>>();
        let declared = declared.into_iter().flat_map(Declared::places).map(|(place, element)| (place, said(element)));
        let (sure, unsure): (Vec<_>, Vec<_>) = declared.partition(|(_, said)| said.iter().all(|said| said.as_ref().is_some_and(is_plain)));
        let live: Vec<Vec<Option<Leaf>>> = list.iter().map(|item| live(of, keys, item)).collect();
        let mut left = vec![true; list.len()];
        let (mut from, mut missing) = (0, vec![]);
        for (place, said) in sure {
            // Most lists are in order.
            let meant = (from..list.len()).chain(0..from).find(|index| left[*index] && live[*index] == said);
            match meant {
                Some(meant) => (left[meant], from) = (false, meant + 1),
                None => missing.push(place),
            }
            out.meant[place] = meant;
        }
        if unsure.is_empty() && missing.is_empty() {
            return out;
        }
        let managed: Vec<Vec<Set<'_>>> = list.iter().map(|item| sets.iter().flat_map(|set| set.within(item)).collect()).collect();
        let is_by = |index: usize, writer: Writer| managed[index].iter().any(|set| set.writer == writer);
        for (place, said) in unsure {
            let may_mean = |index: &usize| left[*index] && may_mean(keys, &said, &live[*index], &managed[*index]);
            // What we have applied comes before what only people have written.
            let (applied, by_hand): (Vec<_>, Vec<_>) = (0..list.len()).filter(may_mean).partition(|index| is_by(*index, Writer::Us));
            match (applied.as_slice(), by_hand.as_slice()) {
                ([meant], _) | ([], [meant]) => (left[*meant], out.meant[place]) = (false, Some(*meant)),
                _ => self.is_unclear = true,
            }
        }
        let mut free: Vec<usize> = (0..list.len()).filter(|index| left[*index] && !is_by(*index, Writer::Another)).collect();
        // What nobody manages comes and goes as others like.
        free.sort_by_key(|index| managed[*index].is_empty());
        missing.into_iter().zip(free).for_each(|(place, index)| out.instead[place] = Some(index));
        out
    }
}

/// The values that a live element of this type has for its keys.
fn live(of: Type, keys: &Keys, item: &Value) -> Vec<Option<Leaf>> {
    let one = |key: &Option<String>| match key.as_deref() {
        Some(key) => leaf::scalar(of.field(key), item.get(key)?),
        None => leaf::scalar(of, item),
    };
    keys.iter().map(one).collect()
}

/// The elements at declared places.
struct Placed {
    /// Those that are meant by what is declared there.
    meant: Vec<Option<usize>>,
    /// Those that are looked at where none is.
    instead: Vec<Option<usize>>,
}

impl Placed {
    fn all(&self) -> Vec<Option<usize>> {
        self.meant.iter().zip(&self.instead).map(|(meant, instead)| meant.or(*instead)).collect()
    }
}

fn has_parts(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

/// The keys of a list. None where it has no such elements; members of a set that are no single values have places.
fn keys(sets: &[Set<'_>]) -> Option<Keys> {
    sets.iter().flat_map(|set| &set.fields.parts).find_map(|(step, _)| match step {
        Step::Keys(keys) if !keys.is_empty() => Some(keys.keys().cloned().map(Some).collect()),
        Step::Member(member) if !has_parts(member) => Some(vec![None]),
        _ => None,
    })
}

/// The places in the order of the elements at them, where it is another one.
fn order(placed: &[Option<usize>]) -> Option<String> {
    let mut places: Vec<(usize, String)> =
        placed.iter().enumerate().filter_map(|(place, from)| Some(((*from)?, segment::place(place)))).collect();
    let is_in_order = places.is_sorted();
    places.sort();
    (!is_in_order).then(|| places.into_iter().map(|(_, place)| place).collect::<Vec<_>>().join(" "))
}

/// Whether it is there as it is declared, or not at all.
fn is_plain(leaf: &Leaf) -> bool {
    !matches!(leaf, Leaf::Ref(_) | Leaf::Secret { .. } | Leaf::Unknown | Leaf::ServerChosen)
}

/// Whether a declared element that does not say all its keys may mean one of ours: a key that it does not say is one that we have
/// not applied, but the server filled in; and one that is not known here may be any.
fn may_mean(keys: &Keys, said: &[Option<Leaf>], live: &[Option<Leaf>], managed: &[Set<'_>]) -> bool {
    let applied = |key: &str| managed.iter().any(|set| set.writer == Writer::Us && set.fields.below(key).is_some());
    let is_ours = managed.iter().any(|set| set.writer != Writer::Another);
    is_ours
        && keys.iter().zip(said).zip(live).all(|((key, said), live)| match (said, live) {
            (Some(said), Some(live)) if is_plain(said) => said == live,
            (Some(Leaf::Ref(text)), Some(Leaf::Text(name))) => match text.segments() {
                [Segment::Attribute { of, .. }] => is_name_of(name, of) || **name == *of.name.trim_end_matches('*').trim_end_matches('-'),
                _ => true,
            },
            (Some(_), live) => live.is_some(),
            (None, _) => key.as_ref().is_some_and(|key| !applied(key)),
        })
}

#[cfg(test)]
mod tests;
