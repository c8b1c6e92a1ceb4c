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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::answering::Server;

    const EXPIRED: &str = r#"{"kind":"Status","status":"Failure","reason":"Expired","code":410}"#;

    fn of(names: &[&str], next: &str) -> String {
        let items: Vec<String> = names.iter().map(|name| format!(r#"{{"metadata":{{"name":"{name}"}}}}"#)).collect();
        format!(r#"{{"kind":"ConfigMapList","metadata":{{"continue":"{next}"}},"items":[{}]}}"#, items.join(","))
    }

    async fn names(server: &Server) -> Result<Vec<String>, Failure> {
        let resource = Resource { api_version: "v1".into(), kind: "ConfigMap".into(), plural: "configmaps".into(), namespaced: true };
        let keep = |live: Live| format!("{} {}", live.body["kind"].as_str().unwrap_or_default(), live.meta.name);
        read(&server.connection(), &resource, Some("x"), "a%3Db", keep).await
    }

    #[tokio::test]
    async fn pages_follow_one_another() {
        let server = Server::start(|head| (200, if head.contains("continue=more") { of(&["b"], "") } else { of(&["a"], "more") })).await;
        assert_eq!(names(&server).await.unwrap(), ["ConfigMap a", "ConfigMap b"]);
        let path = "/api/v1/namespaces/x/configmaps?labelSelector=a%3Db&limit=500";
        assert_eq!(server.paths(), [path.to_owned(), format!("{path}&continue=more")]);
        let nothing = Server::start(|_| (200, of(&[], ""))).await;
        assert_eq!(names(&nothing).await.unwrap(), [""; 0]);
    }

    /// The server has forgotten the place: what came before is read again, and counts once.
    #[tokio::test]
    async fn a_list_that_expired_is_begun_anew() {
        for (times, attempts) in [(1, 2), (ATTEMPTS, ATTEMPTS)] {
            let expired = Arc::new(AtomicUsize::new(0));
            let server = Server::start(move |head| match head.contains("continue=more") {
                false => (200, of(&["a"], "more")),
                true if expired.fetch_add(1, Ordering::SeqCst) < times => (410, EXPIRED.to_owned()),
                true => (200, of(&["b"], "")),
            })
            .await;
            match names(&server).await {
                Ok(found) => assert_eq!((found, times), (vec!["ConfigMap a".to_owned(), "ConfigMap b".to_owned()], 1)),
                Err(failure) => assert!(failure.is_expired() && times == ATTEMPTS, "{}", failure.why()),
            }
            assert_eq!(server.asked().len(), 2 * attempts);
        }
    }

    /// Half a list is none: what it does not name would be taken for gone.
    #[tokio::test]
    async fn what_is_no_whole_list_is_an_error() {
        let half = of(&["a", "b"], "");
        for body in ["{}".to_owned(), "[]".to_owned(), half[..half.len() - 2].to_owned(), of(&["a"], "").replace(r#""a""#, "7")] {
            let answer = body.clone();
            let server = Server::start(move |_| (200, answer.clone())).await;
            assert!(names(&server).await.is_err(), "{body}");
        }
    }
}
