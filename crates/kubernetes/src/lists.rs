//! List requests: in pages, of what carries a label.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::kind::Resource;
use crate::object::live::Live;

/// So many objects come in one page.
const PAGE: usize = 500;
/// So often a list is begun anew whose place the server has forgotten.
const ATTEMPTS: usize = 3;

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PageMeta {
    r#continue: String,
}

/// Reads what carries a label, and keeps of each object what `keep` makes of it: only one of them is in memory whole.
pub(crate) async fn read<T>(
    connection: &Connection,
    resource: &Resource,
    namespace: Option<&str>,
    selector: &str,
    keep: impl Fn(Live) -> T,
) -> Result<Vec<T>, Failure> {
    let collection = resource.collection(namespace);
    let (mut out, mut from, mut begun) = (Vec::new(), String::new(), 1);
    loop {
        let path = format!("{collection}?labelSelector={selector}&limit={PAGE}{from}");
        match connection.get(&path).await {
            Ok(page) => match items(&page, resource, &keep, &mut out)? {
                Some(place) => from = format!("&continue={place}"),
                None => return Ok(out),
            },
            Err(failure) if failure.is_expired() && begun < ATTEMPTS => {
                begun += 1;
                from.clear();
                out.clear();
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// The items of a list do not say what they are.
fn items<T>(page: &Bytes, resource: &Resource, keep: &impl Fn(Live) -> T, out: &mut Vec<T>) -> Result<Option<String>, Failure> {
    let unreadable = |error: serde_json::Error| Failure::unreadable(&error);
    let Page { metadata, items } = serde_json::from_slice(page).map_err(unreadable)?;
    for item in items.into_iter().flatten() {
        let mut live = Live::parse(item.get().as_bytes()).map_err(unreadable)?;
        if let Some(body) = live.body.as_object_mut() {
            body.insert("apiVersion".to_owned(), resource.api_version.as_str().into());
            body.insert("kind".to_owned(), resource.kind.as_str().into());
        }
        out.push(keep(live));
    }
    Ok((!metadata.r#continue.is_empty()).then_some(metadata.r#continue))
}
