//! List requests: in pages, of what carries a label.

use crate::connection::Connection;
use crate::failure::Failure;
use crate::items::Items;
use crate::kind::Resource;
use crate::object::live::Live;

/// So many objects come in one page.
const PAGE: usize = 500;
/// So often a list is begun anew whose place the server has forgotten.
const ATTEMPTS: usize = 3;

/// Reads what carries a label, and keeps of each object what `keep` makes of it: only one of them is in memory whole.
pub(crate) async fn read<T>(
    connection: &Connection,
    resource: &Resource,
    namespace: Option<&str>,
    selector: &str,
    keep: impl Fn(Live) -> T,
) -> Result<Vec<T>, Failure> {
    let first = format!("{}?labelSelector={selector}&limit={PAGE}", resource.collection(namespace));
    let (mut out, mut next, mut begun) = (Vec::new(), String::new(), 1);
    loop {
        let page = if next.is_empty() { first.clone() } else { format!("{first}&continue={next}") };
        match self::page(connection, &page, resource, |live| out.push(keep(live))).await {
            Ok(following) if following.is_empty() => return Ok(out),
            Ok(following) => next = following,
            Err(failure) if failure.is_expired() && begun < ATTEMPTS => {
                begun += 1;
                out.clear();
                next.clear();
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Reads one page, and returns what to ask for the next one with.
async fn page(connection: &Connection, path: &str, resource: &Resource, mut take: impl FnMut(Live)) -> Result<String, Failure> {
    let mut answer = connection.read(path).await?;
    let mut items = Items::default();
    while let Some(part) = answer.next().await? {
        items.feed(&part, |item| object(item, resource).map(&mut take)).map_err(|error| Failure::unreadable(&error))?;
        // Others have their turn: requests that are to be sent, answers that come.
        tokio::task::yield_now().await;
    }
    let meta = items.finish().map_err(|error| Failure::unreadable(&error))?;
    Ok(meta.r#continue)
}

/// The items of a list do not say what they are.
fn object(item: &[u8], resource: &Resource) -> serde_json::Result<Live> {
    let mut live = Live::parse(item)?;
    if let Some(body) = live.body.as_object_mut() {
        body.insert("apiVersion".to_owned(), resource.api_version.as_str().into());
        body.insert("kind".to_owned(), resource.kind.as_str().into());
    }
    Ok(live)
}
