//! Lists of anything, decoded as far as the reader wants: pods, events, what is judged. (`lists` reads whole objects.)

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::query::Query;

/// So many objects in one answer: what kubectl asks for.
const PAGE: &str = "500";
/// So often a list is begun anew whose place the server has forgotten.
const ATTEMPTS: usize = 3;

#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMeta,
    // An empty list may be `null`.
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMeta {
    #[serde(default, rename = "continue")]
    next: String,
}

/// Everything that the query finds. A list that changed so much meanwhile that the server has forgotten it is begun anew.
pub(crate) async fn all<T: DeserializeOwned>(connection: &Connection, query: &Query) -> Result<Vec<T>, Failure> {
    let mut next = String::new();
    let mut out = Vec::new();
    let mut begun = 1;
    loop {
        let page = query.clone().with("limit", PAGE);
        let page = if next.is_empty() { page } else { page.with("continue", &next) };
        let body = match connection.get(page.as_str()).await {
            Err(failure) if failure.is_expired() && !next.is_empty() && begun < ATTEMPTS => {
                begun += 1;
                out.clear();
                next.clear();
                continue;
            }
            other => other?,
        };
        let page: Page<T> = serde_json::from_slice(&body).map_err(|error| Failure::unreadable(&error))?;
        out.extend(page.items.unwrap_or_default());
        if page.metadata.next.is_empty() {
            return Ok(out);
        }
        next = page.metadata.next;
    }
}
