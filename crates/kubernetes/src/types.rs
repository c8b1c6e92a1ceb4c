//! The types of the fields of the kinds that come with every cluster.
//!
//! `types/table.txt` is a graph of named types, which refer to one another. A program writes it from the API's own OpenAPI and Go
//! types (`types/generate.sh`), and a test compares the two. Each line below a `type` is a field:
//!
//! ```text
//! type core/v1.ContainerPort
//!  containerPort int = 0
//!  name text omit
//!  protocol text omit = "TCP"
//! ```
//!
//! `omit`: the server drops the zero value. `= …`: the value that is there when nobody writes one, as far as it depends on nothing but
//! where the field is. `[T by a,b]` is a list whose elements are told apart by their keys, `[T set]` a set, `[T]` a list that is
//! replaced as a whole; `{T}` a map with free keys; `json` anything. Lines below a `kind` are values that are filled in there, but not
//! wherever the type is used.
//!
//! A field that the table lacks is of an unknown type, of which nothing is assumed. The same goes for custom resources, but for their
//! `metadata`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

use crate::kind::{GroupKind, split_api_version};
use crate::object::segment;

/// Whether a kind comes with every cluster: the table has it, in whatever version.
pub(crate) fn is_built_in(kind: &GroupKind) -> bool {
    TABLE.names.contains(&(kind.group.as_str(), kind.kind.as_str()))
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Nothing is known of it.
    Unknown,
    /// An object of a kind that the table lacks: its `metadata` is known.
    Custom,
    /// Any JSON.
    Json,
    /// Text, bytes or a time, which are text in JSON: what is written is what is stored.
    Text,
    /// A flag, a whole number, or a whole number or text: the same.
    Plain,
    /// A number of Go's type float64.
    Float,
    /// An amount, such as `500m`.
    Quantity,
    /// An amount that the server rounds up to thousandths.
    Amount,
    /// The name of a container's image.
    Image,
    /// A part that the server alone writes.
    Status,
    Struct(Place),
    List(Place),
    Map(Place),
}

/// A place in the table.
type Place = u16;

/// A field of a struct.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) of: Type,
    /// The server drops its zero value.
    pub(crate) is_dropped: bool,
    /// The JSON that is there where nobody writes it.
    default: Option<&'static str>,
}

#[derive(Debug)]
struct Struct {
    name: &'static str,
    /// It is replaced as a whole.
    is_atomic: bool,
    /// By name.
    fields: Vec<Field>,
    /// Of a kind: what is filled in at a path, without places in lists, and not wherever the type at the end of it is used.
    defaults: Vec<(&'static str, &'static str)>,
}

#[derive(Debug)]
struct List {
    item: Type,
    /// The keys of its elements; a list without any is replaced as a whole, or a set.
    keys: Option<&'static [&'static str]>,
    is_set: bool,
}

#[derive(Debug, Default)]
struct Table {
    structs: Vec<Struct>,
    lists: Vec<List>,
    /// The types of the values of maps.
    maps: Vec<Type>,
    /// By `apiVersion` and kind, as `v1 Service`.
    kinds: HashMap<&'static str, Type>,
    /// The same without their versions: group and kind.
    names: HashSet<(&'static str, &'static str)>,
    metadata: Option<Type>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("types/table.txt")));

impl Type {
    /// The type of the objects of a kind.
    pub(crate) fn of(api_version: &str, kind: &str) -> Self {
        TABLE.kinds.get(format!("{api_version} {kind}").as_str()).copied().unwrap_or(Self::Custom)
    }

    /// The same of an object, which says what it is.
    pub(crate) fn of_object(object: &Value) -> Self {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        Self::of(text("apiVersion"), text("kind"))
    }

