//! One dry run of a change: server-side apply, and where fields must go that an apply alone does not remove, a patch of the object
//! as it will be.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};
use stratos_engine::desired::document::{Document, Leaf};
use stratos_engine::desired::path::Path;

use crate::apply::APPLY;
use crate::connection::{Answer, Connection, Content};
use crate::failure::Failure;
use crate::object::cleared::Cleared;
use crate::object::live::{Live, MANAGER};
use crate::object::{segment, unions, write};
use crate::types::Type;

/// A change that the cluster is asked about.
pub(super) struct DryRun<'a> {
    pub(super) connection: &'a Connection,
    /// The path of the object.
    pub(super) path: &'a str,
    /// The object that an apply would send.
    pub(super) object: &'a Value,
    pub(super) declared: &'a Document,
    /// The document of the live object.
    pub(super) before: &'a Document,
}

impl DryRun<'_> {
    /// The object as the cluster would store it. A field that another manager holds and that must go is a conflict like any other.
    ///
    /// An apply removes a field of which something was ours with everything in it. One that the server filled in it leaves, and the
    /// server refuses the result, or stores both.
    pub(super) async fn send(&self, force: bool) -> Result<Answer, Failure> {
        let query = format!("fieldManager={MANAGER}&force={force}&dryRun=All&fieldValidation=Strict");
        let applied = self.patch(&query, APPLY, self.object).await;
        let live = match &applied {
            Ok(answer) => Live::parse(&answer.body).ok(),
            Err(failure) if failure.is_invalid() && unions::has_any(Type::of_object(self.object), self.declared) => {
                self.connection.find(self.path).await.ok().flatten().and_then(|body| Live::parse(&body).ok())
            }
            Err(_) => None,
        };
        let Some(live) = live else { return applied };
        let cleared = Cleared::new(self.declared, self.before, &live);
        if cleared.is_empty() {
            return applied;
        }
        match cleared.conflict(&live) {
            Some(failure) if !force => Err(failure),
            _ => {
                self.patch(
                    &format!("fieldManager={MANAGER}&dryRun=All&fieldValidation=Strict"),
                    JSON_PATCH,
                    &self.replaced(&live, &cleared),
                )
                .await
            }
        }
    }

    async fn patch(&self, query: &str, kind: &'static str, value: &Value) -> Result<Answer, Failure> {
        let content = Content::of(kind, value);
        self.connection.send(Method::PATCH, &format!("{}?{query}", self.path), "application/json", Some(&content)).await
    }

    /// The patch that writes the object as it will be, field by field of its top.
    fn replaced(&self, live: &Live, cleared: &Cleared) -> Value {
        let merged = write::merged(&live.body, self.object, self.declared, self.before, cleared);
        let (before, after) = (live.body.as_object(), merged.as_object());
        let names = before.into_iter().chain(after).flat_map(|map| map.keys()).filter(|name| !FIXED.contains(&name.as_str()));
        let mut names: Vec<&String> = names.collect();
        names.sort();
        names.dedup();
        let mut patch = vec![json!({ "op": "test", "path": "/metadata/uid", "value": live.meta.uid })];
        let mut put = |path: String, value: Option<&Value>| {
            patch.push(match value {
                Some(value) => json!({ "op": "add", "path": path, "value": value }),
                None => json!({ "op": "remove", "path": path }),
            });
        };
        for name in names.into_iter().filter(|name| live.body.get(*name) != merged.get(*name)) {
            put(format!("/{name}"), merged.get(name));
        }
        for map in ["labels", "annotations"] {
            if let Some(value) = merged["metadata"].get(map).filter(|value| live.body["metadata"].get(map) != Some(value)) {
                put(format!("/metadata/{map}"), Some(value));
            }
        }
        Value::Array(patch)
    }
}

const JSON_PATCH: &str = "application/json-patch+json";

/// Fields that are no part of a change.
const FIXED: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// The leaves of `stays` that are in `before` with the same value. A list whose elements have places and that is not
/// declared stays as a whole or not at all: the API server may fill in another one that has some of the same leaves (`metrics` of a
/// HorizontalPodAutoscaler). `length` is that of such a list as the server would store it.
pub(super) fn in_whole_lists<'a>(
    stays: &'a Document,
    before: &'a Document,
    declared: &'a Document,
    length: impl Fn(&[&str]) -> Option<usize>,
) -> impl Iterator<Item = &'a (Path, Leaf)> {
    let is_same = move |path: &Path| stays.get(path).is_some_and(|leaf| before.get(path) == Some(leaf));
    let changed = before.leaves().iter().map(|(path, _)| path).filter(move |path| declared.get(path).is_none() && !is_same(path));
    let is_declared =
        |list: &Vec<&str>| declared.leaves().iter().any(|(path, _)| path.segments().take(list.len()).eq(list.iter().copied()));
    let elements = |list: &Vec<&str>| {
        let within = before.leaves().iter().filter(|(path, _)| path.segments().take(list.len()).eq(list.iter().copied()));
        within.filter_map(|(path, _)| path.segments().nth(list.len())).collect::<BTreeSet<_>>().len()
    };
    let all: BTreeSet<Vec<&str>> = stays.leaves().iter().filter_map(|(path, _)| list(path)).collect();
    let longer = all.into_iter().filter(|list| length(list).is_some_and(|length| length != elements(list)));
    let lists: BTreeSet<Vec<&str>> = changed.filter_map(list).chain(longer).filter(|list| !is_declared(list)).collect();
    stays.leaves().iter().filter(move |(path, _)| is_same(path) && list(path).is_none_or(|list| !lists.contains(&list)))
}

/// The outermost list on a path whose elements have places.
fn list(path: &Path) -> Option<Vec<&str>> {
    let segments: Vec<&str> = path.segments().collect();
    let place = segments.iter().position(|segment| matches!(segment::parse(segment), Some(segment::Element::At(_))))?;
    Some(segments[..place].to_vec())
}
