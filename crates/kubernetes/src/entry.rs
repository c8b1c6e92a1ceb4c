//! Our own entry in `metadata.managedFields`, moved to another version of its kind.
//!
//! The server translates an object to the version of each entry before it writes. A version that is gone, or that has no place for a
//! new field, makes every later write fail: `failed to convert merged object to last applied version`. Where the versions of a kind
//! differ in name alone (`conversion: None`), the paths in our entry mean the same in the new version, and the entry gets its name.

use http::Method;
use serde_json::{Value, json};

use crate::connection::{Connection, Content};
use crate::failure::Failure;
use crate::kind::{Resource, split_api_version};
use crate::object::live::{Live, MANAGER, Managed, Writer};

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";

/// Why our entry stays as it is.
pub(crate) enum Stays {
    /// A request failed.
    Failed(Failure),
    /// It must not be moved: why not, and the way out.
    Blocked(String),
}

impl From<Failure> for Stays {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The version in our entry, where it is another one than the version that is written.
pub(crate) fn outdated<'a>(live: &'a Live, resource: &Resource) -> Option<&'a str> {
    live.applied_version().filter(|version| !version.is_empty() && *version != resource.api_version)
}

/// Whether our entry can be moved to the version of `resource`. Nothing is written.
pub(crate) async fn try_to_move(connection: &Connection, resource: &Resource, path: &str, live: &Live) -> Result<(), Stays> {
    refuse_conversions(connection, resource, live).await?;
    let tried = send(connection, resource, path, live, "&dryRun=All").await?;
    let lost: Vec<&Managed> = live.meta.managed_fields.iter().filter(|managed| !is_left(managed, &tried)).collect();
    if lost.is_empty() { Ok(()) } else { Err(Stays::Blocked(cannot_hold(resource, &lost))) }
}

/// Whether an entry is still there. The server drops one whose version it does not serve any more, and all of them where one of them cannot
/// be translated.
fn is_left(managed: &Managed, tried: &Live) -> bool {
    let is_it = |other: &&Managed| {
        (&managed.manager, &managed.operation, &managed.subresource) == (&other.manager, &other.operation, &other.subresource)
            && (managed.writer() == Writer::Us || managed.api_version == other.api_version)
    };
    tried.meta.managed_fields.iter().any(|other| is_it(&other))
}

/// Why entries would be lost, and the way out.
fn cannot_hold(resource: &Resource, lost: &[&Managed]) -> String {
    let version = &resource.api_version;
    let others = lost.iter().filter(|managed| managed.writer() != Writer::Us && managed.api_version != *version);
    let others: Vec<String> = others.map(|managed| format!("{} in {}", managed.manager, managed.api_version)).collect();
    if others.is_empty() {
        return format!(
            "the cluster drops the entries in `metadata.managedFields` when ours is moved to {version}: remove them \
             (`kubectl edit --show-managed-fields`), and apply again"
        );
    }
    format!(
        "others have written the object in a version that cannot hold it ({}): they must write it in {version} first, or their entries in \
         `metadata.managedFields` must be removed",
        others.join(", ")
    )
}

/// Moves our entry to the version of `resource`, and returns the object as it is then.
///
/// The server fills in the defaults of that version at once, and takes them for values that this write has set: that entry goes again, or an
/// apply of other values would be a conflict with ourselves.
pub(crate) async fn move_to(connection: &Connection, resource: &Resource, path: &str, live: &Live) -> Result<Live, Stays> {
    try_to_move(connection, resource, path, live).await?;
    let mut moved = send(connection, resource, path, live, "").await?;
    let is_filled_in = |managed: &Managed| managed.manager == MANAGER && managed.operation == "Update" && managed.subresource.is_empty();
    if live.meta.managed_fields.iter().any(is_filled_in) || !moved.meta.managed_fields.iter().any(is_filled_in) {
        return Ok(moved);
    }
    moved.meta.managed_fields.retain(|managed| !is_filled_in(managed));
    Ok(send(connection, resource, path, &moved, "").await?)
}

async fn send(connection: &Connection, resource: &Resource, path: &str, live: &Live, more: &str) -> Result<Live, Failure> {
    let patch = json!([
        { "op": "test", "path": "/metadata/uid", "value": live.meta.uid },
        { "op": "replace", "path": "/metadata/managedFields", "value": live.with_applied_version(&resource.api_version) },
        { "op": "replace", "path": "/metadata/resourceVersion", "value": live.meta.resource_version },
    ]);
    let content = Content::of(JSON_PATCH, &patch);
    let answer = connection.send(Method::PATCH, &format!("{path}?fieldManager={MANAGER}{more}"), JSON, Some(&content)).await?;
    Live::parse(&answer.body).map_err(|error| Failure::unreadable(&error))
}

/// Refuses a kind whose versions differ in more than their names, or of which that cannot be told.
async fn refuse_conversions(connection: &Connection, resource: &Resource, live: &Live) -> Result<(), Stays> {
    let (group, _) = split_api_version(&resource.api_version);
    let name = format!("{}.{group}", resource.plural);
    let (from, to) = (live.applied_version().unwrap_or_default(), &resource.api_version);
    let out = format!(
        "this object was applied as {from} before, which cannot hold it as it should be. While the cluster serves {from}, apply it once as {to} \
         with no more than {from} can say, and then as it should be"
    );
    let found = connection.find(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")).await;
    let definition: Value = match found {
        Ok(Some(body)) => serde_json::from_slice(&body).map_err(|error| Failure::unreadable(&error))?,
        Ok(None) => return Err(Stays::Blocked(out)),
        Err(failure) if failure.is_denied() => {
            return Err(Stays::Blocked(format!("{out}; whether both versions say the same is not known: {}", failure.why())));
        }
        Err(failure) => return Err(failure.into()),
    };
    match definition.pointer("/spec/conversion/strategy").and_then(Value::as_str) {
        None | Some("None") => Ok(()),
        Some(strategy) => Err(Stays::Blocked(format!(
            "{out}: its definition {name} has the conversion `{strategy}`, so that fields may have other names in {to}"
        ))),
    }
}