    /// The type of what is behind a key of it.
    pub(crate) fn field(self, name: &str) -> Self {
        match self {
            Self::Struct(_) => self.about(name).map_or(Self::Unknown, |field| field.of),
            Self::Map(place) => TABLE.maps[usize::from(place)],
            Self::Custom if name == "metadata" => TABLE.metadata.unwrap_or(Self::Unknown),
            Self::Json => Self::Json,
            _ => Self::Unknown,
        }
    }

    /// A field of it, where it is a struct that has such a field.
    pub(crate) fn about(self, name: &str) -> Option<&'static Field> {
        let fields = &self.structure()?.fields;
        fields.binary_search_by(|field| field.name.cmp(name)).ok().map(|index| &fields[index])
    }

    /// The type of its elements.
    pub(crate) fn item(self) -> Self {
        match self {
            Self::List(place) => TABLE.lists[usize::from(place)].item,
            Self::Json => Self::Json,
            _ => Self::Unknown,
        }
    }

    /// The keys by which its elements are told apart, in alphabetical order.
    pub(crate) fn keys(self) -> Option<&'static [&'static str]> {
        match self {
            Self::List(place) => TABLE.lists[usize::from(place)].keys,
            _ => None,
        }
    }

    /// Whether its elements are told apart by themselves.
    pub(crate) fn is_set(self) -> bool {
        matches!(self, Self::List(place) if TABLE.lists[usize::from(place)].is_set)
    }

    /// The value that the server puts for a key where an element of this type is written without it: `protocol` of a port is `TCP`.
    pub(crate) fn key_default(self, key: &str) -> Option<Value> {
        self.about(key).filter(|field| field.is_dropped).and_then(Field::default)
    }

    /// The type at the end of a path.
    pub(crate) fn along<'a>(self, segments: impl IntoIterator<Item = &'a str>) -> Self {
        segments.into_iter().fold(self, Self::step)
    }

    /// The type behind one segment of a path.
    pub(crate) fn step(self, segment: &str) -> Self {
        if segment.starts_with('[') { self.item() } else { self.field(&segment::name(segment)) }
    }

    /// Whether anything is known of what it is made of.
    pub(crate) fn is_known(self) -> bool {
        !matches!(self, Self::Unknown | Self::Custom | Self::Json)
    }

    /// Whether no flag and no number can be a value of it.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Image)
    }

    /// Whether it is a map with free keys, which the server drops when it is empty.
    pub(crate) fn is_map(self) -> bool {
        matches!(self, Self::Map(_))
    }

    /// Whether it is a struct of this name.
    pub(crate) fn is(self, name: &str) -> bool {
        self.name() == Some(name)
    }

    /// The name of a struct: `core/v1.PodSpec`.
    pub(crate) fn name(self) -> Option<&'static str> {
        self.structure().map(|structure| structure.name)
    }

    /// Whether it is a struct that is replaced as a whole.
    pub(crate) fn is_atomic(self) -> bool {
        self.structure().is_some_and(|structure| structure.is_atomic)
    }

    /// The default at a place of this kind, which not all places of its type have. `names` leads there, without places in lists.
    pub(crate) fn filled_in(self, names: &[&str]) -> Option<Value> {
        let is_there = |path: &str| path.split('.').eq(names.iter().copied());
        let (_, json) = self.structure()?.defaults.iter().find(|(path, _)| is_there(path))?;
        serde_json::from_str(json).ok()
    }

    fn structure(self) -> Option<&'static Struct> {
        match self {
            Self::Struct(place) => Some(&TABLE.structs[usize::from(place)]),
            _ => None,
        }
    }
}

impl Field {
    /// The value of the field where it is not written.
    pub(crate) fn default(&self) -> Option<Value> {
        self.default.and_then(|json| serde_json::from_str(json).ok())
    }
}

