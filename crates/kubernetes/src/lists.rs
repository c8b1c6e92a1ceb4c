//! List requests: in pages, of what carries a label.

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

/// So many objects are decoded before others have their turn: requests that are to be sent, answers that come.
const TURN: usize = 32;

/// Reads what carries a label, and keeps of each object what `keep` makes of it: only one of them is in memory whole. The server
/// works on a page while the one before is decoded.
pub(crate) async fn read<T>(
    connection: &Connection,
    resource: &Resource,
    namespace: Option<&str>,
    selector: &str,
    keep: impl Fn(Live) -> T,
) -> Result<Vec<T>, Failure> {
    let first = format!("{}?labelSelector={selector}&limit={PAGE}", resource.collection(namespace));
    let (mut out, mut begun) = (Vec::new(), 1);
    let mut answer = connection.get(&first).await;
    loop {
        let body = match answer {
            Ok(body) => body,
            Err(failure) if failure.is_expired() && begun < ATTEMPTS => {
                begun += 1;
                out.clear();
                answer = connection.get(&first).await;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let Page { metadata, items } = serde_json::from_slice(&body).map_err(|error| Failure::unreadable(&error))?;
        let items = items.unwrap_or_default();
        out.reserve(items.len());
        let decoded = decode(items, resource, &keep, &mut out);
        if metadata.r#continue.is_empty() {
            return decoded.await.map(|()| out);
        }
        let next = format!("{first}&continue={}", metadata.r#continue);
        let (next, decoded) = futures::join!(connection.get(&next), decoded);
        decoded?;
        answer = next;
    }
}

/// The items of a list do not say what they are.
async fn decode<T>(items: Vec<&RawValue>, resource: &Resource, keep: &impl Fn(Live) -> T, out: &mut Vec<T>) -> Result<(), Failure> {
    for turn in items.chunks(TURN) {
        tokio::task::yield_now().await;
        for item in turn {
            let mut live = Live::parse(item.get().as_bytes()).map_err(|error| Failure::unreadable(&error))?;
            if let Some(body) = live.body.as_object_mut() {
                body.insert("apiVersion".to_owned(), resource.api_version.as_str().into());
                body.insert("kind".to_owned(), resource.kind.as_str().into());
            }
            out.push(keep(live));
        }
    }
    Ok(())
}