impl Table {
    /// Reads the table. A line that says nothing to it is one of a later form: it is left out, and the test of the table fails.
    fn parse(text: &'static str) -> Self {
        let mut out = Self::default();
        let mut places = HashMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("type ") {
                let (name, flags) = rest.split_once(' ').unwrap_or((rest, ""));
                places.insert(name, Place::try_from(places.len()).unwrap_or(Place::MAX));
                out.structs.push(Struct { name, is_atomic: flags == "atomic", fields: vec![], defaults: vec![] });
            }
        }
        let (mut known, mut structure, mut next) = (HashMap::new(), 0, 0);
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("kind", rest)) => {
                    let found = rest.rsplit_once(' ').and_then(|(name, of)| Some((name, *places.get(of)?)));
                    let Some((name, place)) = found else { continue };
                    out.kinds.insert(name, Type::Struct(place));
                    out.names.extend(name.split_once(' ').map(|(api_version, kind)| (split_api_version(api_version).0, kind)));
                    structure = usize::from(place);
                }
                Some(("type", _)) => {
                    structure = next;
                    next += 1;
                }
                Some(("", field)) => out.field(field, structure, &places, &mut known),
                _ => {}
            }
        }
        out.metadata = places.get("meta/v1.ObjectMeta").map(|place| Type::Struct(*place));
        out
    }

    /// A line below a kind or a type.
    fn field(&mut self, line: &'static str, structure: usize, places: &HashMap<&str, Place>, known: &mut HashMap<&'static str, Type>) {
        let (about, default) = line.split_once(" = ").map_or((line, None), |(about, json)| (about, Some(json)));
        match (about.split_once(' '), default) {
            (Some((name, about)), default) => {
                let (about, is_dropped) = about.strip_suffix(" omit").map_or((about, false), |about| (about, true));
                let of = match self.read(about, places, known) {
                    Type::Text if name == "image" && CONTAINERS.contains(&self.structs[structure].name) => Type::Image,
                    of => of,
                };
                self.structs[structure].fields.push(Field { name, of, is_dropped, default });
            }
            (None, Some(default)) => self.structs[structure].defaults.push((about, default)),
            (None, None) => {}
        }
    }

    fn read(&mut self, text: &'static str, places: &HashMap<&str, Place>, known: &mut HashMap<&'static str, Type>) -> Type {
        if let Some(of) = known.get(text) {
            return *of;
        }
        let place = |length: usize| Place::try_from(length - 1).unwrap_or(Place::MAX);
        let of = if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            let (item, matching) = split_last(inner, &[" by ", " set"]);
            let keys = matching.strip_prefix(" by ").map(|keys| &*keys.split(',').collect::<Vec<_>>().leak());
            let item = self.read(item, places, known);
            self.lists.push(List { item, keys, is_set: matching == " set" });
            Type::List(place(self.lists.len()))
        } else if let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let value = self.read(inner.strip_suffix(" atomic").unwrap_or(inner), places, known);
            self.maps.push(value);
            Type::Map(place(self.maps.len()))
        } else {
            match text.strip_suffix(" atomic").unwrap_or(text) {
                "text" | "bytes" | "time" => Type::Text,
                "bool" | "int" | "int|text" => Type::Plain,
                "float" => Type::Float,
                "quantity" => Type::Quantity,
                "amount" => Type::Amount,
                "json" => Type::Json,
                "status" => Type::Status,
                name => places.get(name).map_or(Type::Unknown, |place| Type::Struct(*place)),
            }
        };
        known.insert(text, of);
        of
    }
}

/// The types in which `image` is the name of an image that may be pinned.
const CONTAINERS: [&str; 1] = ["core/v1.Container"];

/// A text and the part at its end that begins with one of these words, outside of brackets.
fn split_last<'t>(text: &'t str, words: &[&str]) -> (&'t str, &'t str) {
    let nested = text.rfind([']', '}']).map_or(0, |at| at + 1);
    let at = words.iter().find_map(|word| text[nested..].find(word)).map_or(text.len(), |at| nested + at);
    text.split_at(at)
}

#[cfg(test)]
mod tests;
